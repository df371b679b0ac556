//! What networks say of themselves.

mod support;

use sasnet::low_level::exec::CpuExecutor;
use sasnet::low_level::kernel::RunParams;
use sasnet::low_level::net::{JessNet, Latent, Network, ResNet, Sasnet, Sizes, Unet};
use sasnet::low_level::ops::Graph;
use sasnet::{Shape, Weights};

/// How far from a pixel of the result the pixels lie that it depends on, in a picture of `side` x `side`: those where
/// its gradient is not 0. In f64, whose convolutions add nothing that cancels.
fn reach(network: &Network, side: usize) -> usize {
    let shape = Shape::new(1, 3, side, side);
    let network = &network.folded();
    let mut g = Graph::new(network.layout());
    let [x, dy] = ["x", "dy"].map(|name| g.input(name, shape));
    let y = network.smooth(&mut g, &[x], true).unwrap()[0];
    let (_, dx) = g.vjp(&[(y, Some(dy))], &[x]).unwrap();
    g.output(dx[0]);
    let params = g.params();
    let mut exec = CpuExecutor::<f64>::new(g).unwrap();
    let weights = support::with_latent(Weights::initial(network, 3));
    exec.get_mut(params).iter_mut().zip(&weights.params).for_each(|(to, from)| *to = f64::from(*from));
    exec.get_mut(x).iter_mut().enumerate().for_each(|(i, v)| *v = 0.3 + (i * 7919 % 401) as f64 / 1000.0);
    let middle = side / 2;
    exec.get_mut(dy)[middle * side + middle] = 1.0;
    exec.run(&RunParams::default());
    let depends = exec.get(dx[0]).iter().enumerate().filter(|(_, d)| **d != 0.0);
    depends.map(|(i, _)| (i % side).abs_diff(middle).max((i / side % side).abs_diff(middle))).max().expect("it depends")
}

#[test]
fn a_pixel_is_felt_within_the_receptive_field() {
    let sasnet = |blocks: &[usize]| Sasnet::new(blocks, 4).unwrap().with_attention(false);
    let networks: [(Network, usize); 7] = [
        (sasnet(&[1]).into(), 128),
        (sasnet(&[2]).with_latent(Latent::Keep).into(), 192),
        (sasnet(&[1, 1]).into(), 256),
        (Unet::new(8, true).unwrap().into(), 288),
        (Unet::new(8, false).unwrap().into(), 288),
        (ResNet::new(3, 8).unwrap().into(), 64),
        (JessNet::new([1, 2, 1], 8).unwrap().into(), 128),
    ];
    for (network, side) in networks {
        let field = network.receptive_field().expect("without attention there is one");
        assert!(2 * field < side, "the picture is larger than the field of {field}");
        let reach = reach(&network, side);
        println!("{}: a pixel reaches {reach} of {field}", network.describe());
        assert!(reach <= field && 2 * reach > field, "{}: {reach}, not {field}", network.describe());
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
        assert_eq!(network.sizes().features, Some(5), "{name}");
        assert_eq!(Network::build(name, &network.sizes()).unwrap(), network, "{name}");
        sizes.features = Some(0);
        assert!(Network::build(name, &sizes).unwrap_err().to_string().contains("features are 0"));
    }
    let mut sizes = Sizes::default();
    sizes.blocks = Some(vec![2]);
    let error = Network::build("unet", &sizes).unwrap_err().to_string();
    assert_eq!(error, "an architecture unet has no blocks to choose");
    let error = Network::build("resnet50", &Sizes::default()).unwrap_err().to_string();
    assert_eq!(
        error,
        "there is no architecture resnet50; give one of: sasnet, unet, autoencoder, resnet, jessnet, drf, deaf"
    );
}
