//! The settings of a case: each is honoured or refused by its name.

use serde_json::{Map, Value, json};
use spadework::config::{GanMode, LossConfig, ModelConfig, OptimConfig, Upsampling};
use spadework::{Error, Result};
use std::str::FromStr;

/// Settings of a case.
#[derive(Debug)]
pub struct Settings {
    pub model: ModelConfig,
    pub loss: LossConfig,
    pub optim: OptimConfig,
    pub vgg_divisor: usize,
}

/// Settings that describe the recording, or that decide nothing once weights and batches are given.
const WITHOUT_EFFECT: &str = "
    name seed kind full batch batchSize steps niter niter_decay init init_type init_variance nef
    model phase isTrain gpu_ids nThreads dataroot dataset_mode label_dir image_dir instance_dir preprocess_mode load_size
    serial_batches no_flip no_pairing_check coco_no_portraits max_dataset_size cache_filelist_write cache_filelist_read
    load_from_opt_file checkpoints_dir continue_train which_epoch save_latest_freq save_epoch_freq display_freq
    display_winsize print_freq no_html tf_log debug results_dir how_many";

impl Settings {
    /// Reads the JSON of a case. What it leaves out or gives as null has the published default.
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
        for (name, value) in config.iter().filter(|(_, value)| !value.is_null()) {
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
            "norm_G" => model.norm_g = norm(name, value)?,
            "norm_D" => model.norm_d = norm(name, value)?,
            "norm_E" => model.norm_e = norm(name, value)?,
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
            "vgg_div" => self.vgg_divisor = positive(name, value)?,
            "lr" => optim.lr = number(name, value)?,
            "no_TTUR" => optim.ttur = !flag(name, value)?,
            "beta1" => optim.beta1 = Some(decay(name, value)?),
            "beta2" => optim.beta2 = Some(decay(name, value)?),
            "D_steps_per_G" => optim.d_steps_per_g = positive(name, value)?,
            _ if WITHOUT_EFFECT.split_whitespace().any(|w| w == name) => {}
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
        "setting {name} = {value} is not built; only {only} is"
    )))
}

fn wrong<T>(name: &str, value: &Value, wanted: &str) -> Result<T> {
    Err(Error::Usage(format!(
        "setting {name} = {value}: expected {wanted}"
    )))
}

fn integer(name: &str, value: &Value) -> Result<usize> {
    let whole = value.as_f64().filter(|x| *x >= 0.0 && x.fract() == 0.0);
    whole.map_or_else(
        || wrong(name, value, "a whole number"),
        |whole| Ok(whole as usize),
    )
}

fn positive(name: &str, value: &Value) -> Result<usize> {
    match integer(name, value)? {
        0 => wrong(name, value, "1 or more"),
        positive => Ok(positive),
    }
}

fn number(name: &str, value: &Value) -> Result<f64> {
    value
        .as_f64()
        .map_or_else(|| wrong(name, value, "a number"), Ok)
}

fn decay(name: &str, value: &Value) -> Result<f64> {
    match number(name, value)? {
        decay if (0.0..1.0).contains(&decay) => Ok(decay),
        _ => wrong(name, value, "at least 0 and less than 1"),
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

fn norm<T: FromStr<Err = String>>(name: &str, value: &Value) -> Result<T> {
    let parsed = text(name, value)?.parse();
    parsed.map_err(|e: String| Error::Usage(format!("setting {name} = {value}: {e}")))
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
