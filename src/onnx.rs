//! A network as an ONNX model, for hosts that have a runtime of their own: `sasnet weights FILE --onnx OUT.onnx`.
//!
//! One input `x` and one output `y`, both (batch, 3, height, width), f32, RGB in [0, 1] in the picture's own codes, of any
//! size from 1x1: padding by reflection, cropping and clipping are in the model, so that its result is what
//! [`crate::Smoother`] makes without noise. [`operators`] says what each operator is in ONNX, [`proto`] writes the file.
//!
//! The graph is that of [`Network::smooth`] at one small size, of which only names and channels are taken over: nothing
//! of the model depends on the size.

use crate::error::{Error, Result};
use crate::file::atomic_write;
use crate::graph::Storage;
use crate::net::Network;
use crate::ops::Graph;
use crate::smooth::BORDER;
use crate::tensor::Shape;
use crate::weights::Weights;
use operators::Tensor;
use proto::{Attribute, Initializer, Model, Node, Values};
use std::collections::HashMap;
use std::path::Path;

mod operators;
mod proto;

/// Version of ONNX's operators that the model is made of: that of 2022, which all of today's runtimes know.
pub const OPSET: i64 = 17;

/// A file holds no more: its sizes are numbers of 31 bits.
const LARGEST: usize = (1 << 31) - (1 << 20);

/// What the file says of itself.
const ABOUT: &str = "Smooths pictures: texture goes, structure stays. x: float RGB in [0, 1], in the codes of the file \
(mostly sRGB; not linear light), any batch, height and width. y: the same, smoothed.";

/// Writes a network as an ONNX file; an existing one is replaced only when the new one is complete.
///
/// # Errors
/// Those of [`export`]; [`Error::Io`].
pub fn write(weights: &Weights, path: &Path) -> Result<()> {
    let bytes = export(weights)?;
    atomic_write(path, |out| out.write_all(&bytes).map_err(Error::io(path)))
}

/// The bytes of an ONNX file.
///
/// # Errors
/// [`Error::Invalid`] where the parameters are not as many as the network has, or more than a file can hold.
pub fn export(weights: &Weights) -> Result<Vec<u8>> {
    let weights = weights.folded();
    let (network, layout) = (&weights.network, weights.network.layout());
    layout.check_params(&weights.params)?;
    if 4 * layout.len() > LARGEST {
        let message = format!("{} parameters are more than an ONNX file holds, 2 GiB", layout.parameters());
        return Err(Error::Invalid(message));
    }
    let mut model = Builder::default();
    let [x, height, width] = pad(&mut model, network);
    model.picture = x.clone();
    model.scale = network.scale();

    let side = network.scale().max(16);
    let mut g = Graph::new(layout);
    let picture = g.input("x", Shape::new(1, 3, side, side));
    let y = network.smooth(&mut g, &[picture], true)?[0];
    let mut known = HashMap::from([(picture, Tensor { name: x, shape: g.shape(picture), dilation: 1 })]);
    for node in g.nodes() {
        for value in &node.inputs {
            if g.constants().iter().any(|(table, _)| table == value) {
                // Of this size: what needs it makes its own.
                known.insert(*value, Tensor { name: String::new(), shape: g.shape(*value), dilation: 1 });
            }
            if let (Storage::View { offset, .. }, false) = (g.info(*value).storage, known.contains_key(value)) {
                let entry = g.layout().entries().iter().find(|entry| entry.offset == offset).expect("a parameter");
                // A matrix is a kernel of 1x1.
                let ones = if entry.dims.len() == 2 { 2 } else { 0 };
                let dims = [&entry.dims[..], &[1, 1][..ones]].concat();
                model.initializer(&entry.name, dims, Values::Floats(weights.params[entry.range()].to_vec()));
                known.insert(*value, Tensor { name: entry.name.clone(), shape: g.shape(*value), dilation: 1 });
            }
        }
        let inputs: Vec<&Tensor> = node.inputs.iter().map(|value| &known[value]).collect();
        model.layer = node.name.clone();
        let names = operators::lower(&mut model, &node.op, &inputs)?;
        let dilation = operators::dilation(&node.op, &inputs);
        for (value, name) in node.outputs.iter().zip(names) {
            known.insert(*value, Tensor { name, shape: g.shape(*value), dilation });
        }
    }
    crop(&mut model, &known[&y].name, [&height, &width]);

    let mut metadata: Vec<_> = weights.metadata.clone().into_iter().collect();
    metadata.extend(network.metadata());
    let pictures = ["x", "y"];
    let Builder { nodes, initializers, .. } = &model;
    Ok(Model { opset: OPSET, about: ABOUT, metadata, nodes, initializers, pictures }.bytes())
}

