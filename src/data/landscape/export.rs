//! The landscapes as an ordinary data-set folder, for other programs and for looking at.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use image::{ExtendedColorType, ImageError, ImageFormat};
use rayon::prelude::*;

use super::scene::check_size;
use super::{Pair, pair};
use crate::{Error, Result};

/// Index of the first held-out sample: beyond all that anyone trains on.
pub const FIRST_VAL: u64 = 1 << 32;

/// What [`write_folder`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FolderPlan {
    /// Number of training samples, at least one.
    pub train: usize,
    /// Number of held-out samples; their layouts and styles occur in no training set.
    pub val: usize,
    /// Width of every picture in pixels.
    pub width: usize,
    /// Height of every picture in pixels.
    pub height: usize,
    /// Seed of the data set.
    pub seed: u64,
}

/// Writes `train_img`, `train_label`, `train_inst`, the same for `val`, and `classes.toml` into the new folder `out`.
///
/// Everything is written beside `out` and moved there at the end, so `out` is complete or absent; an `out` that holds
/// anything is refused. `progress` hears (done, total) after every sample, from several threads, and ends the work
/// with its error.
pub fn write_folder(
    out: &Path,
    plan: FolderPlan,
    progress: impl Fn(usize, usize) -> Result<()> + Sync,
) -> Result<()> {
    check_size(plan.width, plan.height)?;
    if plan.train == 0 {
        return Err(Error::Usage(
            "a data set without training pictures is of no use: ask for at least one".into(),
        ));
    }
    refuse_occupied(out)?;
    let parent = match out.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|e| Error::io("cannot create", parent, e))?;
    let scratch = tempfile::Builder::new()
        .prefix(".landscapes-")
        .tempdir_in(parent)
        .map_err(|e| Error::io("cannot write into", parent, e))?;
    // A folder in the scratch folder gets ordinary permissions; the scratch folder itself is private.
    let root = scratch.path().join("set");
    let done = AtomicUsize::new(0);
    let total = plan.train + plan.val;
    for (phase, count, first) in [("train", plan.train, 0), ("val", plan.val, FIRST_VAL)] {
        let folders = ["img", "label", "inst"].map(|kind| root.join(format!("{phase}_{kind}")));
        for folder in &folders {
            fs::create_dir_all(folder).map_err(|e| Error::io("cannot create", folder, e))?;
        }
        (0..count).into_par_iter().try_for_each(|index| {
            let sample = pair(plan.seed, first + index as u64, plan.width, plan.height)?;
            write_sample(&folders, index, &sample)?;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, total)
        })?;
    }
    let table = root.join("classes.toml");
    let text = include_str!("../../../assets/classes/landscapes.toml");
    fs::write(&table, text).map_err(|e| Error::io("cannot write", &table, e))?;
    if out.exists() {
        // Empty, as checked above; anything put there since makes this fail.
        fs::remove_dir(out).map_err(|e| Error::io("cannot replace", out, e))?;
    }
    fs::rename(&root, out).map_err(|e| Error::io("cannot create", out, e))
}

fn refuse_occupied(out: &Path) -> Result<()> {
    let occupied = match fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_some(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => false,
        Err(e) => return Err(Error::io("cannot use", out, e)),
    };
    if occupied {
        return Err(Error::Usage(format!(
            "{} is not empty and nothing is ever overwritten: name a new folder",
            out.display()
        )));
    }
    Ok(())
}

fn write_sample(folders: &[PathBuf; 3], index: usize, sample: &Pair) -> Result<()> {
    let instances: Vec<u8> = sample.instances.iter().map(|&i| i as u8).collect();
    let layers = [
        (&sample.rgb, ExtendedColorType::Rgb8),
        (&sample.labels, ExtendedColorType::L8),
        (&instances, ExtendedColorType::L8),
    ];
    for (folder, (bytes, color)) in folders.iter().zip(layers) {
        let path = folder.join(format!("{index:05}.png"));
        let (width, height) = (sample.width as u32, sample.height as u32);
        image::save_buffer_with_format(&path, bytes, width, height, color, ImageFormat::Png)
            .map_err(|error| match error {
                ImageError::IoError(source) => Error::io("cannot write", &path, source),
                other => Error::Data(format!("cannot write {}: {other}", path.display())),
            })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: FolderPlan = FolderPlan {
        train: 2,
        val: 1,
        width: 20,
        height: 16,
        seed: 7,
    };

    #[test]
    fn a_folder_holds_the_samples_and_the_classes() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("deep/set");
        write_folder(&out, PLAN, |done, total| {
            assert!((1..=3).contains(&done) && total == 3);
            Ok(())
        })
        .unwrap();
        for (name, index) in [("train", 1), ("val", FIRST_VAL)] {
            let sample = pair(7, index, 20, 16).unwrap();
            let file = format!("{:05}.png", index % FIRST_VAL);
            let read = |kind: &str| image::open(out.join(format!("{name}_{kind}/{file}"))).unwrap();
            assert_eq!(read("img").into_rgb8().into_raw(), sample.rgb);
            assert_eq!(read("label").into_luma8().into_raw(), sample.labels);
            let instances = read("inst").into_luma8().into_raw();
            assert!(
                instances
                    .iter()
                    .zip(&sample.instances)
                    .all(|(a, b)| u16::from(*a) == *b)
            );
        }
        let table = crate::data::ClassTable::load(&out.join("classes.toml")).unwrap();
        assert_eq!(table.label_nc(), Some(super::super::CLASSES.len()));
        let left = fs::read_dir(home.path().join("deep")).unwrap().count();
        assert_eq!(left, 1, "scratch folders are gone");
    }

    #[test]
    fn nothing_is_overwritten_and_failure_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("mine"), "keep").unwrap();
        let refused = |result: Result<()>, says: &str| {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        };
        refused(write_folder(home.path(), PLAN, |_, _| Ok(())), "not empty");
        refused(
            write_folder(&home.path().join("mine"), PLAN, |_, _| Ok(())),
            "mine",
        );
        refused(
            write_folder(&home.path().join("mine/x"), PLAN, |_, _| Ok(())),
            "mine",
        );
        let out = home.path().join("new");
        refused(
            write_folder(&out, PLAN, |_, _| Err(Error::Interrupted)),
            "interrupted",
        );
        refused(
            write_folder(&out, FolderPlan { train: 0, ..PLAN }, |_, _| Ok(())),
            "at least one",
        );
        refused(
            write_folder(&out, FolderPlan { width: 0, ..PLAN }, |_, _| Ok(())),
            "0x16",
        );
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_empty_folder_may_be_filled() {
        let home = tempfile::tempdir().unwrap();
        write_folder(home.path(), FolderPlan { val: 0, ..PLAN }, |_, _| Ok(())).unwrap();
        assert!(home.path().join("train_inst/00001.png").exists());
    }
}
