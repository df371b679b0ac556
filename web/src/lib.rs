//! SASNet in a browser: the engine that `npm/worker.js` drives. Pictures come as interleaved values, options and
//! descriptions as JSON; nothing here blocks, but for the CPU executor.
// Lints read it on any machine.
#![cfg(any(target_arch = "wasm32", clippy))]

use sasnet::embed::{SessionOptions, estimate};
use sasnet::filters::Domain;
use sasnet::low_level::gpu::Gpu;
use sasnet::low_level::smooth::bytes_of_stages;
use sasnet::{
    Device, DeviceOptions, Error, Filter, Model, Options, Precision, Progress, Shape, Smoother, Tensor, Weights,
};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use wasm_bindgen::prelude::*;

/// How to smooth, as JavaScript says it.
#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    strength: f32,
    ensemble: bool,
    noise: Option<f32>,
    /// Below 2^53.
    seed: u64,
    texture_size: f32,
    finish: Finish,
}

/// Whether the usual filter finishes a result, or which one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Finish {
    Usual(bool),
    Method(String),
}

impl Default for Wanted {
    fn default() -> Self {
        let finish = Finish::Usual(false);
        Wanted { strength: 1.0, ensemble: false, noise: None, seed: 0, texture_size: 1.0, finish }
    }
}

impl Wanted {
    /// The options, and the filter that finishes.
    fn parse(text: &str) -> Result<(Options, Option<Filter>), JsError> {
        let wanted: Wanted = serde_json::from_str(text).map_err(|e| JsError::new(&format!("the options: {e}")))?;
        let options = Options::default()
            .with_amount(wanted.strength)
            .with_ensemble(wanted.ensemble)
            .with_seed(wanted.seed)
            .with_texture_size(wanted.texture_size);
        let finish = match wanted.finish {
            Finish::Usual(wanted) => wanted.then(Filter::finish),
            Finish::Method(text) => Some(text.parse().map_err(error)?),
        };
        Ok((wanted.noise.map_or(options.clone(), |noise| options.with_noise(noise)), finish))
    }
}

fn error(error: Error) -> JsError {
    JsError::new(&error.to_string())
}

/// A device with what smooths on it.
#[wasm_bindgen]
pub struct Engine {
    adapter: Option<String>,
    max_memory: Option<u64>,
    device: Device,
    model: Option<Model>,
    /// Of the model and a finish, from the first picture on.
    smoother: Option<Smoother>,
}

#[wasm_bindgen]
impl Engine {
    /// Opens a device: `gpu`, `software` (a browser's own adapter without a GPU) or `cpu` (this module itself, where it is
    /// built so); none: the first of these that there is.
    pub async fn open(adapter: Option<String>, max_memory: Option<f64>) -> Result<Engine, JsError> {
        console_error_panic_hook::set_once();
        let device = open(adapter.as_deref()).await.map_err(error)?;
        let max_memory = max_memory.map(|bytes| bytes as u64);
        Ok(Engine { adapter, max_memory, device, model: None, smoother: None })
    }

    /// Says which kind of device it is, as `open` names it.
    pub fn kind(&self) -> String {
        match gpu(&self.device).map(|gpu| gpu.info().device_type) {
            None => "cpu",
            Some(sasnet::wgpu::DeviceType::Cpu) => "software",
            Some(_) => "gpu",
        }
        .into()
    }

    /// Describes the device.
    pub fn describe(&self) -> String {
        self.device.describe()
    }

    /// Bytes allocated on the device.
    pub fn allocated(&self) -> f64 {
        self.smoother.as_ref().map_or(0, Smoother::allocated_bytes) as f64
    }

    /// Takes these weights, the bytes of a safetensors file; returns what network they are of.
    #[wasm_bindgen(js_name = useWeights)]
    pub fn use_weights(&mut self, bytes: &[u8]) -> Result<String, JsError> {
        let weights = Weights::parse(bytes).map_err(|message| JsError::new(&format!("the weights: {message}")))?;
        let described = weights.network.describe();
        (self.model, self.smoother) = (Some(weights.into()), None);
        Ok(described)
    }

