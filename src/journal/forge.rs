//! Journals that no writer of ours made, with checksums that hold: for the tests of recovery.

#![allow(clippy::expect_used, reason = "this is a test")]

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::journal::root::{Creation, Identity, RootFile, Slot};
use crate::journal::{Background, Journal, Options};
use crate::medium::name::{self, ROOT};
use crate::medium::{Medium, Sim, write_all};
use crate::position::{Epoch, Lsn};
use crate::segment::checksum::{self, Place};
use crate::segment::frame::{self, CHAIN_BYTES, FrameHeader, FrameKind, HEADER_BYTES};
use crate::segment::header::{Birth, JournalId};
use crate::segment::record::{RecordKind, RecordView};
use crate::segment::slot::{self, Extent, Junction, Link, RollSeal, SlotPlace};
use crate::segment::{FRAMES_OFFSET, LINK_OFFSET, roll_seal_offset};

pub(super) const ID: JournalId = [7; 16];
const CAPACITY: u64 = 16 * 1024;
const KIB: u64 = 1024;

/// A segment in the making.
#[derive(Clone)]
pub(super) struct Sheet {
    pub(super) birth: Birth,
    pub(super) bytes: Vec<u8>,
    /// Where the next frame goes.
    pub(super) at: u64,
    pub(super) previous: u32,
}

/// The header of a frame without records; place and length are filled in when it is written.
pub(super) fn header(kind: FrameKind, epoch: u32, first: u64) -> FrameHeader {
    FrameHeader {
        kind,
        continues: false,
        chain: false,
        aligned: false,
        body_bytes: 0,
        record_count: 0,
        epoch: Epoch::new(epoch),
        previous: 0,
        first_lsn: Lsn::new(first),
        mark: Lsn::ZERO,
        offset: 0,
    }
}

/// The salt of segment `number`.
fn salt(number: u64) -> u64 {
    1000 + number
}

impl Sheet {
    pub(super) fn new(number: u64) -> Sheet {
        let birth = Birth::new(ID, number, salt(number), CAPACITY);
        let mut bytes = birth.encode();
        bytes.resize(CAPACITY as usize, 0);
        Sheet { birth, bytes, at: FRAMES_OFFSET, previous: birth.first_previous() }
    }

    /// Adds a frame of the given header with this body.
    pub(super) fn frame(mut self, header: FrameHeader, body: &[u8]) -> Sheet {
        let (body_bytes, previous) = (body.len() as u32, self.previous);
        let header = FrameHeader { body_bytes, previous, offset: self.at, ..header };
        let mut bytes = vec![0; HEADER_BYTES];
        if header.chain {
            bytes.extend_from_slice(&[0xC4; CHAIN_BYTES]);
        }
        bytes.extend_from_slice(body);
        self.previous = frame::complete(&mut bytes, &header, self.birth.salt);
        self.bytes[self.at as usize..][..bytes.len()].copy_from_slice(&bytes);
        self.at = header.next_offset();
        self
    }

    /// Adds one record of any kind.
    pub(super) fn record(self, kind: RecordKind, epoch: u32, lsn: u64, payload: &[u8]) -> Sheet {
        self.one(kind, header(FrameKind::Data, epoch, lsn), payload)
    }

    /// Adds one event.
    pub(super) fn event(self, epoch: u32, lsn: u64) -> Sheet {
        self.one(RecordKind::Event, header(FrameKind::Data, epoch, lsn), &[lsn as u8; 20])
    }

    /// Adds one event of a transaction that goes on in the next frame.
    pub(super) fn begun(self, epoch: u32, lsn: u64) -> Sheet {
        let header = FrameHeader { continues: true, ..header(FrameKind::Data, epoch, lsn) };
        self.one(RecordKind::Event, header, &[lsn as u8; 20])
    }

    /// Adds one event in a frame with a chain field.
    pub(super) fn chained(self, epoch: u32, lsn: u64) -> Sheet {
        let header = FrameHeader { chain: true, ..header(FrameKind::Data, epoch, lsn) };
        self.one(RecordKind::Event, header, &[lsn as u8; 20])
    }

    fn one(self, kind: RecordKind, header: FrameHeader, payload: &[u8]) -> Sheet {
        let (time, end) = (Timestamp::from_micros(1), !header.continues);
        let view = RecordView { kind, end, type_version: 0, time, key_id: None, meta: None, payload };
        let mut body = Vec::new();
        view.encode(&mut body);
        self.frame(FrameHeader { record_count: 1, ..header }, &body)
    }

