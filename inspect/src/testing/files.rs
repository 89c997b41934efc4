// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel with open files and sockets.

#![expect(
    clippy::as_conversions,
    clippy::new_without_default,
    clippy::unwrap_used,
    reason = "only tests use it"
)]

use super::file_types::{NEW_LISTENING, OLD_LISTENING, file_types, socket_types, table_types};
use super::{Btf, CHAIN, Kernel, MemberOf, Of, Tasks};

/// What the kernel's struct has for the program of a process.
const EXE: [MemberOf; 1] = [("exe_file", Of::Pointer("file"), 48)];
/// Slots of a table of open files.
const SLOTS: u64 = 600;

/// A kernel with tasks, one mounted file system, and what its tasks have open. Its TCP and UDP
/// tables have two chains each, and that of raw sockets one.
pub struct Files {
    pub tasks: Tasks,
    /// The `struct vfsmount` of the only mount, and the dentry at its top.
    pub mount: u64,
    pub root: u64,
    /// The `struct net`, whose inode is 4026531840.
    pub net: u64,
    /// Where the TCP tables are.
    pub tcp: u64,
    /// Where the chains of each table begin.
    pub connected: u64,
    pub listening: u64,
    pub udp: u64,
    pub raw: u64,
    pub unix: u64,
    /// Where the list of packet sockets begins.
    pub packet: u64,
    disk: u64,
}

impl Files {
    pub fn new() -> Self {
        Self::with_tables(&NEW_LISTENING)
    }

    /// As kernels before Linux 5.19 have their listening sockets.
    pub fn before_5_19() -> Self {
        Self::with_tables(&OLD_LISTENING)
    }

    /// With more types, which `define` adds, and mappings in a list.
    pub fn with(define: impl FnOnce(&mut Btf)) -> Self {
        Self::with_all(&NEW_LISTENING, &[EXE[0], CHAIN], define)
    }

    fn with_tables(hashinfo: &[MemberOf]) -> Self {
        Self::with_all(hashinfo, &EXE, |_| {})
    }

    fn with_all(hashinfo: &[MemberOf], mm: &[MemberOf], define: impl FnOnce(&mut Btf)) -> Self {
        let mut tasks = Tasks::with(mm, |btf| {
            file_types(btf);
            socket_types(btf);
            table_types(btf, hashinfo);
            define(btf);
        });
        let kernel = &mut tasks.kernel;
        let mount = kernel.allocate(96);
        let net = kernel.allocate(64);
        let tcp = kernel.allocate(96);
        let [connected, listening, udp_table, udp, raw] =
            [16, 32, 16, 32, 24].map(|size| kernel.allocate(size));
        let unix = kernel.allocate(512 * 8);
        let networks = kernel.allocate(16);
        kernel.link(networks, &[net]);
        kernel.put_u32(net + 24, 4_026_531_840);
        kernel.put(net + 40, unix);
        kernel.put(tcp, connected);
        kernel.put_u32(tcp + 8, 1);
        let listening = match hashinfo.len() {
            2 => {
                kernel.put_u32(tcp + 12, 1);
                kernel.put(tcp + 16, listening);
                listening + 8
            }
            _ => tcp + 24 + 8,
        };
        kernel.put(udp_table, udp);
        kernel.put_u32(udp_table + 8, 1);
        for (name, at) in [
            ("net_namespace_list", networks),
            ("tcp_hashinfo", tcp),
            ("udp_table", udp_table),
            ("raw_v4_hashinfo", raw),
        ] {
            kernel.symbol(name, at);
        }
        let mut files = Self {
            tasks,
            mount: mount + 16,
            root: 0,
            net,
            tcp,
            connected,
            listening,
            udp,
            raw: raw + 8,
            unix,
            packet: net + 32,
            disk: 0,
        };
        files.disk = files.filesystem("ext4", 8, 1);
        files.root = files.folder(0, "/", 2);
        let root = files.root;
        files.kernel().put(mount, mount);
        files.kernel().put(mount + 8, root);
        files.kernel().put(mount + 16, root);
        files
    }

