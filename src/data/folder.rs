//! Data sets in folders: which photo belongs to which label and instance map.
//!
//! Files belong together when their paths inside their folders are equal up to the ending. Pairs are in natural order:
//! digits compare as numbers, so that `frame9` precedes `frame10`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::classes::LabelSpace;
use super::config::DataConfig;
use super::files::{self, EXTENSIONS};
use super::{Grid, Item};
use crate::{Error, Result};

/// Part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// What a network learns from.
    Train,
    /// What it is judged by.
    Val,
}

impl Phase {
    /// First part of its folder names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
        }
    }
}

/// A photo and its maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Path inside the folders without the ending.
    pub name: String,
    /// The photo.
    pub photo: PathBuf,
    /// The label map.
    pub labels: PathBuf,
    /// The instance map, where such are used.
    pub instances: Option<PathBuf>,
}

/// Something wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file or folder.
    pub file: PathBuf,
    /// What is wrong with it.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.message)
    }
}

/// What the folders of one part hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Complete pairs in natural order.
    pub pairs: Vec<Pair>,
    /// Files without partners, empty and missing folders.
    pub problems: Vec<Problem>,
    /// Number of photos, label maps and instance maps.
    pub counts: [usize; 3],
}

/// Folders of photos, labels and instances of a part; none where the data set has no such part.
fn folders(config: &DataConfig, phase: Phase, instances: bool) -> Option<Vec<PathBuf>> {
    let mut folders = match (&config.dir, phase) {
        (Some(dir), _) => {
            let part = |kind: &str| dir.join(format!("{}_{kind}", phase.name()));
            let folders = ["img", "label", "inst"].map(part);
            let there = folders.iter().any(|folder| folder.is_dir());
            there.then_some(folders.to_vec())?
        }
        (None, Phase::Train) => {
            let separate = [&config.image_dir, &config.label_dir, &config.instance_dir];
            separate.into_iter().flatten().cloned().collect()
        }
        (None, Phase::Val) => return None,
    };
    folders.truncate(2 + usize::from(instances));
    Some(folders)
}

/// Lists a part and pairs its files, collecting everything that does not fit. No such part: `None`.
pub fn list(config: &DataConfig, phase: Phase, instances: bool) -> Option<Listing> {
    const KINDS: [&str; 3] = ["photo", "label map", "instance map"];
    let folders = folders(config, phase, instances)?;
    let mut listing = Listing::default();
    let mut groups: BTreeMap<String, [Option<PathBuf>; 3]> = BTreeMap::new();
    let mut problem = |file: &Path, message: String| {
        let file = file.to_path_buf();
        listing.problems.push(Problem { file, message });
    };
    for (kind, folder) in folders.iter().enumerate() {
        let mut found = Vec::new();
        if let Err(error) = walk(folder, &mut found) {
            problem(folder, format!("cannot be listed: {error}"));
            continue;
        }
        listing.counts[kind] = found.len();
        if found.is_empty() {
            let endings = EXTENSIONS.join(", ");
            problem(folder, format!("holds no {} ({endings})", KINDS[kind]));
        }
        for file in found {
            let inside = file
                .strip_prefix(folder)
                .unwrap_or(&file)
                .with_extension("");
            let name = inside.to_string_lossy().replace('\\', "/");
            let place = &mut groups.entry(name).or_default()[kind];
            match place {
                Some(first) => {
                    let first = first.display();
                    problem(
                        &file,
                        format!("has the same name as {first}; keep one of them"),
                    );
                }
                None => *place = Some(file),
            }
        }
    }
    for (name, files) in groups {
        let lacking: Vec<usize> = (0..folders.len()).filter(|&i| files[i].is_none()).collect();
        if let Some(there) = files
            .iter()
            .flatten()
            .next()
            .filter(|_| !lacking.is_empty())
        {
            for kind in lacking.into_iter().filter(|&kind| listing.counts[kind] > 0) {
                let folder = folders[kind].display();
                problem(
                    there,
                    format!("has no {} {name}.* in {folder}", KINDS[kind]),
                );
            }
        } else if let [Some(photo), Some(labels), instances] = files {
            listing.pairs.push(Pair {
                name,
                photo,
                labels,
                instances,
            });
        }
    }
    listing
        .pairs
        .sort_by(|a, b| natural_order(&a.name, &b.name));
    Some(listing)
}

/// Files of a folder and its sub-folders that may be pictures, but hidden ones.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        if path.is_dir() {
            walk(&path, found)?;
        } else if is_picture(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(())
}

/// Pictures of a folder and its sub-folders in natural order, or the one file itself.
pub fn pictures(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    walk(path, &mut found).map_err(|source| Error::io("cannot list", path, source))?;
    if found.is_empty() {
        let endings = EXTENSIONS.join(", ");
        return Err(Error::Data(format!(
            "{}: holds no picture ({endings})",
            path.display()
        )));
    }
    found.sort_by(|a, b| natural_order(&a.to_string_lossy(), &b.to_string_lossy()));
    Ok(found)
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| {
        EXTENSIONS
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    })
}

