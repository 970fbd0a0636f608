//! Journals of many records to read, made once per benchmark.

use everlog::journal::Options;
use everlog::{Durability, Journal, Transaction};

/// How records share frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// As written by one thread: a frame each.
    Alone,
    /// As written by many: hundreds in a frame.
    Groups,
}

/// Appends `records` of `payload_bytes` each and returns when they are durable.
pub(crate) fn fill(journal: &Journal, records: u64, payload_bytes: usize, sharing: Sharing) {
    let transaction = Transaction::new().record(vec![0xA5; payload_bytes]);
    for _ in 0..records {
        match sharing {
            Sharing::Alone => drop(journal.commit(&transaction, Durability::Buffered).expect("commits")),
            Sharing::Groups => drop(journal.submit(&transaction, Durability::Buffered).expect("submits")),
        }
    }
    journal.append(b"last").expect("everything is durable");
}

/// Options without snapshots of their own accord.
pub(crate) fn options() -> Options {
    Options::new().snapshot_every_bytes(None)
}
