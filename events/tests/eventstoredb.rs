//! The adapter to EventStoreDB and KurrentDB: the suite, and what only a store on a server does.
//!
//! With `EVENTSTORE_URL` the suite runs against that server. Without it, it runs against a protocol peer in this process,
//! as does in any case what needs faults on demand.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use events::{
    envelope::{Digest, Metadata, NewEvent, Place, new_event_id},
    ids::{EventId, IntegrationId, Revision, TenantId},
    store::{
        Direction, Error, EventStore as _, ExpectedRevision, Health, StreamWrite, eventstoredb::EventStoreDb,
        suite::Fixture,
    },
    stream::StreamName,
};
use peer::{Options, Peer};

#[path = "eventstoredb/connecting.rs"]
mod connecting;
#[path = "eventstoredb/exporting.rs"]
mod exporting;
#[path = "eventstoredb/following.rs"]
mod following;
#[path = "eventstoredb/importing.rs"]
mod importing;
#[path = "eventstoredb/sending.rs"]
mod sending;
#[path = "eventstoredb/tls.rs"]
mod tls;

events::event_store_suite!(open_shared);

/// The connection string of a real server, if there is one.
fn server() -> Option<String> {
    std::env::var("EVENTSTORE_URL").ok()
}

/// One peer for all cases of the suite: they share it as they would share a server.
static SHARED: LazyLock<Arc<Peer>> = LazyLock::new(|| Arc::new(Peer::start(&Options::default()).expect("a peer")));

async fn open_shared() -> Fixture {
    let url = server().unwrap_or_else(|| SHARED.url());
    Fixture::new(open(&url).await, ())
}

async fn open(url: &str) -> EventStoreDb {
    let store = EventStoreDb::open(url).expect("the connection string is one");
    until_health(&store, Health::Ready).await;
    store
}

/// A store on a peer of its own, which does wrong when it is asked to.
#[derive(Debug)]
struct Site {
    store: Arc<EventStoreDb>,
    peer: Peer,
}

impl Site {
    async fn new() -> Self {
        let peer = Peer::start(&Options::default()).expect("a peer");
        Self { store: Arc::new(open(&peer.url()).await), peer }
    }

    /// The ids of a stream's events.
    async fn ids(&self, stream: &StreamName) -> Vec<EventId> {
        let forwards = Direction::ForwardsFrom(Revision::FIRST);
        let events = self.store.read_stream(stream, forwards, 1_000).await.expect("the stream can be read");
        events.iter().map(|event| event.id).collect()
    }
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

fn slug() -> StreamName {
    StreamName::slug(&tenant(), &format!("s-{}", integration_id()).parse().expect("a slug"))
}

fn exact(revision: u64) -> ExpectedRevision {
    ExpectedRevision::Exact(Revision::new(revision))
}

fn event(stream: &StreamName, revision: Revision) -> NewEvent {
    let time = serde_json::from_str("\"2026-02-28T23:59:58.007Z\"").expect("a time");
    let metadata = Metadata::of_service(Some(tenant()), time);
    let place = Place { stream, revision, previous: Digest::ZERO };
    NewEvent::seal(place, new_event_id(), "SomethingHappened.v1", "{}".into(), &metadata)
}

/// A write of one new event, and its id.
fn write(stream: &StreamName, expected: ExpectedRevision) -> (StreamWrite, EventId) {
    let event = event(stream, expected.next());
    let id = event.id;
    (StreamWrite::Append { stream: stream.clone(), expected, events: vec![event] }, id)
}

async fn append(store: &EventStoreDb, stream: &StreamName, expected: ExpectedRevision) -> Result<EventId, Error> {
    let (write, id) = write(stream, expected);
    store.append(vec![write]).await.map(|_| id)
}

/// Waits for something, but not for ever.
async fn soon<T>(awaited: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), awaited).await.expect("it comes")
}

/// Waits until something is so.
async fn until(mut is_so: impl FnMut() -> bool) {
    soon(async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

async fn until_health(store: &EventStoreDb, wanted: Health) {
    let mut health = store.health();
    soon(health.wait_for(|health| *health == wanted)).await.expect("the store is open");
}
