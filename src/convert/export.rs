//! A checkpoint's networks as state dictionaries for PyTorch, under the official file names.

use std::path::{Path, PathBuf};

use super::{Network, pth};
use crate::state::{StateDict, TensorFile};
use crate::train::{Checkpoint, write_durably};
use crate::{Error, Result};

/// Writes `EPOCH_net_G.pth` and, where there are such networks, `D` and `E`, each also as safetensors. Of a generator with
/// a moving average this is the average; [`StateDict::take_average`] before leaves the newest weights.
///
/// # Errors
/// If a file exists or cannot be written.
pub fn export(mut checkpoint: Checkpoint, epoch: &str, folder: &Path) -> Result<Vec<PathBuf>> {
    checkpoint.networks.use_average();
    let files = files(checkpoint.networks, epoch, folder);
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
        return Err(Error::Usage(format!(
            "{} exists and nothing is ever overwritten: choose another --out or --which-epoch",
            path.display()
        )));
    }
    std::fs::create_dir_all(folder).map_err(|e| Error::io("cannot create", folder, e))?;
    let mut written = Vec::new();
    for (path, state) in files {
        write_durably(&path, |writer| pth::write(&state, writer))?;
        let plain = path.with_extension("safetensors");
        let file = TensorFile {
            // What readers of PyTorch's weights look for.
            metadata: [("format".to_owned(), "pt".to_owned())].into(),
            state,
        };
        write_durably(&plain, |writer| file.write(writer))?;
        written.extend([path, plain]);
    }
    Ok(written)
}

/// A file's path and its network's tensors, named without the network.
fn files(networks: StateDict, epoch: &str, folder: &Path) -> Vec<(PathBuf, StateDict)> {
    let mut files: Vec<_> = Network::ALL
        .map(|network| {
            let name = format!("{epoch}_net_{}.pth", network.letter());
            (folder.join(name), StateDict::default())
        })
        .into();
    let own = |name: &str| {
        let (letter, rest) = name.split_once('.')?;
        let index = Network::ALL
            .iter()
            .position(|network| network.letter() == letter)?;
        Some((index, rest.to_owned()))
    };
    for (name, tensor) in networks.tensors {
        if let Some((index, name)) = own(&name) {
            files[index].1.tensors.insert(name, tensor);
        }
    }
    for (name, counter) in networks.counters {
        if let Some((index, name)) = own(&name) {
            files[index].1.counters.insert(name, counter);
        }
    }
    files.retain(|(_, state)| !state.tensors.is_empty());
    files
}
