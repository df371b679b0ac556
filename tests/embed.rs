//! Textures of a host are smoothed as pictures are, in the host's own encoder.

mod support;

use sasnet::embed::{
    Alpha, Context, ContextOptions, Frame, Maps, Network, Scope, Session, SessionOptions, Transfer, estimate,
    requirements,
};
use sasnet::low_level::gpu::{DRAW, Gpu, LOAD, STORE};
use sasnet::low_level::net::Sasnet;
use sasnet::wgpu::{self, TextureFormat, TextureUsages as Usages};
use sasnet::{Device, Error, Filter, Options, Precision, Shape, Smoother, Tensor, Weights};
use std::sync::Arc;
use support::textures::{Host, bytes, code, linear, stored};

/// The adapter of the tests.
fn gpu() -> Arc<Gpu> {
    support::short_vectors();
    support::gpu()
}

/// An adapter as hosts find it.
fn adapter() -> wgpu::Adapter {
    support::short_vectors();
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::PRIMARY,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    pollster::block_on(instance.request_adapter(&Default::default())).unwrap()
}

/// A device of a host's own.
fn open(adapter: &wgpu::Adapter, features: wgpu::Features, limits: wgpu::Limits) -> (wgpu::Device, wgpu::Queue) {
    let descriptor = wgpu::DeviceDescriptor {
        required_features: features,
        required_limits: limits,
        ..wgpu::DeviceDescriptor::default()
    };
    pollster::block_on(adapter.request_device(&descriptor)).unwrap()
}

fn context() -> Context {
    gpu().into()
}

/// A network that changes pictures, and takes little time.
fn weights() -> Weights {
    let mut weights = Weights::initial(&sasnet::Network::from(Sasnet::new(&[2], 8).unwrap()), 3);
    // Not the identity.
    weights.params.iter_mut().for_each(|v| *v *= 1.3);
    weights
}

fn network(context: &Context) -> Network {
    Network::new(context, weights()).unwrap()
}

/// Pixels of codes in [0, 1] with edges, texture and all opacities.
fn pixels([w, h]: [u32; 2]) -> Vec<[f64; 4]> {
    let picture = support::picture(h as usize, w as usize, 5);
    let plane = picture.shape.plane();
    (0..plane)
        .map(|i| {
            let [r, g, b] = [0, 1, 2].map(|c| f64::from(picture.data[c * plane + i]));
            [r, g, b, ((i * 7) % 256) as f64 / 255.0]
        })
        .collect()
}

/// A session's textures, the first one filled.
struct Pair {
    from: wgpu::Texture,
    to: wgpu::Texture,
}

impl Pair {
    fn new(size: [u32; 2], [from, to]: [TextureFormat; 2], usage: Usages, values: &[[f64; 4]]) -> Pair {
        let gpu = gpu();
        let host = Host(&gpu);
        let pair = Pair { from: host.texture(from, size, Usages::TEXTURE_BINDING), to: host.texture(to, size, usage) };
        host.write(&pair.from, &bytes(from, values));
        pair
    }

    fn views(&self) -> [wgpu::TextureView; 2] {
        [&self.from, &self.to].map(|texture| texture.create_view(&Default::default()))
    }

    /// Smooths, and returns the stored values of both.
    fn run(&self, session: &mut Session, frame: &Frame) -> [Vec<[f64; 4]>; 2] {
        let gpu = gpu();
        let [from, to] = self.views();
        session.prepare(frame).unwrap();
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        session.record(&mut encoder, &from, &to).unwrap();
        gpu.queue().submit([encoder.finish()]);
        self.read()
    }

    fn read(&self) -> [Vec<[f64; 4]>; 2] {
        let gpu = gpu();
        [&self.from, &self.to].map(|texture| stored(texture.format(), &Host(&gpu).read(texture)))
    }
}

