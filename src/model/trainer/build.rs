//! Making a trainer: plans that fit the device, and a limit where one is set.

use super::*;
use crate::graph::half::Storage;
use crate::graph::plan::Target;

/// Plans of a training, and what they take.
struct Choice {
    training: Training,
    recompute: Recompute,
    steps: [Plan; 2],
    beside: Vec<Plan>,
    footprint: Footprint,
}

impl Trainer {
    /// Builds and compiles both steps. Nothing has a value yet: [`Trainer::initialise`] or [`Trainer::load`] follows.
    ///
    /// # Errors
    /// If a setting is not supported, or the device cannot hold the plans; then the message says what would fit.
    pub fn new(gpu: &Arc<Gpu>, training: Training, keep: Keep) -> Result<Self> {
        Self::within(gpu, training, keep, Room::default())
    }

    /// As [`Trainer::new`], with room for more, and within so many bytes of the device. Where all of it would take more,
    /// the steps compute more again rather than keep it ([`Recompute`]), and then batches are computed in more parts
    /// ([`Training::accumulate`]) where that changes no more than rounding ([`Training::is_separable`]).
    ///
    /// # Errors
    /// As [`Trainer::new`], and if it takes more even so; then nothing has been allocated.
    pub fn within(gpu: &Arc<Gpu>, training: Training, keep: Keep, room: Room) -> Result<Self> {
        if !matches!(gpu.storage(), Storage::Single | Storage::HalfMaps) {
            return Err(Error::Usage(
                "moments would vanish in 16-bit floats: train on a device that stores state in 32"
                    .into(),
            ));
        }
        let chosen = choose(&training, keep, &gpu.target(), room);
        let built = chosen.and_then(|choice| Self::build(gpu, choice, keep, room));
        built.map_err(|error| advise(error, &training, &gpu.target(), room))
    }

    fn build(gpu: &Arc<Gpu>, choice: Choice, keep: Keep, room: Room) -> Result<Self> {
        let Choice {
            training,
            recompute,
            steps,
            beside,
            footprint,
        } = choice;
        let params = training.params();
        let mut store = Store::new(gpu.clone());
        store.texels(&most_texel_layers(steps.iter().chain(&beside)))?;
        let [generator, discriminator] = steps;
        let mut step = |network, plan, losses: Vec<_>| {
            Step::new(network, Executor::new(plan, &mut store)?, &losses)
        };
        let generator = step("G", generator, training.generator_losses())?;
        let discriminator = step("D", discriminator, training.discriminator_losses())?;
        store.write(FINITE, &[1.0, 0.0, 0.0, 0.0])?;
        let zero = |counter: &Counter| (counter.name.clone(), 0);
        let mut trainer = Self {
            inputs: training.inputs(),
            counters: params.counters().iter().map(zero).collect(),
            updates_early: training.updates_early(keep),
            training,
            params,
            store,
            generator,
            discriminator,
            footprint,
            room,
            recompute,
            executed_macs: 0,
            is_halfway: false,
            is_torn: false,
        };
        trainer.write_factors()?;
        Ok(trainer)
    }

    /// Finds room for sample sheets within the limit, if there is one and no room has been kept for them.
    ///
    /// # Errors
    /// If there is not enough left. Then nothing has changed.
    pub fn make_room_for_sheets(&mut self) -> Result<()> {
        if self.room.sheets || self.room.limit.is_none() {
            return Ok(());
        }
        let room = Room {
            sheets: true,
            ..self.room
        };
        let beside = room.plans(&self.training, &self.params, &self.store.gpu().target())?;
        let steps = self.plans();
        let mut footprint = Footprint::of(&steps, &beside);
        let most = most_texel_layers(steps.into_iter().chain(&beside));
        // The steps hold the textures that are too small for what is new.
        let outgrown = most.iter().enumerate().map(|(i, &layers)| {
            let have = self.store.texel_layers(i);
            u64::from(if layers > have { have } else { 0 }) * LAYER_BYTES
        });
        footprint.sheets += outgrown.sum::<u64>();
        refuse_beyond(room.limit, &footprint).map_err(|error| {
            Error::Device(format!(
                "{error}: there is no room to draw with the networks in training; a larger memory_limit has, and \
                 display_freq above 0 keeps it from the start, at the price of a slower iteration (both may change \
                 with --resume)"
            ))
        })?;
        self.store.texels(&most)?;
        (self.room, self.footprint) = (room, footprint);
        Ok(())
    }
}

/// The first plans within the limit, the fastest first.
fn choose(training: &Training, keep: Keep, target: &Target, room: Room) -> Result<Choice> {
    let mut chosen = Err(Error::Usage("there are no pictures in a batch".into()));
    for (training, recompute) in ways(training, room) {
        chosen = plan(training, recompute, keep, target, room);
        if !matches!(chosen, Err(Error::Device(_))) {
            break;
        }
    }
    chosen
}

fn plan(
    training: Training,
    recompute: Recompute,
    keep: Keep,
    target: &Target,
    room: Room,
) -> Result<Choice> {
    let params = training.params();
    let beside = room.plans(&training, &params, target)?;
    let steps = plans(&training, &params, keep, target, recompute)?;
    let footprint = Footprint::of(&[&steps[0], &steps[1]], &beside);
    refuse_beyond(room.limit, &footprint).map_err(|error| match error {
        Error::Device(why) => Error::Device(format!("even with {}, {why}", thrift(&training))),
        error => error,
    })?;
    Ok(Choice {
        training,
        recompute,
        steps,
        beside,
        footprint,
    })
}

/// What the thriftiest way of training does.
fn thrift(training: &Training) -> String {
    let again = "layers computed again";
    match training.accumulate {
        1 => again.into(),
        parts => format!("{again} and batches in {parts} parts"),
    }
}

/// Ways to train: the fastest alone where there is no limit, then ever thriftier ones.
fn ways(training: &Training, room: Room) -> Vec<(Training, Recompute)> {
    if room.limit.is_none() {
        return vec![(training.clone(), Recompute::default())];
    }
    let in_parts = training.in_more_parts().filter(Training::is_separable);
    let all = std::iter::once(training.clone()).chain(in_parts);
    all.flat_map(|training| {
        [Recompute::default(), Recompute::Layers].map(|recompute| (training.clone(), recompute))
    })
    .collect()
}
