//! Replays a recorded case on the GPU and writes what came out, under the names of the recording.
//!
//! A case is a safetensors file: settings as JSON in its metadata (`config`), first weights (`init.*`), batches
//! (`step{i}.in.*`) and inputs for evaluation (`eval.in.*`, or `in.*` in a case without steps). Answers are whole
//! tensors in published layout, named `out.*`. A setting that is not built is refused by its name.
//!
//! ```text
//! cargo run --release --example replay -- CASE.safetensors --out GOT.safetensors
//! ```

mod case;
mod reference;
mod settings;

use case::Case;
use clap::Parser;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError};
use spadework::gpu::Gpu;
use spadework::state::StateDict;
use spadework::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Replays a recorded case on the GPU.
#[derive(Parser)]
struct Options {
    /// The case.
    case: PathBuf,
    /// Where the answers go.
    #[arg(long)]
    out: PathBuf,
    /// Number or part of the name of the adapter.
    #[arg(long)]
    adapter: Option<String>,
    /// Computes the first iteration in double precision instead, without a GPU.
    #[arg(long)]
    reference: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match replay(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: case {}: {error}", options.case.display());
            ExitCode::from(error.exit_code())
        }
    }
}

fn replay(options: &Options) -> Result<()> {
    let bytes = std::fs::read(&options.case)
        .map_err(|source| Error::io("cannot read", &options.case, source))?;
    let case = Case::read(&bytes)?;
    let answers = if options.reference {
        case.first_iteration()?
    } else {
        let gpu = Gpu::open(options.adapter.as_deref())?;
        eprintln!("{} ({:?})", gpu.info.name, gpu.family);
        case.replay(&gpu)?
    };
    write(&answers, &options.out)?;
    let count = answers.tensors.len() + answers.counters.len();
    eprintln!("{count} tensors in {}", options.out.display());
    Ok(())
}

fn write(answers: &StateDict, path: &Path) -> Result<()> {
    let failed = |e: SafeTensorError| Error::Data(format!("cannot write {}: {e}", path.display()));
    let counters: Vec<_> = answers
        .counters
        .iter()
        .map(|(k, v)| (k, v.to_le_bytes()))
        .collect();
    let mut views = Vec::new();
    for (name, tensor) in &answers.tensors {
        let bytes = bytemuck::cast_slice(&tensor.data);
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes);
        views.push((name, view.map_err(failed)?));
    }
    for (name, bytes) in &counters {
        let view = TensorView::new(Dtype::I64, Vec::new(), bytes);
        views.push((name, view.map_err(failed)?));
    }
    safetensors::serialize_to_file(views, None, path).map_err(failed)
}
