//! Reading photos, label maps and instance maps.
//!
//! PNG maps are read sample by sample: a palette image holds ids, and an ordinary reader would expand them to colours.

use std::io::Cursor;
use std::path::Path;

use image::codecs::bmp::BmpDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use png::{BitDepth, ColorType};
use tiff::decoder::DecodingResult;

use super::{Grid, LabelSpace};
use crate::{Error, Result};

/// Endings of the files a data set is made of.
pub const EXTENSIONS: [&str; 9] = [
    ".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm",
];

/// Reads a photo as RGB; transparency is dropped, as the published models were trained.
pub fn read_photo(path: &Path) -> Result<Grid<[u8; 3]>> {
    let photo = decode(path, &read(path)?)?.into_rgb8();
    Ok(rgb_grid(&photo))
}

/// Whether viewers turn or mirror a photo before they show it, which no map follows.
pub(super) fn is_turned(path: &Path) -> bool {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let decoder = reader.ok().and_then(|reader| reader.into_decoder().ok());
    let orientation = decoder.and_then(|mut decoder| decoder.orientation().ok());
    orientation.is_some_and(|orientation| orientation != Orientation::NoTransforms)
}

/// Reads a label map and turns what it stores into ids.
pub fn read_labels(path: &Path, space: &LabelSpace) -> Result<Grid<u32>> {
    let (ids, faults) = to_ids(&read_map(path)?, space).map_err(|error| at(path, error))?;
    match faults.first() {
        None => Ok(ids),
        Some(fault) => Err(at(path, fault)),
    }
}

/// Reads an instance map. Only the inequality of neighbours matters, so a colour is as good as a number.
pub fn read_instances(path: &Path) -> Result<Grid<u32>> {
    Ok(match read_map(path)? {
        Map::Values(grid) => grid,
        Map::Colours(grid) => grid.map(|[r, g, b]| u32::from_be_bytes([0, r, g, b])),
    })
}

/// A map as its file stores it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Map {
    /// Numbers of up to 32 bits.
    Values(Grid<u32>),
    Colours(Grid<[u8; 3]>),
}

