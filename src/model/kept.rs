//! Pictures whose tables of gamma and beta are kept: another style runs the main convolutions alone, and an edited
//! layout computes only the rows of windows that were never seen.
//!
//! There is a plan for each size of the label map, which computes rows of the tables of all its SPADE layers, and one
//! for the picture, which reads them.

use super::blocks::{Block, blocks};
use super::inputs::Inputs;
use super::net::{Mode, Net};
use super::params::Params;
use super::spade::{heads, hidden_rows, kept_table, layers};
use super::style::Style;
use super::synthesis::{Look, Synthesis};
use crate::config::ModelConfig;
use crate::gpu::{Executor, Store};
use crate::graph::half::{Storage, state_type};
use crate::graph::plan::Target;
use crate::graph::shape::Windows;
use crate::graph::{Graph, Shape, Ty};
use crate::ops::modulate::KeepRows;
use crate::ops::{Family, Tensor};
use crate::windows::{IdMap, KeptRows, TwoTiers};
use crate::{Error, Result};

/// Windows of a tier that are computed at once at most: more take more workspace and are no faster.
const ROOM: usize = 8192;
/// Rows of a table that are always there, so that small layouts have history too.
const FEWEST_ROWS: usize = 1024;
/// Bytes of all kept tables at most. A layout that needs more, such as a large one of noise, is drawn without.
const MOST_BYTES: u64 = 512 << 20;

/// Bytes of the device that kept tables take at most: adapters on the processor read a copy of each in turn.
pub(super) fn most_bytes(target: &Target) -> u64 {
    match target.family {
        Family::Tiled(_) => MOST_BYTES,
        Family::Subgroup(_) => MOST_BYTES + target.max_binding_bytes.min(MOST_BYTES),
    }
}

/// Layers whose label map has one size.
#[derive(Clone, Debug)]
struct Level {
    /// Height and width of the label map.
    size: [usize; 2],
    /// Names of the layers, and how many channels each has.
    layers: Vec<(String, usize)>,
}

fn levels(config: &ModelConfig, latent: [usize; 2]) -> Vec<Level> {
    let first = 16 * config.ngf;
    let mut levels: Vec<Level> = Vec::new();
    let mut doublings = 0;
    for Block {
        name,
        fin,
        fout,
        up,
    } in blocks(config.upsampling)
    {
        doublings += usize::from(up);
        if levels.len() <= doublings {
            levels.push(Level {
                size: latent.map(|side| side << doublings),
                layers: Vec::new(),
            });
        }
        let of_block = layers(&format!("G.{name}"), [first / fin, first / fout]);
        levels[doublings].layers.extend(of_block);
    }
    levels
}

impl Level {
    /// Bytes of tables with so many rows, and of the largest of them.
    fn bytes(&self, rows: usize, storage: Storage) -> [u64; 2] {
        let bytes = |c: usize| state_type(Shape::new(1, 2, rows, c), storage).bytes();
        let of_layers = self.layers.iter().map(|&(_, c)| bytes(c));
        [of_layers.clone().sum(), of_layers.max().unwrap_or(0)]
    }
}

/// Rows for the tables of each size, with room for edits if possible; none if what was listed is too much to keep.
pub(super) fn room(
    config: &ModelConfig,
    [n, h, w]: [usize; 3],
    listed: &Listed,
    target: &Target,
) -> Option<Vec<usize>> {
    let (levels, needs) = (levels(config, [h, w]), listed.needs());
    let fits = |rows: &[usize]| {
        let bytes = levels
            .iter()
            .zip(rows)
            .map(|(level, &rows)| level.bytes(rows, target.storage));
        let total: u64 = bytes.clone().map(|[all, _]| all).sum();
        let largest = bytes.map(|[_, largest]| largest).max();
        total <= MOST_BYTES && largest.unwrap_or(0) <= target.max_binding_bytes
    };
    let roomy = levels.iter().zip(&needs).map(|(level, &need)| {
        let pixels = n * level.size[0] * level.size[1];
        (2 * need)
            .next_power_of_two()
            .clamp(FEWEST_ROWS, FEWEST_ROWS.max(2 * pixels))
    });
    let tight = needs.iter().map(|need| need.next_multiple_of(64));
    [roomy.collect::<Vec<_>>(), tight.collect()]
        .into_iter()
        .find(|rows| fits(rows))
}

/// What computes the rows of one level.
struct Tables {
    level: Level,
    rows: KeptRows,
    room: usize,
    executor: Executor,
}

/// Names of the inputs of a level's plan: windows of labels, windows of those, and their rows.
fn fresh_names([h, w]: [usize; 2]) -> [String; 3] {
    ["labels", "windows", "rows"].map(|what| format!("fresh.{what}.{h}x{w}"))
}

