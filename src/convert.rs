//! Weights of other programs: PyTorch's files read and written, old layouts brought up to date, official state
//! dictionaries made into checkpoints and back.

mod export;
mod import;
mod names;
mod network;
pub mod pth;
mod shapes;

pub use export::export;
pub use import::{Known, import};
pub use names::{add_counters, modernise, restore_v, strip_wrapper};
pub use network::Network;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::state::{StateDict, TensorFile};
use crate::{Error, Result};

/// Reads the named tensors of a `.pth` or `.safetensors` file; its content tells which it is.
///
/// Names lose the prefix `module.`; see [`strip_wrapper`]. For old layouts see [`modernise`].
///
/// # Errors
/// If the file cannot be read, or is neither.
pub fn read_weights(path: &Path) -> Result<StateDict> {
    read_selected_weights(path, |_| true)
}

/// As [`read_weights`], only tensors whose names (without `module.`) are wanted.
///
/// With `|name| name.starts_with("features.")` this takes the convolutions of VGG-19 from torchvision's file and leaves
/// out the classifier, which is nine tenths of it.
///
/// # Errors
/// As [`read_weights`].
pub fn read_selected_weights(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<StateDict> {
    let wanted = |name: &str| wanted(names::unwrapped(name));
    let cannot_read = |source| Error::io("cannot read", path, source);
    let file = File::open(path).map_err(cannot_read)?;
    let mut start = Vec::new();
    let prefix = (&file).take(pth::PREFIX as u64);
    { prefix }.read_to_end(&mut start).map_err(cannot_read)?;
    // The header of the other kind begins behind its length. What is neither is refused as what its name promises.
    let named_pth = path
        .extension()
        .is_some_and(|end| end == "pth" || end == "pt");
    let has_header = start.get(8) == Some(&b'{');
    let state = if pth::is_pth(&start) || (named_pth && !has_header) {
        pth::read_from(file, path, wanted)?
    } else {
        let mut state = TensorFile::load(path, "weights")?.state;
        state.tensors.retain(|name, _| wanted(name));
        state.counters.retain(|name, _| wanted(name));
        state
    };
    strip_wrapper(state)
}
