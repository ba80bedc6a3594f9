//! The behaviour that every view store has, a case each: `view_store_suite!(open)` makes them tests of an adapter, where
//! `open` gives a [`Fixture`] over an empty store.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a case that fails is a test that fails")]
#![expect(missing_docs, reason = "a case's name says what it shows")]

use std::{any::Any, collections::BTreeMap, fmt, sync::Arc};

use events::{
    envelope::Digest,
    event::{IntegrationCreated, IntegrationEvent, Secrets},
    ids::{IntegrationId, Position, PrincipalId, Revision, Slug, TenantId},
    integration::{Fact, LastEvent, evolve},
    stream::StreamName,
};
use tokio::{sync::Barrier, task::JoinSet};

use super::{Batch, Error, Parked, ReadViews, Snapshot, TenantChanges, WriteViews};
use crate::view::integrations::Integrations;

/// A case for each adapter.
#[macro_export]
macro_rules! view_store_suite {
    ($open:ident) => {
        $crate::view_store_suite! { $open;
            a_tenant_that_was_never_seen_is_empty_at_version_0,
            a_batch_changes_documents_index_version_and_checkpoint,
            documents_are_answered_as_the_last_batch_left_them,
            a_batch_that_continues_from_elsewhere_is_refused_and_changes_nothing,
            an_empty_batch_moves_the_checkpoint_and_no_version,
            a_snapshot_that_is_held_does_not_change,
            a_deletion_takes_document_and_slug,
            a_replayed_view_takes_the_place_of_nothing_only,
            what_a_batch_parks_stays_parked_at_its_first_event,
            a_stream_that_is_parked_no_more_brings_what_was_held_back_and_no_older_version,
            a_stream_that_is_parked_again_further_on_is_parked_there,
            a_batch_leaves_other_tenants_as_they_were,
            the_checkpoint_is_told_after_the_snapshots,
            a_batch_of_several_tenants_takes_effect_as_a_whole,
            of_writers_that_race_from_one_checkpoint_one_wins,
        }
    };
    ($open:ident; $($case:ident,)*) => {
        mod suite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    $crate::store::suite::$case(&super::$open().await).await;
                }
            )*
        }
    };
}

/// Both halves of an empty store.
#[derive(Debug)]
pub struct Fixture {
    reader: Arc<dyn ReadViews<Integrations>>,
    writer: Arc<dyn WriteViews<Integrations>>,
    _held: Held,
}

struct Held(#[expect(dead_code, reason = "it is there to be dropped")] Box<dyn Any + Send + Sync>);

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what the store lives in")
    }
}

impl Fixture {
    /// A store, with what it lives in, which is dropped after it.
    pub fn new(
        reader: Arc<dyn ReadViews<Integrations>>,
        writer: Arc<dyn WriteViews<Integrations>>,
        held: impl Any + Send + Sync,
    ) -> Self {
        Self { reader, writer, _held: Held(Box::new(held)) }
    }

    async fn write(&self, batch: Batch<Integrations>) {
        self.writer.write(batch).await.unwrap();
    }

    /// A tenant, once the reader has come as far as the writer.
    async fn snapshot(&self, of_tenant: u8) -> Arc<Snapshot<Integrations>> {
        let written = *self.writer.checkpoint().borrow();
        self.reader.checkpoint().wait_for(|shown| *shown >= written).await.unwrap();
        self.reader.snapshot(&tenant(of_tenant)).await.unwrap()
    }

    async fn refuse(&self, batch: Batch<Integrations>, is: u64) {
        let from = batch.from;
        let refused = self.writer.write(batch).await;
        let (was, at) = (from, Position::new(is));
        assert!(
            matches!(refused, Err(Error::Elsewhere { expected, actual }) if (expected, actual) == (was, at)),
            "{refused:?}"
        );
    }
}

fn tenant(number: u8) -> TenantId {
    TenantId::parse(format!("t{number}")).unwrap()
}

