//! Conjugate gradients for A u = f with A = 1 + the Laplacian of a graph of pixels: weights w >= 0 of the pairs of
//! neighbours ([`PAIRS`]), (A u)_i = u_i + sum_j w_ij (u_i - u_j). Preconditioned by the diagonal, 1 + sum_j w_ij.
//!
//! [`PcgStart`] takes the residual r = f - A u, [`PcgIterate`] makes [`ITERATIONS`] of
//!   q = A p, alpha = r.z / p.q, u += alpha p, r -= alpha q, z = r / diagonal, beta = new r.z / old, p = z + beta p
//! and runs again until every channel has |r| <= tolerance |f|, in 2-norms of the residual that is carried along. The three
//! channels share A, each with its own alpha and beta. One that is done has alpha 0: that others go on does it no harm.
//! GPUs have beta before r is there, so that p is made where r is: new r.z = alpha^2 (q.q / diagonal) - r.z, since p.q is
//! z.q (Saad 1985); r.z itself is summed up anew, so that rounding does not add up (Meurant 1987).
//! Multigrid is not needed, and f32 takes as many iterations as f64 down to a tolerance of 1e-6.
//! For filters only: they have no gradient.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::pair_weights::PAIRS;
#[cfg(feature = "cpu")]
use super::pair_weights::inside;
use super::sums::shares;
use super::{Graph, Operator, Workspace, arity, check};
use crate::error::Result as GraphResult;
use crate::graph::Value;
use crate::kernel::{Grid, Kernels, Lowering, Operand::*, Param, Shader};
use crate::tensor::Shape;

/// Its kernels.
pub static SHADER: Shader = Shader {
    unchecked: Some(
        "fours are taken up to their number, and of those around one that are outside itself is read; pixels of `f` and \
         `u` are read up to column `w`; workgroups are `parts`, of which the sums have room for three times as many; \
         loops count up to a parameter or a constant",
    ),
    ..Shader::new("pcg", include_str!("../../shaders/pcg.wgsl"))
};

/// Iterations from one look at the residual to the next.
pub const ITERATIONS: usize = 32;
/// Iterations at most: what is asked of f32 takes some hundreds.
const MOST: usize = 5120;

/// (weights (1, 2 or 4, H, W), 0 for pairs of which a pixel is outside, f (1, 3, H, W)) -> weights (1, 2 or 4, H, W'),
/// 1 / diagonal (1, 1, H, W'). Updates u (1, 3, H, W), r and p (1, 3, H, W'), the `State` and what is running. W' is the
/// next multiple of 4.
#[derive(Clone, Debug, PartialEq)]
pub struct PcgStart {
    /// Begin with u = f instead of the u that is there.
    pub from_f: bool,
    /// Least residual, in parts of |f|.
    pub tolerance: f64,
}

/// (weights, 1 / diagonal). Updates what [`PcgStart`] does.
#[derive(Clone, Debug, PartialEq)]
pub struct PcgIterate;

/// What a solution goes on from; u is its result.
#[derive(Clone, Copy, Debug)]
pub struct Solution {
    /// The solution.
    pub u: Value,
    /// u, r, p, the numbers, what is running.
    state: [Value; 5],
}

/// Of each channel: r.z, |r|^2, the least |r|^2.
const NUMBERS: usize = 3;
/// Sums of a workgroup's share, of three channels: products, residuals, and those of the iteration before.
const SUMS: usize = 3 * 3 * NUMBERS;

impl Solution {
    /// Room for solutions of this shape.
    pub fn new(g: &mut Graph, shape: Shape) -> Solution {
        let u = g.persistent("u", shape);
        let [r, p] = ["r", "p"].map(|name| g.persistent(name, by_fours(shape)));
        let numbers = g.persistent("numbers", Shape::new(1, 1, 1, NUMBERS * shape.c));
        let running = g.persistent("running", Shape::new(1, 1, 1, shape.c));
        Solution { u, state: [u, r, p, numbers, running] }
    }

    /// Appends the solution of A u = f, from u = f or from the u that is there.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] for other shapes.
    pub fn solve(&self, g: &mut Graph, weights: Value, f: Value, start: PcgStart) -> GraphResult<()> {
        let system = g.apply_in_place("solve", start, &[weights, f], &self.state)?;
        g.apply_in_place("solve", PcgIterate, &system, &self.state)?;
        Ok(())
    }
}

/// Room for maps that GPUs store by fours of pixels side by side: rows of whole fours. The CPU lays them out without
/// gaps.
fn by_fours(shape: Shape) -> Shape {
    Shape { w: shape.w.next_multiple_of(4), ..shape }
}