    pub fn kernel(&mut self) -> &mut Kernel {
        &mut self.tasks.kernel
    }

    /// A `struct mnt_namespace` whose only mount is the first one, which has number 1.
    pub fn mount_namespace(&mut self, number: u32) -> u64 {
        let (disk, first) = (self.disk, self.mount - 16);
        let kernel = self.kernel();
        let at = kernel.allocate(32);
        kernel.put_u32(at + 8, number);
        kernel.put(at + 16, first);
        kernel.put(first + 24, disk);
        kernel.link(first + 40, &[]);
        kernel.put_u32(first + 80, 1);
        at
    }

    /// A `struct mount`, in a page of its own, of the file system `of` from the dentry `top` on,
    /// at the dentry `place` of the mount `parent`. It is not listed there yet.
    pub fn mount_at(&mut self, parent: u64, place: u64, of: u64, top: u64, id: u32) -> u64 {
        let at = self.kernel().aligned_page();
        let source = self.name("/dev/sda");
        for (offset, value) in [(0, parent), (8, place), (16, top), (24, of), (72, source)] {
            self.kernel().put(at + offset, value);
        }
        self.kernel().put_u32(at + 80, id);
        self.kernel().link(at + 40, &[]);
        at
    }

    /// Lists `mounts` as those on the mount `parent`.
    pub fn list_mounts(&mut self, parent: u64, mounts: &[u64]) {
        let links: Vec<u64> = mounts.iter().map(|mount| mount + 56).collect();
        self.kernel().link(parent + 40, &links);
    }

    /// A text that something points to.
    pub fn name(&mut self, name: &str) -> u64 {
        let at = self.kernel().allocate(name.len() as u64 + 1);
        self.kernel().text(at, name);
        at
    }

    /// A `struct super_block`.
    pub fn filesystem(&mut self, name: &str, major: u32, minor: u32) -> u64 {
        let name = self.name(name);
        let [of, at] = [8, 32].map(|size| self.kernel().allocate(size));
        self.kernel().put(of, name);
        self.kernel().put_u32(at, major << 20 | minor);
        self.kernel().put(at + 8, of);
        at
    }

    /// A `struct inode` in a page of its own.
    pub fn inode(&mut self, of: u64, mode: u32, number: u64) -> u64 {
        let at = self.kernel().aligned_page();
        self.kernel().put_u32(at, mode);
        self.kernel().put(at + 8, number);
        self.kernel().put(at + 24, of);
        at
    }

    /// A `struct dentry` below `parent`; 0 for one that is below nothing.
    pub fn dentry(&mut self, parent: u64, name: &str, inode: u64) -> u64 {
        let name = self.name(name);
        let at = self.kernel().allocate(64);
        self.kernel().put(at, if parent == 0 { at } else { parent });
        self.kernel().put(at + 16, name);
        self.kernel().put(at + 32, at);
        self.kernel().put(at + 40, inode);
        at
    }

    /// The dentry of a folder on the disk.
    pub fn folder(&mut self, parent: u64, name: &str, number: u64) -> u64 {
        let disk = self.disk;
        let inode = self.inode(disk, 0o040_755, number);
        self.dentry(parent, name, inode)
    }

    /// The dentry of a file on the disk.
    pub fn on_disk(&mut self, parent: u64, name: &str, mode: u32, number: u64) -> u64 {
        let disk = self.disk;
        let inode = self.inode(disk, mode, number);
        self.dentry(parent, name, inode)
    }

    /// A `struct file` that was opened for reading and writing, in a page of its own.
    pub fn open(&mut self, dentry: u64) -> u64 {
        let mount = self.mount;
        let at = self.kernel().aligned_page();
        let inode = self.kernel().get(dentry + 40);
        self.kernel().put_u32(at, 3);
        self.kernel().put_u32(at + 4, 2);
        self.kernel().put(at + 8, inode);
        self.kernel().put(at + 16, mount);
        self.kernel().put(at + 24, dentry);
        at
    }

