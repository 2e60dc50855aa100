//! What `synth` draws: a label map, a folder of them, or a part of a data set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use spadework::data::list::{Maps, maps, pictures};
use spadework::data::{DataConfig, DatasetMode, LabelSpace, Phase};
use spadework::{Error, Result};

/// Options that say what to draw.
#[derive(clap::Args)]
pub struct What {
    /// Label map, folder of label maps, or with --dataset-mode the folder of a data set
    #[arg(value_name = "LABELS")]
    labels: PathBuf,
    /// Instance map, or folder of instance maps with the names of the label maps
    #[arg(long, value_name = "PATH")]
    instances: Option<PathBuf>,
    /// Draw without instance maps although the generator was trained with them
    #[arg(long, conflicts_with = "instances")]
    no_instance: bool,
    /// LABELS is a data set of this kind: draw a part of it, with its instance maps; photos are not needed
    #[arg(long, value_name = "MODE", hide_possible_values = true)]
    dataset_mode: Option<DatasetMode>,
    /// The part of the data set to draw
    #[arg(long, default_value = "val", requires = "dataset_mode")]
    phase: Phase,
    /// Draw the first N layouts only
    #[arg(long, value_name = "N")]
    how_many: Option<usize>,
}

/// What a generator has learned of.
pub struct Learned {
    /// Its data set.
    pub dataset_mode: DatasetMode,
    /// Classes and channels.
    pub space: LabelSpace,
}

/// One layout to draw.
pub struct Job {
    /// Its label map.
    pub labels: PathBuf,
    /// Its instance map.
    pub instances: Option<PathBuf>,
    /// The picture of each style.
    pub outs: Vec<PathBuf>,
}

/// One layout, and what its picture is to be called where there is only one.
struct Found {
    labels: PathBuf,
    instances: Option<PathBuf>,
    out: PathBuf,
}

impl What {
    /// Lists what to draw, in a number of styles each, and refuses to overwrite before anything is drawn.
    pub fn jobs(&self, out: &Path, learned: &Learned, styles: usize) -> Result<Vec<Job>> {
        let instances = learned.space.instances && !self.no_instance;
        let found = match self.dataset_mode {
            Some(mode) => {
                self.refuse_other_classes(mode, learned)?;
                self.in_dataset(mode, out, instances)?
            }
            None if instances && self.instances.is_none() => {
                return Err(Error::Usage(
                    "this generator was trained with instance maps: give --instances, or --no-instance to go without"
                        .into(),
                ));
            }
            None if self.labels.is_dir() => self.in_folder(out)?,
            None => vec![self.single(out)?],
        };
        let job = |found: Found| Job {
            labels: found.labels,
            instances: found.instances,
            outs: numbered(found.out, styles),
        };
        let most = self.how_many.unwrap_or(usize::MAX);
        let jobs: Vec<Job> = found.into_iter().take(most).map(job).collect();
        refuse_shared(&jobs)?;
        let mut outs = jobs.iter().flat_map(|job| &job.outs);
        match outs.find(|out| out.exists()) {
            Some(out) => Err(Error::Usage(format!(
                "{} exists and nothing is ever overwritten: choose another --out",
                out.display()
            ))),
            None => Ok(jobs),
        }
    }

    /// Ids of another data set are numbers like any, so that pictures would be wrong and nothing else.
    fn refuse_other_classes(&self, mode: DatasetMode, learned: &Learned) -> Result<()> {
        if mode == learned.dataset_mode {
            // Whatever class table it was trained with.
            return Ok(());
        }
        let classes = mode.class_table().and_then(|table| table.label_nc());
        let known = learned.space.label_nc;
        match classes {
            Some(classes) if classes != known => Err(Error::Usage(format!(
                "--dataset-mode {}: it has {classes} classes, but this generator has learned {known} of {}: draw layouts \
                 of what it was trained on",
                mode.name(),
                learned.dataset_mode.name()
            ))),
            _ => Ok(()),
        }
    }

    fn in_dataset(&self, mode: DatasetMode, out: &Path, instances: bool) -> Result<Vec<Found>> {
        if instances && mode.instances() == Some(false) && self.instances.is_none() {
            return Err(Error::Usage(format!(
                "this generator was trained with instance maps and {} has none: give --no-instance to go without",
                mode.name()
            )));
        }
        let config = DataConfig {
            dataset_mode: mode,
            // Only ADE20K has its instance maps elsewhere.
            instance_dir: self.instances.clone(),
            ..DataConfig::of_dir(&self.labels)
        };
        let found = |maps: Maps| Found {
            out: picture_of(out, Path::new(&maps.name)),
            labels: maps.labels,
            instances: maps.instances,
        };
        let maps = maps(&config, self.phase, instances)?;
        Ok(maps.into_iter().map(found).collect())
    }

