use super::*;
use serde_json::{Value, json};

const SIGNATURE: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn signed(path: &str) -> String {
    format!("https://b.s3.amazonaws.com/{path}uploadId=u&X-Amz-Signature={SIGNATURE}")
}

fn good() -> Value {
    json!({
        "format": "linpmem bundle",
        "version": 1,
        "bucket": "b",
        "key": "a/x.core",
        "expires": "2026-11-27T08:15:00Z",
        "part_bytes": 8 << 20,
        "parts": {
            "url": "https://b.s3.amazonaws.com/a/x.core?X-Amz-Expires=1&uploadId=u",
            "signatures": [SIGNATURE, SIGNATURE],
        },
        "complete": signed("a/x.core?"),
        "abort": signed("a/x.core?"),
        "objects": {
            "a/x.core": { "head": signed("a/x.core?") },
            "a/x.core.sha256": { "head": signed("a/x.core.sha256?"), "put": signed("a/x.core.sha256?") },
        },
    })
}

fn parsed(value: &Value) -> Result<Bundle, BundleError> {
    Bundle::parse(&value.to_string())
}

#[test]
fn a_bundle_is_read_as_it_was_written() {
    let bundle = parsed(&good()).unwrap();
    assert_eq!(bundle.most_image_bytes(), 16 << 20);
    assert_eq!(bundle.upload_id().unwrap(), "u");
    let expected = format!(
        "https://b.s3.amazonaws.com/a/x.core?X-Amz-Expires=1&uploadId=u&partNumber=2\
         &X-Amz-Signature={SIGNATURE}"
    );
    assert_eq!(*bundle.part(1).unwrap(), expected);
    assert!(bundle.part(2).is_none());
    let text = bundle.to_json().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), good());
    assert!(!format!("{bundle:?}").contains(SIGNATURE));
}

#[test]
fn ten_thousand_parts_fit_into_what_is_read_of_a_file() {
    let mut value = good();
    value["parts"]["signatures"] = vec![SIGNATURE; MOST_PARTS].into();
    // The token of temporary credentials is in every address.
    let token = "A".repeat(4096);
    let with_token = |url: &str| {
        url.replace(
            "uploadId",
            &format!("X-Amz-Security-Token={token}&uploadId"),
        )
    };
    for name in ["complete", "abort"] {
        value[name] = with_token(value[name].as_str().unwrap()).into();
    }
    let bundle = parsed(&value).unwrap();
    let text = bundle.to_json().unwrap();
    assert!(text.len() < 2 << 20, "{}", text.len());
    assert_eq!(Bundle::parse(&text).unwrap().parts(), 10_000);
    value["parts"]["signatures"] = vec![SIGNATURE; MOST_PARTS + 1].into();
    assert!(matches!(parsed(&value), Err(BundleError::Wrong(_))));
}

#[test]
fn what_no_presigning_makes_is_refused() {
    let other = signed("a/x.core?").replace("b.s3", "c.s3");
    let other_port = signed("a/x.core?").replace(".com", ".com:444");
    let with_user = signed("a/x.core?").replace("//", "//me:secret@");
    let of_file = format!("file:///etc/passwd?X-Amz-Signature={SIGNATURE}");
    let unsigned = "https://b.s3.amazonaws.com/a/x.core?uploadId=u";
    let no_upload = format!("https://b.s3.amazonaws.com/?X-Amz-Signature={SIGNATURE}");
    let for_a_shell = signed("a/x.core?").replace("uploadId=u", "uploadId=$(id)");
    let unplain = signed("a/x.core?").replace("b.s3", "b\u{fc}");
    let spaced = format!(" {}", signed("a/x.core?"));
    for (pointer, value) in [
        ("/format", json!("zip")),
        ("/expires", json!("tomorrow")),
        ("/part_bytes", json!(0)),
        ("/part_bytes", json!(u64::MAX)),
        ("/part_bytes", json!(-1)),
        ("/part_bytes", json!("8388608")),
        ("/key", json!("a/y.core")),
        ("/parts/signatures", json!([])),
        ("/parts/signatures", json!(["0"])),
        ("/parts/signatures", json!([SIGNATURE.to_uppercase()])),
        ("/parts/url", json!(signed("a/x.core?"))),
        ("/parts/url", json!("https://b.s3.amazonaws.com/a/x.core")),
        (
            "/parts/url",
            json!("https://c.s3.amazonaws.com/a/x.core?uploadId=u"),
        ),
        (
            "/parts/url",
            json!("http://b.s3.amazonaws.com/a/x.core?uploadId=u"),
        ),
        ("/parts/url", json!("uploadId=u")),
        ("/complete", json!(other)),
        ("/complete", json!(other_port)),
        ("/complete", json!(with_user)),
        ("/complete", json!(of_file)),
        ("/complete", json!(unsigned)),
        ("/complete", json!(spaced)),
        ("/complete", json!(unplain)),
        ("/complete", json!(null)),
        ("/abort", json!(no_upload)),
        ("/abort", json!(for_a_shell)),
        ("/objects/a~1x.core/head", json!(other)),
        ("/objects/a~1x.core.sha256/put", json!(other)),
        ("/objects", json!({})),
        ("/objects", json!([])),
    ] {
        let mut changed = good();
        *changed.pointer_mut(pointer).unwrap() = value.clone();
        let found = parsed(&changed);
        assert!(found.is_err(), "{pointer} {value}");
        assert!(!found.unwrap_err().to_string().contains("secret"));
    }
}

#[test]
fn what_is_no_bundle_at_all_is_refused_in_a_line() {
    for text in [
        "{",
        "{}",
        "{\"format\": 1}",
        &"{\"a\":".repeat(10_000),
        &format!("{{}}{}", "x".repeat(99)),
    ] {
        let said = Bundle::parse(text).unwrap_err().to_string();
        assert!(!said.contains('\n') && said.len() < 500, "{said}");
    }
    let escape = json!({ "format": "\u{1b}[2J", "version": "\u{1b}[2J\n" });
    let said = parsed(&escape).unwrap_err().to_string();
    assert!(!said.contains(['\u{1b}', '\n']), "{said:?}");
    let mut newer = good();
    newer["version"] = json!(2);
    assert_eq!(parsed(&newer).unwrap_err(), BundleError::Version(2));
    let large = format!("{}{}", good(), " ".repeat(4 << 20));
    assert_eq!(Bundle::parse(&large).unwrap_err(), BundleError::TooLarge);
    assert!(Bundle::is_one("\n {"));
    assert!(!Bundle::is_one("s3://b/{"));
}
