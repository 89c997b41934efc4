// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing the description of an image, `information.turtle`.

use super::bevy::StreamSummary;
use super::content::Written;
use super::digest::Digest;
use super::encoder::BLOCK_BYTES;
use super::schema::{MEMORY, ZERO};
use super::turtle::{Turtle, Value};
use super::urn::escaped_path;
use super::{HashAlgorithm, Options, Urn};
use crate::ImagePlan;
use linpmem_phys::{PAGE_SIZE, RegionKind};

/// What is known only at the end.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) end_time: String,
    pub(super) files: Vec<Written>,
    pub(super) stream: StreamSummary,
    pub(super) map: MapHashes,
    /// Hashes over the memory at all addresses.
    pub(super) linear: Vec<(HashAlgorithm, Digest)>,
}

/// The hashes of a map.
#[derive(Debug)]
pub(super) struct MapHashes {
    pub(super) points: Digest,
    pub(super) idx: Digest,
    pub(super) map: Digest,
    pub(super) blocks: Digest,
}

const SHA512: &str = HashAlgorithm::Sha512.datatype();

/// The description; without an `ending`, the one that recovery starts from.
pub(super) fn document(
    options: &Options,
    plan: &ImagePlan,
    start_time: &str,
    ending: Option<&Ending>,
) -> Vec<u8> {
    let mut turtle = Turtle::new();
    volume(&mut turtle, options, start_time);
    image(&mut turtle, options, plan, ending);
    map(&mut turtle, options, plan, ending);
    stream(&mut turtle, options, ending);
    times(&mut turtle, options, start_time, ending);
    case(&mut turtle, options, start_time);
    ranges(&mut turtle, options, plan);
    if let Some(ending) = ending {
        files(&mut turtle, options, &ending.files);
    }
    turtle.into_bytes()
}

fn volume(turtle: &mut Turtle, options: &Options, start_time: &str) {
    let urns = &options.urns;
    turtle.write_triples(
        urns.volume.as_str(),
        &[
            ("a", Value::Name("ZipVolume")),
            ("contains", Value::Iri(urns.image.as_str())),
            ("contains", Value::Iri(urns.map.as_str())),
            ("contains", Value::Iri(urns.stream.as_str())),
            ("creationTime", Value::Time(start_time)),
            ("interface", Value::Name("Volume")),
            (
                "stored",
                Value::Text(options.file_name.as_deref().unwrap_or("image.aff4")),
            ),
        ],
    );
}

fn image(turtle: &mut Turtle, options: &Options, plan: &ImagePlan, ending: Option<&Ending>) {
    let urns = &options.urns;
    let machine = plan.machine();
    let size = plan.end().get();
    let installed = options
        .facts
        .installed_bytes
        .unwrap_or_else(|| ram_bytes(plan));
    let state = match ending {
        Some(_) => "Completed Normally",
        None => "Aborted",
    };
    let mut properties = vec![
        ("a", Value::Name("MemoryImage")),
        ("a", Value::Name("DiscontiguousImage")),
        ("a", Value::Name("Image")),
        ("category", Value::Iri(MEMORY)),
        ("dataStream", Value::Iri(urns.map.as_str())),
        ("size", Value::Long(size)),
        ("pageSize", Value::Long(PAGE_SIZE.get())),
        ("memoryInstalledSize", Value::Long(installed)),
        ("memoryAddressableSize", Value::Long(size)),
        ("acquisitionCompletionState", Value::Text(state)),
        ("acquisitionType", Value::Text("Full Linear")),
        ("stored", Value::Iri(urns.volume.as_str())),
    ];
    if let Some(address) = options.facts.page_table {
        properties.push(("memoryPageTableEntryOffset", Value::Long(address)));
    }
    if let Some(offset) = options.facts.kaslr_offset {
        properties.push(("linpmem:kaslrOffset", Value::Long(offset)));
    }
    if let Some(architecture) = machine.known_architecture() {
        properties.push(("linpmem:architecture", Value::Text(architecture.name())));
    }
    if let Some(base) = machine.direct_map_base {
        properties.push(("linpmem:directMapBase", Value::Long(base)));
    }
    if let Some(levels) = machine.paging_levels {
        properties.push(("linpmem:pagingLevels", Value::Int(u64::from(levels))));
    }
    if let Some(release) = machine.vmcoreinfo_value("OSRELEASE") {
        properties.push(("linpmem:kernelRelease", Value::Text(release)));
    }
    let names: Vec<Urn> = (0..plan.ranges().len())
        .map(|index| range_urn(options, index))
        .collect();
    properties.extend(
        names
            .iter()
            .map(|name| ("memoryAddressMap", Value::Iri(name.as_str()))),
    );
    if let Some(ending) = ending {
        let digest = Value::Digest(ending.map.blocks.to_string(), "blockMapHashSHA512");
        properties.push(("hash", digest));
    }
    turtle.write_triples(urns.image.as_str(), &properties);
}

fn map(turtle: &mut Turtle, options: &Options, plan: &ImagePlan, ending: Option<&Ending>) {
    let urns = &options.urns;
    let mut properties = vec![
        ("a", Value::Name("Map")),
        ("size", Value::Long(plan.end().get())),
        ("dependentStream", Value::Iri(urns.stream.as_str())),
        ("mapGapDefaultStream", Value::Iri(ZERO)),
        ("target", Value::Iri(urns.image.as_str())),
        ("stored", Value::Iri(urns.volume.as_str())),
    ];
    if let Some(ending) = ending {
        let hashes = &ending.map;
        for (name, digest) in [
            ("mapPointHash", &hashes.points),
            ("mapIdxHash", &hashes.idx),
            ("mapHash", &hashes.map),
            ("blockMapHash", &hashes.blocks),
        ] {
            properties.push((name, Value::Digest(digest.to_string(), SHA512)));
        }
        properties.extend(ending.linear.iter().map(|(algorithm, digest)| {
            let digest = Value::Digest(digest.to_string(), algorithm.datatype());
            ("hash", digest)
        }));
    }
    turtle.write_triples(urns.map.as_str(), &properties);
}

