// With e = y - goal: loss = mean |e| + 2 sum over 12 offsets o of mean |e(p + o) - e(p)|, over the pairs inside the image.

struct Params {
    h: u32,
    w: u32,
    len: u32, // N C h w
    parts: u32, // workgroups of `partial`
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> y: array<f32>; // (N, C, h, w)
@group(0) @binding(3) var<storage, read> goal: array<f32>; // (N, C, h, w)

const COUNT = 12;
const OFFSETS = array<vec2i, COUNT>(
    vec2i(0, 1), vec2i(1, 0), vec2i(1, 1), vec2i(1, -1), vec2i(0, 2), vec2i(2, 0),
    vec2i(1, 2), vec2i(1, -2), vec2i(2, 1), vec2i(2, -1), vec2i(2, 2), vec2i(2, -2),
); // rows, columns

fn e(i: u32) -> f32 {
    return y[i] - goal[i];
}

// Row and column of element i in its plane.
fn pixel(i: u32) -> vec2i {
    return vec2i(vec2u(i / p.w % p.h, i % p.w));
}

fn is_inside(at: vec2i) -> bool {
    return all(at >= vec2i(0)) && at.x < i32(p.h) && at.y < i32(p.w);
}

// Place of the neighbour of element i, which is inside.
fn neighbour(i: u32, o: vec2i) -> u32 {
    return u32(i32(i) + o.x * i32(p.w) + o.y);
}

// 2 over the number of an offset's pairs.
fn weight(o: vec2i) -> f32 {
    let planes = p.len / (p.h * p.w);
    return 2.0 / f32(planes * u32(i32(p.h) - o.x) * u32(i32(p.w) - abs(o.y)));
}

@compute @workgroup_size(256)
fn partial(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    var offsets = OFFSETS;
    var sum = 0.0;
    for (var i = group.x * 256u + lane; i < p.len; i += p.parts * 256u) {
        let own = e(i);
        sum += abs(own) / f32(p.len);
        for (var k = 0; k < COUNT; k++) {
            let o = offsets[k];
            if is_inside(pixel(i) + o) {
                sum += weight(o) * abs(e(neighbour(i, o)) - own);
            }
        }
    }
    put_part(lane, group, sum);
}

@group(0) @binding(6) var<storage, read_write> loss: array<f32>; // (1)

@compute @workgroup_size(256)
fn total(@builtin(local_invocation_index) lane: u32) {
    let sum = sum_of_parts(lane);
    if lane == 0u {
        loss[0] = sum;
    }
}

@group(0) @binding(7) var<storage, read_write> dy: array<f32>; // (N, C, h, w)

// A pixel is in the pairs (p - o, p) and (p, p + o), the second with the other sign, and sgn(-v) = -sgn(v):
//   dy(p) = sgn e(p) / M + 2 sum_o (sgn(e(p) - e(p - o)) + sgn(e(p) - e(p + o))) / M_o.
// One invocation: one element.
@compute @workgroup_size(256)
fn backward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    var offsets = OFFSETS;
    let own = e(i);
    let at = pixel(i);
    var sum = sign(own) / f32(p.len);
    for (var k = 0; k < COUNT; k++) {
        let o = offsets[k];
        if is_inside(at + o) {
            sum += weight(o) * sign(own - e(neighbour(i, o)));
        }
        if is_inside(at - o) {
            sum += weight(o) * sign(own - e(neighbour(i, -o)));
        }
    }
    dy[i] = sum;
}
