//! What was measured, kept on disk: a file for each adapter.
//!
//! It holds for the driver and the kernels it was measured with alone. Nothing in it is precious: a file that cannot be
//! used is ignored, which is told, and the rule decides.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::gpu::Gpu;
use crate::gpu::shader::kernel_checksum;
use crate::ops::winograd::{Choices, Filtering};
use crate::train::write_durably;
use crate::{Error, Result};

/// The variable that names another folder than the user's own for files of tuning.
pub const FOLDER: &str = "SPADEWORK_CACHE";
/// Version of the file format.
const FORMAT: u32 = 1;

/// What was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Adapter {
    name: String,
    backend: String,
    driver: String,
    driver_info: String,
}

/// A file.
#[derive(Serialize, Deserialize)]
struct Tables {
    format: u32,
    adapter: Adapter,
    /// Version of the program, and a checksum of its shaders.
    kernels: String,
    /// By kernel family and storage.
    tables: BTreeMap<String, Choices>,
}

/// The file of an adapter, and the table of a device in it.
#[derive(Clone, Debug)]
pub struct Cache {
    path: PathBuf,
    adapter: Adapter,
    kernels: String,
    table: String,
}

impl Cache {
    /// In the user's folder; none where the system tells of none.
    pub fn of_user(gpu: &Gpu) -> Option<Self> {
        Some(Self::at(&folder_of_user()?, gpu))
    }

    /// In a folder of choice, which need not exist.
    pub fn at(folder: &Path, gpu: &Gpu) -> Self {
        let info = &gpu.info;
        let adapter = Adapter {
            name: info.name.clone(),
            backend: info.backend.to_string(),
            driver: info.driver.clone(),
            driver_info: info.driver_info.clone(),
        };
        let table = format!("{:?}, {:?}", gpu.family, gpu.storage());
        Self {
            path: folder.join(file_name(&adapter)),
            adapter,
            kernels: format!("{} {:08x}", env!("CARGO_PKG_VERSION"), kernel_checksum()),
            table: table.to_lowercase(),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was measured for the device; nothing where there is no file.
    ///
    /// # Errors
    /// If there is one that cannot be used: what is wrong with it and the way out, for a person to read.
    pub fn read(&self) -> Result<Choices, String> {
        let mut tables = self.tables()?.map(|tables| tables.tables);
        let table = tables.as_mut().and_then(|all| all.remove(&self.table));
        Ok(table.unwrap_or_default())
    }

    /// Puts what was measured into the file, in place of what it says of the same convolutions. A file that cannot be
    /// used is replaced.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&self, measured: &Choices) -> Result<()> {
        let known = self.tables().ok().flatten();
        let mut tables = known.unwrap_or_else(|| Tables {
            format: FORMAT,
            adapter: self.adapter.clone(),
            kernels: self.kernels.clone(),
            tables: BTreeMap::new(),
        });
        let table = tables.tables.entry(self.table.clone()).or_default();
        table.extend(measured.iter());
        let text = serde_json::to_vec_pretty(&tables)
            .map_err(|e| Error::Data(format!("cannot write {}: {e}", self.path.display())))?;
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| Error::io("cannot create", folder, e))?;
        }
        write_durably(&self.path, |writer| writer.write_all(&text))
    }

    fn tables(&self) -> Result<Option<Tables>, String> {
        let ignored = |why: String| {
            format!(
                "the tuning in {} is ignored: {why}; `spadework tune` measures anew",
                self.path.display()
            )
        };
        let text = match std::fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ignored(format!("it cannot be read ({error})"))),
        };
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let damaged = |error: serde_json::Error| ignored(format!("it is damaged ({error})"));
        // The version first: the rest may have changed between versions.
        let Version { format } = serde_json::from_slice(&text).map_err(damaged)?;
        if format != FORMAT {
            let why = format!("it has format {format}, and this program reads {FORMAT}");
            return Err(ignored(why));
        }
        let tables: Tables = serde_json::from_slice(&text).map_err(damaged)?;
        let (there, here) = (&tables.adapter, &self.adapter);
        if there != here {
            return Err(ignored(format!(
                "it was measured on {} ({} {}), not on {} ({} {})",
                there.name,
                there.driver,
                there.driver_info,
                here.name,
                here.driver,
                here.driver_info
            )));
        }
        if tables.kernels != self.kernels {
            return Err(ignored(format!(
                "it was measured with kernels {}, and this program has {}",
                tables.kernels, self.kernels
            )));
        }
        Ok(Some(tables))
    }
}

