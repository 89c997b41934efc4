// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading an encrypted file at any offset.

use crate::error::{DamagedChunk, OpenError};
use crate::header::header_len;
use crate::identity::Identities;
use crate::layout::{CHUNK, CHUNK_BYTES, ENCRYPTED_CHUNK, NONCE_BYTES, TAG};
use age::stream::StreamReader;
use age::{DecryptError, Decryptor};
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

/// The most cursors that wait for their next use: as many as threads that read at once.
/// Each has two chunks in memory.
const MAX_CURSORS: usize = 16;

/// The parser needs the header in pieces, and nothing else is read through this.
const HEADER_BUFFER_BYTES: usize = 512;

/// The content of an encrypted file.
///
/// Every chunk is authenticated before any of it is given out. Several threads can read at
/// once.
pub struct EncryptedFile {
    file: Arc<File>,
    identities: Identities,
    /// Where the chunks begin.
    start: u64,
    len: u64,
    is_cut: bool,
    cursors: Mutex<Vec<Cursor>>,
}

/// One place in the file, and the chunk there.
struct Cursor {
    stream: StreamReader<BufReader<FileAt>>,
    /// Which chunk `content` is; none before the first.
    index: Option<u64>,
    content: Vec<u8>,
}

/// A file with a position of its own, whoever else has one.
struct FileAt {
    file: Arc<File>,
    position: u64,
}

