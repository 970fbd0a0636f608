//! Power loss: which unsynced writes and names survive is decided first, then the surviving image is built.

use std::collections::BTreeSet;

use crate::medium::sim::device::{Device, Directory, Node};
use crate::medium::sim::file::{File, Write};
use crate::medium::sim::image::Image;
use crate::medium::sim::random::Random;

/// Which of the legal states a power loss leaves. What was synced is in every one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Crash {
    /// Nothing unsynced survives, neither bytes nor names.
    LoseAll,
    /// Everything unsynced survives, except what a failed sync has lost already.
    KeepAll,
    /// The first so many unsynced writes survive, and the names changed before the next one.
    Prefix(usize),
    /// As [`Crash::Prefix`], with the last of these writes torn: one half survives, cut at a byte or a sector.
    Torn {
        /// How many writes survive, the torn one included.
        writes: usize,
        /// Chooses the place and the half.
        seed: u64,
    },
    /// Names survive; each write survives, is lost, or is torn in several places, whatever became of the others.
    Reordered(u64),
    /// Writes survive; some or all of the unsynced creations and removals of names are lost.
    NamesLost(u64),
    /// Any of the above, mixed.
    Random(u64),
}

/// What becomes of everything unsynced, in the order in which it happened.
struct Plan {
    writes: Vec<Fate>,
    names: Vec<Survival>,
    /// For each file: whether it is as long as it was in memory, with zeros for lost bytes.
    lengths: Vec<Survival>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Survival {
    Kept,
    Lost,
}

/// What survives of one write.
struct Fate {
    /// Ranges within its bytes.
    parts: Vec<(usize, usize)>,
    /// The file's growth by this write, which may get ahead of the bytes.
    length: Survival,
}

/// Everything unsynced on a device, in the order in which it happened.
struct Unsynced<'a> {
    /// With the index of the file.
    writes: Vec<(usize, &'a Write)>,
    /// The times of the changes of names.
    names: Vec<u64>,
}

/// The device as it is after a power loss and a fresh boot.
pub(crate) fn crash(device: &Device, style: Crash) -> Device {
    let unsynced = Unsynced::of(device);
    let plan = decide(style, &unsynced, device.files.len());
    build(device, &unsynced, &plan)
}

/// The styles worth trying, most telling first, no more than `count_max` of them times two.
pub(crate) fn styles(device: &Device, count_max: usize, seed: u64) -> Vec<Crash> {
    let unsynced = Unsynced::of(device);
    let mut styles = vec![Crash::LoseAll];
    if unsynced.writes.is_empty() && unsynced.names.is_empty() {
        return styles;
    }
    let mut random = Random::new(seed);
    styles.push(Crash::KeepAll);
    if !unsynced.names.is_empty() {
        styles.push(Crash::NamesLost(random.next()));
    }
    // Half of the images are places in time order, spread evenly where there are more writes than that.
    let count = unsynced.writes.len();
    let places = count.min(count_max.div_ceil(4));
    for place in 1..=places {
        let writes = count * place / places;
        styles.push(Crash::Torn { writes, seed: random.next() });
        styles.push(Crash::Prefix(writes));
    }
    // More than asked for, since some will be alike.
    while styles.len() < count_max.saturating_mul(2) {
        styles.push(match random.below(8) {
            0..3 => Crash::Reordered(random.next()),
            3 if !unsynced.names.is_empty() => Crash::NamesLost(random.next()),
            4 if count > 0 => Crash::Torn { writes: 1 + random.index(count), seed: random.next() },
            _ => Crash::Random(random.next()),
        });
    }
    styles
}

impl Unsynced<'_> {
    fn of(device: &Device) -> Unsynced<'_> {
        let reachable = device.reachable_files();
        let mut writes: Vec<_> = reachable
            .into_iter()
            .flat_map(|file| device.files[file].unsynced.iter().map(move |write| (file, write)))
            .collect();
        writes.sort_by_key(|(_, write)| write.time);
        let changes = device.directories.iter().flat_map(|directory| &directory.unsynced);
        let mut names: Vec<_> = changes.map(|change| change.time).collect();
        names.sort_unstable();
        Unsynced { writes, names }
    }
}

fn decide(style: Crash, unsynced: &Unsynced<'_>, files: usize) -> Plan {
    let whole = |survival| {
        let writes = unsynced.writes.iter().map(|(_, write)| Fate::whole(survival, write)).collect();
        Plan { writes, names: vec![survival; unsynced.names.len()], lengths: vec![Survival::Lost; files] }
    };
    match style {
        Crash::LoseAll => whole(Survival::Lost),
        Crash::KeepAll => whole(Survival::Kept),
        Crash::Prefix(writes) => prefix(unsynced, writes, files),
        Crash::Torn { writes, seed } => {
            let mut plan = prefix(unsynced, writes, files);
            if let Some(index) = writes.checked_sub(1).filter(|index| *index < plan.writes.len()) {
                plan.writes[index] = Fate::torn(&mut Random::new(seed), unsynced.writes[index].1);
            }
            plan
        }
        Crash::Reordered(seed) => {
            let mut plan = whole(Survival::Kept);
            plan.reorder(&mut Random::new(seed), unsynced);
            plan
        }
        Crash::NamesLost(seed) => {
            let mut plan = whole(Survival::Kept);
            plan.lose_names(&mut Random::new(seed));
            plan
        }
        Crash::Random(seed) => {
            let mut random = Random::new(seed);
            let mut plan = match random.below(3) {
                0 => whole(Survival::Kept),
                1 => whole(Survival::Lost),
                _ => prefix(unsynced, random.index(unsynced.writes.len() + 1), files),
            };
            if random.below(4) > 0 {
                plan.reorder(&mut random, unsynced);
            }
            if random.coin() {
                plan.lose_names(&mut random);
            }
            plan
        }
    }
}