    /// Adds a mark or a seal behind record `last`, which vouches for records up to `mark`.
    pub(super) fn bare(self, kind: FrameKind, epoch: u32, last: u64, mark: u64) -> Sheet {
        self.frame(FrameHeader { mark: Lsn::new(mark), ..header(kind, epoch, last + 1) }, &[])
    }

    /// The place behind the last frame.
    pub(super) fn junction(&self) -> Junction {
        Junction { number: self.birth.number, salt: self.birth.salt, end: self.at, sum: self.previous }
    }

    /// Makes it continue `junction`, as of epoch `epoch`.
    pub(super) fn linked(mut self, epoch: u32, junction: Junction) -> Sheet {
        let link = Link::new(Epoch::new(epoch - 1), Lsn::ZERO, 0, junction);
        let place = SlotPlace { salt: self.birth.salt, epoch: Epoch::new(epoch), last_lsn: Lsn::ZERO };
        let bytes = slot::encode_link(link, place).expect("encodes");
        self.bytes[LINK_OFFSET as usize..][..bytes.len()].copy_from_slice(&bytes);
        self
    }

    /// Ends it with a roll to segment `next`.
    pub(super) fn rolled(self, next: u64) -> Sheet {
        let (end, sum) = (self.at, self.previous);
        self.rolled_at(next, end, sum)
    }

    /// The same, as if the frames ended at `end` with the checksum `sum`.
    pub(super) fn rolled_at(mut self, next: u64, end: u64, sum: u32) -> Sheet {
        let extent = Extent {
            first_lsn: Lsn::ZERO,
            last_lsn: Lsn::ZERO,
            first_time: Timestamp::ZERO,
            last_time: Timestamp::ZERO,
        };
        let seal = RollSeal::new(end, sum, (next, salt(next)), extent);
        let place = SlotPlace { salt: self.birth.salt, epoch: Epoch::new(1), last_lsn: Lsn::ZERO };
        let bytes = slot::encode_roll_seal(seal, place, CAPACITY).expect("encodes");
        self.bytes[roll_seal_offset(CAPACITY) as usize..][..bytes.len()].copy_from_slice(&bytes);
        self
    }

    /// Makes the frame at `offset` one of a newer format, with a checksum that holds.
    pub(super) fn newer_at(mut self, offset: u64) -> Sheet {
        let start = offset as usize;
        self.bytes[start + 6] = 3;
        let mut epoch = [0; 4];
        epoch.copy_from_slice(&self.bytes[start + 16..start + 20]);
        let place = Place { salt: self.birth.salt, epoch: Epoch::new(u32::from_le_bytes(epoch)), offset };
        let sum = checksum::at_place(place, &self.bytes[start..start + 52]);
        self.bytes[start + 52..start + 56].copy_from_slice(&sum.to_le_bytes());
        self
    }
}

/// The root's slot of a journal whose newest segment is `newest`.
pub(super) fn slot(newest: u64) -> Slot {
    Slot::first(1, salt(1)).moved_to(newest)
}

/// A file at rest.
pub(super) fn put(sim: &Sim, name: &str, bytes: &[u8]) {
    let file = sim.create(name).expect("creates");
    write_all(&*file, name, bytes, 0).expect("writes");
    file.sync().expect("syncs");
    sim.sync_names().expect("syncs");
}

/// A device that holds these segments under a root with this slot.
pub(super) fn journal(slot: Slot, sheets: &[Sheet]) -> Sim {
    let sim = Sim::new(1);
    for sheet in sheets {
        put(&sim, &name::segment(sheet.birth.number), &sheet.bytes);
    }
    let creation = Creation {
        face: 0,
        codec: 0,
        aligned: false,
        created_micros: 0,
        segment_bytes_min: CAPACITY,
        segment_bytes_max: CAPACITY,
        frame_bytes_max: 1024,
        type_name: String::new(),
    };
    let file = sim.create(ROOT).expect("creates");
    RootFile::create(file, Identity { id: ID, creation }, slot).expect("creates");
    sim.sync_names().expect("syncs");
    sim.kill()
}

pub(super) fn options() -> Options {
    Options::new().background(Background::Inline).segment_bytes(16 * KIB, 16 * KIB).frame_bytes_max(1024)
}

pub(super) fn open(sim: &Sim) -> Result<Journal> {
    options().open_on(Arc::new(sim.clone()))
}

/// The first byte of each event, in order.
pub(super) fn events(journal: &Journal) -> Vec<u8> {
    let records = journal.records().expect("readable");
    records.map(|record| record.expect("reads").payload[0]).collect()
}
