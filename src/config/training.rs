//! Losses, optimiser, schedule and the run around them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Bytes, usage};
use crate::Result;

/// The adversarial loss.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum GanMode {
    /// Hinge, the published models' own.
    #[default]
    Hinge,
    /// Least squares.
    Ls,
    /// Cross entropy of logits.
    Original,
    /// Means of logits, without clipping or penalty.
    W,
}

/// What the networks minimise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Losses")]
pub struct LossConfig {
    /// Adversarial loss.
    #[arg(long)]
    pub gan_mode: GanMode,
    /// Weight of feature matching.
    #[arg(long, value_name = "WEIGHT")]
    pub lambda_feat: f64,
    /// Weight of the perceptual loss.
    #[arg(long, value_name = "WEIGHT")]
    pub lambda_vgg: f64,
    /// Weight of the divergence of styles.
    #[arg(long, value_name = "WEIGHT")]
    pub lambda_kld: f64,
    /// Train without feature matching.
    #[arg(long = "no-gan-feat-loss", action = clap::ArgAction::SetFalse)]
    pub gan_feat_loss: bool,
    /// Train without the perceptual loss.
    #[arg(long = "no-vgg-loss", action = clap::ArgAction::SetFalse)]
    pub vgg_loss: bool,
    /// File of the VGG-19 that the perceptual loss looks through: torchvision's `.pth` file, or safetensors.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vgg_weights: Option<PathBuf>,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            gan_mode: GanMode::Hinge,
            lambda_feat: 10.0,
            lambda_vgg: 10.0,
            lambda_kld: 0.05,
            gan_feat_loss: true,
            vgg_loss: true,
            vgg_weights: None,
        }
    }
}

impl LossConfig {
    /// The perceptual loss's weights, where it is wanted and can be had.
    pub fn perceptual(&self) -> Option<&PathBuf> {
        self.vgg_weights.as_ref().filter(|_| self.vgg_loss)
    }

    pub(super) fn validate(&self) -> Result<()> {
        let weights = [
            ("lambda_feat", self.lambda_feat),
            ("lambda_vgg", self.lambda_vgg),
            ("lambda_kld", self.lambda_kld),
        ];
        not_negative(&weights)
    }
}

/// How fast the networks learn, and how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Optimiser and schedule")]
pub struct OptimConfig {
    /// Learning rate.
    #[arg(long, value_name = "RATE")]
    pub lr: f64,
    /// One rate for both networks instead of half for the generator and double for the discriminator.
    #[arg(long = "no-ttur", action = clap::ArgAction::SetFalse)]
    pub ttur: bool,
    /// Decay of Adam's first moment [default: 0, with --no-ttur 0.5]
    #[arg(long, value_name = "DECAY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta1: Option<f64>,
    /// Decay of Adam's second moment [default: 0.9, with --no-ttur 0.999]
    #[arg(long, value_name = "DECAY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f64>,
    /// Decay of a moving average of the generator, with which synthesis then draws [default: none is kept]
    #[arg(long, value_name = "DECAY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema: Option<f64>,
    /// Epochs at the full rate.
    #[arg(long, value_name = "EPOCHS")]
    pub niter: usize,
    /// Epochs of linear decay after them.
    #[arg(long, value_name = "EPOCHS")]
    pub niter_decay: usize,
    /// Discriminator steps for each generator step.
    #[arg(long = "d-steps-per-g", value_name = "N")]
    pub d_steps_per_g: usize,
}

impl Default for OptimConfig {
    fn default() -> Self {
        Self {
            lr: 2e-4,
            ttur: true,
            beta1: None,
            beta2: None,
            ema: None,
            niter: 50,
            niter_decay: 0,
            d_steps_per_g: 1,
        }
    }
}

impl OptimConfig {
    /// Number of epochs.
    pub fn epochs(&self) -> usize {
        self.niter + self.niter_decay
    }

    /// Decays of Adam's moments.
    pub fn betas(&self) -> (f64, f64) {
        let (beta1, beta2) = if self.ttur { (0.0, 0.9) } else { (0.5, 0.999) };
        (self.beta1.unwrap_or(beta1), self.beta2.unwrap_or(beta2))
    }

