//! The model that comes with the program: landscapes in many styles, trained by the preset `landscapes`.
//!
//! `assets/shipped/README.md` says how it was made and how good it is.

use super::Checkpoint;
use crate::state::TensorFile;
use crate::{Error, Result};

/// What it is called where a checkpoint is asked for. A file or folder of that name is `./shipped`.
pub const SHIPPED: &str = "shipped";

#[cfg(feature = "shipped-model")]
const FILE: Option<&[u8]> = Some(include_bytes!(
    "../../../assets/shipped/landscapes.safetensors"
));
#[cfg(not(feature = "shipped-model"))]
const FILE: Option<&[u8]> = None;

impl Checkpoint {
    /// Whether this build carries a model.
    pub const HAS_SHIPPED: bool = FILE.is_some();

    /// The model that comes with the program.
    ///
    /// # Errors
    /// If this build carries none, or a damaged one.
    pub fn shipped() -> Result<Self> {
        let Some(bytes) = FILE else {
            return Err(Error::Usage(
                "this build carries no model: name a CHECKPOINT, or build with the feature shipped-model".into(),
            ));
        };
        Self::carried(bytes)
    }

    fn carried(bytes: &[u8]) -> Result<Self> {
        let checkpoint = TensorFile::parse(bytes).and_then(Self::from_file);
        checkpoint.map_err(|why| {
            Error::Data(format!(
                "the model that comes with the program: {why}; bring assets/shipped/landscapes.safetensors back and build \
                 again, or name a CHECKPOINT"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "shipped-model")]
    fn it_is_small_and_draws_landscapes_in_styles() {
        let file = FILE.unwrap();
        assert!(file.len() <= 9_000_000, "{} bytes", file.len());
        let shipped = Checkpoint::load(SHIPPED.as_ref()).unwrap();
        assert_eq!(
            shipped.space.label_nc,
            crate::data::landscape::CLASSES.len()
        );
        assert!(shipped.config.model.use_vae && shipped.moments.is_empty());
        let names = || shipped.networks.tensors.keys();
        assert!(names().any(|name| name.starts_with("E.")));
        assert!(names().all(|name| !name.starts_with("D.")));
    }

    #[test]
    #[cfg(feature = "shipped-model")]
    fn the_preset_is_what_it_was_trained_with() {
        use crate::config::{Config, Preset};
        let config = Config::merge(Preset::Landscapes, Default::default(), Default::default());
        let config = config.unwrap();
        let config = config.clone().resolve(&config.data.label_space().unwrap());
        assert_eq!(config.unwrap(), Checkpoint::shipped().unwrap().config);
    }

    #[test]
    fn a_damaged_one_is_told_with_the_way_out() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\n";
        let cut_off = FILE.map_or(&[][..], |file| &file[..file.len() / 2]);
        for bytes in [&[][..], pointer, cut_off] {
            let error = Checkpoint::carried(bytes).unwrap_err();
            assert_eq!(error.exit_code(), 3);
            assert!(error.to_string().contains("assets/shipped"), "{error}");
        }
    }
}
