// One step of Adam, in place, with g = factor * grad from the clipping:
//   m = beta1 m + (1 - beta1) g
//   v = beta2 v + (1 - beta2) g^2
//   w = w - lr * (m / c1) / (sqrt(v / c2) + eps),  c1 = 1 - beta1^step, c2 = 1 - beta2^step.
// One invocation: one weight.

struct Params {
    first: u32, // weights from here
    end: u32, // to here
    beta1: f32,
    rest1: f32, // 1 - beta1, rounded once: in f32 1 - 0.999 would be off by 1e-5
    beta2: f32,
    rest2: f32,
    eps: f32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> grad: array<f32>; // (len)
@group(0) @binding(3) var<storage, read> clip: array<f32>; // (2): norm, factor
@group(0) @binding(4) var<storage, read_write> w: array<f32>; // (len)
@group(0) @binding(5) var<storage, read_write> m: array<f32>; // (len)
@group(0) @binding(6) var<storage, read_write> v: array<f32>; // (len)

@compute @workgroup_size(256)
fn adam(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = p.first + linear_index(gid, groups, 256u);
    if i >= p.end {
        return;
    }
    let g = grad[i] * clip[1];
    let m1 = p.beta1 * m[i] + p.rest1 * g;
    let v1 = p.beta2 * v[i] + p.rest2 * g * g;
    m[i] = m1;
    v[i] = v1;
    w[i] -= run.learning_rate * (m1 / run.correction1) / (sqrt(v1 / run.correction2) + p.eps);
}
