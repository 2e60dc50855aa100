//! One submission: dispatches in as few passes as copies allow.

use super::Gpu;
use super::readback::SCALAR_BYTES;
use crate::ops::Texels;

/// One submission in the making.
pub(super) struct Slice {
    encoder: wgpu::CommandEncoder,
    /// Open from the first dispatch after a copy to the next copy.
    pass: Option<wgpu::ComputePass<'static>>,
    pub macs: u64,
}

impl Slice {
    pub fn begin(gpu: &Gpu) -> Self {
        Self {
            encoder: gpu.device.create_command_encoder(&Default::default()),
            pass: None,
            macs: 0,
        }
    }

    pub fn pass(&mut self) -> &mut wgpu::ComputePass<'static> {
        let encoder = &mut self.encoder;
        self.pass.get_or_insert_with(|| {
            let pass = encoder.begin_compute_pass(&Default::default());
            pass.forget_lifetime()
        })
    }

    /// Opens a pass with a timestamp at each end, the numbers of which in the set are this and the next.
    pub fn begin_timed_pass(&mut self, queries: &wgpu::QuerySet, at: u32) {
        self.pass = None;
        let pass = self
            .encoder
            .begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: queries,
                    beginning_of_pass_write_index: Some(at),
                    end_of_pass_write_index: Some(at + 1),
                }),
            });
        self.pass = Some(pass.forget_lifetime());
    }

    pub fn end_pass(&mut self) {
        self.pass = None;
    }

    /// Puts the first timestamps of a set into a buffer.
    pub fn resolve(&mut self, queries: &wgpu::QuerySet, count: u32, into: &wgpu::Buffer) {
        self.pass = None;
        self.encoder.resolve_query_set(queries, 0..count, into, 0);
    }

    /// Fills a texture; there are no copies inside a pass.
    pub fn copy(&mut self, texels: &Texels, buffer: &wgpu::Buffer, texture: &wgpu::Texture) {
        self.pass = None;
        for copy in texels.copies() {
            let source = wgpu::TexelCopyBufferInfo {
                buffer,
                layout: wgpu::TexelCopyBufferLayout {
                    offset: copy.offset,
                    bytes_per_row: Some(copy.bytes_per_line),
                    rows_per_image: None,
                },
            };
            let target = wgpu::TexelCopyTextureInfo {
                origin: wgpu::Origin3d {
                    x: 0,
                    y: copy.line,
                    z: copy.layer,
                },
                ..texture.as_image_copy()
            };
            let size = wgpu::Extent3d {
                width: copy.width,
                height: copy.lines,
                depth_or_array_layers: 1,
            };
            self.encoder.copy_buffer_to_texture(source, target, size);
        }
    }

    /// Copies the first bytes of a buffer to the beginning of another.
    pub fn copy_buffer(&mut self, from: &wgpu::Buffer, to: &wgpu::Buffer, bytes: u64) {
        self.pass = None;
        self.encoder.copy_buffer_to_buffer(from, 0, to, 0, bytes);
    }

    /// Copies the first vector of a buffer to where the host will read it.
    pub fn copy_scalar(&mut self, from: &wgpu::Buffer, to: &wgpu::Buffer, index: usize) {
        self.pass = None;
        let at = index as u64 * SCALAR_BYTES;
        self.encoder
            .copy_buffer_to_buffer(from, 0, to, at, SCALAR_BYTES);
    }

    pub fn submit(mut self, gpu: &Gpu) -> wgpu::SubmissionIndex {
        self.pass = None;
        gpu.queue.submit([self.encoder.finish()])
    }
}
