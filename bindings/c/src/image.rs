//! Pictures in the caller's memory: any strides, interleaved or planar, as tensors and back.

use crate::Failure;
use half::f16;
use sasnet::{Shape, Tensor};
use std::ffi::c_void;

/// How a pixel's values are stored: integers over their whole range, or floating-point numbers from 0 to 1. They are the
/// codes of an sRGB picture, as files and screens have them, not linear light. Alpha is copied, and colours are smoothed
/// as they are: not premultiplied is best.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// 3 bytes: red, green, blue.
    Rgb8 = 1,
    /// 4 bytes: red, green, blue, alpha.
    Rgba8 = 2,
    /// 4 bytes: blue, green, red, alpha.
    Bgra8 = 3,
    /// 3 bytes: blue, green, red.
    Bgr8 = 4,
    /// 3 uint16_t.
    Rgb16 = 5,
    /// 4 uint16_t.
    Rgba16 = 6,
    /// 3 IEEE floating-point numbers of 16 bits.
    RgbF16 = 7,
    /// 4 of them.
    RgbaF16 = 8,
    /// 3 float.
    RgbF32 = 9,
    /// 4 float.
    RgbaF32 = 10,
}

use Format::*;

impl Format {
    const ALL: [Format; 10] = [Rgb8, Rgba8, Bgra8, Bgr8, Rgb16, Rgba16, RgbF16, RgbaF16, RgbF32, RgbaF32];

    fn of(number: u32) -> Result<Format, Failure> {
        let known = Format::ALL.into_iter().find(|format| *format as u32 == number);
        known.ok_or_else(|| Failure::invalid(format!("format is {number}, which is none of SasnetFormat")))
    }

    fn sample(self) -> Sample {
        match self {
            Rgb8 | Rgba8 | Bgra8 | Bgr8 => Sample::U8,
            Rgb16 | Rgba16 => Sample::U16,
            RgbF16 | RgbaF16 => Sample::F16,
            RgbF32 | RgbaF32 => Sample::F32,
        }
    }

    fn channels(self) -> usize {
        if matches!(self, Rgba8 | Bgra8 | Rgba16 | RgbaF16 | RgbaF32) { 4 } else { 3 }
    }

    /// Where red, green and blue stand.
    fn order(self) -> [usize; 3] {
        if matches!(self, Bgra8 | Bgr8) { [2, 1, 0] } else { [0, 1, 2] }
    }
}

/// How a value is stored.
#[derive(Clone, Copy)]
enum Sample {
    U8,
    U16,
    F16,
    F32,
}

impl Sample {
    fn bytes(self) -> usize {
        match self {
            Sample::U8 => 1,
            Sample::U16 | Sample::F16 => 2,
            Sample::F32 => 4,
        }
    }

    /// # Safety
    /// As many bytes as the sample has may be read.
    unsafe fn get(self, at: *const u8) -> f32 {
        // SAFETY: the caller's; values need not be aligned.
        unsafe {
            match self {
                Sample::U8 => f32::from(*at) / 255.0,
                Sample::U16 => f32::from(at.cast::<u16>().read_unaligned()) / 65535.0,
                Sample::F16 => f16::from_bits(at.cast::<u16>().read_unaligned()).to_f32(),
                Sample::F32 => at.cast::<f32>().read_unaligned(),
            }
        }
    }

    /// # Safety
    /// As many bytes as the sample has may be written.
    unsafe fn put(self, at: *mut u8, v: f32) {
        // SAFETY: the caller's; values need not be aligned.
        unsafe {
            match self {
                Sample::U8 => *at = (v * 255.0).round() as u8,
                Sample::U16 => at.cast::<u16>().write_unaligned((v * 65535.0).round() as u16),
                Sample::F16 => at.cast::<u16>().write_unaligned(f16::from_f32(v).to_bits()),
                Sample::F32 => at.cast::<f32>().write_unaligned(v),
            }
        }
    }
}

/// A picture in the caller's memory. Set all of it to 0 first, and struct_size to sizeof(SasnetImage): later versions
/// have more fields at the end, whose 0 is what this version does.
///
/// The value of channel c at column x of row y lies at
/// data + y * row_stride + x * pixel_stride + c * (plane_stride, or where that is 0 the size of a value).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Image {
    /// sizeof(SasnetImage).
    pub struct_size: usize,
    /// The first row's first pixel. Need not be aligned.
    pub data: *mut c_void,
    /// A SasnetFormat.
    pub format: u32,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from a pixel to the next in its row; 0 = they lie close together.
    pub pixel_stride: usize,
    /// Bytes from a row to the next; 0 = they lie close together, negative = the picture stands upside down in memory.
    pub row_stride: isize,
    /// Bytes from a channel's plane to the next one's, in the format's order; 0 = interleaved.
    pub plane_stride: isize,
}

