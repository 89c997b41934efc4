// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading an object from its beginning to its end, over as many connections as it takes.

use crate::error::StoreError;
use crate::http::{Answer, Asked, Client, reason, refused};
use crate::patience::Attempts;
use std::io::{self, Read};
use ureq::http::Request;

/// Makes the request for everything from a byte on.
pub(crate) type Asking = Box<dyn Fn(u64) -> Result<Request<()>, StoreError> + Send>;

/// An object that is being read.
pub(crate) struct Resumed {
    client: Client,
    host: String,
    position: u64,
    asking: Asking,
    body: Option<ureq::BodyReader<'static>>,
}

impl Resumed {
    /// Reads from `position` on.
    ///
    /// # Errors
    /// If the store refuses, or does not answer.
    pub(crate) fn open(
        client: Client,
        host: String,
        position: u64,
        asking: Asking,
    ) -> Result<Box<dyn Read + Send>, StoreError> {
        let mut reading = Self {
            client,
            host,
            position,
            asking,
            body: None,
        };
        reading.connect()?;
        Ok(Box::new(reading))
    }

    fn connect(&mut self) -> Result<(), StoreError> {
        let asked = Asked {
            action: "reading an object",
            host: &self.host,
        };
        let mut attempts = Attempts::new(self.client.patience());
        loop {
            let reason = match self.client.open((self.asking)(self.position)?) {
                // It is sent from its beginning.
                Ok(Ok((200, _))) if self.position > 0 => {
                    return Err(asked.strange("it does not read from the middle of an object"));
                }
                Ok(Ok((_, body))) => {
                    attempts.done();
                    self.body = Some(body);
                    return Ok(());
                }
                Ok(Err(answer)) if answer.status >= 500 => answer.status.to_string(),
                Ok(Err(answer)) => return self.refused(asked, &answer),
                Err(error) => reason(&error),
            };
            if !attempts.again(None) {
                return Err(StoreError::GaveUp {
                    action: asked.action.to_owned(),
                    host: self.host.clone(),
                    after: attempts.elapsed(),
                    reason,
                });
            }
        }
    }

    fn refused(&self, asked: Asked<'_>, answer: &Answer) -> Result<(), StoreError> {
        // Nothing is left after the last byte.
        if answer.status == 416 {
            return Ok(());
        }
        Err(refused(asked, answer))
    }
}

impl Read for Resumed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut tried = 0;
        loop {
            let Some(body) = &mut self.body else {
                return Ok(0);
            };
            match body.read(buffer) {
                Ok(count) => {
                    self.position += u64::try_from(count).unwrap_or(u64::MAX);
                    return Ok(count);
                }
                Err(error) if tried == 5 => return Err(error),
                // A connection that breaks is made again, from here on.
                Err(_) => {
                    tried += 1;
                    self.body = None;
                    self.connect().map_err(io::Error::other)?;
                }
            }
        }
    }
}
