// Property: no bytes make the decoders of birth header, root file, link and roll seal panic; what they read is read the
// same after it was written again.
#![no_main]

use everlog::fuzzing;
use libfuzzer_sys::fuzz_target;

const SALT: u64 = 0x0123_4567_89ab_cdef;
const CAPACITY: u64 = 65_536;

fuzz_target!(|input: &[u8]| {
    let Some((control, bytes)) = input.split_first() else { return };
    let (repair, mut bytes) = (control & 1 == 1, bytes.to_vec());
    match control >> 1 & 3 {
        0 => {
            if repair {
                fuzzing::repair_preamble(&mut bytes, b"EVLGSEG\n");
            }
            if let Ok(birth) = fuzzing::read_birth(&bytes) {
                assert_eq!(fuzzing::read_birth(&fuzzing::write_birth(&birth)).expect("written"), birth);
            }
        }
        1 => root(bytes, repair),
        2 => {
            if repair {
                fuzzing::repair_frame(&mut bytes, SALT, 4096);
            }
            if let Ok(Some((epoch, link))) = fuzzing::read_link(&bytes, SALT) {
                let again = fuzzing::write_link(link, epoch, SALT).expect("encodes");
                assert_eq!(fuzzing::read_link(&again, SALT).expect("known"), Some((epoch, link)));
            }
        }
        _ => {
            if repair {
                fuzzing::repair_frame(&mut bytes, SALT, CAPACITY - 4096);
            }
            if let Ok(Some(seal)) = fuzzing::read_roll_seal(&bytes, SALT, CAPACITY) {
                let again = fuzzing::write_roll_seal(seal, 1, SALT, CAPACITY).expect("encodes");
                assert_eq!(fuzzing::read_roll_seal(&again, SALT, CAPACITY).expect("known"), Some(seal));
            }
        }
    }
});

/// The input holds what stands at the front of an identity and of a slot; the rest of their blocks is zero.
fn root(mut bytes: Vec<u8>, repair: bool) {
    if repair {
        let mut slot = bytes.split_off(bytes.len() / 2);
        fuzzing::repair_preamble(&mut bytes, b"EVLGROOT");
        fuzzing::repair_preamble(&mut slot, b"EVLGSLOT");
        bytes = [bytes, vec![0; 4096], slot, vec![0; 4096]].concat();
    }
    if let Ok(root) = fuzzing::read_root(&bytes) {
        let again = fuzzing::write_root(&root).expect("encodes");
        assert_eq!(fuzzing::read_root(&again).expect("written"), root);
    }
}