    /// Takes a classical filter with these values, a JSON object; the others are its defaults.
    #[wasm_bindgen(js_name = useMethod)]
    pub fn use_method(&mut self, name: &str, values: &str) -> Result<(), JsError> {
        let values: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(values).map_err(|e| JsError::new(&format!("the method's values: {e}")))?;
        let mut filter = Filter::new(name).map_err(error)?;
        for (name, value) in values {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
            filter = filter.with(&name, value).map_err(error)?;
        }
        let model = Model::from(filter);
        (self.model, self.smoother) = (Some(model), None);
        Ok(())
    }

    /// What a picture of this size takes, as JSON: bytes of device memory, multiply-accumulates, slabs of rows.
    pub fn estimate(&self, width: u32, height: u32, options: &str) -> Result<String, JsError> {
        let (options, finish) = Wanted::parse(options)?;
        let within = self
            .max_memory
            .map_or_else(SessionOptions::default, |most| SessionOptions::default().with_max_memory(most));
        let of = |model: Model| estimate(model, [width, height], Precision::F32, &within).map_err(error);
        let takes = of(self.model()?.clone())?;
        let (mut bytes, mut macs) = (takes.bytes, takes.macs * options.passes() as u64);
        if let Some(filter) = finish {
            let finish = of(filter.into())?;
            bytes = bytes_of_stages(&[bytes, finish.bytes], self.max_memory.unwrap_or(u64::MAX));
            macs += finish.macs;
        }
        Ok(json!({ "bytes": bytes, "macs": macs, "slabs": takes.slabs }).to_string())
    }

    /// Smooths interleaved codes of 8 bits, RGB or RGBA; alpha is kept. `observe` hears the part that is done, 0 to 1, and
    /// answers false to stop.
    pub async fn smooth(
        &mut self,
        codes: Vec<u8>,
        width: usize,
        height: usize,
        options: &str,
        observe: js_sys::Function,
    ) -> Result<Vec<u8>, JsError> {
        let code = |v: f32| (v * 255.0).round() as u8;
        self.interleaved(codes, [width, height], options, observe, |v| f32::from(v) / 255.0, code).await
    }

    /// The same of values from 0 to 1.
    #[wasm_bindgen(js_name = smoothFloat)]
    pub async fn smooth_float(
        &mut self,
        values: Vec<f32>,
        width: usize,
        height: usize,
        options: &str,
        observe: js_sys::Function,
    ) -> Result<Vec<f32>, JsError> {
        self.interleaved(values, [width, height], options, observe, |v| v, |v| v).await
    }
}

impl Engine {
    fn model(&self) -> Result<&Model, JsError> {
        self.model.as_ref().ok_or_else(|| JsError::new("there are no weights and no method yet"))
    }

    async fn interleaved<T: Copy>(
        &mut self,
        mut values: Vec<T>,
        [width, height]: [usize; 2],
        options: &str,
        observe: js_sys::Function,
        read: impl Fn(T) -> f32,
        write: impl Fn(f32) -> T,
    ) -> Result<Vec<T>, JsError> {
        let (options, finish) = Wanted::parse(options)?;
        let plane = width * height;
        let channels = values.len().checked_div(plane).unwrap_or(0);
        if !matches!(channels, 3 | 4) || values.len() != channels * plane {
            let message = format!("{} values for {width}x{height}: give 3 or 4 for each pixel", values.len());
            return Err(JsError::new(&message));
        }
        let mut x = Tensor::zeros(Shape::new(1, 3, height, width));
        for (i, pixel) in values.chunks_exact(channels).enumerate() {
            (0..3).for_each(|c| x.data[c * plane + i] = read(pixel[c]));
        }
        let y = self.smooth_tensor(&x, &options, finish.as_ref(), &observe).await?;
        for (i, pixel) in values.chunks_exact_mut(channels).enumerate() {
            (0..3).for_each(|c| pixel[c] = write(y.data[c * plane + i]));
        }
        Ok(values)
    }

