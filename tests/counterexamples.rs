//! The counter-examples that simpler recovery rules fall for, one by one.
#![cfg(feature = "sim")]

mod crash_kit;

use crash_kit::{Lie, Shim, open, open_on, options};
use everlog::journal::Retention;
use everlog::medium::Sim;
use everlog::medium::sim::{Crash, Fault};
use everlog::testing::payloads;
use everlog::{Durability, ErrorKind, Journal, Transaction};

fn found(sim: &Sim) -> Vec<Vec<u8>> {
    payloads(&open(sim).expect("opens")).expect("reads")
}

fn buffer(journal: &Journal, payload: &[u8]) {
    journal.commit(&Transaction::new().record(payload), Durability::Buffered).expect("commits");
}

fn segments(sim: &Sim) -> Vec<(String, Vec<u8>)> {
    let names = sim.files().into_iter().map(|file| file.0).filter(|name| name.ends_with(".seg"));
    names.map(|name| (name.clone(), sim.bytes(&name).expect("there"))).collect()
}

/// Where `needle` stands in the segments.
fn place_of(sim: &Sim, needle: &[u8]) -> (String, u64) {
    let segments = segments(sim);
    let mut places = segments.iter().filter_map(|(name, bytes)| {
        let at = bytes.windows(needle.len()).position(|window| window == needle)?;
        Some((name.clone(), at as u64))
    });
    places.next().expect("there")
}

#[test]
fn an_acknowledged_record_in_a_later_segment_never_has_a_torn_one_before_it() {
    let sim = Sim::new(1);
    let journal = open(&sim).expect("opens");
    journal.append("first").expect("appends");
    let mut sent = vec![b"first".to_vec()];
    for index in 0..8 {
        sent.push(vec![index; 300]);
        buffer(&journal, &[index; 300]);
    }
    assert!(sim.unsynced_writes() > 4, "the old segment has unsynced frames");
    sent.push(vec![9; 1000]);
    sent.push(vec![10; 1000]);
    journal.append([9; 1000]).expect("appends");
    journal.append([10; 1000]).expect("appends");
    assert!(journal.status().segments > 1, "the segment was rolled");
    for (label, image) in sim.crash_images(100, 1) {
        assert_eq!(found(&image), sent, "{label}");
    }
}

#[test]
fn a_cached_ghost_of_a_failed_sync_is_not_built_upon_by_the_next_owner() {
    let sim = Sim::new(2);
    let journal = open(&sim).expect("opens");
    journal.append("one").expect("appends");
    sim.fail_next_sync();
    assert_eq!(journal.append("ghost").expect_err("fails").kind(), &ErrorKind::FateUnknown);
    let next = sim.kill();
    let second = open(&next).expect("opens in the same cache");
    let mut shown = payloads(&second).expect("reads");
    assert!(shown.starts_with(&[b"one".to_vec()]));
    second.append("two").expect("appends");
    shown.push(b"two".to_vec());
    for (label, image) in next.crash_images(50, 2) {
        assert_eq!(found(&image), shown, "{label}");
    }
}

#[test]
fn a_ghost_of_a_whole_creation_is_made_true_before_it_is_built_upon() {
    for step in 1..=12 {
        let sim = Sim::new(3);
        sim.fail_step(step, Fault::Error(std::io::ErrorKind::Other));
        let first = open(&sim);
        drop(first);
        let journal = open(&sim).expect("opens in the same cache");
        journal.append("one").expect("appends");
        for (label, image) in sim.crash_images(30, 3) {
            assert_eq!(found(&image), [b"one"], "error at step {step}, {label}");
        }
    }
}

/// A compacted journal whose newest slot, written by the close, is only in the cache.
fn ghost_slot(failing: u64) -> (Sim, Vec<Vec<u8>>) {
    let sim = Sim::new(4);
    let journal = open(&sim).expect("opens");
    for index in 0..12 {
        journal.append([index; 900]).expect("appends");
    }
    journal.compact(&Retention::forever().bytes(32 << 10)).expect("compacts");
    let shown = payloads(&journal).expect("reads");
    assert!(shown.len() < 12, "the older slot still names segments that are gone");
    sim.fail_step(sim.steps() + failing, Fault::Error(std::io::ErrorKind::Other));
    drop(journal.close());
    (sim, shown)
}

