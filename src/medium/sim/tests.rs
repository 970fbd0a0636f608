//! The fault model of the simulation, promise by promise.

use std::io::ErrorKind;
use std::sync::Arc;

use crate::medium::sim::random::Random;
use crate::medium::sim::{Crash, Fault, Sim, Switch};
use crate::medium::{Access, Medium, MediumFile, Presence, write_all};

const PAGE: usize = 4096;

/// A device with one file `log` of `bytes`, all of it durable.
fn settled(bytes: &[u8]) -> (Sim, Arc<dyn MediumFile>) {
    let sim = Sim::new(42);
    let file = sim.create("log").unwrap();
    sim.sync_names().unwrap();
    assert_eq!(file.write_at(bytes, 0).unwrap(), bytes.len());
    file.sync().unwrap();
    (sim, file)
}

fn log(sim: &Sim) -> Vec<u8> {
    sim.bytes("log").unwrap()
}

fn read(file: &Arc<dyn MediumFile>, count: usize) -> Vec<u8> {
    let mut buffer = vec![0; count];
    let count = file.read_at(&mut buffer, 0).unwrap();
    buffer.truncate(count);
    buffer
}

#[test]
fn synced_bytes_survive_every_crash_and_unsynced_ones_need_not() {
    let (sim, file) = settled(b"safe");
    file.write_at(b"later", 4).unwrap();
    assert_eq!(log(&sim.crash(Crash::LoseAll)), b"safe");
    assert_eq!(log(&sim.crash(Crash::KeepAll)), b"safelater");
    for (label, image) in sim.crash_images(200, 1) {
        assert!(log(&image).starts_with(b"safe"), "{label}");
        assert!(log(&image).len() <= 9, "{label}");
    }
    assert_eq!((log(&sim), sim.unsynced_writes()), (b"safelater".to_vec(), 1));
}

#[test]
fn a_name_is_lost_until_its_directory_is_synced_even_when_the_file_was() {
    let sim = Sim::new(1);
    let file = sim.create("log").unwrap();
    file.write_at(b"bytes", 0).unwrap();
    file.sync().unwrap();
    assert!(sim.crash(Crash::LoseAll).files().is_empty());
    assert!(sim.crash(Crash::NamesLost(3)).files().is_empty());
    assert_eq!(log(&sim.crash(Crash::KeepAll)), b"bytes");
    sim.sync_names().unwrap();
    assert_eq!(log(&sim.crash(Crash::LoseAll)), b"bytes");
    sim.remove("log").unwrap();
    assert!(sim.files().is_empty());
    assert_eq!(log(&sim.crash(Crash::LoseAll)), b"bytes");
    assert!(sim.crash(Crash::KeepAll).files().is_empty());
}

#[test]
fn a_child_directory_is_lost_with_all_in_it_until_its_parent_is_synced() {
    let sim = Sim::new(1);
    let child = sim.child("cut", Presence::CreateMissing).unwrap();
    child.create("log").unwrap().write_at(b"x", 0).unwrap();
    child.sync_names().unwrap();
    assert_eq!(sim.files(), [("cut/log".to_owned(), 1)]);
    let lost = sim.crash(Crash::LoseAll);
    assert!(lost.files().is_empty() && lost.names().unwrap().is_empty());
    assert_eq!(lost.image_hash(), Sim::new(1).image_hash());
    let again = lost.child("cut", Presence::CreateMissing).unwrap();
    assert!(again.names().unwrap().is_empty());
    sim.sync_names().unwrap();
    let kept = sim.crash(Crash::LoseAll);
    assert_eq!(kept.child("cut", Presence::MustExist).unwrap().names().unwrap(), ["log"]);
    assert_eq!(kept.files(), [("cut/log".to_owned(), 0)]);
}