fn stream(turtle: &mut Turtle, options: &Options, ending: Option<&Ending>) {
    let urns = &options.urns;
    let mut properties = vec![
        ("a", Value::Name("ImageStream")),
        ("chunkSize", Value::Int(u64::from(BLOCK_BYTES))),
        (
            "chunksInSegment",
            Value::Int(u64::from(options.chunks_in_segment)),
        ),
        ("compressionMethod", Value::Iri(options.compression.uri())),
        ("version", Value::Int(1)),
        ("target", Value::Iri(urns.map.as_str())),
        ("stored", Value::Iri(urns.volume.as_str())),
    ];
    if let Some(ending) = ending {
        properties.push(("size", Value::Long(ending.stream.size)));
        let digest = Value::Digest(ending.stream.index_hash.to_string(), SHA512);
        properties.push(("imageStreamIndexHash", digest));
    }
    turtle.write_triples(urns.stream.as_str(), &properties);
    for (algorithm, digest) in ending.iter().flat_map(|ending| &ending.stream.block_hashes) {
        turtle.write_triples(
            urns.stream.join(&format!("blockhash.{algorithm}")).as_str(),
            &[
                ("a", Value::Name("BlockHashes")),
                ("hash", Value::Digest(digest.to_string(), SHA512)),
            ],
        );
    }
}

fn times(turtle: &mut Turtle, options: &Options, start: &str, ending: Option<&Ending>) {
    let urns = &options.urns;
    let mut properties = vec![
        ("a", Value::Name("TimeStamps")),
        ("operation", Value::Text("CAPTURE")),
        ("timeSource", Value::Text("SINK")),
        ("startTime", Value::Time(start)),
        ("target", Value::Iri(urns.image.as_str())),
        ("stored", Value::Iri(urns.volume.as_str())),
    ];
    if let Some(ending) = ending {
        properties.push(("endTime", Value::Time(&ending.end_time)));
    }
    turtle.write_triples(urns.image.join("times").as_str(), &properties);
}

fn case(turtle: &mut Turtle, options: &Options, start_time: &str) {
    let urns = &options.urns;
    let case = &options.case;
    let about = |kind| {
        vec![
            ("a", Value::Name(kind)),
            ("target", Value::Iri(urns.image.as_str())),
            ("stored", Value::Iri(urns.volume.as_str())),
        ]
    };
    if case.name.is_some() || case.examiner.is_some() {
        let mut properties = about("CaseDetails");
        properties.extend(case.name.iter().map(|name| ("caseName", Value::Text(name))));
        properties.extend(
            case.examiner
                .iter()
                .map(|who| ("examiner", Value::Text(who))),
        );
        turtle.write_triples(urns.image.join("case").as_str(), &properties);
    }
    if let Some(notes) = &case.notes {
        let mut properties = about("CaseNotes");
        properties.push(("notes", Value::Text(notes)));
        properties.extend(
            case.examiner
                .iter()
                .map(|who| ("examiner", Value::Text(who))),
        );
        properties.push(("timestamp", Value::Time(start_time)));
        turtle.write_triples(urns.image.join("notes").as_str(), &properties);
    }
    let mut tool = about("Tool");
    tool.push(("linpmem:tool", Value::Text(&options.tool)));
    turtle.write_triples(urns.image.join("tool").as_str(), &tool);
}

fn ranges(turtle: &mut Turtle, options: &Options, plan: &ImagePlan) {
    let urns = &options.urns;
    for (index, planned) in plan.ranges().iter().enumerate() {
        turtle.write_triples(
            range_urn(options, index).as_str(),
            &[
                ("a", Value::Name("PhysicalMemoryMap")),
                ("memoryOffset", Value::Long(planned.range.start().get())),
                ("memorySize", Value::Long(planned.range.len().get())),
                ("memoryDescription", Value::Text(&planned.kind.to_string())),
                ("target", Value::Iri(urns.image.as_str())),
                ("stored", Value::Iri(urns.volume.as_str())),
            ],
        );
    }
}

fn files(turtle: &mut Turtle, options: &Options, files: &[Written]) {
    let urns = &options.urns;
    for file in files {
        let digest = file.sha256.to_string();
        turtle.write_triples(
            urns.volume.join(&escaped_path(&file.path)).as_str(),
            &[
                // Not of type Image too, since pyaff4 takes the first Image that it finds
                // for the image of the volume.
                ("a", Value::Name("FileImage")),
                ("a", Value::Name("ZipSegment")),
                ("originalFileName", Value::Text(&file.path)),
                ("size", Value::Long(file.len)),
                (
                    "hash",
                    Value::Digest(digest, HashAlgorithm::Sha256.datatype()),
                ),
                ("stored", Value::Iri(urns.volume.as_str())),
            ],
        );
    }
}

fn range_urn(options: &Options, index: usize) -> Urn {
    options.urns.image.join(&format!("range/{index}"))
}

/// Bytes of RAM in the plan.
fn ram_bytes(plan: &ImagePlan) -> u64 {
    plan.ranges()
        .iter()
        .filter(|planned| planned.kind == RegionKind::SystemRam)
        // Disjoint ranges of a 64-bit address space: the sum fits.
        .map(|planned| planned.range.len().get())
        .sum()
}
