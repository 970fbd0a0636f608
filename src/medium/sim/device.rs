//! The simulated device: directories of files, and every call of the medium carried out on them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use crate::medium::Presence;
use crate::medium::sim::file::{File, Reach};
use crate::medium::sim::random::Random;
use crate::medium::sim::script::{Fault, Script, Switch, read_only};

/// All that a simulation knows.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) seed: u64,
    pub(crate) random: Random,
    pub(crate) script: Script,
    pub(crate) files: Vec<File>,
    /// The first is the directory that the simulation itself stands for.
    pub(crate) directories: Vec<Directory>,
    /// Orders all writes and changes of names.
    time: u64,
}

/// One directory: the names that processes see, and those that a power cut leaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    /// Its address from the top, with a slash at the end; empty for the top.
    pub(crate) prefix: String,
    pub(crate) live: Names,
    pub(crate) durable: Names,
    /// Changes not covered by a sync yet, oldest first.
    pub(crate) unsynced: Vec<NameChange>,
    pub(crate) locked: bool,
}

pub(crate) type Names = BTreeMap<Arc<str>, Node>;

/// What a name stands for, as an index into the device's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    File(usize),
    Directory(usize),
}

/// A name created, or removed when there is no node.
#[derive(Clone, Debug)]
pub(crate) struct NameChange {
    pub(crate) time: u64,
    pub(crate) name: Arc<str>,
    pub(crate) node: Option<Node>,
}

impl Device {
    pub(crate) fn new(seed: u64) -> Device {
        Device::at_rest(seed, Vec::new(), vec![Directory::default()])
    }

    /// A device after a boot.
    pub(crate) fn at_rest(seed: u64, files: Vec<File>, directories: Vec<Directory>) -> Device {
        Device { seed, random: Random::new(seed), script: Script::default(), files, directories, time: 0 }
    }

