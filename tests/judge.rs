//! The discriminators with every norm against their definition in plain loops: label map and picture concatenated, whole
//! filters, one number at a time, in `f64`.

mod common;

use common::*;
use spadework::config::{ModelConfig, NormKind};
use spadework::graph::{Shape, Ty};
use spadework::model::Inputs;
use spadework::model::discriminator::{discriminator_params, discriminators};
use spadework::model::net::{Mode, Net};
use spadework::model::params::{Layout, Params, Role};
use spadework::ops::{CaseInput, Tensor};
use spadework::windows::{EDGE_BIT, ID_MASK, IdMap};
use std::collections::HashMap;

const BATCH: usize = 2;
const EPS: f64 = 1e-5;

fn at(x: &Tensor, n: usize, y: usize, column: usize, c: usize) -> f64 {
    let shape = x.shape();
    x.data()[((n * shape.h + y) * shape.w + column) * shape.c + c]
}

/// 4x4 filters over a map padded by 2 on each side.
fn conv(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, stride: usize) -> Tensor {
    let Shape { n, h, w: width, c } = x.shape();
    let cout = w.shape().c;
    let side = |side: usize| side / stride + 1;
    Tensor::from_fn(
        Shape::new(n, side(h), side(width), cout),
        |n, y, column, o| {
            let mut sum = bias.map_or(0.0, |bias| bias.data()[o]);
            for ky in 0..4 {
                for kx in 0..4 {
                    let (iy, ix) = (y * stride + ky, column * stride + kx);
                    if (2..h + 2).contains(&iy) && (2..width + 2).contains(&ix) {
                        for i in 0..c {
                            // Filters lie by row, column, input and output.
                            sum += at(x, n, iy - 2, ix - 2, i) * at(w, ky, kx, i, o);
                        }
                    }
                }
            }
            sum
        },
    )
}

/// The mean of the up to nine pixels around each second one that are there.
fn pool(x: &Tensor) -> Tensor {
    let Shape { n, h, w, c } = x.shape();
    Tensor::from_fn(
        Shape::new(n, h.div_ceil(2), w.div_ceil(2), c),
        |n, y, column, c| {
            let near = |center: usize, len: usize| {
                (2 * center).saturating_sub(1)..(2 * center + 2).min(len)
            };
            let pixels: Vec<f64> = near(y, h)
                .flat_map(|y| near(column, w).map(move |x| (y, x)))
                .map(|(y, column)| at(x, n, y, column, c))
                .collect();
            pixels.iter().sum::<f64>() / pixels.len() as f64
        },
    )
}

fn leaky(x: &Tensor) -> Tensor {
    x.map(|v| if v < 0.0 { 0.2 * v } else { v })
}

