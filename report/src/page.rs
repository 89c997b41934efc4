// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page.

use crate::draw::{Cell, WARMTH, heat, rates};
use crate::gathered::Gathered;
use crate::meaning::{remarks, verdict};
use crate::scale::float;
use crate::words::{count, grouped, moment, percent, rate, seconds, short, size};
use linpmem_cli::printable;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// How the page looks, on a screen and on paper.
const STYLE: &str = include_str!("style.css");

/// Stalls that are named; they are the longest.
const MOST_STALLS: usize = 5;

/// What is not in the manifest.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The image, as the user calls it.
    pub image: String,
    /// The command line of the acquisition, as a shell takes it.
    pub command: String,
    /// The name and version of the program that makes the page.
    pub program: String,
    /// When it does, in UTC.
    pub made: String,
    /// What was found when the image was compared with its manifest.
    pub verified: Option<Voucher>,
    /// Who vouches for the manifest.
    pub vouchers: Vec<Voucher>,
    /// What happened to the image since.
    pub events: Vec<Event>,
    /// Commands that open the image.
    pub commands: Vec<Command>,
}

/// How far something can be relied upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was checked, and is good.
    Good,
    /// It is there, and was not checked.
    NotChecked,
    /// It is wrong.
    Bad,
}

/// Something that vouches for the image.
#[derive(Clone, Debug)]
pub struct Voucher {
    /// What it is.
    pub what: String,
    /// How far it can be relied upon.
    pub standing: Standing,
    /// What it says, or why it is not good.
    pub text: String,
}

/// Something that happened to the image.
#[derive(Clone, Debug)]
pub struct Event {
    /// When, in UTC.
    pub utc: String,
    /// What.
    pub event: String,
    /// Who recorded it, and where.
    pub operator: String,
}

/// A command that opens the image.
#[derive(Clone, Debug)]
pub struct Command {
    /// The tool.
    pub tool: String,
    /// The command line, to be copied.
    pub line: String,
}

impl Standing {
    const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::NotChecked => "fair",
            Self::Bad => "bad",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::NotChecked => "not checked",
            Self::Bad => "NOT GOOD",
        }
    }
}

/// The page about `gathered`: a document of HTML.
#[must_use]
pub fn page(gathered: &Gathered, context: &Context) -> String {
    let header = &gathered.header;
    let host = shown(&header.host.hostname);
    let (class, verdict) = verdict(gathered);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Not even what is in the page may load anything.
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'";
                title { "Memory of " (host) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "Memory of " (host) }
                    p class=(format!("verdict {class}")) { (verdict) }
                    p class="lead" {
                        (size(gathered.written_bytes)) " of memory in "
                        (count(gathered.ranges, "range")) ", in the image "
                        code { (shown(&context.image)) } "."
                    }
                }
                main {
                    (missing(gathered))
                    (facts(gathered, context))
                    (memory(gathered))
                    (reading(gathered))
                    (changes(gathered))
                    (unreadable(gathered))
                    (trust(gathered, context))
                    (events(context))
                    (warnings(gathered))
                    (commands(context))
                }
                footer {
                    "Made by " (shown(&context.program)) " at " (shown(&context.made))
                    ", from the manifest of the image. All addresses are physical."
                }
            }
        }
    };
    page.into_string()
}

/// A text of others.
fn shown(text: &str) -> String {
    printable(text)
}

fn missing(gathered: &Gathered) -> Markup {
    let remarks = remarks(gathered);
    html! {
        section {
            h2 { "What is missing, and what that means" }
            @if remarks.is_empty() {
                p { "Nothing is known to be missing." }
            } @else {
                ul { @for remark in remarks { li { (remark) } } }
            }
        }
    }
}

/// A row of a table of facts, if there is something to say.
fn fact(name: &str, value: Option<impl AsRef<str>>) -> Markup {
    html! {
        @if let Some(value) = value {
            tr { th scope="row" { (name) } td { (shown(value.as_ref())) } }
        }
    }
}

fn code(name: &str, value: Option<impl AsRef<str>>) -> Markup {
    html! {
        @if let Some(value) = value {
            tr { th scope="row" { (name) } td { code { (shown(value.as_ref())) } } }
        }
    }
}

