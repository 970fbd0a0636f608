// Property: no bytes make the record decoder panic; what is read is written again as exactly the bytes it was read
// from.
#![no_main]

use everlog::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let (records, error) = fuzzing::read_records(body);
    let again = fuzzing::write_records(&records);
    assert_eq!(again, body[..again.len()]);
    assert_eq!(error.is_none(), again.len() == body.len());
    for continues in [false, true] {
        drop(fuzzing::check_body(body, records.len() as u32, continues));
    }
});
