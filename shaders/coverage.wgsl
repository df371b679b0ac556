// The mean of the 8 x 8 patches that windows paint: y = (x / n + b) / 2, where n(i, j) = n_H(i) n_W(j) windows cover a pixel,
// n_H(i) = min(i, H - 8) - max(i - 7, 0) + 1.

struct Params {
    n: u32,
    c: u32,
    h: u32,
    w: u32,
    first: u32, // row of the whole map where this one begins
    height: u32, // rows of the whole map
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (n, c, h, w)
@group(0) @binding(3) var<storage, read> b: array<f32>; // (c)
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // (n, c, h, w)

fn windows(i: u32, count: u32) -> u32 {
    return min(i, count - 8u) - (max(i, 7u) - 7u) + 1u;
}

// n of element i.
fn covered(i: u32) -> f32 {
    return f32(windows(p.first + i / p.w % p.h, p.height) * windows(i % p.w, p.w));
}

// One invocation: one element.
@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.n * p.c * p.h * p.w {
        return;
    }
    y[i] = 0.5 * (x[i] / covered(i) + b[i / (p.h * p.w) % p.c]);
}

@group(0) @binding(5) var<storage, read> dy: array<f32>; // (n, c, h, w)
@group(0) @binding(6) var<storage, read_write> dx: array<f32>; // (n, c, h, w)

// dx = dy / (2 n). One invocation: one element.
@compute @workgroup_size(256)
fn backward_input(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.n * p.c * p.h * p.w {
        return;
    }
    dx[i] = 0.5 * dy[i] / covered(i);
}

@group(0) @binding(7) var<storage, read_write> db: array<f32>; // (c)

// db = sum dy / 2. One workgroup: one channel.
@compute @workgroup_size(256)
fn backward_bias(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let plane = p.h * p.w;
    var sum = 0.0;
    for (var k = lane; k < p.n * plane; k += 256u) {
        sum += dy[(k / plane * p.c + group.x) * plane + k % plane];
    }
    sum = tree_sum(lane, sum);
    if lane == 0u {
        db[group.x] = 0.5 * sum;
    }
}
