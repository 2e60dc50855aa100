//! What older PyTorch and its wrappers did to state dictionaries, undone.

use std::collections::BTreeMap;

use crate::state::{HostTensor, StateDict};
use crate::{Error, Result};

/// What wrappers for several devices put before each name.
const WRAPPER: &str = "module.";

/// The name without the prefix of a wrapper.
pub(super) fn unwrapped(name: &str) -> &str {
    name.strip_prefix(WRAPPER).unwrap_or(name)
}

/// Removes the prefix `module.`, which wrappers for several devices leave in the names.
///
/// # Errors
/// If a tensor is there with and without it.
pub fn strip_wrapper(state: StateDict) -> Result<StateDict> {
    Ok(StateDict {
        tensors: strip(state.tensors)?,
        counters: strip(state.counters)?,
    })
}

fn strip<T>(named: BTreeMap<String, T>) -> Result<BTreeMap<String, T>> {
    let mut stripped = BTreeMap::new();
    for (name, value) in named {
        let name = unwrapped(&name);
        if stripped.insert(name.to_owned(), value).is_some() {
            return Err(Error::Data(format!(
                "tensor {name} is there with and without the prefix {WRAPPER}"
            )));
        }
    }
    Ok(stripped)
}

/// Brings a dictionary to the layout of today: [`add_counters`], then [`restore_v`].
///
/// # Errors
/// As [`restore_v`].
pub fn modernise(state: &mut StateDict) -> Result<()> {
    add_counters(state);
    restore_v(state)
}

/// Adds `num_batches_tracked` of 0 to running values that PyTorch before 0.4.1 wrote without.
pub fn add_counters(state: &mut StateDict) {
    for name in state.tensors.keys() {
        if let Some(norm) = name.strip_suffix("running_mean") {
            let counter = format!("{norm}num_batches_tracked");
            state.counters.entry(counter).or_insert(0);
        }
    }
}

/// Replaces what PyTorch before 1.1 wrote of spectral normalisation, the normalised `weight` beside `weight_orig` and
/// `weight_u`, by today's `weight_v`.
///
/// With `M` the weights as a matrix of a row per output channel, evaluation divides by `sigma = u' M v`. The old files
/// show which sigma that was, `<weight_orig, weight> / <weight, weight>`, and `v = M' u sigma / |M' u|^2` yields it.
/// Training computes `v` anew from `u` before it is used.
///
/// # Errors
/// If shapes disagree, or the weights are zero or not finite, so that there is no sigma.
pub fn restore_v(state: &mut StateDict) -> Result<()> {
    let names = state.tensors.keys();
    let old: Vec<String> = names
        .filter_map(|name| name.strip_suffix("_orig"))
        .filter(|weight| {
            let has = |name: &str| state.tensors.contains_key(name);
            has(weight) && has(&format!("{weight}_u")) && !has(&format!("{weight}_v"))
        })
        .map(str::to_owned)
        .collect();
    for weight in old {
        let v = {
            let tensor = |end: &str| &state.tensors[&format!("{weight}{end}")];
            recovered_v(tensor("_orig"), tensor(""), tensor("_u"))
        };
        let v = v.map_err(|why| Error::Data(format!("tensor {weight}_orig: {why}")))?;
        state.tensors.remove(&weight);
        state.tensors.insert(format!("{weight}_v"), v);
    }
    Ok(())
}

