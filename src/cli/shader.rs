//! `sasnet shader`

use clap::Args;
use sasnet::lab::bench::PEAK_SHADER;
use sasnet::low_level::kernel::{FAMILIES, Family, Kernels, Shader, Variant};
use sasnet::low_level::ops::SHADERS;
use sasnet::{Error, Result};

/// Print the WGSL of a shader as a device gets it, with what is generated; without a name, list all shaders
#[derive(Args)]
pub struct Shader_ {
    /// Its name, as in the list: its file in `shaders/`
    name: Option<String>,
    /// As these kernels use it: lanes, tiles, tiles-f16 or matrix (see `sasnet devices`) [default: in f32 where there
    /// is]
    #[arg(long, value_name = "NAME", value_parser = parse_family, requires = "name")]
    kernel: Option<&'static Family>,
    /// As on a device with 64-bit integers, where that makes a difference
    #[arg(long, requires = "name")]
    wide: bool,
}

fn parse_family(name: &str) -> Result<&'static Family, String> {
    let family = FAMILIES.iter().find(|family| family.name == name);
    family.ok_or_else(|| format!("give one of: {}", Kernels::names().join(", ")))
}

impl Shader_ {
    /// Prints the text, or the list.
    pub fn run(self) -> Result<()> {
        let Some(name) = &self.name else {
            all().for_each(list);
            return Ok(());
        };
        let shader = all().find(|shader| shader.stem == name);
        let shader = shader.ok_or_else(|| Error::Invalid(format!("no shader {name:?}; `sasnet shader` lists all")))?;
        let half = self.kernel.map_or(shader.matrices, |family| family.half);
        let variant = Variant { half: half && shader.has_act(), wide: self.wide && shader.has_pairs() };
        if !shader.variants().contains(&variant) {
            let message = format!("{name} takes f16 alone; leave --kernel out, or give one that keeps maps in it");
            return Err(Error::Invalid(message));
        }
        say!("{}", shader.source(variant).trim_end());
        Ok(())
    }
}

/// The shaders of the operators, and the one that measures a device.
fn all() -> impl Iterator<Item = &'static Shader> {
    SHADERS.iter().copied().chain([&PEAK_SHADER])
}

/// Prints a line of the list: the name and the forms that it comes in.
fn list(shader: &'static Shader) {
    let mut forms = vec![];
    let variants = shader.variants();
    if variants.iter().any(|v| v.half) {
        forms.push(if shader.matrices { "f16" } else { "f32, f16" });
    }
    if variants.iter().any(|v| v.wide) {
        forms.push("with and without 64-bit integers");
    }
    if shader.unchecked.is_some() {
        forms.push("unchecked");
    }
    say!("{}", format!("{:20} {}", shader.stem, forms.join("; ")).trim_end());
}
