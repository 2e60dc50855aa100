//! Pictures as files have them: eight bits a channel, PNG.

use std::path::Path;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::data::{Grid, LabelSpace};
use crate::train::write_durably;
use crate::{Error, Result};

/// Colours, row by row.
pub type Picture = Grid<[u8; 3]>;

/// How far two pictures of one size are apart, in steps of 8-bit colours.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Deviation {
    /// The largest difference.
    pub most: u8,
    /// The mean difference over all pixels and channels.
    pub mean: f64,
}

impl Deviation {
    /// Compares pictures of one size.
    pub fn between(a: &Picture, b: &Picture) -> Self {
        assert_eq!(
            [a.width, a.height],
            [b.width, b.height],
            "sizes of pictures that are compared"
        );
        let channels = a.data.iter().flatten().zip(b.data.iter().flatten());
        let apart = channels.map(|(a, b)| a.abs_diff(*b));
        let sum: f64 = apart.clone().map(f64::from).sum();
        Self {
            most: apart.max().unwrap_or(0),
            mean: sum / (3 * a.data.len()).max(1) as f64,
        }
    }
}

/// From -1..1, row by row with three numbers a pixel. Eight bits are cut off, not rounded, as the published code does.
pub fn from_unit(width: usize, height: usize, values: &[f64]) -> Picture {
    let byte = |value: f64| ((value as f32 + 1.0) / 2.0 * 255.0) as u8;
    let (pixels, _) = values.as_chunks::<3>();
    let colour = |&pixel: &[f64; 3]| pixel.map(byte);
    Grid::new(width, height, pixels.iter().map(colour).collect())
}

/// A layout in the colours of its classes.
pub fn of_labels(width: usize, height: usize, labels: &[u32], space: &LabelSpace) -> Picture {
    let colours: Vec<_> = (0..space.ids() as u32).map(|id| space.colour(id)).collect();
    let colour = |&id: &u32| colours.get(id as usize).copied().unwrap_or_default();
    Grid::new(width, height, labels.iter().map(colour).collect())
}

/// Pixels between the pictures of a sheet.
const GAP: usize = 4;

/// Pictures of one size in rows, on white: as wide as its longest row.
pub fn sheet(rows: &[impl AsRef<[Picture]>]) -> Picture {
    let rows = || rows.iter().map(AsRef::as_ref);
    let [w, h] = rows()
        .find_map(<[Picture]>::first)
        .map_or([0; 2], |picture| [picture.width, picture.height]);
    let columns = rows().map(<[Picture]>::len).max().unwrap_or(0);
    let width = columns * (w + GAP) + GAP;
    let height = rows().count() * (h + GAP) + GAP;
    let mut sheet = Grid::new(width, height, vec![[255; 3]; width * height]);
    for (r, row) in rows().enumerate() {
        for (c, picture) in row.iter().enumerate() {
            for y in 0..h {
                let at = (GAP + r * (h + GAP) + y) * width + GAP + c * (w + GAP);
                sheet.data[at..][..w].copy_from_slice(picture.row(y));
            }
        }
    }
    sheet
}

/// A PNG file's bytes.
///
/// # Errors
/// If the picture cannot be encoded.
pub fn encode(picture: &Picture) -> Result<Vec<u8>> {
    let [width, height] = [picture.width, picture.height].map(|side| side as u32);
    let mut bytes = Vec::new();
    let pixels = picture.data.as_flattened();
    let encoded =
        PngEncoder::new(&mut bytes).write_image(pixels, width, height, ExtendedColorType::Rgb8);
    encoded
        .map_err(|e| Error::Data(format!("cannot encode a picture of {width}x{height}: {e}")))?;
    Ok(bytes)
}

/// Writes a PNG file, whole or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn save(path: &Path, picture: &Picture) -> Result<()> {
    let bytes = encode(picture).map_err(|e| Error::Data(format!("{}: {e}", path.display())))?;
    write_durably(path, |writer| writer.write_all(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bits_are_cut_off() {
        let values = [-1.0, 1.0, 0.0, -2.0, 2.0, f64::NAN];
        let picture = from_unit(2, 1, &values);
        assert_eq!(picture.data, [[0, 255, 127], [0, 255, 0]]);
        let just_below = f64::from((2.0f32 / 255.0).next_down() - 1.0);
        assert_eq!(from_unit(1, 1, &[just_below; 3]).data, [[0; 3]]);
    }

    #[test]
    fn files_hold_the_pixels() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        let space = LabelSpace::new(3, true, false);
        let picture = of_labels(3, 2, &[0, 1, 2, 3, 9, 0], &space);
        save(&path, &picture).unwrap();
        let read = image::open(&path).unwrap().into_rgb8();
        assert_eq!(read.as_raw().as_slice(), picture.data.as_flattened());
        assert_eq!((read.width(), read.height()), (3, 2));
    }

    #[test]
    fn pictures_stand_in_rows() {
        let flat = |value: u8| Grid::new(2, 1, vec![[value; 3]; 2]);
        let sheet = sheet(&[[1, 2, 3].map(flat), [4, 5, 6].map(flat)]);
        assert_eq!((sheet.width, sheet.height), (3 * 6 + 4, 2 * 5 + 4));
        let row = |y: usize| sheet.row(y).iter().map(|p| p[0]).collect::<Vec<_>>();
        let line = |a, b, c| {
            let gap = [255; 4];
            [&gap[..], &[a; 2], &gap, &[b; 2], &gap, &[c; 2], &gap].concat()
        };
        assert_eq!(row(4), line(1, 2, 3));
        assert_eq!(row(9), line(4, 5, 6));
        assert!(row(5).iter().all(|&value| value == 255));
    }
}
