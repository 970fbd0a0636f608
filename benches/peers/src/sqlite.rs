//! SQLite as a table of JSON by key, in WAL mode with `synchronous=FULL`, so that a commit survives a power cut.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rusqlite::{Connection, params};
use serde_json::Value;

use crate::{Document, Many, Reopen, Setter, Way};

/// The version of SQLite that was compiled in.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// What a row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// A document as text, changed with `json_set`.
    Text,
    /// A document in SQLite's binary form, changed with `jsonb_set`.
    Binary,
    /// One field.
    Field,
}

/// A table of JSON by key.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    row: Row,
    document: Document,
    /// Threads take turns here: SQLite's own way to wait for another connection is to sleep and try again, which is slower.
    turn: Mutex<()>,
}

impl Sqlite {
    /// A table with one document.
    pub fn with(directory: &Path, document: Document, row: Row) -> Sqlite {
        let sqlite = Sqlite::create(directory, document, row);
        let value = document.value();
        let connection = sqlite.connect();
        match row {
            Row::Text => connection.execute("INSERT INTO data VALUES ('one', ?1)", [value.to_string()]),
            Row::Binary => {
                connection.execute("INSERT INTO data VALUES ('one', jsonb(?1))", [value.to_string()])
            }
            Row::Field => Ok(insert_fields(&connection, &value)),
        }
        .expect("fills");
        sqlite
    }

    /// A table with many documents.
    pub fn with_many(directory: &Path) -> Sqlite {
        let sqlite = Sqlite::create(directory, Document::SMALL, Row::Text);
        let mut connection = sqlite.connect();
        let transaction = connection.transaction().expect("begins");
        let mut insert = transaction.prepare("INSERT INTO data VALUES (?1, ?2)").expect("prepares");
        for n in 0..Many::COUNT {
            insert.execute(params![Many::key(n), Many::value(n).to_string()]).expect("inserts");
        }
        drop(insert);
        transaction.commit().expect("commits");
        sqlite
    }

    fn create(directory: &Path, document: Document, row: Row) -> Sqlite {
        let path = directory.join(format!("{row:?}.sqlite"));
        let sqlite = Sqlite { path, row, document, turn: Mutex::new(()) };
        let table = "CREATE TABLE data (key TEXT PRIMARY KEY, value) WITHOUT ROWID";
        // Rows of a whole document are large: those are better off in a table with row numbers.
        let table = if row == Row::Field { table } else { table.trim_end_matches(" WITHOUT ROWID") };
        sqlite.connect().execute_batch(table).expect("creates");
        sqlite
    }

    fn connect(&self) -> Connection {
        let connection = Connection::open(&self.path).expect("opens");
        connection.busy_timeout(Duration::from_secs(60)).expect("waits");
        let mode: String =
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).expect("changes");
        assert_eq!(mode, "wal");
        connection.execute_batch("PRAGMA synchronous = FULL").expect("changes");
        connection
    }
}

fn insert_fields(connection: &Connection, value: &Value) -> usize {
    let transaction = connection.unchecked_transaction().expect("begins");
    let mut insert = transaction.prepare("INSERT INTO data VALUES (?1, ?2)").expect("prepares");
    let members = value.as_object().into_iter().flatten();
    let fields = members.flat_map(|(name, member)| {
        member
            .as_object()
            .into_iter()
            .flatten()
            .map(move |(field, value)| (format!("{name}.{field}"), value.to_string()))
    });
    let count = fields.map(|(key, value)| insert.execute([key, value]).expect("inserts")).sum();
    drop(insert);
    transaction.commit().expect("commits");
    count
}

impl Way for Sqlite {
    fn name(&self) -> &'static str {
        match self.row {
            Row::Text => "SQLite, a row for the document, json_set",
            Row::Binary => "SQLite, a row for the document, jsonb_set",
            Row::Field => "SQLite, a row for each field",
        }
    }

    fn lend(&self, user: &mut dyn FnMut(&mut Setter<'_>)) {
        let connection = self.connect();
        let sql = match self.row {
            Row::Text => "UPDATE data SET value = json_set(value, ?1, ?2) WHERE key = 'one'",
            Row::Binary => "UPDATE data SET value = jsonb_set(value, ?1, ?2) WHERE key = 'one'",
            Row::Field => {
                "INSERT INTO data VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
            }
        };
        let mut statement = connection.prepare(sql).expect("prepares");
        user(&mut |n| {
            let member = self.document.member(n);
            let place = if self.row == Row::Field { format!("{member}.n") } else { format!("$.{member}.n") };
            let turn = self.turn.lock().expect("no panics");
            let changed = statement.execute(params![place, n as i64]).expect("sets");
            drop(turn);
            assert_eq!(changed, 1);
        });
    }
}

impl Reopen for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite, a row for each document"
    }

    fn open_and_read(&self, key: &str, read: &mut dyn FnMut(u64)) {
        let connection = self.connect();
        let sql = "SELECT value ->> '$.id' FROM data WHERE key = ?1";
        let id: i64 = connection.query_row(sql, [key], |row| row.get(0)).expect("reads");
        read(id as u64);
    }
}
