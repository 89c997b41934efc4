// SPDX-License-Identifier: MIT OR Apache-2.0
//! The numbers of nodes, which are the file system's inode numbers.
//!
//! The highest byte says what a number stands for, the others which one of its kind. A number is
//! taken apart again whenever somebody uses it.

/// The root, as FUSE has it; the others of the fixed part follow.
pub(crate) const ROOT: u64 = 1;

const KIND_SHIFT: u32 = 56;
const TASK_SHIFT: u32 = 32;
const TASKS: u64 = (1 << (KIND_SHIFT - TASK_SHIFT)) - 1;
const ITEMS: u64 = (1 << TASK_SHIFT) - 1;

/// What a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// Something that was there when the image was mounted, by its index.
    Fixed(u64),
    /// A range of memory, by its index.
    Range(u64),
    /// Something that is found in the memory of the kernel.
    Live(LiveNode),
}

/// Something that is found in the memory of the kernel. Tasks, mappings, open
/// files and modules are told by their index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LiveNode {
    Log,
    Notes,
    Modules,
    Module(u64),
    Processes,
    Process(u64),
    InProcess(u64, u64),
    Mappings(u64),
    Mapping(u64, u64),
    Names,
    Name(u64),
    Descriptors(u64),
    Descriptor(u64, u64),
    Needed(u64, u64),
}

impl Node {
    pub(crate) const fn new(number: u64) -> Option<Self> {
        let task = (number >> TASK_SHIFT) & TASKS;
        let item = number & ITEMS;
        let low = number & ((1 << KIND_SHIFT) - 1);
        Some(match number >> KIND_SHIFT {
            0 if number >= ROOT => Self::Fixed(number - ROOT),
            1 => Self::Range(low),
            16 => Self::Live(LiveNode::Log),
            17 => Self::Live(LiveNode::Notes),
            18 => Self::Live(LiveNode::Modules),
            19 => Self::Live(LiveNode::Module(low)),
            20 => Self::Live(LiveNode::Processes),
            21 => Self::Live(LiveNode::Process(low)),
            22 => Self::Live(LiveNode::InProcess(task, item)),
            23 => Self::Live(LiveNode::Mappings(low)),
            24 => Self::Live(LiveNode::Mapping(task, item)),
            25 => Self::Live(LiveNode::Names),
            26 => Self::Live(LiveNode::Name(low)),
            27 => Self::Live(LiveNode::Descriptors(low)),
            28 => Self::Live(LiveNode::Descriptor(task, item)),
            29 => Self::Live(LiveNode::Needed(task, item)),
            _ => return None,
        })
    }

    /// Indices are far below what there is room for: of tasks, modules, mappings and open files
    /// there are at most 2^20, and of ranges fewer than bytes in memory.
    pub(crate) const fn number(self) -> u64 {
        match self {
            Self::Fixed(index) => index + ROOT,
            Self::Range(index) => pack(1, 0, index),
            Self::Live(live) => match live {
                LiveNode::Log => pack(16, 0, 0),
                LiveNode::Notes => pack(17, 0, 0),
                LiveNode::Modules => pack(18, 0, 0),
                LiveNode::Module(index) => pack(19, 0, index),
                LiveNode::Processes => pack(20, 0, 0),
                LiveNode::Process(task) => pack(21, 0, task),
                LiveNode::InProcess(task, item) => pack(22, task, item),
                LiveNode::Mappings(task) => pack(23, 0, task),
                LiveNode::Mapping(task, item) => pack(24, task, item),
                LiveNode::Names => pack(25, 0, 0),
                LiveNode::Name(task) => pack(26, 0, task),
                LiveNode::Descriptors(task) => pack(27, 0, task),
                LiveNode::Descriptor(task, item) => pack(28, task, item),
                LiveNode::Needed(task, item) => pack(29, task, item),
            },
        }
    }
}

impl LiveNode {
    pub(crate) const fn number(self) -> u64 {
        Node::Live(self).number()
    }
}

const fn pack(kind: u64, task: u64, item: u64) -> u64 {
    kind << KIND_SHIFT | (task & TASKS) << TASK_SHIFT | item
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_leads_back_to_its_node() {
        let most = (1 << 20) - 1;
        for live in [
            LiveNode::Log,
            LiveNode::Notes,
            LiveNode::Modules,
            LiveNode::Module(most),
            LiveNode::Processes,
            LiveNode::Process(most),
            LiveNode::InProcess(most, 7),
            LiveNode::Mappings(most),
            LiveNode::Mapping(most, most),
            LiveNode::Names,
            LiveNode::Name(most),
            LiveNode::Descriptors(most),
            LiveNode::Descriptor(most, most),
            LiveNode::Needed(most, 2),
        ] {
            assert_eq!(Node::new(live.number()), Some(Node::Live(live)));
        }
        for node in [Node::Fixed(0), Node::Fixed(70_000), Node::Range(1 << 40)] {
            assert_eq!(Node::new(node.number()), Some(node));
        }
        assert_eq!(Node::Fixed(0).number(), ROOT);
    }

    #[test]
    fn other_numbers_are_nothing() {
        for number in [0, 2 << 56, 30 << 56, u64::MAX] {
            assert_eq!(Node::new(number), None, "{number:#x}");
        }
    }
}
