//! Moving what stands at one path to another, with `*` for every key.

use crate::error::{Error, ErrorKind, Result};
use crate::store::Tx;
use crate::store::collection::check_users;
use crate::store::key;
use crate::store::op::Op;
use crate::store::path::{IntoPath, Path};
use crate::store::value::Value;

const EVERY: &str = "*";

/// Moves what is at `old` to `new`.
pub(super) fn apply(tx: &mut Tx<'_>, old: &str, new: &str) -> Result<()> {
    let (mut old, mut new) = (old.into_path()?, new.into_path()?);
    if old.key().is_none() && new.key().is_none() {
        (old, new) = (old.join(EVERY), new.join(EVERY));
    }
    check_users(old.collection())?;
    check_users(new.collection())?;
    let entries = key::all_series(old.collection());
    if old.segments().get(1).is_some_and(|segment| segment == EVERY)
        && old.segments().len() == 2
        && tx.version().range(&entries).next().is_some()
    {
        let what = format!("cannot move {old}: there are series in it, which only a body can move");
        return Err(Error::new(ErrorKind::Unsupported, what));
    }
    let stars = |path: &Path| path.segments().iter().filter(|segment| *segment == EVERY).count();
    if stars(&old) != stars(&new) || old.key().is_none() || new.key().is_none() {
        let what = format!(
            "renaming {old} to {new} needs as many stars on both sides, and no collection on one side only"
        );
        return Err(Error::new(ErrorKind::Input, what));
    }
    let mut found = Vec::new();
    meet(tx, &[], old.segments(), &mut found)?;
    let places = found.iter().map(|met| (filled(&old, met), filled(&new, met))).collect();
    shift(tx, places)
}

/// What the stars of `rest`, below `prefix`, stand for.
fn meet(tx: &Tx<'_>, prefix: &[String], rest: &[String], found: &mut Vec<Vec<String>>) -> Result<()> {
    let mut places = vec![(prefix.to_vec(), Vec::new())];
    for segment in rest {
        let mut next = Vec::new();
        for (place, met) in places {
            let keys = if segment == EVERY { keys(tx, &place)? } else { vec![segment.clone()] };
            for key in keys {
                let mut met: Vec<String> = met.clone();
                met.extend((segment == EVERY).then(|| key.clone()));
                next.push(([place.clone(), vec![key]].concat(), met));
            }
        }
        places = next;
    }
    found.extend(places.into_iter().map(|(_, met)| met));
    Ok(())
}

/// The keys of what is stored at a place; a default is not moved.
fn keys(tx: &Tx<'_>, place: &[String]) -> Result<Vec<String>> {
    Ok(match tx.version().value(&Path::of_segments(place))? {
        Some(Value::Array(list)) => (0..list.len()).map(|index| index.to_string()).collect(),
        Some(Value::Object(object)) => object.iter().map(|(key, _)| key.to_owned()).collect(),
        _ => Vec::new(),
    })
}

fn filled(path: &Path, met: &[String]) -> Path {
    let mut met = met.iter();
    let fill =
        |segment: &String| if segment == EVERY { met.next().unwrap_or(segment) } else { segment }.clone();
    Path::of_segments(path.segments().iter().map(fill).collect::<Vec<String>>())
}

/// Moves what stands at each of the places, given in order. Elements of a list move up when one before them goes: all are
/// taken out, the last ones first, before the first one is put where it belongs.
fn shift(tx: &mut Tx<'_>, places: Vec<(Path, Path)>) -> Result<()> {
    let mut moving = Vec::new();
    for (old, new) in places {
        moving.extend(tx.version().value(&old)?.map(|value| (old, new, value)));
    }
    for (old, ..) in moving.iter().rev() {
        tx.apply(Op::Remove { path: old.clone() })?;
    }
    for (old, new, value) in moving {
        if tx.version().value(&new)?.is_some() {
            let what = format!("cannot move {old} to {new}, where something stands already");
            return Err(Error::new(ErrorKind::Conflict, what));
        }
        tx.draft.restore(Op::Set { path: new, value })?;
    }
    Ok(())
}
