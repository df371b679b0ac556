//! The face for programs that wait: each function of the asynchronous core, run to its end on this thread.
//!
//! Only here is anything blocked on or polled for. A browser, which allows neither, uses the core.

use super::{Adapter, Buffer, Command, Gpu, GpuOptions, Recorded, Slice};
use crate::error::{Error, Result};
use crate::kernel::{Kernels, RunParams};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// How long another thread that polls the device may take to hand over an answer that it has. Not for ever: the waiting
/// function may have been called by that thread.
const ANSWER: Duration = Duration::from_secs(10);

/// The adapters of this machine, real GPUs first.
pub fn list_adapters() -> Vec<Adapter> {
    pollster::block_on(super::list_adapters_async())
}

/// The adapters with the kernels that each can run, the one chosen by itself first.
pub fn list_kernels() -> Vec<(Adapter, Vec<Kernels>)> {
    pollster::block_on(super::list_kernels_async())
}

impl Gpu {
    /// Opens a device ([`Gpu::open_async`]).
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] for an unknown name of kernels, [`crate::Error::Gpu`] where there is no such adapter,
    /// where it cannot run these kernels, or where it fails.
    pub fn open(options: &GpuOptions) -> Result<Gpu> {
        pollster::block_on(Gpu::open_async(options))
    }

    /// Makes a buffer ([`Gpu::buffer_async`]).
    pub fn buffer(&self, label: &str, bytes: u64) -> Result<Buffer> {
        self.drive(self.buffer_async(label, bytes))
    }

    /// Copies numbers to the start of a slice.
    pub fn write(&self, slice: &Slice, data: &[f32]) -> Result<()> {
        self.drive(self.write_async(slice, data))
    }

    /// Copies slices, each to one of its size.
    pub fn copy(&self, slices: &[[Slice; 2]]) -> Result<()> {
        self.drive(self.copy_async(slices))
    }

    /// Waits for all work and reads slices back.
    pub fn read(&self, slices: &[Slice]) -> Result<Vec<Vec<f32>>> {
        self.drive(self.read_async(slices))
    }

    /// Builds what commands need ([`Gpu::record_async`]).
    pub fn record(&self, commands: &[Command]) -> Result<Recorded> {
        self.drive(self.record_async(commands))
    }

    /// Waits until the device has done all that it was given.
    pub fn wait(&self) -> Result<()> {
        let done = self.device.poll(wgpu::PollType::wait_indefinitely());
        done.map(|_| ()).map_err(|e| self.failure("waiting", &e.to_string()))
    }

    /// Runs a future of the core to its end, and the device meanwhile.
    pub(crate) fn drive<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        let mut future = pin!(future);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        let mut end = None;
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return value.map_err(|error| self.with_loss(error));
            }
            self.wait()?;
            if woken.0.swap(false, Ordering::Relaxed) {
                // An answer came; the next one has its own time.
                end = None;
                continue;
            }
            // The work is done, but where a host's thread polls the device, too, it may be that thread which brings the
            // answer.
            if Instant::now() > *end.get_or_insert_with(|| Instant::now() + ANSWER) {
                return Err(self.failure("waiting", "no answer"));
            }
            std::thread::yield_now();
        }
    }
}

/// Hears that a future can go on.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Gpu {
    /// Says that the device was lost, where that is why something failed: wgpu tells so only when it is polled next.
    fn with_loss(&self, error: Error) -> Error {
        let Error::Gpu(message) = error else { return error };
        // Only where all work is done; that this fails, too, is no news.
        let _ = self.device.poll(wgpu::PollType::wait_indefinitely());
        match self.lost.lock().unwrap().as_ref() {
            Some(lost) => Error::Lost(format!("{message}: {lost}")),
            _ => Error::Gpu(message),
        }
    }
}

impl Recorded {
    /// Runs all dispatches ([`Recorded::run_async`]).
    pub fn run(&self, gpu: &Gpu, run: &RunParams) -> Result<()> {
        gpu.drive(self.run_async(gpu, run))
    }

    /// Runs all dispatches, and says after each submission of many ([`Recorded::run_observed_async`]).
    pub fn run_observed(&self, gpu: &Gpu, run: &RunParams, each: &mut dyn FnMut(f64) -> Result<()>) -> Result<()> {
        gpu.drive(self.run_observed_async(gpu, run, each))
    }

    /// Puts all dispatches into a pass of the host's ([`Recorded::record_into_async`]).
    pub fn record_into(&self, gpu: &Gpu, run: &RunParams, pass: &mut wgpu::ComputePass) -> Result<()> {
        gpu.drive(self.record_into_async(gpu, run, pass))
    }

    /// Records what [`Recorded::run`] submits, and drops it ([`Recorded::encode_async`]).
    pub fn encode(&self, gpu: &Gpu) -> Result<()> {
        gpu.drive(self.encode_async(gpu))
    }

    /// Runs all dispatches, waits, and returns the seconds of each group ([`Recorded::profile_async`]).
    pub fn profile(&self, gpu: &Gpu, run: &RunParams, groups: &[usize]) -> Result<Option<Vec<f64>>> {
        gpu.drive(self.profile_async(gpu, run, groups))
    }
}
