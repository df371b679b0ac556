// Differences of a picture's grey, 0.2989 r + 0.5870 g + 0.1140 b: horizontal and vertical, central ones over 2, one-sided at the
// border. One invocation: one pixel.

struct Params {
    n: u32,
    h: u32,
    w: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (n, 3, h, w)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (n, 2, h, w)

const SHARES = vec3f(0.2989, 0.5870, 0.1140);

fn grey(image: u32, i: u32, j: u32) -> f32 {
    let plane = p.h * p.w;
    let at = 3u * image * plane + i * p.w + j;
    return dot(SHARES, vec3f(x[at], x[at + plane], x[at + 2u * plane]));
}

// The two values whose difference is the one at `i` of `count`.
fn ends(i: u32, count: u32) -> vec2u {
    return vec2u(max(i, 1u) - 1u, min(i + 1u, count - 1u));
}

@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let at = linear_index(gid, groups, 256u);
    let plane = p.h * p.w;
    let n = at / plane;
    if n >= p.n {
        return;
    }
    let i = at / p.w % p.h;
    let j = at % p.w;
    let along = ends(j, p.w);
    let down = ends(i, p.h);
    let place = 2u * n * plane + at % plane;
    y[place] = (grey(n, i, along.y) - grey(n, i, along.x)) / f32(along.y - along.x);
    y[place + plane] = (grey(n, down.y, j) - grey(n, down.x, j)) / f32(down.y - down.x);
}

@group(0) @binding(4) var<storage, read> dy: array<f32>; // (n, 2, h, w)
@group(0) @binding(5) var<storage, read_write> dx: array<f32>; // (n, 3, h, w)

// What value i of `count` has in the difference at j, a neighbour or itself.
fn share(i: u32, j: u32, count: u32) -> f32 {
    if j >= count { // before the first, wrapped around, or behind the last
        return 0.0;
    }
    let e = ends(j, count);
    return select(0.0, 1.0, i == e.y) / f32(e.y - e.x) - select(0.0, 1.0, i == e.x) / f32(e.y - e.x);
}

// Each value is in the differences at its neighbours, and at the border in its own:
//   dgrey[j] = sum over k in {j - 1, j, j + 1} of share(j, k) dy[k],  in each direction;  dx[c] = share of c times dgrey.
@compute @workgroup_size(256)
fn backward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let at = linear_index(gid, groups, 256u);
    let plane = p.h * p.w;
    let n = at / plane;
    if n >= p.n {
        return;
    }
    let i = at / p.w % p.h;
    let j = at % p.w;
    var sum = 0.0;
    for (var k = 0u; k < 3u; k++) {
        let column = j + k - 1u;
        if column < p.w {
            sum += share(j, column, p.w) * dy[2u * n * plane + i * p.w + column];
        }
        let row = i + k - 1u;
        if row < p.h {
            sum += share(i, row, p.h) * dy[(2u * n + 1u) * plane + row * p.w + j];
        }
    }
    for (var c = 0u; c < 3u; c++) {
        dx[(3u * n + c) * plane + at % plane] = SHARES[c] * sum;
    }
}
