//! Values outside [0, 1].

use super::*;

/// Light from 0.001 to 400.
pub(super) fn hdr(alpha: bool) -> Picture {
    let shape = Shape::new(1, 3, 6, 10);
    let values = (0..180).map(|i| 0.001 * 1.0746f32.powi(i)).collect();
    let mut picture: Picture = Tensor::new(shape, values).into();
    picture.depth = Depth::Float;
    picture.alpha = alpha.then(|| (0..60).map(|i| (i + 4) as f32 / 64.0).collect());
    hdr::scaled(picture, true).unwrap()
}

/// The light itself.
fn values(picture: &Picture) -> Vec<f32> {
    let log = picture.log.unwrap();
    picture.tensor.data.iter().map(|&t| log.undo(t)).collect()
}

#[test]
fn light_goes_through_a_logarithmic_scale_and_back() {
    for alpha in [false, true] {
        let picture = hdr(alpha);
        assert!(picture.tensor.data.iter().all(|v| (0.0..=1.0).contains(v)));
        assert!(picture.tensor.data.windows(2).take(59).all(|pair| pair[0] < pair[1]), "in order");
        for (format, exact) in [(Format::Exr, 1e-4), (Format::Tiff, 1e-4), (Format::Hdr, 0.01)] {
            if alpha && format == Format::Hdr {
                continue;
            }
            let back = back(&picture, format);
            assert_eq!(back.depth, Depth::Float);
            let light = values(&picture);
            for (i, (a, b)) in values(&back).into_iter().zip(&light).enumerate() {
                // Radiance HDR shares an exponent among a pixel's channels, of which blue is the brightest here.
                let scale = if format == Format::Hdr { light[120 + i % 60] } else { *b };
                assert!((a - b).abs() <= scale * exact, "{format}: {a}, was {b}");
            }
            let alphas = back.alpha.iter().flatten().zip(picture.alpha.iter().flatten());
            assert_eq!(back.alpha.is_some(), alpha);
            assert!(alphas.into_iter().all(|(a, b)| (a - b).abs() < 1e-6));
        }
    }
}

#[test]
fn the_faintest_and_the_brightest_light_have_a_scale() {
    for top in [f32::from_bits(1), f32::MIN_POSITIVE, f32::MAX] {
        let mut picture: Picture = Tensor::new(Shape::new(1, 3, 1, 1), vec![0.0, top / 3.0, top]).into();
        picture.depth = Depth::Float;
        let picture = hdr::scaled(picture, true).unwrap();
        assert!(picture.tensor.data.iter().all(|v| (0.0..=1.0).contains(v)), "{top}: {:?}", picture.tensor.data);
        assert!(values(&picture).iter().all(|v| v.is_finite()), "{top}: {:?}", values(&picture));
    }
}

#[test]
fn opacity_is_from_0_to_1() {
    let with_alpha = |alpha: [f32; 2]| {
        let mut picture: Picture = Tensor::new(Shape::new(1, 3, 1, 2), vec![0.5; 6]).into();
        picture.alpha = Some(alpha.into());
        hdr::scaled(picture, true)
    };
    assert_eq!(with_alpha([-0.5, 1.5]).unwrap().alpha, Some(vec![0.0, 1.0]));
    assert!(refused(with_alpha([f32::NAN, 1.0])).contains("NaN"));
}

#[test]
fn light_is_refused_where_it_has_no_place() {
    for format in [Format::Png, Format::Jpeg, Format::WebP, Format::Bmp, Format::Gif, Format::Pnm] {
        let text = refused(check(&[hdr(false)], format, &WriteOptions::default()));
        assert!(text.contains("HDR") && text.contains(".exr"), "{text}");
    }
    for format in [Format::Exr, Format::Hdr] {
        let text = refused(encode(&gentle(4, 4), format, &WriteOptions::default()));
        assert!(text.contains("holds light"), "{text}");
    }
}

#[test]
fn odd_values_are_counted() {
    let picture = |odd: f32| {
        let mut picture: Picture = Tensor::new(Shape::new(1, 3, 1, 2), vec![0.5, 2.0, odd, 0.1, odd, 0.2]).into();
        picture.depth = Depth::Float;
        hdr::scaled(picture, false)
    };
    assert_eq!(texts(&picture(-0.5).unwrap().notes), ["2 values below 0 became 0"]);
    for odd in [f32::NAN, f32::INFINITY] {
        assert!(refused(picture(odd)).contains("2 infinite values (or NaN)"));
    }
    let black: Picture = Tensor::zeros(Shape::new(1, 3, 1, 2)).into();
    assert_eq!(hdr::scaled(black.clone(), true).unwrap().tensor, black.tensor);
}
