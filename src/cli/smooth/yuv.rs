//! Frames of y4m video as colours, and back: luma and chroma, the latter perhaps of half the size.
//!
//! A frame is not converted there and back: what the network changes is added to its codes. So chroma keeps its place
//! and sharpness, and colours outside of RGB stay where the network changes nothing.

use sasnet::low_level::tensor::{Shape, Tensor};
use y4m::Colorspace;

/// Sides that a frame may have at most.
const MOST: usize = 1 << 16;

/// How a stream's frames lie in their bytes.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Rows of a frame.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Rows and columns of luma for one of chroma; None: grey.
    chroma: Option<(usize, usize)>,
    /// Bits of a code.
    depth: usize,
    /// Luma's black, its range, and that of chroma, as codes.
    black: f32,
    luma: f32,
    chroma_range: f32,
    /// What red and blue are of luma.
    red: f32,
    blue: f32,
}

/// The codes of luma and chroma.
pub type Planes = [Vec<u16>; 3];

impl Layout {
    /// Reads a stream's header.
    ///
    /// # Errors
    /// A message where its frames cannot be smoothed.
    pub fn new<R: std::io::Read>(decoder: &y4m::Decoder<R>) -> Result<Layout, String> {
        use Colorspace::*;
        let (h, w) = (decoder.get_height(), decoder.get_width());
        if h.max(w) > MOST {
            return Err(format!("y4m of {w}x{h} pixels, where {MOST} a side are the most"));
        }
        let space = decoder.get_colorspace();
        let chroma = match space {
            Cmono | Cmono12 => None,
            C420 | C420jpeg | C420paldv | C420mpeg2 | C420p10 | C420p12 => Some((2, 2)),
            C422 | C422p10 | C422p12 => Some((1, 2)),
            C444 | C444p10 | C444p12 => Some((1, 1)),
            _ => return Err("y4m of another kind than 4:2:0, 4:2:2, 4:4:4 or grey".into()),
        };
        let header = String::from_utf8_lossy(decoder.get_raw_params());
        let has = |words: &[&str]| header.split(' ').any(|word| words.contains(&word));
        if has(&["It", "Ib", "Im"]) {
            return Err(
                "interlaced video, whose frames are two pictures: ffmpeg makes frames of it by -vf bwdif".into()
            );
        }
        let depth = decoder.get_bit_depth();
        let unit = (1u32 << (depth - 8)) as f32;
        let (black, luma, chroma_range) = match has(&["XCOLORRANGE=FULL"]) {
            true => (0.0, 256.0 * unit - 1.0, 256.0 * unit - 1.0),
            false => (16.0 * unit, 219.0 * unit, 224.0 * unit),
        };
        // y4m does not say which; players take BT.709 from HD on, and BT.601 below.
        let (red, blue) = if h >= 720 || w >= 1280 { (0.2126, 0.0722) } else { (0.299, 0.114) };
        Ok(Layout { h, w, chroma, depth, black, luma, chroma_range, red, blue })
    }

    /// Rows and columns of the chroma.
    fn chroma_size(&self) -> (usize, usize) {
        self.chroma.map_or((0, 0), |(sy, sx)| (self.h.div_ceil(sy), self.w.div_ceil(sx)))
    }

    /// The codes of a frame's bytes; what is beyond the last one is that.
    pub fn read(&self, planes: [&[u8]; 3]) -> Planes {
        let last = ((1u32 << self.depth) - 1) as u16;
        planes.map(|bytes| match self.depth {
            8 => bytes.iter().map(|&code| u16::from(code)).collect(),
            _ => bytes.chunks_exact(2).map(|code| u16::from_le_bytes([code[0], code[1]]).min(last)).collect(),
        })
    }

    /// The bytes of a frame's codes.
    pub fn write(&self, planes: &Planes) -> Vec<u8> {
        let codes = planes.iter().flatten();
        match self.depth {
            8 => codes.map(|&code| code as u8).collect(),
            _ => codes.flat_map(|code| code.to_le_bytes()).collect(),
        }
    }

