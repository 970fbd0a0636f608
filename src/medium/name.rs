//! The names of a journal's files, built and parsed here and nowhere else.

use crate::position::{Epoch, Lsn, Position};

/// The root file.
pub(crate) const ROOT: &str = "journal";
/// Who holds the journal: text for people, without meaning for the lock.
pub(crate) const HOLDER: &str = "holder";
/// What is locked where a directory cannot be.
pub(crate) const LOCK: &str = "lock";
/// The directory for bytes that recovery cut.
pub(crate) const QUARANTINE: &str = "quarantine";
/// Stands in a directory while a fork is being made there: until its root is durable, nothing in it is a journal yet.
pub(crate) const FORKING: &str = "forking";

/// What a name in a journal's directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileName {
    /// The root file.
    Root,
    /// The holder's note, the lock, the quarantine directory, the sign of a fork in the making.
    Aside,
    /// A segment, by number.
    Segment(u64),
    /// A snapshot's list, by the position it stands at.
    Snapshot(Position),
    /// A run of a snapshot, by its id.
    Run(u64),
    /// Not ours: left alone.
    Foreign,
}

/// The name of segment `number`.
pub(crate) fn segment(number: u64) -> String {
    format!("{number:010}.seg")
}

/// The name of the snapshot list at `position`.
pub(crate) fn snapshot(position: Position) -> String {
    format!("{:020}-{:010}.snap", position.lsn.get(), position.epoch.get())
}

/// The name of the run `id`.
pub(crate) fn run(id: u64) -> String {
    format!("{id:016x}.run")
}

/// The name under which cut bytes are kept: by segment, offset and checksum, so that keeping them twice is once.
pub(crate) fn cut(segment: u64, offset: u64, checksum: u32) -> String {
    format!("{segment:010}-{offset:012}-{checksum:08x}.cut")
}

/// What `name` stands for. Only names exactly as this file builds them are ours.
pub(crate) fn parse(name: &str) -> FileName {
    match name {
        ROOT => return FileName::Root,
        HOLDER | LOCK | QUARANTINE | FORKING => return FileName::Aside,
        _ => {}
    }
    let parsed = if let Some(stem) = name.strip_suffix(".seg") {
        stem.parse().ok().map(FileName::Segment)
    } else if let Some(stem) = name.strip_suffix(".run") {
        u64::from_str_radix(stem, 16).ok().map(FileName::Run)
    } else if let Some((lsn, epoch)) = name.strip_suffix(".snap").and_then(|stem| stem.split_once('-')) {
        lsn.parse()
            .ok()
            .zip(epoch.parse().ok())
            .map(|(lsn, epoch)| FileName::Snapshot(Position::new(Epoch::new(epoch), Lsn::new(lsn))))
    } else {
        None
    };
    match parsed {
        Some(ours) if build(ours).as_deref() == Some(name) => ours,
        _ => FileName::Foreign,
    }
}

fn build(name: FileName) -> Option<String> {
    match name {
        FileName::Segment(number) => Some(segment(number)),
        FileName::Snapshot(position) => Some(snapshot(position)),
        FileName::Run(id) => Some(run(id)),
        FileName::Root | FileName::Aside | FileName::Foreign => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_survives_a_round_trip_and_others_are_foreign() {
        let position = Position::new(Epoch::new(3), Lsn::new(77));
        for number in [1, 42, u64::MAX] {
            assert_eq!(parse(&segment(number)), FileName::Segment(number));
            assert_eq!(parse(&run(number)), FileName::Run(number));
        }
        assert_eq!(parse(&snapshot(position)), FileName::Snapshot(position));
        assert_eq!(parse("journal"), FileName::Root);
        for foreign in
            ["1.seg", "+000000001.seg", "0000000001.SEG", "x.run", "", "..", "notes.txt", "1-2.snap"]
        {
            assert_eq!(parse(foreign), FileName::Foreign, "{foreign:?}");
        }
    }
}
