//! Tests of the layer, and what they share.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::medium::Medium;
use crate::position::{Epoch, Lsn, Position};
use crate::snapshot::test_medium::TestMedium;
use crate::snapshot::{Reading, Run, RunInfo, RunWriter, SnapshotList};

mod forged;
mod golden;
mod hostile;
mod lists;
mod policies;
mod runs;

pub(crate) const JOURNAL: [u8; 16] = *b"journal of tests";
pub(crate) const BOTH: [Reading; 2] = [Reading::Mapped, Reading::Read];

pub(crate) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// A test medium, as what it is and as what the layer sees of it.
pub(crate) fn medium() -> (Arc<TestMedium>, Arc<dyn Medium>) {
    let test = Arc::new(TestMedium::default());
    (Arc::clone(&test), test)
}

pub(crate) fn write_run(medium: &Arc<dyn Medium>, id: u64, body_bytes: usize, pairs: &Pairs) -> RunInfo {
    let mut writer = RunWriter::create(medium, id, JOURNAL).expect("create").with_body_bytes_aim(body_bytes);
    pairs.iter().for_each(|(key, value)| writer.push(key, value).expect("push"));
    writer.finish().expect("finish")
}

pub(crate) fn open(medium: &Arc<dyn Medium>, info: &RunInfo, reading: Reading) -> Run {
    Run::open(&**medium, info, JOURNAL, reading).expect("open")
}

/// Pairs `k00000`, `k00002`, ..: every odd number is missing.
pub(crate) fn some_pairs(count: usize) -> Pairs {
    let pair = |number: usize| {
        let key = format!("k{:05}", 2 * number).into_bytes();
        (key, vec![number as u8; number % 97])
    };
    (0..count).map(pair).collect()
}

pub(crate) fn position(epoch: u32, lsn: u64) -> Position {
    Position::new(Epoch::new(epoch), Lsn::new(lsn))
}

pub(crate) fn some_list(position: Position, runs: Vec<RunInfo>) -> SnapshotList {
    SnapshotList {
        journal_id: JOURNAL,
        position,
        time: Timestamp::from_micros(1_763_575_200_000_000),
        made_at: Timestamp::from_micros(1_763_575_201_000_000),
        face: 2,
        type_name: "bank".to_owned(),
        codec: 1,
        state_version: 3,
        fold_revision: 4,
        fingerprint: 0x0123_4567_89ab_cdef,
        summary: b"summary".to_vec(),
        runs,
    }
}
