//! A picture's size on a host's device: memory, and the recording of runs.

use super::context::padded;
use super::transfer::{Alpha, Transfer};
use super::{Context, Network};
use crate::error::{Error, Result};
use crate::exec::{GpuExecutor, Maps};
use crate::fit::{Cut, CutGraph};
use crate::gpu::{Buffer, Output, Slice, TextureKernels};
use crate::kernel::{Kernels, PARAMS_STRIDE, RunParams};
use crate::plan::{Plan, Target};
use crate::smooth::{Model, Options};
use crate::weights::Precision;
use std::ops::Range;
use std::sync::Arc;
use wgpu::{TextureFormat, TextureUsages};

/// How pictures are smoothed, whatever the frame.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SessionOptions {
    /// What the textures' values mean.
    pub transfer: Transfer,
    /// What alpha means.
    pub alpha: Alpha,
    /// Bytes that the session may take; a picture that would take more goes in slabs of rows, with the same result. None:
    /// what the device has.
    pub max_memory: Option<u64>,
    /// Multiply-accumulates after which a new part begins ([`Session::record_part`]). None: as many as take an integrated
    /// GPU below a second.
    pub part: Option<u64>,
    /// Memory that is shared with other sessions, whose runs do not overlap: all parts of a run are recorded before the
    /// first one of another's. None: its own.
    pub maps: Option<Maps>,
}

impl SessionOptions {
    /// With values that mean this.
    #[must_use]
    pub fn with_transfer(self, transfer: Transfer) -> SessionOptions {
        SessionOptions { transfer, ..self }
    }

    /// With alpha that means this.
    #[must_use]
    pub fn with_alpha(self, alpha: Alpha) -> SessionOptions {
        SessionOptions { alpha, ..self }
    }

    /// In no more than so many bytes.
    #[must_use]
    pub fn with_max_memory(self, bytes: u64) -> SessionOptions {
        SessionOptions { max_memory: Some(bytes), ..self }
    }

    /// In parts of so many multiply-accumulates.
    #[must_use]
    pub fn with_part(self, macs: u64) -> SessionOptions {
        SessionOptions { part: Some(macs), ..self }
    }

    /// With the memory of other sessions.
    #[must_use]
    pub fn with_maps(self, maps: &Maps) -> SessionOptions {
        SessionOptions { maps: Some(maps.clone()), ..self }
    }
}

/// Multiply-accumulates of a part, where nothing else is said: an integrated GPU may reach a tenth of a TFLOP/s.
const PART: u64 = 1 << 35;

/// What may change from frame to frame.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Frame {
    /// How much of the result is smoothed, 0 to 1; the rest is the picture itself.
    pub strength: f32,
    /// Seed of the noise.
    pub seed: u64,
    /// Scale of the noise in z's place; None = the scale that the weights were trained with.
    pub noise: Option<f32>,
}

impl Default for Frame {
    fn default() -> Self {
        Frame { strength: 1.0, seed: 0, noise: None }
    }
}

impl Frame {
    /// With this much of the result.
    #[must_use]
    pub fn with_strength(self, strength: f32) -> Frame {
        Frame { strength, ..self }
    }

    /// With the noise of this seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Frame {
        Frame { seed, ..self }
    }

    /// With noise of this scale.
    #[must_use]
    pub fn with_noise(self, scale: f32) -> Frame {
        Frame { noise: Some(scale), ..self }
    }
}

/// What a session takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Bytes of device memory.
    pub bytes: u64,
    /// Multiply-accumulates of a run.
    pub macs: u64,
    /// Bytes of the largest binding (`wgpu::Limits::max_storage_buffer_binding_size`).
    pub largest_binding: u64,
    /// Slabs of rows.
    pub slabs: usize,
}

/// Says what a session of this size (width, height) takes, without a device. To the byte that of a GPU whose bindings are
/// large enough; kernels for software drivers take some bytes more or less.
///
/// # Errors
/// [`Error::Invalid`] for a size that is no picture's, [`Error::TooLarge`] where `options` leave too little memory.
pub fn estimate(
    model: impl Into<Model>,
    size: [u32; 2],
    precision: Precision,
    options: &SessionOptions,
) -> Result<Estimate> {
    let kernels = if precision == Precision::F16 { Kernels::GpuF16 } else { Kernels::Gpu };
    let target = Target::Gpu { max_binding: u64::MAX, kernels };
    let (cut_graph, plan) = cut(&model.into(), size, target, options)?;
    let slabs = cut_graph.x.len();
    let bindings = plan.steps.iter().flat_map(|step| &step.dispatches).flat_map(|(_, regions)| regions);
    Ok(Estimate {
        bytes: plan.peak_bytes() + params_bytes(slabs),
        macs: plan.macs(),
        largest_binding: bindings.map(|region| region.words() as u64 * 4).max().unwrap_or(0),
        slabs,
    })
}

