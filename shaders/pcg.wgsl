// Conjugate gradients for A u = f, (A u)_i = u_i + sum_j w_ij (u_i - u_j) over the pairs of neighbours, preconditioned by
// the diagonal; three channels, each with numbers of its own:
// q = A p, alpha = r.z / p.q, u += alpha p, r -= alpha q, z = r / diagonal, beta = new r.z / old, p = z + beta p.
// `start`, `multiply`, `update`: a workgroup takes a strided share of the pixels and sums it up; `begin`, `alpha`, `beta`:
// one workgroup adds the shares, in a fixed order; `copy`: one invocation, one value; `direction`: one pixel. Iterations
// after all channels are done have nothing to do, and change nothing.

struct Params {
    h: u32,
    w: u32,
    pairs: u32, // 2: right, below; 4: right below, left below, too
    parts: u32, // workgroups that sum
    limit: f32, // least |r|^2 / |f|^2
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> weights: array<f32>; // (pairs, h, w), at the pair's upper or left pixel
@group(0) @binding(3) var<storage, read> f: array<f32>; // (3, h, w)
@group(0) @binding(4) var<storage, read> x: array<f32>; // (3, h, w): u, or the direction p
@group(0) @binding(5) var<storage, read_write> r: array<f32>; // (3, h, w)
@group(0) @binding(6) var<storage, read_write> d: array<f32>; // (3, h, w): the direction p
@group(0) @binding(7) var<storage, read_write> inverse: array<f32>; // (h, w): 1 / diagonal
@group(0) @binding(8) var<storage, read_write> sums: array<f32>; // (3, parts, 3): sum, share, channel
@group(0) @binding(9) var<storage, read> sums_in: array<f32>;
@group(0) @binding(10) var<storage, read_write> numbers: array<f32>; // (4, 3): r.z, alpha, beta, least |r|^2; channel
@group(0) @binding(11) var<storage, read> numbers_in: array<f32>;
@group(0) @binding(12) var<storage, read_write> running: array<f32>; // (3): 1 until a channel is done
@group(0) @binding(13) var<storage, read_write> u: array<f32>; // (3, h, w)
@group(0) @binding(14) var<storage, read_write> q: array<f32>; // (3, h, w)
@group(0) @binding(15) var<storage, read> q_in: array<f32>;
@group(0) @binding(16) var<storage, read> inverse_in: array<f32>; // (h, w)
@group(0) @binding(17) var<storage, read> r_in: array<f32>;
@group(0) @binding(18) var<storage, read> running_in: array<f32>;

fn done() -> bool {
    return running_in[0] + running_in[1] + running_in[2] == 0.0;
}

fn x3(i: u32) -> vec3f {
    let plane = p.h * p.w;
    return vec3f(x[i], x[i + plane], x[i + 2u * plane]);
}

// One pair's part of A x and of the diagonal.
struct Sum {
    x: vec3f,
    diagonal: f32,
}

fn with_pair(sum: Sum, here: vec3f, other: u32, weight: f32) -> Sum {
    return Sum(sum.x + weight * (here - x3(other)), sum.diagonal + weight);
}

// A x at a pixel, and the diagonal.
fn product(i: u32) -> Sum {
    let plane = p.h * p.w;
    let row = quotient(i, p.w);
    let column = i - row * p.w;
    let here = x3(i);
    let left = column > 0u;
    let right = column + 1u < p.w;
    let up = row > 0u;
    let down = row + 1u < p.h;
    var sum = Sum(here, 1.0);
    if right { sum = with_pair(sum, here, i + 1u, weights[i]); }
    if left { sum = with_pair(sum, here, i - 1u, weights[i - 1u]); }
    if down { sum = with_pair(sum, here, i + p.w, weights[plane + i]); }
    if up { sum = with_pair(sum, here, i - p.w, weights[plane + i - p.w]); }
    if p.pairs == 4u {
        if down && right { sum = with_pair(sum, here, i + p.w + 1u, weights[2u * plane + i]); }
        if up && left { sum = with_pair(sum, here, i - p.w - 1u, weights[2u * plane + i - p.w - 1u]); }
        if down && left { sum = with_pair(sum, here, i + p.w - 1u, weights[3u * plane + i]); }
        if up && right { sum = with_pair(sum, here, i - p.w + 1u, weights[3u * plane + i - p.w + 1u]); }
    }
    return sum;
}

var<workgroup> tree3: array<vec3f, 256>;

// As tree_sum, of three channels.
fn tree_sum3(lane: u32, value: vec3f) -> vec3f {
    workgroupBarrier(); // an earlier call's result has been read
    tree3[lane] = value;
    workgroupBarrier();
    for (var width = 128u; width > 0u; width /= 2u) {
        if lane < width {
            tree3[lane] += tree3[lane + width];
        }
        workgroupBarrier();
    }
    return tree3[0];
}

// Puts sum number n of this workgroup's share where it belongs.
fn put_sum(lane: u32, group: u32, n: u32, value: vec3f) {
    let sum = tree_sum3(lane, value);
    if lane < 3u {
        sums[(n * p.parts + group) * 3u + lane] = sum[lane];
    }
}

// Sum number n of all shares.
fn total(lane: u32, n: u32) -> vec3f {
    var sum = vec3f();
    for (var i = lane; i < p.parts; i += 256u) {
        let at = (n * p.parts + i) * 3u;
        sum += vec3f(sums_in[at], sums_in[at + 1u], sums_in[at + 2u]);
    }
    return tree_sum3(lane, sum);
}

@compute @workgroup_size(256)
fn copy(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i < 3u * p.h * p.w {
        u[i] = f[i];
    }
}

// r = f - A u, p = z; sums r.z, r.r, f.f
@compute @workgroup_size(256)
fn start(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let plane = p.h * p.w;
    var rz = vec3f();
    var rr = vec3f();
    var ff = vec3f();
    for (var i = group.x * 256u + lane; i < plane; i += p.parts * 256u) {
        let sum = product(i);
        let f3 = vec3f(f[i], f[i + plane], f[i + 2u * plane]);
        let residual = f3 - sum.x;
        let z = residual / sum.diagonal;
        inverse[i] = 1.0 / sum.diagonal;
        for (var c = 0u; c < 3u; c++) {
            r[c * plane + i] = residual[c];
            d[c * plane + i] = z[c];
        }
        rz += residual * z;
        rr += residual * residual;
        ff += f3 * f3;
    }
    put_sum(lane, group.x, 0u, rz);
    put_sum(lane, group.x, 1u, rr);
    put_sum(lane, group.x, 2u, ff);
}

@compute @workgroup_size(256)
fn begin(@builtin(local_invocation_index) lane: u32) {
    let rz = total(lane, 0u);
    let rr = total(lane, 1u);
    let ff = total(lane, 2u);
    if lane < 3u {
        let limit = p.limit * ff[lane];
        numbers[lane] = rz[lane];
        numbers[3u + lane] = 0.0;
        numbers[6u + lane] = 0.0;
        numbers[9u + lane] = limit;
        running[lane] = select(1.0, 0.0, rr[lane] <= limit);
    }
}

// q = A p; sums p.q
@compute @workgroup_size(256)
fn multiply(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    if done() {
        return;
    }
    let plane = p.h * p.w;
    var pq = vec3f();
    for (var i = group.x * 256u + lane; i < plane; i += p.parts * 256u) {
        let v = product(i).x;
        pq += x3(i) * v; // before q is written, which may be x as far as a compiler knows
        q[i] = v.x;
        q[i + plane] = v.y;
        q[i + 2u * plane] = v.z;
    }
    put_sum(lane, group.x, 0u, pq);
}

@compute @workgroup_size(256)
fn alpha(@builtin(local_invocation_index) lane: u32) {
    let pq = total(lane, 0u);
    if lane < 3u {
        numbers[3u + lane] = 0.0;
        if running[lane] != 0.0 {
            numbers[3u + lane] = numbers[lane] / pq[lane];
        }
    }
}

// u += alpha p, r -= alpha q; sums r.z, r.r
@compute @workgroup_size(256)
fn update(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    if done() {
        return;
    }
    let plane = p.h * p.w;
    var rz = vec3f();
    var rr = vec3f();
    for (var i = group.x * 256u + lane; i < plane; i += p.parts * 256u) {
        var residual: vec3f;
        for (var c = 0u; c < 3u; c++) {
            let at = c * plane + i;
            let step = numbers_in[3u + c];
            u[at] += step * x[at];
            let v = r[at] - step * q_in[at];
            r[at] = v;
            residual[c] = v;
        }
        rz += residual * residual * inverse_in[i];
        rr += residual * residual;
    }
    put_sum(lane, group.x, 0u, rz);
    put_sum(lane, group.x, 1u, rr);
}

@compute @workgroup_size(256)
fn beta(@builtin(local_invocation_index) lane: u32) {
    let rz = total(lane, 0u);
    let rr = total(lane, 1u);
    if lane < 3u {
        numbers[6u + lane] = 0.0;
        if running[lane] != 0.0 {
            numbers[6u + lane] = rz[lane] / numbers[lane];
            running[lane] = select(1.0, 0.0, rr[lane] <= numbers[9u + lane]);
        }
        numbers[lane] = rz[lane];
    }
}

// p = z + beta p
@compute @workgroup_size(256)
fn direction(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    let plane = p.h * p.w;
    if i >= plane || done() {
        return;
    }
    let inverse = inverse_in[i];
    for (var c = 0u; c < 3u; c++) {
        let at = c * plane + i;
        d[at] = inverse * r_in[at] + numbers_in[6u + c] * d[at];
    }
}
