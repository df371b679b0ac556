//! A shader as plain data, declared next to its operator, and the WGSL that is made of it.

use std::fmt;

/// Text in front of every shader.
const COMMON: &str = include_str!("../../shaders/common.wgsl");

/// A shader: its text, and all that is known of it without a device.
///
/// A shader that names the type `Act` comes with activations in f32 and in f16, one that names `Pair` or `Quad` with and
/// without 64-bit integers ([`Variant`]).
pub struct Shader {
    /// Stem of the file in `shaders/`, and its name.
    pub stem: &'static str,
    /// Text of the file.
    pub text: &'static str,
    /// Text in front of it that it shares with others, behind `common.wgsl`.
    pub prelude: &'static str,
    /// Writes the unrolled part of it, which stands behind the text; of activations in f16, or not.
    pub generator: Option<fn(half: bool) -> String>,
    /// Needs cooperative matrices, which take f16 alone.
    pub matrices: bool,
    /// Argument why no index of it passes an end where buffers have the lengths that its parameters say. Such a shader
    /// is compiled without checks of indices and loops; None: with them.
    pub unchecked: Option<&'static str>,
}

/// One of the texts that a [`Shader`] comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Variant {
    /// Activations (`Act`) are f16.
    pub half: bool,
    /// Pairs of f32 are 64-bit integers, and fours are two of them.
    pub wide: bool,
}

impl Shader {
    /// A shader of text alone, compiled with checks.
    pub const fn new(stem: &'static str, text: &'static str) -> Shader {
        Shader { stem, text, prelude: "", generator: None, matrices: false, unchecked: None }
    }

    /// Depends on the type of activations.
    pub fn has_act(&self) -> bool {
        self.text.contains("<Act>")
    }

    /// Depends on whether there are 64-bit integers.
    pub fn has_pairs(&self) -> bool {
        self.text.contains("Pair>") || self.text.contains("Quad>")
    }

    /// All texts that it comes in.
    pub fn variants(&self) -> Vec<Variant> {
        let all =
            [(false, false), (false, true), (true, false), (true, true)].map(|(half, wide)| Variant { half, wide });
        let comes = |v: &Variant| if v.half { self.has_act() } else { !self.matrices };
        all.into_iter().filter(|v| comes(v) && (self.has_pairs() || !v.wide)).collect()
    }

    /// The WGSL: types of activations and pairs, `common.wgsl`, the prelude, the file, and what is generated.
    pub fn source(&self, variant: Variant) -> String {
        let Variant { half, wide } = variant;
        let enable = if self.matrices { "enable wgpu_cooperative_matrix;\n" } else { "" };
        let pairs = if self.has_pairs() { pairs(wide) } else { String::new() };
        let generated = self.generator.map(|generator| generator(half)).unwrap_or_default();
        format!("{enable}{}\n{pairs}{}\n{}{generated}", activations(half), self.prelude, self.text)
    }
}

/// The type of activations and of weights packed for them, f16 or f32, and rounding to it. f16 has no number above
/// 65,504; what is larger becomes that.
fn activations(half: bool) -> String {
    let (enable, ty, rounded) = match half {
        true => ("enable f16;\n", "f16", "f16(clamp(v, -65504.0, 65504.0))"),
        false => ("", "f32", "v"),
    };
    format!("{enable}alias Act = {ty};\nfn to_act(v: f32) -> Act {{\n    return {rounded};\n}}\n{COMMON}")
}

/// The types of pairs and fours: f32 side by side in memory. Mesa's software driver loads and stores two at once where they
/// are a 64-bit integer, and one by one as a vector.
fn pairs(wide: bool) -> String {
    let (ty, two, pair) = match wide {
        true => (
            "u64",
            "vec2f(bitcast<f32>(u32(v)), bitcast<f32>(u32(v >> 32u)))",
            "u64(bitcast<u32>(v.x)) | u64(bitcast<u32>(v.y)) << 32u",
        ),
        false => ("vec2f", "v", "v"),
    };
    let (quad_ty, four, quad) = match wide {
        true => ("vec2<u64>", "vec4f(two(v.x), two(v.y))", "vec2<u64>(pair(v.xy), pair(v.zw))"),
        false => ("vec4f", "v", "v"),
    };
    format!(
        "alias Pair = {ty};\nfn two(v: Pair) -> vec2f {{\n    return {two};\n}}\n\
         fn pair(v: vec2f) -> Pair {{\n    return {pair};\n}}\n\
         alias Quad = {quad_ty};\nfn four(v: Quad) -> vec4f {{\n    return {four};\n}}\n\
         fn quad(v: vec4f) -> Quad {{\n    return {quad};\n}}\n"
    )
}

impl fmt::Debug for Shader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.stem)
    }
}

/// Stems are unique.
impl PartialEq for Shader {
    fn eq(&self, other: &Shader) -> bool {
        self.stem == other.stem
    }
}

impl Eq for Shader {}
