// The gates of both attentions applied: y[n, c, q] = r[n, c, q] cgate[n, c] sgate[n, q].

struct Params {
    n: u32,
    f: u32, // channels
    plane: u32, // h w
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> r: array<Act>; // (N, F, h, w)
@group(0) @binding(3) var<storage, read> cgate: array<f32>; // (N, F)
@group(0) @binding(4) var<storage, read> sgate: array<f32>; // (N, 1, h, w)
@group(0) @binding(5) var<storage, read_write> y: array<Act>; // (N, F, h, w)

// One invocation: one element.
@compute @workgroup_size(256)
fn gate(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.n * p.f * p.plane {
        return;
    }
    let channel = i / p.plane; // of all images
    y[i] = to_act(f32(r[i]) * cgate[channel] * sgate[channel / p.f * p.plane + i % p.plane]);
}

@group(0) @binding(6) var<storage, read> dy: array<f32>; // (N, F, h, w)
@group(0) @binding(7) var<storage, read_write> dr: array<f32>; // (N, F, h, w)
@group(0) @binding(8) var<storage, read_write> dsgate: array<f32>; // (N, 1, h, w)

// A product, so
//   dr[c, q] = dy[c, q] cgate[c] sgate[q],   dsgate[q] = sum_c dy[c, q] r[c, q] cgate[c].
// One invocation: one pixel.
@compute @workgroup_size(64)
fn backward_pixels(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 64u);
    if i >= p.n * p.plane {
        return;
    }
    let image = i / p.plane;
    let start = image * p.f * p.plane + i % p.plane;
    let s = sgate[i];
    var sum = 0.0;
    for (var c = 0u; c < p.f; c++) {
        let d = dy[start + c * p.plane] * cgate[image * p.f + c];
        sum += d * f32(r[start + c * p.plane]);
        dr[start + c * p.plane] = d * s;
    }
    dsgate[i] = sum;
}

@group(0) @binding(9) var<storage, read_write> dcgate: array<f32>; // (N, F)

// dcgate[c] = sum_q dy[c, q] r[c, q] sgate[q]. One workgroup: one channel. Grid: (F, N) workgroups.
@compute @workgroup_size(256)
fn backward_channels(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    let start = (group.y * p.f + group.x) * p.plane;
    var sum = 0.0;
    for (var q = lane; q < p.plane; q += 256u) {
        sum += dy[start + q] * f32(r[start + q]) * sgate[group.y * p.plane + q];
    }
    sum = tree_sum(lane, sum);
    if lane == 0u {
        dcgate[group.y * p.f + group.x] = sum;
    }
}