/// A value or colour that is no id, once per file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    value: String,
    x: usize,
    y: usize,
    pub(super) pixels: usize,
    reason: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { value, x, y, .. } = self;
        write!(f, "{value} at pixel ({x}, {y})")?;
        if self.pixels > 1 {
            write!(f, " and {} more", self.pixels - 1)?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// Ids of a map, and every distinct value that is none (its pixels get id 0).
pub(super) fn to_ids(map: &Map, space: &LabelSpace) -> Result<(Grid<u32>, Vec<Fault>), String> {
    match map {
        Map::Values(grid) => {
            let ids = space.id_of_value();
            let reason = |value: u32| match value == u32::from(super::classes::UNLABELLED) {
                true if !space.dontcare => format!(
                    "255 means unlabelled, which needs the don't-care label; without it {}",
                    space.rule()
                ),
                _ => space.rule(),
            };
            let look_up = |value: u32| {
                let id = ids.get(value as usize).copied().flatten();
                id.ok_or_else(|| reason(value))
            };
            Ok(translate(grid, look_up, |value| format!("id {value}")))
        }
        Map::Colours(grid) => {
            let ids = space.id_of_colour();
            if ids.is_empty() {
                return Err(
                    "is a coloured label map, which needs a class table with colours".into(),
                );
            }
            let look_up = |colour: [u8; 3]| match ids.get(&colour) {
                Some(Ok(id)) => Ok(*id),
                Some(Err(names)) => Err(format!(
                    "the class table gives it to {names}, which only a map of ids can tell apart"
                )),
                None => Err("the class table has no such colour".into()),
            };
            let name = |[r, g, b]: [u8; 3]| format!("colour #{r:02x}{g:02x}{b:02x}");
            Ok(translate(grid, look_up, name))
        }
    }
}

fn translate<T: Copy + PartialEq>(
    grid: &Grid<T>,
    look_up: impl Fn(T) -> Result<u32, String>,
    name: impl Fn(T) -> String,
) -> (Grid<u32>, Vec<Fault>) {
    /// Distinct values worth naming. A photo in place of a label map has hundreds of thousands.
    const NAMED: usize = 16;
    let mut faults: Vec<(T, Fault)> = Vec::new();
    let mut last: Option<(T, u32)> = None;
    let mut data = Vec::with_capacity(grid.data.len());
    for (index, &value) in grid.data.iter().enumerate() {
        if let Some((_, id)) = last.filter(|(seen, _)| *seen == value) {
            data.push(id);
            continue;
        }
        let id = look_up(value).unwrap_or_else(|reason| {
            let known = faults.iter().position(|(seen, _)| *seen == value);
            match known.or((faults.len() > NAMED).then_some(NAMED)) {
                Some(known) => faults[known].1.pixels += 1,
                None => {
                    let others = ["", "other values, first "][usize::from(faults.len() == NAMED)];
                    let fault = Fault {
                        value: others.to_owned() + &name(value),
                        x: index % grid.width,
                        y: index / grid.width,
                        pixels: 1,
                        reason,
                    };
                    faults.push((value, fault));
                }
            }
            NO_ID
        });
        last = (id != NO_ID).then_some((value, id));
        data.push(if id == NO_ID { 0 } else { id });
    }
    let grid = Grid::new(grid.width, grid.height, data);
    (grid, faults.into_iter().map(|(_, fault)| fault).collect())
}

const NO_ID: u32 = u32::MAX;

/// Reads a label or instance map as it is stored.
pub(crate) fn read_map(path: &Path) -> Result<Map> {
    let bytes = read(path)?;
    let ordinary = |pixels| map_of(pixels).map_err(|error| at(path, error));
    match image::guess_format(&bytes) {
        Ok(ImageFormat::Png) => decode_png_map(&bytes).map_err(|error| at(path, error)),
        Ok(ImageFormat::Jpeg) => Err(at(
            path,
            "is a JPEG, which changes ids; save label and instance maps as PNG",
        )),
        Ok(ImageFormat::Bmp) => decode_bmp_map(path, &bytes),
        Ok(ImageFormat::Tiff) => match decode_wide_tiff(&bytes) {
            Some(values) => Ok(Map::Values(values)),
            None => decode(path, &bytes).and_then(ordinary),
        },
        _ => decode(path, &bytes).and_then(ordinary),
    }
}

fn map_of(pixels: DynamicImage) -> Result<Map, String> {
    Ok(match pixels {
        DynamicImage::ImageLuma16(grey) => values(grey.width(), grey.height(), grey.into_raw()),
        DynamicImage::ImageRgb16(_) | DynamicImage::ImageRgba16(_) => {
            let colours = pixels.into_rgb16();
            let [width, height] = [colours.width(), colours.height()].map(|size| size as usize);
            Map::Colours(Grid::new(width, height, narrow(colours.as_raw())?))
        }
        colours if colours.color().has_color() => Map::Colours(rgb_grid(&colours.into_rgb8())),
        grey => {
            let grey = grey.into_luma8();
            values(grey.width(), grey.height(), grey.into_raw())
        }
    })
}

/// Colours of 16 bits a channel that 8 bits can tell, as converters write them: 0xabab or 0xab00 for 0xab.
fn narrow(samples: &[u16]) -> Result<Vec<[u8; 3]>, String> {
    let all = |fit: fn(u16) -> bool| samples.iter().all(|&sample| fit(sample));
    if !all(|sample| sample % 0x101 == 0) && !all(|sample| sample % 0x100 == 0) {
        return Err(
            "has colours that take 16 bits a channel, of which 8 are read; save it with 8 bits, or as grey numbers"
                .into(),
        );
    }
    let byte = |&sample: &u16| (sample >> 8) as u8;
    let pixels = samples.as_chunks::<3>().0.iter();
    Ok(pixels.map(|pixel| pixel.each_ref().map(byte)).collect())
}

fn values<T: Into<u32>>(width: u32, height: u32, data: Vec<T>) -> Map {
    let data = data.into_iter().map(Into::into).collect();
    Map::Values(Grid::new(width as usize, height as usize, data))
}

/// Grey TIFFs of 32 bits, which hold instance numbers only and which ordinary readers refuse; none for all others.
fn decode_wide_tiff(bytes: &[u8]) -> Option<Grid<u32>> {
    let mut decoder = tiff::decoder::Decoder::new(Cursor::new(bytes)).ok()?;
    if decoder.colortype().ok()? != tiff::ColorType::Gray(32) {
        return None;
    }
    let (width, height) = decoder.dimensions().ok()?;
    let data = match decoder.read_image().ok()? {
        DecodingResult::U32(data) => data,
        // Negative numbers wrap; only equality matters.
        DecodingResult::I32(data) => data.into_iter().map(i32::cast_unsigned).collect(),
        _ => return None,
    };
    Some(Grid::new(width as usize, height as usize, data))
}

/// A palette holds ids here as well, and grey files of this format have one.
fn decode_bmp_map(path: &Path, bytes: &[u8]) -> Result<Map> {
    let unreadable = |error| at(path, format!("cannot be decoded: {error}"));
    let mut decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(unreadable)?;
    let palette = decoder.get_palette().is_some();
    decoder.set_indexed_color(palette);
    let pixels = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    Ok(match pixels {
        DynamicImage::ImageLuma8(ids) if palette => {
            values(ids.width(), ids.height(), ids.into_raw())
        }
        colours => Map::Colours(rgb_grid(&colours.into_rgb8())),
    })
}

fn decode_png_map(bytes: &[u8]) -> Result<Map, String> {
    let unreadable = |error: png::DecodingError| format!("cannot be decoded: {error}");
    let mut reader = png::Decoder::new(Cursor::new(bytes))
        .read_info()
        .map_err(unreadable)?;
    let size = reader.output_buffer_size().ok_or("is too large")?;
    // The size in a hostile header is not worth an allocation that the data cannot fill: deflate packs 1032 to 1.
    if size / 1032 > bytes.len() {
        return Err("is cut off: its data is shorter than its size".into());
    }
    let mut packed = vec![0; size];
    let info = reader.next_frame(&mut packed).map_err(unreadable)?;
    reader.finish().map_err(unreadable)?;
    let [width, height] = [info.width, info.height].map(|size| size as usize);
    let channels = info.color_type.samples();
    let grey = !matches!(info.color_type, ColorType::Rgb | ColorType::Rgba);
    if info.bit_depth == BitDepth::Sixteen {
        let kept = if grey { 1 } else { 3 };
        let pixels = packed.chunks_exact(2 * channels);
        let samples = pixels.flat_map(|pixel| pixel.as_chunks::<2>().0.iter().take(kept));
        let data: Vec<u16> = samples.map(|&pair| u16::from_be_bytes(pair)).collect();
        return Ok(match grey {
            true => values(info.width, info.height, data),
            false => Map::Colours(Grid::new(width, height, narrow(&data)?)),
        });
    }
    let samples = bytes_of_samples(&packed, &info);
    let pixels = samples.chunks_exact(channels);
    Ok(if grey {
        values(
            info.width,
            info.height,
            pixels.map(|pixel| pixel[0]).collect(),
        )
    } else {
        let colour = |pixel: &[u8]| [pixel[0], pixel[1], pixel[2]];
        Map::Colours(Grid::new(width, height, pixels.map(colour).collect()))
    })
}

/// One byte per sample, of samples of 8 bits and less.
fn bytes_of_samples(packed: &[u8], info: &png::OutputInfo) -> Vec<u8> {
    let bits = match info.bit_depth {
        BitDepth::Eight => return packed.to_vec(),
        depth => depth as usize,
    };
    let mask = (1u8 << bits) - 1;
    // Grey of few bits is grey all the same: white is 255. Palette indices are indices.
    let factor = match info.color_type {
        ColorType::Indexed => 1,
        _ => 255 / mask,
    };
    let sample = |line: &[u8], x: usize| {
        let shift = 8 - bits - x * bits % 8;
        ((line[x * bits / 8] >> shift) & mask) * factor
    };
    let lines = packed.chunks_exact(info.line_size);
    lines
        .flat_map(|line| (0..info.width as usize).map(move |x| sample(line, x)))
        .collect()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |source| Error::io("cannot read", path, source);
    // A pipe would be waited for until somebody writes to it.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(at(path, "is no regular file"));
    }
    std::fs::read(path).map_err(failed)
}

