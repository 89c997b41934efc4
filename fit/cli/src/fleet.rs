// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-fit --fleet`.

use crate::output::write;
use anyhow::{Context, Result, ensure};
use linpmem_cli::{Document, printable};
use linpmem_fit::{Member, fit, fleet};
use serde::Serialize;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// `linpmem-fit --fleet --json`.
#[derive(Debug, Serialize)]
pub struct FleetReport {
    kernels: Vec<Outcome>,
}

#[derive(Debug, Serialize)]
struct Outcome {
    kernel: String,
    folder: String,
    /// Null if it was not written.
    output: Option<String>,
    /// Why it was not written.
    error: Option<String>,
}

impl FleetReport {
    /// Fits the module to each kernel below `folder`, and writes it into `output`. One
    /// kernel that is refused does not stop the others.
    pub fn of(object: &[u8], folder: &Path, output: &Path) -> Result<Self> {
        let members = fleet(folder)?;
        ensure!(
            !members.is_empty(),
            "no folder below {} has a kernel's files in it",
            folder.display()
        );
        fs::create_dir_all(output)
            .with_context(|| format!("cannot create the folder {}", output.display()))?;
        let mut kernels: Vec<Outcome> = Vec::new();
        for member in &members {
            let outcome = one(object, member, output, &kernels);
            let (path, error) = match outcome {
                Ok(path) => (Some(path), None),
                Err(error) => (None, Some(format!("{error:#}"))),
            };
            kernels.push(Outcome {
                kernel: member.name.clone(),
                folder: member.folder.display().to_string(),
                output: path,
                error,
            });
        }
        Ok(Self { kernels })
    }

    /// Whether every kernel got its module.
    pub fn is_complete(&self) -> bool {
        self.kernels.iter().all(|kernel| kernel.error.is_none())
    }
}

fn one(object: &[u8], member: &Member, output: &Path, before: &[Outcome]) -> Result<String> {
    let fitted = fit(object, &member.sources)?;
    let release = &fitted.explanation.release;
    // It becomes part of a path.
    ensure!(
        !release.contains('/') && !release.is_empty(),
        "the release `{release}` cannot be part of a file's name"
    );
    let path = output.join(format!("linpmem-{release}.ko"));
    let name = path.display().to_string();
    ensure!(
        before
            .iter()
            .all(|other| other.output.as_ref() != Some(&name)),
        "another folder has a kernel of the release {release}, too"
    );
    write(&path, &fitted.module).with_context(|| format!("cannot write {name}"))?;
    Ok(name)
}

impl Document for FleetReport {
    const FORMAT: &'static str = "linpmem-fit fleet";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for outcome in &self.kernels {
            let text = match (&outcome.output, &outcome.error) {
                (Some(path), _) => path.clone(),
                (None, Some(error)) => format!("refused: {error}"),
                (None, None) => continue,
            };
            writeln!(out, "{}", printable(&format!("{}: {text}", outcome.kernel)))?;
        }
        Ok(())
    }
}
