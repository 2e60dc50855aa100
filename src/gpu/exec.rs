//! Replays a plan: buffers, pipelines, bind groups and parameters exist before the first replay.
//!
//! Dispatches whose number depends on the content of window tables are built anew from the tables' headers, into
//! room that was reserved for the worst case. Long work is submitted in slices: a display driver kills a submission
//! of seconds, and a window on the same card must stay alive.

use super::shader::{PARAMS_STRIDE, Pipeline, Variant};
use super::{Gpu, Store, TexelMemory};
use crate::graph::Ty;
use crate::graph::plan::{Place, Plan, Step};
use crate::ops::{Binding, Dispatch, Family, Kernel, Site, Tensor, Texels};
use crate::windows::Header;
use crate::{Error, Result};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// What one submission should take at most.
const SLICE: Duration = Duration::from_millis(50);
/// WebGPU's limit of workgroups in one dimension.
const MAX_WORKGROUPS: u32 = 65535;

type BindKey = (Variant, Vec<Place>);

struct Bound {
    pipeline: Arc<Pipeline>,
    group: wgpu::BindGroup,
}

/// A plan on a device, ready to replay.
pub struct Executor {
    gpu: Arc<Gpu>,
    plan: Plan,
    slots: Vec<wgpu::Buffer>,
    textures: Vec<TexelMemory>,
    params: wgpu::Buffer,
    params_host: Vec<u8>,
    bound: HashMap<BindKey, Bound>,
    macs_per_slice: u64,
    executed_macs: u64,
}

/// One submission in the making.
struct Slice {
    encoder: wgpu::CommandEncoder,
    /// Open from the first dispatch after a copy to the next copy.
    pass: Option<wgpu::ComputePass<'static>>,
    macs: u64,
}

impl Slice {
    fn begin(gpu: &Gpu) -> Self {
        Self {
            encoder: gpu.device.create_command_encoder(&Default::default()),
            pass: None,
            macs: 0,
        }
    }

    fn pass(&mut self) -> &mut wgpu::ComputePass<'static> {
        let encoder = &mut self.encoder;
        self.pass.get_or_insert_with(|| {
            let pass = encoder.begin_compute_pass(&Default::default());
            pass.forget_lifetime()
        })
    }

    /// Fills a texture; there are no copies inside a pass.
    fn copy(&mut self, texels: &Texels, buffer: &wgpu::Buffer, texture: &wgpu::Texture) {
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

    fn submit(mut self, gpu: &Gpu) {
        self.pass = None;
        gpu.queue.submit([self.encoder.finish()]);
    }
}

