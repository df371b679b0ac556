// Correlation with the taps of a Gaussian, along columns and then along rows. Beyond the borders lies black, or the
// border's pixels repeated, or nothing, where the taps inside are divided by their sum.
// One invocation: one output.

struct Params {
    h: u32,
    w: u32,
    r: u32,
    border: u32, // 0: black, 1: repeated, 2: nothing
    len: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (planes, h, w)
@group(0) @binding(3) var<storage, read> taps: array<f32>; // (2r+1)
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // like x

// Element i of the line of n elements that begins at `at`, `step` apart.
fn blurred(at: u32, step: u32, n: u32, i: u32) -> f32 {
    var sum = 0.0;
    var mass = 0.0;
    for (var k = 0u; k <= 2u * p.r; k++) {
        let tap = taps[k];
        let source = i32(i + k) - i32(p.r);
        let inside = source >= 0 && source < i32(n);
        if inside || p.border == 1u {
            sum += tap * x[at + u32(clamp(source, 0, i32(n) - 1)) * step];
            mass += tap;
        }
    }
    return select(sum, sum / mass, p.border == 2u);
}

@compute @workgroup_size(256)
fn columns(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let line = quotient(i, p.w); // of all planes
    let plane = quotient(line, p.h);
    y[i] = blurred(plane * p.h * p.w + i - line * p.w, p.w, p.h, line - plane * p.h);
}

@compute @workgroup_size(256)
fn rows(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let start = quotient(i, p.w) * p.w;
    y[i] = blurred(start, 1u, p.w, i - start);
}
