//! From convolutions as models ask for them to the methods that suit an adapter.

use std::sync::Arc;

use super::choice::{Choices, Convolution, Method, Pass};
use super::rule::tiles;
use super::{Tiling, WinogradConv, WinogradFilters, WinogradFiltersGrad, area};
use crate::Result;
use crate::graph::half::Storage;
use crate::graph::lower::Lowering;
use crate::graph::plan::Target;
use crate::graph::{Graph, Shape, ValueId};
use crate::ops::conv2d::{Conv2d, Conv2dInputGrad, Conv2dWeightGrad};
use crate::ops::{Binding, Family, Op, Texels, texels};

/// Which convolutions are done by Winograd's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Filtering {
    /// Those that are faster so by a rule of shape and adapter.
    #[default]
    Chosen,
    /// Those that a table says, as far as they fit the adapter, and by the rule what it does not say.
    Tuned(Arc<Choices>),
    /// None.
    Never,
    /// All that can be, in tiles of so many results a side, two or four: for tests and measurements.
    Always(usize),
}

impl Target {
    /// How a convolution is done.
    pub fn method(&self, convolution: &Convolution) -> Method {
        match &self.filtering {
            Filtering::Chosen => self.rule(convolution),
            Filtering::Tuned(table) => {
                let method = table.get(convolution);
                let method = method.filter(|&method| self.fits(convolution, method));
                method.unwrap_or_else(|| self.rule(convolution))
            }
            Filtering::Never => Method::Plain,
            Filtering::Always(tile) => Method::of_tile(*tile),
        }
    }

    /// How it is done by the rule.
    pub fn rule(&self, convolution: &Convolution) -> Method {
        let gaining = tiles(self.family, convolution).into_iter();
        let mut methods = gaining.map(Method::of_tile);
        let fitting = methods.find(|&method| self.fits(convolution, method));
        fitting.unwrap_or(Method::Plain)
    }

    /// Whether a method fits the adapter: filters of many channels outgrow a binding.
    pub fn fits(&self, convolution: &Convolution, method: Method) -> bool {
        let Some(tile) = method.tile() else {
            return true;
        };
        let bytes_per_vector = match self.storage {
            Storage::Single | Storage::HalfState | Storage::HalfMaps => 16,
            Storage::Half => 8,
        };
        let [cin, cout] = convolution.channels;
        let rows = area(tile) * cin.next_multiple_of(4);
        let columns = cout.div_ceil(4);
        let bytes = (rows * columns * bytes_per_vector) as u64;
        let fits_texels = match self.family {
            Family::Tiled(_) => true,
            Family::Subgroup(_) => {
                let layers = Texels::new(Binding::Input(1), rows, columns).layers();
                layers <= texels::LAYERS as usize
            }
        };
        bytes <= self.max_binding_bytes && fits_texels
    }
}

/// What an operation is as a convolution that Winograd's could do; none if it is another.
pub(crate) fn convolution(
    op: &Op,
    graph: &Graph,
    inputs: &[ValueId],
    has_fixed_weights: bool,
) -> Option<Convolution> {
    match op {
        Op::Conv2d(conv) => of_forward(conv, graph, inputs, has_fixed_weights),
        Op::Conv2dInputGrad(grad) => of_input_grad(grad, graph, inputs),
        Op::Conv2dWeightGrad(grad) => of_weight_grad(grad, graph, inputs),
        _ => None,
    }
}

/// `[kh, kw]` and the stride are those of the plain convolution.
fn of(
    pass: Pass,
    [kh, kw, stride]: [usize; 3],
    channels: [usize; 2],
    y: Shape,
) -> Option<Convolution> {
    ([kh, kw, stride] == [3, 3, 1]).then_some(Convolution {
        pass,
        map: [y.n, y.h, y.w],
        channels,
    })
}

fn of_forward(
    conv: &Conv2d,
    graph: &Graph,
    inputs: &[ValueId],
    has_fixed_weights: bool,
) -> Option<Convolution> {
    let (x, w) = (graph.shape(inputs[0]), graph.shape(inputs[1]));
    let pass = match has_fixed_weights {
        true => Pass::Drawing,
        false => Pass::Forward,
    };
    let y = Tiling::new(4, conv.pad, x, w.c).y;
    of(pass, [w.n, w.h, conv.stride], [x.c, w.c], y)
}

