// Channel attention's gates: gate = sigmoid(M(mean_hw r) + M(max_hw r)), M of channel_mlp.wgsl.
// `tile_stats` makes the sums and maxima of 8 x 16 pixels, `reduce` of them mean and maximum of each plane, `mlp` the
// gates of an image.

struct Params {
    n: u32,
    f: u32, // channels
    k: u32, // hidden width of M, at most 64
    h: u32,
    w: u32,
    th: u32, // rows of tiles
    tw: u32, // columns of tiles
    pixels: u32, // h w of the whole map
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> r: array<Act>; // (N, F, h, w)
@group(0) @binding(3) var<storage, read_write> tiles: array<f32>; // (N, 2F, th, tw): sums, then maxima

const TILE_ROWS = 8u; // pixels of a tile
const TILE_COLUMNS = 16u;

// One invocation: one tile of one channel.
@compute @workgroup_size(64)
fn tile_stats(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 64u);
    let count = p.th * p.tw;
    if i >= p.n * p.f * count {
        return;
    }
    let channel = i / count; // of all images
    let row = i % count / p.tw * TILE_ROWS;
    let column = i % p.tw * TILE_COLUMNS;
    let start = (channel * p.h + row) * p.w + column;
    var sum = 0.0;
    var top = f32(r[start]);
    for (var y = 0u; y < min(TILE_ROWS, p.h - row); y++) {
        // A sum of each row first: shorter sums, smaller errors.
        var row_sum = 0.0;
        for (var x = 0u; x < min(TILE_COLUMNS, p.w - column); x++) {
            let v = f32(r[start + y * p.w + x]);
            row_sum += v;
            top = max(top, v);
        }
        sum += row_sum;
    }
    let at = (channel / p.f * 2u * p.f + channel % p.f) * count + i % count;
    tiles[at] = sum;
    tiles[at + p.f * count] = top;
}

@group(0) @binding(4) var<storage, read> tiles_in: array<f32>; // (N, 2F, th, tw)
@group(0) @binding(5) var<storage, read_write> channel_stats: array<f32>; // (N, 2F): mean, then max

var<workgroup> sums_and_tops: array<vec2f, 256>;

// One workgroup: one channel. Grid: (F, N) workgroups.
@compute @workgroup_size(256)
fn reduce(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let count = p.th * p.tw;
    let at = group.y * 2u * p.f + group.x;
    let start = at * count;
    var own = vec2f(0.0, tiles_in[start + p.f * count]);
    for (var i = lane; i < count; i += 256u) {
        let top = tiles_in[start + p.f * count + i];
        own = vec2f(own.x + tiles_in[start + i], max(own.y, top));
    }
    sums_and_tops[lane] = own;
    for (var width = 128u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            let a = sums_and_tops[lane];
            let b = sums_and_tops[lane + width];
            sums_and_tops[lane] = vec2f(a.x + b.x, max(a.y, b.y));
        }
    }
    if lane == 0u {
        channel_stats[at] = sums_and_tops[0].x / f32(p.pixels);
        channel_stats[at + p.f] = sums_and_tops[0].y;
    }
}

@group(0) @binding(6) var<storage, read_write> gate: array<f32>; // (N, F)

// One workgroup: one image. Grid: (N) workgroups.
@compute @workgroup_size(64)
fn mlp(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    put_hidden(lane, group.x);
    for (var c = lane; c < p.f; c += 64u) {
        gate[group.x * p.f + c] = gate_of(c);
    }
}

@group(0) @binding(7) var<storage, read> gate_in: array<f32>; // (N, F)
@group(0) @binding(8) var<storage, read> dgate_in: array<f32>; // (N, F)
@group(0) @binding(9) var<storage, read_write> dstats: array<f32>; // (N, 2F)
@group(0) @binding(10) var<storage, read_write> of_hidden: array<f32>; // (N, 3, K): dh of mean and max, sum of the ReLUs

var<workgroup> dhidden: array<vec2f, 64>;

// Gradient of the sigmoid's argument: sigmoid' = gate (1 - gate).
fn dlogit(image: u32, c: u32) -> f32 {
    let g = gate_in[image * p.f + c];
    return dgate_in[image * p.f + c] * g * (1.0 - g);
}

// gate = sigmoid(z), z = M(mean) + M(max): dz[c] = dgate[c] gate (1 - gate) goes through both applications of M.
// For each, with h = fc1w v + fc1b:
//   dh[k] = [h[k] > 0] sum_c fc2w[c, k] dz[c],   dv[c] = sum_k fc1w[k, c] dh[k],   v = mean or max.
// One workgroup: one image. Leaves what the weights' gradients need of its hidden layer. Grid: (N) workgroups.
@compute @workgroup_size(64)
fn backward_stats(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let image = group.x;
    put_hidden(lane, image);
    let k = lane / sharers();
    var share = 0.0;
    if k < p.k {
        for (var c = lane % sharers(); c < p.f; c += sharers()) {
            share += fc2w[c * p.k + k] * dlogit(image, c);
        }
    }
    let sum = sum_of_shares(lane, vec2f(share));
    if lane < p.k {
        let h = hidden[lane];
        let dh = select(vec2f(0.0), sum, h > vec2f(0.0));
        dhidden[lane] = dh;
        let at = image * 3u * p.k + lane;
        of_hidden[at] = dh.x;
        of_hidden[at + p.k] = dh.y;
        of_hidden[at + 2u * p.k] = relus[lane];
    }
    workgroupBarrier();
    for (var c = lane; c < p.f; c += 64u) {
        var v = vec2f(0.0);
        for (var k = 0u; k < p.k; k++) {
            v += fc1w[k * p.f + c] * dhidden[k];
        }
        dstats[image * 2u * p.f + c] = v.x;
        dstats[(image * 2u + 1u) * p.f + c] = v.y;
    }
}

