//! The view `access-by-principal`, of which one event touches several keys, and the runner that feeds it.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use events::{
    envelope::{Digest, Metadata, NewEvent, Place, new_event_id},
    event::{
        IntegrationCreated, IntegrationDeleted, IntegrationEvent, IntegrationShared, IntegrationUnshared,
        OwnershipTransferred, Secrets, SlugReserved,
    },
    ids::{IntegrationId, Position, PrincipalId, Revision, Slug, TenantId},
    principal::Level,
    store::{
        EventStore, ExpectedRevision, StreamWrite,
        sqlite::{FILE_NAME, SqliteStore},
    },
    stored::{Store as _, StoredForm},
    stream::StreamName,
    time::Timestamp,
};
use projector::{
    runner::{self, Control, Mark, Progress},
    store::{Batch, ReadViews as _, Views as _, WriteViews as _, memory::MemoryViews},
    view::access_by_principal::{AccessByPrincipal, reached_by},
};

/// A log that a test writes.
struct Log {
    store: Arc<SqliteStore>,
    last: BTreeMap<StreamName, (Revision, Digest)>,
    directory: tempfile::TempDir,
}

impl Log {
    fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(directory.path()).unwrap());
        Self { store, last: BTreeMap::new(), directory }
    }

    async fn append_form(&mut self, stream: StreamName, form: StoredForm) -> Position {
        let last = self.last.get(&stream).copied();
        let expected = last.map_or(ExpectedRevision::NoStream, |(revision, _)| ExpectedRevision::Exact(revision));
        let previous = last.map_or(Digest::ZERO, |(_, hash)| hash);
        let place = Place { stream: &stream, revision: expected.next(), previous };
        let time: Timestamp = serde_json::from_str("\"2024-01-15T09:00:00.000Z\"").unwrap();
        let metadata = Metadata::of_service(Some(tenant()), time);
        let event = NewEvent::seal(place, new_event_id(), form.event_type, form.data, &metadata);
        let hash = event.hash;
        let write = StreamWrite::Append { stream: stream.clone(), expected, events: vec![event] };
        let appended = self.store.append(vec![write]).await.unwrap()[0];
        self.last.insert(stream, (appended.revision, hash));
        appended.position
    }

    /// Makes an event another one, past the store.
    fn mend(&self, event_type: &str, form: &StoredForm) {
        let file = rusqlite::Connection::open(self.directory.path().join(FILE_NAME)).unwrap();
        let data = std::str::from_utf8(&form.data).unwrap();
        let sql = "UPDATE events SET type = ?2, data = ?3 WHERE type = ?1";
        assert_eq!(file.execute(sql, (event_type, form.event_type, data)).unwrap(), 1);
    }

    async fn append(&mut self, id: IntegrationId, event: IntegrationEvent) -> Position {
        self.append_form(StreamName::integration(&tenant(), id), event.to_stored()).await
    }
}

fn tenant() -> TenantId {
    TenantId::parse("acme").unwrap()
}

fn principal(id: &str) -> PrincipalId {
    PrincipalId::parse(id).unwrap()
}

fn id(last: u8) -> IntegrationId {
    format!("0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a{last:02x}").parse().unwrap()
}

fn created(owner: &str) -> IntegrationEvent {
    let settings = serde_json::from_str(
        r#"{"name":"Slack","type":"slack","mode":"per-user","authType":"oauth2","data":{},"supportsUpload":false}"#,
    );
    let (slug, owner) = (Slug::parse("slack").unwrap(), principal(owner));
    let (settings, secrets) = (settings.unwrap(), Secrets::default());
    IntegrationEvent::Created(Box::new(IntegrationCreated { slug, owner, library: None, settings, secrets }))
}

fn shared(with: &str, level: Level) -> IntegrationEvent {
    IntegrationEvent::Shared(IntegrationShared { principal: principal(with), level, previous: None })
}

fn unshared(with: &str, level: Level) -> IntegrationEvent {
    IntegrationEvent::Unshared(IntegrationUnshared { principal: principal(with), level })
}

