//! `everlog demo`: kills a busy writer again and again, and proves that nothing acknowledged was lost.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::Args;

use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind};
use crate::journal::spare::random_u64;
use crate::state::Journaled;
use crate::tool::outcome::{Outcome, Verdict, command, quoted, usage};
use crate::tool::render::{Colour, Form, Output, bytes, count, paint, plural, progress, span};

mod bank;
mod check;
mod writer;

pub(crate) use writer::{DemoWriter, run as write};

use bank::Bank;
use check::{Acknowledged, Found, Heard};

const ROUNDS_DEFAULT: u16 = 6;
const THREADS: u16 = 16;
const KILL_AFTER_MIN: Duration = Duration::from_millis(300);
const KILL_AFTER_SPREAD: Duration = Duration::from_millis(900);

/// See for yourself: a busy writer is killed again and again, and nothing acknowledged is lost
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where the journal goes: missing or empty; a new temporary directory if not given
    dir: Option<PathBuf>,
    /// How often the writer is killed
    #[arg(long, value_name = "N", default_value_t = ROUNDS_DEFAULT, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
}

/// What one round came to.
struct Round {
    number: u16,
    lived: Duration,
    heard: Heard,
    found: Found,
    cut_bytes: u64,
    reopened_in: Duration,
}

pub(crate) fn run(args: &Demo, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => std::env::temp_dir().join(format!("everlog-demo-{}", std::process::id())),
    };
    create(&dir)?;
    if !output.is_json() {
        output.line(format!(
            "{THREADS} threads of another process deposit money in {}, each event synced before it is acknowledged.",
            dir.display()
        ))?;
        output.line("That process is killed with SIGKILL at random moments; then the journal is opened and counted.\n")?;
        output
            .line("round  killed after  acknowledged  in the journal  lost  doubled  cut      opened in")?;
        output.flush()?;
    }
    let mut all = Acknowledged::default();
    let mut broken = 0;
    let mut in_journal = 0;
    let bar = progress(u64::from(args.rounds), "killing");
    for number in 1..=args.rounds {
        let round = round(&dir, number, &mut all)?;
        broken += round.found.broken();
        in_journal = round.found.events;
        bar.suspend(|| show(&mut output, &round).and_then(|()| output.flush()))?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    conclude(&mut output, &all, in_journal, broken, &dir)?;
    if broken > 0 {
        output.flush()?;
        return Ok(Verdict::Findings);
    }
    bank::show(&dir, &mut output)?;
    if !output.is_json() {
        look_yourself(&mut output, &dir)?;
    }
    output.flush()?;
    Ok(Verdict::Well)
}

/// The journal must be new, so that whatever is in it afterwards is the demo's.
fn create(dir: &Path) -> Outcome<()> {
    let bank = Journaled::<Bank>::open(dir)?;
    if bank.report().created {
        bank.close()?;
        return Ok(());
    }
    Err(usage(
        "the demo needs a directory that is missing or empty",
        "everlog demo, which makes one by itself",
    ))
}

fn round(dir: &Path, number: u16, all: &mut Acknowledged) -> Outcome<Round> {
    let clock = SystemClock::new();
    let mut child = start(dir, number)?;
    let stdout = child.stdout.take();
    let listener = std::thread::spawn(move || check::listen(stdout));
    let spread = KILL_AFTER_SPREAD.as_micros() as u64;
    std::thread::sleep(KILL_AFTER_MIN + Duration::from_micros(random_u64()? % spread));
    let trouble = |error| Error::io("kill", "the writer", error);
    let early = child.try_wait().map_err(trouble)?;
    child.kill().map_err(trouble)?;
    let lived = clock.elapsed();
    child.wait().map_err(trouble)?;
    if let Some(status) = early {
        let what = format!("the writer ended by itself before it was killed ({status})");
        return Err(Error::new(ErrorKind::Closed, what).advise(command("verify", dir, "")).into());
    }
    let heard = listener.join().unwrap_or_default();
    all.take(number, &heard);
    let before = clock.elapsed();
    let bank = Journaled::<Bank>::open(dir)?;
    let reopened_in = clock.elapsed() - before;
    let cut_bytes = bank.report().cut.as_ref().map_or(0, |cut| cut.bytes);
    let found = check::count(&bank, all)?;
    bank.close()?;
    Ok(Round { number, lived, heard, found, cut_bytes, reopened_in })
}

/// Starts this same program as the writer.
fn start(dir: &Path, round: u16) -> Outcome<Child> {
    let trouble = |error| Error::io("start", "the writer", error);
    let program = std::env::current_exe().map_err(trouble)?;
    let mut command = Command::new(program);
    command.arg("demo-writer").arg(dir).arg(round.to_string()).arg(THREADS.to_string());
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(trouble)?)
}

fn show(output: &mut Output, round: &Round) -> Outcome<()> {
    let found = &round.found;
    let heard = round.heard.lines.len() as u64;
    if output.is_json() {
        return output.json(&serde_json::json!({
            "round": round.number,
            "killed_after_ms": round.lived.as_millis() as u64,
            "acknowledged": heard,
            "in_journal": found.events,
            "lost": found.lost,
            "doubled": found.doubled,
            "out_of_order": found.out_of_order,
            "cut_bytes": round.cut_bytes,
            "opened_in_ms": round.reopened_in.as_millis() as u64,
        }));
    }
    output.line(format!(
        "{:>5}  {:>12}  {:>12}  {:>14}  {:>4}  {:>7}  {:<7}  {} ms",
        round.number,
        span(round.lived),
        count(heard),
        count(found.events),
        found.lost,
        found.doubled + found.out_of_order,
        bytes(round.cut_bytes),
        round.reopened_in.as_millis()
    ))
}

fn conclude(
    output: &mut Output,
    all: &Acknowledged,
    in_journal: u64,
    broken: u64,
    dir: &Path,
) -> Outcome<()> {
    if output.is_json() {
        return output.json(&serde_json::json!({
            "directory": dir.display().to_string(),
            "acknowledged": all.count(),
            "in_journal": in_journal,
            "broken": broken,
        }));
    }
    let (on, _) = output.colours();
    if broken > 0 {
        let text = format!("{} lost, doubled or out of order: this must not happen", plural(broken, "event"));
        return output.line(format!("\n{}", paint(on, Colour::Red, &text)));
    }
    let text = format!(
        "All {} acknowledged events are there: none lost, none doubled, each thread's in its order.",
        count(all.count())
    );
    output.line(format!("\n{}", paint(on, Colour::Green, &text)))?;
    let more = in_journal.saturating_sub(all.count());
    output.line(format!(
        "{} more were durable already when the kill came before their acknowledgement was heard.",
        count(more)
    ))
}

fn look_yourself(output: &mut Output, dir: &Path) -> Outcome<()> {
    output.line("\nLook yourself:")?;
    for line in [
        command("log", dir, "--limit 5"),
        command("verify", dir, ""),
        command("stats", dir, ""),
        command("inspect", dir, ""),
    ] {
        output.line(format!("  {line}"))?;
    }
    output.line(format!("Done with it? rm -r {}", quoted(dir)))?;
    if std::io::stdout().is_terminal() {
        output.line("A kill ends a process, not the power: for that, pull the plug during `everlog append`, and compare.")?;
    }
    Ok(())
}
