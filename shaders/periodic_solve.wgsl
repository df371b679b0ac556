// A screened Poisson equation where opposite borders meet: y = u + k P(b), P(b) = (1 + a (Dx'Dx + Dy'Dy))^-1 b, by Fourier
// transforms. Two channels are one complex plane z, b[first] + i b[first + plane].
// One invocation: one value; of `radix2`, 3, 4, 5, 6 and 8 so many values.

struct Params {
    h: u32,
    w: u32,
    plane: u32, // h w
    first: u32, // first element of the two channels
    pair: u32, // 1: there are two; 0: the second is 0
    add: u32, // 1: y = u + k P(b); 0: k P(b)
    // A pass of radix p over lines:
    m: u32, // length that will be left
    s: u32, // that is done
    radix: u32,
    root: u32, // length of a line, and of its table
    turn: u32, // root / n: w_n in the table
    share: u32, // root / radix: w_p in the table
    down: u32, // 1: lines are columns; 0: rows
    inverse: u32,
    a: f32,
    scale: f32, // k / h w
    mean: f32, // the same, or 0, for the mean of b
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> b: array<f32>; // (n, c, h, w)
@group(0) @binding(3) var<storage, read_write> z: array<Pair>; // (h, w)
@group(0) @binding(4) var<storage, read> z_in: array<Pair>; // (h, w)
@group(0) @binding(5) var<storage, read> roots: array<f32>; // (3, root): cos, sin of 2 pi t / root, 4 sin^2(pi t / root)
@group(0) @binding(6) var<storage, read> roots_across: array<f32>; // the same of w
@group(0) @binding(7) var<storage, read> u: array<f32>; // (n, c, h, w)
@group(0) @binding(8) var<storage, read_write> y: array<f32>; // (n, c, h, w)

// What the first pass begins with, and the last of the passes there and of those back end with.
override FROM_B: bool = false; // z is made of b
override DIVIDES: bool = false; // by the divisor
override TO_Y: bool = false; // z makes y

fn value(i: u32) -> vec2f {
    if !FROM_B {
        return two(z_in[i]);
    }
    var second = 0.0;
    if p.pair == 1u {
        second = b[p.first + p.plane + i];
    }
    return vec2f(b[p.first + i], second);
}

// 4 sin^2 of a column's frequency, where it is needed.
fn square(column: u32) -> f32 {
    if !DIVIDES {
        return 0.0;
    }
    return roots_across[2u * p.w + column];
}

// Puts a value at place i; in a row, and in a column with this square.
fn put(i: u32, row: u32, square: f32, v: vec2f) {
    if TO_Y {
        let at = p.first + i;
        y[at] = select(0.0, u[at], p.add == 1u) + v.x;
        if p.pair == 1u {
            y[at + p.plane] = select(0.0, u[at + p.plane], p.add == 1u) + v.y;
        }
        return;
    }
    if DIVIDES {
        let factor = p.scale / (1.0 + p.a * (square + roots[2u * p.root + row]));
        z[i] = pair(v * select(factor, p.mean, i == 0u));
        return;
    }
    z[i] = pair(v);
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
    let row = quotient(i, p.w);
    let column = i - row * p.w;
    let e = select(column, row, p.down == 1u);
    let line = select(row * p.w, column, p.down == 1u);
    let step = select(1u, p.w, p.down == 1u);
    let blocks = quotient(e, p.s);
    let q = e - blocks * p.s;
    let j = quotient(blocks, p.radix);
    let k = blocks - j * p.radix;
    var sum = vec2f();
    var t = 0u; // r k mod p
    for (var r = 0u; r < p.radix; r++) {
        sum += times(value(line + (q + p.s * (j + p.m * r)) * step), root(t * p.share));
        t += k;
        t -= select(0u, p.radix, t >= p.radix);
    }
    put(i, row, square(column), times(sum, root(j * k * p.turn)));
}

fn dft2(x: array<vec2f, 2>) -> array<vec2f, 2> {
    return array(x[0] + x[1], x[0] - x[1]);
}

// i x on the way back, -i x on the way there.
fn quarter(x: vec2f) -> vec2f {
    return select(vec2f(x.y, -x.x), vec2f(-x.y, x.x), p.inverse == 1u);
}

// Of x[r] and x[p - r] the sums have the cosines, and the differences, turned by a quarter, the sines.
fn dft3(x: array<vec2f, 3>) -> array<vec2f, 3> {
    let sum = x[1] + x[2];
    let turned = 0.8660254037844386 * quarter(x[1] - x[2]);
    let rest = x[0] - 0.5 * sum;
    return array(x[0] + sum, rest + turned, rest - turned);
}

fn dft5(x: array<vec2f, 5>) -> array<vec2f, 5> {
    let c1 = 0.30901699437494745;
    let c2 = -0.8090169943749475;
    let s1 = 0.9510565162951535;
    let s2 = 0.5877852522924731;
    let sum1 = x[1] + x[4];
    let sum2 = x[2] + x[3];
    let difference1 = quarter(x[1] - x[4]);
    let difference2 = quarter(x[2] - x[3]);
    let rest1 = x[0] + c1 * sum1 + c2 * sum2;
    let rest2 = x[0] + c2 * sum1 + c1 * sum2;
    let turned1 = s1 * difference1 + s2 * difference2;
    let turned2 = s2 * difference1 - s1 * difference2;
    return array(x[0] + sum1 + sum2, rest1 + turned1, rest2 + turned2, rest2 - turned2, rest1 - turned1);
}

// The transforms of the even and the odd values, of which the latter are turned by w^k.
fn dft4(x: array<vec2f, 4>) -> array<vec2f, 4> {
    let even = dft2(array(x[0], x[2]));
    let odd = dft2(array(x[1], x[3]));
    let turned = quarter(odd[1]);
    return array(even[0] + odd[0], even[1] + turned, even[0] - odd[0], even[1] - turned);
}

fn dft6(x: array<vec2f, 6>) -> array<vec2f, 6> {
    let even = dft3(array(x[0], x[2], x[4]));
    let odd = dft3(array(x[1], x[3], x[5]));
    let o1 = 0.5 * odd[1] + 0.8660254037844386 * quarter(odd[1]);
    let o2 = 0.8660254037844386 * quarter(odd[2]) - 0.5 * odd[2];
    return array(even[0] + odd[0], even[1] + o1, even[2] + o2, even[0] - odd[0], even[1] - o1, even[2] - o2);
}

fn dft8(x: array<vec2f, 8>) -> array<vec2f, 8> {
    let even = dft4(array(x[0], x[2], x[4], x[6]));
    let odd = dft4(array(x[1], x[3], x[5], x[7]));
    let half = 0.7071067811865476;
    let o1 = half * (odd[1] + quarter(odd[1]));
    let o2 = quarter(odd[2]);
    let o3 = half * (quarter(odd[3]) - odd[3]);
    return array(
        even[0] + odd[0], even[1] + o1, even[2] + o2, even[3] + o3,
        even[0] - odd[0], even[1] - o1, even[2] - o2, even[3] - o3,
    );
}

// Where the values of a butterfly lie, those of one r and all: a pass of a small radix by an invocation for all k.
struct Butterfly {
    x: u32, // of r = 0
    x_step: u32,
    y: u32, // of k = 0
    y_step: u32,
    j: u32,
    row: u32, // of k = 0, in the last pass along columns
    square: f32,
}

fn butterfly(i: u32, radix: u32) -> Butterfly {
    let columns = p.down == 1u;
    // Neighbours have neighbouring elements of rows, or neighbouring columns.
    let across = select(p.s * p.m, p.w, columns);
    let first = quotient(i, across);
    let second = i - first * across;
    let e = select(second, first, columns);
    let line = select(first * p.w, second, columns);
    let step = select(1u, p.w, columns);
    let j = quotient(e, p.s);
    let q = e - j * p.s;
    let y = line + (q + p.s * radix * j) * step;
    return Butterfly(line + e * step, p.s * p.m * step, y, p.s * step, j, e, square(line));
}

fn value_of(b: Butterfly, r: u32) -> vec2f {
    return value(b.x + r * b.x_step);
}

fn put_of(b: Butterfly, k: u32, v: vec2f) {
    put(b.y + k * b.y_step, b.row + k * p.s, b.square, v);
}

@compute @workgroup_size(256)
fn radix2(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i * 2u >= p.plane {
        return;
    }
    let b = butterfly(i, 2u);
    let y = dft2(array(value_of(b, 0u), value_of(b, 1u)));
    put_of(b, 0u, y[0]);
    put_of(b, 1u, times(y[1], root(b.j * p.turn)));
}

// Powers of a root are products: reading each of them from the table takes longer.
@compute @workgroup_size(256)
fn radix3(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i * 3u >= p.plane {
        return;
    }
    let b = butterfly(i, 3u);
    let y = dft3(array(value_of(b, 0u), value_of(b, 1u), value_of(b, 2u)));
    let w1 = root(b.j * p.turn);
    let w2 = times(w1, w1);
    put_of(b, 0u, y[0]);
    put_of(b, 1u, times(y[1], w1));
    put_of(b, 2u, times(y[2], w2));
}

@compute @workgroup_size(256)
fn radix4(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i * 4u >= p.plane {
        return;
    }
    let b = butterfly(i, 4u);
    let y = dft4(array(
        value_of(b, 0u), value_of(b, 1u), value_of(b, 2u), value_of(b, 3u),
    ));
    let w1 = root(b.j * p.turn);
    let w2 = times(w1, w1);
    let w3 = times(w1, w2);
    put_of(b, 0u, y[0]);
    put_of(b, 1u, times(y[1], w1));
    put_of(b, 2u, times(y[2], w2));
    put_of(b, 3u, times(y[3], w3));
}

@compute @workgroup_size(256)
fn radix5(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i * 5u >= p.plane {
        return;
    }
    let b = butterfly(i, 5u);
    let y = dft5(array(
        value_of(b, 0u), value_of(b, 1u), value_of(b, 2u), value_of(b, 3u),
        value_of(b, 4u),
    ));
    let w1 = root(b.j * p.turn);
    let w2 = times(w1, w1);
    let w3 = times(w1, w2);
    let w4 = times(w2, w2);
    put_of(b, 0u, y[0]);
    put_of(b, 1u, times(y[1], w1));
    put_of(b, 2u, times(y[2], w2));
    put_of(b, 3u, times(y[3], w3));
    put_of(b, 4u, times(y[4], w4));
}

@compute @workgroup_size(256)
fn radix6(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i * 6u >= p.plane {
        return;
    }
    let b = butterfly(i, 6u);
    let y = dft6(array(
        value_of(b, 0u), value_of(b, 1u), value_of(b, 2u), value_of(b, 3u), value_of(b, 4u), value_of(b, 5u),
    ));
    let w1 = root(b.j * p.turn);
    let w2 = times(w1, w1);
    let w3 = times(w1, w2);
    let w4 = times(w2, w2);
    let w5 = times(w2, w3);
    put_of(b, 0u, y[0]);
    put_of(b, 1u, times(y[1], w1));
    put_of(b, 2u, times(y[2], w2));
    put_of(b, 3u, times(y[3], w3));
    put_of(b, 4u, times(y[4], w4));
    put_of(b, 5u, times(y[5], w5));
}

@compute @workgroup_size(256)
fn radix8(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i * 8u >= p.plane {
        return;
    }
    let b = butterfly(i, 8u);
    let y = dft8(array(
        value_of(b, 0u), value_of(b, 1u), value_of(b, 2u), value_of(b, 3u),
        value_of(b, 4u), value_of(b, 5u), value_of(b, 6u),
        value_of(b, 7u),
    ));
    let w1 = root(b.j * p.turn);
    let w2 = times(w1, w1);
    let w3 = times(w1, w2);
    let w4 = times(w2, w2);
    let w5 = times(w2, w3);
    let w6 = times(w3, w3);
    let w7 = times(w3, w4);
    put_of(b, 0u, y[0]);
    put_of(b, 1u, times(y[1], w1));
    put_of(b, 2u, times(y[2], w2));
    put_of(b, 3u, times(y[3], w3));
    put_of(b, 4u, times(y[4], w4));
    put_of(b, 5u, times(y[5], w5));
    put_of(b, 6u, times(y[6], w6));
    put_of(b, 7u, times(y[7], w7));
}
