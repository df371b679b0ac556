//! What the shaders say about themselves: bindings, parameters, workgroup sizes.
//!
//! They are read from the WGSL by naga. A browser compiles WGSL itself, and naga would be half of what a page loads: there
//! they come from `shaders/reflection.json`, which a test (`tests/shaders.rs`) compares with what naga reads.

#[cfg(target_arch = "wasm32")]
mod table;
#[cfg(not(target_arch = "wasm32"))]
mod wgsl;

#[cfg(target_arch = "wasm32")]
use table as source;
#[cfg(not(target_arch = "wasm32"))]
use wgsl as source;
#[cfg(not(target_arch = "wasm32"))]
pub use wgsl::parse;

use crate::kernel::{Param, Shader};
use std::collections::BTreeMap;

/// A uniform or storage binding of group 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(any(feature = "lab", target_arch = "wasm32"), derive(serde::Serialize, serde::Deserialize))]
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
#[cfg_attr(any(feature = "lab", target_arch = "wasm32"), derive(serde::Serialize, serde::Deserialize))]
pub enum Scalar {
    /// `u32`
    U32,
    /// `f32`
    F32,
}

/// A member of the uniform struct `p`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(any(feature = "lab", target_arch = "wasm32"), derive(serde::Serialize, serde::Deserialize))]
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
#[cfg_attr(any(feature = "lab", target_arch = "wasm32"), derive(serde::Serialize, serde::Deserialize))]
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
#[cfg_attr(any(feature = "lab", target_arch = "wasm32"), derive(serde::Serialize, serde::Deserialize))]
pub struct Reflection {
    /// By name.
    pub entries: BTreeMap<String, Entry>,
    /// Names of the `override` constants.
    pub constants: Vec<String>,
}

impl Reflection {
    /// What a shader says; panics where it is not valid, which a test excludes.
    pub fn of(shader: &Shader, half: bool) -> Reflection {
        source::reflection(shader, half)
    }
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
