// 3x3 convolution for devices that run a workgroup as the vector lanes of a CPU core (software drivers):
//   y[o, i, j] = act(b[o] + sum_{c, ky, kx} w[o, c, ky, kx] in[c, i + ky - 1, j + kx - 1]),  in = [x, r].
// The kernel `forward` itself is unrolled by src/ops/conv3x3/gpu/lanes.rs and stands behind this text: lane = output channel,
// 8x16 pixels in an invocation's accumulators. An input value is the same for all lanes, which makes its load a scalar
// one; the weights are packed for it. What made it fast on Mesa's lavapipe 26, which has scalar loads but no vector loads
// (each is a gather of 21 cycles), neither fused multiply-adds nor uniform loops:
// - Lane = row where a map is read. A load waits for all of its lines of memory together: 16 rows are 16 lines in the time
//   of one, and the columns beside are in the same lines (64 -> 64: 17.9 -> 16.9 ms; `few`: a quarter less).
// - The halves of 16 lanes store different rows at a time. A lane writes to its own plane, and where planes lie a power of
//   two apart, 16 lines of one place do not fit the 12 that a cache set has (25.0 -> 19.3 ms at 64 -> 64 on 256x192).
// - Two weights are loaded at once, at distances that are constants (64 -> 64 within the network: 5 % less), and where the
//   width is even, two columns of a map are loaded and stored at once (3 to 15 % less; kernels that end with `_even`).
// - Few inputs are read once for all outputs, by `from_few`, where lane = row of the outputs and the weights are scalars:
//   tile, barriers and 50 KiB of code for three channels took more time than their products (half the time for 3 -> 64).
// - Indices of the tile are seen to be small, which spares the sign check of each.
// Before pairs, 58 % of the time of 64 -> 64 went into products, 15 into staging, 14 into weights and 9 into stores. Loading a
// channel's weights between the products of the one before takes a quarter more: both do not fit the registers.
// Winograd's method along the rows, F(4, 3), would take another 8 % off, but doubles the packed weights, 7 MB in the full
// network. In both directions a product has no operand in common with the next, and loading each costs more than multiplying.
// The gradient of the input is the same kernel on dy, with the weights packed by `pack_transposed`.

