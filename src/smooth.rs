//! Smooths pictures of any size: pads them by reflection, runs it, crops and clips, alone or as an ensemble of
//! eight. What memory it may take decides whether a picture goes through the network whole or in slabs of rows.

use crate::error::{Error, Limit, Result, TooLarge};
use crate::exec::{Device, Executor};
#[cfg(feature = "cpu")]
use crate::exec::{available_memory, release_memory, resident_memory};
use crate::filters::Filter;
use crate::fit::{Cut, CutGraph, MOST_PIXELS, Subject};
use crate::geometry::{Flip, Padding};
use crate::graph::Value;
use crate::kernel::RunParams;
use crate::net::Network;
use crate::observer::{Observer, Progress, tell};
use crate::ops::Graph;
use crate::plan::Plan;
use crate::tensor::{Shape, Tensor};
use crate::upsample::{shrink, upsample};
use crate::weights::Weights;

mod options;

pub use options::{MAX_TEXTURE_SIZE, Options};

/// Pixels of reflection that the network sees around a picture, cropped afterwards. Its convolutions see zeros beyond, black
/// that is not there: without a border the shipped model frames a white picture by a coloured line, off by up to 16 of 255 (a
/// black one by 20), with one of 2 pixels by 4 (5), of 8 by 1 (3), of 16 by 0 (2). Each costs 8 pixels' time: 7 % of 512x384.
pub const BORDER: usize = 8;

/// What smooths: a network with its weights, or a classical filter.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Model {
    /// A network.
    Network(Weights),
    /// A filter, which has no noise, and whose eight flips and rotations have no mean of their own.
    Filter(Filter),
}

impl From<Weights> for Model {
    fn from(weights: Weights) -> Model {
        Model::Network(weights)
    }
}

impl From<Filter> for Model {
    fn from(filter: Filter) -> Model {
        Model::Filter(filter)
    }
}

impl Model {
    /// What it is as far as memory goes.
    pub(crate) fn subject(&self) -> &dyn Subject {
        match self {
            Model::Network(weights) => &weights.network,
            Model::Filter(filter) => filter,
        }
    }

    /// How a picture is padded for it.
    pub(crate) fn padding(&self) -> Padding {
        match self {
            Model::Network(weights) => Padding { border: BORDER, multiple: weights.network.scale() },
            // Each has borders of its own.
            Model::Filter(_) => Padding { border: 0, multiple: 1 },
        }
    }

    /// Scale of the noise of a pass; fails where these options are not for it.
    pub(crate) fn noise(&self, options: &Options) -> Result<f32> {
        match self {
            Model::Network(weights) => {
                let noise = options.noise.map_or_else(|| weights.noise(), Ok)?;
                if options.noise.is_some() {
                    weights.network.check_noise(noise)?;
                }
                Ok(noise)
            }
            Model::Filter(filter) if options.noise.is_some() || options.ensemble => {
                let name = filter.method().name;
                Err(Error::Invalid(format!("the method {name} is a filter, which takes no noise and no ensemble")))
            }
            Model::Filter(_) => Ok(0.0),
        }
    }
}

/// A network or a filter on a device, ready for pictures of any size. Keeps what it built for the last two sizes, a
/// picture and its rotation, and for what finishes results.
pub struct Smoother {
    /// What smooths, and what smooths its result once more.
    stages: Vec<Model>,
    device: Device,
    max_memory: Option<u64>,
    #[cfg_attr(not(feature = "cpu"), expect(dead_code))]
    max_process_memory: Option<u64>,
    /// Bytes for what the process itself has from its first picture on, or when it has it, for what comes later.
    own: u64,
    built: Vec<Built>,
}

/// Bytes a pixel of a picture beside the network on the CPU: as it is read, f32, and as the result, which becomes codes
/// and a file when the first is no longer needed.
const BESIDE: u64 = 32;

/// Those of another stage, which has the result of the one before at hand, too.
const BESIDE_FINISH: u64 = 12;

