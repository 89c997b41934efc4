// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes the prebuilt module that `cargo xtask dist` has made into the library.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Names the prebuilt module.
const VARIABLE: &str = "LINPMEM_FITTED_OBJECT";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let folder = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let generated = folder.join("embedded.rs");
    let object = env::var_os(VARIABLE).filter(|path| !path.is_empty());
    let Some(object) = object else {
        return fs::write(generated, "None");
    };
    let object = Path::new(&object);
    println!("cargo::rerun-if-changed={}", object.display());
    let copy = folder.join("prebuilt.o");
    fs::copy(object, &copy).map_err(|error| {
        let text = format!("{VARIABLE}={} cannot be read: {error}", object.display());
        io::Error::new(error.kind(), text)
    })?;
    fs::write(
        generated,
        "Some(include_bytes!(concat!(env!(\"OUT_DIR\"), \"/prebuilt.o\")))",
    )
}