    /// Smooths; where the device fails, once more on a new one.
    async fn smooth_tensor(
        &mut self,
        x: &Tensor,
        options: &Options,
        finish: Option<&Filter>,
        observe: &js_sys::Function,
    ) -> Result<Tensor, JsError> {
        let mut observer = |progress: &Progress| {
            let Progress::Smoothing { part } = *progress else { return ControlFlow::Continue(()) };
            match observe.call1(&JsValue::NULL, &part.into()) {
                Ok(answer) if answer.is_falsy() => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        };
        let result = self.smoother(finish)?.smooth_async(x, options, &mut observer).await;
        let failed = match result {
            Err(failed @ (Error::Gpu(_) | Error::Lost(_))) => failed,
            other => return other.map_err(error),
        };
        self.smoother = None;
        self.device = open(self.adapter.as_deref()).await.map_err(|_| error(failed))?;
        self.smoother(finish)?.smooth_async(x, options, &mut observer).await.map_err(error)
    }

    fn smoother(&mut self, finish: Option<&Filter>) -> Result<&mut Smoother, JsError> {
        if self.smoother.as_ref().is_none_or(|smoother| smoother.finish() != finish) {
            let smoother = Smoother::new(self.model()?.clone(), self.device.clone()).with_finish(finish.cloned());
            self.smoother = Some(smoother.with_max_memory(self.max_memory));
        }
        Ok(self.smoother.as_mut().expect("just made"))
    }
}

/// Lists the classical filters with their parameters, as JSON.
#[wasm_bindgen]
pub fn methods() -> String {
    let method = |method: &&sasnet::filters::Method| {
        let parameters = method.parameters.iter().map(|parameter| {
            let domain = match parameter.domain {
                Domain::Real(from, to) => json!({ "min": from, "max": to }),
                Domain::Whole(from, to) => json!({ "min": from, "max": to, "step": 1 }),
                Domain::Choice(choices) => json!({ "choices": choices }),
            };
            let default = match parameter.domain {
                Domain::Choice(_) => json!(parameter.text(parameter.default)),
                _ => json!(parameter.default),
            };
            json!({ "name": parameter.name, "help": parameter.help, "domain": domain, "default": default })
        });
        let parameters: Vec<_> = parameters.collect();
        json!({ "name": method.name, "title": method.title, "paper": method.paper, "parameters": parameters })
    };
    json!(Filter::methods().iter().map(method).collect::<Vec<_>>()).to_string()
}

async fn open(adapter: Option<&str>) -> Result<Device, Error> {
    // Any adapter has the empty name in its description; without a name software is none.
    let named = |name: Option<&str>| {
        let mut options = DeviceOptions::default();
        options.adapter = name.map(str::to_string);
        options
    };
    match adapter {
        Some("cpu") => Device::open_async(&named(Some("cpu"))).await,
        Some("software") => Device::open_async(&named(Some(""))).await,
        Some("gpu") => match Device::open_async(&named(None)).await {
            Ok(device) if gpu(&device).is_some() => Ok(device),
            _ => Err(Error::Invalid("this browser has no GPU for pages; give software or cpu".into())),
        },
        Some(other) => Err(Error::Invalid(format!("there is no adapter {other}; give gpu, software or cpu"))),
        None => match Device::open_async(&named(Some(""))).await {
            Err(_) if cfg!(feature = "cpu") => Device::open_async(&named(Some("cpu"))).await,
            opened => opened,
        },
    }
}

/// The GPU of a device.
fn gpu(device: &Device) -> Option<&Gpu> {
    match device {
        Device::Gpu(gpu) => Some(gpu),
        _ => None,
    }
}
