//! An iteration: the steps of both networks, each over one part of the batch after the other.

use super::*;

/// Whose step it is.
#[derive(Clone, Copy)]
enum Turn {
    Generator,
    Discriminator,
}

impl Trainer {
    /// One iteration: the generator's step, then the discriminator's.
    ///
    /// # Errors
    /// If a loss or gradient is not finite. A loss stops the step in question before it changes anything, and so does a
    /// gradient where they are kept ([`Keep`]) or added up over parts of the batch. Otherwise weights whose gradients came
    /// before have changed: the message says so, and this trainer takes no step any more. If the batch does not fit, or
    /// the device was lost.
    pub fn step(&mut self, feed: &Feed, schedule: Schedule) -> Result<Losses> {
        self.refuse_torn()?;
        // All of it is refused or accepted before anything runs, so a wrong batch changes nothing.
        self.check(feed, schedule.generator.is_some())?;
        let start = Instant::now();
        let parts = self.training.accumulate;
        let mut losses = Losses::default();
        self.executed_macs = 0;
        if let Some(rate) = schedule.generator {
            if let Some(decay) = self.training.ema {
                let share = share(decay, self.generator.updates);
                self.store.write(SHARE, &[share, 0.0, 0.0, 0.0])?;
            }
            for part in 0..parts {
                self.upload(feed, part)?;
                self.prepare(Turn::Generator, feed, part, rate)?;
                self.generator.executor.replay(&self.store)?;
                self.executed_macs += self.generator.executor.executed_macs();
                if part + 1 < parts {
                    self.settle(Turn::Generator, part, &mut losses)?;
                }
            }
        }
        for part in 0..parts {
            // A batch in one part is there already.
            if parts > 1 || schedule.generator.is_none() {
                self.upload(feed, part)?;
            }
            self.prepare(Turn::Discriminator, feed, part, schedule.discriminator)?;
            self.discriminator.executor.replay(&self.store)?;
            self.executed_macs += self.discriminator.executor.executed_macs();
            // Only now, so that the device does not wait between the networks.
            if part == 0 && schedule.generator.is_some() {
                self.settle(Turn::Generator, parts - 1, &mut losses)?;
                self.is_halfway = true;
            }
            self.settle(Turn::Discriminator, part, &mut losses)?;
        }
        self.is_halfway = false;
        self.fit_slices(start.elapsed());
        Ok(losses)
    }

    /// One iteration of a batch in one part, telling where the time of the device goes in the generator's and in the
    /// discriminator's step; `rates` are their learning rates.
    ///
    /// # Errors
    /// As [`Trainer::step`], and if batches have several parts.
    pub fn profile(&mut self, feed: &Feed, rates: (f64, f64)) -> Result<[Profile; 2]> {
        if self.training.accumulate > 1 {
            return Err(Error::Usage(
                "a profile is one of a batch in one part: accumulate = 1".into(),
            ));
        }
        self.refuse_torn()?;
        self.check(feed, true)?;
        self.upload(feed, 0)?;
        self.prepare(Turn::Generator, feed, 0, rates.0)?;
        let generator = self.generator.executor.profile(&self.store)?;
        self.prepare(Turn::Discriminator, feed, 0, rates.1)?;
        let discriminator = self.discriminator.executor.profile(&self.store)?;
        let mut losses = Losses::default();
        self.settle(Turn::Generator, 0, &mut losses)?;
        self.settle(Turn::Discriminator, 0, &mut losses)?;
        Ok([generator, discriminator])
    }

    /// Whether the state is that between two iterations: not if the last one failed after the generator's step or in the
    /// middle of an update.
    pub fn is_between_iterations(&self) -> bool {
        !self.is_halfway && !self.is_torn
    }

    /// Takes the statistics of a batch; nothing changes yet.
    ///
    /// # Errors
    /// If the batch does not fit, or the device was lost.
    pub fn observe(&mut self, calibration: &mut Calibration, feed: &Feed) -> Result<()> {
        self.check_pictures(feed)?;
        self.check_noise(feed.noise[0])?;
        for part in 0..self.training.accumulate {
            self.upload(feed, part)?;
            self.upload_noise("G", feed.noise[0], part)?;
            calibration.observe(&mut self.store)?;
        }
        Ok(())
    }

    fn refuse_torn(&self) -> Result<()> {
        match self.is_torn {
            false => Ok(()),
            true => Err(Error::NonFinite(
                "an update before stopped at a gradient that is not finite, with some weights changed and others not: \
                 load a checkpoint into a new trainer"
                    .into(),
            )),
        }
    }

    /// Fits the submissions to the speed of the iteration just done.
    fn fit_slices(&mut self, elapsed: Duration) {
        let rate = self.executed_macs as f64 / elapsed.as_secs_f64().max(1e-6);
        self.generator.executor.fit_slices(rate);
        self.discriminator.executor.fit_slices(rate);
    }

    /// Sets everything that a step reads of a part beside its pictures.
    fn prepare(&mut self, turn: Turn, feed: &Feed, part: usize, rate: f64) -> Result<()> {
        let (step, noise) = match turn {
            Turn::Generator => (&self.generator, feed.noise[0]),
            Turn::Discriminator => (&self.discriminator, feed.noise[1]),
        };
        let network = step.network;
        let hyper = self.training.optimiser().hyper(rate, step.updates + 1);
        self.store.write(&hyper_name(network), &hyper)?;
        let parts = self.training.accumulate;
        if parts > 1 {
            for (name, is_it) in [(FIRST, part == 0), (LAST, part + 1 == parts)] {
                let flag = f32::from(u8::from(is_it));
                self.store.write(name, &[flag, 0.0, 0.0, 0.0])?;
            }
        }
        self.upload_noise(network, noise, part)
    }

