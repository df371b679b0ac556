// One step of Muon, in place, on matrices among the flat weights, with g = factor * grad from the clipping:
//   m = beta m + (1 - beta) g
//   X = u / |u|, u = beta m + (1 - beta) g
//   X = a X + (b S + c S S) X, S = X X^T, so many times
//   w = w - lr scale sqrt(columns) X.
// One workgroup: one matrix. Grid: (matrices) workgroups.

struct Params {
    len: u32, // of all weights
    times: u32,
    beta: f32,
    rest: f32, // 1 - beta
    scale: f32,
    a: f32,
    b: f32,
    c: f32,
    eps: f32, // keeps the quotient finite where a gradient is 0
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> grad: array<f32>; // (len)
@group(0) @binding(3) var<storage, read> clip: array<f32>; // (2): norm, factor
@group(0) @binding(4) var<storage, read> table: array<f32>; // (matrices, 3): first element, rows, columns
@group(0) @binding(5) var<storage, read_write> w: array<f32>; // (len)
@group(0) @binding(6) var<storage, read_write> m: array<f32>; // (len)
// (3, len), each with a matrix where the weights have it: X, the next X, and S before b S + c S S.
@group(0) @binding(7) var<storage, read_write> work: array<f32>;

const TILE = 4u; // rows and columns of a product that an invocation has at once

// The elements at `first` + `step` (at, at + 1, at + 2, at + 3), those past `last` that one again.
fn four(first: u32, step: u32, at: u32, last: u32) -> vec4f {
    return vec4f(
        work[first + step * at],
        work[first + step * min(at + 1u, last)],
        work[first + step * min(at + 2u, last)],
        work[first + step * min(at + 3u, last)],
    );
}

// to = alpha addend + beta left right, with the first elements of matrices of (rows, columns), twice, (rows, inner) and
// (inner, columns), size = (rows, columns, inner); the rows of `right` are strides.x apart, its columns strides.y.
fn product(lane: u32, to: u32, alpha: f32, addend: u32, beta: f32, left: u32, right: u32, strides: vec2u, size: vec3u) {
    let rows = size.x;
    let columns = size.y;
    let across = (columns + TILE - 1u) / TILE;
    let tiles = (rows + TILE - 1u) / TILE * across;
    for (var t = lane; t < tiles; t += 256u) {
        let i = t / across * TILE;
        let j = t % across * TILE;
        var sums = array<vec4f, 4>();
        for (var k = 0u; k < size.z; k++) {
            let l = four(left + k, size.z, i, rows - 1u);
            let r = four(right + k * strides.x, strides.y, j, columns - 1u);
            sums[0] += l.x * r;
            sums[1] += l.y * r;
            sums[2] += l.z * r;
            sums[3] += l.w * r;
        }
        for (var y = 0u; y < TILE; y++) {
            for (var x = 0u; x < TILE; x++) {
                if i + y < rows && j + x < columns {
                    let at = (i + y) * columns + j + x;
                    work[to + at] = alpha * work[addend + at] + beta * sums[y][x];
                }
            }
        }
    }
    storageBarrier();
}

@compute @workgroup_size(256)
fn muon(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let first = u32(table[group.x * 3u]);
    let rows = u32(table[group.x * 3u + 1u]);
    let columns = u32(table[group.x * 3u + 2u]);
    let len = rows * columns;
    var squares = 0.0;
    for (var i = lane; i < len; i += 256u) {
        let g = grad[first + i] * clip[1];
        let moment = p.beta * m[first + i] + p.rest * g;
        m[first + i] = moment;
        let u = p.beta * moment + p.rest * g;
        work[first + i] = u;
        squares += u * u;
    }
    let inverse = 1.0 / (sqrt(tree_sum(lane, squares)) + p.eps);
    for (var i = lane; i < len; i += 256u) {
        work[first + i] *= inverse;
    }
    storageBarrier();
    var x = first;
    var next = p.len + first;
    let s = 2u * p.len + first;
    let polynomial = s + rows * rows;
    for (var time = 0u; time < p.times; time++) {
        product(lane, s, 0.0, x, 1.0, x, x, vec2u(1u, columns), vec3u(rows, rows, columns));
        product(lane, polynomial, p.b, s, p.c, s, s, vec2u(rows, 1u), vec3u(rows, rows, rows));
        product(lane, next, p.a, x, 1.0, polynomial, x, vec2u(columns, 1u), vec3u(rows, columns, rows));
        let previous = x;
        x = next;
        next = previous;
    }
    let step = run.learning_rate * p.scale * sqrt(f32(columns));
    for (var i = lane; i < len; i += 256u) {
        w[first + i] -= step * work[x + i];
    }
}
