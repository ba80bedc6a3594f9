//! The log's rows as any SQLite shows them, and the rules that they keep, checked without the service's own code.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    time::Duration,
};

use data_encoding::HEXLOWER;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::topology::IS_EMBEDDED;

pub(crate) const TOMBSTONE: &str = "$tombstone";
const HASH_SUFFIX_LEN: usize = 75;

/// One row of the table `events`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) position: i64,
    pub(crate) stream: String,
    pub(crate) revision: i64,
    pub(crate) id: String,
    pub(crate) event_type: String,
    pub(crate) at: String,
    pub(crate) data: Vec<u8>,
    pub(crate) metadata: String,
    pub(crate) hash: String,
}

impl Row {
    /// The event's data, which is JSON everywhere but in icon streams.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.data).unwrap()
    }

    pub(crate) fn metadata(&self) -> Value {
        serde_json::from_str(&self.metadata).unwrap()
    }

    /// The type without its version.
    pub(crate) fn name(&self) -> &str {
        self.event_type.split('.').next().unwrap()
    }

    /// Tenant and the rest of the stream's name, when it is of this kind.
    pub(crate) fn of(&self, kind: &str) -> Option<(&str, &str)> {
        self.stream.strip_prefix(kind)?.strip_prefix('-')?.split_once(':')
    }

    fn computed_hash(&self, previous: &str) -> String {
        let unhashed = &self.metadata.as_bytes()[..self.metadata.len() - HASH_SUFFIX_LEN];
        let (previous, id) = (HEXLOWER.decode(previous.as_bytes()).unwrap(), Uuid::parse_str(&self.id).unwrap());
        let revision = self.revision.to_be_bytes();
        let parts: [&[u8]; 7] = [
            &previous,
            self.stream.as_bytes(),
            &revision,
            id.as_bytes(),
            self.event_type.as_bytes(),
            &self.data,
            unhashed,
        ];
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        HEXLOWER.encode(&hasher.finalize())
    }
}

/// Opens the log's file, for reading only.
pub(crate) fn open(data_dir: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(data_dir.join("events.sqlite"), flags).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection
}

/// Every row, in the order of positions.
pub(crate) fn rows(data_dir: &Path) -> Vec<Row> {
    let connection = open(data_dir);
    let sql = "SELECT position, stream, revision, id, type, at, data, metadata, hash FROM events ORDER BY position";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| {
        Ok(Row {
            position: row.get(0)?,
            stream: row.get(1)?,
            revision: row.get(2)?,
            id: row.get(3)?,
            event_type: row.get(4)?,
            at: row.get(5)?,
            data: row.get_ref(6)?.as_bytes()?.to_vec(),
            metadata: row.get(7)?,
            hash: row.get(8)?,
        })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// Whether some bytes are in a file of a directory.
pub(crate) fn is_in_a_file(directory: &Path, bytes: &[u8]) -> bool {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    // A file may go away while they are looked at.
    let mut contents = files.filter_map(|path| std::fs::read(path).ok());
    contents.any(|content| content.windows(bytes.len()).any(|window| window == bytes))
}

/// The rows of one integration's own stream.
pub(crate) fn of_integration<'a>(rows: &'a [Row], id: &str) -> Vec<&'a Row> {
    rows.iter().filter(|row| row.of("integration").is_some_and(|(_, rest)| rest == id)).collect()
}

/// Checks what the log promises of every row: revisions without a gap, each event's hash over its bytes as they are
/// stored, and in the streams of integrations over that of the event before it.
#[track_caller]
pub(crate) fn check_form(rows: &[Row]) {
    let zeros = "0".repeat(64);
    let mut ends: HashMap<&str, &Row> = HashMap::new();
    for row in rows.iter().filter(|row| row.event_type != TOMBSTONE) {
        let last = ends.insert(&row.stream, row);
        let keeps_last_only = row.stream.starts_with("key-") || row.stream == "janitor-checkpoint";
        let next = last.map_or(0, |last| last.revision + 1);
        assert!(keeps_last_only || row.revision == next, "{} has {} after {last:?}", row.stream, row.revision);
        let is_chained = row.stream.starts_with("integration-");
        let previous = last.filter(|_| is_chained).map_or(zeros.as_str(), |last| &last.hash);
        assert_eq!(row.hash, row.computed_hash(previous), "the hash of {row:?}");
        assert!(row.metadata.ends_with(&format!(r#","hash":"{}"}}"#, row.hash)), "{row:?}");
        assert_eq!(row.metadata()["time"], row.at.as_str());
    }
}

/// Checks that every create is there with all of its parts or with none: slug, data key and integration. Where they are
/// not one append, an integration whose creates came at once may have reserved more than the slug that it has.
#[track_caller]
pub(crate) fn check_creates_are_whole(rows: &[Row]) {
    let (mut created, mut reserved, mut keyed) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    let (mut deleted, mut sealing) = (BTreeSet::new(), BTreeSet::new());
    for row in rows {
        if let Some((tenant, id)) = row.of("integration") {
            let data = row.json();
            match row.name() {
                "IntegrationCreated" => {
                    created.insert((tenant, id.to_owned()), data["slug"].clone());
                }
                "IntegrationDeleted" => {
                    deleted.insert((tenant, id));
                }
                _ => {}
            }
            if data["secrets"].is_object() {
                sealing.insert((tenant, id));
            }
        } else if let Some((tenant, slug)) = row.of("slug") {
            let id = row.json()["integration"].as_str().unwrap().to_owned();
            reserved.insert((tenant, id, slug));
        } else if let Some((tenant, id)) = row.of("key") {
            keyed.insert((tenant, id));
        }
    }
    let slugs: BTreeSet<_> =
        created.iter().map(|((tenant, id), slug)| (*tenant, id.clone(), slug.as_str().unwrap())).collect();
    if !IS_EMBEDDED {
        let is_burnt = |(tenant, id, slug): &(&str, String, &str)| {
            created.get(&(*tenant, id.clone())).is_some_and(|own| own.as_str() != Some(*slug))
        };
        reserved.retain(|reservation| !is_burnt(reservation));
    }
    assert_eq!(reserved, slugs, "a reservation without its integration, or an integration without its reservation");
    let expected: BTreeSet<_> = sealing.union(&deleted).copied().collect();
    assert_eq!(keyed, expected, "a key without its integration, or an integration without its key");
}