#[test]
fn a_failed_sync_leaves_a_clean_wrong_page_and_the_second_sync_lies() {
    let (sim, file) = settled(b"old");
    file.write_at(b"new!", 0).unwrap();
    sim.fail_next_sync();
    file.sync().unwrap_err();
    assert_eq!(read(&file, 9), b"new!");
    assert_eq!(log(&sim.crash(Crash::KeepAll)), b"old");
    file.sync().unwrap();
    assert_eq!(read(&file, 9), b"new!");
    assert_eq!(log(&sim.crash(Crash::KeepAll)), b"old\0");
    file.drop_cache(0..u64::MAX);
    assert_eq!(read(&file, 9), b"old\0");
}

#[test]
fn a_page_made_dirty_again_carries_the_ghost_bytes_to_the_device() {
    let (sim, file) = settled(&[b'o'; 2 * PAGE]);
    file.write_at(b"ghost", 10).unwrap();
    file.write_at(b"ghost", PAGE as u64 + 10).unwrap();
    sim.fail_next_sync();
    file.sync().unwrap_err();
    file.write_at(b"x", 100).unwrap();
    assert_eq!(&log(&sim.crash(Crash::KeepAll))[10..15], b"ghost");
    file.sync().unwrap();
    let durable = sim.durable_bytes("log").unwrap();
    assert_eq!((&durable[10..15], durable[100]), (&b"ghost"[..], b'x'));
    assert_eq!(&durable[PAGE + 10..PAGE + 15], b"ooooo");
    file.drop_cache(0..u64::MAX);
    assert_eq!(log(&sim), durable);
}

#[test]
fn dropping_the_cache_keeps_dirty_pages() {
    let (sim, file) = settled(b"old");
    file.write_at(b"new", 0).unwrap();
    file.drop_cache(0..u64::MAX);
    assert_eq!(log(&sim), b"new");
}

#[test]
fn a_partly_failed_sync_keeps_whole_pages_of_its_own_and_nothing_else() {
    let mut partly = 0;
    for seed in 0..20 {
        let sim = Sim::new(seed);
        let file = sim.create("log").unwrap();
        sim.sync_names().unwrap();
        file.write_at(&[1; 4 * PAGE], 0).unwrap();
        sim.fail_step(sim.steps() + 1, Fault::ErrorPartly(ErrorKind::Other));
        file.sync().unwrap_err();
        let durable = sim.durable_bytes("log").unwrap();
        for page in durable.chunks(PAGE) {
            assert!(page.iter().all(|byte| *byte == page[0]) && page[0] < 2);
        }
        partly += usize::from(durable.contains(&1) && durable != log(&sim));
    }
    assert!(partly > 5, "{partly}");
}

#[test]
fn a_torn_write_leaves_old_or_new_bytes_only_and_harms_nothing_beside_it() {
    let (sim, file) = settled(&[b'o'; 3000]);
    file.write_at(&[b'n'; 2000], 500).unwrap();
    let (mut heads, mut tails, mut sectors) = (0, 0, 0);
    for seed in 0..200 {
        for style in [Crash::Torn { writes: 1, seed }, Crash::Reordered(seed), Crash::Random(seed)] {
            let bytes = log(&sim.crash(style));
            assert_eq!(bytes.len(), 3000);
            let inside = &bytes[500..2500];
            assert!(inside.iter().all(|byte| b"on".contains(byte)), "{style:?}");
            assert!(bytes[..500].iter().chain(&bytes[2500..]).all(|byte| *byte == b'o'), "{style:?}");
            if let Crash::Torn { .. } = style {
                let cut = inside.windows(2).position(|pair| pair[0] != pair[1]).unwrap_or(0) + 501;
                sectors += usize::from(cut % 512 == 0);
                heads += usize::from(inside[0] == b'n');
                tails += usize::from(inside[1999] == b'n');
            }
        }
    }
    assert!(heads > 20 && tails > 20 && sectors > 20, "{heads} {tails} {sectors}");
}

