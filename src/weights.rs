//! The weights file: one safetensors file, a flat binary blob after a small header. Names and dimensions are PyTorch's;
//! the header's metadata says which network it is and how it was trained.

use crate::error::{Error, Result};
#[cfg(feature = "files")]
use crate::file;
use crate::graph::{Entry, Layout, Role};
use crate::net::{MAX_NOISE, Network};
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::path::Path;

/// Prefixes of a checkpoint's other tensors: Adam's moments, and the weights' moving average.
pub(crate) const BESIDE: [&str; 3] = [MOMENTS[0], MOMENTS[1], AVERAGE];
pub(crate) const MOMENTS: [&str; 2] = ["adam.m.", "adam.v."];
pub(crate) const AVERAGE: &str = "average.";

/// The shipped models, which are a part of this library (see `weights/README.md`): name and file.
#[cfg(feature = "builtin")]
pub const MODELS: [(&str, &[u8]); 2] = [
    ("small", include_bytes!("../weights/small.safetensors")),
    ("soft", include_bytes!("../weights/soft.safetensors")),
];

/// Weights of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// Which network.
    pub network: Network,
    /// All parameters in one flat array ([`Network::layout`]).
    pub params: Vec<f32>,
    /// Everything else that the header says: `noise` (the scale to smooth with), and how it was trained.
    pub metadata: BTreeMap<String, String>,
}

/// Number format of the tensors in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits, half the size.
    F16,
}

impl Weights {
    /// The model that is used where none is named: the first of [`MODELS`].
    #[cfg(feature = "builtin")]
    pub fn builtin() -> Weights {
        Weights::model(MODELS[0].0).expect("it is shipped")
    }

    /// A shipped model, by its name in [`MODELS`].
    #[cfg(feature = "builtin")]
    pub fn model(name: &str) -> Option<Weights> {
        let (_, bytes) = MODELS.iter().find(|(known, _)| *known == name)?;
        Some(Weights::parse(bytes).expect("the shipped weights are good"))
    }

    /// Initial weights and biases, U(-1/sqrt(fan_in), 1/sqrt(fan_in)); a bias has the fan-in of its weight. Those
    /// are 0 that the network wants so ([`crate::low_level::net::Architecture::begins_as_zero`]). A batch
    /// normalisation begins with factors and variances of 1, biases and means of 0.
    pub fn initial(network: &Network, seed: u64) -> Weights {
        let layout = network.layout();
        let mut params = vec![0.0; layout.len()];
        let mut rng = crate::rng::Rng::new(&[seed]);
        let mut bound = 0.0;
        for entry in layout.entries() {
            if let Role::Constant(value) | Role::Statistic(value) = entry.role {
                params[entry.range()].fill(value);
                continue;
            }
            if entry.name.ends_with(".weight") {
                bound = 1.0 / (entry.fan_in() as f64).sqrt();
            }
            for v in &mut params[entry.range()] {
                *v = ((2.0 * f64::from(rng.unit()) - 1.0) * bound) as f32;
            }
        }
        Weights { network: network.clone(), params, metadata: BTreeMap::new() }
            .with_zeros(|parameter| network.begins_as_zero(parameter))
    }

    /// Sets the last layer of every block to 0: each is the identity then.
    #[must_use]
    pub fn with_identity_blocks(self) -> Weights {
        let network = self.network.clone();
        self.with_zeros(|parameter| network.ends_a_block(parameter))
    }

    /// Sets the parameters of these names to 0.
    fn with_zeros(mut self, of: impl Fn(&str) -> bool) -> Weights {
        let layout = self.network.layout();
        let these = layout.entries().iter().filter(|entry| of(&entry.name));
        // Where parameters are missing, what writes or runs them says so.
        these.filter_map(|entry| self.params.get_mut(entry.range()).map(|p| p.fill(0.0))).for_each(drop);
        self
    }

