//! Layout files: a label map as an indexed PNG in the colours of its classes, with the project in a text chunk.
//!
//! One file is both: every program that reads label maps reads it, and opened here it restores exactly: the ids, the
//! classes they mean, and the checkpoint and the style they were painted with.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::styling::Recipe;
use crate::data::{Grid, LabelSpace, files};
use crate::train::write_durably;
use crate::{Error, Result};

/// Keyword of the text chunk.
const KEYWORD: &str = "spadework";
/// Version of its content. A reader refuses every other.
const FORMAT: u32 = 1;

/// What a layout file says besides its pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Project {
    format: u32,
    /// The classes the ids mean.
    pub space: LabelSpace,
    /// The checkpoint it was painted with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<PathBuf>,
    /// The photograph it was traced from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traced: Option<PathBuf>,
    /// The style it was painted in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub style: Option<Recipe>,
    /// Whether borders between classes were outlined, for models with instance maps.
    #[serde(default = "is_outlined", skip_serializing_if = "Clone::clone")]
    pub outlines: bool,
}

/// Layouts are outlined unless they say otherwise.
fn is_outlined() -> bool {
    true
}

impl Project {
    /// A project of classes and nothing else.
    pub fn new(space: LabelSpace) -> Self {
        Self {
            format: FORMAT,
            space,
            checkpoint: None,
            traced: None,
            style: None,
            outlines: true,
        }
    }
}

/// Writes a layout file, whole or not at all.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, labels: &Grid<u8>, project: &Project) -> Result<()> {
    let space = &project.space;
    let mut palette = vec![[0; 3]; 256];
    let mut values = [0; 256];
    for id in 0..space.ids() as u32 {
        let value = space.value_of_id(id);
        values[id as usize] = value;
        palette[usize::from(value)] = space.colour(id);
    }
    let samples: Vec<u8> = labels
        .data
        .iter()
        .map(|&id| values[usize::from(id)])
        .collect();
    let text = serde_json::to_string(project)
        .map_err(|e| Error::Data(format!("cannot write {}: {e}", path.display())))?;
    let mut bytes = Vec::new();
    encode(&mut bytes, labels, palette.as_flattened(), &samples, text)
        .map_err(|e| Error::Data(format!("cannot encode {}: {e}", path.display())))?;
    write_durably(path, |writer| writer.write_all(&bytes))
}

fn encode(
    bytes: &mut Vec<u8>,
    labels: &Grid<u8>,
    palette: &[u8],
    samples: &[u8],
    text: String,
) -> Result<(), png::EncodingError> {
    let mut encoder = png::Encoder::new(bytes, labels.width as u32, labels.height as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette);
    encoder.add_itxt_chunk(KEYWORD.into(), text)?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(samples)?;
    writer.finish()
}

/// Reads a layout file, or any other label map: one without a project is read by the classes given.
///
/// # Errors
/// If the file cannot be read, or holds what is no class.
pub fn read(path: &Path, space: &LabelSpace) -> Result<(Grid<u8>, Option<Project>)> {
    let project = project(path)?;
    let space = project.as_ref().map_or(space, |project| &project.space);
    let labels = files::read_labels(path, space)?;
    // Ids are below 256: a space has at most 255 classes and one id for unlabelled pixels.
    Ok((labels.map(|id| id as u8), project))
}

/// The project in a file; none in files of other programs.
fn project(path: &Path) -> Result<Option<Project>> {
    let mut head = [0; 8];
    let mut file = std::fs::File::open(path).map_err(|e| Error::io("cannot read", path, e))?;
    let is_png = file.read_exact(&mut head).is_ok() && head == *b"\x89PNG\r\n\x1a\n";
    if !is_png {
        return Ok(None);
    }
    let bytes = std::fs::read(path).map_err(|e| Error::io("cannot read", path, e))?;
    let Ok(reader) = png::Decoder::new(Cursor::new(&bytes)).read_info() else {
        // What is wrong with it is told by the reader of its pixels.
        return Ok(None);
    };
    let texts = &reader.info().utf8_text;
    let Some(text) = texts.iter().find(|text| text.keyword == KEYWORD) else {
        return Ok(None);
    };
    let damaged = |error: String| {
        Error::Data(format!(
            "{}: its project cannot be read: {error}",
            path.display()
        ))
    };
    let text = text.get_text().map_err(|e| damaged(e.to_string()))?;
    let project: Project = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
    if project.format != FORMAT {
        let newer = format!(
            "it has format {}, this program reads {FORMAT}",
            project.format
        );
        return Err(damaged(newer));
    }
    Ok(Some(project))
}

