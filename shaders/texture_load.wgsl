// A host's texture into a slab of the network's input, padded by reflection.

@group(0) @binding(4) var<storage, read_write> planes: array<f32>;

// Reflects an index back into 0..n without repeating the edge, as often as it takes.
fn reflect_index(i: i32, n: u32) -> u32 {
    let period = max(2u * n - 2u, 1u);
    let j = u32(i + i32(period) * ((abs(i) + i32(period)) / i32(period))) % period;
    return min(j, period - j) % n;
}

@compute @workgroup_size(8, 8)
fn load(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= p.padded_width || id.y >= p.rows {
        return;
    }
    let x = reflect_index(i32(id.x) - i32(p.border), p.width);
    let y = reflect_index(i32(id.y + p.first) - i32(p.border), p.height);
    let codes = pixel(vec2u(x, y)).rgb;
    let i = id.y * p.padded_width + id.x;
    let plane = p.rows * p.padded_width;
    planes[i] = codes.r;
    planes[i + plane] = codes.g;
    planes[i + 2u * plane] = codes.b;
}
