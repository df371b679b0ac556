// Convolution of any kernel size, stride 1: y[o, p] = b[o] + sum_{i, t} w[o, i, t] x[i, p + t - (top, left)], and ReLU behind it
// or not.
//
// With k = (i, t) counting the elements of one output's kernel these are matrix products, and so are the gradients; the matrix
// that has x once for each t is never in memory. A workgroup of 256 makes 64 x 64 of the result, an invocation 4 x 4; 16 of what
// is summed over lie in workgroup memory at a time.

struct Params {
    n: u32,
    ci: u32,
    co: u32,
    xh: u32,
    xw: u32,
    yh: u32,
    yw: u32,
    kh: u32,
    kw: u32,
    top: u32,
    left: u32,
    relu: u32, // 1: a ReLU follows
    has_bias: u32,
    splits: u32, // backward_weight: sums that share the pixels
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (N, ci, xh, xw)
@group(0) @binding(3) var<storage, read> w: array<f32>; // (co, ci, kh, kw)
@group(0) @binding(4) var<storage, read> b: array<f32>; // (co)
@group(0) @binding(5) var<storage, read_write> y: array<f32>; // (N, co, yh, yw)

// Elements of one output's kernel.
fn depth() -> u32 {
    return p.ci * p.kh * p.kw;
}

fn w_at(o: u32, k: u32) -> f32 {
    if o >= p.co || k >= depth() {
        return 0.0;
    }
    return w[o * depth() + k];
}

// The pixel of x that element k of the kernel meets at pixel s of y.
fn x_at(image: u32, k: u32, s: u32) -> f32 {
    let taps = p.kh * p.kw;
    let row = s / p.yw + k % taps / p.kw - p.top; // wraps around where it is above
    let column = s % p.yw + k % p.kw - p.left;
    if k >= depth() || s >= p.yh * p.yw || row >= p.xh || column >= p.xw {
        return 0.0;
    }
    return x[((image * p.ci + k / taps) * p.xh + row) * p.xw + column];
}

fn put(image: u32, o: u32, s: u32, v: vec4f) {
    if o >= p.co {
        return;
    }
    var bias = 0.0;
    if p.has_bias == 1u {
        bias = b[o];
    }
    for (var i = 0u; i < 4u; i++) {
        if s + i < p.yh * p.yw {
            let pre = v[i] + bias;
            y[(image * p.co + o) * p.yh * p.yw + s + i] = select(pre, 0.0, p.relu == 1u && pre < 0.0);
        }
    }
}

// Grid: (ceil(yh yw / 64), ceil(co / 64), N) workgroups.
@compute @workgroup_size(256)
fn forward(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let image = group.z;
    let o0 = 64u * group.y;
    let s0 = 64u * group.x;
    let at = 4u * (lane % 16u);
    for (var first = 0u; first < depth(); first += DEPTH) {
        let k = first + lane / 16u;
        let o = o0 + at;
        let s = s0 + at;
        left[lane] = vec4f(w_at(o, k), w_at(o + 1u, k), w_at(o + 2u, k), w_at(o + 3u, k));
        right[lane] = vec4f(x_at(image, k, s), x_at(image, k, s + 1u), x_at(image, k, s + 2u), x_at(image, k, s + 3u));
        multiply(lane);
    }
    let o = o0 + 4u * (lane / 16u);
    put(image, o, s0 + at, sums[0]);
    put(image, o + 1u, s0 + at, sums[1]);
    put(image, o + 2u, s0 + at, sums[2]);
    put(image, o + 3u, s0 + at, sums[3]);
}

const SIDE = 32u; // of a tile: 16 pixels and a kernel of up to 17

var<workgroup> tile: array<f32, 1024>;

// For up to 4 outputs, where most of a 64 x 64 product would be nothing. A workgroup makes 16 x 16 pixels, an invocation all
// outputs of one. Grid: (yw, yh, N) invocations.
@compute @workgroup_size(16, 16)
fn forward_few(
    @builtin(local_invocation_id) lid: vec3u,
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3u,
) {
    let image = group.z;
    let taps = p.kh * p.kw;
    var sum = vec4f(0.0);
    for (var c = 0u; c < p.ci; c++) {
        workgroupBarrier();
        for (var e = lane; e < SIDE * SIDE; e += 256u) {
            let row = 16u * group.y + e / SIDE - p.top; // wraps around where it is above
            let column = 16u * group.x + e % SIDE - p.left;
            var v = 0.0;
            if row < p.xh && column < p.xw {
                v = x[((image * p.ci + c) * p.xh + row) * p.xw + column];
            }
            tile[e] = v;
        }
        workgroupBarrier();
        for (var ky = 0u; ky < p.kh; ky++) {
            for (var kx = 0u; kx < p.kw; kx++) {
                let v = tile[(lid.y + ky) * SIDE + lid.x + kx];
                let k = c * taps + ky * p.kw + kx;
                for (var o = 0u; o < p.co; o++) {
                    sum[o] = fma(w[o * depth() + k], v, sum[o]);
                }
            }
        }
    }
    let row = 16u * group.y + lid.y;
    let column = 16u * group.x + lid.x;
    if row >= p.yh || column >= p.yw {
        return;
    }
    for (var o = 0u; o < p.co; o++) {
        var pre = sum[o];
        if p.has_bias == 1u {
            pre += b[o];
        }
        y[((image * p.co + o) * p.yh + row) * p.yw + column] = select(pre, 0.0, p.relu == 1u && pre < 0.0);
    }
}

@group(0) @binding(6) var<storage, read> dy: array<f32>; // (N, co, yh, yw)
@group(0) @binding(7) var<storage, read_write> dx: array<f32>; // (N, ci, xh, xw)

// Of k = (o, t): the weight from input c.
fn w_back(c: u32, k: u32) -> f32 {
    let taps = p.kh * p.kw;
    if c >= p.ci || k >= p.co * taps {
        return 0.0;
    }
    return w[(k / taps * p.ci + c) * taps + k % taps];
}

// Of k = (o, t): the pixel of y that pixel s of x reaches by t.
fn dy_back(image: u32, k: u32, s: u32) -> f32 {
    let taps = p.kh * p.kw;
    let row = s / p.xw + p.top - k % taps / p.kw; // wraps around where it is above
    let column = s % p.xw + p.left - k % p.kw;
    if k >= p.co * taps || s >= p.xh * p.xw || row >= p.yh || column >= p.yw {
        return 0.0;
    }
    return dy[((image * p.co + k / taps) * p.yh + row) * p.yw + column];
}

fn put_dx(image: u32, c: u32, s: u32, v: vec4f) {
    for (var i = 0u; i < 4u; i++) {
        if c < p.ci && s + i < p.xh * p.xw {
            dx[(image * p.ci + c) * p.xh * p.xw + s + i] = v[i];
        }
    }
}

// dx[c, p] = sum_{o, t} w[o, c, t] dy[o, p - t + (top, left)]. Grid: (ceil(xh xw / 64), ceil(ci / 64), N) workgroups.
@compute @workgroup_size(256)
fn backward_input(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let image = group.z;
    let c0 = 64u * group.y;
    let s0 = 64u * group.x;
    let at = 4u * (lane % 16u);
    for (var first = 0u; first < p.co * p.kh * p.kw; first += DEPTH) {
        let k = first + lane / 16u;
        let c = c0 + at;
        let s = s0 + at;
        left[lane] = vec4f(w_back(c, k), w_back(c + 1u, k), w_back(c + 2u, k), w_back(c + 3u, k));
        right[lane] =
            vec4f(dy_back(image, k, s), dy_back(image, k, s + 1u), dy_back(image, k, s + 2u), dy_back(image, k, s + 3u));
        multiply(lane);
    }
    let c = c0 + 4u * (lane / 16u);
    put_dx(image, c, s0 + at, sums[0]);
    put_dx(image, c + 1u, s0 + at, sums[1]);
    put_dx(image, c + 2u, s0 + at, sums[2]);
    put_dx(image, c + 3u, s0 + at, sums[3]);
}

@group(0) @binding(8) var<storage, read_write> parts: array<f32>; // (splits, co, depth + 1)

fn dy_at(image: u32, o: u32, s: u32) -> f32 {
    if o >= p.co || s >= p.yh * p.yw {
        return 0.0;
    }
    return dy[(image * p.co + o) * p.yh * p.yw + s];
}

// Behind the last element of the kernel stands the bias.
fn x_or_one(image: u32, k: u32, s: u32) -> f32 {
    if k == depth() {
        return 1.0;
    }
    return x_at(image, k, s);
}

fn put_part(split: u32, o: u32, k: u32, v: vec4f) {
    for (var i = 0u; i < 4u; i++) {
        if o < p.co && k + i <= depth() {
            parts[(split * p.co + o) * (depth() + 1u) + k + i] = v[i];
        }
    }
}

// dw[o, k] = sum_{n, s} dy[n, o, s] x[n, k, s],  db[o] = sum_{n, s} dy[n, o, s].
// The sum is split: this kernel leaves `splits` sums, each of every splits-th 16 pixels, and `reduce_weight` adds them.
// Grid: (ceil((depth + 1) / 64), ceil(co / 64), splits) workgroups.
@compute @workgroup_size(256)
fn backward_weight(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let k0 = 64u * group.x;
    let o0 = 64u * group.y;
    let pieces = (p.yh * p.yw + DEPTH - 1u) / DEPTH;
    // Neighbours load neighbouring pixels.
    let step = lane % 16u;
    let at = 4u * (lane / 16u);
    for (var piece = group.z; piece < p.n * pieces; piece += p.splits) {
        let n = piece / pieces;
        let s = piece % pieces * DEPTH + step;
        let o = o0 + at;
        let k = k0 + at;
        left[16u * step + lane / 16u] = vec4f(dy_at(n, o, s), dy_at(n, o + 1u, s), dy_at(n, o + 2u, s), dy_at(n, o + 3u, s));
        right[16u * step + lane / 16u] =
            vec4f(x_or_one(n, k, s), x_or_one(n, k + 1u, s), x_or_one(n, k + 2u, s), x_or_one(n, k + 3u, s));
        multiply(lane);
    }
    let o = o0 + 4u * (lane / 16u);
    let k = k0 + 4u * (lane % 16u);
    put_part(group.z, o, k, sums[0]);
    put_part(group.z, o + 1u, k, sums[1]);
    put_part(group.z, o + 2u, k, sums[2]);
    put_part(group.z, o + 3u, k, sums[3]);
}

@group(0) @binding(9) var<storage, read> parts_in: array<f32>; // (splits, co, depth + 1)
@group(0) @binding(10) var<storage, read_write> dw: array<f32>; // (co, ci, kh, kw)
@group(0) @binding(11) var<storage, read_write> db: array<f32>; // (co)

// Adds the splits in their order. One invocation: one element of dw or db.
@compute @workgroup_size(256)
fn reduce_weight(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    let all = p.co * (depth() + 1u);
    if i >= all {
        return;
    }
    var sum = 0.0;
    for (var split = 0u; split < p.splits; split++) {
        sum += parts_in[split * all + i];
    }
    let o = i / (depth() + 1u);
    let k = i % (depth() + 1u);
    if k == depth() {
        db[o] = sum;
    } else {
        dw[o * depth() + k] = sum;
    }
}
