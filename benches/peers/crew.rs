//! Threads that change a document in slices, and the slices of several ways and of the floor side by side.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use everlog_peers::Way;

use crate::paired::Floor;

/// One slice lasts about this long; then it is the other's turn.
const SLICE: Duration = Duration::from_millis(40);

/// What the threads of a crew share.
struct Shared {
    way: Arc<dyn Way>,
    todo: AtomicI64,
    over: AtomicBool,
    next: AtomicU64,
    start: Barrier,
    end: Barrier,
}

impl Shared {
    fn work(&self) {
        self.way.lend(&mut |set| {
            loop {
                self.start.wait();
                if self.over.load(Ordering::SeqCst) {
                    return;
                }
                while self.todo.fetch_sub(1, Ordering::Relaxed) > 0 {
                    set(self.next.fetch_add(1, Ordering::Relaxed));
                }
                self.end.wait();
            }
        });
    }
}

/// Threads that change one document in one way whenever they are given a number of changes to share.
pub(crate) struct Crew {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    rate: f64,
}

/// Bytes that this process handed to the system, and those of the pages that it made the disk write.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub(crate) handed: f64,
    pub(crate) pages: f64,
}

impl Crew {
    pub(crate) fn new(way: Arc<dyn Way>, threads: usize) -> Crew {
        let shared = Arc::new(Shared {
            way,
            todo: AtomicI64::new(0),
            over: AtomicBool::new(false),
            // Above every value that the document begins with, so that each is a change.
            next: AtomicU64::new(1_000_000),
            start: Barrier::new(threads + 1),
            end: Barrier::new(threads + 1),
        });
        let start = |_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.work())
        };
        let threads = (0..threads).map(start).collect();
        Crew { shared, threads, rate: 100.0 }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.shared.way.name()
    }

    /// Makes so many changes; returns the time they took.
    pub(crate) fn run(&mut self, changes: u64) -> Duration {
        self.shared.todo.store(changes as i64, Ordering::SeqCst);
        let start = Instant::now();
        self.shared.start.wait();
        self.shared.end.wait();
        let time = start.elapsed();
        self.rate = changes as f64 / time.as_secs_f64();
        time
    }

    /// Makes as many changes as fit into a slice by the rate of the last; at most `most`.
    pub(crate) fn slice(&mut self, most: u64) -> (u64, Duration) {
        let changes = ((self.rate * SLICE.as_secs_f64()) as u64).clamp(1, most);
        (changes, self.run(changes))
    }

    /// What one change makes the process write, on average over so many.
    pub(crate) fn written(&mut self, changes: u64) -> Written {
        let before = written_so_far();
        self.run(changes);
        let after = written_so_far();
        let per_change = |before: f64, after: f64| (after - before) / changes as f64;
        Written {
            handed: per_change(before.handed, after.handed),
            pages: per_change(before.pages, after.pages),
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.shared.start.wait();
        for thread in self.threads.drain(..) {
            thread.join().expect("a thread of the crew");
        }
    }
}

fn written_so_far() -> Written {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|number| number.trim().parse().ok()).unwrap_or(f64::NAN)
    };
    Written { handed: field("wchar:"), pages: field("write_bytes:") }
}

/// One round: a slice of a way, one of everlog and one of the floor, in changes a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) way: f64,
    pub(crate) everlog: f64,
    pub(crate) floor: f64,
}

/// Slices of a way, of everlog and of the floor in turns, until the way has made `changes`; returns the way's time.
pub(crate) fn turns(
    changes: u64,
    way: &mut Crew,
    everlog: Option<&mut Crew>,
    floor: &mut Floor,
    rounds: &mut Vec<Round>,
) -> Duration {
    let rate = |(changes, time): (u64, Duration)| changes as f64 / time.as_secs_f64();
    let mut everlog = everlog;
    let (mut left, mut total) = (changes, Duration::ZERO);
    while left > 0 {
        let slice = way.slice(left);
        total += slice.1;
        left -= slice.0;
        let beside = everlog.as_mut().map(|everlog| everlog.slice(u64::MAX));
        let floor = floor.run(slice.1.min(SLICE));
        // Very short slices, as when criterion warms up, say little.
        if slice.1 > SLICE / 4 {
            let way = rate(slice);
            rounds.push(Round { way, everlog: beside.map_or(way, rate), floor: rate(floor) });
        }
    }
    total
}
