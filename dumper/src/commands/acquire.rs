// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump` itself, and `linpmem-dump convert`: runs that write an image.

#[cfg(feature = "inspect")]
use super::check::of_new_image;
use super::custody_record::with_custody;
#[cfg(feature = "sign")]
use super::sign::{SignCommandError, Signer};
use super::symbols::SymbolFilePlan;
use crate::args::{AcquireArgs, ConvertArgs, ProgressStyle, RunArgs, UsageError, without_secret};
use crate::text::check::RunCheck;
use crate::text::progress::Progress;
#[cfg(feature = "sign")]
use crate::text::sign::RunSignature;
use crate::text::summary::{Summary, SummaryDocument};
use crate::text::symbols::SymbolsDocument;
use linpmem_capture::meter::Meter;
use linpmem_capture::sink::PartialError;
use linpmem_capture::{AcquireError, Acquired, Events, Output, Plan, Stream, acquire};
use linpmem_cli::Document;
use linpmem_cli::ExitStatus;
use linpmem_cli::Stderr;
use linpmem_phys::PhysLen;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, IsTerminal};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A run that did not begin, or whose files could not be named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A command line that makes no sense.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The acquisition did not begin, or failed at its end.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// The name of the symbol file is taken.
    #[error(transparent)]
    Symbols(#[from] PartialError),
    /// The manifest cannot be signed.
    #[cfg(feature = "sign")]
    #[error(transparent)]
    Sign(#[from] SignCommandError),
}

/// Acquires as `args` say.
///
/// # Errors
/// If the run did not begin, or its files could not get their names.
pub fn run(args: &AcquireArgs, stderr: Stderr) -> Result<ExitStatus, RunError> {
    let plan = with_reader(args.plan(command())?);
    if let Some(longest) = args.remote.jitter {
        wait(longest, stderr);
    }
    let plan = with_custody(plan, &args.run.custody, |warning| stderr.warn(warning));
    let extras = AtTheEnd {
        symbols: args.symbols,
        check: args.is_checked(),
    };
    run_plan(&plan, extras, &args.run, stderr)
}

/// Converts as `args` say.
///
/// # Errors
/// As [`run`].
pub fn convert(args: &ConvertArgs, stderr: Stderr) -> Result<ExitStatus, RunError> {
    let plan = with_reader(args.plan(command())?);
    let plan = with_custody(plan, &args.run.custody, |warning| stderr.warn(warning));
    let nothing = AtTheEnd::default();
    run_plan(&plan, nothing, &args.run, stderr)
}

/// Waits for `longest` seconds at most. Nothing was begun yet, so a signal ends the program as
/// any other.
fn wait(longest: NonZeroU32, stderr: Stderr) {
    // The standard library takes the keys of its hash tables from the system's random numbers.
    let random = RandomState::new().build_hasher().finish();
    let longest = Duration::from_secs(longest.get().into());
    let milliseconds = random % u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    let pause = Duration::from_millis(milliseconds);
    stderr.note(&format!(
        "waiting for {:.1} s of at most {} before anything begins (--jitter)",
        pause.as_secs_f64(),
        longest.as_secs()
    ));
    std::thread::sleep(pause);
}

/// Lets another process of this program read the files that are added.
fn with_reader(mut plan: Plan) -> Plan {
    plan.artifacts.add_reader = Some(PathBuf::from("/proc/self/exe"));
    plan
}

/// What is done with an image that is complete.
#[derive(Clone, Copy, Default)]
struct AtTheEnd {
    /// A symbol file is written.
    symbols: bool,
    /// It is checked.
    check: bool,
}

fn run_plan(
    plan: &Plan,
    at_the_end: AtTheEnd,
    run: &RunArgs,
    stderr: Stderr,
) -> Result<ExitStatus, RunError> {
    let style = run.progress.with_json(run.json)?;
    let is_stdout = matches!(
        plan.output,
        Output::Stream {
            stream: Stream::Stdout,
            ..
        }
    );
    if is_stdout && io::stdout().is_terminal() {
        return Err(UsageError::StdoutIsTerminal.into());
    }
    stderr.begin(SummaryDocument::FORMAT);
    let symbols = at_the_end
        .symbols
        .then(|| SymbolFilePlan::new(plan))
        .transpose()?;
    #[cfg(feature = "sign")]
    let signer = Signer::of(&run.sign, plan.force, |warning| stderr.warn(warning))?;
    let mut terminal = Terminal {
        stderr,
        style,
        progress: None,
    };
    let acquired = acquire(plan, &mut terminal)?;
    let symbols = symbols
        .filter(|_| acquired.state.is_whole())
        .and_then(|symbols| written(&symbols, &acquired, stderr));
    #[cfg(feature = "sign")]
    let signature = signer.map(|signer| signature(&signer, &acquired));
    #[cfg(not(feature = "sign"))]
    let signature = None;
    let check = at_the_end.check.then(|| checked(plan, &acquired)).flatten();
    let summary = Summary {
        check,
        acquired,
        symbols,
        signature,
    };
    stderr.summary(&summary.document());
    Ok(summary.exit_status())
}

/// The check of an image that can be read here and has what it is checked with.
#[cfg(feature = "inspect")]
fn checked(plan: &Plan, acquired: &Acquired) -> Option<RunCheck> {
    // Neither a stream, nor on another machine, nor something that takes a key.
    let is_here = acquired.delivered.is_none()
        && acquired.stored.is_none()
        && acquired.encryption.is_none()
        && acquired.image.is_file();
    // Of a part of memory, nothing else is to be expected.
    let is_all = plan.selection.windows.is_empty();
    let has_kernel = plan.artifacts.kernel && acquired.artifacts.is_some();
    if !is_here || !is_all || !has_kernel || !acquired.state.is_whole() {
        return None;
    }
    Some(RunCheck::of(of_new_image(&acquired.image)))
}

#[cfg(not(feature = "inspect"))]
const fn checked(_: &Plan, _: &Acquired) -> Option<RunCheck> {
    None
}

/// What was asked to be signed, and is not, is a failure; but the image is there.
#[cfg(feature = "sign")]
fn signature(signer: &Signer, acquired: &Acquired) -> RunSignature {
    let signed = signer.sign_run(acquired);
    RunSignature {
        key_id: signer.key_id(),
        error: signed.as_ref().err().map(ToString::to_string),
        path: signed.ok().map(|document| document.signature),
    }
}

/// An image is complete without its symbol file: what prevents that is a warning.
fn written(
    symbols: &SymbolFilePlan,
    acquired: &Acquired,
    stderr: Stderr,
) -> Option<SymbolsDocument> {
    symbols
        .write(acquired)
        .map_err(|error| stderr.warn(&format!("the symbol file was not written: {error}")))
        .ok()
}

fn command() -> Vec<String> {
    std::env::args_os().map(without_secret).collect()
}

/// Shows the engine's events on stderr.
struct Terminal {
    stderr: Stderr,
    style: ProgressStyle,
    progress: Option<Progress>,
}

impl Events for Terminal {
    fn warning(&mut self, warning: &str) {
        self.stderr.warn(warning);
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
        // Removes the bar, so that other output can follow.
        self.progress = None;
    }
}
