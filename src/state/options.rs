//! How a typed journal is opened: the options of a journal, and where it is.

use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::Clock;
use crate::error::Result;
use crate::journal::options::{FACE_TYPED, Face};
use crate::journal::{Background, Damaged, Offloaded, Options, offload};
use crate::medium::{Disk, Medium, Presence};
use crate::state::Journaled;
use crate::state::fold::Fold;
use crate::state::registry::{Found, Place};
use crate::state::twin::Twin;

/// Options for [`Journaled::open`] and its relatives. All have the defaults of a journal's [`Options`]; those that are
/// not here are set with [`JournaledOptions::journal`].
pub struct JournaledOptions<S> {
    journal: Options,
    fold: PhantomData<fn() -> S>,
}

impl<S: Fold> JournaledOptions<S> {
    /// The defaults.
    pub fn new() -> JournaledOptions<S> {
        JournaledOptions { journal: Options::new(), fold: PhantomData }
    }

    /// Changes the options of the journal beneath: sizes, limits, and all others.
    ///
    /// ```
    /// # use everlog::{Fold, Journaled, Stamp};
    /// # #[derive(Default, serde::Serialize, serde::Deserialize)]
    /// # struct Count(u64);
    /// # impl Fold for Count {
    /// #     type Event = ();
    /// #     const NAME: &'static str = "count";
    /// #     const VERSION: u16 = 1;
    /// #     fn apply(&mut self, _: &(), _: &Stamp) { self.0 += 1; }
    /// # }
    /// let options = Journaled::<Count>::options().journal(|journal| journal.journal_bytes_max(1 << 30));
    /// # drop(options);
    /// ```
    #[must_use]
    pub fn journal(mut self, change: impl FnOnce(Options) -> Options) -> JournaledOptions<S> {
        self.journal = change(self.journal);
        self
    }

    /// Never creates: a missing or empty directory is an error (J16).
    #[must_use]
    pub fn must_exist(self) -> JournaledOptions<S> {
        self.journal(Options::must_exist)
    }

    /// Opens for reading only, also beside a live writer: up to what is proven durable. Changes nothing (J14).
    #[must_use]
    pub fn read_only(self) -> JournaledOptions<S> {
        self.journal(Options::read_only)
    }

    /// What to do with damage.
    #[must_use]
    pub fn damaged(self, damaged: Damaged) -> JournaledOptions<S> {
        self.journal(|journal| journal.damaged(damaged))
    }

    /// Who works beside the writers.
    #[must_use]
    pub fn background(self, background: Background) -> JournaledOptions<S> {
        self.journal(|journal| journal.background(background))
    }

    /// Where time comes from.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> JournaledOptions<S> {
        self.journal(|journal| journal.clock(clock))
    }

    /// Opens the journal in the directory `path`, which is created if it is missing. A directory that this process has
    /// open already, for writing and as the same type, gives the live handle; the options mean nothing then.
    ///
    /// # Errors
    ///
    /// As [`Journaled::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Journaled<S>> {
        let presence = if self.journal.must_exist { Presence::MustExist } else { Presence::CreateMissing };
        let disk = Disk::open(path.as_ref(), presence)?;
        if self.journal.read_only {
            return self.open_on(Arc::new(disk));
        }
        let place = Place::at(disk.real_path());
        match place.look::<Twin<S>>()? {
            Found::Live(twin) => Ok(Journaled::of(twin)),
            Found::Free(vacancy) => {
                let journal = self.face().open_on(Arc::new(disk))?;
                let twin = Arc::new(Twin::new(journal, Some(place.clone()))?);
                vacancy.move_in(twin.id, &twin);
                Ok(Journaled::of(twin))
            }
        }
    }

    /// [`JournaledOptions::open`] as a future, for async programs: recovery runs on a thread of its own.
    pub fn open_async(self, path: impl Into<PathBuf>) -> Offloaded<Journaled<S>> {
        let path = path.into();
        offload("everlog-open", move || self.open(path))
    }

    /// Opens the journal on a medium, such as a simulated one.
    ///
    /// # Errors
    ///
    /// As [`Journaled::open`]; `Held` if this or another process has it open for writing.
    pub fn open_on(self, medium: Arc<dyn Medium>) -> Result<Journaled<S>> {
        let journal = self.face().open_on(medium)?;
        Ok(Journaled::of(Arc::new(Twin::new(journal, None)?)))
    }

    /// The options with what the journal is to hold (J15).
    fn face(self) -> Options {
        self.journal.face(Face {
            kind: Some(FACE_TYPED),
            type_name: S::NAME.to_owned(),
            codec: S::CODEC.number(),
            type_version: S::VERSION,
        })
    }
}

impl<S: Fold> Default for JournaledOptions<S> {
    fn default() -> JournaledOptions<S> {
        JournaledOptions::new()
    }
}

impl<S> Clone for JournaledOptions<S> {
    fn clone(&self) -> JournaledOptions<S> {
        JournaledOptions { journal: self.journal.clone(), fold: PhantomData }
    }
}

impl<S> fmt::Debug for JournaledOptions<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.journal.fmt(f)
    }
}
