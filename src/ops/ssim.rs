//! Structural similarity (Wang et al. 2004) of y and a target t, of local statistics by the blur G of [`super::blur`]: with
//! a = G y, b = G t, `s = G(y y) - a a`, `r = G(y t) - a b`, `v = G(t t) - b b`:
//!
//! `q = A1 A2 / (B1 B2)`, `A1 = 2 a b + C1`, `A2 = 2 r + C2`, `B1 = a a + b b + C1`, `B2 = s + v + C2`
//!
//! Three parts: products of the pictures ([`Products`], [`Squares`]), their blur, and the loss `weight (1 - mean q)` of these.
//!
//! Gradients, of q: `q_s = -q / B2`; `q_r = 2 A1 / (B1 B2)`; `q_a = 2 b A2 / (B1 B2) - 2 a q / B1 - 2 a q_s - b q_r`, as s and r have a in
//! them; of the products: `dy = d1 + 2 y d2 + t d3`. The target needs none.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::sums::{self, SUMS};
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{Grid, Lowering, Operand::*, Param, Shader};
use crate::tensor::Shape;

/// Keeps the quotient of means from 0 / 0, for values in [0, 1].
#[cfg(feature = "cpu")]
const C1: f64 = 1e-4;
/// The same of deviations.
#[cfg(feature = "cpu")]
const C2: f64 = 9e-4;

/// (y (N, C, H, W), t) -> (N, 3C, H, W): y, y y, y t. No gradient to t.
#[derive(Clone, Debug, PartialEq)]
pub struct Products;

/// (y, t, d (N, 3C, H, W)) -> dy.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductsBackward;

/// t (N, C, H, W) -> (N, 2C, H, W): t, t t. No gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct Squares;

/// (blurred products (N, 3C, H, W), blurred squares (N, 2C, H, W)) -> weight (1 - mean q), a scalar.
#[derive(Clone, Debug, PartialEq)]
pub struct SsimLoss {
    /// Factor of the loss.
    pub weight: f64,
}

/// The same -> gradient of the blurred products. The loss is where the backward pass starts: its own gradient is 1.
#[derive(Clone, Debug, PartialEq)]
pub struct SsimLossBackward {
    /// Factor of the loss.
    pub weight: f64,
}

/// Its kernels.
pub static SHADER: Shader = Shader { prelude: SUMS, ..Shader::new("ssim", include_str!("../../shaders/ssim.wgsl")) };

