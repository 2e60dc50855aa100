//! Numbers that are read after every replay: losses and the verdict on them.
//!
//! They travel in the replay's own last submission into a buffer that exists from the start, so reading them waits for
//! that submission alone and allocates nothing on the device.

use super::Gpu;
use crate::{Error, Result};

/// A scalar fills one vector on the device.
pub(super) const SCALAR_BYTES: u64 = 16;

/// The scalars of a plan, on their way to the host.
pub(super) struct Readback {
    staging: wgpu::Buffer,
    count: usize,
    /// The submission that filled the buffer last, until it is read.
    filled: Option<wgpu::SubmissionIndex>,
}

impl Readback {
    /// Room for so many scalars.
    pub fn new(gpu: &Gpu, count: usize) -> Result<Self> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        Ok(Self {
            staging: gpu.buffer("scalars", count as u64 * SCALAR_BYTES, usage)?,
            count,
            filled: None,
        })
    }

    /// Where scalars are copied to, one vector each.
    pub fn staging(&self) -> &wgpu::Buffer {
        &self.staging
    }

    /// Notes the submission that ends with the copies.
    pub fn filled_by(&mut self, submission: wgpu::SubmissionIndex) {
        self.filled = Some(submission);
    }

    /// The scalars of the last replay, waiting for it and for nothing after it.
    pub fn read(&mut self, gpu: &Gpu, into: &mut Vec<f32>) -> Result<()> {
        into.clear();
        let filled = self.filled.take().ok_or_else(|| Error::Shape {
            op: "read",
            message: "scalars are read once after every replay".into(),
        })?;
        self.staging.map_async(wgpu::MapMode::Read, .., |_| {});
        gpu.poll(wgpu::PollType::Wait {
            submission_index: Some(filled),
            timeout: None,
        })?;
        let bytes = self.count as u64 * SCALAR_BYTES;
        let view = self.staging.get_mapped_range(..bytes.max(SCALAR_BYTES));
        let view =
            view.map_err(|e| Error::Device(format!("{}: cannot read back: {e}", gpu.info.name)))?;
        let first = |vector: &[u8]| bytemuck::pod_read_unaligned::<f32>(&vector[..4]);
        let vectors = view.chunks_exact(SCALAR_BYTES as usize);
        into.extend(vectors.take(self.count).map(first));
        drop(view);
        self.staging.unmap();
        Ok(())
    }
}
