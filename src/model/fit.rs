//! What would fit an adapter that a training is too large for: batches in more parts; and smaller batches, then smaller
//! pictures, then narrower networks.

use super::cost::footprint;
use super::footprint::Footprint;
use super::room::Room;
use super::step::Training;
use crate::config::Bytes;
use crate::graph::plan::Target;
use crate::graph::recompute::Recompute;
use crate::{Error, Result};

/// Refuses what takes more than a limit that was set.
///
/// # Errors
/// If it does: with how much, and what for.
pub(super) fn refuse_beyond(limit: Option<Bytes>, footprint: &Footprint) -> Result<()> {
    let total = footprint.total();
    match limit {
        Some(limit) if total > limit.0 => Err(Error::Device(format!(
            "training takes {} MiB on the device, and memory_limit = {limit} allows {} MiB ({footprint})",
            total.div_ceil(1 << 20),
            limit.0 >> 20
        ))),
        _ => Ok(()),
    }
}

/// Adds the way out to the error of a device that could not hold a training, or may not; other errors stay as they are.
pub(super) fn advise(error: Error, training: &Training, target: &Target, room: Room) -> Error {
    let Error::Device(what) = error else {
        return error;
    };
    // Within a limit the thriftiest plan is looked for.
    let recompute = match room.limit {
        Some(_) => Recompute::Layers,
        None => Recompute::default(),
    };
    let bytes = |training: &Training, room: Room| {
        let footprint = footprint(training, target, recompute, room);
        footprint.map(|footprint| footprint.total())
    };
    let limit = room.limit.map(|limit| limit.0);
    // A plan that could be made was refused for its size in all; nobody tells how much there is.
    let limit = limit.or_else(|| Some(bytes(training, room).ok()? * 2 / 3));
    let fits = |change: &str, smaller: &Training, room: Room| {
        let bytes = bytes(smaller, room).ok()?;
        let fits = bytes <= limit.unwrap_or(u64::MAX);
        fits.then(|| format!("{change} would take {} MiB", bytes.div_ceil(1 << 20)))
    };
    let alone = Room::within(room.limit);
    let spared = room.spared_by();
    let spared = spared.and_then(|change| fits(change, training, alone));
    let smaller = smaller(training).find_map(|(change, smaller)| fits(&change, &smaller, room));
    let is_possible = |parts: &Training| parts.model.check_pictures(parts.part_size()).is_ok();
    let mut in_parts = training.in_more_parts().filter(is_possible);
    let in_parts = in_parts.find_map(|parts| fits(&in_parts_of(&parts), &parts, room));
    let ways: Vec<String> = spared.into_iter().chain(in_parts).chain(smaller).collect();
    let way_out = match ways.is_empty() {
        true => "no smaller setting fits either".into(),
        false => ways.join(", "),
    };
    Error::Device(format!("{what}: {way_out}"))
}

/// What computing batches in parts changes.
fn in_parts_of(training: &Training) -> String {
    let setting = format!("accumulate = {}", training.accumulate);
    match training.is_separable() {
        true => setting,
        false => format!(
            "{setting} (with norms over {} of a batch's pictures at a time)",
            training.part_size()
        ),
    }
}

/// Ever smaller settings, each with what was changed. Their batches have one part.
fn smaller(training: &Training) -> impl Iterator<Item = (String, Training)> {
    let whole = match training.accumulate {
        1 => "",
        _ => " and accumulate = 1",
    };
    let smaller = smaller_whole(Training {
        accumulate: 1,
        ..training.clone()
    });
    smaller.map(move |(change, smaller)| (format!("{change}{whole}"), smaller))
}

/// Ever smaller settings, each with what was changed.
fn smaller_whole(training: Training) -> impl Iterator<Item = (String, Training)> {
    let halves =
        |n: usize| std::iter::successors(Some(n / 2), |n| Some(n / 2)).take_while(|&n| n > 0);
    let any = training.clone();
    let batches = halves(training.batch_size).map(move |batch_size| {
        let smaller = Training {
            batch_size,
            ..any.clone()
        };
        (format!("batch_size = {batch_size}"), smaller)
    });
    let alone = Training {
        batch_size: 1,
        ..training.clone()
    };
    let scale = training.model.scale();
    let sides = halves(training.model.crop_size).filter(move |side| side.is_multiple_of(scale));
    let narrow = alone.clone();
    let crops = sides.map(move |crop_size| {
        let mut smaller = alone.clone();
        smaller.model.crop_size = crop_size;
        (
            format!("batch_size = 1 and crop_size = {crop_size}"),
            smaller,
        )
    });
    let widths = halves(training.model.ngf).map(move |ngf| {
        let mut smaller = narrow.clone();
        smaller.model.ngf = ngf;
        (format!("batch_size = 1 and ngf = {ngf}"), smaller)
    });
    batches.chain(crops).chain(widths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LossConfig, ModelConfig};
    use crate::ops::winograd::Filtering;
    use crate::ops::{Buffering, Family};

    fn training() -> Training {
        Training {
            model: ModelConfig {
                label_nc: 3,
                ngf: 4,
                ndf: 4,
                spade_hidden: 4,
                crop_size: 128,
                ..ModelConfig::default()
            },
            loss: LossConfig::default(),
            betas: (0.0, 0.9),
            ema: None,
            batch_size: 8,
            accumulate: 1,
            vgg_divisor: None,
        }
    }

    fn advice(max_binding_bytes: u64) -> String {
        let target = Target {
            family: Family::Tiled(Buffering::Double),
            workspace_bytes: 1 << 20,
            max_binding_bytes,
            filtering: Filtering::default(),
            storage: crate::graph::half::Storage::Single,
            matrices: None,
        };
        let refused = Error::Device("too large".into());
        advise(refused, &training(), &target, Room::default()).to_string()
    }

    #[test]
    fn the_largest_setting_that_fits_is_named() {
        // The largest binding of one picture, a window table, takes 2 to 4 MiB.
        let named = |bytes, change| {
            let advice = advice(bytes);
            assert!(advice.contains(change), "{advice}");
        };
        let in_parts = "too large: accumulate = 2 (with norms over 4 of a batch's pictures at a time) would take";
        named(32 << 20, in_parts);
        named(32 << 20, "MiB, batch_size = 4 would take");
        named(8 << 20, "accumulate = 4");
        named(8 << 20, "batch_size = 2 would take");
        named(4 << 20, "accumulate = 8");
        named(4 << 20, "batch_size = 1 would take");
        named(
            2 << 20,
            "too large: batch_size = 1 and crop_size = 64 would take",
        );
        named(64, "no smaller setting");
    }

    #[test]
    fn other_errors_pass() {
        let target = Target {
            family: Family::Tiled(Buffering::Double),
            workspace_bytes: 1 << 20,
            max_binding_bytes: 1 << 30,
            filtering: Filtering::default(),
            storage: crate::graph::half::Storage::Single,
            matrices: None,
        };
        let error = advise(
            Error::Usage("no".into()),
            &training(),
            &target,
            Room::default(),
        );
        assert!(matches!(error, Error::Usage(text) if text == "no"));
    }
}
