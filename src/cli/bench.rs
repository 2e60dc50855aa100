//! `spadework bench`.

pub mod text;

use std::path::PathBuf;

use serde::Serialize;
use spadework::bench::kernels::{Selection, Source};
use spadework::bench::synth::Way;
use spadework::bench::{Machine, Patience, Setting, Sizes};
use spadework::bench::{floor, kernels, sizes, start, synth, train, windows};
use spadework::config::Preset;
use spadework::gpu::Gpu;
use spadework::{Error, Result};

use text::Text;

/// Options of `bench`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// What is measured.
#[derive(clap::Subcommand)]
enum What {
    /// Single operations: time, rates, share of what the adapter can do at most
    Kernels(Kernels),
    /// Pictures: of a new layout, of the same again or in another style, after a stroke of the brush
    Synth(Synth),
    /// Whole iterations of training: a generator's step and a discriminator's
    Train(Train),
    /// How pictures and training grow with the size of the pictures and with how many there are at once
    Sizes(Growth),
    /// Window tables of a label map on one core: all that one picture of a training batch brings
    Windows(Windows),
    /// From opening the adapter to the first picture, phase by phase
    Start(Start),
    /// The least time of a picture and an iteration: operations and bytes of their plans, by what adapters can do
    Floor(Floor),
}

/// How long, and how it is told.
#[derive(clap::Args)]
struct Common {
    /// Seconds of each measurement; there are three rounds in any case
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = patience)]
    seconds: f64,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// The network that is measured: the classes of ADE20K and unlabelled, without instance maps.
#[derive(clap::Args)]
#[command(next_help_heading = "Network")]
struct Network {
    /// Starting point of the sizes, a preset of `train`
    #[arg(long, default_value = "paper-256", hide_possible_values = true)]
    preset: Preset,
    /// Width of the picture [default: the preset's]
    #[arg(long, value_name = "PIXELS")]
    crop_size: Option<usize>,
    /// Width of the generator [default: the preset's]
    #[arg(long, value_name = "CHANNELS")]
    ngf: Option<usize>,
    /// With styles, as a generator trained with an encoder has them
    #[arg(long)]
    use_vae: bool,
    /// Folder of label maps to draw, numbers of classes; those beyond 150 are folded [default: built-in landscapes]
    #[arg(long, value_name = "DIR")]
    maps: Option<PathBuf>,
}

#[derive(clap::Args)]
struct Kernels {
    /// Operation to time, or part of several's names [default: all]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Where operations and their shapes come from [default: all]
    #[arg(long = "of", value_name = "SOURCE", value_delimiter = ',')]
    sources: Vec<Source>,
    /// Time tiled kernels as well where the adapter would run others
    #[arg(long)]
    tiled: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    network: Network,
}

#[derive(clap::Args)]
struct Synth {
    /// Ways to draw [default: both]
    #[arg(long = "way", value_name = "WAY", value_delimiter = ',')]
    ways: Vec<Way>,
    /// Store weights and what is computed of them in 16-bit floats
    #[arg(long)]
    half: bool,
    /// Multiply what is stored in 16 bits on the card's units for matrices (tensor cores): experimental
    #[arg(long, requires = "half")]
    cooperative: bool,
    /// Pictures to draw together
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: u16,
    /// Tell how much memory it takes: on the device, and of the process at most
    #[arg(long)]
    memory: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    network: Network,
}

#[derive(clap::Args)]
struct Train {
    /// Pictures in a batch
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: u16,
    /// Store maps of the forward pass in 16-bit floats
    #[arg(long)]
    half: bool,
    /// Time it with the perceptual loss too, VGG-19 filled with noise
    #[arg(long)]
    vgg: bool,
    /// Tell how much memory it takes: on the device, and of the process at most
    #[arg(long)]
    memory: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    network: Network,
}

#[derive(clap::Args)]
struct Growth {
    /// Widths of the pictures
    #[arg(long, value_name = "PIXELS", value_delimiter = ',', default_values_t = [64, 128, 256, 512])]
    crop_sizes: Vec<usize>,
    /// Pictures at once
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 2, 4, 8], value_parser = clap::value_parser!(u16).range(1..=1024))]
    batches: Vec<u16>,
    /// Starting point of the network, a preset of `train`
    #[arg(long, default_value = "paper-256", hide_possible_values = true)]
    preset: Preset,
    /// Width of the generator [default: the preset's]
    #[arg(long, value_name = "CHANNELS")]
    ngf: Option<usize>,
    /// Folder of label maps to draw, numbers of classes; those beyond 150 are folded [default: built-in landscapes]
    #[arg(long, value_name = "DIR")]
    maps: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
struct Windows {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    network: Network,
}

#[derive(clap::Args)]
struct Start {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    network: Network,
}

#[derive(clap::Args)]
struct Floor {
    /// Pictures in a batch of training
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: u16,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    network: Network,
}

/// Longer measurements than a day are mistakes.
const MOST_SECONDS: f64 = 86400.0;

fn patience(text: &str) -> Result<f64, String> {
    let seconds = text
        .parse()
        .ok()
        .filter(|s| (0.0..=MOST_SECONDS).contains(s));
    seconds.ok_or_else(|| format!("{text:?} is no number of seconds between 0 and {MOST_SECONDS}"))
}

impl Common {
    fn patience(&self) -> Patience {
        Patience::seconds(self.seconds)
    }

    /// Prints what was measured.
    fn tell<R: Serialize + Text>(&self, gpu: Option<&Gpu>, result: R) -> Result<()> {
        let told = Told {
            machine: Machine::here(gpu),
            result,
        };
        match self.json {
            true => super::print_json(&told),
            false => super::print(&format!("{}\n{}", told.machine.text(), told.result.text())),
        }
    }
}

