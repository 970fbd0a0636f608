//! A JSON file, replaced as a whole for each change: temporary file, sync, rename, sync of the directory.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::Value;

use crate::{Document, Many, Reopen, Setter, Way};

/// A JSON file.
#[derive(Debug)]
pub struct RewrittenFile {
    directory: PathBuf,
    document: Document,
    reads_first: bool,
    /// What is in the file. One change at a time.
    value: Mutex<Value>,
}

impl RewrittenFile {
    /// A file whose content is kept in memory, so that a change has to write only.
    pub fn kept(directory: &Path, document: Document) -> RewrittenFile {
        RewrittenFile::new(directory.join("kept"), document, document.value(), false)
    }

    /// A file that is read and parsed before each change, as electron-store does.
    pub fn read_first(directory: &Path, document: Document) -> RewrittenFile {
        RewrittenFile::new(directory.join("read-first"), document, document.value(), true)
    }

    /// A file of many documents.
    pub fn with_many(directory: &Path) -> RewrittenFile {
        let all = (0..Many::COUNT).map(|n| (Many::key(n), Many::value(n))).collect();
        RewrittenFile::new(directory.join("many"), Document::SMALL, Value::Object(all), false)
    }

    fn new(directory: PathBuf, document: Document, value: Value, reads_first: bool) -> RewrittenFile {
        std::fs::create_dir(&directory).expect("a directory");
        let file = RewrittenFile { directory, document, reads_first, value: Mutex::new(Value::Null) };
        file.write(&value);
        *file.value.lock().expect("no panics") = value;
        file
    }

    fn read(&self) -> Value {
        let text = std::fs::read(self.directory.join("config.json")).expect("reads");
        serde_json::from_slice(&text).expect("parses")
    }

    fn write(&self, value: &Value) {
        let text = serde_json::to_vec(value).expect("is JSON");
        let temporary = self.directory.join("config.json.tmp");
        let mut file = File::create(&temporary).expect("creates");
        file.write_all(&text).expect("writes");
        file.sync_all().expect("syncs");
        std::fs::rename(&temporary, self.directory.join("config.json")).expect("renames");
        File::open(&self.directory).and_then(|directory| directory.sync_all()).expect("syncs the name");
    }
}

impl Way for RewrittenFile {
    fn name(&self) -> &'static str {
        if self.reads_first { "file, read before each change" } else { "file, kept in memory" }
    }

    fn lend(&self, user: &mut dyn FnMut(&mut Setter<'_>)) {
        user(&mut |n| {
            let mut value = self.value.lock().expect("no panics");
            if self.reads_first {
                *value = self.read();
            }
            value[self.document.member(n)]["n"] = n.into();
            self.write(&value);
        });
    }
}

impl Reopen for RewrittenFile {
    fn name(&self) -> &'static str {
        "file, read and parsed"
    }

    fn open_and_read(&self, key: &str, read: &mut dyn FnMut(u64)) {
        let all = self.read();
        read(all[key]["id"].as_u64().expect("it is there"));
    }
}
