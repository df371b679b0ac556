// Batch normalisation in training, of each channel over the N plane values of the batch:
//   y = gamma xh + beta,  xh = (x - mean) i,  i = 1 / sqrt(var + eps),  and ReLU behind it or not.
//
// The sums over a channel are split: a workgroup leaves the sum of a strided share (`sums`, `squares`, `backward_sums`), and
// one invocation a channel adds the shares in their order.

struct Params {
    n: u32,
    c: u32,
    plane: u32, // pixels of an image
    parts: u32, // workgroups that share a channel
    relu: u32, // 1: a ReLU follows
    eps: f32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (N, c, plane)
@group(0) @binding(3) var<storage, read> gamma: array<f32>; // (c)
@group(0) @binding(4) var<storage, read> beta: array<f32>; // (c)
@group(0) @binding(5) var<storage, read_write> y: array<f32>; // (N, c, plane)
@group(0) @binding(6) var<storage, read_write> stats: array<f32>; // (3, c): mean, i, var
@group(0) @binding(7) var<storage, read> stats_in: array<f32>;
@group(0) @binding(8) var<storage, read_write> sums: array<f32>; // (c, parts), twice for the gradients
@group(0) @binding(9) var<storage, read> sums_in: array<f32>;

// Place of value k of n plane of a channel.
fn place(channel: u32, k: u32) -> u32 {
    return (k / p.plane * p.c + channel) * p.plane + k % p.plane;
}

// Grid: (parts, c) workgroups.
@compute @workgroup_size(256)
fn sums_of(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    var sum = 0.0;
    for (var k = group.x * 256u + lane; k < p.n * p.plane; k += p.parts * 256u) {
        sum += x[place(group.y, k)];
    }
    sum = tree_sum(lane, sum);
    if lane == 0u {
        sums[group.y * p.parts + group.x] = sum;
    }
}

// Adds a channel's parts; `second`: of the second half of the sums.
fn total(channel: u32, second: u32) -> f32 {
    var sum = 0.0;
    for (var part = 0u; part < p.parts; part++) {
        sum += sums_in[(second * p.c + channel) * p.parts + part];
    }
    return sum;
}

@compute @workgroup_size(256)
fn mean(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let channel = linear_index(gid, groups, 256u);
    if channel >= p.c {
        return;
    }
    stats[channel] = total(channel, 0u) / f32(p.n * p.plane);
}

// Grid: (parts, c) workgroups.
@compute @workgroup_size(256)
fn squares(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let mean = stats_in[group.y];
    var sum = 0.0;
    for (var k = group.x * 256u + lane; k < p.n * p.plane; k += p.parts * 256u) {
        let d = x[place(group.y, k)] - mean;
        sum += d * d;
    }
    sum = tree_sum(lane, sum);
    if lane == 0u {
        sums[group.y * p.parts + group.x] = sum;
    }
}

@compute @workgroup_size(256)
fn variance(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let channel = linear_index(gid, groups, 256u);
    if channel >= p.c {
        return;
    }
    let variance = total(channel, 0u) / f32(p.n * p.plane);
    stats[p.c + channel] = 1.0 / sqrt(variance + p.eps);
    stats[2u * p.c + channel] = variance;
}

// One invocation: one element.
@compute @workgroup_size(256)
fn normalise(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.n * p.c * p.plane {
        return;
    }
    let c = i / p.plane % p.c;
    let v = gamma[c] * ((x[i] - stats_in[c]) * stats_in[p.c + c]) + beta[c];
    y[i] = select(v, 0.0, p.relu == 1u && v < 0.0);
}

@group(0) @binding(10) var<storage, read> y_in: array<f32>; // (N, c, plane)
@group(0) @binding(11) var<storage, read> dy: array<f32>; // (N, c, plane)

// dy behind the ReLU, which the output tells.
fn masked(i: u32) -> f32 {
    return select(dy[i], 0.0, p.relu == 1u && y_in[i] <= 0.0);
}

fn xh(i: u32, channel: u32) -> f32 {
    return (x[i] - stats_in[channel]) * stats_in[p.c + channel];
}

// dbeta = sum dy, dgamma = sum dy xh. Grid: (parts, c) workgroups.
@compute @workgroup_size(256)
fn backward_sums(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    var dbeta = 0.0;
    var dgamma = 0.0;
    for (var k = group.x * 256u + lane; k < p.n * p.plane; k += p.parts * 256u) {
        let i = place(group.y, k);
        let d = masked(i);
        dbeta += d;
        dgamma += d * xh(i, group.y);
    }
    dbeta = tree_sum(lane, dbeta);
    dgamma = tree_sum(lane, dgamma);
    if lane == 0u {
        sums[group.y * p.parts + group.x] = dbeta;
        sums[(p.c + group.y) * p.parts + group.x] = dgamma;
    }
}

@group(0) @binding(12) var<storage, read_write> dgamma: array<f32>; // (c)
@group(0) @binding(13) var<storage, read_write> dbeta: array<f32>; // (c)

@compute @workgroup_size(256)
fn backward_weight(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let channel = linear_index(gid, groups, 256u);
    if channel >= p.c {
        return;
    }
    dbeta[channel] = total(channel, 0u);
    dgamma[channel] = total(channel, 1u);
}

@group(0) @binding(14) var<storage, read> dgamma_in: array<f32>; // (c)
@group(0) @binding(15) var<storage, read> dbeta_in: array<f32>; // (c)
@group(0) @binding(16) var<storage, read_write> dx: array<f32>; // (N, c, plane)

// y = gamma xh + beta, and xh has mean 0 and (but for eps) variance 1 whatever x is: of dy, what lies along 1 and along xh does
// not reach x.
//   dx = gamma i (dy - dbeta / n - xh dgamma / n)
// (eps included: d var / dx = 2 (x - mean) / n, d i / d var = -i^3 / 2, and (x - mean) i = xh.)
// One invocation: one element.
@compute @workgroup_size(256)
fn backward_input(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.n * p.c * p.plane {
        return;
    }
    let c = i / p.plane % p.c;
    let count = f32(p.n * p.plane);
    let rest = masked(i) - dbeta_in[c] / count - xh(i, c) * (dgamma_in[c] / count);
    dx[i] = gamma[c] * stats_in[p.c + c] * rest;
}
