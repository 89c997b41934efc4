// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump modules`: the kernel modules in an image.

use super::troubles;
use linpmem_cli::Document;
use linpmem_cli::table::{self, Align};
use linpmem_manifest::Address;
use serde::Serialize;
use std::io::{self, Write};

/// The modules in an image.
#[derive(Debug, Serialize)]
pub struct ModulesDocument {
    /// The image.
    pub image: String,
    /// The modules, the one that was loaded last first.
    pub modules: Vec<ModuleRow>,
    /// What contradicts itself in memory, a sentence each.
    pub troubles: Vec<String>,
    /// How many more there are.
    pub more_troubles: u64,
}

/// A module.
#[derive(Debug, Serialize)]
pub struct ModuleRow {
    /// Its name.
    pub name: String,
    /// Bytes of its memory.
    pub size_bytes: u64,
    /// `live`, `loading`, `unloading` or `unformed`.
    pub state: &'static str,
    /// Letters, such as `OE`.
    pub taints: String,
    /// Where its code is.
    pub base: Address,
    /// Where its `struct module` is.
    pub address: Address,
}

impl Document for ModulesDocument {
    const FORMAT: &'static str = "linpmem-dump modules";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows = self.modules.iter().map(|module| {
            [
                module.name.clone(),
                module.size_bytes.to_string(),
                module.state.to_owned(),
                format!("{:#x}", module.base.0),
                module.taints.clone(),
            ]
        });
        let columns = [
            ("NAME", Align::Left),
            ("BYTES", Align::Right),
            ("STATE", Align::Left),
            ("ADDRESS", Align::Left),
            ("TAINTS", Align::Left),
        ];
        table::write(out, columns, rows)?;
        troubles::write(&self.troubles, self.more_troubles, out)
    }
}