impl EncryptedFile {
    /// Opens `file` with the first of `identities` that it was encrypted to.
    ///
    /// The last chunk of a file is marked as such. Where that mark is missing, the file was cut
    /// off, and its content is that of the whole chunks before: [`is_cut`](Self::is_cut).
    ///
    /// # Errors
    /// If it was encrypted to others, or is no encrypted file, or has no whole chunk.
    pub fn open(file: File, identities: &Identities) -> Result<Self, OpenError> {
        if identities.is_empty() {
            return Err(OpenError::Locked);
        }
        let file = Arc::new(file);
        let start = header_len(&file)?.saturating_add(NONCE_BYTES);
        // The metadata of a block device has no length.
        let stored = (&*file).seek(SeekFrom::End(0))?;
        let mut cursor = Cursor::new(&file, identities)?;
        let chunks_len = stored.saturating_sub(start);
        let (len, is_cut) = match cursor.stream.seek(SeekFrom::End(0)) {
            Ok(len) => (len, false),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let whole = chunks_len / ENCRYPTED_CHUNK;
                (whole.saturating_mul(CHUNK), true)
            }
            Err(error) => return Err(error.into()),
        };
        if is_cut && len == 0 {
            return Err(OpenError::NoContent(chunks_len));
        }
        // What follows the last chunk would have made it no last chunk.
        let mut cursor = Cursor::new(&file, identities)?;
        if is_cut {
            // Whether the key fits the content, and not only the header.
            let last = (len / CHUNK).saturating_sub(1);
            cursor.load(last, start)?;
        }
        Ok(Self {
            file,
            identities: identities.clone(),
            start,
            len,
            is_cut,
            cursors: Mutex::new(vec![cursor]),
        })
    }

    /// Bytes of the content.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no content.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the end of the file is missing, or was changed.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Fills `buf` with the content from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` if the content ends before `buf` is full; `InvalidData` with a
    /// [`DamagedChunk`] in it; or the system's. What `buf` has then is unspecified.
    pub fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let wanted = u64::try_from(buf.len()).map_err(io::Error::other)?;
        if offset.checked_add(wanted).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if buf.is_empty() {
            return Ok(());
        }
        let mut cursor = self.cursor_at(offset / CHUNK)?;
        // One that failed is of no use any more.
        cursor.fill(self.start, offset, buf)?;
        let mut cursors = self.lock();
        if cursors.len() < MAX_CURSORS {
            cursors.push(cursor);
        }
        Ok(())
    }

    /// A cursor that nobody else uses, with the chunk `index` if one has it.
    fn cursor_at(&self, index: u64) -> io::Result<Cursor> {
        let mut cursors = self.lock();
        let found = cursors
            .iter()
            .position(|cursor| cursor.index == Some(index));
        let before = index.checked_sub(1);
        // The one that goes on from there; else the one that was not used for longest.
        let found = found.or_else(|| cursors.iter().position(|cursor| cursor.index == before));
        if let Some(found) = found {
            return Ok(cursors.remove(found));
        }
        if cursors.len() >= MAX_CURSORS {
            return Ok(cursors.remove(0));
        }
        drop(cursors);
        Ok(Cursor::new(&self.file, &self.identities)?)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Cursor>> {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cursor {
    fn new(file: &Arc<File>, identities: &Identities) -> Result<Self, OpenError> {
        let input = FileAt {
            file: Arc::clone(file),
            position: 0,
        };
        let input = BufReader::with_capacity(HEADER_BUFFER_BYTES, input);
        let decryptor = Decryptor::new_buffered(input).map_err(header_error)?;
        if decryptor.is_scrypt() {
            return Err(OpenError::Passphrase);
        }
        let stream = decryptor.decrypt(identities.keys()).map_err(header_error)?;
        Ok(Self {
            stream,
            index: None,
            content: Vec::new(),
        })
    }

    /// Fills `buf` with the content from `offset` on, where the chunks begin at `start`.
    fn fill(&mut self, start: u64, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let (mut index, mut rest) = (offset / CHUNK, buf);
        let mut skip = usize::try_from(offset % CHUNK).map_err(io::Error::other)?;
        while !rest.is_empty() {
            if self.index != Some(index) {
                self.load(index, start)?;
            }
            let content = self.content.get(skip..).unwrap_or_default();
            let (now, later) = rest.split_at_mut(content.len().min(rest.len()));
            now.copy_from_slice(content.get(..now.len()).unwrap_or_default());
            // The length was authenticated: only a file that changes has less.
            if now.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            (index, skip, rest) = (index + 1, 0, later);
        }
        Ok(())
    }

    /// Decrypts the chunk `index`.
    fn load(&mut self, index: u64, start: u64) -> io::Result<()> {
        let is_next = index
            .checked_sub(1)
            .is_some_and(|before| self.index == Some(before));
        self.index = None;
        self.decrypt(index, is_next)
            .map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                    let chunks = index.saturating_mul(ENCRYPTED_CHUNK);
                    let offset = start.saturating_add(chunks);
                    io::Error::new(io::ErrorKind::InvalidData, DamagedChunk { offset })
                }
                _ => error,
            })?;
        self.index = Some(index);
        Ok(())
    }

    fn decrypt(&mut self, index: u64, is_next: bool) -> io::Result<()> {
        // A full chunk before was read to its end: the stream goes on by itself.
        if !is_next || self.content.len() != CHUNK_BYTES {
            let chunk = index.saturating_mul(CHUNK);
            // At the first byte of a chunk, the stream wants to know where it ends, which one
            // that was cut off cannot tell. The second byte makes it decrypt the chunk, and the
            // way back to the first stays within that.
            self.stream.seek(SeekFrom::Start(chunk.saturating_add(1)))?;
            self.stream.seek(SeekFrom::Start(chunk))?;
        }
        self.content.clear();
        (&mut self.stream)
            .take(CHUNK)
            .read_to_end(&mut self.content)?;
        match self.content.is_empty() {
            true => Err(io::ErrorKind::UnexpectedEof.into()),
            false => Ok(()),
        }
    }
}

fn header_error(error: DecryptError) -> OpenError {
    match error {
        DecryptError::NoMatchingKeys => OpenError::WrongIdentity,
        DecryptError::UnknownFormat => OpenError::UnknownVersion,
        DecryptError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => error.into(),
        _ => OpenError::DamagedHeader,
    }
}

impl Read for FileAt {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buf, self.position)?;
        self.position += u64::try_from(count).map_err(io::Error::other)?;
        Ok(count)
    }
}

impl Seek for FileAt {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let beyond = || io::Error::from(io::ErrorKind::InvalidInput);
        self.position = match to {
            SeekFrom::Start(position) => position,
            SeekFrom::Current(by) => self.position.checked_add_signed(by).ok_or_else(beyond)?,
            SeekFrom::End(by) => {
                let end = (&*self.file).seek(SeekFrom::End(0))?;
                end.checked_add_signed(by).ok_or_else(beyond)?
            }
        };
        Ok(self.position)
    }
}

impl fmt::Debug for EncryptedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file, len, is_cut, ..
        } = self;
        write!(f, "EncryptedFile({file:?}, {len} bytes, cut: {is_cut})")
    }
}

// The tag of an otherwise empty chunk.
const _: () = assert!(ENCRYPTED_CHUNK == CHUNK + TAG);
