// SPDX-License-Identifier: MIT OR Apache-2.0
//! OpenSSL as an authority for timestamps, and as the judge of ours.

use crate::vouchers::Vouchers;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

/// What an authority is like.
#[derive(Clone, Copy, Debug)]
pub struct Traits<'a> {
    /// The extended key usage of its certificate.
    pub usage: &'a str,
    /// When its certificate begins and ends to be valid: YYYYMMDDhhmmssZ.
    pub valid: [&'a str; 2],
    /// The same for its certificate authority.
    pub authority_valid: [&'a str; 2],
    /// The algorithm of its key, as `openssl genpkey` has it.
    pub key: &'a [&'a str],
    /// The hash that names its certificate: sha1, or sha256.
    pub certificate_hash: &'a str,
    /// Digits after the second.
    pub digits: u8,
}

impl Default for Traits<'_> {
    fn default() -> Self {
        Self {
            usage: "critical,timeStamping",
            valid: ["20200101000000Z", "20990101000000Z"],
            authority_valid: ["20200101000000Z", "20990101000000Z"],
            key: &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            certificate_hash: "sha256",
            digits: 0,
        }
    }
}

/// An authority with a certificate authority of its own, in a folder.
#[derive(Clone, Debug)]
pub struct TimestampAuthority {
    folder: PathBuf,
    vouchers: Vouchers,
}

impl TimestampAuthority {
    /// Makes one in `folder`, which exists and is empty.
    ///
    /// # Errors
    /// When OpenSSL is missing, or refuses to.
    pub fn create(folder: &Path, traits: &Traits<'_>) -> Result<Self> {
        let authority = Self {
            folder: folder.to_path_buf(),
            vouchers: Vouchers::open()?,
        };
        let Traits {
            usage,
            valid: [from, to],
            authority_valid: [authority_from, authority_to],
            key,
            certificate_hash,
            digits,
        } = traits;
        let configuration = format!(
            "[ca]\ndefault_ca=own\n[own]\ndatabase=index\nnew_certs_dir=.\nserial=number\n\
             default_md=sha256\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n\
             [root]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n\
             subjectKeyIdentifier=hash\n\
             [stamps]\nextendedKeyUsage={usage}\nkeyUsage=critical,digitalSignature\n\
             [req]\ndistinguished_name=nobody\n[nobody]\n\
             [tsa]\ndefault_tsa=one\n[one]\nserial=stamps\nsigner_cert=tsa.pem\ncerts=ca.pem\n\
             signer_key=tsa.key\nsigner_digest=sha256\ndefault_policy=1.2.3.4.1\n\
             digests=sha256,sha512\naccuracy=secs:1,millisecs:500\n\
             clock_precision_digits={digits}\ness_cert_id_alg={certificate_hash}\n"
        );
        for (name, content) in [
            ("configuration", configuration.as_str()),
            ("index", ""),
            ("number", "01\n"),
            ("stamps", "01\n"),
        ] {
            fs::write(folder.join(name), content)?;
        }
        let generate = |name| authority.run(&[&["genpkey", "-out", name], *key].concat());
        generate("root.key")?;
        generate("ca.key")?;
        generate("tsa.key")?;
        for (name, subject) in [
            ("root", "/CN=Test root"),
            ("ca", "/CN=Test authority"),
            ("tsa", "/CN=Test \u{202e}TSA"),
        ] {
            let (key, request) = (format!("{name}.key"), format!("{name}.csr"));
            authority.run(&[
                "req",
                "-new",
                "-config",
                "configuration",
                "-utf8",
                "-subj",
                subject,
                "-key",
                &key,
                "-out",
                &request,
            ])?;
        }
        let sign = ["ca", "-batch", "-notext", "-config", "configuration"];
        let root = [
            "-selfsign",
            "-keyfile",
            "root.key",
            "-in",
            "root.csr",
            "-out",
            "root.pem",
            "-extensions",
            "root",
            "-startdate",
            authority_from,
            "-enddate",
            authority_to,
        ];
        let between = [
            "-cert",
            "root.pem",
            "-keyfile",
            "root.key",
            "-in",
            "ca.csr",
            "-out",
            "ca.pem",
            "-extensions",
            "root",
            "-startdate",
            "20200101000000Z",
            "-enddate",
            "20990101000000Z",
        ];
        let stamps = [
            "-cert",
            "ca.pem",
            "-keyfile",
            "ca.key",
            "-in",
            "tsa.csr",
            "-out",
            "tsa.pem",
            "-extensions",
            "stamps",
            "-startdate",
            from,
            "-enddate",
            to,
        ];
        authority.run(&[&sign[..], &root].concat())?;
        authority.run(&[&sign[..], &between].concat())?;
        authority.run(&[&sign[..], &stamps].concat())?;
        Ok(authority)
    }

