//! A screened Poisson equation where opposite borders meet: y = u + k P(b), P(b) = (1 + a (Dx'Dx + Dy'Dy))^-1 b, by Fourier
//! transforms, exact at any size: the 2-D DFT of b is divided by 1 + a (4 sin^2(pi kx / W) + 4 sin^2(pi ky / H)).
//!
//! The divisor is real and even, so that two channels travel as one complex plane and are never told apart. The transform
//! is Stockham's, of passes of any radix p: with n = what is left, m = n/p, s = what is done,
//!   y[q + s(pj+k)] = w_n^(jk) sum_(r<p) x[q + s(j+mr)] w_p^(rk),  0 <= q < s, 0 <= j < m, 0 <= k < p,
//! with w_n^t in a table of N numbers made in f64 ([`roots`]). A prime radix p costs p multiply-adds a value.
//! Not taken: Bluestein's transform (three padded ones, more memory and rounding), conjugate gradients or multigrid
//! (inexact, at a up to 1e5), a cosine transform (other borders than the authors').
//!
//! P is symmetric, with or without the mean of b, and so its own gradient.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, Workspace, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Param, Shader};
use crate::tensor::Shape;

/// Its kernels.
pub static SHADER: Shader = Shader::new("periodic_solve", include_str!("../../shaders/periodic_solve.wgsl"));

/// (u (N, C, H, W), b of the same shape, [`roots`] of W, those of H) -> u + k P(b); without u k P(b).
#[derive(Clone, Debug, PartialEq)]
pub struct PeriodicSolve {
    /// The factor a.
    pub a: f64,
    /// The factor k.
    pub k: f64,
    /// Whether the mean of b counts. Where b is a divergence, whose mean is 0, what comes of the sums is k times a rounding.
    pub mean: bool,
}

/// Adds the table of a transform of length n to a graph: cos, then sin of 2 pi t / n, and 4 sin^2(pi t / n), 0 <= t < n.
pub fn roots(g: &mut Graph, n: usize) -> Value {
    let turn = |t: usize| std::f64::consts::PI * t as f64 / n as f64;
    let functions: [fn(f64) -> f64; 3] = [|x| (2.0 * x).cos(), |x| (2.0 * x).sin(), |x| 4.0 * x.sin() * x.sin()];
    let table = functions.iter().flat_map(|f| (0..n).map(move |t| f(turn(t)))).collect();
    g.constant("roots", Shape::new(1, 3, 1, n), table)
}

/// The radices of a transform of length n: 8 while it divides, then 4, 2, 3, 5, 7, then the odd primes that are left.
fn radices(mut n: usize) -> Vec<usize> {
    let mut radices = vec![];
    for p in [8, 4, 2].into_iter().chain((3..).step_by(2)) {
        while n.is_multiple_of(p) {
            radices.push(p);
            n /= p;
        }
        if n > 1 && p * p > n && !p.is_multiple_of(2) {
            radices.push(n);
            n = 1;
        }
        if n == 1 {
            break;
        }
    }
    radices
}

/// Multiply-adds of complex numbers that a transform takes for each value.
fn work(n: usize) -> usize {
    radices(n).iter().sum()
}

impl PeriodicSolve {
    /// Index of b among the inputs: u is before it, or nothing.
    fn b(inputs: usize) -> usize {
        inputs - 3
    }
}