/// The graph that computes rows of the tables of a level.
fn rows_graph(
    config: &ModelConfig,
    params: &Params,
    level: &Level,
    rows: usize,
    room: usize,
) -> Result<Graph> {
    let mut net = Net::new(params, Mode::Evaluation);
    let taps = config.norm_g.kernel * config.norm_g.kernel;
    let windows = |channels| {
        Ty::Windows(Windows {
            pixels: room,
            taps,
            channels,
        })
    };
    let [labels, upper, targets] = fresh_names(level.size);
    let labels = net.graph.input(&labels, windows(config.semantic_nc()))?;
    let upper = net.graph.input(&upper, windows(room))?;
    let targets = net.graph.input(&targets, Ty::Symbols(room))?;
    for (name, c) in &level.layers {
        let hidden = hidden_rows(&mut net, name, labels)?;
        let table = net
            .graph
            .state(&kept_table(name), Shape::new(1, 2, rows, *c))?;
        let mut inputs = vec![table, hidden];
        inputs.extend(heads(&mut net, name)?);
        inputs.extend([upper, targets]);
        let written = net.apply(KeepRows {}, &inputs)?;
        net.graph.update(written);
    }
    Ok(net.graph)
}

impl Tables {
    fn new(
        store: &mut Store,
        config: &ModelConfig,
        params: &Params,
        n: usize,
        level: Level,
        rows: usize,
    ) -> Result<Self> {
        // All windows of a tier may be new at once, and one alone needs those of its taps.
        let taps = config.norm_g.kernel * config.norm_g.kernel;
        let room = (n * level.size[0] * level.size[1]).clamp(taps, ROOM);
        let graph = rows_graph(config, params, &level, rows, room)?;
        let is_constant = |name: &str| params.get(name).is_some();
        Ok(Self {
            level,
            rows: KeptRows::new(rows),
            room,
            executor: Executor::over_constants(&graph, store, is_constant)?,
        })
    }

    /// Computes what is missing for a layout, adding it to `effort`; returns the row of each pixel.
    fn show(
        &mut self,
        store: &mut Store,
        inputs: &Inputs,
        tiers: &TwoTiers,
        effort: &mut Effort,
    ) -> Result<Vec<u32>> {
        let placed = self.rows.place(tiers);
        effort.levels_listed += 1;
        effort.rows_computed += placed.fresh.len();
        let (channels, edge) = (inputs.channels(), inputs.edge_channel());
        for part in tiers.parts(&placed.fresh, self.room, channels, edge) {
            let row = |&window: &u32| placed.row_of[window as usize];
            let targets: Vec<u32> = part.windows.iter().map(row).collect();
            let [lower, upper] = &part.tables;
            let names = fresh_names(self.level.size);
            for (name, words) in names.iter().zip([lower, upper, &targets]) {
                store.write_index(name, words)?;
            }
            self.executor.replay(store)?;
            effort.macs += self.executor.executed_macs();
        }
        let rows = tiers.pixels.iter().map(|&w| placed.row_of[w as usize]);
        Ok(rows.collect())
    }
}

/// What the latest pictures cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Sizes at which the windows of the label maps were listed: none if the maps were those before.
    pub levels_listed: usize,
    /// Rows of gamma and beta that were computed, over all sizes.
    pub rows_computed: usize,
    /// Multiply-adds executed.
    pub macs: u64,
}

/// Windows of label maps at every size that a generator works at.
pub(super) struct Listed {
    tiers: Vec<TwoTiers>,
}

impl Listed {
    /// Lists the windows.
    ///
    /// # Errors
    /// If an id has no channel.
    pub fn new(config: &ModelConfig, map: &IdMap, latent: [usize; 2]) -> Result<Self> {
        Inputs::synthesis(config, map.n, latent).check_ids(map)?;
        let tiers = levels(config, latent).into_iter().map(|level| {
            let [h, w] = level.size;
            TwoTiers::list(&map.resize_floor(h, w), config.norm_g.kernel)
        });
        Ok(Self {
            tiers: tiers.collect(),
        })
    }

    /// What it costs to draw them without kept tables, but for the multiply-adds.
    pub fn effort(&self) -> Effort {
        Effort {
            levels_listed: self.tiers.len(),
            rows_computed: self.needs().iter().sum(),
            macs: 0,
        }
    }

    fn needs(&self) -> Vec<usize> {
        self.tiers.iter().map(TwoTiers::windows).collect()
    }
}

/// Plans for one number and size of pictures with kept tables.
pub(super) struct KeptSynthesis {
    tables: Vec<Tables>,
    picture: Synthesis,
    /// The label maps whose rows the pixels have now.
    shown: Option<IdMap>,
    /// What turning to them cost, until pictures are drawn.
    turning: Effort,
    effort: Effort,
}

impl KeptSynthesis {
    /// Plans pictures and tables of so many rows.
    ///
    /// # Errors
    /// If the device cannot hold the plans.
    pub fn new(
        store: &mut Store,
        config: &ModelConfig,
        params: &Params,
        [n, h, w]: [usize; 3],
        rows: Vec<usize>,
        look: Look,
    ) -> Result<Self> {
        let inputs = Inputs::kept(config, n, [h, w], rows.clone());
        // First, because its workspace is the largest and the other plans share it.
        let picture = Synthesis::of_inputs(store, config, params, inputs, look)?;
        let tables = levels(config, [h, w])
            .into_iter()
            .zip(rows)
            .map(|(level, rows)| Tables::new(store, config, params, n, level, rows));
        Ok(Self {
            tables: tables.collect::<Result<_>>()?,
            picture,
            shown: None,
            turning: Effort::default(),
            effort: Effort::default(),
        })
    }