    /// The same for inference: each batch normalisation is folded, in f64, into the convolution before it.
    #[must_use]
    pub fn folded(&self) -> Weights {
        let params: Vec<f64> = self.params.iter().map(|v| f64::from(*v)).collect();
        let params = self.network.fold(&params).into_iter().map(|v| v as f32).collect();
        Weights { network: self.network.folded(), params, metadata: self.metadata.clone() }
    }

    /// The noise scale to smooth with: that of training. Where the file does not say, 1, the paper's, or 0 for a
    /// network that takes none.
    pub fn noise(&self) -> Result<f32> {
        let unsaid = if self.network.takes_noise() { 1.0 } else { 0.0 };
        self.metadata.get("noise").map_or(Ok(unsaid), |text| match text.parse::<f32>() {
            Ok(scale) if (0.0..=MAX_NOISE).contains(&scale) => Ok(scale),
            _ => {
                let message =
                    format!("the weights' noise scale is {text:?}; it must be a number from 0 to {MAX_NOISE}");
                Err(Error::Invalid(message))
            }
        })
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Weights> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        Weights::parse(&bytes).map_err(|message| Error::file(path, message))
    }

    /// Reads the bytes of a file; an error says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Weights, String> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| format!("not a complete safetensors file: {e}"))?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| format!("unreadable header: {e}"))?;
        let mut metadata: BTreeMap<String, String> =
            header.metadata().clone().unwrap_or_default().into_iter().collect();
        let network = Network::parse(&mut metadata)?;
        let layout = network.layout();
        // A checkpoint holds Adam's moments beside the weights, and may hold their average: it can be smoothed with,
        // too.
        let average = file.names().iter().any(|name| name.starts_with(AVERAGE));
        let params = read_tensors(&file, &layout, if average { AVERAGE } else { "" })?;
        let weights = Weights { network, params, metadata };
        weights.noise().and_then(|scale| weights.network.check_noise(scale)).map_err(|e| e.to_string())?;
        let known = |name| {
            let prefix = BESIDE.into_iter().find(|prefix| str::starts_with(name, prefix)).unwrap_or_default();
            layout.get(&name[prefix.len()..]).is_some_and(|entry| is_stored(entry, prefix))
        };
        if let Some(extra) = file.names().into_iter().filter(|name| !known(name)).min() {
            return Err(format!("the tensor {extra} does not belong to a network of {}", weights.network.describe()));
        }
        Ok(weights)
    }

    /// Writes a file; an existing one is replaced only when the new one is complete.
    ///
    /// # Errors
    /// [`Error::File`] with the tensor whose values are not finite, or not in half precision; [`Error::Invalid`] where
    /// the parameters are not as many as the network has; [`Error::Io`].
    #[cfg(feature = "files")]
    pub fn write(&self, path: &Path, precision: Precision) -> Result<()> {
        let layout = self.network.layout();
        layout.check_params(&self.params)?;
        let tensors = tensors(&layout, "", &self.params);
        let bytes = serialise(&self.header(), &tensors, precision).map_err(|message| Error::file(path, message))?;
        file::atomic_write(path, |out| out.write_all(&bytes).map_err(Error::io(path)))
    }

    /// The header's metadata: the network, and the rest.
    #[cfg(feature = "files")]
    pub(crate) fn header(&self) -> BTreeMap<String, String> {
        let mut header = self.metadata.clone();
        header.extend(self.network.metadata());
        header
    }
}

/// Tells whether there is a tensor `{prefix}{name}` of an entry: Adam has moments of what is learned alone.
fn is_stored(entry: &Entry, prefix: &str) -> bool {
    entry.role.is_learned() || !MOMENTS.contains(&prefix)
}

