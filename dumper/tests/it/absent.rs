// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a program that was built without some of its parts says when it is asked for them.

use assert_cmd::Command;
use predicates::str::contains;
use std::fs;

/// Command lines, and what the answer names.
const ABSENT: &[(&[&str], &str)] = &[
    #[cfg(not(feature = "encrypt"))]
    (&["a.core", "--encrypt-to", "age1x"], "feature `encrypt`"),
    #[cfg(not(feature = "encrypt"))]
    (
        &["info", "a.core.age", "--identity", "key"],
        "feature `encrypt`",
    ),
    #[cfg(not(feature = "remote"))]
    (&["--to", "linpmem://lab:4444#secret"], "feature `remote`"),
    #[cfg(not(feature = "remote"))]
    (&["--to", "@address"], "feature `remote`"),
    #[cfg(not(feature = "remote"))]
    (&["--to", "lab:4444"], "begins with linpmem://"),
    #[cfg(not(feature = "remote"))]
    (&["receive"], "feature `remote`"),
    #[cfg(not(feature = "remote"))]
    (&["help", "receive"], "'receive'"),
    #[cfg(not(feature = "report"))]
    (&["help", "report"], "'report'"),
    #[cfg(not(feature = "sign"))]
    (&["a.core", "--sign-key", "key"], "'--sign-key'"),
    #[cfg(not(feature = "sign"))]
    (&["help", "sign"], "'sign'"),
    #[cfg(not(feature = "stores"))]
    (&["--to", "s3://bucket/folder/"], "feature `stores`"),
    #[cfg(not(feature = "stores"))]
    (&["--to", "https://user:secret@host/"], "feature `stores`"),
    #[cfg(not(feature = "stores"))]
    (&["--to", "@bundle"], "feature `stores`"),
    #[cfg(not(feature = "stores"))]
    (&["verify", "s3://bucket/a.core"], "feature `stores`"),
    #[cfg(not(feature = "stores"))]
    (&["help", "index"], "'index'"),
    #[cfg(not(feature = "stores"))]
    (&["help", "presign"], "'presign'"),
    #[cfg(not(feature = "timestamp"))]
    (&["help", "timestamp"], "'timestamp'"),
];

#[test]
fn what_was_left_out_is_said() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("address"), "linpmem://lab:4444#secret\n").unwrap();
    fs::write(folder.path().join("bundle"), "{}").unwrap();
    for (words, answer) in ABSENT {
        let mut command = Command::cargo_bin("linpmem-dump").unwrap();
        let run = command.current_dir(folder.path()).args(*words).assert();
        let run = run.code(2).stderr(contains(*answer));
        let text = String::from_utf8(run.get_output().stderr.clone()).unwrap();
        assert!(!text.contains("secret"), "{text}");
    }
    // Nothing was begun.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}
