// Norm of a gradient and the factor that clips it: norm = sqrt(sum g^2), factor = min(1, clip / (norm + 1e-6)).

struct Params {
    len: u32,
    parts: u32, // workgroups of `partial`
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> grad: array<f32>; // (len)

@compute @workgroup_size(256)
fn partial(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
    var sum = 0.0;
    for (var i = group.x * 256u + lane; i < p.len; i += p.parts * 256u) {
        sum += grad[i] * grad[i];
    }
    put_part(lane, group, sum);
}

@group(0) @binding(5) var<storage, read_write> clip: array<f32>; // (2): norm, factor

@compute @workgroup_size(256)
fn total(@builtin(local_invocation_index) lane: u32) {
    let sum = sum_of_parts(lane);
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
