//! The operations: one Rust file and one WGSL file each, and one line in the registry below.
//!
//! An operation is a small struct of attributes. Its [`Operation::reference`] in `f64` *is* its definition; the
//! kernel, the derivative, the cost and the cases worth testing stand beside it. Tests, benchmarks and reports walk
//! the registry, so an operation cannot exist without them.

pub mod accumulate;
pub mod activation;
pub mod adam;
pub mod conv2d;
pub mod copy;
pub mod elementwise;
pub mod epilogue;
pub mod gemm;
pub mod kernel;
pub mod labels;
pub mod loss;
pub mod modulate;
pub mod norm;
pub mod reduce;
pub mod resample;
pub mod spectral;
pub mod state;
pub mod tensor;
pub mod texels;
mod tree;
pub mod winograd;

use crate::Result;
use crate::graph::autodiff::Backward;
use crate::graph::lower::Lowering;
use crate::graph::{Graph, Ty, ValueId};
use crate::windows::Header;
pub use kernel::{Binding, Buffering, Dispatch, Family, Kernel, Site};
pub use tensor::Tensor;
pub use texels::Texels;

/// What an operation is.
pub trait Operation {
    /// Name in dumps, profiles and errors.
    fn name(&self) -> &'static str;

    /// Types of the results.
    ///
    /// # Errors
    /// If the arguments do not fit; the message gives the shapes and the rule.
    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>>;

    /// Emits the derivative: for every argument its gradient, or `None` where there is none or it is not wanted.
    ///
    /// # Errors
    /// If the operation cannot be differentiated.
    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>>;

    /// The dispatches that compute the results on the device.
    fn kernel(&self, site: &Site) -> Kernel;

    /// The definition, in `f64`.
    fn reference(&self, inputs: &[&Tensor], outputs: &[Ty]) -> Vec<Tensor>;

    /// Arithmetic and traffic.
    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        let bytes = inputs.iter().chain(outputs).map(Ty::bytes).sum();
        Cost {
            bytes,
            ..Cost::default()
        }
    }

    /// Multiply-adds with the present content of the window tables; `headers` are those of the arguments.
    fn executed_macs(&self, inputs: &[Ty], outputs: &[Ty], _headers: &[Option<Header>]) -> u64 {
        self.cost(inputs, outputs).macs
    }

    /// Whether the operation reduces over channels or has `f(0) != 0`, and so must not see padding lanes.
    fn masks_padding(&self) -> bool {
        false
    }

    /// Rows of a result that carry values, where a window table decides it; the rest is undefined.
    fn live_rows(&self, _inputs: &[&Tensor], _output: usize) -> Option<usize> {
        None
    }

    /// Which of `count` results a gradient may flow through; the others are statistics and new state.
    fn differentiable_outputs(&self, count: usize) -> Vec<usize> {
        (0..count).collect()
    }

    /// The operation that computes what `next` makes of this one's only result, which it reads as argument number
    /// `argument`; `None` where there is none. `other` is the other argument of `next`, if it has one; the arguments of
    /// the joint operation are this one's and then that.
    fn absorb(&self, _result: Ty, _next: &Op, _argument: usize, _other: Option<Ty>) -> Option<Op> {
        None
    }

    /// Applies to a graph what computes this operation's only result faster on a target; `None` where nothing does.
    ///
    /// # Errors
    /// If what takes its place does not fit, which is a bug.
    fn lower(&self, _: &mut Graph, _inputs: &[ValueId], _: &Lowering) -> Result<Option<ValueId>> {
        Ok(None)
    }

    /// For an operation whose first result is its first argument divided by its second result, a scalar: the operation
    /// that computes the scalar alone, from the same arguments.
    fn divisor(&self) -> Option<Op> {
        None
    }

    /// A value of the graph that the only result of this operation on these arguments would equal.
    fn known(&self, _graph: &Graph, _inputs: &[ValueId]) -> Option<ValueId> {
        None
    }

    /// The operation whose argument number `argument` is divided by one more argument, a scalar, that follows all others;
    /// `None` where there is none.
    fn divide(&self, _argument: usize) -> Option<Op> {
        None
    }

    /// Pairs `(input, output)` where the output is the same memory as the input: a state update.
    fn aliases(&self) -> &'static [(usize, usize)] {
        &[]
    }
}

/// Arithmetic and memory traffic of one application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Multiply-adds.
    pub macs: u64,
    /// Additions without a multiplication, as in sums and gathers.
    pub adds: u64,
    /// Bytes read and written if nothing is cached.
    pub bytes: u64,
}

/// One application worth testing.
pub struct Case {
    /// What is special about it.
    pub name: String,
    /// The operation.
    pub op: Op,
    /// The arguments.
    pub inputs: Vec<CaseInput>,
}

