// Edges of a smooth picture, and the balanced cross-entropy of a guess at them: weight mean u (softplus(e) - l e), with logits e,
// labels l, u = 1 - q on edges and q elsewhere, q the share of edges. Sums as in sums.wgsl.

struct Params {
    h: u32,
    w: u32,
    len: u32, // N h w
    weight: f32,
    parts: u32, // workgroups of `count` and `partial`
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> goal: array<f32>; // (N, 3, h, w)
@group(0) @binding(3) var<storage, read_write> labels: array<f32>; // (N, 1, h, w)

// Mirrored into 0 to n - 1, the border not repeated.
fn mirrored(i: i32, n: u32) -> u32 {
    let a = u32(abs(i));
    return select(2u * (n - 1u) - a, a, a < n);
}

// The blue channel's code value; rounds to even, as WGSL does.
fn code(image: u32, i: i32, j: i32) -> f32 {
    let at = ((3u * image + 2u) * p.h + mirrored(i, p.h)) * p.w + mirrored(j, p.w);
    return clamp(round(255.0 * goal[at]), 0.0, 255.0);
}

// Sobel's differences of code values are whole numbers: exact. One invocation: one pixel.
@compute @workgroup_size(256)
fn edges(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let at = linear_index(gid, groups, 256u);
    if at >= p.len {
        return;
    }
    let n = at / (p.h * p.w);
    let i = i32(at / p.w % p.h);
    let j = i32(at % p.w);
    let gx = code(n, i - 1, j + 1) + 2.0 * code(n, i, j + 1) + code(n, i + 1, j + 1)
        - code(n, i - 1, j - 1) - 2.0 * code(n, i, j - 1) - code(n, i + 1, j - 1);
    let gy = code(n, i + 1, j - 1) + 2.0 * code(n, i + 1, j) + code(n, i + 1, j + 1)
        - code(n, i - 1, j - 1) - 2.0 * code(n, i - 1, j) - code(n, i - 1, j + 1);
    labels[at] = select(0.0, 1.0, min(abs(gx), 255.0) + min(abs(gy), 255.0) >= 99.0);
}

@group(0) @binding(4) var<storage, read> labels_in: array<f32>; // (N, 1, h, w)

@compute @workgroup_size(256)
fn count(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    var sum = 0.0;
    for (var i = group.x * 256u + lane; i < p.len; i += p.parts * 256u) {
        sum += labels_in[i];
    }
    put_part(lane, group, sum);
}

@group(0) @binding(7) var<storage, read_write> share_out: array<f32>; // (1)

@compute @workgroup_size(256)
fn share(@builtin(local_invocation_index) lane: u32) {
    let sum = sum_of_parts(lane);
    if lane == 0u {
        share_out[0] = sum / f32(p.len);
    }
}

@group(0) @binding(8) var<storage, read> logits: array<f32>; // (N, 1, h, w)
@group(0) @binding(9) var<storage, read> q: array<f32>; // (1)

fn balance(label: f32) -> f32 {
    return select(q[0], 1.0 - q[0], label > 0.0);
}

// log(1 + exp(v)), by an exponential that cannot overflow. log loses the digits of what is small beside 1: there the first terms
// of the series are exact to f32.
fn softplus(v: f32) -> f32 {
    let e = exp(-min(abs(v), 80.0));
    let near = e * (1.0 - e * (0.5 - e * (0.33333334 - e * (0.25 - e * 0.2))));
    return max(v, 0.0) + select(log(1.0 + e), near, e < 0.04);
}

@compute @workgroup_size(256)
fn partial(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    var sum = 0.0;
    for (var i = group.x * 256u + lane; i < p.len; i += p.parts * 256u) {
        sum += balance(labels_in[i]) * (softplus(logits[i]) - labels_in[i] * logits[i]);
    }
    put_part(lane, group, sum);
}

@group(0) @binding(10) var<storage, read_write> loss: array<f32>; // (1)

@compute @workgroup_size(256)
fn total(@builtin(local_invocation_index) lane: u32) {
    let sum = sum_of_parts(lane);
    if lane == 0u {
        loss[0] = p.weight * (sum / f32(p.len));
    }
}

@group(0) @binding(11) var<storage, read_write> d: array<f32>; // (N, 1, h, w)

// softplus' = sigmoid, so d e = weight u (sigmoid(e) - l) / M; q is of the labels alone. One invocation: one pixel.
@compute @workgroup_size(256)
fn backward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let sigmoid = 1.0 / (1.0 + exp(-max(logits[i], -80.0)));
    d[i] = p.weight / f32(p.len) * balance(labels_in[i]) * (sigmoid - labels_in[i]);
}
