//! What an operation asks of the device: dispatches over its arguments, results and scratch memory.

use super::Texels;
use super::gemm::Matrices;
use crate::graph::{Shape, Ty};
use crate::windows::Header;

/// Which family of kernels suits an adapter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Family {
    /// Workgroup memory and barriers: real GPUs.
    Tiled(Buffering),
    /// Subgroup lanes as pixels, no barriers: adapters that run on the CPU with this many lanes.
    Subgroup(u32),
}

/// How kernels of the tiled family use workgroup memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Buffering {
    /// One buffer of at most 16 KiB, which every adapter has: what is next is loaded when the present is done with.
    Single,
    /// Two buffers of at most 32 KiB together: what is next is loaded while the present is multiplied.
    Double,
}

impl Buffering {
    /// Bytes of workgroup memory that kernels take at most.
    pub const fn most_bytes(self) -> u32 {
        match self {
            Buffering::Single => 16 << 10,
            Buffering::Double => 32 << 10,
        }
    }

    /// The best for an adapter whose workgroups have so many bytes.
    pub const fn for_bytes(bytes: u32) -> Self {
        if bytes >= Buffering::Double.most_bytes() {
            Buffering::Double
        } else {
            Buffering::Single
        }
    }
}

impl Family {
    /// Whether kernels of the tiled family have two buffers, as a template's variable.
    pub(super) fn doubled(self) -> u32 {
        u32::from(self == Family::Tiled(Buffering::Double))
    }

    /// Columns that an invocation takes of rows so many `vec4` wide, where it looks something up once for all of them:
    /// several where lanes load one after the other, which makes looking up dear.
    pub fn columns(self, c4: usize) -> usize {
        match self {
            Family::Tiled(_) => 1,
            Family::Subgroup(lanes) => (c4 / lanes as usize).clamp(1, 4),
        }
    }
}

/// What a dispatch binds, in the order of the shader's bindings.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Binding {
    /// Argument of the operation.
    Input(usize),
    /// Result of the operation.
    Output(usize),
    /// Scratch memory of the operation.
    Scratch(usize),
    /// Matrix of [`Dispatch::texels`], read as a texture.
    Texels(usize),
}

/// One compute dispatch.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// Stem of the file in `shaders/`.
    pub shader: &'static str,
    /// Entry point.
    pub entry: &'static str,
    /// Values of the template's variables; they select the variant.
    pub defines: Vec<(&'static str, u32)>,
    /// Matrices copied into textures before the dispatch runs.
    pub texels: Vec<Texels>,
    /// Storage buffers and texels, bound from binding 1 on.
    pub bindings: Vec<Binding>,
    /// Words of the uniform struct at binding 0.
    pub params: Vec<u32>,
    /// Number of workgroups; more than 65535 are folded into the second dimension.
    pub workgroups: u32,
}

impl Dispatch {
    /// A dispatch without parameters or variants.
    pub fn new(shader: &'static str, entry: &'static str) -> Self {
        Self {
            shader,
            entry,
            defines: Vec::new(),
            texels: Vec::new(),
            bindings: Vec::new(),
            params: Vec::new(),
            workgroups: 1,
        }
    }

    /// Sets a template variable.
    pub fn define(mut self, name: &'static str, value: u32) -> Self {
        self.defines.push((name, value));
        self
    }

    /// Binds a copy of a matrix as texels.
    pub fn bind_texels(mut self, texels: Texels) -> Self {
        self.bindings.push(Binding::Texels(self.texels.len()));
        self.texels.push(texels);
        self
    }

    /// Binds arrays that the shader reads through functions, as `x_at(i)`: copies of them as texels where the family
    /// reads those faster, the buffers themselves elsewhere.
    pub fn bind_arrays(self, family: Family, arrays: &[Texels]) -> Self {
        let copied = matches!(family, Family::Subgroup(_));
        let bind = |dispatch: Self, &array: &Texels| {
            if copied {
                dispatch.bind_texels(array)
            } else {
                dispatch.bind(&[array.source])
            }
        };
        arrays
            .iter()
            .fold(self.define("copied", u32::from(copied)), bind)
    }

    /// Binds buffers in order.
    pub fn bind(mut self, bindings: &[Binding]) -> Self {
        self.bindings.extend_from_slice(bindings);
        self
    }

    /// Appends an integer parameter.
    pub fn param(mut self, value: usize) -> Self {
        self.params
            .push(u32::try_from(value).expect("planner keeps sizes below 2^32"));
        self
    }

    /// Appends integer parameters.
    pub fn params(self, values: &[usize]) -> Self {
        values.iter().fold(self, |dispatch, &v| dispatch.param(v))
    }

    /// Appends a real parameter.
    pub fn real(mut self, value: f32) -> Self {
        self.params.push(value.to_bits());
        self
    }

    /// Number of workgroups.
    pub fn workgroups(mut self, count: usize) -> Self {
        self.workgroups = u32::try_from(count).expect("planner keeps sizes below 2^32");
        self
    }

    /// One invocation for each of `items`, 64 to a workgroup; `items` is also the next parameter.
    pub fn items(self, items: usize) -> Self {
        self.param(items).workgroups(items.div_ceil(64))
    }
}

/// Everything one application of an operation runs.
#[derive(Clone, Debug, Default)]
pub struct Kernel {
    /// Sizes of the scratch buffers in 32-bit words; they must not depend on the content of index buffers.
    pub scratch: Vec<usize>,
    /// Dispatches, in order.
    pub dispatches: Vec<Dispatch>,
}

impl From<Dispatch> for Kernel {
    fn from(dispatch: Dispatch) -> Self {
        Self {
            scratch: Vec::new(),
            dispatches: vec![dispatch],
        }
    }
}

/// Where an operation is applied.
pub struct Site<'a> {
    /// Types of the arguments.
    pub inputs: &'a [Ty],
    /// Types of the results.
    pub outputs: &'a [Ty],
    /// For every argument that is an index buffer, its header. While planning it is the worst case.
    pub headers: &'a [Option<Header>],
    /// Kernel family of the adapter.
    pub family: Family,
    /// Units for matrices of 16-bit floats, where they are used.
    pub matrices: Option<Matrices>,
    /// Bytes a blocked operation may use for its fixed workspace.
    pub workspace_bytes: usize,
}

impl Site<'_> {
    /// Shape of a dense argument.
    pub fn input(&self, index: usize) -> Shape {
        self.inputs[index].shape()
    }

    /// Shape of a dense result.
    pub fn output(&self, index: usize) -> Shape {
        self.outputs[index].shape()
    }

    /// Units for a product of two arguments, if these are stored as such units take them.
    pub fn matrices(&self, operands: [usize; 2]) -> Option<Matrices> {
        let is_half = |i: usize| matches!(self.inputs[i], Ty::Half(_));
        self.matrices.filter(|_| operands.into_iter().all(is_half))
    }

    /// Header of an index argument.
    pub fn header(&self, index: usize) -> Header {
        self.headers[index].expect("argument is an index buffer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_buffers_need_their_memory() {
        for (bytes, buffering) in [
            (16 << 10, Buffering::Single),
            ((32 << 10) - 1, Buffering::Single),
            (32 << 10, Buffering::Double),
            (64 << 10, Buffering::Double),
        ] {
            assert_eq!(Buffering::for_bytes(bytes), buffering, "{bytes}");
        }
    }
}
