//! `everlog history`, `diff` and `timeline`: what happened to a store, where, when and by whom.

use std::ops::Bound;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::state;
use crate::store::{Changed, IntoPath, RestorePoint};
use crate::tool::outcome::{Outcome, usage};
use crate::tool::render::{Form, Output, clean};
use crate::tool::store::open::{check_users, finish, path_of, reading};
use crate::tool::store::show::{COMMIT, ChangeShown, CommitShown, changes, place, step};
use crate::tool::when::When;

/// The most points in one page of a timeline.
const PAGE_MAX: u64 = 100;

/// Show each change of what stands at a path of a store
#[derive(Debug, Args)]
pub(crate) struct HistoryVerb {
    /// The store's directory
    pub(crate) dir: PathBuf,
    /// Where: notes.a.title, or /notes/a/title
    path: String,
    /// Only from here on, included
    #[arg(long, value_name = "WHEN")]
    from: Option<When>,
    /// Only up to here, included
    #[arg(long, value_name = "WHEN")]
    to: Option<When>,
    /// Show at most this many changes
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// The newest change first
    #[arg(long)]
    newest: bool,
}

/// Show what differs between two moments of a store
#[derive(Debug, Args)]
pub(crate) struct DiffVerb {
    /// The store's directory
    pub(crate) dir: PathBuf,
    /// The first moment
    #[arg(value_name = "WHEN")]
    from: When,
    /// The second moment, now if none is given; then paths to look at only (as /NAME if it could be taken for a moment)
    #[arg(value_name = "[WHEN] PREFIX")]
    rest: Vec<String>,
}

/// List the moments of a store that there are to go back to, newest first
#[derive(Debug, Args)]
pub(crate) struct TimelineVerb {
    /// The store's directory
    pub(crate) dir: PathBuf,
    /// Only commits that changed something here
    #[arg(long, value_name = "PATH")]
    prefix: Option<String>,
    /// Only from here on, included
    #[arg(long, value_name = "WHEN")]
    from: Option<When>,
    /// Only up to here, included
    #[arg(long, value_name = "WHEN")]
    to: Option<When>,
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Go on where the last page ended
    #[arg(long)]
    cursor: Option<String>,
}

/// The range that was asked for, ends included.
fn range(from: Option<&When>, to: Option<&When>) -> (Bound<state::When>, Bound<state::When>) {
    let bound = |when: Option<&When>| when.map_or(Bound::Unbounded, |when| Bound::Included(when.into()));
    (bound(from), bound(to))
}

pub(crate) fn history(args: &HistoryVerb, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let store = reading(&args.dir)?;
    let mut history = store
        .history(path_of(&args.path, &args.dir)?)?
        .within(range(args.from.as_ref(), args.to.as_ref()))?;
    if args.newest {
        history = history.newest_first();
    }
    let mut rows = Vec::new();
    for change in history.take(args.limit.unwrap_or(usize::MAX)) {
        let change = change?;
        match output.is_json() {
            true => output.json(&ChangeShown::happened(&change))?,
            false => rows.push(row(&output, &change)),
        }
    }
    if !output.is_json() {
        match rows.is_empty() {
            true => output.line("no changes in the history that is kept")?,
            false => output.table(&[&COMMIT[..], &["entry", "old -> new"]].concat(), rows, &[])?,
        }
    }
    finish(&store, &args.dir, &mut output)
}

fn row(output: &Output, change: &Changed) -> Vec<String> {
    let mut cells: Vec<String> =
        CommitShown::new(change.position, change.time, change.actor(), None).into_cells().into();
    cells.push(change.entry.map_or("-".to_owned(), |(time, _)| place(&change.path, Some(time))));
    cells.push(step(output, change.old.as_ref(), change.new.as_ref()));
    cells
}

pub(crate) fn diff(args: &DiffVerb, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let store = reading(&args.dir)?;
    let (to, prefixes) = match args.rest.split_first() {
        Some((first, prefixes)) => match first.parse::<When>() {
            Ok(when) => (state::When::from(&when), prefixes),
            Err(_) => (state::When::now(), &args.rest[..]),
        },
        None => (state::When::now(), &args.rest[..]),
    };
    for prefix in prefixes {
        let path = prefix.into_path().map_err(|error| {
            let what = format!("{prefix:?} is neither a moment nor a path: {}", error.what());
            usage(what, "everlog diff --help")
        })?;
        check_users(&path, &args.dir)?;
    }
    let mut diff = store.diff(&args.from, to)?;
    if !prefixes.is_empty() {
        diff = diff.only(prefixes)?;
    }
    let found = diff.changes()?;
    changes(&mut output, &found)?;
    if found.is_empty() && !output.is_json() {
        output.line(format!("no difference between {} and {}", diff.from(), diff.to()))?;
    }
    finish(&store, &args.dir, &mut output)
}

#[derive(Serialize)]
struct PointShown<'a> {
    #[serde(flatten)]
    commit: CommitShown<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollback_to: Option<String>,
    changes: u64,
    paths: Vec<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pins: &'a [String],
}

pub(crate) fn timeline(args: &TimelineVerb, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let store = reading(&args.dir)?;
    let mut timeline = store.timeline().within(range(args.from.as_ref(), args.to.as_ref()));
    if let Some(prefix) = &args.prefix {
        timeline = timeline.under(path_of(prefix, &args.dir)?)?;
    }
    let (mut left, mut cursor, mut rows) = (args.limit, args.cursor.clone(), Vec::new());
    loop {
        let page = timeline.page(left.min(PAGE_MAX) as usize, cursor.as_deref())?;
        left -= left.min(page.points.len() as u64);
        for point in &page.points {
            match output.is_json() {
                true => output.json(&shown(point))?,
                false => rows.push(point_row(point)),
            }
        }
        cursor = page.next;
        if left == 0 || cursor.is_none() {
            break;
        }
    }
    if output.is_json() {
        cursor.iter().try_for_each(|cursor| output.json(&serde_json::json!({ "cursor": cursor })))?;
    } else {
        match rows.is_empty() {
            true => output.line("no commits in the history that is kept")?,
            false => output.table(&[&COMMIT[..], &["label", "changes"]].concat(), rows, &[])?,
        }
        cursor.iter().try_for_each(|cursor| output.line(format!("more: --cursor {cursor}")))?;
    }
    finish(&store, &args.dir, &mut output)
}

fn shown(point: &RestorePoint) -> PointShown<'_> {
    PointShown {
        commit: CommitShown::new(point.position, point.time, point.actor(), point.cause()),
        label: point.label.as_deref(),
        rollback_to: point.rollback_to.map(|position| position.to_string()),
        changes: point.changes,
        paths: point.paths.iter().map(ToString::to_string).collect(),
        pins: &point.pins,
    }
}

fn point_row(point: &RestorePoint) -> Vec<String> {
    const PATHS: usize = 3;
    let mut label: Vec<String> = point.label.iter().map(|label| clean(label)).collect();
    label.extend(point.rollback_to.map(|position| format!("rollback to {position}")));
    label.extend(point.pins.iter().map(|pin| format!("pin:{}", clean(pin))));
    let mut places: Vec<String> = point.paths.iter().take(PATHS).map(|path| place(path, None)).collect();
    if point.changes > places.len() as u64 {
        places.push(format!("… ({} in all)", point.changes));
    }
    let mut cells: Vec<String> =
        CommitShown::new(point.position, point.time, point.actor(), None).into_cells().into();
    cells.push(if label.is_empty() { "-".to_owned() } else { label.join(", ") });
    cells.push(places.join(", "));
    cells
}