/// What `Smoother` makes of codes.
fn smoothed([w, h]: [u32; 2], codes: &[[f64; 3]], options: &Options) -> Vec<[f64; 3]> {
    let shape = Shape::new(1, 3, h as usize, w as usize);
    let data = (0..3).flat_map(|c| codes.iter().map(move |p| p[c] as f32)).collect();
    let y = Smoother::new(weights(), Device::Cpu).smooth(&Tensor::new(shape, data), options).unwrap();
    (0..shape.plane()).map(|i| [0, 1, 2].map(|c| f64::from(y.data[c * shape.plane() + i]))).collect()
}

fn rgb(p: &[f64; 4]) -> [f64; 3] {
    [p[0], p[1], p[2]]
}

fn is_float(format: TextureFormat) -> bool {
    matches!(format, TextureFormat::Rgba16Float | TextureFormat::Rgba32Float)
}

const SIZE: [u32; 2] = [37, 21];

fn far(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    (0..3).map(|c| (a[c] - b[c]).abs()).fold(0.0, f64::max)
}

/// Largest distance in codes, of 255, of a pair of formats from `Smoother`, and of alpha.
fn distance(context: &Context, formats: [TextureFormat; 2], usage: Usages) -> [f64; 2] {
    let network = network(context);
    let mut session = Session::new(&network, SIZE, formats, SessionOptions::default()).unwrap();
    // The stored values of floating-point formats are linear light.
    let values: Vec<[f64; 4]> = pixels(SIZE)
        .iter()
        .map(|&[r, g, b, a]| if is_float(formats[0]) { [linear(r), linear(g), linear(b), a] } else { [r, g, b, a] })
        .collect();
    let [from, to] = Pair::new(SIZE, formats, usage, &values).run(&mut session, &Frame::default());
    let codes = |format: TextureFormat, pixels: &[[f64; 4]]| -> Vec<[f64; 3]> {
        let grey = format.components() == 1;
        let of = |p: &[f64; 4]| if grey { [p[0]; 3] } else { rgb(p) };
        pixels.iter().map(|p| if is_float(format) { of(p).map(code) } else { of(p) }).collect()
    };
    let mut read = codes(formats[0], &from);
    if formats[0].is_srgb() {
        // Drivers undo the curve of 8-bit values only nearly, and the network makes more of that: what shaders read.
        let float = [formats[0], TextureFormat::Rgba32Float];
        let mut session = Session::new(&network, SIZE, float, SessionOptions::default()).unwrap();
        let pair = Pair::new(SIZE, float, Usages::RENDER_ATTACHMENT, &values);
        let [_, same] = pair.run(&mut session, &Frame::default().with_strength(0.0));
        let decoded = codes(float[1], &same);
        assert!(decoded.iter().zip(&read).all(|(a, b)| far(a, b) < 0.5 / 255.0), "{:?} is decoded", formats[0]);
        read = decoded;
    }
    let mut want = smoothed(SIZE, &read, &Options::default());
    if formats[1].components() == 1 {
        want.iter_mut().for_each(|p| *p = [(p[0] + p[1] + p[2]) / 3.0; 3]);
    }
    let got = codes(formats[1], &to);
    let colour = want.iter().zip(&got).map(|(a, b)| far(a, b)).fold(0.0, f64::max);
    let kept = formats.iter().all(|format| format.components() == 4);
    let alpha = from.iter().zip(&to).map(|(a, b)| (a[3] - b[3]).abs()).fold(0.0, f64::max);
    [255.0 * colour, if kept { 255.0 * alpha } else { 0.0 }]
}

/// Half a step of the format of the result, with what its rounding and the network's leave; of what drivers make of sRGB's
/// curve (0.64 on Mesa's lavapipe) a whole one. Where 8 bits are drawn into, GPUs may be off by 0.6 of a step (Direct3D's
/// FLOAT32_TO_INTEGER_TOLERANCE_IN_ULP), and are: an NVIDIA H200 makes 102 of 102.535.
fn tolerance(format: TextureFormat) -> f64 {
    match format {
        _ if format.is_srgb() => 1.0,
        TextureFormat::Rgba32Float => 0.02,
        TextureFormat::Rgba16Float => 0.15,
        // Lavapipe rounds to either neighbour.
        TextureFormat::Rgb10a2Unorm => 255.0 / 1023.0,
        _ => 0.62,
    }
}

