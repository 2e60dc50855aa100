//! Classes of a label map: ids, names and colours, and the table file that lists them.
//!
//! A table is TOML or JSON with the same fields:
//!
//! ```toml
//! dataset = "Streets"
//! label_nc = 2          # number of real classes; without it the highest id + 1
//! dontcare_id = 2       # id of unlabelled pixels; must equal label_nc
//! has_instances = false
//! [[classes]]
//! id = 0
//! name = "road"
//! colour = "#804080"    # or [128, 64, 128]
//! ```
//!
//! Files may store other numbers than ids: `png_value` of a class and `dontcare_value` of the table say which.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Value that means "unlabelled" in 8-bit label files unless the table names another.
pub const UNLABELLED: u8 = 255;

/// One class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Class {
    /// Channel of the one-hot map.
    pub id: u32,
    /// What a person calls it.
    pub name: String,
    /// Its colour in coloured label maps and pictures of layouts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub colour: Option<[u8; 3]>,
    /// The number files store for it where that is not its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub png_value: Option<u8>,
}

/// A class table as its file has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TableFile")]
pub struct ClassTable {
    /// Name of the label set.
    pub dataset: String,
    /// Number of real classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_nc: Option<usize>,
    /// Id of unlabelled pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dontcare_id: Option<u32>,
    /// The number files store for unlabelled pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dontcare_value: Option<u8>,
    /// Whether the data set comes with instance maps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_instances: Option<bool>,
    /// The classes by ascending id.
    pub classes: Vec<Class>,
}

impl ClassTable {
    /// Reads a table: JSON where the name ends in `.json`, TOML otherwise.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::io("cannot read class table", path, source))?;
        let json = path
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("json"));
        let table = match json {
            true => serde_json::from_str(&text).map_err(|error| error.to_string()),
            false => toml::from_str(&text).map_err(|error| error.to_string()),
        };
        table.map_err(|error| Error::Data(format!("class table {}: {error}", path.display())))
    }

    /// Names of the tables that come with the program.
    pub const BUILT_IN: [&str; 6] = [
        "coco",
        "ade20k",
        "ade20k-shifted",
        "cityscapes",
        "facades",
        "landscapes",
    ];

    /// A table that comes with the program, by its name in [`Self::BUILT_IN`].
    pub fn built_in(name: &str) -> Option<Self> {
        let text = match name {
            "coco" => include_str!("../../assets/classes/coco.toml"),
            "ade20k" => include_str!("../../assets/classes/ade20k.toml"),
            "ade20k-shifted" => return Some(Self::built_in("ade20k")?.shifted()),
            "cityscapes" => include_str!("../../assets/classes/cityscapes.toml"),
            "facades" => include_str!("../../assets/classes/facades.toml"),
            "landscapes" => include_str!("../../assets/classes/landscapes.toml"),
            _ => return None,
        };
        Some(toml::from_str(text).expect("built-in class tables are valid"))
    }

    /// The classes of the built-in landscapes.
    pub fn landscapes() -> Self {
        Self::built_in("landscapes").expect("landscapes are built in")
    }

    /// The table of files that store 0 for unlabelled and id + 1 for a class, from the one of their numbers as ids.
    fn shifted(mut self) -> Self {
        self.classes.retain(|class| class.id > 0);
        for class in &mut self.classes {
            class.png_value = u8::try_from(class.id).ok();
            class.id -= 1;
        }
        self.dontcare_value = Some(0);
        self
    }

    /// Number of real classes: `label_nc`, or what the listed ids imply.
    pub fn label_nc(&self) -> Option<usize> {
        let listed = || {
            let real = self
                .classes
                .iter()
                .filter(|class| Some(class.id) != self.dontcare_id);
            real.map(|class| class.id as usize + 1).max()
        };
        self.label_nc.or_else(listed)
    }

    /// Whether it says what unlabelled pixels are.
    pub fn has_unlabelled(&self) -> bool {
        self.dontcare_id.is_some() || self.dontcare_value.is_some()
    }

    /// The class with this id.
    pub fn get(&self, id: u32) -> Option<&Class> {
        let found = self.classes.binary_search_by_key(&id, |class| class.id);
        found.ok().map(|index| &self.classes[index])
    }
}

