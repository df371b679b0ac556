// 3x3 convolution for devices that run a workgroup as the vector lanes of a CPU core (software drivers):
//   y[o, i, j] = act(b[o] + sum_{c, ky, kx} w[o, c, ky, kx] in[c, i + ky - 1, j + kx - 1]),  in = [x, r].
// The kernel `forward` itself is unrolled by src/ops/conv3x3/lanes.rs and stands behind this text: lane = output channel,
// 8x16 pixels in an invocation's accumulators. An input value is the same for all lanes, which makes its load a scalar
// one; packed as (c_in, tap, c_out), a tap's weights are one contiguous load. Of seven shapes tried on Mesa's lavapipe this
// was the fastest, 3 to 5 times `conv3x3.forward`; on a GPU it would be slow.
// The gradient of the input is the same kernel on dy, with the weights packed by `pack_turned`.

struct Params {
    n: u32,
    cx: u32, // channels of x
    cr: u32, // channels of r; 0: there is none (bind x again)
    co: u32, // output channels
    h: u32,
    w: u32,
    slope: f32, // of the LeakyReLU; 1: no activation
    first: u32, // pack_turned: first input channel of the weight that is wanted
    count: u32, // pack_turned: input channels of the weight
    splits: u32, // not used here
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (N, cx, h, w)
@group(0) @binding(3) var<storage, read> r: array<f32>; // (N, cr, h, w)
@group(0) @binding(4) var<storage, read> w: array<f32>; // (co, cx + cr, 3, 3), or to be turned (cx, count, 3, 3)
@group(0) @binding(5) var<storage, read> b: array<f32>; // (co)
@group(0) @binding(6) var<storage, read_write> y: array<f32>; // (N, co, h, w)
@group(0) @binding(7) var<storage, read_write> packed: array<f32>; // (cx + cr, 9, co), then the bias (co)
@group(0) @binding(8) var<storage, read> packed_in: array<f32>;

// packed[c, tap, o] = w[o, c, tap], then b. One invocation: one element.
@compute @workgroup_size(256)
fn pack(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    let ci = p.cx + p.cr;
    let weights = ci * 9u * p.co;
    if i < weights {
        packed[i] = w[(i % p.co * ci + i / p.co / 9u) * 9u + i / p.co % 9u];
    } else if i < weights + p.co {
        packed[i] = b[i - weights];
    }
}

// The weights of dx = conv(dy): packed[o, tap, c] = w[o, first + c, 8 - tap], since y[o, q] takes w[o, c, k] in[c, q + k],
// so that in[c, s] is seen by dy[o, s - k]; the bias is 0. One invocation: one element.
@compute @workgroup_size(256)
fn pack_turned(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    let weights = p.cx * 9u * p.co;
    if i < weights {
        packed[i] = w[(i / p.co / 9u * p.count + p.first + i % p.co) * 9u + 8u - i / p.co % 9u];
    } else if i < weights + p.co {
        packed[i] = 0.0;
    }
}

override LANES: u32 = 64u; // output channels of a workgroup, an invocation each

const CHUNK = 16u; // input channels staged at a time
const TILE_W = 18u; // 16 columns and the halo
const TILE = 180u; // times 8 rows and the halo

var<workgroup> tile: array<f32, CHUNK * TILE>; // [channel][row][column]

// Stages `channels` input channels from `first` on, zero outside the image.
fn stage(lane: u32, image: u32, corner: vec2u, first: u32, channels: u32) {
    for (var e = lane; e < channels * TILE; e += LANES) {
        let c = first + e / TILE;
        // The row above the image wraps around and is out of range, too.
        let row = corner.y + e % TILE / TILE_W - 1u;
        let column = corner.x + e % TILE_W - 1u;
        var v = 0.0;
        if row < p.h && column < p.w {
            if c < p.cx {
                v = x[((image * p.cx + c) * p.h + row) * p.w + column];
            } else {
                v = r[((image * p.cr + c - p.cx) * p.h + row) * p.w + column];
            }
        }
        tile[e] = v;
    }
}

fn put(at: u32, pixel: vec2u, v: f32) {
    if pixel.x < p.w && pixel.y < p.h {
        y[at] = select(p.slope * v, v, v >= 0.0);
    }
}

