//! What a batch puts on the device: window tables of the label map at every size, symbols, and photos.

use super::blocks::shortcuts;
use super::concat::Labels;
use super::net::Net;
use super::spade::Level;
use crate::config::{ModelConfig, NetG};
use crate::gpu::Store;
use crate::graph::shape::Windows;
use crate::graph::{Shape, Ty, ValueId};
use crate::windows::{IdMap, Tier, WindowSpec, build_tables, output_size};
use crate::{Error, Result};

/// The inputs of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    n: usize,
    latent: [usize; 2],
    doublings: usize,
    channels: usize,
    ids: usize,
    z_dim: usize,
    specs: Vec<WindowSpec>,
    /// Index of the table for `fc`, where it reads the label map.
    first: Option<usize>,
    /// Index of the table for the first discriminator, where there is one.
    patches: Option<usize>,
    /// Rows of the kept tables of each size, where the SPADE layers read those.
    kept: Option<Vec<usize>>,
}

/// The windows of labels under a `k` x `k` kernel on the grid after some doublings.
fn label_windows(latent: [usize; 2], doublings: usize, k: usize) -> WindowSpec {
    WindowSpec {
        h: latent[0] << doublings,
        w: latent[1] << doublings,
        k,
        stride: 1,
        pad: k / 2,
        tier: Tier::Labels,
    }
}

/// What the blocks read.
fn levels(config: &ModelConfig, latent: [usize; 2]) -> Vec<WindowSpec> {
    match config.net_g {
        NetG::Spade => spade_levels(config, latent),
        NetG::Concat => {
            let around = 0..=config.upsampling.doublings();
            let around = around.map(|i| label_windows(latent, i, 3));
            let single = shortcuts(config.upsampling).into_iter();
            around
                .chain(single.map(|i| label_windows(latent, i, 1)))
                .collect()
        }
    }
}

/// Table number `2 * i` holds the label windows of the grid after `i` doublings, the next one their windows.
fn spade_levels(config: &ModelConfig, latent: [usize; 2]) -> Vec<WindowSpec> {
    let level = |i: usize| {
        let labels = label_windows(latent, i, config.norm_g.kernel);
        let tier = Tier::Of(2 * i);
        [labels, WindowSpec { tier, ..labels }]
    };
    (0..=config.upsampling.doublings())
        .flat_map(level)
        .collect()
}

impl Inputs {
    /// What synthesis of `n` pictures from a first grid of this height and width reads.
    pub fn synthesis(config: &ModelConfig, n: usize, latent: [usize; 2]) -> Self {
        let mut specs = levels(config, latent);
        let first = (!config.use_vae).then(|| {
            // `fc` has a kernel of 3 always, the SPADE layers of that grid one of their own.
            let fc = label_windows(latent, 0, 3);
            specs.iter().position(|s| *s == fc).unwrap_or_else(|| {
                specs.push(fc);
                specs.len() - 1
            })
        });
        Self {
            n,
            latent,
            doublings: config.upsampling.doublings(),
            channels: config.semantic_nc(),
            ids: config.label_nc + usize::from(config.dontcare),
            z_dim: config.z_dim,
            specs,
            first,
            patches: None,
            kept: None,
        }
    }

    /// What synthesis reads whose SPADE layers take gamma and beta from kept tables with so many rows, one entry for
    /// each size of the label map.
    pub(super) fn kept(
        config: &ModelConfig,
        n: usize,
        latent: [usize; 2],
        rows: Vec<usize>,
    ) -> Self {
        let specs = match config.use_vae {
            true => Vec::new(),
            false => vec![label_windows(latent, 0, 3)],
        };
        Self {
            first: (!config.use_vae).then_some(0),
            specs,
            kept: Some(rows),
            ..Self::synthesis(config, n, latent)
        }
    }

    /// What training on `n` pictures reads.
    pub fn training(config: &ModelConfig, n: usize) -> Self {
        let mut inputs = Self::synthesis(config, n, config.latent());
        let [h, w] = inputs.output();
        inputs.patches = Some(inputs.specs.len());
        inputs.specs.push(WindowSpec {
            h,
            w,
            k: 4,
            stride: 2,
            pad: 2,
            tier: Tier::Labels,
        });
        inputs
    }

