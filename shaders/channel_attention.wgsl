// Channel attention's gates: gate = sigmoid(M(mean_hw r) + M(max_hw r)), M(v) = fc2w . relu(fc1w . v + fc1b) + fc2b.
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
@group(0) @binding(5) var<storage, read_write> stats: array<f32>; // (N, 2F): mean, then max

var<workgroup> best: array<f32, 256>;

// One workgroup: one channel. Grid: (F, N) workgroups.
@compute @workgroup_size(256)
fn reduce(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let count = p.th * p.tw;
    let at = group.y * 2u * p.f + group.x;
    let start = at * count;
    var sum = 0.0;
    var top = tiles_in[start + p.f * count];
    for (var i = lane; i < count; i += 256u) {
        sum += tiles_in[start + i];
        top = max(top, tiles_in[start + p.f * count + i]);
    }
    best[lane] = top;
    for (var width = 128u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            best[lane] = max(best[lane], best[lane + width]);
        }
    }
    sum = tree_sum(lane, sum);
    if lane == 0u {
        stats[at] = sum / f32(p.pixels);
        stats[at + p.f] = best[0];
    }
}

@group(0) @binding(6) var<storage, read> stats_in: array<f32>; // (N, 2F)
@group(0) @binding(7) var<storage, read> fc1w: array<f32>; // (K, F)
@group(0) @binding(8) var<storage, read> fc1b: array<f32>; // (K)
@group(0) @binding(9) var<storage, read> fc2w: array<f32>; // (F, K)
@group(0) @binding(10) var<storage, read> fc2b: array<f32>; // (F)
@group(0) @binding(11) var<storage, read_write> gate: array<f32>; // (N, F)

var<workgroup> hidden_mean: array<f32, 64>;
var<workgroup> hidden_max: array<f32, 64>;

// The hidden layer's value `k` before the ReLU, for the mean (x) and for the maximum (y) of an image.
fn hidden(image: u32, k: u32) -> vec2f {
    var v = vec2f(fc1b[k]);
    for (var c = 0u; c < p.f; c++) {
        let at = image * 2u * p.f + c;
        v += fc1w[k * p.f + c] * vec2f(stats_in[at], stats_in[at + p.f]);
    }
    return v;
}

// One workgroup: one image. Grid: (N) workgroups.
@compute @workgroup_size(64)
fn mlp(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    if lane < p.k {
        let v = hidden(group.x, lane);
        hidden_mean[lane] = max(v.x, 0.0);
        hidden_max[lane] = max(v.y, 0.0);
    }
    workgroupBarrier();
    for (var c = lane; c < p.f; c += 64u) {
        var v = 2.0 * fc2b[c];
        for (var k = 0u; k < p.k; k++) {
            v += fc2w[c * p.k + k] * (hidden_mean[k] + hidden_max[k]);
        }
        gate[group.x * p.f + c] = 1.0 / (1.0 + exp(-clamp(v, -80.0, 80.0)));
    }
}

@group(0) @binding(12) var<storage, read> gate_in: array<f32>; // (N, F)
@group(0) @binding(13) var<storage, read> dgate_in: array<f32>; // (N, F)
@group(0) @binding(14) var<storage, read_write> dstats: array<f32>; // (N, 2F)

// Gradient of the sigmoid's argument: sigmoid' = gate (1 - gate).
fn dlogit(image: u32, c: u32) -> f32 {
    let g = gate_in[image * p.f + c];
    return dgate_in[image * p.f + c] * g * (1.0 - g);
}

// Gradient of the hidden layer before its ReLU, for the mean (x) and for the maximum (y).
fn dhidden(image: u32, k: u32) -> vec2f {
    var sum = 0.0;
    for (var c = 0u; c < p.f; c++) {
        sum += fc2w[c * p.k + k] * dlogit(image, c);
    }
    return select(vec2f(0.0), vec2f(sum), hidden(image, k) > vec2f(0.0));
}

