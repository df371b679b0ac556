//! What colours mean: profiles, and other spaces to sRGB.

use moxcms::{
    Chromaticity, CicpProfile, ColorPrimaries, ColorProfile, DataColorSpace, Layout as Channels, MatrixCoefficients,
    ProfileText, ToneReprCurve, TransformF32Executor, TransformOptions,
};
use std::sync::Arc;

use super::metadata::Metadata;
use super::note::Note;
use super::picture::{Layout, Picture};
use crate::error::{Error, Result};

/// Shares of red, green and blue in the brightness of a digital photograph (ITU-R BT.601).
pub(super) const BT601: [f32; 3] = [0.299, 0.587, 0.114];
/// Pixels that are converted at a time.
const CHUNK: usize = 4096;

type Transform = Arc<TransformF32Executor>;

/// The profile, where it can be understood.
fn parse(icc: &[u8]) -> Option<ColorProfile> {
    ColorProfile::new_from_slice(icc).ok()
}

fn to_srgb(profile: &ColorProfile, channels: Channels) -> Option<Transform> {
    profile.create_transform_f32(channels, &ColorProfile::new_srgb(), Channels::Rgb, TransformOptions::default()).ok()
}

/// sRGB's own profile.
pub(super) fn srgb() -> Vec<u8> {
    ColorProfile::new_srgb().encode().expect("a profile of sRGB is valid")
}

/// Gives a picture its profile, where that describes the picture's samples.
pub(super) fn set_profile(picture: &mut Picture, icc: Option<Vec<u8>>) {
    let Some(icc) = icc.filter(|_| picture.icc.is_none()) else { return };
    let wanted = if picture.grey { b"GRAY" } else { b"RGB " };
    if icc.get(16..20) == Some(wanted) {
        picture.icc = Some(icc);
    } else {
        let kind = if picture.grey { "grey" } else { "RGB" };
        picture.notes.push(Note::lost(format!("its colour profile is not one of {kind}, as its pixels are: left out")));
    }
}

/// A picture in sRGB, and tagged so, from ink amounts (cyan, magenta, yellow, black; 0 = none to 255). Without a
/// profile the inks simply darken.
pub(super) fn from_cmyk(inks: &[u8], size: (usize, usize), icc: Option<&[u8]>) -> Result<Picture> {
    let inks: Vec<u16> = inks.iter().map(|&ink| u16::from(ink) * 257).collect();
    Ok(Picture { depth: super::Depth::Eight, ..from_cmyk16(&inks, size, icc)? })
}

/// As [`from_cmyk`], to 65535.
pub(super) fn from_cmyk16(inks: &[u16], size: (usize, usize), icc: Option<&[u8]>) -> Result<Picture> {
    let profile = icc.and_then(parse).filter(|profile| profile.color_space == DataColorSpace::Cmyk);
    let transform = profile.as_ref().and_then(|profile| to_srgb(profile, Channels::Rgba));
    let mut rgb = Vec::with_capacity(inks.len() / 4 * 3);
    for chunk in inks.chunks(4 * CHUNK) {
        let inks: Vec<f32> = chunk.iter().map(|&ink| f32::from(ink) / 65535.0).collect();
        match &transform {
            Some(transform) => {
                let from = rgb.len();
                rgb.resize(from + inks.len() / 4 * 3, 0.0);
                transform.transform(&inks, &mut rgb[from..]).map_err(failed)?;
            }
            None => {
                let pixels = inks.as_chunks::<4>().0;
                rgb.extend(pixels.iter().flat_map(|[c, m, y, k]| [c, m, y].map(|ink| (1.0 - ink) * (1.0 - k))));
            }
        }
    }
    rgb.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
    let mut picture = Picture::from_samples(&rgb, 1.0, size, Layout { grey: false, alpha: false });
    picture.icc = Some(srgb());
    picture.depth = super::Depth::Sixteen;
    picture.notes.push(Note::converted(match transform {
        Some(_) => "CMYK became sRGB by its colour profile",
        None => "CMYK became sRGB, without a colour profile that would say which inks they are",
    }));
    Ok(picture)
}

