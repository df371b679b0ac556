//! Structures: regions, shapes that hide each other, thin lines, letters.

use super::field::{nearest, smooth_noise};
use super::raster::{Edge, Mask, Point};
use crate::rng::Rng;
use std::f32::consts::TAU;

type Colour = [f32; 3];

/// Draws onto a background of slowly changing colour.
type Draw = fn(&mut Rng, &mut Canvas);

/// A kind of structure.
pub struct Kind {
    /// The things that it shows.
    pub name: &'static str,
    /// Leaves most of the ground as it is: mostly it is drawn onto another kind.
    sparse: bool,
    draw: Draw,
}

/// Every kind of structure; all are drawn equally often.
pub const KINDS: [Kind; 10] = [
    Kind { name: "shapes", sparse: false, draw: shapes },
    Kind { name: "objects", sparse: true, draw: objects },
    Kind { name: "regions", sparse: false, draw: regions },
    Kind { name: "cells", sparse: false, draw: cells },
    Kind { name: "hills", sparse: false, draw: hills },
    Kind { name: "panels", sparse: false, draw: panels },
    Kind { name: "lines", sparse: true, draw: lines },
    Kind { name: "twigs", sparse: true, draw: twigs },
    Kind { name: "text", sparse: true, draw: text },
    Kind { name: "gradients", sparse: false, draw: gradients },
];

/// Kinds that sparse ones are mostly drawn onto.
const GROUNDS: [Draw; 5] = [shapes, regions, cells, hills, panels];

/// Kinds that are now and then drawn on top of any.
const OVERLAYS: [Draw; 4] = [lines, text, twigs, objects];

/// A structure of `size` x `size`: (3, size, size) in [0, 1].
pub fn structure(rng: &mut Rng, size: usize) -> Vec<f32> {
    let kind = &KINDS[rng.below(KINDS.len())];
    of_kind(rng, size, kind)
}

/// A structure of one of [`KINDS`].
pub fn of_kind(rng: &mut Rng, size: usize, kind: &Kind) -> Vec<f32> {
    let mut canvas = Canvas::new(rng, size);
    if kind.sparse && rng.below(4) > 0 {
        GROUNDS[rng.below(GROUNDS.len())](rng, &mut canvas);
    }
    (kind.draw)(rng, &mut canvas);
    if rng.below(3) == 0 {
        OVERLAYS[rng.below(OVERLAYS.len())](rng, &mut canvas);
    }
    // A lens is never quite sharp.
    if rng.below(4) == 0 {
        canvas.soften(rng.between((0.05, 0.25)));
    }
    canvas.planes.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
    canvas.planes
}

/// A picture in the making, with the colours and the kind of edge that most of it has.
struct Canvas {
    size: usize,
    /// (3, size, size)
    planes: Vec<f32>,
    colours: Vec<Colour>,
    edge: Edge,
}

/// How a shape is coloured: from one colour to another along a line, or outwards from a centre.
struct Paint {
    from: Colour,
    to: Colour,
    ramp: Ramp,
    opacity: f32,
}

enum Ramp {
    /// `t = x a[0] + y a[1] + a[2]`
    Along([f32; 3]),
    /// `t = |p - centre|^2 / radius^2`
    Around(Point, f32),
}

impl Canvas {
    fn new(rng: &mut Rng, size: usize) -> Canvas {
        let colours = palette(rng);
        let edge = if rng.below(5) == 0 { Edge::Hard } else { Edge::Smooth };
        let mut canvas = Canvas { size, planes: vec![0.0; 3 * size * size], colours, edge };
        let (from, to) = (canvas.colour(rng), canvas.colour(rng));
        let strength = rng.unit() * rng.unit();
        let period = size as f32 * rng.between((0.4, 1.5));
        let field = smooth_noise(rng, size, period);
        for (plane, (a, b)) in canvas.planes.chunks_exact_mut(size * size).zip(from.into_iter().zip(to)) {
            let middle = a + (b - a) * 0.5 * strength;
            plane.iter_mut().zip(&field).for_each(|(v, f)| *v = middle + (b - a) * 0.4 * strength * f);
        }
        canvas
    }

    /// The side by which things are measured: pictures of more than 192 pixels show more, not larger things.
    fn scale(&self) -> f32 {
        (self.size as f32).min(192.0)
    }