/// How label files become channels: everything a network, its files and its pictures need to agree on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelSpace {
    /// Number of real classes, L.
    pub label_nc: usize,
    /// Whether unlabelled pixels have a channel of their own, with id L.
    pub dontcare: bool,
    /// Whether an instance-edge channel follows as the last one.
    pub instances: bool,
    /// Names, colours and stored values.
    pub table: ClassTable,
}

impl LabelSpace {
    /// A space of unnamed classes.
    pub fn new(label_nc: usize, dontcare: bool, instances: bool) -> Self {
        Self {
            label_nc,
            dontcare,
            instances,
            table: ClassTable::default(),
        }
    }

    /// This data set's classes for a network that has learned others: they must be as many. Without names of its own it
    /// takes over theirs.
    ///
    /// # Errors
    /// If the data set's class table has another number of classes, or another number of channels follows.
    pub fn naming(mut self, learned: &Self) -> Result<Self, String> {
        let listed = self.table.label_nc().unwrap_or(learned.label_nc);
        if listed != learned.label_nc || self.channels() != learned.channels() {
            return Err(format!(
                "label_nc: the data has {listed} classes and {} channels, the network {} and {}",
                self.channels(),
                learned.label_nc,
                learned.channels()
            ));
        }
        if self.table.classes.is_empty() {
            self.table = learned.table.clone();
        }
        Ok(self)
    }

    /// Number of ids: classes and the don't-care label.
    pub fn ids(&self) -> usize {
        self.label_nc + usize::from(self.dontcare)
    }

    /// Channels of the semantic input: ids and the edge channel.
    pub fn channels(&self) -> usize {
        self.ids() + usize::from(self.instances)
    }

    /// The edge channel, always the last.
    pub fn edge_channel(&self) -> Option<u32> {
        self.instances.then_some(self.ids() as u32)
    }

    /// Id of unlabelled pixels.
    pub fn dontcare_id(&self) -> Option<u32> {
        self.dontcare.then_some(self.label_nc as u32)
    }

    /// Id of places a crop shows outside its file, where the file would store 0.
    pub fn outside_id(&self) -> u32 {
        self.id_of_value()[0].unwrap_or(0)
    }

    /// Name of an id, made up where the table has none.
    pub fn name(&self, id: u32) -> String {
        match self.table.get(id) {
            Some(class) => class.name.clone(),
            None if Some(id) == self.dontcare_id() => "unlabelled".into(),
            None => format!("class {id}"),
        }
    }

    /// Colour of an id, made up where the table has none.
    pub fn colour(&self, id: u32) -> [u8; 3] {
        match self.table.get(id).and_then(|class| class.colour) {
            Some(colour) => colour,
            None if Some(id) == self.dontcare_id() => [0; 3],
            None => spread_colour(id),
        }
    }

    /// What the rule for ids is, for messages.
    pub(super) fn rule(&self) -> String {
        let dontcare = if self.dontcare { " + don't care" } else { "" };
        format!(
            "ids must be below {} ({} classes{dontcare})",
            self.ids(),
            self.label_nc
        )
    }

    /// Id of each value an 8-bit file may store.
    pub(crate) fn id_of_value(&self) -> [Option<u32>; 256] {
        let listed = self
            .table
            .classes
            .iter()
            .any(|class| class.png_value.is_some());
        let below = |id: u32| ((id as usize) < self.ids()).then_some(id);
        let mut ids = [None; 256];
        if listed {
            for class in &self.table.classes {
                let value = class.png_value.map_or(class.id, u32::from);
                if let Some(id) = ids.get_mut(value as usize) {
                    *id = below(class.id);
                }
            }
        } else {
            ids = std::array::from_fn(|value| below(value as u32));
        }
        for value in [Some(UNLABELLED), self.table.dontcare_value]
            .into_iter()
            .flatten()
        {
            if let Some(id) = self.dontcare_id() {
                ids[usize::from(value)] = Some(id);
            }
        }
        ids
    }

