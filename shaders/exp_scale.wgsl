// y = exp(sign * tanh(x / 2)): the scale of a coupling (sign 1) or of its inverse (sign -1), always in [1/e, e].
// One invocation: one element.

struct Params {
    len: u32,
    sign: f32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

// tanh(9) rounds to 1 in f32, and some drivers compute tanh by exponentials that overflow.
fn squash(v: f32) -> f32 {
    return tanh(clamp(0.5 * v, -9.0, 9.0));
}

@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    y[i] = exp(p.sign * squash(x[i]));
}

@group(0) @binding(4) var<storage, read> y_in: array<f32>;
@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;

// With s = tanh(x/2): ds/dx = (1 - s^2)/2, and y = exp(sign s), so dy/ds = sign y. Hence
//   dx = dy * y * sign * (1 - s^2)/2.
// 1 - s^2 is written (1 - s)(1 + s), which loses fewer digits as s nears 1.
@compute @workgroup_size(256)
fn backward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let s = squash(x[i]);
    dx[i] = dy[i] * y_in[i] * p.sign * 0.5 * (1.0 - s) * (1.0 + s);
}
