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
