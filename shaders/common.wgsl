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

// The integer nearest to v, |v| < 2^22. Mesa's software driver converts the lanes of a vector one by one.
fn nearest(v: f32) -> i32 {
    return bitcast<i32>(v + 12582912.0) - 0x4b400000; // 1.5 * 2^23, and its bits
}

// a / b, rounded down, a < 2^31, b < 2^30: integers are divided in some twenty instructions on GPUs, and one after the other
// on CPUs. The quotient of floating-point numbers is near in steps of 4096; that of what it leaves is off by 1 at most, and
// put right.
fn quotient(a: u32, b: u32) -> u32 {
    let divisor = f32(i32(b));
    let first = 4096 * nearest(f32(i32(a)) / divisor * (1.0 / 4096.0));
    let rest = i32(a) - first * i32(b);
    let second = nearest(floor(f32(rest) / divisor));
    let left = rest - second * i32(b);
    return u32(first + second + select(0, 1, left >= i32(b)) - select(0, 1, left < 0));
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
