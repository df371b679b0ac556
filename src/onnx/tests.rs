//! What is written is read back by a reader of a page, and listed: the listings in `tests/golden/onnx/` are those of models that
//! `tools/check_exports.py` compared with ONNX Runtime and PyTorch.

use super::*;
use crate::net::{Latent, Sizes};
use std::collections::HashSet;

/// A field of a message.
enum Field<'a> {
    Int(i64),
    Float(f32),
    Bytes(&'a [u8]),
}

/// The fields of a message, in order, by their numbers.
struct Message<'a>(Vec<(u64, Field<'a>)>);

impl<'a> Message<'a> {
    fn parse(mut bytes: &'a [u8]) -> Message<'a> {
        fn varint(bytes: &mut &[u8]) -> u64 {
            let end = bytes.iter().position(|b| b & 0x80 == 0).expect("a varint ends");
            let value = bytes[..=end].iter().rev().fold(0, |sum, b| sum << 7 | u64::from(b & 0x7F));
            *bytes = &bytes[end + 1..];
            value
        }
        let mut fields = vec![];
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let field = match key & 7 {
                0 => Field::Int(varint(&mut bytes) as i64),
                kind => {
                    let length = if kind == 5 { 4 } else { varint(&mut bytes) as usize };
                    let (value, rest) = bytes.split_at(length);
                    bytes = rest;
                    match kind {
                        2 => Field::Bytes(value),
                        5 => Field::Float(f32::from_le_bytes(value.try_into().unwrap())),
                        _ => panic!("a field of kind {kind}"),
                    }
                }
            };
            fields.push((key >> 3, field));
        }
        Message(fields)
    }

    fn all(&self, number: u64) -> impl Iterator<Item = &Field<'a>> {
        self.0.iter().filter(move |(own, _)| *own == number).map(|(_, field)| field)
    }

    fn bytes(&self, number: u64) -> Vec<&'a [u8]> {
        self.all(number).map(|field| if let Field::Bytes(v) = field { *v } else { panic!("bytes") }).collect()
    }

    fn messages(&self, number: u64) -> Vec<Message<'a>> {
        self.bytes(number).into_iter().map(Message::parse).collect()
    }

    fn texts(&self, number: u64) -> Vec<&'a str> {
        self.bytes(number).into_iter().map(|v| std::str::from_utf8(v).unwrap()).collect()
    }

    fn ints(&self, number: u64) -> Vec<i64> {
        self.all(number).map(|field| if let Field::Int(v) = field { *v } else { panic!("a number") }).collect()
    }
}

/// The nodes of a graph, a line each.
fn nodes(graph: &Message, indent: &str, known: &mut HashSet<String>, lines: &mut Vec<String>) {
    for node in graph.messages(1) {
        let (inputs, outputs) = (node.texts(1), node.texts(2));
        for name in &inputs {
            assert!(known.contains(*name), "{name} is read before it is made");
        }
        let mut line = format!("{indent}{} {}", node.texts(4)[0], inputs.join(" "));
        let mut body = vec![];
        for attribute in node.messages(5) {
            let value = match attribute.ints(20)[0] {
                1 => attribute
                    .all(2)
                    .map(|v| if let Field::Float(v) = v { format!("{v:.6}") } else { panic!() })
                    .collect(),
                2 => attribute.ints(3)[0].to_string(),
                5 => {
                    let graph = attribute.messages(6).remove(0);
                    let mut inner = known.clone();
                    inner.extend(infos(&graph, 11).into_iter().map(|(name, _)| name));
                    nodes(&graph, "    ", &mut inner, &mut body);
                    let names =
                        |field| infos(&graph, field).into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(",");
                    format!("{}->{}", names(11), names(12))
                }
                7 => attribute.ints(8).iter().map(i64::to_string).collect::<Vec<_>>().join(","),
                kind => panic!("an attribute of kind {kind}"),
            };
            line += &format!(" {}={value}", attribute.texts(1)[0]);
        }
        lines.push(format!("{line} -> {}", outputs.join(" ")));
        lines.extend(body);
        for name in outputs {
            assert!(known.insert(name.into()), "{name} is made twice");
        }
    }
}

/// Names and dimensions of a graph's inputs or outputs.
fn infos(graph: &Message, number: u64) -> Vec<(String, Vec<String>)> {
    let dims = |info: &Message| {
        let tensor = info.messages(2)[0].messages(1).remove(0);
        assert_eq!(tensor.ints(1), [1], "f32");
        let dims = tensor.messages(2).first().map(|shape| shape.messages(1)).unwrap_or_default();
        dims.iter().map(|d| d.ints(1).first().map_or_else(|| d.texts(2)[0].into(), i64::to_string)).collect()
    };
    graph.messages(number).iter().map(|info| (info.texts(1)[0].into(), dims(info))).collect()
}

