//! The CPU's convolutions in f32 at sizes where they are cut into cells, chunks and blocks: against f64, and bit for
//! bit against themselves with other numbers of threads and on parts of the picture.

use sasnet::low_level::exec::CpuExecutor;
use sasnet::low_level::graph::{Layout, Value};
use sasnet::low_level::kernel::RunParams;
use sasnet::low_level::ops::{Graph, Real, conv3x3::Conv3x3};
use sasnet::low_level::tensor::{Shape, worst};

/// Numbers in [-1, 1).
fn random(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) ^ 0x1234_5678;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Batch, rows, columns.
type Size = (usize, usize, usize);

/// A convolution of one or two maps, with its gradients.
struct Conv {
    graph: Graph,
    /// The maps, the weight, the bias, dy.
    inputs: Vec<Value>,
    /// y, and the gradients of the maps, the weight and the bias.
    outputs: Vec<Value>,
}

fn conv(maps: &[usize], c_out: usize, (n, h, w): Size, slope: Option<f64>) -> Conv {
    let mut g = Graph::new(Layout::default());
    let c_in = maps.iter().sum();
    let weights = [Shape::new(c_out, c_in, 3, 3), Shape::new(1, c_out, 1, 1)];
    let shapes = maps.iter().map(|&c| Shape::new(n, c, h, w)).chain(weights);
    let mut inputs: Vec<Value> = shapes.map(|shape| g.input("input", shape)).collect();
    let y = g.apply1("y", Conv3x3 { slope }, &inputs).unwrap();
    let dy = g.input("dy", g.shape(y));
    let (_, gradients) = g.vjp(&[(y, Some(dy))], &inputs).unwrap();
    inputs.push(dy);
    let outputs = [&[y], &gradients[..]].concat();
    outputs.iter().for_each(|&v| g.output(v));
    Conv { graph: g, inputs, outputs }
}

impl Conv {
    fn run<T: Real>(&self, inputs: &[Vec<f32>]) -> Vec<Vec<T>> {
        let mut exec = CpuExecutor::<T>::new(self.graph.clone()).unwrap();
        exec.poison();
        for (value, data) in self.inputs.iter().zip(inputs) {
            exec.get_mut(*value).iter_mut().zip(data).for_each(|(to, from)| *to = T::of(f64::from(*from)));
        }
        exec.run(&RunParams::default());
        self.outputs.iter().map(|v| exec.get(*v).to_vec()).collect()
    }

    fn random_inputs(&self) -> Vec<Vec<f32>> {
        self.inputs.iter().enumerate().map(|(i, v)| random(self.graph.shape(*v).len(), 1 + i as u32)).collect()
    }
}

/// The relative tolerances of `tests/operators.rs`.
#[test]
fn large_convolutions_agree_with_f64() {
    let cases: [(&[usize], usize, Size); 11] = [
        (&[64], 64, (1, 17, 65)),
        (&[64], 64, (2, 8, 64)),
        (&[9], 64, (2, 9, 129)),
        (&[3], 64, (1, 24, 63)),
        (&[9, 64], 3, (2, 15, 67)),
        (&[3, 64], 9, (1, 16, 130)),
        (&[189], 64, (1, 9, 66)),
        (&[3, 300], 189, (1, 5, 70)),
        (&[48], 48, (3, 31, 33)),
        (&[8], 13, (2, 40, 190)),
        (&[12, 5], 8, (1, 70, 70)),
    ];
    for (maps, c_out, size) in cases {
        // Without an activation: the gradient of the LeakyReLU may take either side where y is nearly 0.
        let conv = conv(maps, c_out, size, None);
        let inputs = conv.random_inputs();
        let (got, want) = (conv.run::<f32>(&inputs), conv.run::<f64>(&inputs));
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            let largest = want.iter().fold(0f64, |a, b| a.max(b.abs()));
            let error = worst(got.iter().zip(want).map(|(g, w)| (f64::from(*g) - w).abs() / largest));
            println!("{maps:?} -> {c_out}, {size:?}, output {i}: {error:.1e}");
            assert!(error < if i == 0 { 1e-5 } else { 1e-4 }, "{maps:?} -> {c_out}, {size:?}, output {i}: {error:.1e}");
        }
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn no_bit_depends_on_the_number_of_threads() {
    for (maps, c_out) in [(&[9, 64][..], 3), (&[64], 64), (&[3], 20)] {
        let conv = conv(maps, c_out, (2, 43, 101), Some(0.2));
        let inputs = conv.random_inputs();
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| conv.run::<f32>(&inputs))
        };
        let one = with(1);
        for threads in [2, 3, 7] {
            for (i, (a, b)) in one.iter().zip(with(threads)).enumerate() {
                assert_eq!(bits(a), bits(&b), "{maps:?} -> {c_out}, output {i}, {threads} threads");
            }
        }
    }
}

/// Rows 16..48 of a picture with 16 rows of halo, as a picture of its own: its inner rows are those of the whole.
#[test]
fn no_bit_of_a_row_depends_on_the_picture_around_it() {
    const ROWS: usize = 75;
    let slab = 0..64;
    let inner = 16..48;
    for (maps, c_out) in [(&[64][..], 64), (&[9], 64), (&[3, 64], 9), (&[3], 20), (&[9, 16], 3)] {
        for w in [1, 31, 67, 129, 201] {
            for slab in [slab.clone(), inner.start - 16..ROWS, 8..56, 16..49] {
                let whole = conv(maps, c_out, (1, ROWS, w), Some(0.2));
                let part = conv(maps, c_out, (1, slab.len(), w), Some(0.2));
                let inputs = whole.random_inputs();
                let maps_of = |channels: &[f32]| -> Vec<f32> {
                    channels.chunks(ROWS * w).flat_map(|c| c[slab.start * w..slab.end * w].to_vec()).collect()
                };
                // The maps and dy are cut, the weights not.
                let cut = inputs.iter().enumerate().map(|(i, data)| match i {
                    i if i < maps.len() || i == maps.len() + 2 => maps_of(data),
                    _ => data.clone(),
                });
                let (want, got) = (whole.run::<f32>(&inputs), part.run::<f32>(&cut.collect::<Vec<_>>()));
                // Away from the slab's ends, whose tiles see rows that are not there.
                let rows = inner.start.max(slab.start + 8)..inner.end.min(slab.end - 8);
                for output in 0..=maps.len() {
                    let planes = want[output].chunks(ROWS * w).zip(got[output].chunks(slab.len() * w));
                    for (c, (want, got)) in planes.enumerate() {
                        let want = &want[rows.start * w..rows.end * w];
                        let got = &got[(rows.start - slab.start) * w..(rows.end - slab.start) * w];
                        assert_eq!(bits(want), bits(got), "{maps:?} -> {c_out}, {w} wide, {slab:?}, {output}, {c}");
                    }
                }
            }
        }
    }
}
