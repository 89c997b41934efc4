// SPDX-License-Identifier: MIT OR Apache-2.0
//! The configuration of a machine.

use super::{ReservedMemory, Vm};
use crate::arch::Arch;
use crate::kernel::Kernel;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A machine to be booted.
#[derive(Clone, Debug)]
pub struct VmBuilder {
    pub(super) kernel: Kernel,
    pub(super) machine: String,
    pub(super) memory_mib: u32,
    pub(super) cpu: String,
    pub(super) smp: u32,
    pub(super) append: Vec<String>,
    pub(super) devices: Vec<String>,
    pub(super) qemu_args: Vec<String>,
    pub(super) modules: Vec<String>,
    pub(super) reserved: Vec<ReservedMemory>,
    pub(super) firmware: Option<&'static str>,
    pub(super) scratch_gib: Option<u32>,
    pub(super) qmp: Option<PathBuf>,
    pub(super) console: Option<PathBuf>,
    pub(super) boot_timeout: Duration,
    pub(super) timeout: Duration,
}

impl VmBuilder {
    /// 1 GiB of memory, 2 processors, a scratch disk. The processors of x86-64 have every
    /// feature that QEMU emulates.
    #[must_use]
    pub fn new(kernel: &Kernel) -> Self {
        Self {
            kernel: kernel.clone(),
            machine: kernel.arch().machine().to_owned(),
            memory_mib: 1024,
            cpu: kernel.arch().cpu(kernel.release()).to_owned(),
            smp: 2,
            append: Vec::new(),
            devices: Vec::new(),
            qemu_args: Vec::new(),
            modules: Vec::new(),
            reserved: Vec::new(),
            firmware: None,
            scratch_gib: Some(8),
            qmp: None,
            console: None,
            boot_timeout: Duration::from_secs(120),
            timeout: Duration::from_secs(180),
        }
    }

    /// QEMU's `-machine`: `q35,max-ram-below-4g=512M` moves memory beyond 512 MiB above
    /// 4 GiB.
    #[must_use]
    pub fn machine(mut self, machine: &str) -> Self {
        machine.clone_into(&mut self.machine);
        self
    }

    /// Memory, in MiB.
    #[must_use]
    pub fn memory_mib(mut self, memory_mib: u32) -> Self {
        self.memory_mib = memory_mib;
        self
    }

    /// QEMU's `-cpu`: `max` has 5-level paging, `max,la57=off` has 4 levels.
    #[must_use]
    pub fn cpu(mut self, cpu: &str) -> Self {
        cpu.clone_into(&mut self.cpu);
        self
    }

    /// Processors.
    #[must_use]
    pub fn smp(mut self, processors: u32) -> Self {
        self.smp = processors;
        self
    }

    /// More words for the kernel's command line.
    #[must_use]
    pub fn append(mut self, words: &str) -> Self {
        self.append.push(words.to_owned());
        self
    }

    /// QEMU's `-device`.
    #[must_use]
    pub fn device(mut self, device: &str) -> Self {
        self.devices.push(device.to_owned());
        self
    }

    /// A virtio-mem device `vmem` of 256 MiB with `plugged_mib` MiB plugged, and its module.
    /// Its memory comes online if the kernel has `memhp_default_state`; QEMU's `-m` needs
    /// a `maxmem`.
    #[must_use]
    pub fn virtio_mem(self, plugged_mib: u32) -> Self {
        // Before Linux 5.16, drivers refuse a device whose unplugged memory is not to be read.
        // On arm64 it always is not, and QEMU knows no option for it.
        let is_old = self.kernel.release().starts_with("5.");
        let inaccessible = match self.kernel.arch() {
            Arch::Aarch64 => "",
            Arch::X86_64 if is_old => ",unplugged-inaccessible=off",
            Arch::X86_64 => ",unplugged-inaccessible=auto",
        };
        self.module("virtio_mem")
            .qemu_arg("-object")
            .qemu_arg("memory-backend-ram,id=vmem-ram,size=256M")
            .device(&format!(
                "virtio-mem-pci,id=vmem,memdev=vmem-ram,requested-size={plugged_mib}M{inaccessible}"
            ))
    }

    /// Reserves memory from the kernel, which leaves it alone. For x86-64 it is none of
    /// the kernel's RAM in any case.
    #[must_use]
    pub fn reserve(mut self, memory: ReservedMemory) -> Self {
        let ReservedMemory { start, len, .. } = memory;
        match self.kernel.arch() {
            Arch::X86_64 => self.append(&format!("memmap={len:#x}${start:#x}")),
            Arch::Aarch64 => {
                self.reserved.push(memory);
                self
            }
        }
    }

    /// Boots by UEFI, as servers do, instead of by QEMU alone. For x86-64 nothing changes.
    #[must_use]
    pub fn uefi(mut self) -> Self {
        self.firmware = self.kernel.arch().firmware();
        self
    }

    /// Loads the content of `file` at a physical address before the kernel boots. The
    /// kernel leaves it alone if the memory is [reserved](Self::reserve).
    #[must_use]
    pub fn preload(self, file: &Path, address: u64) -> Self {
        let file = file.display();
        self.device(&format!(
            "loader,file={file},addr={address:#x},force-raw=on"
        ))
    }

    /// Any other argument for QEMU.
    #[must_use]
    pub fn qemu_arg(mut self, arg: &str) -> Self {
        self.qemu_args.push(arg.to_owned());
        self
    }

    /// One of the kernel's modules to load at boot, after those it depends on. One that
    /// is built in is ignored.
    #[must_use]
    pub fn module(mut self, name: &str) -> Self {
        self.modules.push(name.to_owned());
        self
    }

    /// The size of the empty file system at `/scratch`, in GiB, or no disk.
    #[must_use]
    pub fn scratch_gib(mut self, gib: Option<u32>) -> Self {
        self.scratch_gib = gib;
        self
    }

    /// Creates a second monitor socket.
    #[must_use]
    pub fn qmp(mut self, socket: &Path) -> Self {
        self.qmp = Some(socket.to_path_buf());
        self
    }

    /// Writes the console's log here, where it survives the machine.
    #[must_use]
    pub fn console(mut self, log: &Path) -> Self {
        self.console = Some(log.to_path_buf());
        self
    }

    /// How long a program in the guest, or a request, may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long the boot may take.
    #[must_use]
    pub fn boot_timeout(mut self, timeout: Duration) -> Self {
        self.boot_timeout = timeout;
        self
    }

    /// Boots it and waits until its init answers.
    ///
    /// # Errors
    /// When something is missing on the host, or the kernel does not come up: then the
    /// error has the end of the console's log.
    pub fn boot(self) -> Result<Vm> {
        Vm::boot(self)
    }
}
