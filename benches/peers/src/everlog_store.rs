//! everlog's store: one record for each change, synced.

use std::path::{Path, PathBuf};

use everlog::{Durability, Store, path};

use crate::{Document, Many, Reopen, Setter, Way};

/// A document in a store, or many of them.
#[derive(Debug)]
pub struct EverlogStore {
    directory: PathBuf,
    open: Option<(Store, Document)>,
}

impl EverlogStore {
    /// A store with one document, open.
    pub fn with(directory: &Path, document: Document) -> EverlogStore {
        let directory = directory.join("everlog");
        let store = Store::open(&directory).expect("opens");
        store.set("documents.one", &document.value()).expect("sets");
        EverlogStore { directory, open: Some((store, document)) }
    }

    /// A store with many documents, closed.
    pub fn with_many(directory: &Path) -> EverlogStore {
        let directory = directory.join("everlog");
        let store = Store::open(&directory).expect("opens");
        let buffered = store.with_durability(Durability::Buffered);
        for thousand in 0..Many::COUNT / 1000 {
            let numbers = thousand * 1000..(thousand + 1) * 1000;
            let fill = |tx: &mut everlog::Tx<'_>| {
                numbers
                    .clone()
                    .try_for_each(|n| tx.set(path!("documents", Many::key(n)), &Many::value(n)).map(drop))
            };
            buffered.transaction(fill).expect("sets");
        }
        store.close().expect("closes");
        EverlogStore { directory, open: None }
    }
}

impl Way for EverlogStore {
    fn name(&self) -> &'static str {
        "everlog, synced"
    }

    fn lend(&self, user: &mut dyn FnMut(&mut Setter<'_>)) {
        let (store, document) = self.open.as_ref().expect("it is open");
        user(&mut |n| {
            store.set(path!("documents", "one", document.member(n), "n"), &n).expect("sets");
        });
    }
}

impl Reopen for EverlogStore {
    fn name(&self) -> &'static str {
        "everlog"
    }

    fn open_and_read(&self, key: &str, read: &mut dyn FnMut(u64)) {
        let store = Store::open(&self.directory).expect("opens");
        read(store.get(path!("documents", key, "id")).expect("reads").expect("it is there"));
        store.close().expect("closes");
    }
}
