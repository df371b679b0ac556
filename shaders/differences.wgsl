// Differences of each row to the next, around the border: y(i) = x(i + 1) - x(i), and the adjoint, y(i) = x(i - 1) - x(i). `open`: the
// difference across the border, y's last row, or the adjoint's x's, counts as 0. One invocation: one element.

struct Params {
    h: u32,
    w: u32,
    len: u32, // N C h w
    open: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (N, C, h, w)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (N, C, h, w)

@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let row = i / p.w % p.h;
    let is_last = row + 1u == p.h;
    let next = select(i + p.w, i - row * p.w, is_last);
    y[i] = select(x[next] - x[i], 0.0, is_last && p.open == 1u);
}

// The difference of row i at `at`, which is its place.
fn value(at: u32, row: u32) -> f32 {
    return select(x[at], 0.0, p.open == 1u && row + 1u == p.h);
}

// x(i) is in y(i) with -1 and in y(i - 1) with +1: the gradient of `forward`, and its own is `forward`.
@compute @workgroup_size(256)
fn adjoint(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let row = i / p.w % p.h;
    let before = select(row - 1u, p.h - 1u, row == 0u);
    y[i] = value(i - row * p.w + before * p.w, before) - value(i, row);
}
