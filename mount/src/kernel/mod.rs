// SPDX-License-Identifier: MIT OR Apache-2.0
//! The part of the tree that is found in the memory of the kernel. Lists of processes and
//! modules are made when somebody looks for the first time; those of a process, whenever somebody
//! looks, and the last few of them are kept.

mod links;
mod mappings;
mod modules;
mod processes;
mod texts;
mod tree;

use crate::kept::Kept;
use links::Descriptors;
use linpmem_inspect::{Error, Found, LogRecord, Machine, Mapping, OpenFile, Task};
use linpmem_phys::Errno;
use mappings::Mappings;
use modules::Modules;
use processes::Processes;
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

/// Bytes of texts, of lists of mappings and of numbers of open files that are kept.
const TEXTS: usize = 16 << 20;
const LISTS: usize = 16 << 20;
const NUMBERS: usize = 4 << 20;

/// Makes texts of what was found.
pub trait Wording {
    /// The log.
    fn log(&self, found: Found<LogRecord>) -> Vec<u8>;

    /// The mappings of a process.
    fn mappings(&self, task: &Task, found: Found<Mapping>) -> Vec<u8>;

    /// The open files of a process.
    fn files(&self, task: &Task, found: Found<OpenFile>) -> Vec<u8>;
}

/// The machine, and what was found in it.
pub(crate) struct Kernel<'a> {
    machine: Machine<'a>,
    wording: &'a dyn Wording,
    processes: OnceCell<Result<Processes, Error>>,
    modules: OnceCell<Result<Modules, Error>>,
    /// By their node.
    texts: RefCell<Kept<u64, Rc<Vec<u8>>>>,
    /// By the index of their process.
    mappings: RefCell<Kept<u64, Rc<Mappings>>>,
    descriptors: RefCell<Kept<u64, Rc<Descriptors>>>,
}

impl<'a> Kernel<'a> {
    pub(crate) const fn new(machine: Machine<'a>, wording: &'a dyn Wording) -> Self {
        Self {
            machine,
            wording,
            processes: OnceCell::new(),
            modules: OnceCell::new(),
            texts: RefCell::new(Kept::new(TEXTS)),
            mappings: RefCell::new(Kept::new(LISTS)),
            descriptors: RefCell::new(Kept::new(NUMBERS)),
        }
    }

    /// Another question, which may cost as much as the one before.
    pub(crate) fn renew(&self) {
        self.machine.renew();
    }

    fn all_processes(&self) -> &Result<Processes, Error> {
        self.processes.get_or_init(|| Processes::of(&self.machine))
    }

    fn processes(&self) -> Result<&Processes, Errno> {
        self.all_processes().as_ref().map_err(|_| Errno::EIO)
    }

    fn all_modules(&self) -> &Result<Modules, Error> {
        self.modules.get_or_init(|| Modules::of(&self.machine))
    }

    fn modules(&self) -> Result<&Modules, Errno> {
        self.all_modules().as_ref().map_err(|_| Errno::EIO)
    }

    /// The text of this node, which `make` makes if it is not there any more.
    fn text(
        &self,
        node: u64,
        make: impl FnOnce() -> Result<Vec<u8>, Errno>,
    ) -> Result<Rc<Vec<u8>>, Errno> {
        if let Some(text) = self.texts.borrow_mut().get(&node) {
            return Ok(text);
        }
        let text = Rc::new(make()?);
        let bytes = text.len();
        self.texts.borrow_mut().put(node, Rc::clone(&text), bytes);
        Ok(text)
    }

    /// The mappings of the process with this index.
    fn mappings(&self, process: u64) -> Result<Rc<Mappings>, Errno> {
        if let Some(mappings) = self.mappings.borrow_mut().get(&process) {
            return Ok(mappings);
        }
        let task = &self.processes()?.get(process)?.found.task;
        let mappings = Rc::new(Mappings::of(&self.machine, task).map_err(|_| Errno::EIO)?);
        let bytes = mappings.bytes();
        let mut kept = self.mappings.borrow_mut();
        kept.put(process, Rc::clone(&mappings), bytes);
        Ok(mappings)
    }

    /// The open files of the process with this index.
    fn descriptors(&self, process: u64) -> Result<Rc<Descriptors>, Errno> {
        if let Some(open) = self.descriptors.borrow_mut().get(&process) {
            return Ok(open);
        }
        let task = &self.processes()?.get(process)?.found.task;
        let open = Descriptors::of(&self.machine, task).map_err(|_| Errno::EIO)?;
        let open = Rc::new(open);
        let bytes = open.bytes();
        let mut kept = self.descriptors.borrow_mut();
        kept.put(process, Rc::clone(&open), bytes);
        Ok(open)
    }
}