/// Bytes of the slabs' parameters.
fn params_bytes(slabs: usize) -> u64 {
    (slabs * PARAMS_STRIDE) as u64
}

/// The graph for a size, in as many slabs as the memory asks for.
fn cut(model: &Model, size: [u32; 2], target: Target, options: &SessionOptions) -> Result<(CutGraph, Plan)> {
    let memory = options.max_memory.unwrap_or(u64::MAX);
    Cut::within(model.subject(), padded(model, size)?, target, memory)
}

/// Hears what is recorded, for a host's profiler: each layer of the network, and the ways in and out.
pub trait Scope {
    /// A part begins in this pass.
    fn begin(&mut self, name: &str, pass: &mut wgpu::ComputePass);
    /// It ends.
    fn end(&mut self, pass: &mut wgpu::ComputePass);
}

/// Nobody hears.
impl Scope for () {
    fn begin(&mut self, _: &str, _: &mut wgpu::ComputePass) {}
    fn end(&mut self, _: &mut wgpu::ComputePass) {}
}

/// Memory for pictures of one size, and the recording of runs.
///
/// A run is [`Session::prepare`], then [`Session::record`] or all parts of [`Session::record_part`], then the host's
/// submission; after that the next one.
pub struct Session {
    network: Network,
    formats: [TextureFormat; 2],
    options: SessionOptions,
    kernels: Arc<TextureKernels>,
    maps: Maps,
    built: Built,
    /// The noise's scale and the strength of the next run are on their way.
    prepared: bool,
}

/// What a size needs.
struct Built {
    size: [u32; 2],
    exec: GpuExecutor,
    slabs: Vec<Slab>,
    /// Steps of the plan in each part.
    parts: Vec<Range<usize>>,
    params: Buffer,
}

/// Rows of the padded picture.
struct Slab {
    params: Slice,
    x: Slice,
    y: Slice,
    width: u32,
    first: u32,
    rows: u32,
}

