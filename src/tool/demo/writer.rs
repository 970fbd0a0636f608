//! The demo's other process: many threads that deposit money and say so once it is durable.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::state::Journaled;
use crate::tool::demo::bank::{Bank, Deposit};
use crate::tool::outcome::{Outcome, Verdict};

/// Write events until killed (part of the demo)
#[derive(Debug, Args)]
pub(crate) struct DemoWriter {
    dir: PathBuf,
    round: u16,
    threads: u16,
}

/// Runs until somebody kills it.
pub(crate) fn run(args: &DemoWriter) -> Outcome {
    let bank = Journaled::<Bank>::options().must_exist().open(&args.dir)?;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..args.threads)
            .map(|thread| {
                let bank = &bank;
                scope.spawn(move || deposit(bank, args.round, thread))
            })
            .collect();
        writers.into_iter().try_for_each(|writer| writer.join().unwrap_or(Ok(())))
    })?;
    Ok(Verdict::Well)
}

fn deposit(bank: &Journaled<Bank>, round: u16, thread: u16) -> Outcome<()> {
    let mut number = 0;
    loop {
        let receipt = bank.commit(Deposit::next(round, thread, number))?;
        // Durable, so it may be said. One write, so that the kill leaves whole lines or a last one without an end.
        let line = format!("{thread} {number} {}\n", receipt.position.lsn);
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(line.as_bytes())?;
        stdout.flush()?;
        number += 1;
    }
}
