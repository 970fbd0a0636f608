// Property: no text makes the readers of values, paths, changes and documents in runs panic, hang or recurse without bound,
// and what they read reads back from its own text.
#![no_main]

use everlog::fuzzing::{read_change, read_document};
use everlog::store::{IntoPath, Value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(value) = Value::parse(input) {
        let text = value.to_string();
        assert_eq!(text.len() as u64, value.bytes());
        assert_eq!(Value::parse(text.as_bytes()).expect("own text"), value);
    }
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(path) = text.into_path()
    {
        assert_eq!(path.to_string().as_str().into_path().expect("own text"), path);
        assert_eq!(path.to_pointer().as_str().into_path().expect("own pointer"), path);
    }
    if let Ok(written) = read_change(input) {
        assert_eq!(read_change(&written).expect("own record"), written);
    }
    if let Ok(written) = read_document(input) {
        assert_eq!(read_document(&written).expect("own bytes"), written);
    }
});
