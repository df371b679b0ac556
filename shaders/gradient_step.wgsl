// The right-hand side of a step of half-quadratic splitting, where opposite borders meet:
// b = f - u - weight (Dx' h + Dy' v), h and v what a penalty makes of the gradient, (Dx' h)(x) = h(x-1) - h(x).
// One invocation: one pixel, its three channels.

struct Params {
    h: u32,
    w: u32,
    len: u32, // pixels of all images
    weight: f32,
    a: f32,
    b: f32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> u: array<f32>; // (n, 3, h, w)
@group(0) @binding(3) var<storage, read> f: array<f32>; // (n, 3, h, w); u where the step has no data term
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // (n, 3, h, w)

struct Pixel {
    at: u32, // its first channel
    row: u32,
    column: u32,
}

fn pixel(i: u32) -> Pixel {
    let line = quotient(i, p.w); // of all pictures
    let image = quotient(line, p.h);
    return Pixel(i + image * 2u * p.h * p.w, line - image * p.h, i - line * p.w);
}

// i mod n, i < 2 n
fn around(i: u32, n: u32) -> u32 {
    return select(i, i - n, i >= n);
}

// The colour at so many rows and columns from a pixel, 0 or 1, or h - 1 or w - 1 for one back.
fn colour(q: Pixel, down: u32, right: u32) -> vec3f {
    let row = around(q.row + down, p.h);
    let column = around(q.column + right, p.w);
    let plane = p.h * p.w;
    let at = q.at - q.row * p.w - q.column + row * p.w + column;
    return vec3f(u[at], u[at + plane], u[at + 2u * plane]);
}

fn put(q: Pixel, adjoint: vec3f) {
    let plane = p.h * p.w;
    let f3 = vec3f(f[q.at], f[q.at + plane], f[q.at + 2u * plane]);
    let v = f3 - colour(q, 0u, 0u) - p.weight * adjoint;
    y[q.at] = v.x;
    y[q.at + plane] = v.y;
    y[q.at + 2u * plane] = v.z;
}

// Dx u and Dy u at so many rows and columns from a pixel, both 0 unless the pixel is flat.
fn flat_gradient(q: Pixel, down: u32, right: u32) -> mat2x3f {
    let here = colour(q, down, right);
    let dx = colour(q, down, right + 1u) - here;
    let dy = colour(q, down + 1u, right) - here;
    let squares = dx.x * dx.x + dx.y * dx.y + dx.z * dx.z + dy.x * dy.x + dy.y * dy.y + dy.z * dy.z;
    let keep = select(0.0, 1.0, squares < p.a);
    return mat2x3f(keep * dx, keep * dy);
}

@compute @workgroup_size(256)
fn l0(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let q = pixel(i);
    let here = flat_gradient(q, 0u, 0u);
    put(q, flat_gradient(q, 0u, p.w - 1u)[0] - here[0] + (flat_gradient(q, p.h - 1u, 0u)[1] - here[1]));
}

// phi' of (t^2 + b)^(a/2): a t (t^2 + b)^(a/2 - 1)
fn charbonnier_of(t: vec3f) -> vec3f {
    return p.a * t * pow(t * t + p.b, vec3f(0.5 * p.a - 1.0));
}

@compute @workgroup_size(256)
fn charbonnier(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let q = pixel(i);
    let here = colour(q, 0u, 0u);
    let left = charbonnier_of(here - colour(q, 0u, p.w - 1u)) - charbonnier_of(colour(q, 0u, 1u) - here);
    let up = charbonnier_of(here - colour(q, p.h - 1u, 0u)) - charbonnier_of(colour(q, 1u, 0u) - here);
    put(q, left + up);
}

// phi' of Welsch's penalty, a = -1 / 2 gamma^2: 2 t exp(a t^2)
fn welsch_of(t: vec3f) -> vec3f {
    return 2.0 * t * exp(p.a * t * t);
}

@compute @workgroup_size(256)
fn welsch(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let q = pixel(i);
    let here = colour(q, 0u, 0u);
    let left = welsch_of(here - colour(q, 0u, p.w - 1u)) - welsch_of(colour(q, 0u, 1u) - here);
    let up = welsch_of(here - colour(q, p.h - 1u, 0u)) - welsch_of(colour(q, 1u, 0u) - here);
    put(q, left + up);
}
