// Solves (1 + beta (Dx'Dx + Dy'Dy)) u = beta b on each channel, D the differences around the border, by dense products:
//   u = M_H [(M_H (beta b) M_W) / (1 + beta (l_H + l_W))] M_W,
// M_n[a, b] = (cos t + sin t) / sqrt n, t = 2 pi a b / n, which is its own inverse, l_n(a) = 2 - 2 cos(2 pi a / n). It is its own
// gradient.

struct Params {
    planes: u32, // N C
    h: u32,
    w: u32,
    n: u32, // `fill`: side of the matrix
    beta: f32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read_write> m_out: array<f32>; // (n, n)

// (cos, sin) of 2 pi k / n, k < n. WGSL promises no more than 11 bits of cos: the angle is brought to [0, pi / 4] as an integer
// (8 k against n), where the series' first terms are exact to f32.
fn cos_sin(k: u32, n: u32) -> vec2f {
    let quarter = 4u * k / n; // of the circle
    let rest = 4u * k - quarter * n; // in quarters / n
    let is_far = 2u * rest > n;
    let t = 1.5707964 * f32(select(rest, n - rest, is_far)) / f32(n);
    let s = t * t;
    let c = 1.0 + s * (-0.5 + s * (0.041666668 + s * (-0.0013888889 + s * 2.4801587e-5)));
    let d = t * (1.0 + s * (-0.16666667 + s * (0.008333334 + s * (-1.9841270e-4 + s * 2.7557319e-6))));
    let first = select(vec2f(c, d), vec2f(d, c), is_far);
    let turned = array<vec2f, 4>(first, vec2f(-first.y, first.x), -first, vec2f(first.y, -first.x));
    var all = turned;
    return all[quarter];
}

// One invocation: one element of M_n; a b mod n is exact.
@compute @workgroup_size(256)
fn fill(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.n * p.n {
        return;
    }
    let turn = cos_sin(i / p.n * (i % p.n) % p.n, p.n);
    m_out[i] = (turn.x + turn.y) / sqrt(f32(p.n));
}

@group(0) @binding(3) var<storage, read> m: array<f32>; // (h, h) or (w, w)
@group(0) @binding(4) var<storage, read> x: array<f32>; // (planes, h, w)
@group(0) @binding(5) var<storage, read_write> y: array<f32>; // (planes, h, w)

fn x_at(plane: u32, i: u32, j: u32) -> f32 {
    if i >= p.h || j >= p.w {
        return 0.0;
    }
    return x[(plane * p.h + i) * p.w + j];
}

fn m_at(i: u32, j: u32, n: u32) -> f32 {
    if i >= n || j >= n {
        return 0.0;
    }
    return m[i * n + j];
}

fn put(plane: u32, i: u32, j: u32, v: vec4f) {
    for (var k = 0u; k < 4u; k++) {
        if i < p.h && j + k < p.w {
            y[(plane * p.h + i) * p.w + j + k] = v[k];
        }
    }
}

fn put_all(lane: u32, group: vec3u) {
    let i = 64u * group.y + 4u * (lane / 16u);
    let j = 64u * group.x + 4u * (lane % 16u);
    put(group.z, i, j, sums[0]);
    put(group.z, i + 1u, j, sums[1]);
    put(group.z, i + 2u, j, sums[2]);
    put(group.z, i + 3u, j, sums[3]);
}

// y = M_H x. A workgroup makes 64 x 64, an invocation 4 x 4. Grid: (ceil(w / 64), ceil(h / 64), planes) workgroups.
@compute @workgroup_size(256)
fn from_left(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let i = 64u * group.y + 4u * (lane % 16u);
    let j = 64u * group.x + 4u * (lane % 16u);
    for (var first = 0u; first < p.h; first += DEPTH) {
        let k = first + lane / 16u;
        left[lane] = vec4f(m_at(k, i, p.h), m_at(k, i + 1u, p.h), m_at(k, i + 2u, p.h), m_at(k, i + 3u, p.h));
        right[lane] = vec4f(x_at(group.z, k, j), x_at(group.z, k, j + 1u), x_at(group.z, k, j + 2u), x_at(group.z, k, j + 3u));
        multiply(lane);
    }
    put_all(lane, group);
}

// y = x M_W. The same grid.
@compute @workgroup_size(256)
fn from_right(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let i = 64u * group.y + 4u * (lane % 16u);
    let j = 64u * group.x + 4u * (lane % 16u);
    for (var first = 0u; first < p.w; first += DEPTH) {
        let k = first + lane / 16u;
        left[lane] = vec4f(x_at(group.z, i, k), x_at(group.z, i + 1u, k), x_at(group.z, i + 2u, k), x_at(group.z, i + 3u, k));
        right[lane] = vec4f(m_at(k, j, p.w), m_at(k, j + 1u, p.w), m_at(k, j + 2u, p.w), m_at(k, j + 3u, p.w));
        multiply(lane);
    }
    put_all(lane, group);
}

// 2 - 2 cos t = 4 sin^2(t / 2), which keeps its digits where t is small.
fn eigenvalue(a: u32, n: u32) -> f32 {
    let s = cos_sin(a, 2u * n).y;
    return 4.0 * s * s;
}

// One invocation: one element.
@compute @workgroup_size(256)
fn divide(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.planes * p.h * p.w {
        return;
    }
    y[i] = y[i] * (p.beta / (1.0 + p.beta * (eigenvalue(i / p.w % p.h, p.h) + eigenvalue(i % p.w, p.w))));
}
