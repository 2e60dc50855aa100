//! What can be changed while a run goes on. A change is part of the checkpoint, so that a resumed run goes on with it.

use serde::{Deserialize, Serialize};

use crate::config::Config;

/// A setting that can be changed between two iterations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Knob {
    /// Learning rate.
    Lr,
    /// Weight of feature matching.
    LambdaFeat,
    /// Weight of the perceptual loss.
    LambdaVgg,
    /// Weight of the divergence of styles.
    LambdaKld,
}

impl Knob {
    /// The knobs that a run has.
    pub fn of(config: &Config) -> Vec<Self> {
        let all = [
            (Self::Lr, true),
            (Self::LambdaFeat, config.loss.gan_feat_loss),
            (Self::LambdaVgg, config.loss.perceptual().is_some()),
            (Self::LambdaKld, config.model.use_vae),
        ];
        let there = all.into_iter().filter(|(_, there)| *there);
        there.map(|(knob, _)| knob).collect()
    }

    /// Name of the option.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lr => "lr",
            Self::LambdaFeat => "lambda_feat",
            Self::LambdaVgg => "lambda_vgg",
            Self::LambdaKld => "lambda_kld",
        }
    }

    /// Its value.
    pub fn get(self, config: &Config) -> f64 {
        match self {
            Self::Lr => config.optim.lr,
            Self::LambdaFeat => config.loss.lambda_feat,
            Self::LambdaVgg => config.loss.lambda_vgg,
            Self::LambdaKld => config.loss.lambda_kld,
        }
    }

    /// Sets it.
    pub fn set(self, config: &mut Config, value: f64) {
        *match self {
            Self::Lr => &mut config.optim.lr,
            Self::LambdaFeat => &mut config.loss.lambda_feat,
            Self::LambdaVgg => &mut config.loss.lambda_vgg,
            Self::LambdaKld => &mut config.loss.lambda_kld,
        } = value;
    }
}

/// A change of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Iterations done before it.
    pub step: u64,
    /// What was changed.
    pub knob: Knob,
    /// The value before.
    pub from: f64,
    /// The value from then on.
    pub to: f64,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { step, from, to, .. } = self;
        let name = self.knob.name();
        write!(f, "{name} {from} → {to} after iteration {step}")
    }
}