fn prefix(unsynced: &Unsynced<'_>, writes: usize, files: usize) -> Plan {
    let end = unsynced.writes.get(writes).map_or(u64::MAX, |(_, next)| next.time);
    let before = |time: u64| if time < end { Survival::Kept } else { Survival::Lost };
    Plan {
        writes: unsynced.writes.iter().map(|(_, write)| Fate::whole(before(write.time), write)).collect(),
        names: unsynced.names.iter().map(|time| before(*time)).collect(),
        lengths: vec![Survival::Lost; files],
    }
}

impl Plan {
    fn reorder(&mut self, random: &mut Random, unsynced: &Unsynced<'_>) {
        for (fate, (_, write)) in self.writes.iter_mut().zip(&unsynced.writes) {
            *fate = match random.below(4) {
                0 => Fate::whole(Survival::Kept, write),
                1 => Fate { parts: Vec::new(), length: Survival::either(random) },
                2 => Fate::torn(random, write),
                _ => Fate::shredded(random, write),
            };
        }
        self.lengths.fill_with(|| Survival::either(random));
    }

    /// Loses at least one of the changes of names, where there are any.
    fn lose_names(&mut self, random: &mut Random) {
        if self.names.is_empty() {
            return;
        }
        let lost = random.index(self.names.len());
        if random.below(4) == 0 {
            self.names.fill(Survival::Lost);
        } else {
            self.names.fill_with(|| Survival::either(random));
        }
        self.names[lost] = Survival::Lost;
    }
}

impl Survival {
    fn either(random: &mut Random) -> Survival {
        if random.coin() { Survival::Kept } else { Survival::Lost }
    }
}

impl Fate {
    fn whole(survival: Survival, write: &Write) -> Fate {
        let parts = match survival {
            Survival::Kept => vec![(0, write.bytes.len())],
            Survival::Lost => Vec::new(),
        };
        Fate { parts, length: survival }
    }

    fn torn(random: &mut Random, write: &Write) -> Fate {
        let cut = cut(random, write);
        let part = if random.coin() { (0, cut) } else { (cut, write.bytes.len()) };
        Fate { parts: vec![part], length: Survival::either(random) }
    }

    fn shredded(random: &mut Random, write: &Write) -> Fate {
        let mut cuts: Vec<_> = (0..=random.index(4)).map(|_| cut(random, write)).collect();
        cuts.extend([0, write.bytes.len()]);
        cuts.sort_unstable();
        let parts = cuts.windows(2).map(|pair| (pair[0], pair[1])).filter(|_| random.coin()).collect();
        Fate { parts, length: Survival::either(random) }
    }

    fn apply(&self, write: &Write, image: &mut Image) {
        for (start, end) in &self.parts {
            image.write(&write.bytes[*start..*end], write.offset + *start as u64);
        }
        if self.length == Survival::Kept {
            image.grow(write.offset + write.bytes.len() as u64);
        }
    }
}

/// A place to tear: a byte, or a sector of the file where the write has one inside.
fn cut(random: &mut Random, write: &Write) -> usize {
    let any = random.index(write.bytes.len() + 1);
    let sector = (write.offset + any as u64).next_multiple_of(SECTOR) - write.offset;
    if random.coin() && sector < write.bytes.len() as u64 { sector as usize } else { any }
}

fn build(device: &Device, unsynced: &Unsynced<'_>, plan: &Plan) -> Device {
    let mut images: Vec<Image> = device.files.iter().map(|file| file.durable.clone()).collect();
    for ((file, write), fate) in unsynced.writes.iter().zip(&plan.writes) {
        fate.apply(write, &mut images[*file]);
    }
    for ((image, file), length) in images.iter_mut().zip(&device.files).zip(&plan.lengths) {
        if *length == Survival::Kept {
            image.grow(file.cached.len());
        }
    }
    let directories = device.directories.iter().map(|old| reboot(old, unsynced, plan)).collect();
    let files = images.into_iter().map(File::at_rest).collect();
    let mut next = Device::at_rest(Random::new(device.seed).next(), files, directories);
    forget_unreachable(&mut next);
    next
}

/// Empties the directories and files whose names were lost; the tables keep their places.
fn forget_unreachable(device: &mut Device) {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![0];
    while let Some(index) = waiting.pop() {
        reached.insert(index);
        let nodes = device.directories[index].live.values();
        waiting.extend(
            nodes.filter_map(|node| if let Node::Directory(child) = node { Some(*child) } else { None }),
        );
    }
    for (index, directory) in device.directories.iter_mut().enumerate() {
        if !reached.contains(&index) {
            *directory = Directory::default();
        }
    }
    let reached = device.reachable_files();
    for (index, file) in device.files.iter_mut().enumerate() {
        if !reached.contains(&index) {
            *file = File::default();
        }
    }
}

fn reboot(old: &Directory, unsynced: &Unsynced<'_>, plan: &Plan) -> Directory {
    let mut live = old.durable.clone();
    for change in &old.unsynced {
        let place = unsynced.names.binary_search(&change.time);
        if place.is_ok_and(|place| plan.names[place] == Survival::Kept) {
            change.apply(&mut live);
        }
    }
    Directory { prefix: old.prefix.clone(), durable: live.clone(), live, ..Directory::default() }
}

/// The unit that disks write whole.
const SECTOR: u64 = 512;
