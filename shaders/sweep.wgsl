// A recurrent sweep down (or up) the columns: y_t = (1 - g_t) x_t + g_t y_(t-1), y_(-1) = 0. One invocation: one column of one
// channel; neighbours read neighbouring pixels.

struct Params {
    h: u32,
    w: u32,
    lines: u32, // N C w
    up: u32, // 1: from the last row to the first
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (N, C, h, w)
@group(0) @binding(3) var<storage, read> g: array<f32>; // (N, C, h, w)
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // (N, C, h, w)

// Place of step t of a line.
fn place(line: u32, t: u32) -> u32 {
    return (line / p.w * p.h + select(t, p.h - 1u - t, p.up == 1u)) * p.w + line % p.w;
}

@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let line = linear_index(gid, groups, 256u);
    if line >= p.lines {
        return;
    }
    var last = 0.0;
    for (var t = 0u; t < p.h; t++) {
        let i = place(line, t);
        last = (1.0 - g[i]) * x[i] + g[i] * last;
        y[i] = last;
    }
}

@group(0) @binding(5) var<storage, read> y_in: array<f32>; // (N, C, h, w)
@group(0) @binding(6) var<storage, read> dy: array<f32>; // (N, C, h, w)
@group(0) @binding(7) var<storage, read_write> dx: array<f32>; // (N, C, h, w)
@group(0) @binding(8) var<storage, read_write> dg: array<f32>; // (N, C, h, w)

// y_t goes into the loss itself and through y_(t+1), of which it has the share g_(t+1): with a_t its whole gradient,
//   a_t = dy_t + g_(t+1) a_(t+1),  dx_t = (1 - g_t) a_t,  dg_t = a_t (y_(t-1) - x_t).
// Against the sweep. One invocation: one column of one channel.
@compute @workgroup_size(256)
fn backward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let line = linear_index(gid, groups, 256u);
    if line >= p.lines {
        return;
    }
    var carried = 0.0; // g_(t+1) a_(t+1)
    for (var k = 0u; k < p.h; k++) {
        let t = p.h - 1u - k;
        let i = place(line, t);
        var before = 0.0;
        if t > 0u {
            before = y_in[place(line, t - 1u)];
        }
        let a = dy[i] + carried;
        dx[i] = (1.0 - g[i]) * a;
        dg[i] = a * (before - x[i]);
        carried = g[i] * a;
    }
}
