//! What the tests of this module share: tensors to compare with, and small files.

use std::path::Path;

use png::{BitDepth, ColorType};
use safetensors::SafeTensors;

/// Shape and bytes of a tensor of the Pillow fixture.
pub fn bytes(name: &str) -> (Vec<usize>, Vec<u8>) {
    let file = include_bytes!("../../tests/fixtures/pillow.safetensors");
    let tensors = SafeTensors::deserialize(file).expect("the fixture is a safetensors file");
    let tensor = tensors.tensor(name).expect("the fixture has the tensor");
    (tensor.shape().to_vec(), tensor.data().to_vec())
}

/// Writes packed samples as PNG. A palette image gets a palette of misleading colours.
pub fn write_png(path: &Path, size: [u32; 2], kind: (ColorType, BitDepth), samples: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut encoder = png::Encoder::new(file, size[0], size[1]);
    encoder.set_color(kind.0);
    encoder.set_depth(kind.1);
    if kind.0 == ColorType::Indexed {
        encoder.set_palette([200u8, 100, 50].repeat(1 << kind.1 as usize));
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(samples).unwrap();
}

/// Writes an 8-bit grey map.
pub fn write_grey(path: &Path, size: [u32; 2], samples: &[u8]) {
    write_png(path, size, (ColorType::Grayscale, BitDepth::Eight), samples);
}

/// Writes a photo of one colour per pixel index.
pub fn write_photo(path: &Path, [width, height]: [u32; 2]) {
    let samples: Vec<u8> = (0..width * height * 3).map(|i| (i * 7) as u8).collect();
    write_png(
        path,
        [width, height],
        (ColorType::Rgb, BitDepth::Eight),
        &samples,
    );
}

/// Writes pairs of 4x3 pixels into `train_img` and `train_label`.
pub fn data_set(dir: &Path, names: &[&str]) {
    for name in names {
        write_photo(&dir.join(format!("train_img/{name}.png")), [4, 3]);
        write_grey(
            &dir.join(format!("train_label/{name}.png")),
            [4, 3],
            &[0; 12],
        );
    }
}