impl Image {
    /// Reads the caller's struct, which may be of a later version where nothing is used that this one does not know.
    ///
    /// # Safety
    /// `image` is NULL or has as many bytes as its first field says.
    pub(crate) unsafe fn read(image: *const Image) -> Result<Image, Failure> {
        if image.is_null() {
            return Err(Failure::invalid("a picture is NULL"));
        }
        // SAFETY: the first field is there.
        let size = unsafe { image.cast::<usize>().read_unaligned() };
        if size < size_of::<Image>() {
            return Err(Failure::invalid(format!(
                "struct_size is {size}; set it to sizeof(SasnetImage), which is {} or more",
                size_of::<Image>()
            )));
        }
        // SAFETY: the caller says that these bytes are there.
        let more = unsafe {
            std::slice::from_raw_parts(image.cast::<u8>().add(size_of::<Image>()), size - size_of::<Image>())
        };
        if more.iter().any(|byte| *byte != 0) {
            return Err(Failure::invalid("a picture uses fields of a later version than this library's"));
        }
        // SAFETY: they are, and any bits are an `Image`.
        Ok(unsafe { image.read_unaligned() })
    }

    /// Width and height.
    pub(crate) fn size(&self) -> [usize; 2] {
        [self.width, self.height].map(|side| side as usize)
    }
}

/// Where each value of a picture lies.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    data: *mut u8,
    sample: Sample,
    order: [usize; 3],
    has_alpha: bool,
    size: [usize; 2],
    /// Bytes from pixel to pixel, row to row, channel to channel.
    strides: [isize; 3],
}

impl Layout {
    /// Of a picture; fails where its strides do not fit it.
    pub(crate) fn of(image: &Image) -> Result<Layout, Failure> {
        let format = Format::of(image.format)?;
        let (sample, [w, h]) = (format.sample(), image.size());
        if image.data.is_null() || w == 0 || h == 0 {
            return Err(Failure::invalid(format!("the picture is {w}x{h} at {:p}; give pixels", image.data)));
        }
        let (bytes, channels) = (sample.bytes(), if image.plane_stride == 0 { format.channels() } else { 1 });
        let signed = |bytes: usize| isize::try_from(bytes).map_err(|_| Failure::invalid("pixel_stride is too large"));
        let pixel = signed(if image.pixel_stride == 0 { bytes * channels } else { image.pixel_stride })?;
        let too_large = || Failure::invalid("the picture's strides go beyond the address space");
        let row = match image.row_stride {
            0 => pixel.checked_mul(w as isize).ok_or_else(too_large)?,
            row => row,
        };
        let plane = if image.plane_stride == 0 { bytes as isize } else { image.plane_stride };
        // The farthest value: what the caller describes must not overflow on the way to it.
        let far = |stride: isize, count: usize| stride.checked_mul(count as isize - 1);
        let strides = [(pixel, w), (row, h), (plane, format.channels())].map(|(stride, count)| far(stride, count));
        let sum = strides.into_iter().try_fold(0isize, |sum, far| sum.checked_add(far?.checked_abs()?));
        sum.ok_or_else(too_large)?;
        Ok(Layout {
            data: image.data.cast(),
            sample,
            order: format.order(),
            has_alpha: format.channels() == 4,
            size: [w, h],
            strides: [pixel, row, plane],
        })
    }

    fn at(&self, x: usize, y: usize, c: usize) -> *mut u8 {
        let [pixel, row, plane] = self.strides;
        self.data.wrapping_offset(x as isize * pixel + y as isize * row + c as isize * plane)
    }

    /// The colours (1, 3, H, W), and alpha where there is some.
    ///
    /// # Safety
    /// The picture may be read.
    pub(crate) unsafe fn get(&self) -> (Tensor, Option<Vec<f32>>) {
        let [w, h] = self.size;
        let channel = |c: usize| {
            let rows = (0..h).flat_map(move |y| (0..w).map(move |x| (x, y)));
            // SAFETY: a value of the picture.
            rows.map(move |(x, y)| unsafe { self.sample.get(self.at(x, y, c)) })
        };
        let mut colours = Vec::with_capacity(3 * w * h);
        self.order.into_iter().for_each(|c| colours.extend(channel(c)));
        (Tensor::new(Shape::new(1, 3, h, w), colours), self.has_alpha.then(|| channel(3).collect()))
    }

    /// Writes colours in [0, 1] and alpha, opaque where there is none.
    ///
    /// # Safety
    /// The picture may be written.
    pub(crate) unsafe fn put(&self, colours: &Tensor, alpha: Option<&[f32]>) {
        let [w, h] = self.size;
        let put = |c: usize, value: &dyn Fn(usize) -> f32| {
            for y in 0..h {
                for x in 0..w {
                    // SAFETY: a value of the picture.
                    unsafe { self.sample.put(self.at(x, y, c), value(y * w + x)) };
                }
            }
        };
        for (plane, c) in colours.data.chunks_exact(w * h).zip(self.order) {
            put(c, &|i| plane[i]);
        }
        if self.has_alpha {
            put(3, &|i| alpha.map_or(1.0, |alpha| alpha[i]));
        }
    }
}
