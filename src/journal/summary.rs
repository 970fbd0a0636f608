//! What a journal knows of itself at a position: a fold of its own frames, kept in snapshots and rebuilt by replay.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bincode::{Decode, Encode};

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::position::{Epoch, Lsn, Position};
use crate::segment::frame::FrameHeader;
use crate::segment::record::{RecordKind, RecordView, Records};

const LIMIT: usize = 64 * 1024 * 1024;
/// The longest pause between two sessions that counts as time passed: one day.
const PAUSE_MICROS_MAX: u64 = 24 * 60 * 60 * 1_000_000;
/// The version of the summary's fields.
const SUMMARY_VERSION: u16 = 1;
/// The longest name and the longest note of a pin.
pub(crate) const PIN_TEXT_BYTES_MAX: usize = 1024;

fn config<const LIMIT_BYTES: usize>() -> impl bincode::config::Config {
    bincode::config::standard().with_little_endian().with_fixed_int_encoding().with_limit::<LIMIT_BYTES>()
}

/// Encodes one of our own records; refuses what could not be read back.
pub(crate) fn encode_own(value: impl Encode) -> Result<Vec<u8>> {
    let bytes = bincode::encode_to_vec(value, config::<LIMIT>())
        .map_err(|error| Error::new(ErrorKind::Input, format!("cannot encode: {error}")))?;
    if bytes.len() > LIMIT {
        let kind = ErrorKind::TooLarge { actual: bytes.len() as u64, max: LIMIT as u64 };
        return Err(Error::new(kind, "own record is too large"));
    }
    Ok(bytes)
}

/// Decodes one of our own records, whose checksum was verified. Lengths in it are believed in proportion to its own,
/// so that a few bytes do not take much memory (J13).
pub(crate) fn decode_own<T: Decode<()>>(bytes: &[u8]) -> Result<T> {
    const KIB: usize = 1024;
    // What is decoded takes more memory than its bytes: a short text in a map about four times as much.
    let decoded = match bytes.len() {
        0..=4096 => bincode::decode_from_slice(bytes, config::<{ 16 * KIB }>()),
        4097..=65_536 => bincode::decode_from_slice(bytes, config::<{ 256 * KIB }>()),
        65_537..=1_048_576 => bincode::decode_from_slice(bytes, config::<{ 4096 * KIB }>()),
        _ => bincode::decode_from_slice(bytes, config::<LIMIT>()),
    };
    match decoded {
        Ok((value, consumed)) if consumed == bytes.len() => Ok(value),
        Ok(_) => Err(Error::new(ErrorKind::Damaged, "own record has bytes left over")),
        Err(error) => Err(Error::new(ErrorKind::Damaged, format!("own record does not decode: {error}"))),
    }
}

/// A named position, as recorded.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct PinRecord {
    pub(crate) name: String,
    pub(crate) epoch: u32,
    pub(crate) lsn: u64,
    pub(crate) time: u64,
    pub(crate) note: String,
}

/// A return to an earlier state, as recorded. The state's run is synced before the record is written.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RollbackRecord {
    pub(crate) target_epoch: u32,
    pub(crate) target_lsn: u64,
    /// CRC-32 of the encoded state.
    pub(crate) state_sum: u32,
    pub(crate) run_id: u64,
    pub(crate) run_bytes: u64,
    pub(crate) run_blocks: u64,
    pub(crate) run_entries: u64,
    pub(crate) run_sum: u32,
}

/// All pins, by name; shared with those who show them, copied when one changes.
pub(crate) type Pins = Arc<BTreeMap<String, PinRecord>>;

/// What everlog folds from its own frames.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Summary {
    epoch: u32,
    lsn: u64,
    time: u64,
    /// The first record of each epoch.
    epochs: Vec<(u32, u64)>,
    pins: Pins,
    /// Where the time of records went on by more than can have passed, and by how many microseconds too much.
    leaps: Vec<(u64, u64)>,
    /// The runs that rollback records need, by the record's Lsn.
    rollbacks: BTreeMap<u64, u64>,
    pub(crate) type_version_max: u16,
    pub(crate) events: u64,
    pub(crate) payload_bytes: u64,
    /// CRC-32 over all bodies up to here, in order (J10).
    pub(crate) fingerprint: u32,
}

