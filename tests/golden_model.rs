//! Parts of the networks against the values of an independent float64 implementation (see `fixtures/README.md`).

mod common;

use common::golden::{Check, Golden, Layout};
use spadework::config::{InitConfig, ModelConfig};
use spadework::convert::read_weights;
use spadework::graph::shape::Windows;
use spadework::graph::{Ty, ValueId};
use spadework::model::encoder::{encoder, encoder_params};
use spadework::model::losses::perceptual;
use spadework::model::net::{Mode, Net};
use spadework::model::params::{self, Params};
use spadework::model::spade::{Around, Level, Norm, block, block_params, spade, spade_params};
use spadework::model::vgg::{vgg, vgg_params};
use spadework::ops::Tensor;
use spadework::ops::norm::EpsRule;
use spadework::windows::{IdMap, Tier, WindowSpec, build_tables};

/// Classes of the recorded label maps, and the hidden width of the recorded layers.
const CLASSES: usize = 4;
const HIDDEN: usize = 8;

fn layout(layout: params::Layout) -> Layout {
    match layout {
        params::Layout::Filter => Layout::Weight,
        params::Layout::Vector => Layout::Vector,
        params::Layout::Unfolded { kh, kw } => Layout::Taps(kh, kw),
        params::Layout::FromMap { .. } | params::Layout::ToMap { .. } => {
            unreachable!("layers of labels and filters only")
        }
    }
}

/// The recorded label map at the size of x, as both tiers of tables: types and words.
fn tables(golden: &Golden, prefix: &str, k: usize) -> Vec<(Ty, Vec<u32>)> {
    let (extents, labels) = golden.numbers(&format!("{prefix}.label"));
    let x = golden.tensor(&format!("{prefix}.x"), Layout::Map).shape();
    let labels: Vec<u32> = labels.iter().map(|&label| label as u32).collect();
    let map = IdMap::from_labels([extents[0], extents[2], extents[3]], &labels, None);
    let spec = |tier| WindowSpec {
        h: x.h,
        w: x.w,
        k,
        stride: 1,
        pad: k / 2,
        tier,
    };
    let specs = [spec(Tier::Labels), spec(Tier::Of(0))];
    let words = build_tables(&map, CLASSES, None, &specs);
    let pixels = x.rows();
    let ty = |channels| {
        Ty::Windows(Windows {
            pixels,
            taps: k * k,
            channels,
        })
    };
    [ty(CLASSES), ty(pixels)].into_iter().zip(words).collect()
}

/// Checks result, gradients and new state of a part of the generator, its tensors recorded behind `p.`.
fn check_part(
    prefix: &str,
    params: &Params,
    k: usize,
    part: impl FnOnce(&mut Net, ValueId, Level) -> ValueId,
) {
    let golden = Golden::open("ops.safetensors");
    let mut net = Net::new(params, Mode::Training);
    let mut check = Check::new(&golden, prefix);
    let mut tables = tables(&golden, prefix, k).into_iter();
    let mut table = |net: &mut Net, name: &str| {
        let (ty, words) = tables.next().unwrap();
        check.given_index(name, ty, words);
        net.graph.input(name, ty).unwrap()
    };
    let level = Level::Windows {
        hidden: table(&mut net, "hidden"),
        modulation: table(&mut net, "modulation"),
    };
    let shape = check.wanted("x", Layout::Map);
    let x = net.graph.state("x", shape).unwrap();
    let y = part(&mut net, x, level);
    let commits = net.commits().to_vec();
    check.graph = net.graph;
    check.given("x", Layout::Map);
    let seed = check.given("gy", Layout::Map);
    check.expect("y", Layout::Map, y);
    let mut wanted = vec![("gx".to_owned(), Layout::Map, x)];
    for spec in params.specs() {
        // Single layers were recorded without running values, and a power iteration starts from u alone.
        let is_recorded = !golden.names(&format!("{prefix}.{}", spec.name)).is_empty();
        if !is_recorded || spec.name.ends_with(".weight_v") {
            continue;
        }
        // The bias in front of a norm has no gradient but rounding noise.
        let is_cancelled = spec.name == "p.conv_0.bias";
        let value = check.given(&spec.name, layout(spec.layout));
        if spec.role == params::Role::Trained && !is_cancelled {
            let name = format!("g{}", spec.name);
            wanted.push((name, layout(spec.layout), value));
        }
    }
    for (state, new) in commits {
        let name = check.graph.label(state);
        let spec = params.get(&name).unwrap();
        let after = name.replacen("p.", "after.", 1);
        if golden.names(&format!("{prefix}.{after}")).is_empty() {
            continue;
        }
        check.expect(&after, layout(spec.layout), new);
    }
    let wanted: Vec<_> = wanted
        .iter()
        .map(|(n, l, v)| (n.as_str(), *l, *v))
        .collect();
    check.expect_gradients(y, seed, &wanted);
    check.run();
}