#[test]
fn a_ghost_slot_of_the_root_is_made_true_before_the_other_is_overwritten() {
    // Else a torn write leaves the device with a slot that is two behind. Compaction writes both slots, so that even that
    // one names segments that are there; neither defence alone is relied upon.
    for failing in 3..=5 {
        for step in 1..=30 {
            let (sim, shown) = ghost_slot(failing);
            sim.power_cut_at(sim.steps() + step);
            let second = open(&sim);
            let _cut =
                second.and_then(|journal| (0..6).try_for_each(|_| journal.append([77; 900]).map(drop)));
            for (label, image) in sim.crash_images(10, step) {
                let place = format!("error {failing} steps into the close, power cut after {step}, {label}");
                let journal = open(&image).unwrap_or_else(|error| panic!("{place}: {error}"));
                assert!(payloads(&journal).expect("reads").starts_with(&shown), "{place}");
            }
        }
    }
}

#[test]
fn a_sync_that_failed_for_one_caller_is_not_believed_by_another() {
    // The system tells a failed sync to one caller. A roll that syncs the same file meanwhile would hear yes, and vouch
    // for bytes that the device has not got.
    let sim = Sim::new(11);
    let shim = Shim::new(sim.clone(), Lie::LateFailure);
    let journal = open_on(shim.clone()).expect("opens");
    journal.append("one").expect("appends");
    let gate = shim.hang();
    sim.fail_next_sync();
    let before = sim.steps();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| journal.append("lost"));
        while sim.steps() < before + 2 {
            std::thread::yield_now();
        }
        let roller = scope.spawn(|| {
            let filler = Transaction::new().record([7; 900]);
            (0..6).try_for_each(|_| journal.commit(&filler, Durability::Buffered).map(drop))
        });
        std::thread::sleep(std::time::Duration::from_millis(50));
        drop(gate);
        writer.join().expect("no panic").expect_err("the sync failed");
        roller.join().expect("no panic").expect_err("poisoned");
    });
    drop(journal);
    let image = sim.crash(Crash::LoseAll);
    assert_eq!(found(&image), [b"one"]);
}

#[test]
fn a_mark_that_a_power_cut_takes_from_before_the_seal_is_no_damage() {
    let prepare = || {
        let sim = Sim::new(12);
        let journal = open(&sim).expect("opens");
        journal.append("one").expect("appends");
        // One sync over two frames, and behind it a mark that nothing syncs.
        let two_frames = Transaction::new().record([2; 900]).record([3; 900]);
        journal.commit(&two_frames, Durability::Synced).expect("commits");
        (sim, journal)
    };
    let (sim, journal) = prepare();
    let start = sim.steps();
    journal.close().expect("closes");
    for step in start + 1..=sim.steps() {
        let (sim, journal) = prepare();
        sim.power_cut_at(step);
        journal.close().expect_err("the power went");
        for (label, image) in sim.crash_images(60, step) {
            assert_eq!(found(&image).len(), 3, "step {step}, {label}");
        }
    }
}

#[test]
fn a_slot_refilled_after_a_cut_revives_no_old_frame() {
    let sim = Sim::new(5);
    let journal = open(&sim).expect("opens");
    journal.append("kept").expect("appends");
    buffer(&journal, b"torn....");
    buffer(&journal, b"revived?");
    let image = sim.crash(Crash::KeepAll);
    let (name, offset) = place_of(&image, b"torn....");
    image.overwrite(&name, offset, &[0; 8]).expect("damages");
    let (old_name, _) = place_of(&image, b"revived?");
    let journal = open(&image).expect("opens");
    assert!(journal.report().cut.is_some());
    assert_eq!(payloads(&journal).expect("reads"), [b"kept"], "what stands behind a torn frame is dropped");
    journal.append("same len").expect("appends");
    assert_ne!(place_of(&image, b"same len").0, old_name, "nothing is appended behind a cut");
    for (label, image) in image.crash_images(50, 5) {
        assert_eq!(found(&image), [&b"kept"[..], b"same len"], "{label}");
    }
}