    fn anywhere(&self, rng: &mut Rng) -> Point {
        [rng.unit() * self.size as f32, rng.unit() * self.size as f32]
    }

    /// How many things a picture shows that on 128 x 128 shows so many.
    fn count(&self, rng: &mut Rng, low: usize, high: usize) -> usize {
        let area = (self.size as f32 / 128.0).powi(2).max(0.5);
        ((low + rng.below(high + 1 - low)) as f32 * area).round() as usize
    }

    fn colour(&self, rng: &mut Rng) -> Colour {
        self.colours[rng.below(self.colours.len())]
    }

    /// The colour that is there already, changed by 2 to 15 of 255: an edge that texture hides.
    fn near(&self, rng: &mut Rng, [x, y]: Point) -> Colour {
        let inside = |v: f32| (v.max(0.0) as usize).min(self.size - 1);
        let at = inside(y) * self.size + inside(x);
        let step = rng.between((0.008, 0.06)) * if rng.below(2) == 0 { 1.0 } else { -1.0 };
        let plane = self.size * self.size;
        [0, 1, 2].map(|c| self.planes[c * plane + at] + step * rng.between((0.5, 1.2)))
    }

    /// A colour for a thing at `centre`, of about `radius` pixels.
    fn paint(&self, rng: &mut Rng, centre: Point, radius: f32) -> Paint {
        let from = if rng.below(4) == 0 { self.near(rng, centre) } else { self.colour(rng) };
        let to = match rng.below(4) {
            0 => self.colour(rng),
            1 => from.map(|v| v * 0.6),
            _ => from.map(|v| v * 0.9 + 0.03),
        };
        let ramp = if rng.below(3) == 0 {
            let offset = [0, 1].map(|i| centre[i] + radius * rng.between((-0.5, 0.5)));
            Ramp::Around(offset, 1.5 * radius)
        } else {
            let (sin, cos) = (TAU * rng.unit()).sin_cos();
            let per_pixel = 0.5 / radius.max(4.0);
            let a = [cos * per_pixel, sin * per_pixel];
            Ramp::Along([a[0], a[1], 0.5 - a[0] * centre[0] - a[1] * centre[1]])
        };
        Paint { from, to, ramp, opacity: if rng.below(8) == 0 { rng.between((0.3, 0.8)) } else { 1.0 } }
    }

    fn flat(colour: Colour) -> Paint {
        Paint { from: colour, to: colour, ramp: Ramp::Along([0.0; 3]), opacity: 1.0 }
    }

    fn fill(&mut self, mask: &Mask, paint: &Paint) {
        let size = self.size;
        let (first, rest) = self.planes.split_at_mut(size * size);
        let (second, third) = rest.split_at_mut(size * size);
        let mut shade = vec![0.0; size];
        for (y, cover) in mask.rows() {
            match paint.ramp {
                Ramp::Along([a, b, c]) => {
                    let start = b * y as f32 + c;
                    shade.iter_mut().enumerate().for_each(|(x, t)| *t = (start + a * x as f32).clamp(0.0, 1.0));
                }
                Ramp::Around([cx, cy], radius) => {
                    let (scale, dy) = (1.0 / (radius * radius), (y as f32 - cy).powi(2));
                    let t = |x: usize| (((x as f32 - cx).powi(2) + dy) * scale).min(1.0);
                    shade.iter_mut().enumerate().for_each(|(x, out)| *out = t(x));
                }
            }
            for (c, plane) in [&mut *first, &mut *second, &mut *third].into_iter().enumerate() {
                let (from, change) = (paint.from[c], paint.to[c] - paint.from[c]);
                for ((v, m), t) in plane[y * size..(y + 1) * size].iter_mut().zip(cover).zip(&shade) {
                    *v += paint.opacity * m * (from + change * t - *v);
                }
            }
        }
    }

    /// The edge of the next thing: mostly that of the picture.
    fn edge(&self, rng: &mut Rng) -> Edge {
        if rng.below(12) == 0 { Edge::Soft(1 + rng.below(3)) } else { self.edge }
    }

    /// Fills a polygon, now and then with a shadow under it.
    fn shape(&mut self, rng: &mut Rng, outline: &[Point], centre: Point, radius: f32) {
        let paint = self.paint(rng, centre, radius);
        if rng.below(6) == 0 {
            self.shadow(rng, outline, radius);
        }
        let mut mask = Mask::new(self.size);
        mask.polygon(outline);
        let edge = self.edge(rng);
        self.fill(&mask.finish(edge), &paint);
    }

