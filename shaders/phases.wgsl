// The pictures of every d-th pixel: y[(n d + a) d + b, c, i, j] = x[n, c, i d + a, j d + b], 0 beyond x; and back. Each is the
// gradient of the other.

struct Params {
    n: u32,
    c: u32,
    h: u32, // rows of x
    w: u32, // columns of x
    d: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<Act>; // (n, c, h, w)
@group(0) @binding(3) var<storage, read_write> y: array<Act>; // (n d d, c, ceil(h / d), ceil(w / d))

// One invocation: one element of y.
@compute @workgroup_size(256)
fn split(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    let yh = (p.h + p.d - 1u) / p.d;
    let yw = (p.w + p.d - 1u) / p.d;
    let plane = i / (yh * yw);
    let image = plane / p.c;
    let n = image / (p.d * p.d);
    if n >= p.n {
        return;
    }
    let row = i / yw % yh * p.d + image / p.d % p.d;
    let column = i % yw * p.d + image % p.d;
    if row >= p.h || column >= p.w {
        y[i] = Act(0.0);
        return;
    }
    y[i] = x[((n * p.c + plane % p.c) * p.h + row) * p.w + column];
}

@group(0) @binding(4) var<storage, read> y_in: array<Act>;
@group(0) @binding(5) var<storage, read_write> dx: array<Act>; // (n, c, h, w)

// One invocation: one element of x.
@compute @workgroup_size(256)
fn join(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    let plane = i / (p.h * p.w);
    let n = plane / p.c;
    if n >= p.n {
        return;
    }
    let yh = (p.h + p.d - 1u) / p.d;
    let yw = (p.w + p.d - 1u) / p.d;
    let row = i / p.w % p.h;
    let column = i % p.w;
    let image = (n * p.d + row % p.d) * p.d + column % p.d;
    dx[i] = y_in[((image * p.c + plane % p.c) * yh + row / p.d) * yw + column / p.d];
}
