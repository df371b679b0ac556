//! What the shaders say about themselves: bindings, parameters, workgroup sizes, read from the WGSL by naga.

use crate::kernel::Param;
use naga::valid::{Capabilities, GlobalUse, ModuleInfo, ValidationFlags, Validator};
use std::collections::BTreeMap;

const COMMON: &str = include_str!("../../shaders/common.wgsl");
/// In front of the convolution's shaders.
const CONV3X3_COMMON: &str = include_str!("../../shaders/conv3x3_common.wgsl");

macro_rules! shaders {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../shaders/", $name, ".wgsl")))),*]
    };
}

/// Every shader but those put in front of others: stem and text.
const SHADERS: &[(&str, &str)] = shaders![
    "adam",
    "add",
    "average",
    "channel_attention",
    "channels",
    "conv3x3",
    "conv3x3_lanes",
    "coupling",
    "exp_scale",
    "gate",
    "grad_norm",
    "haar",
    "haar_inverse",
    "loss",
    "max_pool",
    "noise",
    "peak",
    "pixel_conv",
    "rows",
    "sigmoid_gate",
    "spatial_attention",
];

/// Shaders written for cooperative matrices of a side, from one file.
const MATRIX_SHADERS: [(&str, usize); 2] = [("conv3x3_matrix8", 8), ("conv3x3_matrix16", 16)];
const MATRIX: &str = include_str!("../../shaders/conv3x3_matrix.wgsl");

/// All shaders, and whether their hidden maps are f16: those that have hidden maps come both ways, but for cooperative
/// matrices, which take nothing else.
pub fn shaders() -> impl Iterator<Item = (&'static str, bool)> {
    let plain = SHADERS.iter().map(|(stem, _)| (*stem, false));
    let half = SHADERS.iter().filter(|(stem, _)| has_hidden(stem)).map(|(stem, _)| (*stem, true));
    plain.chain(half).chain(MATRIX_SHADERS.map(|(stem, _)| (stem, true)))
}

/// What stands in front of every shader: the type of hidden feature maps and of weights packed for them, f16 or f32, and
/// rounding to it. f16 has no number above 65,504; what is larger becomes that.
fn prelude(half: bool) -> String {
    let (enable, ty, hidden) = match half {
        true => ("enable f16;\n", "f16", "f16(clamp(v, -65504.0, 65504.0))"),
        false => ("", "f32", "v"),
    };
    format!("{enable}alias Hidden = {ty};\nfn hide(v: f32) -> Hidden {{\n    return {hidden};\n}}\n{COMMON}")
}

/// In front of shaders that load pairs: two f32 side by side in memory. Mesa's software driver loads them at once where they are a 64-bit
/// integer, and one by one as a vector.
fn pairs(wide: bool) -> String {
    let (ty, two) = match wide {
        true => ("u64", "vec2f(bitcast<f32>(u32(v)), bitcast<f32>(u32(v >> 32u)))"),
        false => ("vec2f", "v"),
    };
    format!("alias Pair = {ty};\nfn two(v: Pair) -> vec2f {{\n    return {two};\n}}\n")
}

/// The WGSL of a shader: the type of hidden maps, `common.wgsl`, the file, and the part of it that is generated. Panics where there is
/// none of that name.
pub fn source(stem: &str, half: bool, wide: bool) -> String {
    if let Some((_, side)) = MATRIX_SHADERS.iter().find(|(s, _)| *s == stem) {
        let generated = crate::ops::conv3x3::matrix_unrolled(*side);
        return format!("enable wgpu_cooperative_matrix;\n{}\n{CONV3X3_COMMON}\n{MATRIX}{generated}", prelude(true));
    }
    let (_, text) = SHADERS.iter().find(|(s, _)| *s == stem).unwrap_or_else(|| panic!("no shader {stem:?}"));
    let (common, generated) = match stem {
        "conv3x3" => (CONV3X3_COMMON, crate::ops::conv3x3::tiles_unrolled(half)),
        "conv3x3_lanes" => (CONV3X3_COMMON, crate::ops::conv3x3::unrolled()),
        _ => ("", String::new()),
    };
    let pairs = if has_pairs(stem) { pairs(wide) } else { String::new() };
    format!("{}\n{pairs}{common}\n{text}{generated}", prelude(half))
}

/// Does a shader depend on the type of hidden maps?
pub fn has_hidden(stem: &str) -> bool {
    is_matrix(stem) || SHADERS.iter().any(|(s, text)| *s == stem && text.contains("Hidden"))
}

