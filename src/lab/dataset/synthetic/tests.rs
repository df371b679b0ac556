use super::*;
use crate::rng::Rng;

const SIZE: usize = 128;

/// The share of a plane's mean square that is left of means over 33 pixels, twice.
fn slow_part(plane: &[f32]) -> f32 {
    let mut slow = plane.to_vec();
    (0..2).for_each(|_| field::box_blur(&mut slow, SIZE, 16));
    mean_square(&slow) / mean_square(plane)
}

fn mean_square(values: &[f32]) -> f32 {
    values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32
}

/// The share of windows of `side` x `side` in which no pixel differs from its right or lower neighbour by more than
/// `step`.
fn smooth_windows(planes: &[f32], side: usize, step: f32) -> f32 {
    let plane = SIZE * SIZE;
    let busy = |y: usize, x: usize| {
        (0..3).any(|c| {
            let at = |y: usize, x: usize| planes[c * plane + y * SIZE + x];
            (at(y, x) - at(y, x + 1)).abs() > step || (at(y, x) - at(y + 1, x)).abs() > step
        })
    };
    let n = (SIZE - 1) / side;
    let smooth = |k: usize| !(0..side * side).any(|i| busy(k / n * side + i / side, k % n * side + i % side));
    (0..n * n).filter(|k| smooth(*k)).count() as f32 / (n * n) as f32
}

#[test]
fn a_function_of_the_random_numbers() {
    for size in [8, 16, 37, 128] {
        let both = |seed| {
            let rng = &mut Rng::new(&[seed]);
            (structure(rng, size), texture(rng, size))
        };
        assert_eq!(both(1).0.len(), 3 * size * size);
        assert!(both(1) == both(1), "size {size}");
        assert!(both(1).0 != both(2).0 && both(1).1 != both(2).1, "size {size}");
    }
}

#[test]
fn every_kind_of_structure_is_smooth_with_edges() {
    for kind in &structure::KINDS {
        let (mut smooth, mut edges, mut range) = (0.0, 0, 0.0f32);
        const N: u64 = 60;
        for i in 0..N {
            let planes = structure::of_kind(&mut Rng::new(&[i]), SIZE, kind);
            assert!(planes.iter().all(|v| (0.0..=1.0).contains(v)), "{} {i}", kind.name);
            // 3 of 255 a pixel is the steepest of gradients.
            smooth += smooth_windows(&planes, 8, 3.0 / 255.0) / N as f32;
            edges += usize::from(smooth_windows(&planes, 8, 3.0 / 255.0) < 1.0);
            range = planes.iter().fold(range, |r, v| r.max((v - planes[0]).abs()));
        }
        println!("{}: {smooth:.2} of the windows smooth, {edges} of {N} pictures with edges", kind.name);
        assert!(smooth > 0.3, "{}: only {smooth} of the windows are smooth", kind.name);
        assert!(edges > 50, "{}: {edges} of {N} pictures have edges", kind.name);
        assert!(range > 0.5, "{}: {range}", kind.name);
    }
}

