// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel keeps for each processor: where that is, and what runs there.

use crate::error::Error;
use crate::found::Found;
use crate::machine::Machine;
use crate::trouble::Trouble;

const WHAT: &str = "data of a processor";
/// The most processors that a kernel is built for.
const MAX_CPUS: u64 = 8192;

/// A processor, as its own run queue describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Its number.
    pub number: u64,
    /// The number that its run queue has: the same, unless something is wrong.
    pub own_number: u64,
    /// Where the task is that runs on it.
    pub current: u64,
    /// The number of that task; 0 for the one that it idles with.
    pub current_pid: i32,
}

impl Machine<'_> {
    /// The first `count` processors.
    ///
    /// # Errors
    /// If the kernel's symbols do not lead to their data.
    pub fn cpus(&self, count: u64) -> Result<Found<Cpu>, Error> {
        let queues = self.symbol("runqueues")?;
        self.symbol("__per_cpu_offset")?;
        let mut found = Found::default();
        for number in 0..count.min(MAX_CPUS) {
            match self.cpu(number, queues) {
                Ok(cpu) => found.items.push(cpu),
                Err(error @ (Error::Memory(_) | Error::Null { .. })) => found
                    .troubles
                    .push(Trouble::Unreadable { what: WHAT, error }),
                Err(other) => return Err(other),
            }
        }
        Ok(found)
    }

    fn cpu(&self, number: u64, queues: u64) -> Result<Cpu, Error> {
        let queue = queues.wrapping_add(self.per_cpu_offset(number)?);
        let queue = self.structure("rq", queue)?;
        let current = queue.field("curr")?.follow()?;
        Ok(Cpu {
            number,
            own_number: queue.field("cpu")?.u64()?,
            current: current.address(),
            current_pid: current.field("pid")?.i32()?,
        })
    }

    /// How far the data of the processor `number` are from where the kernel's symbols say.
    pub(crate) fn per_cpu_offset(&self, number: u64) -> Result<u64, Error> {
        let offsets = self.symbol("__per_cpu_offset")?;
        let place = offsets.wrapping_add(number.wrapping_mul(8));
        Ok(self.read_u64(place)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{DIRECT, Tasks, queue_types};

    /// Two processors: the first idles, the second runs the process 1.
    fn machine() -> (Tasks, [u64; 2]) {
        let mut tasks = Tasks::with(&[], queue_types);
        let one = tasks.process(1, "init");
        let init = tasks.init;
        let kernel = &mut tasks.kernel;
        let offsets = kernel.allocate(16);
        let areas = [kernel.aligned_page(), kernel.aligned_page()];
        kernel.symbol("__per_cpu_offset", offsets);
        // Zero-based, as x86-64 links them.
        kernel.symbol("runqueues", 0x140);
        for (number, task) in (0..).zip([init, one]) {
            let area = areas[usize::try_from(number).unwrap()];
            kernel.put(offsets + u64::from(number) * 8, area);
            kernel.put_u32(area + 0x140, number);
            kernel.put(area + 0x148, task);
        }
        (tasks, areas)
    }

    #[test]
    fn what_runs_on_each_processor_is_found() {
        let (tasks, _) = machine();
        let init = tasks.init;
        let image = tasks.kernel.image();
        let found = image.machine().cpus(2).unwrap();
        assert_eq!(found.troubles, []);
        let numbers: Vec<_> = found
            .items
            .iter()
            .map(|cpu| (cpu.number, cpu.own_number, cpu.current_pid))
            .collect();
        assert_eq!(numbers, [(0, 0, 0), (1, 1, 1)]);
        assert_eq!(found.items[0].current, init);
    }

    #[test]
    fn a_processor_whose_data_are_missing_or_lead_nowhere_is_said() {
        for (is_lost, value) in [(true, 0), (false, 0), (false, DIRECT + (1 << 45))] {
            let (mut tasks, areas) = machine();
            match is_lost {
                true => tasks.kernel.lose(areas[1]),
                false => tasks.kernel.put(areas[1] + 0x148, value),
            }
            let image = tasks.kernel.image();
            let found = image.machine().cpus(2).unwrap();
            assert_eq!((found.items.len(), found.troubles.len()), (1, 1));
        }
    }
}