    fn shadow(&mut self, rng: &mut Rng, outline: &[Point], radius: f32) {
        let offset = [rng.between((-0.25, 0.25)) * radius, rng.between((0.05, 0.3)) * radius];
        let mut mask = Mask::new(self.size);
        mask.polygon(&outline.iter().map(|p| [p[0] + offset[0], p[1] + offset[1]]).collect::<Vec<_>>());
        let soft = Edge::Soft(1 + (radius * rng.between((0.03, 0.15))) as usize);
        self.fill(&mask.finish(soft), &Paint { opacity: rng.between((0.2, 0.6)), ..Self::flat([0.0; 3]) });
    }

    /// Blurs each line and each column by (a, 1 - 2a, a).
    fn soften(&mut self, a: f32) {
        let size = self.size;
        for plane in self.planes.chunks_exact_mut(size * size) {
            for row in plane.chunks_exact_mut(size) {
                let mut before = row[0];
                for x in 0..size {
                    let (here, after) = (row[x], row[(x + 1).min(size - 1)]);
                    row[x] = here + a * (before + after - 2.0 * here);
                    before = here;
                }
            }
            let mut before = plane[..size].to_vec();
            for y in 0..size {
                let (rows, rest) = plane.split_at_mut((y + 1) * size);
                let row = &mut rows[y * size..];
                for (x, v) in row.iter_mut().enumerate() {
                    let here = *v;
                    let after = rest.get(x).copied().unwrap_or(here);
                    *v = here + a * (before[x] + after - 2.0 * here);
                    before[x] = here;
                }
            }
        }
    }
}

/// Four to seven colours that go together, from dark to light: about natural ones, vivid ones, grey ones, or all near
/// each other.
fn palette(rng: &mut Rng) -> Vec<Colour> {
    let hues = [rng.unit(), rng.unit(), rng.unit()];
    let saturation = match rng.below(10) {
        0 => (0.0, 0.0),
        1 => (0.5, 1.0),
        _ => (0.0, 0.5),
    };
    let contrast = if rng.below(4) == 0 { rng.between((0.08, 0.35)) } else { rng.between((0.6, 1.0)) };
    let light = rng.between((0.2, 0.8));
    let count = 4 + rng.below(4);
    let colour = |i: usize| {
        let hue = hues[rng.below(3)] + rng.between((-0.06, 0.06));
        let saturation = rng.between(saturation);
        let value = light + contrast * (0.03 + 0.97 * (i as f32 + rng.unit()) / count as f32 - light);
        [0.0, 1.0 / 3.0, 2.0 / 3.0].map(|offset| {
            let t = hue + offset;
            let ramp = (6.0 * (t - nearest(t)).abs() - 1.0).clamp(0.0, 1.0);
            value * (1.0 - saturation * (1.0 - ramp))
        })
    };
    (0..count).map(colour).collect()
}

fn turned(points: impl IntoIterator<Item = Point>, angle: f32, centre: Point) -> Vec<Point> {
    let (sin, cos) = angle.sin_cos();
    let turn = |[x, y]: Point| [centre[0] + cos * x - sin * y, centre[1] + sin * x + cos * y];
    points.into_iter().map(turn).collect()
}

/// A closed curve around `centre`: an ellipse, a blob, a polygon, a star or a rectangle.
fn outline(rng: &mut Rng, centre: Point, radius: f32) -> Vec<Point> {
    let ratio = rng.between((0.3, 1.0));
    let angle = if rng.below(2) == 0 { TAU * rng.unit() } else { rng.between((-0.1, 0.1)) };
    let smooth = (12.0 + 2.5 * radius.sqrt()) as usize;
    let circle = |n: usize, r: &dyn Fn(f32) -> f32| {
        let at = |i: usize| {
            let t = TAU * i as f32 / n as f32;
            let (sin, cos) = t.sin_cos();
            [radius * r(t) * cos, radius * ratio * r(t) * sin]
        };
        (0..n).map(at).collect::<Vec<_>>()
    };
    let points = match rng.below(5) {
        0 => circle(smooth, &|_| 1.0),
        1 => {
            let waves: Vec<[f32; 2]> = (2..7).map(|k| [rng.normal() * 0.5 / k as f32, TAU * rng.unit()]).collect();
            let r = |t: f32| 1.0 + (2..).zip(&waves).map(|(k, w)| w[0] * (k as f32 * t + w[1]).cos()).sum::<f32>();
            circle(2 * smooth, &|t| r(t).max(0.15))
        }
        2 => circle(3 + rng.below(5), &|_| 1.0),
        3 => {
            let (n, depth) = (4 + rng.below(6), rng.between((0.3, 0.8)));
            let points = circle(2 * n, &|_| 1.0);
            points.into_iter().enumerate().map(|(i, p)| if i % 2 == 0 { p } else { p.map(|v| v * depth) }).collect()
        }
        _ => {
            [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]].map(|[x, y]| [x * radius, y * ratio * radius]).to_vec()
        }
    };
    turned(points, angle, centre)
}

