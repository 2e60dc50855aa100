//! Where the files of a data set lie, mode by mode, and by what they belong together.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::config::DataConfig;
use super::files::EXTENSIONS;
use super::mode::DatasetMode;

/// Part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
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

    /// What its files have in their paths where parts share folders.
    fn infix(self) -> &'static str {
        match self {
            Self::Train => "_train_",
            Self::Val => "_val_",
        }
    }
}

/// What files of one picture share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Their path inside the folder, without the ending.
    Path,
    /// Their name without the ending.
    Name,
    /// The first three parts of their names: city, sequence, frame.
    Frame,
}

/// Where the files of one kind lie, and which of them count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The folder, with all below it.
    pub folder: PathBuf,
    /// What a path inside the folder must hold.
    infix: Option<&'static str>,
    /// A folder below it that belongs to another place.
    except: Option<PathBuf>,
    /// How a name must end, in any case of letters.
    endings: &'static [&'static str],
    key: Key,
}

impl Place {
    fn any(folder: PathBuf) -> Self {
        Self {
            folder,
            infix: None,
            except: None,
            endings: &EXTENSIONS,
            key: Key::Path,
        }
    }

    /// Whether the folder belongs to this part alone, so that its presence says that there is such a part.
    pub fn is_own(&self) -> bool {
        self.infix.is_none()
    }

    /// The name that a file goes by; none where it does not count.
    pub fn key(&self, file: &Path) -> Option<String> {
        if self
            .except
            .as_ref()
            .is_some_and(|other| file.starts_with(other))
        {
            return None;
        }
        let inside = match file.strip_prefix(&self.folder) {
            Ok(inside) => inside,
            // A list of files may name them anywhere.
            Err(_) => Path::new(file.file_name()?),
        };
        let path = inside.to_string_lossy().replace('\\', "/");
        let lower = path.to_ascii_lowercase();
        let counts = |ending: &&str| lower.ends_with(&ending.to_ascii_lowercase());
        let counted = self.endings.iter().any(counts);
        if !counted || self.infix.is_some_and(|infix| !path.contains(infix)) {
            return None;
        }
        let name = inside.file_stem()?.to_string_lossy();
        Some(match self.key {
            Key::Path => inside
                .with_extension("")
                .to_string_lossy()
                .replace('\\', "/"),
            Key::Name => name.into_owned(),
            Key::Frame => name.split('_').take(3).collect::<Vec<_>>().join("_"),
        })
    }

    /// What a file of this name looks like here, for messages.
    pub fn pattern(&self, name: &str) -> String {
        match (self.key, self.endings) {
            (Key::Frame, [ending]) => format!("{name}*{ending}"),
            (Key::Frame, _) => format!("{name}_*"),
            (_, [ending]) => format!("{name}{ending}"),
            _ => format!("{name}.*"),
        }
    }

    /// What may lie here, for messages.
    pub fn endings(&self) -> String {
        let endings = self.endings.join(", ");
        match self.infix {
            Some(infix) => format!("*{infix}*{endings}"),
            None => endings,
        }
    }
}

/// Folders whose files belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shelf {
    /// What the names of its pictures begin with.
    pub prefix: &'static str,
    /// Places of photos, label maps and instance maps; none for kinds that are not wanted.
    pub places: [Option<Place>; 3],
}

/// The shelves of a part, in the order of their pictures, with the kinds of files that are wanted.
pub(super) fn shelves(config: &DataConfig, phase: Phase, wanted: [bool; 3]) -> Vec<Shelf> {
    let mut shelves = match &config.dir {
        Some(dir) => in_dir(config, dir, phase),
        None if phase == Phase::Train => vec![separate(config)],
        None => Vec::new(),
    };
    for shelf in &mut shelves {
        for (place, wanted) in shelf.places.iter_mut().zip(wanted) {
            place.take_if(|_| !wanted);
        }
    }
    shelves
}

fn separate(config: &DataConfig) -> Shelf {
    let folders = [&config.image_dir, &config.label_dir, &config.instance_dir];
    Shelf {
        prefix: "",
        places: folders.map(|folder| folder.clone().map(Place::any)),
    }
}