    /// The value an 8-bit file stores for an id: what reading turns back into it.
    pub fn value_of_id(&self, id: u32) -> u8 {
        if Some(id) == self.dontcare_id() {
            return self.table.dontcare_value.unwrap_or(UNLABELLED);
        }
        let stored = self.table.get(id).and_then(|class| class.png_value);
        // Ids fit, since tables and configurations refuse those above 254.
        stored.unwrap_or(id as u8)
    }

    /// Ids by colour; a colour that several classes share names them instead.
    pub(crate) fn id_of_colour(&self) -> BTreeMap<[u8; 3], Result<u32, String>> {
        let mut ids: BTreeMap<[u8; 3], Result<u32, String>> = BTreeMap::new();
        for class in &self.table.classes {
            let (Some(colour), true) = (class.colour, (class.id as usize) < self.ids()) else {
                continue;
            };
            let shared = ids.get(&colour).map(|first| match first {
                Ok(id) => format!("{} and {}", self.name(*id), class.name),
                Err(names) => format!("{names} and {}", class.name),
            });
            ids.insert(colour, shared.map_or(Ok(class.id), Err));
        }
        ids
    }
}

/// Well separated colours for any number of classes: hues in steps of the golden ratio, in three brightnesses.
fn spread_colour(id: u32) -> [u8; 3] {
    let hue = (f64::from(id) * 0.618_033_988_75).fract() * 6.0;
    let value = [230.0, 170.0, 120.0][id as usize % 3];
    let channel = |shift: f64| {
        let distance = ((hue + shift) % 6.0 - 3.0).abs() - 1.0;
        (value * (0.25 + 0.75 * distance.clamp(0.0, 1.0))) as u8
    };
    [channel(0.0), channel(4.0), channel(2.0)]
}

#[derive(Deserialize)]
struct TableFile {
    #[serde(default)]
    dataset: String,
    label_nc: Option<usize>,
    dontcare_id: Option<u32>,
    dontcare_value: Option<u8>,
    has_instances: Option<bool>,
    #[serde(alias = "class", default)]
    classes: Vec<ClassEntry>,
}

#[derive(Deserialize)]
struct ClassEntry {
    id: i64,
    name: String,
    #[serde(alias = "color")]
    colour: Option<Colour>,
    png_value: Option<u8>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Colour {
    Rgb([u8; 3]),
    Hex(String),
}

impl Colour {
    fn rgb(self) -> Result<[u8; 3], String> {
        match self {
            Self::Rgb(rgb) => Ok(rgb),
            Self::Hex(text) => {
                let digits = text.trim_start_matches('#');
                let number = u32::from_str_radix(digits, 16)
                    .ok()
                    .filter(|_| digits.len() == 6);
                let [_, rgb @ ..] = number
                    .ok_or_else(|| format!("colour {text:?} is not of the form \"#80ff00\""))?
                    .to_be_bytes();
                Ok(rgb)
            }
        }
    }
}

impl TryFrom<TableFile> for ClassTable {
    type Error = String;

