// 3x3 convolution, stride 1, zero padding 1, of the concatenation [x, r], with bias and LeakyReLU:
//   y[o, i, j] = act(b[o] + sum_{c, ky, kx} w[o, c, ky, kx] in[c, i + ky - 1, j + kx - 1]),  act(v) = v >= 0 ? v : slope v.
// r is read where it lies instead of being copied into a concatenation; cr = 0: there is none (bind x again).
//
// `forward` and `backward_input` share one tile: a workgroup of 16 x 4 invocations makes 16 x 8 pixels of 4 GROUPS
// output channels, an invocation two rows of one column with its channels in vec4 accumulators. CHUNK input channels at
// a time, their halo and their weights lie in workgroup memory: of the shapes measured on software Vulkan and
// reasonable on a GPU this was the best. Grid: (w, ceil(h / 2), N * ceil(channels / (4 GROUPS))) invocations.

struct Params {
    n: u32,
    cx: u32, // channels of x
    cr: u32, // channels of r
    co: u32, // output channels
    h: u32,
    w: u32,
    slope: f32, // of the LeakyReLU; 1: no activation
    first: u32, // backward_input: first input channel wanted
    count: u32, // backward_input: how many
    splits: u32, // backward_weight: sums that share the pixels
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (N, cx, h, w)
@group(0) @binding(3) var<storage, read> r: array<f32>; // (N, cr, h, w)
@group(0) @binding(4) var<storage, read> w: array<f32>; // (co, cx + cr, 3, 3)
@group(0) @binding(5) var<storage, read> b: array<f32>; // (co)
@group(0) @binding(6) var<storage, read_write> y: array<f32>; // (N, co, h, w)

// vec4s of output channels that an invocation makes: 1 to 4. A thin output does not pay for 16 channels.
override GROUPS: u32 = 4u;

const CHUNK = 8u; // input channels staged at a time
const TILE_W = 18u; // 16 columns and the halo
const TILE_H = 10u; // 8 rows and the halo
const TILE = TILE_W * TILE_H;

var<workgroup> tile: array<f32, CHUNK * TILE>; // [channel][row][column]
var<workgroup> taps: array<vec4f, CHUNK * 36u>; // [channel][tap][group], 4 output channels a vec4
var<private> acc: array<vec4f, 8>; // [group][row of the two]

// Sum of one chunk into the accumulators.
fn accumulate(local: vec3u, channels: u32) {
    for (var c = 0u; c < channels; c++) {
        // Unrolled: loops that carry this many accumulators are costly on software Vulkan.
        let at = c * TILE + local.y * 2u * TILE_W + local.x;
        accumulate_column(at, c * 36u);
        accumulate_column(at + 1u, c * 36u + 4u);
        accumulate_column(at + 2u, c * 36u + 8u);
    }
}

// Adds what three taps, one under the other, make of four inputs, one under the other.
fn accumulate_column(at: u32, tap: u32) {
    let v0 = tile[at];
    let v1 = tile[at + TILE_W];
    let v2 = tile[at + 2u * TILE_W];
    let v3 = tile[at + 3u * TILE_W];
    // Written out for each group: a loop would index the accumulators by a variable, and some compilers then
    // keep them in memory. The conditions are constant when the pipeline is built.
    {
        let w0 = taps[tap];
        let w1 = taps[tap + 12u];
        let w2 = taps[tap + 24u];
        acc[0] = fma(vec4f(v2), w2, fma(vec4f(v1), w1, fma(vec4f(v0), w0, acc[0])));
        acc[1] = fma(vec4f(v3), w2, fma(vec4f(v2), w1, fma(vec4f(v1), w0, acc[1])));
    }
    if GROUPS > 1u {
        let w0 = taps[tap + 1u];
        let w1 = taps[tap + 13u];
        let w2 = taps[tap + 25u];
        acc[2] = fma(vec4f(v2), w2, fma(vec4f(v1), w1, fma(vec4f(v0), w0, acc[2])));
        acc[3] = fma(vec4f(v3), w2, fma(vec4f(v2), w1, fma(vec4f(v1), w0, acc[3])));
    }
    if GROUPS > 2u {
        let w0 = taps[tap + 2u];
        let w1 = taps[tap + 14u];
        let w2 = taps[tap + 26u];
        acc[4] = fma(vec4f(v2), w2, fma(vec4f(v1), w1, fma(vec4f(v0), w0, acc[4])));
        acc[5] = fma(vec4f(v3), w2, fma(vec4f(v2), w1, fma(vec4f(v1), w0, acc[5])));
    }
    if GROUPS > 3u {
        let w0 = taps[tap + 3u];
        let w1 = taps[tap + 15u];
        let w2 = taps[tap + 27u];
        acc[6] = fma(vec4f(v2), w2, fma(vec4f(v1), w1, fma(vec4f(v0), w0, acc[6])));
        acc[7] = fma(vec4f(v3), w2, fma(vec4f(v2), w1, fma(vec4f(v1), w0, acc[7])));
    }
}

// Element e of a chunk's tile: (channel, row, column) with row and column in the image; `inside` is false for padding.
struct Cell {
    c: u32,
    row: u32,
    column: u32,
    inside: bool,
}

fn cell(e: u32, corner: vec2u) -> Cell {
    // The corner's pixel is (corner - 1); unsigned wrap-around puts the row above the image out of range, too.
    let row = corner.y + e % TILE / TILE_W - 1u;
    let column = corner.x + e % TILE_W - 1u;
    return Cell(e / TILE, row, column, row < p.h && column < p.w);
}

// Weight `at` = 9 c + tap of output channel o, 0 past the last.
fn weight(o: u32, at: u32) -> f32 {
    if o >= p.co {
        return 0.0;
    }
    return w[o * (p.cx + p.cr) * 9u + at];
}

@compute @workgroup_size(16, 4)
fn forward(
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3u,
) {
    let ci = p.cx + p.cr;
    let stacks = (p.co + 4u * GROUPS - 1u) / (4u * GROUPS);
    let image = group.z / stacks;
    let o0 = group.z % stacks * 4u * GROUPS;
    let corner = group.xy * vec2u(16u, 8u);
    for (var first = 0u; first < ci; first += CHUNK) {
        let channels = min(CHUNK, ci - first);
        workgroupBarrier();
        for (var e = lane; e < channels * TILE; e += 64u) {
            let at = cell(e, corner);
            let c = first + at.c;
            var v = 0.0;
            if at.inside {
                if c < p.cx {
                    v = x[((image * p.cx + c) * p.h + at.row) * p.w + at.column];
                } else {
                    v = r[((image * p.cr + c - p.cx) * p.h + at.row) * p.w + at.column];
                }
            }
            tile[e] = v;
        }
        for (var e = lane; e < CHUNK * 9u * GROUPS; e += 64u) {
            let g = e / (CHUNK * 9u);
            let k = e % (CHUNK * 9u);
            if k >= channels * 9u {
                continue;
            }
            let o = o0 + g * 4u;
            let at = first * 9u + k;
            taps[k * 4u + g] = vec4f(weight(o, at), weight(o + 1u, at), weight(o + 2u, at), weight(o + 3u, at));
        }
        workgroupBarrier();
        accumulate(local, channels);
    }
    let column = corner.x + local.x;
    let row = corner.y + local.y * 2u;
    if column >= p.w {
        return;
    }
    put_y4(image, o0, row, column, acc[0], acc[1]);
    if GROUPS > 1u {
        put_y4(image, o0 + 4u, row, column, acc[2], acc[3]);
    }
    if GROUPS > 2u {
        put_y4(image, o0 + 8u, row, column, acc[4], acc[5]);
    }
    if GROUPS > 3u {
        put_y4(image, o0 + 12u, row, column, acc[6], acc[7]);
    }
}

// Stores two rows of four output channels.
fn put_y4(image: u32, o: u32, row: u32, column: u32, v0: vec4f, v1: vec4f) {
    put_y(image, o, row, column, v0.x, v1.x);
    put_y(image, o + 1u, row, column, v0.y, v1.y);
    put_y(image, o + 2u, row, column, v0.z, v1.z);
    put_y(image, o + 3u, row, column, v0.w, v1.w);
}

fn put_y(image: u32, o: u32, row: u32, column: u32, v0: f32, v1: f32) {
    if o >= p.co {
        return;
    }
    let at = ((image * p.co + o) * p.h + row) * p.w + column;
    let bias = b[o];
    if row < p.h {
        y[at] = activate(v0 + bias);
    }
    if row + 1u < p.h {
        y[at + p.w] = activate(v1 + bias);
    }
}

fn activate(v: f32) -> f32 {
    return select(p.slope * v, v, v >= 0.0);
}

@group(0) @binding(7) var<storage, read> y_in: array<f32>; // (N, co, h, w)
@group(0) @binding(8) var<storage, read> dy: array<f32>; // (N, co, h, w)
@group(0) @binding(9) var<storage, read_write> dx: array<f32>; // the shape of y or, backward_input, (N, count, h, w)

// y = act(v) keeps v's sign for a slope > 0, so that y itself says which side v was on:
//   dv = dy * act'(v) = dy * (y >= 0 ? 1 : slope).
// One invocation: one element; dx is dv.
@compute @workgroup_size(256)
fn activation_backward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.n * p.co * p.h * p.w {
        return;
    }
    dx[i] = dy[i] * select(p.slope, 1.0, y_in[i] >= 0.0);
}

