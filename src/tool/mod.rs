//! The operator's hands: the `everlog` command, verb by verb. Works without the application's types.

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::error::{Error, ErrorKind};
use crate::tool::outcome::{Outcome, Stop, command, quoted, tell};
use crate::tool::render::{Form, Output};

mod append;
mod beyond;
mod demo;
mod inspect;
mod log;
mod loose;
mod outcome;
mod pages;
mod recover;
mod render;
mod salvage;
mod show;
mod site;
mod stats;
mod store;
mod upkeep;
mod verify;
mod walk;
mod when;

const AFTER_HELP: &str = "\
WHEN is a position (1:42), a record's number (42), a time (2026-11-19T18:00:00Z), a span (\"2h ago\") or a pin (pin:NAME).
Exit codes: 0 well, 1 damage or findings, 2 usage, 3 input or output, 4 the answer is no, 5 held by another process.
New here? Run `everlog demo`.";

/// State that is never lost: look at journals, check them, bring back what is whole
#[derive(Debug, Parser)]
#[command(name = "everlog", version, disable_help_subcommand = true, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// Print JSON Lines, errors included
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Inspect(inspect::Inspect),
    Verify(verify::Verify),
    Log(log::Log),
    Stats(stats::Stats),
    Get(store::Get),
    Keys(store::Keys),
    State(store::State),
    History(store::HistoryVerb),
    Diff(store::DiffVerb),
    Timeline(store::TimelineVerb),
    Watch(store::WatchVerb),
    Recover(recover::Recover),
    Salvage(salvage::Salvage),
    Rollback(store::Rollback),
    Undo(store::Undo),
    Append(append::Append),
    Set(store::Set),
    Remove(store::Remove),
    Import(store::ImportVerb),
    Export(store::Export),
    Migrate(store::Migrate),
    Fork(store::Fork),
    Pin(upkeep::PinVerb),
    Snapshot(upkeep::Snapshot),
    Compact(upkeep::Compact),
    Demo(demo::Demo),
    #[command(hide = true)]
    DemoWriter(demo::DemoWriter),
    Completions(pages::Completions),
    Man(pages::ManPage),
}

impl Verb {
    /// The journal's directory.
    fn directory(&self) -> Option<&Path> {
        match self {
            Verb::Inspect(args) => Some(&args.dir),
            Verb::Verify(args) => Some(&args.dir),
            Verb::Log(args) => Some(&args.dir),
            Verb::Stats(args) => Some(&args.dir),
            Verb::Recover(args) => Some(&args.dir),
            Verb::Salvage(args) => Some(&args.dir),
            Verb::Append(args) => Some(&args.dir),
            Verb::Import(args) => Some(&args.dir),
            Verb::Export(args) => Some(&args.dir),
            Verb::Migrate(args) => Some(&args.dir),
            Verb::Fork(args) => Some(&args.dir),
            Verb::Get(args) => Some(&args.dir),
            Verb::Keys(args) => Some(&args.dir),
            Verb::State(args) => Some(&args.dir),
            Verb::History(args) => Some(&args.dir),
            Verb::Diff(args) => Some(&args.dir),
            Verb::Timeline(args) => Some(&args.dir),
            Verb::Watch(args) => Some(&args.dir),
            Verb::Rollback(args) => Some(&args.dir),
            Verb::Undo(args) => Some(&args.dir),
            Verb::Set(args) => Some(&args.dir),
            Verb::Remove(args) => Some(&args.dir),
            Verb::Pin(args) => Some(&args.dir),
            Verb::Snapshot(args) => Some(&args.dir),
            Verb::Compact(args) => Some(&args.dir),
            Verb::Demo(_) | Verb::DemoWriter(_) | Verb::Completions(_) | Verb::Man(_) => None,
        }
    }
}

/// Runs the command with the arguments of this process.
pub fn main() -> ExitCode {
    let definition = pages::with_groups(Cli::command());
    let parsed = definition.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    let form = if cli.json { Form::Json } else { Form::Text };
    match run(&cli.verb, form) {
        Ok(verdict) => verdict.code(),
        Err(stop) => {
            if let Stop::Failed(error) = &stop {
                let mut output = Output::new(form);
                let error = cli.verb.directory().map_or(error.clone(), |dir| in_words_of(error, dir));
                // Nobody is left to hear of an error here.
                let _unheard = tell(&mut output, "error", &error).and_then(|()| output.flush());
            }
            stop.code()
        }
    }
}

fn run(verb: &Verb, form: Form) -> Outcome {
    match verb {
        Verb::Verify(args) => verify::run(args, form),
        Verb::Log(args) => log::run(args, form),
        Verb::Inspect(args) => inspect::run(args, form),
        Verb::Stats(args) => stats::run(args, form),
        Verb::Recover(args) => recover::run(args, form),
        Verb::Salvage(args) => salvage::run(args, form),
        Verb::Get(args) => store::get(args, form),
        Verb::Keys(args) => store::keys(args, form),
        Verb::State(args) => store::state(args, form),
        Verb::History(args) => store::history(args, form),
        Verb::Diff(args) => store::diff(args, form),
        Verb::Timeline(args) => store::timeline(args, form),
        Verb::Watch(args) => store::watch(args, form),
        Verb::Rollback(args) => store::rollback(args, form),
        Verb::Undo(args) => store::undo(args, form),
        Verb::Set(args) => store::set(args, form),
        Verb::Remove(args) => store::remove(args, form),
        Verb::Import(args) => store::import(args, form),
        Verb::Export(args) => store::export(args, form),
        Verb::Migrate(args) => store::migrate(args, form),
        Verb::Fork(args) => store::fork(args, form),
        Verb::Pin(args) => upkeep::pin(args, form),
        Verb::Snapshot(args) => upkeep::snapshot(args, form),
        Verb::Compact(args) => upkeep::compact(args, form),
        Verb::Demo(args) => demo::run(args, form),
        Verb::DemoWriter(args) => demo::write(args),
        Verb::Append(args) => append::run(args, form),
        Verb::Completions(args) => pages::completions(args),
        Verb::Man(_) => pages::man(),
    }
}

/// Makes the library's advice, which is for programs, a command for this directory.
fn in_words_of(error: &Error, dir: &Path) -> Error {
    match error.next() {
        Some(next) if next.contains(" DIR") => error.clone().advise(next.replace("DIR", &quoted(dir))),
        next if *error.kind() == ErrorKind::Damaged
            && next.is_none_or(|next| !next.starts_with("everlog ")) =>
        {
            error.clone().advise(command("verify", dir, ""))
        }
        _ => error.clone(),
    }
}

/// What was typed is not a command, or asks for help.
fn misused(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
        let text = error.render().to_string();
        let what = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let error = Error::new(ErrorKind::Input, what).advise("everlog --help");
        let mut output = Output::new(Form::Json);
        let _unheard = tell(&mut output, "error", &error).and_then(|()| output.flush());
    } else {
        // Nobody is left to hear of an error here.
        let _unheard = error.print();
    }
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}
