// L1 loss: loss = sum |y - target| / len.

struct Params {
    len: u32,
    parts: u32, // workgroups of `partial`
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> y: array<f32>; // (len)
@group(0) @binding(3) var<storage, read> goal: array<f32>; // (len)

@compute @workgroup_size(256)
fn partial(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    var sum = 0.0;
    for (var i = group.x * 256u + lane; i < p.len; i += p.parts * 256u) {
        sum += abs(y[i] - goal[i]);
    }
    put_part(lane, group, sum);
}

@group(0) @binding(6) var<storage, read_write> loss: array<f32>; // (1)

@compute @workgroup_size(256)
fn total(@builtin(local_invocation_index) lane: u32) {
    let sum = sum_of_parts(lane);
    if lane == 0u {
        loss[0] = sum / f32(p.len);
    }
}

@group(0) @binding(7) var<storage, read_write> dy: array<f32>; // (len)

// loss = sum_i |d_i| / len with d = y - target, and |d|' = sign(d) (0 at 0), so
//   dy_i = sign(y_i - target_i) / len;
// the loss is where the backward pass starts, its own gradient is 1.
// One invocation: one element.
@compute @workgroup_size(256)
fn backward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    dy[i] = sign(y[i] - goal[i]) / f32(p.len);
}