/// Does a shader depend on whether there are 64-bit integers?
pub fn has_pairs(stem: &str) -> bool {
    SHADERS.iter().any(|(s, text)| *s == stem && text.contains("Pair>"))
}

/// Is a shader for cooperative matrices?
pub fn is_matrix(stem: &str) -> bool {
    MATRIX_SHADERS.iter().any(|(s, _)| *s == stem)
}

/// A uniform or storage binding of group 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Name of the variable.
    pub name: String,
    /// `@binding`
    pub index: u32,
    /// `var<storage, read_write>`
    pub writable: bool,
    /// Bytes of an element.
    pub stride: u32,
}

/// Type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// `u32`
    U32,
    /// `f32`
    F32,
}

/// A member of the uniform struct `p`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Name.
    pub name: String,
    /// Offset in bytes.
    pub offset: usize,
    /// Type.
    pub scalar: Scalar,
}

/// What an entry point uses; variables that it does not touch are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Storage buffers, by binding index.
    pub storage: Vec<Binding>,
    /// Binding of `globals`, where it is used.
    pub globals: Option<u32>,
    /// Binding of `p`, where it is used.
    pub params: Option<u32>,
    /// Members of `p`, used or not.
    pub members: Vec<Member>,
    /// Size of `p` in bytes.
    pub params_size: usize,
    /// `@workgroup_size`
    pub workgroup_size: [u32; 3],
}

/// The entry points of one shader.
#[derive(Clone, Debug)]
pub struct Reflection {
    /// By name.
    pub entries: BTreeMap<String, Entry>,
    /// Names of the `override` constants.
    pub constants: Vec<String>,
}

/// Parses and validates a shader's [`source`] as naga's baseline has it, with f16, 64-bit integers and matrices where it takes
/// them; the message of a failure shows the line.
pub fn parse(stem: &str, half: bool, wide: bool) -> (naga::Module, ModuleInfo) {
    let source = source(stem, half, wide);
    let module = naga::front::wgsl::parse_str(&source)
        .unwrap_or_else(|e| panic!("shaders/{stem}.wgsl: {}", e.emit_to_string(&source)));
    let mut capabilities = Capabilities::empty();
    capabilities.set(Capabilities::SHADER_FLOAT16, half);
    capabilities.set(Capabilities::SHADER_INT64, wide);
    capabilities.set(Capabilities::COOPERATIVE_MATRIX | Capabilities::SUBGROUP, is_matrix(stem));
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .unwrap_or_else(|e| panic!("shaders/{stem}.wgsl: {}", e.emit_to_string(&source)));
    (module, info)
}

impl Reflection {
    /// Reads a shader; panics where it is not valid, which a test excludes.
    pub fn of(stem: &str, half: bool) -> Reflection {
        let (module, info) = parse(stem, half, false);
        let entries = module
            .entry_points
            .iter()
            .enumerate()
            .map(|(i, entry)| (entry.name.clone(), reflect(&module, info.get_entry_point(i), entry)))
            .collect();
        let constants = module.overrides.iter().filter_map(|(_, o)| o.name.clone()).collect();
        Reflection { entries, constants }
    }
}

fn reflect(module: &naga::Module, info: &naga::valid::FunctionInfo, entry: &naga::EntryPoint) -> Entry {
    let mut out = Entry {
        storage: Vec::new(),
        globals: None,
        params: None,
        members: Vec::new(),
        params_size: 0,
        workgroup_size: entry.workgroup_size,
    };
    for (handle, variable) in module.global_variables.iter() {
        let Some(binding) = variable.binding else { continue };
        let name = variable.name.clone().unwrap_or_default();
        assert_eq!(binding.group, 0, "{name}: bindings are in group 0");
        let used = info[handle] != GlobalUse::empty();
        match variable.space {
            naga::AddressSpace::Uniform if name == "globals" => {
                out.globals = used.then_some(binding.binding);
            }
            naga::AddressSpace::Uniform => {
                assert_eq!(name, "p", "the uniform variables are globals and p");
                out.params = used.then_some(binding.binding);
                if used {
                    (out.members, out.params_size) = members(module, variable.ty);
                }
            }
            naga::AddressSpace::Storage { access } if used => out.storage.push(Binding {
                name,
                index: binding.binding,
                writable: access.contains(naga::StorageAccess::STORE),
                stride: match module.types[variable.ty].inner {
                    naga::TypeInner::Array { stride, .. } => stride,
                    _ => panic!("{:?}: storage buffers are arrays", variable.name),
                },
            }),
            _ => {}
        }
    }
    out.storage.sort_by_key(|b| b.index);
    out
}

