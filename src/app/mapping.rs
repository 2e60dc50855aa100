//! Label maps with values of no class: what each becomes is asked, with the class of the nearest colour suggested.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eframe::egui::{
    Align, Button, ComboBox, Frame, Id, Layout, Modal, ScrollArea, Sense, Ui, vec2,
};

use super::palette::swatch;
use crate::Result;
use crate::data::{Grid, LabelSpace, files};

/// Most values that a person is asked about; with more, a file is no label map.
const MOST: usize = 64;

/// A value that is no class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The value in writing.
    pub name: String,
    /// Its colour, in coloured maps.
    pub colour: Option<[u8; 3]>,
    /// How often it occurs.
    pub pixels: usize,
    /// The class it becomes.
    pub class: u8,
}

/// A label map with values of no class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Its file.
    pub path: PathBuf,
    /// The classes.
    pub space: Arc<LabelSpace>,
    /// The values to be asked about.
    pub foreign: Vec<Foreign>,
    /// Ids of the pixels, and from 256 on numbers of foreign values.
    pixels: Grid<u16>,
    /// Whether the sheet has been drawn.
    is_shown: bool,
}

/// What came of the sheet.
pub enum Answer {
    /// Nothing yet.
    Open,
    /// The file is not wanted any more.
    Closed,
    /// Every value has a class.
    Mapped,
}

impl Mapping {
    /// Reads a label map of which some values are no classes; nothing if too many are for it to be a label map.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(path: &Path, space: &Arc<LabelSpace>) -> Result<Option<Self>> {
        let mut foreign = Vec::new();
        let pixels = match files::read_map(path)? {
            files::Map::Values(grid) => {
                let ids = space.id_of_value();
                let id = |value: u32| ids.get(value as usize).copied().flatten();
                collect(grid, &mut foreign, id, |value| {
                    named(format!("id {value}"), None, 0)
                })
            }
            files::Map::Colours(grid) => {
                let ids = space.id_of_colour();
                let id = |colour: [u8; 3]| ids.get(&colour).and_then(|id| id.clone().ok());
                collect(grid, &mut foreign, id, |colour| {
                    let [r, g, b] = colour;
                    let class = nearest(colour, space);
                    named(format!("#{r:02x}{g:02x}{b:02x}"), Some(colour), class)
                })
            }
        };
        Ok((foreign.len() <= MOST).then(|| Self {
            path: path.to_path_buf(),
            space: space.clone(),
            foreign,
            pixels,
            is_shown: false,
        }))
    }

    /// Width and height.
    pub fn size(&self) -> [usize; 2] {
        [self.pixels.width, self.pixels.height]
    }

    /// The label map, every value in its class.
    pub fn labels(&self) -> Grid<u8> {
        let class = |value: u16| match value.checked_sub(256) {
            Some(number) => self.foreign[usize::from(number)].class,
            None => value as u8,
        };
        self.pixels.clone().map(class)
    }

    /// Draws the sheet.
    pub fn ui(&mut self, ui: &mut Ui) -> Answer {
        let mut answer = Answer::Open;
        let modal = Modal::new(Id::unique("mapping")).frame(Frame::window(ui.style()));
        let modal = modal.show(ui.ctx(), |ui| {
            ui.set_width(460.0);
            ui.heading("Which classes are these?");
            let name = self.path.file_name().unwrap_or(self.path.as_os_str());
            ui.weak(format!(
                "{} has values of no class of this model.",
                name.to_string_lossy()
            ));
            ui.add_space(8.0);
            let rows = ScrollArea::vertical()
                .max_height(320.0)
                .auto_shrink([false, true]);
            rows.show(ui, |ui| {
                for number in 0..self.foreign.len() {
                    self.row_ui(ui, number);
                }
            });
            ui.add_space(12.0);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let open = ui.add(Button::new("Open").selected(true));
                if open.clicked() {
                    answer = Answer::Mapped;
                }
                // Enter opens, until another control is taken.
                if !self.is_shown {
                    open.request_focus();
                    self.is_shown = true;
                }
                if ui.button("Cancel").clicked() {
                    answer = Answer::Closed;
                }
            });
        });
        match answer {
            Answer::Open if modal.should_close() => Answer::Closed,
            answer => answer,
        }
    }

    fn row_ui(&mut self, ui: &mut Ui, number: usize) {
        let space = self.space.clone();
        let foreign = &mut self.foreign[number];
        ui.horizontal(|ui| {
            if let Some(colour) = foreign.colour {
                let (rect, _) = ui.allocate_exact_size(vec2(16.0, 16.0), Sense::hover());
                swatch(ui, rect, colour);
            }
            ui.label(&foreign.name);
            ui.weak(format!("{} pixels", foreign.pixels));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let chosen = space.name(u32::from(foreign.class));
                let name = format!("Class of {}", foreign.name);
                let list = ComboBox::from_id_salt(number)
                    .selected_text(chosen)
                    .width(180.0);
                let list = list.show_ui(ui, |ui| {
                    for id in 0..space.ids() as u32 {
                        ui.selectable_value(&mut foreign.class, id as u8, space.name(id));
                    }
                });
                list.response.accessible_name(name);
            });
        });
    }
}

