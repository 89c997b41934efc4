use super::*;
use crate::backend::Stored;
use std::io::Read;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};
use url::Url;

const PART: usize = 100;

fn bytes(len: usize) -> u64 {
    u64::try_from(len).unwrap()
}

/// A store in memory.
#[derive(Default)]
struct Memory(Arc<Inner>);

#[derive(Default)]
struct Inner {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    aborted: Mutex<Vec<String>>,
    is_sequential: bool,
    /// The part that is never taken.
    refused: Option<u32>,
    parts: AtomicU32,
}

struct Pending {
    inner: Arc<Inner>,
    key: String,
    parts: Mutex<BTreeMap<u32, Vec<u8>>>,
}

impl Backend for Memory {
    fn base(&self) -> Url {
        Url::parse("http://localhost").unwrap()
    }

    fn limits(&self) -> Limits {
        Limits {
            most_parts: 9,
            granule: 1,
            is_sequential: self.0.is_sequential,
            are_parts_objects: false,
            fixed_part_bytes: None,
        }
    }

    fn begin(&self, key: &str) -> Result<Box<dyn Parts>, StoreError> {
        Ok(Box::new(Pending {
            inner: Arc::clone(&self.0),
            key: key.to_owned(),
            parts: Mutex::default(),
        }))
    }

    fn put(&self, _: &str, _: &[u8], _: &Sums) -> Result<(), StoreError> {
        Err(StoreError::Ended)
    }

    fn head(&self, _: &str) -> Result<Option<Stored>, StoreError> {
        Err(StoreError::Ended)
    }

    fn get(&self, _: &str, _: u64) -> Result<Box<dyn Read + Send>, StoreError> {
        Err(StoreError::Ended)
    }

    fn list(&self, _: &str) -> Result<Vec<(String, u64)>, StoreError> {
        Err(StoreError::Ended)
    }
}

impl Parts for Pending {
    fn part(&self, part: &Part<'_>) -> Result<Kept, StoreError> {
        let before = self.inner.parts.fetch_add(1, Ordering::SeqCst);
        if self.inner.is_sequential {
            assert_eq!(before, part.number);
        }
        if self.inner.refused == Some(part.number) {
            // Those after it arrive first.
            let begun = Instant::now();
            while self.parts.lock().unwrap().keys().max() < Some(&(part.number + 2)) {
                assert!(begun.elapsed() < Duration::from_secs(60));
                sleep(Duration::from_millis(1));
            }
            return Err(StoreError::Ended);
        }
        assert_eq!(part.offset, u64::from(part.number) * bytes(PART));
        let mut parts = self.parts.lock().unwrap();
        parts.insert(part.number, part.bytes.to_vec());
        Ok(Kept {
            length: bytes(part.bytes.len()),
            sha256: part.sums.sha256,
            tag: String::new(),
        })
    }

    fn complete(&self, kept: &[Kept]) -> Result<(), StoreError> {
        let parts = self.parts.lock().unwrap();
        let whole = parts.values().take(kept.len()).flatten().copied().collect();
        let mut objects = self.inner.objects.lock().unwrap();
        objects.insert(self.key.clone(), whole);
        Ok(())
    }

    fn abort(&self) -> Result<(), StoreError> {
        self.inner.aborted.lock().unwrap().push(self.key.clone());
        Ok(())
    }

    fn leftover(&self) -> Option<String> {
        Some(format!("parts of {}", self.key))
    }
}