    fn single(&self, out: &Path) -> Result<Found> {
        let labels = &self.labels;
        let is_file = out.extension().is_some_and(|end| end == "png");
        let name = labels
            .file_name()
            .ok_or_else(|| Error::Usage(format!("{} is no label map", labels.display())))?;
        Ok(Found {
            labels: labels.clone(),
            instances: self.instances.clone(),
            out: match is_file {
                true => out.to_path_buf(),
                false => out.join(name).with_extension("png"),
            },
        })
    }

    fn in_folder(&self, out: &Path) -> Result<Vec<Found>> {
        let inside = |file: &Path, folder: &Path| {
            let name = file.strip_prefix(folder).unwrap_or(file);
            name.with_extension("")
        };
        let mut instances: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
        if let Some(folder) = &self.instances {
            for file in pictures(folder)? {
                let name = inside(&file, folder);
                if let Some(first) = instances.insert(name, file.clone()) {
                    return Err(Error::Data(format!(
                        "{}: has the same name as {}; keep one of them",
                        file.display(),
                        first.display()
                    )));
                }
            }
        }
        let found = |labels: PathBuf| {
            let name = inside(&labels, &self.labels);
            let instances = instances.get(&name).cloned();
            if let (Some(folder), None) = (&self.instances, &instances) {
                return Err(Error::Data(format!(
                    "{} has no instance map in {}",
                    labels.display(),
                    folder.display()
                )));
            }
            Ok(Found {
                labels,
                instances,
                out: picture_of(out, &name),
            })
        };
        pictures(&self.labels)?.into_iter().map(found).collect()
    }
}

/// Refuses layouts whose pictures would go by one name: `a.png` and `a.bmp`.
fn refuse_shared(jobs: &[Job]) -> Result<()> {
    let mut drawn = BTreeMap::new();
    for job in jobs {
        for out in &job.outs {
            if let Some(first) = drawn.insert(out, &job.labels) {
                return Err(Error::Usage(format!(
                    "{} and {} would both be drawn as {}: rename one of them",
                    first.display(),
                    job.labels.display(),
                    out.display()
                )));
            }
        }
    }
    Ok(())
}

/// The file of a picture; dots in its name are no ending.
fn picture_of(out: &Path, name: &Path) -> PathBuf {
    let mut file = name.as_os_str().to_owned();
    file.push(".png");
    out.join(file)
}

/// Names for several pictures of one layout: `street.png`, or `street-00.png`, `street-01.png` and so on.
fn numbered(out: PathBuf, count: usize) -> Vec<PathBuf> {
    if count == 1 {
        return vec![out];
    }
    let digits = (count - 1).to_string().len().max(2);
    let name = |i| {
        let mut name = out.file_stem().unwrap_or_default().to_owned();
        name.push(format!("-{i:0digits$}.png"));
        out.with_file_name(name)
    };
    (0..count).map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_one_name_are_refused_before_any_is_drawn() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.png", "b.png", "a.bmp"] {
            std::fs::write(dir.path().join(name), b"").unwrap();
        }
        let what = What {
            labels: dir.path().to_path_buf(),
            instances: None,
            no_instance: true,
            dataset_mode: None,
            phase: Phase::Val,
            how_many: None,
        };
        let learned = Learned {
            dataset_mode: DatasetMode::Custom,
            space: LabelSpace::new(1, false, false),
        };
        let jobs = || what.jobs(&dir.path().join("out"), &learned, 2);
        let error = jobs().err().unwrap();
        assert!(error.to_string().contains("would both be drawn"), "{error}");
        assert_eq!(error.exit_code(), 2);
        std::fs::remove_file(dir.path().join("a.bmp")).unwrap();
        assert_eq!(jobs().unwrap().len(), 2);

        // Of two instance maps of one name neither is taken.
        let maps = tempfile::tempdir().unwrap();
        for name in ["a.png", "b.png", "b.tif"] {
            std::fs::write(maps.path().join(name), b"").unwrap();
        }
        let what = What {
            instances: Some(maps.path().to_path_buf()),
            no_instance: false,
            ..what
        };
        let jobs = || what.jobs(&dir.path().join("out"), &learned, 1);
        let error = jobs().err().unwrap();
        assert!(error.to_string().contains("has the same name"), "{error}");
        std::fs::remove_file(maps.path().join("b.tif")).unwrap();
        assert_eq!(jobs().unwrap().len(), 2);
    }
}
