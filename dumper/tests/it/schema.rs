// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every line of a manifest matches docs/manifest.schema.json.
//!
//! The few keywords that the schema uses are checked here. An unknown keyword fails the
//! test, so that none is skipped.

use crate::fake::{Fake, range};
use linpmem_capture::stop::Stop;
use linpmem_phys::{Errno, PhysAddr};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

const SCHEMA: &str = include_str!("../../../docs/manifest.schema.json");

/// A JSON schema.
pub struct Schema {
    pub root: Value,
}

impl Schema {
    /// Checks `value`, which is at the path `at`.
    pub fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let fields = schema.as_object().expect("a schema is an object");
        for (keyword, wanted) in fields {
            self.keyword(fields, keyword, wanted, value)
                .map_err(|error| match error.starts_with("at ") {
                    true => error,
                    false => format!("at {at}: {error}"),
                })?;
        }
        if let (Some(names), Some(object)) = (fields.get("properties"), value.as_object()) {
            for (name, member) in object {
                if let Some(schema) = names.get(name) {
                    self.check(schema, member, &format!("{at}.{name}"))?;
                }
            }
        }
        let firsts = fields.get("prefixItems").and_then(Value::as_array);
        let firsts = firsts.map_or(&[][..], Vec::as_slice);
        for (number, item) in value.as_array().into_iter().flatten().enumerate() {
            let schema = firsts.get(number).or_else(|| fields.get("items"));
            if let Some(schema) = schema {
                self.check(schema, item, &format!("{at}[{number}]"))?;
            }
        }
        Ok(())
    }

    fn keyword(
        &self,
        fields: &Map<String, Value>,
        keyword: &str,
        wanted: &Value,
        value: &Value,
    ) -> Result<(), String> {
        let holds = match keyword {
            "$schema" | "$id" | "$defs" | "title" | "description" | "properties" | "items"
            | "prefixItems" => true,
            "$ref" => {
                let name = wanted.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                return self.check(&self.root["$defs"][name], value, &format!("<{name}>"));
            }
            "type" => match wanted {
                Value::Array(kinds) => kinds.iter().any(|kind| is_kind(value, kind)),
                kind => is_kind(value, kind),
            },
            "enum" => wanted.as_array().unwrap().contains(value),
            "const" => wanted == value,
            "oneOf" => {
                let fits = wanted.as_array().unwrap().iter();
                fits.filter(|schema| self.check(schema, value, "oneOf").is_ok())
                    .count()
                    == 1
            }
            "minimum" | "maximum" | "minItems" | "maxItems" | "pattern" | "required"
                if !applies(keyword, value) =>
            {
                true
            }
            "pattern" => {
                let (text, digits) = (value.as_str().unwrap(), "0123456789abcdef");
                let is_hex = |text: &str| text.chars().all(|digit| digits.contains(digit));
                match wanted.as_str().unwrap() {
                    "^[0-9a-f]{64}$" => text.len() == 64 && is_hex(text),
                    "^0x[0-9a-f]{1,16}$" => text
                        .strip_prefix("0x")
                        .is_some_and(|rest| (1..=16).contains(&rest.len()) && is_hex(rest)),
                    "^-?0x[0-9a-f]{1,16}$" => text
                        .strip_prefix('-')
                        .unwrap_or(text)
                        .strip_prefix("0x")
                        .is_some_and(|rest| (1..=16).contains(&rest.len()) && is_hex(rest)),
                    other => return Err(format!("the test does not know the pattern {other}")),
                }
            }
            "minimum" => value.as_f64() >= wanted.as_f64(),
            "maximum" => value.as_f64() <= wanted.as_f64(),
            "minItems" => length(value) >= wanted.as_u64(),
            "maxItems" => length(value) <= wanted.as_u64(),
            "required" => wanted
                .as_array()
                .unwrap()
                .iter()
                .all(|name| value.get(name.as_str().unwrap()).is_some()),
            "additionalProperties" if wanted.is_object() => {
                assert!(!fields.contains_key("properties"));
                for (name, member) in value.as_object().into_iter().flatten() {
                    self.check(wanted, member, &format!("<{name}>"))?;
                }
                true
            }
            "additionalProperties" => {
                assert_eq!(wanted, false);
                let known = fields["properties"].as_object().unwrap();
                let object = value.as_object();
                object.is_none_or(|object| object.keys().all(|name| known.contains_key(name)))
            }
            other => return Err(format!("the test does not know the keyword {other}")),
        };
        if holds {
            Ok(())
        } else {
            Err(format!("{value} breaks {keyword}: {wanted}"))
        }
    }
}

fn length(value: &Value) -> Option<u64> {
    u64::try_from(value.as_array()?.len()).ok()
}

/// A keyword does not apply to values of other types.
fn applies(keyword: &str, value: &Value) -> bool {
    match keyword {
        "minimum" | "maximum" => value.is_number(),
        "pattern" => value.is_string(),
        "required" => value.is_object(),
        _ => value.is_array(),
    }
}

fn is_kind(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the test does not know the type {other}"),
    }
}