#[test]
fn textures_are_smoothed_as_pictures_are() {
    use TextureFormat::*;
    let context = context();
    let all = [Rgba8Unorm, Rgba8UnormSrgb, Bgra8Unorm, Bgra8UnormSrgb, Rgba16Float, Rgb10a2Unorm, R8Unorm];
    let pairs = all.map(|format| [format, Rgba8Unorm]).into_iter().chain(all.map(|format| [Rgba8Unorm, format]));
    for formats in pairs.chain([[Rgba32Float, Rgba16Float], [Rgba8UnormSrgb, Rgba8UnormSrgb]]) {
        let [colour, alpha] = distance(&context, formats, Usages::RENDER_ATTACHMENT);
        assert!(colour <= tolerance(formats[1]), "{formats:?}: {colour} of 255");
        let step = if formats.contains(&Rgb10a2Unorm) { 255.0 / 6.0 } else { 0.5 };
        assert!(alpha <= step + 0.01, "{formats:?}: alpha by {alpha} of 255");
    }
    for format in [Rgba8Unorm, Rgba16Float, Rgba32Float] {
        let [colour, alpha] = distance(&context, [Rgba8Unorm, format], Usages::STORAGE_BINDING);
        assert!(colour <= tolerance(format), "{format:?} stored: {colour} of 255");
        assert!(alpha <= 0.13, "{format:?} stored: alpha by {alpha} of 255");
    }
}

#[test]
fn wrong_kernels_are_caught() {
    use TextureFormat::*;
    let drawn = Usages::RENDER_ATTACHMENT;
    let wrong = [
        (&LOAD, "min(j, period - j)", "j", [Rgba8Unorm, Rgba8Unorm], drawn),
        (&LOAD, "i + 2u * plane", "i + plane", [Rgba8Unorm, Rgba8Unorm], drawn),
        (&LOAD, "<= vec3f(0.0031308)", "> vec3f(0.0031308)", [Rgba16Float, Rgba8Unorm], drawn),
        (&LOAD, "v.rrr", "v.rgb", [R8Unorm, Rgba8Unorm], drawn),
        (&DRAW, "at.x + p.border", "at.x", [Rgba8Unorm, Rgba8Unorm], drawn),
        (&DRAW, "vec3f(2.4)", "vec3f(2.2)", [Rgba8Unorm, Rgba16Float], drawn),
        (&DRAW, "codes.r + codes.g + codes.b", "codes.r + codes.g + codes.g", [Rgba8Unorm, R8Unorm], drawn),
        (&DRAW, "original.a);", "1.0);", [Rgba8Unorm, Rgba8Unorm], drawn),
        (&STORE, "row - p.border", "row", [Rgba8Unorm, Rgba8Unorm], Usages::STORAGE_BINDING),
    ];
    let first = gpu();
    for (shader, from, to, formats, usage) in wrong {
        // The textures are of the tests' device.
        let device = Gpu::from_device(first.device().clone(), first.queue().clone());
        let broken: Context = Arc::new(device.with_shader_replacement(shader, from, to)).into();
        let [colour, alpha] = distance(&broken, formats, usage);
        assert!(colour > 1.0 || alpha > 1.0, "{shader:?}: {from:?} by {to:?} is not noticed: {colour}, {alpha}");
    }
}

