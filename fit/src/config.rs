// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kernel's configuration rules out.

use crate::error::FitError;
use crate::explanation::Explanation;
use crate::exports;
use crate::kernel::Kernel;
use crate::sources::Sources;
use crate::unpack::unpack;

/// The most bytes of a configuration.
const MAX_CONFIG: u64 = 16 << 20;

/// Options that make a kernel check the targets of indirect calls.
const CFI: &[&str] = &["CONFIG_CFI=y", "CONFIG_CFI_CLANG=y"];

/// Refuses kernels that would stop at the module's first function, or load no modules.
///
/// A kernel with CONFIG_RANDSTRUCT is no problem: its BTF tells the order of members that
/// the compiler has chosen.
pub(crate) fn check(
    kernel: &Kernel<'_>,
    sources: &Sources,
    told: &mut Explanation,
) -> Result<(), FitError> {
    if let Some((path, packed)) = sources.config.read(MAX_CONFIG)? {
        let origin = path.display().to_string();
        let bytes = match packed.starts_with(b"\x1f\x8b") {
            true => unpack(&packed, MAX_CONFIG / 64, MAX_CONFIG)
                .map_err(|why| FitError::unusable(&origin, why))?,
            false => packed,
        };
        return of_config(&String::from_utf8_lossy(&bytes), &origin, told);
    }
    let mut origins = Vec::new();
    if let Some(sample) = kernel.sample()? {
        if let Some(symbol) = sample.cfi_symbol()? {
            return Err(FitError::Cfi(format!("{symbol} in {}", sample.origin())));
        }
        origins.push(sample.origin().to_owned());
    }
    if origins.is_empty() {
        if let Some((path, file)) = sources.kallsyms.open()? {
            if let Some(symbol) = exports::of_kallsyms(file, path, |_| false)?.cfi {
                return Err(FitError::Cfi(format!("{symbol} in {}", path.display())));
            }
            origins.push(path.display().to_string());
        }
    }
    if origins.is_empty() {
        if let Some((vmlinux, origin)) = kernel.vmlinux()? {
            if let Some(symbol) = vmlinux.cfi_symbol() {
                return Err(FitError::Cfi(format!("{symbol} in {origin}")));
            }
            if !vmlinux.is_of_gcc() {
                return Err(unknown(sources));
            }
            origins.push(format!("the banner of {origin}: its compiler is gcc"));
        }
    }
    if origins.is_empty() {
        return Err(unknown(sources));
    }
    told.fact(
        "kCFI",
        "off",
        format!("no sign of it in {}", origins.join(", ")),
    );
    Ok(())
}

fn unknown(sources: &Sources) -> FitError {
    FitError::Unknown {
        what: "whether the kernel checks indirect calls (kCFI)",
        tried: format!(
            "configuration: {}; modules: {}",
            sources.config.tried(),
            sources.modules.tried()
        ),
        advice: "name the kernel's configuration or the folder with its modules (--config, \
                 --modules)",
    }
}

fn of_config(text: &str, origin: &str, told: &mut Explanation) -> Result<(), FitError> {
    let has = |line: &str| text.lines().any(|found| found == line);
    if !text.lines().any(|line| line.starts_with("CONFIG_")) {
        return Err(FitError::unusable(
            origin,
            "it is no kernel's configuration",
        ));
    }
    if let Some(option) = CFI.iter().find(|option| has(option)) {
        return Err(FitError::Cfi(format!("{option} in {origin}")));
    }
    if !has("CONFIG_MODULES=y") {
        return Err(FitError::NoModules(format!(
            "{origin} has no CONFIG_MODULES=y"
        )));
    }
    if !has("CONFIG_X86_64=y") {
        return Err(FitError::unusable(
            origin,
            match has("CONFIG_ARM64=y") {
                true => "it is of an arm64 kernel, and the prebuilt module is for x86-64",
                false => "it is not of an x86-64 kernel",
            },
        ));
    }
    told.fact("kCFI", "off", origin);
    Ok(())
}
