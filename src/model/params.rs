//! Every tensor of the networks: its published name and dimensions, and its layout on the device.
//!
//! A parameter exists once on the device, in the layout the kernels read; the published layout exists in files only.
//! Gradients and Adam's moments share the layout of their parameter.

use super::misfit;
use crate::config::{InitConfig, InitType, SpectralInit};
use crate::graph::Shape;
use crate::state::HostTensor;
use crate::{Error, Result};
use std::collections::{BTreeMap, HashMap};

/// How a published tensor lies on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A convolution's filters, cout x cin x kh x kw, as [`Shape::weight`].
    Filter,
    /// One number per channel.
    Vector,
    /// The right singular vector of filters flattened to cout x (cin kh kw): kh x kw x 1 x cin on the device.
    Unfolded {
        /// Kernel rows.
        kh: usize,
        /// Kernel columns.
        kw: usize,
    },
    /// A linear layer that reads whole maps, out x (c h w): filters as large as the map.
    FromMap {
        /// Rows of the map.
        h: usize,
        /// Columns of the map.
        w: usize,
    },
    /// A linear layer that writes whole maps, (c h w) x in, or its bias: filters of one pixel, in the order in which a
    /// map lies on the device.
    ToMap {
        /// Rows of the map.
        h: usize,
        /// Columns of the map.
        w: usize,
    },
}

/// What becomes of a tensor in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Learned.
    Trained,
    /// Follows the data: running statistics, singular vectors.
    Buffer,
    /// Never changes.
    Frozen,
}

/// How a tensor starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All equal.
    Constant(f32),
    /// Normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// Uniform within `-bound..bound`.
    Uniform {
        /// Bound.
        bound: f64,
    },
    /// Orthogonal rows or columns, whichever are fewer, of the filters as a matrix.
    Orthogonal {
        /// Length of each.
        gain: f64,
    },
    /// A normal vector scaled to length one.
    Unit,
    /// Comes from a file.
    Given,
}

impl Init {
    /// How filters start; biases start at zero whatever the type, in the published code too.
    ///
    /// Spectrally normalised filters of models trained on GPUs kept the framework's default, uniform by fan in,
    /// because the initialiser missed them there; their bias it reached. Sigma removes the scale of such a weight, but
    /// Adam's effective step size depends on it.
    fn filters([cout, cin, kh, kw]: [usize; 4], spectral: bool, config: InitConfig) -> Self {
        let (fan_in, fan_out) = ((cin * kh * kw) as f64, (cout * kh * kw) as f64);
        let gain = config.init_variance;
        let normal = |std| Self::Normal { mean: 0.0, std };
        let by_fan_in = Self::Uniform {
            bound: 1.0 / fan_in.sqrt(),
        };
        match config.init_type {
            _ if spectral && config.spectral_init == SpectralInit::Gpu => by_fan_in,
            InitType::Normal => normal(gain),
            InitType::Xavier => normal(gain * (2.0 / (fan_in + fan_out)).sqrt()),
            InitType::XavierUniform => Self::Uniform {
                bound: (6.0 / (fan_in + fan_out)).sqrt(),
            },
            InitType::Kaiming => normal((2.0 / fan_in).sqrt()),
            InitType::Orthogonal => Self::Orthogonal { gain },
            InitType::None => by_fan_in,
        }
    }
}

/// A tensor of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// Published name behind the network's own: `G.head_0.conv_0.bias`.
    pub name: String,
    /// Published dimensions.
    pub dims: Vec<usize>,
    /// Layout on the device.
    pub layout: Layout,
    /// Role in training.
    pub role: Role,
    /// How it starts.
    pub init: Init,
}