#[test]
fn mending_writes_into_no_segment_that_was_there() {
    let sim = Sim::new(6);
    let journal = open(&sim).expect("opens");
    for index in 0..12 {
        journal.append([index; 700]).expect("appends");
    }
    buffer(&journal, b"torn");
    for (label, image) in sim.crash_images(30, 6) {
        let before = segments(&image);
        let journal = open(&image).expect("opens");
        journal.append("more").expect("appends");
        for (name, bytes) in segments(&image) {
            let same = before.iter().find(|old| old.0 == name).is_none_or(|old| old.1 == bytes);
            assert!(same, "{label}: {name} was written to");
        }
    }
}

#[test]
fn a_copy_is_made_live_only_when_it_is_durable() {
    let sim = Sim::new(7);
    let journal = open(&sim).expect("opens");
    // Nothing vouches for these two yet, so recovery copies them.
    journal.append("one").expect("appends");
    journal.append("two").expect("appends");
    let image = sim.crash(Crash::LoseAll);
    let whole = image.kill();
    open(&whole).expect("opens");
    for step in 1..=whole.steps() {
        let cut = image.kill();
        cut.power_cut_at(step);
        drop(open(&cut));
        for (label, left) in cut.crash_images(40, step) {
            assert_eq!(found(&left), [b"one", b"two"], "step {step}, {label}");
        }
    }
}

#[test]
fn a_link_behind_an_idle_mark_is_followed_when_the_root_does_not_know_it_yet() {
    // The mark that proves the record lies behind the junction and is dead once the link is there. Copying the record
    // a second time gave its number twice, and the journal could not be opened again.
    let sim = Sim::new(8);
    let journal = open(&sim).expect("opens");
    journal.append("one").expect("appends");
    journal.tick().expect("ticks");
    let image = sim.crash(Crash::LoseAll);
    let whole = image.kill();
    open(&whole).expect("opens");
    for step in 1..=whole.steps() {
        let cut = image.kill();
        cut.power_cut_at(step);
        drop(open(&cut));
        let left = cut.crash(Crash::LoseAll);
        for round in 0..3 {
            let shim = Shim::new(left.clone(), Lie::None);
            let journal =
                open_on(shim.clone()).unwrap_or_else(|error| panic!("step {step} round {round}: {error}"));
            assert_eq!(payloads(&journal).expect("reads"), [b"one"]);
            shim.die();
        }
    }
}

#[test]
fn a_transaction_torn_across_a_roll_is_cut_at_every_step_of_it() {
    let sim = Sim::new(9);
    let prepare = |sim: &Sim| {
        let journal = open(sim).expect("opens");
        journal.append("one").expect("appends");
        journal
    };
    let transaction = (0..9).fold(Transaction::new(), |tx, index| tx.record([index; 900]));
    let journal = prepare(&sim);
    let start = sim.steps();
    journal.commit(&transaction, Durability::Synced).expect("commits");
    for step in start + 1..=sim.steps() {
        let sim = Sim::new(9);
        let journal = prepare(&sim);
        sim.power_cut_at(step);
        journal.commit(&transaction, Durability::Synced).expect_err("the power went");
        drop(journal);
        for (label, image) in sim.crash_images(20, step) {
            let first = found(&image);
            assert!([1, 10].contains(&first.len()), "{label}: {} records", first.len());
            assert_eq!(found(&image), first, "{label}");
        }
    }
}

#[test]
fn an_unreadable_salt_is_damage_and_never_an_unused_file() {
    let sim = Sim::new(10);
    let journal = open(&sim).expect("opens");
    for index in 0..12 {
        journal.append([index; 700]).expect("appends");
    }
    let image = sim.crash(Crash::LoseAll);
    for (name, _) in segments(&image) {
        let damaged = image.crash(Crash::LoseAll);
        damaged.flip(&name, 56, 0x40).expect("flips");
        let hash = damaged.image_hash();
        let error = open(&damaged).expect_err("refused");
        assert_eq!((error.kind(), error.file()), (&ErrorKind::Damaged, Some(name.as_str())), "{error}");
        assert_eq!(damaged.image_hash(), hash, "nothing was changed");
        let reader = options().damaged(everlog::journal::Damaged::ReadOnly);
        let _never_panics = reader.open_on(std::sync::Arc::new(damaged)).map(|journal| payloads(&journal));
    }
}