/// Bytes that threads, their stacks and plans take from the first picture on: without them it would get more memory
/// than a second one of its size.
const OWN: u64 = 12_000_000;
/// Bytes that it takes later, as nobody foresees: the program's own pages as they are read, and holes in the heap.
const UNFORESEEN: u64 = 6_000_000;

/// The stage that is the network, or the filter in its place.
const MODEL: usize = 0;
/// The stage that finishes its result.
const FINISH: usize = 1;

struct Built {
    stage: usize,
    shape: Shape,
    exec: Executor,
    x: Vec<Value>,
    y: Vec<Value>,
    cut: Cut,
}

/// Tells an observer how much of a picture is smoothed, in pixels that are.
struct Watch<'a> {
    observer: &'a mut dyn Observer,
    /// Of the passes that are done, of the one that runs, and of all.
    done: usize,
    pass: usize,
    of: usize,
}

impl Watch<'_> {
    /// So much of the pass that runs is done.
    fn tell(&mut self, part: f64) -> Result<()> {
        let part = (self.done as f64 + part * self.pass as f64) / self.of as f64;
        tell(self.observer, Progress::Smoothing { part })
    }
}

/// Height and width of a picture that is smaller by this factor.
fn smaller(shape: Shape, factor: f32) -> [usize; 2] {
    [shape.h, shape.w].map(|side| ((side as f32 / factor).round() as usize).max(1))
}

impl Smoother {
    /// Puts weights, or a filter, to use on a device.
    pub fn new(model: impl Into<Model>, device: Device) -> Smoother {
        let stages = vec![model.into()];
        Smoother { stages, device, max_memory: None, max_process_memory: None, own: OWN, built: vec![] }
    }

    /// Smooths each result once more by a filter: by a weak one, the faint unevenness that a network leaves
    /// ([`Filter::finish`]; None: by none). With an ensemble that is done once, to the mean.
    #[must_use]
    pub fn with_finish(mut self, filter: impl Into<Option<Filter>>) -> Smoother {
        self.stages.truncate(FINISH);
        self.stages.extend(filter.into().map(Model::Filter));
        Smoother { built: vec![], ..self }
    }

    /// What smooths each result once more.
    pub fn finish(&self) -> Option<&Filter> {
        match self.stages.get(FINISH) {
            Some(Model::Filter(filter)) => Some(filter),
            _ => None,
        }
    }

    /// Takes no more than this many bytes of the device's memory (None: what it has). With the CPU that is beside the
    /// picture itself.
    #[must_use]
    pub fn with_max_memory(self, max_memory: Option<u64>) -> Smoother {
        Smoother { max_memory, built: vec![], ..self }
    }

    /// With the CPU, lets the whole process take no more than this many bytes, pictures included (None: what there is).
    /// Where the system does not tell what a process has (it does on Linux), all but the pictures and the network is
    /// not counted.
    #[must_use]
    pub fn with_max_process_memory(self, max_process_memory: Option<u64>) -> Smoother {
        Smoother { max_process_memory, built: vec![], ..self }
    }

    /// How the last picture was cut, and the plan that it ran by, but for what finished it.
    pub fn last_plan(&self) -> Option<(Cut, &Plan)> {
        self.built.iter().rfind(|b| b.stage == MODEL).map(|b| (b.cut, b.exec.plan()))
    }

