//! Pictures side by side in one: a caption above each column, a label above each row.

use crate::error::{Error, Result, count};
use crate::image::{quantise, write_codes};
use crate::tensor::{Shape, Tensor};
use font8x8::UnicodeFonts;
use std::path::Path;

/// Between cells and around them, pixels.
const MARGIN: usize = 8;
const BACKGROUND: u8 = 232;
const INK: u8 = 24;
/// Sides of a glyph, pixels.
const GLYPH: usize = 8;

/// A grid of pictures, built row by row; kept as 8-bit codes, three bytes a pixel.
#[derive(Clone, Debug)]
pub struct ContactSheet {
    columns: usize,
    cell: usize,
    codes: Vec<u8>,
}

impl ContactSheet {
    /// Smallest and largest side of a cell, pixels.
    pub const CELLS: std::ops::RangeInclusive<usize> = 32..=4096;

    /// A sheet of one column a caption, with cells of at most `cell` x `cell` pixels.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is no caption, or `cell` is not in [`ContactSheet::CELLS`].
    pub fn new(captions: &[impl AsRef<str>], cell: usize) -> Result<ContactSheet> {
        if captions.is_empty() || !Self::CELLS.contains(&cell) {
            let (columns, cells) = (count(captions.len(), "column"), Self::CELLS);
            let message = format!(
                "a contact sheet of {columns} with cells of {cell} pixels: give one column or \
                more, and a side from {} to {}",
                cells.start(),
                cells.end()
            );
            return Err(Error::Invalid(message));
        }
        let mut sheet = ContactSheet { columns: captions.len(), cell, codes: vec![] };
        let row = sheet.add(MARGIN + sheet.line());
        for (column, caption) in captions.iter().enumerate() {
            sheet.text(row + MARGIN, sheet.left(column), cell, caption.as_ref());
        }
        sheet.add(MARGIN);
        Ok(sheet)
    }

    /// Adds a row of pictures, (1, 3, H, W) in [0, 1], one a column. One that is larger than a cell is scaled down, its
    /// sides' ratio kept, each pixel the mean of the codes below it; a smaller one stays as it is. A text that is too
    /// long for its place is cut.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another number of pictures than columns, or a tensor that is no RGB picture.
    pub fn row(&mut self, label: &str, pictures: &[&Tensor]) -> Result<()> {
        if pictures.len() != self.columns {
            let (got, columns) = (count(pictures.len(), "picture"), count(self.columns, "column"));
            return Err(Error::Invalid(format!("{got} in the row {label:?} of a sheet of {columns}")));
        }
        if let Some(other) = pictures.iter().find(|p| (p.shape.n, p.shape.c) != (1, 3) || p.shape.is_empty()) {
            let message = format!("{} in the row {label:?}: give pictures of 1x3xHxW, one pixel or more", other.shape);
            return Err(Error::Invalid(message));
        }
        let pictures: Vec<Tensor> = pictures.iter().map(|p| shrink(p, self.cell)).collect();
        let row = self.add(self.line());
        self.text(row, MARGIN, self.width() - 2 * MARGIN, label);
        let row = self.add(pictures.iter().map(|p| p.shape.h).max().unwrap_or(0) + 2 * MARGIN);
        for (column, picture) in pictures.iter().enumerate() {
            let Shape { h, w, .. } = picture.shape;
            let left = self.left(column) + (self.cell - w) / 2;
            for (i, code) in quantise(picture).into_iter().enumerate() {
                let (c, y, x) = (i / (h * w), i / w % h, i % w);
                let at = self.at(row + y, left + x) + c;
                self.codes[at] = code;
            }
        }
        Ok(())
    }

    /// Rows and columns of pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.codes.len() / 3 / self.width(), self.width())
    }

    /// Writes the sheet, in the format of the path's extension.
    ///
    /// # Errors
    /// As [`crate::image::write`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        write_codes(path, self.size(), &self.codes)
    }

    fn width(&self) -> usize {
        self.left(self.columns)
    }

    fn left(&self, column: usize) -> usize {
        MARGIN + column * (self.cell + MARGIN)
    }

    /// Index of a pixel's red.
    fn at(&self, row: usize, column: usize) -> usize {
        3 * (row * self.width() + column)
    }

    /// Pixels of a glyph's pixel: small letters where cells are small.
    fn zoom(&self) -> usize {
        if self.cell < 160 { 1 } else { 2 }
    }

    /// Height of a line of text.
    fn line(&self) -> usize {
        (GLYPH + 2) * self.zoom()
    }

    /// Adds rows of background; returns the first one's number.
    fn add(&mut self, rows: usize) -> usize {
        let (first, _) = self.size();
        self.codes.resize(self.at(first + rows, 0), BACKGROUND);
        first
    }

    /// Writes a line, its top left at (`top`, `left`): in smaller letters or cut where it is wider than `width`.
    fn text(&mut self, top: usize, left: usize, width: usize, text: &str) {
        let fits = |zoom: usize| width / (GLYPH * zoom);
        let length = text.chars().count();
        let zoom = if length <= fits(self.zoom()) { self.zoom() } else { 1 };
        let text = match length <= fits(zoom) {
            true => text.to_owned(),
            false => text.chars().take(fits(zoom) - 2).chain("..".chars()).collect(),
        };
        for (i, letter) in text.chars().enumerate() {
            let glyph = font8x8::BASIC_FONTS.get(letter).or(font8x8::LATIN_FONTS.get(letter));
            // A glyph has a byte a row, its leftmost pixel lowest.
            let glyph = glyph.or(font8x8::BASIC_FONTS.get('?')).unwrap_or_default();
            for (y, x) in (0..GLYPH * zoom).flat_map(|y| (0..GLYPH * zoom).map(move |x| (y, x))) {
                if glyph[y / zoom] >> (x / zoom) & 1 == 1 {
                    let at = self.at(top + y, left + i * GLYPH * zoom + x);
                    self.codes[at..at + 3].fill(INK);
                }
            }
        }
    }
}

