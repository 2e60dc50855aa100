//! Shape of the networks, and what follows from it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{LayerNorm, NormG, NormKind, SpadeNorm, usage};
use crate::Result;

/// Doublings between the latent grid and the picture.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Upsampling {
    /// 5 doublings.
    #[default]
    Normal,
    /// 6: one more between the middle blocks.
    More,
    /// 7: one more block at the end as well.
    Most,
}

impl Upsampling {
    /// Number of doublings.
    pub fn doublings(self) -> usize {
        match self {
            Self::Normal => 5,
            Self::More => 6,
            Self::Most => 7,
        }
    }
}

/// How the label map reaches the generator.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum NetG {
    /// Through spatially-adaptive normalisation.
    #[default]
    Spade,
    /// Concatenated before each convolution, with ordinary norms: the baseline of the paper's ablation.
    Concat,
}

/// How weights are drawn before training.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum InitType {
    /// Normal, standard deviation `init_variance`.
    Normal,
    /// Normal, scaled by fan in and fan out.
    #[default]
    Xavier,
    /// Uniform, scaled by fan in and fan out.
    XavierUniform,
    /// Normal, scaled by fan in.
    Kaiming,
    /// Orthogonal rows or columns.
    Orthogonal,
    /// The default of the published code's framework.
    None,
}

/// What `init_type` means for spectrally normalised convolutions.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum SpectralInit {
    /// They keep the framework's default, uniform by fan in: every published model began so, being trained on GPUs.
    #[default]
    Gpu,
    /// `init_type` reaches them, as it did where the published code ran on a CPU.
    Cpu,
}

/// Initial weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
pub struct InitConfig {
    /// How weights are drawn before training.
    #[arg(long)]
    pub init_type: InitType,
    /// Gain of that draw.
    #[arg(long, value_name = "GAIN")]
    pub init_variance: f64,
    /// Draw of spectrally normalised convolutions: as GPU or as CPU training had it.
    #[arg(long)]
    pub spectral_init: SpectralInit,
}

impl Default for InitConfig {
    fn default() -> Self {
        Self {
            init_type: InitType::Xavier,
            init_variance: 0.02,
            spectral_init: SpectralInit::Gpu,
        }
    }
}

/// The networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Networks")]
pub struct ModelConfig {
    /// Number of classes [default: the class table's]
    #[arg(long, value_name = "N")]
    pub label_nc: usize,
    /// Give unlabelled pixels a channel of their own [default: as the class table says]
    #[arg(long = "contain-dontcare-label")]
    pub dontcare: bool,
    /// Leave instance maps out [default: used where there are any]
    #[arg(long = "no-instance", action = clap::ArgAction::SetFalse)]
    pub edges: bool,
    /// How the label map reaches the generator.
    #[arg(long)]
    pub net_g: NetG,
    /// Width of the generator.
    #[arg(long, value_name = "CHANNELS")]
    pub ngf: usize,
    /// Width of the discriminator.
    #[arg(long, value_name = "CHANNELS")]
    pub ndf: usize,
    /// Width inside SPADE layers.
    #[arg(long, value_name = "CHANNELS")]
    pub spade_hidden: usize,
    /// Doublings between latent grid and picture.
    #[serde(rename = "num_upsampling_layers")]
    #[arg(
        id = "num_upsampling_layers",
        long = "num-upsampling-layers",
        value_name = "LAYERS"
    )]
    pub upsampling: Upsampling,
    /// Width of the picture.
    #[arg(long, value_name = "PIXELS")]
    pub crop_size: usize,
    /// Width by height of the picture.
    #[arg(long, value_name = "RATIO")]
    pub aspect_ratio: f64,
    /// Norms of the generator: `[spectral]spade<syncbatch|batch|instance><k>x<k>`.
    #[arg(long, value_name = "NORM")]
    pub norm_g: NormG,
    /// Norms of the discriminator: `[spectral]<instance|batch|sync_batch|group<N>|layer|none>`.
    #[arg(long, value_name = "NORM")]
    pub norm_d: LayerNorm,
    /// Norms of the encoder, written alike.
    #[arg(long, value_name = "NORM")]
    pub norm_e: LayerNorm,
    /// Clamp batch variances at eps instead of adding it, as training on several devices did.
    #[arg(long)]
    pub parallel_bn: bool,
    /// Scales of the discriminator.
    #[arg(long, value_name = "N")]
    pub num_d: usize,
    /// Strided and normed layers of each discriminator.
    #[arg(long, value_name = "N")]
    pub n_layers_d: usize,
    /// Encode styles with a variational auto-encoder.
    #[arg(long)]
    pub use_vae: bool,
    /// Length of a style.
    #[arg(long, value_name = "N")]
    pub z_dim: usize,
    /// Side of the square to which the encoder resizes photos.
    #[arg(long, value_name = "PIXELS")]
    pub enc_size: usize,
    /// Initial weights.
    #[command(flatten)]
    pub init: InitConfig,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            label_nc: 0,
            dontcare: false,
            edges: false,
            net_g: NetG::Spade,
            ngf: 64,
            ndf: 64,
            spade_hidden: 128,
            upsampling: Upsampling::Normal,
            crop_size: 256,
            aspect_ratio: 1.0,
            norm_g: NormG::default(),
            norm_d: LayerNorm::default(),
            norm_e: LayerNorm::default(),
            parallel_bn: false,
            num_d: 2,
            n_layers_d: 4,
            use_vae: false,
            z_dim: 256,
            enc_size: 256,
            init: InitConfig::default(),
        }
    }
}