/// Fours of a map.
fn fours(shape: Shape) -> usize {
    by_fours(shape).plane() / 4
}

fn params(
    kernels: Kernels,
    shape: Shape,
    pairs: usize,
    start: &PcgStart,
    [from, to]: [usize; 2],
) -> Vec<(&'static str, Param)> {
    let Shape { h, w, .. } = shape;
    let (parts, lanes) = shares(kernels, fours(shape));
    let sizes = [
        ("h", h),
        ("w", w),
        ("fours", w.div_ceil(4)),
        ("pairs", pairs),
        ("parts", parts),
        ("lanes", lanes),
        ("from_f", usize::from(start.from_f)),
        ("from_part", from),
        ("to_part", to),
    ];
    let limit = (start.tolerance * start.tolerance) as f32;
    sizes.iter().map(|(name, v)| (*name, Param::from(*v))).chain([("limit", limit.into())]).collect()
}

fn check_weights(weights: Shape, x: Shape) -> Result<(), String> {
    check!(weights.n == 1 && [2, PAIRS.len()].contains(&weights.c), "weights are {weights}; give 1x2 or 1x4 of them");
    check!((x.h, x.w) == (weights.h, weights.w), "weights are {weights} for {x}");
    Ok(())
}

/// Row `row` of A x, of one channel.
#[cfg(feature = "cpu")]
#[inline(always)]
fn product_row<T: Real>(weights: In<T>, x: &[T], row: usize, y: &mut [T]) {
    let Shape { c, h, w, .. } = weights.shape;
    y.copy_from_slice(&x[row * w..][..w]);
    for (pair, (down, right)) in PAIRS.into_iter().take(c).enumerate() {
        let weight = &weights.data[pair * h * w..][..h * w];
        let range = inside(w, right);
        if range.is_empty() {
            continue;
        }
        let (first, len) = (range.start, range.len());
        let second = first.wrapping_add_signed(right);
        // As the first pixel of pairs, and as the second.
        if row + down < h {
            let (here, there) = (&x[row * w + first..][..len], &x[(row + down) * w + second..][..len]);
            let (weight, y) = (&weight[row * w + first..][..len], &mut y[first..][..len]);
            for i in 0..len {
                y[i] += weight[i] * (here[i] - there[i]);
            }
        }
        if let Some(above) = row.checked_sub(down) {
            let (here, there) = (&x[row * w + second..][..len], &x[above * w + first..][..len]);
            let (weight, y) = (&weight[above * w + first..][..len], &mut y[second..][..len]);
            for i in 0..len {
                y[i] += weight[i] * (here[i] - there[i]);
            }
        }
    }
}

/// Calls `work` with the number of a channel, of a row and the row's part of `x`, on all cores; sums up what it returns
/// for each channel, in a fixed order.
#[cfg(feature = "cpu")]
fn sums<T: Real, const N: usize, X: Send>(
    rows: Vec<X>,
    channels: usize,
    work: impl Fn(usize, usize, X) -> [T; N] + Sync,
) -> Vec<[T; N]> {
    let h = rows.len() / channels;
    let all: Vec<[T; N]> =
        rows.into_par_iter().enumerate().map(|(i, row)| vectorised!(work(i / h, i % h, row))).collect();
    all.chunks_exact(h).map(|all| std::array::from_fn(|n| sum_by(h, |i| all[i][n]))).collect()
}

