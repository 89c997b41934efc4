// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image of a machine as a folder: other people's programs find there what they find in a raw
//! copy of the same image, at the same places.

use super::shown::at;
use super::{number, small};
use crate::mounted_image::MountedImage;
use crate::{host_dumper, machines};
use anyhow::{Context, Result, bail, ensure};
use linpmem_testkit::Random;
use linpmem_testkit::searchers::Searchers;
use linpmem_testkit::vm::Vm;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const TOKEN: &str = "c41d83e2-planted-to-be-searched-for";
const NAME: &str = "searched";
/// Pages that the token is in, at most.
const PAGES: usize = 257;
/// Stretches that are compared.
const STRETCHES: u64 = 6;

/// What a machine said of a process.
struct Said {
    pid: u64,
    lines: usize,
    address: u64,
    /// Its open files: a number or a role, and a name.
    files: BTreeSet<(String, String)>,
}

impl Said {
    /// `planted process PID with LINES lines of TOKEN at ADDRESS`
    fn of(vm: &Vm, said: &str) -> Result<Self> {
        let words: Vec<&str> = said.trim().split(' ').collect();
        let pid = number(said)?;
        let [lines, address] = [words.get(4), words.last()];
        let address = address.context("no address")?.trim_start_matches("0x");
        Ok(Self {
            pid,
            lines: lines.context("no lines")?.parse()?,
            address: u64::from_str_radix(address, 16)?,
            files: open_files(vm, pid)?,
        })
    }
}

/// Lines of `fds`: `PID FD POSITION FLAGS INODE NAME`.
fn open_files(vm: &Vm, pid: u64) -> Result<BTreeSet<(String, String)>> {
    let output = vm.run(&["fds"])?.ok()?;
    // The only line that has an end in its middle.
    let text = output
        .stdout_text()?
        .replace("two\nlines", "two\u{fffd}lines");
    let own = format!("{pid} ");
    let lines = text.lines().filter_map(|line| line.strip_prefix(&own));
    let files = lines.filter_map(|line| {
        let words: Vec<&str> = line.splitn(5, ' ').collect();
        let [fd, _, _, _, name] = words[..] else {
            return None;
        };
        Some((fd.to_owned(), name.to_owned()))
    });
    Ok(files.collect())
}

#[test]
fn programs_find_in_a_mounted_image_what_a_raw_copy_has() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let target = machines::target(small)?.images_in(folder.path());
    let (planted, said) = target.plant(NAME, TOKEN)?;
    let said = Said::of(&target.vm, &said)?;
    let ended = target.dump(&["--source", "linpmem"], "whole.core")?;
    println!("{}", ended.text());
    ended.exited(0)?;
    ensure!(
        said.files == open_files(&target.vm, said.pid)?,
        "the planted process does something"
    );
    let core = target.pull("whole.core")?;
    drop(planted);
    target.end()?;

    let [volume, raw] = ["same.aff4", "same.padded"].map(|name| folder.path().join(name));
    host_dumper::converts(&core, &volume)?;
    host_dumper::converts(&core, &raw)?;
    let searchers = Searchers::open()?;
    let rule = folder.path().join("rule.yar");
    let text = format!("rule planted {{ strings: $token = \"{TOKEN}\" condition: $token }}\n");
    fs::write(&rule, text)?;
    let work = Work {
        searchers,
        folder: folder.path(),
        raw: &raw,
        rule: &rule,
        said: &said,
    };
    let [expected, _] = work.digest_and_rate("the raw copy", &raw)?;
    for image in [&core, &volume] {
        let name = image.extension().context("no format")?.to_string_lossy();
        let mounted = MountedImage::new(image)?;
        work.same_memory(&mounted, image, &name, &expected)?;
        work.same_process(&mounted)?;
        mounted.end()?;
    }
    Ok(())
}

/// What is compared.
struct Work<'a> {
    searchers: Searchers,
    folder: &'a Path,
    raw: &'a Path,
    rule: &'a Path,
    said: &'a Said,
}

