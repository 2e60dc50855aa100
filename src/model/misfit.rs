//! Why a tensor of a file does not fit a configuration: the option that most likely made it otherwise.
//!
//! Every extent of every published tensor follows from one option or two, so a message can name them.

use crate::Error;
use crate::state::AVERAGES;

const LABELS: &str = "label_nc, contain_dontcare_label or no_instance";
const WIDTH_OR_KIND: &str = "ngf or net_g";
const SIZE: &str = "crop_size, aspect_ratio or num_upsampling_layers";

/// A tensor that is there, with another shape.
pub(super) fn wrong_shape(name: &str, found: &[usize], wanted: &[usize]) -> Error {
    Error::Data(format!(
        "tensor {name} is {found:?}, but the configuration asks for {wanted:?}: {}",
        cause(name, &options(name, found, wanted))
    ))
}

/// A tensor that is not there.
pub(super) fn missing(name: &str) -> Error {
    let why = cause(name, absence(name).as_slice());
    Error::Data(format!("tensor {name} is missing: {why}"))
}

fn cause(name: &str, options: &[&str]) -> String {
    if name.starts_with("vgg.") {
        return "the perceptual loss looks through VGG-19 as torchvision saves it (vgg19, without batch norm)".into();
    }
    match options {
        [] => "another network made it, or it is not whole".into(),
        options => format!("it was made with another {}", options.join(", another ")),
    }
}

/// Options behind the extents that differ.
fn options(name: &str, found: &[usize], wanted: &[usize]) -> Vec<&'static str> {
    if found.len() != wanted.len() {
        return match name {
            "G.fc.weight" => vec!["use_vae"],
            _ => Vec::new(),
        };
    }
    let differing = (0..wanted.len()).filter(|&axis| found[axis] != wanted[axis]);
    let mut options: Vec<_> = differing
        .filter_map(|axis| option_of(name, wanted.len(), axis))
        .collect();
    options.dedup();
    if options.contains(&"ngf") {
        options.retain(|&option| option != WIDTH_OR_KIND);
    }
    options
}

/// The option behind one extent of a tensor of this many.
fn option_of(name: &str, axes: usize, axis: usize) -> Option<&'static str> {
    let name = name.strip_prefix(AVERAGES).unwrap_or(name);
    let (network, rest) = name.split_once('.')?;
    let leaf = rest.rsplit('.').nth(1)?;
    Some(match (network, leaf, axes, axis) {
        ("G", "fc", 4, 1) => LABELS,
        ("G", "fc", 2, 1) => "z_dim",
        ("G", "fc", 2, 0) => SIZE,
        ("G", "conv_img", 4, 1) => "ngf or num_upsampling_layers",
        // The leaf of `mlp_shared.0.weight`.
        ("G", "0", _, 0) | ("G", "mlp_gamma" | "mlp_beta", 4, 1) => "spade_hidden",
        ("G", "0", 4, 1) => LABELS,
        ("G", "0" | "mlp_gamma" | "mlp_beta", 4, _) if axis > 1 => "norm_g (its kernel)",
        ("D", _, 4, 1) if rest.contains(".model0.") => LABELS,
        ("D", _, _, _) => "ndf or n_layers_d",
        ("E", "fc_mu" | "fc_var", _, 0) => "z_dim",
        ("E", "fc_mu" | "fc_var", _, _) => "ngf or enc_size",
        // The other kind of generator convolves the label map along with its features.
        ("G", "conv_0" | "conv_1" | "conv_s", 4, 1) => WIDTH_OR_KIND,
        ("G" | "E", _, _, _) => "ngf",
        _ => return None,
    })
}