fn failed(e: moxcms::CmsError) -> Error {
    Error::Invalid(format!("its colours cannot be converted: {e}"))
}

/// Red, green and blue of a brightness and two colour differences, in the same units.
pub(super) fn ycbcr_to_rgb([y, cb, cr]: [f32; 3], [red, green, blue]: [f32; 3]) -> [f32; 3] {
    let (r, b) = (y + cr * (2.0 - 2.0 * red), y + cb * (2.0 - 2.0 * blue));
    [r, (y - red * r - blue * b) / green, b]
}

/// sRGB of CIE L* (0 to 100), a* and b*, white being D50.
pub(super) fn lab_to_srgb([l, a, b]: [f32; 3]) -> [f32; 3] {
    let y = (l + 16.0) / 116.0;
    let cube = |t: f32| if t > 6.0 / 29.0 { t * t * t } else { (t - 4.0 / 29.0) * 3.0 * (6.0f32 / 29.0).powi(2) };
    let (x, y, z) = (0.9642 * cube(y + a / 500.0), cube(y), 0.8249 * cube(y - b / 200.0));
    // The inverse of sRGB's primaries, adapted to D50 (Lindbloom).
    let linear = [
        3.133_856 * x - 1.616_867 * y - 0.490_615 * z,
        -0.978_768 * x + 1.916_142 * y + 0.033_454 * z,
        0.071_945 * x - 0.228_991 * y + 1.405_243 * z,
    ];
    linear.map(|v| {
        let v = v.clamp(0.0, 1.0);
        if v <= 0.0031308 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 }
    })
}

/// The contents of a PNG's chunk.
fn chunk<'a>(metadata: &'a Metadata, name: &[u8; 4]) -> Option<&'a [u8]> {
    metadata.colour_chunks.iter().find(|(kind, _)| kind == name).map(|(_, contents)| contents.as_slice())
}

/// Whether a PNG's chunk says that its values are coded for HDR screens (PQ or HLG).
pub(super) fn is_coded_for_hdr(metadata: &Metadata) -> bool {
    chunk(metadata, b"cICP").is_some_and(|cicp| matches!(cicp.get(1), Some(16 | 18)))
}

/// The profile of a picture: its own, or what a PNG's chunks say instead. None is sRGB.
pub(super) fn profile(picture: &Picture) -> Option<Vec<u8>> {
    let metadata = &picture.metadata;
    if let Some(profile) = chunk(metadata, b"cICP").and_then(profile_of_cicp) {
        return profile.encode().ok();
    }
    if picture.icc.is_some() || chunk(metadata, b"sRGB").is_some() {
        return picture.icc.clone();
    }
    profile_of_gamma(metadata, picture.grey)?.encode().ok()
}

fn named(mut profile: ColorProfile, name: &str) -> ColorProfile {
    profile.description = Some(ProfileText::PlainString(name.into()));
    profile
}

fn profile_of_cicp(cicp: &[u8]) -> Option<ColorProfile> {
    let &[primaries, transfer, _, range] = cicp.first_chunk::<4>()?;
    let cicp = CicpProfile {
        color_primaries: primaries.try_into().ok()?,
        transfer_characteristics: transfer.try_into().ok()?,
        matrix_coefficients: MatrixCoefficients::Identity,
        full_range: range != 0,
    };
    let mut profile = ColorProfile::new_srgb();
    profile.cicp = None;
    profile.update_rgb_colorimetry_from_cicp(cicp);
    // Its result is false whatever happens; what it has set is not.
    profile.cicp.is_some().then(|| named(profile, "colours of the cICP chunk"))
}

