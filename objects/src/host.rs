// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server that is asked, by its name in messages.

use crate::error::StoreError;
use crate::http::{Answer, Asked, Client, refused};
use crate::patience::{Attempts, Patience};
use crate::reading::{Asking, Resumed};
use std::io::Read;
use std::time::Duration;
use ureq::http::Request;
use ureq::http::request::Builder;
use url::Url;

/// How long an object may take to appear that an earlier attempt has asked for. Whoever may not look
/// waits for nothing.
const APPEARING: Duration = Duration::from_secs(60);

/// A server.
pub(crate) struct Host {
    client: Client,
    name: String,
}

impl Host {
    /// The one that `url` names.
    pub(crate) fn of(url: &Url, client: Client) -> Self {
        Self {
            client,
            name: url.host_str().unwrap_or_default().to_owned(),
        }
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// See [`Client::send`].
    pub(crate) fn send(
        &self,
        action: &str,
        body: &[u8],
        request: impl FnMut() -> Result<Request<()>, StoreError>,
        repeat: impl FnMut(&Answer) -> bool,
    ) -> Result<(Answer, bool), StoreError> {
        self.client.send(self.asked(action), body, request, repeat)
    }

    /// After a request that was repeated and then refused: whether an earlier attempt arrived, and
    /// only its answer did not. `is_ours` says whether what is there is what was sent, or `None` if
    /// there is nothing: the server may still be busy with it.
    pub(crate) fn has_arrived(&self, mut is_ours: impl FnMut() -> Option<bool>) -> bool {
        let patience = self.client.patience();
        let patience = Patience {
            give_up: patience.give_up.min(APPEARING),
            ..patience.clone()
        };
        let mut attempts = Attempts::new(&patience);
        loop {
            if let Some(is_ours) = is_ours() {
                attempts.done();
                return is_ours;
            }
            if !attempts.again(None) {
                return false;
            }
        }
    }

    /// The request that `builder` has, with `headers`.
    pub(crate) fn request(
        &self,
        mut builder: Builder,
        headers: &[(&str, &str)],
    ) -> Result<Request<()>, StoreError> {
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let request = builder.body(());
        request.map_err(|error| self.strange("making a request", error))
    }

    /// Reads what `asking` asks for, from the byte `from` on.
    pub(crate) fn read(
        &self,
        from: u64,
        asking: Asking,
    ) -> Result<Box<dyn Read + Send>, StoreError> {
        Resumed::open(self.client.clone(), self.name.clone(), from, asking)
    }

    /// Requires that `answer` is a success.
    pub(crate) fn done(&self, action: &str, answer: &Answer) -> Result<(), StoreError> {
        match answer.is_success() {
            true => Ok(()),
            false => Err(self.refused(action, answer)),
        }
    }

    /// The refusal that `answer` is.
    pub(crate) fn refused(&self, action: &str, answer: &Answer) -> StoreError {
        refused(self.asked(action), answer)
    }

    /// The answer is not what the protocol says.
    pub(crate) fn strange(&self, action: &str, reason: impl ToString) -> StoreError {
        self.asked(action).strange(reason)
    }

    /// The server has something with this name already.
    pub(crate) fn exists(&self, action: &str) -> StoreError {
        StoreError::Refused {
            action: action.to_owned(),
            host: self.name.clone(),
            status: "that it has one".to_owned(),
            message: String::new(),
            hint: "; nothing is ever replaced: give the image another name",
        }
    }

    fn asked<'a>(&'a self, action: &'a str) -> Asked<'a> {
        Asked {
            action,
            host: &self.name,
        }
    }
}