#[test]
fn a_torn_append_may_leave_zeros_where_bytes_were_lost() {
    let (sim, file) = settled(b"");
    file.write_at(&[b'n'; 1000], 0).unwrap();
    let images: Vec<_> = (0..100).map(|seed| log(&sim.crash(Crash::Reordered(seed)))).collect();
    assert!(images.iter().flatten().all(|byte| [0, b'n'].contains(byte)));
    assert!(images.iter().any(|bytes| bytes.len() == 1000 && bytes.iter().all(|byte| *byte == 0)));
    assert!(images.iter().any(|bytes| bytes.is_empty()));
    assert!(images.iter().any(|bytes| bytes.first() == Some(&0) && bytes.last() == Some(&b'n')));
}

#[test]
fn each_byte_of_each_crash_image_was_there_at_or_after_the_last_sync() {
    let mut random = Random::new(11);
    let (sim, file) = settled(b"");
    // For each byte, what a power cut may leave there.
    let mut legal: Vec<Vec<u8>> = Vec::new();
    let mut durable_len = 0;
    for round in 1..=120u8 {
        let (offset, count) = (random.index(9_000), 1 + random.index(3_000));
        file.write_at(&vec![round; count], offset as u64).unwrap();
        legal.resize(legal.len().max(offset + count), vec![0]);
        legal[offset..offset + count].iter_mut().for_each(|byte| byte.push(round));
        if random.below(4) == 0 {
            file.sync().unwrap();
            durable_len = legal.len();
            legal.iter_mut().for_each(|byte| drop(byte.drain(..byte.len() - 1)));
        }
        for (label, image) in sim.crash_images(12, u64::from(round)) {
            let bytes = log(&image);
            assert!((durable_len..=legal.len()).contains(&bytes.len()), "{label} in round {round}");
            let odd = bytes.iter().zip(&legal).position(|(byte, legal)| !legal.contains(byte));
            assert_eq!(odd, None, "{label} in round {round}");
        }
    }
}

#[test]
fn a_later_write_may_survive_an_earlier_one_unless_the_order_is_kept() {
    let (sim, file) = settled(b"--");
    file.write_at(b"1", 0).unwrap();
    file.write_at(b"2", 1).unwrap();
    assert_eq!(log(&sim.crash(Crash::Prefix(0))), b"--");
    assert_eq!(log(&sim.crash(Crash::Prefix(1))), b"1-");
    assert_eq!(log(&sim.crash(Crash::Prefix(2))), b"12");
    assert!((0..50).any(|seed| log(&sim.crash(Crash::Reordered(seed))) == b"-2"));
}

#[test]
fn a_prefix_counts_writes_over_all_files_and_keeps_names_up_to_the_next_write() {
    let sim = Sim::new(1);
    let one = sim.create("one").unwrap();
    one.write_at(b"1", 0).unwrap();
    sim.create("two").unwrap().write_at(b"2", 0).unwrap();
    let sizes =
        |writes| sim.crash(Crash::Prefix(writes)).files().into_iter().map(|file| file.1).collect::<Vec<_>>();
    assert_eq!((sizes(0), sizes(1), sizes(2)), (vec![0], vec![1, 0], vec![1, 1]));
}

#[test]
fn a_power_cut_freezes_everything_as_it_was_before_its_step() {
    let (sim, file) = settled(b"safe");
    file.write_at(b"1", 4).unwrap();
    sim.power_cut_at(sim.steps() + 1);
    assert!(file.sync().unwrap_err().to_string().contains("power lost"));
    let hash = sim.image_hash();
    file.write_at(b"2", 5).unwrap_err();
    file.sync().unwrap_err();
    sim.create("other").unwrap_err();
    sim.remove("log").unwrap_err();
    sim.sync_names().unwrap_err();
    file.read_at(&mut [0], 0).unwrap_err();
    file.len().unwrap_err();
    sim.names().unwrap_err();
    sim.lock().unwrap_err();
    assert!(file.map().is_none() && sim.power_lost());
    assert_eq!(sim.image_hash(), hash);
    assert_eq!(log(&sim.crash(Crash::LoseAll)), b"safe");
    assert_eq!(log(&sim.crash(Crash::KeepAll)), b"safe1");
    assert_eq!(sim.crash(Crash::LoseAll).open("log", Access::Write).unwrap().len().unwrap(), 4);
}

