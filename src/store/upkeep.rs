//! Snapshots of a live store: the overlay is sealed, the log folded beside the writers, memory compared with it, and the
//! new runs put below all versions.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Compacted, Retention};
use crate::position::Position;
use crate::snapshot::list;
use crate::store::base::Base;
use crate::store::maker::{with_maker, with_maker_without};
use crate::store::order::Order;
use crate::store::replay::{self, accepts};
use crate::store::version::Version;

/// From so much log after the last snapshot on, closing makes one, so that the next opening has little to read.
const CLOSE_BYTES: u64 = 1024 * 1024;

impl Order {
    /// Makes a snapshot at the durable end and lets what it has go from memory.
    pub(crate) fn snapshot(&self) -> Result<Position> {
        let _alone = self.upkeep.lock();
        self.snapshot_without(&BTreeSet::new())
    }

    /// Reads every block of every snapshot anew. If one does not check, makes a new snapshot from the log and from those
    /// that do, and goes on from it.
    pub(crate) fn mend(&self) -> Result<Position> {
        let _alone = self.upkeep.lock();
        let medium = &**self.journal.medium();
        let mut bad = BTreeSet::new();
        for position in list::positions(medium)? {
            let checked = list::read(medium, position).and_then(|found| list::verify(medium, &found));
            match checked {
                Err(error) if *error.kind() == ErrorKind::Damaged => drop(bad.insert(position)),
                outcome => outcome?,
            }
        }
        if bad.is_empty() {
            return Ok(self.journal.position());
        }
        self.snapshot_without(&bad)
    }

    fn snapshot_without(&self, bad: &BTreeSet<Position>) -> Result<Position> {
        let journal = &self.journal;
        let core = journal.writer_core()?;
        let (number, sealed) = loop {
            let (number, sealed, refusals) = self.seal()?;
            let waited = core.wait_durable(sealed.position.lsn);
            // Numbers taken back may have been what was sealed, and others have them now: then once more.
            if core.refusals() == refusals {
                waited?;
                break (number, sealed);
            }
        };
        let position = with_maker_without(journal, bad.clone(), |maker| journal.make_snapshot(maker))?;
        let list = journal.base_at(position.lsn, &accepts)?.list;
        let Some(list) = list.filter(|list| list.position == position) else { return Ok(position) };
        // The sink knows of a sync before the core does: until then what is published may lie before the snapshot.
        core.wait_durable(position.lsn)?;
        let base = Arc::new(Base::open(journal, &list.runs)?);
        let made = Version::of_base(Arc::clone(&base), position, list.time)?;
        self.publish()?;
        self.compare(made, &self.view())?;
        base.warm(sealed.base(), sealed.sealed(number));
        self.settle_on(number, &base)?;
        Ok(position)
    }

    /// Compares what the log says with what is in memory (J10). If they differ nothing more is accepted: memory is wrong.
    fn compare(&self, mut made: Version, live: &Version) -> Result<()> {
        // What is published may lie before it still: behind a full disk it is read from the log.
        let mut live = live.clone();
        let end = made.position.lsn.max(live.position.lsn);
        replay::catch_up(&self.journal, &mut made, end)?;
        replay::catch_up(&self.journal, &mut live, end)?;
        if made.sum() == live.sum() && made.bytes() == live.bytes() {
            return Ok(());
        }
        let what = format!("the state in memory differs from the fold of the log at {}", live.position);
        let error = Error::new(ErrorKind::Damaged, what)
            .advise("reopen the store: the log is the truth; please report this");
        self.journal.writer_core()?.poison(error.clone());
        Err(error)
    }

    /// Lets history go that `retention` does not keep.
    pub(crate) fn compact(&self, retention: &Retention) -> Result<Compacted> {
        let _alone = self.upkeep.lock();
        // The horizon must not pass what is published: from there on the log is read if numbers were taken back.
        self.publish()?;
        with_maker(&self.journal, |maker| self.journal.compact_with(retention, maker))
    }

    /// Closes; before that, makes a snapshot if there is much to replay otherwise.
    pub(crate) fn close_tidily(&self) -> Result<()> {
        let core = self.journal.writer_core();
        let tidied = match core {
            Ok(core) if core.sink().bytes_since_snapshot() >= CLOSE_BYTES && core.accepting().is_ok() => {
                self.snapshot().map(drop)
            }
            _ => Ok(()),
        };
        let closed = self.close();
        match tidied {
            // Snapshots are disposable (J9): one that could not be made for want of space harms nothing.
            Err(error) if *error.kind() == ErrorKind::Damaged => closed.and(Err(error)),
            _ => closed,
        }
    }
}

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests {
    use super::*;
    use crate::journal::Background;
    use crate::medium::Sim;
    use crate::store::Store;

    /// The journal fails before anybody made good what a refusal took back.
    #[test]
    fn a_snapshot_after_a_refusal_and_a_failure_is_an_error_and_ends() {
        let sim = Sim::new(1);
        let options = Store::options().background(Background::Inline);
        let store = options.open_on(Arc::new(sim.clone())).expect("opens");
        store.set("a.b", &0).expect("sets");
        sim.capacity(Some(0));
        let refused = store.set("a.b", &"x".repeat(300_000)).expect_err("no room");
        assert_eq!(refused.kind(), &ErrorKind::Full);
        let core = store.order.journal.writer_core().expect("writes");
        core.poison(Error::new(ErrorKind::Io, "the device is gone"));
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || tell.send(store.snapshot().map_err(|error| error.kind().clone())));
        let outcome = told.recv_timeout(std::time::Duration::from_secs(60)).expect("ends");
        assert_eq!(outcome.expect_err("failed"), ErrorKind::Poisoned);
    }
}
