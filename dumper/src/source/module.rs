// SPDX-License-Identifier: MIT OR Apache-2.0
//! The running machine's memory, through the linpmem module.

use super::{Iomem, Source, SourceError, vmcoreinfo};
use crate::manifest::{Address, MachineRecord, SourceRecord};
use linpmem::Device;
use linpmem_formats::MachineFacts;
use std::path::Path;

/// Opens the module's device at `path`.
pub(super) fn open(path: &Path) -> Result<Source, SourceError> {
    let device = Device::open_path(path)?;
    let shown = path.display().to_string();
    let info = device.info().map_err(|source| SourceError::Info {
        path: shown.clone(),
        source,
    })?;
    let iomem = Iomem::read()?;

    let mut warnings = Vec::new();
    let note = vmcoreinfo::read(&device, info.vmcoreinfo)
        .map_err(|error| warnings.push(error.to_string()))
        .ok();
    let machine = MachineFacts {
        vmcoreinfo: note,
        direct_map_base: Some(info.page_offset_base),
        paging_levels: Some(info.paging_levels),
    };
    let machine_record = MachineRecord {
        phys_bits: Some(info.phys_bits),
        paging_levels: Some(info.paging_levels),
        direct_map_base: Some(Address(info.page_offset_base)),
        kernel_page_table: info.kernel_page_table.map(Address::from),
        kaslr_offset: info.kaslr_offset.map(Address),
        vmcoreinfo: machine.vmcoreinfo.as_deref().map(vmcoreinfo::record),
    };
    Ok(Source {
        reader: Box::new(device),
        map: iomem.map,
        iomem: Some(iomem.text),
        machine,
        machine_record,
        record: SourceRecord {
            kind: "linpmem".to_owned(),
            path: shown,
            detail: Some(format!(
                "module {}, ABI {}",
                info.module_version, info.abi_version
            )),
            sha256: None,
        },
        warnings,
    })
}