    /// (1, 3, H, W): red, green and blue in [0, 1]; chroma of half the size is interpolated.
    pub fn colours(&self, planes: &Planes) -> Tensor {
        let (h, w) = (self.h, self.w);
        let middle = (1u32 << (self.depth - 1)) as f32;
        let mut out = Tensor::zeros(Shape::new(1, 3, h, w));
        let (r, rest) = out.data.split_at_mut(h * w);
        let (g, b) = rest.split_at_mut(h * w);
        let green = 1.0 - self.red - self.blue;
        let (sy, sx) = self.chroma.unwrap_or((1, 1));
        let columns: Vec<Between> = (0..w).map(|x| Between::new(x, sx, w)).collect();
        for y in 0..h {
            let rows = Between::new(y, sy, h);
            for (x, columns) in columns.iter().enumerate() {
                let i = y * w + x;
                let luma = (f32::from(planes[0][i]) - self.black) / self.luma;
                let chroma = |plane: &[u16]| match self.chroma {
                    Some(_) => (rows.of(columns, plane, self.chroma_size().1) - middle) / self.chroma_range,
                    None => 0.0,
                };
                let (cb, cr) = (chroma(&planes[1]), chroma(&planes[2]));
                let red = luma + 2.0 * (1.0 - self.red) * cr;
                let blue = luma + 2.0 * (1.0 - self.blue) * cb;
                r[i] = red.clamp(0.0, 1.0);
                g[i] = ((luma - self.red * red - self.blue * blue) / green).clamp(0.0, 1.0);
                b[i] = blue.clamp(0.0, 1.0);
            }
        }
        out
    }

    /// The codes with what the network changed of the colours; chroma of half the size gets the mean.
    pub fn changed(&self, planes: &Planes, from: &Tensor, to: &Tensor) -> Planes {
        let (h, w) = (self.h, self.w);
        let change = |c: usize, i: usize| to.data[c * h * w + i] - from.data[c * h * w + i];
        let green = 1.0 - self.red - self.blue;
        let luma = |i: usize| self.red * change(0, i) + green * change(1, i) + self.blue * change(2, i);
        let cb = |i: usize| (change(2, i) - luma(i)) / (2.0 * (1.0 - self.blue));
        let cr = |i: usize| (change(0, i) - luma(i)) / (2.0 * (1.0 - self.red));
        let most = ((1u32 << self.depth) - 1) as f32;
        let plus = |code: u16, change: f32| (f32::from(code) + change).round().clamp(0.0, most) as u16;
        let y = (0..h * w).map(|i| plus(planes[0][i], luma(i) * self.luma)).collect();
        let (sy, sx) = self.chroma.unwrap_or((1, 1));
        let (ch, cw) = self.chroma_size();
        let chroma = |plane: &[u16], change: &dyn Fn(usize) -> f32| -> Vec<u16> {
            let code = |j: usize| {
                let (top, left) = (j / cw * sy, j % cw * sx);
                let (bottom, right) = (h.min(top + sy), w.min(left + sx));
                let all = (top..bottom).flat_map(|y| (left..right).map(move |x| y * w + x));
                let mean = all.map(change).sum::<f32>() / ((bottom - top) * (right - left)) as f32;
                plus(plane[j], mean * self.chroma_range)
            };
            (0..ch * cw).map(code).collect()
        };
        [y, chroma(&planes[1], &cb), chroma(&planes[2], &cr)]
    }
}

/// A pixel between two of the chroma, each taken to lie in the middle of its pixels of luma.
#[derive(Clone, Copy)]
struct Between {
    low: usize,
    high: usize,
    part: f32,
}

impl Between {
    /// Pixel `i` of `len`, where each of the chroma stands for `step`.
    fn new(i: usize, step: usize, len: usize) -> Between {
        let last = len.div_ceil(step) - 1;
        let at = ((i as f32 + 0.5) / step as f32 - 0.5).max(0.0);
        let low = (at as usize).min(last);
        Between { low, high: (low + 1).min(last), part: at - low as f32 }
    }