    /// The root of its certificates, in PEM; its answers have the certificate between.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.join("root.pem")
    }

    /// Its answer to `request`.
    ///
    /// # Errors
    /// When OpenSSL fails; a refusal is an answer.
    pub fn answer(&self, request: &[u8]) -> Result<Vec<u8>> {
        fs::write(self.folder.join("request"), request)?;
        let words = [
            "ts",
            "-reply",
            "-config",
            "configuration",
            "-queryfile",
            "request",
        ];
        let output = self.openssl(&words).output()?;
        ensure!(
            output.status.success(),
            "openssl ts -reply: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(output.stdout)
    }

    /// `content` as signed data, as its answers have it, whatever its certificate is for. In
    /// answers, OpenSSL refuses to use one that is not for timestamps.
    ///
    /// # Errors
    /// When OpenSSL fails.
    pub fn sign(&self, content: &[u8]) -> Result<Vec<u8>> {
        self.cms(content, &["-cades"])
    }

    /// The same without the attribute that names the certificate.
    ///
    /// # Errors
    /// When OpenSSL fails.
    pub fn sign_plainly(&self, content: &[u8]) -> Result<Vec<u8>> {
        self.cms(content, &[])
    }

    fn cms(&self, content: &[u8], more: &[&str]) -> Result<Vec<u8>> {
        fs::write(self.folder.join("content"), content)?;
        let words = [
            "cms",
            "-sign",
            "-binary",
            "-nodetach",
            "-econtent_type",
            "1.2.840.113549.1.9.16.1.4",
            "-md",
            "sha256",
            "-in",
            "content",
            "-signer",
            "tsa.pem",
            "-inkey",
            "tsa.key",
            "-certfile",
            "ca.pem",
            "-outform",
            "DER",
        ];
        let output = self.openssl(&[&words, more].concat()).output()?;
        ensure!(
            output.status.success(),
            "openssl cms -sign: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(output.stdout)
    }

    /// Whether OpenSSL takes the answer at `reply` for one by this authority about the file at
    /// `data`; the error is what it says.
    ///
    /// # Errors
    /// When it does not.
    pub fn accepts(&self, reply: &Path, data: &Path) -> Result<()> {
        let mut command = self.openssl(&["ts", "-verify", "-CAfile", "root.pem", "-in"]);
        let output = command.arg(reply).arg("-data").arg(data).output()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        ensure!(output.status.success(), "openssl ts -verify: {said}");
        Ok(())
    }

    /// Answers the next request to a port of this machine over HTTP, as `spoil` changes the
    /// answer; returns the address.
    ///
    /// # Errors
    /// When there is no port.
    pub fn serve(
        &self,
        spoil: impl FnOnce(Vec<u8>) -> Vec<u8> + Send + 'static,
    ) -> io::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/tsa", listener.local_addr()?);
        let authority = self.clone();
        thread::spawn(move || authority.serve_one(&listener, spoil));
        Ok(url)
    }

    fn serve_one(
        &self,
        listener: &TcpListener,
        spoil: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) -> Result<()> {
        let (stream, _) = listener.accept()?;
        let mut reader = BufReader::new(&stream);
        let mut length = 0;
        let mut is_query = false;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            is_query |= line == "content-type: application/timestamp-query";
            if let Some(count) = line.strip_prefix("content-length: ") {
                length = count.parse().context("a length that is no number")?;
            }
        }
        ensure!(is_query, "not a request for a timestamp");
        let mut request = vec![0; length];
        reader.read_exact(&mut request)?;
        let answer = spoil(self.answer(&request)?);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            answer.len()
        );
        let mut out = &stream;
        out.write_all(head.as_bytes())?;
        out.write_all(&answer)?;
        Ok(())
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        let output = self.openssl(words).output()?;
        ensure!(
            output.status.success(),
            "openssl {}: {}",
            words.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    fn openssl(&self, words: &[&str]) -> Command {
        let mut command = self.vouchers.openssl();
        command.args(words).current_dir(&self.folder);
        command.stdin(Stdio::null());
        command
    }
}
