use super::*;
use crate::lab::dataset::pairs::{Pairing, find_pairs};

fn write(path: std::path::PathBuf, h: usize, w: usize, value: impl Fn(usize, usize, usize) -> usize) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut data = Vec::new();
    for c in 0..3 {
        data.extend((0..h * w).map(|i| (value(c, i / w, i % w) % 256) as f32 / 255.0));
    }
    image::write(path, &Tensor::new(Shape::new(1, 3, h, w), data).into()).unwrap();
}

/// A flat grey structure in a folder within the folder, a grey texture of 16 x 16.
fn flat() -> (tempfile::TempDir, Source) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path.join("s/deep/flat.png"), 40, 40, |_, _, _| 128);
    write(path.join("t/grey.png"), 16, 16, |_, y, x| 100 + (x * 7 + y * 13 + x * y) % 31);
    let source = Source::blend(&path.join("s"), &path.join("t"), STRENGTH).unwrap();
    (folder, source)
}

/// `input - target` of one sample and channel, in code values.
fn texture(batch: &Batch, i: usize, c: usize) -> Vec<f32> {
    let plane = batch.input.shape.plane();
    let at = (i * 3 + c) * plane;
    let both = batch.input.data[at..at + plane].iter().zip(&batch.target.data[at..at + plane]);
    both.map(|(a, b)| (a - b) * 255.0).collect()
}

fn mean_square(x: &[f32]) -> f32 {
    x.iter().map(|v| v * v).sum::<f32>() / x.len() as f32
}

#[test]
fn a_batch_is_a_function_of_seed_and_step() {
    let (_folder, source) = flat();
    let batch = source.batch(1, 5, 3, 24);
    assert_eq!(batch.input.shape, Shape::new(3, 3, 24, 24));
    assert_eq!(source.batch(1, 5, 3, 24), batch);
    assert_ne!(source.batch(1, 6, 3, 24), batch);
    assert_ne!(source.batch(2, 5, 3, 24), batch);
    assert_ne!(batch.input.image(0), batch.input.image(1));
    // A sample does not depend on how many there are.
    assert_eq!(source.batch(1, 5, 1, 24).input, batch.input.image(0));
    assert_eq!(source.samples(1, 5, 2..3, 24).target, batch.target.image(2));
    assert!(batch.input.data.iter().chain(&batch.target.data).all(|v| (0.0..=1.0).contains(v)));
}

#[test]
fn textures_are_as_strong_as_asked_and_half_are_grey() {
    let (_folder, source) = flat();
    let n = 200;
    // 32 = two whole tiles: the sample's deviation is the texture's.
    let batch = source.batch(0, 0, n, 32);
    let (mut grey, mut deviations) = (0, Vec::new());
    for i in 0..n {
        let channels = [0, 1, 2].map(|c| texture(&batch, i, c));
        let deviation = (channels.iter().map(|c| mean_square(c)).sum::<f32>() / 3.0).sqrt();
        let mean = channels[0].iter().sum::<f32>() / channels[0].len() as f32;
        assert!(mean.abs() < 0.01, "sample {i} shifts the mean by {mean}");
        if channels[0] == channels[1] && channels[1] == channels[2] {
            grey += 1;
            assert!((7.99..25.01).contains(&deviation), "sample {i}: {deviation}");
        } else {
            // A texture is somewhat correlated with itself moved, so a coloured one meets its strength on average only.
            assert!((5.0..30.0).contains(&deviation), "sample {i}: {deviation}");
        }
        deviations.push(deviation);
    }
    assert!((75..=125).contains(&grey), "{grey} of {n} are grey");
    let mean = deviations.iter().sum::<f32>() / n as f32;
    assert!((mean - 16.5).abs() < 1.0, "{mean}");
    assert!(deviations.iter().any(|&d| d < 9.5) && deviations.iter().any(|&d| d > 23.5));
}

