//! The model that comes with the program: landscapes in many styles, trained by the preset `landscapes`.
//!
//! `assets/shipped/README.md` says how it was made and how good it is. Beside it stands its checksum, because a number that
//! changed in its eight bits would still be one.

use super::Checkpoint;
use crate::state::TensorFile;
use crate::{Error, Result};

/// What it is called where a checkpoint is asked for. A file or folder of that name is `./shipped`.
pub const SHIPPED: &str = "shipped";

#[cfg(feature = "shipped-model")]
const FILE: Option<Carried> = Some(Carried {
    bytes: include_bytes!("../../../assets/shipped/landscapes.safetensors"),
    checksum: include_str!("../../../assets/shipped/landscapes.crc32"),
});
#[cfg(not(feature = "shipped-model"))]
const FILE: Option<Carried> = None;

#[derive(Clone, Copy)]
struct Carried {
    bytes: &'static [u8],
    checksum: &'static str,
}

impl Checkpoint {
    /// Whether this build carries a model.
    pub const HAS_SHIPPED: bool = FILE.is_some();

    /// The model that comes with the program.
    ///
    /// # Errors
    /// If this build carries none, or a damaged one.
    pub fn shipped() -> Result<Self> {
        let Some(file) = FILE else {
            return Err(Error::Usage(
                "this build carries no model: name a CHECKPOINT, or build with the feature shipped-model".into(),
            ));
        };
        Self::carried(file)
    }

    fn carried(Carried { bytes, checksum }: Carried) -> Result<Self> {
        let verified = match (self::checksum(bytes), checksum.trim()) {
            (is, wanted) if is == wanted => Ok(bytes),
            (is, wanted) => Err(format!(
                "it is damaged: its checksum is {is}, and that of assets/shipped/landscapes.crc32 {wanted:?}"
            )),
        };
        let file = verified.and_then(TensorFile::parse);
        let checkpoint = file.and_then(Self::from_file);
        checkpoint.map_err(|why| {
            Error::Data(format!(
                "the model that comes with the program: {why}; bring assets/shipped/landscapes.safetensors back and build \
                 again, or name a CHECKPOINT"
            ))
        })
    }
}

/// What stands beside the model in the sources: the CRC-32 of its file, as eight hexadecimal digits.
pub fn checksum(bytes: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "shipped-model")]
    fn it_is_small_and_draws_landscapes_in_styles() {
        let bytes = FILE.unwrap().bytes.len();
        assert!(bytes <= 9_000_000, "{bytes} bytes");
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

    #[track_caller]
    fn refused(bytes: &[u8], checksum: &str, says: &str) {
        let file = Carried {
            bytes: bytes.to_vec().leak(),
            checksum: checksum.to_owned().leak(),
        };
        let error = Checkpoint::carried(file).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        let error = error.to_string();
        assert!(
            error.contains(says) && error.contains("bring assets/shipped"),
            "{error}"
        );
    }

    #[test]
    fn a_damaged_one_is_told_with_the_way_out() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\n";
        for (bytes, says) in [
            (&[][..], "truncated"),
            (pointer, "it is not a safetensors file"),
        ] {
            refused(bytes, "00000001", "it is damaged: its checksum is ");
            refused(bytes, &checksum(bytes), says);
        }
    }

    #[test]
    #[cfg(feature = "shipped-model")]
    fn one_changed_bit_is_noticed() {
        let Carried { bytes, checksum } = FILE.unwrap();
        let mut changed = bytes.to_vec();
        *changed.last_mut().unwrap() ^= 1;
        // As a file it is whole.
        assert!(TensorFile::parse(&changed).is_ok());
        refused(&changed, checksum, "it is damaged: its checksum is ");
        refused(&bytes[..bytes.len() / 2], checksum, "its checksum is ");
    }
}