/// How a test makes an argument.
pub enum CaseInput {
    /// Uniform values in a range; every magnitude is at least `gap`, to stay off kinks at zero.
    Dense {
        /// Shape.
        shape: crate::graph::Shape,
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
        /// Smallest magnitude.
        gap: f64,
    },
    /// A weight in [-1, 1] of this many input channels; the rows that pad them are zero.
    Weight {
        /// Shape.
        shape: crate::graph::Shape,
        /// True input channels.
        cin: usize,
    },
    /// A window table or symbol map.
    Index(Ty, Vec<u32>),
    /// These very numbers.
    Values(Tensor),
}

impl CaseInput {
    /// Uniform in [-1, 1].
    pub fn dense(shape: crate::graph::Shape) -> Self {
        Self::range(shape, -1.0, 1.0)
    }

    /// Uniform in a range.
    pub fn range(shape: crate::graph::Shape, low: f64, high: f64) -> Self {
        Self::Dense {
            shape,
            low,
            high,
            gap: 0.0,
        }
    }

    /// A `kh x kw` weight of `cin` by `cout` channels, uniform in [-1, 1].
    pub fn weight(kh: usize, kw: usize, cin: usize, cout: usize) -> Self {
        let shape = crate::graph::Shape::weight(kh, kw, cin, cout);
        Self::Weight { shape, cin }
    }

    /// Uniform in [-1, 1] without the middle, for operations with a kink at zero.
    pub fn kinked(shape: crate::graph::Shape) -> Self {
        Self::Dense {
            shape,
            low: -1.0,
            high: 1.0,
            gap: 0.01,
        }
    }
}

/// Cases of an operation; apart from [`Operation`] because it has no receiver.
pub trait Cases {
    /// Shapes and values worth testing: odd sizes, few and many channels, more than one sample, tile remainders.
    fn cases() -> Vec<Case>;
}

/// An attribute that is a real number, compared and hashed by its bits.
#[derive(Clone, Copy)]
pub struct Real(pub f32);

impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Real {}

impl std::hash::Hash for Real {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl std::fmt::Debug for Real {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The error of an operation that has no derivative.
pub(crate) fn no_grad(op: &'static str) -> crate::Error {
    crate::Error::Shape {
        op,
        message: "has no derivative; keep it off the differentiated path".into(),
    }
}

macro_rules! ops {
    ($($module:ident :: $variant:ident),* $(,)?) => {
        /// Any operation.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the variants are documented where they are defined")]
        pub enum Op { $($variant($module::$variant)),* }

        $(impl From<$module::$variant> for Op {
            fn from(op: $module::$variant) -> Self { Self::$variant(op) }
        })*

        impl std::ops::Deref for Op {
            type Target = dyn Operation;

            fn deref(&self) -> &Self::Target {
                match self { $(Self::$variant(op) => op),* }
            }
        }

        /// Every case of every operation.
        pub fn all_cases() -> Vec<Case> {
            let mut cases = Vec::new();
            $({
                let own = <$module::$variant as Cases>::cases();
                assert!(!own.is_empty(), "{} has no cases", stringify!($variant));
                cases.extend(own);
            })*
            cases
        }
    };
}

ops! {
    activation::Activation,
    activation::ActivationGrad,
    conv2d::Conv2d,
    conv2d::Conv2dInputGrad,
    conv2d::Conv2dWeightGrad,
    copy::CopyRange,
    copy::Concat,
    copy::Reshape,
    elementwise::Add,
    elementwise::AddUpsampled,
    elementwise::FoldSamples,
    elementwise::Scale,
    gemm::Product,
    labels::LabelRows,
    labels::LabelRowsGrad,
    labels::Lookup,
    labels::LookupGrad,
    labels::LabelPool,
    modulate::Modulate,
    modulate::ModulateGrad,
    modulate::KeepRows,
    modulate::ModulateKept,
    norm::Norm,
    norm::NormGrad,
    norm::NormGiven,
    norm::NormGivenGrad,
    norm::GroupNorm,
    norm::GroupNormGrad,
    norm::Affine,
    norm::AffineGrad,
    norm::RunningUpdate,
    reduce::SumRows,
    resample::Upsample2,
    resample::Downsum2,
    resample::NearestResize,
    resample::NearestResizeGrad,
    resample::Bilinear,
    resample::AvgPool3,
    resample::AvgPool3Grad,
    resample::MaxPool2,
    resample::MaxPool2Grad,
    loss::MeanLoss,
    loss::MeanLossGrad,
    loss::L1,
    loss::L1Grad,
    loss::KlDivergence,
    loss::KlDivergenceGrad,
    loss::Reparameterise,
    loss::ReparameteriseGrad,
    spectral::PowerIteration,
    spectral::Sigma,
    spectral::SpectralScale,
    spectral::SpectralScaleGrad,
    accumulate::Accumulate,
    accumulate::Both,
    adam::Adam,
    state::Average,
    state::Commit,
    state::Finite,
    winograd::WinogradFilters,
    winograd::WinogradConv,
    winograd::WinogradFiltersGrad,
}