@group(0) @binding(11) var<storage, read> of_hidden_in: array<f32>; // (N, 3, K)
@group(0) @binding(12) var<storage, read_write> dfc1w: array<f32>; // (K, F)
@group(0) @binding(13) var<storage, read_write> dfc1b: array<f32>; // (K)

// h = fc1w v + fc1b is applied to v = mean and v = max of every image with the same weights: gradients add,
//   dfc1w[k, c] = sum_n dh_mean[n, k] mean[n, c] + dh_max[n, k] max[n, c],
//   dfc1b[k] = sum_n dh_mean[n, k] + dh_max[n, k].
// One invocation: one weight, or in column F a bias. Grid: (K (F + 1)) invocations.
@compute @workgroup_size(64)
fn backward_fc1(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 64u);
    let k = i / (p.f + 1u);
    let c = i % (p.f + 1u);
    if k >= p.k {
        return;
    }
    var sum = 0.0;
    for (var n = 0u; n < p.n; n++) {
        let at = n * 3u * p.k + k;
        let dh = vec2f(of_hidden_in[at], of_hidden_in[at + p.k]);
        var v = vec2f(1.0);
        if c < p.f {
            v = vec2f(channel_stats_in[n * 2u * p.f + c], channel_stats_in[(n * 2u + 1u) * p.f + c]);
        }
        sum += dh.x * v.x + dh.y * v.y;
    }
    if c < p.f {
        dfc1w[k * p.f + c] = sum;
    } else {
        dfc1b[k] = sum;
    }
}

@group(0) @binding(14) var<storage, read_write> dfc2w: array<f32>; // (F, K)
@group(0) @binding(15) var<storage, read_write> dfc2b: array<f32>; // (F)

// z[c] = sum_k fc2w[c, k] (relu h_mean[k] + relu h_max[k]) + 2 fc2b[c], so
//   dfc2w[c, k] = sum_n dz[n, c] (relu h_mean[n, k] + relu h_max[n, k]),   dfc2b[c] = 2 sum_n dz[n, c].
// One invocation: one weight, or in column K a bias. Grid: (F (K + 1)) invocations.
@compute @workgroup_size(64)
fn backward_fc2(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 64u);
    let c = i / (p.k + 1u);
    let k = i % (p.k + 1u);
    if c >= p.f {
        return;
    }
    var sum = 0.0;
    for (var n = 0u; n < p.n; n++) {
        var v = 2.0;
        if k < p.k {
            v = of_hidden_in[(n * 3u + 2u) * p.k + k];
        }
        sum += dlogit(n, c) * v;
    }
    if k < p.k {
        dfc2w[c * p.k + k] = sum;
    } else {
        dfc2b[c] = sum;
    }
}

@group(0) @binding(16) var<storage, read_write> argmax: array<u32>; // (N, F): row-major position of the max

var<workgroup> best: array<f32, 256>;
var<workgroup> best_at: array<u32, 256>;

// One workgroup: one channel; of equal maxima the first position wins. Grid: (F, N) workgroups.
@compute @workgroup_size(256)
fn argmax_of(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let plane = p.h * p.w;
    let start = (group.y * p.f + group.x) * plane;
    var top = -3.4028234e38;
    var top_at = 0xffffffffu;
    for (var i = lane; i < plane; i += 256u) {
        let v = f32(r[start + i]);
        if v > top || top_at == 0xffffffffu {
            top = v;
            top_at = i;
        }
    }
    best[lane] = top;
    best_at[lane] = top_at;
    workgroupBarrier();
    for (var width = 128u; width > 0u; width /= 2u) {
        if lane < width {
            let v = best[lane + width];
            let at = best_at[lane + width];
            if v > best[lane] || (v == best[lane] && at < best_at[lane]) {
                best[lane] = v;
                best_at[lane] = at;
            }
        }
        workgroupBarrier();
    }
    if lane == 0u {
        argmax[group.y * p.f + group.x] = best_at[0];
    }
}

@group(0) @binding(17) var<storage, read> dstats_in: array<f32>; // (N, 2F)
@group(0) @binding(18) var<storage, read> argmax_in: array<u32>; // (N, F)
@group(0) @binding(19) var<storage, read_write> dr: array<f32>; // (N, F, h, w)

// The mean weighs a pixel 1 / (h w), and the maximum is its first position's:
//   dr[q] = dmean / (h w) + [q == argmax] dmax.
// One invocation: one element.
@compute @workgroup_size(256)
fn backward_input(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    let plane = p.h * p.w;
    if i >= p.n * p.f * plane {
        return;
    }
    let c = i / plane;
    let at = c / p.f * 2u * p.f + c % p.f;
    var d = dstats_in[at] / f32(plane);
    if i % plane == argmax_in[c] {
        d += dstats_in[at + p.f];
    }
    dr[i] = d;
}
