// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who runs this program, by which clocks, and which program it is.

use crate::adjtimex::clock_state;
use crate::bounded;
use crate::digest::sha256_of;
use linpmem_manifest::{ClockRecord, Operator, OperatorFrom, Sha256Sum};
use rustix::process::geteuid;
use rustix::time::{ClockId, clock_gettime};
use std::env;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Larger lists of users are not read; the number stands for the name.
const MAX_PASSWD_BYTES: u64 = 4 << 20;

/// What the kernel writes to /proc/self/loginuid if nobody logged in: -1.
const NOBODY: u32 = u32::MAX;

/// Who runs this program: `given`, or who logged in.
#[must_use]
pub fn operator(given: Option<&str>) -> Operator {
    let (name, from) = match given {
        Some(name) => (name.to_owned(), OperatorFrom::Option),
        None => login()
            .map(|name| (name, OperatorFrom::Login))
            .or_else(|| Some((environment()?, OperatorFrom::Environment)))
            .unwrap_or_else(|| (name_of(geteuid().as_raw()), OperatorFrom::Process)),
    };
    Operator { name, from }
}

fn login() -> Option<String> {
    let uid = bounded::read_text(Path::new("/proc/self/loginuid"), 64).ok()?;
    let uid = uid.trim().parse().ok().filter(|&uid| uid != NOBODY)?;
    Some(name_of(uid))
}

fn environment() -> Option<String> {
    let names = ["SUDO_USER", "LOGNAME"].into_iter();
    let mut names = names.filter_map(|name| env::var(name).ok());
    names.find(|name| !name.is_empty())
}

/// The name of a user, or `uid N` if /etc/passwd has none (as with a directory service).
fn name_of(uid: u32) -> String {
    let users = bounded::read_text(Path::new("/etc/passwd"), MAX_PASSWD_BYTES);
    let name = users.ok().and_then(|users| name_in(&users, uid));
    name.unwrap_or_else(|| format!("uid {uid}"))
}

/// passwd(5): `name:password:uid:…`.
fn name_in(users: &str, uid: u32) -> Option<String> {
    let mut names = users.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let found: u32 = fields.nth(1)?.parse().ok()?;
        (found == uid).then(|| name.to_owned())
    });
    names.next()
}

/// What is known of the clocks now.
#[must_use]
pub fn clock() -> ClockRecord {
    let boottime = clock_gettime(ClockId::Boottime);
    let state = clock_state();
    ClockRecord {
        // The kernel keeps it at or after zero; 64 bits of nanoseconds are 584 years.
        boottime_ns: boottime.tv_sec.unsigned_abs() * 1_000_000_000
            + boottime.tv_nsec.unsigned_abs(),
        timezone: timezone(Path::new("/")),
        synchronised: state.map(|state| state.synchronised),
        max_error_us: state
            .filter(|state| state.synchronised)
            .map(|state| state.max_error_us),
    }
}

/// The timezone of the machine whose files are below `root`: where /etc/localtime leads, or what
/// /etc/timezone says.
fn timezone(root: &Path) -> Option<String> {
    let link = fs::read_link(root.join("etc/localtime")).ok();
    let named = link.and_then(|path| {
        let path = path.to_str()?;
        let (_, name) = path.split_once("zoneinfo/")?;
        Some(name.to_owned())
    });
    named.or_else(|| {
        let text = bounded::read_text(&root.join("etc/timezone"), 256).ok()?;
        Some(text.trim().to_owned()).filter(|name| !name.is_empty())
    })
}

/// The SHA-256 of this program's own file.
///
/// # Errors
/// If it cannot be read.
pub fn own_sha256() -> io::Result<Sha256Sum> {
    sha256_of(File::open("/proc/self/exe")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_user_has_a_name_in_passwd() {
        let users = "root:x:0:0::/root:/bin/sh\nbad line\n:x:7:\nada:x:1000:1000:Ada:/:/bin/sh\n";
        assert_eq!(name_in(users, 0).as_deref(), Some("root"));
        assert_eq!(name_in(users, 1000).as_deref(), Some("ada"));
        assert_eq!(name_in(users, 7), None);
        assert_eq!(operator(Some("Ada")).from, OperatorFrom::Option);
        assert!(!operator(None).name.is_empty());
    }

    #[test]
    fn the_timezone_is_where_the_link_leads() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(timezone(root.path()), None);
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/timezone"), "Etc/UTC\n").unwrap();
        assert_eq!(timezone(root.path()).as_deref(), Some("Etc/UTC"));
        let link = root.path().join("etc/localtime");
        symlink("../usr/share/zoneinfo/Europe/Berlin", link).unwrap();
        assert_eq!(timezone(root.path()).as_deref(), Some("Europe/Berlin"));
    }

    #[test]
    fn the_program_has_a_hash_and_the_clock_a_time() {
        let own = sha256_of(File::open(env::current_exe().unwrap()).unwrap());
        assert_eq!(own_sha256().unwrap(), own.unwrap());
        assert!(clock().boottime_ns > 0);
    }
}