/// Widths of the discriminator double up to here.
const WIDEST: usize = 512;
/// Convolutions of the encoder, each of which halves its input.
pub const ENCODER_LAYERS: usize = 6;

/// Channels that 8-bit label maps can tell apart besides "unlabelled".
const MAX_CLASSES: usize = 254;

impl ModelConfig {
    /// Whether a norm takes its moments over all pictures that are computed at once.
    pub fn norms_over_pictures(&self) -> bool {
        let over_pictures = |kind| matches!(kind, NormKind::Batch | NormKind::SyncBatch);
        self.norm_g.kind != SpadeNorm::Instance
            || over_pictures(self.norm_d.kind)
            || self.use_vae && over_pictures(self.norm_e.kind)
    }

    /// Refuses to compute so few pictures at once that a norm would have a single value.
    ///
    /// # Errors
    /// Names the norm and the way out.
    pub fn check_pictures(&self, at_once: usize) -> Result<()> {
        let [h0, w0] = self.latent();
        let kind = self.norm_g.kind;
        if kind != SpadeNorm::Instance && at_once * h0 * w0 < 2 {
            return usage(format!(
                "one picture at a time with a 1x1 latent grid leaves {kind} norm a single value: raise batch_size or \
                 crop_size, or lower accumulate or num_upsampling_layers"
            ));
        }
        // Nothing else of the encoder depends on the size of its map.
        let side = self.enc_size.div_ceil(1 << ENCODER_LAYERS);
        let values = match self.norm_e.kind {
            NormKind::Instance => side * side,
            NormKind::Batch | NormKind::SyncBatch => at_once * side * side,
            NormKind::Group(_) | NormKind::None => usize::MAX,
        };
        if self.use_vae && values < 2 {
            return usage(format!(
                "enc_size = {} leaves {} norm a single value behind the encoder's last layer: raise it above 64",
                self.enc_size, self.norm_e
            ));
        }
        Ok(())
    }

    /// Channels of the semantic input, S: classes, don't-care, instance edges.
    pub fn semantic_nc(&self) -> usize {
        self.label_nc + usize::from(self.dontcare) + usize::from(self.edges)
    }

    /// Latent grid, `[height, width]`. Exact halves round to even, as in the published code.
    pub fn latent(&self) -> [usize; 2] {
        let width = self.crop_size / self.scale();
        let height = (width as f64 / self.aspect_ratio).round_ties_even();
        [height as usize, width]
    }

    /// Picture by latent grid: a power of two.
    pub fn scale(&self) -> usize {
        1 << self.upsampling.doublings()
    }

    /// Size of the picture, `[height, width]`.
    pub fn output(&self) -> [usize; 2] {
        self.latent().map(|side| side * self.scale())
    }

    /// Every size between latent grid and picture, both included, `[height, width]`.
    pub fn levels(&self) -> Vec<[usize; 2]> {
        let latent = self.latent();
        let doublings = 0..=self.upsampling.doublings();
        doublings.map(|n| latent.map(|side| side << n)).collect()
    }

    /// Refuses what cannot be built.
    ///
    /// # Errors
    /// Names the option and the way out.
    pub fn validate(&self) -> Result<()> {
        if !(1..=MAX_CLASSES).contains(&self.label_nc) {
            return usage(format!(
                "label_nc = {} must lie between 1 and {MAX_CLASSES}: give the number of classes, or a class table",
                self.label_nc
            ));
        }
        let wide = [
            ("ngf", self.ngf, 1024),
            ("ndf", self.ndf, 1024),
            ("spade_hidden", self.spade_hidden, 4096),
            ("crop_size", self.crop_size, 1 << 14),
            ("num_d", self.num_d, 8),
            ("n_layers_d", self.n_layers_d, 8),
            ("z_dim", self.z_dim, 1 << 16),
            ("enc_size", self.enc_size, 1 << 12),
        ];
        if let Some((name, value, most)) = wide
            .into_iter()
            .find(|&(_, value, most)| !(1..=most).contains(&value))
        {
            return usage(format!("{name} = {value} must lie between 1 and {most}"));
        }
        if self.upsampling == Upsampling::Most && self.ngf < 2 {
            return usage("num_upsampling_layers = \"most\" needs ngf of 2 or more".into());
        }
        if !(self.aspect_ratio.is_finite() && self.aspect_ratio > 0.0) {
            return usage(format!(
                "aspect_ratio = {} must be a positive number, width by height",
                self.aspect_ratio
            ));
        }
        let gain = self.init.init_variance;
        if !(gain.is_finite() && gain >= 0.0) {
            return usage(format!("init_variance = {gain} must not be negative"));
        }
        self.validate_groups()?;
        self.validate_size()
    }

