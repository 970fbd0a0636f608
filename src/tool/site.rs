//! A directory as it is found, however broken: what of a journal can be read in it, and what cannot.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::chain::{self, Chain};
use crate::journal::root::{Copies, Identity, Slot};
use crate::medium::name::{self, FileName, ROOT};
use crate::medium::{Access, Disk, Medium, Presence};
use crate::position::{Lsn, Position};
use crate::segment::header::JournalId;
use crate::segment::reader::SegmentFile;
use crate::snapshot::list::{self, SnapshotList};
use crate::tool::outcome::{command, with_next};

/// What was found. Nothing was changed to find it.
pub(crate) struct Site {
    pub(crate) directory: PathBuf,
    pub(crate) medium: Arc<dyn Medium>,
    /// All names in the directory, in order.
    pub(crate) names: Vec<String>,
    /// Who the journal is, from the root file.
    pub(crate) identity: Option<Identity>,
    /// What must be there, from the root file.
    pub(crate) slot: Option<Slot>,
    /// What is wrong with the root file.
    pub(crate) root_faults: Vec<Error>,
    /// A slot that does not check beside one that does: as a crash during its writing leaves it.
    pub(crate) torn_slot: Option<Error>,
    /// The segments that open, by number.
    pub(crate) segments: BTreeMap<u64, SegmentFile>,
    /// Segment files without anything in them.
    pub(crate) unborn: Vec<u64>,
    /// Segment files that do not open.
    pub(crate) bad_segments: Vec<Error>,
    /// Snapshot lists that check, newest first.
    pub(crate) snapshots: Vec<SnapshotList>,
    pub(crate) bad_snapshots: Vec<Error>,
    /// The history, as far as it can be put together; without a root from the lowest segment on.
    pub(crate) chain: Option<Chain>,
    /// Why there is none.
    pub(crate) chain_fault: Option<Error>,
}

impl Site {
    /// Looks at a directory. An error only if it holds nothing of a journal, or cannot be read at all.
    pub(crate) fn look(directory: &Path) -> Result<Site> {
        let disk = Disk::open(directory, Presence::MustExist).map_err(|error| with_next(error, directory))?;
        Site::look_at(directory, Arc::new(disk))
    }

    fn look_at(directory: &Path, medium: Arc<dyn Medium>) -> Result<Site> {
        let mut names = medium.names().map_err(|error| Error::io("list", &medium.label(), error))?;
        names.sort();
        if names.iter().all(|name| matches!(name::parse(name), FileName::Foreign | FileName::Aside)) {
            return Err(nothing_of_ours(directory, &names));
        }
        let mut site = Site {
            directory: directory.to_owned(),
            medium,
            names,
            identity: None,
            slot: None,
            root_faults: Vec::new(),
            torn_slot: None,
            segments: BTreeMap::new(),
            unborn: Vec::new(),
            bad_segments: Vec::new(),
            snapshots: Vec::new(),
            bad_snapshots: Vec::new(),
            chain: None,
            chain_fault: None,
        };
        site.read_root();
        site.read_segments();
        site.read_snapshots()?;
        site.read_chain();
        Ok(site)
    }

