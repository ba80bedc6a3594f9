//! The runner over a real log: from its checkpoint on, past what is of no interest, up to what it cannot read.

use events::{
    event::SlugReserved,
    ids::{Position, Slug},
    stored::{Error as StoredError, Store as _, StoredForm},
    stream::StreamName,
};
use projector::{
    runner::{Error, Progress},
    store::{Batch, ReadViews as _, WriteViews as _, memory::MemoryViews},
    view::integrations::Integrations,
};

#[path = "given/history.rs"]
mod history;
#[path = "given/log.rs"]
mod log;

use history::{created, deleted, integration, principal, shared, tenant};
use log::Log;

fn stream(number: usize) -> StreamName {
    StreamName::integration(&tenant("acme"), integration(number))
}

fn slug_stream(slug: &str) -> StreamName {
    StreamName::slug(&tenant("acme"), &Slug::parse(slug).unwrap())
}

fn reserved() -> StoredForm {
    SlugReserved { integration: integration(1) }.to_stored()
}

fn is_at(position: Position) -> impl Fn(Progress) -> bool {
    move |progress| matches!(progress, Progress::Reached(at) if at >= position)
}

fn checkpoint(views: &MemoryViews<Integrations>) -> Position {
    *views.checkpoint().borrow()
}

#[tokio::test]
async fn what_is_in_the_log_is_in_the_view_when_it_has_caught_up() {
    let (mut log, views) = (Log::open(), MemoryViews::<Integrations>::default());
    log.append(&stream(1), created("alice", "one").to_stored()).await;
    let last = log.append(&stream(1), shared("bob", events::principal::Level::Read).to_stored()).await;
    let told = log.follow(&views, |progress| progress == Progress::CaughtUp).await;
    assert_eq!(told, [Progress::Reached(last), Progress::CaughtUp]);
    let acme = views.snapshot(&tenant("acme"));
    assert!(acme.documents[&integration(1)].shares.contains_key(&principal("bob")));
}

#[tokio::test]
async fn a_view_goes_on_from_its_checkpoint() {
    let (mut log, views) = (Log::open(), MemoryViews::<Integrations>::default());
    let first = log.append(&stream(1), created("alice", "one").to_stored()).await;
    log.follow(&views, is_at(first)).await;
    log.append(&stream(2), created("alice", "two").to_stored()).await;
    let last = log.append(&stream(1), deleted("alice", "one", &[]).to_stored()).await;
    let told = log.follow(&views, is_at(last)).await;
    assert_eq!(told, [Progress::Reached(last)]);
    let acme = views.snapshot(&tenant("acme"));
    assert_eq!(acme.documents.keys().copied().collect::<Vec<_>>(), [integration(2)]);
}

/// Beginning in the midst, it sees nothing of what was before.
#[tokio::test]
async fn what_is_before_the_checkpoint_is_not_delivered_again() {
    let (mut log, views) = (Log::open(), MemoryViews::<Integrations>::default());
    let first = log.append(&stream(1), created("alice", "one").to_stored()).await;
    let last = log.append(&stream(2), created("alice", "two").to_stored()).await;
    views.write(Batch { from: Position::START, through: first, tenants: [].into() }).unwrap();
    log.follow(&views, is_at(last)).await;
    let acme = views.snapshot(&tenant("acme"));
    assert_eq!(acme.documents.keys().copied().collect::<Vec<_>>(), [integration(2)]);
}

#[tokio::test]
async fn the_checkpoint_moves_on_events_of_no_interest() {
    let (mut log, views) = (Log::open(), MemoryViews::<Integrations>::default());
    let first = log.append(&stream(1), created("alice", "one").to_stored()).await;
    log.append(&slug_stream("one"), reserved()).await;
    let last = log.append(&slug_stream("two"), reserved()).await;
    log.follow(&views, is_at(last)).await;
    assert_eq!(checkpoint(&views), last);
    assert_eq!(views.snapshot(&tenant("acme")).position(), first, "no integration changed");
}

#[tokio::test]
async fn an_event_of_a_type_that_nobody_knows_ends_it_with_everything_before_in_the_view() {
    let (mut log, views) = (Log::open(), MemoryViews::<Integrations>::default());
    let first = log.append(&stream(1), created("alice", "one").to_stored()).await;
    log.follow(&views, is_at(first)).await;
    let form = StoredForm { event_type: "IntegrationPaused.v1", ..reserved() };
    let unknown = log.append(&stream(1), form).await;
    let error = log.follow_to_the_end(&views).await;
    let Error::Stored(StoredError::UnknownType { event_type, position }) = error else { panic!("{error:?}") };
    assert_eq!((event_type.as_str(), position), ("IntegrationPaused.v1", unknown.get()));
    assert_eq!(checkpoint(&views), first);
}

#[tokio::test]
async fn an_event_that_is_not_what_its_type_says_ends_it() {
    let (mut log, views) = (Log::open(), MemoryViews::<Integrations>::default());
    let form = StoredForm { event_type: "IntegrationDeleted.v1", ..reserved() };
    log.append(&stream(1), form).await;
    let error = log.follow_to_the_end(&views).await;
    assert!(matches!(error, Error::Stored(StoredError::Broken { .. })), "{error:?}");
    assert_eq!(checkpoint(&views), Position::START);
}
