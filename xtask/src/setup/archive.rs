// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's archive, as this machine's own apt reaches it: packages of any suite are
//! found and downloaded without being installed.

use super::host::KEYRING;
use super::task::Log;
use anyhow::{Context, Result, anyhow};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::cache::Cache;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Names a mirror on machines whose apt configuration has none.
const VARIABLE: &str = "LINPMEM_DEBIAN_MIRROR";

/// The package lists of a suite.
#[derive(Debug)]
pub struct Suite {
    name: String,
    dir: PathBuf,
}

impl Suite {
    /// The suite `suite` of an architecture, with its lists in the cache.
    pub fn open(cache: &Cache, suite: &str, arch: Arch) -> Result<Self> {
        let name = match arch {
            Arch::HOST => suite.to_owned(),
            other => format!("{suite}-{}", other.debian()),
        };
        let dir = cache.dir().join("apt").join(&name);
        let at = dir.display();
        fs::create_dir_all(dir.join("lists/partial"))
            .with_context(|| format!("cannot create {at}"))?;
        // Of this machine's configuration, only what concerns the network applies.
        let config = format!(
            "{}APT::Architecture \"{}\";\nAPT::Architectures {{ \"{}\"; }};\n\
             Acquire::Languages \"none\";\nAPT::Sandbox::User \"root\";\n\
             Dir::Etc::Main \"/dev/null\";\nDir::Etc::Parts \"/dev/null\";\n\
             Dir::Etc::Preferences \"/dev/null\";\nDir::Etc::PreferencesParts \"/dev/null\";\n\
             Dir::Etc::SourceList \"{at}/sources.list\";\nDir::Etc::SourceParts \"/dev/null\";\n\
             Dir::State::Lists \"{at}/lists\";\nDir::State::status \"{at}/status\";\n\
             Dir::Cache \"{at}\";\n",
            network_options(),
            arch.debian(),
            arch.debian(),
        );
        let sources = sources(suite)?.join("\n") + "\n";
        for (file, text) in [
            ("sources.list", &*sources),
            ("status", ""),
            ("apt.conf", &config),
        ] {
            fs::write(dir.join(file), text).with_context(|| format!("cannot write {at}/{file}"))?;
        }
        Ok(Self { name, dir })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.dir.join("apt.conf"));
        command.env("LC_ALL", "C.UTF-8");
        command
    }

    /// Downloads the current lists, once per run of the set-up.
    pub fn update(&self, log: &mut Log) -> Result<()> {
        static UPDATED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
        let mut updated = UPDATED.lock().unwrap_or_else(PoisonError::into_inner);
        if !updated.contains(&self.name) {
            let mut command = self.command("apt-get");
            // Without this option apt succeeds even if it cannot reach the mirror.
            log.run(command.args(["update", "--error-on=any"]))
                .with_context(|| format!("cannot download the package lists of {}", self.name))?;
            updated.insert(self.name.clone());
        }
        Ok(())
    }

    /// The newest version of `package`.
    pub fn version(&self, log: &mut Log, package: &str) -> Result<String> {
        let mut command = self.command("apt-cache");
        let text = log
            .output(command.args(["show", "--no-all-versions", package]))
            .map_err(|_| anyhow!("the suite {} has no package {package}", self.name))?;
        let mut lines = text.lines();
        let version = lines.find_map(|line| line.strip_prefix("Version: "));
        let version = version.with_context(|| format!("apt knows no version of {package}"))?;
        Ok(version.to_owned())
    }

    /// The package and all packages it depends on, directly or not.
    pub fn with_dependencies(&self, log: &mut Log, package: &str) -> Result<Vec<String>> {
        let mut command = self.command("apt-cache");
        command.args(["depends", "--recurse", "--important", package]);
        let text = log
            .output(&mut command)
            .map_err(|_| anyhow!("the suite {} has no package {package}", self.name))?;
        // Dependencies are indented, virtual packages are in angle brackets.
        let names = text.lines().filter(|line| !line.starts_with([' ', '<']));
        Ok(names.map(str::to_owned).collect())
    }

    /// Downloads `packages` into the folder `into`. Those that are there already are not
    /// downloaded again.
    pub fn download(&self, log: &mut Log, packages: &[&str], into: &Path) -> Result<Vec<PathBuf>> {
        fs::create_dir_all(into).with_context(|| format!("cannot create {}", into.display()))?;
        let mut command = self.command("apt-get");
        command.arg("download").args(packages).current_dir(into);
        log.run(&mut command).context("cannot download packages")?;
        let files = packages.iter().map(|package| file_of(into, package));
        files.collect()
    }
}

