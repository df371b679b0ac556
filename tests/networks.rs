//! What networks say of themselves.

mod support;

use sasnet::low_level::net::{Latent, Network, Sasnet, Sizes, Unet};
use sasnet::{Device, Options, Shape, Smoother, Tensor, Weights};

/// How far from the middle the result changes where one pixel there does, in a picture of `side` x `side`.
fn reach(network: &Network, side: usize) -> usize {
    let shape = Shape::new(1, 3, side, side);
    let mut x = Tensor::new(shape, (0..shape.len()).map(|i| 0.3 + (i * 7919 % 401) as f32 / 1000.0).collect());
    let mut smoother = Smoother::new(support::with_latent(Weights::initial(network, 3)), Device::Cpu);
    let options = Options::default().with_noise(0.0);
    let before = smoother.smooth(&x, &options).unwrap();
    let middle = side / 2;
    x.data[middle * side + middle] += 0.25;
    let after = smoother.smooth(&x, &options).unwrap();
    let changed = before.data.iter().zip(&after.data).enumerate().filter(|(_, (a, b))| a != b);
    changed.map(|(i, _)| (i % side).abs_diff(middle).max((i / side % side).abs_diff(middle))).max().expect("it changes")
}

#[test]
fn a_pixel_is_felt_within_the_receptive_field() {
    let sasnet = |blocks: &[usize]| Sasnet::new(blocks, 4).unwrap().with_attention(false);
    let networks: [(Network, usize); 5] = [
        (sasnet(&[1]).into(), 128),
        (sasnet(&[2]).with_latent(Latent::Keep).into(), 192),
        (sasnet(&[1, 1]).into(), 256),
        (Unet::new(2, true).unwrap().into(), 288),
        (Unet::new(2, false).unwrap().into(), 288),
    ];
    for (network, side) in networks {
        let field = network.receptive_field().expect("without attention there is one");
        assert!(2 * field < side, "the picture is larger than the field of {field}");
        let reach = reach(&network, side);
        println!("{}: a pixel reaches {reach} of {field}", network.describe());
        assert!(reach <= field && 3 * reach > field, "{}: {reach}, not {field}", network.describe());
    }
    assert_eq!(Network::default().receptive_field(), None, "attention sees the whole picture");
}

#[test]
fn networks_are_built_by_name() {
    for name in Network::names() {
        let mut sizes = Sizes::default();
        sizes.features = Some(5);
        let network = Network::build(name, &sizes).unwrap();
        assert_eq!((network.name(), network.metadata()["features"].as_str()), (name, "5"));
        sizes.features = Some(0);
        assert!(Network::build(name, &sizes).unwrap_err().to_string().contains("features are 0"));
    }
    let mut sizes = Sizes::default();
    sizes.blocks = Some(vec![2]);
    let error = Network::build("unet", &sizes).unwrap_err().to_string();
    assert_eq!(error, "an architecture unet has no blocks to choose");
    let error = Network::build("resnet50", &Sizes::default()).unwrap_err().to_string();
    assert_eq!(error, "there is no architecture resnet50; give one of: sasnet, unet, autoencoder");
}
