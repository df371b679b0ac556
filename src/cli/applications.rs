//! `sasnet enhance`, `tonemap`, `abstract` and `edges`: what is made of a picture and its smoothed form. All that they do
//! not say here is that of `sasnet smooth`.

use super::smooth::{Effect, Work};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use sasnet::Result;
use sasnet::applications::{
    Abstraction, BOOST, CONTRAST, DETAIL, GAIN, LEVELS, LINE_STRENGTH, LINE_WIDTH, SATURATION, SOFTNESS, Tonemap,
};
use sasnet::image::Depth;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Make the detail of pictures stronger: all that smoothing would remove, and not the edges that it keeps.
#[derive(Args)]
pub struct Enhance {
    /// How many times the detail is added, 0 to 20
    #[arg(long, value_name = "K", default_value_t = 1.0, value_parser = within(BOOST), allow_negative_numbers = true)]
    boost: f32,
    #[command(flatten)]
    work: Work,
}

/// Make HDR pictures (Radiance HDR, OpenEXR, TIFF of floating point) fit a screen: light and shade come closer, detail stays.
#[derive(Args)]
pub struct TonemapPictures {
    /// Ratio of the brightest and darkest light in the result, detail aside, 2 to 1000; a smaller one stays
    #[arg(long, value_name = "RATIO", default_value_t = Tonemap::default().contrast, value_parser = within(CONTRAST),
        allow_negative_numbers = true)]
    contrast: f32,
    /// How strong detail is, 0 to 5: 0 = none, 1 = as it is
    #[arg(long, value_name = "K", default_value_t = Tonemap::default().detail, value_parser = within(DETAIL),
        allow_negative_numbers = true)]
    detail: f32,
    /// How strong colours are, 0 to 2: 0 = grey, 1 = as they are
    #[arg(long, value_name = "K", default_value_t = Tonemap::default().saturation, value_parser = within(SATURATION),
        allow_negative_numbers = true)]
    saturation: f32,
    /// Bits of each value of the result
    #[arg(long, value_name = "BITS", default_value = "8",
        value_parser = PossibleValuesParser::new(["8", "16"]).map(|bits| if bits == "16" { Depth::Sixteen } else { Depth::Eight }))]
    bits: Depth,
    #[command(flatten)]
    work: Work,
}

/// Make pictures look drawn: without texture, light and shade in steps, lines along edges.
#[derive(Args)]
pub struct Abstract {
    /// Steps from black to white, 2 to 64
    #[arg(long, value_name = "N", default_value_t = Abstraction::default().levels, value_parser = within(LEVELS),
        allow_negative_numbers = true)]
    levels: u32,
    /// How gradual the steps are, 0 to 1: 0 = hard, 1 = hardly any steps
    #[arg(long, value_name = "0..1", default_value_t = Abstraction::default().softness,
        value_parser = within(SOFTNESS), allow_negative_numbers = true)]
    softness: f32,
    /// Width of the lines in pixels, 0.3 to 20
    #[arg(long, value_name = "PIXELS", default_value_t = Abstraction::default().line_width,
        value_parser = within(LINE_WIDTH), allow_negative_numbers = true)]
    line_width: f32,
    /// How dark lines are, 0 to 1: 0 = none, 1 = black
    #[arg(long, value_name = "0..1", default_value_t = Abstraction::default().line_strength,
        value_parser = within(LINE_STRENGTH), allow_negative_numbers = true)]
    line_strength: f32,
    #[command(flatten)]
    work: Work,
}

/// Draw the edges of structure, and none of texture, white on black: grey pictures.
#[derive(Args)]
pub struct Edges {
    /// How bright edges are, 0.1 to 100: at 1 the strongest is white, at 2 those half as strong are, too
    #[arg(long, value_name = "K", default_value_t = 2.0, value_parser = within(GAIN), allow_negative_numbers = true)]
    gain: f32,
    #[command(flatten)]
    work: Work,
}

impl Enhance {
    /// Enhances all pictures.
    pub fn run(self) -> Result<()> {
        self.work.run(Effect::Enhance(self.boost))
    }
}

impl TonemapPictures {
    /// Maps the tones of all pictures.
    pub fn run(self) -> Result<()> {
        let mut options = Tonemap::default();
        (options.contrast, options.detail, options.saturation) = (self.contrast, self.detail, self.saturation);
        self.work.run(Effect::Tonemap(options, self.bits))
    }
}

impl Abstract {
    /// Abstracts all pictures.
    pub fn run(self) -> Result<()> {
        let mut options = Abstraction::default();
        (options.levels, options.softness) = (self.levels, self.softness);
        (options.line_width, options.line_strength) = (self.line_width, self.line_strength);
        self.work.run(Effect::Abstract(options))
    }
}

impl Edges {
    /// Draws the edges of all pictures.
    pub fn run(self) -> Result<()> {
        self.work.run(Effect::Edges(self.gain))
    }
}

/// Parses a number within a range.
fn within<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + Display + Clone,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("give a number from {} to {}", range.start(), range.end()))
    }
}
