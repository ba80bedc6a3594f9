//! Appends to EventStoreDB's protocol peer, from one task and from 64; and reads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use events::{
    envelope::{Digest, Metadata, NewEvent, Place, new_event_id},
    ids::{IntegrationId, Revision, TenantId},
    store::{Direction, EventStore as _, ExpectedRevision, Health, StreamWrite, eventstoredb::EventStoreDb},
    stream::StreamName,
    time::Timestamp,
};
use peer::{Options, Peer};
use tokio::task::JoinSet;

use crate::{
    Effort, places,
    report::{Bar, Spread, figure},
};

const TASKS: usize = 64;
const DATA_BYTES: usize = 500;
/// An integration's stream, as a command reads it.
const EVENTS_READ: u64 = 5;

/// The figure.
pub(crate) fn run(effort: Effort) {
    let directory = places::temporary();
    let options = Options { directory: Some(directory.path().to_owned()), ..Options::default() };
    let peer = Peer::start(&options).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = Arc::new(EventStoreDb::open(&peer.url()).unwrap());
        store.health().wait_for(|health| *health == Health::Ready).await.unwrap();
        let (mut alone, mut together, mut reads) = (Vec::new(), Vec::new(), Vec::new());
        let stream = integration();
        for next in 0..EVENTS_READ {
            append(&store, &stream, next).await;
        }
        for _ in 0..effort.pairs() {
            alone.push(1_000.0 / appends(&store, 1, effort.window()).await);
            together.push(appends(&store, TASKS, effort.window()).await);
            reads.push(read(&store, &stream, effort.window()).await);
        }
        figure("append from one task", " ms", Spread::of(alone), Bar::AtMost(1.0));
        figure("appends from 64 tasks", "/s", Spread::of(together), Bar::AtLeast(5_000.0));
        println!("read of a stream with {EVENTS_READ} events from one task: {} ms", Spread::of(reads));
    });
}

fn integration() -> StreamName {
    let tenant = TenantId::parse("acme").unwrap();
    StreamName::integration(&tenant, IntegrationId::new(new_event_id().uuid()).unwrap())
}

async fn append(store: &EventStoreDb, stream: &StreamName, next: u64) {
    let expected =
        next.checked_sub(1).map_or(ExpectedRevision::NoStream, |last| ExpectedRevision::Exact(Revision::new(last)));
    let time: Timestamp = serde_json::from_str("\"2026-02-28T23:59:58.007Z\"").unwrap();
    let place = Place { stream, revision: Revision::new(next), previous: Digest::ZERO };
    let data = format!(r#"{{"text":"{}"}}"#, "x".repeat(DATA_BYTES - 11));
    let metadata = Metadata::of_service(None, time);
    let event = NewEvent::seal(place, new_event_id(), "SomethingHappened.v1", data.into(), &metadata);
    let write = StreamWrite::Append { stream: stream.clone(), expected, events: vec![event] };
    store.append(vec![write]).await.unwrap();
}

/// How many appends a second so many tasks get through, each to streams of its own, one after another.
async fn appends(store: &Arc<EventStoreDb>, n_tasks: usize, window: Duration) -> f64 {
    let is_over = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    let since = Instant::now();
    for _ in 0..n_tasks {
        let (store, is_over) = (Arc::clone(store), Arc::clone(&is_over));
        tasks.spawn(async move {
            let (stream, mut n) = (integration(), 0_u32);
            while !is_over.load(Ordering::Relaxed) {
                append(&store, &stream, n.into()).await;
                n += 1;
            }
            n
        });
    }
    tokio::time::sleep(window).await;
    is_over.store(true, Ordering::Relaxed);
    let n: u32 = tasks.join_all().await.into_iter().sum();
    f64::from(n) / since.elapsed().as_secs_f64()
}

/// Milliseconds for a read.
async fn read(store: &EventStoreDb, stream: &StreamName, window: Duration) -> f64 {
    let (since, mut n) = (Instant::now(), 0_u32);
    while since.elapsed() < window {
        let events = store.read_stream(stream, Direction::ForwardsFrom(Revision::FIRST), 1_000).await.unwrap();
        assert_eq!(events.len() as u64, EVENTS_READ);
        n += 1;
    }
    since.elapsed().as_secs_f64() * 1_000.0 / f64::from(n)
}