fn of_input_grad(grad: &Conv2dInputGrad, graph: &Graph, inputs: &[ValueId]) -> Option<Convolution> {
    let w = graph.shape(inputs[1]);
    let (geometry, channels) = ([w.n, w.h, grad.stride], [w.c, grad.input.c]);
    of(Pass::InputGrad, geometry, channels, grad.input).filter(|_| grad.pad <= 2)
}

fn of_weight_grad(
    grad: &Conv2dWeightGrad,
    graph: &Graph,
    inputs: &[ValueId],
) -> Option<Convolution> {
    let [x, dy] = [inputs[0], inputs[1]].map(|id| graph.shape(id));
    let geometry = [grad.kh, grad.kw, grad.stride];
    of(Pass::WeightGrad, geometry, [x.c, dy.c], dy)
}

/// The tiles that a convolution is done in; none if it is done as it stands.
fn tile(convolution: Option<Convolution>, target: &Target) -> Option<usize> {
    target.method(&convolution?).tile()
}

/// The convolution in another way, where that is faster.
pub(crate) fn forward(
    conv: &Conv2d,
    graph: &mut Graph,
    inputs: &[ValueId],
    at: &Lowering,
) -> Result<Option<ValueId>> {
    let convolution = of_forward(conv, graph, inputs, at.has_fixed_weights);
    let Some(tile) = tile(convolution, at.target) else {
        return Ok(None);
    };
    let Conv2d { pad, epilogue, .. } = *conv;
    let filters = WinogradFilters {
        tile,
        mirrored: None,
    };
    let mut inputs = inputs.to_vec();
    inputs[1] = graph.apply(filters, &[inputs[1]])?;
    let conv = WinogradConv {
        tile,
        pad,
        epilogue,
    };
    graph.apply(conv, &inputs).map(Some)
}

/// The gradient of a convolution's input in another way, where that is faster: dy meets the filters turned round.
pub(crate) fn input_grad(
    grad: &Conv2dInputGrad,
    graph: &mut Graph,
    inputs: &[ValueId],
    at: &Lowering,
) -> Result<Option<ValueId>> {
    let chosen = tile(of_input_grad(grad, graph, inputs), at.target);
    let (Some(tile), Some(pad)) = (chosen, 2_usize.checked_sub(grad.pad)) else {
        return Ok(None);
    };
    let filters = WinogradFilters {
        tile,
        mirrored: Some(grad.input.c),
    };
    let mut inputs = inputs.to_vec();
    inputs[1] = graph.apply(filters, &[inputs[1]])?;
    let conv = WinogradConv {
        tile,
        pad,
        epilogue: grad.epilogue(),
    };
    graph.apply(conv, &inputs).map(Some)
}

