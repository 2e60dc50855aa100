//! Listing a part of a data set and pairing its files, with everything that does not fit.
//!
//! Files belong together when they go by the same name, never because they happen to be at the same position of two
//! sorted lists: a missing file then spoils one pair, not all that follow. Pairs are in natural order: digits compare as
//! numbers, so that `frame9` precedes `frame10`.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::config::DataConfig;
use super::files::EXTENSIONS;
use super::layout::{Phase, Place, Shelf, description, shelves};
use super::mode::DatasetMode;
use super::select;
use crate::{Error, Result};

/// A photo and its maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What its files share: their path inside the folders without the ending, or less.
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

const KINDS: [&str; 3] = ["photo", "label map", "instance map"];

/// Lists a part and pairs its files, collecting everything that does not fit. No such part: `None`.
///
/// # Errors
/// If a list of names that the options call for cannot be read.
pub fn list(config: &DataConfig, phase: Phase, instances: bool) -> Result<Option<Listing>> {
    let Some(gathered) = gather(config, phase, [true, true, instances])? else {
        return Ok(None);
    };
    let pair = |(name, files): (String, Files)| match files {
        [Some(photo), Some(labels), instances] => Some(Pair {
            name,
            photo,
            labels,
            instances,
        }),
        _ => None,
    };
    Ok(Some(Listing {
        pairs: gathered.complete.into_iter().filter_map(pair).collect(),
        problems: gathered.problems,
        counts: gathered.counts,
    }))
}

/// A layout: a label map without its photo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maps {
    /// What its files share.
    pub name: String,
    /// The label map.
    pub labels: PathBuf,
    /// The instance map, where such are used.
    pub instances: Option<PathBuf>,
}

/// Label maps of a part with their instance maps, whether there are photos or not.
///
/// # Errors
/// If there is no such part, or a file lacks its partner.
pub fn maps(config: &DataConfig, phase: Phase, instances: bool) -> Result<Vec<Maps>> {
    config.validate()?;
    let gathered = gather(config, phase, [false, true, instances])?;
    let gathered = gathered.ok_or_else(|| no_part(config, phase))?;
    refuse(&gathered.problems)?;
    let maps = |(name, [_, labels, instances]): (String, Files)| {
        let labels = labels?;
        Some(Maps {
            name,
            labels,
            instances,
        })
    };
    Ok(gathered.complete.into_iter().filter_map(maps).collect())
}

/// Photo, label map and instance map of one picture.
type Files = [Option<PathBuf>; 3];

/// What a part holds, of the kinds that were asked for.
#[derive(Default)]
struct Gathered {
    /// In natural order.
    complete: Vec<(String, Files)>,
    problems: Vec<Problem>,
    counts: [usize; 3],
    /// Its folders are there, or where parts share folders or names are chosen, files of it.
    there: bool,
}

fn gather(config: &DataConfig, phase: Phase, kinds: [bool; 3]) -> Result<Option<Gathered>> {
    let selection = select::selection(config)?;
    let mut gathered = Gathered::default();
    for shelf in shelves(config, phase, kinds) {
        add_shelf(&mut gathered, config, &shelf, selection.as_ref());
    }
    let most = config.max_dataset_size.unwrap_or(usize::MAX);
    gathered.complete.truncate(most);
    Ok(gathered.there.then_some(gathered))
}

