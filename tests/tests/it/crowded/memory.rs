// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory of a process, read through the mounted image.

use super::{Crowd, at};
use crate::mounted_image::MountedImage;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::content;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Compares each region of the crowd with what was put there. Returns how many they are.
pub fn compare(image: &Path, crowd: &Crowd) -> Result<usize> {
    let mounted = MountedImage::new(image)?;
    let memory = mounted.memory(crowd.pid)?;
    let regions = at(&crowd.document, "/regions").as_array();
    let regions = regions.context("no regions")?;
    for region in regions {
        let number = |name: &str| at(region, &format!("/{name}")).as_u64();
        let start = at(region, "/start").as_str().context("no start")?;
        let start = u64::from_str_radix(start.trim_start_matches("0x"), 16)?;
        let len = usize::try_from(number("len").context("no length")?)?;
        let first = number("first_page").context("no page")?;
        let mut found = vec![0; len];
        let read = memory.read_exact_at(&mut found, start);
        read.with_context(|| region.to_string())?;
        let mut expected = vec![0; 0x1000];
        for (number, page) in (first..).zip(found.chunks(expected.len())) {
            content::hold(&mut expected, number);
            ensure!(page == expected, "{region}: page {number:#x} is another");
        }
    }
    drop(memory);
    mounted.end()?;
    Ok(regions.len())
}