/// Large and small shapes over each other.
fn shapes(rng: &mut Rng, canvas: &mut Canvas) {
    let count = canvas.count(rng, 6, 24);
    let mut radii: Vec<f32> = (0..count).map(|_| canvas.scale() * 0.6 * 0.06f32.powf(rng.unit())).collect();
    radii.sort_by(|a, b| b.total_cmp(a));
    for radius in radii {
        let centre = canvas.anywhere(rng);
        let points = outline(rng, centre, radius);
        canvas.shape(rng, &points, centre, radius);
    }
}

/// A few round things with light and shadow.
fn objects(rng: &mut Rng, canvas: &mut Canvas) {
    for _ in 0..canvas.count(rng, 2, 7) {
        let (centre, radius) = (canvas.anywhere(rng), canvas.scale() * rng.between((0.06, 0.35)));
        let points = outline(rng, centre, radius);
        canvas.shadow(rng, &points, radius);
        let colour = canvas.colour(rng);
        let lit = [0, 1].map(|i| centre[i] + radius * rng.between((-0.6, 0.1)));
        let paint = Paint {
            from: colour.map(|v| v + 0.5 * (1.0 - v)),
            to: colour.map(|v| 0.4 * v),
            ramp: Ramp::Around(lit, radius * rng.between((1.2, 2.2))),
            opacity: 1.0,
        };
        let mut mask = Mask::new(canvas.size);
        mask.polygon(&points);
        let edge = canvas.edge(rng);
        canvas.fill(&mask.finish(edge), &paint);
    }
}

/// The steps of two rough landscapes, with a colour for each pair of steps: as a photograph traced to few colours.
fn regions(rng: &mut Rng, canvas: &mut Canvas) {
    let size = canvas.size;
    let rough = rng.between((0.1, 0.6));
    let mut landscape = || {
        let period = canvas.scale() * rng.between((0.25, 0.8));
        let step = rng.between((0.4, 1.5));
        let phase = rng.unit();
        let mut field = vec![0.0; size * size];
        for octave in 0..4 {
            let detail = smooth_noise(rng, size, period * 0.4f32.powi(octave));
            let share = if octave == 0 { 1.0 } else { 0.5 * rough.powi(octave) } / step;
            field.iter_mut().zip(&detail).for_each(|(v, d)| *v += share * d);
        }
        field.iter_mut().for_each(|v| *v += phase);
        field
    };
    let fields = [landscape(), landscape()];
    const STEPS: usize = 8;
    let colours: Vec<Colour> = (0..STEPS * STEPS).map(|_| canvas.colour(rng)).collect();
    let depth = rng.between((0.0, 0.15));
    let shading = smooth_noise(rng, size, canvas.scale());
    let hard = canvas.edge == Edge::Hard;
    // The step above the nearest boundary, and how much of the pixel lies on it.
    let step = |field: &[f32], x: usize, y: usize| {
        let i = y * size + x;
        let boundary = nearest(field[i]);
        let right = if x + 1 < size { field[i + 1] - field[i] } else { field[i] - field[i - 1] };
        let down = if y + 1 < size { field[i + size] - field[i] } else { field[i] - field[i - size] };
        // In pixels: value by slope.
        let distance = (field[i] - boundary) / right.abs().max(down.abs()).max(1e-6);
        let part = if hard { f32::from(u8::from(distance > 0.0)) } else { (distance + 0.5).clamp(0.0, 1.0) };
        (boundary as i32, part)
    };
    let colour = |a: i32, b: i32| {
        let within = |k: i32| k.rem_euclid(STEPS as i32) as usize;
        colours[within(a) * STEPS + within(b)]
    };
    let plane = size * size;
    for (y, x) in (0..size).flat_map(|y| (0..size).map(move |x| (y, x))) {
        let i = y * size + x;
        let ((a, p), (b, q)) = (step(&fields[0], x, y), step(&fields[1], x, y));
        let corners = [colour(a - 1, b - 1), colour(a - 1, b), colour(a, b - 1), colour(a, b)];
        let shares = [(1.0 - p) * (1.0 - q), (1.0 - p) * q, p * (1.0 - q), p * q];
        let light = 1.0 + depth * shading[i];
        for c in 0..3 {
            let sum: f32 = corners.iter().zip(shares).map(|(corner, share)| share * corner[c]).sum();
            canvas.planes[c * plane + i] = light * sum;
        }
    }
}

