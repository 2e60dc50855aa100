//! From files of any size to the network's: resize, crop and flip with one random draw per item, shared by photo,
//! labels and instances, then instance edges.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::Grid;
use super::resample::{Rect, bicubic_part, nearest_sources};

/// How training pictures are cut from files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Preprocess {
    /// Resize to `load_size` squared, cut a random square of `crop_size`.
    #[default]
    ResizeAndCrop,
    /// Cut a random square of `crop_size` from the file as it is.
    Crop,
    /// Resize to width `load_size`, keeping the shape.
    ScaleWidth,
    /// `scale_width`, then a random square of `crop_size`.
    ScaleWidthAndCrop,
    /// Resize the shorter side to `load_size`, keeping the shape.
    ScaleShortside,
    /// `scale_shortside`, then a random square of `crop_size`.
    ScaleShortsideAndCrop,
    /// Resize to width `crop_size` and height `crop_size / aspect_ratio`.
    Fixed,
    /// Resize each side to the nearest multiple of 32 only.
    None,
}

impl Preprocess {
    /// Whether a random square of `crop_size` is cut.
    pub fn crops(self) -> bool {
        use Preprocess::*;
        matches!(
            self,
            ResizeAndCrop | Crop | ScaleWidthAndCrop | ScaleShortsideAndCrop
        )
    }
}

/// Geometry of training pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Geometry {
    /// Resizing and cropping.
    pub preprocess: Preprocess,
    /// Side that files are resized to before a crop.
    pub load_size: usize,
    /// Side of the crop.
    pub crop_size: usize,
    /// Width by height, for `fixed`.
    pub aspect_ratio: f64,
    /// Scale short sides as the published code did.
    pub published_shortside: bool,
    /// Whether half of the pictures are mirrored.
    pub flip: bool,
}

impl Geometry {
    /// Size after resizing, `[width, height]`.
    fn scaled(&self, [width, height]: [usize; 2]) -> [usize; 2] {
        use Preprocess::*;
        let load = self.load_size;
        let scaled = match self.preprocess {
            ResizeAndCrop => [load, load],
            Crop => [width, height],
            ScaleWidth | ScaleWidthAndCrop => [load, load * height / width],
            ScaleShortside | ScaleShortsideAndCrop => {
                // Of a square the published code took the height for the long side.
                let (short, long) = (width.min(height), width.max(height));
                let kept = if self.published_shortside {
                    short
                } else {
                    load
                };
                let scaled = load * long / short;
                if width <= height {
                    [kept, scaled]
                } else {
                    [scaled, kept]
                }
            }
            Fixed => self.fixed_size(),
            None => [width, height].map(|side| {
                let multiples = (side as f64 / 32.0).round_ties_even();
                multiples.max(1.0) as usize * 32
            }),
        };
        scaled.map(|side| side.max(1))
    }

    fn fixed_size(&self) -> [usize; 2] {
        let height = self.crop_size as f64 / self.aspect_ratio;
        [self.crop_size, height.round_ties_even() as usize]
    }

    /// Size of every picture where it does not depend on the file, `[width, height]`.
    pub fn output_size(&self) -> Option<[usize; 2]> {
        match self.preprocess {
            Preprocess::Fixed => Some(self.fixed_size()),
            mode if mode.crops() => Some([self.crop_size; 2]),
            _ => None,
        }
    }

    /// Draws what to show of a file of this size.
    pub fn draw(&self, size: [usize; 2], rng: &mut ChaCha8Rng) -> View {
        let scaled = self.scaled(size);
        let [width, height] = match self.preprocess.crops() {
            true => [self.crop_size; 2],
            false => scaled,
        };
        View {
            x: rng.random_range(0..=scaled[0].saturating_sub(width)),
            y: rng.random_range(0..=scaled[1].saturating_sub(height)),
            mirror: rng.random_range(0..2u32) == 1 && self.flip,
            scaled,
            width,
            height,
        }
    }
}

/// A rectangle of a resized file, possibly mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Size of the whole file after resizing, `[width, height]`.
    pub scaled: [usize; 2],
    /// Left edge in the resized file.
    pub x: usize,
    /// Top edge in the resized file.
    pub y: usize,
    /// Width; what lies outside the file is zero.
    pub width: usize,
    /// Height.
    pub height: usize,
    /// Left and right exchanged.
    pub mirror: bool,
}

impl View {
    /// The whole file at another size, as in evaluation.
    pub fn whole(width: usize, height: usize) -> Self {
        Self {
            scaled: [width, height],
            x: 0,
            y: 0,
            width,
            height,
            mirror: false,
        }
    }

