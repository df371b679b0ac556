// 3x3 convolution on cooperative matrices (tensor cores), f16 times f16 into f32, for hidden maps in f16:
//   y[o, i, j] = act(b[o] + sum_{c, ky, kx} w[o, c, ky, kx] in[c, i + ky - 1, j + kx - 1]),  in = [x, r],
// as nine matrix products (pixels x channels) (channels x outputs), one a tap, on one tile that is staged once.
// `forward` and `forward_hidden`, and both with the statistics of y, are written by src/ops/conv3x3/gpu/matrix.rs for matrices
// of SIDE x SIDE and stand behind this text.
//
// A workgroup of four subgroups makes 16 x 8 pixels of up to 64 output channels, a subgroup two rows of them. CHUNK
// input channels at a time lie in workgroup memory as [pixel][channel], so that a matrix of 16 pixels side by side
// begins at any pixel, which is a tap's shift, and every row of it at a multiple of 16 bytes; a tap's weights as
// [output][channel], so that a subgroup loads words, not halves of them. PITCH is 24, not 16, against bank conflicts. x, an
// image, is rounded to f16, no coarser than the weights are.
// Matrices give no access to their elements: bias and activation go through workgroup memory.

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
    first: u32, // not used here
    count: u32, // not used here
    splits: u32, // not used here
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (N, cx, h, w)
@group(0) @binding(3) var<storage, read> r: array<Act>; // (N, cr, h, w)
@group(0) @binding(4) var<storage, read> w: array<f32>; // (co, cx + cr, 3, 3)
@group(0) @binding(5) var<storage, read> b: array<f32>; // (co)
@group(0) @binding(6) var<storage, read_write> y: array<f32>; // (N, co, h, w)
@group(0) @binding(7) var<storage, read_write> y_hidden: array<Act>; // (N, co, h, w)
@group(0) @binding(8) var<storage, read_write> packed: array<Act>; // (chunks, 9, 4 columns, CHUNK), then the bias twice
@group(0) @binding(9) var<storage, read> packed_in: array<vec4<Act>>;

const CHUNK = 16u; // input channels staged at a time

fn chunks() -> u32 {
    return (p.cx + p.cr + CHUNK - 1u) / CHUNK;
}

// packed[chunk, tap, o, i] = w[o, CHUNK chunk + i, tap], 0 past the last channels. Then the bias in two parts.
// One invocation: one element.
@compute @workgroup_size(256)
fn pack(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    let ci = p.cx + p.cr;
    let row = i / (4u * p.columns);
    let rows = chunks() * 9u * CHUNK;
    let block = row / CHUNK; // chunk and tap
    let o = select(i / CHUNK, i, row >= rows) % (4u * p.columns);
    let c = block / 9u * CHUNK + i % CHUNK;
    if row >= rows + 2u {
        return;
    }
    var v = 0.0;
    if o < p.co {
        if row >= rows {
            let first = first_bits(b[o]);
            v = select(first, LOSS * (b[o] - first), row > rows);
        } else if c < ci {
            v = w[(o * ci + c) * 9u + block % 9u];
        }
    }
    packed[i] = to_act(v);
}

override GATED: u32 = 0u; // 1: r counts behind its gates, as gate.wgsl applies them
override SUBGROUP_SIZE: u32 = 32u; // invocations of a subgroup at most
override INVOCATIONS: u32 = 4u * SUBGROUP_SIZE;
override STACK: u32 = 64u; // output channels of a workgroup: a multiple of 16

const PITCH = 24u;
const TILE_W = 18u; // 16 columns and the halo
const TILE = 180u; // times 8 rows and the halo

var<workgroup> tile: array<f16, TILE * PITCH>; // [row][column][channel]
var<workgroup> taps: array<f16, 64u * PITCH>; // of one tap: [output][channel]
var<workgroup> exchange: array<f32, 64u * SIDE>; // bias: [output][pixel]; results: [subgroup][output][pixel]

@group(0) @binding(10) var<storage, read> cgate: array<f32>; // (N, cr)
@group(0) @binding(11) var<storage, read> sgate: array<f32>; // (N, 1, h, w)

// A pixel of the tile.
struct Spot {
    inside: bool, // the image
    at: u32, // place in a plane, 0 outside
}

fn spot(corner: vec2u, pixel: u32) -> Spot {
    // The row above the image wraps around and is out of range, too.
    let row = corner.y + pixel / TILE_W - 1u;
    let column = corner.x + pixel % TILE_W - 1u;
    let inside = row < p.h && column < p.w;
    return Spot(inside, select(0u, row * p.w + column, inside));
}

// Channel c of r, 0 past the last and outside the image: loaded without a branch, which && is, so that several are at once.
fn r_at(image: u32, c: u32, pixel: Spot) -> f16 {
    let plane = image * p.cr + min(c, p.cr - 1u);
    var v = r[plane * p.h * p.w + pixel.at];
    if GATED == 1u {
        v = to_act(f32(v) * cgate[plane] * sgate[image * p.h * p.w + pixel.at]);
    }
    return select(0.0h, v, pixel.inside & (c < p.cr));
}

// Input channel c of [x, r], the same.
fn input_at(image: u32, c: u32, pixel: Spot) -> f16 {
    if c < p.cx {
        return select(0.0h, to_act(x[(image * p.cx + c) * p.h * p.w + pixel.at]), pixel.inside);
    }
    if c - p.cx < p.cr {
        return r_at(image, c - p.cx, pixel);
    }
    return 0.0h;
}