impl Work<'_> {
    /// Reads all of a file; prints how fast that was.
    fn digest_and_rate(&self, about: &str, path: &Path) -> Result<[String; 2]> {
        let begin = Instant::now();
        let mut file = File::open(path)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        let (mut total, mut reading) = (0_u64, Duration::ZERO);
        loop {
            let before = Instant::now();
            let len = file.read(&mut buffer)?;
            reading += before.elapsed();
            if len == 0 {
                break;
            }
            total += u64::try_from(len)?;
            hasher.update(buffer.get(..len).context("no room")?);
        }
        let mib = f64::from(u32::try_from(total >> 20)?);
        let rate = format!("{:.0} MiB/s", mib / reading.as_secs_f64());
        println!(
            "{about}: {mib} MiB read at {rate}, hashed in {:.1} s",
            begin.elapsed().as_secs_f64()
        );
        let digest = hasher.finalize();
        Ok([
            digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            rate,
        ])
    }

    fn same_memory(
        &self,
        mounted: &MountedImage,
        image: &Path,
        name: &str,
        expected: &str,
    ) -> Result<()> {
        let memory = mounted.path("memory.raw");
        // Two at once.
        let found = thread::scope(|scope| {
            let both = ["first", "second"].map(|reader| {
                let (about, memory) = (format!("{name}, {reader} reader"), &memory);
                scope.spawn(move || self.digest_and_rate(&about, memory))
            });
            both.map(|thread| thread.join())
        });
        for found in found {
            let Ok(found) = found else {
                bail!("a reader panicked");
            };
            let [digest, _] = found?;
            ensure!(digest == expected, "{name}: memory.raw is not the raw copy");
        }
        let searches: [(&str, &[&dyn AsRef<std::ffi::OsStr>]); 3] = [
            ("grep", &[&"-abo", &TOKEN]),
            ("strings", &[&"-n", &"24", &"-t", &"x"]),
            ("yara", &[&"-w", &"-s", &self.rule]),
        ];
        for (program, words) in searches {
            let of = |path: &Path| -> Result<Vec<u8>> {
                let args = [words, &[&path]].concat();
                let found = self.searchers.run(program, &args, &[self.folder])?;
                // yara names the file.
                let found = String::from_utf8_lossy(&found);
                Ok(found
                    .replace(&path.display().to_string(), "FILE")
                    .into_bytes())
            };
            let (ours, theirs) = (of(&memory)?, of(self.raw)?);
            ensure!(ours == theirs, "{name}: {program} finds something else");
            let lines = String::from_utf8_lossy(&ours);
            let lines = lines.lines().filter(|line| line.contains(TOKEN)).count();
            println!("{name}: {program} finds {lines} lines with the token");
            // In physical memory, the end of a page is where a line may be torn.
            let least = self.said.lines.saturating_sub(PAGES);
            ensure!(lines >= least, "{name}: {program} finds {lines} of {least}");
        }
        self.same_stretches(&memory, image)
    }

    /// What dd reads at random offsets is what is extracted from the image there.
    fn same_stretches(&self, memory: &Path, image: &Path) -> Result<()> {
        let document = host_dumper::json("info", &[&image])?;
        let ranges = at(&document, "/ranges").as_array().context("no ranges")?;
        let mut random = Random::new(7);
        let part = self.folder.join("part");
        for _ in 0..STRETCHES {
            let range = ranges
                .get(usize::try_from(random.below(u64::try_from(ranges.len())?))?)
                .context("no range")?;
            let hex = |name: &str| -> Result<u64> {
                let text = at(range, &format!("/{name}"))
                    .as_str()
                    .context("no address")?;
                Ok(u64::from_str_radix(text.trim_start_matches("0x"), 16)?)
            };
            let (first, last) = (hex("start")?, hex("last")?);
            let start = first + random.below(last - first);
            let len = (random.below(0x1_8000) + 1).min(last - start + 1);
            let wanted = format!("{start:#x}+{len}");
            host_dumper::ok("extract", &[&image, &part, &"--range", &wanted])?;
            let read = self.dd(memory, start, len)?;
            ensure!(fs::read(&part)? == read, "{wanted} of {}", image.display());
            fs::remove_file(&part)?;
        }
        Ok(())
    }

    fn dd(&self, file: &Path, at: u64, len: u64) -> Result<Vec<u8>> {
        let input = format!("if={}", file.display());
        let [skip, count] = [format!("skip={at}"), format!("count={len}")];
        let flags = "iflag=skip_bytes,count_bytes,fullblock";
        let args: [&dyn AsRef<std::ffi::OsStr>; 6] =
            [&input, &skip, &count, &flags, &"bs=64K", &"status=none"];
        self.searchers.run("dd", &args, &[self.folder])
    }

    /// The planted process: what it has in its memory, by its own addresses, and what it has open.
    fn same_process(&self, mounted: &MountedImage) -> Result<()> {
        let Said {
            pid,
            lines,
            address,
            ..
        } = *self.said;
        let folder = mounted.path(&format!("pid/{pid}"));
        let comm = fs::read_to_string(folder.join("comm"))?;
        ensure!(comm.trim() == NAME, "{pid} is {comm}");
        let mut mapping = None;
        for entry in fs::read_dir(folder.join("vmas"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let (start, last) = name.split_once('-').context("no range")?;
            let hex = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16);
            let (start, last) = (hex(start)?, hex(last)?);
            if (start..=last).contains(&address) {
                mapping = Some((start, last, folder.join("vmas").join(&name)));
            }
        }
        let (start, last, mapping) = mapping.context("nothing is mapped there")?;
        let line = format!("{TOKEN} 00000000\n");
        let read = self.dd(&folder.join("mem"), address, u64::try_from(line.len())?)?;
        ensure!(
            read == line.as_bytes(),
            "{:?}",
            String::from_utf8_lossy(&read)
        );
        // All of it is locked in memory.
        let whole = self.dd(&folder.join("mem"), start, last - start + 1)?;
        ensure!(whole == fs::read(&mapping)?, "mem and vmas differ");

        let planted: Vec<u64> = (0..u64::try_from(lines)?)
            .map(|number| address - start + number * (u64::try_from(line.len()).unwrap_or(0)))
            .collect();
        let words: [&dyn AsRef<std::ffi::OsStr>; 4] = [&"-w", &"-s", &self.rule, &mapping];
        let found = self.searchers.run("yara", &words, &[self.folder])?;
        let found = String::from_utf8(found)?;
        // `0xOFFSET:$token: TOKEN`, after a line with the file.
        let found = found.lines().skip(1).map(|line| {
            let (offset, _) = line.split_once(':').context("no offset")?;
            Ok(u64::from_str_radix(offset.trim_start_matches("0x"), 16)?)
        });
        let by_yara: Vec<u64> = found.collect::<Result<_>>()?;
        let words: [&dyn AsRef<std::ffi::OsStr>; 3] = [&"-abo", &TOKEN, &mapping];
        let found = self.searchers.run("grep", &words, &[self.folder])?;
        let found = String::from_utf8(found)?;
        let found = found.lines().map(|line| {
            let (offset, _) = line.split_once(':').context("no offset")?;
            Ok(offset.parse()?)
        });
        let by_grep: Vec<u64> = found.collect::<Result<_>>()?;
        ensure!(by_yara == by_grep, "yara and grep do not agree");
        let found: BTreeSet<u64> = by_grep.into_iter().collect();
        let lacking = planted.iter().filter(|at| !found.contains(at)).count();
        ensure!(lacking == 0, "{lacking} of {lines} lines are not found");
        self.same_files(&folder)
    }

    /// Links have the names that the machine showed, and lead nowhere.
    fn same_files(&self, folder: &Path) -> Result<()> {
        let mut found = BTreeSet::new();
        let mut see = |name: String, link: &Path| -> Result<()> {
            let target = fs::read_link(link)?;
            let target = target.to_str().context("not UTF-8")?;
            let shown = target.split_once("/not-in-image");
            let shown = shown.map_or(target, |(_, shown)| shown);
            ensure!(!link.exists(), "{} leads somewhere", link.display());
            ensure!(!target.starts_with('/'), "{} leads out", link.display());
            found.insert((name, shown.to_owned()));
            Ok(())
        };
        for role in ["cwd", "exe", "root"] {
            see(role.to_owned(), &folder.join(role))?;
        }
        for entry in fs::read_dir(folder.join("fd"))? {
            let entry = entry?;
            see(
                entry.file_name().to_string_lossy().into_owned(),
                &entry.path(),
            )?;
        }
        let expected = &self.said.files;
        ensure!(found == *expected, "{found:#?} is not {expected:#?}");
        ensure!(found.len() > 8, "{found:#?}");
        Ok(())
    }
}
