//! Pages and frames.

use super::*;
use std::time::Duration;

pub(super) fn frames() -> Vec<Picture> {
    let frame = |i: usize| {
        let mut picture = sample(6, 9, false, Depth::Eight);
        picture.tensor.data.iter_mut().for_each(|v| *v = ((*v * 255.0) as usize / 64 * 64 + i * 20) as f32 / 255.0);
        picture.delay = Some(Duration::from_millis(40 * (i as u64 + 1)));
        picture.metadata.loops = 3;
        picture
    };
    (0..3).map(frame).collect()
}

fn pages_of(bytes: &[u8]) -> Vec<Picture> {
    decode_pages(bytes, None, &ReadOptions::default()).unwrap()
}

#[test]
fn all_frames_of_an_animation_come_and_go() {
    for alpha in [false, true] {
        let mut pictures = frames();
        if alpha {
            let alpha: Vec<f32> = (0..54).map(|i| f32::from(u8::from(i % 5 > 0))).collect();
            pictures.iter_mut().for_each(|picture| picture.alpha = Some(alpha.clone()));
        }
        for format in [Format::Png, Format::WebP, Format::Gif] {
            let bytes = encode_pages(&pictures, format, &WriteOptions::default()).unwrap();
            let back = pages_of(&bytes);
            assert_eq!(back.len(), 3, "{format}");
            for (a, b) in back.iter().zip(&pictures) {
                assert_eq!((a.delay, a.metadata.loops, &a.alpha), (b.delay, 3, &b.alpha), "{format}");
                let visible = |i: &usize| b.alpha.as_ref().is_none_or(|alpha| alpha[i % 54] > 0.0);
                let worst =
                    (0..162).filter(visible).map(|i| (a.tensor.data[i] - b.tensor.data[i]).abs()).fold(0.0, f32::max);
                // A palette of 256 has room for these colours, not for each of them exactly.
                assert!(worst * 255.0 <= if format == Format::Gif { 8.0 } else { 0.0 }, "{format}: {worst}");
            }
            let text = refused(decode(&bytes, None));
            assert!(text.contains("3 pictures"), "one frame is never taken for all: {text}");
            assert_eq!(decode_size(&bytes, None).unwrap(), (6, 9));
        }
    }
    for format in [Format::Jpeg, Format::Bmp, Format::Qoi] {
        let text = refused(check(&frames(), format, &WriteOptions::default()));
        assert!(text.contains("3 frames") && text.contains(".gif"), "{text}");
    }
    let told = check(&frames(), Format::Tiff, &WriteOptions::default()).unwrap();
    assert_eq!(texts(&told), ["frames became pages, without the time that each is shown"]);
}

#[test]
fn a_single_frame_is_a_picture() {
    let bytes = encode(&frames()[0], Format::Gif, &WriteOptions::default()).unwrap();
    assert_eq!(decode(&bytes, None).unwrap().delay, None);
}

#[test]
fn all_pages_of_a_tiff_come_and_go() {
    let mut pages = vec![
        sample(6, 9, false, Depth::Eight),
        sample(3, 4, true, Depth::Sixteen),
        grey(sample(8, 2, false, Depth::Eight)),
    ];
    pages[1].metadata.xmp = Some(b"<x/>".to_vec());
    let bytes = encode_pages(&pages, Format::Tiff, &WriteOptions::default()).unwrap();
    assert_eq!(pages_of(&bytes), pages);
    assert!(refused(decode(&bytes, None)).contains("3 pictures"));
    for format in [Format::Png, Format::Jpeg] {
        let text = refused(encode_pages(&pages, format, &WriteOptions::default()));
        assert!(text.contains("3 pages") && text.contains(".tif"), "{text}");
    }
}