#[test]
fn alpha_strength_and_seeds() {
    let (context, format) = (context(), TextureFormat::Rgba32Float);
    let network = network(&context);
    let options = SessionOptions::default().with_transfer(Transfer::Codes);
    let with = |options: SessionOptions| Session::new(&network, SIZE, [format; 2], options).unwrap();
    let values = pixels(SIZE);
    let pair = Pair::new(SIZE, [format; 2], Usages::RENDER_ATTACHMENT, &values);
    let codes: Vec<[f64; 3]> = values.iter().map(rgb).collect();
    let near = |got: &[[f64; 4]], want: &dyn Fn(usize) -> [f64; 4]| {
        let far = |(i, p): (usize, &[f64; 4])| (0..4).map(|c| (p[c] - want(i)[c]).abs()).fold(0.0, f64::max);
        let worst = got.iter().enumerate().map(far).fold(0.0, f64::max);
        assert!(worst < 5e-5, "{worst}");
    };

    let want = smoothed(SIZE, &codes, &Options::default());
    let [_, got] = pair.run(&mut with(options.clone().with_alpha(Alpha::Opaque)), &Frame::default());
    near(&got, &|i| [want[i][0], want[i][1], want[i][2], 1.0]);

    // Strength, as `Options::amount`.
    let mut session = with(options.clone());
    for strength in [0.0, 0.3] {
        let want = smoothed(SIZE, &codes, &Options::default().with_amount(strength));
        let [_, got] = pair.run(&mut session, &Frame::default().with_strength(strength));
        near(&got, &|i| [want[i][0], want[i][1], want[i][2], values[i][3]]);
    }

    // Noise, the same as `Smoother`'s of a seed.
    let noisy = smoothed(SIZE, &codes, &Options::default().with_noise(1.0).with_seed(7));
    let [_, got] = pair.run(&mut session, &Frame::default().with_noise(1.0).with_seed(7));
    near(&got, &|i| [noisy[i][0], noisy[i][1], noisy[i][2], values[i][3]]);
    assert!(noisy.iter().zip(&want).any(|(a, b)| (a[0] - b[0]).abs() > 1e-3), "noise changes something");

    // Premultiplied: colours hidden by alpha 0 are black, others as without alpha.
    let opaque = values.iter().map(|p| p[3].max(1.0 / 255.0));
    let values: Vec<[f64; 4]> = values.iter().zip(opaque).map(|(p, a)| [p[0] * a, p[1] * a, p[2] * a, a]).collect();
    let pair = Pair::new(SIZE, [format; 2], Usages::RENDER_ATTACHMENT, &values);
    let [_, got] = pair.run(&mut with(options.with_alpha(Alpha::Premultiplied)), &Frame::default());
    near(&got, &|i| {
        let a = values[i][3];
        [want[i][0] * a, want[i][1] * a, want[i][2] * a, a]
    });
}

#[test]
fn hdr_comes_back_and_what_is_no_number_stays_where_it_is() {
    let (context, format) = (context(), TextureFormat::Rgba32Float);
    let network = network(&context);
    let options = SessionOptions::default().with_transfer(Transfer::LinearHdr { top: 16.0 });
    let mut session = Session::new(&network, SIZE, [format; 2], options).unwrap();
    // From a thousandth to the top, in powers.
    let mut values: Vec<[f64; 4]> = pixels(SIZE).iter().map(|p| [p[0], p[1], p[2], 0.25].map(|v| v * 4.0)).collect();
    values.iter_mut().enumerate().for_each(|(i, p)| p[1] = 16.0 * 0.5f64.powi((i % 14) as i32));
    let pair = Pair::new(SIZE, [format; 2], Usages::RENDER_ATTACHMENT, &values);
    let [_, same] = pair.run(&mut session, &Frame::default().with_strength(0.0));
    for (a, b) in values.iter().zip(&same) {
        (0..4).for_each(|c| assert!((a[c] - b[c]).abs() <= 1e-4 * a[c].abs() + 1e-6, "{a:?} became {b:?}"));
    }
    // The scale that the network sees, and its way back, in f64.
    let (low, top) = (16.0 / 4096.0, 16.0f64);
    let span = (top / low).ln_1p();
    let codes: Vec<[f64; 3]> = values.iter().map(|p| rgb(p).map(|v| (v / low).ln_1p() / span)).collect();
    let want = smoothed(SIZE, &codes, &Options::default());
    let [_, got] = pair.run(&mut session, &Frame::default());
    for (want, got) in want.iter().zip(&got) {
        for c in 0..3 {
            let code = (got[c] / low).ln_1p() / span;
            assert!((code - want[c]).abs() < 5e-5, "{code} is not {}", want[c]);
        }
    }
    // One pixel that is none does not spoil the others: it counts as 0, as in the same picture with a 0 there.
    let (mut broken, mut zero) = (values.clone(), values);
    (broken[40], zero[40]) = ([f64::NAN, f64::INFINITY, -1.0, 1.0], [0.0, 16.0, 0.0, 1.0]);
    let run = |values: &[[f64; 4]], session: &mut Session| {
        Pair::new(SIZE, [format; 2], Usages::RENDER_ATTACHMENT, values).run(session, &Frame::default())[1].clone()
    };
    assert_eq!(run(&broken, &mut session), run(&zero, &mut session));
}

