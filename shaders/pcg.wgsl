// Conjugate gradients for A u = f, (A u)_i = u_i + sum_j w_ij (u_i - u_j) over the pairs of neighbours, preconditioned by
// the diagonal; three channels, each with numbers of its own:
// q = A p, alpha = r.z / p.q, u += alpha p, r -= alpha q, z = r / diagonal, p = z + beta p, where beta, new r.z / old, is
// alpha^2 (q.q / diagonal) / old - 1, since p.q is z.q: so it is there before r is.
// Weights, r, p, q and the diagonal are stored by fours of pixels side by side, which begin at columns that 4 divides;
// beyond the picture's last column lies 0. A pair's weight is 0 where one of its pixels is outside: what is loaded for that
// one is any other pixel.
// `pack`: one invocation, one four. `start`, `multiply`, `update`: an invocation takes a share of the fours, and a
// workgroup adds up what its invocations have, in a fixed order. What all have each workgroup of the next kernel adds up
// for itself, and one alone in `settle`, for the next run, which begins with `resume`. Iterations after all channels are
// done have nothing to do, and change nothing.

struct Params {
    h: u32,
    w: u32,
    fours: u32, // of a row: w / 4, rounded up
    pairs: u32, // 2: right, below; 4: right below, left below, too
    parts: u32, // workgroups that sum
    from_part: u32, // of the sums: the first that is read
    to_part: u32, // the first that is written
    lanes: u32, // invocations of a workgroup that take fours side by side
    from_f: u32, // 1: u begins as f
    limit: f32, // least |r|^2 / |f|^2
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> pairs: array<f32>; // (pairs, h, w): weights, at the pair's upper or left pixel, 0 where it has no other
@group(0) @binding(3) var<storage, read> f: array<f32>; // (3, h, w)
@group(0) @binding(4) var<storage, read_write> u: array<f32>; // (3, h, w)
@group(0) @binding(5) var<storage, read_write> u4: array<Quad>; // (3, h, fours)
@group(0) @binding(6) var<storage, read_write> packed: array<Quad>; // (pairs, h, fours): the weights
@group(0) @binding(7) var<storage, read> weights: array<Quad>;
@group(0) @binding(8) var<storage, read> x: array<Quad>; // (3, h, fours): u, or the direction p
@group(0) @binding(9) var<storage, read_write> r: array<Quad>; // (3, h, fours)
@group(0) @binding(10) var<storage, read> r_in: array<Quad>;
@group(0) @binding(11) var<storage, read_write> d: array<Quad>; // (3, h, fours): the direction p
@group(0) @binding(12) var<storage, read_write> inverse: array<Quad>; // (h, fours): 1 / diagonal
@group(0) @binding(13) var<storage, read> inverse_in: array<Quad>;
@group(0) @binding(14) var<storage, read_write> q: array<Quad>; // (3, h, fours)
@group(0) @binding(15) var<storage, read> q_in: array<Quad>;
@group(0) @binding(16) var<storage, read_write> sums: array<f32>; // (3 parts, 3, 3): share, channel, sum. p.q, q.q / diagonal; twice r.z, r.r, least r.r
@group(0) @binding(17) var<storage, read_write> numbers: array<f32>; // (3, 3): channel; r.z, r.r, least r.r
@group(0) @binding(18) var<storage, read> numbers_in: array<f32>;
@group(0) @binding(19) var<storage, read_write> running: array<f32>; // (3): 1 until a channel is done

// Weights, r = f and x = u by fours; u = f where it begins so.
@compute @workgroup_size(256)
fn pack(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let j = linear_index(gid, groups, 256u);
    let n = p.h * p.fours;
    if j >= n {
        return;
    }
    let row = quotient(j, p.fours);
    let column = 4u * (j - row * p.fours);
    let inside = min(p.w - column, 4u);
    for (var pair = 0u; pair < p.pairs; pair++) {
        var v = vec4f();
        for (var k = 0u; k < inside; k++) {
            v[k] = pairs[(pair * p.h + row) * p.w + column + k];
        }
        packed[pair * n + j] = quad(v);
    }
    for (var c = 0u; c < 3u; c++) {
        var f4 = vec4f();
        var solution = vec4f();
        for (var k = 0u; k < inside; k++) {
            let i = (c * p.h + row) * p.w + column + k;
            f4[k] = f[i];
            if p.from_f == 1u {
                u[i] = f[i];
            }
            solution[k] = u[i];
        }
        r[c * n + j] = quad(f4);
        q[c * n + j] = quad(solution);
    }
}

// The four j, and its neighbours.
struct Place {
    j: u32,
    left: u32, // 1: there is a four to the left
    right: u32, // to the right
    above: u32, // that above, or j itself
    below: u32,
}

fn place(j: u32) -> Place {
    let row = quotient(j, p.fours);
    let column = j - row * p.fours;
    let left = select(0u, 1u, column > 0u);
    let right = select(0u, 1u, column + 1u < p.fours);
    return Place(j, left, right, j - select(0u, p.fours, row > 0u), j + select(0u, p.fours, row + 1u < p.h));
}

// A channel's values at four pixels, and at those left and right of each.
struct Line {
    left: vec4f,
    own: vec4f,
    right: vec4f,
}

// x of the four j of a plane, which is that of the place, or above or below it.
fn line(plane: u32, j: u32, at: Place) -> Line {
    let own = four(x[plane + j]);
    let left = four(x[plane + j - at.left]).w;
    let right = four(x[plane + j + at.right]).x;
    return Line(vec4f(left, own.xyz), own, vec4f(own.yzw, right));
}

// Weights of the pairs of four pixels, by where the other pixel is.
struct Weights {
    left: vec4f,
    right: vec4f,
    above: vec4f,
    below: vec4f,
    above_left: vec4f,
    above_right: vec4f,
    below_left: vec4f,
    below_right: vec4f,
}

fn weights_of(at: Place) -> Weights {
    let n = p.h * p.fours;
    let has_left = at.left == 1u;
    let has_right = at.right == 1u;
    let has_above = at.above < at.j;
    var w = Weights();
    w.right = four(weights[at.j]);
    w.left = vec4f(select(0.0, four(weights[at.j - at.left]).w, has_left), w.right.xyz);
    w.below = four(weights[n + at.j]);
    w.above = select(vec4f(), four(weights[n + at.above]), has_above);
    if p.pairs == 4u {
        let to_right = 2u * n + at.above;
        let to_left = 3u * n + at.above;
        w.below_right = four(weights[2u * n + at.j]);
        w.below_left = four(weights[3u * n + at.j]);
        let first = select(0.0, four(weights[to_right - at.left]).w, has_left);
        let last = select(0.0, four(weights[to_left + at.right]).x, has_right);
        w.above_left = select(vec4f(), vec4f(first, four(weights[to_right]).xyz), has_above);
        w.above_right = select(vec4f(), vec4f(four(weights[to_left]).yzw, last), has_above);
    }
    return w;
}

// 1 + the sum of the weights
fn diagonal(w: Weights) -> vec4f {
    let straight = w.left + w.right + w.above + w.below;
    return 1.0 + straight + (w.above_left + w.above_right + w.below_left + w.below_right);
}

// x and A x of a channel.
struct Product {
    x: vec4f,
    y: vec4f,
}

fn product(plane: u32, at: Place, w: Weights) -> Product {
    let here = line(plane, at.j, at);
    let above = line(plane, at.above, at);
    let below = line(plane, at.below, at);
    let x = here.own;
    var y = x + w.right * (x - here.right) + w.left * (x - here.left);
    y += w.below * (x - below.own) + w.above * (x - above.own);
    if p.pairs == 4u {
        y += w.below_left * (x - below.left) + w.below_right * (x - below.right);
        y += w.above_left * (x - above.left) + w.above_right * (x - above.right);
    }
    return Product(x, y);
}

// The fours that an invocation takes: every p.lanes-th from `first` to before `end`.
struct Share {
    first: u32,
    end: u32,
}

fn share(lane: u32, group: u32) -> Share {
    let n = p.h * p.fours;
    let steps = (n + p.parts * 256u - 1u) / (p.parts * 256u);
    let first = (group * 256u + lane / p.lanes * p.lanes) * steps;
    return Share(first + lane % p.lanes, min(first + steps * p.lanes, n));
}

const NUMBERS = 9u; // three sums of three channels
const SLICES = 28u; // that a workgroup has invocations for

var<workgroup> terms: array<f32, 2304>; // of 256 invocations
var<workgroup> slices: array<f32, 256>;
var<workgroup> added: array<f32, NUMBERS>;

// Adds up `count` slices of each number.
fn add_slices(lane: u32, count: u32, slice: f32) {
    slices[lane] = slice;
    workgroupBarrier();
    if lane < NUMBERS {
        var sum = 0.0;
        for (var i = 0u; i < count; i++) {
            sum += slices[i * NUMBERS + lane];
        }
        added[lane] = sum;
    }
    workgroupBarrier();
}

// Puts the sums of this workgroup where they belong.
fn put_sums(lane: u32, group: u32, red: vec3f, green: vec3f, blue: vec3f) {
    for (var i = 0u; i < 3u; i++) {
        terms[lane * NUMBERS + i] = red[i];
        terms[lane * NUMBERS + 3u + i] = green[i];
        terms[lane * NUMBERS + 6u + i] = blue[i];
    }
    workgroupBarrier();
    var slice = 0.0;
    if lane < 16u * NUMBERS {
        for (var i = lane / NUMBERS; i < 256u; i += 16u) {
            slice += terms[i * NUMBERS + lane % NUMBERS];
        }
    }
    add_slices(lane, 16u, slice);
    if lane < NUMBERS {
        sums[(p.to_part + group) * NUMBERS + lane] = added[lane];
    }
}

// Adds up the shares of all workgroups, which begin with share `first`.
fn add_shares(lane: u32, first: u32) {
    var slice = 0.0;
    if lane < SLICES * NUMBERS {
        for (var i = lane / NUMBERS; i < p.parts; i += SLICES) {
            slice += sums[(first + i) * NUMBERS + lane % NUMBERS];
        }
    }
    add_slices(lane, SLICES, slice);
}

fn channel_runs(c: u32) -> bool {
    return added[c * 3u + 1u] > added[c * 3u + 2u];
}

var<workgroup> runs: bool;

// Whether a channel is not done, once the residuals are added up.
fn any_runs(lane: u32) -> bool {
    if lane == 0u {
        runs = channel_runs(0u) || channel_runs(1u) || channel_runs(2u);
    }
    return workgroupUniformLoad(&runs);
}

// What `start` makes of a channel's four: sums r.z, r.r, least r.r.
fn start_of(at: u32, product: vec4f, inverse4: vec4f) -> vec3f {
    let f4 = four(r[at]);
    let residual = f4 - product;
    let z = residual * inverse4;
    r[at] = quad(residual);
    d[at] = quad(z);
    return vec3f(dot(residual, z), dot(residual, residual), p.limit * dot(f4, f4));
}

// r = f - A u, p = z
@compute @workgroup_size(256)
fn start(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let n = p.h * p.fours;
    var red = vec3f();
    var green = vec3f();
    var blue = vec3f();
    let range = share(lane, group.x);
    for (var j = range.first; j < range.end; j += p.lanes) {
        let at = place(j);
        let w = weights_of(at);
        let inverse4 = 1.0 / diagonal(w);
        inverse[j] = quad(inverse4);
        red += start_of(j, product(0u, at, w).y, inverse4);
        green += start_of(j + n, product(n, at, w).y, inverse4);
        blue += start_of(j + 2u * n, product(2u * n, at, w).y, inverse4);
    }
    put_sums(lane, group.x, red, green, blue);
}

// The shares that all workgroups would have left.
@compute @workgroup_size(256)
fn resume(@builtin(local_invocation_index) lane: u32) {
    for (var i = lane; i < p.parts * NUMBERS; i += 256u) {
        sums[p.to_part * NUMBERS + i] = select(0.0, numbers_in[min(i, NUMBERS - 1u)], i < NUMBERS);
    }
}

// Which channels are done, and the sums.
@compute @workgroup_size(256)
fn settle(@builtin(local_invocation_index) lane: u32) {
    add_shares(lane, p.from_part);
    if lane < NUMBERS {
        numbers[lane] = added[lane];
    }
    if lane < 3u {
        running[lane] = select(0.0, 1.0, channel_runs(lane));
    }
}

// q = A p of a channel's four; sums p.q, q.q / diagonal
fn multiplied(plane: u32, at: Place, w: Weights, inverse4: vec4f) -> vec2f {
    let v = product(plane, at, w);
    q[plane + at.j] = quad(v.y);
    return vec2f(dot(v.x, v.y), dot(v.y * v.y, inverse4));
}

// q = A p; sums p.q, q.q / diagonal
@compute @workgroup_size(256)
fn multiply(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    add_shares(lane, p.from_part);
    if !any_runs(lane) {
        return;
    }
    let n = p.h * p.fours;
    let range = share(lane, group.x);
    var red = vec2f();
    var green = vec2f();
    var blue = vec2f();
    for (var j = range.first; j < range.end; j += p.lanes) {
        let at = place(j);
        let w = weights_of(at);
        let inverse4 = 1.0 / diagonal(w);
        red += multiplied(0u, at, w, inverse4);
        green += multiplied(n, at, w, inverse4);
        blue += multiplied(2u * n, at, w, inverse4);
    }
    put_sums(lane, group.x, vec3f(red, 0.0), vec3f(green, 0.0), vec3f(blue, 0.0));
}

override WHOLE: bool = true; // 4 divides w: u is an array of fours

// u += change, of a channel's four.
fn add_to_u(c: u32, j: u32, change: vec4f) {
    if WHOLE {
        let at = c * p.h * p.fours + j;
        u4[at] = quad(four(u4[at]) + change);
        return;
    }
    let row = quotient(j, p.fours);
    let column = 4u * (j - row * p.fours);
    for (var k = 0u; k < min(p.w - column, 4u); k++) {
        u[(c * p.h + row) * p.w + column + k] += change[k];
    }
}

// What `update` makes of a channel's four.
struct Step {
    change: vec4f, // of u
    sums: vec3f, // r.z, r.r
}

fn step(at: u32, factors: vec2f, inverse4: vec4f) -> Step {
    let before = four(d[at]);
    let residual = four(r[at]) - factors.x * four(q_in[at]);
    let z = residual * inverse4;
    r[at] = quad(residual);
    d[at] = quad(z + factors.y * before);
    return Step(factors.x * before, vec3f(dot(residual, z), dot(residual, residual), 0.0));
}

// alpha and beta of a channel, 0 where it is done: r.z, r.r, least r.r; p.q, q.q / diagonal
fn factors(residuals: vec3f, products: vec2f) -> vec2f {
    let alpha = residuals.x / products.x;
    return select(vec2f(), vec2f(alpha, alpha * alpha * products.y / residuals.x - 1.0), residuals.y > residuals.z);
}

// u += alpha p, r -= alpha q, p = z + beta p; sums r.z, r.r
@compute @workgroup_size(256)
fn update(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    add_shares(lane, p.from_part);
    if !any_runs(lane) {
        if lane < NUMBERS {
            sums[(p.to_part + group.x) * NUMBERS + lane] = select(0.0, added[lane], group.x == 0u);
        }
        return;
    }
    let residuals0 = vec3f(added[0], added[1], added[2]);
    let residuals1 = vec3f(added[3], added[4], added[5]);
    let residuals2 = vec3f(added[6], added[7], added[8]);
    add_shares(lane, 0u);
    let factors0 = factors(residuals0, vec2f(added[0], added[1]));
    let factors1 = factors(residuals1, vec2f(added[3], added[4]));
    let factors2 = factors(residuals2, vec2f(added[6], added[7]));
    let n = p.h * p.fours;
    let range = share(lane, group.x);
    // Carries the least r.r along.
    let first = select(0.0, 1.0, group.x == 0u && lane == 0u);
    var red = vec3f(0.0, 0.0, first * residuals0.z);
    var green = vec3f(0.0, 0.0, first * residuals1.z);
    var blue = vec3f(0.0, 0.0, first * residuals2.z);
    for (var j = range.first; j < range.end; j += p.lanes) {
        let inverse4 = four(inverse_in[j]);
        let s0 = step(j, factors0, inverse4);
        let s1 = step(j + n, factors1, inverse4);
        let s2 = step(j + 2u * n, factors2, inverse4);
        add_to_u(0u, j, s0.change);
        add_to_u(1u, j, s1.change);
        add_to_u(2u, j, s2.change);
        red += s0.sums;
        green += s1.sums;
        blue += s2.sums;
    }
    put_sums(lane, group.x, red, green, blue);
}
