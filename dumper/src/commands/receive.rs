// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump receive`: images of other machines.

use crate::args::ReceiveArgs;
use crate::text::receive::{Listening, Log};
use linpmem_capture::receive::ReceiveFolder;
use linpmem_capture::stop::Stop;
use linpmem_capture::{Address, AddressError, Identity, IdentityError, Policy, Token};
use linpmem_cli::{Document, ExitStatus, Stderr, StdoutError};
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often it is said what arrives.
const REPORT: Duration = Duration::from_secs(5);

/// Images that could not be received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// Not an address.
    #[error("{0} is no ADDRESS:PORT to listen at, such as 0.0.0.0:4444 or [::]:4444")]
    Listen(String),
    /// The address cannot be had.
    #[error("listening at {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The folder cannot be written to.
    #[error("{path} is not a folder for images: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] IdentityError),
    /// The token's file cannot be used.
    #[error("the token {path}: {reason}")]
    Token {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The name of this machine cannot be part of an address.
    #[error("{host} cannot be in an address: name this machine by --as")]
    Host {
        /// The name.
        host: String,
        /// The reason.
        source: AddressError,
    },
    /// Nobody reads the address.
    #[error(transparent)]
    Stdout(#[from] StdoutError),
    /// Any other error of the system.
    #[error("{action}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

/// Receives as `args` say, until a signal or, with --once, the end of the image.
///
/// # Errors
/// If nothing can be received.
pub fn receive(
    args: &ReceiveArgs,
    out: &mut impl Write,
    stderr: Stderr,
) -> Result<ExitStatus, ReceiveError> {
    let io = |action| move |source| ReceiveError::Io { action, source };
    let folder = |source| ReceiveError::Folder {
        path: args.out.clone(),
        source,
    };
    if !fs::metadata(&args.out).map_err(folder)?.is_dir() {
        return Err(folder(io::ErrorKind::NotADirectory.into()));
    }
    let listen = listen_address(&args.listen)?;
    let identity = match &args.key {
        Some(path) => Identity::load_or_create(path)?,
        None => Identity::generate()?,
    };
    let token = match &args.token_file {
        Some(path) => kept_token(path)?,
        None => Token::generate().map_err(io("making a token"))?,
    };
    let key = identity.public_key();
    raise_open_files();
    let log = Log::new(stderr);
    let store = ReceiveFolder::new(
        args.out.clone(),
        identity,
        args.limits(),
        Box::new(log.clone()),
    );
    let policy = Policy {
        token: token.clone(),
        is_once: args.once,
    };
    let bind = |source| ReceiveError::Bind {
        address: listen,
        source,
    };
    let receiver = store.bind(listen, policy).map_err(bind)?;
    let bound = receiver.local_addr().map_err(bind)?;
    let host = args.host.clone().unwrap_or_else(|| own_host(bound));
    let address = Address::new(&host, bound.port(), key, token)
        .map_err(|source| ReceiveError::Host { host, source })?;
    let listening = Listening {
        folder: args.out.to_string_lossy().into_owned(),
        listen: bound.to_string(),
        to: address.reveal(),
        once: args.once,
    };
    listening.print(args.json, out)?;
    stderr.begin(Listening::FORMAT);
    let stop = Stop::on_signals().map_err(io("catching signals"))?;
    let (end, ended) = crossbeam_channel::bounded::<()>(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while ended.recv_timeout(REPORT) == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
                log.arrivals(&store.arrivals());
            }
        });
        let served = receiver.serve(&store, &|| stop.is_raised());
        drop(end);
        served
    })
    .map_err(io("receiving"))?;
    Ok(log.exit_status(args.once))
}

fn listen_address(text: &str) -> Result<SocketAddr, ReceiveError> {
    let wrong = || ReceiveError::Listen(text.to_owned());
    // A port alone, as it is typed in a hurry.
    let text = match text.strip_prefix(':').unwrap_or(text) {
        port if port.parse::<u16>().is_ok() => format!("0.0.0.0:{port}"),
        text => text.to_owned(),
    };
    let mut found = text.to_socket_addrs().map_err(|_| wrong())?;
    found.next().ok_or_else(wrong)
}

/// The address by which others probably reach this machine.
fn own_host(bound: SocketAddr) -> String {
    if !bound.ip().is_unspecified() {
        return bound.ip().to_string();
    }
    // Sends nothing: it only asks which way a packet to the documentation's addresses
    // (RFC 5737, RFC 3849) would take.
    let (any, outside) = match bound.is_ipv4() {
        true => ("0.0.0.0:0", "192.0.2.1:9"),
        false => ("[::]:0", "[2001:db8::1]:9"),
    };
    let route = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(outside)?;
        socket.local_addr()
    });
    match route {
        Ok(own) if !own.ip().is_unspecified() => own.ip().to_string(),
        _ => linpmem_capture::this_machine().hostname,
    }
}

/// The token in the file at `path`, which is made if it does not exist.
fn kept_token(path: &Path) -> Result<Token, ReceiveError> {
    let wrong = |reason: String| ReceiveError::Token {
        path: path.to_path_buf(),
        reason,
    };
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let token = Token::generate().map_err(|error| wrong(error.to_string()))?;
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .and_then(|mut file| writeln!(file, "{}", token.reveal()))
                .map_err(|error| wrong(error.to_string()))?;
            return Ok(token);
        }
        opened => opened.map_err(|error| wrong(error.to_string()))?,
    };
    let mode = file.metadata().map_err(|error| wrong(error.to_string()))?;
    if mode.mode() & 0o077 != 0 {
        return Err(wrong(
            "it can be read by others than its owner: chmod 600 it".to_owned(),
        ));
    }
    let mut text = String::new();
    file.take(100)
        .read_to_string(&mut text)
        .map_err(|error| wrong(error.to_string()))?;
    Token::parse(text.trim()).ok_or_else(|| wrong("it holds something else".to_owned()))
}

/// Each sender takes some open files; what the system allows is enough for many.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // With fewer, fewer are served at once.
    let _ = setrlimit(Resource::Nofile, limit);
}