fn recovered_v(
    original: &HostTensor,
    weight: &HostTensor,
    u: &HostTensor,
) -> Result<HostTensor, String> {
    let rows = original.shape.first().copied().unwrap_or(0);
    if original.shape != weight.shape || u.shape != [rows] || original.data.is_empty() {
        return Err(format!(
            "it has shape {:?}, but weight {:?} and weight_u {:?}",
            original.shape, weight.shape, u.shape
        ));
    }
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
        products.sum()
    };
    let sigma = dot(&original.data, &weight.data) / dot(&weight.data, &weight.data);
    let columns = original.data.len() / rows;
    let mut product = vec![0.0; columns];
    for (row, &u) in original.data.chunks_exact(columns).zip(&u.data) {
        for (sum, &number) in product.iter_mut().zip(row) {
            *sum += f64::from(number) * f64::from(u);
        }
    }
    let squares: f64 = product.iter().map(|x| x * x).sum();
    let scale = sigma / squares;
    if !scale.is_finite() {
        return Err("its singular value cannot be found, as weights are zero or not finite".into());
    }
    let v = product.iter().map(|x| (x * scale) as f32).collect();
    Ok(HostTensor::new([columns], v))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(tensors: &[(&str, &[usize], &[f32])]) -> StateDict {
        let tensors = tensors
            .iter()
            .map(|&(name, shape, data)| (name.to_owned(), HostTensor::new(shape, data.to_vec())));
        StateDict {
            tensors: tensors.collect(),
            ..StateDict::default()
        }
    }

    #[test]
    fn recovered_v_yields_the_singular_value() {
        let original = [0.5, -1.0, 2.0, 0.25, 1.5, -0.75];
        let sigma = 1.75;
        let mut old = state(&[
            ("c.weight", &[2, 3, 1, 1], &original.map(|x| x / sigma)),
            ("c.weight_orig", &[2, 3, 1, 1], &original),
            ("c.weight_u", &[2], &[0.6, -0.8]),
            ("plain.weight", &[1], &[1.0]),
        ]);
        modernise(&mut old).unwrap();
        let names: Vec<_> = old.tensors.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["c.weight_orig", "c.weight_u", "c.weight_v", "plain.weight"]
        );
        let v = &old.tensors["c.weight_v"];
        assert_eq!(v.shape, [3]);
        let row = |r: usize| -> f32 { (0..3).map(|c| original[3 * r + c] * v.data[c]).sum() };
        let found = 0.6 * row(0) - 0.8 * row(1);
        // Each of the handful of roundings is 6e-8 of terms that are no larger than a few sigma.
        assert!((found - sigma).abs() < 1e-6 * sigma, "{found}");
    }

    #[test]
    fn weights_without_a_singular_value_are_named() {
        let zeros = [
            ("c.weight", &[2, 1][..], &[0.0, 0.0][..]),
            ("c.weight_orig", &[2, 1], &[0.0, 0.0]),
            ("c.weight_u", &[2], &[1.0, 0.0]),
        ];
        let error = modernise(&mut state(&zeros)).unwrap_err().to_string();
        assert!(error.contains("c.weight_orig"), "{error}");
        let mut shapes = zeros;
        shapes[2] = ("c.weight_u", &[1], &[1.0]);
        let error = modernise(&mut state(&shapes)).unwrap_err().to_string();
        assert!(error.contains("[2, 1]") && error.contains("[1]"), "{error}");
    }

    #[test]
    fn counters_are_added_where_missing() {
        let mut old = state(&[
            ("a.running_mean", &[1], &[0.0]),
            ("b.running_mean", &[1], &[0.0]),
        ]);
        old.counters.insert("b.num_batches_tracked".into(), 7);
        modernise(&mut old).unwrap();
        let expected = [
            ("a.num_batches_tracked".into(), 0),
            ("b.num_batches_tracked".into(), 7),
        ];
        assert_eq!(old.counters, expected.into());
    }

    #[test]
    fn wrappers_leave_names() {
        let wrapped = state(&[("module.a.module.b", &[1], &[0.0]), ("c", &[1], &[0.0])]);
        let names: Vec<_> = strip_wrapper(wrapped)
            .unwrap()
            .tensors
            .into_keys()
            .collect();
        assert_eq!(names, ["a.module.b", "c"]);
        strip_wrapper(state(&[("module.a", &[1], &[0.0]), ("a", &[1], &[0.0])])).unwrap_err();
    }
}
