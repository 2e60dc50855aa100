//! What follows a convolution pixel by pixel and rides along with it.

use super::activation::{Activation, Kind};
use super::elementwise::Add;
use super::{Op, Tensor};
use crate::graph::{Shape, Ty};

/// What happens to the sums of a convolution before they are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Epilogue {
    /// Whether the sums are divided by the last argument, a scalar, before the bias is added: then the filters are
    /// those of a spectrally normalised layer, not divided yet.
    pub divided: bool,
    /// Whether the argument before that is added; it may have fewer samples, as in [`Add`].
    pub residual: bool,
    /// What is applied to the sum.
    pub activation: Option<Kind>,
}

impl Epilogue {
    /// With what `next` does to the result, its argument number `argument`; `other` is its other argument, if any.
    pub(super) fn then(
        self,
        next: &Op,
        argument: usize,
        result: Ty,
        other: Option<Ty>,
    ) -> Option<Self> {
        match (next, other) {
            // The divisor stays the last argument.
            _ if self.activation.is_some() || self.divided => None,
            (Op::Activation(Activation { kind }), None) => Some(Self {
                activation: Some(*kind),
                ..self
            }),
            (Op::Add(Add {}), Some(other)) if argument == 0 || other == result => (!self.residual)
                .then_some(Self {
                    residual: true,
                    ..self
                }),
            _ => None,
        }
    }

    /// How many arguments it takes.
    pub(super) fn arguments(self) -> usize {
        usize::from(self.residual) + usize::from(self.divided)
    }

    fn residual<T: Copy>(self, inputs: &[T]) -> Option<T> {
        let at = inputs.len().checked_sub(self.arguments())?;
        inputs.get(at).filter(|_| self.residual).copied()
    }

    fn divisor<T: Copy>(self, inputs: &[T]) -> Option<T> {
        inputs.last().filter(|_| self.divided).copied()
    }

    pub(super) fn residual4(self, inputs: &[Ty]) -> usize {
        self.residual(inputs).map_or(0, |ty| ty.shape().vec4s())
    }

    /// The activation's number in `epilogue.wgsl`.
    pub(super) fn code(self) -> u32 {
        match self.activation {
            None => 0,
            Some(Kind::Relu) => 1,
            Some(Kind::LeakyRelu) => 2,
            Some(Kind::Tanh) => 3,
        }
    }

    /// What becomes of sums to which the bias, if there is any, is still to be added.
    pub(super) fn reference(self, sums: &mut Tensor, bias: Option<&Tensor>, inputs: &[&Tensor]) {
        if let Some(divisor) = self.divisor(inputs) {
            *sums = sums.map(|sum| sum / divisor.data()[0]);
        }
        if let Some(bias) = bias {
            let width = bias.data().len();
            for row in sums.data_mut().chunks_exact_mut(width) {
                row.iter_mut()
                    .zip(bias.data())
                    .for_each(|(sum, b)| *sum += b);
            }
        }
        if let Some(residual) = self.residual(inputs) {
            let repeated = residual.data().iter().cycle();
            let terms = sums.data_mut().iter_mut().zip(repeated);
            terms.for_each(|(sum, r)| *sum += r);
        }
        if let Some(kind) = self.activation {
            *sums = sums.map(|x| kind.forward(x));
        }
    }

    /// Whether residual and divisor of these types fit the result.
    pub(super) fn fits(self, inputs: &[Ty], result: Shape) -> bool {
        let divides = |ty: Ty| ty == Ty::Dense(Shape::scalar());
        let adds = |ty: Ty| {
            let residual = ty.shape();
            result.with_n(residual.n) == residual && result.n.is_multiple_of(residual.n)
        };
        self.divisor(inputs).is_none_or(divides) && self.residual(inputs).is_none_or(adds)
    }
}
