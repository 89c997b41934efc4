// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Debian archive, as this machine's own apt configuration names it.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

/// Names a mirror on machines whose apt configuration names none.
const VARIABLE: &str = "LINPMEM_DEBIAN_MIRROR";

/// The suites of the main archive, without `-updates`, `-backports` and such.
const CODENAMES: &[&str] = &[
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
];

/// Where packages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirrors {
    /// The URI of the main archive.
    pub archive: String,
    /// The URI of the security archive, when the machine uses one.
    pub security: Option<String>,
}

/// One line of `sources.list`, or its like from a deb822 stanza.
#[derive(Debug)]
struct Source {
    uri: String,
    suite: String,
}

impl Mirrors {
    /// Reads apt's configuration, unless `LINPMEM_DEBIAN_MIRROR` is set.
    ///
    /// # Errors
    /// When it names no Debian archive.
    pub fn of_this_machine() -> Result<Self> {
        if let Ok(archive) = env::var(VARIABLE) {
            if !archive.is_empty() {
                return Ok(Self {
                    archive,
                    security: None,
                });
            }
        }
        let mut sources = Vec::new();
        let etc = Path::new("/etc/apt");
        read_into(&etc.join("sources.list"), &mut sources);
        if let Ok(entries) = fs::read_dir(etc.join("sources.list.d")) {
            let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
            paths.sort();
            for path in paths {
                read_into(&path, &mut sources);
            }
        }
        match Self::among(&sources) {
            Some(mirrors) => Ok(mirrors),
            None => bail!(
                "apt's configuration (/etc/apt/sources.list, /etc/apt/sources.list.d) names no \
                 Debian archive; name a mirror by setting {VARIABLE} to its URI"
            ),
        }
    }

    fn among(sources: &[Source]) -> Option<Self> {
        // Other vendors use Debian's suite names too: a folder called
        // `debian` comes first.
        let pick = |folder: &str, wanted: &dyn Fn(&str) -> bool| {
            let mut found: Vec<_> = sources
                .iter()
                .filter(|source| wanted(&source.suite))
                .collect();
            found.sort_by_key(|source| !source.uri.trim_end_matches('/').ends_with(folder));
            found
                .first()
                .map(|source| source.uri.trim_end_matches('/').to_owned())
        };
        let archive = pick("/debian", &|suite| {
            let name = suite.split_once('-').map_or(suite, |(name, _)| name);
            CODENAMES.contains(&name) && !is_security(suite)
        })?;
        let security = pick("/debian-security", &is_security);
        Some(Self { archive, security })
    }

    /// The `deb` lines of `suite`, which may be `X-backports`; a stable suite
    /// brings its updates and security suites along.
    #[must_use]
    pub fn lines(&self, suite: &str) -> Vec<String> {
        let mut lines = vec![format!("deb {} {suite} main", self.archive)];
        if !suite.contains('-') && !["sid", "unstable", "experimental"].contains(&suite) {
            lines.push(format!("deb {} {suite}-updates main", self.archive));
            if let Some(security) = &self.security {
                lines.push(format!("deb {security} {suite}-security main"));
            }
        }
        lines
    }
}

/// apt's options on reaching the network, such as a proxy or what to make of
/// an old `Release` file, in the format of `apt.conf`.
#[must_use]
pub fn apt_options() -> String {
    let Ok(dump) = Command::new("apt-config").arg("dump").output() else {
        return String::new();
    };
    let kept = [
        "Acquire::http::",
        "Acquire::https::",
        "Acquire::Check-",
        "Acquire::Retries",
    ];
    let text = String::from_utf8_lossy(&dump.stdout);
    let lines = text
        .lines()
        .filter(|line| kept.iter().any(|prefix| line.starts_with(prefix)));
    lines.map(|line| format!("{line}\n")).collect()
}

fn is_security(suite: &str) -> bool {
    let name = suite.split_once(['-', '/']).unwrap_or((suite, ""));
    CODENAMES.contains(&name.0)
        && ["security", "updates"].contains(&name.1)
        && !suite.ends_with("-updates")
}

fn read_into(path: &Path, sources: &mut Vec<Source>) {
    let Ok(text) = fs::read_to_string(path) else {
        return;
    };
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("list") => one_line_style(&text, sources),
        Some("sources") => deb822_style(&text, sources),
        _ => {}
    }
}

/// `deb [options] URI SUITE COMPONENT…`
fn one_line_style(text: &str, sources: &mut Vec<Source>) {
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(rest) = line
            .strip_prefix("deb")
            .filter(|rest| rest.starts_with([' ', '\t', '[']))
        else {
            continue;
        };
        let rest = rest.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']').map_or("", |(_, rest)| rest),
            None => rest,
        };
        let mut words = rest.split_whitespace();
        if let (Some(uri), Some(suite)) = (words.next(), words.next()) {
            if words.any(|component| component == "main") {
                add(uri, suite, sources);
            }
        }
    }
}

