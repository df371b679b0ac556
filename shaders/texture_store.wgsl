// The network's output into a host's storage texture, whose format stands in place of rgba8unorm.

@group(0) @binding(5) var target_texture: texture_storage_2d<rgba8unorm, write>;

@compute @workgroup_size(8, 8)
fn store(@builtin(global_invocation_id) id: vec3u) {
    let row = id.y + p.first;
    if id.x >= p.width || id.y >= p.rows || row < p.border || row >= p.border + p.height {
        return;
    }
    let at = vec2u(id.x, row - p.border);
    textureStore(target_texture, at, result(at));
}