impl Operator for PeriodicSolve {
    fn name(&self) -> &'static str {
        "periodic_solve"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        check!((3..=4).contains(&inputs.len()), "takes 3 or 4 inputs, got {}", inputs.len());
        let (u, [b, rows, columns]) = (inputs[0], arity(&inputs[Self::b(inputs.len())..])?);
        check!(u == b, "u is {u}, b is {b}");
        let table = |n| Shape::new(1, 3, 1, n);
        check!(rows == table(b.w) && columns == table(b.h), "b is {b}, the tables are {rows} and {columns}");
        Ok(vec![b])
    }

    fn macs(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        let Shape { n, c, h, w } = inputs[0];
        // Both ways, four multiplications of reals for one of complex numbers.
        (n * c.div_ceil(2) * h * w * (work(h) + work(w)) * 8) as u64
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let (b, dy) = (Self::b(node.inputs.len()), dy[0].expect("dy"));
        let [rows, columns] = [1, 2].map(|i| node.inputs[b + i]);
        let db = g.apply1(&node.name, self.clone(), &[dy, rows, columns]).expect("the shape of b");
        vec![Some(dy); b].into_iter().chain([Some(db), None, None]).collect()
    }

    fn workspace(&self, inputs: &[Shape], _: &[Shape]) -> Workspace {
        let Shape { h, w, .. } = inputs[0];
        // A complex plane; and for each thread lines side by side, twice, as passes go from one to the other.
        Workspace { per_thread: 4 * LANES * h.max(w), shared: 2 * h * w }
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>) {
        let Shape { c, h, w, .. } = x[0].shape;
        let (u, x) = x.split_at(Self::b(x.len()));
        let (b, rows, columns) = (x[0].data, Transform::of(x[1].data), Transform::of(x[2].data));
        let plane = h * w;
        let mut shared = cpu.shared.lock().expect("no thread panicked with the buffer");
        let (re, im) = shared[..2 * plane].split_at_mut(plane);
        let images = y[0].data.chunks_mut(c * plane).zip(b.chunks(c * plane));
        let pairs = images.flat_map(|(y, b)| y.chunks_mut(2 * plane).zip(b.chunks(2 * plane)));
        let mut done = 0;
        for (y, b) in pairs {
            let (real, imaginary) = b.split_at(plane);
            // Rows, LANES at a time; columns there and back, divided between; rows back.
            let block = LANES.min(h) * w;
            let parts = re.par_chunks_mut(block).zip(im.par_chunks_mut(block)).enumerate();
            parts.for_each(|(i, (re, im))| {
                cpu.with_scratch(4 * LANES * w, |scratch| {
                    vectorised!({
                        let mut lanes = Lanes::new(scratch, w);
                        lanes.load_rows(0, &real[i * block..][..re.len()]);
                        if !imaginary.is_empty() {
                            lanes.load_rows(1, &imaginary[i * block..][..re.len()]);
                        }
                        rows.run(&mut lanes, false);
                        lanes.store_rows(0, re, |_, v| v);
                        lanes.store_rows(1, im, |_, v| v);
                    });
                });
            });
            let shared_planes = Planes { re: re.as_mut_ptr(), im: im.as_mut_ptr() };
            (0..w.div_ceil(LANES)).into_par_iter().for_each(|block| {
                let (first, count) = (block * LANES, LANES.min(w - block * LANES));
                cpu.with_scratch(4 * LANES * h, |scratch| {
                    vectorised!({
                        let mut lanes = Lanes::new(scratch, h);
                        // SAFETY: each task has columns of its own, all of which lie in both planes.
                        unsafe { shared_planes.load(&mut lanes, (first, count), w) };
                        columns.run(&mut lanes, false);
                        let (a, scale) = (T::of(self.a), T::of(self.k / plane as f64));
                        for (i, down) in columns.squares.iter().enumerate() {
                            let (re, im) = lanes.at(i);
                            for j in 0..count {
                                let factor = scale / (T::one() + a * (*down + rows.squares[first + j]));
                                re[j] *= factor;
                                im[j] *= factor;
                            }
                            if !self.mean && (i, first) == (0, 0) {
                                (re[0], im[0]) = (T::zero(), T::zero());
                            }
                        }
                        columns.run(&mut lanes, true);
                        // SAFETY: as above.
                        unsafe { shared_planes.store(&mut lanes, (first, count), w) };
                    });
                });
            });
            let (first, second) = y.split_at_mut(plane);
            let mut blocks: Vec<[&mut [T]; 2]> = first.chunks_mut(block).map(|rows| [rows, &mut []]).collect();
            blocks.iter_mut().zip(second.chunks_mut(block)).for_each(|(to, rows)| to[1] = rows);
            blocks.into_par_iter().enumerate().for_each(|(i, y)| {
                cpu.with_scratch(4 * LANES * w, |scratch| {
                    vectorised!({
                        let mut lanes = Lanes::new(scratch, w);
                        let at = i * block..i * block + y[0].len();
                        lanes.load_rows(0, &re[at.clone()]);
                        lanes.load_rows(1, &im[at.clone()]);
                        rows.run(&mut lanes, true);
                        for (part, y) in y.into_iter().enumerate().filter(|(_, y)| !y.is_empty()) {
                            match u {
                                [u] => {
                                    let u = &u.data[done + part * plane + at.start..];
                                    lanes.store_rows(part, y, |i, change| u[i] + change);
                                }
                                _ => lanes.store_rows(part, y, |_, change| change),
                            }
                        }
                    });
                });
            });
            done += y.len();
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let Shape { n, c, h, w } = l.inputs[0];
        let (plane, b) = (h * w, Self::b(l.inputs.len()));
        let (rows, columns) = (Input(b + 1), Input(b + 2));
        let numbers = {
            let scale = self.k / plane as f64;
            let mean = if self.mean { scale } else { 0.0 };
            [("a", self.a), ("scale", scale), ("mean", mean)].map(|(name, v)| (name, Param::from(v as f32)))
        };
        // Two channels after the other, so that a complex plane lies there twice and not more.
        let mut z = [l.scratch(2 * plane), l.scratch(2 * plane)];
        for (image, channel) in (0..n).flat_map(|image| (0..c).step_by(2).map(move |channel| (image, channel))) {
            let (first, pair) = ((image * c + channel) * plane, usize::from(channel + 1 < c));
            let sizes = [("h", h), ("w", w), ("plane", plane), ("first", first), ("pair", pair), ("add", b)];
            let ways = [(w, false, false), (h, true, false), (h, true, true), (w, false, true)];
            for (way, (side, down, inverse)) in ways.into_iter().enumerate() {
                let count = Pass::all(side, down, inverse).count();
                for (i, pass) in Pass::all(side, down, inverse).enumerate() {
                    let is_last = i + 1 == count;
                    let constants = [
                        ("FROM_B", way == 0 && i == 0),
                        ("DIVIDES", way == 1 && is_last),
                        ("TO_Y", way == 3 && is_last),
                    ]
                    .map(|(name, is)| (name, f64::from(u8::from(is))));
                    // Without u its binding is b, which is not read.
                    let bindings = [
                        ("b", Input(b)),
                        ("u", Input(0)),
                        ("y", Output(0)),
                        ("roots", if down { columns } else { rows }),
                        ("roots_across", rows),
                        ("z_in", z[0]),
                        ("z", z[1]),
                    ];
                    let params = sizes.iter().chain(&pass.params).map(|(name, v)| (*name, Param::from(*v)));
                    let params: Vec<_> = params.chain(numbers).collect();
                    let (entry, values) = pass.kernel();
                    l.dispatch((&SHADER, entry), &constants, &bindings, &params, Grid::Linear(plane / values));
                    z.reverse();
                }
            }
        }
    }
}

