//! Device memory: buffers, ranges of them, and what goes in and out.

use super::Gpu;
use crate::error::{Error, Limit, Result, TooLarge};
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

/// Device memory; a clone is the same memory.
#[derive(Clone, Debug)]
pub struct Buffer(Arc<Memory>);

#[derive(Debug)]
struct Memory {
    raw: wgpu::Buffer,
    /// Bytes to give back to the count on drop; `None` for a host's buffer.
    counted: Option<Arc<AtomicU64>>,
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(allocated) = &self.counted {
            allocated.fetch_sub(self.raw.size(), Ordering::Relaxed);
            // A browser's wgpu only forgets a buffer, whose memory would stay until JavaScript collects its garbage.
            #[cfg(target_arch = "wasm32")]
            self.raw.destroy();
        }
    }
}

impl Buffer {
    /// Uses a buffer that the host made, which needs the usages STORAGE, COPY_SRC and COPY_DST. It is not counted.
    pub fn from_raw(raw: wgpu::Buffer) -> Buffer {
        Buffer(Arc::new(Memory { raw, counted: None }))
    }

    /// wgpu's buffer.
    pub fn raw(&self) -> &wgpu::Buffer {
        &self.0.raw
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.0.raw.size()
    }

    /// All of it.
    pub fn slice(&self) -> Slice {
        Slice { buffer: self.clone(), offset: 0, size: self.size() }
    }
}

/// A range of a [`Buffer`].
#[derive(Clone, Debug)]
pub struct Slice {
    /// The memory.
    pub buffer: Buffer,
    /// First byte; a multiple of [`Gpu::offset_alignment`] where a kernel uses it.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

impl Gpu {
    /// Makes a buffer of `bytes` (at least 4, rounded up to words) for kernels, zeroed.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where the device has not so much, [`Error::Gpu`] where it fails.
    pub async fn buffer_async(&self, label: &str, bytes: u64) -> Result<Buffer> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let size = bytes.max(4).checked_next_multiple_of(4);
        let size = size.ok_or_else(|| TooLarge::new(format!("the buffer {label}"), Limit::Device, bytes, 0))?;
        self.counted_buffer(label, size, usage).await
    }

    pub(super) async fn counted_buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<Buffer> {
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let what = || format!("buffer {label:?} of {size} bytes");
        let raw = self.checked(what, || self.device.create_buffer(&descriptor)).await?;
        self.allocated.fetch_add(size, Ordering::Relaxed);
        Ok(Buffer(Arc::new(Memory { raw, counted: Some(self.allocated.clone()) })))
    }

    /// Copies numbers to the start of a slice.
    ///
    /// # Errors
    /// [`Error::Invalid`] where they are more than the slice holds, or the slice is not this device's.
    pub async fn write_async(&self, slice: &Slice, data: &[f32]) -> Result<()> {
        self.check(slice)?;
        let bytes = size_of_val(data) as u64;
        if bytes > slice.size {
            return Err(Error::Invalid(format!("{bytes} bytes for a slice of {}", slice.size)));
        }
        self.checked(|| "upload".into(), || self.upload(slice, data)).await
    }

    /// Queues an upload; for use within error scopes.
    pub(super) fn upload(&self, slice: &Slice, data: &[f32]) {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        self.queue.write_buffer(slice.buffer.raw(), slice.offset, bytes);
    }

    /// Checks that a slice lies in its buffer, and that the buffer is this device's, as far as anybody can know: a
    /// host's own does not say.
    fn check(&self, slice: &Slice) -> Result<()> {
        let Slice { buffer, offset, size } = slice;
        if offset.checked_add(*size).is_none_or(|end| end > buffer.size()) {
            let all = buffer.size();
            return Err(Error::Invalid(format!("a slice of {size} bytes from {offset} on of a buffer of {all}")));
        }
        match &buffer.0.counted {
            Some(counted) if !Arc::ptr_eq(counted, &self.allocated) => {
                Err(Error::Invalid("the buffer was made by another device".into()))
            }
            _ => Ok(()),
        }
    }

