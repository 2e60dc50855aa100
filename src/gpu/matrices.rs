//! Which units for matrices an adapter has.

use crate::ops::gemm::Matrices;
use crate::{Error, Result};
use wgpu::{CooperativeMatrixProperties, CooperativeScalarType};

/// What kernels need to use them.
pub(super) const FEATURES: wgpu::Features = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::SUBGROUP);

/// Matrices of 16-bit floats that an adapter multiplies, adding up in 32 bits: 16 by 16 on Vulkan, or the 8 by 8 of Metal.
pub fn matrices_of(adapter: &wgpu::Adapter) -> Option<Matrices> {
    let has_features = adapter.features().contains(FEATURES);
    largest(&adapter.cooperative_matrix_properties()).filter(|_| has_features)
}

/// The same, for who asked for them.
///
/// # Errors
/// If it has none.
pub(super) fn wanted(adapter: &wgpu::Adapter) -> Result<Matrices> {
    matrices_of(adapter).ok_or_else(|| {
        Error::Usage(format!(
            "{} has no units that multiply matrices of 16-bit floats, of 16x16 or 8x8 numbers, and add up in 32 bits: \
             leave out --cooperative",
            adapter.get_info().name
        ))
    })
}

/// The largest square matrices of these that kernels know.
fn largest(offered: &[CooperativeMatrixProperties]) -> Option<Matrices> {
    let types = [CooperativeScalarType::F16, CooperativeScalarType::F32];
    let has = |side: u32| {
        offered.iter().any(|offer| {
            [offer.m_size, offer.n_size, offer.k_size] == [side; 3]
                && [offer.ab_type, offer.cr_type] == types
                && !offer.saturating_accumulation
        })
    };
    [16, 8]
        .into_iter()
        .find(|&side| has(side))
        .map(Matrices::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use CooperativeScalarType::{F16, F32};

    fn offer(
        [m_size, n_size, k_size]: [u32; 3],
        ab_type: CooperativeScalarType,
    ) -> CooperativeMatrixProperties {
        CooperativeMatrixProperties {
            m_size,
            n_size,
            k_size,
            ab_type,
            cr_type: F32,
            saturating_accumulation: false,
        }
    }

    #[test]
    fn the_largest_square_ones_are_taken() {
        let side = |offers: &[_]| largest(offers).map(Matrices::side);
        assert_eq!(side(&[]), None);
        // As Metal has them.
        assert_eq!(side(&[offer([8; 3], F32), offer([8; 3], F16)]), Some(8));
        assert_eq!(side(&[offer([8; 3], F16), offer([16; 3], F16)]), Some(16));
        // As some integrated cards have them.
        assert_eq!(side(&[offer([8, 16, 16], F16)]), None);
        let in_halves = CooperativeMatrixProperties {
            cr_type: F16,
            ..offer([16; 3], F16)
        };
        assert_eq!(side(&[in_halves]), None);
        let saturating = CooperativeMatrixProperties {
            saturating_accumulation: true,
            ..offer([16; 3], F16)
        };
        assert_eq!(side(&[saturating]), None);
    }
}
