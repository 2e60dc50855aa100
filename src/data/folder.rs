//! A part of a data set in folders, every pair complete.

use std::path::Path;

use super::classes::LabelSpace;
use super::config::DataConfig;
use super::layout::Phase;
use super::list::{Pair, list, no_part, refuse};
use super::{Grid, Item, files};
use crate::{Error, Result};

/// A part of a data set in folders, every pair complete.
#[derive(Clone, Debug)]
pub struct Folder {
    pairs: Vec<Pair>,
    space: LabelSpace,
}

impl Folder {
    /// Lists a part; anything that does not pair up is an error.
    ///
    /// Without a `val` part the last `hold_out` pairs, at most a tenth of all, take its place and are left out of
    /// training; a set too small for that is judged by the last pairs it was trained on.
    pub fn open(config: &DataConfig, phase: Phase, space: &LabelSpace) -> Result<Self> {
        config.validate()?;
        let listed = |phase| list(config, phase, space.instances);
        let val = listed(Phase::Val)?;
        let has_val = val.is_some();
        let own = if has_val { phase } else { Phase::Train };
        let listing = match own {
            Phase::Val => val,
            Phase::Train => listed(Phase::Train)?,
        };
        let listing = listing.ok_or_else(|| no_part(config, own))?;
        refuse(&listing.problems)?;
        let mut pairs = listing.pairs;
        let held = config.hold_out.min(pairs.len() / 10);
        if phase == Phase::Train && !has_val {
            pairs.truncate(pairs.len() - held);
        } else if phase == Phase::Val && !has_val {
            let shown = if held > 0 {
                held
            } else {
                config.hold_out.max(1)
            };
            pairs.drain(..pairs.len().saturating_sub(shown));
        }
        let space = space.clone();
        Ok(Self { pairs, space })
    }

    /// The pairs in order.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// Classes and channels.
    pub fn space(&self) -> &LabelSpace {
        &self.space
    }

    /// Reads a pair.
    pub fn load(&self, index: usize) -> Result<Item> {
        let pair = &self.pairs[index];
        let photo = files::read_photo(&pair.photo)?;
        let labels = files::read_labels(&pair.labels, &self.space)?;
        let instances = pair
            .instances
            .as_deref()
            .map(files::read_instances)
            .transpose()?;
        let size = [photo.width, photo.height];
        same_size(&pair.labels, &labels, size)?;
        if let (Some(path), Some(instances)) = (&pair.instances, &instances) {
            same_size(path, instances, size)?;
        }
        Ok(Item {
            name: pair.name.clone(),
            photo,
            labels,
            instances,
        })
    }
}

/// Refuses a map that is not as large as its photo.
pub(super) fn same_size<T>(path: &Path, map: &Grid<T>, [width, height]: [usize; 2]) -> Result<()> {
    if [map.width, map.height] == [width, height] {
        return Ok(());
    }
    let Grid {
        width: w,
        height: h,
        ..
    } = map;
    let hint = match [*h, *w] == [width, height] {
        true => ": one of them lies on its side",
        false => "",
    };
    let path = path.display();
    Err(Error::Data(format!(
        "{path}: is {w}x{h} but its photo is {width}x{height}{hint}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::fixture::{data_set, write_grey, write_photo};

    #[test]
    fn files_pair_by_path_and_name_in_natural_order() {
        let dir = tempfile::tempdir().unwrap();
        data_set(dir.path(), &["town/9", "town/10", "8"]);
        std::fs::write(dir.path().join("train_img/notes.txt"), "x").unwrap();
        std::fs::write(dir.path().join("train_img/.hidden.png"), "x").unwrap();
        let config = DataConfig::of_dir(dir.path());
        let folder =
            Folder::open(&config, Phase::Train, &LabelSpace::new(1, false, false)).unwrap();
        let names: Vec<&str> = folder
            .pairs()
            .iter()
            .map(|pair| pair.name.as_str())
            .collect();
        assert_eq!(names, ["8", "town/9", "town/10"]);
        assert_eq!(folder.load(2).unwrap().labels, Grid::new(4, 3, vec![0; 12]));
    }

    #[test]
    fn pairs_are_held_out_only_where_nothing_else_judges() {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..20).map(|i| i.to_string()).collect();
        data_set(
            dir.path(),
            &names.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        let space = LabelSpace::new(1, false, false);
        let mut config = DataConfig::of_dir(dir.path());
        let count = |config: &DataConfig, phase| {
            let folder = Folder::open(config, phase, &space).unwrap();
            (folder.pairs()[0].name.clone(), folder.pairs().len())
        };
        assert_eq!(count(&config, Phase::Train), ("0".into(), 18));
        assert_eq!(count(&config, Phase::Val), ("18".into(), 2));
        config.hold_out = 0;
        assert_eq!(count(&config, Phase::Train).1, 20);
        assert_eq!(count(&config, Phase::Val), ("19".into(), 1));
        write_photo(&dir.path().join("val_img/x.png"), [4, 3]);
        write_grey(&dir.path().join("val_label/x.png"), [4, 3], &[0; 12]);
        config.hold_out = 4;
        assert_eq!(count(&config, Phase::Train).1, 20);
        assert_eq!(count(&config, Phase::Val), ("x".into(), 1));
    }

    #[test]
    fn a_map_of_another_size_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        data_set(dir.path(), &["a"]);
        write_grey(&dir.path().join("train_inst/a.png"), [3, 4], &[0; 12]);
        let space = LabelSpace::new(1, false, true);
        let config = DataConfig::of_dir(dir.path());
        let error = Folder::open(&config, Phase::Train, &space)
            .unwrap()
            .load(0)
            .unwrap_err();
        let error = error.to_string();
        assert!(
            error.ends_with(
                "train_inst/a.png: is 3x4 but its photo is 4x3: one of them lies on its side"
            ),
            "{error}"
        );
    }
}
