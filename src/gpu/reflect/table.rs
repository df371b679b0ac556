//! Looks up what was read before.

use super::Reflection;
use crate::kernel::Shader;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// By stem, then in f32 and in f16, as far as a shader comes in them.
type Table = BTreeMap<String, [Option<Reflection>; 2]>;

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../shaders/reflection.json")).expect("tests/shaders.rs has written it")
});

/// Looks up a shader.
pub(super) fn reflection(shader: &Shader, half: bool) -> Reflection {
    let found = TABLE.get(shader.stem).and_then(|forms| forms[usize::from(half)].clone());
    found.unwrap_or_else(|| panic!("shaders/reflection.json has no {} in f16: {half}", shader.stem))
}
