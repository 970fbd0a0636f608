//! The members of an object in the order of their keys: a sorted list while they are few, a persistent tree from then on.

use std::cell::RefCell;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use crate::store::value::Value;

/// Keys up to this length are looked up among those met lately.
const SHARED_BYTES_MAX: usize = 32;
const SHARED_COUNT: usize = 256;

thread_local! {
    static LATELY: RefCell<Vec<Option<Arc<str>>>> = RefCell::new(vec![None; SHARED_COUNT]);
}

/// A key as it is kept. Values of one shape have the same keys: one that was met lately is not made again.
pub(super) fn shared(key: &str) -> Arc<str> {
    if key.len() > SHARED_BYTES_MAX {
        return key.into();
    }
    // FNV-1a.
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let place = (hash >> 32) as usize % SHARED_COUNT;
    // There are none left while a thread ends.
    let known = LATELY.try_with(|lately| {
        let slot = &mut lately.borrow_mut()[place];
        match slot {
            Some(known) if **known == *key => Arc::clone(known),
            _ => Arc::clone(slot.insert(key.into())),
        }
    });
    known.unwrap_or_else(|_| key.into())
}

/// So many are copied with a changed object, as fast as the way to one of them in a tree would be.
const FEW_MAX: usize = 16;

type Tree = RedBlackTreeMapSync<Arc<str>, Value>;

/// Values by key. A tree stays one when it shrinks.
#[derive(Clone)]
pub(super) enum Members {
    /// Sorted by key.
    Few(Vec<(Arc<str>, Value)>),
    Many(Tree),
}

impl Default for Members {
    fn default() -> Members {
        Members::Few(Vec::new())
    }
}

fn place(few: &[(Arc<str>, Value)], key: &str) -> Result<usize, usize> {
    few.binary_search_by(|(known, _)| (**known).cmp(key))
}

impl Members {
    pub(super) fn len(&self) -> usize {
        match self {
            Members::Few(few) => few.len(),
            Members::Many(tree) => tree.size(),
        }
    }

    /// The member under `key`, with the key as it is kept.
    pub(super) fn get(&self, key: &str) -> Option<(&Arc<str>, &Value)> {
        match self {
            Members::Few(few) => place(few, key).ok().map(|place| (&few[place].0, &few[place].1)),
            Members::Many(tree) => tree.get_key_value(key),
        }
    }

    /// Puts `value` under `key`, in place of what was there.
    pub(super) fn insert(&mut self, key: Arc<str>, value: Value) {
        match self {
            Members::Many(tree) => tree.insert_mut(key, value),
            Members::Few(few) => match place(few, &key) {
                Ok(place) => few[place].1 = value,
                Err(place) if few.len() < FEW_MAX => {
                    // There are many small objects, and few of them grow.
                    few.reserve_exact(1);
                    few.insert(place, (key, value));
                }
                Err(_) => {
                    let mut tree: Tree = few.drain(..).collect();
                    tree.insert_mut(key, value);
                    *self = Members::Many(tree);
                }
            },
        }
    }

    /// Takes out what is under `key`, if anything is.
    pub(super) fn remove(&mut self, key: &str) {
        match self {
            Members::Few(few) => drop(place(few, key).map(|place| few.remove(place))),
            Members::Many(tree) => drop(tree.remove_mut(key)),
        }
    }

    /// All in order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&Arc<str>, &Value)> {
        // One of the two has all.
        let (few, many) = match self {
            Members::Few(few) => (few.as_slice(), None),
            Members::Many(tree) => (&[][..], Some(tree.iter())),
        };
        few.iter().map(|(key, value)| (key, value)).chain(many.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_met_lately_is_not_made_again_and_no_other_takes_its_place() {
        assert!(Arc::ptr_eq(&shared("name"), &shared("name")));
        let long = "x".repeat(SHARED_BYTES_MAX + 1);
        assert!(!Arc::ptr_eq(&shared(&long), &shared(&long)));
        for number in 0..10_000 {
            let key = number.to_string();
            assert_eq!(*shared(&key), *key);
        }
    }

    proptest! {
        #[test]
        fn few_and_many_are_what_a_map_is(changes in proptest::collection::vec((0_u8..40, any::<bool>()), 0..200)) {
            let (mut members, mut map) = (Members::default(), BTreeMap::new());
            for (number, (key, is_removal)) in changes.into_iter().enumerate() {
                let (key, value) = (key.to_string(), number as u64);
                let shared = members.clone();
                let before: Vec<_> = shared.iter().map(|(key, value)| (Arc::clone(key), value.clone())).collect();
                if is_removal {
                    members.remove(&key);
                    map.remove(&key);
                } else {
                    members.insert(key.as_str().into(), Value::from(value));
                    map.insert(key.clone(), Value::from(value));
                }
                prop_assert_eq!(members.get(&key).map(|(_, value)| value), map.get(&key));
                prop_assert_eq!(members.len(), map.len());
                let pairs = |(key, value): (&Arc<str>, &Value)| (key.to_string(), value.clone());
                prop_assert!(members.iter().map(pairs).eq(map.clone()));
                prop_assert!(members.iter().rev().map(pairs).eq(map.clone().into_iter().rev()));
                // Who has a copy sees nothing of it.
                prop_assert!(shared.iter().map(|(key, value)| (Arc::clone(key), value.clone())).eq(before));
            }
        }
    }
}
