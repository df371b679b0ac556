//! What a host's values mean.

use wgpu::TextureFormat;

/// How a texture's values, as its shaders read and write them, are related to codes, RGB in [0, 1] as files mostly store
/// it, which is what networks and filters are made for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Transfer {
    /// By each texture's format: linear light for `-srgb` (whose codes are stored) and floating point, codes otherwise.
    #[default]
    FromFormat,
    /// The values are codes.
    Codes,
    /// Linear light of sRGB's primaries, of which sRGB's curve makes codes. Values above 1 become 1.
    LinearSrgb,
    /// Linear light above 1, too: before the network a logarithmic scale, which is undone. Values above `top` become
    /// `top`.
    LinearHdr {
        /// The largest value, above 0.
        top: f32,
    },
}

/// What alpha is, and what becomes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alpha {
    /// Colours do not depend on it; the result has the picture's.
    #[default]
    Keep,
    /// Not looked at; the result's is 1.
    Opaque,
    /// Colours are multiplied by it; the result's are, too.
    Premultiplied,
}

/// Values of `transfer` in `shaders/texture.wgsl`.
const CODES: u32 = 0;
const SRGB: u32 = 1;
const LOG: u32 = 2;

/// The scale of [`Transfer::LinearHdr`] is nearly linear below this part of its top: where 16 is the top, below a 40th of
/// middle grey.
const LOW: f32 = 1.0 / 4096.0;

impl Transfer {
    /// Its number in the shaders, for a texture of this format.
    pub(super) fn code(self, format: TextureFormat) -> u32 {
        match self {
            Transfer::FromFormat if format.is_srgb() || is_floating(format) => SRGB,
            Transfer::FromFormat | Transfer::Codes => CODES,
            Transfer::LinearSrgb => SRGB,
            Transfer::LinearHdr { .. } => LOG,
        }
    }

    /// Where its scale begins and ends.
    pub(super) fn scale(self) -> [f32; 2] {
        match self {
            Transfer::LinearHdr { top } => [LOW * top, top],
            _ => [1.0; 2],
        }
    }
}

impl Alpha {
    /// Its number in the shaders.
    pub(super) fn code(self) -> u32 {
        match self {
            Alpha::Keep => 0,
            Alpha::Opaque => 1,
            Alpha::Premultiplied => 2,
        }
    }
}

/// Tells whether a format's numbers are floating-point ones.
fn is_floating(format: TextureFormat) -> bool {
    use TextureFormat::*;
    matches!(
        format,
        R16Float | Rg16Float | Rgba16Float | R32Float | Rg32Float | Rgba32Float | Rg11b10Ufloat | Rgb9e5Ufloat
    )
}
