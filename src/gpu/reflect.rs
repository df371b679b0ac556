//! What the shaders say about themselves: bindings, parameters, workgroup sizes, read from the WGSL by naga.

use crate::kernel::{Param, Shader, Variant};
use naga::valid::{Capabilities, GlobalUse, ModuleInfo, ValidationFlags, Validator};
use std::collections::BTreeMap;

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
    /// Binding of `run`, where it is used.
    pub run: Option<u32>,
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

/// Parses and validates a shader's text as naga's baseline has it, with f16, 64-bit integers and matrices where it
/// takes them; the message of a failure shows the line.
pub fn parse(shader: &Shader, variant: Variant) -> (naga::Module, ModuleInfo) {
    let (stem, source) = (shader.stem, shader.source(variant));
    let module = naga::front::wgsl::parse_str(&source)
        .unwrap_or_else(|e| panic!("shaders/{stem}.wgsl: {}", e.emit_to_string(&source)));
    let mut capabilities = Capabilities::empty();
    capabilities.set(Capabilities::SHADER_FLOAT16, variant.half);
    capabilities.set(Capabilities::SHADER_INT64, variant.wide);
    capabilities.set(Capabilities::COOPERATIVE_MATRIX | Capabilities::SUBGROUP, shader.matrices);
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .unwrap_or_else(|e| panic!("shaders/{stem}.wgsl: {}", e.emit_to_string(&source)));
    (module, info)
}

impl Reflection {
    /// Reads a shader; panics where it is not valid, which a test excludes.
    pub fn of(shader: &Shader, half: bool) -> Reflection {
        let (module, info) = parse(shader, Variant { half, wide: false });
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
        run: None,
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
            naga::AddressSpace::Uniform if name == "run" => {
                out.run = used.then_some(binding.binding);
            }
            naga::AddressSpace::Uniform => {
                assert_eq!(name, "p", "the uniform variables are run and p");
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
