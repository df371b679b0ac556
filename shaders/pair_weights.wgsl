// Weights of the pairs of 8-neighbours: d = squared distance of their features, scaled so that its least and greatest
// value over all pairs become 0 and 1; w = factor (exp(-bandwidth d) + floor), times another weight where there is one.
// `extremes`: a workgroup finds the least and the greatest of a share of pixels; `range`: one workgroup of all;
// `weights`: one invocation for a pixel's four pairs.

struct Params {
    h: u32,
    w: u32,
    parts: u32, // workgroups of `extremes`
    lanes: u32, // their invocations that take pixels side by side
    product: u32, // 1: times another weight
    bandwidth: f32,
    factor: f32,
    floor: f32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (3, h, w)
@group(0) @binding(3) var<storage, read_write> found: array<vec2f>; // (parts): least, greatest
@group(0) @binding(4) var<storage, read> found_in: array<vec2f>; // (parts)
@group(0) @binding(5) var<storage, read_write> scale: array<vec2f>; // (1): the least; 1 / (greatest - least)
@group(0) @binding(6) var<storage, read> scale_in: array<vec2f>; // (1)
@group(0) @binding(7) var<storage, read> other: array<f32>; // (4, h, w)
@group(0) @binding(8) var<storage, read_write> y: array<f32>; // (4, h, w)

// Larger than any distance.
const NONE = 3e38;

fn features(i: u32) -> vec3f {
    let plane = p.h * p.w;
    return vec3f(x[i], x[i + plane], x[i + 2u * plane]);
}

fn square(v: vec3f) -> f32 {
    return dot(v, v);
}

// Squared distances of a pixel and its neighbours right, below, right below, left below; NONE where one is outside.
fn distances_of(i: u32) -> vec4f {
    let row = quotient(i, p.w);
    let column = i - row * p.w;
    let right = select(0u, 1u, column + 1u < p.w);
    let left = select(0u, 1u, column > 0u);
    let below = i + select(0u, p.w, row + 1u < p.h);
    let here = features(i);
    let d = vec4f(
        square(features(i + right) - here), square(features(below) - here),
        square(features(below + right) - here), square(features(below - left) - here),
    );
    let is_inside = vec4<bool>(right == 1u, below > i, right == 1u && below > i, left == 1u && below > i);
    return select(vec4f(NONE), d, is_inside);
}

var<workgroup> both: array<vec2f, 256>;

// The least and the greatest of a workgroup.
fn extremes_of(lane: u32, v: vec2f) -> vec2f {
    both[lane] = v;
    workgroupBarrier();
    for (var width = 128u; width > 0u; width /= 2u) {
        if lane < width {
            let o = both[lane + width];
            both[lane] = vec2f(min(both[lane].x, o.x), max(both[lane].y, o.y));
        }
        workgroupBarrier();
    }
    return both[0];
}

@compute @workgroup_size(256)
fn extremes(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    var v = vec2f(NONE, -NONE);
    let steps = (p.h * p.w + p.parts * 256u - 1u) / (p.parts * 256u);
    let first = (group.x * 256u + lane / p.lanes * p.lanes) * steps;
    for (var i = first + lane % p.lanes; i < min(first + steps * p.lanes, p.h * p.w); i += p.lanes) {
        let d = distances_of(i);
        let greatest = select(d, vec4f(-NONE), d == vec4f(NONE));
        v.x = min(v.x, min(min(d.x, d.y), min(d.z, d.w)));
        v.y = max(v.y, max(max(greatest.x, greatest.y), max(greatest.z, greatest.w)));
    }
    v = extremes_of(lane, v);
    if lane == 0u {
        found[group.x] = v;
    }
}

@compute @workgroup_size(256)
fn range(@builtin(local_invocation_index) lane: u32) {
    var v = vec2f(NONE, -NONE);
    for (var i = lane; i < p.parts; i += 256u) {
        v = vec2f(min(v.x, found_in[i].x), max(v.y, found_in[i].y));
    }
    v = extremes_of(lane, v);
    if lane == 0u {
        // All equal: left as they are.
        scale[0] = vec2f(0.0, 1.0);
        if v.y > v.x {
            scale[0] = vec2f(v.x, 1.0 / (v.y - v.x));
        }
    }
}

@compute @workgroup_size(256)
fn weights(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.h * p.w {
        return;
    }
    let distances = distances_of(i);
    for (var pair = 0u; pair < 4u; pair++) {
        let at = pair * p.h * p.w + i;
        var weight = 0.0;
        if distances[pair] < NONE {
            weight = p.factor * (exp(-p.bandwidth * ((distances[pair] - scale_in[0].x) * scale_in[0].y)) + p.floor);
            if p.product == 1u {
                weight *= other[at];
            }
        }
        y[at] = weight;
    }
}