impl ParamSpec {
    /// Shape on the device.
    pub fn shape(&self) -> Shape {
        match (self.layout, self.dims.as_slice()) {
            (Layout::Filter, &[cout, cin, kh, kw]) => Shape::weight(kh, kw, cin, cout),
            (Layout::Vector, &[c]) => Shape::vector(c),
            (Layout::Unfolded { kh, kw }, &[len]) => Shape::new(kh, kw, 1, len / (kh * kw)),
            (Layout::FromMap { h, w }, &[out, len]) => Shape::weight(h, w, len / (h * w), out),
            (Layout::ToMap { .. }, &[len, inputs]) => Shape::weight(1, 1, inputs, len),
            (Layout::ToMap { .. }, &[len]) => Shape::vector(len),
            (layout, dims) => panic!("{}: {dims:?} as {layout:?}", self.name),
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// From the published layout to the device's.
    ///
    /// # Errors
    /// If the number of elements is wrong.
    pub fn pack(&self, values: &[f32]) -> Result<Vec<f32>> {
        if values.len() != self.len() {
            return Err(Error::Data(format!(
                "tensor {} has {} elements, expected {} as {:?}",
                self.name,
                values.len(),
                self.len(),
                self.dims
            )));
        }
        let mut device = vec![0.0; self.shape().vec4s() * 4];
        for (place, value) in self.places().zip(values) {
            device[place] = *value;
        }
        Ok(device)
    }

    /// From the device's layout to the published one.
    pub fn unpack(&self, device: &[f32]) -> Vec<f32> {
        assert_eq!(device.len(), self.shape().vec4s() * 4, "{}", self.name);
        self.places().map(|place| device[place]).collect()
    }

    /// Its values among tensors of a file, in device layout.
    ///
    /// # Errors
    /// As [`ParamSpec::look_up`].
    pub fn find(&self, tensors: &BTreeMap<String, HostTensor>) -> Result<Vec<f32>> {
        self.pack(&self.look_up(tensors)?.data)
    }

    /// The tensor of its name among those of a file.
    ///
    /// # Errors
    /// If it is missing or has other dimensions; the message names it and the option that likely differs.
    pub fn look_up<'t>(&self, tensors: &'t BTreeMap<String, HostTensor>) -> Result<&'t HostTensor> {
        let name = &self.name;
        let tensor = tensors.get(name).ok_or_else(|| misfit::missing(name))?;
        match tensor.shape == self.dims {
            true => Ok(tensor),
            false => Err(misfit::wrong_shape(name, &tensor.shape, &self.dims)),
        }
    }

    /// Where each element, in published order, lies on the device.
    fn places(&self) -> impl Iterator<Item = usize> {
        let shape = self.shape();
        let width = shape.c4() * 4;
        let [taps, cin] = match self.layout {
            Layout::Filter => [shape.n * shape.h, self.dims[1]],
            Layout::Vector => [1, 1],
            Layout::Unfolded { kh, kw } => [kh * kw, shape.c],
            Layout::FromMap { h, w } => [h * w, self.dims[1] / (h * w)],
            Layout::ToMap { .. } => [1, self.dims.get(1).copied().unwrap_or(1)],
        };
        let layout = self.layout;
        (0..self.len()).map(move |i| {
            let (tap, channel, filter) = (i % taps, i / taps % cin, i / taps / cin);
            match layout {
                Layout::Filter | Layout::FromMap { .. } => {
                    (tap * shape.w + channel) * width + filter
                }
                Layout::Vector => filter,
                Layout::Unfolded { .. } => tap * width + channel,
                Layout::ToMap { h, w } => {
                    let (map, pixel) = (filter / (h * w), filter % (h * w));
                    channel * width + pixel * (shape.c / (h * w)) + map
                }
            }
        })
    }
}

/// A counter of batches: a published tensor that lives on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Name.
    pub name: String,
    /// Whether a training forward advances it.
    pub advances: bool,
}

/// The tensors of some networks, in published order.
#[derive(Clone, Debug, Default)]
pub struct Params {
    init: InitConfig,
    specs: Vec<ParamSpec>,
    counters: Vec<Counter>,
    by_name: HashMap<String, usize>,
}

