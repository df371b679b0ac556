// Spatial attention's gates: gate = sigmoid(conv7x7([max_c z, mean_c z]) + b), zero padding 3, of z = r cgate, the map
// behind the channel gate. `pool` makes the two statistics of each pixel, `gates` the gates.

struct Params {
    n: u32,
    f: u32, // channels
    h: u32,
    w: u32,
    splits: u32, // backward_weight: workgroups that share the pixels
    k: u32, // gate_and_pool: hidden values of the channel gates
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> r: array<Act>; // (N, F, h, w)
@group(0) @binding(3) var<storage, read> cgate: array<f32>; // (N, F)
@group(0) @binding(4) var<storage, read_write> stats: array<f32>; // (N, 2, h, w): max, then mean

const BATCH = 16u; // channels that an invocation loads at once, so that it waits once for all of them

var<workgroup> cgates: array<f32, 64>; // gates of the channels at hand

// The maximum (x) and the sum (y) of a pixel's channels, with up to 64 more from channel `c` on, whose gates a workgroup has
// just put into `cgates`. Loads past the last channel are of that one again, and those past the last pixel of that one.
fn pooled(before: vec2f, image: u32, c: u32, pixel: u32) -> vec2f {
    workgroupBarrier();
    let plane = p.h * p.w;
    let start = (image * p.f + c) * plane + min(pixel, plane - 1u);
    let count = min(64u, p.f - c);
    var top = before.x;
    var sum = before.y;
    for (var first = 0u; first < count; first += BATCH) {
        var z: array<f32, BATCH>;
        for (var i = 0u; i < BATCH; i++) {
            z[i] = f32(r[start + min(first + i, count - 1u) * plane]);
        }
        for (var i = 0u; i < BATCH; i++) {
            let v = z[i] * cgates[min(first + i, count - 1u)];
            top = max(top, v);
            sum += select(0.0, v, first + i < count);
        }
    }
    return vec2f(top, sum);
}

fn put_stats(image: u32, pixel: u32, of_channels: vec2f) {
    let plane = p.h * p.w;
    if pixel < plane {
        let at = image * 2u * plane + pixel;
        stats[at] = of_channels.x;
        stats[at + plane] = of_channels.y / f32(p.f);
    }
}

const LOWEST = -3.4028234e38;

// One invocation: one pixel, `linear_index` of the grid's x and y; z is the image, the same for a workgroup.
@compute @workgroup_size(64)
fn pool(
    @builtin(global_invocation_id) gid: vec3u,
    @builtin(local_invocation_index) lane: u32,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(workgroup_id) group: vec3u,
) {
    let pixel = linear_index(gid, groups, 64u);
    var v = vec2f(LOWEST, 0.0);
    for (var c = 0u; c < p.f; c += 64u) {
        workgroupBarrier(); // the gates before these have been read
        if c + lane < p.f {
            cgates[lane] = cgate[group.z * p.f + c + lane];
        }
        v = pooled(v, group.z, c, pixel);
    }
    put_stats(group.z, pixel, v);
}

@group(0) @binding(21) var<storage, read_write> cgate_out: array<f32>; // (N, F)

// The same where the channel gates are not yet there: each workgroup makes them, and an image's first one leaves them.
@compute @workgroup_size(64)
fn gate_and_pool(
    @builtin(global_invocation_id) gid: vec3u,
    @builtin(local_invocation_index) lane: u32,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(workgroup_id) group: vec3u,
) {
    let pixel = linear_index(gid, groups, 64u);
    put_hidden(lane, group.z);
    var v = vec2f(LOWEST, 0.0);
    for (var c = 0u; c < p.f; c += 64u) {
        workgroupBarrier(); // the gates before these have been read
        if c + lane < p.f {
            cgates[lane] = gate_of(c + lane);
            if all(group.xy == vec2u(0u)) {
                cgate_out[group.z * p.f + c + lane] = cgates[lane];
            }
        }
        v = pooled(v, group.z, c, pixel);
    }
    put_stats(group.z, pixel, v);
}

// Four channel values in a row, the last one instead of those past the right border.
fn four(at: u32, last: u32, i: u32) -> vec4f {
    let o = min(vec4u(0u, 1u, 2u, 3u) + i, vec4u(last)) + at;
    return vec4f(f32(r[o.x]), f32(r[o.y]), f32(r[o.z]), f32(r[o.w]));
}

// The same for software drivers, where lane = row makes the reads cheap (conv3x3_lanes.wgsl says why). One invocation: 16
// pixels of a row, in vectors, which drivers unroll; a workgroup: 16 x 16. Grid: (ceil(w / 16), ceil(h / 16), N) workgroups.
@compute @workgroup_size(16)
fn pool_rows(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let plane = p.h * p.w;
    let row = group.y * 16u + lane;
    let left = group.x * 16u;
    let last = p.w - 1u - left;
    let line = min(row, p.h - 1u) * p.w + left;
    let gates = group.z * p.f;
    var top = mat4x4f();
    var sum = mat4x4f();
    var at = gates * plane + line;
    for (var c = 0u; c < p.f; c++) {
        let z = cgate[gates + c] * mat4x4f(four(at, last, 0u), four(at, last, 4u), four(at, last, 8u), four(at, last, 12u));
        sum += z;
        if c == 0u {
            top = z;
        }
        top = mat4x4f(max(top[0], z[0]), max(top[1], z[1]), max(top[2], z[2]), max(top[3], z[3]));
        at += plane;
    }
    let out = group.z * 2u * plane + line;
    for (var i = 0u; i < 16u; i++) {
        if row < p.h && i <= last {
            stats[out + i] = top[i / 4u][i % 4u];
            stats[out + i + plane] = sum[i / 4u][i % 4u] / f32(p.f);
        }
    }
}

@group(0) @binding(5) var<storage, read> stats_in: array<f32>; // (N, 2, h, w)
@group(0) @binding(6) var<storage, read> w: array<f32>; // (1, 2, 7, 7)
@group(0) @binding(7) var<storage, read> b: array<f32>; // (1)
@group(0) @binding(8) var<storage, read_write> gate: array<f32>; // (N, 1, h, w)

const SIDE = 22u; // 16 pixels and a halo of 3 on both sides

var<workgroup> tile: array<vec2f, SIDE * SIDE>; // (max, mean)

var<workgroup> taps: array<vec2f, 49>; // (of max, of mean)

// Statistics of the pixel (row, column) of an image, 0 outside: loaded without a branch, which && is, so that several are at
// once.
fn stats_at(image: u32, row: u32, column: u32) -> vec2f {
    let inside = (row < p.h) & (column < p.w);
    let at = image * 2u * p.h * p.w + select(0u, row * p.w + column, inside);
    return select(vec2f(0.0), vec2f(stats_in[at], stats_in[at + p.h * p.w]), inside);
}

// One invocation: four pixels below each other; a workgroup: 16 x 16, from a tile in workgroup memory. Grid: (ceil(w / 16),
// ceil(h / 16), N) workgroups.
@compute @workgroup_size(16, 4)
fn gates(
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3u,
) {
    let corner = group.xy * 16u;
    for (var i = 0u; i < 8u; i++) {
        let e = i * 64u + lane;
        // Unsigned wrap-around puts what is above or left of the image out of range, too.
        let s = stats_at(group.z, corner.y + e / SIDE - 3u, corner.x + e % SIDE - 3u);
        if e < SIDE * SIDE {
            tile[e] = s;
        }
    }
    if lane < 49u {
        taps[lane] = vec2f(w[lane], w[49u + lane]);
    }
    workgroupBarrier();
    var v = vec4f(b[0]);
    for (var kx = 0u; kx < 7u; kx++) {
        var s: array<vec2f, 10>;
        for (var i = 0u; i < 10u; i++) {
            s[i] = tile[(local.y * 4u + i) * SIDE + local.x + kx];
        }
        for (var ky = 0u; ky < 7u; ky++) {
            let tap = taps[ky * 7u + kx];
            v += tap.x * vec4f(s[ky].x, s[ky + 1u].x, s[ky + 2u].x, s[ky + 3u].x);
            v += tap.y * vec4f(s[ky].y, s[ky + 1u].y, s[ky + 2u].y, s[ky + 3u].y);
        }
    }
    let column = corner.x + local.x;
    for (var i = 0u; i < 4u; i++) {
        let row = corner.y + local.y * 4u + i;
        if row < p.h && column < p.w {
            gate[(group.z * p.h + row) * p.w + column] = 1.0 / (1.0 + exp(-clamp(v[i], -80.0, 80.0)));
        }
    }
}

// Four elements of the tile in a row: (max, mean) each.
fn tile_four(at: u32) -> mat4x2f {
    return mat4x2f(tile[at], tile[at + 1u], tile[at + 2u], tile[at + 3u]);
}

// What a row of taps makes of four pixels: a, b and c are the tile's elements from the first tap's on.
fn row_of_taps(ky: u32, a: mat4x2f, b: mat4x2f, c: mat4x2f) -> vec4f {
    var v = vec4f(0.0);
    v += tap(ky, 0u) * a;
    v += tap(ky, 1u) * mat4x2f(a[1], a[2], a[3], b[0]);
    v += tap(ky, 2u) * mat4x2f(a[2], a[3], b[0], b[1]);
    v += tap(ky, 3u) * mat4x2f(a[3], b[0], b[1], b[2]);
    v += tap(ky, 4u) * b;
    v += tap(ky, 5u) * mat4x2f(b[1], b[2], b[3], c[0]);
    v += tap(ky, 6u) * mat4x2f(b[2], b[3], c[0], c[1]);
    return v;
}

fn tap(ky: u32, kx: u32) -> vec2f {
    return vec2f(w[ky * 7u + kx], w[49u + ky * 7u + kx]);
}

// The same for software drivers: lane = row, which reads an element of the tile for all the taps that it serves. One
// invocation: 16 pixels of a row; a workgroup: 16 x 16. Grid: (ceil(w / 16), ceil(h / 16), N) workgroups.
@compute @workgroup_size(16)
fn gates_rows(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let corner = group.xy * 16u;
    for (var line = lane; line < SIDE; line += 16u) {
        for (var column = 0u; column < SIDE; column++) {
            tile[line * SIDE + column] = stats_at(group.z, corner.y + line - 3u, corner.x + column - 3u);
        }
    }
    workgroupBarrier();
    var v = mat4x4f();
    for (var ky = 0u; ky < 7u; ky++) {
        let at = (lane + ky) * SIDE;
        let e0 = tile_four(at);
        let e1 = tile_four(at + 4u);
        let e2 = tile_four(at + 8u);
        let e3 = tile_four(at + 12u);
        let e4 = tile_four(at + 16u);
        let e5 = mat4x2f(tile[at + 20u], tile[at + 21u], vec2f(), vec2f());
        v += mat4x4f(
            row_of_taps(ky, e0, e1, e2), row_of_taps(ky, e1, e2, e3), row_of_taps(ky, e2, e3, e4), row_of_taps(ky, e3, e4, e5)
        );
    }
    let row = corner.y + lane;
    let at = (group.z * p.h + row) * p.w + corner.x;
    for (var i = 0u; i < 16u; i++) {
        if row < p.h && corner.x + i < p.w {
            gate[at + i] = 1.0 / (1.0 + exp(-clamp(v[i / 4u][i % 4u] + b[0], -80.0, 80.0)));
        }
    }
}

@group(0) @binding(9) var<storage, read> gate_in: array<f32>; // (N, 1, h, w)
@group(0) @binding(10) var<storage, read> dgate: array<f32>; // (N, 1, h, w)
@group(0) @binding(11) var<storage, read_write> dstats: array<f32>; // (N, 2, h, w)

var<workgroup> dtile: array<f32, SIDE * SIDE>;

// Gradient of the sigmoid's argument v of a pixel, 0 outside: sigmoid' = gate (1 - gate), so dv = dgate gate (1 - gate).
fn dpre_at(image: u32, row: u32, column: u32) -> f32 {
    let inside = (row < p.h) & (column < p.w);
    let at = image * p.h * p.w + select(0u, row * p.w + column, inside);
    let g = gate_in[at];
    return select(0.0, dgate[at] * g * (1.0 - g), inside);
}

// v[q] = b + sum_{s, k} w[s, k] stats[s, q + k], k = (ky - 3, kx - 3), so stats[s, t] is seen by q = t - k:
//   dstats[s, t] = sum_k w[s, k] dv[t - k] = sum_k' w[s, -k'] dv[t + k'],
// the same convolution with the taps in reverse order (48 - tap).
// Invocations and grid as in `gates`.
@compute @workgroup_size(16, 4)
fn backward_stats(
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3u,
) {
    let corner = group.xy * 16u;
    for (var i = 0u; i < 8u; i++) {
        let e = i * 64u + lane;
        let dv = dpre_at(group.z, corner.y + e / SIDE - 3u, corner.x + e % SIDE - 3u);
        if e < SIDE * SIDE {
            dtile[e] = dv;
        }
    }
    if lane < 49u {
        taps[48u - lane] = vec2f(w[lane], w[49u + lane]);
    }
    workgroupBarrier();
    var dmax = vec4f(0.0);
    var dmean = vec4f(0.0);
    for (var kx = 0u; kx < 7u; kx++) {
        var dv: array<f32, 10>;
        for (var i = 0u; i < 10u; i++) {
            dv[i] = dtile[(local.y * 4u + i) * SIDE + local.x + kx];
        }
        for (var ky = 0u; ky < 7u; ky++) {
            let of_pixels = vec4f(dv[ky], dv[ky + 1u], dv[ky + 2u], dv[ky + 3u]);
            dmax += taps[ky * 7u + kx].x * of_pixels;
            dmean += taps[ky * 7u + kx].y * of_pixels;
        }
    }
    let column = corner.x + local.x;
    for (var i = 0u; i < 4u; i++) {
        let row = corner.y + local.y * 4u + i;
        if row < p.h && column < p.w {
            let at = (group.z * 2u * p.h + row) * p.w + column;
            dstats[at] = dmax[i];
            dstats[at + p.h * p.w] = dmean[i];
        }
    }
}

@group(0) @binding(12) var<storage, read_write> sums: array<f32>; // (splits, 99): 98 weights, bias

// v[q] = b + sum_{s, k} w[s, k] stats[s, q + k], so
//   dw[s, k] = sum_{n, q} dv[n, q] stats[n, s, q + k],   db = sum_{n, q} dv[n, q].
// This kernel leaves sums over every `splits`-th 16 x 16 tile of pixels, `reduce_weight` adds them.
// One workgroup: one split; an invocation: one of the 98 weights or, the 99th, the bias. Grid: (splits) workgroups.
@compute @workgroup_size(128)
fn backward_weight(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let across = (p.w + 15u) / 16u;
    let tiles = across * ((p.h + 15u) / 16u);
    let channel = lane / 49u;
    let shift = lane % 49u / 7u * SIDE + lane % 7u;
    var total = 0.0;
    for (var t = group.x; t < p.n * tiles; t += p.splits) {
        let image = t / tiles;
        let corner = vec2u(t % tiles % across, t % tiles / across) * 16u;
        workgroupBarrier();
        for (var e = lane; e < SIDE * SIDE; e += 128u) {
            tile[e] = stats_at(image, corner.y + e / SIDE - 3u, corner.x + e % SIDE - 3u);
        }
        for (var e = lane; e < 256u; e += 128u) {
            dtile[e] = dpre_at(image, corner.y + e / 16u, corner.x + e % 16u);
        }
        workgroupBarrier();
        var sum = 0.0;
        if lane < 98u {
            for (var q = 0u; q < 256u; q++) {
                let s = tile[q / 16u * SIDE + q % 16u + shift];
                sum += dtile[q] * select(s.x, s.y, channel == 1u);
            }
        } else {
            for (var q = 0u; q < 256u; q++) {
                sum += dtile[q];
            }
        }
        total += sum;
    }
    if lane < 99u {
        sums[group.x * 99u + lane] = total;
    }
}

@group(0) @binding(13) var<storage, read> sums_in: array<f32>; // (splits, 99)
@group(0) @binding(14) var<storage, read_write> dw: array<f32>; // (1, 2, 7, 7)
@group(0) @binding(15) var<storage, read_write> db: array<f32>; // (1)

// Adds the splits of `backward_weight`, in an order that depends on their number alone. One workgroup: one weight or the
// bias. Grid: (99) workgroups.
@compute @workgroup_size(256)
fn reduce_weight(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    var sum = 0.0;
    for (var s = lane; s < p.splits; s += 256u) {
        sum += sums_in[s * 99u + group.x];
    }
    sum = tree_sum(lane, sum);
    if lane > 0u {
        return;
    }
    if group.x < 98u {
        dw[group.x] = sum;
    } else {
        db[0] = sum;
    }
}

@group(0) @binding(16) var<storage, read> dstats_in: array<f32>; // (N, 2, h, w)
@group(0) @binding(17) var<storage, read_write> argmax: array<u32>; // (N, 1, h, w): channel of the max
@group(0) @binding(18) var<storage, read_write> dr: array<f32>; // (N, F, h, w)

// The mean weighs a channel 1 / F, and the maximum is its first channel's: with z = r cgate,
//   dz[c, q] = dmean[q] / F + [c == argmax[q]] dmax[q],   dr[c, q] = dz[c, q] cgate[c].
// One invocation: one pixel. Leaves the argmax for `backward_cgate`.
@compute @workgroup_size(64)
fn backward_input(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 64u);
    let plane = p.h * p.w;
    if i >= p.n * plane {
        return;
    }
    let image = i / plane;
    let start = image * p.f * plane + i % plane;
    let gates = image * p.f;
    let at = image * 2u * plane + i % plane;
    let dmax = dstats_in[at];
    let dmean = dstats_in[at + plane] / f32(p.f);
    var top = LOWEST;
    var top_at = 0u;
    for (var first = 0u; first < p.f; first += BATCH) {
        var z: array<f32, BATCH>;
        for (var j = 0u; j < BATCH; j++) {
            let c = min(first + j, p.f - 1u);
            z[j] = f32(r[start + c * plane]) * cgate[gates + c];
        }
        for (var j = 0u; j < BATCH; j++) {
            if z[j] > top {
                top = z[j];
                top_at = first + j;
            }
            if first + j < p.f {
                dr[start + (first + j) * plane] = dmean * cgate[gates + first + j];
            }
        }
    }
    argmax[i] = top_at;
    dr[start + top_at * plane] = (dmean + dmax) * cgate[gates + top_at];
}

@group(0) @binding(19) var<storage, read> argmax_in: array<u32>; // (N, 1, h, w)
@group(0) @binding(20) var<storage, read_write> dcgate: array<f32>; // (N, F)

// z = r cgate uses a channel's gate at every pixel: dcgate[c] = sum_q dz[c, q] r[c, q], dz as in `backward_input`.
// One workgroup: one channel. Grid: (F, N) workgroups.
@compute @workgroup_size(256)
fn backward_cgate(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let plane = p.h * p.w;
    let start = (group.y * p.f + group.x) * plane;
    let at = group.y * 2u * plane;
    var sum = 0.0;
    for (var q = lane; q < plane; q += 256u) {
        var dz = dstats_in[at + plane + q] / f32(p.f);
        if argmax_in[group.y * plane + q] == group.x {
            dz += dstats_in[at + q];
        }
        sum += dz * f32(r[start + q]);
    }
    sum = tree_sum(lane, sum);
    if lane == 0u {
        dcgate[group.y * p.f + group.x] = sum;
    }
}