fn add_shelf(
    gathered: &mut Gathered,
    config: &DataConfig,
    shelf: &Shelf,
    selection: Option<&BTreeSet<String>>,
) {
    let mut counts = [0; 3];
    let mut problems = Vec::new();
    let mut groups: BTreeMap<String, Files> = BTreeMap::new();
    for (kind, place) in shelf.places.iter().enumerate() {
        let Some(place) = place else { continue };
        gathered.there |= selection.is_none() && place.is_own() && place.folder.is_dir();
        let found = match found(config, place) {
            Ok(found) => found,
            Err(problem) => {
                problems.push(hint(problem, kind));
                continue;
            }
        };
        let chosen = |name: &str| selection.is_none_or(|names| select::holds(names, name));
        for (name, file) in found.into_iter().filter(|(name, _)| chosen(name)) {
            counts[kind] += 1;
            match &mut groups.entry(name).or_default()[kind] {
                Some(first) => problems.push(Problem {
                    message: format!("has the same name as {}; keep one of them", first.display()),
                    file,
                }),
                free => *free = Some(file),
            }
        }
        if counts[kind] == 0 {
            let (what, endings) = (KINDS[kind], place.endings());
            let chosen = selection.map_or("", |_| " among the chosen names");
            let problem = Problem {
                file: place.folder.clone(),
                message: format!("holds no {what}{chosen} ({endings})"),
            };
            problems.push(hint(problem, kind));
        }
    }
    if selection.is_some() && counts == [0; 3] {
        // Names may be chosen from other shelves and parts.
        return;
    }
    gathered.there |= counts != [0; 3];
    let (mut complete, unpaired) = pair_up(groups, shelf, counts);
    complete.sort_by(|(a, _), (b, _)| natural_order(a, b));
    gathered.complete.extend(complete);
    gathered.problems.extend(problems);
    gathered.problems.extend(unpaired);
    for (sum, count) in gathered.counts.iter_mut().zip(counts) {
        *sum += count;
    }
}

/// Complete groups in any order, and files that lack partners. A kind without any file was reported as such.
fn pair_up(
    groups: BTreeMap<String, Files>,
    shelf: &Shelf,
    counts: [usize; 3],
) -> (Vec<(String, Files)>, Vec<Problem>) {
    let mut complete = Vec::new();
    let mut problems = Vec::new();
    for (name, files) in groups {
        let lacking: [Option<&Place>; 3] = std::array::from_fn(|kind| {
            let wanted = shelf.places[kind].as_ref();
            wanted.filter(|_| files[kind].is_none())
        });
        if lacking.iter().all(Option::is_none) {
            complete.push((format!("{}{name}", shelf.prefix), files));
            continue;
        }
        let Some(file) = files.iter().flatten().next() else {
            continue;
        };
        for (kind, place) in lacking.into_iter().enumerate() {
            let Some(place) = place.filter(|_| counts[kind] > 0) else {
                continue;
            };
            let (pattern, folder) = (place.pattern(&name), place.folder.display());
            let message = format!("has no {} {pattern} in {folder}", KINDS[kind]);
            let file = file.clone();
            problems.push(Problem { file, message });
        }
    }
    (complete, problems)
}

/// One error for what does not pair up.
pub(super) fn refuse(problems: &[Problem]) -> Result<()> {
    /// Lines of a message that a person still reads.
    const SHOWN: usize = 5;
    if problems.is_empty() {
        return Ok(());
    }
    let shown = problems.iter().take(SHOWN);
    let mut lines: Vec<String> = shown.map(Problem::to_string).collect();
    if problems.len() > SHOWN {
        lines.push(format!(
            "and {} more; `spadework check` lists them all",
            problems.len() - SHOWN
        ));
    }
    Err(Error::Data(lines.join("\n")))
}

/// The error for a folder without the files of a part.
pub(super) fn no_part(config: &DataConfig, phase: Phase) -> Error {
    let dir = config.dir.as_deref().unwrap_or(Path::new("")).display();
    let expected = description(config.dataset_mode, phase);
    let looks_like = |mode: &DatasetMode| {
        let other = DataConfig {
            dataset_mode: *mode,
            only: None,
            cache_filelist_write: false,
            ..config.clone()
        };
        matches!(list(&other, phase, false), Ok(Some(_)))
    };
    let other = [
        DatasetMode::Custom,
        DatasetMode::Ade20k,
        DatasetMode::Cityscapes,
    ]
    .into_iter()
    .filter(|&mode| mode != config.dataset_mode && config.dir.is_some())
    .find(looks_like);
    let hint = other.map_or(String::new(), |mode| {
        format!("; it looks like {0}: give --dataset-mode {0}", mode.name())
    });
    let chosen = match (&config.only, config.dataset_mode) {
        (Some(names), _) => format!(", or none of the pictures that {} names", names.display()),
        (None, DatasetMode::Ade20kOutdoor) => ", or none out of doors".into(),
        (None, _) => String::new(),
    };
    Error::Data(format!("{dir}: holds no {expected}{chosen}{hint}"))
}

