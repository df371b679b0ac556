// The network's output into a host's colour target: a triangle that covers it.

@vertex
fn corner(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
    return vec4f(f32(i & 1u) * 4.0 - 1.0, f32(i >> 1u) * 4.0 - 1.0, 0.0, 1.0);
}

@fragment
fn draw(@builtin(position) at: vec4f) -> @location(0) vec4f {
    return result(vec2u(at.xy));
}
