// Haar transform: of each 2x2 cell [[a, b], [c, d]],
//   L = s (a+b+c+d),  H1 = s (a-b+c-d),  H2 = s (a+b-c-d),  H3 = s (a-b-c+d),
// channels band-major: all C of L, then H1, H2, H3. One invocation: one cell of one channel.
//
// Forward, s = 1/4. As the gradient of the inverse transform, s = 1: the inverse is x = M y with the symmetric matrix M
// of signs above, so dy = M^T dx = M dx.

struct Params {
    c: u32, // channels of x
    h: u32, // rows of y
    w: u32, // columns of y
    cells: u32, // N C h w
    scale: f32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (N, C, 2h, 2w)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (N, 4C, h, w)

@compute @workgroup_size(256)
fn haar(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.cells {
        return;
    }
    let plane = p.h * p.w;
    let q = i % plane;
    let image = i / plane / p.c;
    let channel = i / plane % p.c;
    let top = i / plane * 4u * plane + q / p.w * 4u * p.w + q % p.w * 2u;
    let bottom = top + 2u * p.w;
    let a = x[top];
    let b = x[top + 1u];
    let c = x[bottom];
    let d = x[bottom + 1u];
    let band = p.c * plane;
    let o = image * 4u * band + channel * plane + q;
    y[o] = p.scale * ((a + b) + (c + d));
    y[o + band] = p.scale * ((a - b) + (c - d));
    y[o + 2u * band] = p.scale * ((a + b) - (c + d));
    y[o + 3u * band] = p.scale * ((a - b) - (c - d));
}
