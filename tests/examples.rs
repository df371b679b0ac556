//! What the examples show holds.

#[path = "../examples/frames.rs"]
#[allow(dead_code)] // its main
mod frames;
mod support;

use frames::host_wgpu::{self, Host};
use sasnet::embed::{Context, Network, Session, SessionOptions};
use sasnet::wgpu::TextureFormat::Rgba8UnormSrgb;
use sasnet::{Device, Options, Shape, Smoother, Tensor, Weights};

/// `host_wgpu`: what it smooths in its frame is what `Smoother` makes of the same pixels, to 1 of 255.
#[test]
fn a_frame_is_smoothed_as_a_picture_is() {
    support::short_vectors();
    let host = Host::new([65, 47], [Rgba8UnormSrgb; 2]).unwrap();
    let mut session = host_wgpu::smoother(&host).unwrap();
    host_wgpu::frame(&host, &mut session, 3).unwrap();
    let (scene, got) = (host.read(&host.scene), host.read(&host.smooth));
    let codes = (0..3).flat_map(|c| scene.chunks_exact(4).map(move |p| f32::from(p[c]) / 255.0)).collect();
    let picture = Tensor::new(Shape::new(1, 3, 47, 65), codes);
    let want = Smoother::new(Weights::builtin(), Device::Cpu).smooth(&picture, &Options::default()).unwrap();
    let mut changed = 0;
    for (i, p) in got.chunks_exact(4).enumerate() {
        for c in 0..3 {
            let want = 255.0 * want.data[c * 65 * 47 + i];
            let distance = (f32::from(p[c]) - want).abs();
            assert!(distance <= 1.0, "pixel {i}: {} is not {want}", p[c]);
            changed += usize::from(p[c].abs_diff(scene[4 * i + c]) > 8);
        }
        assert_eq!(p[3], 255);
    }
    assert!(changed > 65 * 47 / 4, "the scene has texture, which goes: {changed}");
}

/// `frames`: smoothed frames flicker less than the scene, and noise that is new in each frame makes it worse.
#[test]
fn smoothed_frames_flicker_less() {
    support::short_vectors();
    let host = Host::new([320, 240], [Rgba8UnormSrgb; 2]).unwrap();
    let context = Context::new(&host.device, &host.queue, Default::default()).unwrap();
    let flicker = frames::ways().map(|(model, _, settings)| {
        let network = Network::new(&context, Weights::model(model).unwrap()).unwrap();
        let mut session = Session::new(&network, [320, 240], [Rgba8UnormSrgb; 2], SessionOptions::default()).unwrap();
        frames::run(&host, &mut session, 2, settings).unwrap()
    });
    println!("{flicker:?}");
    let [small, soft, same, new] = flicker;
    assert!(small[1] < 0.5 * small[0] && soft[1] < 0.5 * soft[0], "{small:?} {soft:?}");
    assert!(new[1] > same[1], "{same:?} {new:?}");
}
