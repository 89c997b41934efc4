// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tools `open` and `fds`: files and sockets for an examiner to find, and what the kernel
//! itself says of them.

use anyhow::{Context, Result, bail};
use nix::sys::eventfd::EventFd;
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::thread;

/// `open`: opens files and sockets of many kinds, says so, and keeps running.
pub fn run() -> Result<()> {
    raise_loopback()?;
    let files = files()?;
    let sockets = [internet("127.0.0.1:0")?, internet("[::1]:0")?, unix()?];
    println!(
        "opened {} files and sockets",
        files.len() + sockets.iter().map(Vec::len).sum::<usize>()
    );
    io::stdout().flush()?;
    loop {
        thread::park();
        std::hint::black_box((&files, &sockets));
    }
}

fn files() -> Result<Vec<OwnedFd>> {
    let gone = Path::new("/tmp/gone");
    let mut appended = OpenOptions::new().create(true).append(true).open(gone)?;
    appended.write_all(b"twelve bytes")?;
    fs::remove_file(gone)?;
    fs::write("/tmp/a file", "")?;
    let kept = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/tmp/a file")?;
    let path_only = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open("/bin")?;
    let (from, to) = nix::unistd::pipe()?;
    let event: OwnedFd = EventFd::new()?.into();
    let memory = memfd_create("planted", MFdFlags::empty())?;
    Ok(vec![
        appended.into(),
        kept.into(),
        path_only.into(),
        File::open("/tmp")?.into(),
        File::create("/dev/null")?.into(),
        File::open("/proc/self/ns/net")?.into(),
        from,
        to,
        event,
        memory,
    ])
}

/// Sockets at an address: one that listens, both ends of a connection, one end of which the other
/// is not accepted, one of which the other has closed, and of UDP one without and one with a peer.
/// A connection that both have closed waits for its end.
fn internet(address: &str) -> Result<Vec<OwnedFd>> {
    let listening =
        TcpListener::bind(address).with_context(|| format!("listening at {address}"))?;
    let at = listening.local_addr()?;
    let pair = || -> Result<(TcpStream, TcpStream)> {
        let near = TcpStream::connect(at)?;
        Ok((near, listening.accept()?.0))
    };
    let (near, far) = pair()?;
    let (closed, left) = pair()?;
    drop(closed);
    let (first, second) = pair()?;
    drop(first);
    drop(second);
    let waiting = TcpStream::connect(at)?;
    let bound = UdpSocket::bind(address)?;
    let connected = UdpSocket::bind(address)?;
    connected.connect(bound.local_addr()?)?;
    Ok(vec![
        listening.into(),
        near.into(),
        far.into(),
        left.into(),
        waiting.into(),
        bound.into(),
        connected.into(),
    ])
}

/// UNIX sockets: with a path, with an abstract name, connected, and without a name.
fn unix() -> Result<Vec<OwnedFd>> {
    let listening = UnixListener::bind("/tmp/socket")?;
    let hidden = UnixListener::bind_addr(&SocketAddr::from_abstract_name("hidden name")?)?;
    let near = UnixStream::connect("/tmp/socket")?;
    let (far, _) = listening.accept()?;
    let (one, other) = UnixStream::pair()?;
    let datagrams = UnixDatagram::bind("/tmp/datagrams")?;
    Ok(vec![
        listening.into(),
        hidden.into(),
        near.into(),
        far.into(),
        one.into(),
        other.into(),
        datagrams.into(),
    ])
}

/// Without it, nothing can be connected inside the machine.
fn raise_loopback() -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: all of its members may be zero.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *place = libc::c_char::try_from(*byte)?;
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING)?;
    // SAFETY: the socket is open, and the kernel reads no more than the request, which lives on.
    let outcome =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if outcome != 0 {
        bail!("raising lo: {}", io::Error::last_os_error());
    }
    Ok(())
}

/// `fds`: prints `PID FD POSITION FLAGS INODE NAME` for each open file of each process, and
/// `PID cwd|root|exe - - - NAME` for those of a process that runs a program.
pub fn fds() -> Result<()> {
    let own = std::process::id().to_string();
    let mut out = io::stdout().lock();
    for entry in fs::read_dir("/proc")? {
        let pid = entry?.file_name().to_string_lossy().into_owned();
        if pid == own || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let process = Path::new("/proc").join(&pid);
        let needed = ["cwd", "root", "exe"].map(|role| fs::read_link(process.join(role)));
        // The kernel's own have no program, and it may have ended by now.
        if let [Ok(folder), Ok(root), Ok(program)] = needed {
            for (role, name) in [("cwd", folder), ("root", root), ("exe", program)] {
                writeln!(out, "{pid} {role} - - - {}", name.display())?;
            }
        }
        let Ok(numbers) = fs::read_dir(process.join("fd")) else {
            continue;
        };
        for number in numbers.flatten() {
            let number = number.file_name().to_string_lossy().into_owned();
            let link = process.join("fd").join(&number);
            let info = fs::read_to_string(process.join("fdinfo").join(&number));
            let (Ok(name), Ok(info), Ok(file)) = (fs::read_link(&link), info, fs::metadata(&link))
            else {
                continue;
            };
            let value = |key: &str| {
                let mut lines = info.lines();
                lines
                    .find_map(|line| line.strip_prefix(key))
                    .unwrap_or("?")
                    .trim()
                    .to_owned()
            };
            let (position, flags, inode) = (value("pos:"), value("flags:"), file.ino());
            writeln!(
                out,
                "{pid} {number} {position} {flags} {inode} {}",
                name.display()
            )?;
        }
    }
    Ok(())
}
