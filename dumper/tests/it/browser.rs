// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page about an acquisition in a browser: it fits narrow and wide windows, can be read in the
//! light and in the dark, loads nothing and runs nothing.

use crate::report::{acquired, dump};
use linpmem_testkit::browser::{Browser, Scheme};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A page with scripts that shows the page about the acquisition at several widths, and writes down
/// what it finds in it. A script or a picture in that one would be noticed: `parent.owned`, and what
/// was asked for.
const OBSERVER: &str = r#"<!DOCTYPE html><html><body><script>
const widths = [400, 800, 1600], found = [];
function light(color) {
    const part = value => {
        value /= 255;
        return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    };
    const [red, green, blue] = color.match(/[\d.]+/g).map(Number);
    return 0.2126 * part(red) + 0.7152 * part(green) + 0.0722 * part(blue);
}
function behind(element, view) {
    for (let at = element; at; at = at.parentElement) {
        const color = view.getComputedStyle(at).backgroundColor;
        if (color !== 'rgba(0, 0, 0, 0)') return color;
    }
    return 'rgb(255, 255, 255)';
}
for (const width of widths) {
    const frame = document.createElement('iframe');
    frame.style = `width: ${width}px; height: 1200px; border: 0`;
    frame.src = 'a.core.report.html';
    frame.onload = () => {
        const view = frame.contentWindow, page = frame.contentDocument;
        const dim = [];
        let texts = 0;
        for (const element of page.body.querySelectorAll('*')) {
            const own = [...element.childNodes].some(it => it.nodeType === 3 && it.data.trim());
            if (!own || element.closest('svg')) continue;
            texts += 1;
            const [front, back] = [view.getComputedStyle(element).color, behind(element, view)];
            const [high, low] = [light(front), light(back)].sort((a, b) => b - a);
            if ((high + 0.05) / (low + 0.05) < 4.5) dim.push(`${element.innerText}: ${front} on ${back}`);
        }
        found.push({
            width,
            overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
            background: view.getComputedStyle(page.body).backgroundColor,
            asked: view.performance.getEntriesByType('resource').map(it => it.name),
            owned: window.owned !== undefined,
            title: page.title,
            headings: page.querySelectorAll('h2').length,
            map: page.querySelectorAll('svg rect').length,
            texts,
            dim,
        });
        if (found.length < widths.length) return;
        const result = document.createElement('pre');
        result.id = 'result';
        result.textContent = encodeURIComponent(JSON.stringify(found));
        document.body.append(result);
    };
    document.body.append(frame);
}
</script></body></html>
"#;

/// What the browser finds at each width.
fn observed(folder: &Path, scheme: Scheme) -> Vec<Value> {
    fs::write(folder.join("observer.html"), OBSERVER).unwrap();
    let browser = Browser::open().unwrap();
    let dom = browser.dom(&folder.join("observer.html"), scheme).unwrap();
    let begin = dom.split_once("<pre id=\"result\">");
    let (_, rest) = begin.unwrap_or_else(|| panic!("no result: {dom}"));
    let text = rest.split_once('<').unwrap().0;
    let mut bytes = Vec::new();
    let mut left = text.bytes();
    while let Some(byte) = left.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [left.next().unwrap(), left.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn a_page_can_be_read_at_every_width_in_the_light_and_in_the_dark() {
    // The browser's tree has the temporary folder at the same place.
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let hostile = "</style></title><script>parent.owned = 1</script><img src=http://127.0.0.1/x \
                   onerror='parent.owned = 2'>";
    let long = "x".repeat(300);
    acquired(
        folder,
        &["--operator", hostile, "--case", &long, "--note", hostile],
    );
    dump(folder, &["report", "a.core"]).assert().code(0);
    let mut backgrounds = Vec::new();
    for scheme in [Scheme::Light, Scheme::Dark] {
        let found = observed(folder, scheme);
        assert_eq!(found.len(), 3);
        for page in &found {
            assert_eq!(page["overflow"], 0, "{page:#}");
            assert_eq!(page["asked"], serde_json::json!([]), "{page:#}");
            assert_eq!(page["owned"], false, "{page:#}");
            assert_eq!(page["dim"], serde_json::json!([]), "{page:#}");
            assert!(page["title"].as_str().unwrap().starts_with("Memory of "));
            assert!(page["headings"].as_u64() >= Some(3), "{page:#}");
            assert!(page["map"].as_u64() >= Some(1), "{page:#}");
            assert!(page["texts"].as_u64() >= Some(30), "{page:#}");
        }
        backgrounds.push(found[0]["background"].clone());
    }
    assert_ne!(backgrounds[0], backgrounds[1]);
}