/// Text order in which runs of digits compare as numbers.
pub fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    while let ([x, ..], [y, ..]) = (left, right) {
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (x, y) = (digits(&mut left), digits(&mut right));
            x.len().cmp(&y.len()).then(x.cmp(y))
        } else {
            (left, right) = (&left[1..], &right[1..]);
            x.cmp(y)
        };
        if order.is_ne() {
            return order;
        }
    }
    left.len().cmp(&right.len()).then(a.cmp(b))
}

/// Takes the leading number off, without its leading zeros.
fn digits<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(len);
    *text = rest;
    let zeros = number.iter().take_while(|&&byte| byte == b'0').count();
    &number[zeros..]
}

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
        let has_val = listed(Phase::Val).is_some();
        let own = if has_val { phase } else { Phase::Train };
        let listing = listed(own).ok_or_else(|| no_part(config, own))?;
        let mut pairs = complete(listing)?;
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
    let path = path.display();
    Err(Error::Data(format!(
        "{path}: is {w}x{h} but its photo is {width}x{height}"
    )))
}

/// The error for a folder without the folders of a part.
pub(super) fn no_part(config: &DataConfig, phase: Phase) -> Error {
    let dir = config.dir.as_deref().unwrap_or(Path::new("")).display();
    let part = phase.name();
    Error::Data(format!(
        "{dir}: holds no {part}_img and {part}_label folders; for other names give image_dir and label_dir"
    ))
}

fn complete(listing: Listing) -> Result<Vec<Pair>> {
    /// Lines of a message that a person still reads.
    const SHOWN: usize = 5;
    let problems = listing.problems;
    if problems.is_empty() {
        return Ok(listing.pairs);
    }
    let mut lines: Vec<String> = problems
        .iter()
        .take(SHOWN)
        .map(Problem::to_string)
        .collect();
    if problems.len() > SHOWN {
        lines.push(format!(
            "and {} more; `spadework check` lists them all",
            problems.len() - SHOWN
        ));
    }
    Err(Error::Data(lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::fixture::{write_grey, write_photo};

    #[test]
    fn digits_compare_as_numbers() {
        let mut names = [
            "a10", "a9", "a09b", "b", "a", "a9c", "a010", "a1/2", "a1/10",
        ];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(
            names,
            [
                "a", "a1/2", "a1/10", "a9", "a09b", "a9c", "a010", "a10", "b"
            ]
        );
    }

    fn data_set(dir: &Path, names: &[&str]) {
        for name in names {
            write_photo(&dir.join(format!("train_img/{name}.png")), [4, 3]);
            write_grey(
                &dir.join(format!("train_label/{name}.png")),
                [4, 3],
                &[0; 12],
            );
        }
    }

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
    fn what_lacks_a_partner_is_listed() {
        let dir = tempfile::tempdir().unwrap();
        data_set(dir.path(), &["a", "b", "c"]);
        std::fs::remove_file(dir.path().join("train_img/b.png")).unwrap();
        std::fs::remove_file(dir.path().join("train_label/c.png")).unwrap();
        std::fs::write(dir.path().join("train_img/a.jpg"), "x").unwrap();
        let config = DataConfig::of_dir(dir.path());
        let listing = list(&config, Phase::Train, false).unwrap();
        assert_eq!(listing.pairs.len(), 1);
        let text: Vec<String> = listing.problems.iter().map(Problem::to_string).collect();
        let text = text.join("\n");
        for part in [
            "a.png: has the same name",
            "label/b.png: has no photo b.*",
            "img/c.png: has no label map c.*",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let space = LabelSpace::new(1, false, false);
        let error = Folder::open(&config, Phase::Train, &space).unwrap_err();
        assert!(matches!(error, Error::Data(_)), "{error}");
    }

    #[test]
    fn empty_and_missing_folders_are_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("train_img")).unwrap();
        let config = DataConfig::of_dir(dir.path());
        let listing = list(&config, Phase::Train, false).unwrap();
        let text: Vec<String> = listing.problems.iter().map(Problem::to_string).collect();
        assert!(text[0].contains("train_img: holds no photo"), "{text:?}");
        assert!(
            text[1].contains("train_label: cannot be listed"),
            "{text:?}"
        );
        assert_eq!(list(&config, Phase::Val, false), None);
        let nowhere = DataConfig::of_dir(dir.path().join("train_img"));
        let error = Folder::open(&nowhere, Phase::Train, &LabelSpace::new(1, false, false));
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("train_img: holds no train_img and")
        );
        assert!(pictures(&dir.path().join("train_img")).is_err());
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
            error.ends_with("train_inst/a.png: is 3x4 but its photo is 4x3"),
            "{error}"
        );
    }
}
