//! Styles: what a generator with an encoder can vary about the picture of one layout.

use super::init::normal;
use crate::{Error, Result};

/// What a generator without styles says of one.
pub fn no_styles() -> Error {
    Error::Usage("this generator has no styles: it was trained without use_vae".into())
}

/// A point in the space of styles.
#[derive(Clone, Debug, PartialEq)]
pub struct Style(Vec<f32>);

impl Style {
    /// A style from its coordinates; the generator says how many there are ([`ModelConfig::z_dim`]).
    ///
    /// # Errors
    /// If a coordinate is not finite.
    ///
    /// [`ModelConfig::z_dim`]: crate::config::ModelConfig::z_dim
    pub fn new(coordinates: Vec<f32>) -> Result<Self> {
        match coordinates.iter().position(|x| !x.is_finite()) {
            Some(at) => Err(Error::Data(format!(
                "coordinate {at} of a style is {}, which is no place in the space of styles",
                coordinates[at]
            ))),
            None => Ok(Self(coordinates)),
        }
    }

    /// A random style, the same for the same seed on every machine.
    pub fn random(z_dim: usize, seed: u64) -> Self {
        Self(normal(seed, "style", z_dim))
    }

    /// Coordinates.
    pub fn coordinates(&self) -> &[f32] {
        &self.0
    }

    /// The style a share of the straight way to another: 0 is this one, 1 the other.
    ///
    /// # Errors
    /// If the styles have different lengths, being those of different generators, or the share is not finite.
    pub fn mix(&self, other: &Self, share: f32) -> Result<Self> {
        let [own, others] = [self, other].map(|style| style.0.len());
        if own != others {
            return Err(Error::Usage(format!(
                "a style of {own} coordinates cannot be mixed with one of {others}: they belong to different generators"
            )));
        }
        let pairs = self.0.iter().zip(&other.0);
        Self::new(pairs.map(|(a, b)| a * (1.0 - share) + b * share).collect())
    }
}

/// What an encoder says of a photo: a normal distribution over styles, its axes independent.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// Mean.
    pub mu: Vec<f32>,
    /// Logarithm of the variance.
    pub logvar: Vec<f32>,
}

impl Encoded {
    /// The most likely style.
    pub fn mean(&self) -> Style {
        Style(self.mu.clone())
    }

    /// A random style of the distribution, the same for the same seed.
    ///
    /// # Errors
    /// If the distribution is so wide that a coordinate is not finite.
    pub fn sample(&self, seed: u64) -> Result<Style> {
        let noise = Style::random(self.mu.len(), seed).0;
        let deviation = |logvar: f32| libm::expf(0.5 * logvar);
        let terms = self.mu.iter().zip(&self.logvar).zip(noise);
        let coordinates = terms.map(|((mu, &logvar), noise)| mu + noise * deviation(logvar));
        Style::new(coordinates.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_styles_are_standard_normal_and_follow_the_seed() {
        let style = Style::random(4096, 3);
        assert_eq!(style, Style::random(4096, 3));
        assert_ne!(style, Style::random(4096, 4));
        let moment = |power| {
            let powers = style.0.iter().map(|&x| f64::from(x).powi(power));
            powers.sum::<f64>() / 4096.0
        };
        // Mean and variance of 4096 draws deviate by 1/64 and by sqrt(2)/64; five times that never happens.
        assert!(moment(1).abs() < 5.0 / 64.0, "{}", moment(1));
        assert!((moment(2) - 1.0).abs() < 7.1 / 64.0, "{}", moment(2));
    }

    #[test]
    fn mixing_begins_at_one_style_and_ends_at_the_other() {
        let [a, b] = [1, 2].map(|seed| Style::random(7, seed));
        let mix = |share| a.mix(&b, share).unwrap();
        assert_eq!((mix(0.0), mix(1.0)), (a.clone(), b.clone()));
        let half = mix(0.5);
        assert!(a.mix(&b, f32::NAN).is_err());
        let error = a.mix(&Style::random(b.0.len() + 1, 1), 0.5).unwrap_err();
        assert!(
            error.to_string().contains("different generators"),
            "{error}"
        );
        assert_eq!(half.0[3], a.0[3] * 0.5 + b.0[3] * 0.5);
    }

    #[test]
    fn samples_spread_as_the_variance_says() {
        let encoded = Encoded {
            mu: vec![5.0, -5.0],
            logvar: vec![f32::NEG_INFINITY, 0.0],
        };
        let noise = Style::random(2, 9).0;
        assert_eq!(encoded.sample(9).unwrap().0, [5.0, -5.0 + noise[1]]);
        assert_eq!(encoded.mean().0, [5.0, -5.0]);
        assert!(Style::new(vec![0.0, f32::NAN]).is_err());
    }
}
