//! Errors from the system, second owners and odd input: each row of the fault list that concerns a journal, by its id.
#![cfg(feature = "sim")]

mod crash_kit;

use std::io::ErrorKind as IoKind;
use std::sync::Arc;
use std::time::Duration;

use crash_kit::{KIB, Lie, Shim, open, open_on, options};
use everlog::journal::Background;
use everlog::medium::sim::{Crash, Fault, Switch};
use everlog::medium::{Medium, Sim};
use everlog::testing::{Crashes, ManualClock, payloads};
use everlog::{Durability, ErrorKind, Journal, Timestamp, Transaction};

/// A device with so many records of 200 bytes, closed.
fn closed(count: u8) -> Sim {
    let sim = Sim::new(1);
    let journal = open(&sim).expect("opens");
    fill(&journal, count);
    journal.close().expect("closes");
    sim
}

/// The same, not closed.
fn crashed(count: u8) -> Sim {
    let sim = Sim::new(1);
    let journal = open(&sim).expect("opens");
    fill(&journal, count);
    sim.crash(Crash::KeepAll)
}

fn fill(journal: &Journal, count: u8) {
    (0..count).for_each(|index| {
        journal.append([index; 200]).expect("appends");
    });
}

fn count(journal: &Journal) -> usize {
    payloads(journal).expect("reads").len()
}

fn count_read_only(sim: &Sim) -> usize {
    count(&options().read_only().open_on(Arc::new(sim.clone())).expect("opens for reading"))
}

#[test]
fn e1_a_failed_sync_wakes_everyone_with_the_same_error_and_poisons() {
    let sim = Sim::new(1);
    // Without the helper that prepares segments: the failing sync is to be that of a group.
    let journal = options().background(Background::Inline).open_on(Arc::new(sim.clone())).expect("opens");
    journal.append("good").expect("appends");
    sim.fail_next_sync();
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8).map(|_| scope.spawn(|| journal.append("bad"))).collect();
        writers.into_iter().map(|writer| writer.join().expect("no panic")).collect()
    });
    let errors: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(errors.iter().any(|error| *error.kind() == ErrorKind::FateUnknown));
    for error in errors {
        assert!(matches!(error.kind(), ErrorKind::FateUnknown | ErrorKind::Poisoned), "{error}");
        assert!(error.what().contains("simulated fault"), "{error}");
    }
    // A mark's sync may have met the fault instead, which poisons just as well.
    assert_eq!(journal.append("later").expect_err("poisoned").kind(), &ErrorKind::Poisoned);
    assert!(count(&journal) >= 1, "reading goes on");
    assert_eq!(journal.close().expect_err("poisoned").kind(), &ErrorKind::Poisoned);
}

#[test]
fn e1_e10_nothing_is_synced_again_after_a_failed_or_interrupted_sync() {
    for fault in [Fault::Error(IoKind::Other), Fault::Interrupted, Fault::ErrorRaw(5)] {
        let sim = Sim::new(1);
        let journal = open(&sim).expect("opens");
        journal.append("good").expect("appends");
        sim.fail_step(sim.steps() + 2, fault);
        assert_eq!(journal.append("bad").expect_err("fails").kind(), &ErrorKind::FateUnknown);
        let steps = sim.steps();
        assert_eq!(journal.append("later").expect_err("poisoned").kind(), &ErrorKind::Poisoned);
        assert_eq!(journal.tick().expect_err("poisoned").kind(), &ErrorKind::Poisoned);
        assert_eq!(sim.steps(), steps, "{fault:?}");
    }
}

#[test]
fn e4_a_full_disk_at_any_point_is_told_and_the_journal_goes_on_when_there_is_space() {
    for capacity in (0..120 * KIB).step_by(1999) {
        let sim = Sim::new(1);
        sim.capacity(Some(capacity));
        let journal = match open(&sim) {
            Ok(journal) => journal,
            Err(error) => {
                assert_eq!(error.kind(), &ErrorKind::Full, "at {capacity}: {error}");
                sim.capacity(None);
                open(&sim).expect("opens when there is space")
            }
        };
        let mut written = 0;
        let error = loop {
            match journal.append([written as u8; 900]) {
                Ok(_) if written == 200 => break None,
                Ok(_) => written += 1,
                Err(error) => break Some(error),
            }
        };
        if let Some(error) = error {
            assert_eq!(error.kind(), &ErrorKind::Full, "at {capacity}: {error}");
            assert_eq!(count(&journal), written, "readable and no half record");
            assert!(count_read_only(&sim) <= written);
            assert_eq!(journal.append([0; 900]).expect_err("still full").kind(), &ErrorKind::Full);
            sim.capacity(None);
        }
        journal.append("goes on without reopening").expect("there is space");
        let image = sim.crash(Crash::LoseAll);
        assert_eq!(count(&open(&image).expect("opens")), count(&journal), "at {capacity}");
    }
}

