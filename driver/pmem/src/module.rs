// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pmem insmod` and `pmem rmmod`.

use crate::args::{InsmodArgs, OutputArgs};
use anyhow::{Context, Result, ensure};
use linpmem::{Device, LoadOptions, load, load_image, unload};
use linpmem_cli::{ExitStatus, Stderr, write_json};
use linpmem_fit::Sources;
use serde::Serialize;
use std::fs;
use std::io::Write;

/// What errors call the module that is not a file.
const OWN: &str = "the module inside this program";

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
    let (path, parameters) = args.file_and_parameters();
    let mut options = LoadOptions::default();
    for parameter in parameters {
        options = options.parameter(parameter);
    }
    let (loaded, name) = match path {
        Some(path) => (load(path, &options)?, path.display().to_string()),
        None => (load_image(fitted()?, OWN, &options)?, OWN.to_owned()),
    };
    say(format!(
        "loaded {name} with `{}`; {} {}",
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

/// The module inside this program, fitted to the running kernel.
fn fitted() -> Result<Vec<u8>> {
    let hint = "it cannot be fitted to this kernel (`linpmem-fit --explain` says more)";
    linpmem_fit::check_loadable()?;
    let object = linpmem_fit::need_object()?;
    let fitted = linpmem_fit::fit(object, &Sources::live());
    Ok(fitted.with_context(|| format!("{OWN}: {hint}"))?.module)
}

/// Unloads the module.
pub fn rmmod(args: OutputArgs, out: &mut dyn Write) -> Result<ExitStatus> {
    unload()?;
    if args.json {
        write_json("pmem rmmod", &Unloaded { unloaded: true }, out)?;
    }
    Ok(ExitStatus::Complete)
}
