enable f16;
alias Act = f16;
fn to_act(v: f32) -> Act {
    return f16(clamp(v, -65504.0, 65504.0));
}
// Put in front of every shader: what changes from run to run, and the index of a one-dimensional grid.
//
// Names: a value that one kernel of a file writes and another reads has two bindings, `gate` to write and `gate_in` to
// read, so that every binding of an entry point is either read-only or written.

struct RunParams {
    seed: vec2u,
    noise_scale: f32,
    clip: f32,
    learning_rate: f32,
    correction1: f32,
    correction2: f32,
    average: f32,
}

@group(0) @binding(0) var<uniform> run: RunParams;

// Index of an invocation in a grid that is folded over x and y (a dimension has at most 65,535 workgroups).
fn linear_index(gid: vec3u, groups: vec3u, workgroup_size: u32) -> u32 {
    return gid.x + gid.y * groups.x * workgroup_size;
}

// The integer nearest to v, |v| < 2^22. Mesa's software driver converts the lanes of a vector one by one.
fn nearest(v: f32) -> i32 {
    return bitcast<i32>(v + 12582912.0) - 0x4b400000; // 1.5 * 2^23, and its bits
}

// a / b, rounded down, a < 2^31, b < 2^30: integers are divided in some twenty instructions on GPUs, and one after the other
// on CPUs. The quotient of floating-point numbers is near in steps of 4096; that of what it leaves is off by 1 at most, and
// put right.
fn quotient(a: u32, b: u32) -> u32 {
    let divisor = f32(i32(b));
    let first = 4096 * nearest(f32(i32(a)) / divisor * (1.0 / 4096.0));
    let rest = i32(a) - first * i32(b);
    let second = nearest(floor(f32(rest) / divisor));
    let left = rest - second * i32(b);
    return u32(first + second + select(0, 1, left >= i32(b)) - select(0, 1, left < 0));
}

var<workgroup> tree: array<f32, 256>;

// Sum of `value` over a workgroup of 256, by a tree: a fixed order, and an error that grows with the logarithm only.
fn tree_sum(lane: u32, value: f32) -> f32 {
    workgroupBarrier(); // an earlier call's result has been read
    tree[lane] = value;
    workgroupBarrier();
    for (var width = 128u; width > 0u; width /= 2u) {
        if lane < width {
            tree[lane] += tree[lane + width];
        }
        workgroupBarrier();
    }
    return tree[0];
}

// Put in front of the convolution's shaders, behind common.wgsl: what their stores do beside, and how a bias is packed.

// What a store makes of an output v: 0: v itself; 1: a + beta v, as add.wgsl; 2: exp(sign tanh(v / 2)), as exp_scale.wgsl;
// 3: a e + v, 4: (a - v) e, as coupling.wgsl. a and e have y's shape; bind any map where unused.
override EPILOGUE: u32 = 0u;
@group(0) @binding(40) var<storage, read> a: array<f32>; // (N, co, h, w)
@group(0) @binding(41) var<storage, read> e: array<f32>; // (N, co, h, w)

fn epilogue(at: u32, v: f32) -> f32 {
    if EPILOGUE == 1u {
        return a[at] + p.factor * v;
    }
    if EPILOGUE == 2u {
        return exp(p.factor * tanh(clamp(0.5 * v, -9.0, 9.0)));
    }
    if EPILOGUE == 3u {
        return a[at] * e[at] + v;
    }
    if EPILOGUE == 4u {
        return (a[at] - v) * e[at];
    }
    return v;
}

// Sums and maxima of the outputs' tiles of 8 x 16 pixels, as channel_attention.wgsl has them; channel o's maxima are at co + o.
@group(0) @binding(42) var<storage, read_write> tiles: array<f32>; // (N, 2 co, ceil(h / 8), ceil(w / 16))

const TILE_ROWS = 8u;
const TILE_COLUMNS = 16u;

fn place_of_stats(image: u32, channel: u32, at: vec2u) -> u32 {
    let down = (p.h + TILE_ROWS - 1u) / TILE_ROWS;
    let across = (p.w + TILE_COLUMNS - 1u) / TILE_COLUMNS;
    return ((image * 2u * p.co + channel) * down + at.y) * across + at.x;
}

// The bias in two parts that f16 holds: its first 11 bits, and the rest so many times larger, as f16's small numbers
// are not exact. Cut by hand, because compilers may leave out a rounding to f16 and back.
const LOSS = 2048.0;

fn first_bits(v: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(v) & 0xffffe000u);
}

// 3x3 convolution, stride 1, zero padding 1, of the concatenation [x, r], with bias and LeakyReLU:
//   y[o, i, j] = act(b[o] + sum_{c, ky, kx} w[o, c, ky, kx] in[c, i + ky - 1, j + kx - 1]),  act(v) = v >= 0 ? v : slope v.
// r is read where it lies instead of being copied into a concatenation; cr = 0: there is none (bind x again).
//
// The kernels `forward` and `forward_hidden` (which differ in the type of y), and the same with the statistics of y, are
// unrolled by src/ops/conv3x3/gpu/tiles.rs and stand behind this text. A workgroup makes 16 x 8 STRIPS pixels of 4 DEPTH
// GROUPS output channels (64 or fewer); an invocation has 8 pixels, one below the other, of 4 DEPTH channels in registers.
// CHUNK input channels at a time, halo and weights lie in workgroup memory; a chunk has channels of x or of r alone. Its
// loads all stand before its first store, so that an invocation waits once for all of them. Where outputs are few, SLICES
// times 16 x STRIPS x GROUPS invocations share the channels of a chunk and add up their sums at the end: a large GPU would
// have too little to do.
//
// Why so: an input channel costs an invocation 30 scalar and 9 DEPTH vec4 loads from workgroup memory for 288 DEPTH
// multiply-adds. A GPU that loads a subgroup's word in the time of four multiply-adds (NVIDIA's) is then bound by
// arithmetic 3 to 1 at DEPTH 2 and 1.8 to 1 at DEPTH 1, which thin outputs take. Neighbouring invocations have
// neighbouring columns: loads and stores of a subgroup are contiguous, its inputs free of bank conflicts, its weights
// the same. The gradient of the input is the same kernel on dy, with the weights packed by `pack_transposed`.

struct Params {
    n: u32,
    cx: u32, // channels of x
    cr: u32, // channels of r
    co: u32, // output channels
    h: u32,
    w: u32,
    slope: f32, // of the LeakyReLU; 1: no activation
    factor: f32, // of EPILOGUE: beta or sign
    columns: u32, // vec4s in a row of the packed weights
    first: u32, // pack_transposed: first input channel wanted
    count: u32, // pack_transposed: input channels of the weight
    splits: u32, // backward_weight: sums that share the pixels
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (N, cx, h, w)
@group(0) @binding(3) var<storage, read> r: array<Act>; // (N, cr, h, w)
@group(0) @binding(4) var<storage, read> w: array<f32>; // (co, cx + cr, 3, 3), or to be transposed (cx, count, 3, 3)
@group(0) @binding(5) var<storage, read> b: array<f32>; // (co)
@group(0) @binding(6) var<storage, read_write> y: array<f32>; // (N, co, h, w)
@group(0) @binding(7) var<storage, read_write> y_hidden: array<Act>; // (N, co, h, w)
@group(0) @binding(8) var<storage, read_write> packed: array<Act>; // (cx + cr, 9, 4 columns), then the bias twice
@group(0) @binding(9) var<storage, read> packed_in: array<vec4<Act>>; // ((cx + cr) 9 + 2, columns)

// packed[c, tap, o] = w[o, c, tap], 0 past the last o. Then the bias in two parts.
// One invocation: one element.
@compute @workgroup_size(256)
fn pack(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    let ci = p.cx + p.cr;
    let row = i / (4u * p.columns);
    let o = i % (4u * p.columns);
    if row >= ci * 9u + 2u {
        return;
    }
    var v = 0.0;
    if o < p.co {
        if row < ci * 9u {
            v = w[o * ci * 9u + row];
        } else {
            let first = first_bits(b[o]);
            v = select(first, LOSS * (b[o] - first), row > ci * 9u);
        }
    }
    packed[i] = to_act(v);
}

// The weights of dx = conv(dy): packed[o, tap, c] = w[o, first + c, 8 - tap], since y[o, q] takes w[o, c, k] in[c, q +
// k], so that in[c, s] is seen by dy[o, s - k]; the bias is 0. dy is the gradient before the activation, and x here; c
// counts only the channels that are wanted, so that x and r each get their own gradient. One invocation: one element.
@compute @workgroup_size(256)
fn pack_transposed(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    let row = i / (4u * p.columns);
    let c = i % (4u * p.columns);
    if row >= p.cx * 9u + 2u {
        return;
    }
    var v = 0.0;
    if row < p.cx * 9u && c < p.co {
        v = w[(row / 9u * p.count + p.first + c) * 9u + 8u - row % 9u];
    }
    packed[i] = to_act(v);
}

override GATED: u32 = 0u; // 1: r counts behind its gates
override GROUPS: u32 = 8u; // of invocations with the same output channels
override DEPTH: u32 = 2u; // vec4s of output channels that an invocation makes: 1 or 2
override STRIPS: u32 = 1u; // of 8 rows, one below the other
override SLICES: u32 = 1u; // of a chunk's channels, 8 at most
override SLICE: u32 = 16u * STRIPS * GROUPS; // invocations of a slice
override INVOCATIONS: u32 = SLICE * SLICES;
override WIDTH: u32 = GROUPS * DEPTH; // vec4s of output channels of a workgroup
override CHUNK: u32 = 4u; // input channels staged at a time: 4, with slices 8

const TILE_W = 18u; // 16 columns and the halo
override TILE: u32 = TILE_W * (8u * STRIPS + 2u);
override EXCHANGE: u32 = 1u + (SLICES + 6u) / 8u * 2u * INVOCATIONS; // 1 where there is one slice

var<workgroup> tile: array<f32, CHUNK * TILE>; // [channel][row][column]
var<workgroup> taps: array<vec4f, CHUNK * 9u * WIDTH>; // [channel][tap][4 output channels]
var<workgroup> exchange: array<vec4f, EXCHANGE>; // [one of two rows][slice][4 output channels][column]

@group(0) @binding(10) var<storage, read> cgate: array<f32>; // (N, cr)
@group(0) @binding(11) var<storage, read> sgate: array<f32>; // (N, 1, h, w)

// A pixel of the tile, which an invocation stages in all channels.
struct Spot {
    inside: bool, // the image, and the tile
    at: u32, // place in a plane, 0 outside
    gate: f32,
}

fn spot(image: u32, corner: vec2u, e: u32) -> Spot {
    // The row above the image wraps around and is out of range, too.
    let row = corner.y + e / TILE_W - 1u;
    let column = corner.x + e % TILE_W - 1u;
    let inside = e < TILE && row < p.h && column < p.w;
    let at = select(0u, row * p.w + column, inside);
    var gate = 1.0;
    if GATED == 1u {
        gate = sgate[image * p.h * p.w + at];
    }
    return Spot(inside, at, gate);
}

fn x_at(image: u32, c: u32, pixel: Spot) -> f32 {
    return x[(image * p.cx + c) * p.h * p.w + pixel.at];
}

// The same of r, behind its gates, as gate.wgsl applies them.
fn r_at(image: u32, c: u32, pixel: Spot) -> f32 {
    let v = f32(r[(image * p.cr + c) * p.h * p.w + pixel.at]);
    if GATED == 1u {
        return v * cgate[image * p.cr + c] * pixel.gate;
    }
    return v;
}

// Weights of a chunk from channel `first` on, for the output channels of `stack`, as they lie in `taps`.
fn weights_at(stack: u32, first: u32, e: u32) -> vec4f {
    return vec4f(packed_in[(first * 9u + e / WIDTH) * p.columns + stack * WIDTH + e % WIDTH]);
}

// Bias of four output channels.
fn bias(column: u32) -> vec4f {
    let at = (p.cx + p.cr) * 9u * p.columns + column;
    return vec4f(packed_in[at]) + vec4f(packed_in[at + p.columns]) / LOSS;
}

// Of `exchange`, what slices left at `at` and so many invocations apart.
fn sum_slices(at: u32) -> vec4f {
    var sum = exchange[at];
    for (var s = 1u; s < SLICES; s++) {
        sum += exchange[at + s * SLICE];
    }
    return sum;
}

fn activate(v: vec4f) -> vec4f {
    return select(p.slope * v, v, v >= vec4f());
}

// forward_stats and forward_hidden_stats: also the outputs' statistics (`tiles`), before y is rounded to f16.

const LOWEST = vec4f(-3.4028234e38);

// Where a column's statistics of the stack's four output channels `v` lie in `taps`, which is free behind the sums.
fn stat_at(v: u32, strip: u32, column: u32) -> u32 {
    return (v * STRIPS + strip) * 16u + column;
}

@group(0) @binding(12) var<storage, read> y_in: array<f32>; // (N, co, h, w)
@group(0) @binding(13) var<storage, read> dy: array<f32>; // (N, co, h, w)
@group(0) @binding(14) var<storage, read_write> dx: array<f32>; // the shape of y

// y = act(v) keeps v's sign for a slope > 0, and for slope 0 is above 0 just where v is, so that y itself says which side
// v was on:
//   dv = dy * act'(v) = dy * (y > 0 ? 1 : slope).
// One invocation: one element; dx is dv.
@compute @workgroup_size(256)
fn activation_backward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.n * p.co * p.h * p.w {
        return;
    }
    dx[i] = dy[i] * select(p.slope, 1.0, y_in[i] > 0.0);
}

// backward_weight: pairs of output channels side by side, four input channels side by side, and parts that share the
// rows.
override PAIRS: u32 = 32u;
override BLOCKS: u32 = 4u;
override HALVES: u32 = 1u; // 2: an invocation has two of a block's four channels
override PARTS: u32 = 1u;
override LINES: u32 = 2u; // rows of a part
override SUMMERS: u32 = PAIRS * BLOCKS * HALVES * PARTS; // invocations
override ROWS: u32 = PARTS * LINES;
override INPUTS: u32 = (ROWS + 2u) * TILE_W;

var<workgroup> inputs: array<vec4f, BLOCKS * INPUTS>; // [block][row][column], 4 input channels a vec4
var<workgroup> dys: array<vec2f, ROWS * 16u * (PAIRS + 1u)>; // dy: [row][column][pair], padded against bank conflicts

@group(0) @binding(15) var<storage, read_write> sums: array<f32>; // (splits, co, 9 (cx + cr) + 1), the bias last

// A place in `inputs` for the tile of pixels at `corner`.
struct Place {
    inside: bool, // the image
    at: u32, // in a plane, 0 outside
    channels: vec4u, // of the map; past the last one that one again, whose sums nobody stores
}

fn place(corner: vec2u, block: u32, e: u32, channels: u32) -> Place {
    let row = corner.y + e % INPUTS / TILE_W - 1u;
    let column = corner.x + e % TILE_W - 1u;
    let inside = row < p.h && column < p.w;
    let c = 4u * (block + e / INPUTS) + vec4u(0u, 1u, 2u, 3u);
    return Place(inside, select(0u, row * p.w + column, inside), min(c, vec4u(channels - 1u)));
}

fn block_of_x(image: u32, q: Place) -> vec4f {
    let at = (image * p.cx + q.channels) * p.h * p.w + q.at;
    return select(vec4f(), vec4f(x[at.x], x[at.y], x[at.z], x[at.w]), q.inside);
}

fn block_of_r(image: u32, q: Place) -> vec4f {
    let at = (image * p.cr + q.channels) * p.h * p.w + q.at;
    return select(vec4f(), vec4f(f32(r[at.x]), f32(r[at.y]), f32(r[at.z]), f32(r[at.w])), q.inside);
}

// Stages three of x's or r's blocks at a time, from number `block` on, for the loads to wait together.
fn stage_x(lane: u32, image: u32, corner: vec2u, block: u32) {
    for (var e = lane; e < BLOCKS * INPUTS; e += 3u * SUMMERS) {
        let v0 = block_of_x(image, place(corner, block, e, p.cx));
        let v1 = block_of_x(image, place(corner, block, e + SUMMERS, p.cx));
        let v2 = block_of_x(image, place(corner, block, e + 2u * SUMMERS, p.cx));
        put_inputs(e, v0, v1, v2);
    }
}

fn stage_r(lane: u32, image: u32, corner: vec2u, block: u32) {
    for (var e = lane; e < BLOCKS * INPUTS; e += 3u * SUMMERS) {
        let v0 = block_of_r(image, place(corner, block, e, p.cr));
        let v1 = block_of_r(image, place(corner, block, e + SUMMERS, p.cr));
        let v2 = block_of_r(image, place(corner, block, e + 2u * SUMMERS, p.cr));
        put_inputs(e, v0, v1, v2);
    }
}

fn put_inputs(e: u32, v0: vec4f, v1: vec4f, v2: vec4f) {
    inputs[e] = v0;
    if e + SUMMERS < BLOCKS * INPUTS {
        inputs[e + SUMMERS] = v1;
    }
    if e + 2u * SUMMERS < BLOCKS * INPUTS {
        inputs[e + 2u * SUMMERS] = v2;
    }
}

// A pixel's dy of a pair of output channels from o on: 0 outside, past the last channel that one again.
fn pair_at(image: u32, o: u32, row: u32, column: u32) -> vec2f {
    let inside = row < p.h && column < p.w;
    let c = image * p.co + min(vec2u(o, o + 1u), vec2u(p.co - 1u));
    let at = c * p.h * p.w + select(0u, row * p.w + column, inside);
    return select(vec2f(), vec2f(dy[at.x], dy[at.y]), inside);
}

