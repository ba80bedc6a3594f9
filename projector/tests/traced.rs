//! What the runner tells a collector of spans: of each event that is traced, and of no past.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use events::{
    envelope::{Digest, Metadata, NewEvent, Place, new_event_id},
    event::{IntegrationEvent, IntegrationShared},
    ids::{IntegrationId, Position, PrincipalId, Revision, TenantId},
    integration::Fact,
    principal::Level,
    store::{EventStore as _, ExpectedRevision, StreamWrite, sqlite::SqliteStore},
    stored::Store as _,
    stream::StreamName,
    trace::{Collector, Outcome, SPANS_OF_A_BATCH_MAX, Span, TraceParent, Work},
};
use projector::{
    place::LastRead,
    runner::{self, Control, Feed, Progress, Read},
    store::{Error, ParkedStreams},
};

const TRACED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// What was told, in order.
#[derive(Debug, Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn push(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn count(&self, what: &str) -> usize {
        self.all().iter().filter(|told| told.starts_with(what)).count()
    }
}

impl Collector for Told {
    fn begin(&self, work: Work<'_>, parent: Option<TraceParent>) -> Option<Box<dyn Span>> {
        self.push(format!("begins {work:?} below {}", parent.unwrap()));
        Some(Box::new(Begun(self.clone(), parent.unwrap())))
    }
}

#[derive(Debug)]
struct Begun(Told, TraceParent);

impl Span for Begun {
    fn place(&self) -> TraceParent {
        self.1
    }

    fn end(self: Box<Self>, outcome: Outcome<'_>) {
        self.0.push(format!("ends {outcome:?}"));
    }
}

/// A view that shows nothing, and may refuse.
struct Fake {
    from: Position,
    refuses: bool,
    told: Told,
}

#[async_trait]
impl Feed for Fake {
    fn view(&self) -> &'static str {
        "fake"
    }

    fn position(&self) -> Position {
        self.from
    }

    fn last_read(&self) -> Option<LastRead> {
        None
    }

    fn parked(&self) -> Arc<ParkedStreams> {
        Arc::default()
    }

    fn replay(&mut self, facts: &[Fact]) {
        self.told.push(format!("replays {}", facts.len()));
    }

    async fn write_replayed(&mut self, _: &Read) -> Result<(), Error> {
        Ok(())
    }

    async fn write(&self, read: &Read) -> Result<(), Error> {
        self.told.push(format!("writes {}", read.facts.len()));
        if self.refuses { Err(Error::Fenced) } else { Ok(()) }
    }

    async fn show(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// A log of one integration, with an event for each of these trace contexts.
struct Log {
    store: SqliteStore,
    last: Option<(Revision, Digest)>,
    _directory: tempfile::TempDir,
}

impl Log {
    fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { store: SqliteStore::open(directory.path()).unwrap(), last: None, _directory: directory }
    }

    async fn append(&mut self, traces: &[Option<&str>]) -> Position {
        let tenant = TenantId::parse("acme").unwrap();
        let id: IntegrationId = "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b".parse().unwrap();
        let stream = StreamName::integration(&tenant, id);
        let first = self.last.map_or(ExpectedRevision::NoStream, |(revision, _)| ExpectedRevision::Exact(revision));
        let mut events = Vec::new();
        for trace in traces {
            let expected = self.last.map_or(ExpectedRevision::NoStream, |last| ExpectedRevision::Exact(last.0));
            let previous = self.last.map_or(Digest::ZERO, |(_, hash)| hash);
            let place = Place { stream: &stream, revision: expected.next(), previous };
            let principal = PrincipalId::parse("bob").unwrap();
            let shared = IntegrationShared { principal, level: Level::Read, previous: None };
            let form = IntegrationEvent::Shared(shared).to_stored();
            let time = serde_json::from_str("\"2024-01-15T09:00:00.000Z\"").unwrap();
            let service = Metadata::of_service(Some(tenant.clone()), time);
            let metadata = Metadata { traceparent: trace.map(str::to_owned), ..service };
            let event = NewEvent::seal(place, new_event_id(), form.event_type, form.data, &metadata);
            self.last = Some((place.revision, event.hash));
            events.push(event);
        }
        let write = StreamWrite::Append { stream, expected: first, events };
        self.store.append(vec![write]).await.unwrap()[0].position
    }

    /// Feeds a view from a position until it has caught up, or as long as it can go on; answers what was told.
    async fn feed(&self, from: Position, refuses: bool) -> Told {
        let told = Told::default();
        let mut feeds: [Box<dyn Feed>; 1] = [Box::new(Fake { from, refuses, told: told.clone() })];
        let control = Control { spans: Some(Arc::new(told.clone())), ..Control::default() };
        let (caught_up, mut is_caught_up) = tokio::sync::watch::channel(false);
        tokio::select! {
            ended = runner::run_together(&self.store, &mut feeds, control, |progress| {
                caught_up.send_replace(progress == Progress::CaughtUp);
            }) => assert!(refuses, "{ended:?}"),
            reached = is_caught_up.wait_for(|is| *is) => drop(reached.unwrap()),
        }
        told
    }
}

#[tokio::test]
async fn each_event_that_is_traced_has_a_span_below_its_request_that_ends_with_the_batch() {
    let mut log = Log::open();
    let before = log.append(&[None]).await;
    log.append(&[Some(TRACED), None, Some(UNSAMPLED), Some("nonsense")]).await;
    let begins = format!("begins Project {{ view: \"fake\" }} below {TRACED}");
    assert_eq!(log.feed(before, false).await.all(), [&begins, "writes 4", "ends Done"]);
    assert_eq!(log.feed(before, true).await.all(), [&begins, "writes 4", "ends Failed"]);
}

#[tokio::test]
async fn a_replay_has_no_spans() {
    let mut log = Log::open();
    log.append(&[Some(TRACED)]).await;
    assert_eq!(log.feed(Position::START, false).await.all(), ["replays 1"]);
}

#[tokio::test]
async fn a_large_batch_has_no_more_spans_than_fit() {
    let mut log = Log::open();
    let before = log.append(&[None]).await;
    log.append(&[Some(TRACED); 300]).await;
    let told = log.feed(before, false).await;
    assert_eq!(told.count("writes 300"), 1, "in one batch");
    assert_eq!((told.count("begins"), told.count("ends Done")), (SPANS_OF_A_BATCH_MAX, SPANS_OF_A_BATCH_MAX));
}
