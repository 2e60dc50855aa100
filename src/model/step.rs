//! The two steps of a training iteration as graphs, in the order of the published code: first the generator, then,
//! with its new weights, the discriminator. Losses are assembled here and nowhere else.
//!
//! Both steps run all networks in training mode, so running statistics and singular vectors of each advance twice an
//! iteration. With an encoder each step draws its styles with noise of its own, and one optimiser trains encoder and
//! generator.
//!
//! A batch may be computed in parts, to take less memory: their gradients are added up, and what the last of them leaves
//! changes everything. Every part reads the same weights and advances the same singular vectors, and losses that are means
//! weigh a part by its share, so the update is the whole batch's, to rounding; batch norm alone sees a part at a time.
//!
//! Numbers that are not finite stop a step. Losses and new statistics are looked at before anything changes. Then each
//! weight is updated as soon as its gradient is there, is finite, and nothing reads the old weight any more, so that
//! gradients share memory; a bad gradient stops its own weight and all after it. Statistics, singular vectors and averages
//! change at the end, if all was good. Where gradients are to be read, or added up over parts, they are all kept, and then
//! all of them decide before anything changes.

use super::discriminator::{Verdict, discriminator_params, discriminators};
use super::encoder::{Code, draw, encoder, encoder_params};
use super::generator::{generator, generator_params};
use super::inputs::Inputs;
use super::losses::{Side, divergence, feature_matching, gan_loss, perceptual};
use super::net::{Mode, Net, Statistics, average, has_average};
use super::params::Params;
use super::vgg::vgg_params;
use crate::Result;
use crate::config::{LossConfig, ModelConfig, NormKind};
use crate::graph::autodiff::gradients;
use crate::graph::{Graph, Shape, ValueId};
use crate::ops::Real;
use crate::ops::accumulate::{Accumulate, Both};
use crate::ops::adam::Adam;
use crate::ops::copy::{Axis, Concat, CopyRange};
use crate::ops::elementwise::Scale;
use crate::ops::spectral::PowerIteration;
use crate::ops::state::{Average, Commit, Finite};

/// State that is 1 until a loss or gradient is not finite; while it is 0 no other state changes.
pub const FINITE: &str = "finite";
/// Output that is 1 if losses and new statistics are finite; [`FINITE`] is that, and that all gradients are.
pub const SOUND: &str = "sound";
/// Input that holds the share of the newest weights in their moving average.
pub const SHARE: &str = "share";
/// Input that holds the number one: what always takes place.
pub const ONE: &str = "one";

/// Input that is 1 while a batch's first part is computed, where there are several.
pub const FIRST: &str = "first";
/// Input that is 1 while a batch's last part is computed, where there are several.
pub const LAST: &str = "last";

/// What decides the graphs of training.
#[derive(Clone, Debug)]
pub struct Training {
    /// The networks.
    pub model: ModelConfig,
    /// What they minimise. The perceptual loss takes part if it is wanted here and `vgg_divisor` is given.
    pub loss: LossConfig,
    /// Decays of Adam's moments.
    pub betas: (f64, f64),
    /// Decay of a moving average of the generator, where one is kept.
    pub ema: Option<f64>,
    /// Pictures in a batch.
    pub batch_size: usize,
    /// Parts a batch is computed in, one after another; they divide it evenly.
    pub accumulate: usize,
    /// What the widths of VGG-19 are divided by (1 for the real one); none where there are no weights for it.
    pub vgg_divisor: Option<usize>,
}

/// What can be read after a step, besides its losses and, of the generator's step, its pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// No more.
    Losses,
    /// Logits, features and gradients as well, at the price of memory for all of them.
    Everything,
}

impl Training {
    /// Whether a weight changes before the gradients of others are known: not where all are to be read, or added up.
    pub fn updates_early(&self, keep: Keep) -> bool {
        keep == Keep::Losses && self.accumulate == 1
    }

    /// All tensors of the networks.
    pub fn params(&self) -> Params {
        let mut params = generator_params(&self.model);
        params.extend(discriminator_params(&self.model));
        if self.model.use_vae {
            params.extend(encoder_params(&self.model));
        }
        if let Some(divisor) = self.vgg() {
            params.extend(vgg_params(divisor));
        }
        params
    }

    /// Pictures that are computed at once: those of a part of the batch.
    pub fn part_size(&self) -> usize {
        self.batch_size / self.accumulate
    }