fn facts(gathered: &Gathered, context: &Context) -> Markup {
    let header = &gathered.header;
    let (host, image, custody) = (&header.host, &header.image, header.custody.as_ref());
    let footer = gathered.footer.as_ref();
    let codec = match image.compression.as_str() {
        "none" => String::new(),
        codec => format!(", compressed with {codec}"),
    };
    let clock = custody.and_then(|custody| custody.clock.synchronised);
    let read = gathered.timeline.seconds();
    html! {
        section {
            h2 { "The acquisition" }
            div class="columns" {
                table {
                    caption { "Where" }
                    (fact("Machine", Some(&host.hostname)))
                    (fact("Kernel", Some(&host.kernel_release)))
                    (fact("Built", Some(&host.kernel_version)))
                    (fact("Architecture", Some(&host.machine)))
                    (code("Machine id", host.machine_id.as_deref()))
                    (code("Boot id", host.boot_id.as_deref()))
                }
                table {
                    caption { "When" }
                    (fact("Began", Some(moment(&header.started.utc))))
                    (fact("Memory read in", (read > 0.0).then(|| seconds(read))))
                    (fact("On the disk", gathered.written.as_ref().map(|it| moment(&it.synced.utc))))
                    (fact("Hash ready", footer.and_then(|it| it.hashed.as_ref()).map(|it| moment(&it.ready.utc))))
                    (fact("Ended", footer.map(|it| moment(&it.ended.utc))))
                    (fact("Clock", clock.map(|is_right| match is_right {
                        true => "synchronised, as the kernel says",
                        false => "not synchronised, as the kernel says",
                    })))
                }
                table {
                    caption { "Who" }
                    (fact("Operator", custody.map(|it| &it.operator.name)))
                    (fact("Case", custody.and_then(|it| it.case.as_deref())))
                    (fact("Note", custody.and_then(|it| it.note.as_deref())))
                }
                table {
                    caption { "With what" }
                    (fact("Program", Some(format!("{} {}", header.tool.name, header.tool.version))))
                    (code("Its SHA-256", header.tool.sha256.map(|sum| sum.to_string())))
                    (fact("Source", Some(header.source.to_string())))
                    (fact("Details", header.source.detail.as_deref()))
                    (code("Command", Some(&context.command)))
                }
            }
            table {
                caption { "The image" }
                (fact("Name", Some(&image.name)))
                (fact("Format", Some(format!("{}{codec}", image.format))))
                (fact("File", footer.map(|it| size(it.file.length))))
                (code("SHA-256", footer.and_then(|it| it.file.sha256).map(|sum| sum.to_string())))
                @for hash in footer.iter().flat_map(|it| &it.file.hashes) {
                    (code(hash.algorithm.name(), Some(&hash.digest)))
                }
                (code("Id", image.id.map(|id| id.to_string())))
                (code("Converted from (SHA-256)",
                    footer.and_then(|it| it.source_sha256).map(|sum| sum.to_string())))
                (fact("Artifacts", gathered.artifacts().map(|it| {
                    let files = u64::try_from(it.files.len()).unwrap_or(u64::MAX);
                    match it.missing.len() {
                        0 => count(files, "file"),
                        _ => format!("{}; {} could not be collected", count(files, "file"), it.missing.len()),
                    }
                })))
            }
        }
    }
}

/// A table with a head, which can be moved on a narrow screen. `rows` are their cells.
fn grid(columns: &[&str], rows: impl Iterator<Item = Markup>) -> Markup {
    html! {
        div class="wide" {
            table class="grid" {
                thead {
                    tr { @for column in columns { th scope="col" { (column) } } }
                }
                tbody {
                    @for row in rows { tr { (row) } }
                }
            }
        }
    }
}

fn legend<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> Markup {
    html! {
        ul class="legend" {
            @for (class, text) in entries {
                li { span class=(format!("key {class}")) {} (text) }
            }
        }
    }
}

fn memory(gathered: &Gathered) -> Markup {
    html! {
        section {
            h2 { "The machine's memory" }
            (gathered.map.svg(&gathered.scale))
            (legend(Cell::LEGEND.iter().map(|(cell, text)| (cell.class(), *text))))
            p class="small" { "Gaps between memory are drawn shorter than they are." }
            (grid(
                &["Kind", "The machine has", "Asked for", "In the image", "Unreadable"],
                gathered.kinds.iter().map(|(name, kind)| html! {
                    th scope="row" { (name) }
                    td { (short(kind.listed)) }
                    td { (short(kind.requested)) }
                    td { (short(kind.written)) }
                    td { (count(kind.unreadable_pages, "page")) }
                }),
            ))
        }
    }
}

