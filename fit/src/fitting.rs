// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps from a kernel's files and the prebuilt module to a module for that kernel.

use crate::checksums;
use crate::crosscheck::{self, same};
use crate::error::FitError;
use crate::explanation::{Explanation, Import};
use crate::exports::Exports;
use crate::imports::{self, Binding};
use crate::kernel::Kernel;
use crate::layout;
use crate::module_file::ThisModule;
use crate::prebuilt::{Checksum, FaultMarks, PARAMETERS, Prebuilt};
use crate::sources::Sources;
use crate::structs::Shape::{Any, ArrayOf, Bytes, Pointer};
use crate::structs::{Structs, layout as unlike};
use crate::{config, live_note, vmcoreinfo};
use linpmem_core::layout::{FAULTS_SECTION, Layout};
use std::collections::BTreeSet;

/// A module for one kernel.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fitted {
    /// The module's file, as for insmod.
    pub module: Vec<u8>,
    /// What it rests on.
    pub explanation: Explanation,
}

/// `EX_TYPE_FAULT_MCE_SAFE` and `EX_TYPE_UACCESS` of
/// arch/x86/include/asm/extable_fixup_types.h, unchanged since Linux 5.16.
const TYPES: FaultMarks = FaultMarks::Types {
    fault: 15,
    user_access: 3,
};

/// The functions of older kernels, of arch/x86/mm/extable.c.
const HANDLERS: FaultMarks = FaultMarks::Handlers {
    fault: "ex_handler_fault",
    user_access: "ex_handler_uaccess",
};

/// The import whose checksum covers the kernel's `struct module`.
const MODULE_LAYOUT: &str = "module_layout";

/// Fits the prebuilt module `object` to the kernel that `sources` tell of.
///
/// # Errors
/// See [`FitError`]. What cannot be established is an error: a wrong layout would crash
/// the machine.
pub fn fit(object: &[u8], sources: &Sources) -> Result<Fitted, FitError> {
    let kernel = Kernel::new(sources);
    let mut prebuilt = Prebuilt::parse(object)?;
    let mut told = Explanation {
        release: String::new(),
        facts: Vec::new(),
        checks: Vec::new(),
        imports: Vec::new(),
        layout: Layout::UNFITTED,
    };

    let vermagic = vermagic(&kernel, sources, &mut told)?;
    config::check(&kernel, sources, &mut told)?;

    let (btf, origin) = kernel.btf()?;
    let structs = Structs::of(
        &btf,
        &origin,
        layout::STRUCTS,
        layout::ENUMS,
        &layout::enumerators(),
    )?;
    told.fact("types", format!("{} bytes of BTF", btf.len()), &origin);
    let this_module = this_module(&kernel, &structs, &mut told)?;
    let marks = fault_marks(&prebuilt, &structs, &mut told)?;
    check_parameters(&prebuilt, &structs)?;

    let mut wanted: BTreeSet<String> = prebuilt
        .imports()
        .flat_map(imports::candidates)
        .map(str::to_owned)
        .collect();
    if let Some(FaultMarks::Handlers { fault, user_access }) = &marks {
        wanted.extend([*fault, *user_access].map(str::to_owned));
    }
    wanted.insert(MODULE_LAYOUT.to_owned());
    let is_versioned = vermagic.split(' ').any(|word| word == "modversions");
    let (exports, exports_origin) = checksums::exports(&kernel, sources, &wanted)?;
    told.fact("exports", "their names", &exports_origin);

    let bound = bind(&mut prebuilt, &exports, &exports_origin, marks.as_ref())?;
    if let Some(marks) = &marks {
        prebuilt.mark_faults(marks)?;
    }
    prebuilt.list_returns()?;
    let symbols = bound.iter().filter_map(|(_, binding)| match binding {
        Binding::Kernel(name) => Some(name.as_str()),
        Binding::Substitute => None,
    });
    let mut symbols: BTreeSet<&str> = symbols.collect();
    if let Some(FaultMarks::Handlers { fault, user_access }) = &marks {
        symbols.extend([*fault, *user_access]);
    }
    symbols.insert(MODULE_LAYOUT);
    let known = match is_versioned {
        true => checksums::of(
            &kernel,
            sources,
            &symbols,
            &exports,
            &exports_origin,
            &mut told,
        )?,
        false => {
            told.fact("checksums", "none", "vermagic has no `modversions`");
            Default::default()
        }
    };

    let current = bound.iter().find_map(|(_, binding)| match binding {
        Binding::Kernel(name) if imports::CURRENT.contains(&name.as_str()) => Some(name.as_str()),
        _ => None,
    });
    let needs_sections = bound
        .iter()
        .any(|(name, binding)| name == imports::ONLINE_PAGE && *binding == Binding::Substitute);
    let choices = layout::Choices {
        needs_sections,
        current,
        vmcoreinfo_len: vmcoreinfo::note_len(sources, &mut told)?,
    };
    layout::check_compiled(&structs, |import| {
        let mut all = bound.iter();
        all.any(|(name, binding)| name == import && matches!(binding, Binding::Kernel(_)))
    })?;
    told.checks.push(format!(
        "the enumerators that the module is compiled with are those of {}",
        structs.origin()
    ));
    told.layout = layout::of(&structs, &choices)?;
    live_note::compare(sources, &mut told)?;
    prebuilt.set_layout(&told.layout)?;
    prebuilt.set_release(&told.release)?;

    prebuilt.add_info(&[
        ("name", "linpmem"),
        ("vermagic", &vermagic),
        ("depends", ""),
        ("retpoline", "Y"),
    ])?;
    let namespaces: BTreeSet<&str> = symbols
        .iter()
        .filter_map(|name| exports.get(*name))
        .map(|export| export.namespace.as_str())
        .filter(|namespace| !namespace.is_empty())
        .collect();
    for namespace in namespaces {
        prebuilt.add_info(&[("import_ns", namespace)])?;
    }
    let name = structs.offset("module", "name", ArrayOf(1))?;
    let room = structs.member_size("module", "name")?;
    prebuilt.add_this_module(this_module, u64::from(name), room)?;
    if is_versioned {
        let checksums: Vec<Checksum> = known
            .iter()
            .map(|(name, (crc, _))| Checksum {
                name: name.clone(),
                crc: *crc,
            })
            .collect();
        prebuilt.add_versions(&checksums)?;
    }
    for (name, binding) in bound {
        let symbol = match binding {
            Binding::Kernel(symbol) => Some(symbol),
            Binding::Substitute => None,
        };
        let checksum = symbol.as_ref().and_then(|symbol| known.get(symbol));
        told.imports.push(Import {
            checksum: checksum.map(|(crc, _)| *crc),
            source: checksum.map(|(_, source)| source.clone()),
            name,
            symbol,
        });
    }
    if kernel.is_unpacked() {
        crosscheck::with_kernel(&kernel, &btf, &origin, marks.as_ref(), &mut told)?;
    }
    Ok(Fitted {
        module: prebuilt.write()?,
        explanation: told,
    })
}

