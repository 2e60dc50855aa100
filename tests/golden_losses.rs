//! Losses, spectral normalisation and Adam against the values of an independent float64 implementation (see
//! `fixtures/README.md`).

mod common;

use common::golden::{Check, Golden, Layout};
use spadework::Result;
use spadework::config::{GanMode, OptimConfig};
use spadework::graph::{Shape, ValueId};
use spadework::model::discriminator::Verdict;
use spadework::model::losses::{Side, feature_matching, gan_loss};
use spadework::model::net::{Mode, Net};
use spadework::model::params::Params;
use spadework::ops::adam::Adam;
use spadework::ops::loss::{KlDivergence, Reparameterise};
use spadework::ops::spectral::{PowerIteration, SpectralScale};
use spadework::ops::{Op, Real, Tensor};

fn golden() -> Golden {
    Golden::open("ops.safetensors")
}

/// The graph of a check with a loss that the model assembles added, which must equal the stored one; returns the loss
/// and the gradient to start from.
fn expect_loss(
    check: &mut Check,
    loss: impl FnOnce(&mut Net) -> Result<ValueId>,
) -> (ValueId, ValueId) {
    let params = Params::default();
    let mut net = Net::new(&params, Mode::Training);
    std::mem::swap(&mut net.graph, &mut check.graph);
    let loss = loss(&mut net).unwrap();
    std::mem::swap(&mut net.graph, &mut check.graph);
    check.expect("loss", Layout::Vector, loss);
    (loss, check.given("gloss", Layout::Vector))
}

#[test]
fn adversarial_losses() {
    let golden = golden();
    for (name, mode) in [
        ("hinge", GanMode::Hinge),
        ("ls", GanMode::Ls),
        ("original", GanMode::Original),
        ("w", GanMode::W),
    ] {
        let sides = [
            ("d_real", Side::Real),
            ("d_fake", Side::Fake),
            ("g", Side::Generator),
        ];
        for (side_name, side) in sides {
            let mut check = Check::new(&golden, &format!("gan.{name}.{side_name}"));
            let logits = ["l0", "l1"].map(|name| check.given(name, Layout::Map));
            let (loss, seed) = expect_loss(&mut check, |net| gan_loss(net, &logits, mode, side));
            let wanted = [
                ("gl0", Layout::Map, logits[0]),
                ("gl1", Layout::Map, logits[1]),
            ];
            check.expect_gradients(loss, seed, &wanted);
            check.run();
        }
    }
}

/// Ten times the sum over layers, averaged over two scales.
#[test]
fn matched_features() {
    let golden = golden();
    let mut check = Check::new(&golden, "featmatch");
    let names = ["f00", "f01", "f02", "f10", "f11", "f12"];
    let fakes = names.map(|name| check.given(name, Layout::Map));
    let reals = names.map(|name| check.given(&format!("real_{name}"), Layout::Map));
    let scales = |features: &[ValueId]| -> Vec<Verdict> {
        let scales = features.chunks(3);
        let verdict = |features: &[ValueId]| Verdict {
            features: features.to_vec(),
            logits: features[0],
        };
        scales.map(verdict).collect()
    };
    let (fake, real) = (scales(&fakes), scales(&reals));
    let (loss, seed) = expect_loss(&mut check, |net| feature_matching(net, &fake, &real, 10.0));
    let gradients = names.map(|name| format!("g{name}"));
    let wanted: Vec<_> = gradients
        .iter()
        .zip(fakes)
        .map(|(name, fake)| (name.as_str(), Layout::Map, fake))
        .collect();
    check.expect_gradients(loss, seed, &wanted);
    check.run();
}

#[test]
fn divergence_of_codes() {
    let golden = golden();
    let mut check = Check::new(&golden, "kld");
    let codes = ["mu", "logvar"].map(|name| check.given(name, Layout::Map));
    let (loss, seed) = expect_loss(&mut check, |net| net.apply(KlDivergence {}, &codes));
    let wanted = [
        ("gmu", Layout::Map, codes[0]),
        ("glogvar", Layout::Map, codes[1]),
    ];
    check.expect_gradients(loss, seed, &wanted);
    check.run();
}