fn reading(gathered: &Gathered) -> Markup {
    let timeline = &gathered.timeline;
    let stalls = timeline.stalls();
    html! {
        @if timeline.seconds() > 0.0 {
            section {
                h2 { "The reading, over time" }
                (rates(timeline))
                p {
                    "Memory was read in " (seconds(timeline.seconds())) ", on average with "
                    (rate(float(gathered.written_bytes), timeline.seconds()))
                    " and at most with " (rate(timeline.most(), timeline.bar_seconds())) "."
                    @if stalls.is_empty() {
                        " It never stood still for a second."
                    }
                }
                @if !stalls.is_empty() {
                    p { "It stood still " (times(stalls.len())) " for a second or more:" }
                    ul {
                        @for stall in stalls.iter().take(MOST_STALLS) {
                            li { (seconds(stall.seconds)) ", after " (seconds(stall.begin_s)) }
                        }
                        @if stalls.len() > MOST_STALLS {
                            li { "and others that were shorter" }
                        }
                    }
                }
            }
        }
    }
}

fn times(number: usize) -> String {
    match number {
        1 => "once".to_owned(),
        many => format!("{many} times"),
    }
}

fn changes(gathered: &Gathered) -> Markup {
    html! {
        @if let Some(totals) = &gathered.second_pass {
            section {
                h2 { "What changed while memory was read" }
                (heat(gathered.heat.shares(), &gathered.scale))
                (legend(WARMTH.into_iter()))
                p {
                    "A second reading compared " (count(totals.pages, "page")) ": "
                    (count(totals.changed_pages, "page")) " ("
                    (percent(float(totals.changed_pages) / float(totals.pages.max(1))))
                    ") had changed."
                    @if let Some(error) = &totals.error {
                        " It ended early: " (shown(error))
                    }
                }
            }
        }
    }
}

fn unreadable(gathered: &Gathered) -> Markup {
    let listed = u64::try_from(gathered.unreadable.len()).unwrap_or(u64::MAX);
    let others = gathered.unreadable_ranges.saturating_sub(listed);
    html! {
        @if listed > 0 {
            section {
                h2 { "Pages that could not be read" }
                (grid(
                    &["First", "Last", "Pages", "Why"],
                    gathered.unreadable.iter().map(|item| html! {
                        td { code { (format!("{:#x}", item.range.start().get())) } }
                        td { code { (format!("{:#x}", item.range.last().get())) } }
                        td { (grouped(item.range.len().pages())) }
                        td { (item.errno.to_string()) }
                    }),
                ))
                @if others > 0 {
                    p { "And " (count(others, "range")) " more, which the manifest lists." }
                }
            }
        }
    }
}

fn trust(gathered: &Gathered, context: &Context) -> Markup {
    html! {
        section {
            h2 { "What vouches for it" }
            p {
                "The manifest has a SHA-256 of every chunk of memory, made while it was read. Whoever \
                 has a manifest that can be trusted can compare every byte of the image with it."
            }
            @if context.verified.is_none() {
                p {
                    "This page does not say whether the image is still what its manifest describes: "
                    code { "linpmem-dump verify" } " does."
                }
            }
            table class="grid" {
                tbody {
                    @for voucher in context.verified.iter().chain(&context.vouchers) {
                        tr {
                            th scope="row" { (shown(&voucher.what)) }
                            td {
                                span class=(format!("word {}", voucher.standing.class())) {
                                    (voucher.standing.word())
                                }
                                " " (shown(&voucher.text))
                            }
                        }
                    }
                    @if context.vouchers.is_empty() {
                        tr {
                            th scope="row" { "Signature, timestamp" }
                            td { "none: nobody vouches for the manifest itself" }
                        }
                    }
                    @if let Some(sum) = gathered.written.as_ref().map(|it| it.sha256_tree) {
                        tr { th scope="row" { "Root of the hashes" } td { code { (sum.to_string()) } } }
                    }
                }
            }
        }
    }
}

fn events(context: &Context) -> Markup {
    html! {
        @if !context.events.is_empty() {
            section {
                h2 { "Since then" }
                (grid(
                    &["When", "What", "Who"],
                    context.events.iter().map(|event| html! {
                        td { (shown(&moment(&event.utc))) }
                        td { (shown(&event.event)) }
                        td { (shown(&event.operator)) }
                    }),
                ))
            }
        }
    }
}

fn warnings(gathered: &Gathered) -> Markup {
    let warnings = gathered.footer.iter().flat_map(|footer| &footer.warnings);
    let count = warnings.clone().count();
    html! {
        @if count > 0 {
            section {
                h2 { "Warnings of the run" }
                ul { @for warning in warnings { li { (shown(warning)) } } }
            }
        }
    }
}

fn commands(context: &Context) -> Markup {
    html! {
        @if !context.commands.is_empty() {
            section {
                h2 { "Commands that open it" }
                dl {
                    @for command in &context.commands {
                        dt { (shown(&command.tool)) }
                        dd { pre { code { (shown(&command.line)) } } }
                    }
                }
            }
        }
    }
}
