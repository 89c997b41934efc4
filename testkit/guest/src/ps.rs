// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tool `ps`: the current processes.

use anyhow::Result;
use std::fs;
use std::io::{self, Write};

/// Prints `PID PARENT NAME` for each process, by process id.
pub fn run() -> Result<()> {
    let mut lines = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // It may have ended by now.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        lines.extend(line(pid, &stat));
    }
    lines.sort_unstable();
    let mut out = io::stdout().lock();
    for (_, line) in lines {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Parses `12 (a name) S 1 …`; the name may contain parentheses.
fn line(pid: u32, stat: &str) -> Option<(u32, String)> {
    let (_, rest) = stat.split_once('(')?;
    let (name, rest) = rest.rsplit_once(')')?;
    let parent = rest.split_whitespace().nth(1)?;
    Some((pid, format!("{pid} {parent} {name}")))
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn names_may_contain_anything() {
        let found = line(12, "12 (a) (b)) S 1 12 12 0").unwrap();
        assert_eq!(found, (12, "12 1 a) (b)".to_owned()));
        assert_eq!(line(1, "nonsense"), None);
    }
}
