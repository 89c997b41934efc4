// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pmem insmod` and `pmem rmmod`.

use crate::args::{InsmodArgs, OutputArgs};
use crate::{Outcome, warn, write_json};
use anyhow::{Context, Result, ensure};
use linpmem::{Device, LoadOptions, load, unload};
use serde_json::json;
use std::fs;
use std::io::Write;

/// Loads the module; with `-r` unloads it, like the original.
pub fn insmod(args: &InsmodArgs, out: &mut dyn Write) -> Result<Outcome> {
    let say = |text: String| {
        if args.verbose {
            warn(&text);
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
        return Ok(Outcome::Done);
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
        let document = json!({
            "node": loaded.node.display().to_string(),
            "made_node": loaded.made_node,
            "parameters": loaded.parameters,
            "module_version": version,
        });
        write_json(out, &document)?;
    }
    Ok(Outcome::Done)
}

/// Unloads the module.
pub fn rmmod(args: OutputArgs, out: &mut dyn Write) -> Result<Outcome> {
    unload()?;
    if args.json {
        write_json(out, &json!({ "unloaded": true }))?;
    }
    Ok(Outcome::Done)
}