fn id(number: u8) -> IntegrationId {
    format!("0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a{number:02x}").parse().unwrap()
}

/// One slug for all integrations.
fn slug() -> Slug {
    Slug::parse("slack").unwrap()
}

fn fact(of_tenant: u8, number: u8, position: u64) -> Fact {
    let settings =
        r#"{"name":"Slack","type":"slack","mode":"per-user","authType":"oauth2","data":{},"supportsUpload":false}"#;
    let event = IntegrationEvent::Created(Box::new(IntegrationCreated {
        slug: slug(),
        owner: PrincipalId::parse("alice").unwrap(),
        library: None,
        settings: serde_json::from_str(settings).unwrap(),
        secrets: Secrets::default(),
    }));
    Fact {
        tenant: tenant(of_tenant),
        integration: id(number),
        position: Position::new(position),
        revision: Revision::FIRST,
        at: serde_json::from_str("\"2024-01-15T09:00:00.000Z\"").unwrap(),
        hash: Digest::of(&position.to_be_bytes()),
        event,
    }
}

fn last(position: u64) -> LastEvent {
    LastEvent {
        revision: Revision::FIRST,
        position: Position::new(position),
        hash: Digest::of(&position.to_be_bytes()),
    }
}

/// A batch that sets, or takes away, integration `number` of a tenant.
#[must_use]
pub fn batch(from: u64, through: u64, of_tenant: u8, number: u8, is_there: bool) -> Batch<Integrations> {
    let document = is_there.then(|| Arc::new(evolve(None, &fact(of_tenant, number, through)).unwrap()));
    let changes = TenantChanges { last: last(through), documents: BTreeMap::from([(id(number), document)]) };
    let tenants = BTreeMap::from([(tenant(of_tenant), changes)]);
    Batch { tenants, ..Batch::empty(Position::new(from), Position::new(through)) }
}

fn nothing(from: u64, through: u64) -> Batch<Integrations> {
    Batch::empty(Position::new(from), Position::new(through))
}

pub async fn a_tenant_that_was_never_seen_is_empty_at_version_0(store: &Fixture) {
    let snapshot = store.snapshot(0).await;
    assert!(snapshot.documents.is_empty());
    assert_eq!((snapshot.position(), snapshot.change()), (Position::START, "0-00000000".to_owned()));
}

pub async fn a_batch_changes_documents_index_version_and_checkpoint(store: &Fixture) {
    store.write(batch(0, 3, 0, 1, true)).await;
    let snapshot = store.snapshot(0).await;
    assert_eq!((snapshot.documents.len(), snapshot.index.by_slug(&slug())), (1, Some(id(1))));
    assert_eq!((snapshot.last, *store.reader.checkpoint().borrow()), (Some(last(3)), Position::new(3)));
}

pub async fn documents_are_answered_as_the_last_batch_left_them(store: &Fixture) {
    let keys = || (0..3).map(|number| (tenant(number), id(1))).collect();
    assert!(store.writer.documents(keys()).await.unwrap().is_empty());
    store.write(batch(0, 1, 0, 1, true)).await;
    store.write(batch(1, 2, 1, 1, true)).await;
    store.write(batch(2, 3, 1, 1, false)).await;
    store.write(batch(3, 4, 2, 2, true)).await;
    let expected = (tenant(0), id(1));
    let found = store.writer.documents(keys()).await.unwrap();
    assert_eq!(
        found.into_iter().map(|(key, document)| (key, document.last)).collect::<Vec<_>>(),
        [(expected, last(1))]
    );
}

pub async fn a_batch_that_continues_from_elsewhere_is_refused_and_changes_nothing(store: &Fixture) {
    store.write(batch(0, 3, 0, 1, true)).await;
    for from in [0, 2, 4] {
        store.refuse(batch(from, 9, 0, 2, true), 3).await;
    }
    assert_eq!(store.snapshot(0).await.documents.len(), 1);
    assert_eq!(*store.reader.checkpoint().borrow(), Position::new(3));
}