// gate = sigmoid(z), z = M(mean) + M(max): dz[c] = dgate[c] gate (1 - gate) goes through both applications of M.
// For each, with h = fc1w v + fc1b:
//   dh[k] = [h[k] > 0] sum_c fc2w[c, k] dz[c],   dv[c] = sum_k fc1w[k, c] dh[k],   v = mean or max.
// One workgroup: one image. Grid: (N) workgroups.
@compute @workgroup_size(64)
fn backward_stats(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    if lane < p.k {
        let v = dhidden(group.x, lane);
        hidden_mean[lane] = v.x;
        hidden_max[lane] = v.y;
    }
    workgroupBarrier();
    for (var c = lane; c < p.f; c += 64u) {
        var v = vec2f(0.0);
        for (var k = 0u; k < p.k; k++) {
            v += fc1w[k * p.f + c] * vec2f(hidden_mean[k], hidden_max[k]);
        }
        dstats[group.x * 2u * p.f + c] = v.x;
        dstats[(group.x * 2u + 1u) * p.f + c] = v.y;
    }
}

@group(0) @binding(15) var<storage, read_write> dfc1w: array<f32>; // (K, F)
@group(0) @binding(16) var<storage, read_write> dfc1b: array<f32>; // (K)

// h = fc1w v + fc1b is applied to v = mean and v = max of every image with the same weights: gradients add,
//   dfc1w[k, c] = sum_n dh_mean[n, k] mean[n, c] + dh_max[n, k] max[n, c],
//   dfc1b[k] = sum_n dh_mean[n, k] + dh_max[n, k].
// One workgroup: one row k; 64 images at a time, an invocation first one image's dh[k], then columns c. An output is
// touched by one invocation only. Grid: (K) workgroups.
@compute @workgroup_size(64)
fn backward_fc1(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let k = group.x;
    for (var first = 0u; first < p.n; first += 64u) {
        workgroupBarrier();
        if first + lane < p.n {
            let v = dhidden(first + lane, k);
            hidden_mean[lane] = v.x;
            hidden_max[lane] = v.y;
        }
        workgroupBarrier();
        let images = min(64u, p.n - first);
        for (var c = lane; c <= p.f; c += 64u) {
            // Column F is the bias.
            var sum = 0.0;
            for (var i = 0u; i < images; i++) {
                if c < p.f {
                    let at = (first + i) * 2u * p.f + c;
                    sum += hidden_mean[i] * stats_in[at] + hidden_max[i] * stats_in[at + p.f];
                } else {
                    sum += hidden_mean[i] + hidden_max[i];
                }
            }
            if c == p.f {
                if first > 0u {
                    sum += dfc1b[k];
                }
                dfc1b[k] = sum;
            } else {
                if first > 0u {
                    sum += dfc1w[k * p.f + c];
                }
                dfc1w[k * p.f + c] = sum;
            }
        }
    }
}

@group(0) @binding(17) var<storage, read_write> dfc2w: array<f32>; // (F, K)
@group(0) @binding(18) var<storage, read_write> dfc2b: array<f32>; // (F)

// z[c] = sum_k fc2w[c, k] (relu h_mean[k] + relu h_max[k]) + 2 fc2b[c], so
//   dfc2w[c, k] = sum_n dz[n, c] (relu h_mean[n, k] + relu h_max[n, k]),   dfc2b[c] = 2 sum_n dz[n, c].
// One workgroup: one column k (the first also the bias); 64 images at a time, an invocation first one image's hidden
// value k, then rows c. Grid: (K) workgroups.
@compute @workgroup_size(64)
fn backward_fc2(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let k = group.x;
    for (var first = 0u; first < p.n; first += 64u) {
        workgroupBarrier();
        if first + lane < p.n {
            let v = max(hidden(first + lane, k), vec2f(0.0));
            hidden_mean[lane] = v.x + v.y;
        }
        workgroupBarrier();
        let images = min(64u, p.n - first);
        for (var c = lane; c < p.f; c += 64u) {
            var sum = 0.0;
            var bias = 0.0;
            for (var i = 0u; i < images; i++) {
                let dz = dlogit(first + i, c);
                sum += dz * hidden_mean[i];
                bias += 2.0 * dz;
            }
            if first > 0u {
                sum += dfc2w[c * p.k + k];
            }
            dfc2w[c * p.k + k] = sum;
            if k == 0u {
                if first > 0u {
                    bias += dfc2b[c];
                }
                dfc2b[c] = bias;
            }
        }
    }
}

@group(0) @binding(19) var<storage, read_write> argmax: array<u32>; // (N, F): row-major position of the max

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

@group(0) @binding(20) var<storage, read> dstats_in: array<f32>; // (N, 2F)
@group(0) @binding(21) var<storage, read> argmax_in: array<u32>; // (N, F)
@group(0) @binding(22) var<storage, read_write> dr: array<f32>; // (N, F, h, w)

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
