// Running statistics of a batch normalisation: running = keep running + (1 - keep) batch. One invocation: one channel.

struct Params {
    c: u32,
    keep: f32,
    rest: f32, // 1 - keep
    rest_of_var: f32, // the same times the variance's correction
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> stats: array<f32>; // (3, c): mean, i, var
@group(0) @binding(3) var<storage, read_write> running_mean: array<f32>; // (c)
@group(0) @binding(4) var<storage, read_write> running_var: array<f32>; // (c)

@compute @workgroup_size(256)
fn running(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.c {
        return;
    }
    running_mean[i] = p.keep * running_mean[i] + p.rest * stats[i];
    running_var[i] = p.keep * running_var[i] + p.rest_of_var * stats[2u * p.c + i];
}
