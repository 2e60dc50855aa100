//! Pictures from label maps with a trained generator: the library's front door.
//!
//! ```no_run
//! # fn main() -> spadework::Result<()> {
//! let mut generator = spadework::Generator::load("run/checkpoints/step-00001000.safetensors")?;
//! let layout = spadework::Layout::read("label.png", None, generator.space())?;
//! spadework::picture::save("picture.png".as_ref(), &generator.synth(&layout)?)?;
//! # Ok(())
//! # }
//! ```
//!
//! A generator trained with an encoder (`use_vae`) draws one layout in many styles: random ones, those of photos, and
//! all between two.
//!
//! ```no_run
//! # fn main() -> spadework::Result<()> {
//! # let mut generator = spadework::Generator::load("run")?;
//! # let layout = spadework::Layout::read("label.png", None, generator.space())?;
//! let dusk = spadework::data::files::read_photo("dusk.jpg".as_ref())?;
//! let dusk = generator.encode(&dusk)?.mean();
//! let chance = generator.random_style(7)?;
//! let picture = generator.synth_in_style(&layout, &dusk.mix(&chance, 0.5)?)?;
//! # Ok(())
//! # }
//! ```

use std::path::Path;
use std::sync::Arc;

use crate::config::ModelConfig;
use crate::data::{Grid, LabelSpace, batch, files};
use crate::gpu::Gpu;
use crate::model::generator::generator_params;
use crate::model::init::initial;
use crate::model::style::no_styles;
use crate::model::{self, Effort, Encoded, Style};
use crate::picture::{self, Picture};
use crate::state::{HostTensor, StateDict};
use crate::train::Checkpoint;
use crate::windows::IdMap;
use crate::{Error, Result};

/// What a picture shall show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Class of every pixel.
    pub labels: Grid<u32>,
    /// Instance of every pixel, as large as the labels; without it the picture has one instance of everything.
    pub instances: Option<Grid<u32>>,
}

impl Layout {
    /// Reads a label map, grey or in the colours of the classes, and an instance map.
    ///
    /// # Errors
    /// If a file cannot be read, holds ids or colours of no class, or the sizes differ.
    pub fn read(
        labels: impl AsRef<Path>,
        instances: Option<&Path>,
        space: &LabelSpace,
    ) -> Result<Self> {
        let path = labels.as_ref();
        let labels = files::read_labels(path, space)?;
        let instances = instances.map(files::read_instances).transpose()?;
        if let Some(instances) = &instances {
            let sizes = [&labels, instances].map(|map| [map.width, map.height]);
            if sizes[0] != sizes[1] {
                let [[w, h], [iw, ih]] = sizes;
                return Err(Error::Data(format!(
                    "{}: is {w}x{h} but its instance map is {iw}x{ih}",
                    path.display()
                )));
            }
        }
        Ok(Self { labels, instances })
    }

    /// Width and height.
    pub fn size(&self) -> [usize; 2] {
        [self.labels.width, self.labels.height]
    }
}

/// A trained generator on a device. It draws what sample sheets of its training showed.
pub struct Generator {
    inner: model::Generator,
    space: LabelSpace,
}