impl Params {
    /// No tensors yet; filters that are added will start as `init` says.
    pub fn new(init: InitConfig) -> Self {
        Self {
            init,
            ..Self::default()
        }
    }

    /// How filters that are added start.
    pub fn init(&self) -> InitConfig {
        self.init
    }

    /// Adds a tensor.
    pub fn push(&mut self, spec: ParamSpec) {
        let earlier = self.by_name.insert(spec.name.clone(), self.specs.len());
        assert!(earlier.is_none(), "two tensors are called {}", spec.name);
        self.specs.push(spec);
    }

    /// Adds learned filters: `NAME.weight`, or `NAME.weight_orig` with its singular vectors.
    pub fn conv(&mut self, name: &str, dims: [usize; 4], spectral: bool, bias: bool) {
        let [cout, cin, kh, kw] = dims;
        let filters = Init::filters(dims, spectral, self.init);
        let mut push = |suffix: &str, dims: &[usize], layout, role, init| {
            self.push(ParamSpec {
                name: format!("{name}.{suffix}"),
                dims: dims.to_vec(),
                layout,
                role,
                init,
            });
        };
        let weight = if spectral { "weight_orig" } else { "weight" };
        push(weight, &dims, Layout::Filter, Role::Trained, filters);
        if bias {
            push(
                "bias",
                &[cout],
                Layout::Vector,
                Role::Trained,
                Init::Constant(0.0),
            );
        }
        if spectral {
            push(
                "weight_u",
                &[cout],
                Layout::Vector,
                Role::Buffer,
                Init::Unit,
            );
            let unfolded = Layout::Unfolded { kh, kw };
            push(
                "weight_v",
                &[cin * kh * kw],
                unfolded,
                Role::Buffer,
                Init::Unit,
            );
        }
    }

    /// Adds a linear layer, out x in, and its bias.
    pub fn linear(&mut self, name: &str, dims: [usize; 2], layout: Layout) {
        let [out, inputs] = dims;
        let weight = Init::filters([out, inputs, 1, 1], false, self.init);
        let bias = Init::Constant(0.0);
        let of_bias = match layout {
            Layout::ToMap { .. } => layout,
            _ => Layout::Vector,
        };
        for (suffix, dims, layout, init) in [
            ("weight", &dims[..], layout, weight),
            ("bias", &dims[..1], of_bias, bias),
        ] {
            self.push(ParamSpec {
                name: format!("{name}.{suffix}"),
                dims: dims.to_vec(),
                layout,
                role: Role::Trained,
                init,
            });
        }
    }

    /// Adds running statistics: `NAME.running_mean`, `NAME.running_var`, `NAME.num_batches_tracked`.
    pub fn running(&mut self, name: &str, channels: usize, counts: bool) {
        for (suffix, start) in [("running_mean", 0.0), ("running_var", 1.0)] {
            self.vector(
                &format!("{name}.{suffix}"),
                channels,
                Role::Buffer,
                Init::Constant(start),
            );
        }
        self.counters.push(Counter {
            name: format!("{name}.num_batches_tracked"),
            advances: counts,
        });
    }

    /// Adds one number per channel.
    pub fn vector(&mut self, name: &str, channels: usize, role: Role, init: Init) {
        self.push(ParamSpec {
            name: name.to_owned(),
            dims: vec![channels],
            layout: Layout::Vector,
            role,
            init,
        });
    }

    /// Adds all tensors of another list.
    pub fn extend(&mut self, other: Self) {
        other.specs.into_iter().for_each(|spec| self.push(spec));
        self.counters.extend(other.counters);
    }

    /// The tensor of a name.
    pub fn get(&self, name: &str) -> Option<&ParamSpec> {
        self.by_name.get(name).map(|&i| &self.specs[i])
    }

    /// All tensors.
    pub fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    /// All counters.
    pub fn counters(&self) -> &[Counter] {
        &self.counters
    }

