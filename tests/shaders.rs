//! Every shader variant that any case dispatches, for every kernel family: naga accepts it, its bindings are those
//! the operation binds, and it can be written as SPIR-V, Metal and HLSL. That is the proof for machines we lack.

mod common;

use common::*;
use naga::back::{hlsl, msl, spv};
use spadework::config::{LossConfig, ModelConfig};
use spadework::gpu::shader::{Shader, Variant};
use spadework::graph::Ty;
use spadework::graph::half::Storage;
use spadework::graph::plan::{Plan, Step, Target};
use spadework::model::Training;
use spadework::model::cost::training_plans;
use spadework::ops::gemm::Matrices;
use spadework::ops::winograd::Filtering;
use spadework::ops::{Buffering, Dispatch, Family, all_cases};
use std::collections::BTreeMap;

/// Variants with the number of buffers each binds, and the bytes of workgroup memory it may take.
type Variants = BTreeMap<String, (Variant, usize, u32)>;

/// What to plan for.
fn target(family: Family) -> Target {
    Target {
        family,
        workspace_bytes: 1 << 20,
        max_binding_bytes: 1 << 30,
        filtering: Filtering::default(),
        storage: Storage::Single,
        matrices: None,
    }
}

fn variants() -> Variants {
    let mut variants = BTreeMap::new();
    for family in [
        Family::Tiled(Buffering::Single),
        Family::Tiled(Buffering::Double),
        Family::Subgroup(8),
    ] {
        let target = target(family);
        let most_bytes = match family {
            Family::Tiled(buffering) => buffering.most_bytes(),
            Family::Subgroup(_) => Buffering::Single.most_bytes(),
        };
        for case in all_cases() {
            let plan = Plan::new(&case_graph(&case), &target).unwrap();
            for step in &plan.steps {
                for dispatch in &step.kernel.dispatches {
                    let mut insert = |variant: Variant| {
                        let bound = dispatch.bindings.len();
                        // What the first family that runs a variant allows is the least.
                        variants
                            .entry(format!("{variant:?}"))
                            .or_insert((variant, bound, most_bytes));
                    };
                    insert(Variant::from(dispatch));
                    if matches!(family, Family::Tiled(_)) {
                        insert(in_halves(step, dispatch));
                    }
                }
            }
        }
    }
    variants.extend(in_training());
    variants.extend(with_matrices(Matrices::emulated(16, 32)));
    variants.extend(with_matrices(Matrices::emulated(8, 32)));
    variants
}

/// Variants of a training whose maps are stored in 16-bit floats, and its weights and gradients in 32.
fn in_training() -> Variants {
    let training = Training {
        model: ModelConfig {
            label_nc: 4,
            use_vae: true,
            ..ModelConfig::default()
        },
        loss: LossConfig::default(),
        betas: (0.0, 0.9),
        ema: None,
        batch_size: 2,
        accumulate: 1,
        vgg_divisor: Some(1),
    };
    let mut variants = BTreeMap::new();
    for buffering in [Buffering::Single, Buffering::Double] {
        let target = Target {
            storage: Storage::HalfMaps,
            ..target(Family::Tiled(buffering))
        };
        for step in training_plans(&training, &target)
            .unwrap()
            .iter()
            .flat_map(|plan| &plan.steps)
        {
            for dispatch in &step.kernel.dispatches {
                let variant = Variant::of(step, dispatch);
                let bound = dispatch.bindings.len();
                let what = format!("{variant:?}");
                variants
                    .entry(what)
                    .or_insert((variant, bound, buffering.most_bytes()));
            }
        }
    }
    variants
}

