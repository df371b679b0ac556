// The guided filter between its window means m, the picture f its own guide, g = f - 0.5:
// moments of g; A = 1 - eps S^-1 and b = m(g) - A m(g) with S = Cov(g) + eps; u = m(A) g + m(b) + 0.5.
// Where each channel guides itself, S and A are diagonal: a = var / (var + eps).
// One invocation: one pixel.

struct Params {
    plane: u32,
    channel: u32, // 1: each channel guides itself; 0: the three together
    len: u32, // pixels of all images
    eps: f32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (n, 3, plane); for `coefficients` (n, 9 or 6, plane)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (n, 9 or 6, plane); for `apply` (n, 3, plane)
@group(0) @binding(4) var<storage, read> m: array<f32>; // (n, 9 or 6, plane)

// The first value of pixel i where pixels have so many.
fn place(i: u32, planes: u32) -> u32 {
    return i + quotient(i, p.plane) * (planes - 1u) * p.plane;
}

fn put3(at: u32, v: vec3f) {
    y[at] = v.x;
    y[at + p.plane] = v.y;
    y[at + 2u * p.plane] = v.z;
}

fn x3(at: u32) -> vec3f {
    return vec3f(x[at], x[at + p.plane], x[at + 2u * p.plane]);
}

@compute @workgroup_size(256)
fn moments(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let g = x3(place(i, 3u)) - 0.5;
    let at = place(i, select(9u, 6u, p.channel == 1u));
    put3(at, g);
    if p.channel == 1u {
        put3(at + 3u * p.plane, g * g);
        return;
    }
    put3(at + 3u * p.plane, g.x * g);
    put3(at + 6u * p.plane, vec3f(g.y * g.yz, g.z * g.z));
}

@compute @workgroup_size(256)
fn coefficients(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let at = place(i, select(9u, 6u, p.channel == 1u));
    let g = x3(at);
    if p.channel == 1u {
        let variance = x3(at + 3u * p.plane) - g * g;
        let a = variance / (variance + p.eps);
        put3(at, a);
        put3(at + 3u * p.plane, g - a * g);
        return;
    }
    let s0 = x3(at + 3u * p.plane) - g.x * g + vec3f(p.eps, 0.0, 0.0); // rr, rg, rb
    let s1 = x3(at + 6u * p.plane) - vec3f(g.y * g.yz, g.z * g.z) + vec3f(p.eps, 0.0, p.eps); // gg, gb, bb
    // Cofactors of the symmetric matrix.
    let c0 = vec3f(s1.x * s1.z - s1.y * s1.y, s0.z * s1.y - s0.y * s1.z, s0.y * s1.y - s0.z * s1.x);
    let c1 = vec3f(s0.x * s1.z - s0.z * s0.z, s0.y * s0.z - s0.x * s1.y, s0.x * s1.x - s0.y * s0.y);
    let k = p.eps / dot(s0, c0);
    let a0 = vec3f(1.0, 0.0, 0.0) - k * c0; // rr, rg, rb
    let a1 = vec3f(1.0, 0.0, 1.0) - k * c1; // gg, gb, bb
    put3(at, a0);
    put3(at + 3u * p.plane, a1);
    let ag = vec3f(dot(a0, g), dot(vec3f(a0.y, a1.xy), g), dot(vec3f(a0.z, a1.yz), g));
    put3(at + 6u * p.plane, g - ag);
}

fn m3(at: u32) -> vec3f {
    return vec3f(m[at], m[at + p.plane], m[at + 2u * p.plane]);
}

@compute @workgroup_size(256)
fn apply(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let to = place(i, 3u);
    let g = x3(to) - 0.5;
    let at = place(i, select(9u, 6u, p.channel == 1u));
    if p.channel == 1u {
        put3(to, m3(at) * g + m3(at + 3u * p.plane) + 0.5);
        return;
    }
    let a0 = m3(at);
    let a1 = m3(at + 3u * p.plane);
    let ag = vec3f(dot(a0, g), dot(vec3f(a0.y, a1.xy), g), dot(vec3f(a0.z, a1.yz), g));
    put3(to, ag + m3(at + 6u * p.plane) + 0.5);
}
