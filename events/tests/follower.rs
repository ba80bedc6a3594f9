//! The embedded log, written by one store and followed by another, as if in two processes: the suite, with every append
//! to the one and every look at the other.

use std::sync::Arc;

use async_trait::async_trait;
use events::{
    envelope::RecordedEvent,
    ids::{IntegrationId, Position, Revision, TenantId},
    store::{
        Appended, Direction, Error, EventStore, Health, Page, StreamWrite, Subscription,
        sqlite::{OpenError, SqliteStore, follower::SqliteFollower},
        suite::Fixture,
    },
    stream::{Kind, StreamName},
};
use tempfile::TempDir;
use tokio::sync::watch;

events::event_store_suite!(open_fresh);

async fn open_fresh() -> Fixture {
    let (directory, beside) = open();
    Fixture::new(beside, directory)
}

fn open() -> (TempDir, Beside) {
    let directory = tempfile::tempdir().expect("a directory");
    let writer = Arc::new(SqliteStore::open(directory.path()).expect("the log opens"));
    let follower = SqliteFollower::open(directory.path()).expect("the log is there");
    (directory, Beside { writer, follower })
}

/// Both of them, as one store.
#[derive(Debug)]
struct Beside {
    writer: Arc<SqliteStore>,
    follower: SqliteFollower,
}

#[async_trait]
impl EventStore for Beside {
    async fn append(&self, writes: Vec<StreamWrite>) -> Result<Vec<Appended>, Error> {
        let appended = self.writer.append(writes).await?;
        let last = appended.iter().map(|appended| appended.position).max().unwrap_or(Position::START);
        self.follower.head().wait_for(|head| *head >= last).await.expect("it follows");
        Ok(appended)
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        direction: Direction,
        max: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        self.follower.read_stream(stream, direction, max).await
    }

    async fn read_all(&self, after: Position, kinds: &[Kind], max: usize) -> Result<Page, Error> {
        self.follower.read_all(after, kinds, max).await
    }

    fn subscribe(&self, after: Position, kinds: &[Kind]) -> Box<dyn Subscription> {
        self.follower.subscribe(after, kinds)
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.follower.head()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.follower.health()
    }

    fn is_atomic(&self) -> bool {
        self.writer.is_atomic()
    }

    fn is_sole_writer(&self) -> bool {
        self.follower.is_sole_writer()
    }
}

#[tokio::test]
async fn a_follower_writes_nothing() {
    let (_directory, beside) = open();
    let tenant = TenantId::parse("acme").expect("a tenant");
    let id = IntegrationId::new(events::envelope::new_event_id().uuid()).expect("a UUID");
    let stream = StreamName::key(&tenant, id);
    let refused = beside.follower.append(vec![StreamWrite::Tombstone { stream: stream.clone() }]).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))));
    let from_first = Direction::ForwardsFrom(Revision::FIRST);
    assert!(beside.writer.read_stream(&stream, from_first, 1).await.expect("it can be read").is_empty());
}

#[tokio::test]
async fn there_is_nothing_to_follow_where_no_log_is() {
    let directory = tempfile::tempdir().expect("a directory");
    assert!(matches!(SqliteFollower::open(directory.path()), Err(OpenError::NoLog(_))));
    assert_eq!(std::fs::read_dir(directory.path()).expect("it can be listed").count(), 0);
}

#[tokio::test]
async fn a_follower_outlives_its_writer_and_sees_the_next_one() {
    let (directory, beside) = open();
    let Beside { writer, follower } = beside;
    let tenant = TenantId::parse("acme").expect("a tenant");
    let mut head = follower.head();
    drop(writer);
    let next = SqliteStore::open(directory.path()).expect("the log opens");
    let id = IntegrationId::new(events::envelope::new_event_id().uuid()).expect("a UUID");
    let stream = StreamName::key(&tenant, id);
    let appended = next.append(vec![StreamWrite::Tombstone { stream: stream.clone() }]).await.expect("it is appended");
    head.wait_for(|head| *head >= appended[0].position).await.expect("it follows");
    let read = follower.read_stream(&stream, Direction::ForwardsFrom(Revision::FIRST), 1).await;
    assert!(matches!(read, Err(Error::Tombstoned { .. })));
}