    /// Whether the plans are for this number and size of pictures, and the tables can hold what was listed.
    pub fn has_room(&self, grid: [usize; 3], listed: &Listed) -> bool {
        let rows = self.tables.iter().map(|tables| tables.rows.len());
        self.picture.inputs().grid() == grid
            && rows.zip(listed.needs()).all(|(rows, need)| need <= rows)
    }

    /// Whether these are the label maps it shows, at this size.
    pub fn shows(&self, grid: [usize; 3], map: &IdMap) -> bool {
        self.picture.inputs().grid() == grid && self.shown.as_ref() == Some(map)
    }

    /// What the latest pictures cost.
    pub fn effort(&self) -> Effort {
        self.effort
    }

    /// Computes what is missing for label maps and turns to them.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn show(&mut self, store: &mut Store, map: &IdMap, listed: &Listed) -> Result<()> {
        self.shown = None;
        self.turning = Effort::default();
        let shown = self.try_show(store, map, listed);
        match &shown {
            Ok(()) => self.shown = Some(map.clone()),
            // Rows may have been given away that were never computed.
            Err(_) => self.tables.iter_mut().for_each(|t| t.rows.forget()),
        }
        shown
    }

    fn try_show(&mut self, store: &mut Store, map: &IdMap, listed: &Listed) -> Result<()> {
        let inputs = self.picture.inputs();
        inputs.upload(store, &inputs.tables(map)?)?;
        for (i, (tables, tiers)) in self.tables.iter_mut().zip(&listed.tiers).enumerate() {
            let rows = tables.show(store, inputs, tiers, &mut self.turning)?;
            store.write_index(&inputs.rows_name(i), &rows)?;
        }
        Ok(())
    }

    /// Pictures of the label maps it shows.
    ///
    /// # Errors
    /// If it shows none, the styles do not fit, or the device was lost.
    pub fn pictures(&mut self, store: &mut Store, styles: &[Style]) -> Result<Tensor> {
        if self.shown.is_none() {
            return Err(Error::Shape {
                op: "synthesis",
                message: "no label map was turned to".into(),
            });
        }
        let pictures = self.picture.draw(store, styles)?;
        self.effort = std::mem::take(&mut self.turning);
        self.effort.macs += self.picture.executed_macs();
        Ok(pictures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::winograd::Filtering;
    use crate::ops::{Buffering, Family};

    const TARGET: Target = Target {
        family: Family::Tiled(Buffering::Double),
        workspace_bytes: 64 << 20,
        max_binding_bytes: 128 << 20,
        filtering: Filtering::Chosen,
        storage: Storage::Single,
        matrices: None,
    };

    fn map(side: usize, n: usize, id: impl Fn(usize) -> u32) -> IdMap {
        IdMap {
            n,
            h: side,
            w: side,
            ids: (0..n * side * side).map(id).collect(),
        }
    }

    fn rows(map: &IdMap) -> Option<Vec<usize>> {
        let config = ModelConfig {
            label_nc: 200,
            ..ModelConfig::default()
        };
        let latent = [map.h / config.scale(); 2];
        let listed = Listed::new(&config, map, latent).unwrap();
        room(&config, [map.n, latent[0], latent[1]], &listed, &TARGET)
    }

    #[test]
    fn tables_have_room_for_edits_and_noise_is_too_much() {
        let calm = map(256, 1, |i| u32::from(i / 256 > 100));
        let rows_of_calm = rows(&calm).unwrap();
        assert_eq!(rows_of_calm.len(), 6);
        assert!(rows_of_calm.iter().all(|&rows| rows == FEWEST_ROWS));
        let values = crate::model::init::normal(1, "noise", 2 * 256 * 256);
        let noise = |i: usize| (values[i].abs() * 1e4) as u32 % 200;
        let tight = rows(&map(256, 1, noise)).unwrap();
        assert_eq!(
            tight[5],
            256 * 256,
            "a row for each pixel, and none to spare"
        );
        assert_eq!(rows(&map(256, 2, noise)), None);
    }

    #[test]
    fn levels_know_all_layers() {
        let config = ModelConfig::default();
        let levels = levels(&config, config.latent());
        let names: Vec<&str> = levels
            .iter()
            .flat_map(|level| level.layers.iter().map(|(name, _)| name.as_str()))
            .collect();
        let params = super::super::generator::generator_params(&config);
        let shared = params.specs().iter();
        let shared = shared.filter_map(|s| s.name.strip_suffix(".mlp_shared.0.weight"));
        assert_eq!(names, shared.collect::<Vec<_>>());
    }
}
