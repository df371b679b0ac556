// The moving average of the weights: a += rest (w - a), in place.
// One invocation: one weight.

struct Params {
    len: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> w: array<f32>; // (len)
@group(0) @binding(3) var<storage, read_write> a: array<f32>; // (len)

@compute @workgroup_size(256)
fn average(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i < p.len {
        a[i] += run.average * (w[i] - a[i]);
    }
}