#[test]
fn drawn_codes() {
    let golden = golden();
    let mut check = Check::new(&golden, "reparam");
    let arguments = ["mu", "logvar", "eps"].map(|name| check.given(name, Layout::Map));
    let seed = check.given("gz", Layout::Map);
    let z = check.graph.apply(Reparameterise {}, &arguments).unwrap();
    check.expect("z", Layout::Map, z);
    let wanted = [
        ("gmu", Layout::Map, arguments[0]),
        ("glogvar", Layout::Map, arguments[1]),
    ];
    check.expect_gradients(z, seed, &wanted);
    check.run();
}

/// Three forwards of training, then evaluation with the vectors they left.
#[test]
fn spectral_norm() {
    let golden = golden();
    let mut check = Check::new(&golden, "sn");
    let w = check.given("weight_orig", Layout::Weight);
    let seed = check.given("gw", Layout::Weight);
    let taps = Layout::Taps(3, 3);
    let mut u = check.given("u0", Layout::Vector);
    for forward in 1..=3 {
        let name = |what: &str| format!("{what}{forward}");
        let iteration = PowerIteration { cin: 3 };
        let vectors = check.graph.apply_all(iteration, &[w, u]).unwrap();
        u = vectors[0];
        let arguments = [w, u, vectors[1]];
        let scaled = check.graph.apply_all(SpectralScale {}, &arguments).unwrap();
        check.expect(&name("u"), Layout::Vector, u);
        check.expect(&name("v"), taps, vectors[1]);
        check.expect(&name("w"), Layout::Weight, scaled[0]);
        check.expect(&name("sigma"), Layout::Vector, scaled[1]);
        let gradient = name("gweight_orig");
        check.expect_gradients(scaled[0], seed, &[(&gradient, Layout::Weight, w)]);
    }
    check.run();
    let mut check = Check::new(&golden, "sn");
    let arguments = [
        check.given("weight_orig", Layout::Weight),
        check.given("u3", Layout::Vector),
        check.given("v3", taps),
    ];
    let scaled = check.graph.apply(SpectralScale {}, &arguments).unwrap();
    check.expect("w_eval", Layout::Weight, scaled);
    check.run();
}

/// Runs of one to five updates: they happen in place, so only the last of a run can be seen.
#[test]
fn adam() {
    let golden = golden();
    for (name, beta1, beta2) in [("ttur", 0.0, 0.9), ("plain", 0.5, 0.999)] {
        for updates in 1..=5 {
            let mut check = Check::new(&golden, &format!("adam.{name}"));
            let adam = Adam {
                beta1: Real(beta1),
                beta2: Real(beta2),
                eps: Real(1e-8),
            };
            let p = check.given("p0", Layout::Vector);
            let shape = check.graph.shape(p);
            let mut states = vec![p];
            let moments = ["m", "v"].map(|name| (name, Tensor::zeros(shape)));
            for (name, zero) in moments.into_iter().skip(usize::from(beta1 == 0.0)) {
                states.push(check.given_tensor(name, zero));
            }
            let up = Tensor::dense(Shape::vector(1), vec![1.0]);
            let flag = check.given_tensor("flag", up);
            for step in 1..=updates {
                let hyper = adam.hyper(4e-4, step).map(f64::from);
                let hyper = Tensor::dense(Shape::vector(4), hyper.into());
                let mut arguments = states;
                arguments.push(check.given(&format!("g{}", step - 1), Layout::Vector));
                arguments.push(check.given_tensor(&format!("hyper{step}"), hyper));
                arguments.push(flag);
                let op = Op::from(adam.clone());
                states = check.graph.apply_all(op, &arguments).unwrap();
            }
            check.expect(&format!("p{updates}"), Layout::Vector, states[0]);
            check.run();
        }
    }
}

#[test]
fn learning_rates() {
    let schedule = OptimConfig {
        ttur: false,
        niter: 3,
        niter_decay: 4,
        ..OptimConfig::default()
    };
    let (_, want) = golden().numbers("lr_schedule.lr2e-4_niter3_decay4");
    assert_eq!(want.len(), schedule.epochs());
    for (epoch, want) in (1..).zip(want) {
        let (generator, discriminator) = schedule.rates(epoch);
        assert_eq!(generator, discriminator);
        assert_eq!(generator as f32, want as f32, "epoch {epoch}");
    }
}
