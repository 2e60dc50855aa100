//! Everything wrong with a data set at once, and what is in it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::Serialize;

use super::classes::{LabelSpace, UNLABELLED};
use super::config::DataConfig;
use super::files::{self, Fault};
use super::folder::same_size;
use super::layout::Phase;
use super::list::{Listing, Pair, Problem, list, no_part};
use crate::{Error, Result};

/// What a data set holds and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Name of the label set, where a class table gives one.
    pub dataset: String,
    /// Number of classes.
    pub label_nc: usize,
    /// Whether unlabelled pixels have a channel of their own.
    pub dontcare: bool,
    /// Whether instance maps are used.
    pub instances: bool,
    /// Whether `label_nc` and `dontcare` were guessed from the maps: no option and no class table gives them.
    pub guessed: bool,
    /// The parts that exist.
    pub parts: Vec<Part>,
    /// The ids that occur in readable label maps, by falling share.
    pub classes: Vec<Share>,
    /// Classes of the table that never occur.
    pub absent: Vec<String>,
    /// Photos that viewers turn or mirror by a note in the file; they are read as stored, and their maps must fit that.
    pub turned: Vec<PathBuf>,
    /// Everything wrong.
    pub problems: Vec<Problem>,
}

/// One part of a data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// Which one.
    pub phase: Phase,
    /// Photos with all their maps.
    pub pairs: usize,
    /// Photos, with or without partners.
    pub photos: usize,
    /// Label maps, with or without partners.
    pub label_maps: usize,
    /// Instance maps, with or without partners.
    pub instance_maps: usize,
    /// Sizes of the photos, most frequent first.
    pub sizes: Vec<Size>,
}

/// A size that occurs among photos.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Width.
    pub width: usize,
    /// Height.
    pub height: usize,
    /// Number of photos.
    pub photos: usize,
}

