//! What names and shapes of a network's tensors tell of its configuration.

use crate::config::{LayerNorm, ModelConfig, NetG, NormG, NormKind, SpadeNorm};
use crate::state::{HostTensor, StateDict};
use crate::{Error, Result};

/// What the tensors of a generator tell besides its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneratorFacts {
    /// Channels of the label map: classes, don't-care, instance edges together.
    pub semantic_nc: usize,
    /// Cells of the latent grid, which only a generator with styles fixes.
    pub latent_cells: Option<usize>,
    /// Whether it has the last block of `num_upsampling_layers = "most"`; `normal` and `more` look alike.
    pub has_last_block: bool,
}

/// Sets what a generator's tensors tell: `net_g`, `ngf`, `spade_hidden`, `norm_g`, `use_vae`, `z_dim`.
///
/// Synchronised and plain batch norm have the same tensors and draw the same pictures. The first, which the official
/// models have, is assumed.
///
/// # Errors
/// If a tensor that tells is missing or has a shape that none can have.
pub fn of_generator(state: &StateDict, model: &mut ModelConfig) -> Result<GeneratorFacts> {
    let has = |name: &str| state.tensors.contains_key(name);
    let [ngf] = axes(state, "up_3.conv_0.bias")?;
    let spectral = has("head_0.conv_0.weight_orig");
    model.ngf = ngf;
    model.net_g = match state.tensors.keys().any(|name| name.contains(".mlp_")) {
        true => NetG::Spade,
        false => NetG::Concat,
    };
    let (semantic_nc, kernel, norm) = match model.net_g {
        NetG::Spade => {
            let [hidden, semantic_nc, kernel, _] =
                filters(state, "head_0.norm_0.mlp_shared.0.weight")?;
            model.spade_hidden = hidden;
            (semantic_nc, kernel, "head_0.norm_0.param_free_norm")
        }
        NetG::Concat => {
            let name = format!(
                "head_0.conv_0.weight{}",
                if spectral { "_orig" } else { "" }
            );
            let [_, channels, ..] = filters(state, &name)?;
            let labels = channels.checked_sub(16 * ngf);
            let labels = labels.ok_or_else(|| impossible(&name, &state.tensors[&name]))?;
            (labels, NormG::default().kernel, "head_0.norm_0")
        }
    };
    let norm = NormG {
        spectral,
        kind: match has(&format!("{norm}.running_mean")) {
            true => SpadeNorm::SyncBatch,
            false => SpadeNorm::Instance,
        },
        kernel,
    };
    // Parsing knows which kernels there are.
    model.norm_g = norm.to_string().parse().map_err(Error::Data)?;
    let fc = tensor(state, "fc.weight")?;
    let style = match fc.shape[..] {
        [_, _, _, _] => None,
        [rows, z_dim] => Some((rows / (16 * ngf), z_dim)),
        _ => return Err(impossible("fc.weight", fc)),
    };
    model.use_vae = style.is_some();
    if let Some((_, z_dim)) = style {
        model.z_dim = z_dim;
    }
    Ok(GeneratorFacts {
        semantic_nc,
        latent_cells: style.map(|(cells, _)| cells),
        has_last_block: has("up_4.conv_0.bias"),
    })
}

/// Sets what a discriminator's tensors tell: `ndf`, `num_d`, `n_layers_d`, and `norm_d` unless only `given` can.
///
/// # Errors
/// If a tensor that tells is missing or has a shape that none can have, or is of another norm than the given one.
pub fn of_discriminator(
    state: &StateDict,
    model: &mut ModelConfig,
    given: Option<LayerNorm>,
) -> Result<()> {
    let count = |prefix: &str| {
        let has = |start: &String| state.tensors.keys().any(|name| name.starts_with(start));
        (0..)
            .map(|i| format!("{prefix}{i}."))
            .take_while(has)
            .count()
    };
    let [ndf, ..] = filters(state, "discriminator_0.model0.0.weight")?;
    model.ndf = ndf;
    model.num_d = count("discriminator_");
    model.n_layers_d = count("discriminator_0.model").saturating_sub(1);
    if model.n_layers_d > 1 {
        let told = told_norm(state, "discriminator_0.model1.0")?;
        model.norm_d = told.agreed("norm_d", "--norm-d", given)?;
    }
    Ok(())
}

