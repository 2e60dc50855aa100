//! Speed of single operations, as a share of what the adapter can do at most.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use super::ceiling::Ceilings;
use super::machine::kernels;
use super::setting::{Setting, noise};
use super::timing::{Patience, Timing, median, seconds};
use super::work::Work;
use crate::Result;
use crate::gpu::{Executor, Gpu, Store, tiled};
use crate::graph::plan::{Place, Plan, Step};
use crate::graph::{Graph, Shape, Ty};
use crate::model::Inputs;
use crate::model::cost::{synthesis_plan, training_plans};
use crate::ops::conv2d::{Conv2d, Conv2dInputGrad, Conv2dWeightGrad};
use crate::ops::gemm::{Kind, Product};
use crate::ops::{Case, CaseInput, Family, Kernel, Op, all_cases};
use crate::windows::IdMap;

/// Input channels, output channels, side of the map: the heavy layers of the networks.
pub const LAYERS: [[usize; 3]; 4] = [
    [128, 256, 64],
    [1024, 1024, 16],
    [512, 256, 32],
    [64, 64, 128],
];
/// Taps, rows, input and output channels of a SPADE layer's products: hidden channels are 128, rows the distinct windows of
/// a picture of COCO-Stuff at 16, 64 and 256 pixels a side, and of several pictures.
pub const SPADE_PRODUCTS: [[usize; 4]; 4] = [
    [9, 146, 128, 1024],
    [9, 532, 128, 256],
    [9, 1180, 128, 64],
    [9, 2000, 128, 512],
];
/// The same of Winograd's convolutions: tiles of four in one round of the workspace, and of two of a small map.
pub const TILE_PRODUCTS: [[usize; 4]; 3] = [
    [36, 455, 512, 512],
    [36, 910, 256, 256],
    [16, 64, 1024, 1024],
];
/// Replays without a wait between them last about so long, that the wait does not count.
const ROUND_SECONDS: f64 = 0.02;

/// Where operations and shapes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Convolutions of four heavy layers, their input's and their weight's gradient
    Layers,
    /// The products of matrices inside SPADE layers and Winograd's convolutions
    Products,
    /// All that the generator does to draw
    Generator,
    /// All that an iteration of training does
    Training,
    /// Of every other operation the largest case it is tested on
    Registry,
}

/// An operation, and what it is applied to.
#[derive(Clone, Debug)]
struct Subject {
    source: Source,
    op: Op,
    inputs: Vec<Input>,
}

/// An argument: its type and, of index buffers, the content.
type Input = (Ty, Option<Vec<u32>>);

/// What is told of an operation.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Name of the operation.
    pub op: &'static str,
    /// Where it comes from.
    pub source: Source,
    /// Its arguments.
    pub inputs: Vec<String>,
    /// Kernel family.
    pub family: String,
    /// The kernels it runs.
    pub variant: String,
    /// Of one application, a submission of its own.
    #[serde(flatten)]
    pub timing: Timing,
    /// Billions of operations a second.
    pub gflop_per_s: f64,
    /// Billions of bytes a second.
    pub gb_per_s: f64,
    /// Share of the multiply-adds that the adapter did in turns with it, in percent.
    pub of_arithmetic: f64,
    /// Share of the bytes that the adapter copied in turns with it, in percent. Caches can make it more than all.
    pub of_memory: f64,
}

/// What to time.
#[derive(Clone, Debug)]
pub struct Selection {
    /// An operation's name, or part of some.
    pub name: Option<String>,
    /// Where operations come from.
    pub sources: Vec<Source>,
    /// Whether tiled kernels run too, where the adapter would run others.
    pub tiled: bool,
}

