//! Birth of a journal: what may be initialised, and in which order its files become durable (J16).

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::chain::is_zero_after_header;
use crate::journal::options::Options;
use crate::journal::root::{Creation, Identity, RootFile, Slot, TYPE_NAME_BYTES_MAX};
use crate::journal::spare;
use crate::medium::name::{self, FORKING, FileName, ROOT};
use crate::medium::{Access, Medium};
use crate::segment::header::JournalId;

/// What stands in the directory.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing, or no more than a creation that a crash interrupted before anything could be appended.
    Nothing,
    /// A root file that reads.
    Journal(Box<RootFile>),
}

/// Looks at the directory without changing it. Who wants to write later asks for the right to now, so that a read-only
/// place is told before anything is changed.
pub(crate) fn look(medium: &dyn Medium, access: Access) -> Result<Found> {
    let names = medium.names().map_err(|error| Error::io("list", &medium.label(), error))?;
    let kinds: Vec<FileName> = names.iter().map(|name| name::parse(name)).collect();
    let root = match kinds.contains(&FileName::Root) {
        true => Some(open_root(medium, access)),
        false => None,
    };
    match root {
        Some(Ok(root)) => return Ok(Found::Journal(Box::new(root))),
        Some(Err(error)) if *error.kind() != ErrorKind::Damaged => return Err(error),
        _ => {}
    }
    let forking = is_forking(&names);
    let only_beginnings = kinds.iter().all(|kind| match kind {
        FileName::Root | FileName::Aside | FileName::Segment(1) => true,
        FileName::Run(_) | FileName::Snapshot(_) => forking,
        FileName::Segment(_) | FileName::Foreign => false,
    });
    let was_used = names.iter().any(|name| name == name::QUARANTINE);
    if only_beginnings && !was_used && first_is_unused(medium, &kinds)? {
        return Ok(Found::Nothing);
    }
    let ours = |kind: &FileName| {
        matches!(kind, FileName::Segment(_) | FileName::Snapshot(_) | FileName::Run(_) | FileName::Root)
    };
    match root {
        Some(Err(error)) => Err(error),
        _ if kinds.iter().any(ours) => {
            Err(Error::damaged(ROOT, 0, "the root file is missing, but segments are here")
                .advise("restore the file `journal` from a backup, or run everlog salvage"))
        }
        _ => Err(Error::new(
            ErrorKind::NotAJournal,
            format!("{} holds other files and no journal", medium.label()),
        )
        .advise("check the path; a journal is only created in an empty directory")),
    }
}

fn open_root(medium: &dyn Medium, access: Access) -> Result<RootFile> {
    let file = medium.open(ROOT, access);
    RootFile::open(file.map_err(|error| Error::io("open", ROOT, error))?)
}

fn first_is_unused(medium: &dyn Medium, kinds: &[FileName]) -> Result<bool> {
    if !kinds.contains(&FileName::Segment(1)) {
        return Ok(true);
    }
    let name = name::segment(1);
    let file = medium.open(&name, Access::Read).map_err(|error| Error::io("open", &name, error))?;
    is_zero_after_header(&*file, &name)
}

/// Creates a journal in an empty directory, or over an interrupted creation. The root is published last.
pub(crate) fn create(medium: &Arc<dyn Medium>, options: &Options, now: Timestamp) -> Result<RootFile> {
    if options.face.type_name.len() > TYPE_NAME_BYTES_MAX {
        return Err(Error::new(ErrorKind::Input, "the type's name is too long"));
    }
    clear(&**medium)?;
    publish(medium, identity(options, now)?, options, |slot| slot)
}

/// Who a new journal is.
pub(super) fn identity(options: &Options, now: Timestamp) -> Result<Identity> {
    let creation = Creation {
        face: options.face.kind.unwrap_or_default(),
        codec: options.face.codec,
        aligned: options.limits.aligned,
        created_micros: now.micros(),
        segment_bytes_min: options.limits.segment_bytes_min,
        segment_bytes_max: options.limits.segment_bytes_max,
        frame_bytes_max: options.limits.frame_bytes_max,
        type_name: options.face.type_name.clone(),
    };
    Ok(Identity { id: random_id()?, creation })
}

/// Makes the first segment and then the root.
pub(super) fn publish(
    medium: &Arc<dyn Medium>,
    identity: Identity,
    options: &Options,
    place: impl FnOnce(Slot) -> Slot,
) -> Result<RootFile> {
    let first = spare::make(&**medium, identity.id, 1, options.limits.segment_capacity(0))?;
    let file = medium.create(ROOT).map_err(|error| Error::io("create", ROOT, error))?;
    let root = RootFile::create(file, identity, place(Slot::first(1, first.birth.salt)))?;
    medium.sync_names().map_err(|error| Error::io("sync of the directory", ROOT, error))?;
    Ok(root)
}

/// Removes what an interrupted creation left: nothing was ever appended to it.
pub(super) fn clear(medium: &dyn Medium) -> Result<()> {
    let names = medium.names().map_err(|error| Error::io("list", &medium.label(), error))?;
    let forking = is_forking(&names);
    for file_name in &names {
        let due = match name::parse(file_name) {
            FileName::Root | FileName::Segment(1) => true,
            FileName::Run(_) | FileName::Snapshot(_) => forking,
            _ => false,
        };
        if due {
            medium.remove(file_name).map_err(|error| Error::io("remove", file_name, error))?;
        }
    }
    end_forking(medium)
}

fn is_forking(names: &[String]) -> bool {
    names.iter().any(|name| name == FORKING)
}

/// Takes the sign of a fork away, if it stands there, after everything before is durable: what stands in the directory is
/// a journal from now on, or nothing is left of it.
pub(super) fn end_forking(medium: &dyn Medium) -> Result<()> {
    let failed = |error| Error::io("sync of the directory", &medium.label(), error);
    let names = medium.names().map_err(|error| Error::io("list", &medium.label(), error))?;
    if !is_forking(&names) {
        return Ok(());
    }
    medium.sync_names().map_err(failed)?;
    medium.remove(FORKING).map_err(|error| Error::io("remove", FORKING, error))?;
    medium.sync_names().map_err(failed)
}

fn random_id() -> Result<JournalId> {
    let mut id = JournalId::default();
    id[..8].copy_from_slice(&spare::random_u64()?.to_le_bytes());
    id[8..].copy_from_slice(&spare::random_u64()?.to_le_bytes());
    Ok(id)
}