    fn of(self, columns: &Between, plane: &[u16], w: usize) -> f32 {
        let row = |y: usize| {
            let [a, b] = [columns.low, columns.high].map(|x| f32::from(plane[y * w + x]));
            a + (b - a) * columns.part
        };
        let (top, bottom) = (row(self.low), row(self.high));
        top + (bottom - top) * self.part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(header: &str) -> Result<Layout, String> {
        Layout::new(&y4m::Decoder::new(format!("YUV4MPEG2 {header}\n").as_bytes()).unwrap())
    }

    fn planes(layout: &Layout, luma: &[u16], cb: u16, cr: u16) -> Planes {
        let (h, w) = layout.chroma_size();
        [luma.to_vec(), vec![cb; h * w], vec![cr; h * w]]
    }

    #[test]
    fn colours_of_known_codes() {
        // BT.601 and BT.709, of limited and full range: white, black, red, blue.
        for (header, codes) in [
            ("W1 H1 C444", [[235, 128, 128], [16, 128, 128], [81, 90, 240], [41, 240, 110]]),
            ("W1 H1 C444p10", [[940, 512, 512], [64, 512, 512], [326, 361, 960], [164, 960, 439]]),
            ("W1 H1 C444 XCOLORRANGE=FULL", [[255, 128, 128], [0, 128, 128], [76, 85, 255], [29, 255, 107]]),
        ] {
            let layout = layout(header).unwrap();
            for (code, rgb) in codes.into_iter().zip([[1.0, 1.0, 1.0], [0.0; 3], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) {
                let found = layout.colours(&planes(&layout, &code[..1], code[1], code[2])).data;
                let near = found.iter().zip(rgb).all(|(a, b): (&f32, f32)| (a - b).abs() < 0.012);
                assert!(near, "{header}: {code:?} is {found:?}");
            }
        }
        let hd = layout("W1 H720 C444").unwrap();
        let found = hd.colours(&planes(&hd, &[63; 720], 102, 240)).data;
        assert!((found[0] - 1.0).abs() < 0.012 && found[720] < 0.012 && found[1440] < 0.012, "BT.709's red");
    }

    #[test]
    fn what_is_not_changed_stays_and_what_is_arrives() {
        for space in ["420jpeg", "420mpeg2", "420p10", "422", "422p10", "444", "444p10", "mono", "420p12"] {
            for (w, h) in [(4, 4), (5, 3), (1, 1)] {
                let layout = layout(&format!("W{w} H{h} C{space}")).unwrap();
                let unit = 1u16 << (layout.depth - 8);
                let luma: Vec<u16> = (0..w * h).map(|i| (90 + 5 * (i % 7) as u16) * unit).collect();
                let planes = planes(&layout, &luma, 120 * unit, 135 * unit);
                let bytes = layout.write(&planes);
                let (c, len) = (planes[1].len(), bytes.len() / (planes[0].len() + 2 * planes[1].len()));
                let parts = [0..w * h, w * h..w * h + c, w * h + c..w * h + 2 * c];
                let again = layout.read(parts.map(|part| &bytes[part.start * len..part.end * len]));
                assert_eq!(again, planes, "{space}");
                let x = layout.colours(&planes);
                assert_eq!(layout.changed(&planes, &x, &x), planes, "{space}");
                // All colours lighter by a tenth is luma alone.
                let lighter = Tensor::new(x.shape, x.data.iter().map(|v| v + 0.1).collect());
                let [y, cb, cr] = layout.changed(&planes, &x, &lighter);
                let step = (21.9 * f32::from(unit)).round() as u16;
                assert!(y.iter().zip(&luma).all(|(new, old)| *new == old + step), "{space}: {y:?}");
                assert_eq!([cb, cr], planes[1..], "{space}");
                // Another colour is what its own codes would be.
                let red = Tensor::new(
                    x.shape,
                    x.data.chunks(w * h).zip([0.6, 0.2, 0.2]).flat_map(|(p, v)| vec![v; p.len()]).collect(),
                );
                let back = layout.colours(&layout.changed(&planes, &x, &red));
                let want = if layout.chroma.is_some() { [0.6, 0.2, 0.2] } else { [0.3196; 3] };
                let worst = back.data.chunks(w * h).zip(want).flat_map(|(p, v)| p.iter().map(move |x| (x - v).abs()));
                let worst = worst.fold(0.0, f32::max);
                assert!(worst < 0.012, "{space}: {worst}");
            }
        }
    }

    #[test]
    fn what_is_refused() {
        assert!(layout("W2 H2 It C420").unwrap_err().contains("interlaced"));
        assert!(layout("W100000 H2 C420").unwrap_err().contains("100000x2"));
        assert!(layout("W2 H2 Ip C420").is_ok() && layout("W2 H2 I?").is_ok());
    }
}