    /// Cuts ids, taking the nearest pixel; `outside` fills what the file does not cover.
    pub fn ids<T: Copy>(&self, source: &Grid<T>, outside: T) -> Grid<T> {
        let axis = |scaled: usize, from: usize, start: usize, count: usize| {
            let sources = nearest_sources(scaled, from);
            (start..start + count).map(move |i| sources.get(i).copied())
        };
        let mut columns: Vec<Option<usize>> =
            axis(self.scaled[0], source.width, self.x, self.width).collect();
        if self.mirror {
            columns.reverse();
        }
        let mut data = Vec::with_capacity(self.width * self.height);
        for y in axis(self.scaled[1], source.height, self.y, self.height) {
            let Some(y) = y else {
                data.resize(data.len() + self.width, outside);
                continue;
            };
            let row = source.row(y);
            data.extend(columns.iter().map(|x| x.map_or(outside, |x| row[x])));
        }
        Grid::new(self.width, self.height, data)
    }

    /// Cuts a photo; what it does not cover is black.
    pub fn photo(&self, source: &Grid<[u8; 3]>) -> Grid<[u8; 3]> {
        let [width, height] = self.scaled;
        let part = Rect {
            x: self.x,
            y: self.y,
            width: self.width.min(width - self.x),
            height: self.height.min(height - self.y),
        };
        let covered = bicubic_part(source, width, height, part);
        let mut data = vec![[0; 3]; self.width * self.height];
        for (y, row) in data
            .chunks_exact_mut(self.width)
            .take(part.height)
            .enumerate()
        {
            row[..part.width].copy_from_slice(covered.row(y));
            if self.mirror {
                row.reverse();
            }
        }
        Grid::new(self.width, self.height, data)
    }
}

/// Marks both sides of every border between instances; the border of the picture is none.
pub fn instance_edges(instances: &Grid<u32>) -> Vec<u8> {
    let Grid { width, height, .. } = *instances;
    let mut edges = vec![0; width * height];
    for y in 0..height {
        let row = instances.row(y);
        for x in 1..width {
            if row[x] != row[x - 1] {
                edges[y * width + x - 1..=y * width + x].fill(1);
            }
        }
        if y > 0 {
            let above = instances.row(y - 1);
            for x in (0..width).filter(|&x| row[x] != above[x]) {
                edges[y * width + x] = 1;
                edges[(y - 1) * width + x] = 1;
            }
        }
    }
    edges
}

