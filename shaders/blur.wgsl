// Gaussian blur of each channel, sigma 1.5, 11 taps that sum to 1, zeros outside: first along rows, then along columns. It is its
// own gradient. One invocation: one element.

struct Params {
    h: u32,
    w: u32,
    len: u32, // N C h w
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (N, C, h, w)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (N, C, h, w)

const REACH = 5;
// exp(-k^2 / 4.5) of k = 0 to 5, over the sum of all 11.
const TAPS = array<f32, 6>(0.26601171493530273, 0.21300554275512695, 0.10936068743467331, 0.036000773310661316, 0.0075987582094967365, 0.001028380123898387);

// The sum of those of `count` values around the one at `place`, which is `own`th, that are `stride` apart.
fn blurred(place: u32, own: u32, count: u32, stride: u32) -> f32 {
    var taps = TAPS;
    var sum = 0.0;
    for (var k = -REACH; k <= REACH; k++) {
        let at = i32(own) + k;
        if at >= 0 && at < i32(count) {
            sum += taps[abs(k)] * x[u32(i32(place) + k * i32(stride))];
        }
    }
    return sum;
}

@compute @workgroup_size(256)
fn rows(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    y[i] = blurred(i, i % p.w, p.w, 1u);
}

@compute @workgroup_size(256)
fn columns(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    y[i] = blurred(i, i / p.w % p.h, p.h, p.w);
}
