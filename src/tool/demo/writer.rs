//! The demo's other process: many threads that deposit money and say so once it is durable.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::journal::{Journal, Options};
use crate::tool::outcome::{Outcome, Verdict};

/// How many accounts there are.
pub(crate) const ACCOUNTS: u64 = 8;

/// Write events until killed (part of the demo)
#[derive(Debug, Args)]
pub(crate) struct DemoWriter {
    dir: PathBuf,
    round: u16,
    threads: u16,
}

/// One deposit, or with a negative sum its reversal.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Deposit {
    pub(crate) round: u16,
    pub(crate) thread: u16,
    pub(crate) number: u64,
    pub(crate) account: u64,
    pub(crate) cents: i64,
}

impl Deposit {
    /// What thread `thread` deposits as its `number`-th.
    fn next(round: u16, thread: u16, number: u64) -> Deposit {
        let unique = (number << 16) + u64::from(thread) + 1;
        let mixed = unique.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        Deposit {
            round,
            thread,
            number,
            account: mixed % ACCOUNTS,
            cents: 1 + (mixed / ACCOUNTS % 1000) as i64,
        }
    }

    /// As a record's payload.
    pub(crate) fn payload(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self)
            .map_err(|error| Error::new(ErrorKind::Input, format!("cannot encode: {error}")))
    }
}

/// Runs until somebody kills it.
pub(crate) fn run(args: &DemoWriter) -> Outcome {
    let journal = Options::new().must_exist().open(&args.dir)?;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..args.threads)
            .map(|thread| {
                let journal = &journal;
                scope.spawn(move || deposit(journal, args.round, thread))
            })
            .collect();
        writers.into_iter().try_for_each(|writer| writer.join().unwrap_or(Ok(())))
    })?;
    Ok(Verdict::Well)
}

fn deposit(journal: &Journal, round: u16, thread: u16) -> Outcome<()> {
    let mut number = 0;
    loop {
        let receipt = journal.append(Deposit::next(round, thread, number).payload()?)?;
        // Durable, so it may be said. One write, so that the kill leaves whole lines or a last one without an end.
        let line = format!("{thread} {number} {}\n", receipt.position.lsn);
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(line.as_bytes())?;
        stdout.flush()?;
        number += 1;
    }
}
