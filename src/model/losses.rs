//! The losses: adversarial, feature matching and perceptual (section 3 of the paper, after pix2pixHD), and of styles
//! the divergence.

use super::discriminator::Verdict;
use super::encoder::Code;
use super::net::Net;
use super::vgg::{STAGE_WEIGHTS, vgg};
use crate::Result;
use crate::config::GanMode;
use crate::graph::ValueId;
use crate::ops::Real;
use crate::ops::elementwise::{Add, Scale};
use crate::ops::loss::{KlDivergence, L1, MeanLoss, Term};

/// Whose logits a loss judges, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Logits of photos, for the discriminator.
    Real,
    /// Logits of synthesised pictures, for the discriminator.
    Fake,
    /// Logits of synthesised pictures, for the generator.
    Generator,
}

fn term(mode: GanMode, side: Side) -> Term {
    // Photos should get high logits; so should, as the generator wishes, its pictures.
    let sign = Real(if side == Side::Fake { 1.0 } else { -1.0 });
    let target = Real(if side == Side::Fake { 0.0 } else { 1.0 });
    match mode {
        GanMode::Hinge if side == Side::Generator => Term::Linear { sign },
        GanMode::Hinge => Term::Hinge { sign },
        GanMode::Ls => Term::Square { target },
        GanMode::Original => Term::Softplus { sign },
        GanMode::W => Term::Linear { sign },
    }
}

/// `factor * (sum of terms)`.
fn weighted_sum(net: &mut Net, terms: &[ValueId], factor: f32) -> Result<ValueId> {
    let mut sum = terms[0];
    for &term in &terms[1..] {
        sum = net.apply(Add {}, &[sum, term])?;
    }
    match factor {
        1.0 => Ok(sum),
        _ => net.apply(
            Scale {
                factor: Real(factor),
            },
            &[sum],
        ),
    }
}

/// Adversarial loss: mean over the logits of a scale, then over scales.
///
/// # Errors
/// If shapes do not fit.
pub fn gan_loss(net: &mut Net, logits: &[ValueId], mode: GanMode, side: Side) -> Result<ValueId> {
    let term = term(mode, side);
    let means = logits
        .iter()
        .map(|&x| net.apply(MeanLoss { term: term.clone() }, &[x]))
        .collect::<Result<Vec<_>>>()?;
    weighted_sum(net, &means, 1.0 / logits.len() as f32)
}

/// Feature matching: L1 between features of synthesised pictures and of photos, layers added, scales averaged.
///
/// # Errors
/// If shapes do not fit.
pub fn feature_matching(
    net: &mut Net,
    fake: &[Verdict],
    real: &[Verdict],
    lambda: f32,
) -> Result<ValueId> {
    let mut distances = Vec::new();
    for (fake, real) in fake.iter().zip(real) {
        for (&fake, &real) in fake.features.iter().zip(&real.features) {
            distances.push(net.apply(L1 {}, &[fake, real])?);
        }
    }
    weighted_sum(net, &distances, lambda / fake.len() as f32)
}

/// Divergence of encoded styles from the standard normal distribution, summed over batch and coordinates.
///
/// # Errors
/// If shapes do not fit.
pub fn divergence(net: &mut Net, code: Code, lambda: f32) -> Result<ValueId> {
    let sum = net.apply(KlDivergence {}, &[code.mu, code.logvar])?;
    weighted_sum(net, &[sum], lambda)
}

/// Perceptual loss: L1 between VGG features of synthesised pictures and of photos.
///
/// # Errors
/// If shapes do not fit.
pub fn perceptual(net: &mut Net, fake: ValueId, real: ValueId, lambda: f32) -> Result<ValueId> {
    let (fake, real) = (vgg(net, fake)?, vgg(net, real)?);
    let mut terms = Vec::new();
    for ((fake, real), weight) in fake.into_iter().zip(real).zip(STAGE_WEIGHTS) {
        let distance = net.apply(L1 {}, &[fake, real])?;
        terms.push(weighted_sum(net, &[distance], weight)?);
    }
    weighted_sum(net, &terms, lambda)
}