pub async fn an_empty_batch_moves_the_checkpoint_and_no_version(store: &Fixture) {
    store.write(batch(0, 3, 0, 1, true)).await;
    store.write(nothing(3, 8)).await;
    assert_eq!(store.snapshot(0).await.position(), Position::new(3));
    assert_eq!(*store.reader.checkpoint().borrow(), Position::new(8));
}

pub async fn a_snapshot_that_is_held_does_not_change(store: &Fixture) {
    store.write(batch(0, 1, 0, 1, true)).await;
    let held = store.snapshot(0).await;
    store.write(batch(1, 2, 0, 2, true)).await;
    assert_eq!((held.documents.len(), held.position()), (1, Position::new(1)));
    assert_eq!(store.snapshot(0).await.documents.len(), 2);
}

pub async fn a_deletion_takes_document_and_slug(store: &Fixture) {
    store.write(batch(0, 1, 0, 1, true)).await;
    store.write(batch(1, 2, 0, 1, false)).await;
    let snapshot = store.snapshot(0).await;
    assert!(snapshot.documents.is_empty() && snapshot.index.by_slug(&slug()).is_none());
    assert_eq!(snapshot.position(), Position::new(2));
}

pub async fn a_replayed_view_takes_the_place_of_nothing_only(store: &Fixture) {
    let replayed = |number: u8| {
        let mut tenants = batch(0, 5, 0, number, true).tenants;
        // Something was there and is no more.
        tenants.get_mut(&tenant(0)).unwrap().documents.insert(id(8), None);
        Batch { tenants, parked: vec![parked(3)], ..nothing(0, 7) }
    };
    store.writer.write_replayed(replayed(1)).await.unwrap();
    let snapshot = store.snapshot(0).await;
    assert_eq!((snapshot.documents.len(), snapshot.index.by_slug(&slug())), (1, Some(id(1))));
    assert_eq!((snapshot.last, *store.reader.checkpoint().borrow()), (Some(last(5)), Position::new(7)));
    assert_eq!((snapshot.parked.len(), store.reader.parked().len()), (1, 1));
    let refused = store.writer.write_replayed(replayed(2)).await;
    assert!(matches!(refused, Err(Error::Elsewhere { actual, .. }) if actual == Position::new(7)), "{refused:?}");
    assert_eq!(store.snapshot(0).await.index.by_slug(&slug()), Some(id(1)));
}

fn parked(revision: u64) -> Parked {
    let stream = StreamName::integration(&tenant(0), id(9));
    Parked { tenant: Some(tenant(0)), stream, revision: Revision::new(revision) }
}

pub async fn what_a_batch_parks_stays_parked_at_its_first_event(store: &Fixture) {
    store.write(batch(0, 1, 0, 1, true)).await;
    store.write(Batch { parked: vec![parked(3)], ..nothing(1, 2) }).await;
    store.write(Batch { parked: vec![parked(4)], ..nothing(2, 3) }).await;
    let expected = BTreeMap::from([(parked(3).stream, Revision::new(3))]);
    let snapshot = store.snapshot(0).await;
    assert_eq!((&*snapshot.parked, &*store.reader.parked()), (&expected, &expected));
    assert_eq!((snapshot.documents.len(), snapshot.position()), (1, Position::new(1)));
    assert!(store.snapshot(1).await.parked.is_empty());
}

pub async fn a_stream_that_is_parked_no_more_brings_what_was_held_back_and_no_older_version(store: &Fixture) {
    store.write(batch(0, 1, 0, 1, true)).await;
    store.write(Batch { parked: vec![parked(3)], ..nothing(1, 2) }).await;
    store.write(batch(2, 5, 0, 2, true)).await;
    assert_eq!(store.snapshot(0).await.parked.len(), 1);
    // What was held back stands at position 2 of the log.
    let held_back = batch(0, 2, 0, 9, true).tenants;
    let unparked = vec![parked(3).stream];
    store.write(Batch { tenants: held_back, unparked, ..nothing(5, 5) }).await;
    store.write(nothing(5, 6)).await;
    let snapshot = store.snapshot(0).await;
    assert_eq!((snapshot.documents.len(), snapshot.last), (3, Some(last(5))));
    assert!(snapshot.parked.is_empty() && store.reader.parked().is_empty() && store.writer.parked().is_empty());
}

