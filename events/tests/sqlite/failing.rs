//! Commits: how few they are, and what is answered when one fails.

use std::{fs, future::poll_fn, task::Poll, time::Duration};

use events::store::{Error, EventStore, ExpectedRevision::NoStream, Health, sqlite::FILE_NAME};
use tempfile::TempDir;

use super::{append, connect, directory, exact, integration, open, read, write};

/// How many commits the write-ahead log holds: frames that tell the size of the file after them
/// (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>).
fn n_commits(directory: &TempDir) -> usize {
    const HEADER: usize = 32;
    const FRAME_HEADER: usize = 24;
    let wal = fs::read(directory.path().join(format!("{FILE_NAME}-wal"))).expect("it is there");
    let Some(page_size) = wal.get(8..12) else { return 0 };
    let page_size = u32::from_be_bytes(page_size.try_into().expect("four bytes"));
    let frames = wal[HEADER..].chunks_exact(FRAME_HEADER + usize::try_from(page_size).expect("it fits"));
    let is_current = |frame: &&[u8]| frame[8..16] == wal[16..24];
    frames.take_while(is_current).filter(|frame| frame[4..8] != [0; 4]).count()
}

#[tokio::test]
async fn each_append_alone_is_a_commit() {
    let directory = directory();
    let store = open(&directory);
    for n in 1..5 {
        append(&store, &integration(), NoStream, b"{}").await;
        assert_eq!(n_commits(&directory), n);
    }
}

#[tokio::test]
async fn appends_that_wait_are_committed_together() {
    const N: usize = 200;
    let directory = directory();
    let store = open(&directory);
    append(&store, &integration(), NoStream, b"{}").await;
    let before = n_commits(&directory);
    let mut head = store.head();
    head.mark_unchanged();
    let in_the_way = connect(&directory);
    in_the_way.execute_batch("BEGIN IMMEDIATE").expect("it has the lock");
    let mut waiting: Vec<_> = (0..N).map(|_| store.append(vec![write(&integration(), NoStream, b"{}")])).collect();
    for append in &mut waiting {
        let is_ready = poll_fn(|context| Poll::Ready(append.as_mut().poll(context).is_ready())).await;
        assert!(!is_ready, "it waits for the lock");
    }
    assert!(!head.has_changed().expect("the store is there"));
    in_the_way.execute_batch("ROLLBACK").expect("it gives the lock back");
    for append in waiting {
        append.await.expect("the append works");
    }
    let n = n_commits(&directory) - before;
    assert!((1..=2).contains(&n), "the first may have begun alone, the rest go together: {n} commits of {N} appends");
}

#[tokio::test]
async fn a_refused_append_is_no_trouble_of_those_that_are_committed_with_it() {
    let directory = directory();
    let (store, stream) = (open(&directory), integration());
    let in_the_way = connect(&directory);
    in_the_way.execute_batch("BEGIN IMMEDIATE").expect("it has the lock");
    let writes =
        [write(&integration(), NoStream, b"{}"), write(&stream, exact(3), b"{}"), write(&stream, NoStream, b"{}")];
    let mut waiting: Vec<_> = writes.into_iter().map(|write| store.append(vec![write])).collect();
    for append in &mut waiting {
        poll_fn(|context| Poll::Ready(append.as_mut().poll(context).is_ready())).await;
    }
    in_the_way.execute_batch("ROLLBACK").expect("it gives the lock back");
    let mut answers = Vec::new();
    for append in waiting {
        answers.push(append.await.is_ok());
    }
    assert_eq!(answers, [true, false, true]);
    assert_eq!(read(&store, &stream).await.expect("it can be read").len(), 1);
}

#[tokio::test]
async fn a_store_that_cannot_write_says_so_reads_on_and_recovers_by_itself() {
    let directory = directory();
    let (store, stream) = (open(&directory), integration());
    append(&store, &stream, NoStream, b"{}").await;
    let (mut health, head) = (store.health(), *store.head().borrow());
    let fault = "CREATE TRIGGER fault BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk full'); END";
    connect(&directory).execute_batch(fault).expect("the fault is there");
    let sent = write(&stream, exact(0), b"{}");
    let failed = store.append(vec![sent.clone()]).await;
    assert!(matches!(failed, Err(Error::Unavailable(_))), "{failed:?}");
    assert_eq!(*health.borrow_and_update(), Health::Failing);
    assert_eq!(*store.head().borrow(), head);
    assert_eq!(read(&store, &stream).await.expect("it can be read").len(), 1);
    connect(&directory).execute_batch("DROP TRIGGER fault").expect("the fault is gone");
    let recovered = health.wait_for(|health| *health == Health::Ready);
    tokio::time::timeout(Duration::from_secs(20), recovered).await.expect("soon").expect("the store is there");
    store.append(vec![sent]).await.expect("it writes again");
    assert_eq!(read(&store, &stream).await.expect("it can be read").len(), 2);
}

/// Makes every commit of an insert fail, not the insert itself.
const FAULT_AT_COMMIT: &str = "
    CREATE TABLE fault (of INTEGER REFERENCES missing (id) DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE missing (id INTEGER PRIMARY KEY);
    CREATE TRIGGER fault_at_commit AFTER INSERT ON events BEGIN INSERT INTO fault VALUES (1); END;
";

#[tokio::test]
async fn an_error_at_commit_is_an_unknown_outcome_and_sending_again_tells() {
    let directory = directory();
    let (store, stream) = (open(&directory), integration());
    append(&store, &stream, NoStream, b"{}").await;
    let head = *store.head().borrow();
    connect(&directory).execute_batch(FAULT_AT_COMMIT).expect("the fault is there");
    let sent = write(&stream, exact(0), b"{}");
    let failed = store.append(vec![sent.clone()]).await;
    assert!(matches!(failed, Err(Error::OutcomeUnknown(_))), "{failed:?}");
    assert_eq!(read(&store, &stream).await.expect("it can be read").len(), 1);
    assert_eq!(*store.head().borrow(), head);
    connect(&directory).execute_batch("DROP TRIGGER fault_at_commit").expect("the fault is gone");
    let done = store.append(vec![sent.clone()]).await.expect("it writes again");
    assert_eq!(*store.health().borrow(), Health::Ready);
    assert_eq!(store.append(vec![sent]).await.expect("a repeat"), done);
    assert_eq!(read(&store, &stream).await.expect("it can be read").len(), 2);
}

#[tokio::test]
async fn a_store_that_cannot_tell_what_is_durable_is_lost_and_appends_no_more() {
    let directory = directory();
    let (store, stream) = (open(&directory), integration());
    append(&store, &stream, NoStream, b"{}").await;
    connect(&directory).execute_batch(FAULT_AT_COMMIT).expect("the fault is there");
    let in_the_way = connect(&directory);
    in_the_way.execute_batch("BEGIN; SELECT count(*) FROM events").expect("it reads");
    let (mut health, head) = (store.health(), *store.head().borrow());
    let failed = store.append(vec![write(&stream, exact(0), b"{}")]).await;
    assert!(matches!(failed, Err(Error::OutcomeUnknown(_))), "{failed:?}");
    let lost = health.wait_for(|health| *health == Health::Lost);
    tokio::time::timeout(Duration::from_secs(60), lost).await.expect("soon").expect("it says so before it ends");
    in_the_way.execute_batch("COMMIT; DROP TRIGGER fault_at_commit").expect("too late");
    store.append(vec![write(&stream, exact(0), b"{}")]).await.expect_err("the process must end");
    assert_eq!(*store.head().borrow(), head);
    assert_eq!(read(&store, &stream).await.expect("it can still be read").len(), 1);
}