fn transferred(from: &str, to: &str) -> IntegrationEvent {
    let (from, to) = (principal(from), principal(to));
    IntegrationEvent::OwnershipTransferred(OwnershipTransferred { from, to, ended_share: None })
}

fn deleted(owner: &str, shares: &[(&str, Level)]) -> IntegrationEvent {
    IntegrationEvent::Deleted(IntegrationDeleted {
        owner: principal(owner),
        slug: Slug::parse("slack").unwrap(),
        library: None,
        tags: Vec::new(),
        shares: shares.iter().map(|(with, level)| (principal(with), *level)).collect(),
        icon: None,
        key: None,
    })
}

/// Runs the runner until the view has reached a position; what it told meanwhile.
async fn run_until(store: &SqliteStore, views: &MemoryViews<AccessByPrincipal>, position: Position) -> Vec<Progress> {
    let (mut checkpoint, mut told) = (views.checkpoint(), Vec::new());
    tokio::select! {
        ended = runner::run(store, views, Control::default(), |progress| told.push(progress)) => panic!("{ended:?}"),
        reached = checkpoint.wait_for(|checkpoint| *checkpoint >= position) => drop(reached.unwrap()),
    }
    told
}

/// Who can reach what, as text.
fn reachable(views: &MemoryViews<AccessByPrincipal>) -> Vec<String> {
    let snapshot = views.held(&tenant()).unwrap();
    let principals: BTreeSet<&PrincipalId> = snapshot.documents.keys().map(|reach| &reach.principal).collect();
    let of_one = |who: &PrincipalId| {
        let what = reached_by(&snapshot.documents, who);
        let levels = what.map(|(id, access)| format!("{}:{}", &id.to_string()[34..], u8::from(access.level())));
        format!("{who} {}", levels.collect::<Vec<_>>().join(" "))
    };
    principals.into_iter().map(of_one).collect()
}

#[tokio::test]
async fn one_event_touches_the_documents_of_everybody_whom_it_concerns() {
    let (mut log, views) = (Log::open(), MemoryViews::<AccessByPrincipal>::default());
    let steps: [(u8, IntegrationEvent, &[&str]); 8] = [
        (1, created("alice"), &["alice 01:3"]),
        (1, shared("bob", Level::Read), &["alice 01:3", "bob 01:1"]),
        (2, created("bob"), &["alice 01:3", "bob 01:1 02:3"]),
        (1, shared("team:a", Level::Write), &["alice 01:3", "bob 01:1 02:3", "team:a 01:2"]),
        (1, transferred("alice", "carol"), &["bob 01:1 02:3", "carol 01:3", "team:a 01:2"]),
        (1, shared("bob", Level::Admin), &["bob 01:3 02:3", "carol 01:3", "team:a 01:2"]),
        (2, deleted("bob", &[]), &["bob 01:3", "carol 01:3", "team:a 01:2"]),
        (1, unshared("bob", Level::Admin), &["carol 01:3", "team:a 01:2"]),
    ];
    for (integration, event, expected) in steps {
        let position = log.append(id(integration), event).await;
        run_until(&log.store, &views, position).await;
        assert_eq!(reachable(&views), expected);
        assert_eq!(views.held(&tenant()).unwrap().position(), position);
    }
    let position = log.append(id(1), deleted("carol", &[("team:a", Level::Write)])).await;
    run_until(&log.store, &views, position).await;
    assert_eq!(reachable(&views), [""; 0]);
}

