//! A group: the transactions that share one write and one sync, encoded as they join.

use crate::clock::Timestamp;
use crate::journal::seat::Seat;
use crate::position::Lsn;
use crate::segment::frame;
use crate::segment::record::{RecordKind, RecordView};

/// A record as it is handed in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewRecord<'a> {
    pub(crate) kind: RecordKind,
    pub(crate) type_version: u16,
    pub(crate) key_id: Option<u32>,
    pub(crate) meta: Option<&'a [u8]>,
    pub(crate) payload: &'a [u8],
    /// An event that makes the state smaller, and so may use what the quota holds in reserve.
    pub(crate) is_relief: bool,
}

impl<'a> NewRecord<'a> {
    /// An event of version `type_version` without anything else.
    pub(crate) fn event(payload: &'a [u8], type_version: u16) -> NewRecord<'a> {
        let kind = RecordKind::Event;
        NewRecord { kind, type_version, key_id: None, meta: None, payload, is_relief: false }
    }

    /// How it stands in a frame.
    pub(crate) fn view(&self, time: Timestamp, end: bool) -> RecordView<'a> {
        RecordView {
            kind: self.kind,
            end,
            type_version: self.type_version,
            time,
            key_id: self.key_id,
            meta: self.meta,
            payload: self.payload,
        }
    }

    /// The bytes it takes in a frame's body.
    pub(crate) fn encoded_bytes(&self) -> usize {
        self.view(Timestamp::ZERO, true).encoded_bytes()
    }
}

/// A frame in the making: room for its header, then records.
#[derive(Debug)]
pub(crate) struct Draft {
    /// Starts with [`frame::HEADER_BYTES`] free bytes.
    pub(crate) bytes: Vec<u8>,
    pub(crate) first_lsn: Lsn,
    pub(crate) record_count: u32,
    /// Whether its last record's transaction goes on in the next frame.
    pub(crate) continues: bool,
    pub(crate) last_time: Timestamp,
}

impl Draft {
    fn new(first_lsn: Lsn, time: Timestamp, mut bytes: Vec<u8>) -> Draft {
        bytes.clear();
        bytes.resize(frame::HEADER_BYTES, 0);
        Draft { bytes, first_lsn, record_count: 0, continues: false, last_time: time }
    }

    /// The records' bytes.
    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes[frame::HEADER_BYTES..]
    }

    fn push(&mut self, record: &RecordView<'_>) {
        record.encode(&mut self.bytes);
        self.record_count += 1;
        self.last_time = record.time;
        self.continues = !record.end;
    }
}

/// Transactions on their way to the disk.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) drafts: Vec<Draft>,
    pub(crate) seats: Vec<Seat>,
    /// The number of the first record; meaningless while empty.
    pub(crate) first_lsn: Lsn,
    /// The number of the last record.
    pub(crate) last_lsn: Lsn,
    /// Whether somebody in it waits for a sync.
    pub(crate) wants_sync: bool,
    /// Whether it holds anything besides everlog's own records.
    pub(crate) ordinary: bool,
    /// Whether it holds one transaction over several frames, which nobody may join.
    spanning: bool,
    spare: Vec<Vec<u8>>,
}

impl Group {
    pub(crate) fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }

    /// Whether `bytes` more fit without the frame passing `frame_bytes_max`. An empty group takes anything.
    pub(crate) fn fits(&self, bytes: usize, frame_bytes_max: usize) -> bool {
        match self.drafts.last() {
            None => true,
            Some(draft) => {
                let open = draft.body().len();
                !self.spanning && open + bytes <= frame_bytes_max && bytes <= frame_bytes_max
            }
        }
    }

    /// Adds a transaction whose records start at `first` and happened at `time`. It fits. One that spans frames begins a
    /// frame of its own, also behind a clock record that joined with it.
    pub(crate) fn push(
        &mut self,
        records: &[NewRecord<'_>],
        first: Lsn,
        time: Timestamp,
        frame_bytes_max: usize,
    ) {
        if self.is_empty() {
            self.first_lsn = first;
            self.start_draft(first, time);
        }
        self.ordinary |= records.iter().any(|record| record.kind == RecordKind::Event && !record.is_relief);
        let bytes: usize = records.iter().map(NewRecord::encoded_bytes).sum();
        let crowded = |draft: &Draft| draft.record_count > 0 && draft.body().len() + bytes > frame_bytes_max;
        if self.drafts.last().is_some_and(crowded) {
            self.spanning = true;
            self.start_draft(first, time);
        }
        let mut lsn = first;
        for (index, record) in records.iter().enumerate() {
            let view = record.view(time, index + 1 == records.len());
            let full = self.drafts.last().is_some_and(|draft| {
                draft.record_count > 0 && draft.body().len() + view.encoded_bytes() > frame_bytes_max
            });
            if full {
                self.spanning = true;
                self.start_draft(lsn, time);
            }
            if let Some(draft) = self.drafts.last_mut() {
                draft.push(&view);
            }
            lsn = lsn.next();
        }
        self.last_lsn = lsn.before();
    }

    fn start_draft(&mut self, first: Lsn, time: Timestamp) {
        let bytes = self.spare.pop().unwrap_or_default();
        self.drafts.push(Draft::new(first, time, bytes));
    }

    /// Empties the group for the next round, keeping buffers of ordinary size.
    pub(crate) fn reset(&mut self, keep_bytes_max: usize) {
        for draft in self.drafts.drain(..) {
            if draft.bytes.capacity() <= keep_bytes_max && self.spare.is_empty() {
                self.spare.push(draft.bytes);
            }
        }
        self.seats.clear();
        self.wants_sync = false;
        self.spanning = false;
        self.ordinary = false;
        self.first_lsn = Lsn::ZERO;
        self.last_lsn = Lsn::ZERO;
    }
}