impl Session {
    /// Allocates what pictures of `size` (width, height) take, and writes the weights there. `formats` are those of the
    /// views that are read and written. Compiles the two small kernels for these, and what kernels slabs need.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where the device has not so much, or the options leave too little; [`Error::Invalid`] for a
    /// size that is no picture's, for formats that hold no floating-point values or cannot be written, and for a filter
    /// whose iterations end by a rule; [`Error::Lost`], [`Error::Gpu`] where the device fails.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn new(
        network: &Network,
        size: [u32; 2],
        formats: [TextureFormat; 2],
        options: SessionOptions,
    ) -> Result<Session> {
        network.context.gpu.drive(Session::new_async(network, size, formats, options))
    }

    /// The same, for programs that must not wait, as in a browser.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub async fn new_async(
        network: &Network,
        size: [u32; 2],
        formats: [TextureFormat; 2],
        options: SessionOptions,
    ) -> Result<Session> {
        let gpu = &network.context.gpu;
        check_transfer(options.transfer)?;
        for format in formats {
            check_format(format, gpu.device().features())?;
        }
        let kernels = gpu.texture_kernels_async(formats[1]).await?;
        if ![Output::Draw, Output::Store].into_iter().any(|output| kernels.writes(output)) {
            return Err(Error::Invalid(format!("textures of {:?} can neither be drawn nor stored here", formats[1])));
        }
        let maps = options.maps.clone().unwrap_or_default();
        let built = Built::new(network, size, &options, &maps).await?;
        Ok(Session { network: network.clone(), formats, options, kernels, maps, built, prepared: false })
    }

    /// Changes the size. Memory only grows; kernels stay.
    ///
    /// # Errors
    /// As [`Session::new`]; the session stays as it was.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn resize(&mut self, size: [u32; 2]) -> Result<()> {
        let gpu = self.network.context.gpu.clone();
        gpu.drive(self.resize_async(size))
    }

    /// The same, for programs that must not wait.
    ///
    /// # Errors
    /// As [`Session::resize`].
    pub async fn resize_async(&mut self, size: [u32; 2]) -> Result<()> {
        if size != self.built.size {
            self.built = Built::new(&self.network, size, &self.options, &self.maps).await?;
            self.prepared = false;
        }
        Ok(())
    }

    /// Width and height.
    pub fn size(&self) -> [u32; 2] {
        self.built.size
    }

    /// Bytes on the device, those that it shares included.
    pub fn bytes(&self) -> u64 {
        let persistent = self.built.exec.plan().buffers.iter().filter(|buffer| buffer.persistent);
        let own = persistent.map(|buffer| (buffer.len as u64 * 4).max(4)).sum::<u64>();
        own + self.maps.allocated_bytes() + self.built.exec.recorded_bytes() + self.built.params.size()
    }

    /// Slabs of rows in which pictures are smoothed.
    pub fn slabs(&self) -> usize {
        self.built.slabs.len()
    }

    /// The device.
    pub fn context(&self) -> &Context {
        &self.network.context
    }

    /// Writes what is new in the next run into the queue, ahead of the host's next submission. Without it that run is as
    /// the one before.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a strength that is not from 0 to 1, noise that is not from 0 to
    /// [`crate::low_level::net::MAX_NOISE`], and any noise for a filter; [`Error::Lost`], [`Error::Gpu`] where the device
    /// fails.
    pub fn prepare(&mut self, frame: &Frame) -> Result<()> {
        let Frame { strength, seed, noise } = *frame;
        if !(0.0..=1.0).contains(&strength) {
            return Err(Error::Invalid(format!("the strength is {strength}; give a number from 0 to 1")));
        }
        let noise_scale = self.network.model.noise(&Options { noise, ..Options::default() })?;
        let run_params = RunParams::with_noise(seed, noise_scale);
        let params: Vec<u8> = self.built.slabs.iter().flat_map(|slab| self.params(slab, strength)).collect();
        let gpu = &self.network.context.gpu;
        gpu.checked_now("prepare", || {
            self.built.exec.write_run_params(&run_params);
            gpu.queue().write_buffer(self.built.params.raw(), 0, &params);
        })?;
        self.prepared = true;
        Ok(())
    }

    /// The parameters of a slab.
    fn params(&self, slab: &Slab, strength: f32) -> Vec<u8> {
        let ([width, height], [from, to], transfer) = (self.built.size, self.formats, self.options.transfer);
        let [low, top] = transfer.scale();
        let grey = |format: TextureFormat| usize::from(format.components() == 1);
        let border = self.network.model.padding().border;
        self.kernels.encode(&[
            ("width", (width as usize).into()),
            ("height", (height as usize).into()),
            ("padded_width", (slab.width as usize).into()),
            ("first", (slab.first as usize).into()),
            ("rows", (slab.rows as usize).into()),
            ("border", border.into()),
            ("from_transfer", (transfer.code(from) as usize).into()),
            ("to_transfer", (transfer.code(to) as usize).into()),
            ("from_grey", grey(from).into()),
            ("to_grey", grey(to).into()),
            ("alpha", (self.options.alpha.code() as usize).into()),
            ("strength", strength.into()),
            ("low", low.into()),
            ("top", top.into()),
        ])
    }

    /// Records a run: what stands in `from` then is smoothed into `to`. Never submits, waits, compiles or writes to the
    /// queue.
    ///
    /// `from` is a view of one level and layer of a texture with the usage `TEXTURE_BINDING`, `to` of another one with
    /// `RENDER_ATTACHMENT` (which is then used) or `STORAGE_BINDING`; both of the session's size and formats.
    ///
    /// # Errors
    /// [`Error::Invalid`] where they are not, and before the first [`Session::prepare`]; [`Error::Lost`], [`Error::Gpu`]
    /// where the device fails. Nothing is recorded then.
    pub fn record(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        from: &wgpu::TextureView,
        to: &wgpu::TextureView,
    ) -> Result<()> {
        self.record_steps(0..self.built.exec.plan().steps.len(), [true; 2], encoder, [from, to], &mut ())
    }

    /// The same, and tells the host's profiler.
    ///
    /// # Errors
    /// As [`Session::record`].
    pub fn record_profiled(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        from: &wgpu::TextureView,
        to: &wgpu::TextureView,
        scope: &mut dyn Scope,
    ) -> Result<()> {
        self.record_steps(0..self.built.exec.plan().steps.len(), [true; 2], encoder, [from, to], scope)
    }

    /// Parts in which a run can be recorded: over several frames, below a watchdog's time, or until the host has enough.
    pub fn parts(&self) -> usize {
        self.built.parts.len()
    }

    /// Records part `i` of [`Session::parts`], in their order, whatever lies between two. `from` is read by the first and
    /// the last one, `to` written by the last.
    ///
    /// # Errors
    /// As [`Session::record`], and [`Error::Invalid`] where there is no such part.
    pub fn record_part(
        &self,
        i: usize,
        encoder: &mut wgpu::CommandEncoder,
        from: &wgpu::TextureView,
        to: &wgpu::TextureView,
    ) -> Result<()> {
        let of = self.parts();
        let Some(steps) = self.built.parts.get(i).cloned() else {
            return Err(Error::Invalid(format!("part {i} of a run of {of}")));
        };
        self.record_steps(steps, [i == 0, i + 1 == of], encoder, [from, to], &mut ())
    }

    fn record_steps(
        &self,
        steps: Range<usize>,
        [is_first, is_last]: [bool; 2],
        encoder: &mut wgpu::CommandEncoder,
        [from, to]: [&wgpu::TextureView; 2],
        scope: &mut dyn Scope,
    ) -> Result<()> {
        let (gpu, built) = (&self.network.context.gpu, &self.built);
        gpu.alive()?;
        if !self.prepared {
            return Err(Error::Invalid("the session is not prepared: call prepare once at least".into()));
        }
        let mut inputs = vec![];
        if is_first {
            self.check_view("read", from, self.formats[0], TextureUsages::TEXTURE_BINDING)?;
            inputs = self.kernels.bind_load(gpu, from, built.slabs.iter().map(|slab| (&slab.params, &slab.x)))?;
        }
        let mut outputs = vec![];
        let output = self.output(to);
        if is_last {
            let usage = match output {
                Output::Draw => TextureUsages::RENDER_ATTACHMENT,
                Output::Store => TextureUsages::STORAGE_BINDING,
            };
            self.check_view("read", from, self.formats[0], TextureUsages::TEXTURE_BINDING)?;
            self.check_view("written", to, self.formats[1], usage)?;
            if from.texture() == to.texture() && to.texture().mip_level_count() * layers(to.texture()) == 1 {
                return Err(Error::Invalid("the texture that is written is the one that is read; give two".into()));
            }
            let slabs = built.slabs.iter().map(|slab| (&slab.params, &slab.y));
            outputs = self.kernels.bind_output(gpu, [from, to], output, slabs)?;
        }
        let mut pass =
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("sasnet"), timestamp_writes: None });
        scoped(scope, "load", &mut pass, |pass| {
            for (bindings, slab) in inputs.iter().zip(&built.slabs) {
                self.kernels.load(pass, bindings, [slab.width, slab.rows]);
            }
        });
        for step in steps {
            let name = &built.exec.plan().steps[step].name;
            scoped(scope, name, &mut pass, |pass| built.exec.encode_steps(step..step + 1, pass));
        }
        if output == Output::Store {
            scoped(scope, "store", &mut pass, |pass| {
                for (bindings, slab) in outputs.iter().zip(&built.slabs) {
                    self.kernels.store(pass, bindings, [built.size[0], slab.rows]);
                }
            });
        }
        drop(pass);
        if output == Output::Draw && is_last {
            self.draw(encoder, to, &outputs);
        }
        Ok(())
    }

    /// Draws all slabs into the colour target.
    fn draw(&self, encoder: &mut wgpu::CommandEncoder, to: &wgpu::TextureView, bindings: &[wgpu::BindGroup]) {
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("sasnet"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: to,
                depth_slice: None,
                resolve_target: None,
                // Every pixel is drawn over.
                ops: wgpu::Operations { load: wgpu::LoadOp::Clear(Default::default()), store: wgpu::StoreOp::Store },
            })],
            ..Default::default()
        });
        let ([width, height], border) = (self.built.size, self.network.model.padding().border as u32);
        for (slab, bindings) in self.built.slabs.iter().zip(bindings) {
            let row = |padded: u32| padded.saturating_sub(border).min(height);
            let rows = row(slab.first)..row(slab.first + slab.rows);
            if !rows.is_empty() {
                pass.set_scissor_rect(0, rows.start, width, rows.end - rows.start);
                self.kernels.draw(&mut pass, bindings);
            }
        }
    }

    /// The way in which a view is written.
    fn output(&self, to: &wgpu::TextureView) -> Output {
        let drawn =
            to.texture().usage().contains(TextureUsages::RENDER_ATTACHMENT) && self.kernels.writes(Output::Draw);
        if drawn || !self.kernels.writes(Output::Store) { Output::Draw } else { Output::Store }
    }

    /// Checks what a view says of its texture; what it does not say, wgpu checks.
    fn check_view(
        &self,
        way: &str,
        view: &wgpu::TextureView,
        format: TextureFormat,
        usage: TextureUsages,
    ) -> Result<()> {
        let (texture, [w, h]) = (view.texture(), self.built.size);
        let wrong = |what: String| Err(Error::Invalid(format!("the texture that is {way} {what}")));
        // A view may be of the other one of a format's two colour spaces.
        if texture.format().remove_srgb_suffix() != format.remove_srgb_suffix() {
            return wrong(format!("is {:?}, the session's is {format:?}", texture.format()));
        }
        if !texture.usage().contains(usage) {
            return wrong(format!("has not the usage {usage:?}"));
        }
        if texture.dimension() != wgpu::TextureDimension::D2 || texture.sample_count() != 1 {
            return wrong("is not two-dimensional, or has several samples a pixel".into());
        }
        let size = |level: u32| [texture.width(), texture.height()].map(|side| (side >> level).max(1));
        if !(0..texture.mip_level_count()).any(|level| size(level) == [w, h]) {
            return wrong(format!("is {}x{}, the session's size {w}x{h}", texture.width(), texture.height()));
        }
        Ok(())
    }
}

