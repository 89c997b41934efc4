// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pmem insmod` and `pmem rmmod`.

use crate::args::{InsmodArgs, OutputArgs};
use anyhow::{Context, Result, ensure};
use linpmem::{Device, LoadOptions, load, unload};
use linpmem_cli::{ExitStatus, Stderr, write_json};
use serde::Serialize;
use std::fs;
use std::io::Write;

/// `pmem insmod --json`.
#[derive(Debug, Serialize)]
struct Loaded {
    device: String,
    device_was_created: bool,
    parameters: String,
    module_version: Option<String>,
}

/// `pmem rmmod --json`.
#[derive(Debug, Serialize)]
struct Unloaded {
    unloaded: bool,
}

/// Loads the module; with `-r` unloads it, like the original.
pub fn insmod(args: &InsmodArgs, stderr: Stderr, out: &mut dyn Write) -> Result<ExitStatus> {
    let say = |text: String| {
        if args.verbose {
            stderr.note(&text);
        }
    };
    if args.rm {
        let was_there = fs::symlink_metadata(linpmem::DEFAULT_PATH).is_ok();
        rmmod(args.output, out)?;
        say("the module is unloaded".to_owned());
        // The original removes the node itself, and fails if it cannot.
        ensure!(
            was_there,
            "ENOENT: the module is unloaded, but {} was gone already",
            linpmem::DEFAULT_PATH
        );
        return Ok(ExitStatus::Complete);
    }
    let path = args.path.as_deref().context("no module file was given")?;
    let mut options = LoadOptions::default();
    for parameter in &args.parameters {
        options = options.parameter(parameter);
    }
    let loaded = load(path, &options)?;
    say(format!(
        "loaded {} with `{}`; {} {}",
        path.display(),
        loaded.parameters,
        loaded.node.display(),
        if loaded.made_node {
            "was created"
        } else {
            "exists"
        }
    ));
    if args.output.json {
        let device = Device::open_path(&loaded.node).ok();
        let version = device
            .and_then(|device| device.info().ok())
            .map(|info| info.module_version.to_string());
        let document = Loaded {
            device: loaded.node.display().to_string(),
            device_was_created: loaded.made_node,
            parameters: loaded.parameters,
            module_version: version,
        };
        write_json("pmem insmod", &document, out)?;
    }
    Ok(ExitStatus::Complete)
}

/// Unloads the module.
pub fn rmmod(args: OutputArgs, out: &mut dyn Write) -> Result<ExitStatus> {
    unload()?;
    if args.json {
        write_json("pmem rmmod", &Unloaded { unloaded: true }, out)?;
    }
    Ok(ExitStatus::Complete)
}
