//! Styles that `spadework synth` draws in.

use std::path::{Path, PathBuf};

use spadework::data::files::read_photo;
use spadework::{Error, Generator, Result, Style};

/// Pictures between the ends of a mix, both included, where no number is given.
const MIX_STEPS: usize = 5;

/// Options that choose styles.
#[derive(clap::Args)]
#[command(next_help_heading = "Styles, of generators trained with --use-vae")]
pub struct Styles {
    /// Seed of a random style; with --style-sample, of the draw [default: 0]
    #[arg(long, value_name = "SEED")]
    style_seed: Option<u64>,
    /// Draw in the most likely style of this picture
    #[arg(long, value_name = "FILE")]
    style_image: Option<PathBuf>,
    /// Draw in a random style among those that --style-image may have
    #[arg(long, requires = "style_image")]
    style_sample: bool,
    /// Go from one style to another, both included; each is a seed or a picture
    #[arg(long, num_args = 2, value_names = ["FROM", "TO"], conflicts_with_all = ["style_seed", "style_image"])]
    style_mix: Vec<String>,
    /// Numbered pictures of each layout: seeds count up, or steps of --style-mix [default: 1, of a mix 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    samples: Option<u16>,
}

/// A style and what to call it; neither for a generator without styles.
pub type Named = Option<(Style, String)>;

impl Styles {
    /// Refuses options that contradict each other.
    pub fn validate(&self) -> Result<()> {
        let is_mean = self.style_image.is_some() && !self.style_sample;
        let fault = if is_mean && self.style_seed.is_some() {
            "--style-seed needs --style-sample beside --style-image, whose most likely style is not random"
        } else if is_mean && self.count() > 1 {
            "--samples needs --style-sample beside --style-image, whose most likely style is only one"
        } else if !self.style_mix.is_empty() && self.count() < 2 {
            "--style-mix needs --samples of 2 or more, for both of its ends"
        } else {
            return Ok(());
        };
        Err(Error::Usage(fault.into()))
    }

    /// Pictures of each layout.
    pub fn count(&self) -> usize {
        match (self.samples, self.style_mix.is_empty()) {
            (Some(samples), _) => samples.into(),
            (None, true) => 1,
            (None, false) => MIX_STEPS,
        }
    }

    /// The styles, one for each picture of a layout.
    pub fn resolve(&self, generator: &mut Generator) -> Result<Vec<Named>> {
        let is_asked = self.style_seed.is_some()
            || self.style_image.is_some()
            || !self.style_mix.is_empty()
            || self.samples.is_some();
        if !generator.has_styles() && !is_asked {
            return Ok(vec![None]);
        }
        let seeds = (0..self.count()).map(|i| self.style_seed.unwrap_or(0).wrapping_add(i as u64));
        if let [from, to] = self.style_mix.as_slice() {
            return self.mix(generator, from, to);
        }
        let Some(path) = &self.style_image else {
            let random = |seed| {
                Ok(Some((
                    generator.random_style(seed)?,
                    format!("seed {seed}"),
                )))
            };
            return seeds.map(random).collect();
        };
        let encoded = generator.encode(&read_photo(path)?)?;
        let name = path.display();
        Ok(match self.style_sample {
            true => {
                let sample = |seed| {
                    Ok(Some((
                        encoded.sample(seed)?,
                        format!("{name}, seed {seed}"),
                    )))
                };
                seeds.map(sample).collect::<Result<_>>()?
            }
            false => vec![Some((encoded.mean(), name.to_string()))],
        })
    }

    fn mix(&self, generator: &mut Generator, from: &str, to: &str) -> Result<Vec<Named>> {
        let mut end = |text: &str| match text.parse() {
            Ok(seed) => generator.random_style(seed),
            Err(_) => Ok(generator.encode(&read_photo(Path::new(text))?)?.mean()),
        };
        let (first, last) = (end(from)?, end(to)?);
        let steps = self.count() - 1;
        let step = |i| {
            let share = i as f32 / steps as f32;
            let name = format!("{from} to {to}, {:.0} %", 100.0 * share);
            Ok(Some((first.mix(&last, share)?, name)))
        };
        (0..=steps).map(step).collect()
    }
}