#[test]
fn a_colour_texture_keeps_its_colours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path.join("s/flat.png"), 8, 8, |_, _, _| 128);
    // Red and green the same stripes, blue none.
    write(path.join("t/stripes.png"), 8, 8, |c, _, x| if c == 2 { 50 } else { 100 + 20 * (x % 2) });
    let source = Source::blend(&path.join("s"), &path.join("t"), (12.0, 12.0)).unwrap();
    let batch = source.batch(0, 0, 40, 8);
    let mut coloured = 0;
    for i in 0..40 {
        let strengths = [0, 1, 2].map(|c| mean_square(&texture(&batch, i, c)).sqrt());
        let own = 12.0 * 1.5f32.sqrt();
        let expected = if strengths[2] < 1.0 { [own, own, 0.0] } else { [12.0; 3] };
        coloured += usize::from(strengths[2] < 1.0);
        assert!(strengths.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.01), "sample {i}: {strengths:?}");
    }
    assert!((8..=32).contains(&coloured), "{coloured}");
}

#[test]
fn pairs_are_cut_and_flipped_together_in_all_eight_ways() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path.join("gt/a.png"), 9, 11, |_, y, x| y * 11 + x);
    write(path.join("in/a.png"), 9, 11, |_, y, x| y * 11 + x + 100);
    let pairs = find_pairs(&path.join("in"), Some(&path.join("gt")), Pairing::Names).unwrap();
    let source = Source::pairs(&pairs).unwrap();
    let batch = source.batch(0, 0, 400, 4);
    let mut steps = std::collections::HashSet::new();
    let mut corners = std::collections::HashSet::new();
    for i in 0..400 {
        assert!(texture(&batch, i, 1).iter().all(|d| (d - 100.0).abs() < 1e-3), "sample {i}");
        let codes = image::quantise(&batch.target.image(i)).iter().map(|&v| i32::from(v)).collect::<Vec<_>>();
        let (right, down) = (codes[1] - codes[0], codes[4] - codes[0]);
        assert!((0..16).all(|k| codes[k] == codes[0] + right * (k as i32 % 4) + down * (k as i32 / 4)), "sample {i}");
        steps.insert((right, down));
        corners.insert(codes[..16].iter().min().copied());
    }
    assert_eq!(steps.len(), 8, "{steps:?}");
    assert_eq!(corners.len(), (9 - 3) * (11 - 3), "every place is drawn, none outside");
}

#[test]
fn small_structures_are_reflected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path.join("both/a.png"), 1, 6, |_, _, x| 10 * x);
    let source = Source::pairs(&find_pairs(&path.join("both"), None, Pairing::Names).unwrap()).unwrap();
    let batch = source.batch(0, 0, 30, 7);
    for i in 0..30 {
        let mut codes = image::quantise(&batch.target.image(i))[..49].to_vec();
        codes.sort();
        // 0 10 20 10 0 10 20 along one side, or its mirror image, all rows the same.
        assert_eq!(codes, [vec![0; 14], vec![10; 21], vec![20; 14]].concat(), "sample {i}");
    }
}

#[test]
fn prefetched_batches_come_in_order_from_any_step() {
    let (_folder, source) = flat();
    let source = Arc::new(source);
    let mut prefetch = Prefetch::new(source.clone(), 3, 7, 0..2, 16);
    for step in 7..13 {
        assert_eq!(prefetch.next().unwrap(), source.batch(3, step, 2, 16), "step {step}");
    }
    drop(prefetch);
    assert_eq!(Arc::strong_count(&source), 1, "the thread has ended");
}

#[test]
fn wrong_sources_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path.join("flat.png"), 8, 8, |_, _, _| 128);
    let text = |result: Result<Source>| result.err().unwrap().to_string();
    assert!(text(Source::blend(path, path, STRENGTH)).contains("flat.png: a texture of one brightness"));
    assert!(text(Source::blend(path, path, (25.0, 8.0))).contains("from 25 to 8"));
    assert!(text(Source::blend(&path.join("none"), path, STRENGTH)).contains("none"));
    assert!(text(Source::pairs(&[])).contains("no pairs"));
}

