//! Reads the WGSL by naga.

use super::{Binding, Entry, Member, Reflection, Scalar};
use crate::kernel::{Shader, Variant};
use naga::valid::{Capabilities, GlobalUse, ModuleInfo, ValidationFlags, Validator};

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

/// Reads a shader.
pub(super) fn reflection(shader: &Shader, half: bool) -> Reflection {
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