fn begin(inner: &Arc<Inner>, parts_per_object: Option<u32>) -> Upload {
    let sizes = PartSizes {
        part_bytes: PART,
        in_flight: 3,
        parts_per_object,
    };
    Upload::begin(Arc::new(Memory(Arc::clone(inner))), "x", sizes).unwrap()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

#[test]
fn pieces_of_any_length_become_parts_of_one() {
    for (len, piece) in [
        (0, 1),
        (1, 1),
        (PART, 7),
        (PART + 1, 300),
        (9 * PART, PART),
        (850, 33),
    ] {
        let inner = Arc::new(Inner::default());
        let mut upload = begin(&inner, None);
        let bytes = pattern(len);
        for piece in bytes.chunks(piece) {
            upload.bytes(piece).unwrap();
        }
        upload.drain().unwrap();
        let [object] = &upload.objects()[..] else {
            panic!("it is not one");
        };
        assert_eq!(object.length, self::bytes(len));
        assert_eq!(object.sha256.len(), len.div_ceil(PART).max(1), "{len}");
        // There is nothing before it is complete.
        assert!(inner.objects.lock().unwrap().is_empty());
        upload.complete().unwrap();
        assert_eq!(inner.objects.lock().unwrap()["x"], bytes);
        assert!(upload.leftovers().is_empty());
    }
}

#[test]
fn zeros_are_bytes_as_well() {
    let inner = Arc::new(Inner::default());
    let mut upload = begin(&inner, None);
    upload.bytes(b"a").unwrap();
    upload.zeros(333).unwrap();
    upload.bytes(b"b").unwrap();
    upload.drain().unwrap();
    upload.complete().unwrap();
    let expected = [&b"a"[..], &[0; 333], b"b"].concat();
    assert_eq!(inner.objects.lock().unwrap()["x"], expected);
}

#[test]
fn more_parts_than_an_object_has_become_several() {
    for len in [1, 3 * PART, 3 * PART + 1, 10 * PART] {
        let inner = Arc::new(Inner::default());
        let mut upload = begin(&inner, Some(3));
        let bytes = pattern(len);
        upload.bytes(&bytes).unwrap();
        upload.drain().unwrap();
        upload.complete().unwrap();
        let objects = inner.objects.lock().unwrap();
        let names: Vec<_> = objects.keys().cloned().collect();
        let expected: Vec<_> = (0..len.div_ceil(3 * PART))
            .map(|number| format!("x.{number:05}"))
            .collect();
        assert_eq!(names, expected, "{len}");
        let joined: Vec<u8> = objects.values().flatten().copied().collect();
        assert_eq!(joined, bytes, "{len}");
    }
}

#[test]
fn a_store_that_appends_gets_one_part_after_the_other() {
    let inner = Arc::new(Inner {
        is_sequential: true,
        ..Inner::default()
    });
    let mut upload = begin(&inner, None);
    upload.bytes(&pattern(850)).unwrap();
    upload.drain().unwrap();
    upload.complete().unwrap();
    assert_eq!(inner.objects.lock().unwrap()["x"], pattern(850));
}

/// What comes after a hole is not where it belongs.
#[test]
fn of_an_upload_that_failed_what_is_before_the_missing_part_counts() {
    let inner = Arc::new(Inner {
        refused: Some(2),
        ..Inner::default()
    });
    let mut upload = begin(&inner, None);
    let sent = (0..9).try_for_each(|_| upload.bytes(&[7; PART]));
    let ended = sent.and_then(|()| upload.drain());
    assert_eq!(ended, Err(StoreError::Ended));
    let _ = upload.drain();
    let [object] = &upload.objects()[..] else {
        panic!("it is not one");
    };
    assert_eq!(object.length, bytes(2 * PART));
    assert_eq!(upload.leftovers(), ["parts of x"]);
    upload.complete().unwrap();
    assert_eq!(inner.objects.lock().unwrap()["x"], [7; 2 * PART]);
}

#[test]
fn an_upload_that_got_nothing_is_removed_and_another_is_not() {
    let inner = Arc::new(Inner::default());
    drop(begin(&inner, None));
    assert_eq!(*inner.aborted.lock().unwrap(), ["x"]);
    let mut upload = begin(&inner, None);
    upload.bytes(&[7; 2 * PART + 1]).unwrap();
    upload.drain().unwrap();
    drop(upload);
    assert_eq!(inner.aborted.lock().unwrap().len(), 1);
}

#[test]
fn more_parts_than_a_store_takes_are_refused() {
    let inner = Arc::new(Inner::default());
    let mut upload = begin(&inner, None);
    let sent = (0..30).try_for_each(|_| upload.bytes(&[7; PART]));
    assert!(matches!(sent, Err(StoreError::TooManyParts { .. })));
}