/// The lines of the manifest that a run leaves.
fn manifest(fake: Fake, words: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let summary = fake.acquire(folder.path(), words).unwrap();
    let text = std::fs::read_to_string(summary.acquired.manifest).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn schema() -> Schema {
    Schema {
        root: serde_json::from_str(SCHEMA).unwrap(),
    }
}

impl Schema {
    /// Checks a line against the definition of its own name, which gives a better error, and
    /// then against the whole schema.
    fn check_line(&self, line: &Value) -> Result<(), String> {
        let members = line.as_object().ok_or("not an object")?;
        for (name, member) in members {
            let schema = self.root["$defs"].get(name).ok_or("not a record")?;
            self.check(schema, member, &format!("<{name}>"))?;
        }
        self.check(&self.root, line, "$")
    }

    /// The names of lines.
    fn names(&self) -> BTreeSet<String> {
        let lines = self.root["oneOf"].as_array().unwrap().iter();
        let names = lines.flat_map(|line| line["properties"].as_object().unwrap().keys());
        names.cloned().collect()
    }
}

#[test]
fn manifests_of_every_kind_of_run_keep_to_it() {
    let schema = schema();
    let refusing = Fake {
        refused: vec![
            (range(0x2000, 0x2fff), Errno::EIO),
            (range(0x10_0000, 0x10_0fff), Errno::new(4000)),
        ],
        ..Fake::default()
    };
    let stopping = Fake {
        stop_at: Some((PhysAddr::new(0x20_0000), Stop::default())),
        ..Fake::default()
    };
    let dying = Fake {
        dead_from: Some(PhysAddr::new(0x20_0000)),
        ..Fake::default()
    };
    let composed = Fake {
        is_composed: true,
        ..Fake::default()
    };
    let with_artifacts = Fake {
        with_artifacts: true,
        ..Fake::default()
    };
    let restless = Fake {
        restless: vec![range(0x2000, 0x2fff), range(0x10_0000, 0x1f_ffff)],
        ..Fake::default()
    };
    let mut seen = BTreeSet::new();
    for (fake, words, state) in [
        (with_artifacts, &["a.lime"][..], "complete"),
        (Fake::default(), &["a.core"], "complete"),
        (composed, &["b.core"], "complete"),
        (restless, &["c.core", "--second-pass"], "complete"),
        (
            refusing.clone(),
            &["a.core.zst"],
            "complete-with-unreadable",
        ),
        (
            refusing,
            &["a.aff4", "--range", "0-0x8fffff"],
            "complete-with-unreadable",
        ),
        (stopping, &["a.padded"], "interrupted"),
        (dying, &["a.raw"], "failed"),
    ] {
        let lines = manifest(fake, words);
        assert_eq!(lines.last().unwrap()["footer"]["state"], state);
        for (number, line) in (1..).zip(&lines) {
            if let Err(error) = schema.check_line(line) {
                panic!("{words:?}, line {number}: {error}");
            }
            seen.extend(line.as_object().unwrap().keys().cloned());
        }
    }
    assert_eq!(seen, schema.names());
}

#[test]
fn each_range_has_the_source_that_served_it() {
    let composed = Fake {
        is_composed: true,
        ..Fake::default()
    };
    let manifest = manifest(composed, &["a.core", "--range", "0-0x8fffff"]);
    let header = &manifest[0]["header"];
    let sources: Vec<(&Value, &Value)> = header["map"]
        .as_array()
        .unwrap()
        .iter()
        .map(|region| (&region["requested"], &region["source"]))
        .collect();
    for (requested, source) in sources {
        assert_eq!(*source == "crash", *requested == true);
    }
    assert_eq!(header["source"]["kind"], "crash+devmem");
    assert_eq!(header["source"]["parts"][1]["serves"][0], "Reserved");
    assert_eq!(header["source"]["unused"][0]["reason"], "made up");
}

#[test]
fn it_refuses_what_is_no_manifest() {
    let schema = schema();
    let good = manifest(Fake::default(), &["a.core.zst"]);
    let line = |name: &str| {
        let found = good.iter().find(|line| line.get(name).is_some());
        found.unwrap_or_else(|| panic!("no {name}")).clone()
    };
    type Break = (&'static str, fn(&mut Value));
    let breaks: [Break; 13] = [
        ("footer", |value| value["state"] = "perfect".into()),
        ("footer", |value| value["surplus"] = 1.into()),
        ("footer", |value| value["file"]["length"] = (-1).into()),
        ("header", |value| value["manifest_version"] = 1.into()),
        ("header", |value| {
            value.as_object_mut().unwrap().remove("host");
        }),
        ("range", |value| value["start"] = "100000".into()),
        ("range_end", |value| value["sha256_tree"] = "00".into()),
        ("chunk", |value| value[0] = "00".into()),
        ("chunk", |value| value[1] = 1.into()),
        ("chunk", |value| value[2][1] = (-1).into()),
        ("chunk", |value| {
            value.as_array_mut().unwrap().push(1.into())
        }),
        ("chunk", |value| value.as_array_mut().unwrap().truncate(1)),
        ("zero_chunks", |value| value["count"] = 1025.into()),
    ];
    for (number, (name, damage)) in breaks.iter().enumerate() {
        let mut bad = line(name);
        schema.check(&schema.root, &bad, "$").unwrap();
        damage(&mut bad[name]);
        assert!(schema.check(&schema.root, &bad, "$").is_err(), "{number}");
    }
    // Two records on one line, none, and an unknown one.
    let both = serde_json::json!({
        "range": line("range")["range"], "range_end": line("range_end")["range_end"],
    });
    let other = serde_json::json!({ "page": {} });
    for bad in [both, other, serde_json::json!({}), Value::Null] {
        assert!(schema.check(&schema.root, &bad, "$").is_err(), "{bad}");
    }
}