#[test]
fn folders_of_structures_are_drawn_equally_often() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path().join("s/dark/a.png"), 8, 8, |_, _, _| 50);
    (0..9).for_each(|i| write(dir.path().join(format!("s/light/{i}.png")), 8, 8, |_, _, _| 200));
    write(dir.path().join("t.png"), 8, 8, |_, y, x| (x + y) % 2 * 255);
    let source = Source::blend(&dir.path().join("s"), &dir.path().join("t.png"), STRENGTH).unwrap();
    let target = source.batch(1, 1, 400, 8).target;
    let dark = (0..400).filter(|&i| target.image(i).data[0] < 0.5).count();
    assert!((160..240).contains(&dark), "{dark} of 400 from one of two folders");
}

/// Runs are resumed under later versions: what they draw must not change.
#[test]
fn folders_give_the_samples_they_always_gave() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for i in 0..3 {
        write(path.join(format!("s/{}/{i}.png", i % 2)), 20 + i, 31, |c, y, x| 40 * i + 3 * x + 5 * y + 20 * c);
    }
    write(path.join("t/grey.png"), 16, 13, |_, y, x| 100 + (x * 7 + y * 13 + x * y) % 31);
    write(path.join("t/deep/colour.png"), 11, 16, |c, y, x| 90 + (x * 5 + y * 11 + x * y) % (20 + 5 * c));
    let digest = |source: Source| {
        let batch = source.batch(3, 17, 64, 24);
        let codes = [image::quantise(&batch.input), image::quantise(&batch.target)].concat();
        codes.iter().fold(0xCBF2_9CE4_8422_2325, |hash: u64, code| {
            (hash ^ u64::from(*code)).wrapping_mul(0x100_0000_01B3) // FNV-1a
        })
    };
    let blend = Source::blend(&path.join("s"), &path.join("t"), STRENGTH).unwrap();
    let pairs = Source::pairs(&find_pairs(&path.join("t/deep"), None, Pairing::Names).unwrap()).unwrap();
    assert_eq!([digest(blend), digest(pairs)], [0x722C_02BB_D481_22B6, 0x64B5_8B8D_2B39_A6AF]);
}

/// Shares of samples in a mixture, each place told by its colour or its pattern.
#[test]
fn weights_are_the_shares_of_samples() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for (name, code) in [("dark", 20), ("light", 230), ("none", 128)] {
        write(path(&format!("{name}/a.png")), 8, 8, |_, _, _| code);
    }
    write(path("pairs/a.png"), 8, 16, |_, _, _| 77);
    write(path("rows/t.png"), 8, 8, |_, y, _| 100 + 10 * (y % 2));
    write(path("checks/t.png"), 8, 8, |_, y, x| 100 + 10 * ((x + y) % 2));
    let folder = |name: &str, weight| (Origin::Folder(path(name)), weight);
    let recipe = Recipe {
        structures: vec![folder("dark", 1.0), folder("light", 3.0), folder("none", 0.0), (Origin::Synthetic, 2.0)],
        textures: vec![folder("rows", 0.2), folder("checks", 0.3), (Origin::Synthetic, 0.5)],
        pairs: vec![("pairs".into(), find_pairs(&path("pairs"), None, Pairing::Names).unwrap(), 2.0)],
        strength: (5.0, 5.0),
        blend: Blend::Plain,
        augment: false,
    };
    let source = Source::new(&recipe).unwrap();
    let text = source.to_string();
    let counts = format!("12.500 % structures {} (1), 37.500 % structures", path("dark").display());
    assert!(text.starts_with(&counts) && text.ends_with("50 % synthetic") && !text.contains("none"), "{text}");
    let n = 1600;
    let batch = source.batch(5, 1, n, 8);
    let (mut targets, mut textures) = ([0.0; 4], [0.0; 3]);
    for i in 0..n {
        let target = batch.target.image(i);
        let codes = image::quantise(&target);
        let flat = codes.iter().all(|code| *code == codes[0]).then_some(codes[0]);
        let kind = [Some(20), Some(230), Some(77)].iter().position(|code| *code == flat).unwrap_or(3);
        targets[kind] += 1.0 / n as f32;
        // On flat structures the pattern is plain to see.
        if kind < 2 {
            let d = texture(&batch, i, 1).iter().map(|v| v.round() as i32).collect::<Vec<_>>();
            let at = |y: usize, x: usize| d[8 * y + x];
            let all = |test: &dyn Fn(usize, usize) -> bool| (0..7).all(|y| (0..7).all(|x| test(y, x)));
            let checks = all(&|y, x| at(y, x) != at(y, x + 1) && at(y, x) == at(y + 1, x + 1));
            let rows = all(&|y, x| at(y, x) == at(y, x + 1) && at(y, x) != at(y + 1, x));
            let columns = all(&|y, x| at(y, x) != at(y, x + 1) && at(y, x) == at(y + 1, x));
            textures[if checks {
                1
            } else if rows || columns {
                0
            } else {
                2
            }] += 1.0;
        }
    }
    // Four deviations of a share of 1600 samples are at most 0.05, of the 800 or so on flat structures 0.07.
    let close = |is: f32, want: f32, to: f32| assert!((is - want).abs() < to, "{targets:?} {textures:?}");
    [0.125, 0.375, 0.25, 0.25].iter().zip(targets).for_each(|(want, is)| close(is, *want, 0.05));
    let flat: f32 = textures.iter().sum();
    [0.2, 0.3, 0.5].iter().zip(textures).for_each(|(want, is)| close(is / flat, *want, 0.07));
}

