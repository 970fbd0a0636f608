//! `everlog append`: one record a line, its number printed when it is durable and never earlier.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use clap::Args;
use parking_lot::Mutex;
use serde::Serialize;

use crate::error::{Error, ErrorKind};
use crate::journal::options::FACE_STORE;
use crate::journal::{Durability, Journal, Options, Receipt, Ticket, Transaction};
use crate::tool::log::open_for_reading;
use crate::tool::outcome::{Outcome, Stop, Verdict, command, with_next};
use crate::tool::render::Form;

/// How many lines are on their way at once.
const LINES_UNDER_WAY: usize = 1024;
/// How often a writer without lines looks whether another one failed.
const LOOK_UP: Duration = Duration::from_millis(100);
const RECORD_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Append one record per line; print each record's number as soon as it is durable, never earlier
#[derive(Debug, Args)]
pub(crate) struct Append {
    /// The journal's directory; created if it is missing
    pub(crate) dir: PathBuf,
    /// Where the lines come from; standard input if not given
    file: Option<PathBuf>,
    /// Spread the lines over this many threads, whose commits share syncs; their order is then not that of the lines
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    writers: u16,
}

#[derive(Serialize)]
struct Durable {
    position: String,
    lsn: u64,
    time: String,
}

/// Standard output, where each line leaves at once.
struct Acks {
    form: Form,
    stdout: io::Stdout,
}

impl Acks {
    fn print(&self, receipts: &[Receipt]) -> Outcome<()> {
        let mut text = String::new();
        for receipt in receipts {
            let position = receipt.position;
            match self.form {
                Form::Text => text.push_str(&position.lsn.to_string()),
                Form::Json => {
                    let (lsn, time) = (position.lsn.get(), receipt.time.to_string());
                    let durable = Durable { position: position.to_string(), lsn, time };
                    text.push_str(&serde_json::to_string(&durable).map_err(io::Error::other)?);
                }
            }
            text.push('\n');
        }
        let mut out = self.stdout.lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(())
    }
}

pub(crate) fn run(args: &Append, form: Form) -> Outcome {
    let input = open_input(args.file.as_deref())?;
    let journal = open(&args.dir)?;
    if journal.report().created {
        eprintln!("created {}", args.dir.display());
    }
    let acks = Acks { form, stdout: io::stdout() };
    let written = match args.writers {
        1 => in_order(&journal, input, &acks),
        writers => spread(&journal, input, &acks, writers),
    };
    let closed = journal.close();
    written?;
    closed?;
    Ok(Verdict::Well)
}

/// Opens a journal of raw records; others are refused (J15).
pub(crate) fn open(dir: &Path) -> Outcome<Journal> {
    Options::new().open(dir).map_err(|error| {
        Stop::Failed(match error.kind() {
            ErrorKind::WrongType => {
                let what = format!("{}; lines are appended to journals of raw records only", error.what());
                let face = open_for_reading(dir).map(|journal| journal.identity().creation.face);
                let next = match face {
                    Ok(FACE_STORE) => command("set", dir, "PATH VALUE"),
                    _ => "append with the application; nothing was changed".to_owned(),
                };
                Error::new(ErrorKind::WrongType, what).advise(next)
            }
            _ => with_next(error, dir),
        })
    })
}

#[allow(clippy::disallowed_methods, reason = "the user's own file of lines is not part of a journal")]
fn open_input(file: Option<&Path>) -> Outcome<Lines> {
    let source: Box<dyn Read + Send> = match file {
        Some(path) if path != Path::new("-") => {
            let name = path.display().to_string();
            Box::new(File::open(path).map_err(|error| Error::io("open", &name, error))?)
        }
        _ => Box::new(io::stdin()),
    };
    let name = file.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
    Ok(Lines { source: BufReader::with_capacity(256 * 1024, source), name, number: 0 })
}

/// The lines to append, without their ends.
struct Lines {
    source: BufReader<Box<dyn Read + Send>>,
    name: String,
    number: u64,
}

