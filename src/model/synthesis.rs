//! Pictures from label maps, out of training: the one code path of sample sheets and of synthesis.

use super::encoder::encoder_params;
use super::encoding::Encoding;
use super::generator::{generator, generator_params};
use super::inputs::{Inputs, padded};
use super::kept::{self, Effort, KeptSynthesis, Listed};
use super::net::{Mode, Net};
use super::params::Params;
use super::step::Training;
use super::style::{Encoded, Style, no_styles};
use crate::config::{ModelConfig, NetG};
use crate::gpu::{Executor, Gpu, Profile, Store};
use crate::graph::Graph;
use crate::graph::half::Storage;
use crate::graph::plan::Plan;
use crate::ops::Tensor;
use crate::state::StateDict;
use crate::windows::IdMap;
use crate::{Error, Result};
use std::sync::Arc;

/// What pictures are drawn with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The moving average beside the weights in training, rather than these.
    pub average: bool,
    /// Statistics of the pictures drawn together, as in training, rather than running ones.
    pub batch_statistics: bool,
    /// Weights that nothing changes any more: what depends on them alone is computed with the plan.
    pub fixed_weights: bool,
}

impl Look {
    /// That of pictures drawn on the way: of the average where one is kept.
    pub(super) fn in_training(training: &Training) -> Self {
        Self {
            average: training.ema.is_some(),
            ..Self::default()
        }
    }
}

/// The generator out of training, its pictures the output `fake`.
pub(super) fn synthesis_graph(
    config: &ModelConfig,
    params: &Params,
    inputs: &Inputs,
    look: Look,
) -> Result<Graph> {
    let mode = match look.batch_statistics {
        true => Mode::BatchStatistics,
        false => Mode::Evaluation,
    };
    let mut net = match look.average {
        true => Net::of_average(params, mode),
        false => Net::new(params, mode),
    };
    if look.batch_statistics {
        net = net.like_parallel(config);
    }
    let styles = match config.use_vae {
        true => Some(inputs.styles(&mut net)?),
        false => None,
    };
    let fake = generator(&mut net, config, inputs, styles)?;
    net.graph.output("fake", fake);
    Ok(net.graph)
}

/// A store of weights, named as in a checkpoint.
fn weights_on_device(gpu: &Arc<Gpu>, params: &Params, weights: &StateDict) -> Result<Store> {
    let mut store = Store::new(gpu.clone());
    for spec in params.specs() {
        let values = spec.find(&weights.tensors)?;
        store.create(&spec.name, gpu.state_type(spec.shape()))?;
        store.write(&spec.name, &values)?;
    }
    Ok(store)
}

/// The longest side of a picture.
const MAX_SIDE: usize = 1 << 14;

/// A plan for one number and size of pictures.
pub struct Synthesis {
    inputs: Inputs,
    has_styles: bool,
    executor: Executor,
}

impl Synthesis {
    /// Plans pictures of `n` label maps from a first grid of this height and width, over the weights in a store.
    ///
    /// # Errors
    /// If the device cannot hold the plan.
    pub fn new(
        store: &mut Store,
        config: &ModelConfig,
        params: &Params,
        n: usize,
        latent: [usize; 2],
        look: Look,
    ) -> Result<Self> {
        Self::of_inputs(
            store,
            config,
            params,
            Inputs::synthesis(config, n, latent),
            look,
        )
    }

    /// Plans pictures of `n` label maps by a trained generator without kept tables, in a store of its weights.
    ///
    /// # Errors
    /// If a tensor is missing, or the device cannot hold the plan.
    pub fn of_weights(
        gpu: &Arc<Gpu>,
        config: &ModelConfig,
        weights: &StateDict,
        n: usize,
    ) -> Result<(Store, Self)> {
        let params = generator_params(config);
        let mut store = weights_on_device(gpu, &params, weights)?;
        let look = Look {
            fixed_weights: true,
            ..Look::default()
        };
        let synthesis = Self::new(&mut store, config, &params, n, config.latent(), look)?;
        Ok((store, synthesis))
    }

