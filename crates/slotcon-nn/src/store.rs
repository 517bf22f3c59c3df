//! Where a network's weights live: named, in the order of PyTorch's state dict.
//!
//! tch's `VarStore` forgets the order of its variables; the official checkpoints, the optimizer's state in them
//! and the exports all depend on it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use slotcon_torch::distributed::Ranks;
use tch::{Device, Kind, Tensor};

use crate::Error;
use crate::init::Init;

/// Misfits that an error spells out.
const SHOWN: usize = 5;

/// What a stored tensor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Learnt: by gradient (student) or as a moving average (teacher).
    Parameter,
    /// State that no gradient reaches: running statistics, the centre.
    Buffer,
    /// `num_batches_tracked`: a 64-bit counter that stays on the CPU.
    Counter,
}

/// One named tensor.
#[derive(Debug)]
pub struct Entry {
    /// Name in the official state dict, without `module.`.
    pub name: String,
    /// The tensor itself; clones of it share the memory.
    pub tensor: Tensor,
    /// What it is for.
    pub role: Role,
}

/// What a batch norm keeps of the batches that it saw; the tensors share its memory.
#[derive(Debug)]
pub struct Norm {
    /// The running mean, `[C]`.
    pub mean: Tensor,
    /// The running variance, `[C]`.
    pub var: Tensor,
    /// Values a channel of this rank's last batch in [`crate::BatchNormMode::Measure`]; 0 before.
    pub(crate) values: Rc<Cell<i64>>,
}

impl Norm {
    /// Values a channel of this rank's last batch in [`crate::BatchNormMode::Measure`], which are 0 from now on until there is
    /// another.
    pub fn take_values(&self) -> i64 {
        self.values.take()
    }
}

/// All tensors of a model, in definition order.
#[derive(Debug)]
pub struct Store {
    entries: RefCell<Vec<Entry>>,
    norms: RefCell<Vec<Norm>>,
    device: Device,
    kind: Kind,
    ranks: Ranks,
}

impl Store {
    /// An empty store; its tensors will live on `device` as `kind` (f32, or f64 for comparisons).
    pub fn new(device: Device, kind: Kind) -> Self {
        Self::across(device, kind, Ranks::alone())
    }

    /// The same for a network whose batch norm is over the pictures of all `ranks`.
    pub fn across(device: Device, kind: Kind, ranks: Ranks) -> Self {
        Self {
            entries: RefCell::default(),
            norms: RefCell::default(),
            device,
            kind,
            ranks,
        }
    }

    /// The place at which a network is built.
    pub fn root(&self) -> Path<'_> {
        Path {
            store: self,
            prefix: String::new(),
            trainable: true,
        }
    }

    /// Device of every tensor but the counters.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Element type of parameters and buffers.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The ranks that train the network together.
    pub fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// All entries (sharing memory), in definition order.
    pub fn entries(&self) -> Vec<Entry> {
        let entries = self.entries.borrow();
        entries
            .iter()
            .map(|e| Entry {
                name: e.name.clone(),
                tensor: e.tensor.shallow_clone(),
                role: e.role,
            })
            .collect()
    }

    /// The batch norms, in definition order.
    pub fn norms(&self) -> Vec<Norm> {
        let norms = self.norms.borrow();
        norms
            .iter()
            .map(|norm| Norm {
                mean: norm.mean.shallow_clone(),
                var: norm.var.shallow_clone(),
                values: Rc::clone(&norm.values),
            })
            .collect()
    }

    /// Copies `lookup(name)` into every entry; counters may be missing (old files do not have them).
    ///
    /// # Errors
    /// A missing tensor or a shape that differs, all of them in one message; nothing is changed then.
    pub fn load(&self, mut lookup: impl FnMut(&str) -> Option<Tensor>) -> Result<(), Error> {
        let entries = self.entries.borrow();
        let mut problems = Vec::new();
        let mut found = Vec::with_capacity(entries.len());
        for entry in entries.iter() {
            match lookup(&entry.name) {
                Some(t) if t.size() == entry.tensor.size() => found.push((entry, t)),
                Some(t) => problems.push(format!(
                    "{} has shape {:?}, the network needs {:?}",
                    entry.name,
                    t.size(),
                    entry.tensor.size()
                )),
                None if entry.role == Role::Counter => {}
                None => problems.push(format!("{} {:?} is missing", entry.name, entry.tensor.size())),
            }
        }
        if !problems.is_empty() {
            let more = problems.len().saturating_sub(SHOWN);
            let rest = if more > 0 {
                format!("; and {more} more")
            } else {
                String::new()
            };
            problems.truncate(SHOWN);
            return Err(Error::Weights(format!("{}{rest}", problems.join("; "))));
        }
        let _guard = tch::no_grad_guard();
        for (entry, tensor) in found {
            entry.tensor.shallow_clone().f_copy_(&tensor)?;
        }
        Ok(())
    }

    fn insert(&self, name: String, tensor: Tensor, role: Role) -> Tensor {
        let shared = tensor.shallow_clone();
        self.entries.borrow_mut().push(Entry { name, tensor, role });
        shared
    }
}

/// A prefix in a [`Store`], at which a layer puts its tensors.
#[derive(Debug, Clone)]
pub struct Path<'a> {
    store: &'a Store,
    prefix: String,
    trainable: bool,
}

impl<'a> Path<'a> {
    /// The same store, one name deeper.
    pub fn sub(&self, name: impl std::fmt::Display) -> Path<'a> {
        Path {
            prefix: self.full(&name.to_string()),
            ..*self
        }
    }

    /// The same place, but parameters made below it get no gradient (the teacher).
    pub fn frozen(&self) -> Path<'a> {
        Path {
            trainable: false,
            ..self.clone()
        }
    }

    /// A parameter, drawn on the CPU (the same numbers on every device), 4-d ones in channels-last layout.
    pub fn parameter(&self, name: &str, shape: &[i64], init: Init) -> Tensor {
        let value = init.fill(Tensor::empty(shape, (Kind::Float, Device::Cpu)));
        let mut value = value.to_kind(self.store.kind).to_device(self.store.device);
        if shape.len() == 4 {
            value = slotcon_torch::channels_last(&value);
        }
        let value = value.set_requires_grad(self.trainable);
        self.store.insert(self.full(name), value, Role::Parameter)
    }

    /// A buffer filled with one value.
    pub fn buffer(&self, name: &str, shape: &[i64], value: f64) -> Tensor {
        let tensor = Tensor::full(shape, value, (self.store.kind, self.store.device));
        self.store.insert(self.full(name), tensor, Role::Buffer)
    }

    /// Notes that a batch norm was built.
    pub(crate) fn norm(&self, norm: Norm) {
        self.store.norms.borrow_mut().push(norm);
    }

    /// The ranks that train the network together.
    pub fn ranks(&self) -> Ranks {
        self.store.ranks.clone()
    }

    /// A counter that starts at zero.
    pub fn counter(&self, name: &str) -> Tensor {
        let tensor = Tensor::zeros([0i64; 0], (Kind::Int64, Device::Cpu));
        self.store.insert(self.full(name), tensor, Role::Counter)
    }

    fn full(&self, name: &str) -> String {
        if self.prefix.is_empty() {
            name.into()
        } else {
            format!("{}.{name}", self.prefix)
        }
    }
}