#[test]
fn a_write_that_the_power_cut_hits_is_among_the_unsynced_ones() {
    let (sim, file) = settled(b"safe");
    sim.power_cut_at(sim.steps() + 1);
    file.write_at(b"half", 4).unwrap_err();
    assert_eq!(sim.unsynced_writes(), 1);
    assert_eq!(log(&sim.crash(Crash::LoseAll)), b"safe");
    assert_eq!(log(&sim.crash(Crash::KeepAll)), b"safehalf");
    assert!((0..50).any(|seed| log(&sim.crash(Crash::Torn { writes: 1, seed })) == b"safeha"));
}

#[test]
fn a_kill_keeps_the_cache_and_frees_locks_and_faults() {
    let (sim, file) = settled(b"old");
    let _lock = sim.lock().unwrap();
    file.write_at(b"new", 0).unwrap();
    sim.fail_next_sync();
    file.sync().unwrap_err();
    file.write_at(b"dirty", PAGE as u64).unwrap();
    sim.power_cut_at(sim.steps() + 1);
    let next = sim.kill();
    file.sync().unwrap_err();
    let _next_lock = next.lock().unwrap();
    let again = next.open("log", Access::Write).unwrap();
    assert_eq!(read(&again, 3), b"new");
    assert_eq!((next.steps(), next.unsynced_writes()), (0, 1));
    again.sync().unwrap();
    let durable = next.durable_bytes("log").unwrap();
    assert_eq!((&durable[..3], &durable[PAGE..]), (&b"old"[..], &b"dirty"[..]));
    assert_eq!(sim.durable_bytes("log").unwrap(), b"old");
}

#[test]
fn a_full_device_takes_what_fits_then_refuses_and_removal_makes_room() {
    let (sim, file) = settled(&[1; 10]);
    sim.create("other").unwrap().write_at(&[2; 10], 0).unwrap();
    sim.capacity(Some(24));
    assert_eq!(file.write_at(&[3; 10], 8).unwrap(), 6);
    assert_eq!(file.write_at(&[3; 10], 14).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.write_at(&[4; 14], 0).unwrap(), 14);
    sim.remove("other").unwrap();
    assert_eq!(file.write_at(&[3; 10], 14).unwrap(), 10);
    assert_eq!(file.write_at(&[3; 10], 24).unwrap_err().kind(), ErrorKind::StorageFull);
    sim.capacity(None);
    assert_eq!(file.write_at(&[3; 10], 24).unwrap(), 10);
}

#[test]
fn short_transfers_do_some_and_never_none() {
    let (sim, file) = settled(b"");
    sim.short_writes(Switch::On);
    sim.short_reads(Switch::On);
    let before = sim.steps();
    write_all(&*file, "log", &[7; 1000], 0).unwrap();
    assert!(sim.steps() > before + 1);
    assert_eq!(log(&sim), [7; 1000]);
    let counts: Vec<_> = (0..20).map(|_| file.read_at(&mut [0; 100], 0).unwrap()).collect();
    assert!(counts.iter().all(|count| (1..=100).contains(count)) && counts.iter().any(|count| *count < 100));
}

#[test]
fn scripted_faults_hit_their_step_once() {
    let (sim, file) = settled(b"");
    let next = sim.steps() + 1;
    sim.fail_step(next, Fault::Error(ErrorKind::StorageFull));
    sim.fail_step(next + 1, Fault::Interrupted);
    sim.fail_step(next + 2, Fault::Short(2));
    sim.fail_step(next + 3, Fault::ErrorRaw(5));
    sim.fail_step(next + 4, Fault::Interrupted);
    sim.fail_step(next + 6, Fault::Error(ErrorKind::Other));
    assert_eq!(file.write_at(b"abc", 0).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.write_at(b"abc", 0).unwrap_err().kind(), ErrorKind::Interrupted);
    assert_eq!(file.write_at(b"abc", 0).unwrap(), 2);
    assert_eq!(file.write_at(b"abc", 0).unwrap_err().raw_os_error(), Some(5));
    assert_eq!(log(&sim), b"ab");
    assert_eq!(file.sync().unwrap_err().kind(), ErrorKind::Interrupted);
    file.sync().unwrap();
    assert_eq!(sim.durable_bytes("log").unwrap(), b"ab");
    sim.create("other").unwrap_err();
    assert_eq!(sim.steps(), next + 6);
    sim.create("other").unwrap();
}

