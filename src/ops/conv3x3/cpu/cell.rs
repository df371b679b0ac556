//! Cells: the pieces of a map, 8 rows of 64 columns, that the f32 methods work on, one a task.
//!
//! Cells start at multiples of 8 rows and 64 columns whatever the map's size, and a pixel's value depends on nothing
//! but its place in its cell and the map around it. So it has the same bits whatever the number of threads is, and
//! whether the map is the whole picture or some of its rows, from a multiple of 8 on. Winograd's method lets the
//! rounding depend on all inputs of the pixel's tile: where such a part of a picture ends, rows are those of the whole
//! up to the last multiple of 4 whose next row is there, too.

use super::super::super::In;
use crate::tensor::Shape;
use pulp::Simd;
use std::marker::PhantomData;

/// Rows of a cell.
pub(super) const ROWS: usize = 8;
/// Columns of a cell.
pub(super) const COLUMNS: usize = 64;
/// Rows of a cell with its halo.
pub(super) const HALO_ROWS: usize = ROWS + 2;
/// Columns of a cell with its halo that are fetched: with two more, so that the columns from the fifth on are 64.
pub(super) const HALO_COLUMNS: usize = COLUMNS + 4;
/// From a fetched row to the next: a multiple of a cache line.
pub(super) const PITCH: usize = 80;

/// One channel of a cell with its halo: rows y - 1 to y + 8, columns x - 1 to x + 66, zero outside the map.
pub(super) type Halo = [[f32; PITCH]; HALO_ROWS];

/// One channel of a cell.
pub(super) type Block = [[f32; COLUMNS]; ROWS];

/// At the start of a cache line.
#[repr(align(64))]
pub(super) struct Aligned<T>(pub T);

/// Where a cell is.
#[derive(Clone, Copy)]
pub(super) struct Cell {
    /// Image.
    pub n: usize,
    /// First row.
    pub y: usize,
    /// First column.
    pub x: usize,
}

/// The number of cells of a map.
pub(super) fn count(map: Shape) -> usize {
    map.n * map.h.div_ceil(ROWS) * map.w.div_ceil(COLUMNS)
}

impl Cell {
    /// Cell `k` of a map.
    pub(super) fn new(k: usize, map: Shape) -> Cell {
        let (rows, columns) = (map.h.div_ceil(ROWS), map.w.div_ceil(COLUMNS));
        Cell { n: k / columns / rows, y: k / columns % rows * ROWS, x: k % columns * COLUMNS }
    }

    /// Copies a channel of the cell with its halo, and asks for that of the channel behind it.
    #[inline(always)]
    pub(super) fn fetch(self, plane: &[f32], Shape { h, w, .. }: Shape, to: &mut Halo) {
        for (r, to) in to.iter_mut().enumerate() {
            let y = self.y + r;
            if y < 1 || y > h {
                to.fill(0.0);
                continue;
            }
            let row = &plane[(y - 1) * w..][..w];
            prefetch(row[self.x..].as_ptr().wrapping_add(plane.len()));
            let (left, to) = to.split_first_mut().expect("a row has columns");
            *left = if self.x > 0 { row[self.x - 1] } else { 0.0 };
            let (cell, right) = to.split_first_chunk_mut::<COLUMNS>().expect("a row is longer");
            let mut rest = &row[self.x..];
            if let Some((from, after)) = rest.split_first_chunk() {
                // Arrays of known length: a few moves where slices are a call.
                *cell = *from;
                rest = after;
            } else {
                cell[..rest.len()].copy_from_slice(rest);
                cell[rest.len()..].fill(0.0);
                rest = &[];
            }
            for (k, to) in right[..HALO_COLUMNS - COLUMNS - 1].iter_mut().enumerate() {
                *to = rest.get(k).copied().unwrap_or(0.0);
            }
        }
    }
}

/// Asks for a row of a cell: rows of a channel lie far apart, where the processor does not see the next ones coming.
#[inline(always)]
fn prefetch(row: *const f32) {
    #[cfg(target_arch = "x86_64")]
    for column in (0..=COLUMNS).step_by(64 / size_of::<f32>()) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which may be of any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(column).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}

/// The channels of all maps of image `n`, in order.
pub(super) fn channels<'a>(maps: &'a [In<f32>], n: usize) -> impl Iterator<Item = &'a [f32]> {
    maps.iter().flat_map(move |m| m.image(n).chunks_exact(m.shape.plane()))
}

/// An output map that tasks share, each of which writes cells of its own.
pub(super) struct SharedMap<'a> {
    shape: Shape,
    data: *mut f32,
    borrowed: PhantomData<&'a mut [f32]>,
}

// SAFETY: each cell is written by one task, and read by none (see `put`).
unsafe impl Sync for SharedMap<'_> {}

impl<'a> SharedMap<'a> {
    pub(super) fn new(shape: Shape, data: &'a mut [f32]) -> SharedMap<'a> {
        assert_eq!(data.len(), shape.len());
        SharedMap { shape, data: data.as_mut_ptr(), borrowed: PhantomData }
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// Writes the part of channel `c` of a cell that is inside the map.
    ///
    /// # Safety
    /// No other thread writes this channel of this cell at the time.
    #[inline(always)]
    pub(super) unsafe fn put(&self, at: Cell, c: usize, block: &Block) {
        let Shape { h, w, .. } = self.shape;
        let len = (w - at.x).min(COLUMNS);
        for (r, row) in block.iter().enumerate().take(h - at.y) {
            let offset = ((at.n * self.shape.c + c) * h + at.y + r) * w + at.x;
            assert!(offset + len <= self.shape.len());
            // SAFETY: inside the map (checked), and this task's alone (the caller's promise).
            let to = unsafe { std::slice::from_raw_parts_mut(self.data.add(offset), len) };
            match to.first_chunk_mut() {
                Some(to) => *to = *row,
                None => to.copy_from_slice(&row[..len]),
            }
        }
    }
}

/// Follows the sums: the bias and the activation.
#[derive(Clone, Copy)]
pub(super) struct Epilogue<'a> {
    pub bias: Option<&'a [f32]>,
    pub slope: Option<f32>,
}

impl Epilogue<'_> {
    /// act(v + bias of channel `c`)
    #[inline(always)]
    pub(super) fn apply<S: Simd>(self, s: S, c: usize, v: S::f32s) -> S::f32s {
        let v = self.bias.map_or(v, |b| s.add_f32s(v, s.splat_f32s(b[c])));
        match self.slope {
            Some(slope) => {
                let positive = s.greater_than_or_equal_f32s(v, s.splat_f32s(0.0));
                s.select_f32s(positive, v, s.mul_f32s(v, s.splat_f32s(slope)))
            }
            None => v,
        }
    }
}

/// True with 32 registers or more; 16 have fewer sums. A browser has 16 on x86, whatever pulp says of WebAssembly.
pub(super) const fn has_many_registers<S: Simd>() -> bool {
    S::REGISTER_COUNT >= 32 && !cfg!(target_arch = "wasm32")
}

/// The registers at the start of `v`.
#[inline(always)]
pub(super) fn load<S: Simd, const N: usize>(v: &[f32]) -> [S::f32s; N] {
    *S::as_simd_f32s(v).0.first_chunk().expect("so many registers")
}

/// Writes registers to the start of `to`.
#[inline(always)]
pub(super) fn store<S: Simd, const N: usize>(to: &mut [f32], v: [S::f32s; N]) {
    *S::as_mut_simd_f32s(to).0.first_chunk_mut().expect("so many registers") = v;
}