    /// What a part of a batch puts on the device.
    pub fn inputs(&self) -> Inputs {
        Inputs::training(&self.model, self.part_size())
    }

    /// The same in ever more parts, down to single pictures.
    pub fn in_more_parts(&self) -> impl Iterator<Item = Self> {
        let parts = (self.accumulate + 1..=self.batch_size)
            .filter(|&parts| self.batch_size.is_multiple_of(parts));
        parts.map(|accumulate| Self {
            accumulate,
            ..self.clone()
        })
    }

    /// Whether the parts of a batch make the same update as the whole: not if a norm takes moments over all pictures that
    /// are computed at once.
    pub fn is_separable(&self) -> bool {
        !self.model.norms_over_pictures()
    }

    /// Names of the losses of a generator step, in the published order.
    pub fn generator_losses(&self) -> Vec<&'static str> {
        let all = [
            ("KLD", self.model.use_vae),
            ("GAN", true),
            ("GAN_Feat", self.loss.gan_feat_loss),
            ("VGG", self.vgg().is_some()),
        ];
        let wanted = all.into_iter().filter(|(_, wanted)| *wanted);
        wanted.map(|(name, _)| name).collect()
    }

    /// Names of the losses of a discriminator step, in the published order.
    pub fn discriminator_losses(&self) -> Vec<&'static str> {
        vec!["D_Fake", "D_real"]
    }

    /// Factor of a part's loss in the sum that is minimised: its weight and, where it is a mean over scales or over
    /// pictures, their number.
    pub fn factor(&self, loss: &str) -> f32 {
        let share = 1.0 / self.accumulate as f32;
        match loss {
            // A sum over pictures.
            "KLD" => self.loss.lambda_kld as f32,
            "GAN_Feat" => share * self.loss.lambda_feat as f32 / self.model.num_d as f32,
            "VGG" => share * self.loss.lambda_vgg as f32,
            _ => share,
        }
    }

    fn vgg(&self) -> Option<usize> {
        self.vgg_divisor.filter(|_| self.loss.vgg_loss)
    }

    /// The generator's step.
    ///
    /// # Errors
    /// If a setting is not supported or a size does not work out; the message names it.
    pub fn generator_step(&self, params: &Params, keep: Keep) -> Result<Graph> {
        self.model.validate()?;
        let inputs = self.inputs();
        let mut net = Net::new(params, Mode::Training).like_parallel(&self.model);
        let real = inputs.photos(&mut net)?;
        let (fake, code) = self.pictures(&mut net, &inputs, real, "G")?;
        let [on_fake, on_real] = if self.judges_apart() {
            [fake, real].map(|pictures| discriminators(&mut net, &self.model, &inputs, pictures))
        } else {
            self.judge_together(&mut net, &inputs, fake, real)?.map(Ok)
        };
        let (on_fake, on_real) = (on_fake?, on_real?);
        let losses = self.assemble(&mut net, [fake, real], code, &on_fake, &on_real)?;
        net.graph.output("fake", fake);
        if keep == Keep::Everything {
            if let Some(Code { mu, logvar }) = code {
                net.graph.output("mu", mu);
                net.graph.output("logvar", logvar);
            }
            keep_verdicts(&mut net, &on_fake, &on_real);
        }
        self.finish(net, params, "G", &losses, keep)
    }

    /// The discriminator's step.
    ///
    /// # Errors
    /// If a setting is not supported or a size does not work out; the message names it.
    pub fn discriminator_step(&self, params: &Params, keep: Keep) -> Result<Graph> {
        self.model.validate()?;
        let inputs = self.inputs();
        let mut net = Net::new(params, Mode::Training).like_parallel(&self.model);
        let real = inputs.photos(&mut net)?;
        let (fake, _) = self.pictures(&mut net, &inputs, real, "D")?;
        let [on_fake, on_real] = self.judge_together(&mut net, &inputs, fake, real)?;
        let mode = self.loss.gan_mode;
        let losses = [
            gan_loss(&mut net, &logits(&on_fake), mode, Side::Fake)?,
            gan_loss(&mut net, &logits(&on_real), mode, Side::Real)?,
        ];
        if keep == Keep::Everything {
            net.graph.output("fake", fake);
        }
        let names = self.discriminator_losses();
        let losses: Vec<_> = names.into_iter().zip(losses).collect();
        self.finish(net, params, "D", &losses, keep)
    }

    /// Pictures of the batch's label maps, with an encoder in styles drawn from what it says of the photos.
    fn pictures(
        &self,
        net: &mut Net,
        inputs: &Inputs,
        photos: ValueId,
        step: &str,
    ) -> Result<(ValueId, Option<Code>)> {
        if !self.model.use_vae {
            return Ok((generator(net, &self.model, inputs, None)?, None));
        }
        let code = encoder(net, &self.model, photos)?;
        let noise = inputs.noise(net, step)?;
        let styles = draw(net, code, noise)?;
        let fake = generator(net, &self.model, inputs, Some(styles))?;
        Ok((fake, Some(code)))
    }

    /// The generator, or its average where one is kept, over a batch, and estimates moved by [`SHARE`] to the statistics
    /// its batch norms take of it.
    ///
    /// # Errors
    /// If a size does not work out; the message names it.
    pub fn calibration(&self, params: &Params) -> Result<(Graph, Vec<Statistics>)> {
        let inputs = self.inputs();
        let net = match self.ema {
            Some(_) => Net::of_average(params, Mode::BatchStatistics),
            None => Net::new(params, Mode::BatchStatistics),
        };
        let mut net = net.like_parallel(&self.model);
        let photos = inputs.photos(&mut net)?;
        self.pictures(&mut net, &inputs, photos, "G")?;
        // The encoder's, which it runs through as well, stay what training left.
        let of_generator = |norm: &&Statistics| norm.name.starts_with("G.");
        let statistics = net.statistics().iter().filter(of_generator);
        let statistics: Vec<_> = statistics.cloned().collect();
        let scalar = crate::graph::Ty::SCALAR;
        let share = net.graph.input(SHARE, scalar)?;
        let always = net.graph.input(ONE, scalar)?;
        for norm in &statistics {
            for (name, new) in Self::estimates(&norm.name)
                .iter()
                .zip([norm.mean, norm.variance])
            {
                let shape = net.graph.shape(new);
                let estimate = net.graph.state(name, shape)?;
                let moved = net.apply(Average {}, &[estimate, new, share, always])?;
                net.graph.update(moved);
            }
        }
        Ok((net.graph, statistics))
    }

    /// Names of the estimates of [`Training::calibration`] of a norm's mean and biased variance.
    pub fn estimates(norm: &str) -> [String; 2] {
        ["mean", "variance"].map(|which| format!("estimate.{which}.{norm}"))
    }

    /// Whether pictures and photos may go through the discriminator one after the other, which spares the backward
    /// pass of the photos: not if its norms take their moments over both.
    fn judges_apart(&self) -> bool {
        !matches!(
            self.model.norm_d.kind,
            NormKind::Batch | NormKind::SyncBatch
        )
    }

    /// Verdicts on synthesised pictures and on photos, judged as one batch.
    fn judge_together(
        &self,
        net: &mut Net,
        inputs: &Inputs,
        fake: ValueId,
        real: ValueId,
    ) -> Result<[Vec<Verdict>; 2]> {
        let both = net.apply(Concat { axis: Axis::N }, &[fake, real])?;
        let verdicts = discriminators(net, &self.model, inputs, both)?;
        let n = inputs.n();
        let mut half = |value, from| {
            let range = CopyRange {
                axis: Axis::N,
                from,
                to: 0,
                len: n,
                out_len: n,
            };
            net.apply(range, &[value])
        };
        let mut halves = [Vec::new(), Vec::new()];
        for Verdict { features, logits } in verdicts {
            for (half_verdicts, from) in halves.iter_mut().zip([0, n]) {
                let features = features.iter().map(|&x| half(x, from));
                half_verdicts.push(Verdict {
                    features: features.collect::<Result<_>>()?,
                    logits: half(logits, from)?,
                });
            }
        }
        Ok(halves)
    }

    /// The generator's losses by name, not weighted yet.
    fn assemble(
        &self,
        net: &mut Net,
        [fake, real]: [ValueId; 2],
        code: Option<Code>,
        on_fake: &[Verdict],
        on_real: &[Verdict],
    ) -> Result<Vec<(&'static str, ValueId)>> {
        let mut losses = Vec::new();
        for name in self.generator_losses() {
            let loss = match (name, code) {
                ("KLD", Some(code)) => divergence(net, code, 1.0)?,
                ("GAN", _) => {
                    let mode = self.loss.gan_mode;
                    gan_loss(net, &logits(on_fake), mode, Side::Generator)?
                }
                ("GAN_Feat", _) => feature_matching(net, on_fake, on_real, on_fake.len() as f32)?,
                _ => perceptual(net, fake, real, 1.0)?,
            };
            losses.push((name, loss));
        }
        Ok(losses)
    }

    /// Prefixes of the networks that a step trains.
    fn trained(step: &str) -> &'static [&'static str] {
        match step {
            "G" => &["G.", "E."],
            _ => &["D."],
        }
    }

    /// Gradients of the weighted sum of losses, verdicts on all numbers, and behind them every change of state.
    fn finish(
        &self,
        mut net: Net,
        params: &Params,
        step: &str,
        losses: &[(&'static str, ValueId)],
        keep: Keep,
    ) -> Result<Graph> {
        let commits = net.commits().to_vec();
        let graph = &mut net.graph;
        let mut finite = graph.state(FINITE, Shape::scalar())?;
        let checked = losses.iter().map(|&(_, loss)| loss);
        for value in checked.chain(commits.iter().map(|&(_, new)| new)) {
            finite = graph.apply(Finite {}, &[finite, value])?;
        }
        // A copy, because the flag itself goes on.
        let copy = Scale { factor: Real(1.0) };
        let sound = graph.apply(copy.clone(), &[finite])?;
        graph.output(SOUND, sound);
        for &(name, loss) in losses {
            graph.output(&format!("loss.{name}"), loss);
        }
        let networks = Self::trained(step).iter();
        let trained: Vec<_> = networks.flat_map(|n| params.trained(n)).collect();
        let mut values = Vec::new();
        for spec in &trained {
            values.push(net.param(&spec.name)?);
        }
        let mut seeds = Vec::new();
        for &(name, loss) in losses {
            // An input, so that it can change between iterations.
            let scalar = crate::graph::Ty::SCALAR;
            seeds.push((loss, net.graph.input(&factor_name(name), scalar)?));
        }
        let grads = gradients(&mut net.graph, &seeds, &values)?;
        let names = trained.iter().map(|spec| spec.name.as_str());
        let learned = names.zip(values).zip(grads);
        let mut learned: Vec<Learned> = learned
            .filter_map(|((name, value), grad)| grad.map(|grad| (name, value, grad)))
            .collect();
        let graph = &mut net.graph;
        if self.accumulate > 1 {
            add_up(graph, &mut learned)?;
        }
        let updates_early = self.updates_early(keep);
        if updates_early {
            by_readiness(graph, &mut learned);
        }
        for &(name, _, grad) in &learned {
            if keep == Keep::Everything {
                graph.output(&format!("grad.{name}"), grad);
            }
            if !updates_early {
                finite = graph.apply(Finite {}, &[finite, grad])?;
            }
        }
        let mut ready = finite;
        if self.accumulate > 1 {
            let last = graph.input(LAST, crate::graph::Ty::SCALAR)?;
            ready = graph.apply(Both {}, &[finite, last])?;
        }
        let mut changed = Vec::new();
        for (name, value, grad) in learned {
            if updates_early {
                finite = graph.apply(Finite {}, &[finite, grad])?;
                ready = finite;
            }
            let written = self.adam(graph, step, name, [value, grad, ready])?;
            changed.push((name.to_owned(), written));
        }
        for (state, new) in commits {
            let written = graph.apply(Commit {}, &[state, new, ready])?;
            graph.update(written);
            changed.push((graph.label(state), written));
        }
        if self.ema.is_some() && step == "G" {
            follow(graph, &changed, ready)?;
        }
        // The other step goes on with the flag.
        let verdict = graph.apply(copy, &[finite])?;
        graph.output(FINITE, verdict);
        Ok(net.graph)
    }

    fn adam(
        &self,
        graph: &mut Graph,
        step: &str,
        name: &str,
        [value, grad, finite]: [ValueId; 3],
    ) -> Result<ValueId> {
        let beta1 = self.betas.0;
        let shape = graph.shape(value);
        let mut inputs = vec![value];
        if beta1 != 0.0 {
            inputs.push(graph.state(&first_moment(name), shape)?);
        }
        let hyper = crate::graph::Ty::Dense(Shape::vector(4));
        inputs.extend([
            graph.state(&second_moment(name), shape)?,
            grad,
            graph.input(&hyper_name(step), hyper)?,
            finite,
        ]);
        let written = graph.apply_all(self.optimiser(), &inputs)?;
        written.iter().for_each(|&state| graph.update(state));
        Ok(written[0])
    }

    /// The optimiser of both networks.
    pub fn optimiser(&self) -> Adam {
        let (beta1, beta2) = self.betas;
        Adam {
            beta1: Real(beta1 as f32),
            beta2: Real(beta2 as f32),
            eps: Real(1e-8),
        }
    }
}

/// A weight by its name, and its gradient.
type Learned<'a> = (&'a str, ValueId, ValueId);