/// Times operations, telling each as it is done.
///
/// # Errors
/// If an operation does not fit the adapter, or the device was lost.
pub fn run(
    gpu: &Arc<Gpu>,
    setting: &Setting,
    selection: &Selection,
    patience: Patience,
    mut tell: impl FnMut(&Line) -> Result<()>,
) -> Result<Vec<Line>> {
    let ceilings = Ceilings::new(gpu)?;
    let mut gpus = vec![gpu.clone()];
    if selection.tiled && !matches!(gpu.family, Family::Tiled(_)) {
        let (device, queue) = (gpu.device.clone(), gpu.queue.clone());
        let family = tiled(&device.limits());
        gpus.push(Gpu::with_family(device, queue, family));
    }
    let mut lines = Vec::new();
    for subject in subjects(gpu, setting, selection)? {
        for gpu in &gpus {
            let line = time(gpu, &ceilings, &subject, patience)?;
            tell(&line)?;
            lines.push(line);
        }
    }
    Ok(lines)
}

fn subjects(gpu: &Arc<Gpu>, setting: &Setting, selection: &Selection) -> Result<Vec<Subject>> {
    let wanted = |source| selection.sources.contains(&source);
    let mut subjects = Vec::new();
    if wanted(Source::Layers) {
        subjects.extend(layers());
    }
    if wanted(Source::Products) {
        subjects.extend(products());
    }
    let (model, target) = (setting.model(), gpu.target());
    if wanted(Source::Generator) {
        let inputs = Inputs::synthesis(model, 1, model.latent());
        let plan = synthesis_plan(model, &target)?;
        subjects.extend(of_plans(
            Source::Generator,
            &[plan],
            &inputs,
            &setting.maps[0],
        )?);
    }
    if wanted(Source::Training) {
        let training = super::train::training(&setting.config, 1, false);
        let plans = training_plans(&training, &target)?;
        subjects.extend(of_plans(
            Source::Training,
            &plans,
            &training.inputs(),
            &setting.maps[0],
        )?);
    }
    let mut names: HashSet<&str> = subjects.iter().map(|subject| subject.op.name()).collect();
    if wanted(Source::Registry) {
        let mut cases: Vec<Subject> = all_cases().into_iter().map(of_case).collect();
        cases.sort_by_key(|case| std::cmp::Reverse(case.bytes()));
        subjects.extend(
            cases
                .into_iter()
                .filter(|case| names.insert(case.op.name())),
        );
    }
    let name = selection.name.as_deref().unwrap_or_default();
    let is_whole = subjects.iter().any(|subject| subject.op.name() == name);
    subjects.retain(|subject| match is_whole {
        true => subject.op.name() == name,
        false => subject.op.name().contains(name),
    });
    Ok(subjects)
}

fn layers() -> Vec<Subject> {
    let dense = |shape| (Ty::Dense(shape), None);
    let of_layer = |[cin, cout, side]: [usize; 3]| {
        let x = Shape::new(1, side, side, cin);
        let y = Shape::new(1, side, side, cout);
        let w = Shape::weight(3, 3, cin, cout);
        let (stride, pad, kh, kw) = (1, 1, 3, 3);
        let input = Conv2dInputGrad {
            stride,
            pad,
            input: x,
            residual: false,
            divided: false,
        };
        let weight = Conv2dWeightGrad {
            stride,
            pad,
            kh,
            kw,
        };
        let ops: [(Op, [Shape; 2]); 3] = [
            (Conv2d::new(stride, pad).into(), [x, w]),
            (input.into(), [y, w]),
            (weight.into(), [x, y]),
        ];
        ops.map(|(op, shapes)| Subject {
            source: Source::Layers,
            op,
            inputs: shapes.map(dense).to_vec(),
        })
    };
    LAYERS.into_iter().flat_map(of_layer).collect()
}

fn products() -> Vec<Subject> {
    let subject = |kind, is_batched, size| {
        let (op, shapes) = Product { kind, is_batched }.sized(size);
        Subject {
            source: Source::Products,
            op,
            inputs: shapes.map(|shape| (Ty::Dense(shape), None)).to_vec(),
        }
    };
    let of_layers = SPADE_PRODUCTS.into_iter().flat_map(|size| {
        [Kind::Rows, Kind::WeightGrad, Kind::RowGrad].map(|kind| subject(kind, false, size))
    });
    let of_tiles = TILE_PRODUCTS
        .into_iter()
        .flat_map(|size| [Kind::Rows, Kind::WeightGrad].map(|kind| subject(kind, true, size)));
    of_layers.chain(of_tiles).collect()
}