/// Letters and numbers of the adapter's name, and a checksum of all that tells it from others but its driver.
fn file_name(adapter: &Adapter) -> String {
    let whole = format!("{} {}", adapter.name, adapter.backend);
    let lower = whole.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let mut name = words.join("-");
    // All of it is ASCII.
    name.truncate(80);
    format!(
        "tuning-{name}-{:08x}.json",
        crc32fast::hash(whole.as_bytes())
    )
}

fn folder_of_user() -> Option<PathBuf> {
    let variable = |name: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    if let Some(folder) = variable(FOLDER) {
        return Some(folder);
    }
    let folder = if cfg!(target_os = "windows") {
        variable("LOCALAPPDATA")?
    } else if cfg!(target_os = "macos") {
        variable("HOME")?.join("Library/Caches")
    } else {
        let usual = || Some(variable("HOME")?.join(".cache"));
        variable("XDG_CACHE_HOME").or_else(usual)?
    };
    Some(folder.join("spadework"))
}

/// The same device with what was measured on it, and a notice where that cannot be used. Reads a small file, measures
/// nothing.
pub fn tuned(gpu: Arc<Gpu>) -> (Arc<Gpu>, Option<String>) {
    match Cache::of_user(&gpu).map(|cache| cache.read()) {
        Some(Ok(choices)) if !choices.is_empty() => {
            let filtering = Filtering::Tuned(Arc::new(choices));
            (gpu.with_filtering(filtering), None)
        }
        Some(Err(notice)) => (gpu, Some(notice)),
        Some(Ok(_)) | None => (gpu, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::winograd::{Convolution, Method, Pass};

    fn cache(folder: &Path) -> Cache {
        Cache {
            path: folder.join("tuning.json"),
            adapter: Adapter {
                name: "a card".into(),
                backend: "vulkan".into(),
                driver: "radv".into(),
                driver_info: "Mesa 25.1".into(),
            },
            kernels: "0.1.0 01234567".into(),
            table: "tiled(double), single".into(),
        }
    }

    fn choice(side: usize, method: Method) -> Choices {
        let convolution = Convolution {
            pass: Pass::Drawing,
            map: [1, side, side],
            channels: [64, 64],
        };
        [(convolution, method)].into_iter().collect()
    }

    #[test]
    fn what_is_added_is_there_and_what_was_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(&dir.path().join("new/folder"));
        assert_eq!(cache.read(), Ok(Choices::default()));
        cache.add(&choice(32, Method::TilesOfTwo)).unwrap();
        cache.add(&choice(64, Method::Plain)).unwrap();
        cache.add(&choice(32, Method::TilesOfFour)).unwrap();
        let mut expected = choice(32, Method::TilesOfFour);
        expected.extend(choice(64, Method::Plain).iter());
        assert_eq!(cache.read(), Ok(expected.clone()));
        let halves = Cache {
            table: "tiled(double), half".into(),
            ..cache.clone()
        };
        assert_eq!(halves.read(), Ok(Choices::default()));
        halves.add(&choice(8, Method::Plain)).unwrap();
        assert_eq!(cache.read(), Ok(expected));
        let files = std::fs::read_dir(cache.path().parent().unwrap()).unwrap();
        assert_eq!(files.count(), 1, "nothing temporary is left");
    }

    /// A file that cannot be used is ignored with a notice that names it and the way out, and replaced by new results.
    #[track_caller]
    fn is_ignored(cache: &Cache, why: &str) {
        let notice = cache.read().unwrap_err();
        for part in [
            why,
            "ignored",
            "spadework tune",
            &cache.path().display().to_string(),
        ] {
            assert!(notice.contains(part), "{part}: {notice}");
        }
        cache.add(&choice(16, Method::Plain)).unwrap();
        assert_eq!(cache.read(), Ok(choice(16, Method::Plain)));
    }

    #[test]
    fn what_was_measured_with_something_else_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let here = cache(dir.path());
        let adapter = |change: fn(&mut Adapter)| {
            let mut other = here.clone();
            change(&mut other.adapter);
            other
        };
        let kernels = Cache {
            kernels: "0.0.9 01234567".into(),
            ..here.clone()
        };
        for (other, why) in [
            (adapter(|a| a.driver_info = "Mesa 24.0".into()), "Mesa 24.0"),
            (adapter(|a| a.driver = "amdvlk".into()), "amdvlk"),
            (adapter(|a| a.name = "another card".into()), "another card"),
            (kernels, "0.0.9 01234567"),
        ] {
            other.add(&choice(32, Method::TilesOfTwo)).unwrap();
            is_ignored(&here, why);
        }
    }

    #[test]
    fn what_is_damaged_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        cache.add(&choice(32, Method::TilesOfTwo)).unwrap();
        let whole = std::fs::read_to_string(cache.path()).unwrap();
        let damages = [
            String::new(),
            "tuning".into(),
            whole[..whole.len() / 2].to_owned(),
            whole.replace("tiles-of-two", "tiles-of-nine"),
            whole.replace("\"tables\"", "\"chairs\""),
            whole.replace("32", "-32"),
        ];
        for damage in damages {
            std::fs::write(cache.path(), damage).unwrap();
            is_ignored(&cache, "damaged");
        }
        std::fs::write(
            cache.path(),
            whole.replace("\"format\": 1", "\"format\": 2"),
        )
        .unwrap();
        is_ignored(&cache, "format 2");
        std::fs::write(cache.path(), [0xff, 0xfe, 0x00]).unwrap();
        is_ignored(&cache, "damaged");
    }

    #[test]
    fn what_cannot_be_read_or_written_is_told() {
        let dir = tempfile::tempdir().unwrap();
        // A folder in the place of the file, and a file in the place of the folder: whoever runs this.
        let cache = cache(dir.path());
        std::fs::create_dir(cache.path()).unwrap();
        let notice = cache.read().unwrap_err();
        assert!(notice.contains("cannot be read"), "{notice}");
        assert!(cache.add(&choice(8, Method::Plain)).is_err());
        let file = dir.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let inside = super::tests::cache(&file);
        let error = inside.add(&choice(8, Method::Plain)).unwrap_err();
        assert!(error.to_string().contains("file"), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), b"");
    }

    #[test]
    fn adapters_have_files_of_their_own() {
        let adapter = |name: &str, backend: &str, driver: &str| Adapter {
            name: name.into(),
            backend: backend.into(),
            driver: driver.into(),
            driver_info: String::new(),
        };
        let name = file_name(&adapter("AMD Radeon RX 7900 (RADV)", "vulkan", "radv"));
        let start = "tuning-amd-radeon-rx-7900-radv-vulkan-";
        assert!(name.starts_with(start) && name.ends_with(".json"), "{name}");
        // Another driver's takes its place.
        let other = file_name(&adapter("AMD Radeon RX 7900 (RADV)", "vulkan", "amdvlk"));
        assert_eq!(name, other);
        let other = file_name(&adapter("AMD Radeon RX 7900 (RADV)", "dx12", "radv"));
        assert_ne!(name, other);
        let strange = file_name(&adapter(&"卡/../".repeat(99), "vulkan", ""));
        assert!(strange.len() < 120 && !strange.contains('/'), "{strange}");
    }
}
