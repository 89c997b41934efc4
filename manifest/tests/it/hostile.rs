// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines that no writer writes: each is an error that says where it is.

use super::{NAME, footer, header, read, sample, written};
use linpmem_manifest::{LineProblem, ManifestWriter, MapEntry, ReadError, parse};
use linpmem_phys::PhysAddr;
use std::io;
use std::path::Path;

#[test]
fn another_version_is_refused_by_its_number() {
    let text = String::from_utf8(written(&sample(), false)).unwrap();
    let newer = text.replacen(
        "\"manifest_version\":2",
        "\"manifest_version\":3,\"new\":[]",
        1,
    );
    let first_form = "{\n\"manifest_version\": 1,\n\"tool\": {\"name\":\"linpmem-dump\"}\n}\n";
    for (text, version) in [
        (newer.as_str(), 3),
        (first_form, 1),
        (&first_form.replace('\n', ""), 1),
        ("{\"manifest_version\":77}", 77),
    ] {
        let said = read(text.as_bytes()).unwrap_err().to_string();
        let expected =
            format!("{NAME}: unsupported manifest version {version} (this program reads 2)");
        assert!(said.starts_with(&expected), "{said}");
    }
}

#[test]
fn hostile_lines_are_refused_with_file_and_line() {
    let text = String::from_utf8(written(&sample(), true)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let deep = format!("{{\"chunk\":{}", "[".repeat(100_000));
    let (range, chunk, zeros) = (lines[1], lines[2], lines[4]);
    for (number, line, problem) in [
        (1, "", "EOF"),
        (1, "[]", "expected"),
        (1, range, "the first line is the header"),
        (
            2,
            lines[0],
            "a range, a second pass or the footer comes next",
        ),
        (2, chunk, "a range, a second pass or the footer comes next"),
        (
            2,
            &range.replace("0x1000\"", "0x400000\""),
            "not a range above",
        ),
        (
            2,
            &range.replace("\"index\":0", "\"index\":1"),
            "range 1 is here instead of range 0",
        ),
        (3, lines[3], "not in the chunks on the line before"),
        (3, &chunk.replace("ab", "xy"), "64 hexadecimal digits"),
        (3, &chunk.replace("]]", ",1]]"), "trailing characters"),
        (3, &chunk.replace("[4096", "[-4096"), "invalid value"),
        (3, "{\"page\":1}", "unknown variant `page`"),
        (3, "{\"chunk\":[],\"chunk\":[]}", "invalid length 0"),
        (3, &deep, "expected"),
        (3, "\u{0}", "expected"),
        (4, &lines[3].replace("0x2000", "0x0"), "not a range above"),
        (
            4,
            &lines[3].replace("0x2fff", "0x100fff"),
            "not in the chunks",
        ),
        (
            4,
            &lines[3].replace("\"pages\":1", "\"pages\":2"),
            "pages is 2, but the lines",
        ),
        (
            5,
            &zeros.replace("\"count\":2", "\"count\":0"),
            "no room for this many",
        ),
        (
            5,
            &zeros.replace("\"count\":2", "\"count\":3"),
            "no room for this many",
        ),
        (
            5,
            &zeros.replace("\"count\":2", "\"count\":18446744073709551615"),
            "no room for this many",
        ),
        (
            5,
            &zeros.replace("}}", ",\"frame\":[1,18446744073709551615]}}"),
            "no room for this many",
        ),
        (6, zeros, "no room for this many"),
        (6, range, "chunks come next, or the range's end"),
        (
            6,
            lines.last().unwrap(),
            "chunks come next, or the range's end",
        ),
        (
            7,
            &lines[6].replace("0x1000000", "0x2ff000"),
            "not a range above",
        ),
        (13, lines[11], "second_pass is not expected here"),
        (11, lines[9], "artifacts is not expected here"),
        (12, lines[10], "written is not expected here"),
        (
            lines.len(),
            &lines.last().unwrap().replace("_pages\":1", "_pages\":0"),
            "add up to 1",
        ),
        (lines.len() + 1, chunk, "the footer is the last line"),
        (
            lines.len() + 1,
            lines.last().unwrap(),
            "the footer is the last line",
        ),
    ] {
        let mut hostile = lines.clone();
        if number <= lines.len() {
            hostile[number - 1] = line;
        } else {
            hostile.push(line);
        }
        let hostile = hostile.join("\n") + "\n";
        let Err(error) = read(hostile.as_bytes()) else {
            panic!("line {number} is good: {line}");
        };
        let said = error.to_string();
        let begin = format!("{NAME}, line ");
        assert!(said.starts_with(&begin), "{number} {line}: {said}");
        assert!(said.contains(problem), "{number}: {said}");
    }
}

#[test]
fn a_line_has_a_longest_length_for_the_reader_and_the_writer() {
    let endless = io::Read::take(io::repeat(b' '), u64::MAX);
    let said = parse(endless, Path::new(NAME)).unwrap_err();
    let ReadError::Line {
        line: 1,
        problem: LineProblem::TooLong,
        ..
    } = said
    else {
        panic!("{said}");
    };
    let mut long = header();
    long.iomem = Some(" ".repeat(linpmem_manifest::MAX_LINE_BYTES));
    let error = ManifestWriter::new(io::sink(), &long).unwrap_err();
    assert!(error.to_string().contains("header"), "{error}");
}

#[test]
fn a_line_of_millions_of_empty_values_is_refused_before_it_is_parsed() {
    let line = format!(
        "{{\"header\":{{\"command\":[{}\"\"]}}}}\n",
        "\"\",".repeat(300_000)
    );
    let error = linpmem_manifest::parse(line.as_bytes(), Path::new("m")).unwrap_err();
    assert!(
        error.to_string().contains("262144 values in a line"),
        "{error}"
    );
}

#[test]
fn the_map_of_a_fragmented_machine_is_not_taken_for_such_a_line() {
    let mut header = header();
    let region = |index: u64| MapEntry {
        start: PhysAddr::new(index * 0x2000).into(),
        last: PhysAddr::new(index * 0x2000 + 0xfff).into(),
        kind: "ROM".to_owned(),
        requested: true,
        source: Some("file".to_owned()),
    };
    header.map = (0..70_000).map(region).collect();
    let writer = ManifestWriter::new(Vec::new(), &header).unwrap();
    let bytes = writer.finish(&footer(0)).unwrap();
    assert_eq!(parse(&bytes[..], Path::new("m")).unwrap().header, header);
}