fn members(module: &naga::Module, ty: naga::Handle<naga::Type>) -> (Vec<Member>, usize) {
    let naga::TypeInner::Struct { members, span } = &module.types[ty].inner else { panic!("p is a struct") };
    let list = members.iter().map(|m| Member {
        name: m.name.clone().unwrap_or_default(),
        offset: m.offset as usize,
        scalar: match module.types[m.ty].inner {
            naga::TypeInner::Scalar(naga::Scalar::U32) => Scalar::U32,
            naga::TypeInner::Scalar(naga::Scalar::F32) => Scalar::F32,
            _ => panic!("the members of p are u32 or f32"),
        },
    });
    (list.collect(), *span as usize)
}

impl Entry {
    /// The bytes of the uniform struct `p`. `name` names the kernel in a panic about a missing, superfluous or wrongly
    /// typed parameter.
    pub fn encode(&self, name: &str, params: &[(&'static str, Param)]) -> Vec<u8> {
        let wanted: Vec<&str> = self.members.iter().map(|m| m.name.as_str()).collect();
        let given: Vec<&str> = params.iter().map(|(n, _)| *n).collect();
        check_names(name, "parameters", &wanted, &given);
        let mut bytes = vec![0; self.params_size];
        for member in &self.members {
            let (_, value) = params.iter().find(|(n, _)| *n == member.name).expect("the names were checked");
            let word = match (member.scalar, value) {
                (Scalar::U32, Param::U32(v)) => v.to_ne_bytes(),
                (Scalar::F32, Param::F32(v)) => v.to_ne_bytes(),
                (scalar, value) => panic!("{name}: parameter {:?} is {scalar:?}, got {value:?}", member.name),
            };
            bytes[member.offset..member.offset + 4].copy_from_slice(&word);
        }
        bytes
    }
}

/// Panics unless `given` has exactly the names `wanted`, in any order.
pub fn check_names(kernel: &str, what: &str, wanted: &[&str], given: &[&str]) {
    let missing: Vec<_> = wanted.iter().filter(|n| !given.contains(n)).collect();
    let surplus: Vec<_> = given.iter().filter(|n| !wanted.contains(n)).collect();
    assert!(
        missing.is_empty() && surplus.is_empty() && wanted.len() == given.len(),
        "{kernel}: {what} wanted {wanted:?}, got {given:?}: missing {missing:?}, superfluous {surplus:?}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_entry_point_uses_is_listed() {
        let conv = Reflection::of("conv3x3", false);
        assert!(
            ["GROUPS", "DEPTH", "STRIPS"].iter().all(|n| conv.constants.iter().any(|c| c == n)),
            "{:?}",
            conv.constants
        );
        let forward = &conv.entries["forward"];
        let names: Vec<_> = forward.storage.iter().map(|b| (b.name.as_str(), b.writable)).collect();
        let read = ["packed_in", "cgate", "sgate", "a", "e"].map(|name| (name, false));
        assert_eq!(names, [&[("x", false), ("r", false), ("y", true)][..], &read].concat());
        assert_eq!((forward.globals, forward.params), (None, Some(1)));
        assert_eq!(conv.entries["pack"].workgroup_size, [256, 1, 1]);
        let adam = &Reflection::of("adam", false).entries["adam"];
        assert_eq!(adam.globals, Some(0));
    }

    #[test]
    fn parameters_are_laid_out_by_name() {
        let add = &Reflection::of("add", false).entries["add"];
        let bytes = add.encode("add", &[("k", 0.5.into()), ("len", 7usize.into())]);
        assert_eq!(bytemuck::pod_collect_to_vec::<u8, u32>(&bytes), [7, 0.5f32.to_bits()]);
    }

    #[test]
    #[should_panic(expected = r#"missing ["k"], superfluous ["q"]"#)]
    fn a_wrong_name_is_a_panic() {
        Reflection::of("add", false).entries["add"].encode("add", &[("q", 0.5.into()), ("len", 7usize.into())]);
    }

    #[test]
    fn every_entry_point_keeps_the_baseline_limits() {
        for (stem, half) in shaders() {
            for (name, entry) in Reflection::of(stem, half).entries {
                assert!(entry.storage.len() <= 8, "{stem}.{name}: {} storage buffers", entry.storage.len());
                let invocations: u32 = entry.workgroup_size.iter().product();
                assert!(invocations <= 256, "{stem}.{name}: {invocations} invocations");
                assert!(entry.params.is_some(), "{stem}.{name} has no parameters");
            }
        }
    }
}
