//! Things a pickled state dictionary is made of, and the few calls that make them.

use std::collections::HashMap;

use super::tensor::{Dtype, Tensor};

/// Anything on the machine's stack: small, copied, and an index where it stands for more.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Text(Span),
    Tuple(Span),
    List(u32),
    Dict(u32),
    Global(Global),
    Storage(u32),
    Tensor(u32),
}

/// A stretch of the pickle's bytes or of the pool of tuple items. Both are shorter than [`super::pickle::MAX_BYTES`].
#[derive(Clone, Copy, Debug)]
pub struct Span {
    start: u32,
    len: u32,
}

impl Span {
    fn new(start: usize, len: usize) -> Self {
        let (start, len) = (start as u32, len as u32);
        Self { start, len }
    }

    fn of<T>(self, all: &[T]) -> &[T] {
        &all[self.start as usize..][..self.len as usize]
    }
}

impl Value {
    /// The text in these bytes of the pickle.
    pub fn text(start: usize, len: usize) -> Self {
        Self::Text(Span::new(start, len))
    }

    /// What it is, for messages.
    pub fn kind(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a truth value",
            Self::Int(_) => "an integer",
            Self::Text(_) => "a text",
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Dict(_) => "a dictionary",
            Self::Global(_) => "a class",
            Self::Storage(_) => "a storage",
            Self::Tensor(_) => "a tensor",
        }
    }

    fn size(self) -> Result<usize, String> {
        match self {
            Self::Int(number) => usize::try_from(number).map_err(|_| format!("a size of {number}")),
            other => Err(format!("{} where a size is expected", other.kind())),
        }
    }
}

/// The names that a pickle may refer to.
#[derive(Clone, Copy, Debug)]
pub enum Global {
    OrderedDict,
    /// Both forms of the function that makes a tensor of a storage.
    RebuildTensor,
    /// The function or class that makes a parameter of a tensor.
    Parameter,
    Storage(Dtype),
}

impl Global {
    /// The thing of this name, if it is one of them.
    pub fn of(module: &str, name: &str) -> Option<Self> {
        match (module, name) {
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Some(Self::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") | ("torch.nn.parameter", "Parameter") => {
                Some(Self::Parameter)
            }
            ("torch" | "torch.cuda", class) => Dtype::of_storage(class).map(Self::Storage),
            _ => None,
        }
    }
}

/// Numbers that lie elsewhere in the file.
#[derive(Debug)]
pub struct Storage<'a> {
    /// Its name.
    pub key: &'a str,
    /// Type of the numbers.
    pub dtype: Dtype,
    /// How many there are.
    pub count: usize,
    /// Where the file first speaks of it.
    pub at: u64,
}

/// A stretch of a storage.
#[derive(Clone, Copy)]
struct View {
    root: u32,
    first: usize,
    count: usize,
}

/// Everything a pickle has made.
pub struct Heap<'a> {
    bytes: &'a [u8],
    /// Where the instruction at work is in the file.
    pub at: u64,
    pool: Vec<Value>,
    /// Items of lists; keys and values of dictionaries by turns.
    containers: Vec<Vec<Value>>,
    views: Vec<View>,
    /// A parameter of the oldest files has no tensor until it is built.
    tensors: Vec<Option<Tensor>>,
    /// The storages.
    pub storages: Vec<Storage<'a>>,
    by_key: HashMap<&'a str, u32>,
}

