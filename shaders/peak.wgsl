// Multiply-adds that wait for little, to measure how many a device does at most (`sasnet bench`). One invocation: 16
// chains v <- v x + 1, started at 0 to 15, `rounds` times 8 steps long; y[i] is the sum of their ends.
//
// 16 scalars hide the latency of a multiply-add on all that was measured, and fit the registers of all GPUs.

struct Params {
    len: u32,
    rounds: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (len)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (len)

@compute @workgroup_size(256)
fn multiply_add(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.len {
        return;
    }
    let v = vec4f(x[i]);
    let one = vec4f(1.0);
    var a = vec4f(0.0, 1.0, 2.0, 3.0);
    var b = a + 4.0;
    var c = a + 8.0;
    var d = a + 12.0;
    for (var round = 0u; round < p.rounds; round++) {
        // Unrolled by hand: nothing on the way to the device would do it.
        a = fma(a, v, one); b = fma(b, v, one); c = fma(c, v, one); d = fma(d, v, one);
        a = fma(a, v, one); b = fma(b, v, one); c = fma(c, v, one); d = fma(d, v, one);
        a = fma(a, v, one); b = fma(b, v, one); c = fma(c, v, one); d = fma(d, v, one);
        a = fma(a, v, one); b = fma(b, v, one); c = fma(c, v, one); d = fma(d, v, one);
        a = fma(a, v, one); b = fma(b, v, one); c = fma(c, v, one); d = fma(d, v, one);
        a = fma(a, v, one); b = fma(b, v, one); c = fma(c, v, one); d = fma(d, v, one);
        a = fma(a, v, one); b = fma(b, v, one); c = fma(c, v, one); d = fma(d, v, one);
        a = fma(a, v, one); b = fma(b, v, one); c = fma(c, v, one); d = fma(d, v, one);
    }
    let sum = a + b + c + d;
    y[i] = sum.x + sum.y + sum.z + sum.w;
}
