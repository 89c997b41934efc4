// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking for added files, and reading them, in a process of its own.
//!
//! A thread that waits for a file system whose server does not answer (FUSE) cannot be
//! ended, and keeps its process from ending: whoever waits for that waits as long. So
//! another process does what may hang: this program with a hidden subcommand. It reads a
//! [`Question`] a line, and writes [`Answer`]s, a line each. If it does not answer in time
//! it is left behind, and the next question goes to a new one.

use super::added::{Added, AddedError, AddedFile, failed, search};
use super::area_reader::{AreaReader, Expected};
use crate::timeout::{Patience, TimeoutFile, open_regular};
use linpmem_phys::num::{len_bytes, usize_as_u64};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

/// The hidden subcommand.
const SUBCOMMAND: &str = "read-added";
/// What the process writes first, so that no other program is taken for it.
const GREETING: &str = "linpmem-dump reads\n";
/// Bytes of a file in one answer.
const PIECE_BYTES: usize = 64 << 10;
/// No answer has a longer line: it lists all files that a pattern matches.
const MAX_LINE_BYTES: u64 = 256 << 20;

#[derive(Debug, Serialize, Deserialize)]
enum Question {
    /// Which files does this `--add` name?
    Search(OsString),
    /// What is in this file?
    Read(OsString),
    /// What is in this swap area?
    Area(OsString, Expected),
}

#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Found {
        files: Vec<FoundFile>,
        missing: Vec<(String, String)>,
    },
    NoMatch,
    Failed {
        errno: Option<i32>,
        message: String,
    },
    /// This many bytes of the file follow the line.
    Piece(u64),
    /// The file has no more.
    End,
}

#[derive(Debug, Serialize, Deserialize)]
struct FoundFile {
    path: OsString,
    name: String,
    link: Option<OsString>,
    is_named: bool,
}

/// The other process, or this one if there is none.
#[derive(Clone, Debug)]
pub(super) struct AddedReader {
    /// What to start; `None` does everything in this process.
    program: Option<PathBuf>,
    /// One that has nothing to do.
    idle: Arc<Mutex<Option<Helper>>>,
}

impl AddedReader {
    pub(super) fn new(program: Option<&Path>) -> Self {
        Self {
            program: program.map(Path::to_path_buf),
            idle: Arc::default(),
        }
    }

    /// The files that one `--add` names.
    ///
    /// # Errors
    /// If there was no answer in time.
    pub(super) fn search(
        &self,
        path: &Path,
        patience: &Patience,
    ) -> io::Result<Result<Added, AddedError>> {
        let (reader, path) = (self.clone(), path.to_path_buf());
        patience.ask(move || Ok(reader.search_now(&path)))
    }

    /// The file at `path`. An error of opening it appears at the first read.
    ///
    /// # Errors
    /// As [`TimeoutFile::open`].
    pub(super) fn open(&self, path: &Path, patience: &Patience) -> io::Result<TimeoutFile> {
        let (reader, path) = (self.clone(), path.to_path_buf());
        TimeoutFile::open_by(move || reader.open_now(&path), patience)
    }

    /// The swap area at `path`, as [`AreaReader`] gives it.
    ///
    /// # Errors
    /// As [`TimeoutFile::open`].
    pub(super) fn open_area(
        &self,
        path: &Path,
        expected: Expected,
        patience: &Patience,
    ) -> io::Result<TimeoutFile> {
        let (reader, path) = (self.clone(), path.to_path_buf());
        let open = move || -> io::Result<Box<dyn Read>> {
            match reader.helper() {
                Some(helper) => reader.ask_for(helper, &Question::Area(path.into(), expected)),
                None => Ok(Box::new(AreaReader::open(&path, expected)?)),
            }
        };
        TimeoutFile::open_by(open, patience)
    }

    fn search_now(&self, path: &Path) -> Result<Added, AddedError> {
        let Some(mut helper) = self.helper() else {
            return search(path);
        };
        match helper.ask(&Question::Search(path.into())) {
            Ok(Answer::Found { files, missing }) => {
                self.keep(helper);
                let files = files.into_iter().map(AddedFile::from).collect();
                Ok(Added { files, missing })
            }
            Ok(Answer::NoMatch) => {
                self.keep(helper);
                Err(AddedError::NoMatch {
                    path: path.to_path_buf(),
                })
            }
            Ok(Answer::Failed { errno, message }) => {
                self.keep(helper);
                Err(failed(path, error(errno, message)))
            }
            Ok(other) => Err(failed(path, unexpected(&other))),
            Err(source) => Err(failed(path, source)),
        }
    }

