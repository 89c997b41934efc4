// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kernel exports, and the checksums of the types of what is exported.

use crate::error::FitError;
use crate::explanation::Explanation;
use crate::exports::{self, Export, Exports};
use crate::kernel::Kernel;
use crate::live_kernel::LiveKernel;
use crate::module_file::ModuleFile;
use crate::sources::Sources;
use std::collections::{BTreeMap, BTreeSet};

/// Checksums by name, and where each came from.
pub(crate) type Checksums = BTreeMap<String, (u32, String)>;

/// Which of the `wanted` names the kernel exports, and what told so. The smallest source
/// comes first.
pub(crate) fn exports(
    kernel: &Kernel<'_>,
    sources: &Sources,
    wanted: &BTreeSet<String>,
) -> Result<(Exports, String), FitError> {
    let is_wanted = |name: &str| wanted.contains(name);
    if let Some((path, file)) = sources.symvers.open()? {
        let found = exports::of_symvers(file, path, is_wanted)?;
        return Ok((found, path.display().to_string()));
    }
    if !sources.kernel.is_given() {
        if let Some((path, file)) = sources.kallsyms.open()? {
            let found = exports::of_kallsyms(file, path, is_wanted)?;
            if found.lists_exports {
                return Ok((found.exports, path.display().to_string()));
            }
        }
    }
    let mut tried = Vec::new();
    if let Some((vmlinux, origin)) = kernel.usable_vmlinux(&mut tried)? {
        let found = vmlinux.exports(is_wanted);
        let found = found.map_err(|why| FitError::unusable(origin, why))?;
        return Ok((found, format!("__ksymtab of {origin}")));
    }
    if let Some((modules, folder)) = kernel.modules() {
        // What a module of this kernel imports is exported.
        let mut found = BTreeMap::new();
        for path in modules {
            ModuleFile::read(&path?)?.checksums(is_wanted, &mut found)?;
        }
        if !found.is_empty() {
            let exports = found.into_iter().map(|(name, crc)| {
                let export = Export {
                    crc: Some(crc),
                    ..Export::default()
                };
                (name, export)
            });
            let origin = format!("the imports of the modules in {}", folder.display());
            return Ok((exports.collect(), origin));
        }
    }
    Err(FitError::Unknown {
        what: "the kernel's exports",
        tried: format!(
            "Module.symvers: {}; kallsyms: {}; kernel: {}",
            sources.symvers.tried(),
            sources.kallsyms.tried(),
            match tried.is_empty() {
                true => sources.kernel.tried(),
                false => tried.join(", "),
            }
        ),
        advice: "name the kernel's Module.symvers or its vmlinuz (--symvers, --vmlinuz)",
    })
}

/// The checksums of `names`.
pub(crate) fn of(
    kernel: &Kernel<'_>,
    sources: &Sources,
    names: &BTreeSet<&str>,
    exports: &Exports,
    exports_origin: &str,
    told: &mut Explanation,
) -> Result<Checksums, FitError> {
    let mut known = Checksums::new();
    for name in names {
        if let Some(crc) = exports.get(*name).and_then(|export| export.crc) {
            known.insert((*name).to_owned(), (crc, exports_origin.to_owned()));
        }
    }
    let mut tried = vec![exports_origin.to_owned()];
    let missing = |known: &Checksums| {
        let missing = names.iter().filter(|name| !known.contains_key(**name));
        missing.map(|name| (*name).to_owned()).collect::<Vec<_>>()
    };
    // The running kernel has them in its memory, which takes none to read.
    if let (false, Some(live)) = (missing(&known).is_empty(), LiveKernel::open(sources)) {
        let origin = format!("__kcrctab of the running kernel in {}", live.origin);
        tried.push(origin.clone());
        for name in missing(&known) {
            let place = exports.get(&name).and_then(|export| export.live);
            if let Some(crc) = place.and_then(|place| live.checksum(&name, place)) {
                known.insert(name, (crc, origin.clone()));
            }
        }
    }
    // Some imports are in no module, so that the kernel is read in any case; it is also the
    // smaller of the two.
    if !missing(&known).is_empty() {
        if let Some((vmlinux, origin)) = kernel.usable_vmlinux(&mut tried)? {
            let origin = format!("__kcrctab of {origin}");
            tried.push(origin.clone());
            let found = vmlinux.exports(|name| names.contains(name));
            let found = found.map_err(|why| FitError::unusable(&origin, why))?;
            for (name, export) in found {
                if let Some(crc) = export.crc {
                    known.entry(name).or_insert_with(|| (crc, origin.clone()));
                }
            }
        }
    }
    if !missing(&known).is_empty() {
        if let Some((modules, folder)) = kernel.modules() {
            tried.push(format!("modules in {}", folder.display()));
            for path in modules {
                let file = ModuleFile::read(&path?)?;
                let mut found = BTreeMap::new();
                file.checksums(|name| names.contains(name), &mut found)?;
                for (name, crc) in found {
                    let origin = || (crc, file.origin().to_owned());
                    known.entry(name).or_insert_with(origin);
                }
                if missing(&known).is_empty() {
                    break;
                }
            }
        }
    }
    let missing = missing(&known);
    if !missing.is_empty() {
        return Err(FitError::Checksums {
            names: missing,
            tried: if sources.kernel.path().is_none() {
                format!("{}; kernel: {}", tried.join(", "), sources.kernel.tried())
            } else {
                tried.join(", ")
            },
        });
    }
    compare(kernel, names, &known, told)?;
    told.fact(
        "checksums",
        format!("{} of imports", known.len()),
        tried.join(", "),
    );
    Ok(known)
}

/// Compares with what a module of this kernel was built with.
fn compare(
    kernel: &Kernel<'_>,
    names: &BTreeSet<&str>,
    known: &Checksums,
    told: &mut Explanation,
) -> Result<(), FitError> {
    let Some(sample) = kernel.sample()? else {
        return Ok(());
    };
    let mut found = BTreeMap::new();
    sample.checksums(|name| names.contains(name), &mut found)?;
    for (name, crc) in &found {
        match known.get(name) {
            Some((own, origin)) if own != crc => {
                return Err(FitError::Disagreement {
                    what: format!("the checksum of {name}"),
                    first: format!("{own:#010x}"),
                    first_source: origin.clone(),
                    second: format!("{crc:#010x}"),
                    second_source: sample.origin().to_owned(),
                });
            }
            _ => {}
        }
    }
    told.checks.push(format!(
        "the checksums of {} imports are those in {}",
        found.len(),
        sample.origin()
    ));
    Ok(())
}
