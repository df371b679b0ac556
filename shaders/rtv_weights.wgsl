// The weights of relative total variation: s = half / max(mean over channels of |grad u|, eps) of a pixel,
// wx = s / max(mean over channels of |Dx B|, least), wy likewise; 0 where the pair's other end is outside.
// One invocation: one pixel.

struct Params {
    h: u32,
    w: u32,
    half: f32, // lambda / 2
    eps: f32,
    least: f32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> u: array<f32>; // (3, h, w)
@group(0) @binding(3) var<storage, read> blurred: array<f32>; // (3, h, w)
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // (2, h, w)

fn colour(i: u32) -> vec3f {
    let plane = p.h * p.w;
    return vec3f(u[i], u[i + plane], u[i + 2u * plane]);
}

fn blurred_colour(i: u32) -> vec3f {
    let plane = p.h * p.w;
    return vec3f(blurred[i], blurred[i + plane], blurred[i + 2u * plane]);
}

fn mean(v: vec3f) -> f32 {
    return (v.x + v.y + v.z) * (1.0 / 3.0);
}

@compute @workgroup_size(256)
fn weights(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.h * p.w {
        return;
    }
    // A neighbour outside is the pixel itself.
    let row = quotient(i, p.w);
    let right = select(i, i + 1u, i - row * p.w + 1u < p.w);
    let below = select(i, i + p.w, row + 1u < p.h);
    let dx = colour(right) - colour(i);
    let dy = colour(below) - colour(i);
    let sharp = p.half / max(mean(sqrt(dx * dx + dy * dy)), p.eps);
    let across = mean(abs(blurred_colour(right) - blurred_colour(i)));
    let down = mean(abs(blurred_colour(below) - blurred_colour(i)));
    y[i] = select(0.0, sharp / max(across, p.least), right != i);
    y[p.h * p.w + i] = select(0.0, sharp / max(down, p.least), below != i);
}
