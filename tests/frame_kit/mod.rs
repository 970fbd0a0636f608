//! What the tests that put frames together by hand share: a record and a frame with nothing special about them.
#![allow(dead_code, reason = "each test file uses its part")]

use everlog::fuzzing::{self, Frame, Record};
use everlog::journal::RecordKind;

/// Where frames start in a segment.
pub(crate) const FRAMES: u64 = 8192;

/// An event without options, the only one of its transaction.
pub(crate) fn record(payload: &[u8]) -> Record {
    Record {
        kind: RecordKind::Event,
        end: true,
        type_version: 0,
        time: 7,
        key_id: None,
        meta: None,
        payload: payload.to_vec(),
    }
}

/// The first data frame of a segment, with `record` in it, behind the header whose checksum is `previous`.
pub(crate) fn frame_of(record: &Record, previous: u32) -> Frame {
    Frame {
        kind: 1,
        continues: false,
        chain: None,
        aligned: false,
        record_count: 1,
        epoch: 1,
        previous,
        first_lsn: 1,
        mark: 0,
        offset: FRAMES,
        body: fuzzing::write_records(std::slice::from_ref(record)),
    }
}
