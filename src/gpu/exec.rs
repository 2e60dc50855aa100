//! Replays a plan: buffers, pipelines, bind groups and parameters exist before the first replay, which creates nothing
//! on the device.
//!
//! Dispatches whose number depends on the content of window tables are worked out again when a table's header has
//! changed since the last replay, into room that was reserved for the worst case. Long work is submitted in slices: a
//! display driver kills a submission of seconds, and a window on the same card must stay alive.

pub mod profile;

use super::readback::Readback;
use super::shader::{PARAMS_STRIDE, Pipeline, Variant};
use super::slice::Slice;
use super::{Gpu, Store, TexelMemory};
use crate::graph::plan::{Named, Place, Plan, Step};
use crate::graph::{Shape, Ty};
use crate::ops::{Binding, Dispatch, Family, Kernel, Site, Tensor};
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

/// What a step runs with the window tables as they were at the last replay.
struct Recorded {
    /// Headers of the window tables among the arguments.
    headers: Vec<Option<Header>>,
    /// The dispatches, where the headers decide them; otherwise the plan's.
    kernel: Option<Kernel>,
    /// For each dispatch, its entry of [`Executor::bound`].
    bound: Vec<usize>,
}

/// A plan on a device, ready to replay.
pub struct Executor {
    gpu: Arc<Gpu>,
    plan: Plan,
    slots: Vec<wgpu::Buffer>,
    textures: Vec<TexelMemory>,
    /// Textures of the plan's constants.
    constants: HashMap<usize, TexelMemory>,
    params: wgpu::Buffer,
    params_host: Vec<u8>,
    bound: Vec<Bound>,
    bound_by_key: HashMap<BindKey, usize>,
    recorded: Vec<Recorded>,
    /// Whether the parameters on the device are those of what is recorded.
    is_written: bool,
    scalars: Readback,
    macs_per_slice: u64,
    executed_macs: u64,
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
        let constant = |&at: &usize| Ok((at, store.texel_constant(&plan.named[at].name)?.clone()));
        let constants = plan.texel_constants.keys().map(constant);
        let constants = constants.collect::<Result<_>>()?;
        let dispatches: usize = plan.steps.iter().map(|s| s.kernel.dispatches.len()).sum();
        let bytes = dispatches.max(1) * PARAMS_STRIDE as usize;
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let mut executor = Self {
            params: gpu.buffer("parameters", bytes as u64, usage)?,
            params_host: vec![0; bytes],
            scalars: Readback::new(&gpu, scalar_outputs(&plan).count())?,
            slots,
            textures,
            constants,
            bound: Vec::new(),
            bound_by_key: HashMap::new(),
            recorded: Vec::new(),
            is_written: false,
            macs_per_slice: match gpu.family {
                Family::Subgroup(_) => 1 << 31,
                Family::Tiled(_) => 1 << 34,
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
        let (own, shared) = plan.kept_and_shared_slots();
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
        self.plan.result_bytes()
    }

    /// Textures that the store has larger ones of by now, while this plan still holds its own: their index and layers.
    pub fn outgrown_texels(&self, store: &Store) -> Vec<(usize, u32)> {
        let layers = self.textures.iter().map(TexelMemory::layers).enumerate();
        let is_outgrown = |&(i, layers): &(usize, u32)| store.texel_layers(i) > layers;
        layers.filter(is_outgrown).collect()
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Runs the plan once; returns when it is submitted, not when it is done.
    ///
    /// # Errors
    /// If a window table was never written, or the device was lost.
    pub fn replay(&mut self, store: &Store) -> Result<()> {
        if self.record(store)? || !self.is_written {
            self.write_params();
        }
        let mut slice = Slice::begin(&self.gpu);
        let mut executed = 0;
        let mut offset = 0;
        for (step, recorded) in self.plan.steps.iter().zip(&self.recorded) {
            self.encode(store, &mut slice, step, recorded, &mut offset)?;
            let types = (&step.input_types, &step.output_types);
            let macs = step.op.executed_macs(types.0, types.1, &recorded.headers);
            slice.macs += macs;
            executed += macs;
            if slice.macs >= self.macs_per_slice {
                let full = std::mem::replace(&mut slice, Slice::begin(&self.gpu));
                self.gpu.breathe(full.submit(&self.gpu))?;
            }
        }
        self.copy_scalars(store, &mut slice)?;
        self.scalars.filled_by(slice.submit(&self.gpu));
        self.executed_macs = executed;
        Ok(())
    }

    /// Names of the plan's scalar outputs, in the order of [`Executor::read_scalars`].
    pub fn scalar_names(&self) -> impl Iterator<Item = &str> {
        scalar_outputs(&self.plan).map(|(name, _)| name)
    }

    /// The scalar outputs of the last replay, waiting for it and nothing later; each replay's can be read once.
    ///
    /// # Errors
    /// If nothing was replayed since, or the device was lost.
    pub fn read_scalars(&mut self, into: &mut Vec<f32>) -> Result<()> {
        self.scalars.read(&self.gpu, into)
    }

    /// Multiply-adds of the last replay, with the content its window tables had.
    pub fn executed_macs(&self) -> u64 {
        self.executed_macs
    }

    /// Fits the submissions to a measured speed, in multiply-adds a second.
    pub fn fit_slices(&mut self, rate: f64) {
        self.macs_per_slice = ((rate * SLICE.as_secs_f64()) as u64).max(1 << 20);
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

    pub(super) fn output(&self, output: &str) -> Result<&(String, Ty, Place)> {
        let found = self.plan.outputs.iter().find(|(name, ..)| name == output);
        found.ok_or_else(|| Error::Shape {
            op: "read",
            message: format!("the plan has no output `{output}`"),
        })
    }

    pub(super) fn resolve<'a>(
        &'a self,
        store: &'a Store,
        place: Place,
    ) -> Result<&'a wgpu::Buffer> {
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
                let key = self.bind_key(step, dispatch);
                if !self.bound_by_key.contains_key(&key) {
                    self.bound.push(self.bind(store, dispatch, &key)?);
                    self.bound_by_key.insert(key, self.bound.len() - 1);
                }
            }
        }
        let recorded = |step: &Step| Recorded {
            headers: vec![None; step.inputs.len()],
            kernel: None,
            bound: self.bound_of(step, &step.kernel),
        };
        self.recorded = self.plan.steps.iter().map(recorded).collect();
        Ok(())
    }

    /// The bind groups of a step's dispatches. Those of the worst case include those of any content.
    fn bound_of(&self, step: &Step, kernel: &Kernel) -> Vec<usize> {
        let find = |dispatch: &Dispatch| {
            let found = self.bound_by_key.get(&self.bind_key(step, dispatch));
            *found
                .unwrap_or_else(|| panic!("{} runs a variant its worst case lacks", step.op.name()))
        };
        let runs = |dispatch: &&Dispatch| dispatch.workgroups > 0;
        kernel.dispatches.iter().filter(runs).map(find).collect()
    }

    fn bind(
        &self,
        store: &Store,
        dispatch: &Dispatch,
        (variant, places): &BindKey,
    ) -> Result<Bound> {
        let pipeline = self.gpu.pipeline(variant);
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
            let texture = match place {
                Place::Texels(i) => Some(&self.textures[i]),
                Place::Named(at) => self.constants.get(&at),
                _ => None,
            };
            let resource = match texture {
                Some(memory) => wgpu::BindingResource::TextureView(&memory.view),
                None => self.resolve(store, place)?.as_entire_binding(),
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

    /// Works out again the steps whose window tables have other headers than at the last replay, and tells whether
    /// there are any.
    fn record(&mut self, store: &Store) -> Result<bool> {
        let mut any_changed = false;
        for at in 0..self.plan.steps.len() {
            let step = &self.plan.steps[at];
            if !step.is_dynamic {
                continue;
            }
            let mut changed = false;
            let known = &mut self.recorded[at].headers;
            for ((known, ty), &place) in known.iter_mut().zip(&step.input_types).zip(&step.inputs) {
                let now = header(&self.plan.named, store, ty, place)?;
                changed |= *known != now;
                *known = now;
            }
            if changed {
                let kernel = self.dynamic_kernel(step, &self.recorded[at].headers);
                let bound = self.bound_of(step, &kernel);
                let recorded = &mut self.recorded[at];
                (recorded.kernel, recorded.bound) = (Some(kernel), bound);
                any_changed = true;
            }
        }
        Ok(any_changed)
    }

    /// The dispatches of a step that reads window tables with these headers.
    fn dynamic_kernel(&self, step: &Step, headers: &[Option<Header>]) -> Kernel {
        let target = &self.plan.target;
        let kernel = step.op.kernel(&Site {
            inputs: &step.input_types,
            outputs: &step.output_types,
            headers,
            family: target.family,
            matrices: target.matrices,
            workspace_bytes: target.workspace_bytes,
        });
        assert!(
            kernel.dispatches.len() <= step.kernel.dispatches.len(),
            "{} needs more dispatches than its worst case",
            step.op.name()
        );
        kernel
    }

    fn write_params(&mut self) {
        let mut offset = 0;
        for (step, recorded) in self.plan.steps.iter().zip(&self.recorded) {
            for dispatch in running(step, recorded) {
                let bytes: &[u8] = bytemuck::cast_slice(&dispatch.params);
                self.params_host[offset..offset + bytes.len()].copy_from_slice(bytes);
                offset += PARAMS_STRIDE as usize;
            }
        }
        self.gpu
            .queue
            .write_buffer(&self.params, 0, &self.params_host[..offset]);
        self.is_written = true;
    }

    fn copy_scalars(&self, store: &Store, slice: &mut Slice) -> Result<()> {
        for (i, (_, place)) in scalar_outputs(&self.plan).enumerate() {
            slice.copy_scalar(self.resolve(store, place)?, self.scalars.staging(), i);
        }
        Ok(())
    }

    fn encode(
        &self,
        store: &Store,
        slice: &mut Slice,
        step: &Step,
        recorded: &Recorded,
        offset: &mut u32,
    ) -> Result<()> {
        for (dispatch, &bound) in running(step, recorded).zip(&recorded.bound) {
            self.fill_texels(store, slice, step, dispatch)?;
            self.dispatch(slice, dispatch, bound, offset);
        }
        Ok(())
    }

    fn bind_key(&self, step: &Step, dispatch: &Dispatch) -> BindKey {
        let place = |&binding: &Binding| match binding {
            Binding::Texels(i) => {
                let constant = step.texel_constant(&dispatch.texels[i], &self.plan.texel_constants);
                constant.map_or(Place::Texels(i), Place::Named)
            }
            binding => step.place(binding).unwrap_or(Place::Nowhere),
        };
        (
            Variant::of(step, dispatch),
            dispatch.bindings.iter().map(place).collect(),
        )
    }

    /// Copies matrices into the textures that a dispatch reads.
    fn fill_texels(
        &self,
        store: &Store,
        slice: &mut Slice,
        step: &Step,
        dispatch: &Dispatch,
    ) -> Result<()> {
        let constants = &self.plan.texel_constants;
        for (texels, memory) in dispatch.texels.iter().zip(&self.textures) {
            if step.texel_constant(texels, constants).is_none() {
                let place = step.place(texels.source).unwrap_or(Place::Nowhere);
                slice.copy(texels, self.resolve(store, place)?, &memory.texture);
            }
        }
        Ok(())
    }

    fn dispatch(&self, slice: &mut Slice, dispatch: &Dispatch, bound: usize, offset: &mut u32) {
        let bound = &self.bound[bound];
        let pass = slice.pass();
        pass.set_pipeline(&bound.pipeline.pipeline);
        pass.set_bind_group(0, &bound.group, &[*offset]);
        *offset += PARAMS_STRIDE as u32;
        let x = dispatch.workgroups.min(MAX_WORKGROUPS);
        pass.dispatch_workgroups(x, dispatch.workgroups.div_ceil(x), 1);
    }
}

/// The dispatches of a step that have any work.
fn running<'a>(step: &'a Step, recorded: &'a Recorded) -> impl Iterator<Item = &'a Dispatch> {
    let kernel = recorded.kernel.as_ref().unwrap_or(&step.kernel);
    let runs = |dispatch: &&Dispatch| dispatch.workgroups > 0;
    kernel.dispatches.iter().filter(runs)
}

/// Header of the window table at a place, if there is one.
fn header(named: &[Named], store: &Store, ty: &Ty, place: Place) -> Result<Option<Header>> {
    let (Ty::Windows(_), Place::Named(index)) = (ty, place) else {
        return Ok(None);
    };
    let name = &named[index].name;
    let header = store.header(name).ok_or_else(|| Error::Shape {
        op: "replay",
        message: format!("window table `{name}` was never written"),
    })?;
    Ok(Some(header))
}

/// Name and place of every output that is a single number.
fn scalar_outputs(plan: &Plan) -> impl Iterator<Item = (&str, Place)> {
    let scalar = Ty::Dense(Shape::scalar());
    let outputs = plan.outputs.iter();
    outputs.filter_map(move |(name, ty, place)| (*ty == scalar).then_some((name.as_str(), *place)))
}
