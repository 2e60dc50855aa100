//! Golden values: a layer is built as a graph, differentiated, run by the references and on the device in every
//! kernel family, and each result compared with what an independent float64 implementation stored.

use super::{assert_close, gpus_and_filterings, max_abs, run_on};
use safetensors::{Dtype, SafeTensors};
use spadework::cpu;
use spadework::graph::autodiff::gradients;
use spadework::graph::{Graph, Shape, Ty, ValueId};
use spadework::ops::Tensor;
use std::collections::HashMap;
use std::path::Path;

/// How a stored tensor becomes a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// `N x C x H x W` or `N x C`.
    Map,
    /// `O x I x H x W` or `O x I`.
    Weight,
    /// Any number of numbers, as channels of one pixel.
    Vector,
    /// `I x H x W`, flat, for each input channel and tap of a kernel of this height and width.
    Taps(usize, usize),
}

/// A file of golden tensors.
pub struct Golden(Vec<u8>);

impl Golden {
    /// A file of `tests/fixtures`.
    pub fn open(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let file = path.join(name);
        Self(std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())))
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).unwrap()
    }

    /// Names that start with `prefix`.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let file = self.file();
        let names = file.names().into_iter();
        let mut found: Vec<_> = names.filter(|n| n.starts_with(prefix)).collect();
        found.sort();
        found.into_iter().map(str::to_owned).collect()
    }

    /// Extents and numbers of a tensor, in the order of the file.
    pub fn numbers(&self, name: &str) -> (Vec<usize>, Vec<f64>) {
        let file = self.file();
        let view = file
            .tensor(name)
            .unwrap_or_else(|e| panic!("golden {name}: {e}"));
        let words = view
            .data()
            .chunks_exact(4)
            .map(|b| [b[0], b[1], b[2], b[3]]);
        let numbers = match view.dtype() {
            Dtype::F32 => words.map(|b| f64::from(f32::from_le_bytes(b))).collect(),
            Dtype::I32 => words.map(|b| f64::from(i32::from_le_bytes(b))).collect(),
            other => panic!("golden {name} is {other:?}"),
        };
        (view.shape().to_vec(), numbers)
    }

    /// A tensor as a value.
    pub fn tensor(&self, name: &str, layout: Layout) -> Tensor {
        let (extents, numbers) = self.numbers(name);
        if layout == Layout::Vector {
            return Tensor::dense(Shape::vector(numbers.len()), numbers);
        }
        let [outer, inner, rows, columns] = match (layout, &extents[..]) {
            (Layout::Taps(rows, columns), [len]) => [1, len / rows / columns, rows, columns],
            (_, &[outer, inner]) => [outer, inner, 1, 1],
            (_, &[outer, inner, rows, columns]) => [outer, inner, rows, columns],
            _ => panic!("golden {name} has extents {extents:?}"),
        };
        let at = |o: usize, i: usize, r: usize, c: usize| {
            numbers[((o * inner + i) * rows + r) * columns + c]
        };
        match layout {
            Layout::Weight => {
                Tensor::from_fn(Shape::weight(rows, columns, inner, outer), |r, c, i, o| {
                    if i < inner { at(o, i, r, c) } else { 0.0 }
                })
            }
            Layout::Taps(..) => {
                Tensor::from_fn(Shape::new(rows, columns, 1, inner), |r, c, _, i| {
                    at(0, i, r, c)
                })
            }
            _ => Tensor::from_fn(Shape::new(outer, rows, columns, inner), |n, h, w, c| {
                at(n, c, h, w)
            }),
        }
    }
}

/// A layer under test: its graph, the values it is given, and those it must produce.
pub struct Check<'a> {
    golden: &'a Golden,
    prefix: String,
    /// The graph; the test applies operations to it.
    pub graph: Graph,
    given: HashMap<String, Tensor>,
    want: Vec<(String, Tensor)>,
}