pub async fn a_stream_that_is_parked_again_further_on_is_parked_there(store: &Fixture) {
    store.write(Batch { parked: vec![parked(3)], ..nothing(0, 9) }).await;
    // In one batch, so that nothing can come between the two.
    let unparked = vec![parked(3).stream];
    store.write(Batch { unparked, parked: vec![parked(6)], ..batch(9, 9, 0, 9, true) }).await;
    store.write(nothing(9, 10)).await;
    let expected = BTreeMap::from([(parked(3).stream, Revision::new(6))]);
    let snapshot = store.snapshot(0).await;
    assert_eq!(
        (&*snapshot.parked, &*store.reader.parked(), &*store.writer.parked()),
        (&expected, &expected, &expected)
    );
    assert_eq!(snapshot.documents.len(), 1);
}

pub async fn a_batch_leaves_other_tenants_as_they_were(store: &Fixture) {
    store.write(batch(0, 1, 0, 1, true)).await;
    store.write(batch(1, 2, 1, 1, true)).await;
    store.write(batch(2, 3, 1, 1, false)).await;
    assert_eq!(store.snapshot(0).await.documents.len(), 1);
    assert_eq!(store.snapshot(0).await.position(), Position::new(1));
}

pub async fn the_checkpoint_is_told_after_the_snapshots(store: &Fixture) {
    let mut checkpoint = store.reader.checkpoint();
    store.write(batch(0, 1, 0, 1, true)).await;
    // A reader may tell before that, that it has found the view where it began.
    let told = *checkpoint.wait_for(|position| *position > Position::START).await.unwrap();
    assert_eq!(store.reader.snapshot(&tenant(0)).await.unwrap().position(), told);
}

pub async fn a_batch_of_several_tenants_takes_effect_as_a_whole(store: &Fixture) {
    let (mut both, other) = (batch(0, 2, 0, 1, true), batch(0, 2, 1, 2, true));
    both.tenants.extend(other.tenants);
    store.write(both).await;
    for (number, holder) in [(0, 1), (1, 2)] {
        let snapshot = store.snapshot(number).await;
        assert_eq!((snapshot.index.by_slug(&slug()), snapshot.last), (Some(id(holder)), Some(last(2))));
    }
    let (mut both, other) = (batch(1, 3, 0, 1, false), batch(1, 3, 1, 2, false));
    both.tenants.extend(other.tenants);
    store.refuse(both, 2).await;
    assert_eq!(store.snapshot(0).await.documents.len() + store.snapshot(1).await.documents.len(), 2);
}

pub async fn of_writers_that_race_from_one_checkpoint_one_wins(store: &Fixture) {
    const WRITERS: u8 = 4;
    const ROUNDS: usize = 200;
    let together = Arc::new(Barrier::new(usize::from(WRITERS)));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (together, views) = (Arc::clone(&together), Arc::clone(&store.writer));
        writers.spawn(async move {
            let mut moved = (0, 0);
            for _ in 0..ROUNDS {
                together.wait().await;
                let from = views.checkpoint().borrow().get();
                together.wait().await;
                let step = 1 + u64::from(writer);
                if views.write(batch(from, from + step, 0, writer, true)).await.is_ok() {
                    moved = (moved.0 + 1, moved.1 + step);
                }
            }
            moved
        });
    }
    let won = writers.join_all().await;
    assert_eq!(won.iter().map(|(rounds, _)| rounds).sum::<usize>(), ROUNDS, "{won:?}");
    assert_eq!(store.writer.checkpoint().borrow().get(), won.iter().map(|(_, steps)| steps).sum::<u64>());
}
