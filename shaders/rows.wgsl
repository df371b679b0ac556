// Copies rows of one slab into a map: y[n, c, to + i, j] = x[n, c, first + i, j]. One invocation: one element.

struct Params {
    w: u32,
    xh: u32, // rows of x
    yh: u32, // rows of y
    first: u32, // first row of x that is wanted
    to: u32, // row of y where it goes
    rows: u32, // how many
    len: u32, // N C rows w
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (N, C, xh, w)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (N, C, yh, w)

@compute @workgroup_size(256)
fn rows(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let band = p.rows * p.w; // of a channel
    let channel = i / band; // of all images
    y[channel * p.yh * p.w + p.to * p.w + i % band] = x[channel * p.xh * p.w + p.first * p.w + i % band];
}
