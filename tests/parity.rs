//! Whole training iterations against a float64 recording: losses, pictures, logits, features, gradients, and the
//! state of both networks afterwards.
//!
//! The recording carries, for each tensor, the largest deviation seen over float32 runs of another implementation
//! and over disturbances of the size of a rounding error (`noise_f32`), and its largest magnitude (`scale`).

#[path = "../examples/replay/case.rs"]
mod case;
mod common;
#[path = "../examples/replay/reference.rs"]
mod reference;
#[path = "../examples/replay/settings.rs"]
mod settings;

use case::Case;
use safetensors::{Dtype, SafeTensors};
use spadework::config::ModelConfig;
use std::collections::HashMap;
use std::path::Path;

/// How far a tensor may be off.
struct Allowance {
    /// From the exact value.
    limit: f64,
    /// Elements beyond the limit.
    outliers: usize,
    /// From the exact value, for those.
    outlier_limit: f64,
}

struct Recording {
    bytes: Vec<u8>,
    metadata: HashMap<String, String>,
}

impl Recording {
    fn open(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(name);
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = header.metadata().clone().expect("recordings have metadata");
        Self { bytes, metadata }
    }

    fn numbers(&self, name: &str) -> HashMap<String, f64> {
        serde_json::from_str(&self.metadata[name]).unwrap()
    }
}

/// Biases that a following norm cancels. Their exact gradient is zero, so Adam walks on the sign of rounding noise.
fn is_cancelled(name: &str, model: &ModelConfig) -> bool {
    let last_block = name.contains("G.up_3.");
    // With styles every place of the first grid has a bias of its own, which a norm cancels only if there is one place.
    let is_constant = !model.use_vae || model.latent() == [1, 1];
    name.ends_with("G.fc.bias") && is_constant
        || name.ends_with("conv_0.bias")
        || !last_block && (name.ends_with("conv_1.bias") || name.ends_with("norm_s.mlp_beta.bias"))
}

/// Adam's first step has the length of the rate whatever the gradient's, so an element whose gradient is rounding
/// noise may go the other way in each step.
fn allowance(name: &str, len: usize, noise: f64, scale: f64, farthest: f64) -> Allowance {
    let limit = 8.0 * noise + 1e-4 * scale;
    let share = |fraction: f64| (len as f64 * fraction) as usize;
    let (outliers, outlier_limit) = if name.contains(".grad.") {
        // A slope that flips at a kink moves an element by about the tensor's scale, no further.
        (share(1e-3), 10.0 * scale)
    } else if name.contains(".final.") {
        (share(5e-3).max(2), farthest)
    } else {
        (0, 0.0)
    };
    Allowance {
        limit,
        outliers,
        outlier_limit,
    }
}

/// Whether a tensor was computed after the second update of the discriminator.
///
/// By then an element whose gradient is rounding noise may have gone the other way than recorded, by up to twice the
/// rate, and everything behind it moves along. The recorded noise covers the flips that its own runs met, not all
/// there are: another order of summation in the convolutions gives between none and four tensors beyond it.
fn is_behind_flips(name: &str) -> bool {
    !name.contains(".step0.") && !name.contains(".step1.")
}

/// What is wrong with a tensor, if anything.
fn complaint(name: &str, got: &[f32], want: &[f32], allowed: &Allowance) -> Option<String> {
    if got.len() != want.len() {
        let (got, want) = (got.len(), want.len());
        return Some(format!("{name}: {got} elements, expected {want}"));
    }
    let off = |(g, w): (&f32, &f32)| (f64::from(*g) - f64::from(*w)).abs();
    let beyond: Vec<_> = (0..got.len())
        .map(|i| (i, off((&got[i], &want[i]))))
        .filter(|(_, off)| off.is_nan() || *off > allowed.limit)
        .collect();
    let worst = got.iter().zip(want).map(off).fold(0.0, f64::max);
    let too_far = |&(_, off): &(usize, f64)| off.is_nan() || off > allowed.outlier_limit;
    if beyond.len() <= allowed.outliers && !beyond.iter().any(too_far) {
        return None;
    }
    let list: Vec<_> = beyond
        .iter()
        .take(5)
        .map(|(i, _)| format!("[{i}] got {} want {}", got[*i], want[*i]))
        .collect();
    Some(format!(
        "{name}: {} of {} beyond {:.2e}, at most {worst:.2e}: {}",
        beyond.len(),
        got.len(),
        allowed.limit,
        list.join(", ")
    ))
}