    fn try_from(file: TableFile) -> Result<Self, String> {
        let mut classes = Vec::with_capacity(file.classes.len());
        // Published tables list ids below zero for what no map ever stores.
        for entry in file.classes.into_iter().filter(|entry| entry.id >= 0) {
            let id = u32::try_from(entry.id).ok().filter(|&id| id < 255);
            classes.push(Class {
                id: id
                    .ok_or_else(|| format!("id {} of {:?} is above 254", entry.id, entry.name))?,
                colour: entry.colour.map(Colour::rgb).transpose()?,
                name: entry.name,
                png_value: entry.png_value,
            });
        }
        classes.sort_by_key(|class| class.id);
        if let Some(pair) = classes.windows(2).find(|pair| pair[0].id == pair[1].id) {
            let [first, second] = [&pair[0].name, &pair[1].name];
            return Err(format!("{first:?} and {second:?} share id {}", pair[0].id));
        }
        let table = Self {
            dataset: file.dataset,
            label_nc: file.label_nc,
            dontcare_id: file.dontcare_id,
            dontcare_value: file.dontcare_value,
            has_instances: file.has_instances,
            classes,
        };
        match (table.dontcare_id, table.label_nc()) {
            (Some(id), Some(label_nc)) if id as usize != label_nc => Err(format!(
                "dontcare_id {id} must equal label_nc {label_nc}: the don't-care channel follows the classes"
            )),
            _ => Ok(table),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOML: &str = r##"
        dataset = "Streets"
        label_nc = 2
        dontcare_id = 2
        [[classes]]
        id = 1
        name = "sky"
        colour = [10, 20, 30]
        [[class_notes]]
        text = "ignored"
        [[classes]]
        id = 0
        name = "road"
        colour = "#804080"
    "##;

    #[test]
    fn toml_and_json_say_the_same() {
        let json = r#"{"dataset": "Streets", "label_nc": 2, "dontcare_id": 2, "classes": [
            {"id": 0, "name": "road", "color": [128, 64, 128], "kind": "stuff"},
            {"id": 1, "name": "sky", "color": [10, 20, 30]},
            {"id": -1, "name": "licence plate", "color": [0, 0, 142]}]}"#;
        let from_toml: ClassTable = toml::from_str(TOML).unwrap();
        assert_eq!(from_toml, serde_json::from_str(json).unwrap());
        let written = toml::to_string(&from_toml).unwrap();
        assert_eq!(from_toml, toml::from_str(&written).unwrap());
        assert_eq!(from_toml.get(0).unwrap().colour, Some([128, 64, 128]));
    }

    #[test]
    fn wrong_tables_are_refused_with_the_reason() {
        let entry =
            |id: i64, colour: &str| format!("[[classes]]\nid={id}\nname='a{id}'\n{colour}\n");
        for (text, reason) in [
            (entry(3, "") + &entry(3, ""), "share id 3"),
            (entry(255, ""), "above 254"),
            (entry(1, "colour='#12'"), "is not of the form"),
            (
                "dontcare_id = 1\n".to_owned() + &entry(5, ""),
                "must equal label_nc 6",
            ),
        ] {
            let error = toml::from_str::<ClassTable>(&text).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn stored_values_become_ids() {
        let mut space = LabelSpace::new(3, true, true);
        assert_eq!((space.channels(), space.edge_channel()), (5, Some(4)));
        let ids = space.id_of_value();
        assert_eq!(
            [ids[0], ids[3], ids[4], ids[255]],
            [Some(0), Some(3), None, Some(3)]
        );
        space.dontcare = false;
        let ids = space.id_of_value();
        assert_eq!([ids[2], ids[3], ids[255]], [Some(2), None, None]);

        // A file that stores 0 for unlabelled and classes from 1.
        let class = |id: u32| Class {
            id,
            name: format!("c{id}"),
            colour: None,
            png_value: Some(id as u8 + 1),
        };
        space.dontcare = true;
        space.table.dontcare_value = Some(0);
        space.table.classes = (0..3).map(class).collect();
        let ids = space.id_of_value();
        assert_eq!(ids[..5], [Some(3), Some(0), Some(1), Some(2), None]);
        assert_eq!([0, 2, 3].map(|id| space.value_of_id(id)), [1, 3, 0]);
    }

    #[test]
    fn shared_colours_name_their_classes() {
        let mut space = LabelSpace::new(2, false, false);
        space.table = toml::from_str(&TOML.replace("[10, 20, 30]", "'#804080'")).unwrap();
        let shared = space.id_of_colour()[&[128, 64, 128]].clone().unwrap_err();
        assert_eq!(shared, "road and sky");
    }

    #[test]
    fn made_up_colours_differ() {
        let colours: std::collections::BTreeSet<_> = (0..184).map(spread_colour).collect();
        assert_eq!(colours.len(), 184);
    }
}
