//! Group norm: in each sample, neighbouring channels share their statistics. With one group it is layer norm.
//!
//! The moments of every channel come first, as for instance norm. Channels count equally many pixels, so a group's
//! mean is the mean of their means, and its variance the mean of their variances plus the variance of their means.

use super::*;

/// `y = (x - mean) / sqrt(var + eps)` with the moments of a group of channels of a sample. Results: y, mean and biased
/// variance, the latter two for every channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupNorm {
    /// Number of groups, which divides the number of channels.
    pub groups: usize,
    /// Guard of the division.
    pub eps: Real,
}

impl GroupNorm {
    /// The map that normalises once the statistics are known.
    fn norm(&self) -> Norm {
        Norm {
            per_sample: true,
            eps: self.eps,
            rule: EpsRule::Add,
        }
    }

    /// A dispatch over `rows` rows of channels.
    fn over(&self, entry: &'static str, x: Shape, rows: usize) -> Dispatch {
        Dispatch::new("group_norm", entry)
            .items(rows * x.c4())
            .param(x.c4())
            .param(x.c)
            .param(x.c / self.groups)
    }

    /// Mean over the pixels and channels of each group, for every channel, by the definition.
    fn mean(&self, x: &Tensor) -> Tensor {
        let Shape { n, h, w, c } = x.shape();
        let width = c / self.groups;
        let mut means = vec![0.0; n * self.groups];
        for (i, value) in x.data().iter().enumerate() {
            let (sample, channel) = (i / (h * w * c), i % c);
            means[sample * self.groups + channel / width] += value / (h * w * width) as f64;
        }
        Tensor::from_fn(stat_shape(x.shape(), true), |n, _, _, c| {
            means[n * self.groups + c / width]
        })
    }

    /// `x - mean`, by the definition.
    fn centered(x: &Tensor, mean: &Tensor) -> Tensor {
        Tensor::from_fn(x.shape(), |n, h, w, c| {
            x.at(n, h, w, c) - mean.at(n, 0, 0, c)
        })
    }
}

impl Operation for GroupNorm {
    fn name(&self) -> &'static str {
        "group_norm"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let x = inputs[0].shape();
        if x.is_empty() || self.groups == 0 || !x.c.is_multiple_of(self.groups) {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("{x} does not fall into {} groups of channels", self.groups),
            });
        }
        let stats = Ty::Dense(stat_shape(x, true));
        Ok(vec![inputs[0], stats, stats])
    }

    fn grad(&self, graph: &mut Graph, at: &Backward) -> Result<Vec<Option<ValueId>>> {
        let arguments = [at.grad(), at.inputs[0], at.outputs[1], at.outputs[2]];
        let dx = graph.apply(GroupNormGrad { forward: *self }, &arguments)?;
        Ok(vec![Some(dx)])
    }

    fn kernel(&self, site: &Site) -> Kernel {
        use Binding::{Input, Output, Scratch};
        let x = site.input(0);
        let stats = stat_shape(x, true).vec4s() * 4;
        let mut dispatches = moments(Input(0), x, true, Scratch(0), Scratch(1), Scratch(2));
        dispatches.push(self.over("moments", x, x.n).bind(&[
            Scratch(1),
            Scratch(2),
            Output(1),
            Output(2),
        ]));
        let bindings = [Input(0), Output(1), Output(2), Output(0)];
        dispatches.push(map("apply", x, &self.norm()).bind(&bindings));
        Kernel {
            scratch: vec![moments_scratch(x, true), stats, stats],
            dispatches,
        }
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let mean = self.mean(inputs[0]);
        let variance = self.mean(&Self::centered(inputs[0], &mean).map(|off| off * off));
        let y = apply_reference(&self.norm(), inputs[0], &mean, &variance);
        vec![y, mean, variance]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        self.norm().cost(inputs, outputs)
    }

    fn differentiable_outputs(&self, _: usize) -> Vec<usize> {
        vec![0]
    }
}

/// Shapes with numbers of groups: one, one for each channel, borders within and between vec4s, and every level of
/// the tree.
fn grouped_shapes() -> [(Shape, usize); 7] {
    [
        (Shape::new(1, 1, 2, 4), 1),
        (Shape::new(2, 3, 5, 7), 7),
        (Shape::new(2, 3, 5, 7), 1),
        (Shape::new(3, 13, 6, 6), 2),
        (Shape::new(1, 5, 3, 184), 8),
        (Shape::new(1, 23, 29, 12), 3),
        (Shape::new(2, 67, 63, 9), 3),
    ]
}

