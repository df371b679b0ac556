// 2x2 max pooling: y[c, i, j] = the largest of x[c, 2i..2i+2, 2j..2j+2]. One invocation: one cell of one channel.

struct Params {
    h: u32, // rows of y
    w: u32, // columns of y
    cells: u32, // N C h w
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (N, C, 2h, 2w)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (N, C, h, w)

// Where a cell's first element is in x.
fn corner(i: u32) -> u32 {
    return 4u * (i / p.w) * p.w + 2u * (i % p.w);
}

@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.cells {
        return;
    }
    let at = corner(i);
    y[i] = max(max(x[at], x[at + 1u]), max(x[at + 2u * p.w], x[at + 2u * p.w + 1u]));
}

@group(0) @binding(4) var<storage, read> dy: array<f32>; // (N, C, h, w)
@group(0) @binding(5) var<storage, read_write> dx: array<f32>; // (N, C, 2h, 2w)

// dx = dy at the first of a cell's largest elements in row-major order, 0 at the others.
@compute @workgroup_size(256)
fn backward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.cells {
        return;
    }
    let at = corner(i);
    var winner = at;
    for (var k = 1u; k < 4u; k++) {
        let other = at + k / 2u * 2u * p.w + k % 2u;
        winner = select(winner, other, x[other] > x[winner]);
    }
    for (var k = 0u; k < 4u; k++) {
        let place = at + k / 2u * 2u * p.w + k % 2u;
        dx[place] = select(0.0, dy[i], place == winner);
    }
}