#[test]
fn generated_samples_are_as_strong_as_asked() {
    let source = Source::synthetic((9.0, 15.0)).unwrap();
    assert_eq!(source.to_string(), "synthetic structures; textures: synthetic");
    let batch = source.batch(1, 2, 40, 64);
    assert_eq!(source.batch(1, 2, 40, 64), batch);
    assert_eq!(source.batch(1, 2, 3, 64).input.image(2), batch.input.image(2), "whatever the batch");
    assert_ne!(source.batch(1, 3, 40, 64), batch);
    let mut unclipped = 0;
    for i in 0..40 {
        let input = batch.input.image(i);
        assert!(input.data.iter().chain(&batch.target.image(i).data).all(|v| (0.0..=1.0).contains(v)));
        if input.data.iter().all(|v| *v > 0.0 && *v < 1.0) {
            unclipped += 1;
            let strength = ([0, 1, 2].map(|c| mean_square(&texture(&batch, i, c))).iter().sum::<f32>() / 3.0).sqrt();
            assert!((8.99..15.01).contains(&strength), "sample {i}: {strength}");
        }
    }
    assert!(unclipped > 10, "{unclipped}");
}

#[test]
fn wrong_recipes_are_errors() {
    let synthetic = |weight| vec![(Origin::Synthetic, weight)];
    let error = |structures: f32, textures: f32| {
        let recipe = Recipe {
            structures: synthetic(structures),
            textures: synthetic(textures),
            pairs: vec![],
            strength: STRENGTH,
            blend: Blend::Plain,
            augment: false,
        };
        Source::new(&recipe).err().unwrap().to_string()
    };
    assert!(error(-1.0, 1.0).contains("the weight of synthetic structures is -1; give a number, 0 or more"));
    assert!(error(1.0, f32::NAN).contains("the weight of synthetic is NaN"));
    assert!(error(f32::INFINITY, 1.0).contains("is inf"));
    assert!(error(0.0, 1.0).contains("no structures or pairs to train on"));
    assert!(error(1.0, 0.0).contains("no textures to train on"));
}