/// A few large cells with straight or crooked walls.
fn cells(rng: &mut Rng, canvas: &mut Canvas) {
    let size = canvas.size;
    let count = canvas.count(rng, 4, 14).min(64);
    let sites: Vec<Point> = (0..count).map(|_| canvas.anywhere(rng)).collect();
    let paints: Vec<Paint> = sites.iter().map(|s| canvas.paint(rng, *s, 0.25 * canvas.scale())).collect();
    let crooked = if rng.below(2) == 0 { 0.0 } else { canvas.scale() * rng.between((0.02, 0.12)) };
    let period = canvas.scale() * rng.between((0.1, 0.4));
    let warp = [smooth_noise(rng, size, period), smooth_noise(rng, size, period)];
    let hard = canvas.edge == Edge::Hard;
    let plane = size * size;
    for y in 0..size {
        for x in 0..size {
            let i = y * size + x;
            let p = [x as f32 + crooked * warp[0][i], y as f32 + crooked * warp[1][i]];
            let (mut nearest, mut second) = ((f32::MAX, 0), (f32::MAX, 0));
            for (k, s) in sites.iter().enumerate() {
                let d = (p[0] - s[0]).powi(2) + (p[1] - s[1]).powi(2);
                if d < nearest.0 {
                    second = nearest;
                    nearest = (d, k);
                } else if d < second.0 {
                    second = (d, k);
                }
            }
            // Distance to the wall between the two sites.
            let (a, b) = (sites[nearest.1], sites[second.1]);
            let apart = (a[0] - b[0]).hypot(a[1] - b[1]).max(1e-3);
            let wall = (second.0 - nearest.0) / (2.0 * apart);
            let part = if hard { 1.0 } else { (0.5 + wall).min(1.0) };
            let shade = |k: usize| match paints[k].ramp {
                Ramp::Along([a, b, c]) => (a * x as f32 + b * y as f32 + c).clamp(0.0, 1.0),
                Ramp::Around([cx, cy], r) => (((x as f32 - cx).powi(2) + (y as f32 - cy).powi(2)) / (r * r)).min(1.0),
            };
            let (own, other) = (&paints[nearest.1], &paints[second.1]);
            let (t, u) = (shade(nearest.1), if part < 1.0 { shade(second.1) } else { 0.0 });
            for c in 0..3 {
                let inside = own.from[c] + t * (own.to[c] - own.from[c]);
                let outside = other.from[c] + u * (other.to[c] - other.from[c]);
                canvas.planes[c * plane + i] = outside + part * (inside - outside);
            }
        }
    }
}

