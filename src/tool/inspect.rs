//! `everlog inspect`: what stands in a directory, file by file, also where it does not open.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::error::Error;
use crate::journal::chain::{Ending, Origin, Stretch};
use crate::journal::lease;
use crate::journal::options::{FACE_RAW, FACE_STORE, FACE_TYPED, Face};
use crate::journal::{Damaged, Journal, Options};
use crate::medium::name;
use crate::segment::reader::SegmentFile;
use crate::tool::outcome::{Outcome, Verdict, command, place, tell};
use crate::tool::render::{Colour, Form, Output, bytes, clean, paint};
use crate::tool::site::Site;

/// Show what stands in a directory: identity, segments, snapshots, pins, who holds it
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The journal's directory
    pub(crate) dir: PathBuf,
}

/// One segment file.
#[derive(Serialize)]
struct SegmentShown {
    segment: u64,
    file: String,
    capacity: u64,
    /// `live`, `active`, `prepared`, `superseded` or `unborn`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<u64>,
    begins: String,
    ends: String,
}

pub(crate) fn run(args: &Inspect, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let site = Site::look(&args.dir)?;
    let opened = Options::new().damaged(Damaged::ReadOnly).face(Face::any()).open(&args.dir);
    identity(&mut output, &site)?;
    opening(&mut output, &opened)?;
    segments(&mut output, &site)?;
    snapshots(&mut output, &site)?;
    if let Ok(journal) = &opened {
        pins(&mut output, journal)?;
    }
    let faults = site.root_faults.iter().chain(&site.bad_segments).chain(&site.bad_snapshots);
    let mut faults: Vec<Error> = faults.chain(&site.chain_fault).cloned().collect();
    match &opened {
        Ok(journal) => faults.extend(journal.report().damage.clone()),
        Err(error) => faults.push(error.clone()),
    }
    faults.dedup_by(|one, other| place(one) == place(other) && one.what() == other.what());
    for fault in &faults {
        tell(&mut output, "fault", &fault.clone().advise(command("verify", &args.dir, "")))?;
    }
    output.flush()?;
    Ok(if faults.is_empty() { Verdict::Well } else { Verdict::Findings })
}

fn title(output: &mut Output, text: &str) -> Outcome<()> {
    let (on, _) = output.colours();
    output.line(format!("\n{}", paint(on, Colour::Bold, text)))
}

fn fact(output: &mut Output, name: &str, value: &str) -> Outcome<()> {
    output.line(format!("{name:<12} {}", clean(value)))
}