impl Executor {
    /// Allocates and compiles everything a plan needs.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn new(plan: Plan, store: &mut Store) -> Result<Self> {
        let gpu = store.gpu().clone();
        store.prepare(&plan)?;
        let slots = Self::allocate(&plan, store)?;
        let textures = store.texels(&plan.texel_layers)?;
        let dispatches: usize = plan.steps.iter().map(|s| s.kernel.dispatches.len()).sum();
        let bytes = dispatches.max(1) * PARAMS_STRIDE as usize;
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let mut executor = Self {
            params: gpu.buffer("parameters", bytes as u64, usage)?,
            params_host: vec![0; bytes],
            slots,
            textures,
            bound: HashMap::new(),
            macs_per_slice: match gpu.family {
                Family::Subgroup(_) => 1 << 31,
                Family::Tiled => 1 << 34,
            },
            executed_macs: 0,
            gpu,
            plan,
        };
        executor.bind_all(store)?;
        Ok(executor)
    }

    /// Buffers of the plan's slots: its own for what is read after a replay, shared ones for the rest.
    fn allocate(plan: &Plan, store: &mut Store) -> Result<Vec<wgpu::Buffer>> {
        let kept = |slot| {
            plan.outputs
                .iter()
                .any(|(.., place)| *place == Place::Slot(slot))
        };
        let (own, shared): (Vec<usize>, Vec<usize>) = (0..plan.slots.len()).partition(|&s| kept(s));
        let sizes: Vec<u64> = shared.iter().map(|&slot| plan.slots[slot]).collect();
        let mut slots: Vec<(usize, wgpu::Buffer)> =
            shared.into_iter().zip(store.workspace(&sizes)?).collect();
        for slot in own {
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
            let buffer = store.gpu().buffer("result", plan.slots[slot], usage)?;
            slots.push((slot, buffer));
        }
        slots.sort_by_key(|(slot, _)| *slot);
        Ok(slots.into_iter().map(|(_, buffer)| buffer).collect())
    }

    /// Bytes of what is read after a replay; everything else is in the store.
    pub fn own_bytes(&self) -> u64 {
        let slots = self.plan.slots.iter().enumerate();
        let own = slots.filter(|(slot, _)| is_kept(&self.plan, *slot));
        own.map(|(_, bytes)| bytes).sum()
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Runs the plan once; returns when it is submitted, not when it is done.
    ///
    /// # Errors
    /// If a window table was never written.
    pub fn replay(&mut self, store: &Store) -> Result<()> {
        let headers = self.headers(store)?;
        let kernels = self.dynamic_kernels(&headers);
        self.write_params(&kernels);
        let mut slice = Slice::begin(&self.gpu);
        let mut executed = 0;
        let mut offset = 0;
        for (i, step) in self.plan.steps.iter().enumerate() {
            let kernel = kernels[i].as_ref().unwrap_or(&step.kernel);
            self.encode(store, &mut slice, step, kernel, &mut offset)?;
            let types = (&step.input_types, &step.output_types);
            let macs = step.op.executed_macs(types.0, types.1, &headers[i]);
            slice.macs += macs;
            executed += macs;
            if slice.macs >= self.macs_per_slice {
                let full = std::mem::replace(&mut slice, Slice::begin(&self.gpu));
                full.submit(&self.gpu);
            }
        }
        slice.submit(&self.gpu);
        self.executed_macs = executed;
        Ok(())
    }

    /// Multiply-adds of the last replay, with the content its window tables had.
    pub fn executed_macs(&self) -> u64 {
        self.executed_macs
    }

    /// Fits the slices to the measured time of one whole replay.
    pub fn calibrate(&mut self, elapsed: Duration) {
        let per_second = self.executed_macs as f64 / elapsed.as_secs_f64().max(1e-6);
        self.macs_per_slice = ((per_second * SLICE.as_secs_f64()) as u64).max(1 << 20);
    }

    /// Reads an output of the plan, waiting for it.
    ///
    /// # Errors
    /// If there is no such output or the device was lost.
    pub fn read(&self, store: &Store, output: &str) -> Result<Tensor> {
        let shape = self.output(output)?.1.shape();
        Ok(Tensor::from_device(
            shape,
            &self.read_padded(store, output)?,
        ))
    }

    /// Reads an output of the plan in device layout, padding lanes included, waiting for it.
    ///
    /// # Errors
    /// If there is no such output or the device was lost.
    pub fn read_padded(&self, store: &Store, output: &str) -> Result<Vec<f32>> {
        let (_, ty, place) = self.output(output)?;
        let buffer = self.resolve(store, *place)?;
        let bytes = self.gpu.read(buffer, ty.bytes())?;
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }

    fn output(&self, output: &str) -> Result<&(String, Ty, Place)> {
        let found = self.plan.outputs.iter().find(|(name, ..)| name == output);
        found.ok_or_else(|| Error::Shape {
            op: "read",
            message: format!("the plan has no output `{output}`"),
        })
    }

    fn resolve<'a>(&'a self, store: &'a Store, place: Place) -> Result<&'a wgpu::Buffer> {
        match place {
            Place::Slot(slot) => Ok(&self.slots[slot]),
            Place::Named(index) => store.buffer(&self.plan.named[index].name),
            Place::Texels(_) | Place::Nowhere => Err(Error::Shape {
                op: "plan",
                message: "a value that nothing computes was asked for".into(),
            }),
        }
    }

    /// Compiles every pipeline and makes every bind group of the worst case, which includes those of any content.
    fn bind_all(&mut self, store: &Store) -> Result<()> {
        for step in &self.plan.steps {
            for dispatch in &step.kernel.dispatches {
                let key = bind_key(step, dispatch);
                if !self.bound.contains_key(&key) {
                    let bound = self.bind(store, dispatch, &key.1)?;
                    self.bound.insert(key, bound);
                }
            }
        }
        Ok(())
    }

    fn bind(&self, store: &Store, dispatch: &Dispatch, places: &[Place]) -> Result<Bound> {
        let pipeline = self.gpu.pipeline(&dispatch.into());
        let params = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.params,
            offset: 0,
            size: std::num::NonZeroU64::new(PARAMS_STRIDE),
        });
        let mut entries = vec![wgpu::BindGroupEntry {
            binding: 0,
            resource: params,
        }];
        for (binding, &place) in (1..).zip(places) {
            let resource = match place {
                Place::Texels(i) => wgpu::BindingResource::TextureView(&self.textures[i].view),
                place => self.resolve(store, place)?.as_entire_binding(),
            };
            entries.push(wgpu::BindGroupEntry { binding, resource });
        }
        let group = self
            .gpu
            .device
            .create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(dispatch.entry),
                layout: &pipeline.layout,
                entries: &entries,
            });
        Ok(Bound { pipeline, group })
    }

    /// For each step, the headers of the window tables among its arguments.
    fn headers(&self, store: &Store) -> Result<Vec<Vec<Option<Header>>>> {
        let of_step = |step: &Step| {
            let arguments = step.input_types.iter().zip(&step.inputs);
            arguments
                .map(|(ty, place)| self.header(store, ty, *place))
                .collect()
        };
        self.plan.steps.iter().map(of_step).collect()
    }

    /// For steps that read window tables, the dispatches that the present tables need.
    fn dynamic_kernels(&self, headers: &[Vec<Option<Header>>]) -> Vec<Option<Kernel>> {
        let target = self.gpu.target();
        let kernel = |(step, headers): (&Step, &Vec<Option<Header>>)| {
            let kernel = step.is_dynamic.then(|| {
                step.op.kernel(&Site {
                    inputs: &step.input_types,
                    outputs: &step.output_types,
                    headers,
                    family: target.family,
                    workspace_bytes: target.workspace_bytes,
                })
            })?;
            assert!(
                kernel.dispatches.len() <= step.kernel.dispatches.len(),
                "{} needs more dispatches than its worst case",
                step.op.name()
            );
            Some(kernel)
        };
        self.plan.steps.iter().zip(headers).map(kernel).collect()
    }

    fn header(&self, store: &Store, ty: &Ty, place: Place) -> Result<Option<Header>> {
        let (Ty::Windows(_), Place::Named(index)) = (ty, place) else {
            return Ok(None);
        };
        let name = &self.plan.named[index].name;
        let header = store.header(name).ok_or_else(|| Error::Shape {
            op: "replay",
            message: format!("window table `{name}` was never written"),
        })?;
        Ok(Some(header))
    }

    fn write_params(&mut self, kernels: &[Option<Kernel>]) {
        let mut offset = 0;
        for (step, kernel) in self.plan.steps.iter().zip(kernels) {
            for dispatch in &kernel.as_ref().unwrap_or(&step.kernel).dispatches {
                let bytes: &[u8] = bytemuck::cast_slice(&dispatch.params);
                self.params_host[offset..offset + bytes.len()].copy_from_slice(bytes);
                offset += PARAMS_STRIDE as usize;
            }
        }
        self.gpu
            .queue
            .write_buffer(&self.params, 0, &self.params_host[..offset]);
    }

    fn encode(
        &self,
        store: &Store,
        slice: &mut Slice,
        step: &Step,
        kernel: &Kernel,
        offset: &mut u32,
    ) -> Result<()> {
        for dispatch in &kernel.dispatches {
            let at = *offset;
            *offset += PARAMS_STRIDE as u32;
            if dispatch.workgroups == 0 {
                continue;
            }
            let bound = self
                .bound
                .get(&bind_key(step, dispatch))
                .unwrap_or_else(|| {
                    panic!("{} runs a variant its worst case lacks", step.op.name())
                });
            for (texels, memory) in dispatch.texels.iter().zip(&self.textures) {
                let buffer = self.resolve(store, place_of(step, texels.source))?;
                slice.copy(texels, buffer, &memory.texture);
            }
            let pass = slice.pass();
            pass.set_pipeline(&bound.pipeline.pipeline);
            pass.set_bind_group(0, &bound.group, &[at]);
            let x = dispatch.workgroups.min(MAX_WORKGROUPS);
            pass.dispatch_workgroups(x, dispatch.workgroups.div_ceil(x), 1);
        }
        Ok(())
    }
}

fn place_of(step: &Step, binding: Binding) -> Place {
    match binding {
        Binding::Input(i) => step.inputs[i],
        Binding::Output(i) => step.outputs[i],
        Binding::Scratch(i) => step.scratch[i],
        Binding::Texels(i) => Place::Texels(i),
    }
}

/// Whether a slot holds something that is read after a replay.
fn is_kept(plan: &Plan, slot: usize) -> bool {
    let mut outputs = plan.outputs.iter();
    outputs.any(|(.., place)| *place == Place::Slot(slot))
}

fn bind_key(step: &Step, dispatch: &Dispatch) -> BindKey {
    let bindings = dispatch.bindings.iter();
    (
        dispatch.into(),
        bindings.map(|&b| place_of(step, b)).collect(),
    )
}
