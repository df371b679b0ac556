// Structural similarity of y and a target: products of the pictures; and of these, blurred, weight (1 - mean q) with
//   q = A1 A2 / (B1 B2),  A1 = 2 a b + C1,  A2 = 2 r + C2,  B1 = a a + b b + C1,  B2 = s + v + C2,
// a = G y, b = G t, s = G(y y) - a a, r = G(y t) - a b, v = G(t t) - b b.

struct Params {
    image: u32, // elements of an image of y
    len: u32, // elements of y
    weight: f32,
    parts: u32, // workgroups of `partial`
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> y: array<f32>; // (N, image)
@group(0) @binding(3) var<storage, read> goal: array<f32>; // (N, image)
@group(0) @binding(4) var<storage, read_write> products: array<f32>; // (N, 3, image): y, y y, y t
@group(0) @binding(5) var<storage, read_write> squares: array<f32>; // (N, 2, image): t, t t

// Where map k of `maps` has element i of y.
fn place(i: u32, maps: u32, k: u32) -> u32 {
    return (i / p.image * maps + k) * p.image + i % p.image;
}

// One invocation: one element of y.
@compute @workgroup_size(256)
fn multiply(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    products[place(i, 3u, 0u)] = y[i];
    products[place(i, 3u, 1u)] = y[i] * y[i];
    products[place(i, 3u, 2u)] = y[i] * goal[i];
}

// One invocation: one element of the target.
@compute @workgroup_size(256)
fn square(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    squares[place(i, 2u, 0u)] = goal[i];
    squares[place(i, 2u, 1u)] = goal[i] * goal[i];
}

@group(0) @binding(6) var<storage, read> products_in: array<f32>; // (N, 3, image), blurred
@group(0) @binding(7) var<storage, read> squares_in: array<f32>; // (N, 2, image), blurred

const C1 = 0.0001;
const C2 = 0.0009;

// q of an element, and its slopes by G y, G(y y) and G(y t): with q_s = -q / B2 and q_r = 2 A1 / (B1 B2),
//   q_a = 2 b A2 / (B1 B2) - 2 a q / B1 - 2 a q_s - b q_r,
// the last two because s and r have a in them.
fn similarity(i: u32) -> vec4f {
    let a = products_in[place(i, 3u, 0u)];
    let b = squares_in[place(i, 2u, 0u)];
    let s = products_in[place(i, 3u, 1u)] - a * a;
    let r = products_in[place(i, 3u, 2u)] - a * b;
    let v = squares_in[place(i, 2u, 1u)] - b * b;
    let a1 = 2.0 * a * b + C1;
    let a2 = 2.0 * r + C2;
    let b1 = a * a + b * b + C1;
    let b2 = s + v + C2;
    let q = a1 * a2 / (b1 * b2);
    let qs = -q / b2;
    let qr = 2.0 * a1 / (b1 * b2);
    let qa = 2.0 * b * a2 / (b1 * b2) - 2.0 * a * q / b1 - 2.0 * a * qs - b * qr;
    return vec4f(q, qa, qs, qr);
}

@compute @workgroup_size(256)
fn partial(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    var sum = 0.0;
    for (var i = group.x * 256u + lane; i < p.len; i += p.parts * 256u) {
        // The result is 1 minus the mean: a sum of what is missing to 1 keeps the digits.
        sum += 1.0 - similarity(i).x;
    }
    put_part(lane, group, sum);
}

@group(0) @binding(10) var<storage, read_write> loss: array<f32>; // (1)

@compute @workgroup_size(256)
fn total(@builtin(local_invocation_index) lane: u32) {
    let sum = sum_of_parts(lane);
    if lane == 0u {
        loss[0] = p.weight * sum / f32(p.len);
    }
}

// The gradient of the blurred products. One invocation: one element of y.
@compute @workgroup_size(256)
fn backward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let slopes = -p.weight / f32(p.len) * similarity(i);
    products[place(i, 3u, 0u)] = slopes.y;
    products[place(i, 3u, 1u)] = slopes.z;
    products[place(i, 3u, 2u)] = slopes.w;
}

@group(0) @binding(11) var<storage, read> d: array<f32>; // (N, 3, image)
@group(0) @binding(12) var<storage, read_write> dy: array<f32>; // (N, image)

// Of the products y, y y and y t: dy = d1 + 2 y d2 + t d3. One invocation: one element of y.
@compute @workgroup_size(256)
fn backward_products(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    dy[i] = d[place(i, 3u, 0u)] + 2.0 * y[i] * d[place(i, 3u, 1u)] + goal[i] * d[place(i, 3u, 2u)];
}