// Element e of the tile's dy: the pixel varies fastest, so that neighbours read neighbours.
fn tile_dy(image: u32, o0: u32, corner: vec2u, e: u32) -> vec2f {
    let q = e % (ROWS * 16u);
    return pair_at(image, o0 + 2u * (e / (ROWS * 16u)), corner.y + q / 16u, corner.x + q % 16u);
}

fn put_dy(e: u32, v: vec2f) {
    if e < ROWS * 16u * PAIRS {
        dys[e % (ROWS * 16u) * (PAIRS + 1u) + e / (ROWS * 16u)] = v;
    }
}

fn stage_dy(lane: u32, image: u32, o0: u32, corner: vec2u) {
    for (var e = lane; e < ROWS * 16u * PAIRS; e += 4u * SUMMERS) {
        let v0 = tile_dy(image, o0, corner, e);
        let v1 = tile_dy(image, o0, corner, e + SUMMERS);
        let v2 = tile_dy(image, o0, corner, e + 2u * SUMMERS);
        let v3 = tile_dy(image, o0, corner, e + 3u * SUMMERS);
        put_dy(e, v0);
        put_dy(e + SUMMERS, v1);
        put_dy(e + 2u * SUMMERS, v2);
        put_dy(e + 3u * SUMMERS, v3);
    }
}

// Of the first and the second output channel: [tap], 4 input channels a vec4. Of halves both are in the first, 2 input
// channels each.
var<private> sums0: array<vec4f, 9>;
var<private> sums1: array<vec4f, 9>;

// One column of inputs with the dy of its own column and of the two before it.
fn add_taps(at: u32, upper: u32, d0: vec2f, d1: vec2f, d2: vec2f) {
    if HALVES == 2u {
        add_taps_of_half(at, 2u * upper, d0.xxyy, d1.xxyy, d2.xxyy);
    } else {
        add_taps_of_block(at, d0, d1, d2);
    }
}

// A column's two input channels from c on, once for each output channel.
fn two_inputs(at: u32, c: u32) -> vec4f {
    return vec2f(inputs[at][c], inputs[at][c + 1u]).xyxy;
}

fn add_taps_of_half(at: u32, c: u32, d0: vec4f, d1: vec4f, d2: vec4f) {
    let v0 = two_inputs(at, c);
    let v1 = two_inputs(at + TILE_W, c);
    let v2 = two_inputs(at + 2u * TILE_W, c);
    sums0[0] = fma(d0, v0, sums0[0]);
    sums0[1] = fma(d1, v0, sums0[1]);
    sums0[2] = fma(d2, v0, sums0[2]);
    sums0[3] = fma(d0, v1, sums0[3]);
    sums0[4] = fma(d1, v1, sums0[4]);
    sums0[5] = fma(d2, v1, sums0[5]);
    sums0[6] = fma(d0, v2, sums0[6]);
    sums0[7] = fma(d1, v2, sums0[7]);
    sums0[8] = fma(d2, v2, sums0[8]);
}

fn add_taps_of_block(at: u32, d0: vec2f, d1: vec2f, d2: vec2f) {
    let v0 = inputs[at];
    let v1 = inputs[at + TILE_W];
    let v2 = inputs[at + 2u * TILE_W];
    sums0[0] = fma(vec4f(d0.x), v0, sums0[0]);
    sums0[1] = fma(vec4f(d1.x), v0, sums0[1]);
    sums0[2] = fma(vec4f(d2.x), v0, sums0[2]);
    sums0[3] = fma(vec4f(d0.x), v1, sums0[3]);
    sums0[4] = fma(vec4f(d1.x), v1, sums0[4]);
    sums0[5] = fma(vec4f(d2.x), v1, sums0[5]);
    sums0[6] = fma(vec4f(d0.x), v2, sums0[6]);
    sums0[7] = fma(vec4f(d1.x), v2, sums0[7]);
    sums0[8] = fma(vec4f(d2.x), v2, sums0[8]);
    sums1[0] = fma(vec4f(d0.y), v0, sums1[0]);
    sums1[1] = fma(vec4f(d1.y), v0, sums1[1]);
    sums1[2] = fma(vec4f(d2.y), v0, sums1[2]);
    sums1[3] = fma(vec4f(d0.y), v1, sums1[3]);
    sums1[4] = fma(vec4f(d1.y), v1, sums1[4]);
    sums1[5] = fma(vec4f(d2.y), v1, sums1[5]);
    sums1[6] = fma(vec4f(d0.y), v2, sums1[6]);
    sums1[7] = fma(vec4f(d1.y), v2, sums1[7]);
    sums1[8] = fma(vec4f(d2.y), v2, sums1[8]);
}

// The sums of a tap and of the first or the second output channel.
fn first_sum(tap: u32) -> vec4f {
    if HALVES == 2u {
        return vec4f(sums0[tap].xy, vec2f());
    }
    return sums0[tap];
}

fn second_sum(tap: u32) -> vec4f {
    if HALVES == 2u {
        return vec4f(sums0[tap].zw, vec2f());
    }
    return sums1[tap];
}

// Stores a tap's sums of `channels` (1 to 4) input channels.
fn put_sum(at: u32, channels: u32, v: vec4f) {
    sums[at] = v.x;
    if channels > 1u {
        sums[at + 9u] = v.y;
    }
    if channels > 2u {
        sums[at + 18u] = v.z;
    }
    if channels > 3u {
        sums[at + 27u] = v.w;
    }
}

// y[n, o, q] takes w[o, c, k] in[n, c, q + k] and b[o] once, so
//   dw[o, c, k] = sum_{n, q} dy[n, o, q] in[n, c, q + k],   db[o] = sum_{n, q} dy[n, o, q].
// dy is the gradient before the activation. The sum is split: this kernel leaves `splits` sums, `reduce_weight` adds
// them. A workgroup walks over every (splits / PARTS)-th tile of pixels, 16 columns x ROWS rows, with 2 PAIRS output
// and 4 BLOCKS input channels; an invocation has two outputs x 4 (of HALVES 2) input channels x 9 taps and LINES of the
// rows, and walks along them with one column of inputs and the three dy that it meets in registers: 4 loads for 72
// multiply-adds, of halves 7 words for 36.
// Grid: (ceil(co / (2 PAIRS)), ceil(cx / (4 BLOCKS)) + ceil(cr / (4 BLOCKS)), splits / PARTS) workgroups.
@compute @workgroup_size(SUMMERS)
fn backward_weight(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let ci = p.cx + p.cr;
    let pair = lane % PAIRS;
    let upper = lane / PAIRS % HALVES;
    let block = lane / (PAIRS * HALVES) % BLOCKS;
    // Said to be 0 where it is: some compilers then know more.
    var part = 0u;
    if PARTS > 1u {
        part = lane / (PAIRS * HALVES * BLOCKS);
    }
    let o0 = group.x * 2u * PAIRS;
    // Workgroups for the blocks of x come first; none has blocks of both.
    let groups_of_x = (p.cx + 4u * BLOCKS - 1u) / (4u * BLOCKS);
    let of_x = group.y < groups_of_x;
    let first = select(group.y - groups_of_x, group.y, of_x) * BLOCKS;
    let across = (p.w + 15u) / 16u;
    let tiles = across * ((p.h + ROWS - 1u) / ROWS);
    var bias = vec2f();
    for (var t = group.z; t < p.n * tiles; t += p.splits / PARTS) {
        let image = t / tiles;
        let corner = vec2u(t % tiles % across * 16u, t % tiles / across * ROWS);
        workgroupBarrier();
        if of_x {
            stage_x(lane, image, corner, first);
        } else {
            stage_r(lane, image, corner, first);
        }
        stage_dy(lane, image, o0, corner);
        workgroupBarrier();
        for (var i = LINES * part; i < LINES * part + LINES; i++) {
            // Column j of the halo meets dy of columns j, j - 1 and j - 2 (taps 0, 1, 2); outside 0..15 there is none.
            // Unrolled by three, so that they need not move; column 15's are met last by column 17.
            var d1 = vec2f();
            var d2 = vec2f();
            let line = i * 16u * (PAIRS + 1u) + pair;
            for (var j = 0u; j < 15u; j += 3u) {
                let at = block * INPUTS + i * TILE_W + j;
                let d = line + j * (PAIRS + 1u);
                let d3 = dys[d];
                add_taps(at, upper, d3, d1, d2);
                let d4 = dys[d + PAIRS + 1u];
                add_taps(at + 1u, upper, d4, d3, d1);
                d2 = d4;
                d1 = dys[d + 2u * (PAIRS + 1u)];
                add_taps(at + 2u, upper, d1, d4, d3);
                bias += d3 + d4 + d1;
            }
            let at = block * INPUTS + i * TILE_W + 15u;
            let d3 = dys[line + 15u * (PAIRS + 1u)];
            add_taps(at, upper, d3, d1, d2);
            add_taps(at + 1u, upper, vec2f(), d3, d1);
            add_taps(at + 2u, upper, vec2f(), vec2f(), d3);
            bias += d3;
        }
    }
    let o = o0 + 2u * pair;
    let own = 4u * (first + block) + 2u * upper; // channel of its map
    let c = select(p.cx, 0u, of_x) + own;
    let left = select(p.cr, p.cx, of_x) - min(own, select(p.cr, p.cx, of_x)); // channels from there on
    let out = ((group.z * PARTS + part) * p.co + o) * (ci * 9u + 1u);
    if o < p.co && left > 0u {
        let at = out + c * 9u;
        let channels = min(left, 4u / HALVES);
        put_sum(at, channels, first_sum(0u));
        put_sum(at + 1u, channels, first_sum(1u));
        put_sum(at + 2u, channels, first_sum(2u));
        put_sum(at + 3u, channels, first_sum(3u));
        put_sum(at + 4u, channels, first_sum(4u));
        put_sum(at + 5u, channels, first_sum(5u));
        put_sum(at + 6u, channels, first_sum(6u));
        put_sum(at + 7u, channels, first_sum(7u));
        put_sum(at + 8u, channels, first_sum(8u));
    }
    if o + 1u < p.co && left > 0u {
        let at = out + ci * 9u + 1u + c * 9u;
        let channels = min(left, 4u / HALVES);
        put_sum(at, channels, second_sum(0u));
        put_sum(at + 1u, channels, second_sum(1u));
        put_sum(at + 2u, channels, second_sum(2u));
        put_sum(at + 3u, channels, second_sum(3u));
        put_sum(at + 4u, channels, second_sum(4u));
        put_sum(at + 5u, channels, second_sum(5u));
        put_sum(at + 6u, channels, second_sum(6u));
        put_sum(at + 7u, channels, second_sum(7u));
        put_sum(at + 8u, channels, second_sum(8u));
    }
    if c == 0u {
        if o < p.co {
            sums[out + ci * 9u] = bias.x;
        }
        if o + 1u < p.co {
            sums[out + (ci * 9u + 1u) + ci * 9u] = bias.y;
        }
    }
}

@group(0) @binding(16) var<storage, read> sums_in: array<f32>; // (splits, co, 9 (cx + cr) + 1)
@group(0) @binding(17) var<storage, read_write> dw: array<f32>; // (co, cx + cr, 3, 3)
@group(0) @binding(18) var<storage, read_write> db: array<f32>; // (co)

const ELEMENTS = 32u; // of dw and db a workgroup
const SHARES = 8u; // of the splits, each added up by an invocation

var<workgroup> shares: array<f32, ELEMENTS * SHARES>;

// Adds the splits of `backward_weight`, in an order that depends on their number alone. One workgroup: ELEMENTS of dw
// or db.
@compute @workgroup_size(256)
fn reduce_weight(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let row = (p.cx + p.cr) * 9u + 1u;
    let count = p.co * row;
    let i = group.x * ELEMENTS + lane % ELEMENTS;
    var sum = 0.0;
    if i < count {
        var s = lane / ELEMENTS;
        // Four loads at a time wait together.
        for (; s + 3u * SHARES < p.splits; s += 4u * SHARES) {
            let at = s * count + i;
            let step = SHARES * count;
            sum += (sums_in[at] + sums_in[at + step]) + (sums_in[at + 2u * step] + sums_in[at + 3u * step]);
        }
        for (; s < p.splits; s += SHARES) {
            sum += sums_in[s * count + i];
        }
    }
    shares[lane] = sum;
    workgroupBarrier();
    if lane >= ELEMENTS || i >= count {
        return;
    }
    for (var s = 1u; s < SHARES; s++) {
        sum += shares[s * ELEMENTS + lane];
    }
    if i % row == row - 1u {
        db[i / row] = sum;
    } else {
        dw[i / row * (row - 1u) + i % row] = sum;
    }
}

fn put(image: u32, o: u32, row: u32, column: u32, sums: vec4f) {
    if row >= p.h || column >= p.w {
        return;
    }
    let v = activate(sums);
    let plane = p.h * p.w;
    let at = (image * p.co + o) * plane + row * p.w + column;
    if o + 0u < p.co {
        y[at + 0u * plane] = epilogue(at + 0u * plane, v.x);
    }
    if o + 1u < p.co {
        y[at + 1u * plane] = epilogue(at + 1u * plane, v.y);
    }
    if o + 2u < p.co {
        y[at + 2u * plane] = epilogue(at + 2u * plane, v.z);
    }
    if o + 3u < p.co {
        y[at + 3u * plane] = epilogue(at + 3u * plane, v.w);
    }
}

fn put_plain(image: u32, o: u32, row: u32, column: u32, sums: vec4f) {
    if row >= p.h || column >= p.w {
        return;
    }
    let v = activate(sums);
    let plane = p.h * p.w;
    let at = (image * p.co + o) * plane + row * p.w + column;
    if o + 0u < p.co {
        y[at + 0u * plane] = v.x;
    }
    if o + 1u < p.co {
        y[at + 1u * plane] = v.y;
    }
    if o + 2u < p.co {
        y[at + 2u * plane] = v.z;
    }
    if o + 3u < p.co {
        y[at + 3u * plane] = v.w;
    }
}

fn put_hidden(image: u32, o: u32, row: u32, column: u32, sums: vec4f) {
    if row >= p.h || column >= p.w {
        return;
    }
    let v = activate(sums);
    let plane = p.h * p.w;
    let at = (image * p.co + o) * plane + row * p.w + column;
    if o + 0u < p.co {
        y_hidden[at + 0u * plane] = to_act(v.x);
    }
    if o + 1u < p.co {
        y_hidden[at + 1u * plane] = to_act(v.y);
    }
    if o + 2u < p.co {
        y_hidden[at + 2u * plane] = to_act(v.z);
    }
    if o + 3u < p.co {
        y_hidden[at + 3u * plane] = to_act(v.w);
    }
}