    pub(crate) fn create(&mut self, directory: usize, name: &str) -> io::Result<usize> {
        self.check_name(name)?;
        self.plain_step()?;
        if self.directories[directory].live.contains_key(name) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{name} exists")));
        }
        self.files.push(File::default());
        let file = self.files.len() - 1;
        self.change_name(directory, name, Some(Node::File(file)));
        Ok(file)
    }

    pub(crate) fn remove(&mut self, directory: usize, name: &str) -> io::Result<()> {
        self.check_name(name)?;
        self.plain_step()?;
        self.file_at(directory, name)?;
        self.change_name(directory, name, None);
        Ok(())
    }

    pub(crate) fn sync_names(&mut self, directory: usize) -> io::Result<()> {
        let failure = self.script.step()?.and_then(Fault::failure);
        if let Some((error, Reach::Nothing)) = failure {
            return Err(error);
        }
        let target = &mut self.directories[directory];
        let Some((error, Reach::Some)) = failure else {
            target.durable = target.live.clone();
            target.unsynced.clear();
            return Ok(());
        };
        let (done, mut rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut target.unsynced).into_iter().partition(|_| self.random.coin());
        done.iter().for_each(|change| change.apply(&mut target.durable));
        // An older change of the same name must not come back over a newer one that is durable.
        rest.retain(|old| !done.iter().any(|new| new.name == old.name && new.time > old.time));
        target.unsynced = rest;
        Err(error)
    }

    pub(crate) fn child(&mut self, directory: usize, name: &str, presence: Presence) -> io::Result<usize> {
        self.check_name(name)?;
        match (self.directories[directory].live.get(name), presence) {
            (None, Presence::CreateMissing) => self.plain_step()?,
            _ => self.script.read()?,
        }
        self.check_allowed(directory, name)?;
        match self.directories[directory].live.get(name) {
            Some(Node::Directory(child)) => Ok(*child),
            Some(Node::File(_)) => {
                Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{name} is a file")))
            }
            None if presence == Presence::MustExist => Err(missing(name)),
            None => {
                let prefix = format!("{}{name}/", self.directories[directory].prefix);
                self.directories.push(Directory { prefix, ..Directory::default() });
                let child = self.directories.len() - 1;
                self.change_name(directory, name, Some(Node::Directory(child)));
                Ok(child)
            }
        }
    }

    pub(crate) fn open(&mut self, directory: usize, name: &str, writing: Switch) -> io::Result<usize> {
        self.check_name(name)?;
        self.script.read()?;
        self.check_allowed(directory, name)?;
        let file = self.file_at(directory, name)?;
        if writing == Switch::On && self.script.standing.read_only == Switch::On {
            return Err(read_only());
        }
        Ok(file)
    }

    pub(crate) fn read(&mut self, file: usize, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.script.read()?;
        let mut wanted = buffer.len();
        if self.script.standing.short_reads == Switch::On && wanted > 0 {
            wanted = 1 + self.random.index(wanted);
        }
        Ok(self.files[file].cached.read(&mut buffer[..wanted], offset))
    }

    pub(crate) fn write(&mut self, file: usize, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > FILE_BYTES_MAX) {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let mut count = bytes.len();
        match self.script.step()? {
            Some(Fault::Short(limit)) => count = count.min(limit),
            Some(Fault::PowerCut) => {
                // The process never hears of it, but its bytes may have got there.
                if self.script.standing.read_only == Switch::Off {
                    let _ = self.store(file, bytes, offset);
                }
                self.script.powered()?;
            }
            Some(fault) => return fault.failure().map_or(Ok(0), |(error, _)| Err(error)),
            None => {}
        }
        if self.script.standing.short_writes == Switch::On && count > 0 {
            count = 1 + self.random.index(count);
        }
        self.store(file, &bytes[..count], offset)
    }

    pub(crate) fn sync(&mut self, file: usize) -> io::Result<()> {
        let fault = self.script.step()?;
        if fault == Some(Fault::PowerCut) {
            // Nothing is decided here: a crash may keep any part of what this sync covered.
            self.script.powered()?;
        }
        let fault = fault.or(self.script.next_sync.take());
        if let Some((error, reach)) = fault.and_then(Fault::failure) {
            self.files[file].sync_failing(reach, &mut self.random);
            return Err(error);
        }
        self.files[file].sync();
        Ok(())
    }

    /// The file or directory at an address such as `child/name`.
    pub(crate) fn resolve<'a>(&self, address: &'a str) -> io::Result<(usize, &'a str)> {
        let mut directory = 0;
        let mut name = address;
        while let Some((parent, rest)) = name.split_once('/') {
            match self.directories[directory].live.get(parent) {
                Some(Node::Directory(child)) => directory = *child,
                _ => return Err(missing(address)),
            }
            name = rest;
        }
        self.check_name(name)?;
        Ok((directory, name))
    }

    pub(crate) fn file_at(&self, directory: usize, name: &str) -> io::Result<usize> {
        match self.directories[directory].live.get(name) {
            Some(Node::File(file)) => Ok(*file),
            Some(Node::Directory(_)) => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name} is a directory")))
            }
            None => Err(missing(name)),
        }
    }

    /// All files with a name, by address.
    pub(crate) fn named_files(&self, pick: fn(&Directory) -> &Names) -> Vec<(String, usize)> {
        let mut found = Vec::new();
        let mut waiting = vec![0];
        while let Some(index) = waiting.pop() {
            let directory = &self.directories[index];
            for (name, node) in pick(directory) {
                match node {
                    Node::File(file) => found.push((format!("{}{name}", directory.prefix), *file)),
                    Node::Directory(child) => waiting.push(*child),
                }
            }
        }
        found.sort();
        found
    }

    /// The files that some choice of unsynced names can still reach.
    pub(crate) fn reachable_files(&self) -> BTreeSet<usize> {
        let nodes = self.directories.iter().flat_map(|directory| {
            let changed = directory.unsynced.iter().filter_map(|change| change.node);
            directory.live.values().chain(directory.durable.values()).copied().chain(changed)
        });
        nodes.filter_map(|node| if let Node::File(file) = node { Some(file) } else { None }).collect()
    }

    fn store(&mut self, file: usize, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let count = self.room(file, offset, bytes.len())?;
        let time = self.tick();
        self.files[file].write(&bytes[..count], offset, time);
        Ok(count)
    }

    /// How many of `count` bytes at `offset` fit on the device.
    fn room(&self, file: usize, offset: u64, count: usize) -> io::Result<usize> {
        let len = self.files[file].cached.len();
        let Some(capacity) = self.script.standing.capacity else { return Ok(count) };
        if count == 0 || offset + count as u64 <= len {
            return Ok(count);
        }
        let used: u64 = self
            .named_files(|directory| &directory.live)
            .iter()
            .map(|(_, file)| self.files[*file].cached.len())
            .fold(0, u64::saturating_add);
        let end_max = len.saturating_add(capacity.saturating_sub(used));
        if offset >= end_max {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the simulated device is full"));
        }
        // OK because it is not more than `count`.
        Ok((end_max - offset).min(count as u64) as usize)
    }

    fn change_name(&mut self, directory: usize, name: &str, node: Option<Node>) {
        let change = NameChange { time: self.tick(), name: name.into(), node };
        let directory = &mut self.directories[directory];
        change.apply(&mut directory.live);
        directory.unsynced.push(change);
    }

    /// A step that is done or not done.
    fn plain_step(&mut self) -> io::Result<()> {
        match self.script.step()?.and_then(Fault::failure) {
            Some((error, _)) => Err(error),
            None => Ok(()),
        }
    }

    fn check_name(&self, name: &str) -> io::Result<()> {
        let odd = name.is_empty()
            || name == "."
            || name == ".."
            || name.len() > NAME_BYTES_MAX
            || name.contains(['/', '\\', '\0']);
        if odd {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is no plain name")));
        }
        Ok(())
    }

    fn check_allowed(&self, directory: usize, name: &str) -> io::Result<()> {
        let address = format!("{}{name}", self.directories[directory].prefix);
        if self.script.standing.denied.contains(&address) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{address} is denied")));
        }
        Ok(())
    }

    fn tick(&mut self) -> u64 {
        self.time += 1;
        self.time
    }
}

impl NameChange {
    pub(crate) fn apply(&self, names: &mut Names) {
        match self.node {
            Some(node) => names.insert(Arc::clone(&self.name), node),
            None => names.remove(&self.name),
        };
    }
}

pub(crate) fn missing(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{name} is not there"))
}

/// As common file systems have it.
const NAME_BYTES_MAX: usize = 255;
/// As common file systems have it: offsets are signed.
const FILE_BYTES_MAX: u64 = i64::MAX as u64;
