// Counter-based standard normal noise: y[n, c, i, j] = noise_scale * z(seed; n0 + n, c, y0 + i, j) with n0 = first_image and
// y0 = first_row, the same on every device, in every order and for every tile. One invocation: one element.
//
// Integer part, exact. Philox4x32-10 with counter (column, row, channel, image) and key (seed low, seed high): ten
// rounds of
//   (c0, c1, c2, c3) <- (hi(M1 c2) ^ c1 ^ k0, lo(M1 c2), hi(M0 c0) ^ c3 ^ k1, lo(M0 c0)),
//   M0 = 0xD2511F53, M1 = 0xCD9E8D57; after each round k0 += 0x9E3779B9, k1 += 0xBB67AE85 (mod 2^32).
// Of the result only c0 and c1 are used: v = (c0 >> 8) + 1 in 1..2^24, t = c1 >> 8 in 0..2^24 - 1.
//
// Box-Muller: z = sqrt(-2 ln(v / 2^24)) * cos(2 pi t / 2^24). WGSL's own log and cos are too loosely specified, so both
// are polynomials here, after a range reduction that is exact:
// - v = m 2^k with m in [1, 2) from the bits of f32(v); where m > sqrt 2, m is halved and k raised. With
//   s = (m - 1)/(m + 1): ln m = 2 s (1 + s^2/3 + s^4/5 + s^6/7 + s^8/9), |s| < 0.172, truncated at 2e-9 relative.
// - the quadrant is q = ((t + 2^21) >> 22) & 3 and the rest r = t - q 2^22 (mod 2^24) in [-2^21, 2^21); with
//   a = r 2 pi / 2^24 in [-pi/4, pi/4): cos of the whole is cos a, -sin a, -cos a, sin a for q = 0, 1, 2, 3, by Taylor
//   series to a^8 and a^9 (truncated at 3e-8 and 3e-9).

struct Params {
    n: u32,
    c: u32,
    h: u32,
    w: u32,
    first_row: u32, // of the image's, where this is a part of its noise
    first_image: u32, // of the batch's, where this is a part of its noise
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // (N, C, h, w)

// High word of a * b, from 16-bit halves.
fn mul_high(a: u32, b: u32) -> u32 {
    let al = a & 0xffffu;
    let ah = a >> 16u;
    let bl = b & 0xffffu;
    let bh = b >> 16u;
    let middle = ah * bl + ((al * bl) >> 16u);
    let carry = al * bh + (middle & 0xffffu);
    return ah * bh + (middle >> 16u) + (carry >> 16u);
}

fn philox(counter: vec4u, seed: vec2u) -> vec2u {
    var c = counter;
    var k = seed;
    for (var round = 0u; round < 10u; round++) {
        c = vec4u(
            mul_high(0xCD9E8D57u, c.z) ^ c.y ^ k.x,
            0xCD9E8D57u * c.z,
            mul_high(0xD2511F53u, c.x) ^ c.w ^ k.y,
            0xD2511F53u * c.x,
        );
        k += vec2u(0x9E3779B9u, 0xBB67AE85u);
    }
    return c.xy;
}

// ln(v / 2^24) for v in 1..2^24.
fn log_unit(v: u32) -> f32 {
    let bits = bitcast<u32>(f32(v));
    var k = i32(bits >> 23u) - 127 - 24;
    var m = bitcast<f32>((bits & 0x7fffffu) | 0x3f800000u);
    if m > 1.41421356 {
        m *= 0.5;
        k += 1;
    }
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    let series = q * (0.33333333 + q * (0.2 + q * (0.14285714 + q * 0.11111111)));
    return f32(k) * 0.69314718 + (2.0 * s + 2.0 * s * series);
}

// cos(2 pi t / 2^24) for t in 0..2^24 - 1.
fn cos_turn(t: u32) -> f32 {
    let q = ((t + 0x200000u) >> 22u) & 3u;
    let r = i32((t + 0x200000u) & 0x3fffffu) - 0x200000;
    let a = f32(r) * 3.7450703e-7; // 2 pi / 2^24
    let b = a * a;
    let cosine = 1.0 + b * (-0.5 + b * (0.041666667 + b * (-0.0013888889 + b * 2.4801587e-5)));
    let sine = a + a * b * (-0.16666667 + b * (0.0083333333 + b * (-1.9841270e-4 + b * 2.7557319e-6)));
    let value = select(cosine, sine, (q & 1u) == 1u);
    return select(value, -value, q == 1u || q == 2u);
}

@compute @workgroup_size(256)
fn noise(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = linear_index(gid, groups, 256u);
    if i >= p.n * p.c * p.h * p.w {
        return;
    }
    let column = i % p.w;
    let row = i / p.w % p.h;
    let channel = i / (p.w * p.h) % p.c;
    let image = p.first_image + i / (p.w * p.h * p.c);
    let u = philox(vec4u(column, p.first_row + row, channel, image), run.seed);
    let z = sqrt(-2.0 * log_unit((u.x >> 8u) + 1u)) * cos_turn(u.y >> 8u);
    y[i] = run.noise_scale * z;
}