/// Of the elements of one image of a picture `y`.
fn params(y: Shape, weight: f64, parts: usize) -> [(&'static str, Param); 4] {
    let image = y.c * y.plane();
    [("image", image.into()), ("len", y.len().into()), ("weight", (weight as f32).into()), ("parts", parts.into())]
}

/// The shape of the picture whose products these are.
fn picture(products: Shape) -> Shape {
    products.with_c(products.c / 3)
}

/// q of an element and its derivatives by G y, G(y y), G(y t).
#[cfg(feature = "cpu")]
fn similarity<T: Real>([a, yy, yt]: [T; 3], [b, tt]: [T; 2]) -> (T, [T; 3]) {
    let (two, c1, c2) = (T::of(2.0), T::of(C1), T::of(C2));
    let (a1, a2) = (two * a * b + c1, two * (yt - a * b) + c2);
    let (b1, b2) = (a * a + b * b + c1, (yy - a * a) + (tt - b * b) + c2);
    let q = a1 * a2 / (b1 * b2);
    let (qs, qr) = (-q / b2, two * a1 / (b1 * b2));
    (q, [two * b * a2 / (b1 * b2) - two * a * q / b1 - two * a * qs - b * qr, qs, qr])
}

/// What an element of a picture has in the maps of `n` times its channels.
#[cfg(feature = "cpu")]
fn of_element<T: Real, const N: usize>(maps: &In<T>, image: usize, i: usize) -> [T; N] {
    std::array::from_fn(|k| maps.data[(i / image * N + k) * image + i % image])
}

impl Operator for Products {
    fn name(&self) -> &'static str {
        "ssim.products"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [y, t] = arity(inputs)?;
        check!(y == t, "y is {y}, the target {t}");
        Ok(vec![y.with_c(3 * y.c)])
    }

    fn backward(&self, g: &mut Graph, node: &Node, d: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let inputs = [node.inputs[0], node.inputs[1], d[0].expect("d")];
        vec![Some(g.apply1(&node.name, ProductsBackward, &inputs).expect("shapes of the forward pass")), None]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let (image, [y, t]) = (x[0].shape.c * x[0].shape.plane(), [x[0].data, x[1].data]);
        out[0].data.par_chunks_mut(image).enumerate().for_each(|(k, out)| {
            let at = k / 3 * image;
            for (i, v) in out.iter_mut().enumerate() {
                *v = y[at + i] * [T::one(), y[at + i], t[at + i]][k % 3];
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let y = l.inputs[0];
        let bindings = [("y", Input(0)), ("goal", Input(1)), ("products", Output(0))];
        l.dispatch((&SHADER, "multiply"), &[], &bindings, &params(y, 0.0, 0), Grid::Linear(y.len()));
    }
}

impl Operator for ProductsBackward {
    fn name(&self) -> &'static str {
        "ssim.products.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [y, t, d] = arity(inputs)?;
        check!(Products.infer(&[y, t])? == [d], "y is {y}, d is {d}");
        Ok(vec![y])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], dy: &mut [Out<T>], _: &Cpu<T>) {
        let ([y, t, d], image) = (x, x[0].shape.c * x[0].shape.plane()) else { unreachable!("three inputs") };
        dy[0].data.par_chunks_mut(CHUNK).enumerate().for_each(|(k, dy)| {
            for (i, dy) in (k * CHUNK..).zip(dy) {
                let [d1, d2, d3] = of_element(d, image, i);
                *dy = d1 + T::of(2.0) * y.data[i] * d2 + t.data[i] * d3;
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let y = l.inputs[0];
        let bindings = [("y", Input(0)), ("goal", Input(1)), ("d", Input(2)), ("dy", Output(0))];
        l.dispatch((&SHADER, "backward_products"), &[], &bindings, &params(y, 0.0, 0), Grid::Linear(y.len()));
    }
}

impl Operator for Squares {
    fn name(&self) -> &'static str {
        "ssim.squares"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [t] = arity(inputs)?;
        Ok(vec![t.with_c(2 * t.c)])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, t: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let image = t[0].shape.c * t[0].shape.plane();
        out[0].data.par_chunks_mut(image).enumerate().for_each(|(k, out)| {
            for (v, t) in out.iter_mut().zip(&t[0].data[k / 2 * image..]) {
                *v = if k % 2 == 0 { *t } else { *t * *t };
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let t = l.inputs[0];
        let bindings = [("goal", Input(0)), ("squares", Output(0))];
        l.dispatch((&SHADER, "square"), &[], &bindings, &params(t, 0.0, 0), Grid::Linear(t.len()));
    }
}

fn check_blurred(inputs: &[Shape]) -> Result<[Shape; 2], String> {
    let [products, squares] = arity(inputs)?;
    let y = picture(products);
    check!(y.with_c(3 * y.c) == products && y.with_c(2 * y.c) == squares, "products {products}, squares {squares}");
    Ok([products, squares])
}

impl Operator for SsimLoss {
    fn name(&self) -> &'static str {
        "ssim"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        check_blurred(inputs)?;
        Ok(vec![Shape::SCALAR])
    }

    fn backward(&self, g: &mut Graph, node: &Node, _: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let op = SsimLossBackward { weight: self.weight };
        vec![Some(g.apply1(&node.name, op, &node.inputs.clone()).expect("shapes of the forward pass")), None]
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], loss: &mut [Out<T>], _: &Cpu<T>) {
        let ([products, squares], y) = (x, picture(x[0].shape)) else { unreachable!("two inputs") };
        let (len, image) = (y.len(), y.c * y.plane());
        let q = |i: usize| similarity(of_element(products, image, i), of_element(squares, image, i)).0;
        let chunk = |k: usize| sum_by(CHUNK.min(len - k * CHUNK), |i| T::one() - q(k * CHUNK + i));
        let parts: Vec<T> = (0..len.div_ceil(CHUNK)).into_par_iter().map(chunk).collect();
        loss[0].data[0] = T::of(self.weight) * sum(&parts) / T::of(len as f64);
    }

    fn gpu(&self, l: &mut Lowering) {
        let y = picture(l.inputs[0]);
        let parts = sums::parts(y.len(), 4);
        let reads = [("products_in", Input(0)), ("squares_in", Input(1))];
        let params = params(y, self.weight, parts);
        sums::lower(l, (&SHADER, ["partial", "total"]), parts, &reads, ("loss", 0), &params);
    }
}

impl Operator for SsimLossBackward {
    fn name(&self) -> &'static str {
        "ssim.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [products, _] = check_blurred(inputs)?;
        Ok(vec![products])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], d: &mut [Out<T>], _: &Cpu<T>) {
        let ([products, squares], y) = (x, picture(x[0].shape)) else { unreachable!("two inputs") };
        let image = y.c * y.plane();
        let factor = T::of(-self.weight / y.len() as f64);
        d[0].data.par_chunks_mut(3 * image).enumerate().for_each(|(n, d)| {
            for i in 0..image {
                let at = n * image + i;
                let (_, slopes) = similarity(of_element(products, image, at), of_element(squares, image, at));
                (0..3).for_each(|k| d[k * image + i] = factor * slopes[k]);
            }
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let y = picture(l.inputs[0]);
        let bindings = [("products_in", Input(0)), ("squares_in", Input(1)), ("products", Output(0))];
        l.dispatch((&SHADER, "backward"), &[], &bindings, &params(y, self.weight, 0), Grid::Linear(y.len()));
    }
}
