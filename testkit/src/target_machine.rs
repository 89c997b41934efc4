// SPDX-License-Identifier: MIT OR Apache-2.0
//! Acquisitions in a virtual machine, with QEMU's view of its memory before, during
//! and after.

use crate::artifacts::{Artifacts, DUMPER};
use crate::ground_truth::{Comparison, Manifest, compare, open_elf};
use crate::vm::{Output, Process, Snapshot, Vm, VmBuilder, iomem};
use anyhow::{Context, Result, bail, ensure};
use linpmem_phys::{MemoryMap, PhysRange, ReadPhys};
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// How many views of the memory are saved while the dumper runs, at most.
const VIEWS_DURING: u32 = 6;

/// How long the dumper runs before the first of them. The interval grows by as much
/// each time, so that the views reach far into a long run.
const BETWEEN_VIEWS: Duration = Duration::from_millis(700);

/// A machine to be acquired, with the dumper in its `PATH`.
#[derive(Debug)]
pub struct TargetMachine {
    /// The machine.
    pub vm: Vm,
    work: TempDir,
    images: PathBuf,
    /// The pages that [`TargetMachine::fill`] filled.
    filled: OnceCell<Vec<PhysRange>>,
}

/// An image that was taken, and what QEMU saw.
#[derive(Debug)]
pub struct Acquired {
    /// The image, on the host, with its manifest and digest next to it.
    pub image: PathBuf,
    /// What the dumper recorded.
    pub manifest: Manifest,
    /// How the dumper ended.
    pub output: Output,
    /// Memory before the dumper started, a few times while it ran, and after it ended.
    pub views: Vec<Snapshot>,
    /// The guest's System RAM.
    pub ram: MemoryMap,
    /// Pages that cannot have changed in all that time, by address.
    pub still: Vec<PhysRange>,
}

impl TargetMachine {
    /// Boots a machine, loads the module and installs the dumper.
    ///
    /// # Errors
    /// When one of these fails.
    pub fn boot(machine: VmBuilder, artifacts: &Artifacts) -> Result<Self> {
        let vm = machine.boot()?;
        vm.insmod(&artifacts.module, "")?;
        Self::with_dumper(vm, &artifacts.dumper)
    }

    /// Installs `dumper` in a running machine, and loads no module.
    ///
    /// # Errors
    /// When that fails.
    pub fn with_dumper(vm: Vm, dumper: &Path) -> Result<Self> {
        vm.push(dumper, &format!("/bin/{DUMPER}"))?;
        let work = tempfile::Builder::new()
            .prefix("linpmem-images-")
            .tempdir()?;
        let images = work.path().to_path_buf();
        Ok(Self {
            vm,
            work,
            images,
            filled: OnceCell::new(),
        })
    }

    /// Copies images to `folder`, where they stay.
    #[must_use]
    pub fn images_in(mut self, folder: &Path) -> Self {
        self.images = folder.to_path_buf();
        self
    }

    /// A folder for files of this machine. It is removed with it.
    #[must_use]
    pub fn work(&self) -> &Path {
        self.work.path()
    }

    /// Fills this share of the guest's memory, once, with pages that do not change from
    /// then on. Returns a line that describes them.
    ///
    /// # Errors
    /// When the guest cannot.
    pub fn fill(&self, percent: u32) -> Result<String> {
        let argv = ["fill", &percent.to_string()];
        let said = self.vm.command(&argv).start()?.wait_for("filled ")?;
        let places = String::from_utf8(self.vm.read("/tmp/filled")?)?;
        let filled = iomem::ranges(&places).context("the list of filled pages")?;
        ensure!(
            self.filled.set(filled).is_ok(),
            "the memory has been filled before"
        );
        Ok(said)
    }

    /// The pages that [`TargetMachine::fill`] has filled, by address.
    #[must_use]
    pub fn filled(&self) -> &[PhysRange] {
        self.filled.get().map_or(&[], Vec::as_slice)
    }

    /// Starts a process for an examiner to find: it calls itself `name` and has `token`
    /// in its memory. Returns it, and a line that ends with the token's address.
    ///
    /// # Errors
    /// When the guest cannot.
    pub fn plant(&self, name: &str, token: &str) -> Result<(Process<'_>, String)> {
        let argv = ["plant", name, token, "--and", "an argument"];
        let mut process = self.vm.command(&argv).start()?;
        let said = process.wait_for("planted ")?;
        Ok((process, said))
    }

    /// Runs the dumper with `args` and the output `/scratch/NAME`, saves QEMU's view of
    /// the memory before, during and after, and copies the image to the host.
    ///
    /// # Errors
    /// When anything but the dumper fails: its exit code is in the result.
    pub fn acquire(&self, args: &[&str], name: &str) -> Result<Acquired> {
        self.observe(name, || self.start(args, name), |_| self.pull(name))
    }

