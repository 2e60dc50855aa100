//! The first iteration of a case in double precision, by the references of the operations and without a GPU.
//!
//! A gradient may jump where an activation's input is nearly zero, so that single precision alone moves it further
//! than any bound allows. In double precision it does not: this tells a wrong graph from a rounded one.

use super::case::Case;
use spadework::cpu::{self, Run};
use spadework::graph::Shape;
use spadework::model::params::Params;
use spadework::model::step::{FINITE, factor_name, hyper_name};
use spadework::model::{Keep, Training, planar};
use spadework::ops::Tensor;
use spadework::state::{HostTensor, StateDict};
use spadework::{Error, Result};
use std::collections::HashMap;

impl Case<'_> {
    /// Losses, verdicts, pictures and gradients of the first iteration.
    pub fn first_iteration(&self) -> Result<StateDict> {
        if !self.has("step0.in.label") {
            return Err(Error::Usage(
                "--reference replays the first iteration, and this case has none".into(),
            ));
        }
        let training = self.training()?;
        let params = training.params();
        let mut given = self.given(&training, &params)?;
        let mut answers = StateDict::default();
        let (rate_g, rate_d) = self.settings.optim.rates(1);
        let steps = [
            (
                "G",
                rate_g,
                training.generator_step(&params, Keep::Everything)?,
            ),
            (
                "D",
                rate_d,
                training.discriminator_step(&params, Keep::Everything)?,
            ),
        ];
        for (step, rate, graph) in steps {
            let hyper = training.optimiser().hyper(rate, 1).map(f64::from);
            let hyper = Tensor::dense(Shape::vector(4), hyper.to_vec());
            given.insert(hyper_name(step), hyper);
            let Run { outputs, state } = cpu::run(&graph, &given);
            for (name, value) in &outputs {
                if let Some((name, value)) = answer(step, name, value, &training, &params) {
                    let name = format!("out.step0.{name}");
                    answers.tensors.insert(name, value);
                }
            }
            given.extend(state);
        }
        Ok(answers)
    }

    /// Everything that both steps read.
    fn given(&self, training: &Training, params: &Params) -> Result<HashMap<String, Tensor>> {
        let scalar = |x: f64| Tensor::dense(Shape::scalar(), vec![x]);
        let mut given = HashMap::from([(FINITE.to_owned(), scalar(1.0))]);
        for loss in training
            .generator_losses()
            .into_iter()
            .chain(training.discriminator_losses())
        {
            let factor = f64::from(training.factor(loss));
            given.insert(factor_name(loss), scalar(factor));
        }
        let init = self.state("init.")?;
        for spec in params.specs() {
            let values = Tensor::from_device(spec.shape(), &spec.find(&init.tensors)?);
            given.insert(spec.name.clone(), values);
        }
        let inputs = training.inputs();
        let map = self.map("step0.")?;
        let tables = inputs.tables(&map)?;
        for (name, words) in inputs.table_names().zip(tables) {
            given.insert(name, Tensor::Index(words));
        }
        given.insert(inputs.symbols_name(), Tensor::Index(map.ids));
        let [h, w] = inputs.output();
        let mut dense = |name: String, shape: Shape, values: &[f32]| {
            let values = values.iter().map(|&v| f64::from(v)).collect();
            given.insert(name, Tensor::dense(shape, values));
        };
        let photos = Shape::new(inputs.n(), h, w, 3);
        dense(inputs.photos_name(), photos, &self.photos("step0.")?);
        if self.settings.model.use_vae {
            for step in ["G", "D"] {
                let noise = self.numbers(&format!("step0.in.eps_{step}"))?;
                dense(inputs.noise_name(step), inputs.styles_shape(), &noise);
            }
        }
        Ok(given)
    }
}

/// An output under its recorded name, in published layout.
fn answer(
    step: &str,
    name: &str,
    value: &Tensor,
    training: &Training,
    params: &Params,
) -> Option<(String, HostTensor)> {
    if name == FINITE {
        return None;
    }
    if name == "fake" {
        return Some((format!("fake_{step}"), planar(value)));
    }
    let spec = name.strip_prefix("grad.").and_then(|name| params.get(name));
    let value = match (spec, name.strip_prefix("loss.")) {
        (Some(spec), _) => HostTensor::new(spec.dims.clone(), spec.unpack(&value.to_device(0.0))),
        (_, Some(loss)) => {
            let factor = f64::from(training.factor(loss));
            planar(&value.map(|x| factor * x))
        }
        _ => planar(value),
    };
    Some((name.to_owned(), value))
}
