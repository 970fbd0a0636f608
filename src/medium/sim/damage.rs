//! Damage at rest, and looks at what lies on the device: for tests, outside of the medium's own calls.

use std::io;
use std::sync::Arc;

use crate::medium::sim::Sim;
use crate::medium::sim::device::{Device, Names, Node};
use crate::medium::sim::file::File;
use crate::medium::sim::image::Image;
use crate::medium::sim::random::Digest;

/// # Damage at rest
///
/// Each call changes the cached and the durable bytes alike, counts as no step and meets no fault, capacity or lost
/// power. It is meant for files with nothing unsynced: unsynced writes still land on top. Files are addressed as
/// `name` or `child/name`.
impl Sim {
    /// Flips the bits of `mask` in the byte at `offset`.
    pub fn flip(&self, address: &str, offset: u64, mask: u8) -> io::Result<()> {
        self.damage(address, |image| {
            let mut byte = [0];
            if image.read(&mut byte, offset) == 1 {
                image.write(&[byte[0] ^ mask], offset);
            }
        })
    }

    /// Replaces the bytes at `offset`; makes the file longer if they reach past its end.
    pub fn overwrite(&self, address: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.damage(address, |image| image.write(bytes, offset))
    }

    /// Cuts the file to `len` bytes, or makes it that long with a hole, which takes no memory.
    pub fn truncate(&self, address: &str, len: u64) -> io::Result<()> {
        self.damage(address, |image| image.set_len(len))
    }

    /// Adds `bytes` at the end.
    pub fn append(&self, address: &str, bytes: &[u8]) -> io::Result<()> {
        self.damage(address, |image| image.write(bytes, image.len()))
    }

    /// Takes the file away.
    pub fn remove_at_rest(&self, address: &str) -> io::Result<()> {
        self.rearrange(&[address], |_, files| files[0] = None)
    }

    /// Puts a copy of the file at `from` at `to`, in place of what may be there.
    pub fn copy_at_rest(&self, from: &str, to: &str) -> io::Result<()> {
        self.rearrange(&[from, to], |device, files| {
            if let Some(from) = files[0] {
                device.files.push(device.files[from].clone());
                files[1] = Some(device.files.len() - 1);
            }
        })
    }

    /// Puts each of two files in the other's place.
    pub fn swap_at_rest(&self, one: &str, other: &str) -> io::Result<()> {
        self.look(|device| {
            let (directory, name) = device.resolve(other)?;
            device.file_at(directory, name)
        })?;
        self.rearrange(&[one, other], |_, files| files.swap(0, 1))
    }

    /// Puts the file at `from` at `to`, in place of what may be there.
    pub fn rename_at_rest(&self, from: &str, to: &str) -> io::Result<()> {
        self.rearrange(&[from, to], |_, files| {
            files[1] = files[0].take();
        })
    }

    /// All files that processes see, with their lengths, in order of their addresses.
    pub fn files(&self) -> Vec<(String, u64)> {
        self.look(|device| {
            let files = device.named_files(|directory| &directory.live);
            files.into_iter().map(|(address, file)| (address, device.files[file].cached.len())).collect()
        })
    }

    /// What reads of the file see.
    pub fn bytes(&self, address: &str) -> Option<Vec<u8>> {
        let file = self.look(|device| file_in(device, address, |file| &file.cached));
        file.map(|image| image.range(0, u64::MAX))
    }

    /// What a power cut that loses all unsynced writes leaves of the file, were its name to survive.
    pub fn durable_bytes(&self, address: &str) -> Option<Vec<u8>> {
        let file = self.look(|device| file_in(device, address, |file| &file.durable));
        file.map(|image| image.range(0, u64::MAX))
    }

    /// How many writes a power cut may lose.
    pub fn unsynced_writes(&self) -> usize {
        self.look(|device| {
            let files = device.reachable_files();
            files.iter().map(|file| device.files[*file].unsynced.len()).sum()
        })
    }

    /// How many creations and removals of names a power cut may lose.
    pub fn unsynced_names(&self) -> usize {
        self.look(|device| device.directories.iter().map(|directory| directory.unsynced.len()).sum())
    }

    /// A digest of all that decides what a power cut may leave: durable names and bytes, and all that is unsynced.
    pub fn image_hash(&self) -> u64 {
        self.look(digest)
    }

    fn damage(&self, address: &str, change: impl FnMut(&mut Image)) -> io::Result<()> {
        let mut device = self.device.lock();
        let (directory, name) = device.resolve(address)?;
        let file = device.file_at(directory, name)?;
        device.files[file].damage(change);
        Ok(())
    }

    /// Lets `change` choose anew which files stand at `addresses`; the first must be there.
    fn rearrange(
        &self,
        addresses: &[&str],
        change: impl FnOnce(&mut Device, &mut [Option<usize>]),
    ) -> io::Result<()> {
        let mut device = self.device.lock();
        let mut places = Vec::new();
        let mut files = Vec::new();
        for address in addresses {
            let (directory, name) = device.resolve(address)?;
            let file = device.file_at(directory, name);
            files.push(match file {
                Err(error) if files.is_empty() || error.kind() != io::ErrorKind::NotFound => {
                    return Err(error);
                }
                file => file.ok(),
            });
            places.push((directory, name));
        }
        change(&mut device, &mut files);
        for ((directory, name), file) in places.into_iter().zip(files) {
            device.directories[directory].unsynced.retain(|change| &*change.name != name);
            let directory = &mut device.directories[directory];
            for names in [&mut directory.live, &mut directory.durable] {
                place(names, name, file);
            }
        }
        Ok(())
    }

    fn look<T>(&self, look: impl FnOnce(&Device) -> T) -> T {
        look(&self.device.lock())
    }
}

fn place(names: &mut Names, name: &str, file: Option<usize>) {
    match file {
        Some(file) => names.insert(Arc::from(name), Node::File(file)),
        None => names.remove(name),
    };
}

fn file_in(device: &Device, address: &str, pick: fn(&File) -> &Image) -> Option<Image> {
    let (directory, name) = device.resolve(address).ok()?;
    let file = device.file_at(directory, name).ok()?;
    Some(pick(&device.files[file]).clone())
}

fn digest(device: &Device) -> u64 {
    let mut digest = Digest::new();
    add_directory(&mut digest, device, 0);
    digest.finish()
}

fn add_directory(digest: &mut Digest, device: &Device, directory: usize) {
    let directory = &device.directories[directory];
    digest.add(directory.durable.len() as u64);
    for (name, node) in &directory.durable {
        add_entry(digest, device, name, Some(*node));
    }
    digest.add(directory.unsynced.len() as u64);
    for change in &directory.unsynced {
        add_entry(digest, device, &change.name, change.node);
    }
}

fn add_entry(digest: &mut Digest, device: &Device, name: &str, node: Option<Node>) {
    digest.add_bytes(name.as_bytes());
    match node {
        None => digest.add(1),
        Some(Node::Directory(child)) => {
            digest.add(2);
            add_directory(digest, device, child);
        }
        Some(Node::File(file)) => {
            let file = &device.files[file];
            digest.add(3);
            digest.add(file.durable.digest());
            digest.add(file.unsynced.len() as u64);
            for write in &file.unsynced {
                digest.add(write.offset);
                digest.add_bytes(&write.bytes);
            }
        }
    }
}
