//! What was deleted is gone from the disk, soon; and what keeps it there meanwhile.

use std::{fs, path::Path, sync::Arc, time::Duration};

use events::{
    ids::Position,
    store::{
        EventStore,
        ExpectedRevision::NoStream,
        sqlite::{FILE_NAME, SqliteStore},
    },
    stream::Kind,
};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinSet};

use super::{append, connect, directory, exact, icon, integration, key, open, read, tombstone};

/// A guard against waiting for ever.
const GUARD: Duration = Duration::from_secs(60);
const NEEDLE: &str = "c2VjcmV0LW9mLXRoaXMtdmVyeS10ZXN0LTQ3MTE=";

fn wal(directory: &TempDir) -> std::path::PathBuf {
    directory.path().join(format!("{FILE_NAME}-wal"))
}

fn holds_needle(file: &Path) -> bool {
    let bytes = fs::read(file).unwrap_or_default();
    bytes.windows(NEEDLE.len()).any(|window| window == NEEDLE.as_bytes())
}

/// Whether any file of the log has the needle.
fn is_on_disk(directory: &TempDir) -> bool {
    let files = fs::read_dir(directory.path()).expect("the directory is there");
    files.map(|file| file.expect("a file").path()).any(|file| holds_needle(&file))
}

/// The system tells nobody when a file's bytes change: it is looked at until it is so.
async fn eventually(is_so: impl Fn() -> bool) {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(GUARD, looking).await.expect("it comes to be so");
}

fn wrapped() -> Vec<u8> {
    format!(r#"{{"wrapped":{{"ciphertext":"{NEEDLE}"}}}}"#).into_bytes()
}

#[tokio::test]
async fn the_bytes_of_a_tombstoned_key_are_gone_soon() {
    let directory = directory();
    let (store, key) = (open(&directory), key());
    append(&store, &key, NoStream, &wrapped()).await;
    assert!(is_on_disk(&directory), "they were there");
    tombstone(&store, &key).await;
    eventually(|| !is_on_disk(&directory)).await;
    assert_eq!(fs::metadata(wal(&directory)).expect("it is there").len(), 0);
}

#[tokio::test]
async fn the_bytes_of_a_tombstoned_key_that_was_in_the_file_for_long_are_gone_soon() {
    let directory = directory();
    let key = key();
    append(&open(&directory), &key, NoStream, &wrapped()).await;
    assert!(holds_needle(&directory.path().join(FILE_NAME)), "closing brought them into the file");
    let store = open(&directory);
    tombstone(&store, &key).await;
    eventually(|| !is_on_disk(&directory)).await;
}

#[tokio::test]
async fn the_bytes_of_a_wrap_are_gone_soon_after_the_next() {
    let directory = directory();
    let (store, key) = (open(&directory), key());
    append(&store, &key, NoStream, &wrapped()).await;
    append(&store, &key, exact(0), br#"{"wrapped":{}}"#).await;
    eventually(|| !is_on_disk(&directory)).await;
    assert_eq!(read(&store, &key).await.expect("it can be read").len(), 1);
}

#[tokio::test]
async fn the_bytes_of_a_tombstoned_icon_are_gone_from_every_page() {
    let directory = directory();
    let (store, icon) = (open(&directory), icon());
    append(&store, &icon, NoStream, NEEDLE.repeat(10_000).as_bytes()).await;
    assert!(is_on_disk(&directory), "they were there");
    tombstone(&store, &icon).await;
    eventually(|| !is_on_disk(&directory)).await;
}

#[tokio::test]
async fn bytes_that_were_tombstoned_just_before_the_end_are_gone_when_the_log_is_opened() {
    let directory = directory();
    let key = key();
    let store = open(&directory);
    append(&store, &key, NoStream, &wrapped()).await;
    // Who reads keeps the writer from emptying the write-ahead log, even at its end.
    let reader = connect(&directory);
    reader.execute_batch("BEGIN; SELECT count(*) FROM events").expect("it reads");
    tombstone(&store, &key).await;
    drop(store);
    assert!(is_on_disk(&directory), "the reader kept them");
    reader.execute_batch("COMMIT").expect("it ends");
    let _store = open(&directory);
    eventually(|| !is_on_disk(&directory)).await;
}

/// Appends without a pause, until it is to stop; answers how often.
async fn write_on(store: Arc<SqliteStore>, stopped: watch::Receiver<bool>) -> u64 {
    let stream = integration();
    append(&store, &stream, NoStream, b"{}").await;
    let mut revision = 0;
    while !*stopped.borrow() {
        append(&store, &stream, exact(revision), b"{}").await;
        revision += 1;
    }
    revision
}

/// Reads long pages without a pause, until it is to stop; answers how often.
async fn read_on(store: Arc<SqliteStore>, stopped: watch::Receiver<bool>) -> u64 {
    let mut n = 0;
    while !*stopped.borrow() {
        store.read_all(Position::START, &Kind::ALL, 1_000).await.expect("it can be read");
        n += 1;
    }
    n
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bytes_of_a_tombstoned_key_are_gone_soon_while_others_write_and_read() {
    let directory = directory();
    let (store, key) = (Arc::new(open(&directory)), key());
    let (stop, stopped) = watch::channel(false);
    let mut load = JoinSet::new();
    for _ in 0..64 {
        load.spawn(write_on(Arc::clone(&store), stopped.clone()));
    }
    for _ in 0..4 {
        load.spawn(read_on(Arc::clone(&store), stopped.clone()));
    }
    store.head().wait_for(|head| head.get() > 1_000).await.expect("the store is there");
    append(&store, &key, NoStream, &wrapped()).await;
    tombstone(&store, &key).await;
    eventually(|| !is_on_disk(&directory)).await;
    stop.send_replace(true);
    assert!(load.join_all().await.iter().all(|n| *n > 0), "they wrote and read all the while");
}

#[tokio::test]
async fn a_read_transaction_of_another_connection_blocks_no_append_and_delays_the_erasure_only() {
    let directory = directory();
    let (store, key, stream) = (open(&directory), key(), integration());
    append(&store, &key, NoStream, &wrapped()).await;
    let reader = connect(&directory);
    reader.execute_batch("BEGIN").expect("it begins");
    let count = || reader.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, u32>(0)).expect("a number");
    assert_eq!(count(), 1);
    tombstone(&store, &key).await;
    append(&store, &stream, NoStream, b"{}").await;
    for revision in 0..50 {
        append(&store, &stream, exact(revision), b"{}").await;
    }
    assert_eq!(read(&store, &stream).await.expect("it can be read").len(), 51);
    assert_eq!(count(), 1, "it reads what was there when it began");
    assert!(is_on_disk(&directory), "which is still there");
    reader.execute_batch("COMMIT").expect("it ends");
    eventually(|| !is_on_disk(&directory)).await;
    assert_eq!(fs::metadata(wal(&directory)).expect("it is there").len(), 0);
    assert_eq!(*store.health().borrow(), events::store::Health::Ready);
}
