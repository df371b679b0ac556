// A gate of each element: y = x sigmoid(h). One invocation: one element.

struct Params {
    len: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> h: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// exp(-v) that overflows would be infinite on some drivers and undefined on others.
fn sigmoid(v: f32) -> f32 {
    return 1.0 / (1.0 + exp(-max(v, -80.0)));
}

@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    y[i] = x[i] * sigmoid(h[i]);
}

@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;
@group(0) @binding(7) var<storage, read_write> dh: array<f32>;

// With s = sigmoid(h), ds/dh = s (1 - s):
//   dx = dy s
//   dh = dy x s (1 - s)
// 1 - s is sigmoid(-h), which keeps its digits where s nears 1.
@compute @workgroup_size(256)
fn backward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let s = sigmoid(h[i]);
    dx[i] = dy[i] * s;
    dh[i] = dy[i] * x[i] * s * sigmoid(-h[i]);
}
