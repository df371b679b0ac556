// Put in front of every shader: what changes from run to run, and the index of a one-dimensional grid.
//
// Names: a value that one kernel of a file writes and another reads has two bindings, `gate` to write and `gate_in` to
// read, so that every binding of an entry point is either read-only or written.

struct RunParams {
    seed: vec2u,
    noise_scale: f32,
    clip: f32,
    learning_rate: f32,
    correction1: f32,
    correction2: f32,
    average: f32,
}

@group(0) @binding(0) var<uniform> run: RunParams;

// Index of an invocation in a grid that is folded over x and y (a dimension has at most 65,535 workgroups).
fn linear_index(gid: vec3u, groups: vec3u, workgroup_size: u32) -> u32 {
    return gid.x + gid.y * groups.x * workgroup_size;
}

// a / b, rounded down, a < 2^31, b < 2^30: integers are divided in some twenty instructions on GPUs, and one after the other
// on CPUs. The quotient of floating-point numbers is near; that of what it leaves is off by 1 at most, and put right.
fn quotient(a: u32, b: u32) -> u32 {
    let divisor = f32(i32(b));
    let first = u32(i32(f32(i32(a)) / divisor));
    let near = first + u32(i32(floor(f32(i32(a - first * b)) / divisor)));
    let rest = i32(a - near * b);
    return near + select(0u, 1u, rest >= i32(b)) - select(0u, 1u, rest < 0);
}

var<workgroup> tree: array<f32, 256>;

// Sum of `value` over a workgroup of 256, by a tree: a fixed order, and an error that grows with the logarithm only.
fn tree_sum(lane: u32, value: f32) -> f32 {
    workgroupBarrier(); // an earlier call's result has been read
    tree[lane] = value;
    workgroupBarrier();
    for (var width = 128u; width > 0u; width /= 2u) {
        if lane < width {
            tree[lane] += tree[lane + width];
        }
        workgroupBarrier();
    }
    return tree[0];
}
