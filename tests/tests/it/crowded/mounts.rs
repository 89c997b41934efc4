// SPDX-License-Identifier: MIT OR Apache-2.0
//! Mounts, compared with /proc/PID/mountinfo.

use super::{Context, Path, Result, Value, at, document, ensure};

/// Options that every file system can have, next to `rw` and `ro`.
const OF_ALL: [&str; 4] = ["sync", "dirsync", "mand", "lazytime"];

/// The id of a mount, and what else its line has, in this order.
type Row = (i64, i64, [String; 7]);

/// Compares the mount namespace that `pid` is in with its file mountinfo. Returns how many
/// mounts it has.
pub fn compare(image: &Path, pid: u64, said: &str) -> Result<usize> {
    let document = document("mounts", image, &[])?;
    let namespaces = at(&document, "/namespaces").as_array();
    let mut found = namespaces
        .context("no namespaces")?
        .iter()
        .filter(|namespace| {
            let processes = at(namespace, "/processes").as_array();
            processes.is_some_and(|all| all.iter().any(|one| *one == pid))
        });
    let namespace = found.next().context("the process is in no namespace")?;
    ensure!(found.next().is_none(), "{pid} is in two namespaces");
    let mounts = at(namespace, "/mounts").as_array().context("no mounts")?;
    let mut ours: Vec<Row> = mounts.iter().map(shown).collect::<Result<_>>()?;
    let lines = said
        .lines()
        .map(|line| row(line).with_context(|| line.to_owned()));
    let mut expected: Vec<Row> = lines.collect::<Result<_>>()?;
    // The first mount of all, which since Linux 7 is below the root of every process, and which
    // /proc does not show for that reason.
    ours.retain(|row| row.0 != row.1 || expected.contains(row));
    ours.sort();
    expected.sort();
    ensure!(ours == expected, "{ours:#?} is not {said}");
    Ok(ours.len())
}

fn shown(mount: &Value) -> Result<Row> {
    let number = |name: &str| at(mount, name).as_i64().context("no number");
    let text = |name: &str| {
        let text = at(mount, name).as_str();
        text.map(str::to_owned)
            .with_context(|| format!("no {name} in {mount}"))
    };
    Ok((
        number("/id")?,
        number("/parent")?,
        [
            text("/device")?,
            text("/root")?,
            text("/mount_point")?,
            text("/options")?,
            text("/filesystem")?,
            text("/source")?,
            text("/filesystem_options")?,
        ],
    ))
}

/// `ID PARENT DEVICE ROOT PLACE OPTIONS [PROPAGATION]… - TYPE SOURCE OPTIONS`
fn row(line: &str) -> Option<Row> {
    let (own, of_all) = line.split_once(" - ")?;
    let own: Vec<&str> = own.split(' ').collect();
    let of_all: Vec<&str> = of_all.split(' ').collect();
    let mut options = of_all.get(2)?.split(',');
    let mut kept = vec![options.next()?];
    kept.extend(options.take_while(|option| OF_ALL.contains(option)));
    Some((
        own.first()?.parse().ok()?,
        own.get(1)?.parse().ok()?,
        [
            (*own.get(2)?).to_owned(),
            unescaped(own.get(3)?),
            unescaped(own.get(4)?),
            (*own.get(5)?).to_owned(),
            (*of_all.first()?).to_owned(),
            unescaped(of_all.get(1)?),
            kept.join(","),
        ],
    ))
}

/// As the kernel escapes what would end a word.
fn unescaped(word: &str) -> String {
    let pairs = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    let mut text = word.to_owned();
    for (escaped, character) in pairs {
        text = text.replace(escaped, character);
    }
    text
}

#[test]
fn a_line_of_mountinfo_is_taken_apart() {
    let line = "36 35 0:42 /a\\040b /c ro,nosuid master:1 - tmpfs none rw,lazytime,size=4k";
    let (id, parent, rest) = row(line).expect("a row");
    assert_eq!((id, parent), (36, 35));
    let expected = [
        "0:42",
        "/a b",
        "/c",
        "ro,nosuid",
        "tmpfs",
        "none",
        "rw,lazytime",
    ];
    assert_eq!(rest, expected);
}
