//! `spadework import`.

use std::path::PathBuf;

use spadework::config::{LayerNorm, Upsampling};
use spadework::convert::{self, Known};
use spadework::data::DatasetMode;
use spadework::{Error, Result};

/// Options of `import`.
#[derive(clap::Args)]
pub struct Args {
    /// Files of the official code, in any order: latest_net_G.pth and, if there are any, those of D and E
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Checkpoint to write
    #[arg(long, value_name = "CHECKPOINT")]
    out: PathBuf,
    /// Published data set the model was trained on, which decides everything below
    #[arg(long, value_name = "MODE")]
    dataset_mode: Option<DatasetMode>,
    /// Class table: a file, or the name of a built-in one
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// Number of classes
    #[arg(long, value_name = "N")]
    label_nc: Option<usize>,
    /// Unlabelled pixels have a channel of their own, or have none with =false
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    contain_dontcare_label: Option<bool>,
    /// It was trained without instance maps, or with them with =false
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    no_instance: Option<bool>,
    /// Doublings between latent grid and picture
    #[arg(long, value_name = "LAYERS")]
    num_upsampling_layers: Option<Upsampling>,
    /// Width of the pictures it was trained on
    #[arg(long, value_name = "PIXELS")]
    crop_size: Option<usize>,
    /// Width by height of them
    #[arg(long, value_name = "RATIO")]
    aspect_ratio: Option<f64>,
    /// Norms of the discriminator, where they are group or layer norms: no shape tells their groups
    #[arg(long, value_name = "NORM")]
    norm_d: Option<LayerNorm>,
    /// Norms of the encoder, alike
    #[arg(long, value_name = "NORM")]
    norm_e: Option<LayerNorm>,
}

/// Writes a checkpoint of the files' networks.
pub fn run(args: &Args) -> Result<()> {
    if args.out.exists() {
        return Err(Error::Usage(format!(
            "{} exists and nothing is ever overwritten: choose another --out",
            args.out.display()
        )));
    }
    let known = Known {
        dataset_mode: args.dataset_mode,
        classes: args.classes.clone(),
        label_nc: args.label_nc,
        dontcare: args.contain_dontcare_label,
        edges: args.no_instance.map(|without| !without),
        upsampling: args.num_upsampling_layers,
        crop_size: args.crop_size,
        aspect_ratio: args.aspect_ratio,
        norm_d: args.norm_d,
        norm_e: args.norm_e,
    };
    let checkpoint = convert::import(&args.files, &known)?;
    let model = checkpoint.config.model.clone();
    let [height, width] = model.output();
    let names = checkpoint.networks.tensors.keys();
    let mut letters: Vec<_> = names
        .filter_map(|name| name.split('.').next().map(str::to_owned))
        .collect();
    letters.dedup();
    checkpoint.save(&args.out)?;
    super::print(&format!(
        "{}: {} of {width}x{height} pictures, {} classes{}{}, ngf {}, {}, num_upsampling_layers {}{}\n",
        args.out.display(),
        letters.join(", "),
        model.label_nc,
        if model.dontcare { " + unlabelled" } else { "" },
        if model.edges { " + instance edges" } else { "" },
        model.ngf,
        model.norm_g,
        model.upsampling,
        if model.use_vae { ", with styles" } else { "" },
    ))
}