/// Those of the shader that multiplies on units for matrices.
fn with_matrices(matrices: Matrices) -> Variants {
    let target = Target {
        storage: Storage::Half,
        matrices: Some(matrices),
        ..target(Family::Tiled(Buffering::Single))
    };
    let mut variants = BTreeMap::new();
    for case in all_cases() {
        let plan = Plan::new(&case_graph_in_halves(&case), &target).unwrap();
        for step in &plan.steps {
            for dispatch in &step.kernel.dispatches {
                if dispatch.shader == "gemm_cooperative" {
                    let variant = Variant::of(step, dispatch);
                    let (bound, most_bytes) =
                        (dispatch.bindings.len(), Buffering::Single.most_bytes());
                    variants.insert(format!("{variant:?}"), (variant, bound, most_bytes));
                }
            }
        }
    }
    assert!(!variants.is_empty(), "{matrices:?}");
    variants
}

/// The variant whose arguments and results are all stored in 16-bit floats.
fn in_halves(step: &Step, dispatch: &Dispatch) -> Variant {
    let mut step = step.clone();
    let types = step.input_types.iter_mut().chain(&mut step.output_types);
    for ty in types {
        if let Ty::Dense(shape) = *ty {
            *ty = Ty::Half(shape);
        }
    }
    Variant::of(&step, dispatch)
}

fn spirv(shader: &Shader) -> Vec<u32> {
    let options = spv::Options {
        lang_version: (1, 3),
        ..Default::default()
    };
    spv::write_vec(&shader.module, &shader.info, &options, None).unwrap()
}

fn metal(shader: &Shader, entry: &str) -> String {
    let options = msl::Options {
        lang_version: (2, 4),
        fake_missing_bindings: true,
        ..Default::default()
    };
    let pipeline = msl::PipelineOptions {
        entry_point: Some((naga::ShaderStage::Compute, entry.into())),
        ..Default::default()
    };
    msl::write_string(&shader.module, &shader.info, &options, &pipeline)
        .unwrap()
        .0
}

fn direct3d(shader: &Shader) -> String {
    let options = hlsl::Options {
        shader_model: hlsl::ShaderModel::V6_2,
        fake_missing_bindings: true,
        ..Default::default()
    };
    let mut text = String::new();
    let pipeline = hlsl::PipelineOptions::default();
    hlsl::Writer::new(&mut text, &options, &pipeline)
        .write(&shader.module, &shader.info, None)
        .unwrap();
    text
}

/// SPIR-V without the strides of arrays in workgroup memory, which naga writes, drivers ignore, and spirv-val refuses since
/// 2025.
fn without_workgroup_strides(words: &[u32]) -> Vec<u32> {
    let instruction = |at: usize| &words[at..at + (words[at] >> 16) as usize];
    let next = |at: &usize| Some(at + instruction(*at).len()).filter(|&at| at < words.len());
    let starts = || std::iter::successors(Some(HEADER), next);
    let operation = |at: usize| words[at] & 0xffff;
    let shared: Vec<u32> = starts()
        .filter(|&at| operation(at) == POINTER_TYPE && words[at + 2] == WORKGROUP)
        .map(|at| words[at + 3])
        .collect();
    let is_stride = |at: usize| {
        operation(at) == DECORATION
            && words[at + 2] == ARRAY_STRIDE
            && shared.contains(&words[at + 1])
    };
    let rest = starts().filter(|&at| !is_stride(at)).flat_map(instruction);
    words[..HEADER].iter().chain(rest).copied().collect()
}

/// Words before the first instruction.
const HEADER: usize = 5;
const POINTER_TYPE: u32 = 32;
const WORKGROUP: u32 = 4;
const DECORATION: u32 = 71;
const ARRAY_STRIDE: u32 = 6;

/// Runs spirv-val where it is installed; tells whether it is, and new enough.
fn spirv_val(what: &str, words: &[u32]) -> bool {
    let words = without_workgroup_strides(words);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, bytemuck::cast_slice(&words)).unwrap();
    let run = std::process::Command::new("spirv-val")
        .arg("--target-env")
        .arg("vulkan1.1")
        .arg(file.path())
        .output();
    let Ok(output) = run else { return false };
    let told = String::from_utf8_lossy(&output.stderr);
    // What those from before the middle of 2023 say of cooperative matrices.
    if told.contains("Invalid capability operand: 6022") {
        return false;
    }
    assert!(output.status.success(), "{what}: {told}");
    true
}