/// Colours from 0..255 to -1..1, in the order of roundings of the published code.
pub fn normalise(photo: &Grid<[u8; 3]>, out: &mut Vec<f32>) {
    out.extend(
        photo
            .data
            .as_flattened()
            .iter()
            .map(|&value| (f32::from(value) / 255.0 - 0.5) / 0.5),
    );
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::data::fixture;
    use crate::data::resample::{bicubic, nearest};

    fn geometry(preprocess: Preprocess) -> Geometry {
        Geometry {
            preprocess,
            load_size: 40,
            crop_size: 32,
            aspect_ratio: 2.0,
            published_shortside: false,
            flip: true,
        }
    }

    #[test]
    fn sizes_follow_the_mode() {
        use Preprocess::*;
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for (mode, source, scaled, size) in [
            (ResizeAndCrop, [61, 50], [40, 40], [32, 32]),
            (Crop, [61, 50], [61, 50], [32, 32]),
            (Crop, [20, 50], [20, 50], [32, 32]),
            (ScaleWidth, [61, 50], [40, 32], [40, 32]),
            (ScaleWidthAndCrop, [61, 50], [40, 32], [32, 32]),
            (ScaleShortside, [61, 50], [48, 40], [48, 40]),
            (ScaleShortside, [50, 61], [40, 48], [40, 48]),
            (ScaleShortsideAndCrop, [61, 50], [48, 40], [32, 32]),
            (Fixed, [61, 50], [32, 16], [32, 16]),
            (None, [48, 80], [64, 64], [64, 64]),
            (None, [5, 49], [32, 64], [32, 64]),
        ] {
            let geometry = geometry(mode);
            let view = geometry.draw(source, &mut rng);
            assert_eq!(view.scaled, scaled, "{mode:?} of {source:?}");
            assert_eq!([view.width, view.height], size, "{mode:?} of {source:?}");
            assert!(geometry.output_size().is_none_or(|fixed| fixed == size));
        }
    }

    #[test]
    fn short_sides_are_scaled_as_meant_or_as_published() {
        let published = Geometry {
            published_shortside: true,
            ..geometry(Preprocess::ScaleShortsideAndCrop)
        };
        for (source, meant, as_published) in [
            ([61, 50], [48, 40], [48, 50]),
            ([50, 61], [40, 48], [50, 48]),
            ([100, 25], [160, 40], [160, 25]),
            ([30, 30], [40, 40], [30, 40]),
        ] {
            assert_eq!(geometry(Preprocess::ScaleShortside).scaled(source), meant);
            assert_eq!(published.scaled(source), as_published);
        }
        // The short side keeps its 25 pixels, which do not fill a crop of 32.
        let view = published.draw([100, 25], &mut ChaCha8Rng::seed_from_u64(3));
        assert!(view.x <= 160 - 32 && view.y == 0);
        let ids = view.ids(&Grid::new(100, 25, vec![7; 2500]), 9);
        assert_eq!(ids.row(24), [7; 32]);
        assert_eq!(ids.row(25), [9; 32]);
    }

    #[test]
    fn draws_reach_both_bounds_and_both_sides() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let views: Vec<View> = (0..400)
            .map(|_| geometry(Preprocess::ResizeAndCrop).draw([9, 9], &mut rng))
            .collect();
        let bounds = |pick: fn(&View) -> usize| {
            let values = views.iter().map(pick);
            (values.clone().min().unwrap(), values.max().unwrap())
        };
        assert_eq!((bounds(|v| v.x), bounds(|v| v.y)), ((0, 8), (0, 8)));
        let mirrored = views.iter().filter(|view| view.mirror).count();
        // A fair coin leaves 150..250 of 400 once in two million runs.
        assert!((150..=250).contains(&mirrored), "{mirrored} of 400");
    }

    #[test]
    fn a_crop_outside_is_zero() {
        let (shape, photo) = fixture::bytes("pillow.image");
        let photo: Grid<[u8; 3]> = Grid::new(shape[1], shape[0], photo.as_chunks().0.to_vec());
        let view = View {
            x: 40,
            y: 30,
            ..View::whole(16, 16)
        };
        let view = View {
            scaled: [photo.width, photo.height],
            ..view
        };
        let (_, want) = fixture::bytes("pillow.crop_outside.40_30_16");
        assert_eq!(view.photo(&photo).data.as_flattened(), want);
        let red = photo.map(|[red, ..]| red);
        let want_red: Vec<u8> = want.iter().step_by(3).copied().collect();
        assert_eq!(view.ids(&red, 0).data, want_red);
    }

    #[test]
    fn a_view_is_the_cut_of_the_resized_whole() {
        let (shape, photo) = fixture::bytes("pillow.image");
        let photo: Grid<[u8; 3]> = Grid::new(shape[1], shape[0], photo.as_chunks().0.to_vec());
        let labels: Grid<u32> = photo.clone().map(|colour: [u8; 3]| u32::from(colour[0]));
        let view = View {
            scaled: [70, 31],
            x: 9,
            y: 4,
            width: 20,
            height: 25,
            mirror: true,
        };
        let (whole_photo, whole_labels) = (bicubic(&photo, 70, 31), nearest(&labels, 70, 31));
        let (got_photo, got_labels) = (view.photo(&photo), view.ids(&labels, 0));
        for y in 0..view.height {
            for x in 0..view.width {
                let source = view.x + view.width - 1 - x;
                assert_eq!(got_photo.row(y)[x], whole_photo.row(y + 4)[source]);
                assert_eq!(got_labels.row(y)[x], whole_labels.row(y + 4)[source]);
            }
        }
    }

    #[test]
    fn edges_equal_the_reference() {
        let (shape, want) = fixture::bytes("edges.edge");
        let (_, ids) = fixture::bytes("edges.instance");
        let ids = ids
            .as_chunks()
            .0
            .iter()
            .map(|&id| u32::from_le_bytes(id))
            .collect();
        let [images, height, width] = [shape[0], shape[2], shape[3]];
        let all: Grid<u32> = Grid::new(width, images * height, ids);
        for (image, want) in want.chunks(width * height).enumerate() {
            let rows = &all.data[image * width * height..][..width * height];
            assert_eq!(
                instance_edges(&Grid::new(width, height, rows.to_vec())),
                want
            );
        }
    }

    #[test]
    fn colours_span_minus_one_to_one() {
        let mut values = Vec::new();
        normalise(&Grid::new(1, 1, vec![[0, 51, 255]]), &mut values);
        assert_eq!(values, [-1.0, -0.6, 1.0]);
    }
}
