//! Kernels and matrices in eight bits: a quarter of the bytes, for files that only draw.
//!
//! Each output channel has a step of its own, its largest magnitude by 127, and every number becomes the nearest multiple
//! of it: at most half a step off.

use super::HostTensor;

/// What the name of a tensor's steps ends with.
pub(super) const STEPS: &str = ".steps";

/// The multiples and, by output channel, the steps.
pub(super) struct EightBits {
    pub multiples: Vec<i8>,
    pub steps: Vec<f32>,
}

impl EightBits {
    /// Of a tensor with output channels; nothing of the few numbers that others hold.
    pub fn of(tensor: &HostTensor) -> Option<Self> {
        let [channels, _, ..] = tensor.shape[..] else {
            return None;
        };
        let per_channel = (tensor.data.len() / channels.max(1)).max(1);
        let mut eight = Self {
            multiples: Vec::with_capacity(tensor.data.len()),
            steps: Vec::with_capacity(channels),
        };
        for channel in tensor.data.chunks(per_channel) {
            let largest = channel.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
            let step = largest / 127.0;
            // A channel of zeros has the step 0, and 0 by 0 becomes the multiple 0.
            let multiple = |x: &f32| (x / step).round() as i8;
            eight.multiples.extend(channel.iter().map(multiple));
            eight.steps.push(step);
        }
        Some(eight)
    }

    /// The numbers again; nothing where there are not as many steps as output channels.
    pub fn numbers(&self, shape: &[usize]) -> Option<HostTensor> {
        let channels = *shape.first()?;
        let per_channel = self.multiples.len() / channels.max(1);
        if self.steps.len() != channels || self.multiples.len() != channels * per_channel {
            return None;
        }
        let multiples = self.multiples.iter().enumerate();
        let number =
            |(at, &multiple): (usize, &i8)| f32::from(multiple) * self.steps[at / per_channel];
        Some(HostTensor::new(shape, multiples.map(number).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_at_most_half_a_step_off() {
        let data: Vec<f32> = (0..30).map(|i| ((i * i * 7) % 23) as f32 - 11.0).collect();
        let mut tensor = HostTensor::new([3, 5, 2], data);
        tensor.data[10..20].fill(0.0);
        let eight = EightBits::of(&tensor).unwrap();
        assert_eq!(eight.steps[1], 0.0);
        let back = eight.numbers(&tensor.shape).unwrap();
        for (at, (got, want)) in back.data.iter().zip(&tensor.data).enumerate() {
            let step = eight.steps[at / 10];
            assert!((got - want).abs() <= 0.5001 * step, "{at}: {got} {want}");
        }
        assert!(EightBits::of(&HostTensor::new([4], vec![1.0; 4])).is_none());
        assert!(eight.numbers(&[2, 15]).is_none());
    }
}