@compute @workgroup_size(INVOCATIONS)
fn forward(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let ci = p.cx + p.cr;
    let stacks = p.columns / WIDTH;
    let image = group.z / stacks;
    let stack = group.z % stacks;
    let corner = group.xy * vec2u(16u, 8u * STRIPS);
    // Said to be 0 where it is: some compilers then know more.
    var slice = 0u;
    if SLICES > 1u {
        slice = lane / SLICE;
    }
    let strip = lane / 16u % STRIPS;
    let own = lane % SLICE / (16u * STRIPS) * DEPTH; // its first vec4 of output channels in the stack
    var bias0 = bias(stack * WIDTH + own);
    let bias1 = bias(stack * WIDTH + own + DEPTH - 1u);
    if slice > 0u {
        bias0 = vec4f();
    }
    var a00 = bias0;
    var a01 = bias0;
    var a02 = bias0;
    var a03 = bias0;
    var a04 = bias0;
    var a05 = bias0;
    var a06 = bias0;
    var a07 = bias0;
    var a10 = bias1;
    var a11 = bias1;
    var a12 = bias1;
    var a13 = bias1;
    var a14 = bias1;
    var a15 = bias1;
    var a16 = bias1;
    var a17 = bias1;
    let spot0 = spot(image, corner, lane + 0u * INVOCATIONS);
    let spot1 = spot(image, corner, lane + 1u * INVOCATIONS);
    let spot2 = spot(image, corner, lane + 2u * INVOCATIONS);
    let spot3 = spot(image, corner, lane + 3u * INVOCATIONS);
    let spot4 = spot(image, corner, lane + 4u * INVOCATIONS);
    var first = 0u;
    while first < ci {
        let channels = min(CHUNK, select(ci, p.cx, first < p.cx) - first);
        let last = channels - 1u;
        var v0_0 = 0.0;
        var v1_0 = 0.0;
        var v2_0 = 0.0;
        var v3_0 = 0.0;
        var v4_0 = 0.0;
        var v0_1 = 0.0;
        var v1_1 = 0.0;
        var v2_1 = 0.0;
        var v3_1 = 0.0;
        var v4_1 = 0.0;
        var v0_2 = 0.0;
        var v1_2 = 0.0;
        var v2_2 = 0.0;
        var v3_2 = 0.0;
        var v4_2 = 0.0;
        var v0_3 = 0.0;
        var v1_3 = 0.0;
        var v2_3 = 0.0;
        var v3_3 = 0.0;
        var v4_3 = 0.0;
        var v0_4 = 0.0;
        var v1_4 = 0.0;
        var v0_5 = 0.0;
        var v1_5 = 0.0;
        var v0_6 = 0.0;
        var v1_6 = 0.0;
        var v0_7 = 0.0;
        var v1_7 = 0.0;
        if first < p.cx {
        if 0u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_0 = x_at(image, first + min(0u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_0 = x_at(image, first + min(0u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_0 = x_at(image, first + min(0u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_0 = x_at(image, first + min(0u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_0 = x_at(image, first + min(0u, last), spot4); }
        }
        if 1u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_1 = x_at(image, first + min(1u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_1 = x_at(image, first + min(1u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_1 = x_at(image, first + min(1u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_1 = x_at(image, first + min(1u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_1 = x_at(image, first + min(1u, last), spot4); }
        }
        if 2u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_2 = x_at(image, first + min(2u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_2 = x_at(image, first + min(2u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_2 = x_at(image, first + min(2u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_2 = x_at(image, first + min(2u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_2 = x_at(image, first + min(2u, last), spot4); }
        }
        if 3u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_3 = x_at(image, first + min(3u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_3 = x_at(image, first + min(3u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_3 = x_at(image, first + min(3u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_3 = x_at(image, first + min(3u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_3 = x_at(image, first + min(3u, last), spot4); }
        }
        if 4u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_4 = x_at(image, first + min(4u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_4 = x_at(image, first + min(4u, last), spot1); }
        }
        if 5u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_5 = x_at(image, first + min(5u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_5 = x_at(image, first + min(5u, last), spot1); }
        }
        if 6u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_6 = x_at(image, first + min(6u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_6 = x_at(image, first + min(6u, last), spot1); }
        }
        if 7u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_7 = x_at(image, first + min(7u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_7 = x_at(image, first + min(7u, last), spot1); }
        }
        } else {
        if 0u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_0 = r_at(image, first - p.cx + min(0u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_0 = r_at(image, first - p.cx + min(0u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_0 = r_at(image, first - p.cx + min(0u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_0 = r_at(image, first - p.cx + min(0u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_0 = r_at(image, first - p.cx + min(0u, last), spot4); }
        }
        if 1u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_1 = r_at(image, first - p.cx + min(1u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_1 = r_at(image, first - p.cx + min(1u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_1 = r_at(image, first - p.cx + min(1u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_1 = r_at(image, first - p.cx + min(1u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_1 = r_at(image, first - p.cx + min(1u, last), spot4); }
        }
        if 2u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_2 = r_at(image, first - p.cx + min(2u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_2 = r_at(image, first - p.cx + min(2u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_2 = r_at(image, first - p.cx + min(2u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_2 = r_at(image, first - p.cx + min(2u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_2 = r_at(image, first - p.cx + min(2u, last), spot4); }
        }
        if 3u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_3 = r_at(image, first - p.cx + min(3u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_3 = r_at(image, first - p.cx + min(3u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_3 = r_at(image, first - p.cx + min(3u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_3 = r_at(image, first - p.cx + min(3u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_3 = r_at(image, first - p.cx + min(3u, last), spot4); }
        }
        if 4u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_4 = r_at(image, first - p.cx + min(4u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_4 = r_at(image, first - p.cx + min(4u, last), spot1); }
        }
        if 5u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_5 = r_at(image, first - p.cx + min(5u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_5 = r_at(image, first - p.cx + min(5u, last), spot1); }
        }
        if 6u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_6 = r_at(image, first - p.cx + min(6u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_6 = r_at(image, first - p.cx + min(6u, last), spot1); }
        }
        if 7u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_7 = r_at(image, first - p.cx + min(7u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_7 = r_at(image, first - p.cx + min(7u, last), spot1); }
        }
        }
        var t0 = vec4f();
        if 0u * INVOCATIONS < CHUNK * 9u * WIDTH { t0 = weights_at(stack, first, min(lane + 0u * INVOCATIONS, channels * 9u * WIDTH - 1u)); }
        var t1 = vec4f();
        if 1u * INVOCATIONS < CHUNK * 9u * WIDTH { t1 = weights_at(stack, first, min(lane + 1u * INVOCATIONS, channels * 9u * WIDTH - 1u)); }
        var t2 = vec4f();
        if 2u * INVOCATIONS < CHUNK * 9u * WIDTH { t2 = weights_at(stack, first, min(lane + 2u * INVOCATIONS, channels * 9u * WIDTH - 1u)); }
        var t3 = vec4f();
        if 3u * INVOCATIONS < CHUNK * 9u * WIDTH { t3 = weights_at(stack, first, min(lane + 3u * INVOCATIONS, channels * 9u * WIDTH - 1u)); }
        var t4 = vec4f();
        if 4u * INVOCATIONS < CHUNK * 9u * WIDTH { t4 = weights_at(stack, first, min(lane + 4u * INVOCATIONS, channels * 9u * WIDTH - 1u)); }
        workgroupBarrier();
        if 0u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[0u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_0, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[0u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_0, spot1.inside); }
        if lane + 2u * INVOCATIONS < TILE { tile[0u * TILE + lane + 2u * INVOCATIONS] = select(0.0, v2_0, spot2.inside); }
        if lane + 3u * INVOCATIONS < TILE { tile[0u * TILE + lane + 3u * INVOCATIONS] = select(0.0, v3_0, spot3.inside); }
        if lane + 4u * INVOCATIONS < TILE { tile[0u * TILE + lane + 4u * INVOCATIONS] = select(0.0, v4_0, spot4.inside); }
        }
        if 1u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[1u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_1, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[1u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_1, spot1.inside); }
        if lane + 2u * INVOCATIONS < TILE { tile[1u * TILE + lane + 2u * INVOCATIONS] = select(0.0, v2_1, spot2.inside); }
        if lane + 3u * INVOCATIONS < TILE { tile[1u * TILE + lane + 3u * INVOCATIONS] = select(0.0, v3_1, spot3.inside); }
        if lane + 4u * INVOCATIONS < TILE { tile[1u * TILE + lane + 4u * INVOCATIONS] = select(0.0, v4_1, spot4.inside); }
        }
        if 2u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[2u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_2, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[2u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_2, spot1.inside); }
        if lane + 2u * INVOCATIONS < TILE { tile[2u * TILE + lane + 2u * INVOCATIONS] = select(0.0, v2_2, spot2.inside); }
        if lane + 3u * INVOCATIONS < TILE { tile[2u * TILE + lane + 3u * INVOCATIONS] = select(0.0, v3_2, spot3.inside); }
        if lane + 4u * INVOCATIONS < TILE { tile[2u * TILE + lane + 4u * INVOCATIONS] = select(0.0, v4_2, spot4.inside); }
        }
        if 3u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[3u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_3, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[3u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_3, spot1.inside); }
        if lane + 2u * INVOCATIONS < TILE { tile[3u * TILE + lane + 2u * INVOCATIONS] = select(0.0, v2_3, spot2.inside); }
        if lane + 3u * INVOCATIONS < TILE { tile[3u * TILE + lane + 3u * INVOCATIONS] = select(0.0, v3_3, spot3.inside); }
        if lane + 4u * INVOCATIONS < TILE { tile[3u * TILE + lane + 4u * INVOCATIONS] = select(0.0, v4_3, spot4.inside); }
        }
        if 4u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[4u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_4, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[4u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_4, spot1.inside); }
        }
        if 5u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[5u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_5, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[5u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_5, spot1.inside); }
        }
        if 6u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[6u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_6, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[6u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_6, spot1.inside); }
        }
        if 7u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[7u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_7, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[7u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_7, spot1.inside); }
        }
        if lane + 0u * INVOCATIONS < CHUNK * 9u * WIDTH { taps[lane + 0u * INVOCATIONS] = t0; }
        if lane + 1u * INVOCATIONS < CHUNK * 9u * WIDTH { taps[lane + 1u * INVOCATIONS] = t1; }
        if lane + 2u * INVOCATIONS < CHUNK * 9u * WIDTH { taps[lane + 2u * INVOCATIONS] = t2; }
        if lane + 3u * INVOCATIONS < CHUNK * 9u * WIDTH { taps[lane + 3u * INVOCATIONS] = t3; }
        if lane + 4u * INVOCATIONS < CHUNK * 9u * WIDTH { taps[lane + 4u * INVOCATIONS] = t4; }
        workgroupBarrier();
        for (var c = slice; c < channels; c += SLICES) {
            let t = c * TILE + strip * 8u * TILE_W + lane % 16u;
            let k = c * 9u * WIDTH + own;
            {
                let v0 = tile[t + 0u];
                let v1 = tile[t + 18u];
                let v2 = tile[t + 36u];
                let v3 = tile[t + 54u];
                let v4 = tile[t + 72u];
                let v5 = tile[t + 90u];
                let v6 = tile[t + 108u];
                let v7 = tile[t + 126u];
                let v8 = tile[t + 144u];
                let v9 = tile[t + 162u];
                let w0 = taps[k + 0u * WIDTH];
                a00 = fma(vec4f(v0), w0, a00);
                a01 = fma(vec4f(v1), w0, a01);
                a02 = fma(vec4f(v2), w0, a02);
                a03 = fma(vec4f(v3), w0, a03);
                a04 = fma(vec4f(v4), w0, a04);
                a05 = fma(vec4f(v5), w0, a05);
                a06 = fma(vec4f(v6), w0, a06);
                a07 = fma(vec4f(v7), w0, a07);
                if DEPTH > 1u {
                    let w = taps[k + 0u * WIDTH + 1u];
                    a10 = fma(vec4f(v0), w, a10);
                    a11 = fma(vec4f(v1), w, a11);
                    a12 = fma(vec4f(v2), w, a12);
                    a13 = fma(vec4f(v3), w, a13);
                    a14 = fma(vec4f(v4), w, a14);
                    a15 = fma(vec4f(v5), w, a15);
                    a16 = fma(vec4f(v6), w, a16);
                    a17 = fma(vec4f(v7), w, a17);
                }
                let w1 = taps[k + 3u * WIDTH];
                a00 = fma(vec4f(v1), w1, a00);
                a01 = fma(vec4f(v2), w1, a01);
                a02 = fma(vec4f(v3), w1, a02);
                a03 = fma(vec4f(v4), w1, a03);
                a04 = fma(vec4f(v5), w1, a04);
                a05 = fma(vec4f(v6), w1, a05);
                a06 = fma(vec4f(v7), w1, a06);
                a07 = fma(vec4f(v8), w1, a07);
                if DEPTH > 1u {
                    let w = taps[k + 3u * WIDTH + 1u];
                    a10 = fma(vec4f(v1), w, a10);
                    a11 = fma(vec4f(v2), w, a11);
                    a12 = fma(vec4f(v3), w, a12);
                    a13 = fma(vec4f(v4), w, a13);
                    a14 = fma(vec4f(v5), w, a14);
                    a15 = fma(vec4f(v6), w, a15);
                    a16 = fma(vec4f(v7), w, a16);
                    a17 = fma(vec4f(v8), w, a17);
                }
                let w2 = taps[k + 6u * WIDTH];
                a00 = fma(vec4f(v2), w2, a00);
                a01 = fma(vec4f(v3), w2, a01);
                a02 = fma(vec4f(v4), w2, a02);
                a03 = fma(vec4f(v5), w2, a03);
                a04 = fma(vec4f(v6), w2, a04);
                a05 = fma(vec4f(v7), w2, a05);
                a06 = fma(vec4f(v8), w2, a06);
                a07 = fma(vec4f(v9), w2, a07);
                if DEPTH > 1u {
                    let w = taps[k + 6u * WIDTH + 1u];
                    a10 = fma(vec4f(v2), w, a10);
                    a11 = fma(vec4f(v3), w, a11);
                    a12 = fma(vec4f(v4), w, a12);
                    a13 = fma(vec4f(v5), w, a13);
                    a14 = fma(vec4f(v6), w, a14);
                    a15 = fma(vec4f(v7), w, a15);
                    a16 = fma(vec4f(v8), w, a16);
                    a17 = fma(vec4f(v9), w, a17);
                }
            }
            {
                let v0 = tile[t + 1u];
                let v1 = tile[t + 19u];
                let v2 = tile[t + 37u];
                let v3 = tile[t + 55u];
                let v4 = tile[t + 73u];
                let v5 = tile[t + 91u];
                let v6 = tile[t + 109u];
                let v7 = tile[t + 127u];
                let v8 = tile[t + 145u];
                let v9 = tile[t + 163u];
                let w0 = taps[k + 1u * WIDTH];
                a00 = fma(vec4f(v0), w0, a00);
                a01 = fma(vec4f(v1), w0, a01);
                a02 = fma(vec4f(v2), w0, a02);
                a03 = fma(vec4f(v3), w0, a03);
                a04 = fma(vec4f(v4), w0, a04);
                a05 = fma(vec4f(v5), w0, a05);
                a06 = fma(vec4f(v6), w0, a06);
                a07 = fma(vec4f(v7), w0, a07);
                if DEPTH > 1u {
                    let w = taps[k + 1u * WIDTH + 1u];
                    a10 = fma(vec4f(v0), w, a10);
                    a11 = fma(vec4f(v1), w, a11);
                    a12 = fma(vec4f(v2), w, a12);
                    a13 = fma(vec4f(v3), w, a13);
                    a14 = fma(vec4f(v4), w, a14);
                    a15 = fma(vec4f(v5), w, a15);
                    a16 = fma(vec4f(v6), w, a16);
                    a17 = fma(vec4f(v7), w, a17);
                }
                let w1 = taps[k + 4u * WIDTH];
                a00 = fma(vec4f(v1), w1, a00);
                a01 = fma(vec4f(v2), w1, a01);
                a02 = fma(vec4f(v3), w1, a02);
                a03 = fma(vec4f(v4), w1, a03);
                a04 = fma(vec4f(v5), w1, a04);
                a05 = fma(vec4f(v6), w1, a05);
                a06 = fma(vec4f(v7), w1, a06);
                a07 = fma(vec4f(v8), w1, a07);
                if DEPTH > 1u {
                    let w = taps[k + 4u * WIDTH + 1u];
                    a10 = fma(vec4f(v1), w, a10);
                    a11 = fma(vec4f(v2), w, a11);
                    a12 = fma(vec4f(v3), w, a12);
                    a13 = fma(vec4f(v4), w, a13);
                    a14 = fma(vec4f(v5), w, a14);
                    a15 = fma(vec4f(v6), w, a15);
                    a16 = fma(vec4f(v7), w, a16);
                    a17 = fma(vec4f(v8), w, a17);
                }
                let w2 = taps[k + 7u * WIDTH];
                a00 = fma(vec4f(v2), w2, a00);
                a01 = fma(vec4f(v3), w2, a01);
                a02 = fma(vec4f(v4), w2, a02);
                a03 = fma(vec4f(v5), w2, a03);
                a04 = fma(vec4f(v6), w2, a04);
                a05 = fma(vec4f(v7), w2, a05);
                a06 = fma(vec4f(v8), w2, a06);
                a07 = fma(vec4f(v9), w2, a07);
                if DEPTH > 1u {
                    let w = taps[k + 7u * WIDTH + 1u];
                    a10 = fma(vec4f(v2), w, a10);
                    a11 = fma(vec4f(v3), w, a11);
                    a12 = fma(vec4f(v4), w, a12);
                    a13 = fma(vec4f(v5), w, a13);
                    a14 = fma(vec4f(v6), w, a14);
                    a15 = fma(vec4f(v7), w, a15);
                    a16 = fma(vec4f(v8), w, a16);
                    a17 = fma(vec4f(v9), w, a17);
                }
            }
            {
                let v0 = tile[t + 2u];
                let v1 = tile[t + 20u];
                let v2 = tile[t + 38u];
                let v3 = tile[t + 56u];
                let v4 = tile[t + 74u];
                let v5 = tile[t + 92u];
                let v6 = tile[t + 110u];
                let v7 = tile[t + 128u];
                let v8 = tile[t + 146u];
                let v9 = tile[t + 164u];
                let w0 = taps[k + 2u * WIDTH];
                a00 = fma(vec4f(v0), w0, a00);
                a01 = fma(vec4f(v1), w0, a01);
                a02 = fma(vec4f(v2), w0, a02);
                a03 = fma(vec4f(v3), w0, a03);
                a04 = fma(vec4f(v4), w0, a04);
                a05 = fma(vec4f(v5), w0, a05);
                a06 = fma(vec4f(v6), w0, a06);
                a07 = fma(vec4f(v7), w0, a07);
                if DEPTH > 1u {
                    let w = taps[k + 2u * WIDTH + 1u];
                    a10 = fma(vec4f(v0), w, a10);
                    a11 = fma(vec4f(v1), w, a11);
                    a12 = fma(vec4f(v2), w, a12);
                    a13 = fma(vec4f(v3), w, a13);
                    a14 = fma(vec4f(v4), w, a14);
                    a15 = fma(vec4f(v5), w, a15);
                    a16 = fma(vec4f(v6), w, a16);
                    a17 = fma(vec4f(v7), w, a17);
                }
                let w1 = taps[k + 5u * WIDTH];
                a00 = fma(vec4f(v1), w1, a00);
                a01 = fma(vec4f(v2), w1, a01);
                a02 = fma(vec4f(v3), w1, a02);
                a03 = fma(vec4f(v4), w1, a03);
                a04 = fma(vec4f(v5), w1, a04);
                a05 = fma(vec4f(v6), w1, a05);
                a06 = fma(vec4f(v7), w1, a06);
                a07 = fma(vec4f(v8), w1, a07);
                if DEPTH > 1u {
                    let w = taps[k + 5u * WIDTH + 1u];
                    a10 = fma(vec4f(v1), w, a10);
                    a11 = fma(vec4f(v2), w, a11);
                    a12 = fma(vec4f(v3), w, a12);
                    a13 = fma(vec4f(v4), w, a13);
                    a14 = fma(vec4f(v5), w, a14);
                    a15 = fma(vec4f(v6), w, a15);
                    a16 = fma(vec4f(v7), w, a16);
                    a17 = fma(vec4f(v8), w, a17);
                }
                let w2 = taps[k + 8u * WIDTH];
                a00 = fma(vec4f(v2), w2, a00);
                a01 = fma(vec4f(v3), w2, a01);
                a02 = fma(vec4f(v4), w2, a02);
                a03 = fma(vec4f(v5), w2, a03);
                a04 = fma(vec4f(v6), w2, a04);
                a05 = fma(vec4f(v7), w2, a05);
                a06 = fma(vec4f(v8), w2, a06);
                a07 = fma(vec4f(v9), w2, a07);
                if DEPTH > 1u {
                    let w = taps[k + 8u * WIDTH + 1u];
                    a10 = fma(vec4f(v2), w, a10);
                    a11 = fma(vec4f(v3), w, a11);
                    a12 = fma(vec4f(v4), w, a12);
                    a13 = fma(vec4f(v5), w, a13);
                    a14 = fma(vec4f(v6), w, a14);
                    a15 = fma(vec4f(v7), w, a15);
                    a16 = fma(vec4f(v8), w, a16);
                    a17 = fma(vec4f(v9), w, a17);
                }
            }
        }
        first += channels;
    }
    if SLICES > 1u {
        workgroupBarrier();
        exchange[0u * INVOCATIONS + lane] = a00;
        exchange[1u * INVOCATIONS + lane] = a01;
        workgroupBarrier();
        if slice == 0u * SLICES / 8u { a00 = sum_slices(0u * INVOCATIONS + lane % SLICE); }
        if slice == 1u * SLICES / 8u { a01 = sum_slices(1u * INVOCATIONS + lane % SLICE); }
        workgroupBarrier();
        exchange[0u * INVOCATIONS + lane] = a02;
        exchange[1u * INVOCATIONS + lane] = a03;
        workgroupBarrier();
        if slice == 2u * SLICES / 8u { a02 = sum_slices(0u * INVOCATIONS + lane % SLICE); }
        if slice == 3u * SLICES / 8u { a03 = sum_slices(1u * INVOCATIONS + lane % SLICE); }
        workgroupBarrier();
        exchange[0u * INVOCATIONS + lane] = a04;
        exchange[1u * INVOCATIONS + lane] = a05;
        workgroupBarrier();
        if slice == 4u * SLICES / 8u { a04 = sum_slices(0u * INVOCATIONS + lane % SLICE); }
        if slice == 5u * SLICES / 8u { a05 = sum_slices(1u * INVOCATIONS + lane % SLICE); }
        workgroupBarrier();
        exchange[0u * INVOCATIONS + lane] = a06;
        exchange[1u * INVOCATIONS + lane] = a07;
        workgroupBarrier();
        if slice == 6u * SLICES / 8u { a06 = sum_slices(0u * INVOCATIONS + lane % SLICE); }
        if slice == 7u * SLICES / 8u { a07 = sum_slices(1u * INVOCATIONS + lane % SLICE); }
    }
    let o = 4u * (stack * WIDTH + own);
    let row = corner.y + strip * 8u;
    let column = corner.x + lane % 16u;
    if slice == 0u * SLICES / 8u { put(image, o + 0u, row + 0u, column, a00); }
    if slice == 1u * SLICES / 8u { put(image, o + 0u, row + 1u, column, a01); }
    if slice == 2u * SLICES / 8u { put(image, o + 0u, row + 2u, column, a02); }
    if slice == 3u * SLICES / 8u { put(image, o + 0u, row + 3u, column, a03); }
    if slice == 4u * SLICES / 8u { put(image, o + 0u, row + 4u, column, a04); }
    if slice == 5u * SLICES / 8u { put(image, o + 0u, row + 5u, column, a05); }
    if slice == 6u * SLICES / 8u { put(image, o + 0u, row + 6u, column, a06); }
    if slice == 7u * SLICES / 8u { put(image, o + 0u, row + 7u, column, a07); }
    if DEPTH > 1u {
        put(image, o + 4u, row + 0u, column, a10);
        put(image, o + 4u, row + 1u, column, a11);
        put(image, o + 4u, row + 2u, column, a12);
        put(image, o + 4u, row + 3u, column, a13);
        put(image, o + 4u, row + 4u, column, a14);
        put(image, o + 4u, row + 5u, column, a15);
        put(image, o + 4u, row + 6u, column, a16);
        put(image, o + 4u, row + 7u, column, a17);
    }
}

@compute @workgroup_size(INVOCATIONS)
fn forward_stats(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let ci = p.cx + p.cr;
    let stacks = p.columns / WIDTH;
    let image = group.z / stacks;
    let stack = group.z % stacks;
    let corner = group.xy * vec2u(16u, 8u * STRIPS);
    // Said to be 0 where it is: some compilers then know more.
    var slice = 0u;
    if SLICES > 1u {
        slice = lane / SLICE;
    }
    let strip = lane / 16u % STRIPS;
    let own = lane % SLICE / (16u * STRIPS) * DEPTH; // its first vec4 of output channels in the stack
    var bias0 = bias(stack * WIDTH + own);
    let bias1 = bias(stack * WIDTH + own + DEPTH - 1u);
    if slice > 0u {
        bias0 = vec4f();
    }
    var a00 = bias0;
    var a01 = bias0;
    var a02 = bias0;
    var a03 = bias0;
    var a04 = bias0;
    var a05 = bias0;
    var a06 = bias0;
    var a07 = bias0;
    var a10 = bias1;
    var a11 = bias1;
    var a12 = bias1;
    var a13 = bias1;
    var a14 = bias1;
    var a15 = bias1;
    var a16 = bias1;
    var a17 = bias1;
    let spot0 = spot(image, corner, lane + 0u * INVOCATIONS);
    let spot1 = spot(image, corner, lane + 1u * INVOCATIONS);
    let spot2 = spot(image, corner, lane + 2u * INVOCATIONS);
    let spot3 = spot(image, corner, lane + 3u * INVOCATIONS);
    let spot4 = spot(image, corner, lane + 4u * INVOCATIONS);
    var first = 0u;
    while first < ci {
        let channels = min(CHUNK, select(ci, p.cx, first < p.cx) - first);
        let last = channels - 1u;
        var v0_0 = 0.0;
        var v1_0 = 0.0;
        var v2_0 = 0.0;
        var v3_0 = 0.0;
        var v4_0 = 0.0;
        var v0_1 = 0.0;
        var v1_1 = 0.0;
        var v2_1 = 0.0;
        var v3_1 = 0.0;
        var v4_1 = 0.0;
        var v0_2 = 0.0;
        var v1_2 = 0.0;
        var v2_2 = 0.0;
        var v3_2 = 0.0;
        var v4_2 = 0.0;
        var v0_3 = 0.0;
        var v1_3 = 0.0;
        var v2_3 = 0.0;
        var v3_3 = 0.0;
        var v4_3 = 0.0;
        var v0_4 = 0.0;
        var v1_4 = 0.0;
        var v0_5 = 0.0;
        var v1_5 = 0.0;
        var v0_6 = 0.0;
        var v1_6 = 0.0;
        var v0_7 = 0.0;
        var v1_7 = 0.0;
        if first < p.cx {
        if 0u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_0 = x_at(image, first + min(0u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_0 = x_at(image, first + min(0u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_0 = x_at(image, first + min(0u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_0 = x_at(image, first + min(0u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_0 = x_at(image, first + min(0u, last), spot4); }
        }
        if 1u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_1 = x_at(image, first + min(1u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_1 = x_at(image, first + min(1u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_1 = x_at(image, first + min(1u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_1 = x_at(image, first + min(1u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_1 = x_at(image, first + min(1u, last), spot4); }
        }
        if 2u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_2 = x_at(image, first + min(2u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_2 = x_at(image, first + min(2u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_2 = x_at(image, first + min(2u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_2 = x_at(image, first + min(2u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_2 = x_at(image, first + min(2u, last), spot4); }
        }
        if 3u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_3 = x_at(image, first + min(3u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_3 = x_at(image, first + min(3u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_3 = x_at(image, first + min(3u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_3 = x_at(image, first + min(3u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_3 = x_at(image, first + min(3u, last), spot4); }
        }
        if 4u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_4 = x_at(image, first + min(4u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_4 = x_at(image, first + min(4u, last), spot1); }
        }
        if 5u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_5 = x_at(image, first + min(5u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_5 = x_at(image, first + min(5u, last), spot1); }
        }
        if 6u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_6 = x_at(image, first + min(6u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_6 = x_at(image, first + min(6u, last), spot1); }
        }
        if 7u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_7 = x_at(image, first + min(7u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_7 = x_at(image, first + min(7u, last), spot1); }
        }
        } else {
        if 0u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_0 = r_at(image, first - p.cx + min(0u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_0 = r_at(image, first - p.cx + min(0u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_0 = r_at(image, first - p.cx + min(0u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_0 = r_at(image, first - p.cx + min(0u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_0 = r_at(image, first - p.cx + min(0u, last), spot4); }
        }
        if 1u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_1 = r_at(image, first - p.cx + min(1u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_1 = r_at(image, first - p.cx + min(1u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_1 = r_at(image, first - p.cx + min(1u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_1 = r_at(image, first - p.cx + min(1u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_1 = r_at(image, first - p.cx + min(1u, last), spot4); }
        }
        if 2u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_2 = r_at(image, first - p.cx + min(2u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_2 = r_at(image, first - p.cx + min(2u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_2 = r_at(image, first - p.cx + min(2u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_2 = r_at(image, first - p.cx + min(2u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_2 = r_at(image, first - p.cx + min(2u, last), spot4); }
        }
        if 3u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_3 = r_at(image, first - p.cx + min(3u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_3 = r_at(image, first - p.cx + min(3u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_3 = r_at(image, first - p.cx + min(3u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_3 = r_at(image, first - p.cx + min(3u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_3 = r_at(image, first - p.cx + min(3u, last), spot4); }
        }
        if 4u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_4 = r_at(image, first - p.cx + min(4u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_4 = r_at(image, first - p.cx + min(4u, last), spot1); }
        }
        if 5u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_5 = r_at(image, first - p.cx + min(5u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_5 = r_at(image, first - p.cx + min(5u, last), spot1); }
        }
        if 6u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_6 = r_at(image, first - p.cx + min(6u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_6 = r_at(image, first - p.cx + min(6u, last), spot1); }
        }
        if 7u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_7 = r_at(image, first - p.cx + min(7u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_7 = r_at(image, first - p.cx + min(7u, last), spot1); }
        }
        }
        var t0 = vec4f();
        if 0u * INVOCATIONS < CHUNK * 9u * WIDTH { t0 = weights_at(stack, first, min(lane + 0u * INVOCATIONS, channels * 9u * WIDTH - 1u)); }
        var t1 = vec4f();
        if 1u * INVOCATIONS < CHUNK * 9u * WIDTH { t1 = weights_at(stack, first, min(lane + 1u * INVOCATIONS, channels * 9u * WIDTH - 1u)); }
        var t2 = vec4f();
        if 2u * INVOCATIONS < CHUNK * 9u * WIDTH { t2 = weights_at(stack, first, min(lane + 2u * INVOCATIONS, channels * 9u * WIDTH - 1u)); }
        var t3 = vec4f();
        if 3u * INVOCATIONS < CHUNK * 9u * WIDTH { t3 = weights_at(stack, first, min(lane + 3u * INVOCATIONS, channels * 9u * WIDTH - 1u)); }
        var t4 = vec4f();
        if 4u * INVOCATIONS < CHUNK * 9u * WIDTH { t4 = weights_at(stack, first, min(lane + 4u * INVOCATIONS, channels * 9u * WIDTH - 1u)); }
        workgroupBarrier();
        if 0u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[0u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_0, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[0u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_0, spot1.inside); }
        if lane + 2u * INVOCATIONS < TILE { tile[0u * TILE + lane + 2u * INVOCATIONS] = select(0.0, v2_0, spot2.inside); }
        if lane + 3u * INVOCATIONS < TILE { tile[0u * TILE + lane + 3u * INVOCATIONS] = select(0.0, v3_0, spot3.inside); }
        if lane + 4u * INVOCATIONS < TILE { tile[0u * TILE + lane + 4u * INVOCATIONS] = select(0.0, v4_0, spot4.inside); }
        }
        if 1u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[1u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_1, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[1u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_1, spot1.inside); }
        if lane + 2u * INVOCATIONS < TILE { tile[1u * TILE + lane + 2u * INVOCATIONS] = select(0.0, v2_1, spot2.inside); }
        if lane + 3u * INVOCATIONS < TILE { tile[1u * TILE + lane + 3u * INVOCATIONS] = select(0.0, v3_1, spot3.inside); }
        if lane + 4u * INVOCATIONS < TILE { tile[1u * TILE + lane + 4u * INVOCATIONS] = select(0.0, v4_1, spot4.inside); }
        }
        if 2u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[2u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_2, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[2u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_2, spot1.inside); }
        if lane + 2u * INVOCATIONS < TILE { tile[2u * TILE + lane + 2u * INVOCATIONS] = select(0.0, v2_2, spot2.inside); }
        if lane + 3u * INVOCATIONS < TILE { tile[2u * TILE + lane + 3u * INVOCATIONS] = select(0.0, v3_2, spot3.inside); }
        if lane + 4u * INVOCATIONS < TILE { tile[2u * TILE + lane + 4u * INVOCATIONS] = select(0.0, v4_2, spot4.inside); }
        }
        if 3u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[3u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_3, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[3u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_3, spot1.inside); }
        if lane + 2u * INVOCATIONS < TILE { tile[3u * TILE + lane + 2u * INVOCATIONS] = select(0.0, v2_3, spot2.inside); }
        if lane + 3u * INVOCATIONS < TILE { tile[3u * TILE + lane + 3u * INVOCATIONS] = select(0.0, v3_3, spot3.inside); }
        if lane + 4u * INVOCATIONS < TILE { tile[3u * TILE + lane + 4u * INVOCATIONS] = select(0.0, v4_3, spot4.inside); }
        }
        if 4u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[4u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_4, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[4u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_4, spot1.inside); }
        }
        if 5u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[5u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_5, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[5u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_5, spot1.inside); }
        }
        if 6u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[6u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_6, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[6u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_6, spot1.inside); }
        }
        if 7u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[7u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_7, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[7u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_7, spot1.inside); }
        }
        if lane + 0u * INVOCATIONS < CHUNK * 9u * WIDTH { taps[lane + 0u * INVOCATIONS] = t0; }
        if lane + 1u * INVOCATIONS < CHUNK * 9u * WIDTH { taps[lane + 1u * INVOCATIONS] = t1; }
        if lane + 2u * INVOCATIONS < CHUNK * 9u * WIDTH { taps[lane + 2u * INVOCATIONS] = t2; }
        if lane + 3u * INVOCATIONS < CHUNK * 9u * WIDTH { taps[lane + 3u * INVOCATIONS] = t3; }
        if lane + 4u * INVOCATIONS < CHUNK * 9u * WIDTH { taps[lane + 4u * INVOCATIONS] = t4; }
        workgroupBarrier();
        for (var c = slice; c < channels; c += SLICES) {
            let t = c * TILE + strip * 8u * TILE_W + lane % 16u;
            let k = c * 9u * WIDTH + own;
            {
                let v0 = tile[t + 0u];
                let v1 = tile[t + 18u];
                let v2 = tile[t + 36u];
                let v3 = tile[t + 54u];
                let v4 = tile[t + 72u];
                let v5 = tile[t + 90u];
                let v6 = tile[t + 108u];
                let v7 = tile[t + 126u];
                let v8 = tile[t + 144u];
                let v9 = tile[t + 162u];
                let w0 = taps[k + 0u * WIDTH];
                a00 = fma(vec4f(v0), w0, a00);
                a01 = fma(vec4f(v1), w0, a01);
                a02 = fma(vec4f(v2), w0, a02);
                a03 = fma(vec4f(v3), w0, a03);
                a04 = fma(vec4f(v4), w0, a04);
                a05 = fma(vec4f(v5), w0, a05);
                a06 = fma(vec4f(v6), w0, a06);
                a07 = fma(vec4f(v7), w0, a07);
                if DEPTH > 1u {
                    let w = taps[k + 0u * WIDTH + 1u];
                    a10 = fma(vec4f(v0), w, a10);
                    a11 = fma(vec4f(v1), w, a11);
                    a12 = fma(vec4f(v2), w, a12);
                    a13 = fma(vec4f(v3), w, a13);
                    a14 = fma(vec4f(v4), w, a14);
                    a15 = fma(vec4f(v5), w, a15);
                    a16 = fma(vec4f(v6), w, a16);
                    a17 = fma(vec4f(v7), w, a17);
                }
                let w1 = taps[k + 3u * WIDTH];
                a00 = fma(vec4f(v1), w1, a00);
                a01 = fma(vec4f(v2), w1, a01);
                a02 = fma(vec4f(v3), w1, a02);
                a03 = fma(vec4f(v4), w1, a03);
                a04 = fma(vec4f(v5), w1, a04);
                a05 = fma(vec4f(v6), w1, a05);
                a06 = fma(vec4f(v7), w1, a06);
                a07 = fma(vec4f(v8), w1, a07);
                if DEPTH > 1u {
                    let w = taps[k + 3u * WIDTH + 1u];
                    a10 = fma(vec4f(v1), w, a10);
                    a11 = fma(vec4f(v2), w, a11);
                    a12 = fma(vec4f(v3), w, a12);
                    a13 = fma(vec4f(v4), w, a13);
                    a14 = fma(vec4f(v5), w, a14);
                    a15 = fma(vec4f(v6), w, a15);
                    a16 = fma(vec4f(v7), w, a16);
                    a17 = fma(vec4f(v8), w, a17);
                }
                let w2 = taps[k + 6u * WIDTH];
                a00 = fma(vec4f(v2), w2, a00);
                a01 = fma(vec4f(v3), w2, a01);
                a02 = fma(vec4f(v4), w2, a02);
                a03 = fma(vec4f(v5), w2, a03);
                a04 = fma(vec4f(v6), w2, a04);
                a05 = fma(vec4f(v7), w2, a05);
                a06 = fma(vec4f(v8), w2, a06);
                a07 = fma(vec4f(v9), w2, a07);
                if DEPTH > 1u {
                    let w = taps[k + 6u * WIDTH + 1u];
                    a10 = fma(vec4f(v2), w, a10);
                    a11 = fma(vec4f(v3), w, a11);
                    a12 = fma(vec4f(v4), w, a12);
                    a13 = fma(vec4f(v5), w, a13);
                    a14 = fma(vec4f(v6), w, a14);
                    a15 = fma(vec4f(v7), w, a15);
                    a16 = fma(vec4f(v8), w, a16);
                    a17 = fma(vec4f(v9), w, a17);
                }
            }
            {
                let v0 = tile[t + 1u];
                let v1 = tile[t + 19u];
                let v2 = tile[t + 37u];
                let v3 = tile[t + 55u];
                let v4 = tile[t + 73u];
                let v5 = tile[t + 91u];
                let v6 = tile[t + 109u];
                let v7 = tile[t + 127u];
                let v8 = tile[t + 145u];
                let v9 = tile[t + 163u];
                let w0 = taps[k + 1u * WIDTH];
                a00 = fma(vec4f(v0), w0, a00);
                a01 = fma(vec4f(v1), w0, a01);
                a02 = fma(vec4f(v2), w0, a02);
                a03 = fma(vec4f(v3), w0, a03);
                a04 = fma(vec4f(v4), w0, a04);
                a05 = fma(vec4f(v5), w0, a05);
                a06 = fma(vec4f(v6), w0, a06);
                a07 = fma(vec4f(v7), w0, a07);
                if DEPTH > 1u {
                    let w = taps[k + 1u * WIDTH + 1u];
                    a10 = fma(vec4f(v0), w, a10);
                    a11 = fma(vec4f(v1), w, a11);
                    a12 = fma(vec4f(v2), w, a12);
                    a13 = fma(vec4f(v3), w, a13);
                    a14 = fma(vec4f(v4), w, a14);
                    a15 = fma(vec4f(v5), w, a15);
                    a16 = fma(vec4f(v6), w, a16);
                    a17 = fma(vec4f(v7), w, a17);
                }
                let w1 = taps[k + 4u * WIDTH];
                a00 = fma(vec4f(v1), w1, a00);
                a01 = fma(vec4f(v2), w1, a01);
                a02 = fma(vec4f(v3), w1, a02);
                a03 = fma(vec4f(v4), w1, a03);
                a04 = fma(vec4f(v5), w1, a04);
                a05 = fma(vec4f(v6), w1, a05);
                a06 = fma(vec4f(v7), w1, a06);
                a07 = fma(vec4f(v8), w1, a07);
                if DEPTH > 1u {
                    let w = taps[k + 4u * WIDTH + 1u];
                    a10 = fma(vec4f(v1), w, a10);
                    a11 = fma(vec4f(v2), w, a11);
                    a12 = fma(vec4f(v3), w, a12);
                    a13 = fma(vec4f(v4), w, a13);
                    a14 = fma(vec4f(v5), w, a14);
                    a15 = fma(vec4f(v6), w, a15);
                    a16 = fma(vec4f(v7), w, a16);
                    a17 = fma(vec4f(v8), w, a17);
                }
                let w2 = taps[k + 7u * WIDTH];
                a00 = fma(vec4f(v2), w2, a00);
                a01 = fma(vec4f(v3), w2, a01);
                a02 = fma(vec4f(v4), w2, a02);
                a03 = fma(vec4f(v5), w2, a03);
                a04 = fma(vec4f(v6), w2, a04);
                a05 = fma(vec4f(v7), w2, a05);
                a06 = fma(vec4f(v8), w2, a06);
                a07 = fma(vec4f(v9), w2, a07);
                if DEPTH > 1u {
                    let w = taps[k + 7u * WIDTH + 1u];
                    a10 = fma(vec4f(v2), w, a10);
                    a11 = fma(vec4f(v3), w, a11);
                    a12 = fma(vec4f(v4), w, a12);
                    a13 = fma(vec4f(v5), w, a13);
                    a14 = fma(vec4f(v6), w, a14);
                    a15 = fma(vec4f(v7), w, a15);
                    a16 = fma(vec4f(v8), w, a16);
                    a17 = fma(vec4f(v9), w, a17);
                }
            }
            {
                let v0 = tile[t + 2u];
                let v1 = tile[t + 20u];
                let v2 = tile[t + 38u];
                let v3 = tile[t + 56u];
                let v4 = tile[t + 74u];
                let v5 = tile[t + 92u];
                let v6 = tile[t + 110u];
                let v7 = tile[t + 128u];
                let v8 = tile[t + 146u];
                let v9 = tile[t + 164u];
                let w0 = taps[k + 2u * WIDTH];
                a00 = fma(vec4f(v0), w0, a00);
                a01 = fma(vec4f(v1), w0, a01);
                a02 = fma(vec4f(v2), w0, a02);
                a03 = fma(vec4f(v3), w0, a03);
                a04 = fma(vec4f(v4), w0, a04);
                a05 = fma(vec4f(v5), w0, a05);
                a06 = fma(vec4f(v6), w0, a06);
                a07 = fma(vec4f(v7), w0, a07);
                if DEPTH > 1u {
                    let w = taps[k + 2u * WIDTH + 1u];
                    a10 = fma(vec4f(v0), w, a10);
                    a11 = fma(vec4f(v1), w, a11);
                    a12 = fma(vec4f(v2), w, a12);
                    a13 = fma(vec4f(v3), w, a13);
                    a14 = fma(vec4f(v4), w, a14);
                    a15 = fma(vec4f(v5), w, a15);
                    a16 = fma(vec4f(v6), w, a16);
                    a17 = fma(vec4f(v7), w, a17);
                }
                let w1 = taps[k + 5u * WIDTH];
                a00 = fma(vec4f(v1), w1, a00);
                a01 = fma(vec4f(v2), w1, a01);
                a02 = fma(vec4f(v3), w1, a02);
                a03 = fma(vec4f(v4), w1, a03);
                a04 = fma(vec4f(v5), w1, a04);
                a05 = fma(vec4f(v6), w1, a05);
                a06 = fma(vec4f(v7), w1, a06);
                a07 = fma(vec4f(v8), w1, a07);
                if DEPTH > 1u {
                    let w = taps[k + 5u * WIDTH + 1u];
                    a10 = fma(vec4f(v1), w, a10);
                    a11 = fma(vec4f(v2), w, a11);
                    a12 = fma(vec4f(v3), w, a12);
                    a13 = fma(vec4f(v4), w, a13);
                    a14 = fma(vec4f(v5), w, a14);
                    a15 = fma(vec4f(v6), w, a15);
                    a16 = fma(vec4f(v7), w, a16);
                    a17 = fma(vec4f(v8), w, a17);
                }
                let w2 = taps[k + 8u * WIDTH];
                a00 = fma(vec4f(v2), w2, a00);
                a01 = fma(vec4f(v3), w2, a01);
                a02 = fma(vec4f(v4), w2, a02);
                a03 = fma(vec4f(v5), w2, a03);
                a04 = fma(vec4f(v6), w2, a04);
                a05 = fma(vec4f(v7), w2, a05);
                a06 = fma(vec4f(v8), w2, a06);
                a07 = fma(vec4f(v9), w2, a07);
                if DEPTH > 1u {
                    let w = taps[k + 8u * WIDTH + 1u];
                    a10 = fma(vec4f(v2), w, a10);
                    a11 = fma(vec4f(v3), w, a11);
                    a12 = fma(vec4f(v4), w, a12);
                    a13 = fma(vec4f(v5), w, a13);
                    a14 = fma(vec4f(v6), w, a14);
                    a15 = fma(vec4f(v7), w, a15);
                    a16 = fma(vec4f(v8), w, a16);
                    a17 = fma(vec4f(v9), w, a17);
                }
            }
        }
        first += channels;
    }
    if SLICES > 1u {
        workgroupBarrier();
        exchange[0u * INVOCATIONS + lane] = a00;
        exchange[1u * INVOCATIONS + lane] = a01;
        workgroupBarrier();
        if slice == 0u * SLICES / 8u { a00 = sum_slices(0u * INVOCATIONS + lane % SLICE); }
        if slice == 1u * SLICES / 8u { a01 = sum_slices(1u * INVOCATIONS + lane % SLICE); }
        workgroupBarrier();
        exchange[0u * INVOCATIONS + lane] = a02;
        exchange[1u * INVOCATIONS + lane] = a03;
        workgroupBarrier();
        if slice == 2u * SLICES / 8u { a02 = sum_slices(0u * INVOCATIONS + lane % SLICE); }
        if slice == 3u * SLICES / 8u { a03 = sum_slices(1u * INVOCATIONS + lane % SLICE); }
        workgroupBarrier();
        exchange[0u * INVOCATIONS + lane] = a04;
        exchange[1u * INVOCATIONS + lane] = a05;
        workgroupBarrier();
        if slice == 4u * SLICES / 8u { a04 = sum_slices(0u * INVOCATIONS + lane % SLICE); }
        if slice == 5u * SLICES / 8u { a05 = sum_slices(1u * INVOCATIONS + lane % SLICE); }
        workgroupBarrier();
        exchange[0u * INVOCATIONS + lane] = a06;
        exchange[1u * INVOCATIONS + lane] = a07;
        workgroupBarrier();
        if slice == 6u * SLICES / 8u { a06 = sum_slices(0u * INVOCATIONS + lane % SLICE); }
        if slice == 7u * SLICES / 8u { a07 = sum_slices(1u * INVOCATIONS + lane % SLICE); }
    }
    let o = 4u * (stack * WIDTH + own);
    let row = corner.y + strip * 8u;
    let column = corner.x + lane % 16u;
    if slice == 0u * SLICES / 8u { put_plain(image, o + 0u, row + 0u, column, a00); }
    if slice == 1u * SLICES / 8u { put_plain(image, o + 0u, row + 1u, column, a01); }
    if slice == 2u * SLICES / 8u { put_plain(image, o + 0u, row + 2u, column, a02); }
    if slice == 3u * SLICES / 8u { put_plain(image, o + 0u, row + 3u, column, a03); }
    if slice == 4u * SLICES / 8u { put_plain(image, o + 0u, row + 4u, column, a04); }
    if slice == 5u * SLICES / 8u { put_plain(image, o + 0u, row + 5u, column, a05); }
    if slice == 6u * SLICES / 8u { put_plain(image, o + 0u, row + 6u, column, a06); }
    if slice == 7u * SLICES / 8u { put_plain(image, o + 0u, row + 7u, column, a07); }
    if DEPTH > 1u {
        put_plain(image, o + 4u, row + 0u, column, a10);
        put_plain(image, o + 4u, row + 1u, column, a11);
        put_plain(image, o + 4u, row + 2u, column, a12);
        put_plain(image, o + 4u, row + 3u, column, a13);
        put_plain(image, o + 4u, row + 4u, column, a14);
        put_plain(image, o + 4u, row + 5u, column, a15);
        put_plain(image, o + 4u, row + 6u, column, a16);
        put_plain(image, o + 4u, row + 7u, column, a17);
    }
    var sum0 = vec4f();
    var top0 = LOWEST;
    if row + 0u < p.h && column < p.w {
        sum0 += activate(a00);
        top0 = max(top0, activate(a00));
    }
    if row + 1u < p.h && column < p.w {
        sum0 += activate(a01);
        top0 = max(top0, activate(a01));
    }
    if row + 2u < p.h && column < p.w {
        sum0 += activate(a02);
        top0 = max(top0, activate(a02));
    }
    if row + 3u < p.h && column < p.w {
        sum0 += activate(a03);
        top0 = max(top0, activate(a03));
    }
    if row + 4u < p.h && column < p.w {
        sum0 += activate(a04);
        top0 = max(top0, activate(a04));
    }
    if row + 5u < p.h && column < p.w {
        sum0 += activate(a05);
        top0 = max(top0, activate(a05));
    }
    if row + 6u < p.h && column < p.w {
        sum0 += activate(a06);
        top0 = max(top0, activate(a06));
    }
    if row + 7u < p.h && column < p.w {
        sum0 += activate(a07);
        top0 = max(top0, activate(a07));
    }
    var sum1 = vec4f();
    var top1 = LOWEST;
    if row + 0u < p.h && column < p.w {
        sum1 += activate(a10);
        top1 = max(top1, activate(a10));
    }
    if row + 1u < p.h && column < p.w {
        sum1 += activate(a11);
        top1 = max(top1, activate(a11));
    }
    if row + 2u < p.h && column < p.w {
        sum1 += activate(a12);
        top1 = max(top1, activate(a12));
    }
    if row + 3u < p.h && column < p.w {
        sum1 += activate(a13);
        top1 = max(top1, activate(a13));
    }
    if row + 4u < p.h && column < p.w {
        sum1 += activate(a14);
        top1 = max(top1, activate(a14));
    }
    if row + 5u < p.h && column < p.w {
        sum1 += activate(a15);
        top1 = max(top1, activate(a15));
    }
    if row + 6u < p.h && column < p.w {
        sum1 += activate(a16);
        top1 = max(top1, activate(a16));
    }
    if row + 7u < p.h && column < p.w {
        sum1 += activate(a17);
        top1 = max(top1, activate(a17));
    }
    let channel = lane % (4u * WIDTH);
    let line = lane / (4u * WIDTH);
    let tile_row = group.y * STRIPS + line;
    let output = 4u * stack * WIDTH + channel;
    let counts = line < STRIPS && tile_row * 8u < p.h && output < p.co;
    workgroupBarrier();
    taps[stat_at(own, strip, lane % 16u)] = sum0;
    if DEPTH > 1u {
        taps[stat_at(own + 1u, strip, lane % 16u)] = sum1;
    }
    workgroupBarrier();
    if counts {
        var v = 0.0;
        for (var i = 0u; i < 16u; i++) {
            let e = taps[stat_at(channel / 4u, line, (i + channel / 4u) % 16u)][channel % 4u];
            v = v + e;
        }
        tiles[place_of_stats(image, output, vec2u(group.x, tile_row))] = v;
    }
    workgroupBarrier();
    taps[stat_at(own, strip, lane % 16u)] = top0;
    if DEPTH > 1u {
        taps[stat_at(own + 1u, strip, lane % 16u)] = top1;
    }
    workgroupBarrier();
    if counts {
        var v = LOWEST.x;
        for (var i = 0u; i < 16u; i++) {
            let e = taps[stat_at(channel / 4u, line, (i + channel / 4u) % 16u)][channel % 4u];
            v = max(v, e);
        }
        tiles[place_of_stats(image, p.co + output, vec2u(group.x, tile_row))] = v;
    }
}

@compute @workgroup_size(INVOCATIONS)
fn forward_hidden(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let ci = p.cx + p.cr;
    let stacks = p.columns / WIDTH;
    let image = group.z / stacks;
    let stack = group.z % stacks;
    let corner = group.xy * vec2u(16u, 8u * STRIPS);
    // Said to be 0 where it is: some compilers then know more.
    var slice = 0u;
    if SLICES > 1u {
        slice = lane / SLICE;
    }
    let strip = lane / 16u % STRIPS;
    let own = lane % SLICE / (16u * STRIPS) * DEPTH; // its first vec4 of output channels in the stack
    var bias0 = bias(stack * WIDTH + own);
    let bias1 = bias(stack * WIDTH + own + DEPTH - 1u);
    if slice > 0u {
        bias0 = vec4f();
    }
    var a00 = bias0;
    var a01 = bias0;
    var a02 = bias0;
    var a03 = bias0;
    var a04 = bias0;
    var a05 = bias0;
    var a06 = bias0;
    var a07 = bias0;
    var a10 = bias1;
    var a11 = bias1;
    var a12 = bias1;
    var a13 = bias1;
    var a14 = bias1;
    var a15 = bias1;
    var a16 = bias1;
    var a17 = bias1;
    let spot0 = spot(image, corner, lane + 0u * INVOCATIONS);
    let spot1 = spot(image, corner, lane + 1u * INVOCATIONS);
    let spot2 = spot(image, corner, lane + 2u * INVOCATIONS);
    let spot3 = spot(image, corner, lane + 3u * INVOCATIONS);
    let spot4 = spot(image, corner, lane + 4u * INVOCATIONS);
    var first = 0u;
    while first < ci {
        let channels = min(CHUNK, select(ci, p.cx, first < p.cx) - first);
        let last = channels - 1u;
        var v0_0 = 0.0;
        var v1_0 = 0.0;
        var v2_0 = 0.0;
        var v3_0 = 0.0;
        var v4_0 = 0.0;
        var v0_1 = 0.0;
        var v1_1 = 0.0;
        var v2_1 = 0.0;
        var v3_1 = 0.0;
        var v4_1 = 0.0;
        var v0_2 = 0.0;
        var v1_2 = 0.0;
        var v2_2 = 0.0;
        var v3_2 = 0.0;
        var v4_2 = 0.0;
        var v0_3 = 0.0;
        var v1_3 = 0.0;
        var v2_3 = 0.0;
        var v3_3 = 0.0;
        var v4_3 = 0.0;
        var v0_4 = 0.0;
        var v1_4 = 0.0;
        var v0_5 = 0.0;
        var v1_5 = 0.0;
        var v0_6 = 0.0;
        var v1_6 = 0.0;
        var v0_7 = 0.0;
        var v1_7 = 0.0;
        if first < p.cx {
        if 0u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_0 = x_at(image, first + min(0u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_0 = x_at(image, first + min(0u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_0 = x_at(image, first + min(0u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_0 = x_at(image, first + min(0u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_0 = x_at(image, first + min(0u, last), spot4); }
        }
        if 1u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_1 = x_at(image, first + min(1u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_1 = x_at(image, first + min(1u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_1 = x_at(image, first + min(1u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_1 = x_at(image, first + min(1u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_1 = x_at(image, first + min(1u, last), spot4); }
        }
        if 2u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_2 = x_at(image, first + min(2u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_2 = x_at(image, first + min(2u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_2 = x_at(image, first + min(2u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_2 = x_at(image, first + min(2u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_2 = x_at(image, first + min(2u, last), spot4); }
        }
        if 3u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_3 = x_at(image, first + min(3u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_3 = x_at(image, first + min(3u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_3 = x_at(image, first + min(3u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_3 = x_at(image, first + min(3u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_3 = x_at(image, first + min(3u, last), spot4); }
        }
        if 4u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_4 = x_at(image, first + min(4u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_4 = x_at(image, first + min(4u, last), spot1); }
        }
        if 5u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_5 = x_at(image, first + min(5u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_5 = x_at(image, first + min(5u, last), spot1); }
        }
        if 6u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_6 = x_at(image, first + min(6u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_6 = x_at(image, first + min(6u, last), spot1); }
        }
        if 7u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_7 = x_at(image, first + min(7u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_7 = x_at(image, first + min(7u, last), spot1); }
        }
        } else {
        if 0u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_0 = r_at(image, first - p.cx + min(0u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_0 = r_at(image, first - p.cx + min(0u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_0 = r_at(image, first - p.cx + min(0u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_0 = r_at(image, first - p.cx + min(0u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_0 = r_at(image, first - p.cx + min(0u, last), spot4); }
        }
        if 1u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_1 = r_at(image, first - p.cx + min(1u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_1 = r_at(image, first - p.cx + min(1u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_1 = r_at(image, first - p.cx + min(1u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_1 = r_at(image, first - p.cx + min(1u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_1 = r_at(image, first - p.cx + min(1u, last), spot4); }
        }
        if 2u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_2 = r_at(image, first - p.cx + min(2u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_2 = r_at(image, first - p.cx + min(2u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_2 = r_at(image, first - p.cx + min(2u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_2 = r_at(image, first - p.cx + min(2u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_2 = r_at(image, first - p.cx + min(2u, last), spot4); }
        }
        if 3u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_3 = r_at(image, first - p.cx + min(3u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_3 = r_at(image, first - p.cx + min(3u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_3 = r_at(image, first - p.cx + min(3u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_3 = r_at(image, first - p.cx + min(3u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_3 = r_at(image, first - p.cx + min(3u, last), spot4); }
        }
        if 4u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_4 = r_at(image, first - p.cx + min(4u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_4 = r_at(image, first - p.cx + min(4u, last), spot1); }
        }
        if 5u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_5 = r_at(image, first - p.cx + min(5u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_5 = r_at(image, first - p.cx + min(5u, last), spot1); }
        }
        if 6u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_6 = r_at(image, first - p.cx + min(6u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_6 = r_at(image, first - p.cx + min(6u, last), spot1); }
        }
        if 7u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_7 = r_at(image, first - p.cx + min(7u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_7 = r_at(image, first - p.cx + min(7u, last), spot1); }
        }
        }
        var t0 = vec4f();
        if 0u * INVOCATIONS < CHUNK * 9u * WIDTH { t0 = weights_at(stack, first, min(lane + 0u * INVOCATIONS, channels * 9u * WIDTH - 1u)); }
        var t1 = vec4f();
        if 1u * INVOCATIONS < CHUNK * 9u * WIDTH { t1 = weights_at(stack, first, min(lane + 1u * INVOCATIONS, channels * 9u * WIDTH - 1u)); }
        var t2 = vec4f();
        if 2u * INVOCATIONS < CHUNK * 9u * WIDTH { t2 = weights_at(stack, first, min(lane + 2u * INVOCATIONS, channels * 9u * WIDTH - 1u)); }
        var t3 = vec4f();
        if 3u * INVOCATIONS < CHUNK * 9u * WIDTH { t3 = weights_at(stack, first, min(lane + 3u * INVOCATIONS, channels * 9u * WIDTH - 1u)); }
        var t4 = vec4f();
        if 4u * INVOCATIONS < CHUNK * 9u * WIDTH { t4 = weights_at(stack, first, min(lane + 4u * INVOCATIONS, channels * 9u * WIDTH - 1u)); }
        workgroupBarrier();
        if 0u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[0u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_0, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[0u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_0, spot1.inside); }
        if lane + 2u * INVOCATIONS < TILE { tile[0u * TILE + lane + 2u * INVOCATIONS] = select(0.0, v2_0, spot2.inside); }
        if lane + 3u * INVOCATIONS < TILE { tile[0u * TILE + lane + 3u * INVOCATIONS] = select(0.0, v3_0, spot3.inside); }
        if lane + 4u * INVOCATIONS < TILE { tile[0u * TILE + lane + 4u * INVOCATIONS] = select(0.0, v4_0, spot4.inside); }
        }
        if 1u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[1u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_1, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[1u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_1, spot1.inside); }
        if lane + 2u * INVOCATIONS < TILE { tile[1u * TILE + lane + 2u * INVOCATIONS] = select(0.0, v2_1, spot2.inside); }
        if lane + 3u * INVOCATIONS < TILE { tile[1u * TILE + lane + 3u * INVOCATIONS] = select(0.0, v3_1, spot3.inside); }
        if lane + 4u * INVOCATIONS < TILE { tile[1u * TILE + lane + 4u * INVOCATIONS] = select(0.0, v4_1, spot4.inside); }
        }
        if 2u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[2u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_2, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[2u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_2, spot1.inside); }
        if lane + 2u * INVOCATIONS < TILE { tile[2u * TILE + lane + 2u * INVOCATIONS] = select(0.0, v2_2, spot2.inside); }
        if lane + 3u * INVOCATIONS < TILE { tile[2u * TILE + lane + 3u * INVOCATIONS] = select(0.0, v3_2, spot3.inside); }
        if lane + 4u * INVOCATIONS < TILE { tile[2u * TILE + lane + 4u * INVOCATIONS] = select(0.0, v4_2, spot4.inside); }
        }
        if 3u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[3u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_3, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[3u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_3, spot1.inside); }
        if lane + 2u * INVOCATIONS < TILE { tile[3u * TILE + lane + 2u * INVOCATIONS] = select(0.0, v2_3, spot2.inside); }
        if lane + 3u * INVOCATIONS < TILE { tile[3u * TILE + lane + 3u * INVOCATIONS] = select(0.0, v3_3, spot3.inside); }
        if lane + 4u * INVOCATIONS < TILE { tile[3u * TILE + lane + 4u * INVOCATIONS] = select(0.0, v4_3, spot4.inside); }
        }
        if 4u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[4u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_4, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[4u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_4, spot1.inside); }
        }
        if 5u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[5u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_5, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[5u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_5, spot1.inside); }
        }
        if 6u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[6u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_6, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[6u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_6, spot1.inside); }
        }
        if 7u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[7u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_7, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[7u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_7, spot1.inside); }
        }
        if lane + 0u * INVOCATIONS < CHUNK * 9u * WIDTH { taps[lane + 0u * INVOCATIONS] = t0; }
        if lane + 1u * INVOCATIONS < CHUNK * 9u * WIDTH { taps[lane + 1u * INVOCATIONS] = t1; }
        if lane + 2u * INVOCATIONS < CHUNK * 9u * WIDTH { taps[lane + 2u * INVOCATIONS] = t2; }
        if lane + 3u * INVOCATIONS < CHUNK * 9u * WIDTH { taps[lane + 3u * INVOCATIONS] = t3; }
        if lane + 4u * INVOCATIONS < CHUNK * 9u * WIDTH { taps[lane + 4u * INVOCATIONS] = t4; }
        workgroupBarrier();
        for (var c = slice; c < channels; c += SLICES) {
            let t = c * TILE + strip * 8u * TILE_W + lane % 16u;
            let k = c * 9u * WIDTH + own;
            {
                let v0 = tile[t + 0u];
                let v1 = tile[t + 18u];
                let v2 = tile[t + 36u];
                let v3 = tile[t + 54u];
                let v4 = tile[t + 72u];
                let v5 = tile[t + 90u];
                let v6 = tile[t + 108u];
                let v7 = tile[t + 126u];
                let v8 = tile[t + 144u];
                let v9 = tile[t + 162u];
                let w0 = taps[k + 0u * WIDTH];
                a00 = fma(vec4f(v0), w0, a00);
                a01 = fma(vec4f(v1), w0, a01);
                a02 = fma(vec4f(v2), w0, a02);
                a03 = fma(vec4f(v3), w0, a03);
                a04 = fma(vec4f(v4), w0, a04);
                a05 = fma(vec4f(v5), w0, a05);
                a06 = fma(vec4f(v6), w0, a06);
                a07 = fma(vec4f(v7), w0, a07);
                if DEPTH > 1u {
                    let w = taps[k + 0u * WIDTH + 1u];
                    a10 = fma(vec4f(v0), w, a10);
                    a11 = fma(vec4f(v1), w, a11);
                    a12 = fma(vec4f(v2), w, a12);
                    a13 = fma(vec4f(v3), w, a13);
                    a14 = fma(vec4f(v4), w, a14);
                    a15 = fma(vec4f(v5), w, a15);
                    a16 = fma(vec4f(v6), w, a16);
                    a17 = fma(vec4f(v7), w, a17);
                }
                let w1 = taps[k + 3u * WIDTH];
                a00 = fma(vec4f(v1), w1, a00);
                a01 = fma(vec4f(v2), w1, a01);
                a02 = fma(vec4f(v3), w1, a02);
                a03 = fma(vec4f(v4), w1, a03);
                a04 = fma(vec4f(v5), w1, a04);
                a05 = fma(vec4f(v6), w1, a05);
                a06 = fma(vec4f(v7), w1, a06);
                a07 = fma(vec4f(v8), w1, a07);
                if DEPTH > 1u {
                    let w = taps[k + 3u * WIDTH + 1u];
                    a10 = fma(vec4f(v1), w, a10);
                    a11 = fma(vec4f(v2), w, a11);
                    a12 = fma(vec4f(v3), w, a12);
                    a13 = fma(vec4f(v4), w, a13);
                    a14 = fma(vec4f(v5), w, a14);
                    a15 = fma(vec4f(v6), w, a15);
                    a16 = fma(vec4f(v7), w, a16);
                    a17 = fma(vec4f(v8), w, a17);
                }
                let w2 = taps[k + 6u * WIDTH];
                a00 = fma(vec4f(v2), w2, a00);
                a01 = fma(vec4f(v3), w2, a01);
                a02 = fma(vec4f(v4), w2, a02);
                a03 = fma(vec4f(v5), w2, a03);
                a04 = fma(vec4f(v6), w2, a04);
                a05 = fma(vec4f(v7), w2, a05);
                a06 = fma(vec4f(v8), w2, a06);
                a07 = fma(vec4f(v9), w2, a07);
                if DEPTH > 1u {
                    let w = taps[k + 6u * WIDTH + 1u];
                    a10 = fma(vec4f(v2), w, a10);
                    a11 = fma(vec4f(v3), w, a11);
                    a12 = fma(vec4f(v4), w, a12);
                    a13 = fma(vec4f(v5), w, a13);
                    a14 = fma(vec4f(v6), w, a14);
                    a15 = fma(vec4f(v7), w, a15);
                    a16 = fma(vec4f(v8), w, a16);
                    a17 = fma(vec4f(v9), w, a17);
                }
            }
            {
                let v0 = tile[t + 1u];
                let v1 = tile[t + 19u];
                let v2 = tile[t + 37u];
                let v3 = tile[t + 55u];
                let v4 = tile[t + 73u];
                let v5 = tile[t + 91u];
                let v6 = tile[t + 109u];
                let v7 = tile[t + 127u];
                let v8 = tile[t + 145u];
                let v9 = tile[t + 163u];
                let w0 = taps[k + 1u * WIDTH];
                a00 = fma(vec4f(v0), w0, a00);
                a01 = fma(vec4f(v1), w0, a01);
                a02 = fma(vec4f(v2), w0, a02);
                a03 = fma(vec4f(v3), w0, a03);
                a04 = fma(vec4f(v4), w0, a04);
                a05 = fma(vec4f(v5), w0, a05);
                a06 = fma(vec4f(v6), w0, a06);
                a07 = fma(vec4f(v7), w0, a07);
                if DEPTH > 1u {
                    let w = taps[k + 1u * WIDTH + 1u];
                    a10 = fma(vec4f(v0), w, a10);
                    a11 = fma(vec4f(v1), w, a11);
                    a12 = fma(vec4f(v2), w, a12);
                    a13 = fma(vec4f(v3), w, a13);
                    a14 = fma(vec4f(v4), w, a14);
                    a15 = fma(vec4f(v5), w, a15);
                    a16 = fma(vec4f(v6), w, a16);
                    a17 = fma(vec4f(v7), w, a17);
                }
                let w1 = taps[k + 4u * WIDTH];
                a00 = fma(vec4f(v1), w1, a00);
                a01 = fma(vec4f(v2), w1, a01);
                a02 = fma(vec4f(v3), w1, a02);
                a03 = fma(vec4f(v4), w1, a03);
                a04 = fma(vec4f(v5), w1, a04);
                a05 = fma(vec4f(v6), w1, a05);
                a06 = fma(vec4f(v7), w1, a06);
                a07 = fma(vec4f(v8), w1, a07);
                if DEPTH > 1u {
                    let w = taps[k + 4u * WIDTH + 1u];
                    a10 = fma(vec4f(v1), w, a10);
                    a11 = fma(vec4f(v2), w, a11);
                    a12 = fma(vec4f(v3), w, a12);
                    a13 = fma(vec4f(v4), w, a13);
                    a14 = fma(vec4f(v5), w, a14);
                    a15 = fma(vec4f(v6), w, a15);
                    a16 = fma(vec4f(v7), w, a16);
                    a17 = fma(vec4f(v8), w, a17);
                }
                let w2 = taps[k + 7u * WIDTH];
                a00 = fma(vec4f(v2), w2, a00);
                a01 = fma(vec4f(v3), w2, a01);
                a02 = fma(vec4f(v4), w2, a02);
                a03 = fma(vec4f(v5), w2, a03);
                a04 = fma(vec4f(v6), w2, a04);
                a05 = fma(vec4f(v7), w2, a05);
                a06 = fma(vec4f(v8), w2, a06);
                a07 = fma(vec4f(v9), w2, a07);
                if DEPTH > 1u {
                    let w = taps[k + 7u * WIDTH + 1u];
                    a10 = fma(vec4f(v2), w, a10);
                    a11 = fma(vec4f(v3), w, a11);
                    a12 = fma(vec4f(v4), w, a12);
                    a13 = fma(vec4f(v5), w, a13);
                    a14 = fma(vec4f(v6), w, a14);
                    a15 = fma(vec4f(v7), w, a15);
                    a16 = fma(vec4f(v8), w, a16);
                    a17 = fma(vec4f(v9), w, a17);
                }
            }
            {
                let v0 = tile[t + 2u];
                let v1 = tile[t + 20u];
                let v2 = tile[t + 38u];
                let v3 = tile[t + 56u];
                let v4 = tile[t + 74u];
                let v5 = tile[t + 92u];
                let v6 = tile[t + 110u];
                let v7 = tile[t + 128u];
                let v8 = tile[t + 146u];
                let v9 = tile[t + 164u];
                let w0 = taps[k + 2u * WIDTH];
                a00 = fma(vec4f(v0), w0, a00);
                a01 = fma(vec4f(v1), w0, a01);
                a02 = fma(vec4f(v2), w0, a02);
                a03 = fma(vec4f(v3), w0, a03);
                a04 = fma(vec4f(v4), w0, a04);
                a05 = fma(vec4f(v5), w0, a05);
                a06 = fma(vec4f(v6), w0, a06);
                a07 = fma(vec4f(v7), w0, a07);
                if DEPTH > 1u {
                    let w = taps[k + 2u * WIDTH + 1u];
                    a10 = fma(vec4f(v0), w, a10);
                    a11 = fma(vec4f(v1), w, a11);
                    a12 = fma(vec4f(v2), w, a12);
                    a13 = fma(vec4f(v3), w, a13);
                    a14 = fma(vec4f(v4), w, a14);
                    a15 = fma(vec4f(v5), w, a15);
                    a16 = fma(vec4f(v6), w, a16);
                    a17 = fma(vec4f(v7), w, a17);
                }
                let w1 = taps[k + 5u * WIDTH];
                a00 = fma(vec4f(v1), w1, a00);
                a01 = fma(vec4f(v2), w1, a01);
                a02 = fma(vec4f(v3), w1, a02);
                a03 = fma(vec4f(v4), w1, a03);
                a04 = fma(vec4f(v5), w1, a04);
                a05 = fma(vec4f(v6), w1, a05);
                a06 = fma(vec4f(v7), w1, a06);
                a07 = fma(vec4f(v8), w1, a07);
                if DEPTH > 1u {
                    let w = taps[k + 5u * WIDTH + 1u];
                    a10 = fma(vec4f(v1), w, a10);
                    a11 = fma(vec4f(v2), w, a11);
                    a12 = fma(vec4f(v3), w, a12);
                    a13 = fma(vec4f(v4), w, a13);
                    a14 = fma(vec4f(v5), w, a14);
                    a15 = fma(vec4f(v6), w, a15);
                    a16 = fma(vec4f(v7), w, a16);
                    a17 = fma(vec4f(v8), w, a17);
                }
                let w2 = taps[k + 8u * WIDTH];
                a00 = fma(vec4f(v2), w2, a00);
                a01 = fma(vec4f(v3), w2, a01);
                a02 = fma(vec4f(v4), w2, a02);
                a03 = fma(vec4f(v5), w2, a03);
                a04 = fma(vec4f(v6), w2, a04);
                a05 = fma(vec4f(v7), w2, a05);
                a06 = fma(vec4f(v8), w2, a06);
                a07 = fma(vec4f(v9), w2, a07);
                if DEPTH > 1u {
                    let w = taps[k + 8u * WIDTH + 1u];
                    a10 = fma(vec4f(v2), w, a10);
                    a11 = fma(vec4f(v3), w, a11);
                    a12 = fma(vec4f(v4), w, a12);
                    a13 = fma(vec4f(v5), w, a13);
                    a14 = fma(vec4f(v6), w, a14);
                    a15 = fma(vec4f(v7), w, a15);
                    a16 = fma(vec4f(v8), w, a16);
                    a17 = fma(vec4f(v9), w, a17);
                }
            }
        }
        first += channels;
    }
    if SLICES > 1u {
        workgroupBarrier();
        exchange[0u * INVOCATIONS + lane] = a00;
        exchange[1u * INVOCATIONS + lane] = a01;
        workgroupBarrier();
        if slice == 0u * SLICES / 8u { a00 = sum_slices(0u * INVOCATIONS + lane % SLICE); }
        if slice == 1u * SLICES / 8u { a01 = sum_slices(1u * INVOCATIONS + lane % SLICE); }
        workgroupBarrier();
        exchange[0u * INVOCATIONS + lane] = a02;
        exchange[1u * INVOCATIONS + lane] = a03;
        workgroupBarrier();
        if slice == 2u * SLICES / 8u { a02 = sum_slices(0u * INVOCATIONS + lane % SLICE); }
        if slice == 3u * SLICES / 8u { a03 = sum_slices(1u * INVOCATIONS + lane % SLICE); }
        workgroupBarrier();
        exchange[0u * INVOCATIONS + lane] = a04;
        exchange[1u * INVOCATIONS + lane] = a05;
        workgroupBarrier();
        if slice == 4u * SLICES / 8u { a04 = sum_slices(0u * INVOCATIONS + lane % SLICE); }
        if slice == 5u * SLICES / 8u { a05 = sum_slices(1u * INVOCATIONS + lane % SLICE); }
        workgroupBarrier();
        exchange[0u * INVOCATIONS + lane] = a06;
        exchange[1u * INVOCATIONS + lane] = a07;
        workgroupBarrier();
        if slice == 6u * SLICES / 8u { a06 = sum_slices(0u * INVOCATIONS + lane % SLICE); }
        if slice == 7u * SLICES / 8u { a07 = sum_slices(1u * INVOCATIONS + lane % SLICE); }
    }
    let o = 4u * (stack * WIDTH + own);
    let row = corner.y + strip * 8u;
    let column = corner.x + lane % 16u;
    if slice == 0u * SLICES / 8u { put_hidden(image, o + 0u, row + 0u, column, a00); }
    if slice == 1u * SLICES / 8u { put_hidden(image, o + 0u, row + 1u, column, a01); }
    if slice == 2u * SLICES / 8u { put_hidden(image, o + 0u, row + 2u, column, a02); }
    if slice == 3u * SLICES / 8u { put_hidden(image, o + 0u, row + 3u, column, a03); }
    if slice == 4u * SLICES / 8u { put_hidden(image, o + 0u, row + 4u, column, a04); }
    if slice == 5u * SLICES / 8u { put_hidden(image, o + 0u, row + 5u, column, a05); }
    if slice == 6u * SLICES / 8u { put_hidden(image, o + 0u, row + 6u, column, a06); }
    if slice == 7u * SLICES / 8u { put_hidden(image, o + 0u, row + 7u, column, a07); }
    if DEPTH > 1u {
        put_hidden(image, o + 4u, row + 0u, column, a10);
        put_hidden(image, o + 4u, row + 1u, column, a11);
        put_hidden(image, o + 4u, row + 2u, column, a12);
        put_hidden(image, o + 4u, row + 3u, column, a13);
        put_hidden(image, o + 4u, row + 4u, column, a14);
        put_hidden(image, o + 4u, row + 5u, column, a15);
        put_hidden(image, o + 4u, row + 6u, column, a16);
        put_hidden(image, o + 4u, row + 7u, column, a17);
    }
}

@compute @workgroup_size(INVOCATIONS)
fn forward_hidden_stats(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let ci = p.cx + p.cr;
    let stacks = p.columns / WIDTH;
    let image = group.z / stacks;
    let stack = group.z % stacks;
    let corner = group.xy * vec2u(16u, 8u * STRIPS);
    // Said to be 0 where it is: some compilers then know more.
    var slice = 0u;
    if SLICES > 1u {
        slice = lane / SLICE;
    }
    let strip = lane / 16u % STRIPS;
    let own = lane % SLICE / (16u * STRIPS) * DEPTH; // its first vec4 of output channels in the stack
    var bias0 = bias(stack * WIDTH + own);
    let bias1 = bias(stack * WIDTH + own + DEPTH - 1u);
    if slice > 0u {
        bias0 = vec4f();
    }
    var a00 = bias0;
    var a01 = bias0;
    var a02 = bias0;
    var a03 = bias0;
    var a04 = bias0;
    var a05 = bias0;
    var a06 = bias0;
    var a07 = bias0;
    var a10 = bias1;
    var a11 = bias1;
    var a12 = bias1;
    var a13 = bias1;
    var a14 = bias1;
    var a15 = bias1;
    var a16 = bias1;
    var a17 = bias1;
    let spot0 = spot(image, corner, lane + 0u * INVOCATIONS);
    let spot1 = spot(image, corner, lane + 1u * INVOCATIONS);
    let spot2 = spot(image, corner, lane + 2u * INVOCATIONS);
    let spot3 = spot(image, corner, lane + 3u * INVOCATIONS);
    let spot4 = spot(image, corner, lane + 4u * INVOCATIONS);
    var first = 0u;
    while first < ci {
        let channels = min(CHUNK, select(ci, p.cx, first < p.cx) - first);
        let last = channels - 1u;
        var v0_0 = 0.0;
        var v1_0 = 0.0;
        var v2_0 = 0.0;
        var v3_0 = 0.0;
        var v4_0 = 0.0;
        var v0_1 = 0.0;
        var v1_1 = 0.0;
        var v2_1 = 0.0;
        var v3_1 = 0.0;
        var v4_1 = 0.0;
        var v0_2 = 0.0;
        var v1_2 = 0.0;
        var v2_2 = 0.0;
        var v3_2 = 0.0;
        var v4_2 = 0.0;
        var v0_3 = 0.0;
        var v1_3 = 0.0;
        var v2_3 = 0.0;
        var v3_3 = 0.0;
        var v4_3 = 0.0;
        var v0_4 = 0.0;
        var v1_4 = 0.0;
        var v0_5 = 0.0;
        var v1_5 = 0.0;
        var v0_6 = 0.0;
        var v1_6 = 0.0;
        var v0_7 = 0.0;
        var v1_7 = 0.0;
        if first < p.cx {
        if 0u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_0 = x_at(image, first + min(0u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_0 = x_at(image, first + min(0u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_0 = x_at(image, first + min(0u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_0 = x_at(image, first + min(0u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_0 = x_at(image, first + min(0u, last), spot4); }
        }
        if 1u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_1 = x_at(image, first + min(1u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_1 = x_at(image, first + min(1u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_1 = x_at(image, first + min(1u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_1 = x_at(image, first + min(1u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_1 = x_at(image, first + min(1u, last), spot4); }
        }
        if 2u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_2 = x_at(image, first + min(2u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_2 = x_at(image, first + min(2u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_2 = x_at(image, first + min(2u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_2 = x_at(image, first + min(2u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_2 = x_at(image, first + min(2u, last), spot4); }
        }
        if 3u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_3 = x_at(image, first + min(3u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_3 = x_at(image, first + min(3u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_3 = x_at(image, first + min(3u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_3 = x_at(image, first + min(3u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_3 = x_at(image, first + min(3u, last), spot4); }
        }
        if 4u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_4 = x_at(image, first + min(4u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_4 = x_at(image, first + min(4u, last), spot1); }
        }
        if 5u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_5 = x_at(image, first + min(5u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_5 = x_at(image, first + min(5u, last), spot1); }
        }
        if 6u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_6 = x_at(image, first + min(6u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_6 = x_at(image, first + min(6u, last), spot1); }
        }
        if 7u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_7 = x_at(image, first + min(7u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_7 = x_at(image, first + min(7u, last), spot1); }
        }
        } else {
        if 0u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_0 = r_at(image, first - p.cx + min(0u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_0 = r_at(image, first - p.cx + min(0u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_0 = r_at(image, first - p.cx + min(0u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_0 = r_at(image, first - p.cx + min(0u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_0 = r_at(image, first - p.cx + min(0u, last), spot4); }
        }
        if 1u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_1 = r_at(image, first - p.cx + min(1u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_1 = r_at(image, first - p.cx + min(1u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_1 = r_at(image, first - p.cx + min(1u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_1 = r_at(image, first - p.cx + min(1u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_1 = r_at(image, first - p.cx + min(1u, last), spot4); }
        }
        if 2u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_2 = r_at(image, first - p.cx + min(2u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_2 = r_at(image, first - p.cx + min(2u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_2 = r_at(image, first - p.cx + min(2u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_2 = r_at(image, first - p.cx + min(2u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_2 = r_at(image, first - p.cx + min(2u, last), spot4); }
        }
        if 3u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_3 = r_at(image, first - p.cx + min(3u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_3 = r_at(image, first - p.cx + min(3u, last), spot1); }
        if 2u * INVOCATIONS < TILE { v2_3 = r_at(image, first - p.cx + min(3u, last), spot2); }
        if 3u * INVOCATIONS < TILE { v3_3 = r_at(image, first - p.cx + min(3u, last), spot3); }
        if 4u * INVOCATIONS < TILE { v4_3 = r_at(image, first - p.cx + min(3u, last), spot4); }
        }
        if 4u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_4 = r_at(image, first - p.cx + min(4u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_4 = r_at(image, first - p.cx + min(4u, last), spot1); }
        }
        if 5u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_5 = r_at(image, first - p.cx + min(5u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_5 = r_at(image, first - p.cx + min(5u, last), spot1); }
        }
        if 6u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_6 = r_at(image, first - p.cx + min(6u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_6 = r_at(image, first - p.cx + min(6u, last), spot1); }
        }
        if 7u < CHUNK {
        if 0u * INVOCATIONS < TILE { v0_7 = r_at(image, first - p.cx + min(7u, last), spot0); }
        if 1u * INVOCATIONS < TILE { v1_7 = r_at(image, first - p.cx + min(7u, last), spot1); }
        }
        }
        var t0 = vec4f();
        if 0u * INVOCATIONS < CHUNK * 9u * WIDTH { t0 = weights_at(stack, first, min(lane + 0u * INVOCATIONS, channels * 9u * WIDTH - 1u)); }
        var t1 = vec4f();
        if 1u * INVOCATIONS < CHUNK * 9u * WIDTH { t1 = weights_at(stack, first, min(lane + 1u * INVOCATIONS, channels * 9u * WIDTH - 1u)); }
        var t2 = vec4f();
        if 2u * INVOCATIONS < CHUNK * 9u * WIDTH { t2 = weights_at(stack, first, min(lane + 2u * INVOCATIONS, channels * 9u * WIDTH - 1u)); }
        var t3 = vec4f();
        if 3u * INVOCATIONS < CHUNK * 9u * WIDTH { t3 = weights_at(stack, first, min(lane + 3u * INVOCATIONS, channels * 9u * WIDTH - 1u)); }
        var t4 = vec4f();
        if 4u * INVOCATIONS < CHUNK * 9u * WIDTH { t4 = weights_at(stack, first, min(lane + 4u * INVOCATIONS, channels * 9u * WIDTH - 1u)); }
        workgroupBarrier();
        if 0u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[0u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_0, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[0u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_0, spot1.inside); }
        if lane + 2u * INVOCATIONS < TILE { tile[0u * TILE + lane + 2u * INVOCATIONS] = select(0.0, v2_0, spot2.inside); }
        if lane + 3u * INVOCATIONS < TILE { tile[0u * TILE + lane + 3u * INVOCATIONS] = select(0.0, v3_0, spot3.inside); }
        if lane + 4u * INVOCATIONS < TILE { tile[0u * TILE + lane + 4u * INVOCATIONS] = select(0.0, v4_0, spot4.inside); }
        }
        if 1u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[1u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_1, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[1u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_1, spot1.inside); }
        if lane + 2u * INVOCATIONS < TILE { tile[1u * TILE + lane + 2u * INVOCATIONS] = select(0.0, v2_1, spot2.inside); }
        if lane + 3u * INVOCATIONS < TILE { tile[1u * TILE + lane + 3u * INVOCATIONS] = select(0.0, v3_1, spot3.inside); }
        if lane + 4u * INVOCATIONS < TILE { tile[1u * TILE + lane + 4u * INVOCATIONS] = select(0.0, v4_1, spot4.inside); }
        }
        if 2u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[2u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_2, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[2u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_2, spot1.inside); }
        if lane + 2u * INVOCATIONS < TILE { tile[2u * TILE + lane + 2u * INVOCATIONS] = select(0.0, v2_2, spot2.inside); }
        if lane + 3u * INVOCATIONS < TILE { tile[2u * TILE + lane + 3u * INVOCATIONS] = select(0.0, v3_2, spot3.inside); }
        if lane + 4u * INVOCATIONS < TILE { tile[2u * TILE + lane + 4u * INVOCATIONS] = select(0.0, v4_2, spot4.inside); }
        }
        if 3u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[3u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_3, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[3u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_3, spot1.inside); }
        if lane + 2u * INVOCATIONS < TILE { tile[3u * TILE + lane + 2u * INVOCATIONS] = select(0.0, v2_3, spot2.inside); }
        if lane + 3u * INVOCATIONS < TILE { tile[3u * TILE + lane + 3u * INVOCATIONS] = select(0.0, v3_3, spot3.inside); }
        if lane + 4u * INVOCATIONS < TILE { tile[3u * TILE + lane + 4u * INVOCATIONS] = select(0.0, v4_3, spot4.inside); }
        }
        if 4u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[4u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_4, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[4u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_4, spot1.inside); }
        }
        if 5u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[5u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_5, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[5u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_5, spot1.inside); }
        }
        if 6u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[6u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_6, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[6u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_6, spot1.inside); }
        }
        if 7u < CHUNK {
        if lane + 0u * INVOCATIONS < TILE { tile[7u * TILE + lane + 0u * INVOCATIONS] = select(0.0, v0_7, spot0.inside); }
        if lane + 1u * INVOCATIONS < TILE { tile[7u * TILE + lane + 1u * INVOCATIONS] = select(0.0, v1_7, spot1.inside); }
        }
        if lane + 0u * INVOCATIONS < CHUNK * 9u * WIDTH { taps[lane + 0u * INVOCATIONS] = t0; }
        if lane + 1u * INVOCATIONS < CHUNK * 9u * WIDTH { taps[lane + 1u * INVOCATIONS] = t1; }
        if lane + 2u * INVOCATIONS < CHUNK * 9u * WIDTH { taps[lane + 2u * INVOCATIONS] = t2; }
        if lane + 3u * INVOCATIONS < CHUNK * 9u * WIDTH { taps[lane + 3u * INVOCATIONS] = t3; }
        if lane + 4u * INVOCATIONS < CHUNK * 9u * WIDTH { taps[lane + 4u * INVOCATIONS] = t4; }
        workgroupBarrier();
        for (var c = slice; c < channels; c += SLICES) {
            let t = c * TILE + strip * 8u * TILE_W + lane % 16u;
            let k = c * 9u * WIDTH + own;
            {
                let v0 = tile[t + 0u];
                let v1 = tile[t + 18u];
                let v2 = tile[t + 36u];
                let v3 = tile[t + 54u];
                let v4 = tile[t + 72u];
                let v5 = tile[t + 90u];
                let v6 = tile[t + 108u];
                let v7 = tile[t + 126u];
                let v8 = tile[t + 144u];
                let v9 = tile[t + 162u];
                let w0 = taps[k + 0u * WIDTH];
                a00 = fma(vec4f(v0), w0, a00);
                a01 = fma(vec4f(v1), w0, a01);
                a02 = fma(vec4f(v2), w0, a02);
                a03 = fma(vec4f(v3), w0, a03);
                a04 = fma(vec4f(v4), w0, a04);
                a05 = fma(vec4f(v5), w0, a05);
                a06 = fma(vec4f(v6), w0, a06);
                a07 = fma(vec4f(v7), w0, a07);
                if DEPTH > 1u {
                    let w = taps[k + 0u * WIDTH + 1u];
                    a10 = fma(vec4f(v0), w, a10);
                    a11 = fma(vec4f(v1), w, a11);
                    a12 = fma(vec4f(v2), w, a12);
                    a13 = fma(vec4f(v3), w, a13);
                    a14 = fma(vec4f(v4), w, a14);
                    a15 = fma(vec4f(v5), w, a15);
                    a16 = fma(vec4f(v6), w, a16);
                    a17 = fma(vec4f(v7), w, a17);
                }
                let w1 = taps[k + 3u * WIDTH];
                a00 = fma(vec4f(v1), w1, a00);
                a01 = fma(vec4f(v2), w1, a01);
                a02 = fma(vec4f(v3), w1, a02);
                a03 = fma(vec4f(v4), w1, a03);
                a04 = fma(vec4f(v5), w1, a04);
                a05 = fma(vec4f(v6), w1, a05);
                a06 = fma(vec4f(v7), w1, a06);
                a07 = fma(vec4f(v8), w1, a07);
                if DEPTH > 1u {
                    let w = taps[k + 3u * WIDTH + 1u];
                    a10 = fma(vec4f(v1), w, a10);
                    a11 = fma(vec4f(v2), w, a11);
                    a12 = fma(vec4f(v3), w, a12);
                    a13 = fma(vec4f(v4), w, a13);
                    a14 = fma(vec4f(v5), w, a14);
                    a15 = fma(vec4f(v6), w, a15);
                    a16 = fma(vec4f(v7), w, a16);
                    a17 = fma(vec4f(v8), w, a17);
                }
                let w2 = taps[k + 6u * WIDTH];
                a00 = fma(vec4f(v2), w2, a00);
                a01 = fma(vec4f(v3), w2, a01);
                a02 = fma(vec4f(v4), w2, a02);
                a03 = fma(vec4f(v5), w2, a03);
                a04 = fma(vec4f(v6), w2, a04);
                a05 = fma(vec4f(v7), w2, a05);
                a06 = fma(vec4f(v8), w2, a06);
                a07 = fma(vec4f(v9), w2, a07);
                if DEPTH > 1u {
                    let w = taps[k + 6u * WIDTH + 1u];
                    a10 = fma(vec4f(v2), w, a10);
                    a11 = fma(vec4f(v3), w, a11);
                    a12 = fma(vec4f(v4), w, a12);
                    a13 = fma(vec4f(v5), w, a13);
                    a14 = fma(vec4f(v6), w, a14);
                    a15 = fma(vec4f(v7), w, a15);
                    a16 = fma(vec4f(v8), w, a16);
                    a17 = fma(vec4f(v9), w, a17);
                }
            }
            {
                let v0 = tile[t + 1u];
                let v1 = tile[t + 19u];
                let v2 = tile[t + 37u];
                let v3 = tile[t + 55u];
                let v4 = tile[t + 73u];
                let v5 = tile[t + 91u];
                let v6 = tile[t + 109u];
                let v7 = tile[t + 127u];
                let v8 = tile[t + 145u];
                let v9 = tile[t + 163u];
                let w0 = taps[k + 1u * WIDTH];
                a00 = fma(vec4f(v0), w0, a00);
                a01 = fma(vec4f(v1), w0, a01);
                a02 = fma(vec4f(v2), w0, a02);
                a03 = fma(vec4f(v3), w0, a03);
                a04 = fma(vec4f(v4), w0, a04);
                a05 = fma(vec4f(v5), w0, a05);
                a06 = fma(vec4f(v6), w0, a06);
                a07 = fma(vec4f(v7), w0, a07);
                if DEPTH > 1u {
                    let w = taps[k + 1u * WIDTH + 1u];
                    a10 = fma(vec4f(v0), w, a10);
                    a11 = fma(vec4f(v1), w, a11);
                    a12 = fma(vec4f(v2), w, a12);
                    a13 = fma(vec4f(v3), w, a13);
                    a14 = fma(vec4f(v4), w, a14);
                    a15 = fma(vec4f(v5), w, a15);
                    a16 = fma(vec4f(v6), w, a16);
                    a17 = fma(vec4f(v7), w, a17);
                }
                let w1 = taps[k + 4u * WIDTH];
                a00 = fma(vec4f(v1), w1, a00);
                a01 = fma(vec4f(v2), w1, a01);
                a02 = fma(vec4f(v3), w1, a02);
                a03 = fma(vec4f(v4), w1, a03);
                a04 = fma(vec4f(v5), w1, a04);
                a05 = fma(vec4f(v6), w1, a05);
                a06 = fma(vec4f(v7), w1, a06);
                a07 = fma(vec4f(v8), w1, a07);
                if DEPTH > 1u {
                    let w = taps[k + 4u * WIDTH + 1u];
                    a10 = fma(vec4f(v1), w, a10);
                    a11 = fma(vec4f(v2), w, a11);
                    a12 = fma(vec4f(v3), w, a12);
                    a13 = fma(vec4f(v4), w, a13);
                    a14 = fma(vec4f(v5), w, a14);
                    a15 = fma(vec4f(v6), w, a15);
                    a16 = fma(vec4f(v7), w, a16);
                    a17 = fma(vec4f(v8), w, a17);
                }
                let w2 = taps[k + 7u * WIDTH];
                a00 = fma(vec4f(v2), w2, a00);
                a01 = fma(vec4f(v3), w2, a01);
                a02 = fma(vec4f(v4), w2, a02);
                a03 = fma(vec4f(v5), w2, a03);
                a04 = fma(vec4f(v6), w2, a04);
                a05 = fma(vec4f(v7), w2, a05);
                a06 = fma(vec4f(v8), w2, a06);
                a07 = fma(vec4f(v9), w2, a07);
                if DEPTH > 1u {
                    let w = taps[k + 7u * WIDTH + 1u];
                    a10 = fma(vec4f(v2), w, a10);
                    a11 = fma(vec4f(v3), w, a11);
                    a12 = fma(vec4f(v4), w, a12);
                    a13 = fma(vec4f(v5), w, a13);
                    a14 = fma(vec4f(v6), w, a14);
                    a15 = fma(vec4f(v7), w, a15);
                    a16 = fma(vec4f(v8), w, a16);
                    a17 = fma(vec4f(v9), w, a17);
                }
            }
            {
                let v0 = tile[t + 2u];
                let v1 = tile[t + 20u];
                let v2 = tile[t + 38u];
                let v3 = tile[t + 56u];
                let v4 = tile[t + 74u];
                let v5 = tile[t + 92u];
                let v6 = tile[t + 110u];
                let v7 = tile[t + 128u];
                let v8 = tile[t + 146u];
                let v9 = tile[t + 164u];
                let w0 = taps[k + 2u * WIDTH];
                a00 = fma(vec4f(v0), w0, a00);
                a01 = fma(vec4f(v1), w0, a01);
                a02 = fma(vec4f(v2), w0, a02);
                a03 = fma(vec4f(v3), w0, a03);
                a04 = fma(vec4f(v4), w0, a04);
                a05 = fma(vec4f(v5), w0, a05);
                a06 = fma(vec4f(v6), w0, a06);
                a07 = fma(vec4f(v7), w0, a07);
                if DEPTH > 1u {
                    let w = taps[k + 2u * WIDTH + 1u];
                    a10 = fma(vec4f(v0), w, a10);
                    a11 = fma(vec4f(v1), w, a11);
                    a12 = fma(vec4f(v2), w, a12);
                    a13 = fma(vec4f(v3), w, a13);
                    a14 = fma(vec4f(v4), w, a14);
                    a15 = fma(vec4f(v5), w, a15);
                    a16 = fma(vec4f(v6), w, a16);
                    a17 = fma(vec4f(v7), w, a17);
                }
                let w1 = taps[k + 5u * WIDTH];
                a00 = fma(vec4f(v1), w1, a00);
                a01 = fma(vec4f(v2), w1, a01);
                a02 = fma(vec4f(v3), w1, a02);
                a03 = fma(vec4f(v4), w1, a03);
                a04 = fma(vec4f(v5), w1, a04);
                a05 = fma(vec4f(v6), w1, a05);
                a06 = fma(vec4f(v7), w1, a06);
                a07 = fma(vec4f(v8), w1, a07);
                if DEPTH > 1u {
                    let w = taps[k + 5u * WIDTH + 1u];
                    a10 = fma(vec4f(v1), w, a10);
                    a11 = fma(vec4f(v2), w, a11);
                    a12 = fma(vec4f(v3), w, a12);
                    a13 = fma(vec4f(v4), w, a13);
                    a14 = fma(vec4f(v5), w, a14);
                    a15 = fma(vec4f(v6), w, a15);
                    a16 = fma(vec4f(v7), w, a16);
                    a17 = fma(vec4f(v8), w, a17);
                }
                let w2 = taps[k + 8u * WIDTH];
                a00 = fma(vec4f(v2), w2, a00);
                a01 = fma(vec4f(v3), w2, a01);
                a02 = fma(vec4f(v4), w2, a02);
                a03 = fma(vec4f(v5), w2, a03);
                a04 = fma(vec4f(v6), w2, a04);
                a05 = fma(vec4f(v7), w2, a05);
                a06 = fma(vec4f(v8), w2, a06);
                a07 = fma(vec4f(v9), w2, a07);
                if DEPTH > 1u {
                    let w = taps[k + 8u * WIDTH + 1u];
                    a10 = fma(vec4f(v2), w, a10);
                    a11 = fma(vec4f(v3), w, a11);
                    a12 = fma(vec4f(v4), w, a12);
                    a13 = fma(vec4f(v5), w, a13);
                    a14 = fma(vec4f(v6), w, a14);
                    a15 = fma(vec4f(v7), w, a15);
                    a16 = fma(vec4f(v8), w, a16);
                    a17 = fma(vec4f(v9), w, a17);
                }
            }
        }
        first += channels;
    }
    if SLICES > 1u {
        workgroupBarrier();
        exchange[0u * INVOCATIONS + lane] = a00;
        exchange[1u * INVOCATIONS + lane] = a01;
        workgroupBarrier();
        if slice == 0u * SLICES / 8u { a00 = sum_slices(0u * INVOCATIONS + lane % SLICE); }
        if slice == 1u * SLICES / 8u { a01 = sum_slices(1u * INVOCATIONS + lane % SLICE); }
        workgroupBarrier();
        exchange[0u * INVOCATIONS + lane] = a02;
        exchange[1u * INVOCATIONS + lane] = a03;
        workgroupBarrier();
        if slice == 2u * SLICES / 8u { a02 = sum_slices(0u * INVOCATIONS + lane % SLICE); }
        if slice == 3u * SLICES / 8u { a03 = sum_slices(1u * INVOCATIONS + lane % SLICE); }
        workgroupBarrier();
        exchange[0u * INVOCATIONS + lane] = a04;
        exchange[1u * INVOCATIONS + lane] = a05;
        workgroupBarrier();
        if slice == 4u * SLICES / 8u { a04 = sum_slices(0u * INVOCATIONS + lane % SLICE); }
        if slice == 5u * SLICES / 8u { a05 = sum_slices(1u * INVOCATIONS + lane % SLICE); }
        workgroupBarrier();
        exchange[0u * INVOCATIONS + lane] = a06;
        exchange[1u * INVOCATIONS + lane] = a07;
        workgroupBarrier();
        if slice == 6u * SLICES / 8u { a06 = sum_slices(0u * INVOCATIONS + lane % SLICE); }
        if slice == 7u * SLICES / 8u { a07 = sum_slices(1u * INVOCATIONS + lane % SLICE); }
    }
    let o = 4u * (stack * WIDTH + own);
    let row = corner.y + strip * 8u;
    let column = corner.x + lane % 16u;
    if slice == 0u * SLICES / 8u { put_hidden(image, o + 0u, row + 0u, column, a00); }
    if slice == 1u * SLICES / 8u { put_hidden(image, o + 0u, row + 1u, column, a01); }
    if slice == 2u * SLICES / 8u { put_hidden(image, o + 0u, row + 2u, column, a02); }
    if slice == 3u * SLICES / 8u { put_hidden(image, o + 0u, row + 3u, column, a03); }
    if slice == 4u * SLICES / 8u { put_hidden(image, o + 0u, row + 4u, column, a04); }
    if slice == 5u * SLICES / 8u { put_hidden(image, o + 0u, row + 5u, column, a05); }
    if slice == 6u * SLICES / 8u { put_hidden(image, o + 0u, row + 6u, column, a06); }
    if slice == 7u * SLICES / 8u { put_hidden(image, o + 0u, row + 7u, column, a07); }
    if DEPTH > 1u {
        put_hidden(image, o + 4u, row + 0u, column, a10);
        put_hidden(image, o + 4u, row + 1u, column, a11);
        put_hidden(image, o + 4u, row + 2u, column, a12);
        put_hidden(image, o + 4u, row + 3u, column, a13);
        put_hidden(image, o + 4u, row + 4u, column, a14);
        put_hidden(image, o + 4u, row + 5u, column, a15);
        put_hidden(image, o + 4u, row + 6u, column, a16);
        put_hidden(image, o + 4u, row + 7u, column, a17);
    }
    var sum0 = vec4f();
    var top0 = LOWEST;
    if row + 0u < p.h && column < p.w {
        sum0 += activate(a00);
        top0 = max(top0, activate(a00));
    }
    if row + 1u < p.h && column < p.w {
        sum0 += activate(a01);
        top0 = max(top0, activate(a01));
    }
    if row + 2u < p.h && column < p.w {
        sum0 += activate(a02);
        top0 = max(top0, activate(a02));
    }
    if row + 3u < p.h && column < p.w {
        sum0 += activate(a03);
        top0 = max(top0, activate(a03));
    }
    if row + 4u < p.h && column < p.w {
        sum0 += activate(a04);
        top0 = max(top0, activate(a04));
    }
    if row + 5u < p.h && column < p.w {
        sum0 += activate(a05);
        top0 = max(top0, activate(a05));
    }
    if row + 6u < p.h && column < p.w {
        sum0 += activate(a06);
        top0 = max(top0, activate(a06));
    }
    if row + 7u < p.h && column < p.w {
        sum0 += activate(a07);
        top0 = max(top0, activate(a07));
    }
    var sum1 = vec4f();
    var top1 = LOWEST;
    if row + 0u < p.h && column < p.w {
        sum1 += activate(a10);
        top1 = max(top1, activate(a10));
    }
    if row + 1u < p.h && column < p.w {
        sum1 += activate(a11);
        top1 = max(top1, activate(a11));
    }
    if row + 2u < p.h && column < p.w {
        sum1 += activate(a12);
        top1 = max(top1, activate(a12));
    }
    if row + 3u < p.h && column < p.w {
        sum1 += activate(a13);
        top1 = max(top1, activate(a13));
    }
    if row + 4u < p.h && column < p.w {
        sum1 += activate(a14);
        top1 = max(top1, activate(a14));
    }
    if row + 5u < p.h && column < p.w {
        sum1 += activate(a15);
        top1 = max(top1, activate(a15));
    }
    if row + 6u < p.h && column < p.w {
        sum1 += activate(a16);
        top1 = max(top1, activate(a16));
    }
    if row + 7u < p.h && column < p.w {
        sum1 += activate(a17);
        top1 = max(top1, activate(a17));
    }
    let channel = lane % (4u * WIDTH);
    let line = lane / (4u * WIDTH);
    let tile_row = group.y * STRIPS + line;
    let output = 4u * stack * WIDTH + channel;
    let counts = line < STRIPS && tile_row * 8u < p.h && output < p.co;
    workgroupBarrier();
    taps[stat_at(own, strip, lane % 16u)] = sum0;
    if DEPTH > 1u {
        taps[stat_at(own + 1u, strip, lane % 16u)] = sum1;
    }
    workgroupBarrier();
    if counts {
        var v = 0.0;
        for (var i = 0u; i < 16u; i++) {
            let e = taps[stat_at(channel / 4u, line, (i + channel / 4u) % 16u)][channel % 4u];
            v = v + e;
        }
        tiles[place_of_stats(image, output, vec2u(group.x, tile_row))] = v;
    }
    workgroupBarrier();
    taps[stat_at(own, strip, lane % 16u)] = top0;
    if DEPTH > 1u {
        taps[stat_at(own + 1u, strip, lane % 16u)] = top1;
    }
    workgroupBarrier();
    if counts {
        var v = LOWEST.x;
        for (var i = 0u; i < 16u; i++) {
            let e = taps[stat_at(channel / 4u, line, (i + channel / 4u) % 16u)][channel % 4u];
            v = max(v, e);
        }
        tiles[place_of_stats(image, p.co + output, vec2u(group.x, tile_row))] = v;
    }
}
