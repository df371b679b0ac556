// Convolutions in which each pixel of x makes a cell of side x side pixels of y by itself: the 1x1 convolution (side 1) and
// the 2x2 transposed convolution of stride 2 (side 2). With q = (o, t) counting the elements t of all cells,
//   y[q, s] = b[o] + sum_c w(c, q) x[c, s],  where y[q, s] is y[o, side i + t / side, side j + t % side] of s = (i, j).
//
// These are matrix products, and so are the gradients. A workgroup of 256 makes 64 x 64 of the result, an invocation 4 x 4;
// 16 of what is summed over lie in workgroup memory at a time.

struct Params {
    n: u32,
    ci: u32,
    co: u32,
    h: u32, // rows of x
    w: u32, // columns of x
    side: u32,
    step_c: u32, // in the weight, from a c to the next
    step_q: u32, // and from a q to the next
    splits: u32, // backward_weight: sums that share the pixels
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (N, ci, h, w)
@group(0) @binding(3) var<storage, read> w: array<f32>; // side 1: (co, ci, 1, 1); side 2: (ci, co, 2, 2)
@group(0) @binding(4) var<storage, read> b: array<f32>; // (co)
@group(0) @binding(5) var<storage, read_write> y: array<f32>; // (N, co, side h, side w)

// Number of q.
fn rows() -> u32 {
    return p.co * p.side * p.side;
}

fn w_at(c: u32, q: u32) -> f32 {
    if c >= p.ci || q >= rows() {
        return 0.0;
    }
    return w[c * p.step_c + q * p.step_q];
}

fn x_at(image: u32, c: u32, s: u32) -> f32 {
    let plane = p.h * p.w;
    if c >= p.ci || s >= plane {
        return 0.0;
    }
    return x[(image * p.ci + c) * plane + s];
}

// Where y[q, s] is.
fn place(image: u32, q: u32, s: u32) -> u32 {
    let o = q / (p.side * p.side);
    let t = q % (p.side * p.side);
    let row = ((image * p.co + o) * p.h + s / p.w) * p.side + t / p.side;
    return (row * p.w + s % p.w) * p.side + t % p.side;
}

fn put(image: u32, q: u32, s: u32, v: vec4f) {
    for (var i = 0u; i < 4u; i++) {
        if q < rows() && s + i < p.h * p.w {
            y[place(image, q, s + i)] = v[i] + b[q / (p.side * p.side)];
        }
    }
}

// Grid: (ceil(h w / 64), ceil(rows / 64), N) workgroups.
@compute @workgroup_size(256)
fn forward(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let image = group.z;
    let q0 = 64u * group.y;
    let s0 = 64u * group.x;
    let at = 4u * (lane % 16u);
    for (var first = 0u; first < p.ci; first += DEPTH) {
        let c = first + lane / 16u;
        let q = q0 + at;
        let s = s0 + at;
        left[lane] = vec4f(w_at(c, q), w_at(c, q + 1u), w_at(c, q + 2u), w_at(c, q + 3u));
        right[lane] =
            vec4f(x_at(image, c, s), x_at(image, c, s + 1u), x_at(image, c, s + 2u), x_at(image, c, s + 3u));
        multiply(lane);
    }
    let q = q0 + 4u * (lane / 16u);
    put(image, q, s0 + at, sums[0]);
    put(image, q + 1u, s0 + at, sums[1]);
    put(image, q + 2u, s0 + at, sums[2]);
    put(image, q + 3u, s0 + at, sums[3]);
}

@group(0) @binding(6) var<storage, read> dy: array<f32>; // (N, co, side h, side w)
@group(0) @binding(7) var<storage, read_write> dx: array<f32>; // (N, ci, h, w)

fn dy_at(image: u32, q: u32, s: u32) -> f32 {
    if q >= rows() || s >= p.h * p.w {
        return 0.0;
    }
    return dy[place(image, q, s)];
}

fn put_dx(image: u32, c: u32, s: u32, v: vec4f) {
    for (var i = 0u; i < 4u; i++) {
        if c < p.ci && s + i < p.h * p.w {
            dx[(image * p.ci + c) * p.h * p.w + s + i] = v[i];
        }
    }
}

// y[q, s] takes w(c, q) x[c, s], so dx[c, s] = sum_q w(c, q) dy[q, s].
// Grid: (ceil(h w / 64), ceil(ci / 64), N) workgroups.
@compute @workgroup_size(256)
fn backward_input(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let image = group.z;
    let c0 = 64u * group.y;
    let s0 = 64u * group.x;
    let at = 4u * (lane % 16u);
    for (var first = 0u; first < rows(); first += DEPTH) {
        let q = first + lane / 16u;
        let c = c0 + at;
        let s = s0 + at;
        left[lane] = vec4f(w_at(c, q), w_at(c + 1u, q), w_at(c + 2u, q), w_at(c + 3u, q));
        right[lane] =
            vec4f(dy_at(image, q, s), dy_at(image, q, s + 1u), dy_at(image, q, s + 2u), dy_at(image, q, s + 3u));
        multiply(lane);
    }
    let c = c0 + 4u * (lane / 16u);
    put_dx(image, c, s0 + at, sums[0]);
    put_dx(image, c + 1u, s0 + at, sums[1]);
    put_dx(image, c + 2u, s0 + at, sums[2]);
    put_dx(image, c + 3u, s0 + at, sums[3]);
}

@group(0) @binding(8) var<storage, read_write> parts: array<f32>; // (splits, ci + 1, rows), the bias last

// x with a channel of ones behind, whose products are the bias's.
fn x_or_one(image: u32, c: u32, s: u32) -> f32 {
    if c == p.ci {
        return 1.0;
    }
    return x_at(image, c, s);
}

fn put_part(split: u32, c: u32, q: u32, v: vec4f) {
    for (var i = 0u; i < 4u; i++) {
        if c <= p.ci && q + i < rows() {
            parts[(split * (p.ci + 1u) + c) * rows() + q + i] = v[i];
        }
    }
}

// dw(c, q) = sum_{n, s} x[n, c, s] dy[n, q, s],  db[o] = sum_{n, s, t} dy[n, q, s].
// The sum is split: this kernel leaves `splits` sums, each of every splits-th 16 pixels, and `reduce_weight` adds them.
// Grid: (ceil(rows / 64), ceil((ci + 1) / 64), splits) workgroups.
@compute @workgroup_size(256)
fn backward_weight(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let q0 = 64u * group.x;
    let c0 = 64u * group.y;
    let pieces = (p.h * p.w + DEPTH - 1u) / DEPTH;
    // Neighbours load neighbouring pixels.
    let k = lane % 16u;
    let at = 4u * (lane / 16u);
    for (var piece = group.z; piece < p.n * pieces; piece += p.splits) {
        let n = piece / pieces;
        let s = piece % pieces * DEPTH + k;
        let c = c0 + at;
        let q = q0 + at;
        left[16u * k + lane / 16u] =
            vec4f(x_or_one(n, c, s), x_or_one(n, c + 1u, s), x_or_one(n, c + 2u, s), x_or_one(n, c + 3u, s));
        right[16u * k + lane / 16u] = vec4f(dy_at(n, q, s), dy_at(n, q + 1u, s), dy_at(n, q + 2u, s), dy_at(n, q + 3u, s));
        multiply(lane);
    }
    let c = c0 + 4u * (lane / 16u);
    let q = q0 + 4u * (lane % 16u);
    put_part(group.z, c, q, sums[0]);
    put_part(group.z, c + 1u, q, sums[1]);
    put_part(group.z, c + 2u, q, sums[2]);
    put_part(group.z, c + 3u, q, sums[3]);
}

@group(0) @binding(9) var<storage, read> parts_in: array<f32>; // (splits, ci + 1, rows)
@group(0) @binding(10) var<storage, read_write> dw: array<f32>; // the shape of w
@group(0) @binding(11) var<storage, read_write> db: array<f32>; // (co)

// Adds the splits in their order. One invocation: one element of dw or db.
@compute @workgroup_size(256)
fn reduce_weight(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    let weights = p.ci * rows();
    if i >= weights + p.co {
        return;
    }
    let cell = p.side * p.side;
    let is_bias = i >= weights;
    let first = select(i, weights + (i - weights) * cell, is_bias);
    var sum = 0.0;
    for (var split = 0u; split < p.splits; split++) {
        for (var t = 0u; t < select(1u, cell, is_bias); t++) {
            sum += parts_in[split * (weights + rows()) + first + t];
        }
    }
    if is_bias {
        db[i - weights] = sum;
    } else {
        dw[i / rows() * p.step_c + i % rows() * p.step_q] = sum;
    }
}
