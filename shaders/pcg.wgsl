// Conjugate gradients for A u = f, (A u)_i = u_i + sum_j w_ij (u_i - u_j) over the pairs of neighbours, preconditioned by
// the diagonal; three channels, each with numbers of its own:
// q = A p, alpha = r.z / p.q, u += alpha p, r -= alpha q, z = r / diagonal, beta = new r.z / old, p = z + beta p.
// r, p, q and the diagonal are stored by twos of pixels side by side, which begin at even columns; beyond the picture's
// last column of an odd number lies 0.
// `start`, `multiply`: an invocation goes down strips of two columns, a few rows each; `update`: it takes a strided share
// of the twos; a workgroup sums up what its invocations have. `begin`, `alpha`, `beta`: one workgroup adds the workgroups'
// sums, in a fixed order. `copy`, `direction`: one invocation, one two. Iterations after all channels are done have
// nothing to do, and change nothing.

struct Params {
    h: u32,
    w: u32,
    twos: u32, // of a row: w / 2, rounded up
    rows: u32, // of a strip
    pairs: u32, // 2: right, below; 4: right below, left below, too
    parts: u32, // workgroups that sum
    limit: f32, // least |r|^2 / |f|^2
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> weights: array<f32>; // (pairs, h, w), at the pair's upper or left pixel, 0 where it has no other
@group(0) @binding(3) var<storage, read> f: array<f32>; // (3, h, w)
@group(0) @binding(4) var<storage, read> x: array<Pair>; // (3, h, twos): u, or the direction p
@group(0) @binding(5) var<storage, read_write> r: array<Pair>; // (3, h, twos)
@group(0) @binding(6) var<storage, read_write> d: array<Pair>; // (3, h, twos): the direction p
@group(0) @binding(7) var<storage, read_write> inverse: array<Pair>; // (h, twos): 1 / diagonal
@group(0) @binding(8) var<storage, read_write> sums: array<f32>; // (3, parts, 3): sum, share, channel
@group(0) @binding(9) var<storage, read> sums_in: array<f32>;
@group(0) @binding(10) var<storage, read_write> numbers: array<f32>; // (4, 3): r.z, alpha, beta, least |r|^2; channel
@group(0) @binding(11) var<storage, read> numbers_in: array<f32>;
@group(0) @binding(12) var<storage, read_write> running: array<f32>; // (3): 1 until a channel is done
@group(0) @binding(13) var<storage, read_write> u: array<f32>; // (3, h, w)
@group(0) @binding(14) var<storage, read_write> q: array<Pair>; // (3, h, twos)
@group(0) @binding(15) var<storage, read> q_in: array<Pair>;
@group(0) @binding(16) var<storage, read> inverse_in: array<Pair>; // (h, twos)
@group(0) @binding(17) var<storage, read> r_in: array<Pair>;
@group(0) @binding(18) var<storage, read> running_in: array<f32>;

fn done() -> bool {
    return running_in[0] + running_in[1] + running_in[2] == 0.0;
}

// x of two pixels a and b, and of those left and right of them.
struct Row {
    left: vec3f,
    a: vec3f,
    b: vec3f,
    right: vec3f,
}

// A pair of columns, some rows long, from above to below.
struct Strip {
    row: u32,
    end: u32,
    i: u32, // pixel a
    j: u32, // the two
    has_left: bool,
    has_b: bool,
    has_right: bool,
    above: Row,
    here: Row,
    up: vec4f, // weights of pairs that end here: below of a and b, right below of a, left below of b
}

// The row around the two j.
fn row_of(s: Strip, j: u32) -> Row {
    let n = p.h * p.twos;
    let red = two(x[j]);
    let green = two(x[j + n]);
    let blue = two(x[j + 2u * n]);
    var row = Row(vec3f(), vec3f(red.x, green.x, blue.x), vec3f(red.y, green.y, blue.y), vec3f());
    if s.has_left {
        row.left = vec3f(two(x[j - 1u]).y, two(x[j + n - 1u]).y, two(x[j + 2u * n - 1u]).y);
    }
    if s.has_right {
        row.right = vec3f(two(x[j + 1u]).x, two(x[j + n + 1u]).x, two(x[j + 2u * n + 1u]).x);
    }
    return row;
}

// Weights of the pairs that go down from a and b: below of both, right below of a, left below of b.
fn down_of(i: u32) -> vec4f {
    let plane = p.h * p.w;
    var down = vec4f(weights[plane + i], weights[plane + i + 1u], 0.0, 0.0);
    if p.pairs == 4u {
        down = vec4f(down.xy, weights[2u * plane + i], weights[3u * plane + i + 1u]);
    }
    return down;
}

fn strips() -> u32 {
    return p.twos * ((p.h + p.rows - 1u) / p.rows);
}

fn strip_of(index: u32) -> Strip {
    let number = quotient(index, p.twos);
    let column = 2u * (index - number * p.twos);
    let row = number * p.rows;
    var s = Strip();
    s.row = row;
    s.end = min(row + p.rows, p.h);
    s.i = row * p.w + column;
    s.j = row * p.twos + column / 2u;
    s.has_left = column > 0u;
    s.has_b = column + 1u < p.w;
    s.has_right = column + 2u < p.w;
    s.here = row_of(s, s.j);
    if row > 0u {
        s.above = row_of(s, s.j - p.twos);
        s.up = down_of(s.i - p.w);
    }
    return s;
}

// A x and the diagonal at two pixels.
struct Product {
    a: vec3f,
    b: vec3f,
    diagonal: vec2f,
}

// The product at the strip's next row.
fn product(strip: ptr<function, Strip>) -> Product {
    let s = *strip;
    let plane = p.h * p.w;
    var below = Row();
    if s.row + 1u < p.h {
        below = row_of(s, s.j + p.twos);
    }
    let here = s.here;
    let down = down_of(s.i);
    let right = vec2f(weights[s.i], weights[s.i + 1u]); // of a, of b
    var left = 0.0; // of a
    if s.has_left {
        left = weights[s.i - 1u];
    }
    var y = Product();
    y.a = here.a + right.x * (here.a - here.b) + left * (here.a - here.left);
    y.a += down.x * (here.a - below.a) + s.up.x * (here.a - s.above.a);
    y.b = here.b + right.y * (here.b - here.right) + right.x * (here.b - here.a);
    y.b += down.y * (here.b - below.b) + s.up.y * (here.b - s.above.b);
    y.diagonal = 1.0 + right + vec2f(left, right.x) + down.xy + s.up.xy;
    if p.pairs == 4u {
        // Of a left below and left above, of b right below and right above.
        let down_left = weights[3u * plane + s.i];
        let down_right = weights[2u * plane + s.i + 1u];
        var up_left = 0.0;
        var up_right = 0.0;
        if s.row > 0u && s.has_left {
            up_left = weights[2u * plane + s.i - p.w - 1u];
        }
        if s.row > 0u && s.has_right {
            up_right = weights[3u * plane + s.i - p.w + 2u];
        }
        y.a += down.z * (here.a - below.b) + up_left * (here.a - s.above.left);
        y.a += down_left * (here.a - below.left) + s.up.w * (here.a - s.above.b);
        y.b += down_right * (here.b - below.right) + s.up.z * (here.b - s.above.a);
        y.b += down.w * (here.b - below.a) + up_right * (here.b - s.above.right);
        y.diagonal += vec2f(down.z + up_left + down_left + s.up.w, down_right + s.up.z + down.w + up_right);
    }
    if !s.has_b {
        y.b = vec3f();
    }
    (*strip).row += 1u;
    (*strip).i += p.w;
    (*strip).j += p.twos;
    (*strip).above = here;
    (*strip).here = below;
    (*strip).up = down;
    return y;
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

// The pixel a of a two, and whether b is in the picture.
struct Place {
    i: u32,
    has_b: bool,
}

fn place(j: u32) -> Place {
    let row = quotient(j, p.twos);
    let column = 2u * (j - row * p.twos);
    return Place(row * p.w + column, column + 1u < p.w);
}

// q = f, by twos
@compute @workgroup_size(256)
fn copy(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let j = linear_index(gid, groups, 256u);
    let n = p.h * p.twos;
    if j >= n {
        return;
    }
    let to = place(j);
    for (var c = 0u; c < 3u; c++) {
        let at = c * p.h * p.w + to.i;
        var b = 0.0;
        if to.has_b {
            b = f[at + 1u];
        }
        q[c * n + j] = pair(vec2f(f[at], b));
    }
}

fn f3(i: u32) -> vec3f {
    let plane = p.h * p.w;
    return vec3f(f[i], f[i + plane], f[i + 2u * plane]);
}

// u = x, r = f - A u, p = z; sums r.z, r.r, f.f
@compute @workgroup_size(256)
fn start(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let plane = p.h * p.w;
    let n = p.h * p.twos;
    var rz = vec3f();
    var rr = vec3f();
    var ff = vec3f();
    for (var index = group.x * 256u + lane; index < strips(); index += p.parts * 256u) {
        var strip = strip_of(index);
        while strip.row < strip.end {
            let i = strip.i;
            let j = strip.j;
            let own = strip.here;
            let y = product(&strip);
            let fa = f3(i);
            var fb = vec3f();
            if strip.has_b {
                fb = f3(i + 1u);
            }
            let inverse2 = 1.0 / y.diagonal;
            inverse[j] = pair(inverse2);
            for (var c = 0u; c < 3u; c++) {
                let residual = vec2f(fa[c] - y.a[c], fb[c] - y.b[c]);
                let z = residual * inverse2;
                r[c * n + j] = pair(residual);
                d[c * n + j] = pair(z);
                u[c * plane + i] = own.a[c];
                if strip.has_b {
                    u[c * plane + i + 1u] = own.b[c];
                }
                rz[c] += dot(residual, z);
                rr[c] += dot(residual, residual);
            }
            ff += fa * fa + fb * fb;
        }
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
    let n = p.h * p.twos;
    var pq = vec3f();
    for (var index = group.x * 256u + lane; index < strips(); index += p.parts * 256u) {
        var strip = strip_of(index);
        while strip.row < strip.end {
            let j = strip.j;
            let own = strip.here;
            let y = product(&strip);
            pq += own.a * y.a + own.b * y.b;
            q[j] = pair(vec2f(y.a.x, y.b.x));
            q[j + n] = pair(vec2f(y.a.y, y.b.y));
            q[j + 2u * n] = pair(vec2f(y.a.z, y.b.z));
        }
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

// r -= alpha q; sums r.z, r.r
@compute @workgroup_size(256)
fn update(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    if done() {
        return;
    }
    let n = p.h * p.twos;
    var rz = vec3f();
    var rr = vec3f();
    for (var j = group.x * 256u + lane; j < n; j += p.parts * 256u) {
        let inverse2 = two(inverse_in[j]);
        for (var c = 0u; c < 3u; c++) {
            let at = c * n + j;
            let v = two(r[at]) - numbers_in[3u + c] * two(q_in[at]);
            r[at] = pair(v);
            rz[c] += dot(v * v, inverse2);
            rr[c] += dot(v, v);
        }
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

// u += alpha p, p = z + beta p. Here and not where r is updated, since p is read and written anyway. Channels that were
// done before have alpha 0.
@compute @workgroup_size(256)
fn direction(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let j = linear_index(gid, groups, 256u);
    let n = p.h * p.twos;
    if j >= n || all(vec3f(numbers_in[3], numbers_in[4], numbers_in[5]) == vec3f()) {
        return;
    }
    let to = place(j);
    let inverse2 = two(inverse_in[j]);
    for (var c = 0u; c < 3u; c++) {
        let at = c * n + j;
        let before = two(d[at]);
        let change = numbers_in[3u + c] * before;
        let i = c * p.h * p.w + to.i;
        u[i] += change.x;
        if to.has_b {
            u[i + 1u] += change.y;
        }
        d[at] = pair(inverse2 * two(r_in[at]) + numbers_in[6u + c] * before);
    }
}