    /// An open file that is in no folder.
    pub fn open_alone(&mut self, filesystem: &str, mode: u32, number: u64, name: &str) -> u64 {
        let of = self.filesystem(filesystem, 0, 9);
        let inode = self.inode(of, mode, number);
        let dentry = self.dentry(0, name, inode);
        self.open(dentry)
    }

    /// Gives the task a table of open files, unless it has one; returns where that is.
    pub fn table(&mut self, task: u64) -> u64 {
        let kernel = self.kernel();
        if kernel.get(task + 184) == 0 {
            let [files, table] = [16, 16].map(|size| kernel.allocate(size));
            kernel.put(task + 184, files);
            kernel.put(files + 8, table);
            let slots = kernel.allocate(SLOTS * 8);
            kernel.put_u32(table, SLOTS as u32);
            kernel.put(table + 8, slots);
        }
        let files = kernel.get(task + 184);
        kernel.get(files + 8)
    }

    /// Gives the task `file` as number `fd`.
    pub fn give(&mut self, task: u64, fd: u64, file: u64) {
        let table = self.table(task);
        let slots = self.kernel().get(table + 8);
        self.kernel().put(slots + fd * 8, file);
    }

    /// Gives the task a working folder and a root.
    pub fn place(&mut self, task: u64, folder: u64, root: u64) {
        let mount = self.mount;
        let kernel = self.kernel();
        let at = kernel.allocate(32);
        for (index, value) in (0..).zip([mount, root, mount, folder]) {
            kernel.put(at + index * 8, value);
        }
        kernel.put(task + 176, at);
    }

    /// A `struct sock` of the only namespace, in a page of its own.
    pub fn sock(&mut self, family: u8, kind: u32, protocol: u32, state: u8) -> u64 {
        let net = self.net;
        let at = self.kernel().aligned_page();
        self.kernel().put_u8(at + 16, family);
        self.kernel().put_u8(at + 18, state);
        self.kernel().put(at + 24, net);
        self.kernel().put_u32(at + 128, protocol << 8 | kind << 16);
        self.kernel().put_u32(at + 136, 1000);
        at
    }

    /// An open file for the socket at `sock`.
    pub fn open_socket(&mut self, sock: u64, number: u64) -> u64 {
        let file = self.open_alone("sockfs", 0o140_777, number, "TCP");
        let both = self.kernel().aligned_page();
        self.kernel().put(file + 40, both);
        self.kernel().put(both + 8, file);
        self.kernel().put(both + 16, sock);
        self.kernel().put(both + 32 + 8, number);
        self.kernel().put(sock + 144, both);
        file
    }

    /// IPv4 addresses and ports: this end's, and that of the peer.
    pub fn connect(&mut self, sock: u64, local: ([u8; 4], u16), peer: ([u8; 4], u16)) {
        let word = |low: u16, high: u16| u32::from(low) | u32::from(high) << 16;
        self.kernel().put_u32(sock, u32::from_le_bytes(peer.0));
        self.kernel().put_u32(sock + 4, u32::from_le_bytes(local.0));
        let ports = word(peer.1.swap_bytes(), local.1);
        self.kernel().put_u32(sock + 12, ports);
    }

    /// Gives a UNIX socket its name, which begins with a zero byte if it is abstract.
    pub fn name_socket(&mut self, sock: u64, name: &[u8]) {
        let at = self.kernel().allocate(120);
        self.kernel().put_u32(at + 4, name.len() as u32 + 2);
        let name = std::str::from_utf8(name).unwrap();
        self.kernel().text(at + 10, name);
        self.kernel().put(sock + 192, at);
    }

    /// Links `sockets` to a chain that begins at `head`, and ends with `end`.
    pub fn chain(&mut self, head: u64, sockets: &[u64], end: u64) {
        let mut at = head;
        for socket in sockets {
            self.kernel().put(at, socket + 64);
            at = socket + 64;
        }
        self.kernel().put(at, end);
    }
}
