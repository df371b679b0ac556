// Weights of the pairs of 8-neighbours: d = squared distance of their features, scaled so that its least and greatest
// value over all pairs become 0 and 1; w = factor (exp(-bandwidth d) + floor), times another weight where there is one.
// `extremes`: a workgroup finds the least and the greatest of a strided share of pixels; `range`: one workgroup of all;
// `weights`: one invocation for a pixel's four pairs.

struct Params {
    h: u32,
    w: u32,
    parts: u32, // workgroups of `extremes`
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

// Squared distance of a pixel and its neighbour of kind `pair`, right, below, right below, left below; NONE where that
// is outside.
fn distance_of(i: u32, pair: u32) -> f32 {
    let here = quotient(i, p.w);
    let row = here + select(0u, 1u, pair > 0u);
    let column = i - here * p.w + select(0u, 1u, pair == 0u || pair == 2u) - select(0u, 1u, pair == 3u);
    // One left of the first column is a large number.
    if row >= p.h || column >= p.w {
        return NONE;
    }
    let plane = p.h * p.w;
    let j = row * p.w + column;
    let d = vec3f(x[i], x[i + plane], x[i + 2u * plane]) - vec3f(x[j], x[j + plane], x[j + 2u * plane]);
    return dot(d, d);
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
    for (var i = group.x * 256u + lane; i < p.h * p.w; i += p.parts * 256u) {
        for (var pair = 0u; pair < 4u; pair++) {
            let d = distance_of(i, pair);
            if d < NONE {
                v = vec2f(min(v.x, d), max(v.y, d));
            }
        }
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
    for (var pair = 0u; pair < 4u; pair++) {
        let d = distance_of(i, pair);
        let at = pair * p.h * p.w + i;
        var weight = 0.0;
        if d < NONE {
            weight = p.factor * (exp(-p.bandwidth * ((d - scale_in[0].x) * scale_in[0].y)) + p.floor);
            if p.product == 1u {
                weight *= other[at];
            }
        }
        y[at] = weight;
    }
}
