//! The embedded adapter: the suite, and what only a log in a file does.

use std::{fs, path::Path};

use events::{
    envelope::{Digest, Metadata, NewEvent, Place, RecordedEvent, new_event_id},
    ids::{BlobId, IntegrationId, Position, Revision, TenantId},
    store::{
        Appended, Damaged, Direction, Error, EventStore, ExpectedRevision,
        ExpectedRevision::NoStream,
        Message, StreamWrite,
        sqlite::{FILE_NAME, OpenError, SqliteStore},
        suite::Fixture,
    },
    stream::{Kind, StreamName},
};
use rusqlite::Connection;
use tempfile::TempDir;

#[path = "sqlite/erasure.rs"]
mod erasure;
#[path = "sqlite/failing.rs"]
mod failing;
#[path = "sqlite/verifying.rs"]
mod verifying;

events::event_store_suite!(open_fresh);

async fn open_fresh() -> Fixture {
    let directory = directory();
    Fixture::new(open(&directory), directory)
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn open(directory: &TempDir) -> SqliteStore {
    SqliteStore::open(directory.path()).expect("the log opens")
}

/// Another connection to the file, as `sqlite3` would have it.
fn connect(directory: &TempDir) -> Connection {
    Connection::open(directory.path().join(FILE_NAME)).expect("the file opens")
}

fn tenant() -> TenantId {
    TenantId::parse("acme").expect("a tenant")
}

fn integration_id() -> IntegrationId {
    IntegrationId::new(new_event_id().uuid()).expect("a UUID")
}

fn integration() -> StreamName {
    StreamName::integration(&tenant(), integration_id())
}

fn key() -> StreamName {
    StreamName::key(&tenant(), integration_id())
}

fn icon() -> StreamName {
    StreamName::icon(&tenant(), integration_id(), BlobId::new(new_event_id().uuid()))
}

fn exact(revision: u64) -> ExpectedRevision {
    ExpectedRevision::Exact(Revision::new(revision))
}

fn event(stream: &StreamName, revision: Revision, data: &[u8]) -> NewEvent {
    let time = serde_json::from_str("\"2026-02-28T23:59:58.007Z\"").expect("a time");
    let metadata = Metadata::of_service(Some(tenant()), time);
    let place = Place { stream, revision, previous: Digest::ZERO };
    NewEvent::seal(place, new_event_id(), "SomethingHappened.v1", data.to_vec().into(), &metadata)
}

fn write(stream: &StreamName, expected: ExpectedRevision, data: &[u8]) -> StreamWrite {
    let events = vec![event(stream, expected.next(), data)];
    StreamWrite::Append { stream: stream.clone(), expected, events }
}

async fn append(store: &SqliteStore, stream: &StreamName, expected: ExpectedRevision, data: &[u8]) -> Appended {
    store.append(vec![write(stream, expected, data)]).await.expect("the append works")[0]
}

async fn tombstone(store: &SqliteStore, stream: &StreamName) -> Appended {
    let write = StreamWrite::Tombstone { stream: stream.clone() };
    store.append(vec![write]).await.expect("the tombstone works")[0]
}

async fn read(store: &SqliteStore, stream: &StreamName) -> Result<Vec<RecordedEvent>, Error> {
    store.read_stream(stream, Direction::ForwardsFrom(Revision::FIRST), 100).await
}

#[track_caller]
fn refusal(directory: &Path) -> OpenError {
    SqliteStore::open(directory).expect_err("the log does not open")
}

#[tokio::test]
async fn a_log_that_is_open_cannot_be_opened_again_before_it_is_closed() {
    let directory = directory();
    let store = open(&directory);
    assert!(matches!(refusal(directory.path()), OpenError::Locked(path) if path == directory.path()));
    drop(store);
    open(&directory);
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_as_it_was() {
    let directory = directory();
    drop(open(&directory));
    connect(&directory).execute_batch("PRAGMA user_version = 2").expect("the format can be changed");
    let before = fs::read(directory.path().join(FILE_NAME)).expect("the file is there");
    let refused = refusal(directory.path());
    assert!(matches!(refused, OpenError::NewerFormat { found: 2, known: 1 }), "{refused:?}");
    assert_eq!(fs::read(directory.path().join(FILE_NAME)).expect("the file is there"), before);
}

#[test]
fn a_file_that_is_another_database_is_refused_and_left_as_it_was() {
    for sql in ["CREATE TABLE notes (text TEXT)", "PRAGMA application_id = 7"] {
        let directory = directory();
        connect(&directory).execute_batch(sql).expect("a database");
        let before = fs::read(directory.path().join(FILE_NAME)).expect("the file is there");
        assert!(matches!(refusal(directory.path()), OpenError::Foreign(_)), "{sql}");
        assert_eq!(fs::read(directory.path().join(FILE_NAME)).expect("the file is there"), before);
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_was() {
    for content in [b"hello".to_vec(), vec![b'x'; 10_000]] {
        let directory = directory();
        fs::write(directory.path().join(FILE_NAME), &content).expect("it can be written");
        assert!(matches!(refusal(directory.path()), OpenError::Foreign(_)));
        assert_eq!(fs::read(directory.path().join(FILE_NAME)).expect("the file is there"), content);
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_refused() {
    let directory = directory();
    let file = directory.path().join("file");
    fs::write(&file, "").expect("it can be written");
    assert!(matches!(refusal(&file.join("data")), OpenError::Directory { .. }));
}

#[cfg(unix)]
#[test]
fn a_fresh_directory_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = directory();
    let fresh = directory.path().join("a").join("b");
    let _store = SqliteStore::open(&fresh).expect("the log opens");
    for path in [&fresh, &directory.path().join("a")] {
        let mode = fs::metadata(path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", path.display());
    }
}

#[tokio::test]
async fn a_reopened_log_holds_what_was_appended() {
    let directory = directory();
    let (kept, gone) = (integration(), key());
    let store = open(&directory);
    let sent = write(&kept, NoStream, b"{}");
    let answer = store.append(vec![sent.clone()]).await.expect("it is new");
    append(&store, &gone, NoStream, b"{}").await;
    let last = tombstone(&store, &gone).await;
    let before = read(&store, &kept).await.expect("it can be read");
    drop(store);
    let store = open(&directory);
    assert_eq!(*store.head().borrow(), last.position);
    assert_eq!(read(&store, &kept).await.expect("it can be read"), before);
    assert!(matches!(read(&store, &gone).await, Err(Error::Tombstoned { .. })));
    assert_eq!(store.append(vec![sent]).await.expect("a repeat"), answer);
    assert_eq!(append(&store, &kept, exact(0), b"{}").await.position.get(), last.position.get() + 1);
}

#[tokio::test]
async fn positions_begin_at_one_and_rise_by_one() {
    let directory = directory();
    let store = open(&directory);
    assert_eq!(*store.head().borrow(), Position::START);
    for position in 1..4 {
        assert_eq!(append(&store, &integration(), NoStream, b"{}").await.position.get(), position);
    }
}

#[tokio::test]
async fn a_position_whose_event_is_gone_is_never_used_again() {
    let directory = directory();
    let store = open(&directory);
    let key = key();
    append(&store, &key, NoStream, b"{}").await;
    assert_eq!(append(&store, &key, exact(0), b"{}").await.position.get(), 2);
    drop(store);
    let store = open(&directory);
    assert_eq!(tombstone(&store, &key).await.position.get(), 3);
    drop(store);
    // Not even when somebody deletes the tombstone itself.
    connect(&directory).execute_batch("DELETE FROM events").expect("it can be emptied");
    let store = open(&directory);
    assert_eq!(*store.head().borrow(), Position::new(3));
    assert_eq!(append(&store, &integration(), NoStream, b"{}").await.position.get(), 4);
}

#[tokio::test]
async fn the_table_can_be_read_with_plain_sql() {
    let directory = directory();
    let store = open(&directory);
    let streams = [(integration(), br#"{"n": 1.0}"#.to_vec(), "text"), (icon(), b"\x89PNG\xff".to_vec(), "blob")];
    for (stream, data, _) in &streams {
        append(&store, stream, NoStream, data).await;
    }
    let sqlite3 = connect(&directory);
    let sql = "SELECT position, revision, id, type, at, CAST(data AS BLOB), metadata, hash, typeof(data),
                      typeof(position) || typeof(revision) || typeof(id) || typeof(type) || typeof(at)
                      || typeof(metadata) || typeof(hash)
               FROM events WHERE stream = ?1";
    for (stream, data, data_type) in &streams {
        let recorded = read(&store, stream).await.expect("it can be read").remove(0);
        sqlite3
            .query_row(sql, [stream.as_str()], |row| {
                assert_eq!(row.get::<_, i64>(0)?.unsigned_abs(), recorded.position.get());
                assert_eq!(row.get::<_, i64>(1)?, 0);
                assert_eq!(row.get::<_, String>(2)?, recorded.id.to_string());
                assert_eq!(row.get::<_, String>(3)?, "SomethingHappened.v1");
                assert_eq!(row.get::<_, String>(4)?, "2026-02-28T23:59:58.007Z");
                assert_eq!(&row.get::<_, Vec<u8>>(5)?, data);
                assert_eq!(row.get::<_, String>(6)?.as_bytes(), recorded.metadata);
                assert_eq!(row.get::<_, String>(7)?, recorded.hash.to_string());
                assert_eq!(row.get::<_, String>(8)?, *data_type);
                assert_eq!(row.get::<_, String>(9)?, "integerintegertexttexttexttexttext");
                Ok(())
            })
            .expect("there is one row");
    }
}

/// Inserts a row that this release would not write.
fn insert(directory: &TempDir, stream: &str, revision: u32, event_type: &str) {
    let sql = "INSERT INTO events (stream, revision, id, type, at, data, metadata, hash)
               VALUES (?1, ?2, ?3, ?4, '2026-02-28T23:59:58.007Z', '{}', '{}', ?5)";
    let id = new_event_id().to_string();
    let values = rusqlite::params![stream, revision, id, event_type, Digest::ZERO.to_string()];
    connect(directory).execute(sql, values).expect("the row is inserted");
}

#[tokio::test]
async fn a_stream_of_a_kind_that_a_later_release_knows_is_passed_over() {
    let directory = directory();
    let store = open(&directory);
    let first = integration();
    append(&store, &first, NoStream, b"{}").await;
    drop(store);
    insert(&directory, "novelty-acme:1", 0, "Novelty.v1");
    let store = open(&directory);
    append(&store, &first, exact(0), b"{}").await;
    let page = store.read_all(Position::START, &Kind::ALL, 100).await.expect("the log can be read");
    assert_eq!(page.events, read(&store, &first).await.expect("it can be read"));
    assert_eq!(page.events.len(), 2);
    assert_eq!(page.through, Position::new(3));
}

#[tokio::test]
async fn a_row_of_the_stores_own_in_a_stream_is_not_shown() {
    let directory = directory();
    let stream = integration();
    let store = open(&directory);
    append(&store, &stream, NoStream, b"{}").await;
    drop(store);
    insert(&directory, stream.as_str(), 1, "$novelty");
    let store = open(&directory);
    append(&store, &stream, exact(1), b"{}").await;
    let forwards = read(&store, &stream).await.expect("it can be read");
    assert_eq!(forwards.iter().map(|event| event.revision.get()).collect::<Vec<_>>(), [0, 2]);
    let backwards = store.read_stream(&stream, Direction::BackwardsFromEnd, 2).await.expect("it can be read");
    assert_eq!(backwards.iter().map(|event| event.revision.get()).collect::<Vec<_>>(), [2, 0]);
    let page = store.read_all(Position::START, &Kind::ALL, 100).await.expect("the log can be read");
    assert_eq!(page.events, forwards);
}

#[tokio::test]
async fn a_damaged_row_is_told_in_its_place_and_no_trouble_of_other_streams() {
    for broken in [
        "id = 'x'",
        "at = 'yesterday'",
        "data = 7",
        "data = 1.5",
        "hash = 'zz'",
        "hash = ''",
        "hash = upper(hash)",
        "type = CAST(x'ff' AS TEXT)",
        "metadata = CAST(x'ff' AS TEXT)",
    ] {
        let directory = directory();
        let (stream, other) = (integration(), integration());
        let store = open(&directory);
        append(&store, &stream, NoStream, b"{}").await;
        append(&store, &stream, exact(0), b"{}").await;
        append(&store, &other, NoStream, b"{}").await;
        drop(store);
        let sql = format!("UPDATE events SET {broken} WHERE stream = '{stream}' AND revision = 1");
        assert_eq!(connect(&directory).execute(&sql, []).expect("a row"), 1);
        let store = open(&directory);
        let place = |damaged: &Damaged| (damaged.position, damaged.stream.clone(), damaged.revision);
        let expected = (Position::new(2), stream.clone(), Revision::new(1));
        let Err(Error::Damaged(damaged)) = read(&store, &stream).await else { panic!("{broken}") };
        assert_eq!(place(&damaged), expected, "{broken}");
        let page = store.read_all(Position::START, &Kind::ALL, 100).await.expect("what is before it can be read");
        assert_eq!((page.events.len(), page.through, page.is_last), (1, Position::new(1), false), "{broken}");
        let Err(Error::Damaged(damaged)) = store.read_all(page.through, &Kind::ALL, 100).await else {
            panic!("{broken}")
        };
        assert_eq!(place(&damaged), expected, "{broken}");
        let mut subscription = store.subscribe(Position::START, &Kind::ALL);
        let mut next = async || subscription.next().await.expect("a damaged event stops no follower");
        assert!(matches!(next().await, Message::Events(events) if events[0].revision == Revision::FIRST), "{broken}");
        assert!(matches!(next().await, Message::Damaged(told) if told == damaged), "{broken}");
        assert!(matches!(next().await, Message::Events(events) if events[0].stream == other), "{broken}");
        assert_eq!(next().await, Message::CaughtUp, "{broken}");
        assert_eq!(read(&store, &other).await.expect("it can be read").len(), 1);
        append(&store, &other, exact(0), b"{}").await;
    }
}

#[tokio::test]
async fn a_subscription_outlives_its_store_and_says_that_it_is_gone() {
    let directory = directory();
    let store = open(&directory);
    append(&store, &integration(), NoStream, b"{}").await;
    let mut subscription = store.subscribe(Position::START, &Kind::ALL);
    drop(store);
    let told = subscription.next().await.expect("what is there can still be read");
    assert!(matches!(told, Message::Events(events) if events.len() == 1));
    assert_eq!(subscription.next().await.expect("nothing follows"), Message::CaughtUp);
    assert!(matches!(subscription.next().await, Err(Error::Unavailable(_))));
}