/// The file of `package` in the folder `dir`.
fn file_of(dir: &Path, package: &str) -> Result<PathBuf> {
    let prefix = format!("{package}_");
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            return Ok(entry.path());
        }
    }
    Err(anyhow!(
        "apt succeeded, but {} has no package {package}",
        dir.display()
    ))
}

/// The lines of `sources.list` for `suite`. A stable suite comes with its updates and,
/// if this machine uses them, its security updates.
pub fn sources(suite: &str) -> Result<Vec<String>> {
    let (archive, security) = match env::var(VARIABLE) {
        Ok(archive) if !archive.is_empty() => (archive, None),
        _ => {
            let targets = Command::new("apt-get")
                .args(["indextargets", "--format"])
                .arg("$(REPO_URI) $(RELEASE)")
                .args(["Created-By: Packages", "Component: main"])
                .output()
                .context("cannot start apt-get")?;
            of_targets(&String::from_utf8_lossy(&targets.stdout)).with_context(|| {
                format!(
                    "the apt configuration of this machine has no Debian archive: set \
                     {VARIABLE} to the URI of a mirror"
                )
            })?
        }
    };
    let line = |uri: &str, suite: &str| format!("deb [signed-by={KEYRING}] {uri} {suite} main");
    let mut lines = vec![line(&archive, suite)];
    if !suite.contains('-') && !["sid", "unstable", "experimental"].contains(&suite) {
        lines.push(line(&archive, &format!("{suite}-updates")));
        lines.extend(security.map(|uri| line(&uri, &format!("{suite}-security"))));
    }
    Ok(lines)
}

/// The URIs of the main and the security archive among `targets`: a URI and its suite a
/// line. Other vendors use Debian's suite names, too, so the archive's folder decides.
fn of_targets(targets: &str) -> Option<(String, Option<String>)> {
    let find = |folder: &str| {
        let mut uris = targets.lines().filter_map(|line| line.split(' ').next());
        // `mirror+file:/etc/apt/mirrors/debian.list` is a list of mirrors.
        uris.find(|uri| {
            let uri = uri.trim_end_matches('/');
            uri.trim_end_matches(".list").ends_with(folder)
        })
        .map(str::to_owned)
    };
    Some((find("/debian")?, find("/debian-security")))
}

/// The options of this machine's apt about reaching the network, such as a proxy or
/// whether to accept an old `Release` file, in the format of `apt.conf`.
pub fn network_options() -> String {
    let dump = Command::new("apt-config").arg("dump").output();
    let text = dump.map(|dump| String::from_utf8_lossy(&dump.stdout).into_owned());
    let lines = text.unwrap_or_default();
    let lines = lines.lines().filter(|line| {
        ["http", "https", "Check-", "Retries"]
            .iter()
            .any(|option| line.starts_with(&format!("Acquire::{option}")))
    });
    lines.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debians_own_archive_is_found_among_others() {
        let targets = "https://vendor.example/apt/ bookworm\n\
                       https://vendor.example/debian/12/prod/ bookworm\n\
                       http://mirror.example/debian/ bookworm\n\
                       http://mirror.example/debian/ bookworm-updates\n\
                       http://mirror.example/debian-security/ bookworm-security\n";
        let (archive, security) = of_targets(targets).unwrap();
        assert_eq!(archive, "http://mirror.example/debian/");
        assert_eq!(security.unwrap(), "http://mirror.example/debian-security/");
        let list = "mirror+file:///etc/apt/mirrors/debian.list/ trixie\n";
        assert_eq!(of_targets(list).unwrap().1, None);
        assert_eq!(of_targets("https://vendor.example/apt/ noble\n"), None);
    }
}
