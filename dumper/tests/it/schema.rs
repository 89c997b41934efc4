// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every line of a manifest keeps to docs/manifest.schema.json.

use crate::fake::{Fake, range};
use linpmem_capture::stop::Stop;
use linpmem_phys::{Errno, PhysAddr};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SCHEMA: &str = include_str!("../../../docs/manifest.schema.json");

/// A JSON schema with definitions.
pub struct Schema {
    pub root: Value,
}

impl Schema {
    pub fn new(text: &str) -> Self {
        Self {
            root: serde_json::from_str(text).unwrap(),
        }
    }

    /// Checks `value` by the definition `name`, or says where it breaks it.
    pub fn check(&self, name: &str, value: &Value) -> Result<(), String> {
        self.check_by(&json!({ "$ref": format!("#/$defs/{name}") }), value)
    }

    fn check_by(&self, wanted: &Value, value: &Value) -> Result<(), String> {
        let mut schema = wanted.clone();
        schema["$defs"] = self.root["$defs"].clone();
        let validator = jsonschema::validator_for(&schema).map_err(|error| error.to_string())?;
        let errors: Vec<_> = validator
            .iter_errors(value)
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors.join("; "))
        }
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

impl Schema {
    /// Checks a line by the definition of its own name, which says more of what is wrong
    /// than that none of all definitions fits, and then by the whole.
    fn check_line(&self, line: &Value) -> Result<(), String> {
        let members = line.as_object().ok_or("not an object")?;
        for (name, member) in members {
            if self.root["$defs"].get(name).is_none() {
                return Err(format!("{name} is not a record"));
            }
            self.check(name, member)?;
        }
        self.check_by(&json!({ "oneOf": self.root["oneOf"] }), line)
    }

    /// What lines are called.
    fn names(&self) -> BTreeSet<String> {
        let lines = self.root["oneOf"].as_array().unwrap().iter();
        let names = lines.flat_map(|line| line["properties"].as_object().unwrap().keys());
        names.cloned().collect()
    }
}

#[test]
fn manifests_of_every_kind_of_run_keep_to_it() {
    let schema = Schema::new(SCHEMA);
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
        (Fake::default(), &["a.core", "--read-back"], "complete"),
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
    // Those of images in stores are checked where there are stores.
    seen.insert("object".to_owned());
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
    let schema = Schema::new(SCHEMA);
    let good = manifest(Fake::default(), &["a.core.zst"]);
    let line = |name: &str| {
        let found = good.iter().find(|line| line.get(name).is_some());
        found.unwrap_or_else(|| panic!("no {name}")).clone()
    };
    type Break = (&'static str, fn(&mut Value));
    let breaks: [Break; 15] = [
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
        ("written", |value| value["synced"] = "late".into()),
        ("footer", |value| value["hashed"]["ready"] = Value::Null),
        ("zero_chunks", |value| value["count"] = 1025.into()),
    ];
    for (number, (name, damage)) in breaks.iter().enumerate() {
        let mut bad = line(name);
        schema.check_line(&bad).unwrap();
        damage(&mut bad[name]);
        assert!(schema.check_line(&bad).is_err(), "{number}");
    }
    // Two records on one line, none, and one that there is not.
    let both = serde_json::json!({
        "range": line("range")["range"], "range_end": line("range_end")["range_end"],
    });
    let other = serde_json::json!({ "page": {} });
    for bad in [both, other, serde_json::json!({}), Value::Null] {
        assert!(schema.check_line(&bad).is_err(), "{bad}");
    }
}
