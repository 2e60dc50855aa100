//! Shaders: rendered from templates, validated and reflected by naga, compiled into pipelines once.
//!
//! A template sees the dispatch's defines and the name of the wanted `entry`. Bind group layouts come from what the
//! entry point really uses, so a shader's bindings are written down once, in the shader.

use super::half::narrow;
use crate::graph::Ty;
use crate::graph::plan::Step;
use crate::ops::{Binding, Dispatch};
use include_dir::{Dir, include_dir};
use minijinja::{Environment, Value};
use naga::valid::Capabilities;
use std::collections::HashMap;
use std::sync::LazyLock;

static SHADERS: Dir = include_dir!("$CARGO_MANIFEST_DIR/shaders");

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    for file in SHADERS.files() {
        let name = file.path().to_str().expect("shader names are UTF-8");
        let source = file.contents_utf8().expect("shaders are UTF-8");
        templates
            .add_template(name, source)
            .unwrap_or_else(|e| panic!("shader template {name}: {e:#}"));
    }
    templates
});

/// A checksum of all shaders, their names included: it tells kernels of one build from those of another.
pub fn kernel_checksum() -> u32 {
    let mut files: Vec<_> = SHADERS.files().collect();
    files.sort_by_key(|file| file.path());
    let mut sum = crc32fast::Hasher::new();
    for file in files {
        sum.update(file.path().as_os_str().as_encoded_bytes());
        sum.update(file.contents());
    }
    sum.finalize()
}

/// What shaders may ask for in their first lines, and what naga calls it.
const ENABLED: [(&str, Capabilities); 2] = [
    ("enable f16;", Capabilities::SHADER_FLOAT16),
    (
        "enable wgpu_cooperative_matrix;",
        Capabilities::COOPERATIVE_MATRIX,
    ),
];

/// What selects a pipeline.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Variant {
    /// Stem of the file.
    pub shader: &'static str,
    /// Entry point.
    pub entry: &'static str,
    /// Values of the template's variables.
    pub defines: Vec<(&'static str, u32)>,
    /// Which bindings hold 16-bit floats; bit `b - 1` stands for binding `b`.
    pub halves: u32,
}

impl From<&Dispatch> for Variant {
    fn from(dispatch: &Dispatch) -> Self {
        Self {
            shader: dispatch.shader,
            entry: dispatch.entry,
            defines: dispatch.defines.clone(),
            halves: 0,
        }
    }
}

/// What a shader does with a binding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Access {
    /// Reads a storage buffer.
    Read,
    /// Writes, and perhaps reads, a storage buffer.
    Write,
    /// Reads an array of storage textures of four floats.
    Texels,
}

/// A rendered and checked shader.
pub struct Shader {
    /// WGSL text.
    pub source: String,
    /// The module as naga sees it.
    pub module: naga::Module,
    /// What naga's validator found out about it.
    pub info: naga::valid::ModuleInfo,
    /// For each binding from 1 on, what it is.
    pub bindings: Vec<Access>,
}

impl Variant {
    /// What a dispatch of a step runs, as its arguments and results are stored.
    pub fn of(step: &Step, dispatch: &Dispatch) -> Self {
        let is_half = |binding: &Binding| match *binding {
            Binding::Input(i) => matches!(step.input_types[i], Ty::Half(_)),
            Binding::Output(i) => matches!(step.output_types[i], Ty::Half(_)),
            Binding::Scratch(_) | Binding::Texels(_) => false,
        };
        let bits = dispatch.bindings.iter().enumerate();
        Self {
            halves: bits.fold(0, |bits, (at, b)| bits | u32::from(is_half(b)) << at),
            ..dispatch.into()
        }
    }