    /// Copies slices, each to one of its size.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the sizes of two differ, or a slice is not this device's.
    pub async fn copy_async(&self, slices: &[[Slice; 2]]) -> Result<()> {
        for [from, to] in slices {
            self.check(from)?;
            self.check(to)?;
            if from.size != to.size {
                return Err(Error::Invalid(format!("a copy of {} bytes to {}", from.size, to.size)));
            }
        }
        if slices.is_empty() {
            return Ok(());
        }
        let copy = || {
            let mut encoder = self.device.create_command_encoder(&Default::default());
            for [from, to] in slices {
                copy(&mut encoder, from, to);
            }
            self.queue.submit([encoder.finish()]);
        };
        self.checked(|| "copy".into(), copy).await
    }

    /// Reads slices back when all work is done. On a native device somebody must poll it meanwhile, as [`Gpu::read`]
    /// does.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a slice is not this device's, [`Error::Gpu`] where the device fails.
    pub async fn read_async(&self, slices: &[Slice]) -> Result<Vec<Vec<f32>>> {
        slices.iter().try_for_each(|slice| self.check(slice))?;
        let bytes = slices.iter().map(|s| s.size).sum::<u64>();
        if bytes == 0 {
            return Ok(vec![Vec::new(); slices.len()]);
        }
        // Taken for this read, so that another one meanwhile makes its own; a smaller one is freed before this is made.
        let kept = self.staging.lock().unwrap().take().filter(|staging| staging.size() >= bytes);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = match kept {
            Some(staging) => staging,
            None => self.counted_buffer("read-back", bytes, usage).await?,
        };
        let raw = staging.raw();
        let mapping = Arc::new(Answer::default());
        let begin = || {
            let mut encoder = self.device.create_command_encoder(&Default::default());
            let mut at = 0;
            for slice in slices {
                copy(&mut encoder, slice, &Slice { buffer: staging.clone(), offset: at, size: slice.size });
                at += slice.size;
            }
            self.queue.submit([encoder.finish()]);
            let mapping = mapping.clone();
            raw.map_async(wgpu::MapMode::Read, 0..bytes, move |result| mapping.set(result));
        };
        self.checked(|| "read back".into(), begin).await?;
        mapping.get().await.map_err(|e| self.failure("read back", &e.to_string()))?;
        let view = raw.get_mapped_range(0..bytes).map_err(|e| self.failure("read back", &e.to_string()))?;
        let mut rest: &[u8] = &view;
        let mut out = Vec::with_capacity(slices.len());
        for slice in slices {
            let (head, tail) = rest.split_at(slice.size as usize);
            out.push(bytemuck::pod_collect_to_vec(head));
            rest = tail;
        }
        drop(view);
        raw.unmap();
        *self.staging.lock().unwrap() = Some(staging);
        Ok(out)
    }
}

fn copy(encoder: &mut wgpu::CommandEncoder, from: &Slice, to: &Slice) {
    encoder.copy_buffer_to_buffer(from.buffer.raw(), from.offset, to.buffer.raw(), to.offset, from.size);
}

/// The answer of a callback, as a future.
pub(super) struct Answer<T>(Mutex<(Option<T>, Option<Waker>)>);

impl<T> Default for Answer<T> {
    fn default() -> Self {
        Answer(Mutex::new((None, None)))
    }
}

impl<T> Answer<T> {
    pub(super) fn set(&self, answer: T) {
        let waker = {
            let mut state = self.0.lock().unwrap();
            state.0 = Some(answer);
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) async fn get(&self) -> T {
        poll_fn(|context| {
            let mut state = self.0.lock().unwrap();
            if let Some(answer) = state.0.take() {
                return Poll::Ready(answer);
            }
            state.1 = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}