/// Puts in the place of each gradient its sum over the parts of the batch so far.
fn add_up(graph: &mut Graph, learned: &mut [Learned]) -> Result<()> {
    let first = graph.input(FIRST, crate::graph::Ty::SCALAR)?;
    for (name, _, grad) in learned {
        let sum = graph.state(&gradient_sum(name), graph.shape(*grad))?;
        *grad = graph.apply(Accumulate {}, &[sum, *grad, first])?;
        graph.update(*grad);
    }
    Ok(())
}

/// Sorts weights by when they may change: when their gradient is there and nothing that was applied reads the old weight
/// any more.
fn by_readiness(graph: &Graph, learned: &mut [Learned]) {
    learned.sort_by_cached_key(|(_, value, grad)| {
        let mut nodes = graph.nodes().iter();
        nodes.rposition(|node| node.inputs.contains(value) || node.outputs.contains(grad))
    });
}

/// Moves the averages of the generator after what changed, given by name.
///
/// Running statistics are averaged as weights are. Singular vectors are not: the average of unit vectors is shorter,
/// which would make sigma too small. Averaged filters have vectors of their own, which a power iteration keeps true.
fn follow(graph: &mut Graph, changed: &[(String, ValueId)], finite: ValueId) -> Result<()> {
    let share = graph.input(SHARE, crate::graph::Ty::SCALAR)?;
    let is_vector = |name: &str| name.ends_with(".weight_u") || name.ends_with(".weight_v");
    for (name, new) in changed {
        if !has_average(name) || is_vector(name) {
            continue;
        }
        let state = graph.state(&average(name), graph.shape(*new))?;
        let moved = graph.apply(Average {}, &[state, *new, share, finite])?;
        graph.update(moved);
        let Some(conv) = name.strip_suffix(".weight_orig") else {
            continue;
        };
        let vector = |which: &str| {
            let name = format!("{conv}.weight_{which}");
            let found = changed.iter().find(|(changed, _)| *changed == name);
            found.map(|(name, value)| (average(name), *value))
        };
        let (Some((u, u_now)), Some((v, v_now))) = (vector("u"), vector("v")) else {
            continue;
        };
        let [u_shape, v_shape] = [u_now, v_now].map(|value| graph.shape(value));
        let (u, v) = (graph.state(&u, u_shape)?, graph.state(&v, v_shape)?);
        let cin = v_shape.c;
        let advanced = graph.apply_all(PowerIteration { cin }, &[moved, u])?;
        for (state, new) in [(u, advanced[0]), (v, advanced[1])] {
            let written = graph.apply(Commit {}, &[state, new, finite])?;
            graph.update(written);
        }
    }
    Ok(())
}

