// The mean over a square window of radius r, clipped to the picture; first along rows, then along columns.
// One invocation: a run of 32 outputs of a row or column. The first sum is made of the window's values, each next one by
// adding one and subtracting one; the next run starts afresh, so that rounding does not grow along the line.

struct Params {
    h: u32,
    w: u32,
    r: u32,
    len: u32, // runs of all lines
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (planes, h, w)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // the same

const RUN = 32u;

// The run from element `first` on of the line of n elements that begins at `at`, `step` apart.
fn mean_run(at: u32, step: u32, n: u32, first: u32) {
    var sum = 0.0;
    for (var k = first - min(first, p.r); k < min(first + p.r, n); k++) {
        sum += x[at + k * step];
    }
    for (var i = first; i < min(first + RUN, n); i++) {
        if i + p.r < n {
            sum += x[at + (i + p.r) * step];
        }
        if i > first && i > p.r {
            sum -= x[at + (i - p.r - 1u) * step];
        }
        let count = min(i + p.r, n - 1u) - (i - min(i, p.r)) + 1u;
        y[at + i * step] = sum / f32(count);
    }
}

@compute @workgroup_size(256)
fn rows(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let runs = (p.w + RUN - 1u) / RUN;
    let line = quotient(i, runs);
    mean_run(line * p.w, 1u, p.w, (i - line * runs) * RUN);
}

// Neighbours have neighbouring columns.
@compute @workgroup_size(256)
fn columns(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let runs = (p.h + RUN - 1u) / RUN;
    let run = quotient(i, p.w); // of all planes
    let plane = quotient(run, runs);
    mean_run(plane * p.h * p.w + i - run * p.w, p.w, p.h, (run - plane * runs) * RUN);
}
