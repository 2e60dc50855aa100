//! Which files of a data set to use: lists of files instead of listing folders, and lists of names to choose.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::config::DataConfig;
use super::files::EXTENSIONS;
use super::list::{Problem, walk};
use super::mode::DatasetMode;
use crate::{Error, Result};

/// The list that may stand for the files of a folder, one path a line.
const CACHE: &str = "files.list";
/// Where ADE20K says which scene a picture shows.
const SCENES: &str = "sceneCategories.txt";

/// Pictures of a folder: from its `files.list` where one is to be read, else as they lie there.
///
/// COCO-Stuff is read from a list wherever there is one, as by the published code.
pub(super) fn files(config: &DataConfig, folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let cache = folder.join(CACHE);
    let read = config.cache_filelist_read || config.dataset_mode == DatasetMode::Coco;
    if read && !config.cache_filelist_write && cache.is_file() {
        return read_cache(&cache, folder);
    }
    let mut found = Vec::new();
    walk(folder, &mut found)
        .map_err(|error| problem(folder, format!("cannot be listed: {error}")))?;
    if config.cache_filelist_write {
        let line = |file: &PathBuf| {
            let inside = file.strip_prefix(folder).unwrap_or(file);
            inside.to_string_lossy().replace('\\', "/") + "\n"
        };
        let text: String = found.iter().map(line).collect();
        std::fs::write(&cache, text)
            .map_err(|error| problem(&cache, format!("cannot be written: {error}")))?;
    }
    Ok(found)
}

/// Paths may be relative to the folder of the list, or to where the program runs.
fn read_cache(cache: &Path, folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let text = std::fs::read_to_string(cache)
        .map_err(|error| problem(cache, format!("cannot be read: {error}")))?;
    let mut files = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let candidates = [folder.join(line), PathBuf::from(line)];
        match candidates.into_iter().find(|file| file.is_file()) {
            _ if line.is_empty() => {}
            Some(file) => files.push(file),
            None => {
                return Err(problem(
                    cache,
                    format!(
                        "line {}: there is no file {line}; remove the list, or write it anew with \
                         --cache-filelist-write",
                        number + 1
                    ),
                ));
            }
        }
    }
    Ok(files)
}

fn problem(file: &Path, message: String) -> Problem {
    let file = file.to_path_buf();
    Problem { file, message }
}

/// Names of the pictures to use, where the options choose some.
///
/// # Errors
/// If the list they call for cannot be read or chooses nothing.
pub(super) fn selection(config: &DataConfig) -> Result<Option<BTreeSet<String>>> {
    let (path, outdoor) = match (&config.only, &config.dir, config.dataset_mode) {
        (Some(path), _, _) => (path.clone(), false),
        (None, Some(dir), DatasetMode::Ade20kOutdoor) => (dir.join(SCENES), true),
        _ => return Ok(None),
    };
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let why = match outdoor {
            true => {
                ": dataset_mode ade20k_outdoor looks there for the scene of each picture; a list of names (--only) does as \
                 well"
            }
            false => "",
        };
        Error::Data(format!("{}: cannot be read ({error}){why}", path.display()))
    })?;
    let names: BTreeSet<String> = match outdoor {
        true => text.lines().filter_map(outdoor_name).collect(),
        false => text.lines().flat_map(names_of_line).collect(),
    };
    match names.is_empty() {
        true => Err(Error::Data(format!("{}: names no picture", path.display()))),
        false => Ok(Some(names)),
    }
}

/// The whole line and its first word, without the ending: names may hold spaces, and lists other columns.
fn names_of_line(line: &str) -> impl Iterator<Item = String> {
    let first = line.split_whitespace().next();
    let names = [Some(line.trim()), first].into_iter().flatten();
    names.filter(|name| !name.is_empty()).map(stem)
}

fn stem(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let ending = EXTENSIONS.iter().find(|ending| lower.ends_with(**ending));
    name[..name.len() - ending.map_or(0, |ending| ending.len())].to_owned()
}

/// The name of a picture whose scene lies out of doors.
fn outdoor_name(line: &str) -> Option<String> {
    let (name, scene) = line.trim().split_once(char::is_whitespace)?;
    let scene = scene.trim().replace(['/', '-', ' '], "_").to_lowercase();
    is_outdoor(&scene).then(|| stem(name))
}

/// Whether a scene lies out of doors. The subset of the papers was never published: this is the judgement of Places365
/// on the scenes both know, and ours on the others.
fn is_outdoor(scene: &str) -> bool {
    let listed = include_str!("../../assets/outdoor_scenes.txt");
    let by_name = ["_outdoor", "_exterior"]
        .iter()
        .any(|end| scene.ends_with(end));
    by_name || listed.lines().any(|known| known == scene)
}

/// Whether a picture is chosen, by its path or its name.
pub(super) fn holds(names: &BTreeSet<String>, name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    names.contains(name) || names.contains(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenes_out_of_doors_are_told_from_rooms() {
        let line = |scene: &str| outdoor_name(&format!("ADE_train_00000007 {scene}"));
        for scene in [
            "street",
            "beach",
            "church/outdoor",
            "apartment_building_outdoor",
            "Mountain_Snowy",
        ] {
            assert_eq!(
                line(scene).as_deref(),
                Some("ADE_train_00000007"),
                "{scene}"
            );
        }
        for scene in ["bedroom", "church/indoor", "misc", "", "street_kitchen"] {
            assert_eq!(line(scene), None, "{scene}");
        }
    }

    #[test]
    fn lines_name_pictures_with_or_without_ending_and_columns() {
        let names = |line| names_of_line(line).collect::<BTreeSet<_>>();
        for (line, name) in [
            ("town/9.jpg", "town/9"),
            ("IMG 7.PNG", "IMG 7"),
            ("  ADE_val_1 street ", "ADE_val_1"),
        ] {
            assert!(names(line).contains(name), "{line}");
        }
        assert!(names("   ").is_empty());
        let chosen = names("9.png");
        assert!(holds(&chosen, "town/9") && holds(&chosen, "9") && !holds(&chosen, "19"));
    }
}
