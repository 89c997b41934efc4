// SPDX-License-Identifier: MIT OR Apache-2.0
//! Facts that more than one source tells must be the same in all of them.

use crate::error::FitError;
use crate::explanation::Explanation;
use crate::kernel::Kernel;
use crate::prebuilt::FaultMarks;
use crate::vmlinux::Vmlinux;

/// A function that every kernel exports, of which the first instructions read the caller's
/// memory.
const READS_USER: &str = "__get_user_1";

/// How long that function is, at least and at most.
const READS_USER_LEN: u64 = 64;

/// Two sources must agree.
pub(crate) fn same(
    what: &str,
    first: &str,
    first_source: &str,
    second: &str,
    second_source: &str,
) -> Result<(), FitError> {
    match first == second {
        true => Ok(()),
        false => Err(FitError::Disagreement {
            what: what.to_owned(),
            first: first.to_owned(),
            first_source: first_source.to_owned(),
            second: second.to_owned(),
            second_source: second_source.to_owned(),
        }),
    }
}

/// Compares with the kernel itself, if that was unpacked.
pub(crate) fn with_kernel(
    kernel: &Kernel<'_>,
    btf: &[u8],
    btf_origin: &str,
    marks: Option<&FaultMarks>,
    told: &mut Explanation,
) -> Result<(), FitError> {
    let Some((vmlinux, origin)) = kernel.vmlinux()? else {
        return Ok(());
    };
    let release = vmlinux.release().unwrap_or_default();
    same("the release", &release, origin, &told.release, "vermagic")?;
    told.checks
        .push(format!("the banner of {origin} has this release"));
    if let Some(own) = vmlinux.btf() {
        let name = |bytes: &[u8]| match bytes == btf {
            true => "the same".to_owned(),
            false => format!("different, of {} bytes,", bytes.len()),
        };
        same("the BTF", &name(btf), btf_origin, &name(own), origin)?;
        told.checks.push(format!("the types are those in {origin}"));
    }
    if let Some(FaultMarks::Types { fault, user_access }) = marks {
        fault_types(&vmlinux, origin, *fault, *user_access)?;
        told.checks.push(format!(
            "the kernel has types {fault} and {user_access} for its own places that may fault \
             ({origin})"
        ));
    }
    Ok(())
}

/// The numbers of types are not in the BTF, but the kernel's own table has them.
fn fault_types(
    vmlinux: &Vmlinux<'_>,
    origin: &str,
    fault: u32,
    user_access: u32,
) -> Result<(), FitError> {
    let unusable = |why: String| FitError::unusable(origin, why);
    let exports = vmlinux.exports(|name| name == READS_USER);
    let exports = exports.map_err(unusable)?;
    let start = exports.get(READS_USER).and_then(|export| export.address);
    let start = start.ok_or_else(|| unusable(format!("it does not export {READS_USER}")))?;
    let faults = vmlinux.faults();
    let mut of_reader = faults.iter().filter(|(at, _)| {
        let inside = at.checked_sub(start);
        inside.is_some_and(|inside| inside < READS_USER_LEN)
    });
    let found = of_reader.next().map(|(_, number)| *number);
    if found != Some(user_access) {
        let found = found.map_or("none".to_owned(), |number| number.to_string());
        return Err(FitError::Layout {
            place: format!("the type of the place in {READS_USER} that may fault"),
            found,
            expected: user_access.to_string(),
        });
    }
    match faults.iter().any(|(_, number)| *number == fault) {
        true => Ok(()),
        false => Err(FitError::Layout {
            place: "__ex_table".to_owned(),
            found: format!("no entry of type {fault}"),
            expected: "some".to_owned(),
        }),
    }
}