impl<'a> Check<'a> {
    /// A check of the tensors named `{prefix}.*`; without a prefix, of all.
    pub fn new(golden: &'a Golden, prefix: &str) -> Self {
        Self {
            golden,
            prefix: prefix.to_owned(),
            graph: Graph::new(),
            given: HashMap::new(),
            want: Vec::new(),
        }
    }

    fn golden(&self, name: &str, layout: Layout) -> Tensor {
        let prefix = match self.prefix.as_str() {
            "" => String::new(),
            prefix => format!("{prefix}."),
        };
        self.golden.tensor(&format!("{prefix}{name}"), layout)
    }

    /// The argument stored as `{prefix}.{name}`. It is state of the graph, so updates may alias it.
    pub fn given(&mut self, name: &str, layout: Layout) -> ValueId {
        let tensor = self.golden(name, layout);
        self.given_tensor(name, tensor)
    }

    /// An argument that is not in the file.
    pub fn given_tensor(&mut self, name: &str, tensor: Tensor) -> ValueId {
        let value = self.graph.state(name, tensor.shape()).unwrap();
        self.given.insert(name.to_owned(), tensor);
        value
    }

    /// An index argument, which is not in the file.
    pub fn given_index(&mut self, name: &str, ty: Ty, words: Vec<u32>) -> ValueId {
        let value = self.graph.input(name, ty).unwrap();
        self.given.insert(name.to_owned(), Tensor::Index(words));
        value
    }

    /// Shape of what is stored as `{prefix}.{name}`.
    pub fn wanted(&self, name: &str, layout: Layout) -> Shape {
        self.golden(name, layout).shape()
    }

    /// `value` must equal what is stored as `{prefix}.{name}`.
    pub fn expect(&mut self, name: &str, layout: Layout, value: ValueId) {
        let tensor = self.golden(name, layout);
        assert_eq!(
            tensor.shape(),
            self.graph.shape(value),
            "{}.{name}: shape",
            self.prefix
        );
        self.graph.output(name, value);
        self.want.push((name.to_owned(), tensor));
    }

    /// The gradients of `sum(y * seed)` must equal what is stored under these names.
    pub fn expect_gradients(
        &mut self,
        y: ValueId,
        seed: ValueId,
        wanted: &[(&str, Layout, ValueId)],
    ) {
        let wrt: Vec<_> = wanted.iter().map(|(_, _, value)| *value).collect();
        let grads = gradients(&mut self.graph, &[(y, seed)], &wrt).unwrap();
        for (&(name, layout, _), grad) in wanted.iter().zip(grads) {
            let grad = grad.unwrap_or_else(|| panic!("{}.{name}: no gradient", self.prefix));
            self.expect(name, layout, grad);
        }
    }

    /// Runs the references and every kernel family and compares.
    pub fn run(&self) {
        assert!(!self.want.is_empty(), "{}: nothing expected", self.prefix);
        let reference = cpu::run(&self.graph, &self.given).outputs;
        self.compare("reference", |name| reference[name].clone());
        let mut dense = HashMap::new();
        let mut index = HashMap::new();
        for (name, tensor) in &self.given {
            match tensor {
                Tensor::Dense { .. } => drop(dense.insert(name.clone(), tensor.to_device(0.0))),
                Tensor::Index(words) => drop(index.insert(name.clone(), words.clone())),
            }
        }
        for gpu in &gpus_and_filterings() {
            let got = run_on(gpu, &self.graph, &dense, &index);
            self.compare(&format!("{:?}, {:?}", gpu.family, gpu.filtering), |name| {
                let want = self.want.iter().find(|(n, _)| n == name);
                Tensor::from_device(want.unwrap().1.shape(), &got[name])
            });
        }
    }

    fn compare(&self, who: &str, got: impl Fn(&str) -> Tensor) {
        for (name, want) in &self.want {
            let what = format!("{who} {}.{name}", self.prefix);
            let limit = 1e-5 * max_abs(want.data()) + 1e-6;
            assert_close(&what, got(name).data(), want.data(), limit);
        }
    }
}
