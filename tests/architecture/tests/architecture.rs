// SPDX-License-Identifier: MIT OR Apache-2.0
//! The code keeps to docs/ARCHITECTURE.md.

use anyhow::Result;
use linpmem_architecture::crates::Workspace;
use linpmem_architecture::{circles, modules, orphans, processors, table};
use std::fs;
use std::path::Path;

/// Circles that still exist: a crate, and all modules of the circle. The list may only
/// shrink.
const KNOWN_CIRCLES: &[(&str, &[&str])] = &[];

/// Where code may depend on the processor that it is compiled for, because it is that processor's
/// instructions, or a program that measures it. All else is decided at run time: an arm64 machine
/// reads the images of x86-64 ones, and the other way round.
const PROCESSORS_OWN: &[&str] = &["linpmem-sha256", "linpmem-probe"];

fn workspace() -> Result<Workspace> {
    Workspace::read(Path::new(env!("CARGO_MANIFEST_DIR")))
}

#[test]
fn crates_use_only_what_the_table_allows() -> Result<()> {
    let workspace = workspace()?;
    let page = fs::read_to_string(workspace.root.join("docs/ARCHITECTURE.md"))?;
    let differences = table::differences(&table::parse(&page)?, &workspace.crates);
    assert!(
        differences.is_empty(),
        "docs/ARCHITECTURE.md and the code disagree:\n{}",
        differences.join("\n")
    );
    Ok(())
}

#[test]
fn the_modules_of_a_crate_do_not_use_each_other_in_circles() -> Result<()> {
    let workspace = workspace()?;
    let mut known = KNOWN_CIRCLES.to_vec();
    let mut new = Vec::new();
    for (name, root) in workspace.crates.iter().flat_map(|one| &one.roots) {
        let edges = modules::edges(root, &workspace.root)?;
        for circle in circles::find(&edges) {
            let before = known.len();
            known.retain(|(known_in, modules)| {
                known_in != name || *modules != circle.modules.as_slice()
            });
            if known.len() == before {
                new.push(format!("{name}: {circle}"));
            }
        }
    }
    assert!(new.is_empty(), "new circles:\n{}", new.join("\n"));
    assert!(known.is_empty(), "remove from KNOWN_CIRCLES: {known:?}");
    Ok(())
}

#[test]
fn every_source_file_belongs_to_a_module() -> Result<()> {
    let mut found = Vec::new();
    for (_, root) in workspace()?.crates.iter().flat_map(|one| &one.roots) {
        found.extend(orphans::find(root)?);
    }
    assert!(found.is_empty(), "no module declares {found:?}");
    Ok(())
}

#[test]
fn no_other_code_depends_on_the_processor_that_it_is_compiled_for() -> Result<()> {
    let workspace = workspace()?;
    for own in PROCESSORS_OWN {
        let named = workspace.crates.iter().filter(|one| one.name == *own);
        let folders = named.map(|one| workspace.root.join(&one.folder).join("src"));
        let files: Result<Vec<_>> = folders.map(|folder| processors::find(&folder)).collect();
        assert!(!files?.concat().is_empty(), "nothing was found in {own}");
    }
    let mut found = Vec::new();
    let others = workspace.crates.iter();
    for one in others.filter(|one| !PROCESSORS_OWN.contains(&&*one.name)) {
        for (_, root) in &one.roots {
            found.extend(processors::find(root.parent().unwrap_or(root))?);
        }
    }
    assert!(found.is_empty(), "`target_arch` in {found:?}");
    Ok(())
}