impl Lines {
    fn next(&mut self) -> Outcome<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let most = RECORD_BYTES_MAX + 2;
        let read = Read::take(&mut self.source, most).read_until(b'\n', &mut line);
        let count = read.map_err(|error| Error::io("read", &self.name, error))?;
        if count == 0 {
            return Ok(None);
        }
        self.number += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        if line.len() as u64 > RECORD_BYTES_MAX {
            let kind = ErrorKind::TooLarge { actual: line.len() as u64, max: RECORD_BYTES_MAX };
            let what =
                format!("line {} of {} is longer than {RECORD_BYTES_MAX} bytes", self.number, self.name);
            let next =
                "split the line; the lines before it are in the journal, this one and those after it are not";
            return Err(Error::new(kind, what).advise(next).into());
        }
        Ok(Some(line))
    }
}

/// One reader hands in, one printer waits: the numbers come out in the order of the lines.
fn in_order(journal: &Journal, mut lines: Lines, acks: &Acks) -> Outcome<()> {
    let (sender, receiver) = sync_channel::<Ticket>(LINES_UNDER_WAY);
    // The reader may be blocked on an input that never ends, so it is not waited for once the printer has stopped.
    let own = journal.clone();
    let reader = thread::Builder::new().name("everlog-lines".to_owned()).spawn(move || -> Outcome<()> {
        while let Some(line) = lines.next()? {
            let ticket = own.submit(&Transaction::new().record(line), Durability::Synced)?;
            if sender.send(ticket).is_err() {
                break;
            }
        }
        Ok(())
    });
    let reader = reader.map_err(|error| Error::io("start of a thread", "everlog-lines", error))?;
    print_in_order(&receiver, acks)?;
    join(reader)
}

fn print_in_order(receiver: &Receiver<Ticket>, acks: &Acks) -> Outcome<()> {
    let mut durable = Vec::new();
    loop {
        // What is durable leaves before anything is waited for.
        let ticket = match receiver.try_recv() {
            Ok(ticket) if ticket.is_settled() && durable.len() < LINES_UNDER_WAY => ticket,
            other => {
                acks.print(&durable)?;
                durable.clear();
                match other {
                    Ok(ticket) => ticket,
                    Err(_) => match receiver.recv() {
                        Ok(ticket) => ticket,
                        Err(_) => return Ok(()),
                    },
                }
            }
        };
        match ticket.wait() {
            Ok(receipt) => durable.push(receipt),
            Err(error) => {
                acks.print(&durable)?;
                return Err(error.into());
            }
        }
    }
}

fn spread(journal: &Journal, mut lines: Lines, acks: &Acks, writers: u16) -> Outcome<()> {
    let (sender, receiver) = sync_channel::<Vec<u8>>(LINES_UNDER_WAY);
    // As above: never waited for after a failure.
    let reader = thread::Builder::new().name("everlog-lines".to_owned()).spawn(move || -> Outcome<()> {
        while let Some(line) = lines.next()? {
            if sender.send(line).is_err() {
                break;
            }
        }
        Ok(())
    });
    let reader = reader.map_err(|error| Error::io("start of a thread", "everlog-lines", error))?;
    let receiver = Mutex::new(receiver);
    let stopped = AtomicBool::new(false);
    let mut outcome = Ok(());
    thread::scope(|scope| {
        let work = || {
            let outcome = write_lines(journal, &receiver, acks, &stopped);
            stopped.fetch_or(outcome.is_err(), Ordering::Relaxed);
            outcome
        };
        let threads: Vec<_> = (0..writers).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            let ended = thread.join().unwrap_or_else(|_| Err(panicked()));
            outcome = std::mem::replace(&mut outcome, Ok(())).and(ended);
        }
    });
    drop(receiver);
    outcome?;
    join(reader)
}

fn write_lines(
    journal: &Journal,
    receiver: &Mutex<Receiver<Vec<u8>>>,
    acks: &Acks,
    stopped: &AtomicBool,
) -> Outcome<()> {
    while !stopped.load(Ordering::Relaxed) {
        let line = receiver.lock().recv_timeout(LOOK_UP);
        match line {
            Ok(line) => acks.print(&[journal.append(line)?])?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(())
}

fn join(thread: thread::JoinHandle<Outcome<()>>) -> Outcome<()> {
    thread.join().unwrap_or_else(|_| Err(panicked()))
}

fn panicked() -> Stop {
    let what = "a thread of the command panicked";
    Stop::Failed(
        Error::new(ErrorKind::Closed, what).advise("please report this; what was printed is durable"),
    )
}
