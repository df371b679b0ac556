// Put in front of the shaders that multiply matrices, behind common.wgsl: a workgroup of 256 makes 64 x 64 of a product, an
// invocation 4 x 4; DEPTH of what is summed over lie in workgroup memory at a time, which the kernels fill.

const DEPTH = 16u;

var<workgroup> left: array<vec4f, 256>; // [k][row / 4]
var<workgroup> right: array<vec4f, 256>; // [k][column / 4]
var<private> sums: array<vec4f, 4>; // [row], 4 columns each

// Adds the product of what is staged.
fn multiply(lane: u32) {
    workgroupBarrier();
    for (var k = 0u; k < DEPTH; k++) {
        let l = left[16u * k + lane / 16u];
        let r = right[16u * k + lane % 16u];
        sums[0] = fma(vec4f(l.x), r, sums[0]);
        sums[1] = fma(vec4f(l.y), r, sums[1]);
        sums[2] = fma(vec4f(l.z), r, sums[2]);
        sums[3] = fma(vec4f(l.w), r, sums[3]);
    }
    workgroupBarrier();
}
