// SPDX-License-Identifier: MIT OR Apache-2.0
//! Manifests keep to docs/manifest.schema.json.
//!
//! The few keywords that the schema uses are checked here; one that is unknown
//! here fails the test, so that none is passed over.

use crate::fake::{Fake, range};
use linpmem_capture::stop::Stop;
use linpmem_phys::{Errno, PhysAddr};
use serde_json::{Map, Value};

const SCHEMA: &str = include_str!("../../../docs/manifest.schema.json");

/// A JSON schema.
pub struct Schema {
    pub root: Value,
}

impl Schema {
    /// Checks `value`, which is called `at`.
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
        if let (Some(schema), Some(items)) = (fields.get("items"), value.as_array()) {
            for (number, item) in items.iter().enumerate() {
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
            "$schema" | "$id" | "$defs" | "title" | "description" | "properties" | "items" => true,
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
            "minimum" | "minItems" | "maxItems" | "pattern" | "required"
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

/// A keyword says nothing about values of other types than its own.
fn applies(keyword: &str, value: &Value) -> bool {
    match keyword {
        "minimum" => value.is_number(),
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

fn manifest(fake: Fake, words: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let summary = fake.acquire(folder.path(), words).unwrap();
    serde_json::from_slice(&std::fs::read(summary.acquired.manifest).unwrap()).unwrap()
}

fn schema() -> Schema {
    Schema {
        root: serde_json::from_str(SCHEMA).unwrap(),
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
        let manifest = manifest(fake, words);
        assert_eq!(manifest["state"], state);
        if let Err(error) = schema.check(&schema.root, &manifest, "$") {
            panic!("{words:?}: {error}");
        }
    }
}

#[test]
fn each_range_has_the_source_that_served_it() {
    let composed = Fake {
        is_composed: true,
        ..Fake::default()
    };
    let manifest = manifest(composed, &["a.core", "--range", "0-0x8fffff"]);
    let sources: Vec<(&Value, &Value)> = manifest["map"]
        .as_array()
        .unwrap()
        .iter()
        .map(|region| (&region["requested"], &region["source"]))
        .collect();
    for (requested, source) in sources {
        assert_eq!(*source == "crash", *requested == true);
    }
    assert_eq!(manifest["source"]["kind"], "crash+devmem");
    assert_eq!(manifest["source"]["parts"][1]["serves"][0], "Reserved");
    assert_eq!(manifest["source"]["unused"][0]["reason"], "made up");
}

#[test]
fn it_refuses_what_is_no_manifest() {
    let schema = schema();
    let good = manifest(Fake::default(), &["a.core"]);
    let breaks: [fn(&mut Value); 6] = [
        |value| value["state"] = "perfect".into(),
        |value| value["surplus"] = 1.into(),
        |value| value["ranges"][0]["sha256_tree"] = "00".into(),
        |value| value["ranges"][1]["chunks"][0]["start"] = "100000".into(),
        |value| value["file"]["length"] = (-1).into(),
        |value| {
            value.as_object_mut().unwrap().remove("host");
        },
    ];
    for (number, damage) in breaks.iter().enumerate() {
        let mut bad = good.clone();
        damage(&mut bad);
        assert!(schema.check(&schema.root, &bad, "$").is_err(), "{number}");
    }
}
