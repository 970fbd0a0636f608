//! The commit path only fills (J11): one write and one sync for a commit, into zeros prepared and named beforehand.

#![cfg(feature = "sim")]

use std::collections::BTreeMap;
use std::sync::Arc;

use everlog::Journal;
use everlog::journal::{Background, Options};
use everlog::medium::Sim;

fn journal(sim: &Sim, segment_bytes: u64) -> Journal {
    let options = Options::new().background(Background::Inline).segment_bytes(segment_bytes, segment_bytes);
    let journal = options.open_on(Arc::new(sim.clone())).expect("opens");
    journal.tick().expect("prepares the next segment");
    journal
}

fn contents(sim: &Sim) -> BTreeMap<String, Vec<u8>> {
    sim.files().into_iter().map(|(name, _)| (name.clone(), sim.bytes(&name).expect("there"))).collect()
}

#[test]
fn a_commit_is_one_write_and_one_sync_and_makes_no_file_longer() {
    let sim = Sim::new(1);
    let journal = journal(&sim, 1 << 20);
    let (steps, files) = (sim.steps(), sim.files());
    // The note about the holder is not synced: nothing depends on it.
    let unsynced = (sim.unsynced_names(), sim.unsynced_writes());
    for index in 0..100_u8 {
        journal.append([index; 50]).expect("appends");
    }
    assert_eq!(sim.steps() - steps, 200, "a write and a sync for each");
    assert_eq!(sim.files(), files, "names and lengths as before");
    assert_eq!((sim.unsynced_names(), sim.unsynced_writes()), unsynced);
    assert_eq!(unsynced.0, 0);
}

#[test]
fn nothing_but_zeros_is_ever_written_over_in_a_segment_and_none_is_used_again() {
    let sim = Sim::new(2);
    let journal = journal(&sim, 16 * 1024);
    let mut before = contents(&sim);
    for index in 0..200_u8 {
        journal.append([index | 1; 300]).expect("appends");
        journal.tick().expect("prepares the next segment");
        let after = contents(&sim);
        for (name, old) in before.iter().filter(|(name, _)| name.ends_with(".seg")) {
            let new = after.get(name).expect("no segment is removed or renamed");
            assert_eq!(new.len(), old.len(), "{name}");
            let kept = old.iter().zip(new).all(|(old, new)| *old == 0 || old == new);
            assert!(kept, "{name} was written over by commit {index}");
        }
        before = after;
    }
    assert!(journal.status().segments > 5, "{:?}", journal.status());
}