fn profile_of_gamma(metadata: &Metadata, grey: bool) -> Option<ColorProfile> {
    let numbers = |name| {
        let contents = chunk(metadata, name)?.as_chunks::<4>().0.iter();
        Some(contents.map(|bytes| u32::from_be_bytes(*bytes) as f32 / 1e5).collect::<Vec<_>>())
    };
    let gamma = numbers(b"gAMA").and_then(|gamma| gamma.first().copied()).filter(|&gamma| gamma > 0.0);
    let points = numbers(b"cHRM").filter(|points| points.len() == 8);
    // What is written for sRGB, and rounding.
    let usual = [0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06];
    let points = points.filter(|points| points.iter().zip(usual).any(|(point, usual)| (point - usual).abs() > 0.002));
    let gamma = gamma.filter(|gamma| (gamma - 0.45455).abs() > 0.002);
    if gamma.is_none() && (points.is_none() || grey) {
        return None;
    }
    if grey {
        return Some(named(ColorProfile::new_gray_with_gamma(1.0 / gamma?), "grey of the gAMA chunk"));
    }
    let mut profile = ColorProfile::new_srgb();
    profile.cicp = None;
    if let Some(gamma) = gamma {
        let curve = Some(ToneReprCurve::Parametric(vec![1.0 / gamma]));
        (profile.red_trc, profile.green_trc, profile.blue_trc) = (curve.clone(), curve.clone(), curve);
    }
    if let Some(p) = points {
        let point = |i: usize| Chromaticity::new(p[i], p[i + 1]);
        let primaries = ColorPrimaries { red: point(2), green: point(4), blue: point(6) };
        profile.update_rgb_colorimetry(point(0).to_xyyb(), primaries);
    }
    Some(named(profile, "colours of the gAMA and cHRM chunks"))
}

/// The way from a picture's colours to sRGB, where they are others.
fn transform_of(picture: &Picture) -> Option<Transform> {
    let profile = parse(&profile(picture)?)?;
    let transform = to_srgb(&profile, if picture.grey { Channels::Gray } else { Channels::Rgb })?;
    // A profile of sRGB would only round the values.
    (!changes_nothing(&transform, picture.grey)).then_some(transform)
}

/// Tells whether a picture's colours are others than sRGB.
pub(super) fn differs_from_srgb(picture: &Picture) -> bool {
    transform_of(picture).is_some()
}

/// A picture in sRGB and without a profile, for a format that cannot hold its own.
pub(super) fn into_srgb(mut picture: Picture) -> Picture {
    let transform = transform_of(&picture);
    let grey = picture.grey;
    picture.icc = None;
    picture.metadata.colour_chunks.clear();
    let Some(transform) = transform else { return picture };
    let plane = picture.tensor.shape.plane();
    let (mut from, mut to) = (vec![], vec![0.0; 3 * CHUNK]);
    for first in (0..plane).step_by(CHUNK) {
        let pixels = first..plane.min(first + CHUNK);
        from.clear();
        from.extend(
            pixels
                .clone()
                .flat_map(|i| (0..if grey { 1 } else { 3 }).map(move |c| (c, i)))
                .map(|(c, i)| picture.tensor.data[c * plane + i]),
        );
        let to = &mut to[..3 * pixels.len()];
        if transform.transform(&from, to).is_err() {
            return picture;
        }
        for (i, rgb) in pixels.zip(to.as_chunks::<3>().0) {
            (0..3).for_each(|c| picture.tensor.data[c * plane + i] = rgb[c].clamp(0.0, 1.0));
        }
    }
    picture
}

/// Tells whether a transform to sRGB moves no colour by as much as half an 8-bit code.
fn changes_nothing(transform: &Transform, grey: bool) -> bool {
    let steps = || (0..=8).map(|i| i as f32 / 8.0);
    let colours: Vec<f32> = match grey {
        true => steps().collect(),
        false => steps().flat_map(|r| steps().flat_map(move |g| steps().flat_map(move |b| [r, g, b]))).collect(),
    };
    let mut to = vec![0.0; colours.len() * if grey { 3 } else { 1 }];
    let same = |i: usize, v: f32| (v - if grey { colours[i / 3] } else { colours[i] }).abs() < 0.5 / 255.0;
    transform.transform(&colours, &mut to).is_ok() && to.iter().enumerate().all(|(i, &v)| same(i, v))
}