fn identity(output: &mut Output, site: &Site) -> Outcome<()> {
    let holder = holder(site);
    let id = site.id().map(|id| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let creation = site.identity.as_ref().map(|identity| &identity.creation);
    let face = creation.map(|creation| match creation.face {
        FACE_RAW => "raw records".to_owned(),
        FACE_TYPED => format!("events of the type {:?}", creation.type_name),
        FACE_STORE => "a store".to_owned(),
        other => format!("something unknown ({other})"),
    });
    let created = creation.map(|creation| Timestamp::from_micros(creation.created_micros).to_string());
    let slot = site.slot;
    if output.is_json() {
        return output.json(&json!({
            "what": "journal",
            "directory": site.directory.display().to_string(),
            "id": id,
            "face": face,
            "type": creation.map(|creation| &creation.type_name),
            "codec": creation.map(|creation| creation.codec),
            "created": created,
            "horizon": slot.map(|slot| slot.horizon().to_string()),
            "floor": slot.map(|slot| slot.floor().get()),
            "newest_segment": slot.map(|slot| slot.newest_segment),
            "slot": slot.map(|slot| slot.sequence),
            "holder": holder,
        }));
    }
    let unknown = || "unknown: the root file does not say".to_owned();
    output.line(format!("{}", site.directory.display()))?;
    fact(output, "id", &id.unwrap_or_else(unknown))?;
    fact(output, "holds", &face.unwrap_or_else(unknown))?;
    if let Some(creation) = creation {
        fact(output, "codec", &creation.codec.to_string())?;
    }
    fact(output, "created", &created.unwrap_or_else(unknown))?;
    if let Some(slot) = slot {
        fact(output, "horizon", &slot.horizon().to_string())?;
        let clean = slot.clean().map_or("not closed cleanly since".to_owned(), |(number, end)| {
            format!("closed cleanly in segment {number} at offset {end}")
        });
        let text = format!(
            "number {}: durable at least to record {}, newest segment {}, {clean}",
            slot.sequence,
            slot.floor(),
            slot.newest_segment
        );
        fact(output, "root slot", &text)?;
    }
    fact(output, "holder", holder.as_deref().unwrap_or("nobody yet"))
}

/// Who wrote last, and whether that process is still there, where the system tells without being disturbed. The lock
/// itself is not tried: that could turn away a writer that is just starting.
fn holder(site: &Site) -> Option<String> {
    let note = lease::holder(&*site.medium)?;
    let process: Option<u32> = note.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    let running = process
        .filter(|_| cfg!(target_os = "linux"))
        .map(|process| std::path::Path::new("/proc").join(process.to_string()).exists());
    Some(match running {
        Some(true) => format!("{note}, a process of that number is running"),
        Some(false) => format!("{note}, no longer running"),
        None => note,
    })
}

fn opening(output: &mut Output, opened: &Result<Journal, Error>) -> Outcome<()> {
    let Ok(journal) = opened else {
        return match output.is_json() {
            true => output.json(&json!({ "what": "opening", "opens": false })),
            false => fact(output, "opens", "no, see below"),
        };
    };
    let report = journal.report();
    if output.is_json() {
        return output.json(&json!({
            "what": "opening",
            "opens": report.damage.is_none(),
            "position": journal.position().to_string(),
            "clean": report.clean,
            "unproven": report.unproven,
            "replayed": report.replayed,
        }));
    }
    fact(output, "readable", &report.to_string())
}

fn segments(output: &mut Output, site: &Site) -> Outcome<()> {
    let mut shown = Vec::new();
    let stretches = site.chain.as_ref().map_or(&[][..], |chain| &chain.stretches);
    for (index, stretch) in stretches.iter().enumerate() {
        shown.push(live(stretch, stretches.get(index + 1)));
    }
    for (number, segment) in &site.segments {
        if shown.iter().all(|known| known.segment != *number) {
            shown.push(unused(*number, segment));
        }
    }
    for number in &site.unborn {
        shown.push(SegmentShown {
            segment: *number,
            file: name::segment(*number),
            capacity: 0,
            state: "unborn",
            first: None,
            last: None,
            end: None,
            begins: String::new(),
            ends: String::new(),
        });
    }
    if output.is_json() {
        for segment in &shown {
            let mut line = serde_json::to_value(segment).unwrap_or_default();
            if let Value::Object(fields) = &mut line {
                fields.insert("what".to_owned(), Value::from("segment"));
            }
            output.json(&line)?;
        }
        return Ok(());
    }
    title(output, "segments")?;
    let row = |segment: &SegmentShown| {
        let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
        let (capacity, ends) = (bytes(segment.capacity), segment.ends.clone());
        let (first, last) = (number(segment.first), number(segment.last));
        vec![
            segment.file.clone(),
            capacity,
            segment.state.to_owned(),
            first,
            last,
            segment.begins.clone(),
            ends,
        ]
    };
    let header = ["file", "size", "state", "first", "last", "begins", "ends"];
    output.table(&header, shown.iter().map(row).collect(), &[1, 3, 4])
}

fn live(stretch: &Stretch, next: Option<&Stretch>) -> SegmentShown {
    let next_first = next.and_then(|next| next.first_lsn).map(|lsn| lsn.before().get());
    let (state, ends, last) = match stretch.ending {
        Ending::Open => ("active", "open".to_owned(), None),
        Ending::Rolled(seal) => {
            let ends = format!("rolled at {} to segment {}", seal.end, seal.successor);
            ("live", ends, Some(seal.extent().last_lsn.get()))
        }
        Ending::Left(junction) => ("live", format!("left at {} by a link", junction.end), next_first),
    };
    let begins = match stretch.origin {
        Origin::First => "first".to_owned(),
        Origin::Rolled => "after a roll".to_owned(),
        Origin::Linked(epoch, link) => {
            format!("link: epoch {epoch} after record {}, {} cut", link.last_kept(), bytes(link.bytes_cut))
        }
    };
    SegmentShown {
        segment: stretch.number(),
        file: stretch.segment.name.clone(),
        capacity: stretch.segment.birth.capacity,
        state,
        first: stretch.first_lsn.map(|lsn| lsn.get()),
        last: last.filter(|last| stretch.first_lsn.is_some_and(|first| first.get() <= *last)),
        end: stretch.end(),
        begins,
        ends,
    }
}

fn unused(number: u64, segment: &SegmentFile) -> SegmentShown {
    let first = segment.first_frame().ok().flatten().map(|header| header.first_lsn.get());
    SegmentShown {
        segment: number,
        file: segment.name.clone(),
        capacity: segment.birth.capacity,
        state: if first.is_some() { "not in the history" } else { "prepared" },
        first,
        last: None,
        end: None,
        begins: String::new(),
        ends: String::new(),
    }
}

fn snapshots(output: &mut Output, site: &Site) -> Outcome<()> {
    if output.is_json() {
        for list in &site.snapshots {
            output.json(&json!({
                "what": "snapshot",
                "file": name::snapshot(list.position),
                "position": list.position.to_string(),
                "time": list.time.to_string(),
                "made_at": list.made_at.to_string(),
                "runs": list.runs.len(),
                "bytes": list.runs.iter().map(|run| run.bytes).sum::<u64>(),
            }))?;
        }
        return Ok(());
    }
    if site.snapshots.is_empty() {
        return Ok(());
    }
    title(output, "snapshots")?;
    let rows = site.snapshots.iter().map(|list| {
        let size = bytes(list.runs.iter().map(|run| run.bytes).sum());
        let (time, made) = (list.time.to_string(), list.made_at.to_string());
        vec![list.position.to_string(), time, made, list.runs.len().to_string(), size]
    });
    output.table(&["position", "of", "made", "runs", "size"], rows.collect(), &[3, 4])
}

fn pins(output: &mut Output, journal: &Journal) -> Outcome<()> {
    let pins = journal.pins();
    if output.is_json() {
        for pin in &pins {
            let (position, time) = (pin.position.to_string(), pin.time.to_string());
            let line = json!({ "what": "pin", "pin": pin.name, "position": position, "time": time, "note": pin.note });
            output.json(&line)?;
        }
        return Ok(());
    }
    if pins.is_empty() {
        return Ok(());
    }
    title(output, "pins")?;
    for pin in &pins {
        output.line(format!("{} {} {} {}", clean(&pin.name), pin.position, pin.time, clean(&pin.note)))?;
    }
    Ok(())
}