/// The same layout in the ids of another class table, matched by name; what has no counterpart becomes `ground`.
///
/// Also names the classes that were lost.
pub fn translate(
    labels: &Grid<u8>,
    from: &LabelSpace,
    to: &LabelSpace,
    ground: u8,
) -> (Grid<u8>, Vec<String>) {
    let ids = 0..to.ids() as u32;
    let twin = |name: &str| ids.clone().find(|&id| to.name(id) == name);
    let twins: Vec<Option<u8>> = (0..from.ids() as u32)
        .map(|id| twin(&from.name(id)).map(|id| id as u8))
        .collect();
    let mut lost = vec![false; 256];
    let data = labels.data.iter().map(|&id| {
        let twin = twins.get(usize::from(id)).copied().flatten();
        lost[usize::from(id)] |= twin.is_none();
        twin.unwrap_or(ground)
    });
    let grid = Grid::new(labels.width, labels.height, data.collect());
    let lost = (0..).zip(&lost).filter(|(_, lost)| **lost);
    (grid, lost.map(|(id, _)| from.name(id)).collect())
}

#[cfg(test)]
mod tests {
    use super::super::styling::Origin;
    use super::*;
    use crate::Style;
    use crate::data::ClassTable;

    fn landscapes() -> LabelSpace {
        let mut space = LabelSpace::new(12, true, false);
        space.table = ClassTable::landscapes();
        space
    }

    fn labels() -> Grid<u8> {
        Grid::new(13, 1, (0..13).collect())
    }

    #[test]
    fn a_project_is_restored_exactly() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lake.png");
        let project = Project {
            checkpoint: Some("run/step.safetensors".into()),
            traced: Some("photo.jpg".into()),
            style: Some(Recipe {
                first: Origin::Place {
                    name: "dusk.jpg".into(),
                    coordinates: Style::random(16, 3).coordinates().to_vec(),
                },
                second: Some(Origin::Seed(9)),
                share: 0.3,
                strength: 1.1,
            }),
            outlines: false,
            ..Project::new(landscapes())
        };
        write(&path, &labels(), &project).unwrap();
        let other = LabelSpace::new(1, false, false);
        assert_eq!(
            read(&path, &other).unwrap(),
            (labels(), Some(project.clone()))
        );
        let first = std::fs::read(&path).unwrap();
        write(&path, &labels(), &project).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first, "the same bytes again");
    }

    #[test]
    fn other_programs_read_a_label_map_in_the_colours_of_its_classes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lake.png");
        let project = Project::new(landscapes());
        write(&path, &labels(), &project).unwrap();
        let ids = files::read_labels(&path, &landscapes()).unwrap();
        assert_eq!(ids, labels().map(u32::from));
        let picture = image::open(&path).unwrap().into_rgb8();
        for (id, pixel) in (0..).zip(picture.pixels()) {
            assert_eq!(pixel.0, landscapes().colour(id));
        }
    }

    #[test]
    fn stored_values_of_a_class_table_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("street.png");
        let mut space = LabelSpace::new(2, true, false);
        space.table = toml::from_str(
            "dontcare_value = 0\n[[class]]\nid = 0\nname = 'road'\npng_value = 7\n\
             [[class]]\nid = 1\nname = 'car'\npng_value = 26\n",
        )
        .unwrap();
        let labels = Grid::new(3, 1, vec![1, 0, 2]);
        write(&path, &labels, &Project::new(space.clone())).unwrap();
        let stored = files::read_map(&path).unwrap();
        assert_eq!(stored, files::Map::Values(Grid::new(3, 1, vec![26, 7, 0])));
        assert_eq!(read(&path, &space).unwrap().0, labels);
    }

    #[test]
    fn damaged_and_foreign_files_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lake.png");
        write(&path, &labels(), &Project::new(landscapes())).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for len in (0..whole.len()).step_by(7) {
            std::fs::write(&path, &whole[..len]).unwrap();
            let error = read(&path, &landscapes()).unwrap_err().to_string();
            assert!(error.contains("lake.png"), "{len}: {error}");
        }
        let mut project = Project::new(landscapes());
        project.format = 9;
        write(&path, &labels(), &project).unwrap();
        let error = read(&path, &landscapes()).unwrap_err().to_string();
        assert!(error.contains("format 9"), "{error}");
        let none = dir.path().join("none.png");
        assert!(matches!(read(&none, &landscapes()), Err(Error::Io { .. })));
    }

    #[test]
    fn classes_are_matched_by_name() {
        let mut to = LabelSpace::new(2, false, false);
        to.table =
            toml::from_str("[[class]]\nid = 0\nname = 'tree'\n[[class]]\nid = 1\nname = 'sky'\n")
                .unwrap();
        let (ids, lost) = translate(&Grid::new(4, 1, vec![0, 5, 6, 12]), &landscapes(), &to, 0);
        assert_eq!(ids.data, [1, 0, 0, 0]);
        assert_eq!(lost, ["water", "unlabelled"]);
    }
}