fn check(name: &str) {
    let recording = Recording::open(name);
    let (noise, scale) = (recording.numbers("noise_f32"), recording.numbers("scale"));
    let case = Case::read(&recording.bytes).unwrap();
    let recorded = SafeTensors::deserialize(&recording.bytes).unwrap();
    let steps = (0..).take_while(|i| recorded.tensor(&format!("step{i}.in.label")).is_ok());
    let (_, rate) = case.settings.optim.rates(1);
    let farthest = 2.5 * rate * steps.count() as f64;
    for gpu in &common::gpus_and_filterings() {
        let answers = case.replay(gpu).unwrap();
        let (mut complaints, mut behind_flips) = (Vec::new(), Vec::new());
        let mut compared = 0;
        for (name, want) in recorded.iter().filter(|(name, _)| name.starts_with("out.")) {
            if want.dtype() == Dtype::I64 {
                let want: Vec<i64> = bytemuck::pod_collect_to_vec(want.data());
                assert_eq!(answers.counters.get(name), Some(&want[0]), "{name}");
                continue;
            }
            if is_cancelled(name, &case.settings.model) {
                continue;
            }
            let Some(got) = answers.tensors.get(name) else {
                complaints.push(format!("{name} is missing"));
                continue;
            };
            let want: Vec<f32> = bytemuck::pod_collect_to_vec(want.data());
            let key = &name["out.".len()..];
            let allowed = allowance(name, want.len(), noise[key], scale[key], farthest);
            let list = match is_behind_flips(name) {
                true => &mut behind_flips,
                false => &mut complaints,
            };
            list.extend(complaint(name, &got.data, &want, &allowed));
            // However flips went, nothing is farther off than they can carry it.
            let carried = Allowance {
                limit: allowed.limit.max(farthest).max(0.05 * scale[key]),
                outliers: 0,
                outlier_limit: 0.0,
            };
            if is_behind_flips(name) {
                complaints.extend(complaint(name, &got.data, &want, &carried));
            }
            let start = name.replacen("out.final.", "init.", 1);
            let is_trained = recorded.tensor(&name.replacen("out.final.", "out.step0.grad.", 1));
            if let (true, Ok(_), Ok(start)) = (start != name, is_trained, recorded.tensor(&start)) {
                let start: Vec<f32> = bytemuck::pod_collect_to_vec(start.data());
                // Hidden units that no window lights up stay as they were, in the recording too.
                assert!(got.data != start || want == start, "{name} never changed");
            }
            compared += 1;
        }
        assert!(compared > 300, "only {compared} tensors were compared");
        if behind_flips.len() > compared / 50 {
            complaints.append(&mut behind_flips);
        }
        assert!(
            complaints.is_empty(),
            "{:?}, {:?}: {} of {compared} tensors are off:\n{}",
            gpu.family,
            gpu.filtering,
            complaints.len(),
            complaints.join("\n")
        );
    }
}

#[test]
fn three_iterations_equal_the_recording() {
    check("train3.safetensors");
}

#[test]
fn an_iteration_with_styles_equals_the_recording() {
    check("train_vae.safetensors");
}

/// Without rounding there are no flips at kinks, so every number is the recorded one to what its file can hold.
fn check_without_rounding(name: &str) {
    let recording = Recording::open(name);
    let scale = recording.numbers("scale");
    let case = Case::read(&recording.bytes).unwrap();
    let recorded = SafeTensors::deserialize(&recording.bytes).unwrap();
    let answers = case.first_iteration().unwrap();
    let mut compared = 0;
    for (name, got) in &answers.tensors {
        let Ok(want) = recorded.tensor(name) else {
            continue;
        };
        let want: Vec<f32> = bytemuck::pod_collect_to_vec(want.data());
        // Half a unit in the last place of either; what a norm cancels is rounding noise in double precision too.
        let limit = f64::from(f32::EPSILON) * scale[&name["out.".len()..]] + 1e-12;
        let allowed = Allowance {
            limit,
            outliers: 0,
            outlier_limit: 0.0,
        };
        assert_eq!(complaint(name, &got.data, &want, &allowed), None);
        compared += 1;
    }
    assert!(compared > 150, "only {compared} tensors were compared");
}

#[test]
fn the_first_iteration_in_double_precision_is_the_recorded_one() {
    check_without_rounding("train3.safetensors");
    check_without_rounding("train_vae.safetensors");
}