struct Params {
    n: u32,
    cx: u32, // channels of x
    cr: u32, // channels of r; 0: there is none (bind x again)
    co: u32, // output channels
    h: u32,
    w: u32,
    slope: f32, // of the LeakyReLU; 1: no activation
    factor: f32, // of EPILOGUE: beta or sign
    first: u32, // pack_transposed: first input channel of the weight that is wanted
    count: u32, // pack_transposed: input channels of the weight
    splits: u32, // backward_weight: sums that are added up afterwards
    lanes: u32, // pack and pack_transposed: outputs beside each other
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (N, cx, h, w)
@group(0) @binding(3) var<storage, read> r: array<f32>; // (N, cr, h, w)
@group(0) @binding(4) var<storage, read> w: array<f32>; // (co, cx + cr, 3, 3), or to be transposed (cx, count, 3, 3)
@group(0) @binding(5) var<storage, read> b: array<f32>; // (co)
@group(0) @binding(6) var<storage, read_write> y: array<f32>; // (N, co, h, w)
// Weights: for each `lanes` outputs (cx + cr, 5, lanes) pairs, the taps 2 t and 2 t + 1, 0 for the tenth, and then
// (1, lanes), the bias and 0. For backward_weight dy: (tiles, 32, co) pairs, pixels 2 i and 2 i + 1 of a tile.
@group(0) @binding(7) var<storage, read_write> packed: array<f32>;
@group(0) @binding(8) var<storage, read> packed_in: array<Pair>;

// An element of `packed`: of output o's weights for channel c, or of its bias (c = ci).
struct Place {
    o: u32,
    c: u32,
    tap: u32,
}

fn place(i: u32, ci: u32) -> Place {
    let pair = i / 2u / p.lanes;
    let of_stack = ci * 5u + 1u;
    let c = pair % of_stack / 5u;
    return Place(pair / of_stack * p.lanes + i / 2u % p.lanes, c, pair % of_stack % 5u * 2u + i % 2u);
}

// packed = w[o, c, tap], and b behind the channels. One invocation: one element.
@compute @workgroup_size(256)
fn pack(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    let ci = p.cx + p.cr;
    let e = place(i, ci);
    if i >= arrayLength(&packed) {
        return;
    }
    var v = 0.0;
    if e.o < p.co {
        if e.c < ci && e.tap < 9u {
            v = w[(e.o * ci + e.c) * 9u + e.tap];
        } else if e.c == ci && e.tap == 0u {
            v = b[e.o];
        }
    }
    packed[i] = v;
}

// The weights of dx = conv(dy): packed = w[c, first + o, 8 - tap], since y[c, q] takes w[c, o, k] in[o, q + k], so that
// in[o, s] is seen by dy[c, s - k]; the bias is 0. One invocation: one element.
@compute @workgroup_size(256)
fn pack_transposed(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    let e = place(i, p.cx);
    if i >= arrayLength(&packed) {
        return;
    }
    var v = 0.0;
    if e.o < p.co && e.c < p.cx && e.tap < 9u {
        v = w[(e.c * p.count + p.first + e.o) * 9u + 8u - e.tap];
    }
    packed[i] = v;
}

// The same maps in pairs of columns, for the kernels that end with `_even` and `from_few`.
@group(0) @binding(14) var<storage, read> x_pairs: array<Pair>;
@group(0) @binding(15) var<storage, read> r_pairs: array<Pair>;
@group(0) @binding(16) var<storage, read_write> y_pairs: array<Pair>;

override LANES: u32 = 64u; // output channels of a workgroup, an invocation each
override INPUTS: u32 = 9u; // from_few: channels of x

// few_OUTPUTS, 1: r counts behind its gates, as gate.wgsl applies them.
override GATED: u32 = 0u;
@group(0) @binding(9) var<storage, read> cgate: array<f32>; // (N, cr)
@group(0) @binding(10) var<storage, read> sgate: array<f32>; // (N, 1, h, w)

// forward, 1: also the outputs' statistics (`tiles`).
override STATS: u32 = 0u;

fn activate(v: f32) -> f32 {
    return select(p.slope * v, v, v >= 0.0);
}

fn put(at: u32, inside: bool, v: f32) {
    if inside {
        y[at] = activate(v);
    }
}

fn put_epilogue(at: u32, inside: bool, v: f32) {
    if inside {
        y[at] = epilogue(at, activate(v));
    }
}

// The same for two columns, of which `at` is the first.
fn put_pair(at: u32, inside: bool, v: vec2f) {
    if inside {
        y_pairs[at / 2u] = pair(vec2f(activate(v.x), activate(v.y)));
    }
}

fn put_epilogues(at: u32, inside: bool, v: vec2f) {
    if inside {
        y_pairs[at / 2u] = pair(vec2f(epilogue(at, activate(v.x)), epilogue(at + 1u, activate(v.y))));
    }
}

@group(0) @binding(12) var<storage, read> dy: array<f32>; // (N, co, h, w)
@group(0) @binding(13) var<storage, read_write> sums: array<f32>; // (splits, co, 9 (cx + cr) + 1), the bias last

// packed[tile, pixel / 2, o, pixel % 2] = dy[o, pixel] for `backward_weight`, in whose lanes the outputs are: tiles of 2 rows
// x 32 columns, zero outside the image. One invocation: one pixel.
@compute @workgroup_size(256)
fn spread(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    let across = (p.w + 31u) / 32u;
    let tiles = across * ((p.h + 1u) / 2u);
    let t = i / 64u % tiles;
    let image = i / 64u / tiles;
    if image >= p.n {
        return;
    }
    let row = t / across * 2u + i % 64u / 32u;
    let column = t % across * 32u + i % 32u;
    let inside = row < p.h && column < p.w;
    let at = image * p.co * p.h * p.w + select(0u, row * p.w + column, inside);
    for (var o = 0u; o < p.co; o++) {
        packed[(i / 2u * p.co + o) * 2u + i % 2u] = select(0.0, dy[at + o * p.h * p.w], inside);
    }
}

// backward_weight: y[n, o, q] takes w[o, c, k] in[n, c, q + k] and b[o] once, so
//   dw[o, c, k] = sum_{n, q} dy[n, o, q] in[n, c, q + k],   db[o] = sum_{n, q} dy[n, o, q].
// dy is the gradient before the activation. As in `forward` lane = output channel and the inputs, in the tile, are the same
// for all lanes. The sum is split: the kernel leaves `splits` sums, `conv3x3.reduce_weight` adds them.

// Input channel c of [x, r], 0 past the last.
fn input_at(image: u32, c: u32, at: u32) -> f32 {
    if c < p.cx {
        return x[(image * p.cx + c) * p.h * p.w + at];
    }
    if c < p.cx + p.cr {
        return r[(image * p.cr + c - p.cx) * p.h * p.w + at];
    }
    return 0.0;
}