    /// Replaces the weights by others of the same network, flat.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are not as many, or it is a filter, which has none.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn set_params(&mut self, params: &[f32]) -> Result<()> {
        let Model::Network(weights) = &mut self.stages[MODEL] else {
            return Err(Error::Invalid("a filter has no weights to replace".into()));
        };
        weights.network.layout().check_params(params)?;
        weights.params.copy_from_slice(params);
        let folded = weights.folded();
        let value = Graph::new(folded.network.layout()).params();
        let mut built = self.built.iter_mut().filter(|b| b.stage == MODEL);
        built.try_for_each(|b| b.exec.write(value, &folded.params))
    }

    /// Bytes allocated on the device for what is built.
    pub fn allocated_bytes(&self) -> u64 {
        self.built.iter().map(|b| b.exec.allocated_bytes()).sum()
    }

    /// The weights in use; a filter has none.
    pub fn weights(&self) -> Option<&Weights> {
        match &self.stages[MODEL] {
            Model::Network(weights) => Some(weights),
            Model::Filter(_) => None,
        }
    }

    /// The device that it runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Checks that a picture of `h` x `w` fits: to be asked before it is decoded. Allocates nothing.
    ///
    /// # Errors
    /// [`Error::TooLarge`] with the largest size of this shape that fits the device.
    pub fn check(&self, h: usize, w: usize) -> Result<()> {
        self.check_within(h, w, self.memory(0))
    }

    fn check_within(&self, h: usize, w: usize, memory: u64) -> Result<()> {
        if h == 0 || w == 0 || h.saturating_mul(w) > MOST_PIXELS {
            return Err(Error::Invalid(format!("the picture is {w}x{h}; give 1 to {MOST_PIXELS} pixels")));
        }
        let fits = |stage| self.fits(stage, h, w, memory).map_err(|error| self.too_large(stage, h, w, memory, error));
        (MODEL..self.stages.len()).try_for_each(fits)
    }

    /// The same, and makes room: frees what is built for other pictures where this one, which is read next, would not
    /// fit beside it.
    ///
    /// # Errors
    /// As [`Smoother::check`].
    pub fn make_room(&mut self, h: usize, w: usize) -> Result<()> {
        let memory = self.memory(0);
        if let Err(error) = self.check_within(h, w, memory) {
            if self.built.is_empty() {
                return Err(error);
            }
            // Graphs and plans take memory, too, which is not counted as allocated.
            self.built.clear();
            return self.check(h, w);
        }
        let pictures = self.pictures(self.padded(MODEL, h, w));
        if pictures > memory.saturating_sub(self.allocated_bytes()) {
            self.built.clear();
        }
        Ok(())
    }

    /// Bytes of the device's memory that a picture of `h` x `w` takes, within what it may; allocates nothing. Where both
    /// have room, that of a network and that of its finish.
    ///
    /// # Errors
    /// As [`Smoother::check`].
    pub fn estimate(&self, h: usize, w: usize) -> Result<u64> {
        let memory = self.memory(0);
        self.check_within(h, w, memory)?;
        let (mut stages, mut most) = (vec![], u64::MAX);
        for (stage, model) in self.stages.iter().enumerate() {
            let shape = self.padded(stage, h, w);
            let left = self.beside(shape, memory);
            let (_, plan) = Cut::within(model.subject(), shape, self.device.target(), left)?;
            stages.push(plan.peak_bytes());
            most = most.min(left);
        }
        Ok(bytes_of_stages(&stages, most))
    }

    /// Smooths x (1, 3, H, W) of any size; the result is of the same shape, clipped to [0, 1].
    ///
    /// # Errors
    /// As [`Smoother::smooth_observed`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn smooth(&mut self, x: &Tensor, options: &Options) -> Result<Tensor> {
        self.smooth_observed(x, options, &mut ())
    }

    /// The same; the observer hears of [`Progress::Smoothing`], and may stop it: within a pass between two nodes on the CPU,
    /// two submissions on a GPU (of at most some tenths of a second), and two kernels that are compiled.
    ///
    /// # Errors
    /// [`Error::Cancelled`] where the observer asked to stop; [`Error::TooLarge`] as [`Smoother::check`];
    /// [`Error::Gpu`] where the device fails; [`Error::Invalid`] for another shape, a noise scale that is not from 0 to
    /// [`crate::low_level::net::MAX_NOISE`], any noise and an ensemble for a filter, an amount that is not from 0 to 1, a
    /// texture size that is not from 1 to [`MAX_TEXTURE_SIZE`], and where a value of the picture or of the result is not
    /// finite.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn smooth_observed(&mut self, x: &Tensor, options: &Options, observer: &mut dyn Observer) -> Result<Tensor> {
        let device = self.device.clone();
        device.drive(self.smooth_async(x, options, observer))
    }

    /// The same, for programs that must not wait, as in a browser.
    ///
    /// # Errors
    /// As [`Smoother::smooth_observed`].
    pub async fn smooth_async(&mut self, x: &Tensor, options: &Options, observer: &mut dyn Observer) -> Result<Tensor> {
        let noise = self.stages[MODEL].noise(options)?;
        let amount = options.amount.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&amount) {
            return Err(Error::Invalid(format!("the amount is {amount}; give a number from 0 to 1")));
        }
        let texture_size = options.texture_size.unwrap_or(1.0);
        if !(1.0..=MAX_TEXTURE_SIZE).contains(&texture_size) {
            return Err(Error::Invalid(format!(
                "the texture size is {texture_size}; give a number from 1 to {MAX_TEXTURE_SIZE}"
            )));
        }
        x.check_picture()?;
        if x.data.iter().any(|v| !v.is_finite()) {
            return Err(Error::Invalid("the picture has values that are not finite numbers".into()));
        }
        let smaller: Vec<[usize; 2]> = options.factors().map(|factor| smaller(x.shape, factor)).collect();
        let pixels = x.shape.plane() + smaller.iter().map(|[h, w]| h * w).sum::<usize>();
        let finishing = if self.finish().is_some() { x.shape.plane() } else { 0 };
        let mut watch = Watch { observer, done: 0, pass: 0, of: pixels * options.flips() + finishing };
        let mut y = self.smooth_once(x, options, noise, &mut watch).await?;
        for [h, w] in smaller {
            let coarse = self.smooth_once(&shrink(x, h, w), options, noise, &mut watch).await?;
            upsample(&coarse, &mut y, &mut || watch.tell(0.0))?;
        }
        if self.finish().is_some() {
            let mut finished = Tensor::zeros(y.shape);
            self.pass(FINISH, &y, Flip::new(0), &RunParams::with_noise(0, 0.0), (&mut finished, 1.0), &mut watch)
                .await?;
            y = self.clipped(FINISH, finished)?;
        }
        let blend = |(v, x): (&mut f32, &f32)| *v = (1.0 - amount) * x + amount * *v;
        y.data.iter_mut().zip(&x.data).for_each(blend);
        Ok(y)
    }

    /// What the network, or the filter in its place, makes of x, clipped to [0, 1].
    async fn smooth_once(
        &mut self,
        x: &Tensor,
        options: &Options,
        noise: f32,
        watch: &mut Watch<'_>,
    ) -> Result<Tensor> {
        let mut mean = Tensor::zeros(x.shape);
        for (i, flip) in Flip::all().take(options.flips()).enumerate() {
            watch.tell(0.0)?;
            // Each pass draws its own noise; the first is that of a single pass.
            let seed = options.seed.wrapping_add((i as u64) << 56);
            let run_params = RunParams::with_noise(seed, noise);
            self.pass(MODEL, x, flip, &run_params, (&mut mean, 1.0 / options.flips() as f32), watch).await?;
        }
        self.clipped(MODEL, mean)
    }

    /// A stage's result, clipped to [0, 1].
    fn clipped(&self, stage: usize, mut y: Tensor) -> Result<Tensor> {
        if y.data.iter().any(|v| !v.is_finite()) {
            let kernels = if self.device.is_half() { ", or too large for these kernels, which are in f16" } else { "" };
            let why = match self.stages[stage] {
                Model::Network(_) => format!(": the weights are too large{kernels}, or the noise is"),
                Model::Filter(_) => String::new(),
            };
            return Err(Error::Invalid(format!("the result has values that are not finite numbers{why}")));
        }
        y.data.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
        Ok(y)
    }

    /// Adds `share` of a stage's result on the flipped picture to `sum`. Slab by slab: a copy of a large picture is memory,
    /// too. (With a GPU, wgpu has a copy of what is written until the run is submitted.)
    async fn pass(
        &mut self,
        stage: usize,
        x: &Tensor,
        flip: Flip,
        run_params: &RunParams,
        (sum, share): (&mut Tensor, f32),
        watch: &mut Watch<'_>,
    ) -> Result<()> {
        watch.pass = x.shape.plane();
        let (padding, (h, w)) = (self.stages[stage].padding(), flip.size(x.shape));
        let padded = self.padded(stage, h, w);
        let Built { exec, x: slabs, y, .. } = self.built(stage, padded, watch).await?;
        let mut first = 0;
        for &slab in &*slabs {
            let rows = first..first + exec.shape(slab).h;
            first = rows.end;
            exec.write_async(slab, &padding.flip_and_pad(x, flip, rows).data).await?;
            watch.tell(0.0)?;
        }
        exec.run_observed_async(run_params, &mut |part| watch.tell(part)).await?;
        first = 0;
        for &slab in &*y {
            let part = Tensor::new(exec.shape(slab), exec.read_async(slab).await?);
            padding.add_back(sum, flip, first, &part, share);
            first += part.shape.h;
            watch.tell(1.0)?;
        }
        watch.done += x.shape.plane();
        Ok(())
    }

    async fn built(&mut self, stage: usize, shape: Shape, watch: &mut Watch<'_>) -> Result<&mut Built> {
        if let Some(i) = self.built.iter().position(|b| (b.stage, b.shape) == (stage, shape)) {
            let last = self.built.len() - 1;
            self.built.swap(i, last);
        } else {
            let built = self.build(stage, shape, watch).await?;
            self.built.push(built);
        }
        Ok(self.built.last_mut().expect("just put there"))
    }

    /// Plans and allocates for a shape, after making room.
    async fn build(&mut self, stage: usize, shape: Shape, watch: &mut Watch<'_>) -> Result<Built> {
        // The picture is there already.
        let there = shape.plane() as u64 * 12;
        let mut memory = self.memory(there);
        loop {
            let left = self.beside(shape, memory);
            let border = 2 * self.stages[stage].padding().border;
            let (cut_graph, plan) = Cut::within(self.stages[stage].subject(), shape, self.device.target(), left)
                .map_err(|error| self.too_large(stage, shape.h - border, shape.w - border, memory, error))?;
            Executor::compile_async(&plan, &self.device, &mut || watch.tell(0.0)).await?;
            let planned = plan.peak_bytes();
            while self.built.len() > self.stages.len()
                || !self.built.is_empty() && self.allocated_bytes() > left - planned
            {
                self.built.remove(0);
            }
            let CutGraph { graph, x, y, cut } = cut_graph;
            let params = graph.params();
            match Executor::new_async(graph, &self.device).await {
                Ok(mut exec) => {
                    self.own = UNFORESEEN;
                    if let Model::Network(weights) = &self.stages[stage] {
                        exec.write_async(params, &weights.folded().params).await?;
                    }
                    return Ok(Built { stage, shape, exec, x, y, cut });
                }
                // A GPU's free memory is known by trying only.
                Err(Error::TooLarge(_)) if !self.built.is_empty() => self.built.clear(),
                Err(Error::TooLarge(error)) if planned > 1 => {
                    log::info!("{error}; trying in half of the {planned} bytes");
                    memory = planned / 2 + self.pictures(shape);
                }
                Err(other) => return Err(other),
            }
        }
    }

    /// Bytes that the network and the pictures may take, `there` of which are taken already.
    fn memory(&self, there: u64) -> u64 {
        match self.device {
            #[cfg(feature = "cpu")]
            Device::Cpu => {
                release_memory();
                let resident = resident_memory().unwrap_or(there + self.allocated_bytes());
                let allowed = self.max_process_memory.map_or(u64::MAX, |most| most.saturating_sub(resident));
                let free = available_memory().min(allowed).saturating_sub(self.own);
                free.saturating_add(self.allocated_bytes() + there)
            }
            Device::Gpu(_) => u64::MAX.saturating_add(there),
        }
    }

    /// Bytes of that memory that a picture and its result take.
    fn pictures(&self, shape: Shape) -> u64 {
        let beside = BESIDE + if self.finish().is_some() { BESIDE_FINISH } else { 0 };
        if matches!(self.device, Device::Gpu(_)) { 0 } else { shape.plane() as u64 * beside }
    }

    /// What they leave for the network.
    fn beside(&self, shape: Shape, memory: u64) -> u64 {
        memory.saturating_sub(self.pictures(shape)).min(self.max_memory.unwrap_or(u64::MAX))
    }

    fn fits(&self, stage: usize, h: usize, w: usize, memory: u64) -> Result<()> {
        let shape = self.padded(stage, h, w);
        Cut::fit(self.stages[stage].subject(), shape, self.device.target(), self.beside(shape, memory))
    }

    /// The fewest bytes that a picture needs.
    fn needs(&self, stage: usize, h: usize, w: usize) -> Result<u64> {
        Cut::needs(self.stages[stage].subject(), self.padded(stage, h, w), self.device.target())
    }

    /// The shape of a picture with the border that it gets.
    fn padded(&self, stage: usize, h: usize, w: usize) -> Shape {
        let padding = self.stages[stage].padding();
        Shape::new(1, 3, padding.side(h), padding.side(w))
    }

    /// The error for a picture that does not fit, with the largest of its shape that does, at all stages. The memory is
    /// given: where it were asked for anew, what fitted a moment ago might not, as other programs take some. For the same
    /// reason the largest leaves an eighth of it free: it is to fit when it comes.
    fn too_large(&self, stage: usize, h: usize, w: usize, memory: u64, error: Error) -> Error {
        let Error::TooLarge(error) = error else { return error };
        let scaled = |part: f64| [h, w].map(|side| ((side as f64 * part) as usize).max(1));
        let memory = memory - memory / 8;
        let fits = |part: f64| {
            let [h, w] = scaled(part);
            (MODEL..self.stages.len()).all(|stage| self.fits(stage, h, w, memory).is_ok())
        };
        // Bisection of the sides' factor; 20 halvings find a side of a million pixels to the pixel.
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..20 {
            let middle = (low + high) / 2.0;
            *(if fits(middle) { &mut low } else { &mut high }) = middle;
        }
        let largest = fits(low).then(|| scaled(low)).map(|[h, w]| [w, h]);
        let needs = match error.limit {
            Limit::Memory => self.needs(stage, h, w).unwrap_or(error.needs),
            _ => error.needs,
        };
        TooLarge { finishing: stage == FINISH, picture: Some([w, h]), largest, needs, ..error }.into()
    }
}

/// Bytes that stages take which take so many each, within `most`: those of all of them, or where these have no room together
/// of the largest, for which the others are freed.
pub fn bytes_of_stages(stages: &[u64], most: u64) -> u64 {
    let all = stages.iter().sum();
    if all <= most { all } else { stages.iter().copied().max().unwrap_or(0) }
}

/// The graph that smooths a batch (N, 3, H, W) in one piece, its input and its output, both of this shape: H and W are
/// multiples of [`Network::scale`]. The input is in the code values of the training, [0, 1]; the output is not clipped.
/// Its parameters are those of [`Weights::folded`].
///
/// # Errors
/// [`Error::Invalid`] for another shape.
pub fn graph(network: &Network, shape: Shape) -> Result<(Graph, Value, Value)> {
    let CutGraph { graph, x, y, .. } = Cut::WHOLE.graph(network, shape)?;
    Ok((graph, x[0], y[0]))
}