/// A pass of a transform.
struct Pass {
    radix: usize,
    params: [(&'static str, usize); 8],
}

impl Pass {
    fn new(n: usize, s: usize, radix: usize, root: usize, down: bool, inverse: bool) -> Pass {
        let (down, inverse) = (usize::from(down), usize::from(inverse));
        let params = [
            ("m", n / radix),
            ("s", s),
            ("radix", radix),
            ("root", root),
            ("turn", root / n),
            ("share", root / radix),
            ("down", down),
            ("inverse", inverse),
        ];
        Pass { radix, params }
    }

    /// The kernel, and how many values its invocations make.
    fn kernel(&self) -> (&'static str, usize) {
        match self.radix {
            2 => ("radix2", 2),
            3 => ("radix3", 3),
            4 => ("radix4", 4),
            5 => ("radix5", 5),
            6 => ("radix6", 6),
            8 => ("radix8", 8),
            _ => ("transform", 1),
        }
    }

    /// Those of lines of length n, one at least.
    fn all(n: usize, down: bool, inverse: bool) -> impl Iterator<Item = Pass> {
        let mut radices = if n == 1 { vec![1] } else { radices(n) };
        // One pass of what would be two: they wait for memory.
        if let Some(i) = radices.windows(2).position(|two| two == [2, 3]) {
            radices.splice(i..i + 2, [6]);
        }
        radices.into_iter().scan(1, move |done, radix| {
            let s = std::mem::replace(done, *done * radix);
            Some(Pass::new(n / s, s, radix, n, down, inverse))
        })
    }
}

/// Lines that are transformed side by side, as lanes of vectors.
const LANES: usize = 16;

/// Transforms of one length.
#[cfg(feature = "cpu")]
struct Transform<'a, T> {
    cos: &'a [T],
    sin: &'a [T],
    /// 4 sin^2(pi t / n)
    squares: &'a [T],
    radices: Vec<usize>,
}

#[cfg(feature = "cpu")]
impl<'a, T: Real> Transform<'a, T> {
    fn of(table: &'a [T]) -> Transform<'a, T> {
        let n = table.len() / 3;
        Transform { cos: &table[..n], sin: &table[n..2 * n], squares: &table[2 * n..], radices: radices(n) }
    }

    /// Transforms lines, or back without the factor 1/n.
    #[inline(always)]
    fn run(&self, lanes: &mut Lanes<T>, inverse: bool) {
        let (mut n, mut s) = (self.cos.len(), 1);
        let sign = if inverse { T::one() } else { -T::one() };
        for &p in &self.radices {
            match p {
                8 => self.butterflies(lanes, (n, s), sign, |x| dft8(x, sign)),
                4 => self.butterflies(lanes, (n, s), sign, |x| dft4(x, sign)),
                2 => self.butterflies(lanes, (n, s), sign, dft2),
                3 => self.odd::<3>(lanes, (n, s), sign),
                5 => self.odd::<5>(lanes, (n, s), sign),
                7 => self.odd::<7>(lanes, (n, s), sign),
                _ => self.sums(lanes, (n, s), p, sign),
            }
            lanes.swap();
            (n, s) = (n / p, s * p);
        }
    }

    /// w^t of the lines' length.
    #[inline(always)]
    fn root(&self, t: usize, sign: T) -> Complex<T> {
        (self.cos[t], sign * self.sin[t])
    }

    /// A pass of a radix whose transform is `dft`.
    #[inline(always)]
    fn butterflies<const P: usize>(
        &self,
        lanes: &mut Lanes<T>,
        (n, s): (usize, usize),
        sign: T,
        dft: impl Fn([Complex<T>; P]) -> [Complex<T>; P],
    ) {
        let (m, length) = (n / P, self.cos.len());
        for j in 0..m {
            let turns: [Complex<T>; P] = std::array::from_fn(|k| self.root(j * k * (length / n), sign));
            for q in 0..s {
                // Copies of their own, so that the compiler sees that no lane meets another.
                let x: [_; P] = std::array::from_fn(|r| lanes.read(q + s * (j + m * r)));
                let mut y = [([T::zero(); LANES], [T::zero(); LANES]); P];
                for lane in 0..LANES {
                    let out = dft(std::array::from_fn(|r| (x[r].0[lane], x[r].1[lane])));
                    for k in 0..P {
                        (y[k].0[lane], y[k].1[lane]) = times(out[k], turns[k]);
                    }
                }
                (0..P).for_each(|k| lanes.write(q + s * (P * j + k), &y[k]));
            }
        }
    }

    /// A pass of a small odd radix: values as far from both ends are turned by opposite angles, so that their sums meet
    /// cosines alone, and their differences sines.
    #[inline(always)]
    fn odd<const P: usize>(&self, lanes: &mut Lanes<T>, (n, s): (usize, usize), sign: T) {
        let roots: [_; P] = std::array::from_fn(|t| self.root(t * (self.cos.len() / P), sign));
        self.butterflies(lanes, (n, s), sign, |x: [Complex<T>; P]| {
            let mut y = [x[0]; P];
            for r in 1..=P / 2 {
                y[0] = (y[0].0 + (x[r].0 + x[P - r].0), y[0].1 + (x[r].1 + x[P - r].1));
            }
            for k in 1..=P / 2 {
                let ((mut re, mut im), mut turned) = (x[0], (T::zero(), T::zero()));
                for r in 1..=P / 2 {
                    let (cos, sin) = roots[r * k % P];
                    (re, im) = (re + cos * (x[r].0 + x[P - r].0), im + cos * (x[r].1 + x[P - r].1));
                    turned = (turned.0 - sin * (x[r].1 - x[P - r].1), turned.1 + sin * (x[r].0 - x[P - r].0));
                }
                (y[k], y[P - k]) = ((re + turned.0, im + turned.1), (re - turned.0, im - turned.1));
            }
            y
        });
    }

    /// A pass of any radix.
    #[inline(always)]
    fn sums(&self, lanes: &mut Lanes<T>, (n, s): (usize, usize), p: usize, sign: T) {
        let (m, length) = (n / p, self.cos.len());
        for (j, k) in (0..m).flat_map(|j| (0..p).map(move |k| (j, k))) {
            let turn = self.root(j * k * (length / n), sign);
            for q in 0..s {
                let (mut re, mut im, mut t) = ([T::zero(); LANES], [T::zero(); LANES], 0);
                for r in 0..p {
                    // t = r k mod p
                    let w = self.root(t * (length / p), sign);
                    t = if t + k >= p { t + k - p } else { t + k };
                    let (xr, xi) = lanes.read(q + s * (j + m * r));
                    for lane in 0..LANES {
                        let (a, b) = times((xr[lane], xi[lane]), w);
                        re[lane] += a;
                        im[lane] += b;
                    }
                }
                for lane in 0..LANES {
                    (re[lane], im[lane]) = times((re[lane], im[lane]), turn);
                }
                lanes.write(q + s * (p * j + k), &(re, im));
            }
        }
    }
}

#[cfg(feature = "cpu")]
type Complex<T> = (T, T);

#[cfg(feature = "cpu")]
#[inline(always)]
fn times<T: Real>(a: Complex<T>, b: Complex<T>) -> Complex<T> {
    (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0)
}

#[cfg(feature = "cpu")]
#[inline(always)]
fn dft2<T: Real>([a, b]: [Complex<T>; 2]) -> [Complex<T>; 2] {
    [(a.0 + b.0, a.1 + b.1), (a.0 - b.0, a.1 - b.1)]
}

/// The transforms of the even and the odd values, of which the latter is turned by w^k.
#[cfg(feature = "cpu")]
#[inline(always)]
fn dft4<T: Real>([a, b, c, d]: [Complex<T>; 4], sign: T) -> [Complex<T>; 4] {
    let ([e0, e1], [o0, o1]) = (dft2([a, c]), dft2([b, d]));
    let ([y0, y2], [y1, y3]) = (dft2([e0, o0]), dft2([e1, (-sign * o1.1, sign * o1.0)]));
    [y0, y1, y2, y3]
}

#[cfg(feature = "cpu")]
#[inline(always)]
fn dft8<T: Real>([a, b, c, d, e, f, g, h]: [Complex<T>; 8], sign: T) -> [Complex<T>; 8] {
    let half = T::of(std::f64::consts::FRAC_1_SQRT_2);
    let ([e0, e1, e2, e3], [o0, o1, o2, o3]) = (dft4([a, c, e, g], sign), dft4([b, d, f, h], sign));
    let ([y0, y4], [y1, y5]) = (dft2([e0, o0]), dft2([e1, times(o1, (half, sign * half))]));
    let ([y2, y6], [y3, y7]) = (dft2([e2, (-sign * o2.1, sign * o2.0)]), dft2([e3, times(o3, (-half, sign * half))]));
    [y0, y1, y2, y3, y4, y5, y6, y7]
}

/// [`LANES`] lines side by side, and room for what a pass makes of them.
#[cfg(feature = "cpu")]
struct Lanes<'a, T> {
    now: [&'a mut [T]; 2],
    next: [&'a mut [T]; 2],
}

#[cfg(feature = "cpu")]
impl<'a, T: Real> Lanes<'a, T> {
    /// Lines of n elements, all 0.
    #[inline(always)]
    fn new(scratch: &'a mut [T], n: usize) -> Lanes<'a, T> {
        scratch.fill(T::zero());
        let (now, next) = scratch.split_at_mut(2 * n * LANES);
        let [now, next] = [now, next].map(|half| {
            let (re, im) = half.split_at_mut(n * LANES);
            [re, im]
        });
        Lanes { now, next }
    }

    #[inline(always)]
    fn read(&self, i: usize) -> ([T; LANES], [T; LANES]) {
        let [re, im] = self.now.each_ref().map(|x| x[i * LANES..][..LANES].try_into().expect("as many as lanes"));
        (re, im)
    }

    #[inline(always)]
    fn write(&mut self, i: usize, (re, im): &([T; LANES], [T; LANES])) {
        self.next[0][i * LANES..][..LANES].copy_from_slice(re);
        self.next[1][i * LANES..][..LANES].copy_from_slice(im);
    }

    /// Element i of all lines.
    #[inline(always)]
    fn at(&mut self, i: usize) -> (&mut [T], &mut [T]) {
        let [re, im] = &mut self.now;
        (&mut re[i * LANES..][..LANES], &mut im[i * LANES..][..LANES])
    }

    #[inline(always)]
    fn swap(&mut self) {
        std::mem::swap(&mut self.now, &mut self.next);
    }

    /// Takes rows, each a line, as the real (0) or the imaginary (1) part.
    #[inline(always)]
    fn load_rows(&mut self, part: usize, rows: &[T]) {
        let to = &mut self.now[part];
        let n = to.len() / LANES;
        for (lane, row) in rows.chunks_exact(n).enumerate() {
            to.iter_mut().skip(lane).step_by(LANES).zip(row).for_each(|(to, v)| *to = *v);
        }
    }

    /// Puts `f(its place, an element)` of a part into rows.
    #[inline(always)]
    fn store_rows(&self, part: usize, rows: &mut [T], f: impl Fn(usize, T) -> T) {
        let from = &*self.now[part];
        let n = from.len() / LANES;
        for (lane, row) in rows.chunks_exact_mut(n).enumerate() {
            let values = from.iter().skip(lane).step_by(LANES);
            row.iter_mut().zip(values).enumerate().for_each(|(i, (to, v))| *to = f(lane * n + i, *v));
        }
    }
}

/// A complex plane whose columns tasks share.
#[cfg(feature = "cpu")]
#[derive(Clone, Copy)]
struct Planes<T> {
    re: *mut T,
    im: *mut T,
}

// SAFETY: tasks touch columns of their own, by the promise of `load` and `store`.
#[cfg(feature = "cpu")]
unsafe impl<T: Send> Sync for Planes<T> {}

#[cfg(feature = "cpu")]
impl<T: Real> Planes<T> {
    /// Takes `count` columns from `first` on, of rows of w elements, each a line.
    ///
    /// # Safety
    /// The columns must lie in the plane, and no other thread may write them meanwhile.
    #[inline(always)]
    unsafe fn load(self, lanes: &mut Lanes<T>, (first, count): (usize, usize), w: usize) {
        for (plane, to) in [self.re, self.im].into_iter().zip(&mut lanes.now) {
            for (i, to) in to.chunks_exact_mut(LANES).enumerate() {
                // SAFETY: the caller's promise.
                let row = unsafe { std::slice::from_raw_parts(plane.add(i * w + first), count) };
                // Whole blocks by themselves, so that a copy is two instructions and not a call.
                match row.first_chunk::<LANES>() {
                    Some(row) => to.copy_from_slice(row),
                    None => to[..count].copy_from_slice(row),
                }
            }
        }
    }

    /// Puts them back.
    ///
    /// # Safety
    /// The columns must lie in the plane, and no other thread may touch them meanwhile.
    #[inline(always)]
    unsafe fn store(self, lanes: &mut Lanes<T>, (first, count): (usize, usize), w: usize) {
        for (plane, from) in [self.re, self.im].into_iter().zip(&lanes.now) {
            for (i, from) in from.chunks_exact(LANES).enumerate() {
                // SAFETY: the caller's promise.
                let row = unsafe { std::slice::from_raw_parts_mut(plane.add(i * w + first), count) };
                match row.first_chunk_mut::<LANES>() {
                    Some(row) => row.copy_from_slice(from),
                    None => row.copy_from_slice(&from[..count]),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::radices;

    #[test]
    fn radices_make_up_the_length() {
        for n in 1..2000 {
            assert_eq!(radices(n).iter().product::<usize>(), n);
        }
        assert_eq!(radices(384), [8, 8, 2, 3]);
        assert_eq!(radices(341), [11, 31]);
        assert_eq!(radices(509), [509]);
        assert!(radices(1).is_empty());
    }
}