/// 0.5 + `gain` (a - b), clipped to [0, 1]: grey where two pictures agree, the signed difference per channel elsewhere.
///
/// # Errors
/// [`Error::Invalid`] where the shapes differ.
pub fn difference(a: &Tensor, b: &Tensor, gain: f32) -> Result<Tensor> {
    if a.shape != b.shape {
        return Err(Error::Invalid(format!("the difference of {} and {}: give one size", a.shape, b.shape)));
    }
    let values = a.data.iter().zip(&b.data).map(|(a, b)| (0.5 + gain * (a - b)).clamp(0.0, 1.0));
    Ok(Tensor::new(a.shape, values.collect()))
}

/// Scales a picture down so that no side is longer than `side`: each pixel is the mean over the area that it covers.
pub fn shrink(x: &Tensor, side: usize) -> Tensor {
    let Shape { h, w, .. } = x.shape;
    let longest = h.max(w);
    if longest <= side {
        return x.clone();
    }
    let scaled = |n: usize| ((n * side + longest / 2) / longest).max(1);
    crate::upsample::shrink(x, scaled(h), scaled(w))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image;

    fn flat(h: usize, w: usize, rgb: [u8; 3]) -> Tensor {
        let values = rgb.iter().flat_map(|v| vec![f32::from(*v) / 255.0; h * w]).collect();
        Tensor::new(Shape::new(1, 3, h, w), values)
    }

    fn pixel(sheet: &ContactSheet, row: usize, column: usize) -> [u8; 3] {
        sheet.codes[sheet.at(row, column)..][..3].try_into().unwrap()
    }

    /// How many pixels of a rectangle are text.
    fn ink(sheet: &ContactSheet, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) -> usize {
        let pixels = rows.flat_map(|y| columns.clone().map(move |x| (y, x)));
        pixels.filter(|&(y, x)| pixel(sheet, y, x) == [INK; 3]).count()
    }

    #[test]
    fn pixels_lie_where_they_should() {
        let mut sheet = ContactSheet::new(&["one", "two"], 40).unwrap();
        let (line, first) = (10, 8 + 10 + 8);
        assert_eq!(sheet.size(), (first, 8 + 2 * 48));
        let (red, mut small) = (flat(40, 20, [200, 10, 0]), flat(3, 5, [0, 77, 0]));
        small.data[3 * 5 + 5 + 2] = 1.0; // green of (1, 2)
        sheet.row("a", &[&red, &small]).unwrap();
        sheet.row("b", &[&small, &small]).unwrap();
        assert_eq!(sheet.size(), (first + line + 56 + line + 3 + 16, 104));

        let top = first + line;
        // 20 columns in the middle of 40, from 8 + 10 on.
        for (y, x, expected) in [
            (top, 18, [200, 10, 0]),
            (top + 39, 37, [200, 10, 0]),
            (top + 40, 18, [BACKGROUND; 3]),
            (top, 17, [BACKGROUND; 3]),
            (top, 38, [BACKGROUND; 3]),
            (top + 1, 56 + 17 + 1, [0, 77, 0]),
            (top + 1, 56 + 17 + 2, [0, 255, 0]),
            (top + 3, 56 + 17, [BACKGROUND; 3]),
            (top + 56 + line + 1, 8 + 17 + 2, [0, 255, 0]),
        ] {
            assert_eq!(pixel(&sheet, y, x), expected, "row {y}, column {x}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheet.png");
        sheet.write(&path).unwrap();
        let back = image::read(&path).unwrap().tensor;
        assert_eq!((back.shape.h, back.shape.w), sheet.size());
        let codes = quantise(&back);
        let plane = back.shape.plane();
        assert!((0..plane).all(|i| (0..3).all(|c| codes[c * plane + i] == sheet.codes[3 * i + c])));
        let error = sheet.write(folder.path().join("sheet.txt")).unwrap_err().to_string();
        assert!(error.contains("sheet.txt: the extension"), "{error}");
    }

    #[test]
    fn captions_and_labels_leave_ink() {
        let mut sheet = ContactSheet::new(&["IT", ""], 40).unwrap();
        assert!(ink(&sheet, 8..16, 8..16) > 8 && ink(&sheet, 8..16, 16..24) > 8);
        assert_eq!(ink(&sheet, 0..26, 0..104), ink(&sheet, 8..16, 8..24), "and nowhere else");
        let picture = flat(1, 1, [0; 3]);
        sheet.row("ä?", &[&picture, &picture]).unwrap();
        assert!(ink(&sheet, 26..34, 8..16) > 8 && ink(&sheet, 26..34, 16..24) > 4);
        // The top of T is a bar from the glyph's left on, not from its right.
        let bar: Vec<bool> = (16..24).map(|x| pixel(&sheet, 8, x) == [INK; 3]).collect();
        assert_eq!(bar, [true, true, true, true, true, true, false, false]);
        // A letter that the font has not is a question mark.
        let mark = |text: &str| ContactSheet::new(&[text], 40).unwrap().codes;
        assert!(mark("?") == mark("\u{4e00}") && mark("?") != mark(" "));

        // Large cells have letters of twice the size; what does not fit is smaller, then cut.
        let large = |text: &str| ContactSheet::new(&[text], 160).unwrap();
        assert_eq!(ink(&large("T"), 8..24, 8..24), 4 * ink(&large(&"T".repeat(11)), 8..24, 8..16));
        let cut = large(&"T".repeat(21));
        assert!(cut.codes == large(&("T".repeat(18) + "..")).codes);
        assert_eq!(ink(&cut, 0..cut.size().0, 168..176), 0);
    }

    #[test]
    fn large_pictures_are_averaged() {
        let mut x = flat(2, 6, [0; 3]);
        x.data.iter_mut().enumerate().for_each(|(i, v)| *v = i as f32);
        let y = shrink(&x, 3);
        // Rows 0..6 and 6..12 of the first channel in blocks of 2 x 2.
        assert_eq!((y.shape.h, y.shape.w, &y.data[..3]), (1, 3, &[3.5, 5.5, 7.5][..]));
        // 5 pixels in 2: 2.5 each.
        let row = Tensor::new(Shape::new(1, 3, 1, 5), [1.0, 2.0, 3.0, 4.0, 5.0].repeat(3));
        let y = shrink(&row, 2);
        assert_eq!((y.shape.h, y.shape.w), (1, 2));
        for (got, want) in y.data.iter().zip([(1.0 + 2.0 + 1.5) / 2.5, (1.5 + 4.0 + 5.0) / 2.5].repeat(3)) {
            assert!((got - want).abs() < 1e-6, "{got} is not {want}");
        }
        for (h, w, side) in [(341, 512, 100), (512, 341, 100), (4000, 3, 64), (65, 64, 64)] {
            let y = shrink(&flat(h, w, [51, 102, 204]), side);
            assert_eq!(y.shape.h.max(y.shape.w), side, "{h}x{w}");
            let ratio = y.shape.h as f64 / y.shape.w as f64 * w as f64 / h as f64;
            assert!(y.shape.h.min(y.shape.w) == 1 || (ratio - 1.0).abs() < 0.02, "{ratio} for {h}x{w}");
            assert!(quantise(&y) == quantise(&flat(y.shape.h, y.shape.w, [51, 102, 204])), "{h}x{w}");
        }
        assert_eq!(shrink(&x, 6), x);
    }

    #[test]
    fn differences() {
        let values = |a: [f32; 3]| Tensor::new(Shape::new(1, 3, 1, 1), a.to_vec());
        let d = difference(&values([0.5, 0.25, 1.0]), &values([0.5, 0.3125, 0.0]), 4.0).unwrap();
        assert_eq!(d.data, [0.5, 0.25, 1.0]);
        let error = difference(&flat(1, 2, [0; 3]), &flat(2, 1, [0; 3]), 1.0).unwrap_err().to_string();
        assert!(error.contains("1x3x1x2 and 1x3x2x1"), "{error}");
    }

    #[test]
    fn what_is_no_sheet() {
        let text = |captions: &[&str], cell| ContactSheet::new(captions, cell).unwrap_err().to_string();
        assert!(text(&[], 100).contains("0 columns"));
        assert!(text(&["a"], 31).contains("31 pixels") && text(&["a"], 4097).contains("from 32 to 4096"));
        let mut sheet = ContactSheet::new(&["a", "b"], 100).unwrap();
        let (before, x) = (sheet.size(), flat(2, 2, [0; 3]));
        let mut error = |pictures: &[&Tensor]| sheet.row("kodim", pictures).unwrap_err().to_string();
        assert!(error(&[&x]).contains("1 picture in the row \"kodim\" of a sheet of 2 columns"));
        assert!(error(&[&x, &Tensor::zeros(Shape::new(1, 1, 2, 2))]).contains("1x1x2x2 in the row \"kodim\""));
        assert!(error(&[&x, &Tensor::zeros(Shape::new(1, 3, 0, 2))]).contains("1x3x0x2"));
        assert_eq!(sheet.size(), before, "an error adds nothing");
    }
}
