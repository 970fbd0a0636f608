//! The raw floor of the disk, measured beside everlog in small alternating slices, and the table of ratios.

#![allow(dead_code, reason = "each benchmark uses its part")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the time and makes files of its own")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) mod fill;
pub(crate) mod large;

/// The floor's file: written once, so that a sync has no new blocks to record.
const FLOOR_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// A fresh directory on the file system that holds the build, which is a real disk where `/tmp` may be memory.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a scratch directory")
}

/// Copies a journal's files: of one that is open, this is what a kill leaves.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// `pwrite` and `fdatasync` into blocks that were written before: what one durable commit costs at least.
pub(crate) struct Floor {
    file: File,
    bytes: Vec<u8>,
    offset: u64,
}

impl Floor {
    /// Writes `bytes` per commit: as many as everlog's frame has.
    pub(crate) fn new(directory: &Path, bytes: usize) -> Floor {
        let path = directory.join("floor");
        let file =
            File::options().read(true).write(true).create(true).truncate(true).open(path).expect("a file");
        let zeros = vec![0; 1024 * 1024];
        for megabyte in 0..FLOOR_FILE_BYTES / zeros.len() as u64 {
            file.write_all_at(&zeros, megabyte * zeros.len() as u64).expect("room for the floor");
        }
        file.sync_all().expect("sync");
        Floor { file, bytes: vec![0xA5; bytes], offset: 0 }
    }

    /// Commits for as long as `time`; returns how many, and the time they took.
    pub(crate) fn run(&mut self, time: Duration) -> (u64, Duration) {
        let start = Instant::now();
        let mut commits = 0;
        while start.elapsed() < time {
            self.commit(|file, bytes, offset| {
                file.write_all_at(bytes, offset).expect("write");
                file.sync_data().expect("sync");
            });
            commits += 1;
        }
        (commits, start.elapsed())
    }

    /// A number of commits in another way; returns the time they took.
    pub(crate) fn run_count(&mut self, commits: u64, mut commit: impl FnMut(&File, &[u8], u64)) -> Duration {
        let start = Instant::now();
        (0..commits).for_each(|_| self.commit(&mut commit));
        start.elapsed()
    }

    fn commit(&mut self, mut commit: impl FnMut(&File, &[u8], u64)) {
        if self.offset + self.bytes.len() as u64 > FLOOR_FILE_BYTES {
            self.offset = 0;
        }
        commit(&self.file, &self.bytes, self.offset);
        self.offset += self.bytes.len() as u64;
    }
}

/// Pairs of slices of one question.
#[derive(Default)]
pub(crate) struct Pairs {
    pairs: Vec<(f64, f64)>,
}

impl Pairs {
    /// Adds two slices that ran one after the other, each as commits and time.
    pub(crate) fn add(&mut self, ours: (u64, Duration), floor: (u64, Duration)) {
        let rate = |(commits, time): (u64, Duration)| commits as f64 / time.as_secs_f64();
        self.pairs.push((rate(ours), rate(floor)));
    }

    /// One line: medians of both rates, the median of the paired ratios, and the middle half of those.
    pub(crate) fn line(&self, name: &str) -> String {
        let quantile = |of: fn(&(f64, f64)) -> f64, share: f64| {
            let mut values: Vec<f64> = self.pairs.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values
                .get(((values.len() as f64 - 1.0) * share).round().max(0.0) as usize)
                .copied()
                .unwrap_or(f64::NAN)
        };
        let ratio: fn(&(f64, f64)) -> f64 = |pair| pair.0 / pair.1;
        format!(
            "| {name} | {:.0} | {:.0} | {:.2} | {:.2} to {:.2} | {} |",
            quantile(|pair| pair.0, 0.5),
            quantile(|pair| pair.1, 0.5),
            quantile(ratio, 0.5),
            quantile(ratio, 0.25),
            quantile(ratio, 0.75),
            self.pairs.len(),
        )
    }
}

/// The heading of the lines.
pub(crate) const HEADING: &str = "\n| question | everlog /s | floor /s | ratio | middle half | pairs |\n| --- | ---: | ---: | ---: | ---: | ---: |";
