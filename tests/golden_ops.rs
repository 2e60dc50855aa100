//! Single operations against the values of an independent float64 implementation (see `fixtures/README.md`).

mod common;

use common::golden::{Check, Golden, Layout};
use spadework::graph::{Graph, Shape, ValueId};
use spadework::ops::activation::{Activation, Kind};
use spadework::ops::norm::{EpsRule, Norm, NormGiven, RunningUpdate};
use spadework::ops::resample::{AvgPool3, Bilinear, MaxPool2, NearestResize, Upsample2};
use spadework::ops::{Op, Real};

const EPS: Real = Real(1e-5);

fn golden() -> Golden {
    Golden::open("ops.safetensors")
}

/// An operation from one map to one map, forward and backward.
fn check_map(golden: &Golden, prefix: &str, op: impl Into<Op>) {
    let op = op.into();
    check_layer(golden, prefix, |graph, x| {
        graph.apply_all(op, &[x]).unwrap()[0]
    });
}

fn check_layer(golden: &Golden, prefix: &str, layer: impl FnOnce(&mut Graph, ValueId) -> ValueId) {
    let mut check = Check::new(golden, prefix);
    let (x, seed) = (
        check.given("x", Layout::Map),
        check.given("gy", Layout::Map),
    );
    let y = layer(&mut check.graph, x);
    check.expect("y", Layout::Map, y);
    check.expect_gradients(y, seed, &[("gx", Layout::Map, x)]);
    check.run();
}

#[test]
fn instance_norm() {
    let norm = Norm {
        per_sample: true,
        eps: EPS,
        rule: EpsRule::Add,
    };
    check_map(&golden(), "norm.instance", norm);
}

/// Batch norm in training, with the step of its running statistics; the second kind is the one across devices.
#[test]
fn batch_norm() {
    let golden = golden();
    for (prefix, rule) in [
        ("norm.batch", EpsRule::Add),
        ("norm.batch_multidevice", EpsRule::Max),
    ] {
        let mut check = Check::new(&golden, prefix);
        let (x, seed) = (
            check.given("x", Layout::Map),
            check.given("gy", Layout::Map),
        );
        let norm = Norm {
            per_sample: false,
            eps: EPS,
            rule,
        };
        let results = check.graph.apply_all(norm, &[x]).unwrap();
        check.expect("y", Layout::Map, results[0]);
        check.expect_gradients(results[0], seed, &[("gx", Layout::Map, x)]);
        let pixels = check.graph.shape(x).rows() as f32;
        let unbiased = pixels / (pixels - 1.0);
        for (name, factor, statistic) in [("mean", 1.0, results[1]), ("var", unbiased, results[2])]
        {
            let running = check.given(&format!("running_{name}0"), Layout::Vector);
            let update = RunningUpdate {
                momentum: Real(0.1),
                factor: Real(factor),
            };
            let new = check.graph.apply(update, &[running, statistic]);
            check.expect(&format!("running_{name}1"), Layout::Vector, new.unwrap());
        }
        check.run();
    }
}

#[test]
fn batch_norm_in_evaluation() {
    let golden = golden();
    let mut check = Check::new(&golden, "norm.batch_eval");
    let (x, seed) = (
        check.given("x", Layout::Map),
        check.given("gy", Layout::Map),
    );
    let mean = check.given("running_mean0", Layout::Vector);
    let variance = check.given("running_var0", Layout::Vector);
    let y = check
        .graph
        .apply(NormGiven { eps: EPS }, &[x, mean, variance])
        .unwrap();
    check.expect("y", Layout::Map, y);
    check.expect_gradients(y, seed, &[("gx", Layout::Map, x)]);
    check.run();
}

#[test]
fn activations() {
    let golden = golden();
    for (prefix, kind) in [
        ("relu", Kind::Relu),
        ("lrelu", Kind::LeakyRelu),
        ("tanh", Kind::Tanh),
    ] {
        check_map(&golden, prefix, Activation { kind });
    }
}

#[test]
fn resizing() {
    let golden = golden();
    check_map(&golden, "up2", Upsample2 {});
    for i in 0..4 {
        let prefix = format!("nearest.{i}");
        let size = golden.numbers(&format!("{prefix}.size")).1;
        let [h, w] = [0, 1].map(|axis| size[axis] as usize);
        check_map(&golden, &prefix, NearestResize { h, w });
    }
    for i in 0..3 {
        let mut check = Check::new(&golden, &format!("bilinear.{i}"));
        let x = check.given("x", Layout::Map);
        let Shape { h, w, .. } = check.wanted("y", Layout::Map);
        let y = check.graph.apply(Bilinear { h, w }, &[x]).unwrap();
        check.expect("y", Layout::Map, y);
        check.run();
    }
}

#[test]
fn pooling() {
    let golden = golden();
    for size in ["even", "odd"] {
        check_map(&golden, &format!("avgpool3.{size}"), AvgPool3 {});
        check_map(&golden, &format!("maxpool2.{size}"), MaxPool2 {});
    }
}
