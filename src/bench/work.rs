//! Operations and bytes of the steps of a plan, with the content its window tables have.

use std::collections::HashMap;
use std::ops::AddAssign;

use serde::Serialize;

use crate::graph::plan::{Plan, Step};
use crate::graph::{Shape, Ty};
use crate::model::cost::headers_of;
use crate::ops::Op;
use crate::windows::Header;

/// What has to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Work {
    /// Floating-point operations; a multiply-add is two.
    pub flops: f64,
    /// Bytes read and written if each operation reads its arguments and writes its results once.
    pub bytes: f64,
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.flops += other.flops;
        self.bytes += other.bytes;
    }
}

impl Work {
    /// Of one application of an operation; `headers` are those of its arguments.
    pub fn of(op: &Op, inputs: &[Ty], outputs: &[Ty], headers: &[Option<Header>]) -> Self {
        let cost = op.cost(inputs, outputs);
        let macs = op.executed_macs(inputs, outputs, headers);
        let Some(header) = headers.iter().flatten().next() else {
            return Self {
                flops: (2 * macs + cost.adds) as f64,
                bytes: cost.bytes as f64,
            };
        };
        let [pixels, windows, _, channels] = [0, 1, 2, 3].map(|i| header[i] as usize);
        let (live, adds, bytes) = match op {
            // Its rows are windows of labels, each gathered from rows of the weight.
            Op::LabelRows(_) | Op::LabelRowsGrad(_) => {
                let share = windows as f64 / pixels.max(1) as f64;
                let gathered = cost.bytes as f64 * share;
                (windows, cost.adds as f64 * share, Some(gathered))
            }
            // Its rows are the windows that its table's windows are made of.
            Op::Modulate(_) | Op::ModulateGrad(_) | Op::KeepRows(_) => {
                (channels, cost.adds as f64, None)
            }
            _ => (windows, cost.adds as f64, None),
        };
        let size = |ty: &Ty| match ty {
            Ty::Windows(_) => packed_bytes(header),
            Ty::Dense(shape) if is_rows(*shape, pixels) => {
                shape.c4() as f64 * 16.0 * live.min(pixels) as f64
            }
            ty => ty.bytes() as f64,
        };
        Self {
            flops: 2.0 * macs as f64 + adds,
            bytes: bytes.unwrap_or_else(|| inputs.iter().chain(outputs).map(size).sum()),
        }
    }
}

/// Whether a value has a row for each window there could be.
fn is_rows(shape: Shape, pixels: usize) -> bool {
    shape.n == 1 && shape.h == 1 && shape.w == pixels && pixels > 1
}

/// Bytes of a packed table: up to its last list, and that list, an item for each window and tap.
fn packed_bytes(header: &Header) -> f64 {
    (f64::from(header[15]) + f64::from(header[1]) * f64::from(header[2])) * 4.0
}

/// Work of every step of a plan.
pub fn of_steps(plan: &Plan, named: &HashMap<String, Header>) -> Vec<Work> {
    let work = |step: &Step| {
        let headers = headers_of(plan, step, named);
        Work::of(&step.op, &step.input_types, &step.output_types, &headers)
    };
    plan.steps.iter().map(work).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::shape::Windows;
    use crate::ops::conv2d::Conv2d;
    use crate::ops::labels::LabelRows;
    use crate::windows::{IdMap, WindowTable};

    #[test]
    fn a_convolution_multiplies_for_each_pixel_and_moves_its_operands() {
        let [x, w, y] = [
            Shape::new(1, 6, 5, 8),
            Shape::weight(3, 3, 8, 4),
            Shape::new(1, 6, 5, 4),
        ]
        .map(Ty::Dense);
        let work = Work::of(&Conv2d::new(1, 1).into(), &[x, w], &[y], &[None, None]);
        assert_eq!(work.flops, 2.0 * (30 * 8 * 9 * 4) as f64);
        assert_eq!(work.bytes, ((30 * 8 + 9 * 8 * 4 + 30 * 4) * 4) as f64);
    }

    #[test]
    fn rows_that_no_window_needs_are_no_work() {
        let plain = IdMap {
            n: 1,
            h: 16,
            w: 16,
            ids: vec![1; 256],
        };
        let table = WindowTable::build(&plain, 4, None, 3, 1, 1);
        assert_eq!(table.windows(), 9);
        let ty = Ty::Windows(Windows {
            pixels: 256,
            taps: 9,
            channels: 4,
        });
        let weight = Ty::Dense(Shape::weight(3, 3, 4, 8));
        let inputs = [weight, Ty::Dense(Shape::vector(8)), ty];
        let op: Op = LabelRows { relu: true }.into();
        let outputs = op.shape(&inputs).unwrap();
        let header = |words: &[u32]| *words.first_chunk().unwrap();
        let headers = |header| [None, None, Some(header)];
        let few = Work::of(&op, &inputs, &outputs, &headers(header(&table.pack())));
        let worst = headers(ty.windows().worst_header());
        let all = Work::of(&op, &inputs, &outputs, &worst);
        assert_eq!(all.flops / few.flops, 256.0 / 9.0);
        assert_eq!(all.bytes / few.bytes, 256.0 / 9.0);
    }
}
