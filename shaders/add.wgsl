// Weighted sum y = a + beta b, and multiple y = k x. One invocation: one element.
//
// Gradients: of the sum, da = dy needs no kernel and db = beta dy is a `scale`; of the multiple, dx = k dy is one too.

struct Params {
    len: u32,
    k: f32, // beta or k
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn add(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    y[i] = a[i] + p.k * b[i];
}

@group(0) @binding(5) var<storage, read> x: array<f32>;

@compute @workgroup_size(256)
fn scale(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    y[i] = p.k * x[i];
}
