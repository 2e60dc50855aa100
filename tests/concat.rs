//! The baseline generator through label windows against its dense definition: a one-hot map, resized to each size,
//! concatenated and convolved with whole filters. In `f64`, with the gradients of all parameters and all new state.

mod common;

use common::*;
use spadework::config::{ModelConfig, NetG};
use spadework::cpu;
use spadework::graph::autodiff::gradients;
use spadework::graph::{Graph, Shape, Ty, ValueId};
use spadework::model::Inputs;
use spadework::model::generator::{generator, generator_params};
use spadework::model::net::{Mode, Net};
use spadework::model::params::{Layout, Params, Role};
use spadework::ops::activation::{Activation, Kind};
use spadework::ops::conv2d::Conv2d;
use spadework::ops::copy::{Axis, Concat};
use spadework::ops::elementwise::Add;
use spadework::ops::norm::{Affine, EpsRule, Norm, RunningUpdate};
use spadework::ops::resample::{NearestResize, Upsample2};
use spadework::ops::spectral::{PowerIteration, SpectralScale};
use spadework::ops::{CaseInput, Op, Real, Tensor};
use spadework::windows::{EDGE_BIT, ID_MASK, IdMap};
use std::collections::HashMap;

/// Blocks of the smallest generator and whether their input is doubled first.
const BLOCKS: [(&str, bool); 7] = [
    ("head_0", false),
    ("G_middle_0", true),
    ("G_middle_1", false),
    ("up_0", true),
    ("up_1", true),
    ("up_2", true),
    ("up_3", true),
];

/// The dense network under construction.
struct Dense<'a> {
    graph: Graph,
    params: &'a Params,
    one_hot: ValueId,
    new: Vec<(String, ValueId)>,
}

impl Dense<'_> {
    fn apply(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        self.graph.apply(op, inputs).unwrap()
    }

    fn param(&mut self, name: &str) -> ValueId {
        let shape = self.params.get(name).unwrap().shape();
        self.graph.state(name, shape).unwrap()
    }

    /// The one-hot map at the size of `x`.
    fn labels_like(&mut self, x: ValueId) -> ValueId {
        let Shape { h, w, .. } = self.graph.shape(x);
        self.apply(NearestResize { h, w }, &[self.one_hot])
    }

    fn filters(&mut self, name: &str) -> ValueId {
        if self.params.get(&format!("{name}.weight_orig")).is_none() {
            return self.param(&format!("{name}.weight"));
        }
        let [w, u] = ["weight_orig", "weight_u"].map(|end| self.param(&format!("{name}.{end}")));
        let cin = self
            .params
            .get(&format!("{name}.weight_orig"))
            .unwrap()
            .dims[1];
        let vectors = self
            .graph
            .apply_all(PowerIteration { cin }, &[w, u])
            .unwrap();
        for (end, vector) in ["weight_u", "weight_v"].into_iter().zip(&vectors) {
            self.new.push((format!("{name}.{end}"), *vector));
        }
        self.apply(SpectralScale {}, &[w, vectors[0], vectors[1]])
    }

    fn conv(&mut self, x: ValueId, name: &str) -> ValueId {
        let mut arguments = vec![x, self.filters(name)];
        let bias = format!("{name}.bias");
        if self.params.get(&bias).is_some() {
            arguments.push(self.param(&bias));
        }
        let pad = self.graph.shape(arguments[1]).h / 2;
        self.apply(Conv2d::new(1, pad), &arguments)
    }

    fn conv_of_both(&mut self, x: ValueId, name: &str) -> ValueId {
        let labels = self.labels_like(x);
        let both = self.apply(Concat { axis: Axis::C }, &[x, labels]);
        self.conv(both, name)
    }

    fn norm(&mut self, x: ValueId, name: &str) -> ValueId {
        let norm = Norm {
            per_sample: false,
            eps: Real(1e-5),
            rule: EpsRule::Add,
        };
        let results = self.graph.apply_all(norm, &[x]).unwrap();
        let count = self.graph.shape(x).rows() as f32;
        for (end, statistic, factor) in [
            ("running_mean", results[1], 1.0),
            ("running_var", results[2], count / (count - 1.0)),
        ] {
            let running = self.param(&format!("{name}.{end}"));
            let update = RunningUpdate {
                momentum: Real(0.1),
                factor: Real(factor),
            };
            let moved = self.apply(update, &[running, statistic]);
            self.new.push((format!("{name}.{end}"), moved));
        }
        let [weight, bias] = ["weight", "bias"].map(|end| self.param(&format!("{name}.{end}")));
        self.apply(Affine {}, &[results[0], weight, bias])
    }

    fn leaky(&mut self, x: ValueId) -> ValueId {
        let kind = Kind::LeakyRelu;
        self.apply(Activation { kind }, &[x])
    }

    fn block(&mut self, x: ValueId, name: &str) -> ValueId {
        let mut d = x;
        for i in 0..2 {
            d = self.norm(d, &format!("{name}.norm_{i}"));
            d = self.leaky(d);
            d = self.conv_of_both(d, &format!("{name}.conv_{i}"));
        }
        let mut s = x;
        if self.params.get(&format!("{name}.norm_s.weight")).is_some() {
            s = self.norm(x, &format!("{name}.norm_s"));
            s = self.conv_of_both(s, &format!("{name}.conv_s"));
        }
        self.apply(Add {}, &[s, d])
    }

    fn generator(&mut self, [h, w]: [usize; 2]) -> ValueId {
        let first = self.apply(NearestResize { h, w }, &[self.one_hot]);
        let mut x = self.conv(first, "G.fc");
        for (name, up) in BLOCKS {
            if up {
                x = self.apply(Upsample2 {}, &[x]);
            }
            x = self.block(x, &format!("G.{name}"));
        }
        x = self.leaky(x);
        x = self.conv_of_both(x, "G.conv_img");
        self.apply(Activation { kind: Kind::Tanh }, &[x])
    }
}

