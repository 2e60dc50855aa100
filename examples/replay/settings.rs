//! The settings of a case: each is honoured or refused by its name.

use serde_json::{Map, Value, json};
use spadework::config::{GanMode, LossConfig, ModelConfig, OptimConfig, Upsampling};
use spadework::{Error, Result};

/// Settings of a case.
#[derive(Debug)]
pub struct Settings {
    pub model: ModelConfig,
    pub loss: LossConfig,
    pub optim: OptimConfig,
    pub vgg_divisor: usize,
}

/// Settings that describe the recording, or that nothing reads.
const WITHOUT_EFFECT: [&str; 8] = [
    "name", "seed", "batch", "steps", "init", "kind", "full", "nef",
];

impl Settings {
    /// Reads the JSON of a case.
    pub fn parse(json: &str) -> Result<Self> {
        let config: Map<String, Value> = serde_json::from_str(json)
            .map_err(|e| Error::Data(format!("setting `config` of the metadata: {e}")))?;
        let mut settings = Self {
            model: ModelConfig {
                edges: true,
                ..ModelConfig::default()
            },
            loss: LossConfig::default(),
            optim: OptimConfig::default(),
            vgg_divisor: 1,
        };
        for (name, value) in &config {
            settings.set(name, value)?;
        }
        settings.model.validate()?;
        Ok(settings)
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<()> {
        let Self {
            model, loss, optim, ..
        } = self;
        match name {
            "ngf" => model.ngf = integer(name, value)?,
            "nhidden" => model.spade_hidden = integer(name, value)?,
            "num_upsampling_layers" => {
                let all = [Upsampling::Normal, Upsampling::More, Upsampling::Most];
                model.upsampling = choice(name, value, &all.map(|u| (u.to_string(), u)))?;
            }
            "norm_G" => model.norm_g = text(name, value)?.parse().map_err(Error::Usage)?,
            "norm_D" => model.norm_d = text(name, value)?.parse().map_err(Error::Usage)?,
            "norm_E" => model.norm_e = text(name, value)?.parse().map_err(Error::Usage)?,
            "use_vae" => model.use_vae = flag(name, value)?,
            "z_dim" => model.z_dim = integer(name, value)?,
            "enc_size" => model.enc_size = integer(name, value)?,
            "crop_size" => model.crop_size = integer(name, value)?,
            "aspect_ratio" => model.aspect_ratio = number(name, value)?,
            "label_nc" => model.label_nc = integer(name, value)?,
            "contain_dontcare_label" => model.dontcare = flag(name, value)?,
            "no_instance" => model.edges = !flag(name, value)?,
            "parallel_bn" => model.parallel_bn = flag(name, value)?,
            "ndf" => model.ndf = integer(name, value)?,
            "n_layers_D" => model.n_layers_d = integer(name, value)?,
            "num_D" => model.num_d = integer(name, value)?,
            "gan_mode" => {
                let modes = [
                    ("hinge", GanMode::Hinge),
                    ("ls", GanMode::Ls),
                    ("original", GanMode::Original),
                    ("w", GanMode::W),
                ];
                loss.gan_mode = choice(name, value, &modes.map(|(n, m)| (n.to_owned(), m)))?;
            }
            "no_ganFeat_loss" => loss.gan_feat_loss = !flag(name, value)?,
            "no_vgg_loss" => loss.vgg_loss = !flag(name, value)?,
            "lambda_feat" => loss.lambda_feat = number(name, value)?,
            "lambda_kld" => loss.lambda_kld = number(name, value)?,
            "lambda_vgg" => loss.lambda_vgg = number(name, value)?,
            "vgg_div" => self.vgg_divisor = integer(name, value)?,
            "lr" => optim.lr = number(name, value)?,
            "no_TTUR" => optim.ttur = !flag(name, value)?,
            "beta1" => optim.beta1 = optional(name, value)?,
            "beta2" => optim.beta2 = optional(name, value)?,
            "D_steps_per_G" => optim.d_steps_per_g = integer(name, value)?.max(1),
            _ if WITHOUT_EFFECT.contains(&name) => {}
            _ => return fixed(name, value),
        }
        Ok(())
    }
}

/// Settings that may only have the value that is built.
fn fixed(name: &str, value: &Value) -> Result<()> {
    let only = match name {
        "output_nc" => json!(3),
        "netG" => json!("spade"),
        "netD" => json!("multiscale"),
        "netD_subarch" => json!("n_layer"),
        "optimizer" => json!("adam"),
        _ => return Err(Error::Usage(format!("setting {name} = {value} is unknown"))),
    };
    if *value == only {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "setting {name} = {value} is not built yet; only {only} is"
    )))
}

fn wrong<T>(name: &str, value: &Value, wanted: &str) -> Result<T> {
    Err(Error::Usage(format!(
        "setting {name} = {value}: expected {wanted}"
    )))
}

fn integer(name: &str, value: &Value) -> Result<usize> {
    match value.as_u64() {
        Some(integer) => Ok(integer as usize),
        None => wrong(name, value, "a whole number"),
    }
}

fn number(name: &str, value: &Value) -> Result<f64> {
    value
        .as_f64()
        .map_or_else(|| wrong(name, value, "a number"), Ok)
}

fn optional(name: &str, value: &Value) -> Result<Option<f64>> {
    match value {
        Value::Null => Ok(None),
        _ => number(name, value).map(Some),
    }
}

fn flag(name: &str, value: &Value) -> Result<bool> {
    value
        .as_bool()
        .map_or_else(|| wrong(name, value, "true or false"), Ok)
}

fn text<'a>(name: &str, value: &'a Value) -> Result<&'a str> {
    value
        .as_str()
        .map_or_else(|| wrong(name, value, "a string"), Ok)
}

fn choice<T: Copy>(name: &str, value: &Value, choices: &[(String, T)]) -> Result<T> {
    let wanted = text(name, value)?;
    match choices.iter().find(|(choice, _)| choice == wanted) {
        Some((_, choice)) => Ok(*choice),
        None => {
            let names: Vec<_> = choices.iter().map(|(name, _)| name.as_str()).collect();
            wrong(name, value, &format!("one of {}", names.join(", ")))
        }
    }
}