    /// Channels behind layer `layer` of a discriminator, counted from 0.
    pub fn discriminator_width(&self, layer: usize) -> usize {
        (0..layer).fold(self.ndf, |width, _| (2 * width).min(WIDEST))
    }

    /// Channels behind layer `layer` of the encoder, counted from 0. Its width is the generator's.
    pub fn encoder_width(&self, layer: usize) -> usize {
        self.ngf << layer.min(3)
    }

    /// Groups of channels are equal parts of every normed layer's.
    fn validate_groups(&self) -> Result<()> {
        let of_discriminator = (1..self.n_layers_d).map(|layer| self.discriminator_width(layer));
        let of_encoder = (0..ENCODER_LAYERS).map(|layer| self.encoder_width(layer));
        let [of_discriminator, of_encoder]: [Vec<usize>; 2] = [
            of_discriminator.collect(),
            of_encoder.filter(|_| self.use_vae).collect(),
        ];
        for (name, norm, width, widths) in [
            ("norm_d", self.norm_d, "ndf", of_discriminator),
            ("norm_e", self.norm_e, "ngf", of_encoder),
        ] {
            let NormKind::Group(groups) = norm.kind else {
                continue;
            };
            if let Some(channels) = widths.iter().find(|c| !c.is_multiple_of(groups)) {
                return usage(format!(
                    "{name} = {norm}: a layer of {channels} channels does not fall into {groups} groups; choose a number \
                     that divides the width of every layer, {widths:?} with this {width}"
                ));
            }
        }
        Ok(())
    }

    fn validate_size(&self) -> Result<()> {
        let [height, width] = self.latent();
        if height == 0 || width == 0 {
            return usage(format!(
                "crop_size = {} and aspect_ratio = {} leave no latent grid ({width}x{height}): with \
                 num_upsampling_layers = \"{}\" both sides of a picture must reach {} pixels",
                self.crop_size,
                self.aspect_ratio,
                self.upsampling,
                self.scale()
            ));
        }
        if self.output().iter().any(|&side| side > 1 << 14) {
            return usage(format!(
                "aspect_ratio = {} makes pictures higher than 16384 pixels",
                self.aspect_ratio
            ));
        }
        Ok(())
    }
}

impl fmt::Display for Upsampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Normal => "normal",
            Self::More => "more",
            Self::Most => "most",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_the_published_models() {
        let ade20k = ModelConfig {
            label_nc: 150,
            dontcare: true,
            ..Default::default()
        };
        assert_eq!((ade20k.semantic_nc(), ade20k.latent()), (151, [8, 8]));
        assert_eq!((ade20k.output(), ade20k.levels().len()), ([256, 256], 6));
        let cityscapes = ModelConfig {
            label_nc: 35,
            edges: true,
            upsampling: Upsampling::More,
            crop_size: 512,
            aspect_ratio: 2.0,
            ..Default::default()
        };
        assert_eq!(
            (cityscapes.semantic_nc(), cityscapes.latent()),
            (36, [4, 8])
        );
        assert_eq!(cityscapes.output(), [256, 512]);
        assert_eq!(cityscapes.levels()[2], [16, 32]);
    }

    #[test]
    fn exact_halves_round_to_even() {
        let latent = |crop_size, aspect_ratio| {
            let config = ModelConfig {
                crop_size,
                aspect_ratio,
                ..Default::default()
            };
            config.latent()
        };
        assert_eq!(latent(160, 2.0), [2, 5], "2.5 rounds down");
        assert_eq!(latent(224, 2.0), [4, 7], "3.5 rounds up");
        assert_eq!(latent(100, 1.0), [3, 3], "a partial cell is dropped");
    }

    #[test]
    fn refusals_name_the_option() {
        let good = ModelConfig {
            label_nc: 3,
            ..Default::default()
        };
        assert!(good.validate().is_ok());
        type Spoil = fn(&mut ModelConfig);
        let cases: [(&str, Spoil); 9] = [
            ("label_nc", |c| c.label_nc = 0),
            ("ngf", |c| c.ngf = 0),
            ("num_d", |c| c.num_d = 9),
            ("crop_size", |c| c.crop_size = 31),
            ("aspect_ratio", |c| c.aspect_ratio = f64::NAN),
            ("aspect_ratio", |c| c.aspect_ratio = 1e-9),
            ("init_variance", |c| c.init.init_variance = -1.0),
            ("norm_d = spectralgroup3", |c| {
                c.norm_d.kind = NormKind::Group(3)
            }),
            ("norm_e = spectralgroup128", |c| {
                c.use_vae = true;
                c.norm_e.kind = NormKind::Group(128);
            }),
        ];
        for (name, spoil) in cases {
            let mut config = good.clone();
            spoil(&mut config);
            let error = config.validate().unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