    /// Runs the dumper that `start` starts, and saves QEMU's view of the memory before, during
    /// and after. Then `fetch` says where its image is; `name` is that of the views.
    ///
    /// # Errors
    /// When anything but the dumper fails: its exit code is in the result.
    pub fn observe<'a>(
        &'a self,
        name: &str,
        start: impl FnOnce() -> Result<Process<'a>>,
        fetch: impl FnOnce(&Output) -> Result<PathBuf>,
    ) -> Result<Acquired> {
        let ram = self.vm.system_ram()?;
        let mut views = vec![self.snapshot(&format!("{name}.before"))?];
        let mut dumper = start()?;
        for number in 0..VIEWS_DURING {
            if dumper.ends_within(BETWEEN_VIEWS * (number + 1))? {
                break;
            }
            views.push(self.snapshot(&format!("{name}.during-{number}"))?);
        }
        let output = dumper.wait()?;
        views.push(self.snapshot(&format!("{name}.after"))?);
        let image = fetch(&output)?;
        let manifest = Manifest::open(&companion(&image, "manifest.jsonl"))?;
        Ok(Acquired {
            image,
            manifest,
            output,
            views,
            ram,
            still: self.filled.get().cloned().unwrap_or_default(),
        })
    }

    /// Runs the dumper with `args` and the output `/scratch/NAME`.
    ///
    /// # Errors
    /// When it cannot be run. The dumper itself may have failed.
    pub fn dump(&self, args: &[&str], name: &str) -> Result<Output> {
        self.start(args, name)?.wait()
    }

    /// Starts the dumper with `args` and the output `/scratch/NAME`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, args: &[&str], name: &str) -> Result<Process<'_>> {
        let path = format!("/scratch/{name}");
        let mut argv = vec![DUMPER];
        argv.extend(args);
        argv.push(&path);
        let command = self.vm.command(&argv);
        command.timeout(Duration::from_secs(300)).start()
    }

    /// Copies the image `/scratch/NAME`, its manifest and its digest to the host.
    ///
    /// # Errors
    /// When one of them is missing.
    pub fn pull(&self, name: &str) -> Result<PathBuf> {
        let image = self.images.join(name);
        self.vm.pull(&format!("/scratch/{name}"), &image)?;
        for ending in ["manifest.jsonl", "sha256"] {
            let path = format!("/scratch/{name}.{ending}");
            self.vm.pull(&path, &companion(&image, ending))?;
        }
        Ok(image)
    }

    /// QEMU's view of the memory at one moment.
    ///
    /// # Errors
    /// When QEMU refuses.
    pub fn snapshot(&self, name: &str) -> Result<Snapshot> {
        self.vm.pause()?;
        let snapshot = self.vm.snapshot(&self.work().join(name));
        self.vm.resume()?;
        snapshot
    }

    /// Switches the machine off.
    ///
    /// # Errors
    /// When its kernel reported a problem, or the module logged a warning.
    pub fn end(self) -> Result<()> {
        let log = self.vm.kernel_log()?;
        if let Some(warning) = module_warning(&log) {
            bail!("the module logged a warning:\n{warning}");
        }
        self.vm.shutdown()
    }
}

impl Acquired {
    /// Compares the image, an ELF core, with QEMU's views.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn compare_elf(&self) -> Result<Comparison> {
        self.compare(&open_elf(&self.image)?)
    }

    /// Compares the memory that a reader finds in the image with QEMU's views.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn compare(&self, image: &dyn ReadPhys) -> Result<Comparison> {
        let views: Vec<&dyn ReadPhys> = self
            .views
            .iter()
            .map(|view| -> &dyn ReadPhys { view })
            .collect();
        let mut excused = self.manifest.unreadable()?;
        excused.extend(self.manifest.partial_pages()?);
        compare(&self.ram, &views, image, &excused, &self.still)
    }

    /// Returns itself if the dumper succeeded.
    ///
    /// # Errors
    /// When it did not.
    pub fn complete(self) -> Result<Self> {
        ensure!(
            self.output.success(),
            "{}:\n{}",
            self.output,
            self.output.text()
        );
        Ok(self)
    }
}

/// The file next to `image` whose name has one more extension.
#[must_use]
pub fn companion(image: &Path, extension: &str) -> PathBuf {
    let mut name = image.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

/// How many lines of the kernel's log are shown before and after a warning, which may
/// be a line in the middle of a trace.
const AROUND: usize = 30;

/// The first line about the module with a level of warning or worse, with the lines
/// around it. What the kernel logs for every out-of-tree module does not count.
fn module_warning(log: &str) -> Option<String> {
    let lines: Vec<&str> = log.lines().collect();
    let found = lines.iter().position(|line| {
        let Some((head, text)) = line.split_once(';') else {
            return false;
        };
        let level = head
            .split(',')
            .next()
            .and_then(|code| code.parse::<u32>().ok());
        level.is_some_and(|code| code & 7 <= 4)
            && text.contains("linpmem")
            && !text.contains("taints kernel")
            && !text.contains("tainting kernel")
            && !text.contains("linpmem-guest")
    })?;
    let around = lines.iter().skip(found.saturating_sub(AROUND));
    let shown: Vec<&str> = around.take(2 * AROUND).copied().collect();
    Some(shown.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_modules_own_warnings_count() {
        let quiet = "6,1,0,-;linpmem: ready\n\
                     4,2,0,-;linpmem: loading out-of-tree module taints kernel.\n\
                     4,3,0,-;clock: odd\n";
        assert_eq!(module_warning(quiet), None);
        let loud = "4,3,0,-;linpmem: odd\n";
        assert_eq!(
            module_warning(loud).as_deref(),
            Some("4,3,0,-;linpmem: odd")
        );
        let trace = format!("{quiet}4,4,0,-;WARNING: odd\n4,5,0,-; f+0x1 [linpmem]\n");
        let shown = module_warning(&trace).unwrap();
        assert!(shown.starts_with("6,1,0") && shown.contains("WARNING: odd\n4,5"));
    }
}