#[test]
fn slabs_parts_and_shared_memory_give_the_same_bits() {
    let (context, size, format) = (context(), [64, 701], TextureFormat::Rgba32Float);
    let (network, formats) = (network(&context), [format; 2]);
    let pair = Pair::new(size, formats, Usages::RENDER_ATTACHMENT, &pixels(size));
    let stored_pair = Pair::new(size, formats, Usages::STORAGE_BINDING, &pixels(size));
    let options = SessionOptions::default();
    let mut whole = Session::new(&network, size, formats, options.clone()).unwrap();
    let [_, want] = pair.run(&mut whole, &Frame::default());
    assert_eq!(whole.slabs(), 1);

    let most = whole.bytes() * 9 / 10;
    let small = options.clone().with_max_memory(most);
    let mut slabs = Session::new(&network, size, formats, small.clone()).unwrap();
    assert!(slabs.slabs() > 1 && slabs.bytes() <= most, "{} slabs", slabs.slabs());
    assert!(pair.run(&mut slabs, &Frame::default())[1] == want, "slabs, drawn");
    assert!(stored_pair.run(&mut slabs, &Frame::default())[1] == want, "slabs, stored");

    // Each part in a submission of its own.
    let mut parts = Session::new(&network, size, formats, options.clone().with_part(20_000_000)).unwrap();
    assert!(parts.parts() > 3, "{} parts", parts.parts());
    parts.prepare(&Frame::default()).unwrap();
    let [from, to] = pair.views();
    for i in 0..parts.parts() {
        let mut encoder = gpu().device().create_command_encoder(&Default::default());
        parts.record_part(i, &mut encoder, &from, &to).unwrap();
        gpu().queue().submit([encoder.finish()]);
    }
    assert!(pair.read()[1] == want, "parts");
    let mut encoder = gpu().device().create_command_encoder(&Default::default());
    let beyond = parts.record_part(parts.parts(), &mut encoder, &from, &to).unwrap_err().to_string();
    assert!(beyond.contains("of a run of"), "{beyond}");

    // Two sessions in the memory of one, recorded one after the other in one encoder.
    let maps = Maps::default();
    let shared = options.with_maps(&maps);
    let mut large = Session::new(&network, size, formats, shared.clone()).unwrap();
    let before = maps.allocated_bytes();
    let mut other = Session::new(&network, [40, 30], formats, shared).unwrap();
    assert_eq!(maps.allocated_bytes(), before, "a smaller one takes no maps of its own");
    let small_pair = Pair::new([40, 30], formats, Usages::RENDER_ATTACHMENT, &pixels([40, 30]));
    let mut alone = Session::new(&network, [40, 30], formats, SessionOptions::default()).unwrap();
    let [_, small_want] = small_pair.run(&mut alone, &Frame::default());
    large.prepare(&Frame::default()).unwrap();
    other.prepare(&Frame::default()).unwrap();
    let mut encoder = gpu().device().create_command_encoder(&Default::default());
    let views = [pair.views(), small_pair.views()];
    large.record(&mut encoder, &views[0][0], &views[0][1]).unwrap();
    other.record(&mut encoder, &views[1][0], &views[1][1]).unwrap();
    gpu().queue().submit([encoder.finish()]);
    assert!(pair.read()[1] == want && small_pair.read()[1] == small_want, "shared memory");
}

