use super::*;
use crate::patience::Patience;
use serde_json::json;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Gives one answer to each connection, and returns the verbs of the requests.
fn scripted(answers: &'static [&'static str]) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let mut verbs = Vec::new();
        for answer in answers {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            let is_whole = |request: &[u8]| {
                let text = String::from_utf8_lossy(request);
                let body = match text.starts_with("POST") {
                    true => "</CompleteMultipartUpload>",
                    false => "\r\n\r\n",
                };
                text.ends_with(body)
            };
            while !is_whole(&request) {
                let count = client.read(&mut buffer).unwrap();
                assert!(count > 0, "the request ends early");
                request.extend_from_slice(&buffer[..count]);
            }
            let text = String::from_utf8_lossy(&request).into_owned();
            verbs.push(text.split(' ').next().unwrap().to_owned());
            client.write_all(answer.as_bytes()).unwrap();
        }
        verbs
    });
    (address, server)
}

fn upload(server: SocketAddr) -> Upload {
    let signature = "0".repeat(64);
    let signed =
        |path: &str| format!("http://{server}/b/{path}?uploadId=u&X-Amz-Signature={signature}");
    let bundle = json!({
        "format": "linpmem bundle",
        "version": 1,
        "bucket": "b",
        "key": "x.core",
        "expires": "2099-01-01T00:00:00Z",
        "part_bytes": 8 << 20,
        "parts": {
            "url": format!("http://{server}/b/x.core?uploadId=u"),
            "signatures": [signature],
        },
        "complete": signed("x.core"),
        "abort": signed("x.core"),
        "objects": { "x.core": { "head": signed("x.core") } },
    });
    let bundle = Arc::new(Bundle::parse(&bundle.to_string()).unwrap());
    let patience = Patience::quiet(Duration::from_secs(30));
    let client = Client::new(None, patience).unwrap();
    Upload {
        shared: Presigned::open(&bundle, client).unwrap().0,
        is_used: AtomicBool::new(true),
    }
}

const LOST: &str = "";
const NO_UPLOAD: &str = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const NOTHING: &str = "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n";
const FIVE_BYTES: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n";

fn parts(length: u64) -> [Kept; 1] {
    [Kept {
        length,
        sha256: [0; 32],
        tag: "tag".to_owned(),
    }]
}

#[test]
fn an_image_appears_after_its_completion_was_lost() {
    // The store is still busy with the first request when it refuses the second.
    let answers = &[LOST, NO_UPLOAD, NOTHING, NOTHING, FIVE_BYTES];
    let (address, server) = scripted(answers);
    upload(address).complete(&parts(5)).unwrap();
    assert_eq!(
        server.join().unwrap(),
        ["POST", "POST", "HEAD", "HEAD", "HEAD"]
    );
}

#[test]
fn somebody_elses_image_is_no_completion() {
    let (address, server) = scripted(&[LOST, NO_UPLOAD, FIVE_BYTES]);
    let refused = upload(address).complete(&parts(6)).unwrap_err();
    assert!(refused.to_string().contains("403"), "{refused}");
    assert_eq!(server.join().unwrap(), ["POST", "POST", "HEAD"]);

    // Without a lost answer, nobody looks.
    let (address, server) = scripted(&[NO_UPLOAD]);
    let refused = upload(address).complete(&parts(5)).unwrap_err();
    assert!(refused.to_string().contains("403"), "{refused}");
    assert_eq!(server.join().unwrap(), ["POST"]);
}