fn norm(text: &str) -> Norm {
    Norm {
        kind: text.parse().unwrap(),
        rule: EpsRule::Add,
    }
}

#[test]
fn spade_layers() {
    for (prefix, text) in [
        ("spade.batch3x3", "spadebatch3x3"),
        ("spade.instance5x5", "spadeinstance5x5"),
    ] {
        let norm = norm(text);
        let mut params = Params::new(InitConfig::default());
        spade_params(&mut params, "p", norm.kind, [6, HIDDEN, CLASSES]);
        let around = Around {
            up: false,
            leaky: false,
        };
        check_part(prefix, &params, norm.kind.kernel, |net, x, level| {
            spade(net, x, "p", level, norm, around).unwrap()
        });
    }
}

#[test]
fn residual_blocks() {
    for (prefix, fout) in [("block.same", 6), ("block.shortcut", 4)] {
        let norm = norm("spectralspadebatch3x3");
        let mut params = Params::new(InitConfig::default());
        block_params(&mut params, "p", norm.kind, [6, fout], [HIDDEN, CLASSES]);
        check_part(prefix, &params, 3, |net, x, level| {
            block(net, x, "p", level, norm, false).unwrap()
        });
    }
}

#[test]
fn perceptual_loss() {
    let golden = Golden::open("ops.safetensors");
    let params = vgg_params(16);
    let mut net = Net::new(&params, Mode::Training);
    let mut check = Check::new(&golden, "vgg");
    let shape = check.wanted("x", Layout::Map);
    let [x, real] = ["x", "real"].map(|name| net.graph.state(name, shape).unwrap());
    let features = vgg(&mut net, x).unwrap();
    let loss = perceptual(&mut net, x, real, 1.0).unwrap();
    check.graph = net.graph;
    check.given("x", Layout::Map);
    check.given("real", Layout::Map);
    for spec in params.specs() {
        let recorded = spec.name.replacen("vgg.", "vgg.p.", 1);
        let tensor = golden.tensor(&recorded, layout(spec.layout));
        check.given_tensor(&spec.name, tensor);
    }
    for (i, feature) in features.into_iter().enumerate() {
        check.expect(&format!("tap{i}"), Layout::Map, feature);
    }
    check.expect("loss", Layout::Vector, loss);
    let seed = check.given("gloss", Layout::Vector);
    check.expect_gradients(loss, seed, &[("gx", Layout::Map, x)]);
    check.run();
}

#[test]
fn encoder_of_a_pytorch_file() {
    let golden = Golden::open("encoder.safetensors");
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/pth_encoder_legacy.pth"
    );
    let weights = read_weights(path.as_ref()).unwrap();
    let config = ModelConfig {
        ngf: 1,
        ..ModelConfig::default()
    };
    let params = encoder_params(&config);
    let mut net = Net::new(&params, Mode::Evaluation);
    let mut check = Check::new(&golden, "");
    let shape = check.wanted("image", Layout::Map);
    let photos = net.graph.state("image", shape).unwrap();
    let code = encoder(&mut net, &config, photos).unwrap();
    check.graph = net.graph;
    check.given("image", Layout::Map);
    for spec in params.specs() {
        let tensor = &weights.tensors[spec.name.trim_start_matches("E.")];
        assert_eq!(tensor.shape, spec.dims, "{}", spec.name);
        let values = spec.pack(&tensor.data).unwrap();
        check.given_tensor(&spec.name, Tensor::from_device(spec.shape(), &values));
    }
    check.expect("mu", Layout::Map, code.mu);
    check.expect("logvar", Layout::Map, code.logvar);
    check.run();
}