/// Reads the tensors `{prefix}{name}` of a layout into a flat array; those that it has not are 0.
pub(crate) fn read_tensors(file: &SafeTensors, layout: &Layout, prefix: &str) -> Result<Vec<f32>, String> {
    let find = |entry: &Entry| {
        let name = format!("{prefix}{}", entry.name);
        let tensor = file.tensor(&name).map_err(|_| format!("the tensor {name} is missing"))?;
        if tensor.shape() != entry.dims {
            return Err(format!(
                "the tensor {name} has the shape {}, not {}",
                sides(tensor.shape()),
                sides(&entry.dims)
            ));
        }
        Ok((name, tensor))
    };
    // All tensors are found before memory is asked for: the metadata alone could ask for any amount.
    let stored = || layout.entries().iter().filter(|entry| is_stored(entry, prefix));
    let tensors = stored().map(find).collect::<Result<Vec<_>, _>>()?;
    let mut params = vec![0.0; layout.len()];
    for (entry, (name, tensor)) in stored().zip(tensors) {
        let data: Vec<f32> = match tensor.dtype() {
            Dtype::F32 => bytemuck::pod_collect_to_vec(tensor.data()),
            Dtype::F16 => {
                let half: Vec<u16> = bytemuck::pod_collect_to_vec(tensor.data());
                half.into_iter().map(|bits| half::f16::from_bits(bits).to_f32()).collect()
            }
            other => return Err(format!("the tensor {name} is {other}, not F32 or F16")),
        };
        if let Some(i) = data.iter().position(|v| !v.is_finite()) {
            return Err(format!("the tensor {name} has a {} at element {i}", data[i]));
        }
        params[entry.range()].copy_from_slice(&data);
    }
    Ok(params)
}

/// Dimensions for people: 64x3x3x3.
fn sides(dims: &[usize]) -> String {
    dims.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

/// A tensor to be written.
#[cfg(feature = "files")]
pub(crate) struct Named<'a> {
    name: String,
    dims: &'a [usize],
    values: &'a [f32],
    /// May be written in 16 bits.
    half: bool,
}

/// The tensors of a flat array, under `{prefix}{name}`. Running statistics stay f32.
#[cfg(feature = "files")]
pub(crate) fn tensors<'a>(layout: &'a Layout, prefix: &str, params: &'a [f32]) -> Vec<Named<'a>> {
    let stored = layout.entries().iter().filter(|entry| is_stored(entry, prefix));
    let named = |e: &'a Entry| Named {
        name: format!("{prefix}{}", e.name),
        dims: &e.dims,
        values: &params[e.range()],
        half: e.role.is_learned(),
    };
    stored.map(named).collect()
}

/// A safetensors file: the header's length, the header (JSON), the values. Written here and not by the crate, whose
/// metadata is an unordered map: the same weights must give the same bytes. Refuses what [`read_tensors`] would refuse.
#[cfg(feature = "files")]
pub(crate) fn serialise(
    metadata: &BTreeMap<String, String>,
    tensors: &[Named],
    precision: Precision,
) -> Result<Vec<u8>, String> {
    let is_half = |tensor: &Named| precision == Precision::F16 && tensor.half;
    for tensor @ Named { name, values, .. } in tensors {
        let in_half = is_half(tensor);
        let lost = |v: &f32| !(if in_half { half::f16::from_f32(*v).is_finite() } else { v.is_finite() });
        if let Some(i) = values.iter().position(lost) {
            let problem = format!("not written: the tensor {name} has a {} at element {i}", values[i]);
            let hint = if values[i].is_finite() { ", more than half precision holds" } else { "" };
            return Err(problem + hint);
        }
    }
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), serde_json::json!(metadata));
    let mut end = 0;
    for tensor @ Named { name, dims, values, .. } in tensors {
        let (dtype, size) = if is_half(tensor) { ("F16", 2) } else { ("F32", 4) };
        let start = end;
        end += values.len() * size;
        header.insert(name.clone(), serde_json::json!({ "dtype": dtype, "shape": dims, "data_offsets": [start, end] }));
    }
    let mut header = serde_json::Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = Vec::with_capacity(8 + header.len() + end);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header);
    for tensor in tensors {
        match is_half(tensor) {
            false => tensor.values.iter().for_each(|v| bytes.extend(v.to_le_bytes())),
            true => tensor.values.iter().for_each(|v| bytes.extend(half::f16::from_f32(*v).to_le_bytes())),
        }
    }
    Ok(bytes)
}