    /// Number of pictures.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Samples, height and width of the first grid.
    pub fn grid(&self) -> [usize; 3] {
        [self.n, self.latent[0], self.latent[1]]
    }

    /// Height and width of the pictures.
    pub fn output(&self) -> [usize; 2] {
        self.latent.map(|side| side << self.doublings)
    }

    /// The window tables, in the order in which [`Inputs::tables`] and the loader build them.
    pub fn specs(&self) -> &[WindowSpec] {
        &self.specs
    }

    /// Names of the window tables on the device, in the order of their specs.
    pub fn table_names(&self) -> impl Iterator<Item = String> {
        (0..self.specs.len()).map(|i| self.table_name(i))
    }

    /// Plans of several batch sizes share a store, so a name tells everything about the table.
    fn table_name(&self, index: usize) -> String {
        let WindowSpec {
            h,
            w,
            k,
            stride,
            pad,
            tier,
        } = self.specs[index];
        let of = match tier {
            Tier::Labels => "labels",
            Tier::Of(_) => "windows",
        };
        format!("{of}.{}x{h}x{w}.k{k}s{stride}p{pad}", self.n)
    }

    /// Name of the symbol map on the device.
    pub fn symbols_name(&self) -> String {
        let [h, w] = self.output();
        format!("symbols.{}x{h}x{w}", self.n)
    }

    /// Name of the photos on the device.
    pub fn photos_name(&self) -> String {
        let [h, w] = self.output();
        format!("photos.{}x{h}x{w}", self.n)
    }

    /// Name of the styles of synthesis on the device.
    pub fn styles_name(&self) -> String {
        format!("styles.{}x{}", self.n, self.z_dim)
    }

    /// Name of the noise that a training step draws its styles with.
    pub fn noise_name(&self, step: &str) -> String {
        format!("noise.{step}")
    }

    /// Shape of styles and of the noise they are drawn with.
    pub fn styles_shape(&self) -> Shape {
        Shape::new(self.n, 1, 1, self.z_dim)
    }

    /// Channels of the label map, that of instance edges included.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The channel of instance edges, where there is one.
    pub fn edge_channel(&self) -> Option<u32> {
        (self.channels > self.ids).then_some(self.ids as u32)
    }

    /// Name of the rows of kept tables of each pixel after some doublings of the first grid.
    pub fn rows_name(&self, doublings: usize) -> String {
        let [h, w] = self.latent.map(|side| side << doublings);
        format!("rows.{}x{h}x{w}", self.n)
    }

    /// Builds the packed tables of a map of symbols.
    ///
    /// # Errors
    /// If the map has another number of samples, or an id has no channel.
    pub fn tables(&self, map: &IdMap) -> Result<Vec<Vec<u32>>> {
        if map.n != self.n {
            return Err(Error::Data(format!(
                "{} label maps for a batch of {}",
                map.n, self.n
            )));
        }
        self.check_ids(map)?;
        let tables = build_tables(map, self.channels, self.edge_channel(), &self.specs);
        Ok(tables)
    }

    /// Puts packed tables on the device, in the order of [`Inputs::specs`].
    ///
    /// # Errors
    /// If there are more or fewer, or one does not fit its buffer.
    pub(super) fn upload(&self, store: &mut Store, tables: &[Vec<u32>]) -> Result<()> {
        if tables.len() != self.specs.len() {
            return Err(Error::Data(format!(
                "{} window tables, where the model reads {}",
                tables.len(),
                self.specs.len()
            )));
        }
        for (name, words) in self.table_names().zip(tables) {
            store.write_index(&name, words)?;
        }
        Ok(())
    }

    /// # Errors
    /// If an id has no channel; the message says where.
    pub(super) fn check_ids(&self, map: &IdMap) -> Result<()> {
        let id = |symbol: u32| symbol & !crate::windows::EDGE_BIT;
        let wrong = map.ids.iter().position(|&s| id(s) as usize >= self.ids);
        wrong.map_or(Ok(()), |at| {
            let (row, x) = (at / map.w, at % map.w);
            Err(Error::Data(format!(
                "label map {}: id {} at x {x}, y {} where ids end at {}; label_nc and contain_dontcare_label say how \
                 many there are",
                row / map.h,
                id(map.ids[at]),
                row % map.h,
                self.ids - 1,
            )))
        })
    }

