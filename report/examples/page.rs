// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page of the manifest at the path that is given, to stdout.

use linpmem_manifest::Reader;
use linpmem_report::{Context, Gathered, page};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("give the path of a manifest")?;
    let gathered = Gathered::read(Reader::open(Path::new(&path))?)?;
    let context = Context {
        image: path,
        program: "an example".to_owned(),
        made: "now".to_owned(),
        ..Context::default()
    };
    print!("{}", page(&gathered, &context));
    Ok(())
}