fn in_dir(config: &DataConfig, dir: &Path, phase: Phase) -> Vec<Shelf> {
    use DatasetMode::*;
    let part = phase.name();
    let by_kind = |suffix: &str| {
        let place = |kind: &str| Some(Place::any(dir.join(format!("{part}_{kind}{suffix}"))));
        ["img", "label", "inst"].map(place)
    };
    let shelf = |prefix, places| Shelf { prefix, places };
    match config.dataset_mode {
        Custom | Facades | Flickr => vec![shelf("", by_kind(""))],
        Coco => {
            let portraits = shelf("portrait/", by_kind("_portrait"));
            let there = portraits.places.iter().flatten().any(|p| p.folder.is_dir());
            let wanted = config.coco_portraits && phase == Phase::Train && there;
            let mut shelves = vec![shelf("", by_kind(""))];
            shelves.extend(wanted.then_some(portraits));
            shelves
        }
        Ade20k | Ade20kOutdoor => {
            let place = |folder: &Path, endings| Place {
                folder: folder.to_path_buf(),
                infix: Some(phase.infix()),
                except: None,
                endings,
                key: Key::Name,
            };
            let labels = Place {
                except: config.instance_dir.clone(),
                ..place(dir, &[".png"])
            };
            let instances = config.instance_dir.as_deref();
            let places = [
                Some(place(dir, &[".jpg"])),
                Some(labels),
                instances.map(|folder| place(folder, &[".png"])),
            ];
            vec![shelf("", places)]
        }
        Cityscapes => {
            let place = |folder: &str, endings| {
                Some(Place {
                    folder: dir.join(folder).join(part),
                    infix: None,
                    except: None,
                    endings,
                    key: Key::Frame,
                })
            };
            let places = [
                place("leftImg8bit", &EXTENSIONS),
                place("gtFine", &["_labelIds.png"]),
                place("gtFine", &["_instanceIds.png"]),
            ];
            vec![shelf("", places)]
        }
    }
}

/// What a part is made of, for the message that there is none.
pub(super) fn description(mode: DatasetMode, phase: Phase) -> String {
    use DatasetMode::*;
    let part = phase.name();
    match mode {
        Custom => format!(
            "{part}_img and {part}_label folders; for other names give image_dir and label_dir, for a published data \
             set its dataset_mode"
        ),
        Coco | Facades | Flickr => format!("{part}_img and {part}_label folders"),
        Ade20k | Ade20kOutdoor => {
            format!("files like ADE_{part}_00000001.jpg and .png, in any folders")
        }
        Cityscapes => format!("leftImg8bit/{part} and gtFine/{part} folders"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(mode: DatasetMode, kind: usize, file: &str) -> Option<String> {
        let config = DataConfig {
            dataset_mode: mode,
            ..DataConfig::of_dir("d")
        };
        let shelves = shelves(&config, Phase::Train, [true; 3]);
        shelves[0].places[kind].as_ref()?.key(Path::new(file))
    }

    #[test]
    fn files_are_known_by_what_they_share() {
        use DatasetMode::*;
        let frame = "d/gtFine/train/ulm/ulm_000001_000019_gtFine";
        let frame_key = Some("ulm_000001_000019".to_owned());
        for (mode, kind, file, want) in [
            (Coco, 0, "d/train_img/a/9.JPG", Some("a/9".to_owned())),
            (Coco, 2, "d/train_inst/9.png", Some("9".to_owned())),
            (Coco, 0, "d/train_img/notes.txt", None),
            (
                Ade20k,
                0,
                "d/x/ADE_train_07.jpg",
                Some("ADE_train_07".to_owned()),
            ),
            (
                Ade20k,
                1,
                "d/y/z/ADE_train_07.PNG",
                Some("ADE_train_07".to_owned()),
            ),
            (Ade20k, 1, "d/y/ADE_train_07.jpg", None),
            (Ade20k, 0, "d/x/ADE_val_07.jpg", None),
            (
                Cityscapes,
                1,
                &format!("{frame}_labelIds.png"),
                frame_key.clone(),
            ),
            (Cityscapes, 1, &format!("{frame}_color.png"), None),
            (Cityscapes, 1, &format!("{frame}_labelTrainIds.png"), None),
            (
                Cityscapes,
                2,
                &format!("{frame}_instanceIds.png"),
                frame_key.clone(),
            ),
            (
                Cityscapes,
                0,
                "d/leftImg8bit/train/ulm/ulm_000001_000019_leftImg8bit.png",
                frame_key,
            ),
        ] {
            assert_eq!(keys(mode, kind, file), want, "{mode:?} {file}");
        }
    }
}
