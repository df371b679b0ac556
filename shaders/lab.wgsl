// R'G'B' (clipped to [0, 1]) to CIE L*a*b*, by BT.709's transfer function.
// One invocation: one pixel.

struct Params {
    plane: u32,
    len: u32, // pixels of all images
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (n, 3, plane)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (n, 3, plane)

// X, Y, Z of red, green and blue, each divided by white's.
const RED = vec3f(0.4339529869285495, 0.2126711213412183, 0.017757745516425887);
const GREEN = vec3f(0.37621897414872446, 0.7151592053107828, 0.10947701703656237);
const BLUE = vec3f(0.189827398607127, 0.07216877677613244, 0.8727654936649663);

@compute @workgroup_size(256)
fn lab(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let at = i + quotient(i, p.plane) * 2u * p.plane;
    let c = clamp(vec3f(x[at], x[at + p.plane], x[at + 2u * p.plane]), vec3f(0.0), vec3f(1.0));
    let curve = pow((c + 0.099) / 1.099, vec3f(1.0 / 0.45));
    let linear = select(curve, c / 4.5138, curve < vec3f(0.018));
    let t = linear.x * RED + linear.y * GREEN + linear.z * BLUE;
    let g = select(pow(t, vec3f(1.0 / 3.0)), t * (841.0 / 108.0) + 4.0 / 29.0, t < vec3f(0.008856));
    y[at] = 116.0 * g.y - 16.0;
    y[at + p.plane] = 500.0 * (g.x - g.y);
    y[at + 2u * p.plane] = 200.0 * (g.y - g.z);
}
