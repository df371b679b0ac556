// Rows and columns of each channel exchanged: y[c, j, i] = x[c, i, j]. Its gradient is the same.
// A workgroup moves a tile of 16 x 16 through its memory, so that neighbours read and write neighbours.

struct Params {
    h: u32, // rows of x
    w: u32, // columns of x
    planes: u32, // N C
    deep: u32, // workgroups that share the planes
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (planes, h, w)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (planes, w, h)

var<workgroup> tile: array<f32, 272>; // rows of 17, so that columns lie in different banks

// Grid: (ceil(w / 16), ceil(h / 16), deep) workgroups.
@compute @workgroup_size(16, 16)
fn transpose(@builtin(local_invocation_id) lid: vec3u, @builtin(workgroup_id) group: vec3u) {
    let corner = 16u * group.xy;
    for (var plane = group.z; plane < p.planes; plane += p.deep) {
        let read_at = corner + lid.xy;
        if read_at.x < p.w && read_at.y < p.h {
            tile[lid.y * 17u + lid.x] = x[(plane * p.h + read_at.y) * p.w + read_at.x];
        }
        workgroupBarrier();
        let write_at = corner.yx + lid.xy;
        if write_at.x < p.h && write_at.y < p.w {
            y[(plane * p.w + write_at.y) * p.h + write_at.x] = tile[lid.x * 17u + lid.y];
        }
        workgroupBarrier();
    }
}
