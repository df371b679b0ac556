// Norm of a gradient and the factor that clips it: norm = sqrt(sum g^2), factor = min(1, clip / (norm + 1e-6)).
// `partial`: one workgroup sums the squares of a strided share; `total`: one workgroup adds the shares. The order is
// fixed, so that two runs agree to the bit.

struct Params {
    len: u32,
    parts: u32, // workgroups of `partial`
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> grad: array<f32>; // (len)
@group(0) @binding(3) var<storage, read_write> sums: array<f32>; // (parts)

@compute @workgroup_size(256)
fn partial(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    var sum = 0.0;
    for (var i = group.x * 256u + lane; i < p.len; i += p.parts * 256u) {
        sum += grad[i] * grad[i];
    }
    sum = tree_sum(lane, sum);
    if lane == 0u {
        sums[group.x] = sum;
    }
}

@group(0) @binding(4) var<storage, read> sums_in: array<f32>; // (parts)
@group(0) @binding(5) var<storage, read_write> clip: array<f32>; // (2): norm, factor

@compute @workgroup_size(256)
fn total(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < p.parts; i += 256u) {
        sum += sums_in[i];
    }
    sum = tree_sum(lane, sum);
    if lane == 0u {
        let norm = sqrt(sum);
        clip[0] = norm;
        // Compared first: with clip = infinity nothing is divided. A norm that is not a number stays one in the factor.
        if norm + 1e-6 <= run.clip {
            clip[1] = 1.0;
        } else {
            clip[1] = run.clip / (norm + 1e-6);
        }
    }
}
