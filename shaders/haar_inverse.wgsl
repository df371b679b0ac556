// Inverse Haar transform: from the bands L, H1, H2, H3 of a cell,
//   a = s (L+H1+H2+H3),  b = s (L-H1+H2-H3),  c = s (L+H1-H2-H3),  d = s (L-H1-H2+H3),
// put back as the 2x2 cell [[a, b], [c, d]]. One invocation: one cell of one channel.
//
// Inverse, s = 1. As the gradient of the forward transform, s = 1/4: forward is y = M x / 4 with the symmetric matrix M
// of signs above, so dx = M^T dy / 4 = M dy / 4.

struct Params {
    c: u32, // channels of x
    h: u32, // rows of y
    w: u32, // columns of y
    cells: u32, // N C h w
    scale: f32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> y: array<f32>; // (N, 4C, h, w)
@group(0) @binding(3) var<storage, read_write> x: array<f32>; // (N, C, 2h, 2w)

@compute @workgroup_size(256)
fn haar_inverse(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.cells {
        return;
    }
    let plane = p.h * p.w;
    let q = i % plane;
    let image = i / plane / p.c;
    let channel = i / plane % p.c;
    let band = p.c * plane;
    let o = image * 4u * band + channel * plane + q;
    let l = y[o];
    let h1 = y[o + band];
    let h2 = y[o + 2u * band];
    let h3 = y[o + 3u * band];
    let top = i / plane * 4u * plane + q / p.w * 4u * p.w + q % p.w * 2u;
    let bottom = top + 2u * p.w;
    x[top] = p.scale * ((l + h1) + (h2 + h3));
    x[top + 1u] = p.scale * ((l - h1) + (h2 - h3));
    x[bottom] = p.scale * ((l + h1) - (h2 + h3));
    x[bottom + 1u] = p.scale * ((l - h1) - (h2 - h3));
}
