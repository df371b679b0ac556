//! Polygons to coverage, exact to a pixel's area, as font rasterisers do it.

use super::field::box_blur;
use std::ops::Range;

/// A point: x to the right, y down, in pixels; the picture is 0..size both ways.
pub(super) type Point = [f32; 2];

/// How a shape's edge looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Edge {
    /// Pixels are in or out.
    Hard,
    /// Pixels are in as far as they are covered.
    Smooth,
    /// As out of focus or in a shadow: a box of `2 radius + 1` pixels, twice.
    Soft(usize),
}

/// How far each pixel of a square picture is covered.
pub(super) struct Mask {
    size: usize,
    /// Rows of `size + 2` values. While polygons are added: each edge's signed area, from which coverage is the running
    /// sum along the row (the last two values take what lies to the right of the picture).
    cover: Vec<f32>,
    rows: Range<usize>,
}

impl Mask {
    /// Nothing covered.
    pub(super) fn new(size: usize) -> Mask {
        Mask { size, cover: vec![0.0; size * (size + 2)], rows: size..0 }
    }

    /// Adds a closed polygon. Polygons of the same orientation may overlap; one of the other orientation is a hole.
    pub(super) fn polygon(&mut self, points: &[Point]) {
        for (i, from) in points.iter().enumerate() {
            self.edge(*from, points[(i + 1) % points.len()]);
        }
    }

    /// Adds a line through the points, as wide at each as `width` says.
    pub(super) fn stroke(&mut self, points: &[Point], width: impl Fn(usize) -> f32) {
        let n = points.len();
        let unit = |a: Point, b: Point| {
            let d = [b[0] - a[0], b[1] - a[1]];
            let length = d[0].hypot(d[1]).max(1e-6);
            [-d[1] / length, d[0] / length]
        };
        let offsets: Vec<Point> = (0..n)
            .map(|i| {
                let before = unit(points[i.saturating_sub(1).min(n - 2)], points[i.max(1).min(n - 1)]);
                let after = unit(points[i.min(n - 2)], points[(i + 1).min(n - 1)]);
                let sum = [before[0] + after[0], before[1] + after[1]];
                // A mitre, of at most twice the width.
                let scale = 0.5 * width(i) * (2.0 / (sum[0] * sum[0] + sum[1] * sum[1]).max(1e-6)).min(1.0);
                [sum[0] * scale, sum[1] * scale]
            })
            .collect();
        let side = |sign: f32| {
            let offsets = &offsets;
            move |i: usize| [points[i][0] + sign * offsets[i][0], points[i][1] + sign * offsets[i][1]]
        };
        let outline: Vec<Point> = (0..n).map(side(1.0)).chain((0..n).rev().map(side(-1.0))).collect();
        self.polygon(&outline);
    }

    fn edge(&mut self, from: Point, to: Point) {
        let (sign, top, bottom) = if from[1] < to[1] { (1.0, from, to) } else { (-1.0, to, from) };
        let size = self.size as f32;
        let (first, last) = (top[1].max(0.0), bottom[1].min(size));
        if first >= last {
            return;
        }
        let slope = (bottom[0] - top[0]) / (bottom[1] - top[1]);
        let rows = first as usize..(last.ceil() as usize).min(self.size);
        self.rows = self.rows.start.min(rows.start)..self.rows.end.max(rows.end);
        for y in rows {
            let (above, below) = (first.max(y as f32), last.min(y as f32 + 1.0));
            let x = [above, below].map(|y| top[0] + (y - top[1]) * slope);
            let (mut x0, mut x1, mut height) = (x[0].min(x[1]), x[0].max(x[1]), sign * (below - above));
            let row = &mut self.cover[y * (self.size + 2)..(y + 1) * (self.size + 2)];
            // Edges left of the picture cover the whole row, edges right of it nothing.
            let per_pixel = height / (x1 - x0).max(1e-6);
            if x0 < 0.0 {
                let left = if x1 <= 0.0 { height } else { -x0 * per_pixel };
                row[0] += left;
                (x0, height) = (0.0, height - left);
            }
            if x1 > size {
                height -= if x0 >= size { height } else { (x1 - size) * per_pixel };
                x1 = size;
            }
            if x0 <= x1 {
                add_area(row, x0, x1, height);
            }
        }
    }

    /// Turns areas into coverage. Call it once, after the last polygon.
    pub(super) fn finish(mut self, edge: Edge) -> Mask {
        let stride = self.size + 2;
        for y in self.rows.clone() {
            let row = &mut self.cover[y * stride..(y + 1) * stride];
            let mut sum = 0.0;
            for v in row {
                sum += *v;
                let covered = sum.abs().min(1.0);
                *v = if edge == Edge::Hard { f32::from(u8::from(covered >= 0.5)) } else { covered };
            }
        }
        if let Edge::Soft(radius) = edge {
            let mut field: Vec<f32> =
                self.cover.chunks_exact(stride).flat_map(|row| &row[..self.size]).copied().collect();
            (0..2).for_each(|_| box_blur(&mut field, self.size, radius));
            for (row, from) in self.cover.chunks_exact_mut(stride).zip(field.chunks_exact(self.size)) {
                row[..self.size].copy_from_slice(from);
            }
            self.rows = self.rows.start.saturating_sub(2 * radius)..(self.rows.end + 2 * radius).min(self.size);
        }
        self
    }

    /// The rows that are covered at all: number, coverage (0..=1).
    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, &[f32])> {
        let stride = self.size + 2;
        self.rows.clone().map(move |y| (y, &self.cover[y * stride..y * stride + self.size]))
    }
}

/// An edge that enters a row at `x0`, leaves it at `x1` and is `height` of it high: to each pixel, how much more of it
/// than of its left neighbour lies to the right of the edge.
fn add_area(row: &mut [f32], x0: f32, x1: f32, height: f32) {
    let first = x0 as usize;
    let last = (x1.ceil() as usize).max(first + 1);
    if last == first + 1 {
        let right = height * (0.5 * (x0 + x1) - first as f32);
        row[first] += height - right;
        row[first + 1] += right;
        return;
    }
    // The part of the pixels up to x that the edge has passed, as a function of x: a parabola in the first and the last
    // pixel, a line between.
    let per_pixel = height / (x1 - x0);
    let mut before = 0.0;
    for (x, v) in row.iter_mut().enumerate().take(last).skip(first) {
        let (from, to) = (x0.max(x as f32), x1.min(x as f32 + 1.0));
        // The edge lies left of `to` for (to - x0) of the way; where it crosses the pixel, half of that counts.
        let covered = per_pixel * ((from - x0) + (to - from) * (x as f32 + 1.0 - 0.5 * (from + to)));
        *v += covered - before;
        before = covered;
    }
    row[last] += height - before;
}