    /// Learning rates of generator and discriminator in an epoch, counted from 1.
    ///
    /// The rate falls at the *end* of epochs, so the first epoch of the decay still runs at the full rate.
    pub fn rates(&self, epoch: usize) -> (f64, f64) {
        let falls = epoch.saturating_sub(self.niter + 1).min(self.niter_decay);
        let left = 1.0 - falls as f64 / self.niter_decay.max(1) as f64;
        let rate = self.lr * left;
        if self.ttur {
            (rate / 2.0, rate * 2.0)
        } else {
            (rate, rate)
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        not_negative(&[("lr", self.lr)])?;
        if !(2.0 * self.lr as f32).is_finite() {
            return usage(format!("lr = {} is no rate in single precision", self.lr));
        }
        let (beta1, beta2) = self.betas();
        let ema = self.ema.unwrap_or_default();
        for (name, beta) in [("beta1", beta1), ("beta2", beta2), ("ema", ema)] {
            // The device computes in single precision, where nearly 0 is 0 and nearly 1 is 1.
            if !(0.0..1.0).contains(&(beta as f32)) || (beta == 0.0) != (beta as f32 == 0.0) {
                return usage(format!(
                    "{name} = {beta} must be at least 0 and less than 1, in single precision too"
                ));
            }
        }
        for (name, value) in [
            ("niter + niter_decay", self.epochs()),
            ("d_steps_per_g", self.d_steps_per_g),
        ] {
            if value == 0 {
                return usage(format!("{name} must be 1 or more"));
            }
        }
        Ok(())
    }
}

/// Batches, saving, samples. Frequencies count pictures, as the official ones do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Run")]
pub struct TrainConfig {
    /// Pictures in a batch.
    #[arg(long, value_name = "N")]
    pub batch_size: usize,
    /// Parts that a batch is computed in, to take less memory; norms over the batch see a part at a time.
    #[arg(long, value_name = "PARTS")]
    pub accumulate: usize,
    /// Store maps of the forward pass in 16-bit floats: less memory, three digits of each number.
    #[arg(
        long,
        value_name = "BOOL",
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub half: bool,
    /// Most memory to take on the device, such as 6GiB or 1500MiB; more is refused at once, with what would fit.
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<Bytes>,
    /// Seed of everything random.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: u64,
    /// Pictures between sample sheets; 0 makes none.
    #[arg(long, value_name = "PICTURES")]
    pub display_freq: u64,
    /// Held-out layouts on a sample sheet.
    #[arg(long, value_name = "N")]
    pub samples: usize,
    /// Pictures between lines of metrics.
    #[arg(long, value_name = "PICTURES")]
    pub print_freq: u64,
    /// Pictures between checkpoints; the end of training and Ctrl-C always save one.
    #[arg(long, value_name = "PICTURES")]
    pub save_latest_freq: u64,
    /// Newest checkpoints to keep.
    #[arg(long, value_name = "N")]
    pub keep_last: usize,
    /// Keep every k-th checkpoint for good; 0 keeps the newest only.
    #[arg(long, value_name = "K")]
    pub keep_every: u64,
    /// Write event files for TensorBoard as well, to `logs` in the run's folder.
    #[arg(long)]
    pub tf_log: bool,
    /// Leave out the page of the run, `index.html`, which is written anew with every sample sheet.
    #[arg(long = "no-html", action = clap::ArgAction::SetFalse)]
    pub html: bool,
    /// Training batches to estimate running statistics over before each checkpoint and sheet; 0 keeps training's own.
    #[arg(long, value_name = "BATCHES")]
    pub recalibrate: usize,
    /// Threads that prepare batches; 0 chooses by the processor.
    #[arg(long, alias = "n-threads", value_name = "N")]
    pub workers: usize,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            batch_size: 1,
            accumulate: 1,
            half: false,
            memory_limit: None,
            seed: 0,
            display_freq: 1000,
            samples: 4,
            print_freq: 100,
            save_latest_freq: 5000,
            keep_last: 3,
            keep_every: 10,
            tf_log: false,
            html: true,
            recalibrate: 0,
            workers: 0,
        }
    }
}

impl TrainConfig {
    pub(super) fn validate(&self) -> Result<()> {
        for (name, value, most) in [
            ("batch_size", self.batch_size as u64, 1024),
            ("accumulate", self.accumulate as u64, 1024),
            ("samples", self.samples as u64, 64),
            ("print_freq", self.print_freq, u64::MAX),
            ("save_latest_freq", self.save_latest_freq, u64::MAX),
            ("keep_last", self.keep_last as u64, u64::MAX),
        ] {
            match value {
                0 => return usage(format!("{name} must be 1 or more")),
                value if value > most => {
                    return usage(format!("{name} = {value} must be {most} or less"));
                }
                _ => {}
            }
        }
        if !self.batch_size.is_multiple_of(self.accumulate) {
            return usage(format!(
                "accumulate = {} does not divide batch_size = {} evenly",
                self.accumulate, self.batch_size
            ));
        }
        if self.seed > i64::MAX as u64 {
            return usage(format!("seed = {} must be below 2^63", self.seed));
        }
        Ok(())
    }
}

fn not_negative(values: &[(&str, f64)]) -> Result<()> {
    let bad = values.iter().find(|(_, x)| !(x.is_finite() && *x >= 0.0));
    match bad {
        Some((name, value)) => usage(format!(
            "{name} = {value} must be a number, and not negative"
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_fall_after_the_first_epoch_of_the_decay() {
        let optim = OptimConfig {
            ttur: false,
            niter: 3,
            niter_decay: 4,
            ..Default::default()
        };
        let rates: Vec<f64> = (1..=7).map(|epoch| optim.rates(epoch).0 * 1e4).collect();
        let want = [2.0, 2.0, 2.0, 2.0, 1.5, 1.0, 0.5];
        for (got, want) in rates.iter().zip(want) {
            assert!((got - want).abs() < 1e-12, "{rates:?}");
        }
        assert_eq!(optim.betas(), (0.5, 0.999));
        let ttur = OptimConfig::default();
        assert_eq!((ttur.rates(50), ttur.betas()), ((1e-4, 4e-4), (0.0, 0.9)));
    }

    #[test]
    fn refusals_name_the_option() {
        type Spoil = fn(&mut OptimConfig);
        let cases: [(&str, Spoil); 5] = [
            ("lr", |c| c.lr = f64::NAN),
            ("beta2", |c| c.beta2 = Some(1.0)),
            ("ema", |c| c.ema = Some(1.0)),
            ("niter", |c| c.niter = 0),
            ("d_steps_per_g", |c| c.d_steps_per_g = 0),
        ];
        for (name, spoil) in cases {
            let mut config = OptimConfig::default();
            spoil(&mut config);
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        let train = TrainConfig {
            keep_last: 0,
            ..Default::default()
        };
        let error = train.validate().unwrap_err().to_string();
        assert!(error.contains("keep_last"), "{error}");
    }
}
