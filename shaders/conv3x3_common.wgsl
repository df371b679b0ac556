// Put in front of the convolution's shaders, behind common.wgsl: what their stores do beside, and how a bias is packed.

// What a store makes of an output v: 0: v itself; 1: a + beta v, as add.wgsl; 2: exp(sign tanh(v / 2)), as exp_scale.wgsl;
// 3: a e + v, 4: (a - v) e, as coupling.wgsl. a and e have y's shape; bind any map where unused.
override EPILOGUE: u32 = 0u;
@group(0) @binding(40) var<storage, read> a: array<f32>; // (N, co, h, w)
@group(0) @binding(41) var<storage, read> e: array<f32>; // (N, co, h, w)

fn epilogue(at: u32, v: f32) -> f32 {
    if EPILOGUE == 1u {
        return a[at] + p.factor * v;
    }
    if EPILOGUE == 2u {
        return exp(p.factor * tanh(clamp(0.5 * v, -9.0, 9.0)));
    }
    if EPILOGUE == 3u {
        return a[at] * e[at] + v;
    }
    if EPILOGUE == 4u {
        return (a[at] - v) * e[at];
    }
    return v;
}

// Sums and maxima of the outputs' tiles of 8 x 16 pixels, as channel_attention.wgsl has them; channel o's maxima are at co + o.
@group(0) @binding(42) var<storage, read_write> tiles: array<f32>; // (N, 2 co, ceil(h / 8), ceil(w / 16))

const TILE_ROWS = 8u;
const TILE_COLUMNS = 16u;

fn place_of_stats(image: u32, channel: u32, at: vec2u) -> u32 {
    let down = (p.h + TILE_ROWS - 1u) / TILE_ROWS;
    let across = (p.w + TILE_COLUMNS - 1u) / TILE_COLUMNS;
    return ((image * 2u * p.co + channel) * down + at.y) * across + at.x;
}

// The bias in two parts that f16 holds: its first 11 bits, and the rest so many times larger, as f16's small numbers
// are not exact. Cut by hand, because compilers may leave out a rounding to f16 and back.
const LOSS = 2048.0;

fn first_bits(v: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(v) & 0xffffe000u);
}
