//! Named starting points.

use std::fmt;
use std::str::FromStr;

use toml::Table;

/// A named configuration for a kind of machine.
///
/// | preset | picture | ngf, ndf, hidden | batch | for |
/// |---|---|---|---|---|
/// | `tiny` | 64x64 | 16, 16, 32 | 4 | a CPU adapter, a first look |
/// | `small` | 128x128 | 32, 32, 64 | 4 | a laptop; the default |
/// | `medium` | 256x256 | 32, 32, 64 | 4 | a card with 8 GB |
/// | `paper-256` | 256x256 | 64, 64, 128 | 8 | a card with 24 GB or more: ADE20K and COCO-Stuff as published |
/// | `paper-cityscapes` | 512x256 | 64, 64, 128 | 4 | the same for wide street scenes |
/// | `tensorflow` | 256x256 | 64, 64, 128 | 1 | the layer of the TensorFlow port, on a card with 24 GB or more |
/// | `landscapes` | 128x128 | 16, 16, 32 | 4 | the built-in landscapes in many styles: the model that comes with the program |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Preset {
    /// 64x64 for a CPU adapter.
    Tiny,
    /// 128x128 for a laptop.
    #[default]
    Small,
    /// 256x256 for a card with 8 GB.
    Medium,
    /// 256x256 at the published widths for a big card.
    #[value(name = "paper-256")]
    Paper256,
    /// 512x256 at the published widths for a big card.
    PaperCityscapes,
    /// 256x256 with the layer of the TensorFlow port: 5x5 kernels, moments of each picture.
    Tensorflow,
    /// 128x128: the built-in landscapes in many styles, as the model that comes with the program was trained.
    Landscapes,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 7] = [
        Self::Tiny,
        Self::Small,
        Self::Medium,
        Self::Paper256,
        Self::PaperCityscapes,
        Self::Tensorflow,
        Self::Landscapes,
    ];

    fn text(self) -> &'static str {
        match self {
            Self::Tiny => include_str!("../../assets/presets/tiny.toml"),
            Self::Small => include_str!("../../assets/presets/small.toml"),
            Self::Medium => include_str!("../../assets/presets/medium.toml"),
            Self::Paper256 => include_str!("../../assets/presets/paper-256.toml"),
            Self::PaperCityscapes => include_str!("../../assets/presets/paper-cityscapes.toml"),
            Self::Tensorflow => include_str!("../../assets/presets/tensorflow.toml"),
            Self::Landscapes => include_str!("../../assets/presets/landscapes.toml"),
        }
    }

    pub(super) fn table(self) -> Table {
        let table = toml::from_str(self.text()).expect("presets are TOML");
        super::share(table).expect("presets do not contradict themselves")
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Paper256 => "paper-256",
            Self::PaperCityscapes => "paper-cityscapes",
            Self::Tensorflow => "tensorflow",
            Self::Landscapes => "landscapes",
        })
    }
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|p| p.to_string() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(|p| p.to_string());
            format!("preset {name:?} is unknown: there are {}", names.join(", "))
        })
    }
}