fn named(name: String, colour: Option<[u8; 3]>, class: u8) -> Foreign {
    Foreign {
        name,
        colour,
        pixels: 0,
        class,
    }
}

/// The class whose colour is nearest.
fn nearest(colour: [u8; 3], space: &LabelSpace) -> u8 {
    let distance = |id: u32| -> u32 {
        let sides = colour.into_iter().zip(space.colour(id));
        sides.map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
    };
    let nearest = (0..space.ids() as u32).min_by_key(|&id| distance(id));
    nearest.unwrap_or(0) as u8
}

/// Ids of a map; values that are none are listed. Beyond what can be asked about, they are only counted.
fn collect<T: Copy + Eq + std::hash::Hash>(
    grid: Grid<T>,
    foreign: &mut Vec<Foreign>,
    id: impl Fn(T) -> Option<u32>,
    describe: impl Fn(T) -> Foreign,
) -> Grid<u16> {
    let mut seen: HashMap<T, u16> = HashMap::new();
    grid.map(|value| {
        let code = *seen.entry(value).or_insert_with(|| match id(value) {
            Some(id) => id as u16,
            None => {
                let number = foreign.len().min(MOST) as u16;
                if foreign.len() <= MOST {
                    foreign.push(describe(value));
                }
                256 + number
            }
        });
        if let Some(number) = code.checked_sub(256) {
            foreign[usize::from(number)].pixels += 1;
        }
        code
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::clerk::landscape_space;

    #[test]
    fn foreign_colours_are_counted_and_get_the_nearest_class() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        let colours = [[40, 88, 184], [42, 90, 180], [42, 90, 180], [255, 0, 255]];
        let picture = Grid::new(4, 1, colours.to_vec());
        crate::picture::save(&path, &picture).unwrap();
        let mapping = Mapping::read(&path, &Arc::new(landscape_space())).unwrap();
        let mut mapping = mapping.unwrap();
        let told: Vec<_> = mapping
            .foreign
            .iter()
            .map(|f| (&*f.name, f.pixels, f.class))
            .collect();
        assert_eq!(told, [("#2a5ab4", 2, 6), ("#ff00ff", 1, 11)]);
        mapping.foreign[1].class = 3;
        assert_eq!(mapping.labels().data, [6, 6, 6, 3]);
    }

    #[test]
    fn a_photo_is_no_label_map() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        let shades: Vec<_> = (0..=255).map(|x| [x, 0, 255 - x]).collect();
        crate::picture::save(&path, &Grid::new(16, 16, shades)).unwrap();
        let mapping = Mapping::read(&path, &Arc::new(landscape_space())).unwrap();
        assert_eq!(mapping, None);
    }
}