#[test]
fn reads_fail_by_their_own_count_and_take_no_step() {
    let (sim, file) = settled(b"abc");
    let (steps, reads) = (sim.steps(), sim.reads());
    sim.fail_read(reads + 2, ErrorKind::Other);
    assert_eq!(read(&file, 3), b"abc");
    file.read_at(&mut [0], 0).unwrap_err();
    assert_eq!(read(&file, 3), b"abc");
    sim.fail_read(reads + 4, ErrorKind::OutOfMemory);
    assert_eq!(sim.open("log", Access::Read).unwrap_err().kind(), ErrorKind::OutOfMemory);
    assert_eq!((sim.steps(), sim.reads()), (steps, reads + 4));
}

#[test]
fn a_failed_sync_of_names_leaves_them_unsynced_and_the_next_one_is_true() {
    let sim = Sim::new(9);
    for name in ["a", "b", "c", "d", "e", "f"] {
        sim.create(name).unwrap();
    }
    sim.fail_step(7, Fault::Error(ErrorKind::Other));
    sim.sync_names().unwrap_err();
    assert_eq!((sim.crash(Crash::LoseAll).files().len(), sim.unsynced_names()), (0, 6));
    sim.fail_step(8, Fault::ErrorPartly(ErrorKind::Other));
    sim.sync_names().unwrap_err();
    assert_eq!(sim.crash(Crash::LoseAll).files().len() + sim.unsynced_names(), 6);
    sim.sync_names().unwrap();
    assert_eq!(sim.crash(Crash::LoseAll).files().len(), 6);
}

#[test]
fn a_partly_failed_sync_of_names_never_brings_an_older_change_back() {
    for seed in 0..20 {
        let sim = Sim::new(seed);
        sim.create("a").unwrap();
        sim.remove("a").unwrap();
        sim.fail_step(3, Fault::ErrorPartly(ErrorKind::Other));
        sim.sync_names().unwrap_err();
        assert!(sim.crash(Crash::KeepAll).files().is_empty(), "seed {seed}");
    }
}

#[test]
fn a_lock_has_one_owner_and_ends_when_dropped() {
    let sim = Sim::new(1);
    let other = sim.clone();
    let lock = sim.lock().unwrap();
    assert!(lock.still_ours());
    assert_eq!(other.lock().unwrap_err().kind(), ErrorKind::WouldBlock);
    let child = sim.child("child", Presence::CreateMissing).unwrap();
    let _elsewhere = child.lock().unwrap();
    let _crashed = sim.crash(Crash::KeepAll).lock().unwrap();
    drop(lock);
    other.lock().unwrap();
}