#[test]
fn e4_a_full_disk_at_recovery_leaves_the_journal_readable_and_opens_when_there_is_space() {
    let sim = crashed(20);
    let used: u64 = sim.files().iter().map(|file| file.1).sum();
    for spare in (0..40 * KIB).step_by(999) {
        let full = sim.kill();
        full.capacity(Some(used + spare));
        if let Err(error) = open(&full) {
            assert_eq!(error.kind(), &ErrorKind::Full, "{error}");
            assert!(count_read_only(&full) >= 19);
        }
        full.capacity(None);
        assert_eq!(count(&open(&full).expect("opens")), 20);
    }
}

#[test]
fn e5_no_space_at_a_sync_is_a_failed_sync() {
    let sim = Sim::new(1);
    let journal = open(&sim).expect("opens");
    journal.append("good").expect("appends");
    sim.fail_step(sim.steps() + 2, Fault::Error(IoKind::StorageFull));
    assert_eq!(journal.append("bad").expect_err("fails").kind(), &ErrorKind::FateUnknown);
    assert_eq!(journal.append("later").expect_err("poisoned").kind(), &ErrorKind::Poisoned);
}

#[test]
fn e7_e11_a_read_that_fails_at_opening_changes_nothing_and_the_next_opening_works() {
    for sim in [closed(15), crashed(15)] {
        let good = sim.kill();
        open(&good).expect("opens");
        for read in 1..=good.reads() {
            for kind in [IoKind::Other, IoKind::OutOfMemory] {
                let sim = sim.kill();
                sim.fail_read(read, kind);
                let opened = open(&sim).map(drop);
                sim.clear_faults();
                if let Err(error) = &opened {
                    assert_eq!(error.kind(), &ErrorKind::Io, "read {read}: {error}");
                    assert!(error.file().is_some(), "{error}");
                    // The last two reads compare the root's copies, after everything else was done.
                    assert!(sim.steps() == 0 || read + 2 > good.reads(), "read {read} of {}", good.reads());
                }
                drop(opened);
                assert_eq!(count(&open(&sim).expect("opens")), 15, "read {read}");
            }
        }
    }
}

#[test]
fn e8_a_read_that_fails_in_service_fails_that_call_only() {
    let sim = Sim::new(1);
    let journal = open(&sim).expect("opens");
    fill(&journal, 30);
    let mut failed = 0;
    for read in 1..10 {
        sim.fail_read(sim.reads() + read, IoKind::Other);
        let mut records = journal.records().expect("reads");
        let outcomes: Vec<_> = records.by_ref().collect();
        if outcomes.iter().any(Result::is_err) {
            failed += 1;
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), 1, "it stays failed");
        }
        sim.clear_faults();
        assert!(records.next().is_none());
        assert_eq!(count(&journal), 30);
        journal.tick().expect("the handle lives on");
    }
    assert!(failed > 0);
    journal.append("more").expect("appends");
}

#[test]
fn e9_short_writes_and_reads_change_nothing() {
    let sim = Sim::new(1);
    sim.short_writes(Switch::On);
    sim.short_reads(Switch::On);
    let journal = open(&sim).expect("opens");
    fill(&journal, 60);
    assert_eq!(count(&journal), 60);
    journal.close().expect("closes");
    assert_eq!(count(&open(&sim).expect("opens")), 60);
    let image = sim.crash(Crash::LoseAll);
    image.short_reads(Switch::On);
    assert_eq!(count(&open(&image).expect("opens")), 60);
}

#[test]
fn e12_what_cannot_be_removed_or_made_never_stops_the_appends() {
    // Leftover spares: their removal at opening fails, and the names stand in the way later.
    let sim = Sim::new(1);
    let journal = open(&sim).expect("opens");
    journal.append("one").expect("appends");
    journal.tick().expect("makes a spare");
    let image = sim.crash(Crash::LoseAll);
    let whole = image.kill();
    open(&whole).expect("opens");
    for step in 1..=whole.steps() {
        let sim = image.kill();
        sim.fail_step(step, Fault::Error(IoKind::Other));
        drop(open(&sim));
        let journal = match open(&sim) {
            Ok(journal) => journal,
            Err(error) => panic!("step {step}: {error}"),
        };
        fill(&journal, 60);
        assert_eq!(count(&journal), 61);
    }
}