const PART = 8u; // channels of a pixel that an invocation loads before it stages them

// Stages a chunk of input channels from `first` on.
fn stage_inputs(lane: u32, image: u32, corner: vec2u, first: u32) {
    for (var e = lane; e < CHUNK / PART * TILE; e += INVOCATIONS) {
        let pixel = spot(corner, e % TILE);
        let part = e / TILE * PART;
        var v: array<f16, PART>;
        // Most maps are r alone, which needs no branch.
        if p.cx == 0u {
            for (var i = 0u; i < PART; i++) {
                v[i] = r_at(image, first + part + i, pixel);
            }
        } else {
            for (var i = 0u; i < PART; i++) {
                v[i] = input_at(image, first + part + i, pixel);
            }
        }
        for (var i = 0u; i < PART; i++) {
            tile[e % TILE * PITCH + part + i] = v[i];
        }
    }
}

// Stages a tap's weights of a chunk, for the outputs from o on.
fn stage_weights(lane: u32, chunk: u32, tap: u32, o: u32) {
    for (var e = lane; e < STACK * CHUNK / 4u; e += INVOCATIONS) {
        let v = packed_in[((chunk * 9u + tap) * 4u * p.columns + o) * (CHUNK / 4u) + e];
        let at = e / (CHUNK / 4u) * PITCH + e % (CHUNK / 4u) * 4u;
        taps[at] = v.x;
        taps[at + 1u] = v.y;
        taps[at + 2u] = v.z;
        taps[at + 3u] = v.w;
    }
}

// A value of `packed` by its place.
fn packed_at(at: u32) -> f32 {
    return f32(packed_in[at / 4u][at % 4u]);
}

// Puts the bias of the outputs from o on where `forward` loads its sums from.
fn stage_bias(lane: u32, o: u32) {
    for (var e = lane; e < STACK * SIDE; e += INVOCATIONS) {
        let at = chunks() * 9u * CHUNK * 4u * p.columns + o + e / SIDE;
        exchange[e] = packed_at(at) + packed_at(at + 4u * p.columns) / LOSS;
    }
}

fn activate(v: f32) -> f32 {
    return select(p.slope * v, v, v >= 0.0);
}

// Place of an output, or none: u32's largest.
fn place(image: u32, o: u32, row: u32, column: u32) -> u32 {
    if row >= p.h || column >= p.w || o >= p.co {
        return 0xffffffffu;
    }
    return ((image * p.co + o) * p.h + row) * p.w + column;
}

fn put(image: u32, o: u32, row: u32, column: u32, v: f32) {
    let at = place(image, o, row, column);
    if at != 0xffffffffu {
        y[at] = epilogue(at, activate(v));
    }
}

fn put_plain(image: u32, o: u32, row: u32, column: u32, v: f32) {
    let at = place(image, o, row, column);
    if at != 0xffffffffu {
        y[at] = activate(v);
    }
}

fn put_hidden(image: u32, o: u32, row: u32, column: u32, v: f32) {
    let at = place(image, o, row, column);
    if at != 0xffffffffu {
        y_hidden[at] = to_act(activate(v));
    }
}

// forward_stats and forward_hidden_stats: also the outputs' statistics (`tiles`), before y is rounded to f16. A workgroup's
// pixels are one tile.

const LOWEST = -3.4028234e38;

// Of the outputs lane % SIDE + n SIDE, over the pixels of `exchange` whose number is the lane's part by PARTS.
override PARTS: u32 = INVOCATIONS / SIDE;
var<private> part_sums: array<f32, 64u / SIDE>;
var<private> part_maxima: array<f32, 64u / SIDE>;

// Takes in the results in `exchange`: of each subgroup SIDE outputs x SIDE pixels, from (row, column) of its two rows on.
fn add_stats(n: u32, lane: u32, corner: vec2u, row: u32, column: u32) {
    if row == 0u && column == 0u {
        part_sums[n] = 0.0;
        part_maxima[n] = LOWEST;
    }
    for (var q = lane / SIDE; q < 4u * SIDE; q += PARTS) {
        let i = (q + lane) % SIDE; // a column of its own for each output, against bank conflicts
        if corner.y + q / SIDE * 2u + row < p.h && corner.x + column + i < p.w {
            let v = activate(exchange[q / SIDE * SIDE * SIDE + lane % SIDE * SIDE + i]);
            part_sums[n] += v;
            part_maxima[n] = max(part_maxima[n], v);
        }
    }
}

// Adds up the parts.
fn put_stats(lane: u32, image: u32, o: u32, tile_at: vec2u) {
    for (var n = 0u; n < STACK / SIDE; n++) {
        workgroupBarrier();
        exchange[lane] = part_sums[n];
        exchange[INVOCATIONS + lane] = part_maxima[n];
        workgroupBarrier();
        let output = o + n * SIDE + lane;
        if lane < SIDE && output < p.co {
            var sum = 0.0;
            var top = LOWEST;
            for (var i = lane; i < INVOCATIONS; i += SIDE) {
                sum += exchange[i];
                top = max(top, exchange[INVOCATIONS + i]);
            }
            tiles[place_of_stats(image, output, tile_at)] = sum;
            tiles[place_of_stats(image, p.co + output, tile_at)] = top;
        }
    }
}
