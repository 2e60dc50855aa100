//! What the generator is asked to draw.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::data::landscape::{self, Scene};
use crate::eval::{Edit, change_a_region, layout_of};
use crate::picture::{self, Picture};
use crate::{Error, Generator, Layout, Result, Style};

/// Styles by the names of the landscapes' own.
const STYLES: [&str; 6] = ["noon", "golden", "dusk", "night", "autumn", "winter"];
/// Steps from dusk to noon, both included.
const STEPS: usize = 6;
/// Layouts that are walked through.
const WALKED: usize = 2;
/// Random styles.
const SEEDS: u64 = 6;
/// Where layouts begin: far from the seeds of training.
const FIRST: u64 = 1 << 40;

/// A sheet of pictures.
pub(super) struct Sheet {
    pub file: &'static str,
    pub title: &'static str,
    pub text: &'static str,
    rows: Vec<Vec<Picture>>,
    /// Pictures of the generator in it.
    pub drawn: usize,
}

impl Sheet {
    pub fn save(&self, folder: &Path) -> Result<()> {
        picture::save(&folder.join(self.file), &picture::sheet(&self.rows))
    }
}

/// The generator at work: counts, and stops when asked to.
struct Desk<'a> {
    generator: &'a mut Generator,
    stop: &'a AtomicBool,
    hear: &'a mut dyn FnMut(usize, usize) -> Result<()>,
    done: usize,
    total: usize,
}

impl Desk<'_> {
    /// Nothing more is drawn once it is to stop.
    fn draw(&mut self, layout: &Layout, style: &Style) -> Result<Picture> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let picture = self.generator.synth_in_style(layout, style)?;
        self.done += 1;
        (self.hear)(self.done, self.total)?;
        Ok(picture)
    }

    /// Draws row by row.
    fn fill(
        &mut self,
        rows: &mut Rows,
        scenes: &[Scene],
        styles: &[Style],
        edits: &[(&Scene, Edit)],
    ) -> Result<()> {
        for scene in scenes {
            let layout = layout(scene);
            let mut row = vec![self.map(&layout)];
            for style in styles {
                row.push(self.draw(&layout, style)?);
            }
            rows.lent.push(row);
        }
        for scene in scenes.iter().take(WALKED) {
            let layout = layout(scene);
            let mut row = vec![self.map(&layout)];
            for step in 0..STEPS {
                let share = step as f32 / (STEPS - 1) as f32;
                row.push(self.draw(&layout, &styles[2].mix(&styles[0], share)?)?);
            }
            rows.walks.push(row);
        }
        let first = layout(&scenes[0]);
        let mut random = vec![self.map(&first)];
        for seed in 0..SEEDS {
            let style = self.generator.random_style(seed)?;
            random.push(self.draw(&first, &style)?);
        }
        rows.random.push(random);
        for (scene, edit) in edits {
            let mut row = Vec::new();
            for labels in [&scene.labels, &edit.labels] {
                let layout = layout_of(scene, labels);
                row.extend([self.map(&layout), self.draw(&layout, &styles[0])?]);
            }
            rows.changed.push(row);
        }
        Ok(())
    }

    fn map(&self, layout: &Layout) -> Picture {
        let [width, height] = layout.size();
        picture::of_labels(width, height, &layout.labels.data, self.generator.space())
    }
}

/// Draws the sheets: styles, from dusk to noon, random styles, another class for a region. Those of whole rows where it
/// was interrupted.
pub(super) fn draw(
    generator: &mut Generator,
    layouts: usize,
    stop: &AtomicBool,
    hear: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<Vec<Sheet>> {
    let [width, height] = generator.size();
    let scene = |index: usize| match index % 2 {
        0 => landscape::natural_layout(FIRST + index as u64, width, height),
        _ => landscape::brush_layout(FIRST + index as u64, width, height),
    };
    let scenes = (0..layouts).map(scene).collect::<Result<Vec<_>>>()?;
    let giver = landscape::natural_layout(FIRST - 1, width, height)?;
    let shown: Vec<Picture> = STYLES.iter().map(|name| in_style(&giver, name)).collect();
    let encode = |photo: &Picture| Ok(generator.encode(photo)?.mean());
    let styles: Vec<Style> = shown.iter().map(encode).collect::<Result<_>>()?;
    let walked = scenes.len().min(WALKED);
    let edits: Vec<_> = scenes
        .iter()
        .filter_map(|scene| Some((scene, change_a_region(&scene.labels, width)?)))
        .take(4)
        .collect();
    let total = layouts * STYLES.len() + walked * STEPS + SEEDS as usize + 2 * edits.len();
    let mut desk = Desk {
        generator,
        stop,
        hear,
        done: 0,
        total,
    };

    let mut rows = Rows {
        lent: vec![[vec![desk.map(&layout(&giver))], shown].concat()],
        ..Rows::default()
    };
    match desk.fill(&mut rows, &scenes, &styles, &edits) {
        // What is there is shown.
        Ok(()) | Err(Error::Interrupted) => Ok(rows.sheets()),
        Err(error) => Err(error),
    }
}

/// Whole rows of each sheet.
#[derive(Default)]
struct Rows {
    /// The first are the pictures that lend their styles.
    lent: Vec<Vec<Picture>>,
    walks: Vec<Vec<Picture>>,
    random: Vec<Vec<Picture>>,
    changed: Vec<Vec<Picture>>,
}

impl Rows {
    /// Sheets of the rows that there are.
    fn sheets(self) -> Vec<Sheet> {
        let drawn = |rows: &[Vec<Picture>], each: usize| rows.len() * each;
        let styles = drawn(&self.lent[1..], STYLES.len());
        let walked = drawn(&self.walks, STEPS);
        let random = drawn(&self.random, SEEDS as usize);
        let changed = drawn(&self.changed, 2);
        let sheet = |file, title, text, rows: Vec<Vec<Picture>>, drawn| Sheet {
            file,
            title,
            text,
            rows,
            drawn,
        };
        let sheets = [
            sheet(
                "styles.png",
                "One layout, many styles",
                "The first row is one built-in landscape at noon, in a golden afternoon, at dusk, at night, in autumn and in \
             winter: true pictures, from which the encoder takes a style each. Below, what the generator makes of other \
             layouts in these styles. Every second layout is as a person paints them.",
                self.lent,
                styles,
            ),
            sheet(
                "dusk-to-noon.png",
                "Between two styles",
                "From the style of the dusk above to that of the noon, in equal steps.",
                self.walks,
                walked,
            ),
            sheet(
                "random.png",
                "Styles drawn at random",
                "One layout, six seeds.",
                self.random,
                random,
            ),
            sheet(
                "changes.png",
                "Another class for a region",
                "On the right one region of the layout has become another class; the style is the same.",
                self.changed,
                changed,
            ),
        ];
        let drawn = sheets.into_iter().filter(|sheet| sheet.drawn > 0);
        drawn.collect()
    }
}

fn layout(scene: &Scene) -> Layout {
    layout_of(scene, &scene.labels)
}

fn in_style(scene: &Scene, name: &str) -> Picture {
    let style = landscape::Style::named(name).expect("a style with a name");
    let bytes = landscape::render(scene, &style);
    Picture::new(scene.width, scene.height, bytes.as_chunks().0.to_vec())
}