/// How much of the data set a class covers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Number of pixels.
    pub pixels: u64,
    /// Share of all pixels in percent.
    pub percent: f64,
    /// Number of label maps that show it.
    pub maps: usize,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_ok(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Reads every file of a data set. `progress` hears the number of pairs done and of all pairs, from any thread.
///
/// Wrong files are no error but part of the report; unusable options are.
pub fn check(config: &DataConfig, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Report> {
    config.validate()?;
    if config.landscapes.is_some() {
        return Err(Error::Usage(
            "landscapes are made, not read: there is nothing to check".into(),
        ));
    }
    let (mut space, guessed) = match known_space(config)? {
        Some(space) => (space, false),
        None => (any_space(config)?, true),
    };
    let mut listings: Vec<(Phase, Listing)> = Vec::new();
    for phase in [Phase::Train, Phase::Val] {
        let listing = list(config, phase, space.instances)?;
        listings.extend(listing.map(|listing| (phase, listing)));
    }
    if listings.is_empty() {
        return Err(no_part(config, Phase::Train));
    }
    let total: usize = listings
        .iter()
        .map(|(_, listing)| listing.pairs.len())
        .sum();
    let done = AtomicUsize::new(0);
    let mut problems = Vec::new();
    let mut turned = Vec::new();
    let mut parts = Vec::new();
    let mut counts: BTreeMap<u32, (u64, usize)> = BTreeMap::new();
    for (phase, listing) in listings {
        let read = |pair| {
            let tally = read_pair(pair, &space);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            tally
        };
        let tallies: Vec<Tally> = listing.pairs.par_iter().map(read).collect();
        parts.push(part(phase, &listing, &tallies));
        let photos = listing.pairs.iter().zip(&tallies);
        let photos = photos.filter(|(_, tally)| tally.turned);
        turned.extend(photos.map(|(pair, _)| pair.photo.clone()));
        problems.extend(listing.problems);
        for tally in tallies {
            problems.extend(tally.problems);
            for (id, pixels) in tally.pixels {
                let count = counts.entry(id).or_default();
                *count = (count.0 + pixels, count.1 + 1);
            }
        }
    }
    if guessed {
        let unlabelled = space.label_nc as u32;
        let highest = counts.keys().filter(|&&id| id < unlabelled).max();
        let label_nc = highest.map_or(0, |&id| id as usize + 1);
        let dontcare = counts.remove(&unlabelled);
        space = LabelSpace {
            label_nc,
            dontcare: dontcare.is_some(),
            ..space
        };
        counts.extend(dontcare.map(|count| (label_nc as u32, count)));
    }
    Ok(Report {
        turned,
        ..report(space, guessed, parts, &counts, problems)
    })
}

/// The label space, where options or a class table say how many classes there are.
fn known_space(config: &DataConfig) -> Result<Option<LabelSpace>> {
    if config.label_nc.is_none() && config.class_table()?.label_nc().is_none() {
        return Ok(None);
    }
    config.label_space().map(Some)
}

/// What the first label maps say about the number of classes, for the message that nothing gives it.
pub(super) fn suggestion(config: &DataConfig) -> Result<String> {
    /// Enough for most classes, and read in a moment.
    const READ: usize = 32;
    let listing =
        list(config, Phase::Train, false)?.ok_or_else(|| no_part(config, Phase::Train))?;
    let labels: Vec<_> = listing
        .pairs
        .iter()
        .take(READ)
        .map(|pair| &pair.labels)
        .collect();
    let mut highest = None;
    for map in labels.iter().filter_map(|path| files::read_map(path).ok()) {
        let files::Map::Values(ids) = map else {
            return Ok(
                "; the label maps are coloured, which needs such a table, with their colours"
                    .into(),
            );
        };
        let real = ids
            .data
            .into_iter()
            .filter(|&id| id != u32::from(UNLABELLED));
        highest = highest.max(real.max());
    }
    Ok(match highest {
        Some(highest) if highest < 254 => format!(
            "; the first {} label maps hold ids up to {highest}, as with --label-nc {}",
            labels.len(),
            highest + 1
        ),
        _ => String::new(),
    })
}

/// A space in which every stored value is an id and 255 the don't-care label.
fn any_space(config: &DataConfig) -> Result<LabelSpace> {
    let mut space = DataConfig {
        label_nc: Some(1),
        ..config.clone()
    }
    .label_space()?;
    space.label_nc = 255;
    space.dontcare = true;
    Ok(space)
}

/// What one pair adds to the report.
#[derive(Default)]
struct Tally {
    size: Option<[usize; 2]>,
    pixels: BTreeMap<u32, u64>,
    turned: bool,
    problems: Vec<Problem>,
}

impl Tally {
    /// Keeps what was read; notes what could not be.
    fn keep<T>(&mut self, file: &Path, result: Result<T>) -> Option<T> {
        let problem = |error: Error| {
            // Errors name the file first; a problem has it beside.
            let text = error.to_string();
            let prefix = format!("{}: ", file.display());
            let message = text.strip_prefix(&prefix).unwrap_or(&text).to_owned();
            self.problems.push(Problem {
                file: file.to_path_buf(),
                message,
            });
        };
        result.map_err(problem).ok()
    }
}

fn read_pair(pair: &Pair, space: &LabelSpace) -> Tally {
    let mut tally = Tally::default();
    let photo = tally.keep(&pair.photo, files::read_photo(&pair.photo));
    tally.size = photo.map(|photo| [photo.width, photo.height]);
    tally.turned = files::is_turned(&pair.photo);
    let labels = files::read_map(&pair.labels).and_then(|map| {
        files::to_ids(&map, space)
            .map_err(|message| Error::Data(format!("{}: {message}", pair.labels.display())))
    });
    if let Some((ids, faults)) = tally.keep(&pair.labels, labels) {
        for &id in &ids.data {
            *tally.pixels.entry(id).or_default() += 1;
        }
        // Pixels without an id were given 0.
        let bad: u64 = faults.iter().map(|fault| fault.pixels as u64).sum();
        if let Some(zeros) = tally.pixels.get_mut(&0) {
            *zeros -= bad;
        }
        tally.pixels.retain(|_, pixels| *pixels > 0);
        let problem = |fault: &Fault| Problem {
            file: pair.labels.clone(),
            message: fault.to_string(),
        };
        tally.problems.extend(faults.iter().map(problem));
        if let Some(size) = tally.size {
            tally.keep(&pair.labels, same_size(&pair.labels, &ids, size));
        }
    }
    if let Some(path) = &pair.instances {
        let instances = tally.keep(path, files::read_instances(path));
        if let (Some(instances), Some(size)) = (instances, tally.size) {
            tally.keep(path, same_size(path, &instances, size));
        }
    }
    tally
}

fn part(phase: Phase, listing: &Listing, tallies: &[Tally]) -> Part {
    let mut sizes: BTreeMap<[usize; 2], usize> = BTreeMap::new();
    for size in tallies.iter().filter_map(|tally| tally.size) {
        *sizes.entry(size).or_default() += 1;
    }
    let size = |([width, height], photos): ([usize; 2], usize)| Size {
        width,
        height,
        photos,
    };
    let mut sizes: Vec<Size> = sizes.into_iter().map(size).collect();
    sizes.sort_by_key(|size| std::cmp::Reverse(size.photos));
    let [photos, label_maps, instance_maps] = listing.counts;
    Part {
        phase,
        pairs: listing.pairs.len(),
        photos,
        label_maps,
        instance_maps,
        sizes,
    }
}

fn report(
    space: LabelSpace,
    guessed: bool,
    parts: Vec<Part>,
    counts: &BTreeMap<u32, (u64, usize)>,
    problems: Vec<Problem>,
) -> Report {
    let total: u64 = counts.values().map(|(pixels, _)| pixels).sum();
    let share = |(&id, &(pixels, maps)): (&u32, &(u64, usize))| Share {
        id,
        name: space.name(id),
        pixels,
        percent: 100.0 * pixels as f64 / total.max(1) as f64,
        maps,
    };
    let mut classes: Vec<Share> = counts.iter().map(share).collect();
    classes.sort_by_key(|share| std::cmp::Reverse(share.pixels));
    let absent = space
        .table
        .classes
        .iter()
        .filter(|class| !counts.contains_key(&class.id));
    Report {
        absent: absent.map(|class| class.name.clone()).collect(),
        dataset: space.table.dataset,
        label_nc: space.label_nc,
        dontcare: space.dontcare,
        instances: space.instances,
        guessed,
        parts,
        classes,
        turned: Vec::new(),
        problems,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.dataset.is_empty() {
            writeln!(f, "{}", self.dataset)?;
        }
        let yes_no = |yes: bool| if yes { "yes" } else { "no" };
        write!(
            f,
            "classes: {}, unlabelled pixels: {}",
            self.label_nc,
            yes_no(self.dontcare)
        )?;
        write!(f, ", instance maps: {}", yes_no(self.instances))?;
        let guess = " (guessed from the maps; set label_nc and dontcare to be sure)";
        writeln!(f, "{}", if self.guessed { guess } else { "" })?;
        for part in &self.parts {
            writeln!(f, "{part}")?;
        }
        if !self.classes.is_empty() {
            writeln!(f, "\n  id   pixels    maps  class")?;
        }
        for share in &self.classes {
            let Share {
                id,
                percent,
                maps,
                name,
                ..
            } = share;
            writeln!(f, "{id:>4}  {percent:>6.2} %  {maps:>6}  {name}")?;
        }
        if !self.absent.is_empty() {
            /// Names that a person still reads; published tables have hundreds.
            const SHOWN: usize = 20;
            let (shown, more) = self.absent.split_at(self.absent.len().min(SHOWN));
            write!(f, "never seen: {}", shown.join(", "))?;
            match more.len() {
                0 => writeln!(f)?,
                more => writeln!(f, " and {more} more")?,
            }
        }
        if let Some(first) = self.turned.first() {
            writeln!(
                f,
                "photos that viewers turn (EXIF orientation) but networks see as stored: {}, first {}; maps must fit \
                 them as stored",
                self.turned.len(),
                first.display()
            )?;
        }
        match self.problems.len() {
            0 => writeln!(f, "\nnothing wrong")?,
            1 => writeln!(f, "\n1 problem:")?,
            n => writeln!(f, "\n{n} problems:")?,
        }
        self.problems
            .iter()
            .try_for_each(|problem| writeln!(f, "  {problem}"))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Sizes worth a line; photographs from anywhere have hundreds.
        const SHOWN: usize = 4;
        write!(f, "{}: {} pairs", self.phase.name(), self.pairs)?;
        for (i, size) in self.sizes.iter().take(SHOWN).enumerate() {
            let before = if i == 0 { ", sizes" } else { "," };
            write!(
                f,
                "{before} {}x{} ({})",
                size.width, size.height, size.photos
            )?;
        }
        match self.sizes.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} other sizes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::fixture::{write_grey, write_photo};

    fn write(dir: &Path, phase: &str, name: &str, labels: &[u8; 6]) {
        write_photo(&dir.join(format!("{phase}_img/{name}.png")), [3, 2]);
        write_grey(
            &dir.join(format!("{phase}_label/{name}.png")),
            [3, 2],
            labels,
        );
    }

    fn run(config: &DataConfig) -> Report {
        let seen = AtomicUsize::new(0);
        let report = check(config, &|done, total| {
            assert!(done <= total);
            seen.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
        let pairs: usize = report.parts.iter().map(|part| part.pairs).sum();
        assert_eq!(seen.into_inner(), pairs, "progress is told of every pair");
        report
    }

    #[test]
    fn everything_wrong_is_reported_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        write(dir.path(), "train", "good", &[0, 0, 0, 1, 1, 2]);
        write(dir.path(), "train", "ids", &[0, 7, 7, 1, 200, 0]);
        write(dir.path(), "train", "alone", &[0; 6]);
        std::fs::remove_file(at("train_label/alone.png")).unwrap();
        write(dir.path(), "val", "size", &[0; 6]);
        write_photo(&at("val_img/size.png"), [4, 2]);
        write(dir.path(), "val", "broken", &[0; 6]);
        std::fs::write(at("val_img/broken.png"), b"not a picture").unwrap();
        std::fs::write(at("val_label/broken.png"), b"").unwrap();
        let config = DataConfig {
            label_nc: Some(3),
            dontcare: Some(false),
            ..DataConfig::of_dir(dir.path())
        };
        let report = run(&config);
        let text = report.to_string();
        for problem in [
            "train_img/alone.png: has no label map alone.*",
            "train_label/ids.png: id 7 at pixel (1, 0) and 1 more: ids must be below 3 (3 classes)",
            "train_label/ids.png: id 200 at pixel (1, 1): ids must be below 3",
            "val_label/size.png: is 3x2 but its photo is 4x2",
            "val_img/broken.png: cannot be decoded",
            "val_label/broken.png: cannot be decoded",
            "6 problems:",
        ] {
            assert!(text.contains(problem), "{problem} in\n{text}");
        }
        let pixels: Vec<_> = report
            .classes
            .iter()
            .map(|s| (s.id, s.pixels, s.maps))
            .collect();
        assert_eq!(pixels, [(0, 11, 3), (1, 3, 2), (2, 1, 1)]);
        assert_eq!((report.parts[0].pairs, report.parts[0].photos), (2, 3));
        assert!(!report.is_ok());
        let json: serde_json::Value = serde_json::to_value(&report).unwrap();
        assert_eq!(json["problems"].as_array().unwrap().len(), 6);
    }

    #[test]
    fn classes_are_guessed_where_nobody_names_them() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "train", "a", &[0, 4, 4, 255, 255, 255]);
        let report = run(&DataConfig::of_dir(dir.path()));
        assert!(report.is_ok() && report.guessed && report.dontcare);
        assert_eq!(report.label_nc, 5);
        let shares: Vec<_> = report.classes.iter().map(|s| (s.id, s.pixels)).collect();
        assert_eq!(shares, [(5, 3), (4, 2), (0, 1)]);
        assert_eq!(report.classes[0].name, "unlabelled");
        assert!(report.to_string().contains("guessed"));
        let error = DataConfig::of_dir(dir.path()).label_space().unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("the first 1 label maps hold ids up to 4, as with --label-nc 5"),
            "{error}"
        );
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn photos_that_viewers_turn_are_told() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "train", "a", &[0; 6]);
        let straight = dir.path().join("train_img/a.png");
        let photo = image::open(&straight).unwrap();
        std::fs::remove_file(&straight).unwrap();
        let mut jpeg = std::io::Cursor::new(Vec::new());
        photo.write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
        let jpeg = jpeg.into_inner();
        let path = dir.path().join("train_img/a.jpg");
        std::fs::write(&path, &jpeg).unwrap();
        assert!(run(&DataConfig::of_dir(dir.path())).turned.is_empty());
        // An Exif segment with one entry: orientation, one short, 6, a quarter turn.
        let exif = b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        std::fs::write(&path, [&jpeg[..2], exif, &jpeg[2..]].concat()).unwrap();
        let report = run(&DataConfig::of_dir(dir.path()));
        assert_eq!(report.turned, [path]);
        assert!(report.is_ok() && report.to_string().contains("a.jpg; maps must fit"));
    }

    #[test]
    fn a_class_table_names_shares_and_what_never_occurs() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "train", "a", &[0, 0, 0, 0, 0, 2]);
        let table = "dataset = 'Toy'\ndontcare_id = 2\n[[class]]\nid = 0\nname = 'sky'\n[[class]]\nid = 1\nname = 'sea'\n";
        std::fs::write(dir.path().join("classes.toml"), table).unwrap();
        let report = run(&DataConfig::of_dir(dir.path()));
        assert_eq!(
            (report.label_nc, report.dontcare, report.guessed),
            (2, true, false)
        );
        assert_eq!(report.absent, ["sea"]);
        assert_eq!(report.classes[0].name, "sky");
    }

    #[test]
    fn an_empty_folder_is_a_clear_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = check(&DataConfig::of_dir(dir.path()), &|_, _| {}).unwrap_err();
        assert!(matches!(error, Error::Data(_)));
        assert!(error.to_string().contains("holds no train_img"), "{error}");
        std::fs::create_dir(dir.path().join("val_label")).unwrap();
        let report = run(&DataConfig::of_dir(dir.path()));
        assert!(
            report.to_string().contains("val_img: cannot be listed"),
            "{report}"
        );
        assert!(
            report.to_string().contains("val_label: holds no label map"),
            "{report}"
        );
        assert!(report.classes.is_empty());
    }
}
