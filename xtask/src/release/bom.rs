// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a release consists of, for programs that look for known faults: CycloneDX 1.6.

use super::crates::Crate;
use super::origin::{Compiler, Origin, sha256};
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The document about what is made of `crates`. It has no time but the commit's, and an id that
/// follows from what it says.
pub fn document(
    crates: &[Crate],
    origin: &Origin,
    compiler: &Compiler,
    licence: &str,
) -> Result<String> {
    let version = env!("CARGO_PKG_VERSION");
    let top = format!("linpmem@{version}-{}", compiler.target);
    let own = crates.iter().filter(|one| one.is_own());
    let mut dependencies = vec![json!({
        "ref": top,
        "dependsOn": own.map(id).chain(foundations(compiler).map(|one| one.id)).collect::<Vec<_>>(),
    })];
    for one in crates {
        let used = one.uses.iter().map(|place| crates.get(*place).map(id));
        let used: Option<Vec<String>> = used.collect();
        let used = used.with_context(|| format!("{} uses a crate that is not listed", one.name))?;
        dependencies.push(json!({ "ref": id(one), "dependsOn": used }));
    }
    let foundations = foundations(compiler).map(|one| {
        json!({
            "type": "library",
            "bom-ref": one.id,
            "name": one.name,
            "version": one.version,
            "licenses": [{ "expression": one.licence }],
        })
    });
    let components: Vec<Value> = crates.iter().map(component).chain(foundations).collect();
    let metadata = json!({
        "timestamp": rfc3339(origin.source_date_epoch)?,
        "component": {
            "type": "application",
            "bom-ref": top,
            "name": "linpmem",
            "version": version,
            "description": "Acquires the physical memory of a running Linux machine",
            "licenses": [{ "expression": licence }],
            "properties": [
                { "name": "linpmem:commit", "value": origin.commit },
                { "name": "linpmem:target", "value": compiler.target },
            ],
        },
    });
    let content = serde_json::to_vec(&json!([metadata, components, dependencies]))?;
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", uuid(&sha256(&content))),
        "version": 1,
        "metadata": metadata,
        "components": components,
        "dependencies": dependencies,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// What is linked in besides crates.
struct Foundation {
    id: String,
    name: &'static str,
    version: String,
    licence: &'static str,
}

fn foundations(compiler: &Compiler) -> impl Iterator<Item = Foundation> {
    let second = |text: &str| text.split(' ').nth(1).unwrap_or(text).to_owned();
    [
        ("glibc", second(&compiler.libc), "LGPL-2.1-or-later"),
        ("rust-std", second(&compiler.rustc), "MIT OR Apache-2.0"),
    ]
    .into_iter()
    .map(|(name, version, licence)| Foundation {
        id: format!("{name}@{version}"),
        name,
        version,
        licence,
    })
}

/// A crate's address among packages.
fn id(one: &Crate) -> String {
    format!("pkg:cargo/{}@{}", one.name, one.version.replace('+', "%2B"))
}

fn component(one: &Crate) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": id(one),
        "name": one.name,
        "version": one.version,
        "licenses": [{ "expression": one.licence }],
    });
    let fields = [
        // Ours are in no registry.
        (!one.is_own()).then(|| ("purl", json!(id(one)))),
        one.description
            .as_ref()
            .map(|text| ("description", json!(text))),
        one.checksum
            .as_ref()
            .map(|sum| ("hashes", json!([{ "alg": "SHA-256", "content": sum }]))),
        one.repository
            .as_ref()
            .map(|url| ("externalReferences", json!([{ "type": "vcs", "url": url }]))),
    ];
    if let Some(object) = component.as_object_mut() {
        let fields = fields.into_iter().flatten();
        object.extend(fields.map(|(name, value)| (name.to_owned(), value)));
    }
    component
}

/// A UUID of version 8 made from a hash.
fn uuid(hash: &str) -> String {
    let digits: Vec<char> = hash.chars().collect();
    let part =
        |from: usize, to: usize| -> String { digits.iter().skip(from).take(to - from).collect() };
    format!(
        "{}-{}-8{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(13, 16),
        part(17, 20),
        part(20, 32)
    )
}

/// The time `seconds` as CycloneDX writes it.
fn rfc3339(seconds: u64) -> Result<String> {
    let time = jiff::Timestamp::from_second(i64::try_from(seconds)?)?;
    Ok(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::crates;
    use linpmem_testkit::arch::Arch;
    use std::collections::BTreeSet;

    /// What the schema cannot say: everything that is referred to is there, once.
    #[test]
    fn references_lead_somewhere() {
        let crates = crates::linked(&["linpmem-capi"], Arch::HOST).unwrap();
        let origin = Origin {
            commit: "c0ffee".to_owned(),
            is_clean: true,
            source_date_epoch: 1_700_000_000,
            cargo_lock_sha256: String::new(),
            maintainer: String::new(),
        };
        let compiler = Compiler {
            target: "x86_64-unknown-linux-gnu",
            rustc: "rustc 1.95.0 (59807616e 2026-04-14)".to_owned(),
            cargo: String::new(),
            cc: String::new(),
            libc: "glibc 2.36".to_owned(),
        };
        let text = document(&crates, &origin, &compiler, "MIT").unwrap();
        let bom: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(bom["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
        let components = bom["components"].as_array().unwrap();
        let mut ids: BTreeSet<&str> = components
            .iter()
            .map(|one| one["bom-ref"].as_str().unwrap())
            .collect();
        assert_eq!(ids.len(), components.len());
        assert!(ids.contains("glibc@2.36") && ids.contains("rust-std@1.95.0"));
        ids.insert(bom["metadata"]["component"]["bom-ref"].as_str().unwrap());
        let dependencies = bom["dependencies"].as_array().unwrap();
        assert_eq!(dependencies.len(), crates.len() + 1);
        for one in dependencies {
            assert!(ids.contains(one["ref"].as_str().unwrap()), "{one}");
            for used in one["dependsOn"].as_array().unwrap() {
                assert!(ids.contains(used.as_str().unwrap()), "{used}");
            }
        }
        let other = Origin {
            commit: "decade".to_owned(),
            ..origin
        };
        let other: Value =
            serde_json::from_str(&document(&crates, &other, &compiler, "MIT").unwrap()).unwrap();
        assert_ne!(bom["serialNumber"], other["serialNumber"]);
    }
}