impl Operator for PcgStart {
    fn name(&self) -> &'static str {
        "pcg.start"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [weights, f] = arity(inputs)?;
        check_weights(weights, f)?;
        check!((f.n, f.c) == (1, 3), "f is {f}, not 1x3 channels");
        Ok(vec![by_fours(weights), by_fours(f.with_c(1))])
    }

    fn macs(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        inputs[0].plane() as u64 * (6 * inputs[0].c as u64 + 12)
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], _: &Cpu<T>) {
        let (weights, f) = (x[0], x[1]);
        let Shape { c, h, w, .. } = f.shape;
        let [system, inverse, u, r, p, numbers, running] = y else { unreachable!("two outputs, five values updated") };
        let [inverse, r, p] = [(inverse, 1), (r, c), (p, c)].map(|(map, c)| &mut map.data[..c * h * w]);
        system.data[..weights.data.len()].copy_from_slice(weights.data);
        if self.from_f {
            u.data.copy_from_slice(f.data);
        }
        // The diagonal is that of A times 1, without its Laplacian's other half.
        inverse.par_chunks_mut(w).enumerate().for_each(|(row, inverse)| {
            inverse.fill(T::one());
            for (pair, (down, right)) in PAIRS.into_iter().take(weights.shape.c).enumerate() {
                let weight = &weights.data[pair * h * w..][..h * w];
                let own = &weight[row * w..][..w];
                inverse.iter_mut().zip(own).for_each(|(sum, weight)| *sum += *weight);
                if let Some(above) = row.checked_sub(down) {
                    let range = inside(w, right);
                    let second = range.start.wrapping_add_signed(right);
                    let from = &weight[above * w..][range.clone()];
                    inverse[second..].iter_mut().zip(from).for_each(|(sum, weight)| *sum += *weight);
                }
            }
            inverse.iter_mut().for_each(|v| *v = v.recip());
        });
        let (u, inverse) = (&*u.data, &*inverse);
        let rows = r.chunks_exact_mut(w).zip(p.chunks_exact_mut(w)).collect();
        let all = sums(
            rows,
            c,
            #[inline(always)]
            |channel, row, (r, p): (&mut [T], &mut [T])| {
                let at = channel * h * w;
                product_row(weights, &u[at..][..h * w], row, r);
                let (f, inverse) = (&f.data[at + row * w..][..w], &inverse[row * w..][..w]);
                for i in 0..w {
                    r[i] = f[i] - r[i];
                    p[i] = inverse[i] * r[i];
                }
                [dot(r, p), dot(r, r), dot(f, f)]
            },
        );
        for (channel, [rz, rr, ff]) in all.into_iter().enumerate() {
            let limit = T::of(self.tolerance * self.tolerance) * ff;
            numbers.data[channel * NUMBERS..][..NUMBERS].copy_from_slice(&[rz, rr, limit]);
            running.data[channel] = if rr <= limit { T::zero() } else { T::one() };
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let (weights, f) = (l.inputs[0], l.inputs[1]);
        let (params, parts) = (params(l.kernels, f, weights.c, self, [0, 0]), shares(l.kernels, fours(f)).0);
        let (x, sums) = (l.scratch(by_fours(f).len()), l.scratch(SUMS * parts));
        let (u, r, p, numbers, running) = (Output(2), Output(3), Output(4), Output(5), Output(6));
        let groups = |n: usize| Grid::Workgroups(glam::UVec3::new(n as u32, 1, 1));
        let bindings = [("pairs", Input(0)), ("f", Input(1)), ("u", u), ("packed", Output(0)), ("r", r), ("q", x)];
        l.dispatch((&SHADER, "pack"), &[], &bindings, &params, Grid::Linear(fours(f)));
        let bindings = [("weights", Output(0)), ("x", x), ("r", r), ("d", p), ("inverse", Output(1)), ("sums", sums)];
        l.dispatch((&SHADER, "start"), &[], &bindings, &params, groups(parts));
        let bindings = [("sums", sums), ("numbers", numbers), ("running", running)];
        l.dispatch((&SHADER, "settle"), &[], &bindings, &params, groups(1));
    }
}

