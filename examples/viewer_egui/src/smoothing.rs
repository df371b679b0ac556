//! Smoothing away from the window's thread: kernels for the window's own device, or all of it on another one.

use eframe::egui;
use sasnet::embed::{Context, Network, Session, SessionOptions};
use sasnet::wgpu::{self, TextureFormat};
use sasnet::{Device, Error, Filter, Model, Observer, Options, Progress, Result, Smoother, Tensor, Weights};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

/// Format of the textures: codes, as files have them.
pub const FORMAT: TextureFormat = TextureFormat::Rgba8Unorm;

/// The models, then the filters.
pub fn methods() -> Vec<&'static str> {
    let models = sasnet::low_level::weights::MODELS.iter().map(|(name, _)| *name);
    models.chain(Filter::methods().iter().map(|method| method.name)).collect()
}

fn model(name: &str) -> Result<Model> {
    Ok(match Weights::model(name) {
        Some(weights) => weights.into(),
        None => Filter::new(name)?.into(),
    })
}

/// Where a picture is smoothed.
#[derive(Clone, PartialEq)]
pub enum Place {
    /// On the window's device, from texture to texture.
    Window,
    /// On a device of its own, by its name in [`Device::open`].
    Own(String),
}

/// What a job sends.
pub enum Message {
    /// So much of it is done, 0 to 1, and what it does.
    Progress(f32, &'static str),
    /// Kernels and memory on the window's device, which the window runs.
    Session(Box<Session>),
    /// The smoothed picture (1, 3, H, W).
    Picture(Tensor),
    /// It failed.
    Failed(Error),
}

/// A job on a thread; dropping it ends it soon.
pub struct Job {
    messages: mpsc::Receiver<Message>,
    stop: Arc<AtomicBool>,
    pub began: Instant,
}

impl Drop for Job {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Job {
    /// Starts smoothing a picture by a method; the window is redrawn when there is news.
    pub fn start(
        window: egui::Context,
        device: (wgpu::Device, wgpu::Queue),
        place: Place,
        method: &'static str,
        picture: Arc<Tensor>,
    ) -> Job {
        let (sender, messages) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        std::thread::spawn(move || {
            let say = |message| {
                let _ = sender.send(message);
                window.request_repaint();
            };
            let result = match &place {
                Place::Window => session(&device, method, &picture, &stopped, &say),
                Place::Own(name) => smoothed(name, method, &picture, &stopped, &say),
            };
            match result {
                Ok(message) => say(message),
                Err(error) => say(Message::Failed(error)),
            }
        });
        Job { messages, stop, began: Instant::now() }
    }

    /// What it has sent since.
    pub fn news(&self) -> Vec<Message> {
        self.messages.try_iter().collect()
    }
}

/// Compiles kernels and makes memory on the window's device.
fn session(
    (device, queue): &(wgpu::Device, wgpu::Queue),
    method: &str,
    picture: &Tensor,
    stop: &AtomicBool,
    say: &dyn Fn(Message),
) -> Result<Message> {
    let context = Context::new(device, queue, Default::default())?;
    let mut compiling = Network::begin(&context, model(method)?)?;
    let network = loop {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        let (done, of) = compiling.progress();
        say(Message::Progress(done as f32 / of.max(1) as f32, "compiling kernels"));
        if let std::task::Poll::Ready(network) = compiling.step() {
            break network?;
        }
    };
    let size = [picture.shape.w as u32, picture.shape.h as u32];
    let session = Session::new(&network, size, [FORMAT; 2], SessionOptions::default());
    Ok(Message::Session(Box::new(session?)))
}

/// Smooths on a device of its own.
fn smoothed(name: &str, method: &str, picture: &Tensor, stop: &AtomicBool, say: &dyn Fn(Message)) -> Result<Message> {
    struct Watch<'a>(&'a AtomicBool, &'a dyn Fn(Message));
    impl Observer for Watch<'_> {
        fn observe(&mut self, progress: &Progress) -> ControlFlow<()> {
            if let Progress::Smoothing { part } = progress {
                self.1(Message::Progress(*part as f32, "smoothing"));
            }
            if self.0.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    let mut smoother = Smoother::new(model(method)?, Device::open(Some(name))?);
    let result = smoother.smooth_observed(picture, &Options::default(), &mut Watch(stop, say));
    Ok(Message::Picture(result?))
}
