// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's machine protocol.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A connection to QEMU's monitor.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Negotiates with the monitor on `stream`.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn new(stream: UnixStream) -> Result<Self> {
        // pmemsave answers once everything is saved.
        stream.set_read_timeout(Some(Duration::from_secs(300)))?;
        let mut qmp = Self {
            stream: BufReader::new(stream),
        };
        let greeting = qmp.next()?;
        if greeting.get("QMP").is_none() {
            bail!("an unexpected greeting from QEMU's monitor: {greeting}");
        }
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs `command` and returns its result. Events are skipped.
    ///
    /// # Errors
    /// When QEMU refuses or is gone.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let request = json!({"execute": command, "arguments": arguments});
        let stream = self.stream.get_mut();
        writeln!(stream, "{request}").with_context(|| format!("sending {command} to QEMU"))?;
        loop {
            let mut answer = self.next().with_context(|| format!("QEMU's {command}"))?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                bail!("QEMU refused {command}: {error}");
            }
        }
    }

    /// Runs a command of the human monitor and returns its text.
    ///
    /// # Errors
    /// When QEMU refuses or is gone.
    pub fn human(&mut self, line: &str) -> Result<String> {
        let value = self.execute("human-monitor-command", json!({"command-line": line}))?;
        Ok(value.as_str().unwrap_or_default().to_owned())
    }

    fn next(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("QEMU has ended");
        }
        serde_json::from_str(&line)
            .with_context(|| format!("an unexpected answer from QEMU: {line}"))
    }
}
