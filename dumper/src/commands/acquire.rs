// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump` itself, and `linpmem-dump convert`: runs that write an image.

use super::symbols::{SymbolFilePlan, WrittenSymbols};
use crate::args::{AcquireArgs, ConvertArgs, ProgressStyle, UsageError};
use crate::text::progress::Progress;
use crate::text::summary::Summary;
use crate::text::voice::{Voice, say};
use linpmem_capture::meter::Meter;
use linpmem_capture::sink::PartialError;
use linpmem_capture::{AcquireError, Events, Output, Plan, acquire};
use linpmem_phys::PhysLen;
use std::io::{self, IsTerminal};
use std::sync::Arc;

/// A run that did not begin, or whose files could not be named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A command line that makes no sense.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The engine's reason.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// The symbol file's name is taken.
    #[error(transparent)]
    Symbols(#[from] PartialError),
}

/// Acquires as `args` say. The result is the exit code.
///
/// # Errors
/// If the run did not begin, or its files could not get their names.
pub fn run(args: &AcquireArgs, voice: Voice) -> Result<u8, RunError> {
    let plan = args.plan(command())?;
    run_plan(&plan, args.symbols, args.run.progress, voice)
}

/// Converts as `args` say. The result is the exit code.
///
/// # Errors
/// As [`run`].
pub fn convert(args: &ConvertArgs, voice: Voice) -> Result<u8, RunError> {
    let plan = args.plan(command())?;
    run_plan(&plan, false, args.run.progress, voice)
}

fn run_plan(
    plan: &Plan,
    with_symbols: bool,
    style: ProgressStyle,
    voice: Voice,
) -> Result<u8, RunError> {
    if matches!(plan.output, Output::Stdout { .. }) && io::stdout().is_terminal() {
        return Err(UsageError::StdoutIsTerminal.into());
    }
    let symbols = with_symbols
        .then(|| SymbolFilePlan::new(plan))
        .transpose()?;
    let mut terminal = Terminal {
        voice,
        style,
        progress: None,
    };
    let acquired = acquire(plan, &mut terminal)?;
    let symbols = symbols
        .filter(|_| acquired.state.is_whole())
        .and_then(|symbols| written(&symbols, &acquired, voice));
    let summary = Summary { acquired, symbols };
    if voice.is_json {
        say(&summary.to_json());
    } else {
        say(&format!("linpmem-dump: {}", summary.to_string().trim_end()));
    }
    Ok(summary.exit_code())
}

/// An image is whole without its symbol file: what stops that is a warning.
fn written(
    symbols: &SymbolFilePlan,
    acquired: &linpmem_capture::Acquired,
    voice: Voice,
) -> Option<WrittenSymbols> {
    symbols
        .write(acquired)
        .map_err(|error| voice.warn(&format!("the symbol file was not written: {error}")))
        .ok()
}

fn command() -> Vec<String> {
    std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

/// Shows the engine's events on stderr.
struct Terminal {
    voice: Voice,
    style: ProgressStyle,
    progress: Option<Progress>,
}

impl Events for Terminal {
    fn warning(&mut self, warning: &str) {
        self.voice.warn(warning);
    }

    fn started(&mut self, meter: &Arc<Meter>, total: PhysLen, is_compressed: bool) {
        let meter = Arc::clone(meter);
        self.progress = Some(Progress::show(
            self.style,
            meter,
            total.get(),
            is_compressed,
        ));
    }

    fn finished(&mut self) {
        // Takes the bar away, so that other words can follow.
        self.progress = None;
    }
}
