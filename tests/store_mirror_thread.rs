//! The thread of a mirror ends with the mirror, and does not wait for the next commit.

#![cfg(all(feature = "store", target_os = "linux"))]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::disallowed_methods, reason = "this is a test")]

use std::time::Duration;

use everlog::Store;

/// How many threads of mirrors this process has.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("lists").flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.trim_end() == "everlog-mirror").count()
}

fn soon(count: usize) {
    for _ in 0..500 {
        if threads() == count {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{} threads, wanted are {count}", threads());
}

#[test]
fn the_thread_of_a_mirror_ends_with_the_mirror() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path().join("store")).unwrap();
    store.set("settings.a", &1).unwrap();
    let mirror = |name: &str| store.mirror("settings", directory.path().join(name)).unwrap();
    let (first, second) = (mirror("first.json"), mirror("second.json"));
    soon(2);
    // Both wait by now for something new.
    std::thread::sleep(Duration::from_millis(100));
    drop(first);
    soon(1);
    // Inside of a closure it cannot be waited for, and ends all the same.
    let inside = store.transaction(|_| {
        drop(second);
        Ok(())
    });
    inside.unwrap();
    soon(0);
    let last = mirror("third.json");
    soon(1);
    drop(store);
    drop(last);
    soon(0);
}