#[test]
fn sizes_change_and_bytes_are_as_estimated() {
    // Of its own: other tests compile meanwhile.
    let context = Context::new(gpu().device(), gpu().queue(), ContextOptions::default()).unwrap();
    let formats = [TextureFormat::Rgba32Float; 2];
    let network = network(&context);
    let compiled = |context: &Context| context.compiled_kernels();
    let mut session = Session::new(&network, [100, 60], formats, SessionOptions::default()).unwrap();
    let before = compiled(&context);
    let bytes = session.bytes();
    let values = pixels([33, 20]);
    let pair = Pair::new([33, 20], formats, Usages::RENDER_ATTACHMENT, &values);
    session.resize([33, 20]).unwrap();
    assert!(session.bytes() <= bytes && session.size() == [33, 20]);
    let [_, got] = pair.run(&mut session, &Frame::default());
    let mut fresh = Session::new(&network, [33, 20], formats, SessionOptions::default()).unwrap();
    assert!(pair.run(&mut fresh, &Frame::default())[1] == got, "as a session of that size");
    session.resize([100, 60]).unwrap();
    assert_eq!(session.bytes(), bytes, "what was there is used again");
    session.resize([1, 1]).unwrap();
    assert!(session.resize([0, 5]).unwrap_err().to_string().contains("0x5"));

    for size in [[7, 5], [150, 130], [333, 222], [640, 360]] {
        Session::new(&network, size, formats, SessionOptions::default()).unwrap();
    }
    Network::new(&context, weights()).unwrap();
    assert_eq!(compiled(&context), before, "kernels for all sizes are there");

    // Of a GPU's kernels, as the estimate says.
    let tiles: Context = support::gpu_with(sasnet::low_level::kernel::Kernels::Gpu).into();
    let network = self::network(&tiles);
    for (size, memory) in [([33, 20], None), ([320, 200], None), ([64, 301], Some(1_400_000))] {
        let mut options = SessionOptions::default();
        options.max_memory = memory;
        let estimated = estimate(weights(), size, Precision::F32, &options).unwrap();
        let session = Session::new(&network, size, formats, options).unwrap();
        assert_eq!((session.bytes(), session.slabs()), (estimated.bytes, estimated.slabs), "{size:?}");
        assert!(estimated.macs > 0 && estimated.largest_binding < estimated.bytes);
    }
}

#[test]
fn networks_compile_step_by_step_and_on_a_thread() {
    let gpu = gpu();
    let fresh = || Context::new(gpu.device(), gpu.queue(), ContextOptions::default()).unwrap();
    let context = fresh();
    assert_eq!(context.compiled_kernels(), 0, "a context compiles nothing");
    let mut compiling = Network::begin(&context, weights()).unwrap();
    let (mut steps, of) = (1, compiling.progress().1);
    while compiling.step().is_pending() {
        steps += 1;
        assert_eq!(compiling.progress(), (steps - 1, of));
        assert_eq!(context.compiled_kernels(), steps - 1, "one kernel a step");
    }
    assert_eq!(steps, of);
    let context = fresh();
    let pending = Network::spawn(&context, weights());
    let network = pending.wait().unwrap();
    assert_eq!(network.context().compiled_kernels(), of);
}

#[test]
fn a_profiler_hears_of_every_layer() {
    struct Heard(Vec<String>, usize);
    impl Scope for Heard {
        fn begin(&mut self, name: &str, pass: &mut wgpu::ComputePass) {
            pass.push_debug_group(name);
            self.0.push(name.into());
        }
        fn end(&mut self, pass: &mut wgpu::ComputePass) {
            pass.pop_debug_group();
            self.1 += 1;
        }
    }
    let (context, formats) = (context(), [TextureFormat::Rgba8Unorm; 2]);
    let mut session = Session::new(&network(&context), SIZE, formats, SessionOptions::default()).unwrap();
    let pair = Pair::new(SIZE, formats, Usages::RENDER_ATTACHMENT, &pixels(SIZE));
    let [from, to] = pair.views();
    session.prepare(&Frame::default()).unwrap();
    let mut heard = Heard(vec![], 0);
    let mut encoder = gpu().device().create_command_encoder(&Default::default());
    session.record_profiled(&mut encoder, &from, &to, &mut heard).unwrap();
    gpu().queue().submit([encoder.finish()]);
    assert_eq!(heard.0.len(), heard.1);
    assert_eq!(heard.0[0], "load");
    assert!(heard.0.iter().any(|name| name.contains("blocks.1.")), "{:?}", heard.0);
}