/// Makes the picture, what state becomes, and all gradients outputs of a graph.
fn finish(graph: &mut Graph, params: &Params, picture: ValueId, new: &[(String, ValueId)]) {
    graph.output("picture", picture);
    for (name, value) in new {
        graph.output(&format!("new {name}"), *value);
    }
    let seed = graph.input("seed", graph.ty(picture)).unwrap();
    let trained = params.trained("");
    let (names, values): (Vec<_>, Vec<_>) = trained
        .map(|spec| (&spec.name, graph.state(&spec.name, spec.shape()).unwrap()))
        .unzip();
    let grads = gradients(graph, &[(picture, seed)], &values).unwrap();
    for (name, grad) in names.into_iter().zip(grads) {
        graph.output(&format!("gradient of {name}"), grad.unwrap());
    }
}

fn check(norm_g: &str) {
    let config = ModelConfig {
        label_nc: 3,
        edges: true,
        ngf: 1,
        crop_size: 64,
        net_g: NetG::Concat,
        norm_g: norm_g.parse().unwrap(),
        ..ModelConfig::default()
    };
    let (n, channels) = (2, config.semantic_nc());
    let [h, w] = config.output();
    let symbol = |i: usize| {
        let (y, x) = (i / w % h, i % w);
        let label = ((x + y / 3) / 9 + i / (h * w)) as u32 % 3;
        let is_edge = (x + y / 3) % 9 == 0;
        label | if is_edge { EDGE_BIT } else { 0 }
    };
    let ids: Vec<u32> = (0..n * h * w).map(symbol).collect();
    let map = IdMap { n, h, w, ids };
    let params = generator_params(&config);

    let mut noise = Noise::new(norm_g);
    let mut given: HashMap<String, Tensor> = HashMap::new();
    for spec in params.specs() {
        let shape = spec.shape();
        let input = match spec.layout {
            Layout::Filter => CaseInput::Weight {
                shape,
                cin: spec.dims[1],
            },
            _ if spec.role == Role::Buffer => CaseInput::range(shape, 0.5, 1.0),
            _ => CaseInput::range(shape, 0.25, 1.0),
        };
        given.insert(spec.name.clone(), noise.tensor(&input));
    }
    let picture = Shape::new(n, h, w, 3);
    given.insert("seed".into(), noise.tensor(&CaseInput::dense(picture)));

    let mut graph = Graph::new();
    let one_hot = Shape::new(n, h, w, channels);
    let mut dense = Dense {
        one_hot: graph.input("one hot", Ty::Dense(one_hot)).unwrap(),
        graph,
        params: &params,
        new: Vec::new(),
    };
    let picture = dense.generator(config.latent());
    let Dense { mut graph, new, .. } = dense;
    finish(&mut graph, &params, picture, &new);
    let mut of_dense = given.clone();
    let one_hot = Tensor::from_fn(one_hot, |n, y, x, c| {
        let symbol = map.ids[(n * h + y) * w + x];
        let is_edge = symbol & EDGE_BIT != 0 && c + 1 == channels;
        f64::from(u8::from((symbol & ID_MASK) as usize == c || is_edge))
    });
    of_dense.insert("one hot".into(), one_hot);
    let want = cpu::run(&graph, &of_dense).outputs;

    let inputs = Inputs::synthesis(&config, n, config.latent());
    let mut net = Net::new(&params, Mode::Training);
    let picture = generator(&mut net, &config, &inputs, None).unwrap();
    let commits = net.commits().iter();
    let new: Vec<_> = commits
        .map(|&(state, value)| (net.graph.label(state), value))
        .collect();
    let mut graph = net.graph;
    finish(&mut graph, &params, picture, &new);
    let tables: HashMap<String, Vec<u32>> = inputs
        .table_names()
        .zip(inputs.tables(&map).unwrap())
        .collect();
    let mut of_windows = given.clone();
    for (name, words) in &tables {
        of_windows.insert(name.clone(), Tensor::Index(words.clone()));
    }
    let got = cpu::run(&graph, &of_windows).outputs;
    assert_eq!(got.len(), want.len());
    for (name, want) in &want {
        // The same sums in another order, through twenty layers of f64.
        let limit = 1e-10 * max_abs(want.data()).max(1.0);
        let got = &got[name];
        assert_close(&format!("{norm_g} {name}"), got.data(), want.data(), limit);
    }

    // Through twenty layers of f32: errors of single layers are a few 1e-7 and mostly add up.
    // A power iteration starts from u alone.
    let device: HashMap<_, _> = given
        .iter()
        .filter(|(name, _)| !name.ends_with(".weight_v"))
        .map(|(name, tensor)| (name.clone(), tensor.to_device(0.0)))
        .collect();
    for gpu in gpus() {
        let got = run_on(gpu, &graph, &device, &tables);
        for (name, value) in &want {
            let got = Tensor::from_device(value.shape(), &got[name]);
            let what = format!("{:?} {norm_g} {name}", gpu.family);
            // The gradient of a bias is a sum in which most or, before a norm, all cancels out: what remains of rounding
            // is as large as that of the weights beside it.
            let (layer, _) = name.rsplit_once('.').unwrap_or((name, ""));
            let beside = want.iter().filter(|(other, _)| {
                name.starts_with("gradient") && other.starts_with(&format!("{layer}."))
            });
            let values = beside.map(|(_, beside)| max_abs(beside.data()));
            let limit = 1e-4 * values.fold(max_abs(value.data()), f64::max);
            assert_close(&what, got.data(), value.data(), limit);
        }
    }
}

#[test]
fn windows_equal_the_one_hot_map() {
    check("spectralspadebatch3x3");
}

#[test]
fn windows_equal_the_one_hot_map_without_spectral_norm() {
    check("spadesyncbatch3x3");
}