    /// Learned tensors of a network, by the prefix of their names.
    pub fn trained<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a ParamSpec> {
        let of_network =
            move |spec: &&ParamSpec| spec.role == Role::Trained && spec.name.starts_with(prefix);
        self.specs.iter().filter(of_network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(dims: &[usize], layout: Layout) -> ParamSpec {
        ParamSpec {
            name: "x".into(),
            dims: dims.to_vec(),
            layout,
            role: Role::Trained,
            init: Init::Given,
        }
    }

    #[test]
    fn layouts_round_trip_and_pad_with_zeros() {
        let cases = [
            spec(&[5, 6, 3, 2], Layout::Filter),
            spec(&[8, 4, 1, 1], Layout::Filter),
            spec(&[7], Layout::Vector),
            spec(&[5 * 4 * 3], Layout::Unfolded { kh: 4, kw: 3 }),
            spec(&[5, 6 * 3 * 2], Layout::FromMap { h: 3, w: 2 }),
            spec(&[8 * 3 * 2, 5], Layout::ToMap { h: 3, w: 2 }),
            spec(&[8 * 3 * 2], Layout::ToMap { h: 3, w: 2 }),
        ];
        for spec in cases {
            let values: Vec<f32> = (1..=spec.len()).map(|i| i as f32).collect();
            let device = spec.pack(&values).unwrap();
            assert_eq!(spec.unpack(&device), values, "{spec:?}");
            let padding = device.iter().filter(|&&v| v == 0.0).count();
            assert_eq!(device.len() - padding, values.len(), "{spec:?}");
            assert!(spec.pack(&values[1..]).is_err());
        }
    }

    #[test]
    fn linear_layers_meet_maps_in_published_order() {
        let (c, h, w) = (4, 2, 3);
        let map: Vec<f32> = (0..c * h * w).map(|i| i as f32 + 1.0).collect();
        // A map in published order becomes one with channels innermost.
        let to = spec(&[c * h * w], Layout::ToMap { h, w });
        let on_device = to.pack(&map).unwrap();
        for (i, value) in on_device.iter().enumerate() {
            let (pixel, channel) = (i / c, i % c);
            assert_eq!(*value, map[channel * h * w + pixel]);
        }
        let weight = spec(&[c * h * w, 2], Layout::ToMap { h, w });
        let doubled: Vec<f32> = map.iter().flat_map(|&v| [v, 100.0 + v]).collect();
        let rows = weight.pack(&doubled).unwrap();
        assert_eq!(rows[..c * h * w], on_device);
        let second = &rows[c * h * w..2 * c * h * w];
        assert!(second.iter().zip(&on_device).all(|(a, b)| *a == 100.0 + b));
        // A row that reads a map lies as the map does, one filter to a vector.
        let from = spec(&[1, c * h * w], Layout::FromMap { h, w });
        let read = from.pack(&map).unwrap();
        let first: Vec<f32> = read.chunks_exact(4).map(|vector| vector[0]).collect();
        assert_eq!(first, on_device);
    }

    #[test]
    fn filters_and_their_singular_vector_agree_about_taps() {
        let (cout, cin, kh, kw) = (2, 5, 3, 4);
        let filter = spec(&[cout, cin, kh, kw], Layout::Filter);
        let row = spec(&[cin * kh * kw], Layout::Unfolded { kh, kw });
        let values: Vec<f32> = (0..filter.len()).map(|i| i as f32 + 1.0).collect();
        let filters = filter.pack(&values).unwrap();
        let second = row.pack(&values[row.len()..]).unwrap();
        for tap in 0..kh * kw {
            for channel in 0..cin {
                let weight = filters[(tap * 8 + channel) * 4 + 1];
                assert_eq!(weight, second[tap * 8 + channel]);
                assert_eq!(weight, values[row.len() + channel * kh * kw + tap]);
            }
        }
    }
}
