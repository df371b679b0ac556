//! A contact sheet of the pictures that gained least.

use super::Scored;
use crate::error::Result;
use crate::lab::sheet::{ContactSheet, difference, shrink};
use crate::tensor::Tensor;

/// The pictures of each set that gained least PSNR by the first network, kept for a contact sheet.
pub struct Worst {
    count: usize,
    /// Set by set, the worst first.
    kept: Vec<(String, Vec<Kept>)>,
}

struct Kept {
    gain: f64,
    label: String,
    pictures: Vec<Tensor>,
}

impl Worst {
    /// Longest side of a picture on the sheet.
    pub const CELL: usize = 384;
    /// Gain of the difference from the ground truth.
    pub const GAIN: f32 = 4.0;

    /// Of each set so many.
    pub fn new(count: usize) -> Worst {
        Worst { count, kept: vec![] }
    }

    /// Keeps a picture, scaled down as it will be shown, where it is among the worst.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] where the sizes of the pictures differ.
    pub fn add(&mut self, scored: &Scored) -> Result<()> {
        if self.kept.last().is_none_or(|(set, _)| set != scored.set) {
            self.kept.push((scored.set.into(), vec![]));
        }
        let (_, kept) = self.kept.last_mut().expect("just put there");
        let gain = scored.image.networks.first().map_or(0.0, |scores| scores.gain(&scored.image.input));
        let place = kept.partition_point(|k| k.gain.total_cmp(&gain).is_le());
        if place >= self.count {
            return Ok(());
        }
        let after: Vec<String> = scored.image.networks.iter().map(|scores| format!("{:.2}", scores.psnr)).collect();
        let (image, before) = (scored.image, scored.image.input.psnr);
        let label = format!("{}/{}  {before:.2} -> {} dB", scored.set, image.name, after.join(", "));
        let small = |x: &Tensor| shrink(x, Self::CELL);
        let mut pictures: Vec<Tensor> = [scored.input].into_iter().chain(scored.results).map(small).collect();
        pictures.push(small(scored.truth));
        for result in scored.results {
            pictures.push(small(&difference(result, scored.truth, Self::GAIN)?));
        }
        kept.insert(place, Kept { gain, label, pictures });
        kept.truncate(self.count);
        Ok(())
    }

    /// Lays them out: input, each network's result, ground truth, each result's difference from it.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] where the kept pictures are not of so many networks.
    pub fn sheet(&self, labels: &[&str]) -> Result<ContactSheet> {
        let (results, differences): (Vec<String>, Vec<String>) = match labels {
            [_] => (vec!["result".into()], vec![format!("difference x{}", Self::GAIN)]),
            _ => labels.iter().map(|l| (l.to_string(), format!("{l}: difference x{}", Self::GAIN))).unzip(),
        };
        let captions = [vec!["input".into()], results, vec!["ground truth".into()], differences].concat();
        let mut sheet = ContactSheet::new(&captions, Self::CELL)?;
        for kept in self.kept.iter().flat_map(|(_, kept)| kept) {
            sheet.row(&kept.label, &kept.pictures.iter().collect::<Vec<_>>())?;
        }
        Ok(sheet)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Image;
    use super::*;
    use crate::lab::metrics::Scores;
    use crate::tensor::Shape;

    fn scores(psnr: f64) -> Scores {
        Scores { psnr, ssim: 0.5, psnr_y: psnr + 1.0, ssim_y: 0.25 }
    }

    fn image(name: &str, before: f64, after: &[f64]) -> Image {
        let networks = after.iter().map(|psnr| scores(*psnr)).collect();
        Image { name: name.into(), file: String::new(), height: 2, width: 3, input: scores(before), networks }
    }

    #[test]
    fn the_worst_are_those_of_least_gain() {
        let x = |v: f32| Tensor::new(Shape::new(1, 3, 2, 3), vec![v; 18]);
        let (input, truth, results) = (x(0.1), x(0.2), [x(0.3), x(0.25)]);
        let mut worst = Worst::new(2);
        let inf = f64::INFINITY;
        for (set, name, before, after) in [
            ("s", "a", 20.0, [25.0, 1.0]),
            ("s", "b", 30.0, [31.0, 2.0]),
            ("s", "c", 10.0, [19.0, 3.0]),
            ("s", "d", 30.0, [28.0, 4.0]),
            ("t", "e", inf, [inf, 5.0]),
            ("t", "f", 20.0, [19.0, 6.0]),
            ("t", "g", inf, [90.0, 7.0]),
            ("t", "h", 20.0, [inf, 8.0]),
        ] {
            let image = image(name, before, &after);
            worst.add(&Scored { set, image: &image, input: &input, truth: &truth, results: &results }).unwrap();
        }
        let labels: Vec<&str> = worst.kept.iter().flat_map(|(_, kept)| kept).map(|k| k.label.as_str()).collect();
        let expected = [
            "s/d  30.00 -> 28.00, 4.00 dB",
            "s/b  30.00 -> 31.00, 2.00 dB",
            "t/g  inf -> 90.00, 7.00 dB",
            "t/f  20.00 -> 19.00, 6.00 dB",
        ];
        assert_eq!(labels, expected);
        let values: Vec<f32> = worst.kept[0].1[0].pictures.iter().map(|x| x.data[0]).collect();
        let expected = [0.1, 0.3, 0.25, 0.2, 0.9, 0.7];
        assert!(values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{values:?}");
        assert!(worst.sheet(&["a", "b"]).is_ok());
        assert!(worst.sheet(&["a"]).unwrap_err().to_string().contains("6 pictures in the row"));
    }
}