fn decode(path: &Path, bytes: &[u8]) -> Result<DynamicImage> {
    let reader = ImageReader::new(Cursor::new(bytes));
    let reader = reader
        .with_guessed_format()
        .map_err(|source| Error::io("cannot read", path, source))?;
    reader
        .decode()
        .map_err(|error| at(path, format!("cannot be decoded: {error}")))
}

fn rgb_grid(image: &image::RgbImage) -> Grid<[u8; 3]> {
    let [width, height] = [image.width(), image.height()].map(|size| size as usize);
    Grid::new(width, height, image.as_raw().as_chunks().0.to_vec())
}

fn at(path: &Path, problem: impl std::fmt::Display) -> Error {
    Error::Data(format!("{}: {problem}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ClassTable;
    use crate::data::fixture::{write_grey, write_photo, write_png};

    fn map_of(size: [u32; 2], kind: (ColorType, BitDepth), samples: &[u8]) -> Map {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        write_png(&path, size, kind, samples);
        read_map(&path).unwrap()
    }

    #[test]
    fn maps_keep_what_is_stored() {
        use BitDepth::*;
        use ColorType::*;
        let values = |data: &[u32]| Map::Values(Grid::new(3, 1, data.to_vec()));
        let size = [3, 1];
        for (kind, samples, want) in [
            ((Grayscale, Eight), &[1, 2, 255][..], values(&[1, 2, 255])),
            ((Indexed, Eight), &[1, 2, 9], values(&[1, 2, 9])),
            ((Indexed, Four), &[0x12, 0xf0], values(&[1, 2, 15])),
            ((Indexed, Two), &[0b01_10_11_00], values(&[1, 2, 3])),
            ((Indexed, One), &[0b1010_0000], values(&[1, 0, 1])),
            ((Grayscale, One), &[0b1010_0000], values(&[255, 0, 255])),
            ((Grayscale, Two), &[0b01_10_11_00], values(&[85, 170, 255])),
            (
                (GrayscaleAlpha, Eight),
                &[1, 0, 2, 9, 3, 8],
                values(&[1, 2, 3]),
            ),
            (
                (Grayscale, Sixteen),
                &[1, 0, 0, 2, 0, 3],
                values(&[256, 2, 3]),
            ),
            (
                (Rgba, Sixteen),
                &[
                    1, 1, 2, 2, 3, 3, 9, 8, 4, 4, 5, 5, 6, 6, 9, 8, 7, 7, 8, 8, 9, 9, 9, 8,
                ],
                Map::Colours(Grid::new(3, 1, vec![[1, 2, 3], [4, 5, 6], [7, 8, 9]])),
            ),
            (
                (Rgb, Sixteen),
                &[1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8, 0, 9, 0],
                Map::Colours(Grid::new(3, 1, vec![[1, 2, 3], [4, 5, 6], [7, 8, 9]])),
            ),
            (
                (Rgba, Eight),
                &[1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0],
                Map::Colours(Grid::new(3, 1, vec![[1, 2, 3], [4, 5, 6], [7, 8, 9]])),
            ),
        ] {
            assert_eq!(map_of(size, kind, samples), want, "{kind:?}");
        }
    }

    #[test]
    fn a_bad_id_is_named_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("street.png");
        write_grey(&path, [3, 2], &[0, 1, 2, 2, 7, 255]);
        let error = |space: &LabelSpace| read_labels(&path, space).unwrap_err().to_string();
        let message = error(&LabelSpace::new(2, false, false));
        assert!(
            message.contains("street.png: id 2 at pixel (2, 0) and 1 more"),
            "{message}"
        );
        assert!(
            message.ends_with("ids must be below 2 (2 classes)"),
            "{message}"
        );
        let message = error(&LabelSpace::new(6, true, false));
        assert!(
            message.contains("id 7 at pixel (1, 1): ids must be below 7"),
            "{message}"
        );
        let message = error(&LabelSpace::new(8, false, false));
        assert!(message.contains("255 means unlabelled"), "{message}");
        let ids = read_labels(&path, &LabelSpace::new(8, true, false)).unwrap();
        assert_eq!(ids.data, [0, 1, 2, 2, 7, 8]);
    }

    #[test]
    fn colours_go_through_the_class_table() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("colours.png");
        let samples = [10, 20, 30, 1, 1, 1, 10, 20, 30];
        write_png(&path, [3, 1], (ColorType::Rgb, BitDepth::Eight), &samples);
        let mut space = LabelSpace::new(2, false, false);
        let message = read_labels(&path, &space).unwrap_err().to_string();
        assert!(message.contains("needs a class table"), "{message}");

        let table = "[[class]]\nid=1\nname='sky'\ncolour=[10,20,30]\n";
        space.table = toml::from_str::<ClassTable>(table).unwrap();
        let message = read_labels(&path, &space).unwrap_err().to_string();
        assert!(
            message.contains("colour #010101 at pixel (1, 0)"),
            "{message}"
        );

        let more = table.to_owned() + "[[class]]\nid=0\nname='road'\ncolour='#010101'\n";
        space.table = toml::from_str(&more).unwrap();
        assert_eq!(read_labels(&path, &space).unwrap().data, [1, 0, 1]);
    }

    #[test]
    fn instances_of_any_depth_keep_their_differences() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("inst.png");
        let samples = [1, 0, 1, 1, 0, 1];
        write_png(
            &path,
            [3, 1],
            (ColorType::Grayscale, BitDepth::Sixteen),
            &samples,
        );
        assert_eq!(read_instances(&path).unwrap().data, [256, 257, 1]);
        let labels = read_labels(&path, &LabelSpace::new(9, false, false));
        let message = labels.unwrap_err().to_string();
        assert!(
            message.contains("id 256 at pixel (0, 0): ids must be below 9"),
            "{message}"
        );

        let path = dir.path().join("inst.tif");
        let file = std::fs::File::create(&path).unwrap();
        let mut encoder = tiff::encoder::TiffEncoder::new(file).unwrap();
        let data = [-1, 70_000, 70_001];
        encoder
            .write_image::<tiff::encoder::colortype::GrayI32>(3, 1, &data)
            .unwrap();
        assert_eq!(
            read_instances(&path).unwrap().data,
            [u32::MAX, 70_000, 70_001]
        );
    }

    /// Read like a file it would be waited for.
    #[cfg(unix)]
    #[test]
    fn pipes_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe.png");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let error = read_photo(&path).unwrap_err().to_string();
        assert!(
            error.contains("pipe.png") && error.contains("no regular file"),
            "{error}"
        );
    }

    #[test]
    fn colours_that_take_more_than_eight_bits_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let png = dir.path().join("inst.png");
        // Numbers 256 and 257 in the low channel.
        let samples = [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1];
        let kind = (ColorType::Rgb, BitDepth::Sixteen);
        write_png(&png, [2, 1], kind, &samples);
        let tiff = dir.path().join("inst.tif");
        DynamicImage::ImageRgb16(
            image::ImageBuffer::from_raw(2, 1, vec![0, 0, 256, 0, 0, 257]).unwrap(),
        )
        .save(&tiff)
        .unwrap();
        for path in [png, tiff] {
            let message = read_instances(&path).unwrap_err().to_string();
            assert!(message.contains("take 16 bits a channel"), "{message}");
        }
    }

    #[test]
    fn a_photo_for_a_label_map_is_refused_in_a_few_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("photo.png");
        let size = [500, 400];
        let samples: Vec<u8> = (0..size[0] * size[1])
            .flat_map(|i: u32| i.to_be_bytes()[1..].to_vec())
            .collect();
        write_png(&path, size, (ColorType::Rgb, BitDepth::Eight), &samples);
        let mut space = LabelSpace::new(150, true, false);
        space.table = ClassTable::built_in("ade20k").unwrap();
        let (_, faults) = to_ids(&read_map(&path).unwrap(), &space).unwrap();
        assert_eq!(faults.len(), 17);
        let rest = faults[16].to_string();
        assert!(
            rest.starts_with("other values, first colour #000011 at pixel (17, 0) and 19"),
            "{rest}"
        );
    }

    #[test]
    fn damaged_and_foreign_files_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("photo.png");
        write_photo(&path, [40, 30]);
        let whole = std::fs::read(&path).unwrap();
        for len in 0..whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            for error in [read_photo(&path).err(), read_map(&path).err()] {
                // A photo lacks nothing but its end mark when the last bytes are cut.
                let message = error.map(|error| error.to_string());
                let named = message
                    .as_ref()
                    .is_some_and(|text| text.contains("photo.png"));
                assert!(named || len + 20 > whole.len(), "{len}: {message:?}");
            }
        }
        let jpeg = [0xff, 0xd8, 0xff, 0xe0, 0, 16, b'J', b'F', b'I', b'F'];
        std::fs::write(&path, jpeg).unwrap();
        assert!(
            read_map(&path)
                .unwrap_err()
                .to_string()
                .contains("save label")
        );
        assert!(matches!(
            read_photo(&dir.path().join("none.png")),
            Err(Error::Io { .. })
        ));
    }

    #[test]
    fn a_size_its_data_cannot_fill_is_refused_early() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bomb.png");
        write_grey(&path, [1, 1], &[0]);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
        let sum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&sum.to_be_bytes());
        std::fs::write(&path, bytes).unwrap();
        let message = read_map(&path).unwrap_err().to_string();
        assert!(message.contains("cut off"), "{message}");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |mut crc, &byte| {
            crc ^= u32::from(byte);
            (0..8).for_each(|_| crc = (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1)));
            crc
        })
    }
}
