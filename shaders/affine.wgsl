// y = k x + c. One invocation: one element. Its gradient, dx = k dy, is a `scale`.

struct Params {
    len: u32,
    k: f32,
    c: f32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn affine(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    y[i] = p.k * x[i] + p.c;
}