/// The vermagic, and with it the release.
fn vermagic(
    kernel: &Kernel<'_>,
    sources: &Sources,
    told: &mut Explanation,
) -> Result<String, FitError> {
    let (vermagic, origin) = match kernel.sample()? {
        Some(sample) => (sample.vermagic()?, sample.origin().to_owned()),
        None => of_kernel(kernel, sources)?,
    };
    let of_vermagic = vermagic.split(' ').next().unwrap_or_default();
    if let Some(release) = &sources.release {
        same(
            "the release",
            of_vermagic,
            &origin,
            release,
            "the system, or the command line",
        )?;
        told.checks.push(format!("{origin} is of {release}"));
    }
    of_vermagic.clone_into(&mut told.release);
    told.fact("vermagic", &vermagic, &origin);
    Ok(vermagic)
}

/// The vermagic in the kernel itself.
fn of_kernel(kernel: &Kernel<'_>, sources: &Sources) -> Result<(String, String), FitError> {
    let unknown = |why: &str| FitError::Unknown {
        what: "what the kernel wants modules to be built for (vermagic)",
        tried: format!(
            "modules: {}; kernel: {}{why}",
            sources.modules.tried(),
            sources.kernel.tried()
        ),
        advice: "name the folder with the kernel's modules or its vmlinuz (--modules, --vmlinuz)",
    };
    let Some((vmlinux, origin)) = kernel.vmlinux()? else {
        return Err(unknown(""));
    };
    let release = vmlinux
        .release()
        .ok_or_else(|| FitError::unusable(origin, "it has no banner with its version"))?;
    let vermagic = vmlinux.vermagic(&release);
    let vermagic = vermagic.ok_or_else(|| unknown(", which has no vermagic"))?;
    Ok((vermagic, origin.to_owned()))
}

