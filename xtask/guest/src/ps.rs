// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tool `ps`: the processes of this moment.

use std::fs;
use std::io::{self, Write};

use anyhow::Result;

/// `ps`: `PID PARENT NAME` of each process, by number.
pub fn run() -> Result<()> {
    let mut lines = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // It may have ended meanwhile.
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

/// `12 (a name) S 1 …`: a name may have parentheses of its own.
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
    fn names_may_hold_anything() {
        let found = line(12, "12 (a) (b)) S 1 12 12 0").unwrap();
        assert_eq!(found, (12, "12 1 a) (b)".to_owned()));
        assert_eq!(line(1, "nonsense"), None);
    }
}