/// Pads the picture as [`crate::geometry::Padding`] does: 8 pixels of reflection all around, and right and bottom on to
/// multiples of the network's scale. The padded picture, and height and width before.
fn pad(m: &mut Builder, network: &Network) -> [String; 3] {
    m.layer = "pad".into();
    let (border, multiple) = (m.int(BORDER as i64), m.int(network.scale() as i64));
    let (zero, one, two) = (m.int(0), m.int(1), m.int(2));
    let both = m.int(2 * BORDER as i64);
    let mut x = "x".to_string();
    let sides = [2, 3].map(|axis| {
        let n = m.side("x", axis);
        // The next multiple, and the places of all of its pixels in the picture: reflected as often as it takes, without
        // the edge; of a single pixel always that.
        let least = m.node("Add", &[&n, &both], &[]);
        let negative = m.node("Neg", &[&least], &[]);
        let missing = m.node("Mod", &[&negative, &multiple], &[]);
        let side = m.node("Add", &[&least, &missing], &[]);
        let places = m.node("Range", &[&zero, &side, &one], &[]);
        let places = m.node("Sub", &[&places, &border], &[]);
        let double = m.node("Mul", &[&n, &two], &[]);
        let period = m.node("Sub", &[&double, &two], &[]);
        let divisor = m.node("Max", &[&period, &one], &[]);
        let places = m.node("Mod", &[&places, &divisor], &[]);
        let mirrored = m.node("Sub", &[&period, &places], &[]);
        let places = m.node("Min", &[&places, &mirrored], &[]);
        x = m.node("Gather", &[&x, &places], &[("axis", Attribute::Int(axis))]);
        n
    });
    let [height, width] = sides;
    [x, height, width]
}

/// Takes the picture out of what it was padded to, and clips it.
fn crop(m: &mut Builder, y: &str, sides: [&str; 2]) {
    m.layer = "crop".into();
    let border = m.ints(&[BORDER as i64]);
    let mut y = y.to_string();
    for (axis, side) in [2, 3].into_iter().zip(sides) {
        let end = m.node("Add", &[side, &border], &[]);
        let axes = m.ints(&[axis]);
        y = m.node("Slice", &[&y, &border, &end, &axes], &[]);
    }
    let (low, high) = (m.float(0.0), m.float(1.0));
    m.push("Clip", &[&y, &low, &high], &[], vec!["y".into()]);
}

/// A model in the making.
#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    initializers: Vec<Initializer>,
    /// The layer whose nodes are appended.
    layer: String,
    /// The padded picture.
    picture: String,
    /// The network's.
    scale: usize,
}

impl Builder {
    /// Appends a node of one output, whose name is returned; where there is the same already, that one's.
    fn node(&mut self, kind: &'static str, inputs: &[&str], attributes: &[(&'static str, Attribute)]) -> String {
        let same = |node: &&Node| node.kind == kind && node.inputs == inputs && node.attributes == attributes;
        if let Some(known) = self.nodes.iter().find(same) {
            return known.outputs[0].clone();
        }
        let name = self.name(kind);
        self.push(kind, inputs, attributes, vec![name.clone()]);
        name
    }

    /// Appends a node.
    fn push(
        &mut self,
        kind: &'static str,
        inputs: &[&str],
        attributes: &[(&'static str, Attribute)],
        outputs: Vec<String>,
    ) {
        let (name, inputs) = (self.name(kind), inputs.iter().map(|name| name.to_string()).collect());
        self.nodes.push(Node { kind, name, inputs, outputs, attributes: attributes.to_vec() });
    }

    /// The name of the next node.
    fn name(&self, kind: &str) -> String {
        format!("{}/{kind}.{}", self.layer, self.nodes.len())
    }

    fn initializer(&mut self, name: &str, dims: Vec<usize>, values: Values) {
        self.initializers.push(Initializer { name: name.into(), dims, values });
    }

    /// Constants: the name of one that is there already, or of a new one.
    fn constant(&mut self, dims: Vec<usize>, values: Values) -> String {
        let same = |known: &&Initializer| known.dims == dims && known.values == values;
        if let Some(known) = self.initializers.iter().find(same) {
            return known.name.clone();
        }
        let name = format!("constant.{}", self.initializers.len());
        self.initializer(&name, dims, values);
        name
    }

    /// A number.
    fn float(&mut self, v: f32) -> String {
        self.constant(vec![], Values::Floats(vec![v]))
    }

    /// A number in double precision.
    fn double(&mut self, v: f64) -> String {
        self.constant(vec![], Values::Doubles(vec![v]))
    }

    /// A whole number.
    fn int(&mut self, v: i64) -> String {
        self.constant(vec![], Values::Ints(vec![v]))
    }

    /// A list of whole numbers.
    fn ints(&mut self, v: &[i64]) -> String {
        self.constant(vec![v.len()], Values::Ints(v.to_vec()))
    }

    /// A tensor's size along an axis, a number.
    fn side(&mut self, x: &str, axis: i64) -> String {
        let shape = self.node("Shape", &[x], &[]);
        let axis = self.int(axis);
        self.node("Gather", &[&shape, &axis], &[("axis", Attribute::Int(0))])
    }
}

#[cfg(test)]
mod tests;
