// The joint bilateral filter: y(p) = sum_q w f(q) / sum_q w over a square window, clipped to the picture, with
// w = t(dy) t(dx) exp(range |g(p) - g(q)|^2), t the taps of a Gaussian, range = -1 / 2 sigma_r^2.
// One invocation: one pixel.

struct Params {
    h: u32,
    w: u32,
    r: u32,
    len: u32, // pixels of all images
    range: f32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> f: array<f32>; // (n, 3, h, w)
@group(0) @binding(3) var<storage, read> guide: array<f32>; // (n, 3, h, w)
@group(0) @binding(4) var<storage, read> taps: array<f32>; // (2r+1)
@group(0) @binding(5) var<storage, read_write> y: array<f32>; // (n, 3, h, w)

@compute @workgroup_size(256)
fn joint_bilateral(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let plane = p.h * p.w;
    let line = quotient(i, p.w); // of all pictures
    let number = quotient(line, p.h);
    let image = number * 3u * plane;
    let row = line - number * p.h;
    let column = i - line * p.w;
    let here = i + number * 2u * plane;
    let g = vec3f(guide[here], guide[here + plane], guide[here + 2u * plane]);
    var sum = vec3f();
    var norm = 0.0;
    for (var a = row - min(row, p.r); a < min(row + p.r + 1u, p.h); a++) {
        let down = taps[a + p.r - row];
        for (var b = column - min(column, p.r); b < min(column + p.r + 1u, p.w); b++) {
            let q = image + a * p.w + b;
            let d = g - vec3f(guide[q], guide[q + plane], guide[q + 2u * plane]);
            let weight = down * taps[b + p.r - column] * exp(p.range * dot(d, d));
            sum += weight * vec3f(f[q], f[q + plane], f[q + 2u * plane]);
            norm += weight;
        }
    }
    let v = sum / norm;
    y[here] = v.x;
    y[here + plane] = v.y;
    y[here + 2u * plane] = v.z;
}
