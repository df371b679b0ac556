// The joint bilateral filter: y(p) = sum_q w f(q) / sum_q w over a square window, clipped to the picture, with
// w = t(dy) t(dx) exp(range |g(p) - g(q)|^2), t the taps of a Gaussian, range = -1 / 2 sigma_r^2.
// One invocation: four pixels side by side, so that each value is loaded once for all four.

struct Params {
    h: u32,
    w: u32,
    r: u32,
    len: u32, // fours of pixels of all images
    range: f32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> f: array<f32>; // (n, 3, h, w)
@group(0) @binding(3) var<storage, read> guide: array<f32>; // (n, 3, h, w)
@group(0) @binding(4) var<storage, read> taps: array<f32>; // (2r+1)
@group(0) @binding(5) var<storage, read_write> y: array<f32>; // (n, 3, h, w)

// Tap k; none beyond the ends.
fn tap(k: i32) -> f32 {
    if k < 0 || k > 2 * i32(p.r) {
        return 0.0;
    }
    return taps[k];
}

fn guide3(i: u32) -> vec3f {
    let plane = p.h * p.w;
    return vec3f(guide[i], guide[i + plane], guide[i + 2u * plane]);
}

@compute @workgroup_size(64)
fn joint_bilateral(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 64u);
    if i >= p.len {
        return;
    }
    let plane = p.h * p.w;
    let fours = (p.w + 3u) / 4u;
    let line = quotient(i, fours); // of all pictures
    let number = quotient(line, p.h);
    let image = number * 3u * plane;
    let row = line - number * p.h;
    let column = (i - line * fours) * 4u;
    let count = min(4u, p.w - column);
    let here = image + row * p.w + column;
    // Each colour of the four pixels; beyond the border the last's.
    let g = transpose(mat4x3f(
        guide3(here), guide3(here + min(1u, count - 1u)), guide3(here + min(2u, count - 1u)), guide3(here + count - 1u),
    ));
    var red = vec4f();
    var green = vec4f();
    var blue = vec4f();
    var norm = vec4f();
    let begin = column - min(column, p.r);
    let first = i32(begin + p.r - column); // tap of the first pixel
    for (var a = row - min(row, p.r); a < min(row + p.r + 1u, p.h); a++) {
        let down = taps[a + p.r - row];
        var share = vec4f(tap(first - 1), tap(first - 2), tap(first - 3), 0.0);
        for (var b = begin; b < min(column + p.r + 4u, p.w); b++) {
            share = vec4f(tap(i32(b + p.r - column)), share.xyz);
            let q = image + a * p.w + b;
            let there = guide3(q);
            let d0 = g[0] - there.x;
            let d1 = g[1] - there.y;
            let d2 = g[2] - there.z;
            let weight = down * share * exp(p.range * (d0 * d0 + d1 * d1 + d2 * d2));
            red += weight * f[q];
            green += weight * f[q + plane];
            blue += weight * f[q + 2u * plane];
            norm += weight;
        }
    }
    for (var k = 0u; k < count; k++) {
        y[here + k] = red[k] / norm[k];
        y[here + k + plane] = green[k] / norm[k];
        y[here + k + 2u * plane] = blue[k] / norm[k];
    }
}