    /// Plans pictures of what `inputs` reads.
    pub(super) fn of_inputs(
        store: &mut Store,
        config: &ModelConfig,
        params: &Params,
        inputs: Inputs,
        look: Look,
    ) -> Result<Self> {
        let graph = synthesis_graph(config, params, &inputs, look)?;
        let is_constant = |name: &str| look.fixed_weights && params.get(name).is_some();
        Ok(Self {
            inputs,
            has_styles: config.use_vae,
            executor: Executor::over_constants(&graph, store, is_constant)?,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        self.executor.plan()
    }

    /// Bytes on the device beside what it shares with other plans of its store.
    pub fn bytes(&self) -> u64 {
        self.executor.own_bytes()
    }

    /// Multiply-adds of the latest picture.
    pub fn executed_macs(&self) -> u64 {
        self.executor.executed_macs()
    }

    /// What it reads.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// Pictures in -1..1, N x H x W x 3. The label maps may have any size: they are sampled to the grids. A generator
    /// with styles takes one for each map.
    ///
    /// # Errors
    /// If an id has no channel, the number of maps or styles is another, a style has another length, or the device was
    /// lost.
    pub fn pictures(&mut self, store: &mut Store, map: &IdMap, styles: &[Style]) -> Result<Tensor> {
        let tables = self.inputs.tables(map)?;
        self.inputs.upload(store, &tables)?;
        self.draw(store, styles)
    }

    /// As [`Synthesis::pictures`], telling where the time of the device goes instead.
    ///
    /// # Errors
    /// As [`Synthesis::pictures`].
    pub fn profile(&mut self, store: &mut Store, map: &IdMap, styles: &[Style]) -> Result<Profile> {
        let tables = self.inputs.tables(map)?;
        self.inputs.upload(store, &tables)?;
        self.upload_styles(store, styles)?;
        self.executor.profile(store)
    }

    /// Pictures of what was uploaded.
    pub(super) fn draw(&mut self, store: &mut Store, styles: &[Style]) -> Result<Tensor> {
        self.upload_styles(store, styles)?;
        self.executor.replay(store)?;
        self.executor.read(store, "fake")
    }

    fn upload_styles(&self, store: &mut Store, styles: &[Style]) -> Result<()> {
        let shape = self.inputs.styles_shape();
        if !self.has_styles && styles.is_empty() {
            return Ok(());
        }
        if !self.has_styles {
            return Err(no_styles());
        }
        let lengths = || styles.iter().map(|style| style.coordinates().len());
        if styles.len() != shape.n || lengths().any(|length| length != shape.c) {
            return Err(Error::Data(format!(
                "{} styles of {:?} coordinates, where {} of {} are needed",
                styles.len(),
                lengths().next().unwrap_or(0),
                shape.n,
                shape.c
            )));
        }
        let rows: Vec<f32> = styles
            .iter()
            .flat_map(|style| padded(style.coordinates(), shape.c))
            .collect();
        store.write(&self.inputs.styles_name(), &rows)
    }
}

/// Plans for one number and size of pictures.
enum Drawing {
    /// With the tables of gamma and beta kept.
    Kept(Box<KeptSynthesis>),
    /// Without: the baseline has none, and of too many windows none are kept.
    Plain(Box<Plain>),
}

/// Pictures without kept tables.
struct Plain {
    synthesis: Synthesis,
    /// What listing the windows of the label maps cost.
    effort: Effort,
    /// The label maps, where they show too many windows.
    refused: Option<IdMap>,
}

/// A trained generator on a device. While the layout stays, another style costs the main convolutions alone; an edited
/// layout costs these and the label windows never seen before.
pub struct Generator {
    config: ModelConfig,
    params: Params,
    store: Store,
    latest: Option<Drawing>,
    batch_statistics: bool,
    has_encoder: bool,
    encoding: Option<Encoding>,
}

impl Generator {
    /// Puts weights, named as in a checkpoint (`G.fc.weight`), on a device, with those of an encoder where there are
    /// any.
    ///
    /// # Errors
    /// If a tensor is missing or has other dimensions than the configuration asks for.
    pub fn new(gpu: &Arc<Gpu>, config: ModelConfig, weights: &StateDict) -> Result<Self> {
        config.validate()?;
        let mut params = generator_params(&config);
        let has_encoder = config.use_vae && weights.tensors.keys().any(|k| k.starts_with("E."));
        if has_encoder {
            params.extend(encoder_params(&config));
        }
        let store = weights_on_device(gpu, &params, weights)?;
        Ok(Self {
            config,
            params,
            store,
            latest: None,
            batch_statistics: false,
            has_encoder,
            encoding: None,
        })
    }

    /// The configuration of the networks.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Bytes on the device: weights, what is kept of layouts, workspace.
    pub fn device_bytes(&self) -> u64 {
        self.store.bytes()
    }

    /// Whether norms take statistics of the pictures drawn together, as in training, rather than running ones.
    pub fn use_batch_statistics(&mut self, wanted: bool) {
        if self.batch_statistics != wanted {
            self.batch_statistics = wanted;
            self.give_back();
        }
    }

    /// What the latest pictures cost.
    pub fn effort(&self) -> Effort {
        match &self.latest {
            None => Effort::default(),
            Some(Drawing::Kept(kept)) => kept.effort(),
            Some(Drawing::Plain(plain)) => Effort {
                macs: plain.synthesis.executed_macs(),
                ..plain.effort
            },
        }
    }

    /// The error of pictures that are no numbers. What has been kept for the next is forgotten.
    pub fn overflow(&mut self) -> Error {
        self.latest = None;
        let way_out = match self.store.gpu().storage() {
            Storage::Single => "the weights of this generator are out of bounds",
            _ => "leave out --half, whose numbers end at 65504",
        };
        Error::NonFinite(format!("a picture holds what is no number: {way_out}"))
    }

    /// Pictures in -1..1, N x H x W x 3, at the size the generator was trained for; styles as
    /// [`Synthesis::pictures`] takes them.
    ///
    /// # Errors
    /// As [`Generator::pictures_at`].
    pub fn pictures(&mut self, map: &IdMap, styles: &[Style]) -> Result<Tensor> {
        self.pictures_at(map, styles, self.config.output())
    }

    /// Pictures of another height and width, which must be multiples of [`ModelConfig::scale`].
    ///
    /// # Errors
    /// If the size is no such multiple or any other with styles, an id has no channel, the styles do not fit, or the
    /// device cannot hold the plan.
    pub fn pictures_at(
        &mut self,
        map: &IdMap,
        styles: &[Style],
        size: [usize; 2],
    ) -> Result<Tensor> {
        let [h, w] = self.latent(size)?;
        let grid = [map.n, h, w];
        match self.config.net_g {
            NetG::Concat => self.plan_plain(grid, Effort::default(), None)?,
            NetG::Spade if self.shows(grid, map) => {}
            NetG::Spade => self.turn_to(grid, map)?,
        }
        match &mut self.latest {
            Some(Drawing::Kept(kept)) => kept.pictures(&mut self.store, styles),
            Some(Drawing::Plain(plain)) => {
                let (store, synthesis) = (&mut self.store, &mut plain.synthesis);
                synthesis.pictures(store, map, styles)
            }
            None => Err(Error::Shape {
                op: "synthesis",
                message: "nothing was planned".into(),
            }),
        }
    }

    /// Whether styles can be taken from photos.
    pub fn has_encoder(&self) -> bool {
        self.has_encoder
    }

    /// What the encoder says of a photo in -1..1, H x W x 3, as large as the generator's pictures.
    ///
    /// # Errors
    /// If there is no encoder, the size is another, or the device cannot hold the plan.
    pub fn encode(&mut self, photo: &[f32]) -> Result<Encoded> {
        if !self.has_encoder {
            return Err(match self.config.use_vae {
                true => Error::Usage(
                    "this checkpoint holds no encoder, so it cannot take a style from a picture"
                        .into(),
                ),
                false => no_styles(),
            });
        }
        let mut encoding = match self.encoding.take() {
            Some(encoding) => encoding,
            None => Encoding::new(&mut self.store, &self.config, &self.params, true)?,
        };
        let encoded = encoding.encode(&mut self.store, photo);
        self.encoding = Some(encoding);
        encoded
    }

    /// Height and width of the first grid of pictures of this height and width.
    fn latent(&self, [h, w]: [usize; 2]) -> Result<[usize; 2]> {
        let scale = self.config.scale();
        if h.max(w) > MAX_SIDE {
            return Err(Error::Usage(format!(
                "size {w}x{h}: neither side may exceed {MAX_SIDE} pixels"
            )));
        }
        if h == 0 || w == 0 || h % scale != 0 || w % scale != 0 {
            return Err(Error::Usage(format!(
                "size {w}x{h}: both sides must be multiples of {scale} for num_upsampling_layers = \"{}\"",
                self.config.upsampling
            )));
        }
        Ok([h / scale, w / scale])
    }

    fn look(&self) -> Look {
        Look {
            batch_statistics: self.batch_statistics,
            fixed_weights: true,
            ..Look::default()
        }
    }

    /// Whether the plans are turned to these label maps.
    fn shows(&self, grid: [usize; 3], map: &IdMap) -> bool {
        match &self.latest {
            None => false,
            Some(Drawing::Kept(kept)) => kept.shows(grid, map),
            Some(Drawing::Plain(plain)) => {
                plain.synthesis.inputs.grid() == grid && plain.refused.as_ref() == Some(map)
            }
        }
    }

    /// Computes what the kept tables lack for label maps, planning anew where they do not fit.
    fn turn_to(&mut self, grid: [usize; 3], map: &IdMap) -> Result<()> {
        let [_, h, w] = grid;
        let listed = Listed::new(&self.config, map, [h, w])?;
        let has_room =
            matches!(&self.latest, Some(Drawing::Kept(kept)) if kept.has_room(grid, &listed));
        if !has_room && !self.plan_kept(grid, &listed)? {
            return self.plan_plain(grid, listed.effort(), Some(map));
        }
        if let Some(Drawing::Kept(kept)) = &mut self.latest {
            kept.show(&mut self.store, map, &listed)?;
        }
        Ok(())
    }

    /// Gives the latest plans back, and all that is in the store for them.
    fn give_back(&mut self) {
        self.latest = None;
        let encoding = self.encoding.as_ref().map(Encoding::plan);
        let of_encoding = |name: &str| {
            encoding.is_some_and(|plan| plan.named.iter().any(|named| named.name == name))
        };
        let names = self.store.names().map(|(name, _)| name);
        let unused = names.filter(|name| self.params.get(name).is_none() && !of_encoding(name));
        let unused: Vec<String> = unused.map(String::from).collect();
        unused.iter().for_each(|name| self.store.remove(name));
    }

    /// Plans pictures with kept tables; false if they would be too large, or the device has no memory for them.
    fn plan_kept(&mut self, grid: [usize; 3], listed: &Listed) -> Result<bool> {
        let room = kept::room(&self.config, grid, listed, &self.store.gpu().target());
        let Some(rows) = room else {
            return Ok(false);
        };
        self.give_back();
        let (look, store) = (self.look(), &mut self.store);
        match KeptSynthesis::new(store, &self.config, &self.params, grid, rows, look) {
            Ok(kept) => {
                self.latest = Some(Drawing::Kept(Box::new(kept)));
                Ok(true)
            }
            Err(Error::Device(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Plans pictures without kept tables, unless the latest plan is one.
    fn plan_plain(
        &mut self,
        grid: [usize; 3],
        effort: Effort,
        refused: Option<&IdMap>,
    ) -> Result<()> {
        let is_planned = matches!(
            &self.latest,
            Some(Drawing::Plain(plain)) if plain.synthesis.inputs.grid() == grid
        );
        if !is_planned {
            self.give_back();
        }
        let synthesis = match self.latest.take() {
            Some(Drawing::Plain(plain)) => plain.synthesis,
            _ => {
                let ([n, h, w], look) = (grid, self.look());
                let (store, config) = (&mut self.store, &self.config);
                Synthesis::new(store, config, &self.params, n, [h, w], look)?
            }
        };
        self.latest = Some(Drawing::Plain(Box::new(Plain {
            synthesis,
            effort,
            refused: refused.cloned(),
        })));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::init::initial;
    use crate::state::HostTensor;

    #[test]
    fn another_size_takes_the_place_of_the_first() {
        let config = ModelConfig {
            ngf: 1,
            spade_hidden: 2,
            crop_size: 32,
            label_nc: 2,
            edges: false,
            ..ModelConfig::default()
        };
        let mut weights = StateDict::default();
        for spec in generator_params(&config).specs() {
            let values = initial(spec, 1).unwrap();
            let tensor = HostTensor::new(spec.dims.clone(), values);
            weights.tensors.insert(spec.name.clone(), tensor);
        }
        let gpu = Gpu::open(None).unwrap();
        let mut generator = Generator::new(&gpu, config, &weights).unwrap();
        let mut draw = |side: usize| {
            let ids = vec![0; side * side];
            let map = IdMap {
                n: 1,
                h: side,
                w: side,
                ids,
            };
            generator.pictures_at(&map, &[], [side, side]).unwrap();
            let mut names: Vec<String> = generator.store.names().map(|n| n.0.into()).collect();
            names.sort();
            names
        };
        let small = draw(32);
        let large = draw(64);
        assert_eq!(small.len(), large.len());
        assert_eq!(draw(32), small);
        // What a plan left that the device had no memory for is in nobody's way.
        let table = super::super::spade::kept_table("G.up_3.norm_0");
        generator.give_back();
        let other = crate::graph::Ty::Dense(crate::graph::Shape::vector(3));
        generator.store.create(&table, other).unwrap();
        let map = IdMap {
            n: 1,
            h: 32,
            w: 32,
            ids: vec![1; 32 * 32],
        };
        generator.pictures(&map, &[]).unwrap();
    }
}
