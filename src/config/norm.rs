//! Norm options, parsed from and printed as the official strings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The norm inside a SPADE layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpadeNorm {
    /// Batch norm that never counts its batches, as the official models have it.
    SyncBatch,
    /// Batch norm.
    Batch,
    /// Instance norm.
    Instance,
}

impl fmt::Display for SpadeNorm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SyncBatch => "syncbatch",
            Self::Batch => "batch",
            Self::Instance => "instance",
        })
    }
}

/// The generator's norms: `[spectral]spade<syncbatch|batch|instance><k>x<k>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NormG {
    /// Whether the convolutions of residual blocks are spectrally normalised.
    pub spectral: bool,
    /// The norm inside SPADE layers.
    pub kind: SpadeNorm,
    /// Side of the SPADE layers' kernels: 1, 3, 5, 7 or 9.
    pub kernel: usize,
}

impl Default for NormG {
    fn default() -> Self {
        Self {
            spectral: true,
            kind: SpadeNorm::SyncBatch,
            kernel: 3,
        }
    }
}

impl fmt::Display for NormG {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spectral = if self.spectral { "spectral" } else { "" };
        write!(f, "{spectral}spade{}{k}x{k}", self.kind, k = self.kernel)
    }
}

impl FromStr for NormG {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| {
            Err(format!(
                "norm_g = {text:?} {why}: write [spectral]spade<syncbatch|batch|instance><k>x<k>, \
                 such as spectralspadesyncbatch3x3"
            ))
        };
        let (spectral, rest) = prefix(text, "spectral");
        let Some(rest) = rest.strip_prefix("spade") else {
            return refuse("names no SPADE norm");
        };
        let split = rest.find(|c: char| c.is_ascii_digit());
        let (kind, kernel) = rest.split_at(split.unwrap_or(rest.len()));
        let kind = match kind {
            "syncbatch" => SpadeNorm::SyncBatch,
            "batch" => SpadeNorm::Batch,
            "instance" => SpadeNorm::Instance,
            _ => return refuse("names an unknown norm"),
        };
        match kernel.as_bytes() {
            [k @ b'1'..=b'9', b'x', other] if k == other && (k - b'0') % 2 == 1 => Ok(Self {
                spectral,
                kind,
                kernel: usize::from(k - b'0'),
            }),
            _ => refuse("needs a kernel of 1x1, 3x3, 5x5, 7x7 or 9x9"),
        }
    }
}

/// A norm of the discriminator or the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormKind {
    /// Instance norm.
    Instance,
    /// Batch norm with weight and bias.
    Batch,
    /// The same; its batches are not counted.
    SyncBatch,
    /// Group norm with weight and bias, of this many groups of channels; layer norm is one group.
    Group(usize),
    /// No norm; convolutions keep their bias.
    None,
}

impl fmt::Display for NormKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Instance => "instance",
            Self::Batch => "batch",
            Self::SyncBatch => "sync_batch",
            Self::Group(1) => "layer",
            Self::Group(groups) => return write!(f, "group{groups}"),
            Self::None => "none",
        })
    }
}

/// Norms of the discriminator or the encoder: `[spectral]<instance|batch|sync_batch|group<N>|layer|none>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LayerNorm {
    /// Whether the normed layers' convolutions are spectrally normalised.
    pub spectral: bool,
    /// The norm.
    pub kind: NormKind,
}

impl Default for LayerNorm {
    fn default() -> Self {
        Self {
            spectral: true,
            kind: NormKind::Instance,
        }
    }
}

impl fmt::Display for LayerNorm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spectral = if self.spectral { "spectral" } else { "" };
        write!(f, "{spectral}{}", self.kind)
    }
}

impl FromStr for LayerNorm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (spectral, rest) = prefix(text, "spectral");
        let kind = match rest {
            "instance" => NormKind::Instance,
            "batch" => NormKind::Batch,
            "sync_batch" => NormKind::SyncBatch,
            "layer" => NormKind::Group(1),
            "none" | "" => NormKind::None,
            _ => {
                let groups = rest.strip_prefix("group").and_then(|n| n.parse().ok());
                let Some(groups) = groups.filter(|&n| n > 0) else {
                    return Err(format!(
                        "norm {text:?} is unknown: write [spectral]<instance|batch|sync_batch|group<N>|layer|none>, \
                         such as spectralinstance or spectralgroup8"
                    ));
                };
                NormKind::Group(groups)
            }
        };
        Ok(Self { spectral, kind })
    }
}

fn prefix<'a>(text: &'a str, start: &str) -> (bool, &'a str) {
    match text.strip_prefix(start) {
        Some(rest) => (true, rest),
        None => (false, text),
    }
}

macro_rules! as_string {
    ($($name:ty),*) => {$(
        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(norm: $name) -> Self {
                norm.to_string()
            }
        }
    )*};
}

as_string!(NormG, LayerNorm);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn official_strings_round_trip() {
        for kind in ["syncbatch", "batch", "instance"] {
            for kernel in [1, 3, 5, 7, 9] {
                for spectral in ["spectral", ""] {
                    let text = format!("{spectral}spade{kind}{kernel}x{kernel}");
                    let norm: NormG = text.parse().unwrap();
                    assert_eq!((norm.to_string(), norm.kernel), (text, kernel));
                }
            }
        }
        for kind in ["instance", "batch", "sync_batch", "group8", "layer", "none"] {
            for text in [format!("spectral{kind}"), kind.to_owned()] {
                assert_eq!(text.parse::<LayerNorm>().unwrap().to_string(), text);
            }
        }
        assert_eq!("group1".parse::<LayerNorm>(), "layer".parse());
        let bare: LayerNorm = "spectral".parse().unwrap();
        assert_eq!(bare.to_string(), "spectralnone");
    }

    #[test]
    fn other_strings_say_what_is_wrong() {
        for (text, why) in [
            ("spectralspadesyncbatch4x4", "needs a kernel"),
            ("spadebatch3x5", "needs a kernel"),
            ("spadebatch11x11", "needs a kernel"),
            ("spadebatch", "needs a kernel"),
            ("spadegroup3x3", "unknown norm"),
            ("instance", "no SPADE norm"),
        ] {
            let error = text.parse::<NormG>().unwrap_err();
            assert!(error.contains(why) && error.contains(text), "{error}");
        }
        for text in ["group", "group0", "groupx", "spectralgroup-1", "spade"] {
            let error = text.parse::<LayerNorm>().unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }
}
