//! Random numbers, reproducibly: every tensor draws from a generator of its own, seeded by the run and its name.

use super::params::{Init, ParamSpec};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::f64::consts::TAU;

/// First values of a tensor, in published order; none where they come from a file.
pub fn initial(spec: &ParamSpec, seed: u64) -> Option<Vec<f32>> {
    let mut rng = rng(seed, &spec.name);
    let values = match spec.init {
        Init::Constant(value) => return Some(vec![value; spec.len()]),
        Init::Given => return None,
        Init::Normal { mean, std } => {
            let draws = (0..spec.len()).map(|_| mean + std * gauss(&mut rng));
            draws.collect::<Vec<f64>>()
        }
        Init::Uniform { bound } => {
            let draws = (0..spec.len()).map(|_| (2.0 * unit(&mut rng) - 1.0) * bound);
            draws.collect()
        }
        Init::Unit => {
            let mut vector: Vec<f64> = (0..spec.len()).map(|_| gauss(&mut rng)).collect();
            scale_to(&mut vector, 1.0);
            vector
        }
        Init::Orthogonal { gain } => orthogonal(&mut rng, spec.dims[0], spec.len(), gain),
    };
    Some(values.into_iter().map(|x| x as f32).collect())
}

/// Standard normal numbers from the generator of a name: the noise of a step, a random style.
pub fn normal(seed: u64, name: &str, count: usize) -> Vec<f32> {
    let mut rng = rng(seed, name);
    (0..count).map(|_| gauss(&mut rng) as f32).collect()
}

fn scale_to(vector: &mut [f64], length: f64) {
    let norm = dot(vector, vector).sqrt().max(1e-12);
    vector.iter_mut().for_each(|x| *x *= length / norm);
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Normal rows made orthogonal one after the other; of a tall matrix, the columns.
fn orthogonal(rng: &mut ChaCha8Rng, rows: usize, len: usize, gain: f64) -> Vec<f64> {
    let columns = len / rows;
    let (count, length) = (rows.min(columns), rows.max(columns));
    let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(count);
    for _ in 0..count {
        let mut vector: Vec<f64> = (0..length).map(|_| gauss(rng)).collect();
        // Twice: once leaves a rounding error that grows with the number of vectors.
        for _ in 0..2 {
            for earlier in &vectors {
                let share = dot(&vector, earlier);
                vector
                    .iter_mut()
                    .zip(earlier)
                    .for_each(|(x, e)| *x -= share * e);
            }
        }
        scale_to(&mut vector, 1.0);
        vectors.push(vector);
    }
    let at = |row: usize, column: usize| match rows <= columns {
        true => vectors[row][column],
        false => vectors[column][row],
    };
    (0..len)
        .map(|i| gain * at(i / columns, i % columns))
        .collect()
}

fn rng(seed: u64, name: &str) -> ChaCha8Rng {
    // FNV-1a: all that is asked of it is that names differ.
    let hash = |h: u64, b: u8| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&name.bytes().fold(0xcbf2_9ce4_8422_2325, hash).to_le_bytes());
    ChaCha8Rng::from_seed(bytes)
}

/// Uniform in [0, 1), from the upper 53 bits.
fn unit(rng: &mut ChaCha8Rng) -> f64 {
    (rng.random::<u64>() >> 11) as f64 / (1u64 << 53) as f64
}