impl<'a> Heap<'a> {
    /// Nothing yet, of a pickle of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            pool: Vec::new(),
            containers: Vec::new(),
            views: Vec::new(),
            tensors: Vec::new(),
            storages: Vec::new(),
            by_key: HashMap::new(),
        }
    }

    /// The text, if it is one.
    pub fn text(&self, value: Value) -> Option<&'a str> {
        let Value::Text(span) = value else {
            return None;
        };
        std::str::from_utf8(span.of(self.bytes)).ok()
    }

    /// The items of a list, or keys and values of a dictionary by turns.
    pub fn items(&self, value: Value) -> Option<&[Value]> {
        match value {
            Value::List(id) | Value::Dict(id) => Some(&self.containers[id as usize]),
            _ => None,
        }
    }

    /// The tensor, if it is a complete one.
    pub fn tensor(&self, value: Value) -> Option<&Tensor> {
        match value {
            Value::Tensor(id) => self.tensors[id as usize].as_ref(),
            _ => None,
        }
    }

    /// The storage of this name.
    pub fn storage(&self, key: &str) -> Option<usize> {
        self.by_key.get(key).map(|&index| index as usize)
    }

    /// A tuple of these.
    pub fn tuple(&mut self, items: impl Iterator<Item = Value>) -> Value {
        let start = self.pool.len();
        self.pool.extend(items);
        Value::Tuple(Span::new(start, self.pool.len() - start))
    }

    /// A new list or dictionary.
    pub fn container(&mut self) -> u32 {
        self.containers.push(Vec::new());
        self.containers.len() as u32 - 1
    }

    /// Adds to a list or dictionary.
    pub fn extend(&mut self, id: u32, items: impl Iterator<Item = Value>) {
        self.containers[id as usize].extend(items);
    }

    /// What a function or class makes of arguments.
    pub fn call(&mut self, function: Value, arguments: Value) -> Result<Value, String> {
        let (Value::Global(global), Value::Tuple(span)) = (function, arguments) else {
            return Err(format!(
                "{} called with {}",
                function.kind(),
                arguments.kind()
            ));
        };
        match (global, span.of(&self.pool)) {
            (Global::OrderedDict, []) => Ok(Value::Dict(self.container())),
            (Global::OrderedDict, &[Value::List(pairs)]) => self.dict_of_pairs(pairs),
            (Global::RebuildTensor, &[storage, offset, shape, strides, ..]) => {
                self.rebuild(storage, offset, shape, strides)
            }
            (Global::Parameter, &[Value::Tensor(id), ..]) => Ok(Value::Tensor(id)),
            (Global::Parameter, []) => Ok(self.push_tensor(None)),
            (global, arguments) => Err(format!(
                "{global:?} called with {} arguments of other kinds than PyTorch writes",
                arguments.len()
            )),
        }
    }

    /// Sets attributes. Those of a dictionary (`_metadata`) and of a whole parameter are of no interest.
    pub fn build(&mut self, object: Value, state: Value) -> Result<(), String> {
        match (object, state) {
            (Value::Dict(_), Value::Dict(_)) => Ok(()),
            (Value::Tensor(id), Value::Tuple(span)) => {
                if self.tensors[id as usize].is_none() {
                    let data = span.of(&self.pool).first();
                    let data = data.and_then(|&data| self.tensor(data)).cloned();
                    self.tensors[id as usize] = Some(data.ok_or("a parameter without a tensor")?);
                }
                Ok(())
            }
            (object, state) => Err(format!(
                "{} as attributes of {}",
                state.kind(),
                object.kind()
            )),
        }
    }

    /// The storage that a persistent id stands for: `('storage', type, key, location, count)`, in the legacy container
    /// followed by None or `(key, offset, count)` of a view.
    pub fn persistent(&mut self, id: Value) -> Result<Value, String> {
        let Value::Tuple(span) = id else {
            return Err(format!("{} as a persistent id", id.kind()));
        };
        let (head, view) = match *span.of(&self.pool) {
            [tag, class, key, _, count] => ((tag, class, key, count), Value::None),
            [tag, class, key, _, count, view] => ((tag, class, key, count), view),
            _ => return Err("a persistent id of neither 5 nor 6 parts".into()),
        };
        let (tag, class, key, count) = head;
        let (Some("storage"), Value::Global(Global::Storage(dtype)), Some(key)) =
            (self.text(tag), class, self.text(key))
        else {
            return Err("a persistent id of something other than a storage".into());
        };
        let root = self.intern(key, dtype, count.size()?)?;
        let (first, count) = match view {
            Value::None => (0, self.storages[root as usize].count),
            Value::Tuple(span) => match *span.of(&self.pool) {
                [_, first, count] => (first.size()?, count.size()?),
                _ => return Err("a view of a storage of other than 3 parts".into()),
            },
            other => return Err(format!("{} as a view of a storage", other.kind())),
        };
        let whole = self.storages[root as usize].count;
        if first.checked_add(count).is_none_or(|end| end > whole) {
            return Err(format!(
                "a view beyond the {whole} numbers of storage {key}"
            ));
        }
        self.views.push(View { root, first, count });
        Ok(Value::Storage(self.views.len() as u32 - 1))
    }

    fn intern(&mut self, key: &'a str, dtype: Dtype, count: usize) -> Result<u32, String> {
        if count.checked_mul(dtype.width()).is_none() {
            return Err(format!("storage {key} with {count} numbers"));
        }
        let Some(&known) = self.by_key.get(key) else {
            let index = self.storages.len() as u32;
            self.by_key.insert(key, index);
            let at = self.at;
            self.storages.push(Storage {
                key,
                dtype,
                count,
                at,
            });
            return Ok(index);
        };
        let first = &self.storages[known as usize];
        if (first.dtype, first.count) != (dtype, count) {
            return Err(format!(
                "storage {key} with {count} numbers of {dtype:?}, which had {} of {:?} before",
                first.count, first.dtype
            ));
        }
        Ok(known)
    }

    fn rebuild(
        &mut self,
        storage: Value,
        offset: Value,
        shape: Value,
        strides: Value,
    ) -> Result<Value, String> {
        let Value::Storage(view) = storage else {
            return Err(format!("a tensor of {}", storage.kind()));
        };
        let View { root, first, count } = self.views[view as usize];
        let layout = (self.sizes(shape)?, self.sizes(strides)?);
        let tensor = Tensor::new(self.at, root, (first, count), offset.size()?, layout)?;
        Ok(self.push_tensor(Some(tensor)))
    }

    fn sizes(&self, value: Value) -> Result<Vec<usize>, String> {
        match value {
            Value::Tuple(span) => span.of(&self.pool).iter().map(|v| v.size()).collect(),
            other => Err(format!("{} where sizes are expected", other.kind())),
        }
    }

    fn push_tensor(&mut self, tensor: Option<Tensor>) -> Value {
        self.tensors.push(tensor);
        Value::Tensor(self.tensors.len() as u32 - 1)
    }

    /// As Python 2 wrote it. The list is emptied, so that copying it over and over is no bomb.
    fn dict_of_pairs(&mut self, pairs: u32) -> Result<Value, String> {
        let id = self.container();
        for pair in std::mem::take(&mut self.containers[pairs as usize]) {
            let items = match pair {
                Value::Tuple(span) => span.of(&self.pool),
                Value::List(pair) => &self.containers[pair as usize],
                other => return Err(format!("{} as a pair", other.kind())),
            };
            let &[key, value] = items else {
                return Err(format!("a pair of {}", items.len()));
            };
            self.containers[id as usize].extend([key, value]);
        }
        Ok(Value::Dict(id))
    }
}
