//! The SPADE layer through label windows against its dense definition (one-hot map, three convolutions) in `f64`,
//! with the gradients of every parameter, on ordinary maps, noise, one class, borders, batches and non-square maps.

mod common;

use common::*;
use spadework::graph::autodiff::gradients;
use spadework::graph::plan::Target;
use spadework::graph::shape::Windows;
use spadework::graph::{Graph, Shape, Ty, ValueId};
use spadework::ops::labels::LabelRows;
use spadework::ops::modulate::{Modulate, Stats};
use spadework::ops::norm::EpsRule;
use spadework::ops::{CaseInput, Real, Tensor};
use spadework::windows::{EDGE_BIT, ID_MASK, IdMap, WindowTable};
use std::collections::HashMap;

const EPS: f64 = 1e-5;

/// A layer to test: `channels` of the semantic map (the last is the edge), hidden width, output channels, kernel.
#[derive(Clone, Copy, Debug)]
struct Layer {
    channels: usize,
    edges: bool,
    hidden: usize,
    c: usize,
    k: usize,
    stats: Stats,
    upsample: bool,
}

impl Layer {
    fn weights(&self) -> [(&'static str, Shape); 6] {
        let k = self.k;
        [
            ("w_shared", Shape::weight(k, k, self.channels, self.hidden)),
            ("b_shared", Shape::vector(self.hidden)),
            ("w_gamma", Shape::weight(k, k, self.hidden, self.c)),
            ("b_gamma", Shape::vector(self.c)),
            ("w_beta", Shape::weight(k, k, self.hidden, self.c)),
            ("b_beta", Shape::vector(self.c)),
        ]
    }

    fn x_shape(&self, map: &IdMap) -> Shape {
        let half = 1 + usize::from(self.upsample);
        Shape::new(map.n, map.h / half, map.w / half, self.c)
    }
}

/// Dense 'same' convolution of `x` with panels `w` (rows beyond the channels of `x` unused).
fn conv(x: &Tensor, w: &Tensor, b: &Tensor) -> Tensor {
    let (s, k, c) = (x.shape(), w.shape().n, w.shape().c);
    let mut y = Tensor::from_fn(s.with_c(c), |_, _, _, o| b.data()[o]);
    for_taps(s, k, |n, [h, w_at], [ih, iw], [kh, kw]| {
        for i in 0..s.c {
            for o in 0..c {
                *y.at_mut(n, h, w_at, o) += x.at(n, ih, iw, i) * w.at(kh, kw, i, o);
            }
        }
    });
    y
}

/// Gradients of [`conv`]: of `x`, `w` and `b`.
fn conv_grad(x: &Tensor, w: &Tensor, dy: &Tensor) -> [Tensor; 3] {
    let (s, c) = (x.shape(), w.shape().c);
    let mut grads = [
        Tensor::zeros(s),
        Tensor::zeros(w.shape()),
        Tensor::zeros(Shape::vector(c)),
    ];
    for_taps(s, w.shape().n, |n, [h, w_at], [ih, iw], [kh, kw]| {
        for i in 0..s.c {
            for o in 0..c {
                let d = dy.at(n, h, w_at, o);
                *grads[0].at_mut(n, ih, iw, i) += d * w.at(kh, kw, i, o);
                *grads[1].at_mut(kh, kw, i, o) += d * x.at(n, ih, iw, i);
            }
        }
    });
    for d in dy.data().chunks_exact(c) {
        grads[2]
            .data_mut()
            .iter_mut()
            .zip(d)
            .for_each(|(sum, d)| *sum += d);
    }
    grads
}

fn for_taps(s: Shape, k: usize, mut f: impl FnMut(usize, [usize; 2], [usize; 2], [usize; 2])) {
    let source =
        |at: usize, tap: usize, size: usize| (at + tap).checked_sub(k / 2).filter(|&i| i < size);
    for (n, h, w) in (0..s.rows()).map(|i| (i / (s.h * s.w), i / s.w % s.h, i % s.w)) {
        for (kh, kw) in (0..k * k).map(|i| (i / k, i % k)) {
            if let (Some(ih), Some(iw)) = (source(h, kh, s.h), source(w, kw, s.w)) {
                f(n, [h, w], [ih, iw], [kh, kw]);
            }
        }
    }
}

/// Output and gradients (x, then the six parameters) of the dense layer with leaky ReLU, all statistics of the batch.
fn dense(layer: &Layer, map: &IdMap, v: &HashMap<String, Tensor>) -> Vec<Tensor> {
    let full = Shape::new(map.n, map.h, map.w, layer.c);
    let one_hot = Tensor::from_fn(full.with_c(layer.channels), |n, h, w, c| {
        let symbol = map.ids[(n * map.h + h) * map.w + w];
        let is_edge = layer.edges && symbol & EDGE_BIT != 0 && c + 1 == layer.channels;
        f64::from(u8::from((symbol & ID_MASK) as usize == c || is_edge))
    });
    let hidden = conv(&one_hot, &v["w_shared"], &v["b_shared"]);
    let a = hidden.map(|x| x.max(0.0));
    let (gamma, beta) = (
        conv(&a, &v["w_gamma"], &v["b_gamma"]),
        conv(&a, &v["w_beta"], &v["b_beta"]),
    );
    let half = 1 + usize::from(layer.upsample);
    let x = Tensor::from_fn(full, |n, h, w, c| v["x"].at(n, h / half, w / half, c));
    let samples: Vec<Vec<usize>> = match layer.stats {
        Stats::Instance => (0..map.n).map(|n| vec![n]).collect(),
        _ => vec![(0..map.n).collect()],
    };
    let mut normalised = Tensor::zeros(full);
    let mut inverse = HashMap::new();
    let pixels = |group: &Vec<usize>| -> Vec<(usize, usize, usize)> {
        let each = |&n: &usize| (0..map.h * map.w).map(move |i| (n, i / map.w, i % map.w));
        group.iter().flat_map(each).collect()
    };
    for group in &samples {
        for c in 0..layer.c {
            let at = pixels(group);
            let mean = at.iter().map(|&(n, h, w)| x.at(n, h, w, c)).sum::<f64>() / at.len() as f64;
            let square = |&(n, h, w): &(usize, usize, usize)| (x.at(n, h, w, c) - mean).powi(2);
            let var = at.iter().map(square).sum::<f64>() / at.len() as f64;
            inverse.insert((group[0], c), 1.0 / (var + EPS).sqrt());
            for (n, h, w) in at {
                *normalised.at_mut(n, h, w, c) = (x.at(n, h, w, c) - mean) / (var + EPS).sqrt();
            }
        }
    }
    let y = normalised
        .zip(&gamma.map(|g| 1.0 + g), |a, b| a * b)
        .zip(&beta, |a, b| a + b);
    let d = v["g"].zip(&y, |g, y| if y > 0.0 { g } else { 0.2 * g });
    let dn = d.zip(&gamma, |d, g| d * (1.0 + g));
    let mut dx = Tensor::zeros(v["x"].shape());
    for group in &samples {
        let at = pixels(group);
        for c in 0..layer.c {
            let count = at.len() as f64;
            let mean = at.iter().map(|&(n, h, w)| dn.at(n, h, w, c)).sum::<f64>() / count;
            let dot =
                |&(n, h, w): &(usize, usize, usize)| dn.at(n, h, w, c) * normalised.at(n, h, w, c);
            let slope = at.iter().map(dot).sum::<f64>() / count;
            for &(n, h, w) in &at {
                let g = dn.at(n, h, w, c) - mean - normalised.at(n, h, w, c) * slope;
                *dx.at_mut(n, h / half, w / half, c) += inverse[&(group[0], c)] * g;
            }
        }
    }
    let [da_gamma, dwg, dbg] = conv_grad(&a, &v["w_gamma"], &d.zip(&normalised, |d, x| d * x));
    let [da_beta, dwb, dbb] = conv_grad(&a, &v["w_beta"], &d);
    let da = da_gamma
        .zip(&da_beta, |a, b| a + b)
        .zip(&hidden, |d, h| if h > 0.0 { d } else { 0.0 });
    let [_, dws, dbs] = conv_grad(&one_hot, &v["w_shared"], &da);
    let y = y.map(|v| v.max(0.2 * v));
    vec![y, dx, dws, dbs, dwg, dbg, dwb, dbb]
}

/// The layer through windows, with the same outputs as [`dense`].
fn windowed(layer: &Layer, map: &IdMap) -> (Graph, HashMap<String, Vec<u32>>) {
    let k = layer.k;
    let edge = layer.edges.then_some(layer.channels as u32 - 1);
    let first = WindowTable::build(map, layer.channels, edge, k, 1, k / 2);
    let second = WindowTable::build(&first.map(), first.windows(), None, k, 1, k / 2);
    let pixels = map.ids.len();
    let table = |channels| {
        Ty::Windows(Windows {
            pixels,
            taps: k * k,
            channels,
        })
    };
    let mut g = Graph::new();
    let t1 = g.input("t1", table(layer.channels)).unwrap();
    let t2 = g.input("t2", table(pixels)).unwrap();
    let x = g.input("x", Ty::Dense(layer.x_shape(map))).unwrap();
    let mut parameters: Vec<ValueId> = Vec::new();
    for (name, shape) in layer.weights() {
        parameters.push(g.input(name, Ty::Dense(shape)).unwrap());
    }
    let [ws, bs, wg, bg, wb, bb] = parameters[..] else {
        unreachable!()
    };
    let a = g.apply(LabelRows { relu: true }, &[ws, bs, t1]).unwrap();
    let op = Modulate {
        stats: layer.stats,
        eps: Real(EPS as f32),
        rule: EpsRule::Add,
        upsample: layer.upsample,
        leaky: true,
    };
    let y = g.apply_all(op, &[x, a, wg, bg, wb, bb, t2]).unwrap()[0];
    let seed = g.input("g", g.ty(y)).unwrap();
    let mut wrt = vec![x];
    wrt.extend(&parameters);
    g.output("0", y);
    for (i, grad) in gradients(&mut g, &[(y, seed)], &wrt)
        .unwrap()
        .into_iter()
        .enumerate()
    {
        g.output(&format!("{}", i + 1), grad.unwrap());
    }
    let tables = [
        ("t1".to_owned(), first.pack()),
        ("t2".to_owned(), second.pack()),
    ];
    (g, tables.into_iter().collect())
}

fn check(what: &str, layer: Layer, map: &IdMap) {
    let mut noise = Noise::new(what);
    let full = Shape::new(map.n, map.h, map.w, layer.c);
    let mut shapes: Vec<(&str, Shape)> = layer.weights().to_vec();
    shapes.extend([("x", layer.x_shape(map)), ("g", full)]);
    let mut values = HashMap::new();
    for (name, shape) in shapes {
        let mut tensor = noise.tensor(&CaseInput::range(shape, -0.5, 0.5));
        if name == "w_shared" || name == "w_gamma" || name == "w_beta" {
            let live = if name == "w_shared" {
                layer.channels
            } else {
                layer.hidden
            };
            let keep = Tensor::from_fn(shape, |_, _, i, _| f64::from(u8::from(i < live)));
            tensor = tensor.zip(&keep, |a, b| a * b);
        }
        values.insert(name.to_owned(), tensor);
    }
    let want = dense(&layer, map, &values);
    let (graph, tables) = windowed(&layer, map);
    let device: HashMap<_, _> = values
        .iter()
        .map(|(name, t)| (name.clone(), t.to_device(0.0)))
        .collect();
    let whole_and_blocks = gpus().iter().flat_map(|gpu| {
        // With the smaller workspace every vector of channels is a block of its own.
        [gpu.target().workspace_bytes, 64].map(|workspace_bytes| (gpu, workspace_bytes))
    });
    for (gpu, workspace_bytes) in whole_and_blocks {
        let target = Target {
            workspace_bytes,
            ..gpu.target()
        };
        let got = run_for(gpu, &target, &graph, &device, &tables);
        for (i, want) in want.iter().enumerate() {
            let got = Tensor::from_device(want.shape(), &got[&i.to_string()]);
            // A weight's gradient sums over all pixels, of terms that are themselves sums over taps and channels.
            let terms = (map.ids.len() * layer.k * layer.k * layer.c) as f64;
            let limit = tolerance(terms, max_abs(want.data()));
            assert_close(
                &format!(
                    "{what} {layer:?} {:?}, {workspace_bytes} bytes, result {i}",
                    gpu.family
                ),
                got.data(),
                want.data(),
                limit,
            );
        }
    }
}

fn map(n: usize, h: usize, w: usize, f: impl Fn(u32) -> u32) -> IdMap {
    IdMap {
        n,
        h,
        w,
        ids: (0..(n * h * w) as u32).map(f).collect(),
    }
}

fn scramble(i: u32) -> u32 {
    (i + 1).wrapping_mul(0x9e37_79b9) >> 12
}

const LAYER: Layer = Layer {
    channels: 4,
    edges: false,
    hidden: 6,
    c: 7,
    k: 3,
    stats: Stats::Batch,
    upsample: false,
};

#[test]
fn ordinary_maps() {
    let regions = map(2, 8, 12, |i| (i % 12 / 5 + i / 48) % 4);
    check("regions", LAYER, &regions);
    check(
        "regions",
        Layer {
            upsample: true,
            ..LAYER
        },
        &regions,
    );
    check(
        "regions",
        Layer {
            stats: Stats::Instance,
            upsample: true,
            ..LAYER
        },
        &regions,
    );
}

#[test]
fn noise_gives_every_pixel_its_own_window() {
    check("noise", LAYER, &map(1, 6, 10, |i| scramble(i) % 4));
    check(
        "noise",
        Layer { k: 1, ..LAYER },
        &map(2, 6, 4, |i| scramble(i) % 4),
    );
}

#[test]
fn one_class() {
    check("one class", LAYER, &map(1, 12, 14, |_| 2));
    check("one class", Layer { k: 5, ..LAYER }, &map(1, 4, 6, |_| 2));
}

#[test]
fn instance_edges() {
    let edges = |i: u32| {
        if scramble(i).is_multiple_of(3) {
            EDGE_BIT
        } else {
            0
        }
    };
    let layer = Layer {
        channels: 5,
        edges: true,
        c: 12,
        hidden: 9,
        ..LAYER
    };
    check("edges", layer, &map(2, 6, 8, |i| (i % 8 / 3) | edges(i)));
    check(
        "edges",
        Layer {
            k: 5,
            stats: Stats::Instance,
            ..layer
        },
        &map(2, 6, 4, |i| (i % 4) | edges(i)),
    );
}
