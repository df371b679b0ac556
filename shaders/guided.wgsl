// The guided filter of the picture f by itself, g = f - 0.5: means m over square windows of radius r, clipped to the picture,
// of the moments of g; A = 1 - eps S^-1 and b = m(g) - A m(g) with S = Cov(g) + eps; u = m(A) g + m(b) + 0.5.
// Where each channel guides itself, S and A are diagonal: a = var / (var + eps).
//
// A mean is taken along rows, then along columns. One invocation: a run of 32 outputs of a row or column, all values of
// each. The first sum is made of the window's values, each next one by adding one and subtracting one; the next run
// starts afresh, so that rounding does not grow along the line.

struct Params {
    h: u32,
    w: u32,
    r: u32,
    channel: u32, // 1: each channel guides itself; 0: the three together
    len: u32, // runs of all lines
    eps: f32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> f: array<f32>; // (3, h, w)
@group(0) @binding(3) var<storage, read_write> z: array<Pair>; // (5 or 3, h, w): the values of pixels, by twos
@group(0) @binding(4) var<storage, read> z_in: array<Pair>;
@group(0) @binding(5) var<storage, read_write> u: array<f32>; // (3, h, w)

const RUN = 32u;

// The values of a pixel. Moments: g; its products rr, rg, rb; gg, gb, bb. Coefficients: A's rr, rg, rb; gg, gb, bb; b.
// Where each channel guides itself: g; its squares; nothing. a; b; nothing.
struct Values {
    x: vec3f,
    y: vec3f,
    z: vec3f,
}

// s + k t
fn plus(s: Values, k: f32, t: Values) -> Values {
    return Values(s.x + k * t.x, s.y + k * t.y, s.z + k * t.z);
}

fn picture(i: u32) -> vec3f {
    let plane = p.h * p.w;
    return vec3f(f[i], f[i + plane], f[i + 2u * plane]) - 0.5;
}

fn moments_of(i: u32) -> Values {
    let g = picture(i);
    if p.channel == 1u {
        return Values(g, g * g, vec3f());
    }
    return Values(g, g.x * g, vec3f(g.y * g.yz, g.z * g.z));
}

fn values(i: u32) -> Values {
    let plane = p.h * p.w;
    let a = two(z_in[i]);
    let b = two(z_in[i + plane]);
    let c = two(z_in[i + 2u * plane]);
    var rest = vec3f();
    if p.channel == 0u {
        rest = vec3f(two(z_in[i + 3u * plane]), two(z_in[i + 4u * plane]).x);
    }
    return Values(vec3f(a, b.x), vec3f(b.y, c), rest);
}

fn put(i: u32, v: Values) {
    let plane = p.h * p.w;
    z[i] = pair(v.x.xy);
    z[i + plane] = pair(vec2f(v.x.z, v.y.x));
    z[i + 2u * plane] = pair(v.y.yz);
    if p.channel == 0u {
        z[i + 3u * plane] = pair(v.z.xy);
        z[i + 4u * plane] = pair(vec2f(v.z.z, 0.0));
    }
}

// Outputs `first` to `end` of a line of n pixels that begins at `at`, `step` apart.
struct Run {
    at: u32,
    step: u32,
    n: u32,
    first: u32,
    end: u32,
}

fn row_run(i: u32) -> Run {
    let runs = (p.w + RUN - 1u) / RUN;
    let line = quotient(i, runs);
    let first = (i - line * runs) * RUN;
    return Run(line * p.w, 1u, p.w, first, min(first + RUN, p.w));
}

// Neighbours have neighbouring columns.
fn column_run(i: u32) -> Run {
    let run = quotient(i, p.w);
    return Run(i - run * p.w, p.w, p.h, run * RUN, min(run * RUN + RUN, p.h));
}

// 1 / pixels of the window around pixel i.
fn share(run: Run, i: u32) -> f32 {
    return 1.0 / f32(min(i + p.r, run.n - 1u) - (i - min(i, p.r)) + 1u);
}

// The sum before output `first`: of its window without the last.
fn sum_before(run: Run) -> Values {
    var sum = Values();
    for (var k = run.first - min(run.first, p.r); k < min(run.first + p.r, run.n); k++) {
        sum = plus(sum, 1.0, values(run.at + k * run.step));
    }
    return sum;
}

// The sum of output i, made of that of the output before.
fn sum_of(run: Run, i: u32, before: Values) -> Values {
    var sum = before;
    if i + p.r < run.n {
        sum = plus(sum, 1.0, values(run.at + (i + p.r) * run.step));
    }
    if i > run.first && i > p.r {
        sum = plus(sum, -1.0, values(run.at + (i - p.r - 1u) * run.step));
    }
    return sum;
}

// Means of the moments along rows.
@compute @workgroup_size(64)
fn moments(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let index = linear_index(gid, groups, 64u);
    if index >= p.len {
        return;
    }
    let run = row_run(index);
    var sum = Values();
    for (var k = run.first - min(run.first, p.r); k < min(run.first + p.r, run.n); k++) {
        sum = plus(sum, 1.0, moments_of(run.at + k));
    }
    for (var i = run.first; i < run.end; i++) {
        if i + p.r < run.n {
            sum = plus(sum, 1.0, moments_of(run.at + i + p.r));
        }
        if i > run.first && i > p.r {
            sum = plus(sum, -1.0, moments_of(run.at + i - p.r - 1u));
        }
        put(run.at + i, plus(Values(), share(run, i), sum));
    }
}

fn coefficients_of(m: Values) -> Values {
    let g = m.x;
    if p.channel == 1u {
        let variance = m.y - g * g;
        let a = variance / (variance + p.eps);
        return Values(a, g - a * g, vec3f());
    }
    let s0 = m.y - g.x * g + vec3f(p.eps, 0.0, 0.0); // rr, rg, rb
    let s1 = m.z - vec3f(g.y * g.yz, g.z * g.z) + vec3f(p.eps, 0.0, p.eps); // gg, gb, bb
    // Cofactors of the symmetric matrix.
    let c0 = vec3f(s1.x * s1.z - s1.y * s1.y, s0.z * s1.y - s0.y * s1.z, s0.y * s1.y - s0.z * s1.x);
    let c1 = vec3f(s0.x * s1.z - s0.z * s0.z, s0.y * s0.z - s0.x * s1.y, s0.x * s1.x - s0.y * s0.y);
    let k = p.eps / dot(s0, c0);
    let a0 = vec3f(1.0, 0.0, 0.0) - k * c0; // rr, rg, rb
    let a1 = vec3f(1.0, 0.0, 1.0) - k * c1; // gg, gb, bb
    return Values(a0, a1, g - product(a0, a1, g));
}

// A symmetric matrix times g.
fn product(a0: vec3f, a1: vec3f, g: vec3f) -> vec3f {
    return vec3f(dot(a0, g), dot(vec3f(a0.y, a1.xy), g), dot(vec3f(a0.z, a1.yz), g));
}

// Coefficients of the moments' means, which are taken along columns.
@compute @workgroup_size(64)
fn coefficients(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let index = linear_index(gid, groups, 64u);
    if index >= p.len {
        return;
    }
    let run = column_run(index);
    var sum = sum_before(run);
    for (var i = run.first; i < run.end; i++) {
        sum = sum_of(run, i, sum);
        put(run.at + i * run.step, coefficients_of(plus(Values(), share(run, i), sum)));
    }
}

// Means of the coefficients along rows.
@compute @workgroup_size(64)
fn means(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let index = linear_index(gid, groups, 64u);
    if index >= p.len {
        return;
    }
    let run = row_run(index);
    var sum = sum_before(run);
    for (var i = run.first; i < run.end; i++) {
        sum = sum_of(run, i, sum);
        put(run.at + i, plus(Values(), share(run, i), sum));
    }
}

// u of the coefficients' means, which are taken along columns.
@compute @workgroup_size(64)
fn apply(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let index = linear_index(gid, groups, 64u);
    if index >= p.len {
        return;
    }
    let run = column_run(index);
    let plane = p.h * p.w;
    var sum = sum_before(run);
    for (var i = run.first; i < run.end; i++) {
        sum = sum_of(run, i, sum);
        let m = plus(Values(), share(run, i), sum);
        let at = run.at + i * run.step;
        let g = picture(at);
        var v = 0.5 + m.x * g + m.y;
        if p.channel == 0u {
            v = 0.5 + product(m.x, m.y, g) + m.z;
        }
        u[at] = v.x;
        u[at + plane] = v.y;
        u[at + 2u * plane] = v.z;
    }
}
