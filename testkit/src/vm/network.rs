// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest's way to servers at loopback addresses of the host, and to nothing else: it has no
//! route, and no names.

use super::{Vm, VmBuilder};
use crate::cache::Cache;
use anyhow::{Context, Result};
use std::net::SocketAddr;

/// What a guest calls the host's loopback address.
const HOST: &str = "10.0.2.2";

/// A guest's own address, as QEMU expects it.
const GUEST: &str = "10.0.2.15/24";

/// Where a guest has BusyBox.
const BUSYBOX: &str = "/bin/busybox";

impl VmBuilder {
    /// A network card, which [`Vm::connect`] connects.
    #[must_use]
    pub fn network(self) -> Self {
        self.module("virtio_net")
            .qemu_arg("-netdev")
            .qemu_arg("user,id=net,ipv6=off")
            .device("virtio-net-pci,netdev=net")
    }
}

impl Vm {
    /// Connects the [network card](VmBuilder::network), and installs BusyBox.
    ///
    /// # Errors
    /// When the set-up has not made BusyBox yet, or there is no card.
    pub fn connect(&self) -> Result<()> {
        let busybox = Cache::open()?.servers().join("usr/bin/busybox");
        self.push(&busybox, BUSYBOX)
            .context("no BusyBox: run `cargo xtask setup`")?;
        for words in [
            &["addr", "add", GUEST, "dev", "eth0"][..],
            &["link", "set", "eth0", "up"],
        ] {
            let words = [&[BUSYBOX, "ip"], words].concat();
            self.run(&words)?.ok()?;
        }
        Ok(())
    }
}

/// How a guest reaches a server that listens at `address`.
#[must_use]
pub fn from_guest(address: SocketAddr) -> String {
    format!("{HOST}:{}", address.port())
}
