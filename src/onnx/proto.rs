//! What of the ONNX format is needed here (onnx.proto, IR version 8), and its bytes: protocol buffers, which are fields of a
//! number and a value, one behind the other.

/// A message's bytes.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.0.push(v as u8 | 0x80);
            v >>= 7;
        }
        self.0.push(v as u8);
    }

    fn int(&mut self, field: u64, v: i64) -> &mut Message {
        self.varint(field << 3);
        self.varint(v as u64);
        self
    }

    fn float(&mut self, field: u64, v: f32) -> &mut Message {
        self.varint(field << 3 | 5);
        self.0.extend(v.to_le_bytes());
        self
    }

    fn bytes(&mut self, field: u64, v: impl AsRef<[u8]>) -> &mut Message {
        self.varint(field << 3 | 2);
        self.varint(v.as_ref().len() as u64);
        self.0.extend(v.as_ref());
        self
    }

    fn message(&mut self, field: u64, v: &Message) -> &mut Message {
        self.bytes(field, &v.0)
    }
}

/// An attribute of a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Attribute {
    Int(i64),
    Float(f32),
    Ints(Vec<i64>),
    /// The body of a loop.
    Body(Body),
}

/// The body of a loop: nodes between names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Body {
    pub(crate) nodes: Vec<Node>,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    pub(crate) attributes: Vec<(&'static str, Attribute)>,
}

/// Numbers that do not change: weights and constants.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Initializer {
    pub(crate) name: String,
    pub(crate) dims: Vec<usize>,
    pub(crate) values: Values,
}

/// Its elements, little-endian.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    Floats(Vec<f32>),
    Doubles(Vec<f64>),
    Ints(Vec<i64>),
}

/// A model of one input and one output, pictures of any size.
pub(crate) struct Model<'a> {
    pub(crate) opset: i64,
    /// What it is, for people.
    pub(crate) about: &'a str,
    pub(crate) metadata: Vec<(String, String)>,
    pub(crate) nodes: &'a [Node],
    pub(crate) initializers: &'a [Initializer],
    /// Names of input and output, float (batch, 3, height, width).
    pub(crate) pictures: [&'a str; 2],
}

impl Body {
    fn message(&self) -> Message {
        let mut graph = Message::default();
        self.nodes.iter().for_each(|node| _ = graph.message(1, &node.message()));
        graph.bytes(2, "body");
        self.inputs.iter().for_each(|name| _ = graph.message(11, &tensor_of_floats(name, None)));
        self.outputs.iter().for_each(|name| _ = graph.message(12, &tensor_of_floats(name, None)));
        graph
    }
}

impl Node {
    fn message(&self) -> Message {
        let mut node = Message::default();
        self.inputs.iter().for_each(|name| _ = node.bytes(1, name));
        self.outputs.iter().for_each(|name| _ = node.bytes(2, name));
        node.bytes(3, &self.name).bytes(4, self.kind);
        for (name, value) in &self.attributes {
            let mut attribute = Message::default();
            attribute.bytes(1, name);
            let kind = match value {
                Attribute::Float(v) => attribute.float(2, *v).kind(1),
                Attribute::Int(v) => attribute.int(3, *v).kind(2),
                Attribute::Body(body) => attribute.message(6, &body.message()).kind(5),
                Attribute::Ints(v) => v.iter().fold(&mut attribute, |a, v| a.int(8, *v)).kind(7),
            };
            node.message(5, kind);
        }
        node
    }
}

impl Message {
    /// What an attribute's value is.
    fn kind(&mut self, kind: i64) -> &Message {
        self.int(20, kind)
    }
}

impl Initializer {
    fn message(&self) -> Message {
        let mut tensor = Message::default();
        self.dims.iter().for_each(|n| _ = tensor.int(1, *n as i64));
        let (kind, bytes): (i64, &[u8]) = match &self.values {
            Values::Floats(v) => (1, bytemuck::cast_slice(v)),
            Values::Doubles(v) => (11, bytemuck::cast_slice(v)),
            Values::Ints(v) => (7, bytemuck::cast_slice(v)),
        };
        tensor.int(2, kind).bytes(8, &self.name).bytes(9, bytes);
        tensor
    }
}

/// A tensor's name and type: f32, of these dimensions, numbers or names of what may be any; None: any shape.
fn tensor_of_floats(name: &str, dims: Option<[&str; 4]>) -> Message {
    let mut tensor = Message::default();
    tensor.int(1, 1);
    if let Some(dims) = dims {
        let mut shape = Message::default();
        for dim in dims {
            let mut message = Message::default();
            match dim.parse() {
                Ok(number) => message.int(1, number),
                Err(_) => message.bytes(2, dim),
            };
            shape.message(1, &message);
        }
        tensor.message(2, &shape);
    }
    let (mut of, mut info) = (Message::default(), Message::default());
    of.message(1, &tensor);
    info.bytes(1, name).message(2, &of);
    info
}

impl Model<'_> {
    /// The file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut graph = Message::default();
        self.nodes.iter().for_each(|node| _ = graph.message(1, &node.message()));
        graph.bytes(2, "sasnet");
        self.initializers.iter().for_each(|tensor| _ = graph.message(5, &tensor.message()));
        for (field, name) in [11, 12].into_iter().zip(self.pictures) {
            graph.message(field, &tensor_of_floats(name, Some(["batch", "3", "height", "width"])));
        }
        let (mut model, mut opset) = (Message::default(), Message::default());
        opset.bytes(1, "").int(2, self.opset);
        model.int(1, 8).bytes(2, "sasnet").bytes(3, env!("CARGO_PKG_VERSION"));
        model.bytes(6, self.about).message(7, &graph).message(8, &opset);
        for (key, value) in &self.metadata {
            let mut entry = Message::default();
            entry.bytes(1, key).bytes(2, value);
            model.message(14, &entry);
        }
        model.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_protocol_buffers() {
        // The examples of the format's own description: 150, "testing"; -1 takes ten bytes.
        assert_eq!(Message::default().int(1, 150).0, [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().bytes(2, "testing").0, b"\x12\x07testing");
        assert_eq!(Message::default().int(1, -1).0, [&[0x08][..], &[0xff; 9], &[0x01]].concat());
        assert_eq!(Message::default().float(2, 1.0).0, [0x15, 0, 0, 0x80, 0x3f]);
        // Field 20 has a tag of two bytes.
        assert_eq!(Message::default().kind(2).0, [0xa0, 0x01, 0x02]);
    }
}
