//! The bytes of one file as copy-on-write pages: copies cost nothing until they differ, and holes cost nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::medium::sim::random::Digest;

/// The unit in which a device caches, writes back and loses.
pub(crate) const PAGE: u64 = 4096;

const PAGE_SIZE: usize = PAGE as usize;

/// A file's content. Pages that are missing from the map are zeros, and so are bytes past `len` in the last page.
#[derive(Clone, Default)]
pub(crate) struct Image {
    pages: Arc<BTreeMap<u64, Arc<Page>>>,
    len: u64,
}

#[derive(Clone)]
struct Page {
    bytes: [u8; PAGE_SIZE],
    /// What `digest` found; emptied before each change, so that unchanged pages are read once for many images.
    digest: OnceLock<u64>,
}

impl Image {
    pub(crate) fn write(&mut self, bytes: &[u8], offset: u64) {
        let pages = Arc::make_mut(&mut self.pages);
        let mut rest = bytes;
        let mut at = offset;
        while !rest.is_empty() {
            let start = (at % PAGE) as usize;
            let (now, later) = rest.split_at(rest.len().min(PAGE_SIZE - start));
            Page::change(pages.entry(at / PAGE).or_default(), |page| {
                page[start..start + now.len()].copy_from_slice(now);
            });
            at += now.len() as u64;
            rest = later;
        }
        if !bytes.is_empty() {
            self.len = self.len.max(at);
        }
    }

    /// Cuts the file or lets it grow by zeros.
    pub(crate) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let pages = Arc::make_mut(&mut self.pages);
            pages.split_off(&len.div_ceil(PAGE));
            if let Some(page) = pages.get_mut(&(len / PAGE)) {
                Page::change(page, |page| page[(len % PAGE) as usize..].fill(0));
            }
        }
        self.len = len;
    }

    pub(crate) fn grow(&mut self, len: u64) {
        self.len = self.len.max(len);
    }

    /// Makes page `index` the same as in `other`, as far as this file reaches.
    pub(crate) fn take_page(&mut self, index: u64, other: &Image) {
        let pages = Arc::make_mut(&mut self.pages);
        match other.pages.get(&index) {
            Some(page) => pages.insert(index, Arc::clone(page)),
            None => pages.remove(&index),
        };
        let start = index * PAGE;
        if self.len < other.len && self.len < start + PAGE {
            let len = self.len;
            // Bytes past the end must stay zeros; the detour over a longer file clears them.
            self.len = start + PAGE;
            self.set_len(len);
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let there = self.len.saturating_sub(offset).min(buffer.len() as u64) as usize;
        let mut done = 0;
        while done < there {
            let at = offset + done as u64;
            let start = (at % PAGE) as usize;
            let count = (there - done).min(PAGE_SIZE - start);
            let target = &mut buffer[done..done + count];
            match self.pages.get(&(at / PAGE)) {
                Some(page) => target.copy_from_slice(&page.bytes[start..start + count]),
                None => target.fill(0),
            }
            done += count;
        }
        there
    }

    pub(crate) fn range(&self, start: u64, end: u64) -> Vec<u8> {
        let mut bytes = vec![0; end.min(self.len).saturating_sub(start) as usize];
        self.read(&mut bytes, start);
        bytes
    }

    pub(crate) fn digest(&self) -> u64 {
        let mut digest = Digest::new();
        digest.add(self.len);
        for (index, page) in self.pages.iter() {
            // A page of zeros is the same as a hole.
            if let page @ 1.. = page.digest() {
                digest.add(*index);
                digest.add(page);
            }
        }
        digest.finish()
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({} bytes, {:016x})", self.len, self.digest())
    }
}

impl Page {
    fn change(page: &mut Arc<Page>, change: impl FnOnce(&mut [u8; PAGE_SIZE])) {
        let page = Arc::make_mut(page);
        page.digest.take();
        change(&mut page.bytes);
    }

    /// A number that tells contents apart; 0 for zeros only.
    fn digest(&self) -> u64 {
        *self.digest.get_or_init(|| {
            if self.bytes.iter().all(|byte| *byte == 0) {
                return 0;
            }
            let mut digest = Digest::new();
            digest.add_bytes(&self.bytes);
            digest.finish() | 1
        })
    }
}

impl Default for Page {
    fn default() -> Page {
        Page { bytes: [0; PAGE_SIZE], digest: OnceLock::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_across_pages_read_back_and_holes_are_zeros() {
        let mut image = Image::default();
        image.write(b"across", PAGE * 3 - 2);
        assert_eq!(image.len(), PAGE * 3 + 4);
        assert_eq!(image.range(PAGE * 3 - 4, u64::MAX), b"\0\0across");
        assert_eq!(image.read(&mut [0; 4], PAGE * 9), 0);
    }

    #[test]
    fn a_cut_leaves_no_bytes_behind_for_later_growth() {
        let mut image = Image::default();
        image.write(&[7; 10_000], 0);
        image.set_len(5_000);
        image.set_len(10_000);
        assert_eq!(image.range(4_999, 5_002), [7, 0, 0]);
        assert_eq!(image.range(9_000, 9_001), [0]);
    }

    #[test]
    fn a_page_taken_from_a_longer_file_ends_where_this_file_ends() {
        let (mut short, mut long) = (Image::default(), Image::default());
        short.write(b"abc", 0);
        long.write(b"ABCDEF", 0);
        short.take_page(0, &long);
        assert_eq!(short.range(0, 9), b"ABC");
        short.grow(6);
        assert_eq!(short.range(0, 9), b"ABC\0\0\0");
    }

    #[test]
    fn copies_share_until_they_differ_and_digests_follow_content() {
        let mut image = Image::default();
        image.write(&[1; 9_000], 0);
        let copy = image.clone();
        assert!(Arc::ptr_eq(&image.pages, &copy.pages));
        assert_eq!(image.digest(), copy.digest());
        image.write(&[2], 4_100);
        assert_ne!(image.digest(), copy.digest());
        assert!(Arc::ptr_eq(&image.pages[&0], &copy.pages[&0]));
        image.write(&[1], 4_100);
        assert_eq!(image.digest(), copy.digest());
    }

    #[test]
    fn a_terabyte_of_nothing_takes_no_memory() {
        let mut image = Image::default();
        image.set_len(1 << 40);
        assert_eq!(image.range((1 << 40) - 1, u64::MAX), [0]);
        assert!(image.pages.is_empty());
    }
}