#[test]
fn every_variant_translates() {
    let variants = variants();
    assert!(!variants.is_empty());
    let mut validated = 0;
    for (what, (variant, bound, _)) in &variants {
        let shader = variant.render();
        assert_eq!(
            shader.bindings.len(),
            *bound,
            "{what}: bindings of shader and dispatch"
        );
        assert!(
            shader.bindings.len() <= 8,
            "{what}: more storage buffers than every adapter has"
        );
        validated += usize::from(spirv_val(what, &spirv(&shader)));
        assert!(metal(&shader, variant.entry).contains("kernel"), "{what}");
        assert!(direct3d(&shader).contains("numthreads"), "{what}");
    }
    println!(
        "{} variants, {validated} checked with spirv-val",
        variants.len()
    );
}

/// Units for matrices: of 16 by 16 on Vulkan alone, of 8 by 8 on Metal too. HLSL has none that naga could write, so DX12 runs
/// the ordinary kernels.
#[test]
fn products_of_matrices_translate() {
    let needed = naga::valid::Capabilities::COOPERATIVE_MATRIX;
    assert!(!hlsl::supported_capabilities().contains(needed));
    for side in [16, 8] {
        let variants = with_matrices(Matrices::new(side));
        let mut validated = 0;
        for (what, (variant, bound, _)) in &variants {
            let shader = variant.render();
            assert_eq!(shader.bindings.len(), *bound, "{what}");
            let operands = format!("coop_mat{side}x{side}<f16, A>");
            assert!(shader.source.contains(&operands), "{what}");
            validated += usize::from(spirv_val(what, &spirv(&shader)));
            if side == 8 {
                let text = metal(&shader, variant.entry);
                assert!(text.contains("simdgroup_multiply_accumulate"), "{what}");
            }
        }
        println!(
            "{} variants of {side} by {side}, {validated} checked with spirv-val",
            variants.len()
        );
    }
}

#[test]
fn strides_of_workgroup_arrays_alone_are_left_out() {
    let source = "var<workgroup> shared_numbers: array<f32, 64>;
        @group(0) @binding(1) var<storage, read_write> y: array<f32>;
        @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) { y[i] = shared_numbers[i]; }";
    let module = naga::front::wgsl::parse_str(source).unwrap();
    let flags = naga::valid::ValidationFlags::all();
    let mut validator = naga::valid::Validator::new(flags, naga::valid::Capabilities::empty());
    let info = validator.validate(&module).unwrap();
    let words = spv::write_vec(&module, &info, &spv::Options::default(), None).unwrap();
    let rest = without_workgroup_strides(&words);
    // One decoration: operation, type, which, and how many bytes.
    assert_eq!(rest.len() + 4, words.len());
    assert_eq!(without_workgroup_strides(&rest), rest);
}

#[test]
fn workgroups_fit_every_adapter() {
    let units = [16, 8].map(|side| with_matrices(Matrices::new(side)));
    let units = units.into_iter().flatten();
    for (what, (variant, _, most_bytes)) in variants().into_iter().chain(units) {
        let shader = variant.render();
        for entry in &shader.module.entry_points {
            let [x, y, z] = entry.workgroup_size;
            assert!(x * y * z <= 256, "{what}: {x}x{y}x{z} invocations");
        }
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(shader.module.to_ctx()).unwrap();
        let shared = shader
            .module
            .global_variables
            .iter()
            .filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup);
        let bytes: u32 = shared.map(|(_, v)| layouter[v.ty].size).sum();
        assert!(
            bytes <= most_bytes,
            "{what}: {bytes} bytes of workgroup memory"
        );
    }
}

#[test]
fn dense_types_know_their_size() {
    let shape = spadework::graph::Shape::new(2, 3, 5, 7);
    assert_eq!(Ty::Dense(shape).bytes(), 2 * 3 * 5 * 8 * 4);
    assert_eq!(Ty::Half(shape).bytes(), 2 * 3 * 5 * 8 * 2);
}
