//! Textures: what fills a surface and repeats, regularly or not.

use super::field::{box_blur, nearest, smooth_noise, step, wave};
use crate::rng::Rng;
use std::f32::consts::TAU;

/// The longest period of any texture, in pixels; slower changes are taken out.
pub const LARGEST: f32 = 24.0;

/// How a kind of texture is made.
pub struct Kind {
    /// The surface that it imitates.
    pub name: &'static str,
    /// Its periods in pixels, from and to; of noise, which is slower than its lattice, the lattice's.
    periods: (f32, f32),
    /// Its period along u is up to so many times that along v.
    stretch: f32,
    draw: fn(&mut Rng, &Frame) -> [Vec<f32>; 2],
}

/// Every kind of texture; all are drawn equally often.
pub const KINDS: [Kind; 15] = [
    Kind { name: "noise", periods: (3.0, 14.0), stretch: 6.0, draw: noise },
    Kind { name: "grain", periods: (2.0, 4.0), stretch: 1.0, draw: grain },
    Kind { name: "ripples", periods: (2.5, 20.0), stretch: 1.0, draw: ripples },
    Kind { name: "stripes", periods: (2.0, 20.0), stretch: 1.0, draw: stripes },
    Kind { name: "checks", periods: (3.0, 20.0), stretch: 2.0, draw: checks },
    Kind { name: "weave", periods: (3.0, 12.0), stretch: 1.5, draw: weave },
    Kind { name: "chevrons", periods: (6.0, 24.0), stretch: 2.5, draw: chevrons },
    Kind { name: "bricks", periods: (8.0, 24.0), stretch: 3.5, draw: bricks },
    Kind { name: "tiles", periods: (5.0, 22.0), stretch: 1.5, draw: tiles },
    Kind { name: "mosaic", periods: (5.0, 22.0), stretch: 2.0, draw: mosaic },
    Kind { name: "pebbles", periods: (5.0, 24.0), stretch: 2.0, draw: pebbles },
    Kind { name: "dots", periods: (3.0, 18.0), stretch: 1.5, draw: dots },
    Kind { name: "hatching", periods: (3.0, 12.0), stretch: 1.0, draw: hatching },
    Kind { name: "straw", periods: (5.0, 20.0), stretch: 1.0, draw: straw },
    Kind { name: "crackle", periods: (5.0, 16.0), stretch: 2.0, draw: crackle },
];

/// How far colours scatter around grey: mostly as in [`super::super::source`]'s folders, now and then as in a mosaic.
const COLOURS: [f32; 4] = [0.1, 0.15, 0.2, 0.6];

/// A texture of `size` x `size`: (3, size, size), each channel's mean 0, the root mean square over all of them 1. Half
/// of them are grey.
pub fn texture(rng: &mut Rng, size: usize) -> Vec<f32> {
    let kind = &KINDS[rng.below(KINDS.len())];
    of_kind(rng, size, kind)
}

/// A texture of one of [`KINDS`], now and then with another one on it.
pub fn of_kind(rng: &mut Rng, size: usize, kind: &Kind) -> Vec<f32> {
    let [mut main, mut second] = layer(rng, size, kind);
    if rng.below(5) == 0 {
        let share = rng.between((0.3, 0.8));
        let kind = &KINDS[rng.below(KINDS.len())];
        let other = layer(rng, size, kind);
        for (field, other) in [&mut main, &mut second].into_iter().zip(other) {
            field.iter_mut().zip(other).for_each(|(v, o)| *v += share * o);
        }
        normalise(&mut main);
    }
    if rng.below(2) == 0 {
        return [&main[..]; 3].concat();
    }
    let scatter = COLOURS[rng.below(COLOURS.len())];
    let mut planes = Vec::with_capacity(3 * main.len());
    for _ in 0..3 {
        let (a, b) = (1.0 + scatter * rng.normal(), scatter * rng.normal());
        planes.extend(main.iter().zip(&second).map(|(v, w)| a * v + b * w));
    }
    let norm = rms(&planes).max(1e-6).recip();
    planes.iter_mut().for_each(|v| *v *= norm);
    planes
}

