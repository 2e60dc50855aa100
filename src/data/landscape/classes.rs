//! The twelve classes of the landscapes.

/// One class: its name and the colour of its brush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// Lower-case name.
    pub name: &'static str,
    /// Colour in label pictures and palettes.
    pub color: [u8; 3],
}

/// Open sky.
pub const SKY: u8 = 0;
/// Clouds.
pub const CLOUD: u8 = 1;
/// Bare mountains.
pub const MOUNTAIN: u8 = 2;
/// Lying snow, mostly on mountains.
pub const SNOW: u8 = 3;
/// Meadows and hills.
pub const GRASS: u8 = 4;
/// Trees and woods.
pub const TREE: u8 = 5;
/// Lakes, rivers, the sea.
pub const WATER: u8 = 6;
/// Beaches.
pub const SAND: u8 = 7;
/// Boulders.
pub const ROCK: u8 = 8;
/// Houses.
pub const BUILDING: u8 = 9;
/// Roads and paths.
pub const ROAD: u8 = 10;
/// Flower beds in the grass.
pub const FLOWER: u8 = 11;

/// Name and brush colour by class id; `assets/classes/landscapes.toml` says the same.
pub const CLASSES: [Class; 12] = [
    Class::new("sky", [122, 180, 236]),
    Class::new("cloud", [236, 236, 240]),
    Class::new("mountain", [122, 108, 128]),
    Class::new("snow", [255, 250, 250]),
    Class::new("grass", [104, 172, 64]),
    Class::new("tree", [28, 100, 40]),
    Class::new("water", [40, 88, 184]),
    Class::new("sand", [224, 204, 140]),
    Class::new("rock", [112, 104, 96]),
    Class::new("building", [204, 108, 88]),
    Class::new("road", [160, 132, 116]),
    Class::new("flower", [228, 84, 160]),
];

impl Class {
    const fn new(name: &'static str, color: [u8; 3]) -> Self {
        Self { name, color }
    }
}

/// Classes that lie flat on the ground.
pub(super) fn is_ground(class: u8) -> bool {
    matches!(class, GRASS | WATER | SAND | ROAD | FLOWER)
}