    fn open_now(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        match self.helper() {
            Some(helper) => self.ask_for(helper, &Question::Read(path.into())),
            None => Ok(Box::new(open_regular(path)?)),
        }
    }

    /// The bytes that are the answer to `question`.
    fn ask_for(&self, mut helper: Helper, question: &Question) -> io::Result<Box<dyn Read>> {
        helper.put(question)?;
        Ok(Box::new(RemoteFile {
            reader: self.clone(),
            helper: Some(helper),
            left: 0,
        }))
    }

    /// A process that has nothing to do. If none can be started, this one has to do.
    fn helper(&self) -> Option<Helper> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        idle.or_else(|| Helper::start(self.program.as_deref()?).ok())
    }

    fn keep(&self, helper: Helper) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(helper);
    }
}

/// The other process, as this one sees it.
#[derive(Debug)]
struct Helper {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Helper {
    fn start(program: &Path) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg(SUBCOMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Whoever reads this process's output must not wait for that one.
            .stderr(Stdio::null())
            .spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (questions, answers) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        let mut helper = Self {
            child,
            questions,
            answers: BufReader::new(answers),
        };
        let mut greeting = vec![0; GREETING.len()];
        helper.answers.read_exact(&mut greeting)?;
        if greeting != GREETING.as_bytes() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(helper)
    }

    fn ask(&mut self, question: &Question) -> io::Result<Answer> {
        self.put(question)?;
        self.next()
    }

    fn put(&mut self, question: &Question) -> io::Result<()> {
        let mut line = serde_json::to_vec(question)?;
        line.push(b'\n');
        self.questions.write_all(&line)
    }

    fn next(&mut self) -> io::Result<Answer> {
        let mut line = Vec::new();
        let mut limited = (&mut self.answers).take(MAX_LINE_BYTES);
        if limited.read_until(b'\n', &mut line)? == 0 {
            return Err(io::Error::other(
                "the process that reads added files has ended",
            ));
        }
        Ok(serde_json::from_slice(&line)?)
    }
}

/// If it waits for a file system, it ends when that answers.
impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.try_wait();
    }
}

/// A file that the other process reads.
struct RemoteFile {
    reader: AddedReader,
    /// `None` after the end.
    helper: Option<Helper>,
    /// Bytes of the piece that were not taken yet.
    left: u64,
}

impl Read for RemoteFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(helper) = &mut self.helper else {
            return Ok(0);
        };
        if self.left == 0 {
            match helper.next()? {
                Answer::Piece(len) => self.left = len,
                answer @ (Answer::End | Answer::Failed { .. }) => {
                    if let Some(helper) = self.helper.take() {
                        self.reader.keep(helper);
                    }
                    return match answer {
                        Answer::Failed { errno, message } => Err(error(errno, message)),
                        _ => Ok(0),
                    };
                }
                other => return Err(unexpected(&other)),
            }
        }
        let size = (&mut helper.answers).take(self.left).read(buf)?;
        if size == 0 && !buf.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // `take` returns no more.
        self.left -= usize_as_u64(size);
        Ok(size)
    }
}

/// The other process: `linpmem-dump read-added`.
///
/// # Errors
/// If a question is not understood, or nobody takes the answers.
pub fn serve_added(questions: impl BufRead, answers: &mut dyn Write) -> io::Result<()> {
    answers.write_all(GREETING.as_bytes())?;
    answers.flush()?;
    for line in questions.lines() {
        match serde_json::from_str(&line?)? {
            Question::Search(path) => answer(answers, &searched(Path::new(&path)))?,
            Question::Read(path) => {
                send(open_regular(Path::new(&path)), answers)?;
            }
            Question::Area(path, expected) => {
                send(AreaReader::open(Path::new(&path), expected), answers)?;
            }
        }
    }
    Ok(())
}

fn searched(path: &Path) -> Answer {
    match search(path) {
        Ok(Added { files, missing }) => Answer::Found {
            files: files.into_iter().map(FoundFile::from).collect(),
            missing,
        },
        Err(AddedError::NoMatch { .. }) => Answer::NoMatch,
        Err(AddedError::Read { source, .. }) => refusal(&source),
    }
}

enum SendError {
    File(io::Error),
    Answers(io::Error),
}