fn layers(texture: &wgpu::Texture) -> u32 {
    texture.depth_or_array_layers()
}

fn scoped<'e>(
    scope: &mut dyn Scope,
    name: &str,
    pass: &mut wgpu::ComputePass<'e>,
    record: impl FnOnce(&mut wgpu::ComputePass<'e>),
) {
    scope.begin(name, pass);
    record(pass);
    scope.end(pass);
}

impl Built {
    async fn new(network: &Network, size: [u32; 2], options: &SessionOptions, maps: &Maps) -> Result<Built> {
        let Network { context, model } = network;
        let gpu = &context.gpu;
        let (CutGraph { graph, x, y, .. }, plan) = cut(model, size, gpu.target(), options)?;
        let values = graph.params();
        let exec = GpuExecutor::with_maps_async(graph, plan, gpu.clone(), maps).await?;
        if exec.repeats() {
            let message =
                "iterations that end by a rule cannot be recorded: smooth with a network, or a method without";
            return Err(Error::Invalid(message.into()));
        }
        if let Model::Network(weights) = &**model {
            exec.write_async(values, &weights.folded().params).await?;
        }
        exec.pack_async().await?;
        let (params, slices) = gpu.texture_params_async(x.len()).await?;
        let mut first = 0;
        let mut slabs = vec![];
        for ((x, y), params) in x.iter().zip(&y).zip(slices) {
            let shape = exec.graph().shape(*x);
            let (width, rows) = (shape.w as u32, shape.h as u32);
            slabs.push(Slab { params, x: exec.slice(*x)?, y: exec.slice(*y)?, width, first, rows });
            first += rows;
        }
        let parts = parts(exec.plan(), options.part.unwrap_or(PART));
        Ok(Built { size, exec, slabs, parts, params })
    }
}

/// Cuts a plan's steps into parts: a new one begins when the last has `most` multiply-accumulates or more.
fn parts(plan: &Plan, most: u64) -> Vec<Range<usize>> {
    let (mut parts, mut first, mut macs) = (vec![], 0, 0);
    for (i, step) in plan.steps.iter().enumerate() {
        macs += step.macs;
        if macs >= most {
            parts.push(first..i + 1);
            (first, macs) = (i + 1, 0);
        }
    }
    if first < plan.steps.len() || parts.is_empty() {
        parts.push(first..plan.steps.len());
    }
    parts
}

fn check_transfer(transfer: Transfer) -> Result<()> {
    match transfer {
        Transfer::LinearHdr { top } if !(top > 0.0 && top.is_finite()) => {
            Err(Error::Invalid(format!("the largest HDR value is {top}; give a number above 0")))
        }
        _ => Ok(()),
    }
}

fn check_format(format: TextureFormat, features: wgpu::Features) -> Result<()> {
    match format.sample_type(None, Some(features)) {
        Some(wgpu::TextureSampleType::Float { .. }) => Ok(()),
        _ => Err(Error::Invalid(format!("textures of {format:?} hold no floating-point values"))),
    }
}