// Weight of output channel o and wanted input channel c, 0 past the last.
fn turned(o: u32, c: u32, tap: u32) -> f32 {
    if c >= p.count {
        return 0.0;
    }
    return w[(o * (p.cx + p.cr) + p.first + c) * 9u + tap];
}

// y[o, q] takes w[o, c, k] in[c, q + k] (k = (ky - 1, kx - 1)), so in[c, s] is seen by q = s - k:
//   din[c, s] = sum_{o, k} w[o, c, k] dy[o, s - k] = sum_{o, k'} w[o, c, -k'] dy[o, s + k'],
// a convolution of dy with the taps in reverse order (tap 8 - t) and the roles of o and c exchanged, zero outside the
// image as dy is nothing there. Only the channels first .. first + count, so that x and r each get their own gradient.
// dy is the gradient before the activation.
@compute @workgroup_size(16, 4)
fn backward_input(
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3u,
) {
    let stacks = (p.count + 4u * GROUPS - 1u) / (4u * GROUPS);
    let image = group.z / stacks;
    let c0 = group.z % stacks * 4u * GROUPS;
    let corner = group.xy * vec2u(16u, 8u);
    for (var first = 0u; first < p.co; first += CHUNK) {
        let channels = min(CHUNK, p.co - first);
        workgroupBarrier();
        for (var e = lane; e < channels * TILE; e += 64u) {
            let at = cell(e, corner);
            var v = 0.0;
            if at.inside {
                v = dy[((image * p.co + first + at.c) * p.h + at.row) * p.w + at.column];
            }
            tile[e] = v;
        }
        for (var e = lane; e < CHUNK * 9u * GROUPS; e += 64u) {
            let g = e / (CHUNK * 9u);
            let k = e % (CHUNK * 9u);
            if k >= channels * 9u {
                continue;
            }
            let o = first + k / 9u;
            let tap = 8u - k % 9u;
            let c = c0 + g * 4u;
            taps[k * 4u + g] = vec4f(
                turned(o, c, tap), turned(o, c + 1u, tap), turned(o, c + 2u, tap), turned(o, c + 3u, tap),
            );
        }
        workgroupBarrier();
        accumulate(local, channels);
    }
    let column = corner.x + local.x;
    let row = corner.y + local.y * 2u;
    if column >= p.w {
        return;
    }
    put_dx4(image, c0, row, column, acc[0], acc[1]);
    if GROUPS > 1u {
        put_dx4(image, c0 + 4u, row, column, acc[2], acc[3]);
    }
    if GROUPS > 2u {
        put_dx4(image, c0 + 8u, row, column, acc[4], acc[5]);
    }
    if GROUPS > 3u {
        put_dx4(image, c0 + 12u, row, column, acc[6], acc[7]);
    }
}