#[test]
fn varied_blends_are_what_they_say() {
    let (_dir, plain) = flat();
    let varied = Source { blend: Blend::Varied, ..plain };
    let (n, crop) = (600, 24);
    let batch = varied.batch(3, 1, n, crop);
    assert_eq!(batch, varied.batch(3, 1, n, crop), "a function of its arguments");
    let sample = 3 * crop * crop;
    let samples: Vec<(&[f32], &[f32])> =
        batch.input.data.chunks_exact(sample).zip(batch.target.data.chunks_exact(sample)).collect();
    let share = |is: &dyn Fn(&[f32], &[f32]) -> bool| {
        samples.iter().filter(|(input, target)| is(input, target)).count() as f32 / n as f32
    };
    let bare = share(&|input, target| input == target);
    assert!((0.02..0.07).contains(&bare), "{bare} without a texture (a black structure hides a multiplied one)");
    // The structures of this folder are of one grey.
    let (black, white) = (share(&|_, t| t.iter().all(|v| *v < 0.15)), share(&|_, t| t.iter().all(|v| *v > 0.85)));
    assert!((0.003..0.04).contains(&black) && (0.003..0.04).contains(&white), "{black} black, {white} white");
    let deviation = |input: &[f32], target: &[f32]| {
        let square: f32 = input.iter().zip(target).map(|(a, b)| (a - b).powi(2)).sum();
        255.0 * (square / sample as f32).sqrt()
    };
    let strong = share(&|input, target| deviation(input, target) > 1.15 * STRENGTH.1);
    assert!((0.15..0.6).contains(&strong), "{strong} stronger than the range");
    assert!(batch.input.data.iter().all(|v| (0.0..=1.0).contains(v)));
}

#[test]
fn augmented_samples_are_other_ones_of_the_same_strength() {
    let dir = tempfile::tempdir().unwrap();
    // A checkerboard of fields of 16 pixels, red and dark.
    write(
        dir.path().join("s/board.png"),
        64,
        64,
        |c, y, x| if (y / 16 + x / 16) % 2 == 0 && c == 0 { 200 } else { 40 },
    );
    write(dir.path().join("t/grey.png"), 16, 16, |_, y, x| 100 + (x * 7 + y * 13 + x * y) % 31);
    let plain = Source::blend(&dir.path().join("s"), &dir.path().join("t"), (10.0, 10.0)).unwrap();
    let source = Source { augment: true, ..plain };
    let (n, crop) = (400, 24);
    let batch = source.batch(2, 1, n, crop);
    assert_eq!(batch, source.batch(2, 1, n, crop), "a function of its arguments");
    assert!(batch.target.data.iter().all(|v| (0.0..=1.0).contains(v)));
    let share = |is: &dyn Fn(&[[u8; 3]]) -> bool| {
        let pictures = (0..n).map(|i| {
            let codes = image::quantise(&batch.target.image(i));
            let plane = crop * crop;
            (0..plane).map(|i| [0, 1, 2].map(|c| codes[c * plane + i])).collect::<Vec<_>>()
        });
        pictures.filter(|pixels| is(pixels)).count() as f32 / n as f32
    };
    let known = [[200, 40, 40], [40, 40, 40]];
    let as_it_is = share(&|pixels| pixels.iter().all(|pixel| known.contains(pixel)));
    assert!(
        (0.15..0.35).contains(&as_it_is),
        "{as_it_is} in their own size and colours: a quarter, fewer by compositions"
    );
    let recoloured = share(&|pixels| pixels.iter().any(|[r, g, b]| g > r || b > r));
    assert!((0.3..0.7).contains(&recoloured), "{recoloured} in other colours");
    // Each as strong as it should be, as far as a crop of the texture has the deviation of all of it.
    let deviations: Vec<f32> =
        (0..n).map(|i| (0..3).map(|c| mean_square(&texture(&batch, i, c))).sum::<f32>() / 3.0).collect();
    let mean = (deviations.iter().sum::<f32>() / n as f32).sqrt();
    assert!((8.0..11.0).contains(&mean), "{mean} of 255");
}

#[test]
fn a_sample_is_surrounded_by_its_reflection() {
    let source = Source::synthetic((8.0, 25.0)).unwrap();
    let bare = source.batch(1, 5, 2, 16);
    let source = source.with_border(8);
    let batch = source.batch(1, 5, 2, 20);
    for (whole, inner) in [(batch.input, bare.input), (batch.target, bare.target)] {
        for (whole, inner) in whole.data.chunks_exact(400).zip(inner.data.chunks_exact(256)) {
            for (i, v) in whole.iter().enumerate() {
                // An eighth of 20 is 2.
                let [y, x] = [i / 20, i % 20].map(|at| reflect(at as isize - 2, 16));
                assert_eq!(*v, inner[y * 16 + x], "pixel {i}");
            }
        }
    }
}