/// A standard normal number (Box-Muller), with `libm` so that all platforms draw the same.
fn gauss(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * libm::log(1.0 - unit(rng))).sqrt();
    radius * libm::cos(TAU * unit(rng))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{InitConfig, InitType, SpectralInit};
    use crate::model::params::Params;

    fn params(init_type: InitType) -> Params {
        let mut params = Params::new(InitConfig {
            init_type,
            ..InitConfig::default()
        });
        params.conv("a", [16, 16, 3, 3], true, true);
        params.conv("b", [16, 16, 3, 3], false, true);
        params
    }

    fn values(params: &Params, name: &str, seed: u64) -> Vec<f32> {
        initial(params.get(name).unwrap(), seed).unwrap()
    }

    fn spread(values: &[f32]) -> f64 {
        let square = |x: &f32| f64::from(*x) * f64::from(*x);
        (values.iter().map(square).sum::<f64>() / values.len() as f64).sqrt()
    }

    #[test]
    fn spreads_are_those_of_the_published_training() {
        let params = params(InitType::Xavier);
        // 2304 draws: the sample deviation is within 7 % but for one case in a million.
        let near = |value: f64, want: f64| (value / want - 1.0).abs() < 0.07;
        let uniform = 1.0 / (3.0f64 * 144.0).sqrt();
        assert!(near(spread(&values(&params, "a.weight_orig", 1)), uniform));
        let xavier = 0.02 * (2.0f64 / 288.0).sqrt();
        assert!(near(spread(&values(&params, "b.weight", 1)), xavier));
        assert!(values(&params, "a.bias", 1).iter().all(|&b| b == 0.0));
        let length = spread(&values(&params, "a.weight_u", 1)) * 4.0;
        assert!((length - 1.0).abs() < 1e-6, "16 numbers of length one");
    }

    #[test]
    fn every_type_has_its_spread() {
        // fan in = fan out = 144; a uniform draw within b has the deviation b / sqrt(3).
        let (fan, uniform) = (144.0f64, 1.0 / 3.0f64.sqrt());
        let types = [
            (InitType::Normal, 0.02),
            (InitType::Xavier, 0.02 * (2.0 / (2.0 * fan)).sqrt()),
            (
                InitType::XavierUniform,
                (6.0 / (2.0 * fan)).sqrt() * uniform,
            ),
            (InitType::Kaiming, (2.0 / fan).sqrt()),
            (InitType::Orthogonal, 0.02 / 12.0),
            (InitType::None, uniform / fan.sqrt()),
        ];
        for (init_type, want) in types {
            for (spectral_init, of_spectral) in [
                (SpectralInit::Gpu, uniform / fan.sqrt()),
                (SpectralInit::Cpu, want),
            ] {
                let mut params = Params::new(InitConfig {
                    init_type,
                    spectral_init,
                    ..InitConfig::default()
                });
                params.conv("a", [16, 16, 3, 3], true, true);
                params.conv("b", [16, 16, 3, 3], false, true);
                for (name, want) in [("a.weight_orig", of_spectral), ("b.weight", want)] {
                    let got = spread(&values(&params, name, 1));
                    let what = format!("{init_type:?} {spectral_init:?} {name}");
                    // As above: 2304 draws.
                    assert!((got / want - 1.0).abs() < 0.07, "{what}: {got}, not {want}");
                }
                let bias = values(&params, "b.bias", 1);
                assert!(bias.iter().all(|&b| b == 0.0), "{init_type:?}");
            }
        }
    }

    #[test]
    fn draws_depend_on_seed_and_name() {
        let params = params(InitType::Normal);
        let (a, b) = (
            values(&params, "b.weight", 1),
            values(&params, "b.weight", 1),
        );
        assert_eq!(a, b);
        assert_ne!(a, values(&params, "b.weight", 2));
        assert_ne!(a[..144], values(&params, "a.weight_v", 1));
    }

    #[test]
    fn orthogonal_rows_are_orthogonal() {
        let params = params(InitType::Orthogonal);
        let weight = values(&params, "b.weight", 3);
        let row = |i: usize| -> Vec<f64> {
            let row = &weight[i * 144..][..144];
            row.iter().map(|&x| f64::from(x) / 0.02).collect()
        };
        for (i, j) in [(0, 0), (0, 5), (15, 15), (14, 15)] {
            let want = f64::from(u8::from(i == j));
            assert!((dot(&row(i), &row(j)) - want).abs() < 1e-5, "{i} {j}");
        }
    }
}
