//! `everlog watch`: prints what changes in a store as others write it.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Args;

use crate::clock::{Clock, SystemClock};
use crate::error::ErrorKind;
use crate::store::{Changed, Path, View};
use crate::tool::outcome::{Outcome, Stop, Verdict};
use crate::tool::render::{Colour, Form, Output, clean, paint};
use crate::tool::store::open::{path_of, reading};
use crate::tool::store::show::{ChangeShown, place, step};
use crate::tool::when::parse_span;

/// How often the directory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Of the time, looking takes at most one part in so many.
const PATIENCE: u32 = 10;

/// Print what changes in a store, while others write it; what a writer at work wrote last comes with its next commit
#[derive(Debug, Args)]
pub(crate) struct WatchVerb {
    /// The store's directory
    pub(crate) dir: PathBuf,
    /// Only what changes here
    prefix: Option<String>,
    /// Stop after this many changes
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Stop after this time: 90s, 15m, 2h
    #[arg(long = "for", value_name = "SPAN", value_parser = parse_span)]
    span: Option<Duration>,
}

/// Looks again and again: a reader beside a writer sees what is proven when it opens.
pub(crate) fn watch(args: &WatchVerb, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let prefix = args.prefix.as_deref().map(|prefix| path_of(prefix, &args.dir)).transpose()?;
    let clock = SystemClock::new();
    let now = || clock.elapsed();
    let until = args.span.map(|span| now() + span);
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut seen = reading(&args.dir)?.view();
    // Whoever started it knows by this that nothing is missed from now on.
    eprintln!("watching {} from {} on; Ctrl-C ends", args.dir.display(), seen.position());
    loop {
        let looked = now();
        if let Some((changes, newest)) = look(args, &seen)? {
            for change in changes.iter().filter(|change| concerns(prefix.as_ref(), change)) {
                if left > 0 {
                    tell(&mut output, change)?;
                    left -= 1;
                }
            }
            seen = newest;
        }
        output.flush()?;
        let pause = LOOK_EVERY.max(now().saturating_sub(looked) * PATIENCE);
        let rest = until.map_or(pause, |until| pause.min(until.saturating_sub(now())));
        if left == 0 || until.is_some_and(|until| now() >= until) {
            return Ok(Verdict::Well);
        }
        thread::sleep(rest);
    }
}

/// What happened since the last look; `None` if files were just being replaced.
fn look(args: &WatchVerb, seen: &View) -> Outcome<Option<(Vec<Changed>, View)>> {
    let looked = reading(&args.dir).and_then(|store| Ok(store.changes_after(seen)?));
    match looked {
        Ok(found) => Ok(Some(found)),
        Err(Stop::Failed(error)) if *error.kind() == ErrorKind::Busy => Ok(None),
        Err(stop) => Err(stop),
    }
}

fn concerns(prefix: Option<&Path>, change: &Changed) -> bool {
    let is_users = !change.path.collection().starts_with('$');
    let meets = |prefix: &Path| prefix.is_prefix_of(&change.path) || change.path.is_prefix_of(prefix);
    is_users && prefix.is_none_or(meets)
}

fn tell(output: &mut Output, change: &Changed) -> Outcome<()> {
    if output.is_json() {
        return output.json(&ChangeShown::happened(change));
    }
    let (on, _) = output.colours();
    let position = paint(on, Colour::Bold, &change.position.to_string());
    let time = paint(on, Colour::Dim, &change.time.to_string());
    let actor = change.actor().map_or(String::new(), |actor| format!(" {}", clean(actor)));
    let place = place(&change.path, change.entry.map(|(time, _)| time));
    let step = step(output, change.old.as_ref(), change.new.as_ref());
    output.line(format!("{position} {time}{actor} {place} {step}"))
}