/// Ridges behind each other, smooth, rough or of straight lines.
fn hills(rng: &mut Rng, canvas: &mut Canvas) {
    let size = canvas.size as f32;
    let count = canvas.count(rng, 3, 7).min(16);
    let angle = if rng.below(2) == 0 { 0.0 } else { TAU * rng.unit() };
    for layer in 0..count {
        let base = size * ((layer as f32 + rng.unit()) / count as f32 - 0.5);
        let roughness = rng.between((0.3, 0.75));
        let (height, straight) = (canvas.scale() * rng.between((0.02, 0.15)), rng.below(3) == 0);
        let waves: Vec<[f32; 2]> = (0..6).map(|k| [height * roughness.powi(k), TAU * rng.unit()]).collect();
        let ridge = |x: f32| {
            let octave =
                |(k, w): (usize, &[f32; 2])| w[0] * (x * TAU / size * 1.7f32.powi(k as i32) * 1.3 + w[1]).sin();
            waves.iter().enumerate().map(octave).sum::<f32>()
        };
        let n = if straight { 4 + rng.below(8) } else { (size / 3.0) as usize };
        let along = |i: usize| size * (1.6 * i as f32 / n as f32 - 0.8);
        let top = (0..=n).map(|i| [along(i), base + ridge(along(i))]);
        let outline = turned(top.chain([[0.8 * size, size], [-0.8 * size, size]]), angle, [0.5 * size; 2]);
        let centre = turned([[0.0, base]], angle, [0.5 * size; 2])[0];
        canvas.shape(rng, &outline, centre, 0.3 * canvas.scale());
    }
}

/// Frames within frames: windows, doors, furniture, boxes.
fn panels(rng: &mut Rng, canvas: &mut Canvas) {
    let tilt = if rng.below(2) == 0 { 0.0 } else { rng.between((-0.3, 0.3)) };
    for _ in 0..canvas.count(rng, 3, 7) {
        let centre = canvas.anywhere(rng);
        let mut half = [0, 1].map(|_| canvas.scale() * rng.between((0.1, 0.45)));
        // The vertical sides converge a little.
        let converge = 1.0 - 0.3 * rng.unit() * rng.unit();
        for _ in 0..1 + rng.below(4) {
            let [w, h] = half;
            let corners = [[-w * converge, -h], [w * converge, -h], [w, h], [-w, h]];
            canvas.shape(rng, &turned(corners, tilt, centre), centre, w.max(h));
            let frame = canvas.scale() * rng.between((0.012, 0.08));
            half = half.map(|v| v - frame);
            if half.iter().any(|v| *v < 4.0) {
                break;
            }
        }
    }
}

/// Lines of 0.5 to 4 pixels: straight, bent, curved, rings, several from one point.
fn lines(rng: &mut Rng, canvas: &mut Canvas) {
    let size = canvas.size as f32;
    let fan = (rng.below(3) == 0).then(|| canvas.anywhere(rng));
    for _ in 0..canvas.count(rng, 3, 10) {
        let width = 0.5 * 8f32.powf(rng.unit());
        let (start, end) = (fan.unwrap_or_else(|| canvas.anywhere(rng)), canvas.anywhere(rng));
        let mut points: Vec<Point> = match rng.below(4) {
            0 => {
                // From side to side.
                let d = [end[0] - start[0], end[1] - start[1]];
                let far = 2.0 * size / d[0].hypot(d[1]).max(1.0);
                let back = if fan.is_some() { 0.0 } else { far };
                vec![[start[0] - back * d[0], start[1] - back * d[1]], [start[0] + far * d[0], start[1] + far * d[1]]]
            }
            1 => (0..3 + rng.below(3)).map(|_| canvas.anywhere(rng)).collect(),
            2 => {
                let (radius, ratio) = (canvas.scale() * rng.between((0.05, 0.4)), rng.between((0.4, 1.0)));
                let n = (16.0 + radius) as usize;
                let turn = |i: usize| TAU * i as f32 / n as f32;
                let at = |i: usize| [radius * turn(i).cos(), ratio * radius * turn(i).sin()];
                turned((0..=n).map(at), TAU * rng.unit(), start)
            }
            _ => {
                let bend = [canvas.anywhere(rng), canvas.anywhere(rng)];
                let at = |i: usize| {
                    let t = i as f32 / 40.0;
                    let s = 1.0 - t;
                    let weights = [s * s * s, 3.0 * s * s * t, 3.0 * s * t * t, t * t * t];
                    let points = [start, bend[0], bend[1], end];
                    [0, 1].map(|k| (0..4).map(|j| weights[j] * points[j][k]).sum())
                };
                (0..=40).map(at).collect()
            }
        };
        if fan.is_some() {
            points[0] = start;
        }
        let colour = if rng.below(4) == 0 { canvas.near(rng, end) } else { canvas.colour(rng) };
        let mut mask = Mask::new(canvas.size);
        mask.stroke(&points, |_| width);
        let mask = mask.finish(if width < 1.0 { Edge::Smooth } else { canvas.edge });
        canvas.fill(&mask, &Canvas::flat(colour));
    }
}