impl Cases for GroupNorm {
    fn cases() -> Vec<Case> {
        let case = |name: String, groups: usize, x: CaseInput| Case {
            name,
            op: Self {
                groups,
                eps: Real(1e-5),
            }
            .into(),
            inputs: vec![x],
        };
        let mut cases: Vec<_> = grouped_shapes()
            .into_iter()
            .map(|(shape, groups)| case(format!("{shape}"), groups, CaseInput::dense(shape)))
            .collect();
        let shape = Shape::new(2, 3, 4, 6);
        for groups in [6, 3] {
            let x = CaseInput::Values(nearly_constant(shape));
            cases.push(case("nearly constant channel".into(), groups, x));
        }
        cases
    }
}

/// Derivative of [`GroupNorm`]. Arguments: dy, x, mean, variance; result: dx.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupNormGrad {
    /// The normalisation.
    pub forward: GroupNorm,
}

impl Operation for GroupNormGrad {
    fn name(&self) -> &'static str {
        "group_norm_grad"
    }

    fn shape(&self, inputs: &[Ty]) -> Result<Vec<Ty>> {
        let [dy, x, mean, variance] = [0, 1, 2, 3].map(|i| inputs[i].shape());
        if dy != x || [mean, variance] != [stat_shape(x, true); 2] {
            return Err(Error::Shape {
                op: self.name(),
                message: format!("dy {dy}, x {x}, mean {mean}, variance {variance}"),
            });
        }
        Ok(vec![inputs[1]])
    }

    fn grad(&self, _: &mut Graph, _: &Backward) -> Result<Vec<Option<ValueId>>> {
        Err(no_grad(self.name()))
    }

    fn kernel(&self, site: &Site) -> Kernel {
        use Binding::{Input, Output, Scratch};
        let x = site.input(1);
        let tree = tree(x, true);
        let mut dispatches =
            vec![tiles("grad_tiles", &tree).bind(&[Input(0), Input(1), Input(2), Scratch(0)])];
        dispatches.extend(tree.fold(Scratch(0)));
        let sums = self.forward.over("sums", x, 2 * x.n).param(tree.levels[0]);
        dispatches.push(sums.bind(&[Scratch(0), Scratch(1)]));
        let statistics = [Input(0), Input(1), Input(2), Input(3)];
        let last = map_over("grad_apply", x, &self.forward.norm(), 1);
        dispatches.push(last.bind(&statistics).bind(&[Scratch(1), Output(0)]));
        Kernel {
            scratch: vec![tree.scratch(), 2 * x.n * x.c4() * 4],
            dispatches,
        }
    }

    fn reference(&self, inputs: &[&Tensor], _: &[Ty]) -> Vec<Tensor> {
        let [dy, x, mean, variance] = [0, 1, 2, 3].map(|i| inputs[i]);
        let off = GroupNorm::centered(x, mean);
        let mean_d = self.forward.mean(dy);
        let mean_product = self.forward.mean(&dy.zip(&off, |d, x| d * x));
        vec![Tensor::from_fn(x.shape(), |n, h, w, c| {
            let v = variance.at(n, 0, 0, c) + f64::from(self.forward.eps.0);
            let slope = mean_product.at(n, 0, 0, c) / v;
            let d = dy.at(n, h, w, c) - mean_d.at(n, 0, 0, c);
            (d - off.at(n, h, w, c) * slope) / v.sqrt()
        })]
    }

    fn cost(&self, inputs: &[Ty], outputs: &[Ty]) -> Cost {
        Cost {
            macs: 4 * inputs[0].shape().len() as u64,
            adds: 0,
            bytes: 4 * inputs[0].bytes() + outputs[0].bytes(),
        }
    }
}

impl Cases for GroupNormGrad {
    fn cases() -> Vec<Case> {
        let case = |(shape, groups): (Shape, usize)| {
            let forward = GroupNorm {
                groups,
                eps: Real(1e-5),
            };
            let stats = stat_shape(shape, true);
            Case {
                name: format!("{shape}"),
                op: Self { forward }.into(),
                inputs: vec![
                    CaseInput::dense(shape),
                    CaseInput::dense(shape),
                    CaseInput::range(stats, -0.5, 0.5),
                    CaseInput::range(stats, 0.1, 1.0),
                ],
            }
        };
        grouped_shapes().into_iter().map(case).collect()
    }
}
