//! What kept tables spare: pictures of landscapes at 256x256 by the full generator (ngf 64, styles), as the plain plan
//! draws them, in another style, and after a stroke, in turns. `cargo bench --bench synthesis`.

use spadework::config::ModelConfig;
use spadework::data::landscape;
use spadework::gpu::{Gpu, Store};
use spadework::graph::Ty;
use spadework::model::generator::generator_params;
use spadework::model::init::initial;
use spadework::model::{Generator, Look, Style, Synthesis};
use spadework::state::{HostTensor, StateDict};
use spadework::windows::IdMap;
use std::time::Instant;

const SIDE: usize = 256;
const LAYOUTS: u64 = 3;
const STROKES: usize = 4;

/// The generator without kept tables.
struct Plain {
    store: Store,
    synthesis: Synthesis,
}

impl Plain {
    fn new(generator: &Setting) -> Self {
        let Setting {
            gpu,
            config,
            weights,
        } = generator;
        let params = generator_params(config);
        let mut store = Store::new(gpu.clone());
        for spec in params.specs() {
            let values = spec.find(&weights.tensors).expect("all weights are there");
            let ty = Ty::Dense(spec.shape());
            store.create(&spec.name, ty).expect("the device has room");
            store.write(&spec.name, &values).expect("the weights fit");
        }
        let look = Look::default();
        let synthesis = Synthesis::new(&mut store, config, &params, 1, config.latent(), look);
        Self {
            synthesis: synthesis.expect("the device has room"),
            store,
        }
    }
}

struct Setting {
    gpu: std::sync::Arc<Gpu>,
    config: ModelConfig,
    weights: StateDict,
}

impl Setting {
    fn new() -> Self {
        let config = ModelConfig {
            label_nc: 12,
            edges: false,
            use_vae: true,
            ..ModelConfig::default()
        };
        let mut weights = StateDict::default();
        for spec in generator_params(&config).specs() {
            let values = initial(spec, 1).expect("a generator starts from nothing");
            let tensor = HostTensor::new(spec.dims.clone(), values);
            weights.tensors.insert(spec.name.clone(), tensor);
        }
        Self {
            gpu: Gpu::open(None).expect("a benchmark needs an adapter"),
            config,
            weights,
        }
    }
}

fn layout(seed: u64) -> IdMap {
    let scene = landscape::layout(seed, SIDE, SIDE).expect("a size that works");
    let ids: Vec<u32> = scene.labels.iter().map(|&id| u32::from(id)).collect();
    IdMap::from_labels([1, SIDE, SIDE], &ids, None)
}

/// A blob of a class, some way along a line.
fn stroke(map: &mut IdMap, at: usize) {
    let (y, x) = (150 + 3 * at as isize, 60 + 12 * at as isize);
    for (i, id) in map.ids.iter_mut().enumerate() {
        let [dy, dx] = [(i / SIDE) as isize - y, (i % SIDE) as isize - x];
        if dy * dy + dx * dx < 100 {
            *id = 7;
        }
    }
}

fn seconds(draw: impl FnOnce()) -> f64 {
    let start = Instant::now();
    draw();
    start.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let setting = Setting::new();
    println!("{}, {:?}", setting.gpu.info.name, setting.gpu.family);
    let mut plain = Plain::new(&setting);
    let generator = Generator::new(&setting.gpu, setting.config.clone(), &setting.weights);
    let mut kept = generator.expect("the device has room");
    let style = |seed| [Style::random(setting.config.z_dim, seed)];
    let [mut restyled, mut painted] = [Vec::new(), Vec::new()];
    for seed in 0..LAYOUTS {
        let mut map = layout(seed);
        let first = seconds(|| drop(kept.pictures(&map, &style(0)).expect("it draws")));
        let all = kept.effort();
        println!(
            "layout {seed}: {} rows, {:.1} GMAC, {first:.2} s at first",
            all.rows_computed,
            all.macs as f64 * 1e-9
        );
        for at in 0..STROKES {
            let styles = style(at as u64 + 1);
            let Plain { store, synthesis } = &mut plain;
            let whole =
                seconds(|| drop(synthesis.pictures(store, &map, &styles).expect("it draws")));
            let other = seconds(|| drop(kept.pictures(&map, &styles).expect("it draws")));
            let effort = kept.effort();
            println!(
                "  plain {whole:.2} s, another style {other:.2} s ({:.1} GMAC)",
                effort.macs as f64 * 1e-9
            );
            restyled.push(other / whole);
            stroke(&mut map, at);
            let edited = seconds(|| drop(kept.pictures(&map, &styles).expect("it draws")));
            let effort = kept.effort();
            println!(
                "  a stroke {edited:.2} s: {} rows, {:.1} GMAC",
                effort.rows_computed,
                effort.macs as f64 * 1e-9
            );
            painted.push(edited / whole);
        }
    }
    println!(
        "of the plain plan's time, median of pairs: another style {:.2}, a stroke {:.2}",
        median(restyled),
        median(painted)
    );
}