#[test]
fn filters_go_the_same_way() {
    let (context, formats) = (context(), [TextureFormat::Rgba32Float; 2]);
    let filter = Filter::new("gf").unwrap();
    let network = Network::new(&context, filter.clone()).unwrap();
    let options = SessionOptions::default().with_transfer(Transfer::Codes);
    let mut session = Session::new(&network, SIZE, formats, options).unwrap();
    let values = pixels(SIZE);
    let [_, got] = Pair::new(SIZE, formats, Usages::RENDER_ATTACHMENT, &values).run(&mut session, &Frame::default());
    let shape = Shape::new(1, 3, SIZE[1] as usize, SIZE[0] as usize);
    let data = (0..3).flat_map(|c| values.iter().map(move |p| p[c] as f32)).collect();
    let want = Smoother::new(filter, Device::Cpu).smooth(&Tensor::new(shape, data), &Options::default()).unwrap();
    for (i, p) in got.iter().enumerate() {
        (0..3).for_each(|c| {
            let want = f64::from(want.data[c * shape.plane() + i]);
            assert!((p[c] - want).abs() < 1e-4, "{} is not {want}", p[c]);
        });
    }
    assert!(session.prepare(&Frame::default().with_noise(1.0)).is_err(), "a filter has no noise");
    let iterated = Network::new(&context, Filter::new("rtv").unwrap()).unwrap();
    fails(Session::new(&iterated, SIZE, formats, SessionOptions::default()), &["iterations", "network"]);
}

/// Fails with all of `says`.
fn fails<T>(result: sasnet::Result<T>, says: &[&str]) {
    let message = result.err().expect(says[0]).to_string();
    says.iter().for_each(|part| assert!(message.contains(part), "{message:?} does not say {part:?}"));
}

#[test]
fn mistakes_are_errors_before_anything_is_recorded() {
    let (adapter, format) = (adapter(), TextureFormat::Rgba8Unorm);
    let own = || open(&adapter, wgpu::Features::empty(), wgpu::Limits::default());
    let [gpu, second] = [own(), own()].map(|(device, queue)| Arc::new(Gpu::from_device(device, queue)));
    let network = network(&gpu.clone().into());
    let host = Host(&gpu);
    let new = |size, formats| Session::new(&network, size, formats, SessionOptions::default());
    fails(new([0, 3], [format; 2]), &["0x3"]);
    fails(new(SIZE, [TextureFormat::Rgba8Uint, format]), &["Rgba8Uint", "floating-point"]);
    fails(new(SIZE, [TextureFormat::Depth32Float, format]), &["Depth32Float"]);
    fails(new(SIZE, [format, TextureFormat::Rgb9e5Ufloat]), &["Rgb9e5Ufloat", "neither"]);
    let hdr = SessionOptions::default().with_transfer(Transfer::LinearHdr { top: 0.0 });
    fails(Session::new(&network, SIZE, [format; 2], hdr), &["HDR", "is 0"]);
    let little = SessionOptions::default().with_max_memory(1000);
    assert!(matches!(Session::new(&network, SIZE, [format; 2], little), Err(Error::TooLarge(_))));

    let mut session = new(SIZE, [format; 2]).unwrap();
    let view = |texture: &wgpu::Texture| texture.create_view(&Default::default());
    let good = view(&host.texture(format, SIZE, Usages::TEXTURE_BINDING));
    let target = view(&host.texture(format, SIZE, Usages::RENDER_ATTACHMENT));
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    fails(session.record(&mut encoder, &good, &target), &["not prepared"]);
    fails(session.prepare(&Frame::default().with_strength(1.5)), &["strength is 1.5"]);
    fails(session.prepare(&Frame::default().with_strength(f32::NAN)), &["strength is NaN"]);
    fails(session.prepare(&Frame::default().with_noise(-1.0)), &["-1"]);
    session.prepare(&Frame::default()).unwrap();
    let other = view(&host.texture(format, [SIZE[0] + 1, SIZE[1]], Usages::TEXTURE_BINDING));
    fails(session.record(&mut encoder, &other, &target), &["read", "38x21", "37x21"]);
    let other = view(&host.texture(format, SIZE, Usages::COPY_DST));
    fails(session.record(&mut encoder, &other, &target), &["read", "usage", "TEXTURE_BINDING"]);
    let other = view(&host.texture(TextureFormat::Rgba16Float, SIZE, Usages::TEXTURE_BINDING));
    fails(session.record(&mut encoder, &other, &target), &["Rgba16Float", "Rgba8Unorm"]);
    fails(session.record(&mut encoder, &good, &good), &["written", "usage"]);
    let both = view(&host.texture(format, SIZE, Usages::TEXTURE_BINDING | Usages::RENDER_ATTACHMENT));
    fails(session.record(&mut encoder, &both, &both), &["give two"]);
    // Of another device.
    let foreign = view(&Host(&second).texture(format, SIZE, Usages::TEXTURE_BINDING));
    fails(session.record(&mut encoder, &foreign, &target), &["the texture that is read"]);
    // The encoder is as good as new.
    session.record(&mut encoder, &good, &target).unwrap();
    gpu.queue().submit([encoder.finish()]);
}

