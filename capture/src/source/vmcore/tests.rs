// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use linpmem_kinfo::layout::x86_64::START_KERNEL_MAP;
use linpmem_kinfo::notes;
use linpmem_kinfo::vmcoreinfo::{NOTE_KIND, NOTE_NAME};
use std::path::PathBuf;
use tempfile::TempDir;

const BASE: u64 = 0xffff_8880_0000_0000;
const RELEASE: &[u8] = b"7.3.4-test\0";

/// The text of VMCOREINFO: `phys_base` is 0, so that the kernel's name is at 0x4100.
const INFO: &str = "OSRELEASE=7.3.4-test\nSYMBOL(init_uts_ns)=ffffffff80004100\n\
                    NUMBER(phys_base)=0\nKERNELOFFSET=1c000000\nNUMBER(pgtable_l5_enabled)=1\n";

/// A core as the kernel lays it out: each segment in whole pages, whose bytes are their
/// number. The first one is the kernel's text, which is in the last one as well.
fn core(segments: &[(u64, u64)], info: Option<&str>) -> (TempDir, PathBuf) {
    let mut notes = Vec::new();
    notes::append(&mut notes, b"CORE", 1, &[7; 336]).unwrap();
    if let Some(info) = info {
        notes::append(&mut notes, NOTE_NAME, NOTE_KIND, info.as_bytes()).unwrap();
    }
    notes.resize(0x1000, 0);
    let mut headers = vec![(4_u32, 0x1000_u64, 0_u64, 0_u64, 0x1000_u64)];
    let mut pages = Vec::new();
    for &(first, last) in segments {
        let offset = 0x2000 + u64::try_from(pages.len()).unwrap() + first % 0x1000;
        headers.push((1, offset, BASE + first, first, last + 1 - first));
        for page in first / 0x1000..=last / 0x1000 {
            let mut bytes = [u8::try_from(page).unwrap(); 0x1000];
            if page == 4 {
                bytes[0x186..][..RELEASE.len()].copy_from_slice(RELEASE);
            }
            pages.extend(bytes);
        }
    }
    if let Some(&(kind, offset, _, paddr, len)) = headers.last().filter(|last| last.0 == 1) {
        headers.insert(1, (kind, offset, START_KERNEL_MAP + paddr, paddr, len));
    }
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
    bytes.resize(16, 0);
    let count = u64::try_from(headers.len()).unwrap();
    for (len, value) in [(2, 4_u64), (2, 62), (4, 1), (8, 0), (8, 64), (8, 0), (4, 0)]
        .into_iter()
        .chain([(2, 64), (2, 56), (2, count), (2, 0), (2, 0), (2, 0)])
    {
        bytes.extend_from_slice(&value.to_le_bytes()[..len]);
    }
    for (kind, offset, vaddr, paddr, len) in headers {
        bytes.extend(kind.to_le_bytes());
        bytes.extend(0_u32.to_le_bytes());
        for value in [offset, vaddr, paddr, len, len, 0] {
            bytes.extend(value.to_le_bytes());
        }
    }
    bytes.resize(0x1000, 0);
    bytes.extend(notes);
    bytes.extend(pages);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vmcore");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn read(source: &Source, start: u64, len: usize) -> (Vec<u8>, Vec<(String, Errno)>) {
    let mut bytes = vec![0xee; len];
    let mut unreadable = Unreadables::new();
    let start = PhysAddr::new(start);
    source
        .reader
        .read_phys(start, &mut bytes, &mut unreadable)
        .unwrap();
    let listed = unreadable.as_slice().iter();
    let listed = listed.map(|item| (item.range.to_string(), item.errno));
    (bytes, listed.collect())
}

