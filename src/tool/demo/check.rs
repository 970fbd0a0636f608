//! The demo's proof: what was heard against what is in the journal.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::ChildStdout;

use crate::state::Journaled;
use crate::tool::demo::bank::Bank;
use crate::tool::outcome::Outcome;

/// Acknowledgements heard from one writer: thread, its number, and the record's.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) lines: Vec<(u16, u64, u64)>,
}

/// Listens until the writer is gone. A last line without an end does not count: it may be half of one.
pub(crate) fn listen(stdout: Option<ChildStdout>) -> Heard {
    let mut heard = Heard::default();
    let Some(stdout) = stdout else { return heard };
    let mut reader = BufReader::new(stdout);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|count| count > 0) && line.ends_with('\n') {
        let mut words = line.split_whitespace();
        let mut next = || words.next().and_then(|word| word.parse::<u64>().ok());
        if let (Some(thread), Some(number), Some(lsn)) = (next(), next(), next()) {
            heard.lines.push((thread as u16, number, lsn));
        }
        line.clear();
    }
    heard
}

/// Everything acknowledged so far, by record: round, thread and its number.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged {
    by_record: BTreeMap<u64, (u16, u16, u64)>,
    /// Acknowledgements of a record that had been acknowledged before as another one.
    contradictions: u64,
}

impl Acknowledged {
    pub(crate) fn take(&mut self, round: u16, heard: &Heard) {
        for (thread, number, lsn) in &heard.lines {
            let before = self.by_record.insert(*lsn, (round, *thread, *number));
            self.contradictions += u64::from(before.is_some());
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.by_record.len() as u64
    }
}

/// What counting the journal came to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) events: u64,
    /// Acknowledged, and not there or not what was acknowledged.
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) out_of_order: u64,
}

impl Found {
    pub(crate) fn broken(&self) -> u64 {
        self.lost + self.doubled + self.out_of_order
    }
}

/// Reads the whole journal and compares.
pub(crate) fn count(bank: &Journaled<Bank>, acknowledged: &Acknowledged) -> Outcome<Found> {
    let mut found = Found { doubled: acknowledged.contradictions, ..Found::default() };
    let mut next: BTreeMap<(u16, u16), u64> = BTreeMap::new();
    let mut present = 0;
    for recorded in bank.events(..)? {
        let recorded = recorded?;
        let Some(deposit) = recorded.item.event() else { continue };
        found.events += 1;
        let due = next.entry((deposit.round, deposit.thread)).or_default();
        found.doubled += u64::from(deposit.number < *due);
        found.out_of_order += u64::from(deposit.number > *due);
        *due = deposit.number + 1;
        let same = (deposit.round, deposit.thread, deposit.number);
        if let Some(said) = acknowledged.by_record.get(&recorded.position.lsn.get()) {
            present += u64::from(*said == same);
        }
    }
    found.lost = acknowledged.count() - present;
    Ok(found)
}
