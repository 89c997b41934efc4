// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small kernel whose memory is changed anywhere: nothing that is read of it may lead to a
//! panic, or go on without an end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linpmem_inspect::testing::{
    CHAIN, DIRECT, END, IMAGE, LogRing, Of, PARTS, Tasks, counter_types, log_types, mapping_types,
    module_types, queue_types,
};
use linpmem_inspect::{Machine, Task, Troubles};

/// The bytes of a change: what kind it is, where, and which value.
const CHANGE_BYTES: usize = 9;

fuzz_target!(|input: &[u8]| {
    let mut tasks = world();
    for change in input.chunks_exact(CHANGE_BYTES).take(256) {
        let number = |part: &[u8]| {
            part.iter()
                .fold(0_u64, |number, &byte| number << 8 | u64::from(byte))
        };
        let place = DIRECT + number(&change[1..4]) % (END / 8) * 8;
        let value = number(&change[4..]);
        match change[0] % 4 {
            0 => tasks.kernel.lose(place),
            1 => tasks.kernel.put(place, value),
            // To something that is there, and to a page table's entry.
            2 => tasks.kernel.put(place, DIRECT + value % END),
            _ => tasks
                .kernel
                .put(place, value % END / 0x1000 * 0x1000 | 0x67),
        }
    }
    let image = tasks.kernel.image();
    if let Ok(machine) = Machine::open(image.memory(), image.facts()) {
        look_at(&machine);
    }
});

/// Everything that the commands read.
fn look_at(machine: &Machine<'_>) {
    let Ok(found) = machine.tasks() else { return };
    let _ = machine.tasks_by_pid();
    let mut room = 1 << 20;
    for task in &found.items {
        let _ = machine.arguments(task);
        let _ = machine.maps(task, &mut room);
    }
    let _ = machine.modules();
    let _ = machine.log();
    let _ = machine.cpus(2);
    let _ = machine.boot_id();
    let _ = machine.kernel_code();
    let all: Vec<&Task> = found.items.iter().collect();
    let _ = machine.user_pages(&all, 1, &|phys| phys < END, &mut Troubles::default());
}

/// Two processes, one of them with a thread and a mapping, a module, and a processor.
fn world() -> Tasks {
    let memory = [CHAIN, ("rss_stat", Of::Struct("mm_rss_stat"), 32)];
    let mut tasks = Tasks::with(&memory, |btf| {
        mapping_types(btf);
        counter_types(btf);
        module_types(btf, &PARTS);
        queue_types(btf);
        log_types(btf);
    });
    let one = tasks.process(1, "init");
    tasks.process(2, "second");
    tasks.thread(one, 1, 3, "worker");
    let mm = tasks.memory(one, b"/sbin/init\0--now\0");
    let idle = tasks.init;
    let kernel = &mut tasks.kernel;
    let area = kernel.allocate(64);
    kernel.put(mm + 24, area);
    kernel.put(area, 0x40_0000);
    kernel.put(area + 8, 0x40_1000);
    let [list, module] = [kernel.allocate(16), kernel.allocate(192)];
    kernel.symbol("modules", list);
    kernel.link(list, &[module + 8]);
    let [offsets, queue, id] = [kernel.allocate(8), kernel.allocate(16), kernel.allocate(16)];
    kernel.symbol("__per_cpu_offset", offsets);
    kernel.symbol("runqueues", queue);
    kernel.put(queue + 8, idle);
    kernel.symbol("sysctl_bootid", id);
    let log = LogRing::new(kernel);
    log.record(kernel, 0, [0, 24], "booted");
    log.range(kernel, 0, 0);
    let code = kernel.aligned_page();
    kernel.symbol("_stext", code - DIRECT + IMAGE);
    kernel.symbol("_etext", code - DIRECT + IMAGE + 0x1000);
    tasks
}