    /// Renders the template, parses and validates it.
    ///
    /// # Panics
    /// If the shader is wrong: the shaders are part of this program.
    pub fn render(&self) -> Shader {
        let file = format!("{}.wgsl", self.shader);
        let template = TEMPLATES
            .get_template(&file)
            .unwrap_or_else(|e| panic!("{self:?}: {e:#}"));
        let mut context: HashMap<&str, Value> = HashMap::from([("entry", self.entry.into())]);
        context.extend(self.defines.iter().map(|&(k, v)| (k, Value::from(v))));
        let source = template
            .render(context)
            .unwrap_or_else(|e| panic!("{self:?}: {e:#}"));
        let source = match self.halves {
            0 => source,
            bindings => narrow(&source, bindings),
        };
        let enabled = |(line, _): &(&str, _)| source.lines().any(|other| other == *line);
        let enabled = ENABLED.into_iter().filter(enabled);
        let capabilities = enabled.fold(Capabilities::SUBGROUP, |all, (_, one)| all | one);
        let module = naga::front::wgsl::parse_str(&source)
            .unwrap_or_else(|e| panic!("{self:?}: {}", e.emit_to_string(&source)));
        let info = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities)
            .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
            .subgroup_operations(naga::valid::SubgroupOperationSet::all())
            .validate(&module)
            .unwrap_or_else(|e| panic!("{self:?}: {}", e.emit_to_string(&source)));
        let bindings = self.reflect(&module, &info);
        Shader {
            source,
            module,
            info,
            bindings,
        }
    }

    fn reflect(&self, module: &naga::Module, info: &naga::valid::ModuleInfo) -> Vec<Access> {
        let entry = module
            .entry_points
            .iter()
            .position(|e| e.name == self.entry)
            .unwrap_or_else(|| panic!("{self:?} has no entry point {}", self.entry));
        let mut found: Vec<(u32, Access)> = module
            .global_variables
            .iter()
            .filter(|(handle, _)| !info.get_entry_point(entry)[*handle].is_empty())
            .filter_map(|(_, variable)| match variable.space {
                naga::AddressSpace::Storage { access } => {
                    let binding = variable.binding.as_ref()?.binding;
                    let is_written = access.contains(naga::StorageAccess::STORE);
                    Some((
                        binding,
                        if is_written {
                            Access::Write
                        } else {
                            Access::Read
                        },
                    ))
                }
                naga::AddressSpace::Handle => {
                    Some((variable.binding.as_ref()?.binding, Access::Texels))
                }
                _ => None,
            })
            .collect();
        found.sort();
        for (i, (binding, _)) in found.iter().enumerate() {
            assert_eq!(*binding as usize, i + 1, "{self:?}: bindings count from 1");
        }
        found.into_iter().map(|(_, access)| access).collect()
    }
}

/// A compiled shader.
#[derive(Debug)]
pub struct Pipeline {
    /// The pipeline.
    pub pipeline: wgpu::ComputePipeline,
    /// Its only bind group: the parameters at 0, storage buffers from 1 on.
    pub layout: wgpu::BindGroupLayout,
}

/// Bytes between the parameters of two dispatches: the largest offset alignment WebGPU allows an adapter to ask for.
pub const PARAMS_STRIDE: u64 = 256;

impl Pipeline {
    /// Compiles a variant.
    pub fn new(device: &wgpu::Device, variant: &Variant) -> Self {
        let shader = variant.render();
        let label = format!("{}.{}", variant.shader, variant.entry);
        let layout = bind_group_layout(device, &label, &shader.bindings);
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&label),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(&label),
            source: wgpu::ShaderSource::Wgsl(shader.source.into()),
        };
        // SAFETY: the shaders are this crate's own. Every index is guarded by the sizes the host passes or lies in a
        // window table, which is checked as it is written; every loop ends; and the tests run each variant over shapes
        // with remainders on a validating CPU driver.
        let module = unsafe {
            device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
        };
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(variant.entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        Self { pipeline, layout }
    }
}

fn bind_group_layout(
    device: &wgpu::Device,
    label: &str,
    bindings: &[Access],
) -> wgpu::BindGroupLayout {
    let buffer = |ty, has_dynamic_offset| wgpu::BindingType::Buffer {
        ty,
        has_dynamic_offset,
        min_binding_size: None,
    };
    let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty,
        count: None,
    };
    let mut entries = vec![entry(0, buffer(wgpu::BufferBindingType::Uniform, true))];
    for (binding, access) in (1..).zip(bindings) {
        let storage = |read_only| buffer(wgpu::BufferBindingType::Storage { read_only }, false);
        let ty = match access {
            Access::Read => storage(true),
            Access::Write => storage(false),
            Access::Texels => wgpu::BindingType::StorageTexture {
                access: wgpu::StorageTextureAccess::ReadOnly,
                format: wgpu::TextureFormat::Rgba32Float,
                view_dimension: wgpu::TextureViewDimension::D2Array,
            },
        };
        entries.push(entry(binding, ty));
    }
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some(label),
        entries: &entries,
    })
}