/// Where `struct module` has what the module's file says, compared with a module of this
/// kernel.
fn this_module(
    kernel: &Kernel<'_>,
    structs: &Structs<'_>,
    told: &mut Explanation,
) -> Result<ThisModule, FitError> {
    let exit = structs.known_offset("module", "exit", Pointer)?;
    let own = ThisModule {
        size: u64::from(structs.size("module")?),
        init: u64::from(structs.offset("module", "init", Pointer)?),
        exit: exit.map(u64::from),
    };
    let text = |place: &ThisModule| {
        let exit = place
            .exit
            .map_or("nowhere".to_owned(), |exit| exit.to_string());
        format!(
            "{} bytes, init at {}, exit at {exit}",
            place.size, place.init
        )
    };
    told.fact("struct module", text(&own), structs.origin());
    if let Some(sample) = kernel.sample()? {
        let mut accepted = sample.this_module()?;
        // A module that cannot be unloaded has no exit function.
        accepted.exit = accepted.exit.or(own.exit);
        same(
            "struct module",
            &text(&own),
            structs.origin(),
            &text(&accepted),
            sample.origin(),
        )?;
        told.checks
            .push(format!("struct module is as in {}", sample.origin()));
    }
    Ok(own)
}

/// How this kernel marks places that may fault.
fn fault_marks(
    prebuilt: &Prebuilt<'_>,
    structs: &Structs<'_>,
    told: &mut Explanation,
) -> Result<Option<FaultMarks>, FitError> {
    if !prebuilt.has_section(FAULTS_SECTION) {
        return Ok(None);
    }
    const ENTRY: &str = "exception_table_entry";
    let is_pair = structs.offset(ENTRY, "insn", Bytes(4))? == 0
        && structs.offset(ENTRY, "fixup", Bytes(4))? == 4
        && structs.size(ENTRY)? == 12;
    let third = |name| {
        let offset = structs.known_offset(ENTRY, name, Bytes(4))?;
        Ok::<_, FitError>(is_pair && offset == Some(8))
    };
    let (marks, value) = if third("data")? {
        (
            TYPES,
            "by the numbers 15 and 3, which no kernel since 5.16 has changed",
        )
    } else if third("handler")? {
        (
            HANDLERS,
            "by the functions ex_handler_fault and ex_handler_uaccess",
        )
    } else {
        return Err(unlike(
            format!("struct {ENTRY}"),
            "other members",
            "insn, fixup, and data or handler, of 4 bytes each",
        ));
    };
    told.fact("fault handling", value, structs.origin());
    Ok(Some(marks))
}

/// The module's parameters are written down in the layout of today's kernels.
fn check_parameters(prebuilt: &Prebuilt<'_>, structs: &Structs<'_>) -> Result<(), FitError> {
    if !prebuilt.has_section(PARAMETERS) {
        return Ok(());
    }
    let expected = [
        ("name", Pointer, 0),
        ("mod", Pointer, 8),
        ("ops", Pointer, 16),
        ("perm", Bytes(2), 24),
        ("level", Bytes(1), 26),
        ("flags", Bytes(1), 27),
        ("arg", Any, 32),
    ];
    for (name, shape, expected) in expected {
        let found = structs.offset("kernel_param", name, shape)?;
        if found != expected {
            let place = format!("struct kernel_param.{name}");
            return Err(unlike(
                place,
                format!("offset {found}"),
                format!("offset {expected}"),
            ));
        }
    }
    match structs.size("kernel_param")? {
        40 => Ok(()),
        size => Err(unlike(
            "struct kernel_param",
            format!("{size} bytes"),
            "40 bytes",
        )),
    }
}

/// Binds every import.
fn bind(
    prebuilt: &mut Prebuilt<'_>,
    exports: &Exports,
    origin: &str,
    marks: Option<&FaultMarks>,
) -> Result<Vec<(String, Binding)>, FitError> {
    let names: Vec<String> = prebuilt.imports().map(str::to_owned).collect();
    let mut bound = Vec::new();
    let mut missing = Vec::new();
    for name in names {
        match imports::bind(&name, prebuilt.has_substitute(&name), exports) {
            Ok(binding) => bound.push((name, binding)),
            Err(name) => missing.push(name),
        }
    }
    if let Some(FaultMarks::Handlers { fault, user_access }) = marks {
        let handlers = [*fault, *user_access].into_iter();
        missing.extend(
            handlers
                .filter(|name| !exports.contains_key(*name))
                .map(str::to_owned),
        );
    }
    let is_substituted = |wanted: &str| {
        let mut all = bound.iter();
        all.any(|(name, binding)| name == wanted && *binding == Binding::Substitute)
    };
    if is_substituted(imports::ONLINE_PAGE) && !exports.contains_key(imports::SECTIONS) {
        missing.push(format!("{} or {}", imports::ONLINE_PAGE, imports::SECTIONS));
    }
    if !missing.is_empty() {
        return Err(FitError::Imports {
            names: missing,
            origin: origin.to_owned(),
        });
    }
    for (name, binding) in &bound {
        prebuilt.bind(name, binding)?;
    }
    Ok(bound)
}
