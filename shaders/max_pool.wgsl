// 2x2 max pooling: y[c, i, j] = the largest of x[c, 2i..2i+2, 2j..2j+2]. A last odd row or column of x is in no cell.

struct Params {
    h: u32, // rows of x
    w: u32, // columns of x
    planes: u32, // N C
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (planes, h, w)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (planes, floor(h / 2), floor(w / 2))

// Where a cell's first element is in x.
fn corner(plane: u32, row: u32, column: u32) -> u32 {
    return (plane * p.h + 2u * row) * p.w + 2u * column;
}

// One invocation: one cell of one channel.
@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    let yh = p.h / 2u;
    let yw = p.w / 2u;
    let plane = i / (yh * yw);
    if plane >= p.planes {
        return;
    }
    let at = corner(plane, i / yw % yh, i % yw);
    y[i] = max(max(x[at], x[at + 1u]), max(x[at + p.w], x[at + p.w + 1u]));
}

@group(0) @binding(4) var<storage, read> dy: array<f32>; // (planes, floor(h / 2), floor(w / 2))
@group(0) @binding(5) var<storage, read_write> dx: array<f32>; // (planes, h, w)

// dx = dy at the first of a cell's largest elements in row-major order, 0 at the others. One invocation: one element of dx.
@compute @workgroup_size(256)
fn backward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    let plane = i / (p.h * p.w);
    if plane >= p.planes {
        return;
    }
    let row = i / p.w % p.h / 2u;
    let column = i % p.w / 2u;
    if row >= p.h / 2u || column >= p.w / 2u {
        dx[i] = 0.0; // in no cell
        return;
    }
    let at = corner(plane, row, column);
    var winner = at;
    for (var k = 1u; k < 4u; k++) {
        let other = at + k / 2u * p.w + k % 2u;
        winner = select(winner, other, x[other] > x[winner]);
    }
    dx[i] = select(0.0, dy[(plane * (p.h / 2u) + row) * (p.w / 2u) + column], i == winner);
}
