// In front of the shaders that move a picture between a host's textures and the network's planes, which hold codes: RGB
// in [0, 1] as files mostly store it.

// How a texture's values, as a shader reads them, are related to codes.
const CODES = 0u; // they are codes
const SRGB = 1u; // linear light, whose codes are sRGB's
const LOG = 2u; // linear light from 0 to `top`, whose codes are a logarithmic scale

// What alpha is.
const KEEP = 0u; // the input's, which colours do not depend on
const OPAQUE = 1u; // 1
const PREMULTIPLIED = 2u; // the input's, which colours are multiplied by

// One slab of the picture.
struct Slab {
    width: u32, // of the picture
    height: u32,
    padded_width: u32, // of the padded picture
    first: u32, // first row in it
    rows: u32,
    border: u32, // reflected pixels around the picture
    from_transfer: u32,
    to_transfer: u32,
    from_grey: u32, // one channel
    to_grey: u32,
    alpha: u32,
    strength: f32, // share of the result, the rest is the picture itself
    low: f32, // of LOG: nearly linear below
    top: f32,
}

@group(0) @binding(1) var<uniform> p: Slab;
@group(0) @binding(2) var picture: texture_2d<f32>;
@group(0) @binding(3) var<storage, read> planes_in: array<f32>;

// Clamps to [0, 1]; what is not a number becomes 0.
fn unit(v: vec3f) -> vec3f {
    return select(vec3f(0.0), min(v, vec3f(1.0)), v > vec3f(0.0));
}

fn to_codes(v: vec3f, transfer: u32) -> vec3f {
    if transfer == SRGB {
        let c = unit(v);
        return select(1.055 * pow(c, vec3f(1.0 / 2.4)) - 0.055, 12.92 * c, c <= vec3f(0.0031308));
    }
    if transfer == LOG {
        return log(1.0 + unit(v / p.top) * (p.top / p.low)) / log(1.0 + p.top / p.low);
    }
    return unit(v);
}

fn from_codes(c: vec3f, transfer: u32) -> vec3f {
    if transfer == SRGB {
        return select(pow((c + 0.055) / 1.055, vec3f(2.4)), c / 12.92, c <= vec3f(0.04045));
    }
    if transfer == LOG {
        return p.low * (exp(c * log(1.0 + p.top / p.low)) - 1.0);
    }
    return c;
}

// The codes of the picture's pixel, and its alpha.
fn pixel(at: vec2u) -> vec4f {
    var v = textureLoad(picture, at, 0);
    if p.from_grey != 0u {
        v = vec4f(v.rrr, 1.0);
    }
    if p.alpha == PREMULTIPLIED {
        v = vec4f(select(vec3f(0.0), v.rgb / v.a, v.a > 0.0), v.a);
    }
    return vec4f(to_codes(v.rgb, p.from_transfer), v.a);
}

// The pixel of the result, of what the network made of the slab.
fn result(at: vec2u) -> vec4f {
    let original = pixel(at);
    let i = (at.y + p.border - p.first) * p.padded_width + at.x + p.border;
    let plane = p.rows * p.padded_width;
    let smoothed = unit(vec3f(planes_in[i], planes_in[i + plane], planes_in[i + 2u * plane]));
    var codes = (1.0 - p.strength) * original.rgb + p.strength * smoothed;
    if p.to_grey != 0u {
        codes = vec3f((codes.r + codes.g + codes.b) / 3.0);
    }
    let colour = from_codes(codes, p.to_transfer);
    if p.alpha == OPAQUE {
        return vec4f(colour, 1.0);
    }
    return vec4f(select(colour, colour * original.a, p.alpha == PREMULTIPLIED), original.a);
}
