//! A moving scene, frame by frame: milliseconds a frame, and how much still parts flicker, as they are drawn and as they
//! are smoothed, without noise, with the same noise in each frame, and with new noise:
//! `cargo run --release --example frames -- FRAMES`

#[path = "host_wgpu.rs"]
#[allow(dead_code)] // its main
pub mod host_wgpu;

use host_wgpu::Host;
use sasnet::embed::{Context, Frame, Network, Session, SessionOptions};
use sasnet::wgpu::{self, TextureFormat};
use sasnet::{Result, Weights};
use std::time::Instant;

const SIZE: [u32; 2] = [320, 240];
const FORMATS: [TextureFormat; 2] = [TextureFormat::Rgba8UnormSrgb; 2];

/// Columns that the moving disc does not reach.
const STILL: usize = 260;

/// Mean distance between still pixels of two frames, of 255.
fn flicker(before: &[u8], after: &[u8]) -> f64 {
    let still = |pixels: &[u8]| -> Vec<u8> {
        let lines = pixels.chunks_exact(4 * SIZE[0] as usize);
        lines.flat_map(|line| line[4 * STILL..].chunks_exact(4).flat_map(|p| p[..3].to_vec())).collect()
    };
    let (before, after) = (still(before), still(after));
    let sum: u64 = before.iter().zip(&after).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / before.len() as f64
}

/// Smooths `frames` frames, the settings of each of which `settings` says; returns the flicker of the scene and of the
/// result, and the milliseconds of a frame.
pub fn run(host: &Host, session: &mut Session, frames: u32, settings: impl Fn(u32) -> Frame) -> Result<[f64; 3]> {
    let [from, to] = [&host.scene, &host.smooth].map(|texture| texture.create_view(&Default::default()));
    let mut last: Option<[Vec<u8>; 2]> = None;
    let mut sums = [0.0; 3];
    for t in 0..frames {
        let start = Instant::now();
        let mut encoder = host.device.create_command_encoder(&Default::default());
        host.draw(&mut encoder, t);
        session.prepare(&settings(t))?;
        session.record(&mut encoder, &from, &to)?;
        host.queue.submit([encoder.finish()]);
        host.device.poll(wgpu::PollType::wait_indefinitely()).expect("the device works");
        sums[2] += start.elapsed().as_secs_f64() * 1e3;
        let now = [host.read(&host.scene), host.read(&host.smooth)];
        if let Some(last) = last.replace(now.clone()) {
            (0..2).for_each(|i| sums[i] += flicker(&last[i], &now[i]));
        }
    }
    let pairs = f64::from(frames.max(2) - 1);
    Ok([sums[0] / pairs, sums[1] / pairs, sums[2] / f64::from(frames.max(1))])
}

/// A way in which a scene is smoothed: model, name, settings of frame t.
pub type Way = (&'static str, &'static str, fn(u32) -> Frame);

/// All of them.
pub fn ways() -> [Way; 4] {
    [
        ("small", "no noise", |_| Frame::default()),
        ("soft", "no noise", |_| Frame::default().with_noise(0.0)),
        ("soft", "noise 1, the same in each frame", |_| Frame::default().with_noise(1.0)),
        ("soft", "noise 1, new in each frame", |t| Frame::default().with_noise(1.0).with_seed(t.into())),
    ]
}

fn main() -> Result<()> {
    env_logger::init();
    let frames = std::env::args().nth(1).map_or(8, |frames| frames.parse().expect("FRAMES is a number"));
    let host = Host::new(SIZE, FORMATS)?;
    let context = Context::new(&host.device, &host.queue, Default::default())?;
    println!("{}, {}x{}, {frames} frames", host.device.adapter_info().name, SIZE[0], SIZE[1]);
    println!("| model | noise | ms a frame | still parts flicker by, of 255 |\n|---|---|---|---|");
    for (i, (model, name, settings)) in ways().into_iter().enumerate() {
        let network = Network::new(&context, Weights::model(model).expect("it is shipped"))?;
        let mut session = Session::new(&network, SIZE, FORMATS, SessionOptions::default())?;
        let [scene, smooth, ms] = run(&host, &mut session, frames, settings)?;
        if i == 0 {
            println!("| | the scene as it is drawn | | {scene:.2} |");
        }
        println!("| {model} | {name} | {ms:.1} | {smooth:.2} |");
    }
    Ok(())
}