#[test]
fn e13_a_read_only_file_system_is_told_before_any_change_and_can_be_read() {
    for (sim, expected) in [(closed(15), 15), (crashed(15), 14)] {
        sim.read_only(Switch::On);
        let (hash, steps) = (sim.image_hash(), sim.steps());
        assert_eq!(open(&sim).expect_err("refused").kind(), &ErrorKind::ReadOnly);
        assert!(count_read_only(&sim) >= expected);
        assert_eq!((sim.image_hash(), sim.steps()), (hash, steps), "nothing was even tried");
        sim.read_only(Switch::Off);
        assert_eq!(count(&open(&sim).expect("opens")), 15);
    }
    let empty = Sim::new(1);
    empty.read_only(Switch::On);
    assert_eq!(open(&empty).expect_err("refused").kind(), &ErrorKind::ReadOnly);
}

#[test]
fn e14_lost_permission_is_told_and_open_handles_go_on() {
    let sim = Sim::new(1);
    let journal = open(&sim).expect("opens");
    fill(&journal, 3);
    for (name, _) in sim.files() {
        sim.deny(&name);
    }
    fill(&journal, 30);
    assert_eq!(count(&journal), 33);
    let image = sim.kill();
    let hash = image.image_hash();
    assert_eq!(open(&image).expect_err("denied").kind(), &ErrorKind::Denied);
    assert_eq!(image.image_hash(), hash);
}

#[test]
fn o1_o4_the_second_owner_is_refused_at_once_and_changes_nothing() {
    let sim = Sim::new(1);
    let journal = open(&sim).expect("opens");
    fill(&journal, 3);
    let (hash, steps) = (sim.image_hash(), sim.steps());
    assert_eq!(open(&sim).expect_err("held").kind(), &ErrorKind::Held);
    assert_eq!((sim.image_hash(), sim.steps()), (hash, steps));
    journal.append("still the first").expect("appends");
    journal.close().expect("closes");
    assert_eq!(count(&open(&sim).expect("free")), 4);
}

#[test]
fn o3_the_lock_of_a_dead_owner_is_gone_with_it_and_what_it_wrote_is_there() {
    let sim = Sim::new(1);
    let journal = open(&sim).expect("opens");
    journal.append("synced").expect("appends");
    let buffered = Transaction::new().record("buffered").record("both");
    journal.commit(&buffered, Durability::Buffered).expect("commits");
    let next = sim.kill();
    assert_eq!(
        count(&open(&next).expect("free at once")),
        3,
        "a death of the process takes nothing buffered"
    );
}

#[test]
fn d12_a_file_grown_to_a_terabyte_takes_no_time_and_no_memory() {
    let sim = closed(5);
    for (name, _) in sim.files() {
        sim.truncate(&name, 1 << 40).expect("grows");
    }
    match open(&sim) {
        Ok(journal) => assert_eq!(count(&journal), 5),
        Err(error) => assert_eq!(error.kind(), &ErrorKind::Damaged),
    }
}

#[test]
fn d13_foreign_files_are_left_alone() {
    let sim = closed(5);
    for name in ["notes.txt", ".DS_Store", "0000000001.seg~", "1.seg", "journal.bak"] {
        sim.create(name).expect("creates").write_at(b"mine", 0).expect("writes");
    }
    let journal = open(&sim).expect("opens");
    fill(&journal, 40);
    journal.close().expect("closes");
    assert_eq!(sim.bytes("notes.txt").as_deref(), Some(&b"mine"[..]));
    assert_eq!(sim.bytes("1.seg").as_deref(), Some(&b"mine"[..]));
}

#[test]
fn i1_what_is_too_large_is_refused_before_anything_is_written() {
    let sim = Sim::new(1);
    let small = options().record_bytes_max(1000).transaction_bytes_max(3000);
    let journal = small.open_on(Arc::new(sim.clone())).expect("opens");
    let steps = sim.steps();
    let error = journal.append([0; 1001]).expect_err("too large");
    assert_eq!(error.kind(), &ErrorKind::TooLarge { actual: 1001, max: 1000 });
    let many = (0..4).fold(Transaction::new(), |tx, _| tx.record([0; 900]));
    let error = journal.commit(&many, Durability::Synced).expect_err("too large");
    assert!(matches!(error.kind(), ErrorKind::TooLarge { .. }));
    assert_eq!(
        journal.commit(&Transaction::new(), Durability::Synced).expect_err("empty").kind(),
        &ErrorKind::Input
    );
    assert_eq!(sim.steps(), steps);
    journal.append([0; 1000]).expect("fits");
}