#[test]
fn map_and_facts_are_those_of_the_kernel_that_crashed() {
    let (_folder, path) = core(&[(0x1000, 0x5fff), (0x9000, 0xbfff)], Some(INFO));
    let source = open(&path).unwrap();
    let ram: Vec<String> = source.map.ram().map(|range| range.to_string()).collect();
    assert_eq!(ram, ["0x1000-0x5fff", "0x9000-0xbfff"]);
    assert_eq!(source.iomem, None);
    assert_eq!(source.subject, Subject::CrashedKernel);
    let record = &source.machine_record;
    assert_eq!(record.kaslr_offset.unwrap().0, 0x1c00_0000);
    assert_eq!(record.direct_map_base.unwrap().0, BASE);
    assert_eq!(record.paging_levels, Some(5));
    assert_eq!(source.machine.vmcoreinfo.as_deref(), Some(INFO.as_bytes()));
    assert_eq!(source.record.kind, "vmcore");
    assert_eq!(source.record.serving("System RAM"), Some("vmcore"));
    // The only warning: whose memory it is.
    let [warning] = source.warnings.as_slice() else {
        panic!("{:?}", source.warnings);
    };
    assert!(
        warning.contains("kernel that crashed (7.3.4-test)"),
        "{warning}"
    );
}

#[test]
fn pages_that_are_partly_ram_are_read_whole_and_gaps_are_listed() {
    // The last two share the page 7.
    let (_folder, path) = core(
        &[(0x1800, 0x2bff), (0x6000, 0x73ff), (0x7c00, 0x8fff)],
        Some(INFO),
    );
    let source = open(&path).unwrap();
    let (bytes, listed) = read(&source, 0, 0xa000);
    let pages: Vec<u8> = bytes.iter().step_by(0x1000).copied().collect();
    assert_eq!(pages, [0, 1, 2, 0, 0, 0, 6, 7, 8, 0]);
    assert!(
        bytes
            .chunks(0x1000)
            .all(|page| page.iter().all(|byte| *byte == page[0]))
    );
    let gap = |range: &str| (range.to_owned(), Errno::ENXIO);
    assert_eq!(
        listed,
        [gap("0x0-0xfff"), gap("0x3000-0x5fff"), gap("0x9000-0x9fff")]
    );
    // From within a page, to within a page.
    let (bytes, listed) = read(&source, 0x2ff0, 0x20);
    assert_eq!(bytes, [[2; 0x10], [0; 0x10]].concat());
    assert_eq!(listed, [gap("0x3000-0x300f")]);
}

#[test]
fn memory_without_the_kernels_name_is_doubted() {
    let warnings = |segments: &[(u64, u64)], info| {
        let (_folder, path) = core(segments, info);
        open(&path).unwrap().warnings[1..].join("\n")
    };
    let other = INFO.replace("7.3.4-test", "7.3.5-test");
    let all = [(0x1000, 0x5fff)];
    let wrong = warnings(&all, Some(&other));
    assert!(wrong.contains("0x4100 is not 7.3.5-test"), "{wrong}");
    let missing = warnings(&[(0x1000, 0x1fff)], Some(INFO));
    assert!(missing.contains("ENXIO"), "{missing}");
    let silent = warnings(&all, Some("OSRELEASE=7.3.4-test\n"));
    assert!(silent.contains("could not be tested"), "{silent}");
    let none = warnings(&all, None);
    assert!(none.contains("no VMCOREINFO"), "{none}");
}

#[test]
fn what_cannot_be_used_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let error = |path: &Path| open(path).err().unwrap().to_string();
    let absent = error(&folder.path().join("vmcore"));
    assert!(absent.contains("not a crash (kdump) kernel"), "{absent}");
    let (_folder, path) = core(&[], Some(INFO));
    let empty = error(&path);
    assert!(empty.contains("no physical memory"), "{empty}");
    fs::write(&path, b"not a core").unwrap();
    assert!(error(&path).contains("ELF"));
}

#[test]
fn a_crash_kernel_is_known_by_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let found = || CrashKernel::find(folder.path());
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    assert_eq!(found(), CrashKernel::No);
    put("cmdline", "root=/dev/vda xelfcorehdr=1 quiet\n");
    assert_eq!(found(), CrashKernel::No);
    assert_eq!(found().warning(), None);
    put("cmdline", "elfcorehdr=0x1c000000 nr_cpus=1\n");
    assert_eq!(found(), CrashKernel::WithoutVmcore);
    assert!(found().warning().unwrap().contains("CONFIG_PROC_VMCORE"));
    put("vmcore", "");
    assert_eq!(found(), CrashKernel::WithVmcore);
    assert!(found().warning().unwrap().contains("--source vmcore"));
}
