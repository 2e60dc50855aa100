//! Puts the questions to a generator, scene by scene.

use super::answer::{Answers, Evaluation, Likeness, Likenesses, STEPS};
use super::baseline::Baselines;
use super::edit::change_a_region;
use super::measures::{brightness, class_colour_error, l1, l1_where, ssim};
use super::scene::{Truth, layout_of};
use super::{Questions, Sheets};
use crate::data::LabelSpace;
use crate::data::landscape::{self, CLASSES};
use crate::model::Style;
use crate::picture::{self, Picture};
use crate::{Generator, Result};

/// Styles at the ends of a walk.
const ENDS: [&str; 2] = ["dusk", "noon"];

pub(super) struct Examiner<'a> {
    generator: &'a mut Generator,
    questions: Questions,
    space: LabelSpace,
    baselines: Baselines,
    size: [usize; 2],
    answers: Answers,
    sheets: Sheets,
}

impl<'a> Examiner<'a> {
    pub(super) fn new(generator: &'a mut Generator, questions: Questions) -> Result<Self> {
        let size = generator.size();
        Ok(Self {
            baselines: Baselines::new(questions.trained, size, CLASSES.len())?,
            space: generator.space().clone(),
            generator,
            questions,
            size,
            answers: Answers::default(),
            sheets: Sheets::default(),
        })
    }

    pub(super) fn ask(&mut self, index: usize, truth: &Truth, next: &Truth) -> Result<()> {
        let is_shown = index < self.questions.rows;
        let has_encoder = self.generator.has_encoder();
        let own = match has_encoder {
            true => Some(self.generator.encode(&truth.picture)?.mean()),
            false => None,
        };
        self.reconstruct(truth, own.as_ref(), is_shown)?;
        if let Some(style) = &own {
            self.transfer(next, truth, style, is_shown)?;
        }
        self.edit(truth, own.as_ref(), is_shown)?;
        if self.generator.has_styles() {
            self.diversify(index, truth, is_shown)?;
        }
        if has_encoder {
            self.walk(truth, next, is_shown)?;
        }
        Ok(())
    }

    /// One scene after its own picture.
    fn reconstruct(&mut self, truth: &Truth, style: Option<&Style>, is_shown: bool) -> Result<()> {
        let drawn = self.draw(truth, &truth.scene.labels, style)?;
        let baselines = self.judge(
            |answers| &mut answers.reconstruction,
            truth,
            &drawn,
            &truth.picture,
        );
        if is_shown {
            let [means, nearest] = baselines;
            let row = [
                self.map(&truth.scene.labels),
                truth.picture.clone(),
                drawn,
                means,
                nearest,
            ];
            self.sheets.reconstruction.push(row.to_vec());
        }
        Ok(())
    }

    /// One scene after the picture of another.
    fn transfer(
        &mut self,
        scene: &Truth,
        giver: &Truth,
        style: &Style,
        is_shown: bool,
    ) -> Result<()> {
        let drawn = self.draw(scene, &scene.scene.labels, Some(style))?;
        let wanted = scene.in_style(&giver.style);
        self.judge(|answers| &mut answers.transfer, scene, &drawn, &wanted);
        if is_shown {
            let row = [
                giver.picture.clone(),
                self.map(&scene.scene.labels),
                drawn,
                wanted,
            ];
            self.sheets.transfer.push(row.to_vec());
        }
        Ok(())
    }

    /// Notes how a picture and those of the baselines, which are returned, compare with the one wanted.
    fn judge(
        &mut self,
        question: impl Fn(&mut Answers) -> &mut Likenesses,
        truth: &Truth,
        drawn: &Picture,
        wanted: &Picture,
    ) -> [Picture; 2] {
        let labels = &truth.scene.labels;
        let means = self.baselines.class_means(labels, self.size);
        let nearest = self.baselines.nearest(labels, self.size).clone();
        let answers = question(&mut self.answers);
        for (likenesses, picture) in answers.iter_mut().zip([drawn, &means, &nearest]) {
            likenesses.push(Likeness {
                l1: l1(picture, wanted),
                ssim: ssim(picture, wanted),
                class_colour: class_colour_error(picture, wanted, labels, CLASSES.len())
                    .unwrap_or(0.0),
            });
        }
        [means, nearest]
    }