#[tokio::test]
async fn a_new_view_replays_the_log_and_tells_when_it_has_caught_up() {
    let mut log = Log::open();
    log.append(id(1), created("alice")).await;
    let last = log.append(id(1), shared("bob", Level::Read)).await;
    let (views, mut told) = (MemoryViews::<AccessByPrincipal>::default(), Vec::new());
    let (caught_up, mut is_caught_up) = tokio::sync::watch::channel(false);
    tokio::select! {
        ended = runner::run(&*log.store, &views, Control::default(), |progress| {
            told.push(progress);
            caught_up.send_replace(progress == Progress::CaughtUp);
        }) => panic!("{ended:?}"),
        reached = is_caught_up.wait_for(|is| *is) => drop(reached.unwrap()),
    }
    let mark = Mark { position: last, events: 2 };
    assert_eq!(told, [Progress::Replaying(mark), Progress::Reached(mark), Progress::CaughtUp]);
    assert_eq!(reachable(&views), ["alice 01:3", "bob 01:1"]);
}

#[tokio::test]
async fn a_replay_shows_what_the_batches_showed() {
    let (mut log, live) = (Log::open(), MemoryViews::<AccessByPrincipal>::default());
    let steps = [
        (1, created("alice")),
        (2, created("bob")),
        (1, shared("bob", Level::Write)),
        (2, transferred("bob", "carol")),
        (1, shared("bob", Level::Read)),
        (1, unshared("bob", Level::Read)),
        (1, deleted("alice", &[])),
        (3, created("alice")),
    ];
    let mut last = Position::START;
    for (integration, event) in steps {
        last = log.append(id(integration), event).await;
        run_until(&log.store, &live, last).await;
    }
    let broken = StoredForm { event_type: "IntegrationPaused.v1", data: "{}".into() };
    log.append_form(StreamName::integration(&tenant(), id(3)), broken).await;
    let passed = log.append(id(3), shared("dave", Level::Read)).await;
    run_until(&log.store, &live, passed).await;
    let replayed = MemoryViews::<AccessByPrincipal>::default();
    run_until(&log.store, &replayed, passed).await;
    assert_eq!(reachable(&replayed), reachable(&live));
    assert_eq!(reachable(&live), ["alice 03:3", "carol 02:3"]);
    let state = |views: &MemoryViews<AccessByPrincipal>| {
        let snapshot = views.held(&tenant()).unwrap();
        (snapshot.change(), snapshot.parked.clone(), views.parked(), *views.checkpoint().borrow())
    };
    assert_eq!(state(&replayed), state(&live));
    assert_eq!((live.held(&tenant()).unwrap().position(), *live.checkpoint().borrow()), (last, passed));
}

#[tokio::test]
async fn the_checkpoint_moves_on_events_of_no_interest_and_changes_no_version() {
    let (mut log, views) = (Log::open(), MemoryViews::<AccessByPrincipal>::default());
    let changed = log.append(id(1), created("alice")).await;
    let slug = Slug::parse("slack").unwrap();
    let passed =
        log.append_form(StreamName::slug(&tenant(), &slug), SlugReserved { integration: id(1) }.to_stored()).await;
    run_until(&log.store, &views, passed).await;
    assert_eq!(views.held(&tenant()).unwrap().position(), changed);
    assert!(passed > changed);
}