/// Instance maps can be done without.
fn hint(mut problem: Problem, kind: usize) -> Problem {
    if kind == 2 {
        problem.message += "; to go without instance maps give --no-instance";
    }
    problem
}

/// The files of a place by the names they go by.
fn found(config: &DataConfig, place: &Place) -> Result<Vec<(String, PathBuf)>, Problem> {
    let files = select::files(config, &place.folder)?;
    let named = |file: PathBuf| Some((place.key(&file)?, file));
    Ok(files.into_iter().filter_map(named).collect())
}

/// Files of a folder and its sub-folders that may be pictures, but hidden ones.
///
/// # Errors
/// If a folder cannot be listed, or links lead back into one that is being listed.
pub(super) fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    walk_below(folder, &mut Vec::new(), found)?;
    found.sort();
    Ok(())
}

/// `above` are the folders that it lies in, without links.
fn walk_below(
    folder: &Path,
    above: &mut Vec<PathBuf>,
    found: &mut Vec<PathBuf>,
) -> std::io::Result<()> {
    let real = folder.canonicalize()?;
    if above.contains(&real) {
        return Err(std::io::Error::other(format!(
            "{} leads back to {}, which it lies in; remove that link",
            folder.display(),
            real.display()
        )));
    }
    above.push(real);
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        if path.is_dir() {
            walk_below(&path, above, found)?;
        } else if is_picture(&path) {
            found.push(path);
        }
    }
    above.pop();
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
    let name = path.to_string_lossy().to_ascii_lowercase();
    EXTENSIONS.iter().any(|ending| name.ends_with(ending))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::fixture::data_set;
    use crate::data::{Folder, LabelSpace};

    #[cfg(unix)]
    #[test]
    fn links_that_lead_back_are_refused() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        data_set(dir.path(), &["a/1", "b/2"]);
        let labels = dir.path().join("train_label");
        // Another folder may be linked; two that hold each other have no end.
        symlink(labels.join("b"), dir.path().join("train_label/c")).unwrap();
        assert_eq!(pictures(&labels).unwrap().len(), 3);
        symlink(labels.join("b"), labels.join("a/b")).unwrap();
        symlink(labels.join("a"), labels.join("b/a")).unwrap();
        let error = pictures(&labels).unwrap_err().to_string();
        assert!(error.contains("remove that link"), "{error}");
        let config = DataConfig::of_dir(dir.path());
        let listing = list(&config, Phase::Train, false).unwrap().unwrap();
        assert!(listing.problems[0].message.contains("remove that link"));
    }

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

    #[test]
    fn what_lacks_a_partner_is_listed() {
        let dir = tempfile::tempdir().unwrap();
        data_set(dir.path(), &["a", "b", "c"]);
        std::fs::remove_file(dir.path().join("train_img/b.png")).unwrap();
        std::fs::remove_file(dir.path().join("train_label/c.png")).unwrap();
        std::fs::write(dir.path().join("train_img/a.jpg"), "x").unwrap();
        let config = DataConfig::of_dir(dir.path());
        let listing = list(&config, Phase::Train, false).unwrap().unwrap();
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
        let listing = list(&config, Phase::Train, false).unwrap().unwrap();
        let text: Vec<String> = listing.problems.iter().map(Problem::to_string).collect();
        assert!(text[0].contains("train_img: holds no photo"), "{text:?}");
        assert!(
            text[1].contains("train_label: cannot be listed"),
            "{text:?}"
        );
        assert_eq!(list(&config, Phase::Val, false).unwrap(), None);
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
}
