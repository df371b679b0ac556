// Bounded activations: y = tanh(x), y = 1 / (1 + exp(-x)). One invocation: one element.

struct Params {
    len: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

// A driver's tanh is good to 1e-5 of 1 only, and exponentials may overflow: (1 - e) / (1 + e) with e = exp(-2 |x|) is neither;
// where it would cancel, near 0, the first terms of tanh's series are exact to f32.
fn tanh_of(v: f32) -> f32 {
    let a = abs(v);
    let e = exp(-2.0 * min(a, 20.0));
    let s = v * v;
    let near = a * (1.0 + s * (-0.33333334 + s * (0.13333334 + s * (-0.053968254 + s * 0.021869488))));
    return sign(v) * select((1.0 - e) / (1.0 + e), near, a < 0.25);
}

@compute @workgroup_size(256)
fn forward_tanh(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    y[i] = tanh_of(x[i]);
}

@compute @workgroup_size(256)
fn forward_sigmoid(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    // exp(-x) that overflows would be infinite on some drivers and undefined on others.
    y[i] = 1.0 / (1.0 + exp(-max(x[i], -80.0)));
}

@group(0) @binding(4) var<storage, read> y_in: array<f32>;
@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;

// tanh' = 1 - tanh^2, written (1 - y)(1 + y), which loses fewer digits as y nears 1.
@compute @workgroup_size(256)
fn backward_tanh(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    dx[i] = dy[i] * (1.0 - y_in[i]) * (1.0 + y_in[i]);
}

// sigmoid' = sigmoid (1 - sigmoid).
@compute @workgroup_size(256)
fn backward_sigmoid(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    dx[i] = dy[i] * y_in[i] * (1.0 - y_in[i]);
}
