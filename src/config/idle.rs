//! What a new run is refused for although it could be trained: options that would do nothing, and a judge that could not
//! learn. Who gives them expects something of them.
//!
//! Checkpoints that such options went into are read all the same.

use super::{Config, ModelConfig, NormKind, SpadeNorm, usage};
use crate::Result;

impl Config {
    /// Refuses options without effect.
    ///
    /// # Errors
    /// Names the option and the way out.
    pub fn refuse_idle(&self) -> Result<()> {
        let Self { model, train, .. } = self;
        let kind = model.norm_g.kind;
        if train.recalibrate > 0 && kind == SpadeNorm::Instance {
            return usage(format!(
                "recalibrate = {} does nothing: {kind} norm in norm_g = {} keeps no running statistics; leave it out",
                train.recalibrate, model.norm_g
            ));
        }
        let sync = [
            kind == SpadeNorm::SyncBatch,
            model.norm_d.kind == NormKind::SyncBatch,
            model.use_vae && model.norm_e.kind == NormKind::SyncBatch,
        ];
        if model.parallel_bn && !sync.contains(&true) {
            return usage(format!(
                "parallel_bn = true does nothing: it is about synchronised batch norm, and no network has any with norm_g \
                 = {}, norm_d = {}; leave it out, or choose such a norm",
                model.norm_g, model.norm_d
            ));
        }
        model.refuse_blind_judges()
    }
}

impl ModelConfig {
    /// Refuses norms of the discriminator over a single value, which is all that they then say of any picture: nothing.
    fn refuse_blind_judges(&self) -> Result<()> {
        let mut sides = self.output();
        for scale in 0..self.num_d {
            if scale > 0 {
                // The pooling before each scale but the first rounds up.
                sides = sides.map(|side| side.div_ceil(2));
            }
            // A convolution of 4x4, padded by 2, makes a map of n into one of n / 2 + 1.
            let mut map = sides;
            for layer in 0..self.n_layers_d.saturating_sub(1) {
                map = map.map(|side| side / 2 + 1);
                let values = match self.norm_d.kind {
                    NormKind::Instance => map[0] * map[1],
                    NormKind::Group(groups) => {
                        map[0] * map[1] * self.discriminator_width(layer) / groups
                    }
                    _ => usize::MAX,
                };
                if layer > 0 && values < 2 {
                    return usage(format!(
                        "num_d = {}: discriminator_{scale} would never learn, because norm_d = {} sees a single value \
                         behind its layer {layer} at pictures of {}x{}; {}raise crop_size, or choose another norm_d",
                        self.num_d,
                        self.norm_d,
                        self.output()[1],
                        self.output()[0],
                        match scale {
                            0 => String::new(),
                            scale => format!("lower num_d to {scale}, "),
                        }
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(model: ModelConfig, recalibrate: usize) -> Config {
        let mut config = Config {
            model,
            ..Config::default()
        };
        config.train.recalibrate = recalibrate;
        config.train.batch_size = 2;
        config
    }

    fn small() -> ModelConfig {
        ModelConfig {
            label_nc: 3,
            crop_size: 32,
            ..ModelConfig::default()
        }
    }

    #[track_caller]
    fn refused(config: &Config, parts: &[&str]) {
        assert!(config.validate().is_ok(), "checkpoints of it are read");
        let error = config.refuse_idle().unwrap_err();
        assert_eq!(error.exit_code(), 2);
        for part in parts {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn options_that_do_nothing_are_named() {
        let instance = ModelConfig {
            norm_g: "spadeinstance3x3".parse().unwrap(),
            ..small()
        };
        assert!(config(small(), 4).refuse_idle().is_ok());
        assert!(config(instance.clone(), 0).refuse_idle().is_ok());
        refused(&config(instance.clone(), 4), &["recalibrate = 4"]);
        let parallel = |norm_e: &str, use_vae| ModelConfig {
            parallel_bn: true,
            norm_e: norm_e.parse().unwrap(),
            use_vae,
            ..instance.clone()
        };
        refused(&config(parallel("instance", true), 0), &["parallel_bn"]);
        refused(&config(parallel("sync_batch", false), 0), &["parallel_bn"]);
        let of_encoder = parallel("sync_batch", true);
        assert!(config(of_encoder, 0).refuse_idle().is_ok());
        let of_generator = ModelConfig {
            parallel_bn: true,
            ..small()
        };
        assert!(config(of_generator, 0).refuse_idle().is_ok());
    }

    #[test]
    fn judges_that_see_nothing_are_named() {
        let judges = |num_d, norm_d: &str, n_layers_d| {
            let model = ModelConfig {
                num_d,
                n_layers_d,
                norm_d: norm_d.parse().unwrap(),
                ..small()
            };
            config(model, 0)
        };
        // 32 pixels, halved five times.
        let parts = ["num_d = 6", "discriminator_5", "lower num_d to 5"];
        refused(&judges(6, "spectralinstance", 4), &parts);
        refused(&judges(6, "group128", 4), &["norm_d = group128"]);
        for (num_d, norm_d, layers) in [
            (5, "spectralinstance", 4),
            (6, "spectralbatch", 4),
            (6, "layer", 4),
            (6, "spectralnone", 4),
            // The last normed layer does not halve: a map of 1 becomes one of 2.
            (6, "spectralinstance", 2),
        ] {
            let fine = judges(num_d, norm_d, layers).refuse_idle();
            assert!(fine.is_ok(), "{num_d} {norm_d} {layers}: {fine:?}");
        }
    }
}