/// What is told of a measurement.
#[derive(Serialize)]
struct Told<R> {
    machine: Machine,
    result: R,
}

impl Network {
    fn open(&self) -> Result<Setting> {
        let sizes = Sizes {
            preset: self.preset,
            crop_size: self.crop_size,
            ngf: self.ngf,
            use_vae: self.use_vae,
        };
        Setting::open(sizes, self.maps.as_deref())
    }
}

/// Measures.
pub fn run(args: &Args, adapter: Option<&str>) -> Result<()> {
    match &args.what {
        What::Kernels(args) => time_kernels(args, adapter),
        What::Synth(args) => draw(args, adapter),
        What::Train(args) => iterate(args, adapter),
        What::Sizes(args) => grow(args, adapter),
        What::Windows(Windows { network, common }) => {
            common.tell(None, windows::run(&network.open()?, common.patience())?)
        }
        What::Start(Start { network, common }) => {
            let report = start::run(&network.open()?, adapter, common.patience())?;
            common.tell(Some(&*Gpu::open(adapter)?), report)
        }
        What::Floor(Floor {
            batch,
            network,
            common,
        }) => {
            let setting = network.open()?;
            let gpu = Gpu::open(adapter)?;
            let report = floor::run(&gpu, &setting, usize::from(*batch), common.patience())?;
            common.tell(Some(&*gpu), report)
        }
    }
}

fn time_kernels(args: &Kernels, adapter: Option<&str>) -> Result<()> {
    let Kernels {
        name,
        sources,
        tiled,
        network,
        common,
    } = args;
    let setting = network.open()?;
    let gpu = Gpu::open(adapter)?;
    let all = [
        Source::Layers,
        Source::Products,
        Source::Generator,
        Source::Training,
        Source::Registry,
    ];
    let selection = Selection {
        name: name.clone(),
        sources: match sources.is_empty() {
            true => all.to_vec(),
            false => sources.clone(),
        },
        tiled: *tiled,
    };
    if common.json {
        let lines = kernels::run(&gpu, &setting, &selection, common.patience(), |_| Ok(()))?;
        refuse_none(&lines, args)?;
        return common.tell(Some(&*gpu), lines);
    }
    // It takes minutes, so lines come as they are known.
    super::print(&format!("{}\n", Machine::here(Some(&*gpu)).text()))?;
    let mut is_first = true;
    let lines = kernels::run(&gpu, &setting, &selection, common.patience(), |line| {
        let rows = text::kernels(std::slice::from_ref(line));
        let text = match std::mem::take(&mut is_first) {
            true => rows,
            // Columns have fixed widths, so lines without their heads fit below.
            false => rows
                .split_once('\n')
                .map_or_else(String::new, |(_, row)| row.to_owned()),
        };
        super::print(&text)
    })?;
    refuse_none(&lines, args)
}

fn refuse_none(lines: &[kernels::Line], args: &Kernels) -> Result<()> {
    match (lines.is_empty(), &args.name) {
        (true, Some(name)) => Err(Error::Usage(format!(
            "no operation's name contains `{name}` among those chosen; without a name all are timed"
        ))),
        _ => Ok(()),
    }
}

fn draw(args: &Synth, adapter: Option<&str>) -> Result<()> {
    let setting = args.network.open()?;
    let mut gpu = match args.cooperative {
        true => Gpu::open_with_matrices(adapter)?,
        false => Gpu::open(adapter)?,
    };
    if args.half {
        gpu = gpu.with_half()?;
    }
    let options = synth::Options {
        ways: match args.ways.is_empty() {
            true => vec![Way::Plain, Way::Kept],
            false => args.ways.clone(),
        },
        batch: args.batch.into(),
        patience: args.common.patience(),
    };
    let report = synth::run(&gpu, &setting, &options)?;
    let memory = args.memory;
    args.common
        .tell(Some(&*gpu), text::Drawn { report, memory })
}

fn iterate(args: &Train, adapter: Option<&str>) -> Result<()> {
    let setting = args.network.open()?;
    let mut gpu = Gpu::open(adapter)?;
    if args.half {
        gpu = gpu.with_half_maps()?;
    }
    let mut reports = Vec::new();
    for has_vgg in [false, true] {
        if !has_vgg || args.vgg {
            let patience = args.common.patience();
            reports.push(train::run(
                &gpu,
                &setting,
                args.batch.into(),
                has_vgg,
                patience,
            )?);
        }
    }
    let memory = args.memory;
    args.common
        .tell(Some(&*gpu), text::Trained { reports, memory })
}

fn grow(args: &Growth, adapter: Option<&str>) -> Result<()> {
    let gpu = Gpu::open(adapter)?;
    let grid = sizes::Grid {
        sizes: Sizes {
            preset: args.preset,
            crop_size: None,
            ngf: args.ngf,
            use_vae: false,
        },
        crop_sizes: args.crop_sizes.clone(),
        batches: args.batches.iter().map(|&n| n.into()).collect(),
    };
    let (maps, patience) = (args.maps.as_deref(), args.common.patience());
    if args.common.json {
        let lines = sizes::run(&gpu, &grid, maps, patience, |_| Ok(()))?;
        return args.common.tell(Some(&*gpu), text::Grown(lines));
    }
    // It takes minutes, so lines come as they are known.
    let machine = Machine::here(Some(&*gpu)).text();
    super::print(&format!("{machine}\n{}", text::growth_head()))?;
    sizes::run(&gpu, &grid, maps, patience, |line| {
        super::print(&text::growth(line))
    })
    .map(drop)
}