// Stores two rows of four input channels.
fn put_dx4(image: u32, c: u32, row: u32, column: u32, v0: vec4f, v1: vec4f) {
    put_dx(image, c, row, column, v0.x, v1.x);
    put_dx(image, c + 1u, row, column, v0.y, v1.y);
    put_dx(image, c + 2u, row, column, v0.z, v1.z);
    put_dx(image, c + 3u, row, column, v0.w, v1.w);
}

fn put_dx(image: u32, c: u32, row: u32, column: u32, v0: f32, v1: f32) {
    if c >= p.count {
        return;
    }
    let at = ((image * p.count + c) * p.h + row) * p.w + column;
    if row < p.h {
        dx[at] = v0;
    }
    if row + 1u < p.h {
        dx[at + p.w] = v1;
    }
}

// backward_weight: invocations side by side, an output channel each: 16, 32 or 64. The others of the 64 take other rows.
override WIDTH: u32 = 64u;

var<workgroup> inputs: array<vec4f, 10u * TILE_W>; // [row][column], 4 input channels a vec4
var<workgroup> slopes: array<f32, 128u * 17u>; // dy: [row][column][channel of WIDTH + 1, padded against bank conflicts]

@group(0) @binding(10) var<storage, read_write> sums: array<f32>; // (splits, co, 9 (cx + cr) + 1), the bias last

