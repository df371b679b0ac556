// Put in front of the shaders that make channel attention's gates, behind common.wgsl: sigmoid(M(mean) + M(max)) of an
// image's statistics, M(v) = fc2w . relu(fc1w . v + fc1b) + fc2b. A workgroup of 64 makes them for one image: first
// `put_hidden`, then `gate_of` each channel. p.f is the number of channels, p.k that of hidden values, at most 64.

@group(0) @binding(45) var<storage, read> channel_stats_in: array<f32>; // (N, 2F): mean, then max
@group(0) @binding(46) var<storage, read> fc1w: array<f32>; // (K, F)
@group(0) @binding(47) var<storage, read> fc1b: array<f32>; // (K)
@group(0) @binding(48) var<storage, read> fc2w: array<f32>; // (F, K)
@group(0) @binding(49) var<storage, read> fc2b: array<f32>; // (F)

// The hidden layer before its ReLU, of the mean (x) and of the maximum (y); and what the ReLU leaves of both, added.
var<workgroup> hidden: array<vec2f, 64>;
var<workgroup> relus: array<f32, 64>;
var<workgroup> shares: array<vec2f, 64>;

// Invocations that share the channels of one hidden value: invocation `lane` has every `sharers()`th channel of the value
// lane / sharers(). A GPU waits for each load that another one waits for; so there are few behind each other.
fn sharers() -> u32 {
    return 64u / p.k;
}

// Sum of the shares of hidden value `lane`, where there is one.
fn sum_of_shares(lane: u32, share: vec2f) -> vec2f {
    shares[lane] = share;
    workgroupBarrier();
    var sum = vec2f(0.0);
    if lane < p.k {
        for (var i = 0u; i < sharers(); i++) {
            sum += shares[lane * sharers() + i];
        }
    }
    return sum;
}

fn put_hidden(lane: u32, image: u32) {
    let k = lane / sharers();
    var share = vec2f(0.0);
    if k < p.k {
        // Four channels at once. Past the last one it is that one again, and its weight 0.
        for (var first = lane % sharers(); first < p.f; first += 4u * sharers()) {
            let c = first + vec4u(0u, 1u, 2u, 3u) * sharers();
            let w = k * p.f + min(c, vec4u(p.f - 1u));
            let v = image * 2u * p.f + min(c, vec4u(p.f - 1u));
            let of_c = vec4f(fc1w[w.x], fc1w[w.y], fc1w[w.z], fc1w[w.w]);
            let mean = vec4f(channel_stats_in[v.x], channel_stats_in[v.y], channel_stats_in[v.z], channel_stats_in[v.w]);
            let u = v + p.f;
            let top = vec4f(channel_stats_in[u.x], channel_stats_in[u.y], channel_stats_in[u.z], channel_stats_in[u.w]);
            let weight = select(vec4f(0.0), of_c, c < vec4u(p.f));
            share += vec2f(dot(weight, mean), dot(weight, top));
        }
    }
    let sum = sum_of_shares(lane, share);
    if lane < p.k {
        let h = sum + fc1b[lane];
        hidden[lane] = h;
        relus[lane] = max(h.x, 0.0) + max(h.y, 0.0);
    }
    workgroupBarrier();
}

// The gate of channel `c`.
fn gate_of(c: u32) -> f32 {
    var v = 2.0 * fc2b[c];
    for (var first = 0u; first < p.k; first += 4u) {
        let k = first + vec4u(0u, 1u, 2u, 3u);
        let near = min(k, vec4u(p.k - 1u));
        let w = c * p.k + near;
        let of_k = vec4f(fc2w[w.x], fc2w[w.y], fc2w[w.z], fc2w[w.w]);
        let relu = vec4f(relus[near.x], relus[near.y], relus[near.z], relus[near.w]);
        v += dot(select(vec4f(0.0), of_k, k < vec4u(p.k)), relu);
    }
    return 1.0 / (1.0 + exp(-clamp(v, -80.0, 80.0)));
}