fn send(opened: io::Result<impl Read>, answers: &mut dyn Write) -> io::Result<()> {
    let sent = match opened {
        Ok(mut file) => send_all(&mut file, answers),
        Err(error) => Err(SendError::File(error)),
    };
    let last = match sent {
        Ok(()) => Answer::End,
        Err(SendError::File(error)) => refusal(&error),
        Err(SendError::Answers(error)) => return Err(error),
    };
    answer(answers, &last)
}

fn send_all(file: &mut dyn Read, answers: &mut dyn Write) -> Result<(), SendError> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let bytes = match file.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(len) => piece.split_at(len).0,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(SendError::File(error)),
        };
        answer(answers, &Answer::Piece(len_bytes(bytes)))
            .and_then(|()| answers.write_all(bytes))
            .and_then(|()| answers.flush())
            .map_err(SendError::Answers)?;
    }
}

fn answer(answers: &mut dyn Write, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    answers.write_all(&line)?;
    answers.flush()
}

fn refusal(error: &io::Error) -> Answer {
    Answer::Failed {
        errno: error.raw_os_error(),
        message: error.to_string(),
    }
}

fn error(errno: Option<i32>, message: String) -> io::Error {
    errno.map_or_else(|| io::Error::other(message), io::Error::from_raw_os_error)
}

fn unexpected(answer: &Answer) -> io::Error {
    io::Error::other(format!(
        "the process that reads added files gave an unexpected answer: {answer:?}"
    ))
}

impl From<AddedFile> for FoundFile {
    fn from(file: AddedFile) -> Self {
        Self {
            path: file.path.into(),
            name: file.name,
            link: file.link.map(OsString::from),
            is_named: file.is_named,
        }
    }
}

impl From<FoundFile> for AddedFile {
    fn from(file: FoundFile) -> Self {
        Self {
            path: file.path.into(),
            name: file.name,
            link: file.link.map(PathBuf::from),
            is_named: file.is_named,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::ffi::OsStringExt;

    fn answers_to(questions: &[Question]) -> Vec<u8> {
        let mut lines = Vec::new();
        for question in questions {
            lines.extend(serde_json::to_vec(question).unwrap());
            lines.push(b'\n');
        }
        let mut answers = Vec::new();
        serve_added(lines.as_slice(), &mut answers).unwrap();
        answers.strip_prefix(GREETING.as_bytes()).unwrap().to_vec()
    }

    #[test]
    fn files_of_any_name_are_found_and_read_to_their_end() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join(OsString::from_vec(b"a\xff\n".to_vec()));
        let content = b"line\n".repeat(50_000);
        fs::write(&odd, &content).unwrap();
        let answers = answers_to(&[Question::Search(odd.clone().into())]);
        let Answer::Found { files, missing } = serde_json::from_slice(&answers).unwrap() else {
            panic!("not found");
        };
        assert_eq!(missing, []);
        assert_eq!(files[0].path, odd);
        assert!(files[0].is_named);

        let answers = answers_to(&[Question::Read(odd.into())]);
        let mut rest = answers.as_slice();
        let mut read = Vec::new();
        loop {
            let mut line = Vec::new();
            rest.read_until(b'\n', &mut line).unwrap();
            match serde_json::from_slice(&line).unwrap() {
                Answer::Piece(len) => {
                    let (piece, tail) = rest.split_at(usize::try_from(len).unwrap());
                    read.extend_from_slice(piece);
                    rest = tail;
                }
                Answer::End => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(rest.is_empty() && read == content);
    }

    #[test]
    fn refusals_keep_their_reason_and_the_next_question_is_answered() {
        let questions = [
            Question::Read("/dev/zero".into()),
            Question::Read("/nowhere/at/all".into()),
            Question::Search("/nowhere/*".into()),
        ];
        let answers = String::from_utf8(answers_to(&questions)).unwrap();
        let answers: Vec<Answer> = answers
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let [
            Answer::Failed { errno: None, .. },
            Answer::Failed { errno: Some(2), .. },
            Answer::NoMatch,
        ] = answers.as_slice()
        else {
            panic!("{answers:?}");
        };
    }

    #[test]
    fn a_program_that_is_another_is_not_asked() {
        let patience = Patience::new(None);
        for program in ["/bin/true", "/nowhere"] {
            let reader = AddedReader::new(Some(Path::new(program)));
            let mut text = String::new();
            let mut file = reader.open(Path::new("/proc/version"), &patience).unwrap();
            file.read_to_string(&mut text).unwrap();
            assert!(text.starts_with("Linux version"), "{text}");
        }
    }
}
