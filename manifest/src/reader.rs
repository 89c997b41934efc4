// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a manifest line by line.

use crate::lines::{Line, read_line};
use crate::sequence::Sequence;
use crate::version::probe;
use crate::{LineProblem, ReadError, Record, VERSION};
use linpmem_phys::num::usize_as_u64;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// The records of a manifest in order, each checked against those before it. It keeps one
/// line in memory at a time, however long the manifest is.
///
/// The iterator ends after the footer. A manifest without a footer gives all its complete
/// records, and then [`ReadError::Truncated`].
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    path: PathBuf,
    line: Vec<u8>,
    number: u64,
    /// Bytes of the records so far.
    length: u64,
    sequence: Sequence,
    is_over: bool,
}

impl Reader<BufReader<File>> {
    /// Opens the manifest at `path`.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let file = open_file(path).map_err(|source| ReadError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Self::new(BufReader::with_capacity(1 << 16, file), path))
    }
}

/// The most values in a line, unless it has [`BYTES_PER_VALUE`] for each: a list of empty
/// texts takes ten times as much memory as its line. A map of more than 50,000 regions has
/// 17 bytes for each of its values, or more.
const MAX_VALUES: usize = 1 << 18;
const BYTES_PER_VALUE: usize = 16;

/// An upper limit of the values in a line, but for a few.
fn values(line: &[u8]) -> usize {
    line.iter().filter(|&&byte| byte == b',').count()
}

/// Opens a regular file. Whoever gave the image to us also gave the manifest: opening a
/// pipe of that name would wait for its other end.
fn open_file(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("this is not a regular file"));
    }
    File::open(path)
}

impl<R: BufRead> Reader<R> {
    /// Reads the manifest in `input`, which errors call `path`.
    pub fn new(input: R, path: &Path) -> Self {
        Self {
            input,
            path: path.to_path_buf(),
            line: Vec::new(),
            number: 0,
            length: 0,
            sequence: Sequence::default(),
            is_over: false,
        }
    }

    /// The number of the latest line, from 1; 0 before the first.
    #[must_use]
    pub const fn line_number(&self) -> u64 {
        self.number
    }

    /// Where the latest record's line ends, in bytes from the beginning; 0 before the first.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.length
    }

    /// `problem` as the error of the latest line.
    #[must_use]
    pub fn error(&self, problem: LineProblem) -> ReadError {
        ReadError::Line {
            path: self.path.clone(),
            line: self.number,
            problem,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn sequence(&self) -> &Sequence {
        &self.sequence
    }

    fn read(&mut self) -> Result<Option<Record>, ReadError> {
        let line = read_line(&mut self.input, &mut self.line).map_err(|source| ReadError::Io {
            path: self.path.clone(),
            source,
        })?;
        match line {
            Line::End if self.line.is_empty() && self.sequence.is_over() => return Ok(None),
            Line::End if !self.sequence.is_over() => {
                // Even the beginning of another version's manifest has the version.
                self.check_version()?;
                return Err(ReadError::Truncated {
                    path: self.path.clone(),
                    lines: self.number,
                });
            }
            Line::Whole | Line::End => {}
            Line::TooLong => {
                self.number += 1;
                return Err(self.error(LineProblem::TooLong));
            }
        }
        self.check_version()?;
        self.number += 1;
        if values(&self.line) > MAX_VALUES.max(self.line.len() / BYTES_PER_VALUE) {
            return Err(self.error(LineProblem::TooMany {
                what: "values in a line",
                limit: MAX_VALUES,
            }));
        }
        let record =
            serde_json::from_slice(&self.line).map_err(|error| self.error(error.into()))?;
        self.sequence
            .pass(&record)
            .map_err(|problem| self.error(problem))?;
        self.length += usize_as_u64(self.line.len());
        Ok(Some(record))
    }

    /// Refuses another version by its number, before reaching anything new in it.
    fn check_version(&mut self) -> Result<(), ReadError> {
        if self.number > 0 {
            return Ok(());
        }
        let input = &mut self.input;
        let next = || {
            let mut line = Vec::new();
            // A line that cannot be read has no version.
            let _ = read_line(input, &mut line);
            line
        };
        match probe(&self.line, next) {
            Some(found) if found != u64::from(VERSION) => Err(ReadError::Version {
                path: self.path.clone(),
                found,
            }),
            _ => Ok(()),
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let read = self.read();
        self.is_over = !matches!(read, Ok(Some(_)));
        read.transpose()
    }
}
