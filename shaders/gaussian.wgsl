// Correlation with the taps of a Gaussian, along columns and then along rows. Beyond the borders lies black, or the
// border's pixels repeated, or nothing, where the taps inside are divided by their sum.
// One invocation: four outputs of a line, one after the other, so that each value is loaded once for all four.

struct Params {
    h: u32,
    w: u32,
    r: u32,
    border: u32, // 0: black, 1: repeated, 2: nothing
    len: u32, // fours
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (planes, h, w)
@group(0) @binding(3) var<storage, read> taps: array<f32>; // (2r+1)
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // like x

// Tap k; none beyond the ends.
fn tap(k: u32) -> f32 {
    if k > 2u * p.r {
        return 0.0;
    }
    return taps[k];
}

// Elements i to i + 3 of the line of n elements that begins at `at`, `step` apart.
fn blur(at: u32, step: u32, n: u32, i: u32) {
    var sum = vec4f();
    var mass = vec4f();
    var share = vec4f(); // of a value in the four
    for (var k = 0u; k <= 2u * p.r + 3u; k++) {
        share = vec4f(tap(k), share.xyz);
        let source = i32(i + k) - i32(p.r);
        let inside = source >= 0 && source < i32(n);
        if inside || p.border == 1u {
            sum += share * x[at + u32(clamp(source, 0, i32(n) - 1)) * step];
            mass += share;
        }
    }
    if p.border == 2u {
        sum /= mass;
    }
    for (var j = 0u; j < min(4u, n - i); j++) {
        y[at + (i + j) * step] = sum[j];
    }
}

@compute @workgroup_size(256)
fn columns(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let index = linear_index(gid, groups, 256u);
    if index >= p.len {
        return;
    }
    let line = quotient(index, p.w); // of fours of rows, of all planes
    let lines = (p.h + 3u) / 4u;
    let plane = quotient(line, lines);
    blur(plane * p.h * p.w + index - line * p.w, p.w, p.h, (line - plane * lines) * 4u);
}

@compute @workgroup_size(256)
fn rows(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let index = linear_index(gid, groups, 256u);
    if index >= p.len {
        return;
    }
    let fours = (p.w + 3u) / 4u;
    let line = quotient(index, fours);
    blur(line * p.w, 1u, p.w, (index - line * fours) * 4u);
}
