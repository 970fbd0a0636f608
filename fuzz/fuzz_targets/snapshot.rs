// Property: no bytes make the decoders of snapshot lists and runs panic or take memory out of proportion; a list is
// written again as its own bytes, and a run that checks whole gives the same ascending pairs mapped or read.
#![no_main]

use everlog::fuzzing;
use libfuzzer_sys::fuzz_target;

const NAME: &str = "00000000000000000042-0000000003.snap";
const ID: u64 = 0xfeed;
const JOURNAL: [u8; 16] = *b"journal of tests";

fuzz_target!(|input: &[u8]| {
    let Some((control, bytes)) = input.split_first() else { return };
    let (repair, mut bytes) = (control & 1 == 1, bytes.to_vec());
    if control & 2 == 0 {
        if repair {
            fuzzing::repair_list(&mut bytes, NAME);
        }
        if let Ok((again, runs)) = fuzzing::read_list(NAME, &bytes) {
            assert_eq!(again[64..], bytes[64..]);
            assert!(runs * 36 <= bytes.len());
        }
        return;
    }
    if repair {
        fuzzing::repair_run(&mut bytes, ID, JOURNAL);
    }
    let read = fuzzing::read_run(ID, JOURNAL, &bytes, false);
    let mapped = fuzzing::read_run(ID, JOURNAL, &bytes, true);
    assert_eq!(read.as_ref().ok(), mapped.as_ref().ok());
    if let Ok(pairs) = read {
        assert!(pairs.is_sorted_by(|one, next| one.0 < next.0));
    }
});