#[test]
fn i6_record_times_never_go_back_whatever_the_clock_does() {
    let sim = Sim::new(1);
    let day = Duration::from_secs(24 * 3600);
    let start: Timestamp = "2026-11-20T12:00:00Z".parse().expect("a time");
    let clock = Arc::new(ManualClock::new(start));
    let open = || options().clock(clock.clone()).open_on(Arc::new(sim.clone())).expect("opens");
    let journal = open();
    journal.append("now").expect("appends");
    clock.advance(Duration::from_secs(10));
    journal.append("ten seconds later").expect("appends");
    clock.set_wall(start.minus(day));
    journal.append("the wall stepped back").expect("appends");
    assert_eq!(journal.status().clock_steps, 1);
    clock.set_wall("2099-01-01T00:00:00Z".parse().expect("a time"));
    journal.append("2099").expect("appends");
    clock.set_wall(start);
    journal.append("and back").expect("appends");
    clock.advance_elapsed(day);
    journal.append("the wall stood still for a day").expect("appends");
    assert_eq!(journal.status().clock_steps, 4);
    journal.close().expect("closes");
    clock.set_wall(Timestamp::ZERO);
    let journal = open();
    journal.append("1970").expect("appends");
    let times: Vec<_> =
        journal.records().expect("reads").map(|record| record.expect("checks").time).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(count(&journal), 7, "no record was lost to a jump");
    let since = journal.records_since("2098-01-01T00:00:00Z".parse().expect("a time")).expect("reads");
    assert!(since.count() >= 4);
}

#[test]
fn i8_thousands_of_tiny_records_open_without_a_square() {
    let sim = Sim::new(1);
    let journal = open(&sim).expect("opens");
    let many = (0..5000).fold(Transaction::new(), |tx, _| tx.record([1]));
    journal.commit(&many, Durability::Synced).expect("commits");
    let image = sim.crash(Crash::LoseAll);
    assert_eq!(count(&open(&image).expect("opens")), 5000);
}

#[test]
fn e16_while_a_sync_hangs_others_can_read_what_is_durable() {
    let sim = Sim::new(1);
    let shim = Shim::new(sim.clone(), Lie::None);
    let journal = options().background(Background::Threads).open_on(Arc::new(shim.clone())).expect("opens");
    journal.append("durable").expect("appends");
    let gate = shim.hang();
    // What is left unsynced on purpose, such as the note about the holder, does not count.
    let before = sim.unsynced_writes();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| journal.append("waits").map(drop));
        while sim.unsynced_writes() <= before {
            std::thread::yield_now();
        }
        assert_eq!(payloads(&journal).expect("reads"), [b"durable"]);
        drop(gate);
        writer.join().expect("no panic").expect("durable in the end");
    });
    assert_eq!(count(&journal), 2);
}

#[test]
fn j16_only_an_empty_directory_is_ever_initialised() {
    let empty = Sim::new(1);
    let error = options().must_exist().open_on(Arc::new(empty.clone())).expect_err("missing");
    assert_eq!(error.kind(), &ErrorKind::Missing);
    assert!(empty.files().is_empty());
    empty.create("photo.jpg").expect("creates");
    assert_eq!(open(&empty).expect_err("not a journal").kind(), &ErrorKind::NotAJournal);
    assert_eq!(empty.files().len(), 1);
    let rootless = closed(3);
    rootless.remove_at_rest("journal").expect("removes");
    let hash = rootless.image_hash();
    assert_eq!(open(&rootless).expect_err("damaged").kind(), &ErrorKind::Damaged);
    assert_eq!(rootless.image_hash(), hash);
}

#[test]
fn p10_a_death_at_every_step_takes_nothing_that_was_acknowledged_even_buffered() {
    let tally = Crashes::new(2).images(0).recoveries(0, 0).everywhere(
        |sim, told: &mut usize| {
            let journal = open_on(Shim::new(sim.clone(), Lie::None))?;
            for index in 0..20_u8 {
                let transaction = Transaction::new().record([index; 300]);
                journal.commit(&transaction, Durability::Buffered)?;
                *told += 1;
            }
            Ok(journal.close()?)
        },
        |sim, told| match payloads(&open(sim)?)?.len() {
            found if found >= *told => Ok(()),
            found => Err(format!("{found} of {told}").into()),
        },
    );
    assert!(tally.states >= tally.steps);
}
