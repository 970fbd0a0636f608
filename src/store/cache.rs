//! Documents that were read from runs lately, so that a large one is not decoded for each look at it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::store::document::Document;
use crate::store::key::Key;

/// About how many bytes of memory a cache takes.
const BYTES_MAX: u64 = 32 * 1024 * 1024;
/// What a document takes beyond the trees of its value.
const DOCUMENT_BYTES: u64 = 400;
/// How much larger these trees are than the text.
const TREE_RATIO: u64 = 3;
/// Reading smaller ones anew costs little more than to find them.
const WORTH_BYTES: u64 = 1024;

/// A bounded memory. It never makes anybody wait: where somebody else is at it, it knows nothing and forgets.
#[derive(Default)]
pub(crate) struct Cache(Mutex<Generations>);

/// What was asked for lately, and what was before that: when the young are too many they become the old, and the old go.
#[derive(Default)]
struct Generations {
    young: HashMap<Key, Arc<Document>>,
    young_bytes: u64,
    old: HashMap<Key, Arc<Document>>,
}

impl Generations {
    fn put(&mut self, key: Key, document: Arc<Document>) {
        // Also one that is larger than all others may be together: parsing it anew is what would cost most.
        self.young_bytes += DOCUMENT_BYTES + key.len() as u64 + TREE_RATIO * document.value.bytes();
        self.young.insert(key, document);
        if self.young_bytes > BYTES_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

impl Cache {
    /// What is known under `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Arc<Document>> {
        let mut generations = self.0.try_lock()?;
        if let Some(known) = generations.young.get(key) {
            return Some(Arc::clone(known));
        }
        let (key, known) = generations.old.remove_entry(key)?;
        generations.put(key, Arc::clone(&known));
        Some(known)
    }

    /// Remembers a document.
    pub(crate) fn put(&self, key: Key, document: Arc<Document>) {
        if let Some(mut generations) = self.0.try_lock() {
            generations.put(key, document);
        }
    }

    /// Takes over what another cache knows, but for what is newer than that; of that the large ones. `newer` has the newest
    /// first.
    pub(crate) fn take_from(&self, below: &Cache, newer: impl Iterator<Item = (Key, Option<Arc<Document>>)>) {
        let mut generations = self.0.lock();
        let known = below.0.lock();
        generations.young.clone_from(&known.young);
        generations.young_bytes = known.young_bytes;
        generations.old.clone_from(&known.old);
        drop(known);
        let mut seen = std::collections::HashSet::new();
        for (key, document) in newer {
            if !seen.insert(Arc::clone(&key)) {
                continue;
            }
            generations.young.remove(&key);
            generations.old.remove(&key);
            if let Some(document) = document.filter(|document| document.value.bytes() >= WORTH_BYTES) {
                generations.put(key, document);
            }
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache")
    }
}