/// Every different step of plans, with the window tables of a label map.
fn of_plans(source: Source, plans: &[Plan], inputs: &Inputs, map: &IdMap) -> Result<Vec<Subject>> {
    let mut words: HashMap<String, Vec<u32>> =
        inputs.table_names().zip(inputs.tables(map)?).collect();
    words.insert(inputs.symbols_name(), map.ids.clone());
    let mut seen = HashSet::new();
    let mut subjects = Vec::new();
    for plan in plans {
        let input = |(ty, place): (&Ty, &Place)| {
            let content = match place {
                Place::Named(i) if !matches!(ty, Ty::Dense(_)) => {
                    words.get(&plan.named[*i].name).cloned()
                }
                _ => None,
            };
            (*ty, content)
        };
        for step in &plan.steps {
            // Tables of one size have one content.
            if seen.insert((step.op.clone(), step.input_types.clone())) {
                let Step { op, .. } = step;
                subjects.push(Subject {
                    source,
                    op: op.clone(),
                    inputs: step
                        .input_types
                        .iter()
                        .zip(&step.inputs)
                        .map(input)
                        .collect(),
                });
            }
        }
    }
    Ok(subjects)
}

fn of_case(case: Case) -> Subject {
    let input = |input: &CaseInput| match input {
        CaseInput::Dense { shape, .. } | CaseInput::Weight { shape, .. } => {
            (Ty::Dense(*shape), None)
        }
        CaseInput::Index(ty, words) => (*ty, Some(words.clone())),
        CaseInput::Values(tensor) => (Ty::Dense(tensor.shape()), None),
    };
    Subject {
        source: Source::Registry,
        inputs: case.inputs.iter().map(input).collect(),
        op: case.op,
    }
}

impl Subject {
    fn bytes(&self) -> u64 {
        self.inputs.iter().map(|(ty, _)| ty.bytes()).sum()
    }

    /// A graph of this operation alone. Arguments are state, so that updates may alias them.
    fn graph(&self) -> Result<Graph> {
        let mut graph = Graph::new();
        let mut inputs = Vec::new();
        for (i, (ty, _)) in self.inputs.iter().enumerate() {
            inputs.push(match ty {
                Ty::Dense(shape) => graph.state(&name(i), *shape)?,
                ty => graph.input(&name(i), *ty)?,
            });
        }
        let results = graph.apply_all(self.op.clone(), &inputs)?;
        for (i, result) in results.into_iter().enumerate() {
            graph.output(&format!("y{i}"), result);
        }
        Ok(graph)
    }
}

fn name(input: usize) -> String {
    format!("x{input}")
}

