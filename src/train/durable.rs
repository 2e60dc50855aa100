//! Files that are either whole or not there.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::{Error, Result};

/// What the names of files begin with while they are written.
const PARTIAL: &str = ".partial-";

/// Writes a file under a temporary name in its folder, syncs it, renames it and syncs the folder.
///
/// Whatever happens, an older file of that name stays as it was until the new one is complete on the disk.
///
/// # Errors
/// If anything fails, `fill` included; the temporary file is gone then.
pub fn write_durably(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    // What `fill` could not do for a reason of its own is said as it is.
    let failed = |source: std::io::Error| match source.downcast::<Error>() {
        Ok(own) => own,
        Err(source) => Error::io("cannot write", path, source),
    };
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        let missing = format!("there is no folder {}", folder.display());
        return Err(failed(std::io::Error::other(missing)));
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(PARTIAL);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Readable as any new file is, where temporary files are private.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut partial = builder.tempfile_in(folder).map_err(failed)?;
    {
        let mut writer = BufWriter::with_capacity(1 << 20, partial.as_file_mut());
        fill(&mut writer).map_err(failed)?;
        writer.flush().map_err(failed)?;
    }
    partial.as_file().sync_all().map_err(failed)?;
    partial.persist(path).map_err(|e| failed(e.error))?;
    sync_folder(folder).map_err(failed)
}

/// Removes what writes that were killed left in a folder. Nobody may be writing to it.
///
/// # Errors
/// If the folder cannot be listed, or a file not removed.
pub fn remove_partial(folder: &Path) -> Result<()> {
    let failed = |e| Error::io("cannot list", folder, e);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            let path = entry.path();
            fs::remove_file(&path).map_err(|e| Error::io("cannot remove", &path, e))?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> std::io::Result<()> {
    // Elsewhere a folder cannot be opened as a file, and renaming is journalled.
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_durably(&path, |w| w.write_all(b"old")).unwrap();
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = write_durably(&path, |w| {
            w.write_all(&[0; 3 << 20])?;
            Err(full)
        })
        .unwrap_err();
        assert!(error.to_string().contains("file"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        write_durably(&path, |w| w.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[cfg(unix)]
    #[test]
    fn files_are_as_readable_as_any() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let mode = |name: &str| {
            let metadata = std::fs::metadata(dir.path().join(name)).unwrap();
            metadata.permissions().mode()
        };
        write_durably(&dir.path().join("ours"), |w| w.write_all(b"x")).unwrap();
        std::fs::write(dir.path().join("usual"), b"x").unwrap();
        assert_eq!(mode("ours"), mode("usual"));
    }
}
