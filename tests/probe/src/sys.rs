// SPDX-License-Identifier: MIT OR Apache-2.0
//! System calls that the standard library lacks: the probe's unsafe code.

#![allow(unsafe_code)]

use anyhow::{Context, Result, ensure};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};

/// An address that is System RAM in every test machine.
pub const RAM: u64 = if cfg!(target_arch = "aarch64") {
    0x4010_0000
} else {
    0x0010_0000
};

/// Where the first RAM of a test machine begins.
pub const FIRST_RAM: u64 = if cfg!(target_arch = "aarch64") {
    0x4000_0000
} else {
    0
};

/// The address of a device that every test machine has: video memory, or the serial port.
pub const DEVICE: u64 = if cfg!(target_arch = "aarch64") {
    0x0900_0000
} else {
    0x000b_8000
};

/// Where System RAM ends in every test machine and something that is none begins: video
/// memory, or, in one with 512 MiB, nothing at all.
pub const END_OF_RAM: u64 = if cfg!(target_arch = "aarch64") {
    0x6000_0000
} else {
    0x000a_0000
};

/// What the address of a top page table is a multiple of. On arm64, the upper of five levels
/// has 16 entries, and its table is no page.
pub const TABLE_ALIGNMENT: u64 = if cfg!(target_arch = "aarch64") {
    64
} else {
    4096
};

/// No virtual address of any kernel. On arm64 the processor ignores the highest byte.
pub const NO_ADDRESS: u64 = if cfg!(target_arch = "aarch64") {
    0x0070_0000_0000_0000
} else {
    1 << 63
};

/// Bytes of a page of the kernel's: 4096, and on arm64 16 or 64 KiB as well.
pub fn page_bytes() -> usize {
    // SAFETY: Takes a number and returns one.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
}

/// Memory of this process, mapped for as long as this lives.
#[derive(Debug)]
pub struct Memory {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: The mapping belongs to this value alone.
unsafe impl Send for Memory {}

impl Memory {
    /// `len` private bytes, anonymous and with additional `flags`, at a multiple of
    /// `align`.
    pub fn anonymous(len: usize, align: usize, flags: i32) -> Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags;
        Self::map(len, align, flags, -1)
    }

    /// `len` bytes of the file `fd`.
    pub fn shared(fd: &OwnedFd, len: usize) -> Result<Self> {
        Self::map(len, 4096, libc::MAP_SHARED, fd.as_raw_fd())
    }

    fn map(len: usize, align: usize, flags: i32, fd: i32) -> Result<Self> {
        // Hugetlb mappings are aligned anyway and must not be cut.
        let slack = if align > 4096 && flags & libc::MAP_HUGETLB == 0 {
            align
        } else {
            0
        };
        // SAFETY: A new mapping at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len + slack,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                fd,
                0,
            )
        };
        ensure!(
            start != libc::MAP_FAILED,
            "mmap of {len} bytes: {}",
            io::Error::last_os_error()
        );
        let offset = if slack == 0 {
            0
        } else {
            start.cast::<u8>().align_offset(align)
        };
        let start = start.cast::<u8>().wrapping_add(offset);
        Ok(Self {
            start: NonNull::new(start).context("mmap returned null")?,
            len,
        })
    }

    /// The virtual address of the first byte.
    pub fn address(&self) -> u64 {
        u64::try_from(self.start.as_ptr().expose_provenance()).unwrap_or(0)
    }

    /// The bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: The mapping is this value's, readable and writable, and zero
        // or written by this process alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    /// madvise(2) over `len` bytes from `offset` on.
    pub fn advise(&self, offset: usize, len: usize, advice: i32) -> io::Result<()> {
        let start = self.start.as_ptr().wrapping_add(offset);
        // SAFETY: None of the advice given here removes memory that a reference points
        // to: the callers do not touch poisoned bytes again.
        let status = unsafe { libc::madvise(start.cast(), len, advice) };
        done(status)
    }

    /// mprotect(2) over `len` bytes from `offset` on.
    pub fn protect(&self, offset: usize, len: usize, protection: i32) -> io::Result<()> {
        let start = self.start.as_ptr().wrapping_add(offset);
        // SAFETY: No reference to the bytes is held across the call.
        let status = unsafe { libc::mprotect(start.cast(), len, protection) };
        done(status)
    }

    /// mlock(2) over everything.
    pub fn lock(&self) -> io::Result<()> {
        // SAFETY: Only keeps the pages where they are.
        done(unsafe { libc::mlock(self.start.as_ptr().cast(), self.len) })
    }
}

/// A file whose pages are removed from the kernel's direct map.
pub fn memfd_secret(len: u64) -> Result<OwnedFd> {
    // SAFETY: Takes flags and returns a new descriptor.
    let fd = unsafe { libc::syscall(libc::SYS_memfd_secret, 0) };
    ensure!(fd >= 0, "memfd_secret: {}", io::Error::last_os_error());
    // SAFETY: The descriptor is new and owned by no one else.
    let file = unsafe { OwnedFd::from_raw_fd(i32::try_from(fd)?) };
    std::fs::File::from(file.try_clone()?).set_len(len)?;
    Ok(file)
}

/// Memory whose pages only exist once this process provides them.
#[derive(Debug)]
pub struct Userfault {
    fd: OwnedFd,
    start: u64,
    len: u64,
}

