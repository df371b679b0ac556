enable wgpu_cooperative_matrix;
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
const SIDE = 8u;

@compute @workgroup_size(INVOCATIONS)
fn forward(
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(workgroup_id) group: vec3u,
) {
    let stacks = (p.co + STACK - 1u) / STACK;
    let image = group.z / stacks;
    let o = group.z % stacks * STACK;
    let corner = group.xy * vec2u(16u, 8u);
    // Where subgroups are smaller than SUBGROUP_SIZE there are more than four, and the others do the same once more:
    // matrices are for all invocations alike.
    let quarter = subgroup % 4u;
    stage_bias(lane, o);
    workgroupBarrier();
    var a0_0 = coopLoad<coop_mat8x8<f32, C>>(&exchange[0u], SIDE);
    var a1_0 = coopLoad<coop_mat8x8<f32, C>>(&exchange[0u], SIDE);
    var a2_0 = coopLoad<coop_mat8x8<f32, C>>(&exchange[0u], SIDE);
    var a3_0 = coopLoad<coop_mat8x8<f32, C>>(&exchange[0u], SIDE);
    var a0_1 = coopLoad<coop_mat8x8<f32, C>>(&exchange[64u], SIDE);
    var a1_1 = coopLoad<coop_mat8x8<f32, C>>(&exchange[64u], SIDE);
    var a2_1 = coopLoad<coop_mat8x8<f32, C>>(&exchange[64u], SIDE);
    var a3_1 = coopLoad<coop_mat8x8<f32, C>>(&exchange[64u], SIDE);
    var a0_2 = coopLoad<coop_mat8x8<f32, C>>(&exchange[128u], SIDE);
    var a1_2 = coopLoad<coop_mat8x8<f32, C>>(&exchange[128u], SIDE);
    var a2_2 = coopLoad<coop_mat8x8<f32, C>>(&exchange[128u], SIDE);
    var a3_2 = coopLoad<coop_mat8x8<f32, C>>(&exchange[128u], SIDE);
    var a0_3 = coopLoad<coop_mat8x8<f32, C>>(&exchange[192u], SIDE);
    var a1_3 = coopLoad<coop_mat8x8<f32, C>>(&exchange[192u], SIDE);
    var a2_3 = coopLoad<coop_mat8x8<f32, C>>(&exchange[192u], SIDE);
    var a3_3 = coopLoad<coop_mat8x8<f32, C>>(&exchange[192u], SIDE);
    var a0_4 = coopLoad<coop_mat8x8<f32, C>>(&exchange[256u], SIDE);
    var a1_4 = coopLoad<coop_mat8x8<f32, C>>(&exchange[256u], SIDE);
    var a2_4 = coopLoad<coop_mat8x8<f32, C>>(&exchange[256u], SIDE);
    var a3_4 = coopLoad<coop_mat8x8<f32, C>>(&exchange[256u], SIDE);
    var a0_5 = coopLoad<coop_mat8x8<f32, C>>(&exchange[320u], SIDE);
    var a1_5 = coopLoad<coop_mat8x8<f32, C>>(&exchange[320u], SIDE);
    var a2_5 = coopLoad<coop_mat8x8<f32, C>>(&exchange[320u], SIDE);
    var a3_5 = coopLoad<coop_mat8x8<f32, C>>(&exchange[320u], SIDE);
    var a0_6 = coopLoad<coop_mat8x8<f32, C>>(&exchange[384u], SIDE);
    var a1_6 = coopLoad<coop_mat8x8<f32, C>>(&exchange[384u], SIDE);
    var a2_6 = coopLoad<coop_mat8x8<f32, C>>(&exchange[384u], SIDE);
    var a3_6 = coopLoad<coop_mat8x8<f32, C>>(&exchange[384u], SIDE);
    var a0_7 = coopLoad<coop_mat8x8<f32, C>>(&exchange[448u], SIDE);
    var a1_7 = coopLoad<coop_mat8x8<f32, C>>(&exchange[448u], SIDE);
    var a2_7 = coopLoad<coop_mat8x8<f32, C>>(&exchange[448u], SIDE);
    var a3_7 = coopLoad<coop_mat8x8<f32, C>>(&exchange[448u], SIDE);
    for (var chunk = 0u; chunk < chunks(); chunk++) {
        workgroupBarrier();
        stage_inputs(lane, image, corner, chunk * CHUNK);
        for (var tap = 0u; tap < 9u; tap++) {
            workgroupBarrier();
            stage_weights(lane, chunk, tap, o);
            workgroupBarrier();
            let pixels = (2u * quarter + tap / 3u) * TILE_W + tap % 3u;
            for (var i = 0u; i < CHUNK; i += SIDE) {
                let left0 = coopLoadT<coop_mat8x8<f16, A>>(&tile[(pixels + 0u) * PITCH + i], PITCH);
                let left1 = coopLoadT<coop_mat8x8<f16, A>>(&tile[(pixels + 8u) * PITCH + i], PITCH);
                let left2 = coopLoadT<coop_mat8x8<f16, A>>(&tile[(pixels + 18u) * PITCH + i], PITCH);
                let left3 = coopLoadT<coop_mat8x8<f16, A>>(&tile[(pixels + 26u) * PITCH + i], PITCH);
                if STACK > 0u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[0u * PITCH + i], PITCH);
                    a0_0 = coopMultiplyAdd(left0, right, a0_0);
                    a1_0 = coopMultiplyAdd(left1, right, a1_0);
                    a2_0 = coopMultiplyAdd(left2, right, a2_0);
                    a3_0 = coopMultiplyAdd(left3, right, a3_0);
                }
                if STACK > 8u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[8u * PITCH + i], PITCH);
                    a0_1 = coopMultiplyAdd(left0, right, a0_1);
                    a1_1 = coopMultiplyAdd(left1, right, a1_1);
                    a2_1 = coopMultiplyAdd(left2, right, a2_1);
                    a3_1 = coopMultiplyAdd(left3, right, a3_1);
                }
                if STACK > 16u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[16u * PITCH + i], PITCH);
                    a0_2 = coopMultiplyAdd(left0, right, a0_2);
                    a1_2 = coopMultiplyAdd(left1, right, a1_2);
                    a2_2 = coopMultiplyAdd(left2, right, a2_2);
                    a3_2 = coopMultiplyAdd(left3, right, a3_2);
                }
                if STACK > 24u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[24u * PITCH + i], PITCH);
                    a0_3 = coopMultiplyAdd(left0, right, a0_3);
                    a1_3 = coopMultiplyAdd(left1, right, a1_3);
                    a2_3 = coopMultiplyAdd(left2, right, a2_3);
                    a3_3 = coopMultiplyAdd(left3, right, a3_3);
                }
                if STACK > 32u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[32u * PITCH + i], PITCH);
                    a0_4 = coopMultiplyAdd(left0, right, a0_4);
                    a1_4 = coopMultiplyAdd(left1, right, a1_4);
                    a2_4 = coopMultiplyAdd(left2, right, a2_4);
                    a3_4 = coopMultiplyAdd(left3, right, a3_4);
                }
                if STACK > 40u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[40u * PITCH + i], PITCH);
                    a0_5 = coopMultiplyAdd(left0, right, a0_5);
                    a1_5 = coopMultiplyAdd(left1, right, a1_5);
                    a2_5 = coopMultiplyAdd(left2, right, a2_5);
                    a3_5 = coopMultiplyAdd(left3, right, a3_5);
                }
                if STACK > 48u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[48u * PITCH + i], PITCH);
                    a0_6 = coopMultiplyAdd(left0, right, a0_6);
                    a1_6 = coopMultiplyAdd(left1, right, a1_6);
                    a2_6 = coopMultiplyAdd(left2, right, a2_6);
                    a3_6 = coopMultiplyAdd(left3, right, a3_6);
                }
                if STACK > 56u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[56u * PITCH + i], PITCH);
                    a0_7 = coopMultiplyAdd(left0, right, a0_7);
                    a1_7 = coopMultiplyAdd(left1, right, a1_7);
                    a2_7 = coopMultiplyAdd(left2, right, a2_7);
                    a3_7 = coopMultiplyAdd(left3, right, a3_7);
                }
            }
        }
    }
    if STACK > 0u {
        workgroupBarrier();
        coopStore(a0_0, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put(image, o + 0u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 8u {
        workgroupBarrier();
        coopStore(a0_1, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put(image, o + 8u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 16u {
        workgroupBarrier();
        coopStore(a0_2, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put(image, o + 16u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 24u {
        workgroupBarrier();
        coopStore(a0_3, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put(image, o + 24u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 32u {
        workgroupBarrier();
        coopStore(a0_4, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put(image, o + 32u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 40u {
        workgroupBarrier();
        coopStore(a0_5, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put(image, o + 40u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 48u {
        workgroupBarrier();
        coopStore(a0_6, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put(image, o + 48u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 56u {
        workgroupBarrier();
        coopStore(a0_7, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put(image, o + 56u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 0u {
        workgroupBarrier();
        coopStore(a1_0, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put(image, o + 0u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 8u {
        workgroupBarrier();
        coopStore(a1_1, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put(image, o + 8u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 16u {
        workgroupBarrier();
        coopStore(a1_2, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put(image, o + 16u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 24u {
        workgroupBarrier();
        coopStore(a1_3, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put(image, o + 24u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 32u {
        workgroupBarrier();
        coopStore(a1_4, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put(image, o + 32u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 40u {
        workgroupBarrier();
        coopStore(a1_5, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put(image, o + 40u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 48u {
        workgroupBarrier();
        coopStore(a1_6, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put(image, o + 48u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 56u {
        workgroupBarrier();
        coopStore(a1_7, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put(image, o + 56u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 0u {
        workgroupBarrier();
        coopStore(a2_0, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put(image, o + 0u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 8u {
        workgroupBarrier();
        coopStore(a2_1, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put(image, o + 8u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 16u {
        workgroupBarrier();
        coopStore(a2_2, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put(image, o + 16u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 24u {
        workgroupBarrier();
        coopStore(a2_3, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put(image, o + 24u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 32u {
        workgroupBarrier();
        coopStore(a2_4, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put(image, o + 32u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 40u {
        workgroupBarrier();
        coopStore(a2_5, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put(image, o + 40u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 48u {
        workgroupBarrier();
        coopStore(a2_6, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put(image, o + 48u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 56u {
        workgroupBarrier();
        coopStore(a2_7, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put(image, o + 56u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 0u {
        workgroupBarrier();
        coopStore(a3_0, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put(image, o + 0u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 8u {
        workgroupBarrier();
        coopStore(a3_1, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put(image, o + 8u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 16u {
        workgroupBarrier();
        coopStore(a3_2, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put(image, o + 16u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 24u {
        workgroupBarrier();
        coopStore(a3_3, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put(image, o + 24u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 32u {
        workgroupBarrier();
        coopStore(a3_4, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put(image, o + 32u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 40u {
        workgroupBarrier();
        coopStore(a3_5, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put(image, o + 40u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 48u {
        workgroupBarrier();
        coopStore(a3_6, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put(image, o + 48u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 56u {
        workgroupBarrier();
        coopStore(a3_7, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put(image, o + 56u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
}

@compute @workgroup_size(INVOCATIONS)
fn forward_stats(
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(workgroup_id) group: vec3u,
) {
    let stacks = (p.co + STACK - 1u) / STACK;
    let image = group.z / stacks;
    let o = group.z % stacks * STACK;
    let corner = group.xy * vec2u(16u, 8u);
    // Where subgroups are smaller than SUBGROUP_SIZE there are more than four, and the others do the same once more:
    // matrices are for all invocations alike.
    let quarter = subgroup % 4u;
    stage_bias(lane, o);
    workgroupBarrier();
    var a0_0 = coopLoad<coop_mat8x8<f32, C>>(&exchange[0u], SIDE);
    var a1_0 = coopLoad<coop_mat8x8<f32, C>>(&exchange[0u], SIDE);
    var a2_0 = coopLoad<coop_mat8x8<f32, C>>(&exchange[0u], SIDE);
    var a3_0 = coopLoad<coop_mat8x8<f32, C>>(&exchange[0u], SIDE);
    var a0_1 = coopLoad<coop_mat8x8<f32, C>>(&exchange[64u], SIDE);
    var a1_1 = coopLoad<coop_mat8x8<f32, C>>(&exchange[64u], SIDE);
    var a2_1 = coopLoad<coop_mat8x8<f32, C>>(&exchange[64u], SIDE);
    var a3_1 = coopLoad<coop_mat8x8<f32, C>>(&exchange[64u], SIDE);
    var a0_2 = coopLoad<coop_mat8x8<f32, C>>(&exchange[128u], SIDE);
    var a1_2 = coopLoad<coop_mat8x8<f32, C>>(&exchange[128u], SIDE);
    var a2_2 = coopLoad<coop_mat8x8<f32, C>>(&exchange[128u], SIDE);
    var a3_2 = coopLoad<coop_mat8x8<f32, C>>(&exchange[128u], SIDE);
    var a0_3 = coopLoad<coop_mat8x8<f32, C>>(&exchange[192u], SIDE);
    var a1_3 = coopLoad<coop_mat8x8<f32, C>>(&exchange[192u], SIDE);
    var a2_3 = coopLoad<coop_mat8x8<f32, C>>(&exchange[192u], SIDE);
    var a3_3 = coopLoad<coop_mat8x8<f32, C>>(&exchange[192u], SIDE);
    var a0_4 = coopLoad<coop_mat8x8<f32, C>>(&exchange[256u], SIDE);
    var a1_4 = coopLoad<coop_mat8x8<f32, C>>(&exchange[256u], SIDE);
    var a2_4 = coopLoad<coop_mat8x8<f32, C>>(&exchange[256u], SIDE);
    var a3_4 = coopLoad<coop_mat8x8<f32, C>>(&exchange[256u], SIDE);
    var a0_5 = coopLoad<coop_mat8x8<f32, C>>(&exchange[320u], SIDE);
    var a1_5 = coopLoad<coop_mat8x8<f32, C>>(&exchange[320u], SIDE);
    var a2_5 = coopLoad<coop_mat8x8<f32, C>>(&exchange[320u], SIDE);
    var a3_5 = coopLoad<coop_mat8x8<f32, C>>(&exchange[320u], SIDE);
    var a0_6 = coopLoad<coop_mat8x8<f32, C>>(&exchange[384u], SIDE);
    var a1_6 = coopLoad<coop_mat8x8<f32, C>>(&exchange[384u], SIDE);
    var a2_6 = coopLoad<coop_mat8x8<f32, C>>(&exchange[384u], SIDE);
    var a3_6 = coopLoad<coop_mat8x8<f32, C>>(&exchange[384u], SIDE);
    var a0_7 = coopLoad<coop_mat8x8<f32, C>>(&exchange[448u], SIDE);
    var a1_7 = coopLoad<coop_mat8x8<f32, C>>(&exchange[448u], SIDE);
    var a2_7 = coopLoad<coop_mat8x8<f32, C>>(&exchange[448u], SIDE);
    var a3_7 = coopLoad<coop_mat8x8<f32, C>>(&exchange[448u], SIDE);
    for (var chunk = 0u; chunk < chunks(); chunk++) {
        workgroupBarrier();
        stage_inputs(lane, image, corner, chunk * CHUNK);
        for (var tap = 0u; tap < 9u; tap++) {
            workgroupBarrier();
            stage_weights(lane, chunk, tap, o);
            workgroupBarrier();
            let pixels = (2u * quarter + tap / 3u) * TILE_W + tap % 3u;
            for (var i = 0u; i < CHUNK; i += SIDE) {
                let left0 = coopLoadT<coop_mat8x8<f16, A>>(&tile[(pixels + 0u) * PITCH + i], PITCH);
                let left1 = coopLoadT<coop_mat8x8<f16, A>>(&tile[(pixels + 8u) * PITCH + i], PITCH);
                let left2 = coopLoadT<coop_mat8x8<f16, A>>(&tile[(pixels + 18u) * PITCH + i], PITCH);
                let left3 = coopLoadT<coop_mat8x8<f16, A>>(&tile[(pixels + 26u) * PITCH + i], PITCH);
                if STACK > 0u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[0u * PITCH + i], PITCH);
                    a0_0 = coopMultiplyAdd(left0, right, a0_0);
                    a1_0 = coopMultiplyAdd(left1, right, a1_0);
                    a2_0 = coopMultiplyAdd(left2, right, a2_0);
                    a3_0 = coopMultiplyAdd(left3, right, a3_0);
                }
                if STACK > 8u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[8u * PITCH + i], PITCH);
                    a0_1 = coopMultiplyAdd(left0, right, a0_1);
                    a1_1 = coopMultiplyAdd(left1, right, a1_1);
                    a2_1 = coopMultiplyAdd(left2, right, a2_1);
                    a3_1 = coopMultiplyAdd(left3, right, a3_1);
                }
                if STACK > 16u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[16u * PITCH + i], PITCH);
                    a0_2 = coopMultiplyAdd(left0, right, a0_2);
                    a1_2 = coopMultiplyAdd(left1, right, a1_2);
                    a2_2 = coopMultiplyAdd(left2, right, a2_2);
                    a3_2 = coopMultiplyAdd(left3, right, a3_2);
                }
                if STACK > 24u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[24u * PITCH + i], PITCH);
                    a0_3 = coopMultiplyAdd(left0, right, a0_3);
                    a1_3 = coopMultiplyAdd(left1, right, a1_3);
                    a2_3 = coopMultiplyAdd(left2, right, a2_3);
                    a3_3 = coopMultiplyAdd(left3, right, a3_3);
                }
                if STACK > 32u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[32u * PITCH + i], PITCH);
                    a0_4 = coopMultiplyAdd(left0, right, a0_4);
                    a1_4 = coopMultiplyAdd(left1, right, a1_4);
                    a2_4 = coopMultiplyAdd(left2, right, a2_4);
                    a3_4 = coopMultiplyAdd(left3, right, a3_4);
                }
                if STACK > 40u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[40u * PITCH + i], PITCH);
                    a0_5 = coopMultiplyAdd(left0, right, a0_5);
                    a1_5 = coopMultiplyAdd(left1, right, a1_5);
                    a2_5 = coopMultiplyAdd(left2, right, a2_5);
                    a3_5 = coopMultiplyAdd(left3, right, a3_5);
                }
                if STACK > 48u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[48u * PITCH + i], PITCH);
                    a0_6 = coopMultiplyAdd(left0, right, a0_6);
                    a1_6 = coopMultiplyAdd(left1, right, a1_6);
                    a2_6 = coopMultiplyAdd(left2, right, a2_6);
                    a3_6 = coopMultiplyAdd(left3, right, a3_6);
                }
                if STACK > 56u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[56u * PITCH + i], PITCH);
                    a0_7 = coopMultiplyAdd(left0, right, a0_7);
                    a1_7 = coopMultiplyAdd(left1, right, a1_7);
                    a2_7 = coopMultiplyAdd(left2, right, a2_7);
                    a3_7 = coopMultiplyAdd(left3, right, a3_7);
                }
            }
        }
    }
    if STACK > 0u {
        workgroupBarrier();
        coopStore(a0_0, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_plain(image, o + 0u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(0u, lane, corner, 0u, 0u);
    }
    if STACK > 8u {
        workgroupBarrier();
        coopStore(a0_1, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_plain(image, o + 8u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(1u, lane, corner, 0u, 0u);
    }
    if STACK > 16u {
        workgroupBarrier();
        coopStore(a0_2, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_plain(image, o + 16u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(2u, lane, corner, 0u, 0u);
    }
    if STACK > 24u {
        workgroupBarrier();
        coopStore(a0_3, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_plain(image, o + 24u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(3u, lane, corner, 0u, 0u);
    }
    if STACK > 32u {
        workgroupBarrier();
        coopStore(a0_4, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_plain(image, o + 32u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(4u, lane, corner, 0u, 0u);
    }
    if STACK > 40u {
        workgroupBarrier();
        coopStore(a0_5, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_plain(image, o + 40u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(5u, lane, corner, 0u, 0u);
    }
    if STACK > 48u {
        workgroupBarrier();
        coopStore(a0_6, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_plain(image, o + 48u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(6u, lane, corner, 0u, 0u);
    }
    if STACK > 56u {
        workgroupBarrier();
        coopStore(a0_7, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_plain(image, o + 56u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(7u, lane, corner, 0u, 0u);
    }
    if STACK > 0u {
        workgroupBarrier();
        coopStore(a1_0, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_plain(image, o + 0u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(0u, lane, corner, 0u, 8u);
    }
    if STACK > 8u {
        workgroupBarrier();
        coopStore(a1_1, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_plain(image, o + 8u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(1u, lane, corner, 0u, 8u);
    }
    if STACK > 16u {
        workgroupBarrier();
        coopStore(a1_2, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_plain(image, o + 16u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(2u, lane, corner, 0u, 8u);
    }
    if STACK > 24u {
        workgroupBarrier();
        coopStore(a1_3, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_plain(image, o + 24u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(3u, lane, corner, 0u, 8u);
    }
    if STACK > 32u {
        workgroupBarrier();
        coopStore(a1_4, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_plain(image, o + 32u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(4u, lane, corner, 0u, 8u);
    }
    if STACK > 40u {
        workgroupBarrier();
        coopStore(a1_5, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_plain(image, o + 40u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(5u, lane, corner, 0u, 8u);
    }
    if STACK > 48u {
        workgroupBarrier();
        coopStore(a1_6, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_plain(image, o + 48u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(6u, lane, corner, 0u, 8u);
    }
    if STACK > 56u {
        workgroupBarrier();
        coopStore(a1_7, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_plain(image, o + 56u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(7u, lane, corner, 0u, 8u);
    }
    if STACK > 0u {
        workgroupBarrier();
        coopStore(a2_0, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_plain(image, o + 0u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(0u, lane, corner, 1u, 0u);
    }
    if STACK > 8u {
        workgroupBarrier();
        coopStore(a2_1, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_plain(image, o + 8u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(1u, lane, corner, 1u, 0u);
    }
    if STACK > 16u {
        workgroupBarrier();
        coopStore(a2_2, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_plain(image, o + 16u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(2u, lane, corner, 1u, 0u);
    }
    if STACK > 24u {
        workgroupBarrier();
        coopStore(a2_3, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_plain(image, o + 24u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(3u, lane, corner, 1u, 0u);
    }
    if STACK > 32u {
        workgroupBarrier();
        coopStore(a2_4, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_plain(image, o + 32u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(4u, lane, corner, 1u, 0u);
    }
    if STACK > 40u {
        workgroupBarrier();
        coopStore(a2_5, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_plain(image, o + 40u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(5u, lane, corner, 1u, 0u);
    }
    if STACK > 48u {
        workgroupBarrier();
        coopStore(a2_6, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_plain(image, o + 48u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(6u, lane, corner, 1u, 0u);
    }
    if STACK > 56u {
        workgroupBarrier();
        coopStore(a2_7, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_plain(image, o + 56u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(7u, lane, corner, 1u, 0u);
    }
    if STACK > 0u {
        workgroupBarrier();
        coopStore(a3_0, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_plain(image, o + 0u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(0u, lane, corner, 1u, 8u);
    }
    if STACK > 8u {
        workgroupBarrier();
        coopStore(a3_1, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_plain(image, o + 8u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(1u, lane, corner, 1u, 8u);
    }
    if STACK > 16u {
        workgroupBarrier();
        coopStore(a3_2, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_plain(image, o + 16u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(2u, lane, corner, 1u, 8u);
    }
    if STACK > 24u {
        workgroupBarrier();
        coopStore(a3_3, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_plain(image, o + 24u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(3u, lane, corner, 1u, 8u);
    }
    if STACK > 32u {
        workgroupBarrier();
        coopStore(a3_4, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_plain(image, o + 32u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(4u, lane, corner, 1u, 8u);
    }
    if STACK > 40u {
        workgroupBarrier();
        coopStore(a3_5, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_plain(image, o + 40u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(5u, lane, corner, 1u, 8u);
    }
    if STACK > 48u {
        workgroupBarrier();
        coopStore(a3_6, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_plain(image, o + 48u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(6u, lane, corner, 1u, 8u);
    }
    if STACK > 56u {
        workgroupBarrier();
        coopStore(a3_7, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_plain(image, o + 56u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(7u, lane, corner, 1u, 8u);
    }
    put_stats(lane, image, o, group.xy);
}

@compute @workgroup_size(INVOCATIONS)
fn forward_hidden(
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(workgroup_id) group: vec3u,
) {
    let stacks = (p.co + STACK - 1u) / STACK;
    let image = group.z / stacks;
    let o = group.z % stacks * STACK;
    let corner = group.xy * vec2u(16u, 8u);
    // Where subgroups are smaller than SUBGROUP_SIZE there are more than four, and the others do the same once more:
    // matrices are for all invocations alike.
    let quarter = subgroup % 4u;
    stage_bias(lane, o);
    workgroupBarrier();
    var a0_0 = coopLoad<coop_mat8x8<f32, C>>(&exchange[0u], SIDE);
    var a1_0 = coopLoad<coop_mat8x8<f32, C>>(&exchange[0u], SIDE);
    var a2_0 = coopLoad<coop_mat8x8<f32, C>>(&exchange[0u], SIDE);
    var a3_0 = coopLoad<coop_mat8x8<f32, C>>(&exchange[0u], SIDE);
    var a0_1 = coopLoad<coop_mat8x8<f32, C>>(&exchange[64u], SIDE);
    var a1_1 = coopLoad<coop_mat8x8<f32, C>>(&exchange[64u], SIDE);
    var a2_1 = coopLoad<coop_mat8x8<f32, C>>(&exchange[64u], SIDE);
    var a3_1 = coopLoad<coop_mat8x8<f32, C>>(&exchange[64u], SIDE);
    var a0_2 = coopLoad<coop_mat8x8<f32, C>>(&exchange[128u], SIDE);
    var a1_2 = coopLoad<coop_mat8x8<f32, C>>(&exchange[128u], SIDE);
    var a2_2 = coopLoad<coop_mat8x8<f32, C>>(&exchange[128u], SIDE);
    var a3_2 = coopLoad<coop_mat8x8<f32, C>>(&exchange[128u], SIDE);
    var a0_3 = coopLoad<coop_mat8x8<f32, C>>(&exchange[192u], SIDE);
    var a1_3 = coopLoad<coop_mat8x8<f32, C>>(&exchange[192u], SIDE);
    var a2_3 = coopLoad<coop_mat8x8<f32, C>>(&exchange[192u], SIDE);
    var a3_3 = coopLoad<coop_mat8x8<f32, C>>(&exchange[192u], SIDE);
    var a0_4 = coopLoad<coop_mat8x8<f32, C>>(&exchange[256u], SIDE);
    var a1_4 = coopLoad<coop_mat8x8<f32, C>>(&exchange[256u], SIDE);
    var a2_4 = coopLoad<coop_mat8x8<f32, C>>(&exchange[256u], SIDE);
    var a3_4 = coopLoad<coop_mat8x8<f32, C>>(&exchange[256u], SIDE);
    var a0_5 = coopLoad<coop_mat8x8<f32, C>>(&exchange[320u], SIDE);
    var a1_5 = coopLoad<coop_mat8x8<f32, C>>(&exchange[320u], SIDE);
    var a2_5 = coopLoad<coop_mat8x8<f32, C>>(&exchange[320u], SIDE);
    var a3_5 = coopLoad<coop_mat8x8<f32, C>>(&exchange[320u], SIDE);
    var a0_6 = coopLoad<coop_mat8x8<f32, C>>(&exchange[384u], SIDE);
    var a1_6 = coopLoad<coop_mat8x8<f32, C>>(&exchange[384u], SIDE);
    var a2_6 = coopLoad<coop_mat8x8<f32, C>>(&exchange[384u], SIDE);
    var a3_6 = coopLoad<coop_mat8x8<f32, C>>(&exchange[384u], SIDE);
    var a0_7 = coopLoad<coop_mat8x8<f32, C>>(&exchange[448u], SIDE);
    var a1_7 = coopLoad<coop_mat8x8<f32, C>>(&exchange[448u], SIDE);
    var a2_7 = coopLoad<coop_mat8x8<f32, C>>(&exchange[448u], SIDE);
    var a3_7 = coopLoad<coop_mat8x8<f32, C>>(&exchange[448u], SIDE);
    for (var chunk = 0u; chunk < chunks(); chunk++) {
        workgroupBarrier();
        stage_inputs(lane, image, corner, chunk * CHUNK);
        for (var tap = 0u; tap < 9u; tap++) {
            workgroupBarrier();
            stage_weights(lane, chunk, tap, o);
            workgroupBarrier();
            let pixels = (2u * quarter + tap / 3u) * TILE_W + tap % 3u;
            for (var i = 0u; i < CHUNK; i += SIDE) {
                let left0 = coopLoadT<coop_mat8x8<f16, A>>(&tile[(pixels + 0u) * PITCH + i], PITCH);
                let left1 = coopLoadT<coop_mat8x8<f16, A>>(&tile[(pixels + 8u) * PITCH + i], PITCH);
                let left2 = coopLoadT<coop_mat8x8<f16, A>>(&tile[(pixels + 18u) * PITCH + i], PITCH);
                let left3 = coopLoadT<coop_mat8x8<f16, A>>(&tile[(pixels + 26u) * PITCH + i], PITCH);
                if STACK > 0u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[0u * PITCH + i], PITCH);
                    a0_0 = coopMultiplyAdd(left0, right, a0_0);
                    a1_0 = coopMultiplyAdd(left1, right, a1_0);
                    a2_0 = coopMultiplyAdd(left2, right, a2_0);
                    a3_0 = coopMultiplyAdd(left3, right, a3_0);
                }
                if STACK > 8u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[8u * PITCH + i], PITCH);
                    a0_1 = coopMultiplyAdd(left0, right, a0_1);
                    a1_1 = coopMultiplyAdd(left1, right, a1_1);
                    a2_1 = coopMultiplyAdd(left2, right, a2_1);
                    a3_1 = coopMultiplyAdd(left3, right, a3_1);
                }
                if STACK > 16u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[16u * PITCH + i], PITCH);
                    a0_2 = coopMultiplyAdd(left0, right, a0_2);
                    a1_2 = coopMultiplyAdd(left1, right, a1_2);
                    a2_2 = coopMultiplyAdd(left2, right, a2_2);
                    a3_2 = coopMultiplyAdd(left3, right, a3_2);
                }
                if STACK > 24u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[24u * PITCH + i], PITCH);
                    a0_3 = coopMultiplyAdd(left0, right, a0_3);
                    a1_3 = coopMultiplyAdd(left1, right, a1_3);
                    a2_3 = coopMultiplyAdd(left2, right, a2_3);
                    a3_3 = coopMultiplyAdd(left3, right, a3_3);
                }
                if STACK > 32u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[32u * PITCH + i], PITCH);
                    a0_4 = coopMultiplyAdd(left0, right, a0_4);
                    a1_4 = coopMultiplyAdd(left1, right, a1_4);
                    a2_4 = coopMultiplyAdd(left2, right, a2_4);
                    a3_4 = coopMultiplyAdd(left3, right, a3_4);
                }
                if STACK > 40u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[40u * PITCH + i], PITCH);
                    a0_5 = coopMultiplyAdd(left0, right, a0_5);
                    a1_5 = coopMultiplyAdd(left1, right, a1_5);
                    a2_5 = coopMultiplyAdd(left2, right, a2_5);
                    a3_5 = coopMultiplyAdd(left3, right, a3_5);
                }
                if STACK > 48u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[48u * PITCH + i], PITCH);
                    a0_6 = coopMultiplyAdd(left0, right, a0_6);
                    a1_6 = coopMultiplyAdd(left1, right, a1_6);
                    a2_6 = coopMultiplyAdd(left2, right, a2_6);
                    a3_6 = coopMultiplyAdd(left3, right, a3_6);
                }
                if STACK > 56u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[56u * PITCH + i], PITCH);
                    a0_7 = coopMultiplyAdd(left0, right, a0_7);
                    a1_7 = coopMultiplyAdd(left1, right, a1_7);
                    a2_7 = coopMultiplyAdd(left2, right, a2_7);
                    a3_7 = coopMultiplyAdd(left3, right, a3_7);
                }
            }
        }
    }
    if STACK > 0u {
        workgroupBarrier();
        coopStore(a0_0, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 0u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 8u {
        workgroupBarrier();
        coopStore(a0_1, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 8u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 16u {
        workgroupBarrier();
        coopStore(a0_2, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 16u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 24u {
        workgroupBarrier();
        coopStore(a0_3, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 24u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 32u {
        workgroupBarrier();
        coopStore(a0_4, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 32u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 40u {
        workgroupBarrier();
        coopStore(a0_5, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 40u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 48u {
        workgroupBarrier();
        coopStore(a0_6, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 48u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 56u {
        workgroupBarrier();
        coopStore(a0_7, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 56u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 0u {
        workgroupBarrier();
        coopStore(a1_0, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 0u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 8u {
        workgroupBarrier();
        coopStore(a1_1, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 8u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 16u {
        workgroupBarrier();
        coopStore(a1_2, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 16u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 24u {
        workgroupBarrier();
        coopStore(a1_3, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 24u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 32u {
        workgroupBarrier();
        coopStore(a1_4, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 32u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 40u {
        workgroupBarrier();
        coopStore(a1_5, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 40u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 48u {
        workgroupBarrier();
        coopStore(a1_6, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 48u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 56u {
        workgroupBarrier();
        coopStore(a1_7, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 56u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 0u {
        workgroupBarrier();
        coopStore(a2_0, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 0u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 8u {
        workgroupBarrier();
        coopStore(a2_1, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 8u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 16u {
        workgroupBarrier();
        coopStore(a2_2, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 16u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 24u {
        workgroupBarrier();
        coopStore(a2_3, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 24u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 32u {
        workgroupBarrier();
        coopStore(a2_4, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 32u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 40u {
        workgroupBarrier();
        coopStore(a2_5, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 40u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 48u {
        workgroupBarrier();
        coopStore(a2_6, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 48u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 56u {
        workgroupBarrier();
        coopStore(a2_7, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 56u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 0u {
        workgroupBarrier();
        coopStore(a3_0, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 0u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 8u {
        workgroupBarrier();
        coopStore(a3_1, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 8u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 16u {
        workgroupBarrier();
        coopStore(a3_2, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 16u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 24u {
        workgroupBarrier();
        coopStore(a3_3, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 24u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 32u {
        workgroupBarrier();
        coopStore(a3_4, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 32u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 40u {
        workgroupBarrier();
        coopStore(a3_5, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 40u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 48u {
        workgroupBarrier();
        coopStore(a3_6, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 48u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
    if STACK > 56u {
        workgroupBarrier();
        coopStore(a3_7, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 56u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
    }
}

@compute @workgroup_size(INVOCATIONS)
fn forward_hidden_stats(
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(workgroup_id) group: vec3u,
) {
    let stacks = (p.co + STACK - 1u) / STACK;
    let image = group.z / stacks;
    let o = group.z % stacks * STACK;
    let corner = group.xy * vec2u(16u, 8u);
    // Where subgroups are smaller than SUBGROUP_SIZE there are more than four, and the others do the same once more:
    // matrices are for all invocations alike.
    let quarter = subgroup % 4u;
    stage_bias(lane, o);
    workgroupBarrier();
    var a0_0 = coopLoad<coop_mat8x8<f32, C>>(&exchange[0u], SIDE);
    var a1_0 = coopLoad<coop_mat8x8<f32, C>>(&exchange[0u], SIDE);
    var a2_0 = coopLoad<coop_mat8x8<f32, C>>(&exchange[0u], SIDE);
    var a3_0 = coopLoad<coop_mat8x8<f32, C>>(&exchange[0u], SIDE);
    var a0_1 = coopLoad<coop_mat8x8<f32, C>>(&exchange[64u], SIDE);
    var a1_1 = coopLoad<coop_mat8x8<f32, C>>(&exchange[64u], SIDE);
    var a2_1 = coopLoad<coop_mat8x8<f32, C>>(&exchange[64u], SIDE);
    var a3_1 = coopLoad<coop_mat8x8<f32, C>>(&exchange[64u], SIDE);
    var a0_2 = coopLoad<coop_mat8x8<f32, C>>(&exchange[128u], SIDE);
    var a1_2 = coopLoad<coop_mat8x8<f32, C>>(&exchange[128u], SIDE);
    var a2_2 = coopLoad<coop_mat8x8<f32, C>>(&exchange[128u], SIDE);
    var a3_2 = coopLoad<coop_mat8x8<f32, C>>(&exchange[128u], SIDE);
    var a0_3 = coopLoad<coop_mat8x8<f32, C>>(&exchange[192u], SIDE);
    var a1_3 = coopLoad<coop_mat8x8<f32, C>>(&exchange[192u], SIDE);
    var a2_3 = coopLoad<coop_mat8x8<f32, C>>(&exchange[192u], SIDE);
    var a3_3 = coopLoad<coop_mat8x8<f32, C>>(&exchange[192u], SIDE);
    var a0_4 = coopLoad<coop_mat8x8<f32, C>>(&exchange[256u], SIDE);
    var a1_4 = coopLoad<coop_mat8x8<f32, C>>(&exchange[256u], SIDE);
    var a2_4 = coopLoad<coop_mat8x8<f32, C>>(&exchange[256u], SIDE);
    var a3_4 = coopLoad<coop_mat8x8<f32, C>>(&exchange[256u], SIDE);
    var a0_5 = coopLoad<coop_mat8x8<f32, C>>(&exchange[320u], SIDE);
    var a1_5 = coopLoad<coop_mat8x8<f32, C>>(&exchange[320u], SIDE);
    var a2_5 = coopLoad<coop_mat8x8<f32, C>>(&exchange[320u], SIDE);
    var a3_5 = coopLoad<coop_mat8x8<f32, C>>(&exchange[320u], SIDE);
    var a0_6 = coopLoad<coop_mat8x8<f32, C>>(&exchange[384u], SIDE);
    var a1_6 = coopLoad<coop_mat8x8<f32, C>>(&exchange[384u], SIDE);
    var a2_6 = coopLoad<coop_mat8x8<f32, C>>(&exchange[384u], SIDE);
    var a3_6 = coopLoad<coop_mat8x8<f32, C>>(&exchange[384u], SIDE);
    var a0_7 = coopLoad<coop_mat8x8<f32, C>>(&exchange[448u], SIDE);
    var a1_7 = coopLoad<coop_mat8x8<f32, C>>(&exchange[448u], SIDE);
    var a2_7 = coopLoad<coop_mat8x8<f32, C>>(&exchange[448u], SIDE);
    var a3_7 = coopLoad<coop_mat8x8<f32, C>>(&exchange[448u], SIDE);
    for (var chunk = 0u; chunk < chunks(); chunk++) {
        workgroupBarrier();
        stage_inputs(lane, image, corner, chunk * CHUNK);
        for (var tap = 0u; tap < 9u; tap++) {
            workgroupBarrier();
            stage_weights(lane, chunk, tap, o);
            workgroupBarrier();
            let pixels = (2u * quarter + tap / 3u) * TILE_W + tap % 3u;
            for (var i = 0u; i < CHUNK; i += SIDE) {
                let left0 = coopLoadT<coop_mat8x8<f16, A>>(&tile[(pixels + 0u) * PITCH + i], PITCH);
                let left1 = coopLoadT<coop_mat8x8<f16, A>>(&tile[(pixels + 8u) * PITCH + i], PITCH);
                let left2 = coopLoadT<coop_mat8x8<f16, A>>(&tile[(pixels + 18u) * PITCH + i], PITCH);
                let left3 = coopLoadT<coop_mat8x8<f16, A>>(&tile[(pixels + 26u) * PITCH + i], PITCH);
                if STACK > 0u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[0u * PITCH + i], PITCH);
                    a0_0 = coopMultiplyAdd(left0, right, a0_0);
                    a1_0 = coopMultiplyAdd(left1, right, a1_0);
                    a2_0 = coopMultiplyAdd(left2, right, a2_0);
                    a3_0 = coopMultiplyAdd(left3, right, a3_0);
                }
                if STACK > 8u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[8u * PITCH + i], PITCH);
                    a0_1 = coopMultiplyAdd(left0, right, a0_1);
                    a1_1 = coopMultiplyAdd(left1, right, a1_1);
                    a2_1 = coopMultiplyAdd(left2, right, a2_1);
                    a3_1 = coopMultiplyAdd(left3, right, a3_1);
                }
                if STACK > 16u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[16u * PITCH + i], PITCH);
                    a0_2 = coopMultiplyAdd(left0, right, a0_2);
                    a1_2 = coopMultiplyAdd(left1, right, a1_2);
                    a2_2 = coopMultiplyAdd(left2, right, a2_2);
                    a3_2 = coopMultiplyAdd(left3, right, a3_2);
                }
                if STACK > 24u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[24u * PITCH + i], PITCH);
                    a0_3 = coopMultiplyAdd(left0, right, a0_3);
                    a1_3 = coopMultiplyAdd(left1, right, a1_3);
                    a2_3 = coopMultiplyAdd(left2, right, a2_3);
                    a3_3 = coopMultiplyAdd(left3, right, a3_3);
                }
                if STACK > 32u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[32u * PITCH + i], PITCH);
                    a0_4 = coopMultiplyAdd(left0, right, a0_4);
                    a1_4 = coopMultiplyAdd(left1, right, a1_4);
                    a2_4 = coopMultiplyAdd(left2, right, a2_4);
                    a3_4 = coopMultiplyAdd(left3, right, a3_4);
                }
                if STACK > 40u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[40u * PITCH + i], PITCH);
                    a0_5 = coopMultiplyAdd(left0, right, a0_5);
                    a1_5 = coopMultiplyAdd(left1, right, a1_5);
                    a2_5 = coopMultiplyAdd(left2, right, a2_5);
                    a3_5 = coopMultiplyAdd(left3, right, a3_5);
                }
                if STACK > 48u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[48u * PITCH + i], PITCH);
                    a0_6 = coopMultiplyAdd(left0, right, a0_6);
                    a1_6 = coopMultiplyAdd(left1, right, a1_6);
                    a2_6 = coopMultiplyAdd(left2, right, a2_6);
                    a3_6 = coopMultiplyAdd(left3, right, a3_6);
                }
                if STACK > 56u {
                    let right = coopLoad<coop_mat8x8<f16, B>>(&taps[56u * PITCH + i], PITCH);
                    a0_7 = coopMultiplyAdd(left0, right, a0_7);
                    a1_7 = coopMultiplyAdd(left1, right, a1_7);
                    a2_7 = coopMultiplyAdd(left2, right, a2_7);
                    a3_7 = coopMultiplyAdd(left3, right, a3_7);
                }
            }
        }
    }
    if STACK > 0u {
        workgroupBarrier();
        coopStore(a0_0, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 0u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(0u, lane, corner, 0u, 0u);
    }
    if STACK > 8u {
        workgroupBarrier();
        coopStore(a0_1, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 8u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(1u, lane, corner, 0u, 0u);
    }
    if STACK > 16u {
        workgroupBarrier();
        coopStore(a0_2, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 16u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(2u, lane, corner, 0u, 0u);
    }
    if STACK > 24u {
        workgroupBarrier();
        coopStore(a0_3, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 24u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(3u, lane, corner, 0u, 0u);
    }
    if STACK > 32u {
        workgroupBarrier();
        coopStore(a0_4, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 32u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(4u, lane, corner, 0u, 0u);
    }
    if STACK > 40u {
        workgroupBarrier();
        coopStore(a0_5, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 40u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(5u, lane, corner, 0u, 0u);
    }
    if STACK > 48u {
        workgroupBarrier();
        coopStore(a0_6, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 48u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(6u, lane, corner, 0u, 0u);
    }
    if STACK > 56u {
        workgroupBarrier();
        coopStore(a0_7, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 56u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(7u, lane, corner, 0u, 0u);
    }
    if STACK > 0u {
        workgroupBarrier();
        coopStore(a1_0, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 0u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(0u, lane, corner, 0u, 8u);
    }
    if STACK > 8u {
        workgroupBarrier();
        coopStore(a1_1, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 8u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(1u, lane, corner, 0u, 8u);
    }
    if STACK > 16u {
        workgroupBarrier();
        coopStore(a1_2, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 16u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(2u, lane, corner, 0u, 8u);
    }
    if STACK > 24u {
        workgroupBarrier();
        coopStore(a1_3, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 24u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(3u, lane, corner, 0u, 8u);
    }
    if STACK > 32u {
        workgroupBarrier();
        coopStore(a1_4, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 32u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(4u, lane, corner, 0u, 8u);
    }
    if STACK > 40u {
        workgroupBarrier();
        coopStore(a1_5, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 40u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(5u, lane, corner, 0u, 8u);
    }
    if STACK > 48u {
        workgroupBarrier();
        coopStore(a1_6, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 48u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(6u, lane, corner, 0u, 8u);
    }
    if STACK > 56u {
        workgroupBarrier();
        coopStore(a1_7, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 0u;
            put_hidden(image, o + 56u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(7u, lane, corner, 0u, 8u);
    }
    if STACK > 0u {
        workgroupBarrier();
        coopStore(a2_0, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 0u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(0u, lane, corner, 1u, 0u);
    }
    if STACK > 8u {
        workgroupBarrier();
        coopStore(a2_1, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 8u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(1u, lane, corner, 1u, 0u);
    }
    if STACK > 16u {
        workgroupBarrier();
        coopStore(a2_2, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 16u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(2u, lane, corner, 1u, 0u);
    }
    if STACK > 24u {
        workgroupBarrier();
        coopStore(a2_3, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 24u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(3u, lane, corner, 1u, 0u);
    }
    if STACK > 32u {
        workgroupBarrier();
        coopStore(a2_4, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 32u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(4u, lane, corner, 1u, 0u);
    }
    if STACK > 40u {
        workgroupBarrier();
        coopStore(a2_5, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 40u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(5u, lane, corner, 1u, 0u);
    }
    if STACK > 48u {
        workgroupBarrier();
        coopStore(a2_6, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 48u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(6u, lane, corner, 1u, 0u);
    }
    if STACK > 56u {
        workgroupBarrier();
        coopStore(a2_7, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 56u + e / SIDE % SIDE, row, corner.x + 0u + e % SIDE, exchange[e]);
        }
        add_stats(7u, lane, corner, 1u, 0u);
    }
    if STACK > 0u {
        workgroupBarrier();
        coopStore(a3_0, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 0u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(0u, lane, corner, 1u, 8u);
    }
    if STACK > 8u {
        workgroupBarrier();
        coopStore(a3_1, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 8u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(1u, lane, corner, 1u, 8u);
    }
    if STACK > 16u {
        workgroupBarrier();
        coopStore(a3_2, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 16u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(2u, lane, corner, 1u, 8u);
    }
    if STACK > 24u {
        workgroupBarrier();
        coopStore(a3_3, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 24u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(3u, lane, corner, 1u, 8u);
    }
    if STACK > 32u {
        workgroupBarrier();
        coopStore(a3_4, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 32u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(4u, lane, corner, 1u, 8u);
    }
    if STACK > 40u {
        workgroupBarrier();
        coopStore(a3_5, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 40u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(5u, lane, corner, 1u, 8u);
    }
    if STACK > 48u {
        workgroupBarrier();
        coopStore(a3_6, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 48u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(6u, lane, corner, 1u, 8u);
    }
    if STACK > 56u {
        workgroupBarrier();
        coopStore(a3_7, &exchange[quarter * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var e = lane; e < 4u * SIDE * SIDE; e += INVOCATIONS) {
            let row = corner.y + e / (SIDE * SIDE) * 2u + 1u;
            put_hidden(image, o + 56u + e / SIDE % SIDE, row, corner.x + 8u + e % SIDE, exchange[e]);
        }
        add_stats(7u, lane, corner, 1u, 8u);
    }
    put_stats(lane, image, o, group.xy);
}
