//! `everlog stats`: how many records, how large, and when they came, as numbers and a small plot.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::journal::RecordKind;
use crate::journal::options::FACE_STORE;
use crate::tool::log::{damage, open_for_reading};
use crate::tool::outcome::Outcome;
use crate::tool::render::{Form, Output, bytes, count, progress, span};
use crate::tool::store::reading;

/// How many bars the plot has.
const BARS: usize = 20;
const BAR_WIDTH: u64 = 40;

/// Count records and bytes, and show when they came
#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// The journal's directory
    pub(crate) dir: PathBuf,
}

/// What was counted.
#[derive(Debug, Default, Serialize)]
struct Counts {
    records: u64,
    transactions: u64,
    events: u64,
    pins: u64,
    rollbacks: u64,
    clock_steps: u64,
    payload_bytes: u64,
    payload_bytes_min: u64,
    payload_bytes_max: u64,
    segments: u64,
    segment_bytes: u64,
    first: Option<String>,
    last: Option<String>,
    records_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<StoreCounts>,
}

/// What a store holds now.
#[derive(Debug, Serialize)]
struct StoreCounts {
    collections: u64,
    /// Entries of series count too.
    documents: u64,
    /// Of all keys and values as text.
    bytes: u64,
}

pub(crate) fn run(args: &Stats, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let journal = open_for_reading(&args.dir)?;
    let status = journal.status();
    let mut counts =
        Counts { segments: status.segments, segment_bytes: status.segment_bytes, ..Counts::default() };
    let bar = progress(journal.position().lsn.get() - journal.horizon().lsn.get(), "counting");
    let mut times: Vec<u64> = Vec::new();
    let mut width = 1;
    let (mut first, mut last) = (None, Timestamp::ZERO);
    counts.payload_bytes_min = u64::MAX;
    for record in journal.records()? {
        let record = record?;
        take(&mut counts, record.kind, record.payload.len() as u64, record.ends_transaction);
        let start = *first.get_or_insert(record.time);
        last = record.time;
        tally(&mut times, &mut width, record.time.since(start).as_micros() as u64);
        bar.inc(1);
    }
    bar.finish_and_clear();
    if counts.records == 0 {
        counts.payload_bytes_min = 0;
    }
    if let Some(first) = first {
        counts.first = Some(first.to_string());
        counts.last = Some(last.to_string());
        let seconds = last.since(first).as_secs_f64();
        counts.records_per_second = (seconds > 0.0).then(|| counts.records as f64 / seconds);
    }
    if journal.identity().creation.face == FACE_STORE {
        let view = reading(&args.dir)?.view();
        let (collections, documents) = view.count();
        counts.store = Some(StoreCounts { collections, documents, bytes: view.bytes() });
    }
    if output.is_json() {
        output.json(&counts)?;
    } else {
        print(&mut output, &counts)?;
        if let Some(first) = first {
            plot(&mut output, &times, width, first)?;
        }
    }
    let verdict = damage(&journal, &args.dir, &mut output)?;
    output.flush()?;
    Ok(verdict)
}

fn take(counts: &mut Counts, kind: RecordKind, payload: u64, ends: bool) {
    counts.records += 1;
    counts.transactions += u64::from(ends);
    match kind {
        RecordKind::Event => counts.events += 1,
        RecordKind::Pin | RecordKind::Unpin => counts.pins += 1,
        RecordKind::Rollback => counts.rollbacks += 1,
        RecordKind::Clock => counts.clock_steps += 1,
    }
    counts.payload_bytes += payload;
    counts.payload_bytes_min = counts.payload_bytes_min.min(payload);
    counts.payload_bytes_max = counts.payload_bytes_max.max(payload);
}

/// Counts one record `micros` after the first one. Bars become twice as wide when there would be too many.
fn tally(bars: &mut Vec<u64>, width: &mut u64, micros: u64) {
    while micros / *width >= BARS as u64 {
        *bars = bars.chunks(2).map(|pair| pair.iter().sum()).collect();
        *width *= 2;
    }
    let index = (micros / *width) as usize;
    if bars.len() <= index {
        bars.resize(index + 1, 0);
    }
    bars[index] += 1;
}

fn print(output: &mut Output, counts: &Counts) -> Outcome<()> {
    let average = counts.payload_bytes.checked_div(counts.records).unwrap_or(0);
    let rate = counts.records_per_second.map_or("-".to_owned(), |rate| format!("{rate:.1}/s"));
    let rows = [
        ("records", count(counts.records)),
        ("  events", count(counts.events)),
        ("  pins and unpins", count(counts.pins)),
        ("  rollbacks", count(counts.rollbacks)),
        ("  clock steps", count(counts.clock_steps)),
        ("transactions", count(counts.transactions)),
        ("payload", bytes(counts.payload_bytes)),
        (
            "  smallest, average, largest",
            format!(
                "{}, {}, {}",
                bytes(counts.payload_bytes_min),
                bytes(average),
                bytes(counts.payload_bytes_max)
            ),
        ),
        ("segments", format!("{}, {}", counts.segments, bytes(counts.segment_bytes))),
        ("first record", counts.first.clone().unwrap_or_else(|| "-".to_owned())),
        ("last record", counts.last.clone().unwrap_or_else(|| "-".to_owned())),
        ("on average", rate),
    ];
    let state = counts.store.iter().map(|store| {
        let (collections, documents) = (count(store.collections), count(store.documents));
        ("collections, documents, state", format!("{collections}, {documents}, {}", bytes(store.bytes)))
    });
    for (name, value) in rows.into_iter().chain(state) {
        output.line(format!("{name:<30} {value}"))?;
    }
    Ok(())
}

fn plot(output: &mut Output, bars: &[u64], width: u64, first: Timestamp) -> Outcome<()> {
    let most = bars.iter().copied().max().unwrap_or(0).max(1);
    let each = std::time::Duration::from_micros(width);
    output.line(format!(
        "\nrecords per {}, from {first}",
        if width < 100_000 { format!("{} us", count(width)) } else { span(each) }
    ))?;
    for (index, bar) in bars.iter().enumerate() {
        let filled = (bar * BAR_WIDTH).div_ceil(most) as usize;
        let after = span(std::time::Duration::from_micros(width * index as u64));
        output
            .line(format!("{:>12} {} {}", format!("+{after}"), "#".repeat(filled), count(*bar)).trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_widen_and_never_lose_a_record() {
        let (mut bars, mut width) = (Vec::new(), 1);
        for micros in (0..100_000).step_by(7) {
            tally(&mut bars, &mut width, micros);
        }
        tally(&mut bars, &mut width, u64::MAX / 4);
        assert!(bars.len() <= BARS);
        assert_eq!(bars.iter().sum::<u64>(), 100_000_u64.div_ceil(7) + 1);
    }
}