#[tokio::test]
async fn a_runner_goes_on_from_the_checkpoint_and_sees_nothing_of_what_was_before() {
    let (mut log, views) = (Log::open(), MemoryViews::<AccessByPrincipal>::default());
    let first = log.append(id(1), created("alice")).await;
    let last = log.append(id(2), created("bob")).await;
    views.write(Batch::empty(Position::START, first)).await.unwrap();
    run_until(&log.store, &views, last).await;
    assert_eq!(reachable(&views), ["bob 02:3"]);
    // Nor does it see again what it saw when it ran before.
    let next = log.append(id(2), shared("carol", Level::Read)).await;
    let told = run_until(&log.store, &views, next).await;
    let mark = Mark { position: next, events: 1 };
    assert!(told.iter().all(|told| [Progress::Reached(mark), Progress::CaughtUp].contains(told)), "{told:?}");
    assert_eq!(reachable(&views), ["bob 02:3", "carol 02:1"]);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_parks_its_stream_and_nothing_else() {
    let broken: [(&str, &str); 5] = [
        ("IntegrationPaused.v1", "{}"),
        ("IntegrationCreated.v99", "{}"),
        ("IntegrationShared.v99", r#"{"principal":"bob","level":1}"#),
        ("IntegrationShared.v1", r#"{"principal":"bob"}"#),
        ("IntegrationShared.v1", "no json"),
    ];
    for (event_type, data) in broken {
        let (mut log, views) = (Log::open(), MemoryViews::<AccessByPrincipal>::default());
        let before = log.append(id(1), created("alice")).await;
        run_until(&log.store, &views, before).await;
        assert!(views.parked().is_empty());
        let form = StoredForm { event_type, data: data.into() };
        let stream = StreamName::integration(&tenant(), id(1));
        log.append_form(stream.clone(), form).await;
        // What comes behind it in its stream is held back with it; other streams go on.
        log.append(id(1), shared("carol", Level::Read)).await;
        let other = log.append(id(2), created("bob")).await;
        let last = log.append(id(1), unshared("carol", Level::Read)).await;
        run_until(&log.store, &views, last).await;
        assert_eq!(reachable(&views), ["alice 01:3", "bob 02:3"], "{event_type} {data}");
        let parked = BTreeMap::from([(stream, Revision::new(1))]);
        assert_eq!((&*views.parked(), &*views.held(&tenant()).unwrap().parked), (&parked, &parked));
        assert_eq!((views.held(&tenant()).unwrap().position(), *views.checkpoint().borrow()), (other, last));
        // A runner that starts again holds it back too.
        let again = log.append(id(1), shared("dave", Level::Read)).await;
        run_until(&log.store, &views, again).await;
        assert_eq!((reachable(&views).len(), &*views.parked()), (2, &parked));
    }
}

#[tokio::test]
async fn a_stream_whose_name_tells_no_tenant_is_parked_too() {
    let (mut log, views) = (Log::open(), MemoryViews::<AccessByPrincipal>::default());
    let stream = StreamName::parse("integration-nobody").unwrap();
    let last = log.append_form(stream.clone(), created("alice").to_stored()).await;
    run_until(&log.store, &views, last).await;
    assert_eq!(*views.parked(), BTreeMap::from([(stream, Revision::FIRST)]));
    assert!(reachable(&views).is_empty() && views.held(&tenant()).unwrap().parked.is_empty());
}

#[tokio::test]
async fn a_parked_stream_is_taken_up_again_as_far_as_it_can_be_read() {
    let (mut log, views) = (Log::open(), MemoryViews::<AccessByPrincipal>::default());
    log.append(id(1), created("alice")).await;
    let stream = StreamName::integration(&tenant(), id(1));
    let unknown = |name: &'static str| StoredForm { event_type: name, data: "{}".into() };
    log.append_form(stream.clone(), unknown("IntegrationPaused.v1")).await;
    log.append(id(1), shared("bob", Level::Read)).await;
    log.append_form(stream.clone(), unknown("IntegrationResumed.v1")).await;
    let last = log.append(id(1), shared("carol", Level::Read)).await;
    run_until(&log.store, &views, last).await;
    assert_eq!(reachable(&views), ["alice 01:3"]);
    // A release that knows the first of the two: here, one in whose log it is another one.
    log.mend("IntegrationPaused.v1", &shared("dave", Level::Write).to_stored());
    let other = log.append(id(2), created("erin")).await;
    run_until(&log.store, &views, other).await;
    assert_eq!(reachable(&views), ["alice 01:3", "bob 01:1", "dave 01:2", "erin 02:3"]);
    assert_eq!(*views.parked(), BTreeMap::from([(stream, Revision::new(3))]));
    log.mend("IntegrationResumed.v1", &unshared("bob", Level::Read).to_stored());
    let other = log.append(id(2), shared("bob", Level::Read)).await;
    run_until(&log.store, &views, other).await;
    assert_eq!(reachable(&views), ["alice 01:3", "bob 02:1", "carol 01:1", "dave 01:2", "erin 02:3"]);
    assert!(views.parked().is_empty() && views.held(&tenant()).unwrap().parked.is_empty());
}