/// Mean and biased variance of the numbers that a number is normalised with.
fn moments(x: &Tensor, is_together: impl Fn([usize; 2]) -> bool) -> [f64; 2] {
    let Shape { n, h, w, c } = x.shape();
    let mut values = Vec::new();
    for sample in 0..n {
        for channel in (0..c).filter(|&channel| is_together([sample, channel])) {
            for y in 0..h {
                values.extend((0..w).map(|column| at(x, sample, y, column, channel)));
            }
        }
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count;
    [mean, variance]
}

/// The norm of a layer, and by name what running statistics become.
fn norm(
    x: &Tensor,
    kind: NormKind,
    name: &str,
    given: &HashMap<String, Tensor>,
    new: &mut HashMap<String, Vec<f64>>,
) -> Tensor {
    let Shape { n, h, w, c } = x.shape();
    let together = |[sample, channel]: [usize; 2]| {
        moments(x, |[s, k]| match kind {
            NormKind::Instance => s == sample && k == channel,
            NormKind::Group(groups) => s == sample && k * groups / c == channel * groups / c,
            _ => k == channel,
        })
    };
    if kind == NormKind::None {
        return x.clone();
    }
    let table: Vec<Vec<[f64; 2]>> = (0..n)
        .map(|sample| (0..c).map(|channel| together([sample, channel])).collect())
        .collect();
    if matches!(kind, NormKind::Batch | NormKind::SyncBatch) {
        let count = (n * h * w) as f64;
        for (end, i, factor) in [("mean", 0, 1.0), ("var", 1, count / (count - 1.0))] {
            let name = format!("{name}.running_{end}");
            let old = given[&name].data();
            let moved = (0..c).map(|c| 0.9 * old[c] + 0.1 * factor * table[0][c][i]);
            new.insert(name, moved.collect());
        }
    }
    let affine = |end: &str, c: usize, without: f64| {
        let tensor = given.get(&format!("{name}.{end}"));
        tensor.map_or(without, |tensor| tensor.data()[c])
    };
    Tensor::from_fn(x.shape(), |n, y, column, c| {
        let [mean, variance] = table[n][c];
        let scaled = (at(x, n, y, column, c) - mean) / (variance + EPS).sqrt();
        scaled * affine("weight", c, 1.0) + affine("bias", c, 0.0)
    })
}

/// What all discriminators say by the names the test gives it, and what running statistics become.
fn definition(
    config: &ModelConfig,
    both: &Tensor,
    given: &HashMap<String, Tensor>,
) -> (HashMap<String, Tensor>, HashMap<String, Vec<f64>>) {
    let (mut said, mut new) = (HashMap::new(), HashMap::new());
    let mut seen = both.clone();
    for scale in 0..config.num_d {
        if scale > 0 {
            seen = pool(&seen);
        }
        let mut x = seen.clone();
        for layer in 0..=config.n_layers_d {
            let is_last = layer == config.n_layers_d;
            let stride = if layer + 1 < config.n_layers_d { 2 } else { 1 };
            let block = format!("D.discriminator_{scale}.model{layer}.0");
            let is_normed = layer > 0 && !is_last && config.norm_d.kind != NormKind::None;
            let name = if is_normed {
                format!("{block}.0")
            } else {
                block.clone()
            };
            let filters = &given[&format!("{name}.weight")];
            x = conv(&x, filters, given.get(&format!("{name}.bias")), stride);
            if is_normed {
                x = norm(
                    &x,
                    config.norm_d.kind,
                    &format!("{block}.1"),
                    given,
                    &mut new,
                );
            }
            if !is_last {
                x = leaky(&x);
            }
            let what = if is_last {
                "logits".into()
            } else {
                format!("feature {layer}")
            };
            said.insert(format!("{what} of {scale}"), x.clone());
        }
    }
    (said, new)
}

fn given(params: &Params, seed: &str) -> HashMap<String, Tensor> {
    let mut noise = Noise::new(seed);
    let tensor = |spec: &spadework::model::params::ParamSpec| {
        let shape = spec.shape();
        let input = match spec.layout {
            Layout::Filter => CaseInput::Weight {
                shape,
                cin: spec.dims[1],
            },
            _ if spec.role == Role::Buffer => CaseInput::range(shape, 0.5, 1.0),
            _ => CaseInput::range(shape, 0.25, 1.0),
        };
        (spec.name.clone(), noise.tensor(&input))
    };
    params.specs().iter().map(tensor).collect()
}

fn check(norm_d: &str) {
    let config = ModelConfig {
        label_nc: 3,
        edges: true,
        ndf: 4,
        crop_size: 32,
        norm_d: norm_d.parse().unwrap(),
        ..ModelConfig::default()
    };
    let params = discriminator_params(&config);
    let given = given(&params, norm_d);
    let [h, w] = config.output();
    let symbol = |i: usize| {
        let (y, x) = (i / w % h, i % w);
        let label = ((x + y / 3) / 9 + i / (h * w)) as u32 % 3;
        label | if (x + y / 3) % 9 == 0 { EDGE_BIT } else { 0 }
    };
    let ids: Vec<u32> = (0..BATCH * h * w).map(symbol).collect();
    let labels = IdMap {
        n: BATCH,
        h,
        w,
        ids,
    };
    let shape = Shape::new(BATCH, h, w, 3);
    let pictures = Noise::new("pictures").tensor(&CaseInput::dense(shape));
    let channels = config.semantic_nc();
    let both = Tensor::from_fn(Shape::new(BATCH, h, w, channels + 3), |n, y, x, c| {
        let symbol = labels.ids[(n * h + y) * w + x];
        let is_edge = symbol & EDGE_BIT != 0 && c + 1 == channels;
        match c < channels {
            true => f64::from(u8::from((symbol & ID_MASK) as usize == c || is_edge)),
            false => at(&pictures, n, y, x, c - channels),
        }
    });
    let (said, new) = definition(&config, &both, &given);

    let inputs = Inputs::training(&config, BATCH);
    let mut net = Net::new(&params, Mode::Training);
    let seen = net.graph.input("pictures", Ty::Dense(shape)).unwrap();
    let verdicts = discriminators(&mut net, &config, &inputs, seen).unwrap();
    for (scale, verdict) in verdicts.iter().enumerate() {
        for (layer, &feature) in verdict.features.iter().enumerate() {
            net.graph
                .output(&format!("feature {layer} of {scale}"), feature);
        }
        net.graph
            .output(&format!("logits of {scale}"), verdict.logits);
    }
    let commits = net.commits().to_vec();
    assert_eq!(commits.len(), new.len(), "{norm_d}: running statistics");
    for (state, value) in commits {
        let name = net.graph.label(state);
        net.graph.output(&name, value);
    }
    let mut values: HashMap<_, _> = given
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.to_device(0.0)))
        .collect();
    values.insert("pictures".into(), pictures.to_device(0.0));
    // Of all tables the patches of the judges are the last.
    let table = inputs.table_names().last().unwrap();
    let words = inputs.tables(&labels).unwrap().pop().unwrap();
    let index = HashMap::from([(table, words), (inputs.symbols_name(), labels.ids.clone())]);
    for gpu in gpus() {
        let got = run_on(gpu, &net.graph, &values, &index);
        for (name, want) in &said {
            let what = format!("{:?} {norm_d} {name}", gpu.family);
            let got = Tensor::from_device(want.shape(), &got[name]);
            // Five layers of f32, each some 16 roundings deep.
            let limit = 1e-5 * max_abs(want.data());
            assert_close(&what, got.data(), want.data(), limit);
        }
        for (name, want) in &new {
            let got = Tensor::from_device(Shape::vector(want.len()), &got[name]);
            assert_close(name, got.data(), want, 1e-5 * max_abs(want));
        }
    }
}

#[test]
fn judges_with_norms_over_the_batch() {
    check("batch");
    check("sync_batch");
}

#[test]
fn judges_with_norms_over_groups() {
    check("group4");
    check("layer");
}

#[test]
fn judges_with_norms_of_each_map_or_none() {
    check("instance");
    check("none");
}