#[test]
fn names_that_are_paths_are_refused_and_so_are_directories() {
    let sim = Sim::new(1);
    sim.child("child", Presence::CreateMissing).unwrap();
    for name in ["", ".", "..", "a/b", "child/x", "a\\b", "a\0", &"x".repeat(256)] {
        assert_eq!(sim.create(name).unwrap_err().kind(), ErrorKind::InvalidInput, "{name:?}");
        assert_eq!(sim.open(name, Access::Read).unwrap_err().kind(), ErrorKind::InvalidInput, "{name:?}");
    }
    assert_eq!(sim.open("child", Access::Read).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(sim.remove("child").unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(sim.create("child").unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(sim.open("none", Access::Read).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(sim.child("none", Presence::MustExist).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn rights_are_refused_where_they_are_missing() {
    let (sim, file) = settled(b"abc");
    let reader = sim.open("log", Access::Read).unwrap();
    assert_eq!(reader.write_at(b"x", 0).unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(reader.map().unwrap().as_ref(), b"abc");
    sim.deny("log");
    assert_eq!(sim.open("log", Access::Read).unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(file.write_at(b"x", 0).unwrap(), 1);
    sim.allow("log");
    sim.read_only(Switch::On);
    assert_eq!(file.write_at(b"y", 0).unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    assert_eq!(sim.create("new").unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    assert_eq!(sim.open("log", Access::Write).unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    assert_eq!(read(&sim.open("log", Access::Read).unwrap(), 3), b"xbc");
    sim.read_only(Switch::Off);
    file.sync().unwrap();
}

#[test]
fn damage_reaches_cache_and_device_alike() {
    let (sim, _) = settled(b"abc");
    sim.flip("log", 1, 0x01).unwrap();
    sim.append("log", b"def").unwrap();
    sim.overwrite("log", 4, b"EFG").unwrap();
    assert_eq!((log(&sim), sim.durable_bytes("log").unwrap()), (b"accdEFG".to_vec(), b"accdEFG".to_vec()));
    sim.truncate("log", 2).unwrap();
    sim.copy_at_rest("log", "copy").unwrap();
    sim.flip("copy", 0, 0x80).unwrap();
    sim.swap_at_rest("log", "copy").unwrap();
    sim.rename_at_rest("copy", "moved").unwrap();
    let after = sim.crash(Crash::LoseAll);
    assert_eq!((log(&after), after.bytes("moved").unwrap()), (vec![b'a' | 0x80, b'c'], b"ac".to_vec()));
    assert_eq!(after.bytes("copy"), None);
    sim.remove_at_rest("log").unwrap();
    assert_eq!(sim.crash(Crash::KeepAll).files(), [("moved".to_owned(), 2)]);
    assert_eq!(sim.flip("log", 0, 1).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(sim.swap_at_rest("moved", "log").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(sim.steps(), 4);
}

/// A run with everything in it that is random.
fn run(seed: u64) -> (Sim, Vec<(String, u64)>) {
    let sim = Sim::new(seed);
    sim.short_writes(Switch::On);
    let file = sim.create("log").unwrap();
    write_all(&*file, "log", &[1; 20_000], 0).unwrap();
    sim.fail_step(sim.steps() + 1, Fault::ErrorPartly(ErrorKind::Other));
    file.sync().unwrap_err();
    write_all(&*file, "log", &[2; 9_000], 5_000).unwrap();
    let images =
        sim.crash_images(60, seed).into_iter().map(|(label, image)| (label, image.image_hash())).collect();
    (sim, images)
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let (one, images) = run(7);
    let (same, same_images) = run(7);
    let (other, other_images) = run(8);
    assert_eq!((one.image_hash(), &images), (same.image_hash(), &same_images));
    assert_ne!(one.image_hash(), other.image_hash());
    assert_ne!(images, other_images);
}

#[test]
fn crash_images_differ_and_begin_with_the_plain_ones() {
    let (_, images) = run(7);
    assert_eq!(images.len(), 60);
    assert_eq!((images[0].0.as_str(), images[1].0.as_str()), ("Crash::LoseAll", "Crash::KeepAll"));
    let mut hashes: Vec<_> = images.iter().map(|image| image.1).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 60);
    let (sim, _) = settled(b"nothing is unsynced");
    assert_eq!(sim.crash_images(60, 1).len(), 1);
}

#[test]
fn a_crashed_device_is_a_device_of_its_own() {
    let (sim, file) = settled(&[0; 100_000]);
    sim.capacity(Some(1));
    let after = sim.crash(Crash::KeepAll);
    file.write_at(b"old process", 0).unwrap();
    let next = after.open("log", Access::Write).unwrap();
    assert_eq!(next.write_at(b"new", 100_000).unwrap(), 3);
    assert_eq!((after.steps(), log(&after).len(), log(&sim).len()), (1, 100_003, 100_000));
    assert_eq!(log(&after)[0], 0);
}
