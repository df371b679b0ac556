// Concatenation and split along the channels: y[:, :Ca] = a, y[:, Ca:] = b, and back.
// Each is the other's gradient. One invocation: one element of the whole.

struct Params {
    ca: u32,
    cb: u32,
    plane: u32, // h w
    len: u32, // N (Ca + Cb) h w
}

@group(0) @binding(1) var<uniform> p: Params;

@group(0) @binding(2) var<storage, read> a_in: array<f32>; // (N, Ca, h, w)
@group(0) @binding(3) var<storage, read> b_in: array<f32>; // (N, Cb, h, w)
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // (N, Ca + Cb, h, w)

@compute @workgroup_size(256)
fn concat(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let in_a = p.ca * p.plane;
    let in_b = p.cb * p.plane;
    let image = i / (in_a + in_b);
    let e = i % (in_a + in_b);
    if e < in_a {
        y[i] = a_in[image * in_a + e];
    } else {
        y[i] = b_in[image * in_b + e - in_a];
    }
}

@group(0) @binding(5) var<storage, read> x: array<f32>; // (N, Ca + Cb, h, w)
@group(0) @binding(6) var<storage, read_write> a: array<f32>; // (N, Ca, h, w)
@group(0) @binding(7) var<storage, read_write> b: array<f32>; // (N, Cb, h, w)

@compute @workgroup_size(256)
fn split(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let in_a = p.ca * p.plane;
    let in_b = p.cb * p.plane;
    let image = i / (in_a + in_b);
    let e = i % (in_a + in_b);
    if e < in_a {
        a[image * in_a + e] = x[i];
    } else {
        b[image * in_b + e - in_a] = x[i];
    }
}
