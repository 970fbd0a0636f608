// Property: no bytes make the frame decoder panic; a frame that checks is written again as exactly its own bytes, and
// its body is right only if its records are read whole and add up.
#![no_main]

use everlog::fuzzing;
use libfuzzer_sys::fuzz_target;

const SALT: u64 = 0x0123_4567_89ab_cdef;
const OFFSET: u64 = 8192;

fuzz_target!(|input: &[u8]| {
    let Some((control, bytes)) = input.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if control & 1 == 1 {
        fuzzing::repair_frame(&mut bytes, SALT, OFFSET);
    }
    let Ok(Some(frame)) = fuzzing::read_frame(&bytes, SALT, OFFSET) else { return };
    let (again, _) = fuzzing::write_frame(&frame, SALT).expect("a kind that was read");
    assert_eq!(again, bytes[..again.len()]);
    if let Ok(true) = fuzzing::check_body(&frame.body, frame.record_count, frame.continues) {
        let (records, error) = fuzzing::read_records(&frame.body);
        assert!(error.is_none());
        assert_eq!(records.len(), frame.record_count as usize);
        assert!(records.last().is_none_or(|record| record.end != frame.continues));
    }
});