    fn edit(&mut self, truth: &Truth, style: Option<&Style>, is_shown: bool) -> Result<()> {
        let labels = &truth.scene.labels;
        let Some(edit) = change_a_region(labels, self.size[0]) else {
            return Ok(());
        };
        let drawn = [labels, &edit.labels].map(|labels| self.draw(truth, labels, style));
        let [before, after] = drawn;
        let [before, after] = [before?, after?];
        let real = [truth.of_labels(labels)?, truth.of_labels(&edit.labels)?];
        let apart = |a: &Picture, b: &Picture| {
            [true, false]
                .map(|inside| l1_where(a, b, |at| edit.changed[at] == inside).unwrap_or(0.0))
        };
        let [inside, outside] = apart(&before, &after);
        let [real_inside, real_outside] = apart(&real[0], &real[1]);
        self.answers
            .edits
            .push([inside, outside, real_inside, real_outside]);
        if is_shown {
            let row = [self.map(labels), before, self.map(&edit.labels), after];
            self.sheets.edit.push(row.to_vec());
        }
        Ok(())
    }

    fn diversify(&mut self, index: usize, truth: &Truth, is_shown: bool) -> Result<()> {
        let (mut drawn, mut real) = (Vec::new(), Vec::new());
        for seed in 0..self.questions.seeds as u64 {
            let style = self.generator.random_style(seed)?;
            drawn.push(self.draw(truth, &truth.scene.labels, Some(&style))?);
            // Other styles for every scene: the truth has no list of seeds.
            let style = landscape::Style::from_seed((index * self.questions.seeds) as u64 + seed);
            real.push(truth.in_style(&style));
        }
        for (answers, pictures) in self.answers.diversity.iter_mut().zip([&drawn, &real]) {
            answers.extend(pairs(pictures).map(|(a, b)| l1(a, b)));
        }
        if is_shown {
            let layout = self.map(&truth.scene.labels);
            self.sheets.diversity.push([vec![layout], drawn].concat());
        }
        Ok(())
    }

    /// The ends are the styles of another scene's pictures.
    fn walk(&mut self, truth: &Truth, other: &Truth, is_shown: bool) -> Result<()> {
        let mut ends = Vec::new();
        for name in ENDS {
            let style = landscape::Style::named(name).expect("a style with a name");
            ends.push(self.generator.encode(&other.in_style(&style))?.mean());
        }
        let mut pictures = Vec::new();
        for step in 0..STEPS {
            let share = step as f32 / (STEPS - 1) as f32;
            let style = ends[0].mix(&ends[1], share)?;
            pictures.push(self.draw(truth, &truth.scene.labels, Some(&style))?);
        }
        self.answers
            .walks
            .push(pictures.iter().map(brightness).collect());
        if is_shown {
            self.sheets.walk.push(pictures);
        }
        Ok(())
    }

    fn draw(&mut self, truth: &Truth, labels: &[u8], style: Option<&Style>) -> Result<Picture> {
        let layout = layout_of(&truth.scene, labels);
        match style {
            Some(style) => self.generator.synth_in_style(&layout, style),
            None => self.generator.synth(&layout),
        }
    }

    fn map(&self, labels: &[u8]) -> Picture {
        let [width, height] = self.size;
        let labels: Vec<u32> = labels.iter().map(|&label| u32::from(label)).collect();
        picture::of_labels(width, height, &labels, &self.space)
    }

    pub(super) fn finish(self) -> (Evaluation, Sheets) {
        let evaluation = self.answers.summary(self.questions.scenes, self.size);
        (evaluation, self.sheets)
    }
}

/// Every two of some pictures.
fn pairs(pictures: &[Picture]) -> impl Iterator<Item = (&Picture, &Picture)> {
    let later = |i: usize| pictures[i + 1..].iter();
    (0..pictures.len()).flat_map(move |i| later(i).map(move |other| (&pictures[i], other)))
}