/// Stanzas of `Field: value`, continued on lines that start with a space.
fn deb822_style(text: &str, sources: &mut Vec<Source>) {
    for stanza in text.split("\n\n") {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in stanza.lines().filter(|line| !line.starts_with('#')) {
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = fields.last_mut() {
                    value.push_str(line);
                }
            } else if let Some((name, value)) = line.split_once(':') {
                fields.push((name.trim().to_ascii_lowercase(), value.to_owned()));
            }
        }
        let words = |wanted: &str| -> Vec<&str> {
            let field = fields.iter().find(|(name, _)| name == wanted);
            field
                .map(|(_, value)| value.split_whitespace().collect())
                .unwrap_or_default()
        };
        let off = words("enabled")
            .iter()
            .any(|word| ["no", "false", "0"].contains(word));
        if off || !words("types").contains(&"deb") || !words("components").contains(&"main") {
            continue;
        }
        for uri in words("uris") {
            for suite in words("suites") {
                add(uri, suite, sources);
            }
        }
    }
}

/// Takes what apt in another tree can use as well: a list of mirrors in a file
/// is replaced by its first, and discs are left out.
fn add(uri: &str, suite: &str, sources: &mut Vec<Source>) {
    let list = uri
        .strip_prefix("mirror+file:")
        .or_else(|| uri.strip_prefix("mirror:file:"));
    let uri = match list {
        Some(list) => {
            let text = fs::read_to_string(list).unwrap_or_default();
            let first = text.lines().find(|line| line.starts_with("http"));
            first
                .and_then(|line| line.split_whitespace().next())
                .unwrap_or_default()
                .to_owned()
        }
        None => uri.to_owned(),
    };
    if ["http:", "https:", "file:"]
        .iter()
        .any(|scheme| uri.starts_with(scheme))
    {
        sources.push(Source {
            uri,
            suite: suite.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Option<Mirrors> {
        let mut sources = Vec::new();
        one_line_style(text, &mut sources);
        Mirrors::among(&sources)
    }

    fn stanzas(text: &str) -> Option<Mirrors> {
        let mut sources = Vec::new();
        deb822_style(text, &mut sources);
        Mirrors::among(&sources)
    }

    #[test]
    fn one_line_files_are_read() {
        let found = lines(
            "# a comment\n\
             deb-src http://mirror.example/debian bookworm main\n\
             deb [arch=amd64] https://vendor.example/apt bookworm main\n\
             deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian/ bookworm main # why\n\
             deb http://mirror.example/debian-security bookworm-security main contrib\n",
        )
        .unwrap();
        assert_eq!(found.archive, "http://mirror.example/debian");
        assert_eq!(
            found.security.unwrap(),
            "http://mirror.example/debian-security"
        );
    }

    #[test]
    fn deb822_files_are_read() {
        let found = stanzas(
            "Types: deb\n# http://old.example/debian\nURIs: http://mirror.example/debian\n\
             Suites: trixie trixie-updates\nComponents: main\n\n\
             Types: deb deb-src\nURIs:\n http://mirror.example/debian-security\n\
             Suites: trixie-security\nComponents: main\n",
        )
        .unwrap();
        assert_eq!(found.archive, "http://mirror.example/debian");
        assert_eq!(
            found.security.unwrap(),
            "http://mirror.example/debian-security"
        );
    }

    #[test]
    fn other_vendors_and_disabled_entries_are_not_the_archive() {
        assert_eq!(
            lines("deb https://vendor.example/apt nodistro main\n"),
            None
        );
        assert_eq!(lines("deb https://vendor.example/apt noble main\n"), None);
        let disabled = "Enabled: no\nTypes: deb\nURIs: http://mirror.example/debian\n\
                        Suites: trixie\nComponents: main\n";
        assert_eq!(stanzas(disabled), None);
        assert_eq!(lines("deb cdrom:[Debian]/ bookworm main\n"), None);
    }

    #[test]
    fn a_stable_suite_brings_its_updates_along() {
        let mirrors = Mirrors {
            archive: "A".into(),
            security: Some("S".into()),
        };
        assert_eq!(
            mirrors.lines("trixie"),
            [
                "deb A trixie main",
                "deb A trixie-updates main",
                "deb S trixie-security main"
            ]
        );
        assert_eq!(
            mirrors.lines("trixie-backports"),
            ["deb A trixie-backports main"]
        );
        assert_eq!(mirrors.lines("sid"), ["deb A sid main"]);
    }
}