#[test]
fn a_lost_device_is_said_by_everything() {
    let (device, queue) = open(&adapter(), wgpu::Features::empty(), wgpu::Limits::default());
    let context = Context::new(&device, &queue, ContextOptions::default()).unwrap();
    let (network, format) = (network(&context), TextureFormat::Rgba8Unorm);
    let mut session = Session::new(&network, SIZE, [format; 2], SessionOptions::default()).unwrap();
    session.prepare(&Frame::default()).unwrap();
    let texture = |usage| Host(context.gpu()).texture(format, SIZE, usage).create_view(&Default::default());
    let (from, to) = (texture(Usages::TEXTURE_BINDING), texture(Usages::RENDER_ATTACHMENT));
    let mut encoder = device.create_command_encoder(&Default::default());
    context.lost("unplugged");
    let lost = |result: sasnet::Result<()>| match result {
        Err(Error::Lost(why)) => assert!(why.contains("unplugged"), "{why}"),
        other => panic!("{other:?}"),
    };
    lost(session.record(&mut encoder, &from, &to));
    lost(session.prepare(&Frame::default()));
    lost(session.resize([9, 9]));
    lost(Session::new(&network, SIZE, [format; 2], SessionOptions::default()).map(drop));
    lost(Network::new(&context, weights()).map(drop));
}

#[test]
fn requirements_are_enough_and_what_is_missing_is_named() {
    let adapter = adapter();
    let open = |features, limits| open(&adapter, features, limits);
    let size = [1280, 720];
    let needs = requirements(&adapter, weights(), size, Precision::F32).unwrap();
    let (device, queue) = open(needs.features, needs.limits);
    let context = Context::new(&device, &queue, ContextOptions::default()).unwrap();
    let session = Session::new(&network(&context), size, [TextureFormat::Rgba8Unorm; 2], SessionOptions::default());
    assert_eq!(session.unwrap().slabs(), 1);

    let few = wgpu::Limits {
        max_storage_buffers_per_shader_stage: 4,
        max_compute_workgroup_storage_size: 1024,
        ..wgpu::Limits::downlevel_defaults()
    };
    let (device, queue) = open(wgpu::Features::empty(), few);
    let named = ["max_storage_buffers_per_shader_stage is 4, needed: 8", "max_compute_workgroup_storage_size is 1024"];
    fails(Context::new(&device, &queue, ContextOptions::default()), &named);
    let (device, queue) = open(wgpu::Features::empty(), wgpu::Limits::default());
    let half = ContextOptions::default().with_precision(Precision::F16);
    fails(Context::new(&device, &queue, half), &["SHADER_F16"]);
}

#[test]
fn everything_goes_to_other_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Context>();
    shared::<Network>();
    shared::<Session>();
    shared::<Maps>();
}
