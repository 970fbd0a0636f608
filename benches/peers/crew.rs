//! Threads that change a document in slices, and the slices of several ways and of the floor side by side.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
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

/// What one change makes the process hand to the system, and what it makes the disk take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    /// Bytes, on average.
    pub(crate) handed: f64,
    /// Bytes, the median over tenths of the run: other programs write to the same disk, mostly in bursts.
    pub(crate) taken: f64,
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

    /// What one change makes the process write, over as many as fit into `time`, at least 50.
    pub(crate) fn written(&mut self, time: Duration, directory: &Path) -> Written {
        let tenth = ((self.rate * time.as_secs_f64()) as u64 / 10).max(5);
        let mut run = |_| {
            let before = (handed(), taken(directory));
            self.run(tenth);
            ((handed() - before.0) / tenth as f64, (taken(directory) - before.1) / tenth as f64)
        };
        let (handed, mut taken): (Vec<f64>, Vec<f64>) = (0..10).map(&mut run).unzip();
        taken.sort_by(f64::total_cmp);
        Written { handed: handed.iter().sum::<f64>() / 10.0, taken: (taken[4] + taken[5]) / 2.0 }
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

/// Bytes that this process has handed to the system. The kernel's other number, of the pages made dirty, counts a whole
/// large folio for each byte in it, so it says nothing.
fn handed() -> f64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("wchar:"));
    line.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(f64::NAN)
}

/// Bytes that the disk of `directory` has taken, from whomever.
fn taken(directory: &Path) -> f64 {
    let device = std::fs::metadata(directory).map(|metadata| metadata.dev()).unwrap_or_default();
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
    let text = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).unwrap_or_default();
    let sectors = text.split_whitespace().nth(6).and_then(|sectors| sectors.parse::<f64>().ok());
    sectors.map_or(f64::NAN, |sectors| sectors * 512.0)
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