/// Lists a model's nodes and constants; checks all that is alike in all models, and the weights.
fn listed(weights: &Weights) -> String {
    let bytes = export(weights).unwrap();
    let model = Message::parse(&bytes);
    assert_eq!((model.ints(1), model.texts(2)), (vec![8], vec!["sasnet"]));
    let opset = &model.messages(8)[0];
    assert_eq!((opset.texts(1), opset.ints(2)), (vec![""], vec![OPSET]));
    let metadata: Vec<_> = model.messages(14).iter().map(|entry| (entry.texts(1)[0], entry.texts(2)[0])).collect();
    assert!(metadata.contains(&("scale", &weights.network.scale().to_string())), "{metadata:?}");
    let graph = &model.messages(7)[0];
    let picture = |name: &str| (name.to_string(), ["batch", "3", "height", "width"].map(String::from).to_vec());
    assert_eq!((infos(graph, 11), infos(graph, 12)), (vec![picture("x")], vec![picture("y")]));

    let (folded, mut lines) = (weights.folded(), vec![]);
    let (layout, mut known) = (folded.network.layout(), HashSet::from(["x".to_string()]));
    for tensor in graph.messages(5) {
        let (name, data) = (tensor.texts(8)[0], tensor.bytes(9)[0]);
        let dims: Vec<usize> = tensor.ints(1).into_iter().map(|n| n as usize).collect();
        assert!(known.insert(name.into()), "{name} is there twice");
        let values: Vec<f64> = match tensor.ints(2)[..] {
            [1] => bytemuck::pod_collect_to_vec::<u8, f32>(data).into_iter().map(f64::from).collect(),
            [11] => bytemuck::pod_collect_to_vec::<u8, f64>(data),
            [7] => bytemuck::pod_collect_to_vec::<u8, i64>(data).into_iter().map(|v| v as f64).collect(),
            ref kind => panic!("{name} is of kind {kind:?}"),
        };
        assert_eq!(values.len(), dims.iter().product::<usize>(), "{name}");
        if let Some(entry) = layout.get(name) {
            assert!(dims.starts_with(&entry.dims) && values.len() == entry.len(), "{name} is {dims:?}");
            assert!(values.iter().zip(&folded.params[entry.range()]).all(|(a, b)| *a == f64::from(*b)), "{name}");
            continue;
        }
        let shown = if values.len() > 200 { &values[..3] } else { &values };
        let shown: Vec<String> = shown.iter().map(|v| format!("{v:.6}")).collect();
        let dims: Vec<String> = dims.iter().map(usize::to_string).collect();
        lines.push(format!("{name} [{}] {} sum {:.3}", dims.join(","), shown.join(" "), values.iter().sum::<f64>()));
    }
    nodes(graph, "", &mut known, &mut lines);
    assert!(known.contains("y"), "the result is made");
    lines.join("\n") + "\n"
}

#[test]
fn models_are_those_that_were_checked() {
    let sasnet = |blocks: &[usize], attention, latent| Sizes {
        blocks: Some(blocks.to_vec()),
        features: Some(4),
        attention: Some(attention),
        latent: Some(latent),
        ..Sizes::default()
    };
    let of = |blocks: Option<&[usize]>, features| Sizes {
        blocks: blocks.map(<[usize]>::to_vec),
        features: Some(features),
        ..Sizes::default()
    };
    let mut seen = HashSet::new();
    for (file, name, sizes) in [
        ("sasnet", "sasnet", sasnet(&[1], true, Latent::Drop)),
        ("sasnet-keep-x4", "sasnet", sasnet(&[1, 1], false, Latent::Keep)),
        ("unet", "unet", of(None, 1)),
        ("autoencoder", "autoencoder", of(None, 1)),
        ("resnet", "resnet", of(Some(&[1]), 4)),
        ("jessnet", "jessnet", of(Some(&[1, 1, 1]), 4)),
        ("drf", "drf", of(None, 2)),
        ("deaf", "deaf", of(None, 4)),
    ] {
        let network = Network::build(name, &sizes).unwrap();
        let mut weights = Weights::initial(&network, 5);
        // Statistics that folding must not lose.
        weights.params.iter_mut().filter(|v| **v == 1.0).for_each(|v| *v = 0.7);
        let path = format!("{}/tests/golden/onnx/{file}.txt", env!("CARGO_MANIFEST_DIR"));
        let found = listed(&weights);
        if std::env::var_os("SASNET_RENEW_ONNX").is_some() {
            std::fs::write(&path, &found).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let differs = golden.lines().zip(found.lines()).find(|(a, b)| a != b);
        assert!(
            golden == found,
            "{file} is another model than was checked, {} lines instead of {}, from {differs:?} on; if that is wanted, compare it \
             by tools/check_exports.py and renew the listing with SASNET_RENEW_ONNX=1",
            found.lines().count(),
            golden.lines().count(),
        );
        seen.insert(name);
    }
    assert_eq!(seen, Network::names().into_iter().collect(), "an architecture is not checked");
}

#[test]
fn what_has_no_form_in_onnx_is_an_error() {
    let mut m = Builder { layer: "here".into(), ..Builder::default() };
    let x = Tensor { name: "x".into(), shape: Shape::new(1, 3, 4, 4), dilation: 1 };
    let error = operators::lower(&mut m, &crate::ops::Op::from(crate::ops::lab::Lab), &[&x]);
    let error = error.expect_err("a filter's operator").to_string();
    assert!(error.contains("lab") && error.contains("\"here\"") && error.contains("ONNX"), "{error}");
    let weights = Weights { params: vec![0.0; 3], ..Weights::initial(&Network::default(), 1) };
    assert!(export(&weights).expect_err("too few").to_string().contains("3 parameters"));
}