#[test]
fn every_kind_of_texture_is_everywhere_and_nowhere_slow() {
    let mut wrong = vec![];
    for kind in &texture::KINDS {
        let (mut smooth, mut slow, mut grey) = (0.0f32, 0.0f32, 0);
        const N: u64 = 60;
        for i in 0..N {
            let planes = texture::of_kind(&mut Rng::new(&[i]), SIZE, kind);
            for plane in planes.chunks_exact(SIZE * SIZE) {
                let mean = plane.iter().sum::<f32>() / plane.len() as f32;
                assert!(mean.abs() < 1e-3, "{} {i}: mean {mean}", kind.name);
            }
            assert!((mean_square(&planes) - 1.0).abs() < 1e-3, "{} {i}: {}", kind.name, mean_square(&planes));
            grey += usize::from(planes[..SIZE * SIZE] == planes[SIZE * SIZE..2 * SIZE * SIZE]);
            slow = slow.max(slow_part(&planes[..SIZE * SIZE]));
            smooth += smooth_windows(&planes, 25, 0.1) / N as f32;
        }
        println!("{}: slow part {slow:.4}, {smooth:.3} of the windows smooth, {grey} of {N} grey", kind.name);
        if slow > 0.01 || smooth > 0.01 || !(15..=45).contains(&grey) {
            wrong.push(kind.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}: see above");
}

#[test]
fn the_tests_tell_structure_from_texture() {
    let mut rng = Rng::new(&[1]);
    let slow: Vec<f32> = field::smooth_noise(&mut rng, SIZE, 100.0).into_iter().cycle().take(3 * SIZE * SIZE).collect();
    assert!(slow_part(&slow[..SIZE * SIZE]) > 0.5);
    assert!(smooth_windows(&texture(&mut rng, SIZE), 8, 3.0 / 255.0) < 0.05);
    assert!(smooth_windows(&slow, 25, 0.1) > 0.9);
}

#[test]
fn coverage_is_area() {
    use raster::{Edge, Mask};
    let covered = |points: &[raster::Point], edge| {
        let mut mask = Mask::new(16);
        mask.polygon(points);
        let mask = mask.finish(edge);
        let mut plane = vec![0.0; 256];
        mask.rows().for_each(|(y, row)| plane[16 * y..16 * y + 16].copy_from_slice(row));
        plane
    };
    // A rectangle between pixels.
    let plane = covered(&[[2.5, 3.25], [7.0, 3.25], [7.0, 5.0], [2.5, 5.0]], Edge::Smooth);
    for (y, x, area) in [(3, 2, 0.375), (3, 3, 0.75), (3, 7, 0.0), (4, 2, 0.5), (4, 6, 1.0), (5, 4, 0.0), (2, 4, 0.0)] {
        assert!((plane[16 * y + x] - area).abs() < 1e-5, "{y} {x}: {}", plane[16 * y + x]);
    }
    // Triangles of any slope, in either orientation, against 64 x 64 points a pixel.
    let mut rng = Rng::new(&[7]);
    for case in 0..40 {
        let p = [(); 3].map(|()| [20.0 * rng.unit() - 2.0, 20.0 * rng.unit() - 2.0]);
        let side =
            |a: [f32; 2], b: [f32; 2], q: [f32; 2]| (b[0] - a[0]) * (q[1] - a[1]) - (b[1] - a[1]) * (q[0] - a[0]);
        let inside = |q| {
            let s = [side(p[0], p[1], q), side(p[1], p[2], q), side(p[2], p[0], q)];
            s.iter().all(|v| *v >= 0.0) || s.iter().all(|v| *v <= 0.0)
        };
        let (smooth, hard) = (covered(&p, Edge::Smooth), covered(&p, Edge::Hard));
        assert!(hard.iter().zip(&smooth).all(|(h, s)| *h == f32::from(u8::from(*s >= 0.5))));
        for (i, cover) in smooth.iter().enumerate() {
            let point = |k: usize| {
                [
                    (i % 16) as f32 + (k % 64) as f32 / 64.0 + 1.0 / 128.0,
                    (i / 16) as f32 + (k / 64) as f32 / 64.0 + 1.0 / 128.0,
                ]
            };
            let area = (0..4096).filter(|k| inside(point(*k))).count() as f32 / 4096.0;
            assert!((cover - area).abs() < 0.02, "{case}: pixel {i}: {cover}, not {area}");
        }
    }
}

#[test]
fn box_means_are_means() {
    let mut rng = Rng::new(&[3]);
    let (size, radius) = (11, 3);
    let field: Vec<f32> = (0..size * size).map(|_| rng.unit()).collect();
    let mut blurred = field.clone();
    field::box_blur(&mut blurred, size, radius);
    for (i, v) in blurred.iter().enumerate() {
        let near = |k: usize| (k % size).abs_diff(i % size) <= radius && (k / size).abs_diff(i / size) <= radius;
        let values: Vec<f32> = (0..size * size).filter(|k| near(*k)).map(|k| field[k]).collect();
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!((v - mean).abs() < 1e-5, "{i}: {v}, not {mean}");
    }
    let mut whole = field.clone();
    field::box_blur(&mut whole, size, 100);
    let mean = field.iter().sum::<f32>() / field.len() as f32;
    assert!(whole.iter().all(|v| (v - mean).abs() < 1e-5));
}

#[test]
fn waves_are_cosines() {
    for i in -300..300 {
        let t = i as f32 / 97.0;
        let cosine = (std::f32::consts::TAU * t).cos();
        assert!((field::wave(t) - cosine).abs() < 2e-3, "{t}: {} for {cosine}", field::wave(t));
    }
}
