// A screened Poisson equation where opposite borders meet: y = u + k P(b), P(b) = (1 + a (Dx'Dx + Dy'Dy))^-1 b, by Fourier
// transforms. Two channels are one complex plane z, b[first] + i b[first + plane].
// One invocation: one value.

struct Params {
    h: u32,
    w: u32,
    plane: u32, // h w
    first: u32, // first element of the two channels
    pair: u32, // 1: there are two; 0: the second is 0
    add: u32, // 1: y = u + k P(b); 0: k P(b)
    // A pass of radix p over lines:
    n: u32, // length that is left
    s: u32, // that is done
    radix: u32,
    root: u32, // length of a line, and of its table
    down: u32, // 1: lines are columns; 0: rows
    inverse: u32,
    a: f32,
    scale: f32, // k / h w
    mean: f32, // the same, or 0, for the mean of b
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> b: array<f32>; // (n, c, h, w)
@group(0) @binding(3) var<storage, read_write> z: array<vec2f>; // (h, w)
@group(0) @binding(4) var<storage, read> z_in: array<vec2f>; // (h, w)
@group(0) @binding(5) var<storage, read> roots: array<f32>; // (3, root): cos, sin of 2 pi t / root, 4 sin^2(pi t / root)
@group(0) @binding(6) var<storage, read> roots_down: array<f32>; // the same of h
@group(0) @binding(7) var<storage, read> u: array<f32>; // (n, c, h, w)
@group(0) @binding(8) var<storage, read_write> y: array<f32>; // (n, c, h, w)

@compute @workgroup_size(256)
fn pack(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.plane {
        return;
    }
    var second = 0.0;
    if p.pair == 1u {
        second = b[p.first + p.plane + i];
    }
    z[i] = vec2f(b[p.first + i], second);
}

// w^t of a line's length, conjugate on the way there.
fn root(t: u32) -> vec2f {
    let sine = roots[p.root + t];
    return vec2f(roots[t], select(-sine, sine, p.inverse == 1u));
}

fn times(a: vec2f, b: vec2f) -> vec2f {
    return vec2f(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}

// Stockham's pass of radix p, m = n / p:
// y[q + s (p j + k)] = w_n^(j k) sum over r < p of x[q + s (j + m r)] w_p^(r k)
@compute @workgroup_size(256)
fn transform(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.plane {
        return;
    }
    // Neighbours have neighbouring elements of rows, or neighbouring columns.
    let e = select(i % p.w, i / p.w, p.down == 1u);
    let line = select(i / p.w * p.w, i % p.w, p.down == 1u);
    let step = select(1u, p.w, p.down == 1u);
    let q = e % p.s;
    let k = e / p.s % p.radix;
    let j = e / (p.s * p.radix);
    let m = p.n / p.radix;
    var sum = vec2f();
    var t = 0u; // r k mod p
    for (var r = 0u; r < p.radix; r++) {
        sum += times(z_in[line + (q + p.s * (j + m * r)) * step], root(t * (p.root / p.radix)));
        t += k;
        t -= select(0u, p.radix, t >= p.radix);
    }
    z[i] = times(sum, root(j * k * (p.root / p.n)));
}

@compute @workgroup_size(256)
fn divide(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.plane {
        return;
    }
    let squares = roots[2u * p.w + i % p.w] + roots_down[2u * p.h + i / p.w];
    z[i] = z_in[i] * select(p.scale / (1.0 + p.a * squares), p.mean, i == 0u);
}

@compute @workgroup_size(256)
fn unpack(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.plane {
        return;
    }
    let at = p.first + i;
    y[at] = select(0.0, u[at], p.add == 1u) + z_in[i].x;
    if p.pair == 1u {
        y[at + p.plane] = select(0.0, u[at + p.plane], p.add == 1u) + z_in[i].y;
    }
}
