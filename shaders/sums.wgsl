// Put in front of the shaders that sum over all elements, behind common.wgsl. In `partial` each of p.parts workgroups sums a
// strided share, in `total` one workgroup adds the shares; both in a fixed order, by trees, so that two runs agree to the bit.

@group(0) @binding(43) var<storage, read_write> sums: array<f32>; // (parts)

// Adds up what the invocations of a workgroup of 256 have.
fn put_part(lane: u32, group: vec3u, own: f32) {
    let sum = tree_sum(lane, own);
    if lane == 0u {
        sums[group.x] = sum;
    }
}

@group(0) @binding(44) var<storage, read> sums_in: array<f32>; // (parts)

// Of a workgroup of 256.
fn sum_of_parts(lane: u32) -> f32 {
    var sum = 0.0;
    for (var i = lane; i < p.parts; i += 256u) {
        sum += sums_in[i];
    }
    return tree_sum(lane, sum);
}