/// Two fields of mean 0 and deviation 1 without slow changes: brightness, and what colours vary with.
fn layer(rng: &mut Rng, size: usize, kind: &Kind) -> [Vec<f32>; 2] {
    let frame = Frame::new(rng, size, kind);
    let mut fields = (kind.draw)(rng, &frame);
    // Wear: contrast that changes over the surface.
    if rng.below(3) == 0 {
        let depth = rng.between((0.2, 0.7));
        let period = rng.between((40.0, 120.0));
        let wear = smooth_noise(rng, size, period);
        fields[0].iter_mut().zip(&wear).for_each(|(v, w)| *v *= 1.0 + depth * w.clamp(-1.0, 1.0));
    }
    for field in &mut fields {
        normalise(field);
    }
    if rng.below(2) == 0 {
        let share = rng.between((0.1, 0.5));
        fields[0].iter_mut().for_each(|v| *v += share * 3.4 * (rng.unit() - 0.5));
        normalise(&mut fields[0]);
    }
    fields
}

/// Takes out the local mean and scales to mean 0, deviation 1; what has none stays 0.
fn normalise(field: &mut [f32]) {
    let size = field.len().isqrt();
    let mut slow = field.to_vec();
    (0..2).for_each(|_| box_blur(&mut slow, size, LARGEST as usize / 3));
    field.iter_mut().zip(&slow).for_each(|(v, s)| *v -= s);
    let mean = field.iter().sum::<f32>() / field.len() as f32;
    field.iter_mut().for_each(|v| *v -= mean);
    let norm = rms(field).max(1e-6).recip();
    field.iter_mut().for_each(|v| *v *= norm);
}