    /// Reads the losses and the verdict of a step over a part of the batch, and counts it if that was the last and all
    /// took place.
    fn settle(&mut self, turn: Turn, part: usize, losses: &mut Losses) -> Result<()> {
        let (step, name) = match turn {
            Turn::Generator => (&mut self.generator, "generator"),
            Turn::Discriminator => (&mut self.discriminator, "discriminator"),
        };
        step.executor.read_scalars(&mut step.scalars)?;
        let is_finite = step.scalars[step.verdict] == 1.0;
        let weighted = |&(name, i): &(&'static str, usize)| {
            let value: f32 = step.scalars[i];
            (name, self.training.factor(name) * value)
        };
        let own = step.losses.iter().map(weighted);
        if !is_finite {
            let list: Vec<_> = own.map(|(name, v)| format!("{name} {v}")).collect();
            self.store.write(FINITE, &[1.0, 0.0, 0.0, 0.0])?;
            let is_sound = step.scalars[step.sound] == 1.0;
            let what = ["loss or statistic", "gradient"][usize::from(is_sound)];
            self.is_torn |= is_sound && self.updates_early;
            let since = match self.is_torn {
                false => {
                    "the update was not made, and weights, moments and statistics are as they were before it"
                }
                true => {
                    "the update stopped there, and weights whose gradients came before it have changed, so that nothing \
                     is saved of it"
                }
            };
            return Err(Error::NonFinite(format!(
                "update {} of the {name}: a {what} is not finite ({}); {since}",
                step.updates + 1,
                list.join(", ")
            )));
        }
        own.for_each(|(name, value)| losses.add(name, value));
        if part + 1 < self.training.accumulate {
            return Ok(());
        }
        step.updates += 1;
        for counter in self.params.counters() {
            if counter.advances {
                *self.counters.entry(counter.name.clone()).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Refuses a batch of other sizes than the networks take.
    fn check(&self, feed: &Feed, with_generator: bool) -> Result<()> {
        self.check_pictures(feed)?;
        if with_generator {
            self.check_noise(feed.noise[0])?;
        }
        self.check_noise(feed.noise[1])
    }

    fn check_pictures(&self, feed: &Feed) -> Result<()> {
        let ([h, w], n) = (self.inputs.output(), self.training.batch_size);
        if [feed.map.n, feed.map.h, feed.map.w] != [n, h, w] || feed.photos.len() != n * h * w * 3 {
            return Err(Error::Data(format!(
                "a batch of {} label maps of {}x{} pixels and {} numbers of photos, where the model takes {n} pictures \
                 of {w}x{h}",
                feed.map.n,
                feed.map.w,
                feed.map.h,
                feed.photos.len()
            )));
        }
        let tables = self.training.accumulate * self.inputs.specs().len();
        if feed.windows.len() != tables {
            return Err(Error::Data(format!(
                "{} window tables, where the model reads {tables} of a batch",
                feed.windows.len()
            )));
        }
        Ok(())
    }

    fn check_noise(&self, noise: &[f32]) -> Result<()> {
        let (styles, z_dim) = (self.training.batch_size, self.training.model.z_dim);
        match self.training.model.use_vae && noise.len() != styles * z_dim {
            false => Ok(()),
            true => Err(Error::Data(format!(
                "{} numbers of noise for a step, where {styles} styles have {z_dim} coordinates",
                noise.len()
            ))),
        }
    }

    /// Puts the pictures of a part on the device.
    fn upload(&mut self, feed: &Feed, part: usize) -> Result<()> {
        let pixels = feed.map.ids.len() / self.training.accumulate;
        let tables = self.inputs.specs().len();
        let windows = &feed.windows[part * tables..][..tables];
        self.inputs.upload(&mut self.store, windows)?;
        if self.training.model.num_d > 1 {
            let symbols = self.inputs.symbols_name();
            let ids = &feed.map.ids[part * pixels..][..pixels];
            self.store.write_index(&symbols, ids)?;
        }
        let photos = padded(&feed.photos[part * pixels * 3..][..pixels * 3], 3);
        self.store.write(&self.inputs.photos_name(), &photos)
    }

    /// Noise for the styles of a part, where there are any.
    fn upload_noise(&mut self, network: &str, noise: &[f32], part: usize) -> Result<()> {
        if !self.training.model.use_vae {
            return Ok(());
        }
        let shape = self.inputs.styles_shape();
        let own = &noise[part * shape.len()..][..shape.len()];
        self.store
            .write(&self.inputs.noise_name(network), &padded(own, shape.c))
    }
}

impl Losses {
    /// Adds what a part of the batch has of a loss.
    fn add(&mut self, name: &'static str, value: f32) {
        match self.0.iter_mut().find(|(own, _)| *own == name) {
            Some((_, sum)) => *sum += value,
            None => self.0.push((name, value)),
        }
    }
}

/// Share of the newest weights in their moving average after so many updates.
///
/// The decay comes into force gradually: the first weights are noise, and a decay of 0.999 would show them for
/// thousands of updates.
fn share(decay: f64, updates: u64) -> f32 {
    let t = updates as f64;
    (1.0 - decay.min((1.0 + t) / (10.0 + t))) as f32
}