// Input channel c of [x, r], 0 past the last and outside the image.
fn input_at(image: u32, c: u32, row: u32, column: u32) -> f32 {
    if row >= p.h || column >= p.w {
        return 0.0;
    }
    if c < p.cx {
        return x[((image * p.cx + c) * p.h + row) * p.w + column];
    }
    if c < p.cx + p.cr {
        return r[((image * p.cr + c - p.cx) * p.h + row) * p.w + column];
    }
    return 0.0;
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

var<private> weight_sums: array<vec4f, 9>; // [tap], 4 input channels a vec4

// One column of inputs with the dy of its own column and of the two before it.
fn add_taps(at: u32, d0: f32, d1: f32, d2: f32) {
    let v0 = inputs[at];
    let v1 = inputs[at + TILE_W];
    let v2 = inputs[at + 2u * TILE_W];
    weight_sums[0] = fma(vec4f(d0), v0, weight_sums[0]);
    weight_sums[1] = fma(vec4f(d1), v0, weight_sums[1]);
    weight_sums[2] = fma(vec4f(d2), v0, weight_sums[2]);
    weight_sums[3] = fma(vec4f(d0), v1, weight_sums[3]);
    weight_sums[4] = fma(vec4f(d1), v1, weight_sums[4]);
    weight_sums[5] = fma(vec4f(d2), v1, weight_sums[5]);
    weight_sums[6] = fma(vec4f(d0), v2, weight_sums[6]);
    weight_sums[7] = fma(vec4f(d1), v2, weight_sums[7]);
    weight_sums[8] = fma(vec4f(d2), v2, weight_sums[8]);
}

// y[n, o, q] takes w[o, c, k] in[n, c, q + k] and b[o] once, so
//   dw[o, c, k] = sum_{n, q} dy[n, o, q] in[n, c, q + k],   db[o] = sum_{n, q} dy[n, o, q].
// dy is the gradient before the activation. The sum is split: this kernel leaves `splits` sums, `reduce_weight` adds
// them. A workgroup walks over every (splits / parts)-th tile of pixels, 16 columns x 2 parts rows, with WIDTH output and
// 4 input channels; an invocation has one output x 4 input channels (a vec4) x 9 taps and two of the rows, and walks
// along them with one column of inputs and the three dy that it meets in registers. Neighbours differ in the output
// channel: they read neighbouring dy and the same input. parts = 64 / WIDTH.
// Grid: (ceil(co / WIDTH), ceil((cx + cr) / 4), splits / parts) workgroups.
@compute @workgroup_size(64)
fn backward_weight(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let ci = p.cx + p.cr;
    let parts = 64u / WIDTH;
    let rows = 2u * parts;
    // Said to be 0 where it is: some compilers then know that all invocations read the same input.
    var part = 0u;
    if WIDTH < 64u {
        part = lane / WIDTH;
    }
    let channel = lane % WIDTH;
    let o0 = group.x * WIDTH;
    let c0 = group.y * 4u;
    let across = (p.w + 15u) / 16u;
    let tiles = across * ((p.h + rows - 1u) / rows);
    var bias = 0.0;
    for (var t = group.z; t < p.n * tiles; t += p.splits / parts) {
        let image = t / tiles;
        let corner = vec2u(t % tiles % across * 16u, t % tiles / across * rows);
        workgroupBarrier();
        for (var e = lane; e < (rows + 2u) * TILE_W; e += 64u) {
            let row = corner.y + e / TILE_W - 1u;
            let column = corner.x + e % TILE_W - 1u;
            inputs[e] = vec4f(
                input_at(image, c0, row, column),
                input_at(image, c0 + 1u, row, column),
                input_at(image, c0 + 2u, row, column),
                input_at(image, c0 + 3u, row, column),
            );
        }
        for (var e = lane; e < rows * 16u * WIDTH; e += 64u) {
            // The pixel varies fastest: neighbours read neighbours.
            let q = e % (rows * 16u);
            let o = e / (rows * 16u);
            let row = corner.y + q / 16u;
            let column = corner.x + q % 16u;
            var v = 0.0;
            if o0 + o < p.co && row < p.h && column < p.w {
                v = dy[((image * p.co + o0 + o) * p.h + row) * p.w + column];
            }
            slopes[q * (WIDTH + 1u) + o] = v;
        }
        workgroupBarrier();
        for (var i = 2u * part; i < 2u * part + 2u; i++) {
            // Column j of the halo meets dy of columns j, j - 1 and j - 2 (taps 0, 1, 2); outside 0..15 there is none.
            // Unrolled by three, so that they need not move; column 15's are met last by column 17.
            var d1 = 0.0;
            var d2 = 0.0;
            let line = i * 16u * (WIDTH + 1u) + channel;
            for (var j = 0u; j < 15u; j += 3u) {
                let at = i * TILE_W + j;
                let d = line + j * (WIDTH + 1u);
                let d3 = slopes[d];
                add_taps(at, d3, d1, d2);
                let d4 = slopes[d + WIDTH + 1u];
                add_taps(at + 1u, d4, d3, d1);
                d2 = d4;
                d1 = slopes[d + 2u * (WIDTH + 1u)];
                add_taps(at + 2u, d1, d4, d3);
                bias += d3 + d4 + d1;
            }
            let at = i * TILE_W + 15u;
            let d3 = slopes[line + 15u * (WIDTH + 1u)];
            add_taps(at, d3, d1, d2);
            add_taps(at + 1u, 0.0, d3, d1);
            add_taps(at + 2u, 0.0, 0.0, d3);
            bias += d3;
        }
    }
    let o = o0 + channel;
    if o >= p.co {
        return;
    }
    let out = ((group.z * parts + part) * p.co + o) * (ci * 9u + 1u);
    let rest = min(ci - c0, 4u);
    let at = out + c0 * 9u;
    put_sum(at, rest, weight_sums[0]);
    put_sum(at + 1u, rest, weight_sums[1]);
    put_sum(at + 2u, rest, weight_sums[2]);
    put_sum(at + 3u, rest, weight_sums[3]);
    put_sum(at + 4u, rest, weight_sums[4]);
    put_sum(at + 5u, rest, weight_sums[5]);
    put_sum(at + 6u, rest, weight_sums[6]);
    put_sum(at + 7u, rest, weight_sums[7]);
    put_sum(at + 8u, rest, weight_sums[8]);
    if group.y == 0u {
        sums[out + ci * 9u] = bias;
    }
}

@group(0) @binding(11) var<storage, read> sums_in: array<f32>; // (splits, co, 9 (cx + cr) + 1)
@group(0) @binding(12) var<storage, read_write> dw: array<f32>; // (co, cx + cr, 3, 3)
@group(0) @binding(13) var<storage, read_write> db: array<f32>; // (co)

// Adds the splits of `backward_weight` in their order. One invocation: one element of dw or db.
@compute @workgroup_size(256)
fn reduce_weight(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    let row = (p.cx + p.cr) * 9u + 1u;
    if i >= p.co * row {
        return;
    }
    var sum = 0.0;
    for (var s = 0u; s < p.splits; s++) {
        sum += sums_in[s * p.co * row + i];
    }
    if i % row == row - 1u {
        db[i / row] = sum;
    } else {
        dw[i / row * (row - 1u) + i % row] = sum;
    }
}
