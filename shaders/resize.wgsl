// Enlarges a map s times, bilinear: sample j of the result lies at j / s of the map; beyond the map there is 0.

struct Params {
    h: u32, // rows of x
    w: u32, // columns of x
    planes: u32, // N C
    s: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (planes, h, w)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (planes, s h, s w)

fn x_at(plane: u32, i: u32, j: u32) -> f32 {
    if i >= p.h || j >= p.w {
        return 0.0;
    }
    return x[(plane * p.h + i) * p.w + j];
}

// One invocation: one element of y.
@compute @workgroup_size(256)
fn forward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let at = linear_index(gid, groups, 256u);
    let height = p.s * p.h;
    let width = p.s * p.w;
    let plane = at / (height * width);
    if plane >= p.planes {
        return;
    }
    let row = at / width % height;
    let column = at % width;
    let i = row / p.s;
    let j = column / p.s;
    let a = f32(row % p.s) / f32(p.s);
    let b = f32(column % p.s) / f32(p.s);
    let above = (1.0 - b) * x_at(plane, i, j) + b * x_at(plane, i, j + 1u);
    let below = (1.0 - b) * x_at(plane, i + 1u, j) + b * x_at(plane, i + 1u, j + 1u);
    y[at] = (1.0 - a) * above + a * below;
}

@group(0) @binding(4) var<storage, read> dy: array<f32>; // (planes, s h, s w)
@group(0) @binding(5) var<storage, read_write> dx: array<f32>; // (planes, h, w)

// x[i] has in y[s i + d] the share 1 - |d| / s, |d| < s, in each direction; s i + d is never behind y's last:
//   dx[i, j] = sum_{d, e} (1 - |d| / s) (1 - |e| / s) dy[s i + d, s j + e].
// One invocation: one element of dx.
@compute @workgroup_size(256)
fn backward(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let at = linear_index(gid, groups, 256u);
    let plane = at / (p.h * p.w);
    if plane >= p.planes {
        return;
    }
    let s = i32(p.s);
    let height = s * i32(p.h);
    let width = s * i32(p.w);
    let row = s * i32(at / p.w % p.h);
    let column = s * i32(at % p.w);
    var sum = 0.0;
    for (var d = max(1 - s, -row); d < s; d++) {
        var along = 0.0;
        for (var e = max(1 - s, -column); e < s; e++) {
            let share = 1.0 - f32(abs(e)) / f32(s);
            along += share * dy[(i32(plane) * height + row + d) * width + column + e];
        }
        sum += (1.0 - f32(abs(d)) / f32(s)) * along;
    }
    dx[at] = sum;
}