fn time(
    gpu: &Arc<Gpu>,
    ceilings: &Ceilings,
    subject: &Subject,
    patience: Patience,
) -> Result<Line> {
    let plan = Plan::new(&subject.graph()?, &gpu.target())?;
    let variant = variant(&plan);
    let mut store = Store::new(gpu.clone());
    let mut executor = Executor::new(plan, &mut store)?;
    let mut headers = Vec::new();
    for (i, (ty, content)) in subject.inputs.iter().enumerate() {
        match (ty, content) {
            (Ty::Dense(shape), _) => store.write(&name(i), &noise(shape.vec4s() * 4))?,
            (_, Some(words)) => store.write_index(&name(i), words)?,
            // Zeros, the first pixel or row, are an index of every buffer.
            (_, None) => {}
        }
        headers.push(store.header(&name(i)));
    }
    let types: Vec<Ty> = subject.inputs.iter().map(|(ty, _)| *ty).collect();
    let work = Work::of(&subject.op, &types, &subject.op.shape(&types)?, &headers);
    let mut replay = |times: usize| {
        seconds(|| {
            (0..times).try_for_each(|_| executor.replay(&store))?;
            gpu.wait()
        })
    };
    // The first one compiles.
    replay(1)?;
    let times = (ROUND_SECONDS / replay(1)?.max(1e-6)).clamp(1.0, 1000.0) as usize;
    // The ceilings last as long, so that other work on the machine slows all alike.
    let round = replay(times)?;
    let [multiplies, copies] = [ceilings.multiply(1)?.0, ceilings.copy(1)?.0]
        .map(|one| (round / one).clamp(1.0, 64.0) as usize);
    let [mut taken, mut arithmetic, mut memory] = [Vec::new(), Vec::new(), Vec::new()];
    patience.rounds(|_| {
        let one = replay(times)? / times as f64;
        let (multiplying, flops) = ceilings.multiply(multiplies)?;
        let (copying, bytes) = ceilings.copy(copies)?;
        taken.push(one);
        arithmetic.push(100.0 * work.flops / one / (flops / multiplying));
        memory.push(100.0 * work.bytes / one / (bytes / copying));
        Ok(())
    })?;
    let timing = Timing::of(&taken).expect("there are rounds in any case");
    Ok(Line {
        op: subject.op.name(),
        source: subject.source,
        inputs: types.iter().map(Ty::to_string).collect(),
        family: kernels(gpu.family),
        variant,
        gflop_per_s: work.flops / timing.seconds() * 1e-9,
        gb_per_s: work.bytes / timing.seconds() * 1e-9,
        timing,
        of_arithmetic: median(&arithmetic).unwrap_or_default(),
        of_memory: median(&memory).unwrap_or_default(),
    })
}

/// The kernels of a plan, each once: shader, entry, and what selects among its variants.
fn variant(plan: &Plan) -> String {
    let kernels = plan.steps.iter().map(|step| &step.kernel);
    let dispatches = kernels.flat_map(|kernel: &Kernel| &kernel.dispatches);
    let mut names: Vec<String> = Vec::new();
    for dispatch in dispatches {
        let defines = dispatch.defines.iter();
        let defines: Vec<_> = defines
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let name = match defines.is_empty() {
            true => format!("{}.{}", dispatch.shader, dispatch.entry),
            false => format!(
                "{}.{}({})",
                dispatch.shader,
                dispatch.entry,
                defines.join(",")
            ),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Sizes;
    use crate::config::Preset;

    #[test]
    fn every_operation_is_timed_by_something() {
        let sizes = Sizes {
            preset: Preset::Tiny,
            crop_size: Some(64),
            ngf: Some(2),
            use_vae: false,
        };
        let setting = Setting::open(sizes, None).unwrap();
        let gpu = Gpu::open(None).unwrap();
        let selection = |name: Option<&str>| Selection {
            name: name.map(String::from),
            sources: vec![
                Source::Layers,
                Source::Products,
                Source::Generator,
                Source::Training,
                Source::Registry,
            ],
            tiled: false,
        };
        let names = |subjects: &[Subject]| -> HashSet<&str> {
            subjects.iter().map(|subject| subject.op.name()).collect()
        };
        let all = subjects(&gpu, &setting, &selection(None)).unwrap();
        let registered: HashSet<&str> = all_cases().iter().map(|case| case.op.name()).collect();
        assert_eq!(names(&all), registered);
        for (name, found) in [
            ("ookup", vec!["lookup", "lookup_grad"]),
            ("lookup", vec!["lookup"]),
        ] {
            let some = subjects(&gpu, &setting, &selection(Some(name))).unwrap();
            assert_eq!(names(&some), found.into_iter().collect(), "{name}");
        }
        // What the networks ask for is asked for once.
        let of_training = all.iter().filter(|s| s.source == Source::Training);
        let mut seen = HashSet::new();
        for Subject { op, inputs, .. } in of_training {
            let types: Vec<Ty> = inputs.iter().map(|(ty, _)| *ty).collect();
            assert!(seen.insert((op.clone(), types.clone())), "{op:?} {types:?}");
        }
    }
}