    fn table(&self, net: &mut Net, index: usize) -> Result<ValueId> {
        let spec = self.specs[index];
        let side = |size| output_size(size, spec.k, spec.stride, spec.pad);
        let pixels = |spec: &WindowSpec| self.n * spec.h * spec.w;
        let ty = Ty::Windows(Windows {
            pixels: self.n * side(spec.h) * side(spec.w),
            taps: spec.k * spec.k,
            channels: match spec.tier {
                Tier::Labels => self.channels,
                // At most every pixel has a window of its own.
                Tier::Of(lower) => pixels(&self.specs[lower]),
            },
        });
        net.graph.input(&self.table_name(index), ty)
    }

    /// Windows of labels on the first grid for a kernel of 3.
    pub(super) fn first(&self, net: &mut Net) -> Result<ValueId> {
        let index = self.first.ok_or_else(|| Error::Shape {
            op: "model",
            message: "a generator with styles has no table for its first layer".into(),
        })?;
        self.table(net, index)
    }

    /// The label map after some doublings of the first grid.
    pub(super) fn level(&self, net: &mut Net, doublings: usize) -> Result<Level> {
        if let Some(rows) = &self.kept {
            let [h, w] = self.latent.map(|side| side << doublings);
            let pixels = Ty::Symbols(self.n * h * w);
            return Ok(Level::Kept {
                rows: rows[doublings],
                pixels: net.graph.input(&self.rows_name(doublings), pixels)?,
            });
        }
        Ok(Level::Windows {
            hidden: self.table(net, 2 * doublings)?,
            modulation: self.table(net, 2 * doublings + 1)?,
        })
    }

    /// The label map after some doublings, for a block of the baseline.
    pub(super) fn labels(&self, net: &mut Net, doublings: usize) -> Result<Labels> {
        let mut windows = |k| {
            let wanted = label_windows(self.latent, doublings, k);
            let index = self.specs.iter().position(|spec| *spec == wanted);
            index.map(|index| self.table(net, index)).transpose()
        };
        let around = windows(3)?.ok_or_else(|| Error::Shape {
            op: "model",
            message: format!("no table of 3x3 windows after {doublings} doublings"),
        })?;
        Ok(Labels {
            around,
            single: windows(1)?,
        })
    }

    /// Windows of the full-size labels under the first convolution of the first discriminator.
    pub(super) fn patches(&self, net: &mut Net) -> Result<ValueId> {
        let index = self.patches.ok_or_else(|| Error::Shape {
            op: "model",
            message: "inputs of synthesis have no table for a discriminator".into(),
        })?;
        self.table(net, index)
    }

    /// The full-size symbols.
    pub(super) fn symbols(&self, net: &mut Net) -> Result<ValueId> {
        let [h, w] = self.output();
        net.graph
            .input(&self.symbols_name(), Ty::Symbols(self.n * h * w))
    }

    /// Styles of synthesis.
    pub(super) fn styles(&self, net: &mut Net) -> Result<ValueId> {
        let ty = Ty::Dense(self.styles_shape());
        net.graph.input(&self.styles_name(), ty)
    }

    /// The noise that a training step draws its styles with.
    pub(super) fn noise(&self, net: &mut Net, step: &str) -> Result<ValueId> {
        let ty = Ty::Dense(self.styles_shape());
        net.graph.input(&self.noise_name(step), ty)
    }

    /// The photos, N x H x W x 3.
    ///
    /// # Errors
    /// If the graph has another input of that name.
    pub fn photos(&self, net: &mut Net) -> Result<ValueId> {
        let [h, w] = self.output();
        let ty = Ty::Dense(Shape::new(self.n, h, w, 3));
        net.graph.input(&self.photos_name(), ty)
    }
}

/// Rows of `c` numbers as the device takes them, padded with zeros to whole vectors.
pub(super) fn padded(values: &[f32], c: usize) -> Vec<f32> {
    let width = c.next_multiple_of(4);
    let mut rows = vec![0.0; values.len() / c * width];
    for (row, values) in rows.chunks_exact_mut(width).zip(values.chunks_exact(c)) {
        row[..c].copy_from_slice(values);
    }
    rows
}