impl Summary {
    /// What a fork knows where it starts: its place, and nothing of what led there.
    #[cfg(feature = "store")]
    pub(crate) fn starting_at(position: Position, time: Timestamp) -> Summary {
        let (epoch, lsn) = (position.epoch.get(), position.lsn.get());
        Summary { epoch, lsn, time: time.micros(), epochs: vec![(epoch, lsn)], ..Summary::default() }
    }

    /// The summary as a snapshot's list keeps it: its own version, then its fields.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        encode_own((SUMMARY_VERSION, self))
    }

    /// Reads a summary; a newer version is refused by name.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Summary> {
        let (version, fields) = bytes
            .split_first_chunk::<2>()
            .ok_or_else(|| Error::new(ErrorKind::Damaged, "summary is cut short"))?;
        match u16::from_le_bytes(*version) {
            SUMMARY_VERSION => decode_own(fields),
            newer => {
                Err(Error::new(ErrorKind::NewerFormat, format!("summary of version {newer} is unknown"))
                    .advise("use a version of everlog that knows it; nothing was changed"))
            }
        }
    }

    /// Takes in a checked data frame.
    pub(crate) fn apply(&mut self, header: &FrameHeader, body: &[u8]) -> Result<()> {
        if header.record_count == 0 {
            return Ok(());
        }
        if self.epochs.last().is_none_or(|(epoch, _)| *epoch < header.epoch.get()) {
            self.epochs.push((header.epoch.get(), header.first_lsn.get()));
            self.note_pause(header.first_lsn, body)?;
        }
        self.epoch = header.epoch.get();
        let mut lsn = header.first_lsn;
        for record in Records::new(body) {
            let record = record?;
            self.apply_record(lsn, &record)?;
            self.time = self.time.max(record.time.micros());
            self.lsn = lsn.get();
            lsn = lsn.next();
        }
        let mut hasher = crc32fast::Hasher::new_with_initial(self.fingerprint);
        hasher.update(body);
        self.fingerprint = hasher.finalize();
        Ok(())
    }

    /// Nobody saw the time between two sessions pass; more than a day of it does not count (J8).
    fn note_pause(&mut self, first_lsn: Lsn, body: &[u8]) -> Result<()> {
        let Some(record) = Records::new(body).next() else { return Ok(()) };
        let pause = record?.time.micros().saturating_sub(self.time);
        if self.lsn > 0 && pause > PAUSE_MICROS_MAX {
            self.leaps.push((first_lsn.get(), pause - PAUSE_MICROS_MAX));
        }
        Ok(())
    }

    fn apply_record(&mut self, lsn: Lsn, record: &RecordView<'_>) -> Result<()> {
        match record.kind {
            RecordKind::Event => {
                self.events += 1;
                self.payload_bytes += record.payload.len() as u64;
                self.type_version_max = self.type_version_max.max(record.type_version);
            }
            RecordKind::Pin => {
                let pin: PinRecord = decode_own(record.payload).map_err(|error| error.at_lsn(lsn))?;
                Arc::make_mut(&mut self.pins).insert(pin.name.clone(), pin);
            }
            RecordKind::Unpin => {
                let name: String = decode_own(record.payload).map_err(|error| error.at_lsn(lsn))?;
                Arc::make_mut(&mut self.pins).remove(&name);
            }
            RecordKind::Rollback => {
                let rollback: RollbackRecord =
                    decode_own(record.payload).map_err(|error| error.at_lsn(lsn))?;
                self.rollbacks.insert(lsn.get(), rollback.run_id);
            }
            RecordKind::Clock => {
                let (expected, wall): (u64, u64) =
                    decode_own(record.payload).map_err(|error| error.at_lsn(lsn))?;
                let leap = wall.saturating_sub(expected.max(self.time));
                if leap > 0 {
                    self.leaps.push((lsn.get(), leap));
                }
            }
        }
        Ok(())
    }

    /// The last record.
    pub(crate) fn position(&self) -> Position {
        Position::new(Epoch::new(self.epoch), Lsn::new(self.lsn))
    }

    /// The time of the last record.
    pub(crate) fn time(&self) -> Timestamp {
        Timestamp::from_micros(self.time)
    }

    pub(crate) fn pins(&self) -> &Pins {
        &self.pins
    }

    /// The same with other pins: those of a position that is shown instead.
    pub(crate) fn with_pins(self, pins: Pins) -> Summary {
        Summary { pins, ..self }
    }

    /// How much time passed for sure from a record stamped `time` at `lsn` to `now`: leaps do not count (J8).
    pub(crate) fn elapsed(&self, lsn: Lsn, time: Timestamp, now: Timestamp) -> Duration {
        let after = self.leaps.partition_point(|(at, _)| *at <= lsn.get());
        let leaps: u64 = self.leaps[after..].iter().map(|(_, micros)| micros).sum();
        now.since(time).saturating_sub(Duration::from_micros(leaps))
    }

    /// The runs that rollback records above `horizon` need.
    pub(crate) fn rollback_runs(&self, horizon: Lsn) -> impl Iterator<Item = u64> {
        self.rollbacks.range(horizon.next().get()..).map(|(_, run)| *run)
    }

    /// The position of record `lsn` in the present history.
    pub(crate) fn position_of(&self, lsn: Lsn) -> Position {
        let index = self.epochs.partition_point(|(_, first)| *first <= lsn.get());
        let epoch = index.checked_sub(1).and_then(|index| self.epochs.get(index)).map_or(0, |entry| entry.0);
        Position::new(Epoch::new(epoch), lsn)
    }

    /// The last position that the present history shares with one that reached `position`: `position` itself unless
    /// its branch was cut before it (rule 9).
    pub(crate) fn common(&self, position: Position) -> Position {
        let later = self.epochs.iter().filter(|(epoch, _)| *epoch > position.epoch.get());
        let first_later = later.map(|(_, first)| *first).min();
        match first_later {
            Some(first) if first <= position.lsn.get() => self.position_of(Lsn::new(first).before()),
            _ => position,
        }
    }

    /// Forgets what only concerns positions below `horizon`.
    pub(crate) fn prune(&mut self, horizon: Lsn) {
        let keep_from = self.epochs.partition_point(|(_, first)| *first <= horizon.get()).saturating_sub(1);
        self.epochs.drain(..keep_from);
        self.leaps.retain(|(at, _)| *at > horizon.get());
        self.rollbacks = self.rollbacks.split_off(&horizon.next().get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_of_cut_branches_have_a_common_ancestor() {
        let summary =
            Summary { epoch: 5, lsn: 40, epochs: vec![(1, 1), (3, 11), (5, 31)], ..Summary::default() };
        let at = |epoch, lsn| Position::new(Epoch::new(epoch), Lsn::new(lsn));
        assert_eq!(summary.position_of(Lsn::new(10)), at(1, 10));
        assert_eq!(summary.position_of(Lsn::new(11)), at(3, 11));
        assert_eq!(summary.common(at(1, 10)), at(1, 10), "before the cut");
        assert_eq!(summary.common(at(1, 12)), at(1, 10), "cut away and given again");
        assert_eq!(summary.common(at(2, 12)), at(1, 10), "an epoch that left nothing");
        assert_eq!(summary.common(at(3, 30)), at(3, 30));
        assert_eq!(summary.common(at(5, 40)), at(5, 40));
        let mut pruned = summary.clone();
        pruned.prune(Lsn::new(20));
        assert_eq!(pruned.position_of(Lsn::new(25)), at(3, 25));
        assert_eq!(pruned.epochs, vec![(3, 11), (5, 31)]);
    }

    #[test]
    fn leaps_of_the_clock_do_not_count_as_time_passed() {
        let day = Duration::from_secs(24 * 60 * 60);
        let century = 100 * 365 * day;
        let leap = century.as_micros() as u64;
        let summary = Summary { lsn: 10, leaps: vec![(5, leap)], ..Summary::default() };
        let now = Timestamp::from_micros(1).plus(century + 3 * day);
        assert_eq!(summary.elapsed(Lsn::new(4), Timestamp::from_micros(1), now), 3 * day);
        let after = Timestamp::from_micros(1).plus(century + day);
        assert_eq!(summary.elapsed(Lsn::new(5), after, now), 2 * day);
    }

    #[test]
    fn a_summary_survives_a_round_trip_and_a_newer_one_is_refused_by_name() {
        let summary = Summary { lsn: 7, epochs: vec![(1, 1)], ..Summary::default() };
        let mut bytes = summary.encode().expect("encodes");
        assert_eq!(Summary::decode(&bytes).expect("decodes"), summary);
        bytes[0] = 2;
        assert_eq!(Summary::decode(&bytes).expect_err("newer").kind(), &ErrorKind::NewerFormat);
        assert_eq!(Summary::decode(&[1]).expect_err("cut").kind(), &ErrorKind::Damaged);
    }
}