/// Branches that fork and taper.
fn twigs(rng: &mut Rng, canvas: &mut Canvas) {
    for _ in 0..canvas.count(rng, 1, 4) {
        let colour = canvas.colour(rng);
        let mut mask = Mask::new(canvas.size);
        let start = canvas.anywhere(rng);
        let length = canvas.scale() * rng.between((0.2, 0.4));
        let mut open = vec![(start, TAU * rng.unit(), length, rng.between((1.5, 7.0)), 4)];
        while let Some((from, angle, length, width, depth)) = open.pop() {
            let mut points = vec![from];
            let mut heading = angle;
            for _ in 0..6 {
                heading += 0.18 * rng.normal();
                let [x, y] = points[points.len() - 1];
                points.push([x + heading.cos() * length / 6.0, y + heading.sin() * length / 6.0]);
            }
            mask.stroke(&points, |i| width * (1.0 - 0.06 * i as f32));
            if depth > 0 {
                for _ in 0..1 + rng.below(2) {
                    let at = 2 + rng.below(5);
                    let turn = rng.between((0.3, 0.9)) * if rng.below(2) == 0 { 1.0 } else { -1.0 };
                    let child = length * rng.between((0.5, 0.8));
                    open.push((points[at], heading + turn, child, (0.6 * width).max(0.6), depth - 1));
                }
            }
        }
        let mask = mask.finish(canvas.edge);
        canvas.fill(&mask, &Canvas::flat(colour));
    }
}

/// A block or two of rows of strange letters, of any size.
fn text(rng: &mut Rng, canvas: &mut Canvas) {
    // A letter is one to three strokes between the points of a grid of 3 x 4.
    let letter = |rng: &mut Rng| -> Vec<Vec<Point>> {
        let point = |rng: &mut Rng| [rng.below(3) as f32 / 2.0, rng.below(4) as f32 / 3.0];
        let stroke = |rng: &mut Rng| {
            let mut points = vec![point(rng)];
            for _ in 0..1 + rng.below(3) {
                let next = point(rng);
                if points[points.len() - 1] != next {
                    points.push(next);
                }
            }
            if points.len() == 1 {
                points.push([points[0][0], 1.0 - points[0][1]]);
            }
            points
        };
        (0..1 + rng.below(3)).map(|_| stroke(rng)).collect()
    };
    let letters: Vec<_> = (0..14).map(|_| letter(rng)).collect();
    for _ in 0..1 + rng.below(3) {
        let corner = canvas.anywhere(rng).map(|v| 0.7 * v);
        let height = 6.0 * 8f32.powf(rng.unit());
        let (width, weight) = (height * rng.between((0.45, 0.75)), (height * rng.between((0.09, 0.2))).max(0.8));
        let angle = [0.0, rng.between((-0.6, 0.6)), 0.25 * TAU][rng.below(3)];
        let colour = if rng.below(5) == 0 { canvas.near(rng, corner) } else { canvas.colour(rng) };
        let (columns, rows) = (3 + rng.below(10), 1 + rng.below(3));
        let mut mask = Mask::new(canvas.size);
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            if rng.below(6) == 0 {
                continue;
            }
            let origin = [1.35 * width * column as f32, 1.6 * height * row as f32];
            for stroke in &letters[rng.below(letters.len())] {
                let points = stroke.iter().map(|p| [origin[0] + width * p[0], origin[1] + height * p[1]]);
                mask.stroke(&turned(points, angle, corner), |_| weight);
            }
        }
        let mask = mask.finish(canvas.edge);
        canvas.fill(&mask, &Canvas::flat(colour));
    }
}

/// Hardly anything: light that changes slowly, and shapes of low contrast or out of focus.
fn gradients(rng: &mut Rng, canvas: &mut Canvas) {
    for _ in 0..canvas.count(rng, 3, 8) {
        let (centre, radius) = (canvas.anywhere(rng), canvas.scale() * rng.between((0.1, 0.6)));
        let colour = canvas.near(rng, centre);
        let mut mask = Mask::new(canvas.size);
        mask.polygon(&outline(rng, centre, radius));
        let edge = if rng.below(2) == 0 { canvas.edge } else { Edge::Soft(1 + rng.below(8)) };
        canvas.fill(&mask.finish(edge), &Canvas::flat(colour));
    }
}
