// SPDX-License-Identifier: MIT OR Apache-2.0
//! The running machine's memory through the linpmem module.

use super::kernel_variables;
use super::{Iomem, Source, SourceError, Subject, machine, self_test, vmcoreinfo};
use linpmem::{Device, Info, InfoError};
use linpmem_formats::MachineFacts;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_manifest::{Address, MachineRecord, SourceRecord};
use std::path::Path;
use std::sync::Arc;

/// Opens the module's device at `path`, and tests it. `is_named`: the user asked for it.
pub(super) fn open(path: &Path, is_named: bool) -> Result<Source, SourceError> {
    let device = Device::open_path(path)?;
    let info = match device.info() {
        Ok(info) => Some(info),
        // The original Linpmem's module can read memory, but not say anything about it.
        Err(InfoError::Unsupported) => None,
        Err(source) => {
            return Err(SourceError::Info {
                path: path.to_path_buf(),
                source,
            });
        }
    };
    let iomem = Iomem::read()?;
    self_test::run(&device).map_err(|error| SourceError::SelfTest {
        path: path.to_path_buf(),
        reason: error.to_string(),
    })?;

    let mut warnings = iomem.warnings;
    let note = vmcoreinfo::read(&device, info.as_ref().and_then(|info| info.vmcoreinfo))
        .map_err(|error| warnings.push(error.to_string()))
        .ok();
    if let Some(note) = &note {
        let doubt = kernel_variables::judge(&device, Vmcoreinfo::new(note), is_named);
        warnings.extend(doubt.map_err(|suspect| SourceError::SelfTest {
            path: path.to_path_buf(),
            reason: format!("{suspect}. Use another source (--source kcore)"),
        })?);
    }
    let (machine, machine_record, detail) = match info {
        Some(info) => {
            let (machine, record) = facts(&info, note);
            let detail = format!("module {}, ABI {}", info.module_version, info.abi_version);
            (machine, record, detail)
        }
        None => {
            let (machine, record) = machine::facts(note, None);
            (machine, record, "the original Linpmem's module".to_owned())
        }
    };
    Ok(Source {
        reader: Arc::new(device),
        map: iomem.map,
        iomem: Some(iomem.text),
        subject: Subject::RunningKernel,
        truncation: None,
        machine,
        machine_record,
        record: SourceRecord::single("linpmem", path.display().to_string(), Some(detail)),
        warnings,
    })
}

/// What the module knows about the machine.
fn facts(info: &Info, note: Option<Vec<u8>>) -> (MachineFacts, MachineRecord) {
    let record = MachineRecord {
        phys_bits: Some(info.phys_bits),
        paging_levels: Some(info.paging_levels),
        direct_map_base: Some(Address(info.page_offset_base)),
        kernel_page_table: info.kernel_page_table.map(Address::from),
        kaslr_offset: info.kaslr_offset.map(Address),
        ..machine::record(note.as_deref())
    };
    let machine = MachineFacts {
        architecture: machine::architecture(note.as_deref()),
        vmcoreinfo: note,
        direct_map_base: Some(info.page_offset_base),
        paging_levels: Some(info.paging_levels),
        ..MachineFacts::default()
    };
    (machine, record)
}
