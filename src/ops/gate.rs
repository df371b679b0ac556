//! The gates of CBAM's two attentions applied: y = r cgate sgate.
//!
//! Gradients, a product's: dr = dy cgate sgate; dcgate = the sum over a channel's pixels of dy r sgate; dsgate = the
//! sum over a pixel's channels of dy r cgate.

#[cfg(feature = "cpu")]
use super::cpu::*;
use super::{Graph, Node, Operator, arity, check};
use crate::graph::Value;
use crate::kernel::{
    Grid, Lowering,
    Operand::{self, *},
    Param, Shader,
};
use crate::tensor::Shape;

/// (r (N, F, h, w), cgate (N, F), sgate (N, 1, h, w)) -> y, as r.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate;

/// (r, cgate, sgate, dy) -> dr, dcgate, dsgate.
#[derive(Clone, Debug, PartialEq)]
pub struct GateBackward;

/// Its kernels.
pub static SHADER: Shader = Shader::new("gate", include_str!("../../shaders/gate.wgsl"));

fn params(r: Shape) -> [(&'static str, Param); 3] {
    [("n", r.n), ("f", r.c), ("plane", r.plane())].map(|(name, v)| (name, v.into()))
}

/// Checks that the gates fit r.
pub(super) fn check_gates([r, cgate, sgate]: [Shape; 3]) -> Result<(), String> {
    check!(cgate == Shape::new(r.n, r.c, 1, 1), "the channel gates are {cgate}, r is {r}");
    check!(sgate == r.with_c(1), "the spatial gates are {sgate}, r is {r}");
    Ok(())
}

impl Operator for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let inputs = arity(inputs)?;
        check_gates(inputs)?;
        Ok(vec![inputs[0]])
    }

    fn accepts_f16(&self, _: usize, operand: Operand) -> bool {
        operand == Input(0) || operand == Output(0)
    }

    fn same_precision(&self) -> bool {
        true
    }

    fn backward(&self, g: &mut Graph, node: &Node, dy: &[Option<Value>], _: &[bool]) -> Vec<Option<Value>> {
        let inputs = [&node.inputs[..], &[dy[0].expect("dy")]].concat();
        let d = g.apply(&node.name, GateBackward, &inputs).expect("shapes of the forward pass");
        d.into_iter().map(Some).collect()
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let [r, cgate, sgate] = x else { unreachable!("three inputs") };
        let (f, plane) = (r.shape.c, r.shape.plane());
        let planes = out[0].data.par_chunks_exact_mut(plane).zip(r.data.par_chunks_exact(plane));
        planes.enumerate().for_each(|(i, (y, r))| {
            let gate = cgate.data[i];
            vectorised!({
                for ((y, r), s) in y.iter_mut().zip(r).zip(sgate.image(i / f)) {
                    *y = *r * gate * *s;
                }
            });
        });
    }

    fn gpu(&self, l: &mut Lowering) {
        let r = l.inputs[0];
        let bindings = [("r", Input(0)), ("cgate", Input(1)), ("sgate", Input(2)), ("y", Output(0))];
        l.dispatch((&SHADER, "gate"), &[], &bindings, &params(r), Grid::Linear(r.len()));
    }
}

impl Operator for GateBackward {
    fn name(&self) -> &'static str {
        "gate.backward"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [r, cgate, sgate, dy] = arity(inputs)?;
        check_gates([r, cgate, sgate])?;
        check!(dy == r, "r is {r}, dy is {dy}");
        Ok(vec![r, cgate, sgate])
    }

    #[cfg(feature = "cpu")]
    fn cpu<T: Real>(&self, x: &[In<T>], out: &mut [Out<T>], _: &Cpu<T>) {
        let [r, cgate, sgate, dy] = x else { unreachable!("four inputs") };
        let [dr, dcgate, dsgate] = out else { unreachable!("three outputs") };
        let (f, plane) = (r.shape.c, r.shape.plane());
        let sums = by_pixels(dr, PIXELS, |n, first, dr| {
            let sgate = &sgate.image(n)[first..][..dr[0].len()];
            let mut dsgate = vec![T::zero(); sgate.len()];
            let channels = dr.iter_mut().zip(cgate.image(n)).enumerate();
            let dcgate = channels.map(|(c, (dr, gate))| {
                let [r, dy] = [r, dy].map(|map| map.pixels(n, c, first, sgate.len()));
                vectorised!({
                    let gate = *gate;
                    for ((((dr, dsgate), r), dy), s) in dr.iter_mut().zip(&mut dsgate).zip(r).zip(dy).zip(sgate) {
                        *dr = *dy * *s;
                        *dsgate += *r * *dy * gate;
                    }
                    let dcgate = dot(dr, r);
                    dr.iter_mut().for_each(|d| *d *= gate);
                    dcgate
                })
            });
            (dcgate.collect::<Vec<T>>(), dsgate)
        });
        for (n, sums) in sums.chunks_exact(plane.div_ceil(PIXELS)).enumerate() {
            for (c, dcgate) in dcgate.data[n * f..][..f].iter_mut().enumerate() {
                *dcgate = sums.iter().map(|(dcgate, _)| dcgate[c]).sum();
            }
            for (dsgate, (_, part)) in dsgate.data[n * plane..][..plane].chunks_mut(PIXELS).zip(sums) {
                dsgate.copy_from_slice(part);
            }
        }
    }

    fn gpu(&self, l: &mut Lowering) {
        let r = l.inputs[0];
        let inputs = [("r", Input(0)), ("sgate", Input(2)), ("dy", Input(3))];
        let pixels = [("cgate", Input(1)), ("dr", Output(0)), ("dsgate", Output(2))];
        let mut run = |entry, bindings: &[_], grid| {
            l.dispatch((&SHADER, entry), &[], &[&inputs[..], bindings].concat(), &params(r), grid);
        };
        run(
            "backward_channels",
            &[("dcgate", Output(1))],
            Grid::Workgroups(glam::UVec3::new(r.c as u32, r.n as u32, 1)),
        );
        run("backward_pixels", &pixels, Grid::Linear(r.n * r.plane()));
    }
}