    fn read_root(&mut self) {
        let file = self.medium.open(ROOT, Access::Read).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::damaged(ROOT, 0, "the root file is missing"),
            _ => Error::io("open", ROOT, error),
        });
        let copies = match file.and_then(|file| Copies::read(&*file)) {
            Ok(copies) => copies,
            Err(error) => {
                self.root_faults.push(error);
                return;
            }
        };
        for copy in copies.identities {
            match copy {
                Ok(identity) => self.identity = self.identity.take().or(Some(identity)),
                Err(error) => self.root_faults.push(error),
            }
        }
        let mut bad_slots = Vec::new();
        for copy in copies.slots {
            match copy {
                Ok(slot) if self.slot.is_none_or(|best| best.sequence < slot.sequence) => {
                    self.slot = Some(slot)
                }
                Ok(_) => {}
                Err(error) => bad_slots.push(error),
            }
        }
        match self.slot {
            Some(_) => self.torn_slot = bad_slots.pop(),
            None => self.root_faults.append(&mut bad_slots),
        }
    }

    fn read_segments(&mut self) {
        let id = self.id();
        for file_name in &self.names {
            let FileName::Segment(number) = name::parse(file_name) else { continue };
            let admitted = match id {
                Some(id) => chain::admit(&*self.medium, Access::Read, file_name, number, id),
                None => self.open_any(file_name),
            };
            match admitted {
                Ok(Some(segment)) => {
                    self.segments.insert(number, segment);
                }
                Ok(None) => self.unborn.push(number),
                Err(error) => self.bad_segments.push(error),
            }
        }
    }

    fn open_any(&self, file_name: &str) -> Result<Option<SegmentFile>> {
        let file = self.medium.open(file_name, Access::Read);
        let file = file.map_err(|error| Error::io("open", file_name, error))?;
        SegmentFile::open(file, file_name.to_owned()).map(Some)
    }

    fn read_snapshots(&mut self) -> Result<()> {
        for position in list::positions(&*self.medium)? {
            match list::read(&*self.medium, position) {
                Ok(found) if self.id().is_none_or(|id| id == found.journal_id) => self.snapshots.push(found),
                Ok(_) => {
                    let name = name::snapshot(position);
                    self.bad_snapshots.push(Error::damaged(name, 0, "snapshot of another journal"));
                }
                Err(error) => self.bad_snapshots.push(error),
            }
        }
        Ok(())
    }

    fn read_chain(&mut self) {
        let (Some(id), Some(slot)) = (self.id(), self.slot_or_guess()) else { return };
        match chain::assemble(&*self.medium, Access::Read, id, &slot, self.root_faults.is_empty()) {
            Ok(chain) => self.chain = Some(chain),
            Err(error) => self.chain_fault = Some(error),
        }
    }

    /// Whose files these are: as the root says, or most of the segments.
    pub(crate) fn id(&self) -> Option<JournalId> {
        if let Some(identity) = &self.identity {
            return Some(identity.id);
        }
        let mut votes: BTreeMap<JournalId, usize> = BTreeMap::new();
        for segment in self.segments.values() {
            *votes.entry(segment.birth.journal_id).or_default() += 1;
        }
        votes.into_iter().max_by_key(|(_, votes)| *votes).map(|(id, _)| id)
    }

    /// What must be there, or, when the root does not say, what must have been there at least.
    pub(crate) fn slot_or_guess(&self) -> Option<Slot> {
        if self.slot.is_some() {
            return self.slot;
        }
        let (number, first) = self.segments.first_key_value()?;
        let slot = Slot::first(*number, first.birth.salt);
        let first_lsn = first.first_frame().ok().flatten().map_or(Lsn::FIRST, |header| header.first_lsn);
        // Compacted: reading starts at the oldest snapshot that the first segment can go on from.
        let reaches = |list: &&SnapshotList| list.position.lsn.next() >= first_lsn;
        match self.snapshots.iter().rev().find(reaches) {
            Some(list) if first_lsn > Lsn::FIRST => {
                Some(slot.with_horizon(list.position, list.time.micros(), *number, first.birth.salt))
            }
            _ => Some(slot),
        }
    }

    /// The newest snapshot position that checks.
    pub(crate) fn newest_snapshot(&self) -> Position {
        self.snapshots.first().map(|list| list.position).unwrap_or_default()
    }

    /// All run files.
    pub(crate) fn run_ids(&self) -> impl Iterator<Item = u64> {
        self.names.iter().filter_map(|file| match name::parse(file) {
            FileName::Run(id) => Some(id),
            _ => None,
        })
    }

    /// Whether opening would work as far as root and chain go.
    pub(crate) fn has_whole_root(&self) -> bool {
        self.identity.is_some() && self.slot.is_some()
    }
}

fn nothing_of_ours(directory: &Path, names: &[String]) -> Error {
    match names.is_empty() {
        true => Error::new(
            ErrorKind::Missing,
            format!("{} is empty: there is no journal in it", directory.display()),
        )
        .advise(format!(
            "check the path, or mount the disk; {} creates one",
            command("append", directory, "")
        )),
        false => Error::new(ErrorKind::NotAJournal, format!("{} holds no journal", directory.display()))
            .advise("check the path; nothing was changed"),
    }
}