/// The gradient of a convolution's filters in another way, where that is faster.
pub(crate) fn weight_grad(
    grad: &Conv2dWeightGrad,
    graph: &mut Graph,
    inputs: &[ValueId],
    at: &Lowering,
) -> Result<Option<ValueId>> {
    let Some(tile) = tile(of_weight_grad(grad, graph, inputs), at.target) else {
        return Ok(None);
    };
    let grad = WinogradFiltersGrad {
        tile,
        pad: grad.pad,
    };
    graph.apply(grad, inputs).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu;
    use crate::graph::Ty;
    use crate::graph::lower::lower;
    use crate::graph::plan::Plan;
    use crate::ops::epilogue::Epilogue;
    use crate::ops::{Buffering, Tensor};
    use std::collections::HashMap;

    fn target(filtering: Filtering) -> Target {
        Target {
            family: Family::Subgroup(8),
            workspace_bytes: 64 << 20,
            max_binding_bytes: 128 << 20,
            filtering,
            storage: Storage::Single,
            matrices: None,
        }
    }

    fn wave(shape: Shape, seed: f64, cin: usize) -> Tensor {
        let mut at = seed;
        Tensor::from_fn(shape, |_, _, c, _| {
            at += 1.0;
            // Rows that pad the input channels of filters are zero.
            if c < cin { (at * 0.7).sin() + 0.1 } else { 0.0 }
        })
    }

    /// What a convolution and its gradients are, plain and in tiles.
    fn compare(op: impl Into<Op>, inputs: &[(&str, Shape)], cin: usize, tile: usize) {
        let op = op.into();
        let mut graph = Graph::new();
        let dense = |(name, shape): &(&str, Shape)| graph.input(name, Ty::Dense(*shape)).unwrap();
        let ids: Vec<_> = inputs.iter().map(dense).collect();
        let result = graph.apply(op.clone(), &ids).unwrap();
        graph.output("result", result);
        let values: HashMap<_, _> = inputs
            .iter()
            .zip(1..)
            .map(|((name, shape), seed)| {
                let cin = if *name == "w" { cin } else { usize::MAX };
                (name.to_string(), wave(*shape, f64::from(seed), cin))
            })
            .collect();
        let target = target(Filtering::Always(tile));
        let lowered = lower(&graph, &Lowering::learning(&target)).unwrap();
        assert!(lowered.nodes().iter().all(|node| node.op != op), "{op:?}");
        let [want, got] = [&graph, &lowered].map(|g| cpu::run(g, &values).outputs);
        let pairs = want["result"].data().iter().zip(got["result"].data());
        let error = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(error < 1e-10, "{op:?} with tiles of {tile}: {error}");
    }

    #[test]
    fn tiles_give_the_convolution_and_its_gradients() {
        let sizes = [
            (Shape::new(2, 5, 7, 3), 6, 1),
            (Shape::new(1, 4, 9, 5), 4, 0),
            (Shape::new(1, 3, 3, 4), 7, 2),
        ];
        for ((x, cout, pad), tile) in sizes.iter().flat_map(|&size| [(size, 2), (size, 4)]) {
            let (w, y) = (
                Shape::weight(3, 3, x.c, cout),
                Tiling::new(tile, pad, x, cout).y,
            );
            let (residual, divided) = (true, true);
            let conv = Conv2d {
                stride: 1,
                pad,
                epilogue: Epilogue {
                    divided,
                    residual,
                    activation: None,
                },
            };
            let (b, scalar) = (Shape::vector(cout), Shape::scalar());
            let arguments = [("x", x), ("w", w), ("b", b), ("r", y), ("s", scalar)];
            compare(conv, &arguments, x.c, tile);
            compare(Conv2d::new(1, pad), &arguments[..2], x.c, tile);
            let input = Conv2dInputGrad {
                stride: 1,
                pad,
                input: x,
                residual,
                divided,
            };
            compare(
                input,
                &[("dy", y), ("w", w), ("r", x), ("s", scalar)],
                x.c,
                tile,
            );
            let weight = Conv2dWeightGrad {
                stride: 1,
                pad,
                kh: 3,
                kw: 3,
            };
            compare(weight, &[("x", x), ("dy", y)], x.c, tile);
        }
    }

    fn forward_of(channels: [usize; 2], map: [usize; 3]) -> Convolution {
        Convolution {
            pass: Pass::Forward,
            map,
            channels,
        }
    }

    #[test]
    fn the_choice_depends_on_shape_and_device() {
        let map = |side| [1, side, side];
        let chosen =
            |target: &Target, channels, map| target.method(&forward_of(channels, map)).tile();
        let processor = target(Filtering::Chosen);
        let on_processor = |channels, map| chosen(&processor, channels, map);
        assert_eq!(on_processor([512, 512], map(32)), Some(4));
        assert_eq!(
            on_processor([1024, 1024], map(32)),
            Some(2),
            "of 144 MiB in tiles of four"
        );
        assert_eq!(on_processor([1024, 1024], map(16)), Some(2));
        assert_eq!(on_processor([1024, 1024], map(8)), None);
        assert_eq!(on_processor([64, 3], map(256)), None);
        let tiled = Target {
            family: Family::Tiled(Buffering::Double),
            ..target(Filtering::Chosen)
        };
        let on_card = |channels, map| chosen(&tiled, channels, map);
        assert_eq!(on_card([256, 256], map(64)), Some(4));
        assert_eq!(on_card([512, 512], map(32)), None, "one small map");
        assert_eq!(on_card([512, 512], [8, 32, 32]), Some(4));
        assert_eq!(on_card([64, 64], map(256)), None);
        assert_eq!(
            on_card([1024, 1024], map(64)),
            Some(2),
            "of 144 MiB in tiles of four"
        );
        let roomy = Target {
            max_binding_bytes: 1 << 30,
            ..tiled.clone()
        };
        assert_eq!(chosen(&roomy, [1024, 1024], map(64)), Some(4));
        let never = target(Filtering::Never);
        assert_eq!(chosen(&never, [512, 512], map(32)), None);
    }

    #[test]
    fn a_table_is_obeyed_where_it_fits() {
        let (narrow, wide) = (
            forward_of([8, 8], [1, 8, 8]),
            forward_of([1024, 1024], [1, 32, 32]),
        );
        let told = [(narrow, Method::TilesOfTwo), (wide, Method::TilesOfFour)];
        let table: Choices = told.into_iter().collect();
        let tuned = target(Filtering::Tuned(Arc::new(table)));
        assert_eq!(tuned.rule(&narrow), Method::Plain);
        assert_eq!(tuned.method(&narrow), Method::TilesOfTwo);
        assert!(!tuned.fits(&wide, Method::TilesOfFour), "144 MiB");
        assert_eq!(tuned.method(&wide), Method::TilesOfTwo, "by the rule");
        let other = forward_of([512, 512], [1, 32, 32]);
        assert_eq!(tuned.method(&other), Method::TilesOfFour, "by the rule");
        let grad = Convolution {
            pass: Pass::InputGrad,
            ..narrow
        };
        assert_eq!(tuned.method(&grad), Method::Plain, "by the rule");
    }

    /// A convolution between maps of eight channels, with the gradients of all it reads.
    fn with_gradients() -> Graph {
        let mut graph = Graph::new();
        let (map, weight) = (Shape::new(2, 6, 5, 8), Shape::weight(3, 3, 8, 8));
        let [x, dy] = ["x", "dy"].map(|name| graph.state(name, map).unwrap());
        let w = graph.state("w", weight).unwrap();
        let (stride, pad) = (1, 1);
        let y = graph.apply(Conv2d::new(stride, pad), &[x, w]).unwrap();
        let grad = Conv2dInputGrad {
            stride,
            pad,
            input: map,
            residual: false,
            divided: false,
        };
        let dx = graph.apply(grad, &[dy, w]).unwrap();
        let (kh, kw) = (3, 3);
        let grad = Conv2dWeightGrad {
            stride,
            pad,
            kh,
            kw,
        };
        let dw = graph.apply(grad, &[x, dy]).unwrap();
        // Of another geometry, and so no candidate.
        let strided = graph.apply(Conv2d::new(2, pad), &[x, w]).unwrap();
        for (name, id) in [("y", y), ("dx", dx), ("dw", dw), ("strided", strided)] {
            graph.output(name, id);
        }
        graph
    }

    #[test]
    fn plans_do_what_a_table_says_and_tell_it() {
        let graph = with_gradients();
        let of = |pass| Convolution {
            pass,
            map: [2, 6, 5],
            channels: [8, 8],
        };
        let table: Choices = [
            (of(Pass::Drawing), Method::TilesOfTwo),
            (of(Pass::Forward), Method::TilesOfFour),
            (of(Pass::InputGrad), Method::TilesOfTwo),
            (of(Pass::WeightGrad), Method::TilesOfFour),
        ]
        .into_iter()
        .collect();
        let names = |plan: &Plan| -> Vec<&str> {
            let steps = plan.steps.iter();
            steps.map(|step| step.op.name()).collect()
        };
        let plain = Plan::new(&graph, &target(Filtering::Chosen)).unwrap();
        assert!(
            names(&plain).iter().all(|name| name.starts_with("conv2d")),
            "{plain}"
        );
        let all_plain = plain.methods.iter().all(|(_, m)| m == Method::Plain);
        assert!(all_plain && plain.methods.len() == 3, "{plain}");

        let tuned = target(Filtering::Tuned(Arc::new(table.clone())));
        let plan = Plan::new(&graph, &tuned).unwrap();
        let find = |pass| plan.methods.get(&of(pass));
        assert_eq!(plan.methods.len(), 3);
        assert_eq!(plan.methods.differing(&table), 0);
        assert_eq!(find(Pass::Forward), Some(Method::TilesOfFour));
        let tiles: Vec<_> = plan
            .steps
            .iter()
            .filter_map(|step| match &step.op {
                Op::WinogradConv(conv) => Some(conv.tile),
                Op::WinogradFiltersGrad(grad) => Some(grad.tile),
                _ => None,
            })
            .collect();
        assert_eq!(tiles, [4, 2, 4], "{plan}");
        // Filters that never change have a choice of their own.
        let (plan, _) = Plan::over_constants(&graph, &tuned, |name| name == "w").unwrap();
        assert_eq!(
            plan.methods.get(&of(Pass::Drawing)),
            Some(Method::TilesOfTwo)
        );
        assert_eq!(plan.methods.get(&of(Pass::Forward)), None);
    }
}