impl Generator {
    /// Loads a checkpoint, or the newest one in the folder of a run, onto the best adapter.
    ///
    /// # Errors
    /// If the file cannot be used, or there is no adapter.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let checkpoint = Checkpoint::load(path.as_ref())?;
        Self::new(&Gpu::open(None)?, checkpoint)
    }

    /// Loads a checkpoint onto a device of the caller's, such as one of [`Gpu::from_device`].
    ///
    /// # Errors
    /// If the file cannot be used.
    pub fn load_on(gpu: &Arc<Gpu>, path: impl AsRef<Path>) -> Result<Self> {
        Self::new(gpu, Checkpoint::load(path.as_ref())?)
    }

    /// Puts a checkpoint's generator on a device: its moving average where the checkpoint has one. To draw with the
    /// newest weights take the average away before ([`StateDict::take_average`]).
    ///
    /// # Errors
    /// If its tensors do not fit its configuration.
    pub fn new(gpu: &Arc<Gpu>, checkpoint: Checkpoint) -> Result<Self> {
        let Checkpoint {
            config,
            space,
            mut networks,
            ..
        } = checkpoint;
        networks.use_average();
        Ok(Self {
            inner: model::Generator::new(gpu, config.model, &networks)?,
            space,
        })
    }

    /// A generator with the weights training begins with: for trying out sizes and devices.
    ///
    /// # Errors
    /// If the configuration cannot be used.
    pub fn untrained(
        gpu: &Arc<Gpu>,
        config: ModelConfig,
        space: LabelSpace,
        seed: u64,
    ) -> Result<Self> {
        let mut weights = StateDict::default();
        for spec in generator_params(&config).specs() {
            if let Some(values) = initial(spec, seed) {
                let tensor = HostTensor::new(spec.dims.clone(), values);
                weights.tensors.insert(spec.name.clone(), tensor);
            }
        }
        Ok(Self {
            inner: model::Generator::new(gpu, config, &weights)?,
            space,
        })
    }

    /// What the latest pictures cost; [`DenseMacs`](crate::model::cost::DenseMacs) has the dense network's
    /// multiply-adds.
    pub fn effort(&self) -> Effort {
        self.inner.effort()
    }

    /// The configuration of the network.
    pub fn config(&self) -> &ModelConfig {
        self.inner.config()
    }

    /// Classes and channels.
    pub fn space(&self) -> &LabelSpace {
        &self.space
    }

    /// Width and height of its pictures.
    pub fn size(&self) -> [usize; 2] {
        let [height, width] = self.inner.config().output();
        [width, height]
    }

    /// Whether batch norms take the statistics of the pictures drawn together, as in training, rather than the running
    /// ones that training left. Pictures then depend on what is drawn with them.
    pub fn use_batch_statistics(&mut self, wanted: bool) {
        self.inner.use_batch_statistics(wanted);
    }

    /// Whether its pictures have styles.
    pub fn has_styles(&self) -> bool {
        self.inner.config().use_vae
    }

    /// Whether it can take styles from photos: a checkpoint may hold a generator with styles and no encoder.
    pub fn has_encoder(&self) -> bool {
        self.inner.has_encoder()
    }

    /// A random style, the same for the same seed.
    ///
    /// # Errors
    /// If the generator has no styles.
    pub fn random_style(&self, seed: u64) -> Result<Style> {
        match self.has_styles() {
            true => Ok(Style::random(self.inner.config().z_dim, seed)),
            false => Err(no_styles()),
        }
    }

    /// The styles that a photo may have come from. It is resized to the size the generator was trained for.
    ///
    /// # Errors
    /// If there is no encoder, or the device fails.
    pub fn encode(&mut self, photo: &Picture) -> Result<Encoded> {
        let photo = batch::photo(photo, self.size());
        self.inner.encode(&photo)
    }

    /// Draws a picture of the size the generator was trained for. A layout of another size is resized, taking the
    /// nearest pixel. A generator with styles draws in the random one of seed 0.
    ///
    /// # Errors
    /// If an id is no class, or the device fails.
    pub fn synth(&mut self, layout: &Layout) -> Result<Picture> {
        self.synth_at(layout, self.size())
    }

    /// Draws a picture of the size the generator was trained for in a style.
    ///
    /// # Errors
    /// If the generator has no styles or they have another length, an id is no class, or the device fails.
    pub fn synth_in_style(&mut self, layout: &Layout, style: &Style) -> Result<Picture> {
        self.draw(layout, Some(style), self.size())
    }

    /// Draws a picture of another width and height, which must be multiples of the upsampling. A generator with styles
    /// knows no size but its own.
    ///
    /// # Errors
    /// If they are not, an id is no class, or the device fails.
    pub fn synth_at(&mut self, layout: &Layout, size: [usize; 2]) -> Result<Picture> {
        self.draw(layout, None, size)
    }

    /// Draws pictures of one size in one style at once, which is where [`Generator::use_batch_statistics`] matters.
    /// Without a style, a generator with styles draws in the random one of seed 0.
    ///
    /// # Errors
    /// As [`Generator::synth_in_style`] and [`Generator::synth_at`].
    pub fn synth_together(
        &mut self,
        layouts: &[Layout],
        style: Option<&Style>,
        [width, height]: [usize; 2],
    ) -> Result<Vec<Picture>> {
        let style = match (style, self.has_styles()) {
            (None, true) => Some(self.random_style(0)?),
            (style, _) => style.cloned(),
        };
        let n = layouts.len();
        let styles: Vec<Style> = style.iter().cycle().take(n).cloned().collect();
        let ids = layouts.iter().flat_map(|layout| {
            let instances = layout.instances.as_ref();
            batch::layout(&layout.labels, instances, &self.space, [width, height]).ids
        });
        let map = IdMap {
            n,
            h: height,
            w: width,
            ids: ids.collect(),
        };
        if n == 0 {
            return Ok(Vec::new());
        }
        let values = self.inner.pictures_at(&map, &styles, [height, width])?;
        if values.data().iter().any(|x| !x.is_finite()) {
            return Err(self.inner.overflow());
        }
        let pictures = values.data().chunks_exact(width * height * 3);
        Ok(pictures
            .map(|values| picture::from_unit(width, height, values))
            .collect())
    }

    fn draw(
        &mut self,
        layout: &Layout,
        style: Option<&Style>,
        size: [usize; 2],
    ) -> Result<Picture> {
        let layouts = std::slice::from_ref(layout);
        Ok(self.synth_together(layouts, style, size)?.remove(0))
    }
}
