// Affine coupling with a scale e and a shift t: forward y = x e + t; inverse y = (x - t) e, with the e of the inverse.
// One invocation: one element.

struct Params {
    len: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> e: array<f32>;
@group(0) @binding(4) var<storage, read> t: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    y[i] = x[i] * e[i] + t[i];
}

@compute @workgroup_size(256)
fn inverse(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    y[i] = (x[i] - t[i]) * e[i];
}

@group(0) @binding(6) var<storage, read> dy: array<f32>;
@group(0) @binding(7) var<storage, read_write> dx: array<f32>;
@group(0) @binding(8) var<storage, read_write> de: array<f32>;
@group(0) @binding(9) var<storage, read_write> dt: array<f32>;

// y = x e + t, element by element:
//   dx = dy * dy/dx = dy e
//   de = dy * dy/de = dy x
//   dt = dy, which needs no kernel.
@compute @workgroup_size(256)
fn backward_forward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    dx[i] = dy[i] * e[i];
    de[i] = dy[i] * x[i];
}

// y = (x - t) e, element by element:
//   dx = dy e
//   de = dy (x - t)
//   dt = -dy e = -dx
@compute @workgroup_size(256)
fn backward_inverse(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let g = dy[i] * e[i];
    dx[i] = g;
    de[i] = dy[i] * (x[i] - t[i]);
    dt[i] = -g;
}