/// The option that decides whether there is such a tensor.
fn absence(name: &str) -> Option<&'static str> {
    if name.starts_with(AVERAGES) {
        return Some("ema");
    }
    let (network, rest) = name.split_once('.')?;
    let is_norm = ["running_mean", "running_var"]
        .iter()
        .any(|end| rest.ends_with(end));
    let is_spectral = ["weight_orig", "weight_u", "weight_v"]
        .iter()
        .any(|end| rest.ends_with(end));
    Some(match network {
        "G" if rest.starts_with("up_4.") => "num_upsampling_layers",
        "G" if is_norm || is_spectral || rest.contains(".conv_") => "norm_g",
        "G" if rest.contains(".norm_") => "net_g",
        "D" if rest.starts_with("discriminator_") && !is_spectral && !is_norm => {
            "num_d or n_layers_d"
        }
        "D" => "norm_d, num_d or n_layers_d",
        "E" if rest.starts_with("layer") => "norm_e",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_name_both_and_the_option() {
        for (name, found, wanted, option) in [
            (
                "G.fc.weight",
                &[16, 8, 3, 3][..],
                &[16, 9, 3, 3][..],
                LABELS,
            ),
            ("G.fc.weight", &[64, 256], &[16, 9, 3, 3], "use_vae"),
            ("G.fc.weight", &[64, 256], &[64, 32], "z_dim"),
            ("G.fc.bias", &[32], &[16], "ngf"),
            (
                "G.up_0.norm_s.mlp_shared.0.weight",
                &[8, 9, 3, 3],
                &[16, 9, 3, 3],
                "spade_hidden",
            ),
            (
                "G.up_0.norm_s.mlp_shared.0.weight",
                &[8, 9, 3, 3],
                &[8, 9, 5, 5],
                "norm_g",
            ),
            (
                "G.up_0.norm_s.mlp_gamma.weight",
                &[4, 8, 3, 3],
                &[4, 16, 3, 3],
                "spade_hidden",
            ),
            (
                "G.up_0.conv_1.weight_orig",
                &[8, 8, 3, 3],
                &[16, 16, 3, 3],
                "ngf",
            ),
            (
                "D.discriminator_0.model0.0.weight",
                &[4, 8, 4, 4],
                &[4, 9, 4, 4],
                LABELS,
            ),
            (
                "D.discriminator_0.model1.0.0.weight_orig",
                &[8, 4, 4, 4],
                &[16, 8, 4, 4],
                "ndf",
            ),
            ("E.fc_mu.bias", &[256], &[8], "z_dim"),
            (
                "vgg.features.0.weight",
                &[8, 3, 3, 3],
                &[64, 3, 3, 3],
                "torchvision",
            ),
        ] {
            let message = wrong_shape(name, found, wanted).to_string();
            for part in [name, &format!("{found:?}"), &format!("{wanted:?}"), option] {
                assert!(message.contains(part), "{part:?} is not in {message:?}");
            }
        }
    }

    #[test]
    fn several_extents_name_several_options() {
        let name = "G.head_0.norm_0.mlp_shared.0.weight";
        let message = wrong_shape(name, &[8, 9, 3, 3], &[16, 7, 3, 3]).to_string();
        assert!(
            message.contains("another spade_hidden, another label_nc"),
            "{message}"
        );
        let ngf =
            wrong_shape("G.up_0.conv_0.weight_orig", &[2, 4, 3, 3], &[4, 8, 3, 3]).to_string();
        assert!(ngf.ends_with("made with another ngf"), "{ngf}");
    }

    #[test]
    fn missing_tensors_name_the_option() {
        for (name, option) in [
            ("G.up_4.conv_0.bias", "num_upsampling_layers"),
            ("G.head_0.norm_0.param_free_norm.running_var", "norm_g"),
            ("G.up_0.conv_s.weight_orig", "norm_g"),
            ("D.discriminator_2.model0.0.bias", "num_d"),
            ("vgg.features.16.weight", "torchvision"),
            ("G.up_0.norm_0.mlp_gamma.bias", "net_g"),
            ("G.fc.bias", "not whole"),
        ] {
            let message = missing(name).to_string();
            assert!(
                message.contains(name) && message.contains(option),
                "{message}"
            );
        }
    }
}