fn rms(values: &[f32]) -> f32 {
    (values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt()
}

/// Coordinates in which the texture's period is 1: turned, stretched and a little warped.
struct Frame {
    size: usize,
    u: Vec<f32>,
    v: Vec<f32>,
    /// Size of a pixel along u and v.
    pixel: [f32; 2],
}

impl Frame {
    fn new(rng: &mut Rng, size: usize, kind: &Kind) -> Frame {
        let (low, high) = kind.periods;
        let period = low * (high / low).powf(rng.unit());
        let along = kind.stretch.powf(rng.unit()).min(period / 2.0);
        let pixel = [1.0 / period, along / period];
        let quarter = 0.25 * TAU * rng.below(2) as f32;
        let angle = if rng.below(2) == 0 { TAU * rng.unit() } else { quarter + rng.between((-0.04, 0.04)) };
        let (sin, cos) = angle.sin_cos();
        let (u0, v0) = (rng.unit(), rng.unit());
        let mut frame = Frame { size, u: Vec::with_capacity(size * size), v: Vec::with_capacity(size * size), pixel };
        for y in 0..size {
            let y = y as f32 - 0.5 * size as f32;
            let (u, v) = (u0 + y * sin * pixel[0], v0 + y * cos * pixel[1]);
            let x = |x: usize| x as f32 - 0.5 * size as f32;
            frame.u.extend((0..size).map(|i| u + x(i) * cos * pixel[0]));
            frame.v.extend((0..size).map(|i| v - x(i) * sin * pixel[1]));
        }
        if rng.below(2) == 0 {
            // Bent by a few pixels over many.
            let bend = rng.between((0.3, 4.0));
            let wavelength = rng.between((20.0, 80.0));
            let bend = bend * (wavelength / 80.0);
            for (axis, pixel) in [(&mut frame.u, pixel[0]), (&mut frame.v, pixel[1])] {
                let warp = smooth_noise(rng, size, wavelength);
                axis.iter_mut().zip(warp).for_each(|(c, w)| *c += bend * pixel * w);
            }
        }
        frame
    }

    /// Two fields from a function of (u, v).
    fn map(&self, f: impl Fn(f32, f32) -> [f32; 2]) -> [Vec<f32>; 2] {
        let mut fields = [vec![0.0; self.u.len()], vec![0.0; self.u.len()]];
        let [main, second] = &mut fields;
        for (((u, v), main), second) in self.u.iter().zip(&self.v).zip(main).zip(second) {
            [*main, *second] = f(*u, *v);
        }
        fields
    }

    /// Half the width of an edge, in periods along u: from hard to two pixels.
    fn softness(&self, rng: &mut Rng) -> f32 {
        self.pixel[0] * rng.between((0.3, 1.0))
    }

    /// Random numbers of each unit cell that the picture touches, and of those around.
    fn cells(&self, rng: &mut Rng) -> Cells {
        let bounds = |axis: &[f32]| axis.iter().fold((f32::MAX, f32::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
        let ranges = [bounds(&self.u), bounds(&self.v)];
        let low = ranges.map(|(low, _)| low.floor() as i32 - 2);
        let [columns, rows] = [0, 1].map(|i| ranges[i].1.floor() as i32 + 3 - low[i]);
        let values = (0..columns * rows).map(|_| [(); 4].map(|()| rng.unit())).collect();
        Cells { low, columns, rows, values }
    }
}

struct Cells {
    low: [i32; 2],
    columns: i32,
    rows: i32,
    values: Vec<[f32; 4]>,
}

impl Cells {
    /// Where the numbers of the cell (i, j) are; those beyond the last row or column are those of the last one.
    fn index(&self, i: i32, j: i32) -> usize {
        let (i, j) = ((i - self.low[0]).clamp(0, self.columns - 1), (j - self.low[1]).clamp(0, self.rows - 1));
        (j * self.columns + i) as usize
    }

    /// Four numbers in 0..1 of the cell (i, j).
    fn at(&self, i: i32, j: i32) -> [f32; 4] {
        self.values[self.index(i, j)]
    }

    /// Two values in about -1..1 that change smoothly.
    fn smooth(&self, u: f32, v: f32) -> [f32; 2] {
        let (i, fu) = cell(u);
        let (j, fv) = cell(v);
        let (a, b) = (fu * fu * (3.0 - 2.0 * fu), fv * fv * (3.0 - 2.0 * fv));
        let corners = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)];
        // Gradients at the corners (Perlin 1985): noise of values shows its lattice.
        let heights = corners.map(|(x, y)| {
            let [p, q, r, s] = self.at(i + x as i32, j + y as i32);
            let (dx, dy) = (2.0 * (fu - x), 2.0 * (fv - y));
            [dx * (p - 0.5) + dy * (q - 0.5), dx * (r - 0.5) + dy * (s - 0.5)]
        });
        [0, 1].map(|k| {
            let [p, q, r, s] = heights.map(|h| h[k]);
            let (top, bottom) = (p + a * (q - p), r + a * (s - r));
            top + b * (bottom - top)
        })
    }

    /// The nearest of the points that lie one in each cell, at most half of `jitter` from its middle: its offset, the
    /// numbers of its cell, and the distance to the wall between it and the second nearest.
    fn voronoi(&self, u: f32, v: f32, jitter: f32) -> ([f32; 2], [f32; 4], f32) {
        let (i, fu) = cell(u);
        let (j, fv) = cell(v);
        let (mut first, mut second) = ((f32::MAX, [0.0; 2], [0.0; 4]), (f32::MAX, [0.0; 2]));
        for dj in -1..=1 {
            for di in -1..=1 {
                let own = self.at(i + di, j + dj);
                let x = di as f32 + 0.5 + jitter * (own[0] - 0.5) - fu;
                let y = dj as f32 + 0.5 + jitter * (own[1] - 0.5) - fv;
                let d = x * x + y * y;
                if d < first.0 {
                    second = (first.0, first.1);
                    first = (d, [x, y], own);
                } else if d < second.0 {
                    second = (d, [x, y]);
                }
            }
        }
        let apart = (first.1[0] - second.1[0]).hypot(first.1[1] - second.1[1]);
        (first.1, first.2, (second.0 - first.0) / (2.0 * apart.max(1e-6)))
    }
}

/// The unit cell in which `x` lies, and how far along.
fn cell(x: f32) -> (i32, f32) {
    let whole = nearest(x - 0.5);
    (whole as i32, x - whole)
}

/// 1 within `half` of 0, as a bar with edges of the given softness.
fn bar(x: f32, half: f32, softness: f32) -> f32 {
    step(half - x.abs(), softness)
}

/// Smooth noise in one to four octaves: concrete, brushed metal, wood, plaster.
fn noise(rng: &mut Rng, frame: &Frame) -> [Vec<f32>; 2] {
    let cells = frame.cells(rng);
    let octaves = 1 + rng.below(4);
    let fall = rng.between((0.4, 0.9));
    let mut fields = frame.map(|u, v| cells.smooth(u, v));
    for octave in 1..octaves {
        let finer = Frame {
            size: frame.size,
            u: frame.u.iter().map(|u| u * 2.0f32.powi(octave as i32)).collect(),
            v: frame.v.iter().map(|v| v * 2.0f32.powi(octave as i32)).collect(),
            pixel: frame.pixel,
        };
        if finer.pixel[1] * 2.0f32.powi(octave as i32) > 0.7 {
            break;
        }
        let cells = finer.cells(rng);
        let more = finer.map(|u, v| cells.smooth(u, v));
        for (field, more) in fields.iter_mut().zip(more) {
            field.iter_mut().zip(more).for_each(|(v, m)| *v += fall.powi(octave as i32) * m);
        }
    }
    fields
}

/// White noise, or nearly.
fn grain(rng: &mut Rng, frame: &Frame) -> [Vec<f32>; 2] {
    let blur = rng.between((0.0, 0.33));
    [(); 2].map(|()| {
        let size = frame.size;
        let white: Vec<f32> = (0..size * size).map(|_| rng.unit() + rng.unit()).collect();
        let mix = |i: usize, gap: usize| {
            let (before, after) = (white[i.saturating_sub(gap)], white[(i + gap).min(size * size - 1)]);
            0.5 * blur * (before + after - 2.0 * white[i])
        };
        (0..size * size).map(|i| white[i] + mix(i, 1) + mix(i, size)).collect()
    })
}

/// A few waves, of one direction or of all: water, gauze, moire.
fn ripples(rng: &mut Rng, frame: &Frame) -> [Vec<f32>; 2] {
    let spread = if rng.below(2) == 0 { 0.5 } else { TAU };
    let waves: Vec<[f32; 4]> = (0..2 + rng.below(5))
        .map(|_| {
            let (sin, cos) = (spread * (rng.unit() - 0.5)).sin_cos();
            let frequency = rng.between((0.8, 1.25));
            [frequency * cos, frequency * sin, rng.unit(), rng.between((0.3, 1.0))]
        })
        .collect();
    frame.map(|u, v| {
        let sum: f32 = waves.iter().map(|[a, b, phase, size]| size * wave(a * u + b * v + phase)).sum();
        [sum, waves[0][3] * wave(waves[0][0] * u + waves[0][1] * v + waves[0][2])]
    })
}

/// Waves, bars, or threads of different brightness: corduroy, boards, knitting.
fn stripes(rng: &mut Rng, frame: &Frame) -> [Vec<f32>; 2] {
    let cells = frame.cells(rng);
    let row = cells.low[1] + 1;
    let (softness, width) = (frame.softness(rng), rng.between((0.15, 0.38)));
    let tones = if rng.below(2) == 0 { 0.0 } else { rng.between((0.3, 1.5)) };
    let round = rng.below(2) == 0;
    frame.map(|u, _| {
        let (i, f) = cell(u);
        let own = cells.at(i, row);
        let profile = if round { 0.5 + 0.5 * wave(f - 0.5) } else { bar(f - 0.5, width, softness) };
        [profile * (1.0 + tones * (own[0] - 0.5)), profile * (own[1] - 0.5)]
    })
}

/// Squares by turns, or where stripes of both directions cross: tablecloths, tartan.
fn checks(rng: &mut Rng, frame: &Frame) -> [Vec<f32>; 2] {
    let softness = 2.0 * frame.softness(rng);
    let crossed = rng.below(2) == 0;
    let balance = rng.between((0.3, 1.0));
    frame.map(|u, v| {
        let [a, b] = [u, v].map(|t| step(wave(t) / 6.0, softness));
        if crossed { [a + balance * b, a - b] } else { [a + b - 2.0 * a * b, a] }
    })
}

/// Threads over and under each other: plain, twill and basket.
fn weave(rng: &mut Rng, frame: &Frame) -> [Vec<f32>; 2] {
    let cells = frame.cells(rng);
    // Of `repeat` threads the first `over` lie above; each row is `shift` further.
    let (repeat, over, shift) = [(2, 1, 1), (3, 2, 1), (4, 2, 1), (3, 1, 2)][rng.below(4)];
    let gap = rng.between((0.0, 0.5));
    let (tone, scatter) = (rng.between((-0.6, 0.6)), rng.between((0.0, 0.5)));
    frame.map(|u, v| {
        let ((i, fu), (j, fv)) = (cell(u), cell(v));
        let above = (i + shift * j).rem_euclid(repeat) < over;
        let (across, along, own) = if above { (fu, fv, cells.at(i, 0)) } else { (fv, fu, cells.at(0, j)) };
        // A thread is round across, and bends down at its ends.
        let round = 1.0 - 4.0 * (across - 0.5).powi(2) * (1.0 + gap);
        let bend = 1.0 - (along - 0.5).powi(2);
        let tone = if above { tone } else { 0.0 } + scatter * (own[2] - 0.5);
        [round * bend + tone, own[3]]
    })
}

/// Slanted threads that change their slant: herringbone, knitting, parquet.
fn chevrons(rng: &mut Rng, frame: &Frame) -> [Vec<f32>; 2] {
    let (slope, lines) = (rng.between((0.4, 1.2)), 1.0 + rng.below(2) as f32);
    let cells = frame.cells(rng);
    let softness = 2.0 * frame.softness(rng);
    let hard = rng.below(2) == 0;
    frame.map(|u, v| {
        let (i, f) = cell(u);
        let zigzag = 2.0 * (f - 0.5).abs() * slope;
        let t = lines * (v + zigzag);
        let profile = if hard { step(wave(t) / 6.0, softness) } else { wave(t) };
        [profile, cells.at(i, cell(v).0)[0]]
    })
}

/// Courses of bricks in mortar, each a little different.
fn bricks(rng: &mut Rng, frame: &Frame) -> [Vec<f32>; 2] {
    let cells = frame.cells(rng);
    let shift = [0.5, 0.5, 0.33, 0.0][rng.below(4)];
    let mortar = frame.pixel.map(|pixel| (pixel * rng.between((0.4, 1.3))).min(0.3));
    let softness = frame.pixel.map(|pixel| pixel * rng.between((0.3, 0.9)));
    let (tones, depth) =
        (rng.between((0.2, 1.5)), rng.between((0.3, 1.2)) * if rng.below(3) == 0 { -1.0 } else { 1.0 });
    let light = rng.between((0.0, 0.5));
    frame.map(|u, v| {
        let (j, fv) = cell(v);
        let (i, fu) = cell(u + shift * (j & 3) as f32);
        let own = cells.at(i, j);
        let brick = bar(fu - 0.5, 0.5 - mortar[0], softness[0]) * bar(fv - 0.5, 0.5 - mortar[1], softness[1]);
        [brick * (depth + tones * (own[2] - 0.5) + light * (0.5 - fv)), brick * (own[3] - 0.5)]
    })
}

/// A grid of tiles in joints, or of a mosaic's stones that never quite fit.
fn tiles(rng: &mut Rng, frame: &Frame) -> [Vec<f32>; 2] {
    let cells = frame.cells(rng);
    let (joint, softness) = (rng.between((0.04, 0.16)), frame.softness(rng));
    let (jitter, tones) = (rng.between((0.0, 0.25)), rng.between((0.2, 2.0)));
    let depth = if rng.below(3) == 0 { -1.0 } else { 1.0 };
    let light = rng.between((0.0, 0.6));
    frame.map(|u, v| {
        let ((i, fu), (j, fv)) = (cell(u), cell(v));
        let own = cells.at(i, j);
        let (x, y) = (fu - 0.5 + jitter * (own[0] - 0.5), fv - 0.5 + jitter * (own[1] - 0.5));
        let half = 0.5 - joint - 0.5 * jitter * own[2];
        let tile = bar(x, half, softness) * bar(y, half, softness);
        [tile * (depth + tones * (own[2] - 0.5) - light * (x + y)), tile * (own[3] - 0.5)]
    })
}

/// Stones of any shape in joints.
fn mosaic(rng: &mut Rng, frame: &Frame) -> [Vec<f32>; 2] {
    let cells = frame.cells(rng);
    let (joint, softness) = (rng.between((0.02, 0.12)), frame.softness(rng));
    let (jitter, tones) = (rng.between((0.4, 1.0)), rng.between((0.2, 2.0)));
    let depth = if rng.below(3) == 0 { -1.0 } else { 1.0 };
    frame.map(|u, v| {
        let (_, own, wall) = cells.voronoi(u, v, jitter);
        let stone = step(wall - joint, softness);
        [stone * (depth + tones * (own[2] - 0.5)), stone * (own[3] - 0.5)]
    })
}

/// Round stones lit from a side: gravel, leather, beads.
fn pebbles(rng: &mut Rng, frame: &Frame) -> [Vec<f32>; 2] {
    let cells = frame.cells(rng);
    let (jitter, tones) = (rng.between((0.0, 1.0)), rng.between((0.0, 0.8)));
    let (sin, cos) = (TAU * rng.unit()).sin_cos();
    let lit = rng.between((0.0, 1.5));
    frame.map(|u, v| {
        let ([x, y], own, wall) = cells.voronoi(u, v, jitter);
        let dome = (3.0 * wall).min(1.0);
        [dome * (2.0 - dome) + lit * (x * cos + y * sin) * dome + tones * (own[2] - 0.5), own[3] - 0.5]
    })
}

/// Dots in rows, shifted rows or anyhow, dark or light.
fn dots(rng: &mut Rng, frame: &Frame) -> [Vec<f32>; 2] {
    let cells = frame.cells(rng);
    let (jitter, shift) = (if rng.below(2) == 0 { 0.0 } else { rng.unit() }, 0.5 * rng.below(2) as f32);
    let (radius, softness) = (rng.between((0.15, 0.42)), frame.softness(rng));
    let (sizes, sign) = (rng.between((0.0, 0.6)), if rng.below(2) == 0 { 1.0 } else { -1.0 });
    frame.map(|u, v| {
        let (j, fv) = cell(v);
        let (i, fu) = cell(u + shift * (j & 1) as f32);
        let own = cells.at(i, j);
        let radius = radius * (1.0 - sizes * own[2]);
        let room = jitter * (1.0 - 2.0 * radius).max(0.0);
        let (x, y) = (fu - 0.5 + room * (own[0] - 0.5), fv - 0.5 + room * (own[1] - 0.5));
        let dot = step(radius - (x * x + y * y).sqrt(), softness);
        [sign * dot, dot * (own[3] - 0.5)]
    })
}

/// Pen strokes of about one direction, in one or two layers.
fn hatching(rng: &mut Rng, frame: &Frame) -> [Vec<f32>; 2] {
    let cells = frame.cells(rng);
    let crossed = rng.below(2) == 0;
    let (width, softness) = (rng.between((0.12, 0.3)), frame.softness(rng));
    let (length, sway) = (rng.between((2.5, 6.0)), rng.between((0.0, 0.5)));
    // Strokes lie in rows; each row is cut into pieces at places of its own.
    let layer = |u: f32, v: f32| {
        let (j, f) = cell(v + sway * 0.3 * wave(u / 7.0));
        let start = cells.at(cells.low[0], j)[0];
        let (i, along) = cell(u / length + start);
        let own = cells.at(i, j);
        let pen = bar(along - 0.5, 0.3 + 0.2 * own[1], softness / length);
        let line = bar(f - 0.5 + 0.4 * (own[2] - 0.5), width * (0.6 + 0.4 * own[3]), softness);
        pen * line
    };
    frame.map(|u, v| {
        let first = layer(u, v);
        let second = if crossed { layer(0.8 * v + 0.6 * u + 0.3, 0.8 * u - 0.6 * v) } else { 0.0 };
        [-(first + second - first * second), first]
    })
}

/// Short strokes across each other in every direction: straw, grass, fur, felt.
fn straw(rng: &mut Rng, frame: &Frame) -> [Vec<f32>; 2] {
    let cells = frame.cells(rng);
    let (width, softness) = (rng.between((0.06, 0.16)), frame.softness(rng));
    let (main, spread) = (rng.unit(), [0.15, 0.5, 1.0][rng.below(3)]);
    // One stroke a cell: middle, direction, brightness; drawn over its neighbours by rank.
    let strokes: Vec<[f32; 5]> = (cells.values.iter())
        .map(|own| {
            let (sin, cos) = (0.5 * TAU * (main + spread * (own[2] - 0.5))).sin_cos();
            [own[0], own[1], cos, sin, own[3]]
        })
        .collect();
    frame.map(|u, v| {
        let ((i, fu), (j, fv)) = (cell(u), cell(v));
        let (mut tone, mut rank) = (0.0, -1.0);
        for dj in -1..=1 {
            for di in -1..=1 {
                let [x, y, cos, sin, own] = strokes[cells.index(i + di, j + dj)];
                let (x, y) = (fu - x - di as f32, fv - y - dj as f32);
                let (along, across) = (x * cos + y * sin, (y * cos - x * sin).abs());
                if along.abs() < 0.9 && across < width + softness && own > rank {
                    let ink = step(width - across, softness);
                    tone += ink * (own + 0.3 - tone);
                    rank = own;
                }
            }
        }
        [tone, rank]
    })
}

/// Where smooth noise is near 0: cracks, veins, wrinkles.
fn crackle(rng: &mut Rng, frame: &Frame) -> [Vec<f32>; 2] {
    let cells = frame.cells(rng);
    let sharp = rng.between((2.0, 7.0));
    let sign = if rng.below(2) == 0 { 1.0 } else { -1.0 };
    frame.map(|u, v| {
        let [a, b] = cells.smooth(u, v);
        let ridge = 1.0 / (1.0 + 4.0 * sharp * a.abs().min(b.abs()));
        [sign * ridge, a]
    })
}