/// Sets what an encoder's tensors tell: `norm_e` unless only `given` can, and `enc_size`, of which they show a 64th alone.
///
/// # Errors
/// As [`of_discriminator`].
pub fn of_encoder(
    state: &StateDict,
    model: &mut ModelConfig,
    given: Option<LayerNorm>,
) -> Result<()> {
    model.norm_e = told_norm(state, "layer1")?.agreed("norm_e", "--norm-e", given)?;
    let name = "fc_mu.weight";
    let [_, inputs] = axes(state, name)?;
    let pixels = inputs / (8 * model.ngf);
    let side = pixels.isqrt();
    if side * side * 8 * model.ngf != inputs {
        return Err(impossible(name, tensor(state, name)?));
    }
    // Six layers halve, rounding up.
    if model.enc_size.div_ceil(64) != side {
        model.enc_size = 64 * side;
    }
    Ok(())
}

/// What the tensors of a layer tell of its norm.
struct ToldNorm {
    layer: String,
    spectral: bool,
    /// None for a group norm, whose number of groups no shape tells.
    kind: Option<NormKind>,
}

/// The norm of a convolution, which stands beside it: `NAME.0` and `NAME.1`; without one `NAME` is the convolution.
fn told_norm(state: &StateDict, name: &str) -> Result<ToldNorm> {
    let has = |rest: &str| state.tensors.contains_key(&format!("{name}.{rest}"));
    let told = |spectral, kind| {
        Ok(ToldNorm {
            layer: name.to_owned(),
            spectral,
            kind,
        })
    };
    let [bare, beside] = ["weight", "0.weight"].map(|conv| {
        let spectral = has(&format!("{conv}_orig"));
        (spectral || has(conv)).then_some(spectral)
    });
    match (bare, beside) {
        (Some(spectral), _) => told(spectral, Some(NormKind::None)),
        (None, Some(spectral)) if has("1.running_mean") => told(spectral, Some(NormKind::Batch)),
        (None, Some(spectral)) if has("1.weight") => told(spectral, None),
        (None, Some(spectral)) => told(spectral, Some(NormKind::Instance)),
        (None, None) => Err(Error::Data(format!(
            "tensor {name}.0.weight_orig is missing"
        ))),
    }
}

impl ToldNorm {
    /// The norm, which is the given one where the tensors leave it open and must be able to be it elsewhere.
    ///
    /// Synchronised and plain batch norm have the same tensors.
    fn agreed(&self, option: &str, flag: &str, given: Option<LayerNorm>) -> Result<LayerNorm> {
        let (spectral, layer) = (self.spectral, &self.layer);
        let Some(given) = given else {
            let Some(kind) = self.kind else {
                let prefix = if spectral { "spectral" } else { "" };
                return Err(Error::Usage(format!(
                    "tensor {layer}.1.weight is of a group norm, whose number of groups no shape tells: say which with \
                     {flag}, such as {flag} {prefix}layer or {prefix}group8"
                )));
            };
            return Ok(LayerNorm { spectral, kind });
        };
        let is_group = matches!(given.kind, NormKind::Group(_));
        let fits = match self.kind {
            None => is_group,
            Some(NormKind::Batch) => matches!(given.kind, NormKind::Batch | NormKind::SyncBatch),
            Some(kind) => given.kind == kind,
        };
        match fits && given.spectral == spectral {
            true => Ok(given),
            false => Err(Error::Data(format!(
                "its tensors of {layer} are not those of {option} = {given}, but of {}{}: give that with {flag}, or leave \
                 it out where no group norm is",
                if spectral { "spectral" } else { "" },
                self.kind
                    .map_or("group<N> or layer".into(), |kind| kind.to_string())
            ))),
        }
    }
}

fn tensor<'s>(state: &'s StateDict, name: &str) -> Result<&'s HostTensor> {
    let tensor = state.tensors.get(name);
    tensor.ok_or_else(|| Error::Data(format!("tensor {name} is missing")))
}

fn axes<const N: usize>(state: &StateDict, name: &str) -> Result<[usize; N]> {
    let tensor = tensor(state, name)?;
    let axes = tensor.shape.as_slice().try_into().ok();
    axes.filter(|axes: &[usize; N]| !axes.contains(&0))
        .ok_or_else(|| impossible(name, tensor))
}

/// Outputs, inputs and the two equal sides of a convolution's kernels.
fn filters(state: &StateDict, name: &str) -> Result<[usize; 4]> {
    let axes: [usize; 4] = axes(state, name)?;
    match axes[2] == axes[3] {
        true => Ok(axes),
        false => Err(impossible(name, tensor(state, name)?)),
    }
}

fn impossible(name: &str, tensor: &HostTensor) -> Error {
    Error::Data(format!(
        "tensor {name} has shape {:?}, which none of this method has",
        tensor.shape
    ))
}
