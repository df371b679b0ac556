//! Transparency.

use super::*;

#[test]
fn what_is_hidden_gets_its_neighbours_colour() {
    // Green, with magenta hidden behind alpha 0 in the middle and a faint pixel that is not hidden.
    let (h, w) = (9, 9);
    let hidden = |i: usize| (2..7).contains(&(i / w)) && (2..7).contains(&(i % w));
    let mut picture = sample(h, w, false, Depth::Eight);
    for (c, channel) in picture.tensor.data.chunks_exact_mut(h * w).enumerate() {
        channel.iter_mut().enumerate().for_each(|(i, v)| *v = f32::from(u8::from(hidden(i) != (c == 1))));
    }
    picture.alpha = Some((0..h * w).map(|i| if hidden(i) { 0.0 } else { 1.0 }).collect());
    picture.alpha.as_mut().unwrap()[0] = 1.0 / 255.0;
    for format in [Format::Png, Format::Tiff, Format::WebP, Format::Bmp] {
        let back = back(&picture, format);
        let green: Vec<f32> = [0.0, 1.0, 0.0].iter().flat_map(|&v| vec![v; h * w]).collect();
        assert_eq!(back.tensor.data, green, "{format}");
        assert_eq!(back.alpha, picture.alpha, "{format}");
    }
    // Where nothing is visible, nothing is known.
    picture.alpha = Some(vec![0.0; h * w]);
    assert_eq!(back(&picture, Format::Png).tensor, picture.tensor);
}

#[test]
fn a_picture_without_transparency_is_laid_over_a_background() {
    let mut picture = sample(8, 8, false, Depth::Eight);
    picture.tensor.data.fill(0.0);
    picture.alpha = Some((0..64).map(|i| if i < 32 { 0.0 } else { 1.0 }).collect());
    let mean = |picture: &Picture, c: usize, rows: std::ops::Range<usize>| {
        let values = &picture.tensor.data[c * 64..][rows.start * 8..rows.end * 8];
        values.iter().sum::<f32>() / values.len() as f32
    };
    let white = back(&picture, Format::Jpeg);
    assert!(mean(&white, 0, 0..4) > 0.98 && mean(&white, 2, 5..8) < 0.02);
    assert_eq!(told(&picture, Format::Jpeg), ["transparent pixels are laid over white, as JPEG has no transparency"]);
    let red = back_with(&picture, Format::Jpeg, &WriteOptions::default().with_background([1.0, 0.0, 0.0]));
    assert!(mean(&red, 0, 0..4) > 0.97 && mean(&red, 2, 0..4) < 0.03 && mean(&red, 0, 5..8) < 0.03);
    let half = grey(Picture { alpha: Some(vec![0.5; 64]), ..picture });
    let red = back_with(&half, Format::Jpeg, &WriteOptions::default().with_background([1.0, 0.0, 0.0]));
    assert!(!red.grey, "grey over a colour is a colour");
    assert!(back(&half, Format::Jpeg).grey);
}

#[test]
fn gif_says_that_it_knows_no_half_transparency() {
    let picture = sample(4, 4, true, Depth::Eight);
    assert!(told(&picture, Format::Gif).iter().any(|text| text.contains("partly transparent")));
    let clear = Picture { alpha: Some((0..16).map(|i| f32::from(u8::from(i > 3))).collect()), ..picture };
    assert_eq!(told(&clear, Format::Gif), ["colours became a palette of 256"]);
    assert_eq!(back(&clear, Format::Gif).alpha, clear.alpha);
}