impl Operator for PcgIterate {
    fn name(&self) -> &'static str {
        "pcg.iterate"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [weights, inverse] = arity(inputs)?;
        let want = weights.with_c(1);
        check_weights(weights, by_fours(weights))?;
        check!(inverse == want, "1 / diagonal is {inverse}, it must be {want}");
        Ok(vec![])
    }

    fn macs(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        (ITERATIONS * inputs[0].plane() * (6 * inputs[0].c + 18)) as u64
    }

    fn repeats(&self) -> Option<usize> {
        Some(MOST / ITERATIONS)
    }

    fn workspace(&self, inputs: &[Shape], _: &[Shape]) -> Workspace {
        Workspace { per_thread: 0, shared: 3 * inputs[0].plane() }
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], y: &mut [Out<T>], cpu: &Cpu<T>) {
        let (weights, inverse) = (x[0], x[1].data);
        let [u, r, p, numbers, running] = y else { unreachable!("five values updated") };
        let Shape { c, h, w, .. } = u.shape;
        let (plane, pairs) = (h * w, weights.shape.c);
        let weights = In { shape: u.shape.with_c(pairs), data: &weights.data[..pairs * plane] };
        let [r, p] = [r, p].map(|map| &mut map.data[..c * plane]);
        let mut shared = cpu.shared.lock().expect("no thread panicked with the buffer");
        let q = &mut shared[..c * plane];
        for _ in 0..ITERATIONS {
            if running.data.iter().all(|v| v.is_zero()) {
                return;
            }
            let p_in = &*p;
            let pq = sums(
                q.chunks_exact_mut(w).collect(),
                c,
                #[inline(always)]
                |channel, row, q: &mut [T]| {
                    let p = &p_in[channel * plane..][..plane];
                    product_row(weights, p, row, q);
                    [dot(&p[row * w..][..w], q)]
                },
            );
            let alpha: Vec<T> = (0..c)
                .map(|i| if running.data[i].is_zero() { T::zero() } else { numbers.data[i * NUMBERS] / pq[i][0] })
                .collect();
            let rows = u.data.chunks_exact_mut(w).zip(r.chunks_exact_mut(w)).collect();
            let q = &*q;
            let all = sums(
                rows,
                c,
                #[inline(always)]
                |channel, row, (u, r): (&mut [T], &mut [T])| {
                    let (at, alpha) = (channel * plane + row * w, alpha[channel]);
                    let (p, q, inverse) = (&p_in[at..][..w], &q[at..][..w], &inverse[row * w..][..w]);
                    for i in 0..w {
                        u[i] += alpha * p[i];
                        r[i] -= alpha * q[i];
                    }
                    [sum_products(r, r, inverse), dot(r, r)]
                },
            );
            let mut beta = vec![T::zero(); c];
            for (i, [rz, rr]) in all.into_iter().enumerate() {
                let numbers = &mut numbers.data[i * NUMBERS..][..NUMBERS];
                if !running.data[i].is_zero() {
                    beta[i] = rz / numbers[0];
                }
                (numbers[0], numbers[1]) = (rz, rr);
                if rr <= numbers[2] {
                    running.data[i] = T::zero();
                }
            }
            let (beta, r) = (&beta, &*r);
            p.par_chunks_mut(plane).enumerate().for_each(|(channel, p)| {
                p.par_chunks_mut(CHUNK).enumerate().for_each(|(i, p)| {
                    let (at, beta) = (i * CHUNK, beta[channel]);
                    let rz = r[channel * plane + at..].iter().zip(&inverse[at..]);
                    vectorised!(p.iter_mut().zip(rz).for_each(|(p, (r, inverse))| *p = *inverse * *r + beta * *p));
                });
            });
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let (weights, u_shape) = (l.inputs[0], l.outputs[0]);
        let (maps, parts) = (by_fours(u_shape), shares(l.kernels, fours(u_shape)).0);
        let (q, sums, unused) = (l.scratch(maps.len()), l.scratch(SUMS * parts), l.scratch(4));
        let [r, p, numbers, running] = [Output(1), Output(2), Output(3), Output(4)];
        let whole = u_shape.w.is_multiple_of(4);
        let (u, u4) = if whole { (unused, Output(0)) } else { (Output(0), unused) };
        let mut dispatch = |(entry, from, to): (&'static str, usize, usize), bindings: &[_], workgroups: usize| {
            let start = PcgStart { from_f: false, tolerance: 0.0 }; // which is over
            let params = params(l.kernels, u_shape, weights.c, &start, [from * parts, to * parts]);
            let constants: &[_] = if entry == "update" { &[("WHOLE", f64::from(u8::from(whole)))] } else { &[] };
            l.dispatch(
                (&SHADER, entry),
                constants,
                bindings,
                &params,
                Grid::Workgroups(glam::UVec3::new(workgroups as u32, 1, 1)),
            );
        };
        // Products, residuals, next residuals.
        let mut parts_of = [1, 2];
        dispatch(("resume", 0, 1), &[("numbers_in", numbers), ("sums", sums)], 1);
        for _ in 0..ITERATIONS {
            let [now, next] = parts_of;
            dispatch(("multiply", now, 0), &[("weights", Input(0)), ("x", p), ("q", q), ("sums", sums)], parts);
            let bindings =
                [("q_in", q), ("inverse_in", Input(1)), ("r", r), ("d", p), ("u", u), ("u4", u4), ("sums", sums)];
            dispatch(("update", now, next), &bindings, parts);
            parts_of.reverse();
        }
        dispatch(("settle", parts_of[0], 0), &[("sums", sums), ("numbers", numbers), ("running", running)], 1);
    }
}

/// Sum of a b c.
#[cfg(feature = "cpu")]
#[inline(always)]
fn sum_products<T: Real>(a: &[T], b: &[T], c: &[T]) -> T {
    let len = a.len();
    let (b, c) = (&b[..len], &c[..len]);
    sum_by(len, |i| a[i] * b[i] * c[i])
}
