//! Every shader variant that any case dispatches, for every kernel family: naga accepts it, its bindings are those
//! the operation binds, and it can be written as SPIR-V, Metal and HLSL. That is the proof for machines we lack.

mod common;

use common::*;
use naga::back::{hlsl, msl, spv};
use spadework::gpu::shader::{Shader, Variant};
use spadework::graph::Ty;
use spadework::graph::plan::{Plan, Step, Target};
use spadework::ops::winograd::Filtering;
use spadework::ops::{Buffering, Dispatch, Family, all_cases};
use std::collections::BTreeMap;

/// Variants with the number of buffers each binds, and the bytes of workgroup memory it may take.
fn variants() -> BTreeMap<String, (Variant, usize, u32)> {
    let mut variants = BTreeMap::new();
    for family in [
        Family::Tiled(Buffering::Single),
        Family::Tiled(Buffering::Double),
        Family::Subgroup(8),
    ] {
        let target = Target {
            family,
            workspace_bytes: 1 << 20,
            max_binding_bytes: 1 << 30,
            filtering: Filtering::default(),
            storage: spadework::graph::half::Storage::Single,
        };
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

/// Runs spirv-val where it is installed; tells whether it is.
fn spirv_val(what: &str, words: &[u32]) -> bool {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, bytemuck::cast_slice(words)).unwrap();
    match std::process::Command::new("spirv-val")
        .arg("--target-env")
        .arg("vulkan1.1")
        .arg(file.path())
        .output()
    {
        Err(_) => false,
        Ok(output) => {
            assert!(
                output.status.success(),
                "{what}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            true
        }
    }
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

#[test]
fn workgroups_fit_every_adapter() {
    for (what, (variant, _, most_bytes)) in variants() {
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
