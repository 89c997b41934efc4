// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask vm`: one command in a virtual machine.

use crate::setup;
use anyhow::{Context, Result, bail};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::kernel::{Kernel, KernelPackage};
use linpmem_testkit::vm::Vm;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// The command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The architecture of the machine, if no kernel is named
    #[arg(long, default_value = "x86_64", conflicts_with = "kernel")]
    arch: Arch,
    /// The release of a kernel in the cache [default: the one that tests use]
    #[arg(long, value_name = "RELEASE")]
    kernel: Option<String>,
    /// Memory in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    memory: u32,
    /// QEMU's -cpu; `max,la57=off` turns 5-level paging off [default: max for x86_64,
    /// cortex-a72 for aarch64]
    #[arg(long)]
    cpu: Option<String>,
    /// QEMU's -machine [default: q35 for x86_64, virt for aarch64]
    #[arg(long)]
    machine: Option<String>,
    /// Processors
    #[arg(long, default_value_t = 2)]
    smp: u32,
    /// More words for the kernel's command line
    #[arg(long, value_name = "WORDS")]
    append: Vec<String>,
    /// QEMU's -device
    #[arg(long)]
    device: Vec<String>,
    /// Any other argument for QEMU
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    qemu: Vec<String>,
    /// Create a QMP socket here
    #[arg(long, value_name = "PATH")]
    qmp: Option<PathBuf>,
    /// Load one of the kernel's modules at boot
    #[arg(long, value_name = "NAME")]
    module: Vec<String>,
    /// Load a module file of the host, such as linpmem.ko, after booting
    #[arg(long, value_name = "FILE")]
    insmod: Vec<PathBuf>,
    /// Copy a file of the host into /bin first
    #[arg(long, value_name = "FILE")]
    push: Vec<PathBuf>,
    /// Copy a file of the guest into the current folder at the end
    #[arg(long, value_name = "PATH")]
    pull: Vec<String>,
    /// How many seconds the command may run
    #[arg(long, default_value_t = 600)]
    timeout: u64,
    /// Print the kernel's console at the end
    #[arg(long)]
    console: bool,
    /// The command: a pushed file, or fill, plant, cat, kmsg and the like
    #[arg(last = true)]
    command: Vec<String>,
}

/// Runs `cargo xtask vm`.
pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let kernel = match &args.kernel {
        Some(release) => Some(Kernel::find(&cache, release)?),
        None => None,
    };
    let arch = kernel.as_ref().map_or(args.arch, Kernel::arch);
    setup::ensure(&cache, setup::for_machines(arch))?;
    let kernel = match kernel {
        Some(kernel) => kernel,
        None if arch == Arch::HOST => Kernel::default(&cache)?,
        None => setup::ensure_kernel(&cache, &KernelPackage::newest_of(arch))?,
    };
    let mut builder = Vm::builder(&kernel)
        .memory_mib(args.memory)
        .smp(args.smp)
        .timeout(Duration::from_secs(args.timeout));
    if let Some(machine) = &args.machine {
        builder = builder.machine(machine);
    }
    if let Some(cpu) = &args.cpu {
        builder = builder.cpu(cpu);
    }
    for words in &args.append {
        builder = builder.append(words);
    }
    for device in &args.device {
        builder = builder.device(device);
    }
    for arg in &args.qemu {
        builder = builder.qemu_arg(arg);
    }
    for module in &args.module {
        builder = builder.module(module);
    }
    if let Some(socket) = &args.qmp {
        builder = builder.qmp(&std::path::absolute(socket)?);
    }
    let vm = builder.boot()?;
    eprintln!(
        "{} is up after {:.1} s",
        kernel.release(),
        vm.boot_time().as_secs_f64()
    );
    for module in &args.insmod {
        vm.insmod(module, "")?;
    }
    for file in &args.push {
        let name = file.file_name().context("a file to push without a name")?;
        vm.push(file, &format!("/bin/{}", name.to_string_lossy()))?;
    }
    let mut outcome = Ok(());
    if !args.command.is_empty() {
        let argv: Vec<&str> = args.command.iter().map(String::as_str).collect();
        let output = vm.run(&argv)?;
        std::io::stderr().write_all(&output.stderr)?;
        std::io::stdout().write_all(&output.stdout)?;
        if !output.success() {
            outcome = Err(anyhow::anyhow!("{output}"));
        }
    }
    for path in &args.pull {
        let name = path.rsplit('/').next().unwrap_or_default();
        if name.is_empty() {
            bail!("{path} is not the name of a file");
        }
        vm.pull(path, &PathBuf::from(name))?;
    }
    if args.console {
        eprintln!("{}", vm.console().text());
    }
    vm.shutdown()?;
    outcome
}
