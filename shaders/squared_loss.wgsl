// Squared error: loss = factor sum (y - target)^2, factor = k / (N H W). Sums as in sums.wgsl.

struct Params {
    len: u32,
    factor: f32,
    parts: u32, // workgroups of `partial`
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> y: array<f32>; // (len)
@group(0) @binding(3) var<storage, read> goal: array<f32>; // (len)

@compute @workgroup_size(256)
fn partial(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    var sum = 0.0;
    for (var i = group.x * 256u + lane; i < p.len; i += p.parts * 256u) {
        let e = y[i] - goal[i];
        sum += e * e;
    }
    put_part(lane, group, sum);
}

@group(0) @binding(6) var<storage, read_write> loss: array<f32>; // (1)

@compute @workgroup_size(256)
fn total(@builtin(local_invocation_index) lane: u32) {
    let sum = sum_of_parts(lane);
    if lane == 0u {
        loss[0] = p.factor * sum;
    }
}

@group(0) @binding(7) var<storage, read_write> dy: array<f32>; // (len)

// d(e^2) = 2 e: dy = 2 factor (y - target). One invocation: one element.
@compute @workgroup_size(256)
fn backward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    dy[i] = 2.0 * p.factor * (y[i] - goal[i]);
}
