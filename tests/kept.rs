//! Kept tables of gamma and beta: the same pictures, and no more work than is new.

mod common;

use common::{Noise, gpus, patches};
use spadework::config::{ModelConfig, NetG};
use spadework::gpu::{Gpu, Store};
use spadework::graph::Ty;
use spadework::model::generator::generator_params;
use spadework::model::init::initial;
use spadework::model::{Effort, Generator, Look, Style, Synthesis};
use spadework::state::{HostTensor, StateDict};
use spadework::windows::{EDGE_BIT, IdMap};
use std::collections::HashSet;
use std::sync::Arc;

const CLASSES: usize = 5;

fn config(text: &str) -> ModelConfig {
    let small = format!("ngf = 2\nspade_hidden = 5\ncrop_size = 64\nlabel_nc = {CLASSES}\n{text}");
    let config: ModelConfig = toml::from_str(&small).unwrap();
    config.validate().unwrap();
    config
}

/// Rectangles over each other, some of their borders marked as edges where the model has such a channel.
fn layout(config: &ModelConfig, n: usize, seed: &str) -> IdMap {
    let mut rng = Noise::new(seed);
    let [h, w] = config.output();
    let mut below = |end: usize| ((rng.unit() * end as f64) as usize).min(end - 1);
    let mut ids = vec![0; n * h * w];
    for map in ids.chunks_mut(h * w) {
        for _ in 0..5 {
            let ([y, x], id) = ([below(h), below(w)], below(CLASSES) as u32);
            let ([height, width], edge) = ([1 + below(h / 2), 1 + below(w / 2)], below(2) == 1);
            for row in map.chunks_mut(w).skip(y).take(height) {
                let end = (x + width).min(w);
                row[x..end].fill(id);
                if config.edges && edge {
                    row[x] |= EDGE_BIT;
                }
            }
        }
    }
    IdMap { n, h, w, ids }
}

fn weights(config: &ModelConfig) -> StateDict {
    let mut weights = StateDict::default();
    for spec in generator_params(config).specs() {
        let values = initial(spec, 3).unwrap();
        let tensor = HostTensor::new(spec.dims.clone(), values);
        weights.tensors.insert(spec.name.clone(), tensor);
    }
    weights
}

/// The pictures without kept tables, as sample sheets of a training are drawn.
fn plain(gpu: &Arc<Gpu>, config: &ModelConfig, map: &IdMap, styles: &[Style]) -> Vec<f64> {
    let (params, weights) = (generator_params(config), weights(config));
    let mut store = Store::new(gpu.clone());
    for spec in params.specs() {
        store.create(&spec.name, Ty::Dense(spec.shape())).unwrap();
        let values = spec.find(&weights.tensors).unwrap();
        store.write(&spec.name, &values).unwrap();
    }
    let latent = [map.h, map.w].map(|side| side / config.scale());
    let look = Look::default();
    let plan = Synthesis::new(&mut store, config, &params, map.n, latent, look);
    let pictures = plan.unwrap().pictures(&mut store, map, styles).unwrap();
    pictures.data().to_vec()
}

fn styles(config: &ModelConfig, n: usize, seed: u64) -> Vec<Style> {
    let count = if config.use_vae { n } else { 0 };
    let seeds = (0..count as u64).map(|i| seed + i);
    seeds
        .map(|seed| Style::random(config.z_dim, seed))
        .collect()
}

#[test]
fn pictures_are_those_without_kept_tables() {
    let kinds = [
        "",
        "edges = true\nnorm_g = \"spectralspadeinstance3x3\"",
        "use_vae = true\nz_dim = 4\nnorm_g = \"spadebatch5x5\"",
        "num_upsampling_layers = \"more\"\nnorm_g = \"spectralspadesyncbatch1x1\"",
    ];
    for (kind, gpu) in kinds
        .iter()
        .flat_map(|kind| gpus().iter().map(move |gpu| (kind, gpu)))
    {
        let config = config(kind);
        let mut generator = Generator::new(gpu, config.clone(), &weights(&config)).unwrap();
        for (n, seed) in [(1, "a"), (1, "b"), (1, "a"), (2, "c"), (1, "b")] {
            let (map, styles) = (layout(&config, n, seed), styles(&config, n, 5));
            let got = generator.pictures(&map, &styles).unwrap();
            let want = plain(gpu, &config, &map, &styles);
            assert!(got.data() == want, "{kind}, {n} layouts {seed}");
        }
    }
}

#[test]
fn only_what_is_new_is_computed() {
    let config = config("use_vae = true\nz_dim = 4");
    let mut generator = Generator::new(&gpus()[0], config.clone(), &weights(&config)).unwrap();
    let mut draw = |map: &IdMap, style: u64| {
        let pictures = generator.pictures(map, &styles(&config, 1, style)).unwrap();
        (pictures, generator.effort())
    };
    let before = layout(&config, 1, "before");
    let seen = patches(&config, &before);
    let (first, all) = draw(&before, 1);
    assert_eq!(all.rows_computed, seen.len());
    // Another style lists no window and computes no row: the main convolutions alone run.
    let (second, style_only) = draw(&before, 2);
    assert_ne!(first, second);
    let main = Effort {
        levels_listed: 0,
        rows_computed: 0,
        ..style_only
    };
    assert_eq!(style_only, main);
    assert!(main.macs < all.macs, "{} of {}", main.macs, all.macs);
    // A stroke computes what was never seen, and taking it back nothing.
    let mut after = before.clone();
    for row in after.ids.chunks_mut(64).skip(20).take(6) {
        row[10..25].fill(4);
    }
    let new: HashSet<_> = patches(&config, &after)
        .difference(&seen)
        .cloned()
        .collect();
    let (painted, stroke) = draw(&after, 2);
    assert_ne!(second, painted);
    assert_eq!(stroke.rows_computed, new.len());
    assert!(stroke.macs < all.macs);
    let (undone, undo) = draw(&before, 2);
    assert_eq!(second, undone);
    assert_eq!(undo.rows_computed, 0);
    assert_eq!(undo.macs, main.macs);
}

#[test]
fn many_layouts_grow_the_tables_and_then_replace_the_oldest_rows() {
    let config = config("");
    let mut generator = Generator::new(&gpus()[0], config.clone(), &weights(&config)).unwrap();
    let size = [64, 64];
    let noise = |seed: &str| {
        let mut rng = Noise::new(seed);
        let ids = (0..64 * 64).map(|_| (rng.unit() * CLASSES as f64) as u32);
        IdMap {
            n: 1,
            h: size[0],
            w: size[1],
            ids: ids.map(|id| id.min(CLASSES as u32 - 1)).collect(),
        }
    };
    let calm = layout(&config, 1, "calm");
    for map in [&calm, &noise("1"), &calm, &noise("2"), &noise("3"), &calm] {
        let got = generator.pictures(map, &[]).unwrap();
        assert!(got.data() == plain(&gpus()[0], &config, map, &[]));
    }
}

#[test]
fn the_baseline_keeps_nothing_and_says_so() {
    let config = config("");
    let config = ModelConfig {
        net_g: NetG::Concat,
        ..config
    };
    let mut generator = Generator::new(&gpus()[0], config.clone(), &weights(&config)).unwrap();
    let map = layout(&config, 1, "map");
    generator.pictures(&map, &[]).unwrap();
    let effort = generator.effort();
    assert_eq!(effort.rows_computed, 0);
    assert!(effort.macs > 0);
}