impl Userfault {
    /// Watches `memory`, which nobody may have touched.
    pub fn watch(memory: &Memory) -> Result<Self> {
        /// include/uapi/linux/userfaultfd.h: `UFFD_API`, and `_IOWR` of its structs.
        const VERSION: u64 = 0xaa;
        const API: u32 = 0xc018_aa3f;
        const REGISTER: u32 = 0xc020_aa00;
        const MISSING: u64 = 1;
        // SAFETY: Takes flags and returns a new descriptor.
        let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) };
        ensure!(fd >= 0, "userfaultfd: {}", io::Error::last_os_error());
        // SAFETY: The descriptor is new and owned by no one else.
        let fd = unsafe { OwnedFd::from_raw_fd(i32::try_from(fd)?) };
        let (start, len) = (memory.address(), u64::try_from(memory.len)?);
        let fault = Self { fd, start, len };
        fault.ask(API, &[VERSION, 0, 0]).context("UFFDIO_API")?;
        fault
            .ask(REGISTER, &[start, len, MISSING, 0])
            .context("UFFDIO_REGISTER")?;
        Ok(fault)
    }

    /// Waits until somebody waits for a page.
    pub fn wait(&self) -> Result<()> {
        let mut message = [0_u8; 32];
        let mut file = std::fs::File::from(self.fd.try_clone()?);
        io::Read::read_exact(&mut file, &mut message).context("waiting for a page fault")
    }

    /// Provides all pages, as zeros.
    pub fn provide(&self) -> Result<()> {
        const ZEROPAGE: u32 = 0xc020_aa04;
        self.ask(ZEROPAGE, &[self.start, self.len, 0, 0])
            .context("UFFDIO_ZEROPAGE")
    }

    fn ask(&self, number: u32, words: &[u64]) -> Result<()> {
        let mut argument = vec![0; 4096];
        for (place, word) in argument.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        ioctl(&self.fd, number, &mut argument)?;
        Ok(())
    }
}

/// Binds the calling thread to one processor.
pub fn run_on(processor: usize) -> Result<()> {
    // SAFETY: An empty set is all zeros; the set outlives the call.
    let status = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    Ok(done(status)?)
}

/// Loads the module in `file`.
pub fn load(file: &impl AsRawFd, parameters: &str) -> Result<()> {
    let parameters = CString::new(parameters)?;
    // SAFETY: The parameters are a string that ends in NUL and outlives the call.
    let status = unsafe {
        libc::syscall(
            libc::SYS_finit_module,
            file.as_raw_fd(),
            parameters.as_ptr(),
            0,
        )
    };
    Ok(done(i32::try_from(status)?)?)
}

/// Unloads the module called `name`, without waiting for its users.
pub fn unload(name: &str) -> io::Result<()> {
    let name = CString::new(name).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: The name is a string that ends in NUL and outlives the call.
    let status = unsafe { libc::syscall(libc::SYS_delete_module, name.as_ptr(), libc::O_NONBLOCK) };
    done(i32::try_from(status).unwrap_or(-1))
}

/// Loads a kernel to jump to when the running one panics.
pub fn kexec_file_load(
    kernel: &impl AsRawFd,
    initramfs: &impl AsRawFd,
    command_line: &str,
) -> Result<()> {
    const KEXEC_FILE_ON_CRASH: libc::c_ulong = 2; // include/uapi/linux/kexec.h
    let words = CString::new(command_line)?;
    // SAFETY: The command line ends in NUL and outlives the call; the kernel copies it.
    let status = unsafe {
        libc::syscall(
            libc::SYS_kexec_file_load,
            kernel.as_raw_fd(),
            initramfs.as_raw_fd(),
            words.as_bytes_with_nul().len(),
            words.as_ptr(),
            KEXEC_FILE_ON_CRASH,
        )
    };
    Ok(done(i32::try_from(status)?)?)
}

/// Mounts a file system of this kind, which needs no device.
pub fn mount(kind: &str, folder: &str, options: &str) -> Result<()> {
    let [kind, folder, options] = [
        CString::new(kind)?,
        CString::new(folder)?,
        CString::new(options)?,
    ];
    // SAFETY: The strings end in NUL and outlive the call.
    let status = unsafe {
        libc::mount(
            kind.as_ptr(),
            folder.as_ptr(),
            kind.as_ptr(),
            0,
            options.as_ptr().cast(),
        )
    };
    Ok(done(status)?)
}

/// Creates a character device with this major number and the minor number 0.
pub fn make_node(path: &str, major: u32, owner: u32) -> Result<()> {
    let name = CString::new(path)?;
    // SAFETY: The path is a string that ends in NUL and outlives both calls.
    unsafe {
        let device = libc::makedev(major, 0);
        done(libc::mknod(name.as_ptr(), libc::S_IFCHR | 0o666, device))?;
        done(libc::chown(name.as_ptr(), owner, owner))?;
    }
    Ok(())
}

/// One ioctl with any number and any bytes as its argument.
///
/// The bytes may contain addresses that the driver writes to: the caller ensures that
/// they point to `scratch` or nowhere.
pub fn ioctl(device: &impl AsRawFd, number: u32, argument: &mut [u8]) -> io::Result<i32> {
    assert!(
        argument.len() >= 4096,
        "the largest struct of any number must fit"
    );
    // SAFETY: The kernel reads and writes at most 4096 bytes of the argument, and
    // where these point; see above.
    let status = unsafe { libc::ioctl(device.as_raw_fd(), number.into(), argument.as_mut_ptr()) };
    if status < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(status)
    }
}

fn done(status: i32) -> io::Result<()> {
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