/// Name of Adam's first moment of a parameter.
pub fn first_moment(name: &str) -> String {
    format!("m.{name}")
}

/// Name of Adam's second moment of a parameter.
pub fn second_moment(name: &str) -> String {
    format!("v.{name}")
}

/// Name of the sum of a parameter's gradients over the parts of a batch.
pub fn gradient_sum(name: &str) -> String {
    format!("sum.{name}")
}

/// Name of the input that holds the factor of a loss: its gradient with respect to the weighted sum.
pub fn factor_name(loss: &str) -> String {
    format!("factor.{loss}")
}

/// Name of the input that holds Adam's step sizes in a step, `G` or `D`.
pub fn hyper_name(step: &str) -> String {
    format!("rate.{step}")
}

fn logits(verdicts: &[Verdict]) -> Vec<ValueId> {
    verdicts.iter().map(|verdict| verdict.logits).collect()
}

fn keep_verdicts(net: &mut Net, on_fake: &[Verdict], on_real: &[Verdict]) {
    for (scale, (fake, real)) in on_fake.iter().zip(on_real).enumerate() {
        net.graph.output(&format!("pred_fake.{scale}"), fake.logits);
        net.graph.output(&format!("pred_real.{scale}"), real.logits);
        for (layer, &feature) in fake.features.iter().enumerate() {
            let name = format!("feat_fake.{scale}.{layer}");
            net.graph.output(&name, feature);
        }
    }
}
