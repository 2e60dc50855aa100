//! Sample sheets: held-out layouts, what the network makes of them, and the photographs they were drawn from.
//!
//! Always the same samples, in evaluation mode, one at a time: the code path of synthesis. No state changes. With an
//! encoder each is drawn in the most likely style of its photograph.

use crate::config::Config;
use crate::data::{Batch, Batcher, LabelSpace, Phase};
use crate::graph::plan::Plan;
use crate::model::{Encoding, Style, Synthesis, Trainer};
use crate::picture::{self, Picture};
use crate::windows::IdMap;
use crate::{Error, Result};

/// The samples of a run.
pub struct Samples {
    batches: Vec<Batch>,
    space: LabelSpace,
    plans: Option<(Synthesis, Option<Encoding>)>,
}

impl Samples {
    /// Reads the samples: as many as wanted, evenly spread over the held-out part.
    ///
    /// # Errors
    /// If a file of theirs cannot be used.
    pub fn open(config: &Config, space: &LabelSpace) -> Result<Self> {
        let [height, width] = config.model.output();
        let seed = config.train.seed;
        let held_out = Batcher::open(&config.data, Phase::Val, space, [width, height], 1, seed)?;
        let available = held_out.dataset.len();
        let count = config.train.samples.min(available);
        let batches = (0..count).map(|i| held_out.eval(&[i * available / count]));
        Ok(Self {
            batches: batches.collect::<Result<_>>()?,
            space: space.clone(),
            plans: None,
        })
    }

    /// Makes room on the device for what [`Samples::rows`] needs, which belongs to the memory of a training.
    ///
    /// # Errors
    /// If the device cannot hold it, or the limit of its memory leaves no room.
    pub fn prepare(&mut self, trainer: &mut Trainer) -> Result<()> {
        self.plans = Some(self.plans(trainer)?);
        Ok(())
    }

    /// Bytes on the device beside what samples share with training.
    pub fn bytes(&self) -> u64 {
        self.plans.as_ref().map_or(0, |(synthesis, encoding)| {
            synthesis.bytes() + encoding.as_ref().map_or(0, Encoding::bytes)
        })
    }

    /// The plan that draws them, if room was made for it.
    pub fn plan(&self) -> Option<&Plan> {
        self.plans.as_ref().map(|(synthesis, _)| synthesis.plan())
    }

    /// Draws any layout as samples are drawn.
    ///
    /// # Errors
    /// As [`Samples::rows`], and if the layout or the style does not fit.
    pub fn draw(
        &mut self,
        trainer: &mut Trainer,
        map: &IdMap,
        styles: &[Style],
    ) -> Result<Picture> {
        let (mut synthesis, encoding) = self.plans(trainer)?;
        let drawn = trainer.synthesise(&mut synthesis, map, styles);
        self.plans = Some((synthesis, encoding));
        Ok(picture::from_unit(map.w, map.h, drawn?.data()))
    }

    /// The most likely style of a photo in -1..1.
    ///
    /// # Errors
    /// As [`Samples::rows`], and if there is no encoder.
    pub fn style(&mut self, trainer: &mut Trainer, photo: &[f32]) -> Result<Style> {
        let (synthesis, mut encoding) = self.plans(trainer)?;
        let encoded = match &mut encoding {
            Some(encoding) => trainer.encode(encoding, photo),
            None => Err(Error::Usage("these networks have no styles".into())),
        };
        self.plans = Some((synthesis, encoding));
        Ok(encoded?.mean())
    }

    /// The plans, made now if there was no room made for them.
    fn plans(&mut self, trainer: &mut Trainer) -> Result<(Synthesis, Option<Encoding>)> {
        match self.plans.take() {
            Some(plans) => Ok(plans),
            None => {
                trainer.make_room_for_sheets()?;
                Ok((trainer.synthesis(1)?, trainer.encoding()?))
            }
        }
    }

    /// Draws a row for each sample: layout, synthesised picture, photograph.
    ///
    /// # Errors
    /// If the device cannot hold the plan, the limit of its memory leaves no room, or the device was lost.
    pub fn rows(&mut self, trainer: &mut Trainer) -> Result<Vec<[Picture; 3]>> {
        let (mut synthesis, mut encoding) = self.plans(trainer)?;
        let mut rows = Vec::with_capacity(self.batches.len());
        for batch in &self.batches {
            let mut styles = Vec::new();
            if let Some(encoding) = &mut encoding {
                styles.push(trainer.encode(encoding, &batch.images)?.mean());
            }
            let fake = trainer.synthesise(&mut synthesis, &batch.map, &styles)?;
            let (w, h) = (batch.w, batch.h);
            let photo: Vec<f64> = batch.images.iter().map(|&x| f64::from(x)).collect();
            rows.push([
                picture::of_labels(w, h, &batch.labels, &self.space),
                picture::from_unit(w, h, fake.data()),
                picture::from_unit(w, h, &photo),
            ]);
        }
        self.plans = Some((synthesis, encoding));
        Ok(rows)
    }
}
