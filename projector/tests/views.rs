//! The view `integrations` is the fold of each stream by itself, and a view store keeps its contract.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::{collections::BTreeMap, sync::Arc};

use events::{
    envelope::Digest,
    event::{IntegrationCreated, IntegrationDeleted, IntegrationEvent, Secrets, TagsSet},
    ids::{IntegrationId, Position, PrincipalId, Revision, Slug, TagId, TenantId},
    integration::{Fact, Integration, LastEvent, evolve},
    stream::StreamName,
};
use projector::{
    runner::fold,
    store::{Batch, Error, Parked, ReadViews, Replayed, Snapshot, TenantChanges, WriteViews, memory::MemoryViews},
    view::integrations::Integrations,
};
use proptest::prelude::*;

fn tenant(number: u8) -> TenantId {
    TenantId::parse(format!("t{number}")).unwrap()
}

fn id(number: u8) -> IntegrationId {
    format!("0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a{number:02x}").parse().unwrap()
}

/// One slug for all integrations of a tenant: it goes from holder to holder.
fn slug() -> Slug {
    Slug::parse("slack").unwrap()
}

fn created() -> IntegrationEvent {
    let settings =
        r#"{"name":"Slack","type":"slack","mode":"per-user","authType":"oauth2","data":{},"supportsUpload":false}"#;
    IntegrationEvent::Created(Box::new(IntegrationCreated {
        slug: slug(),
        owner: PrincipalId::parse("alice").unwrap(),
        library: None,
        settings: serde_json::from_str(settings).unwrap(),
        secrets: Secrets::default(),
    }))
}

fn deleted() -> IntegrationEvent {
    IntegrationEvent::Deleted(IntegrationDeleted {
        owner: PrincipalId::parse("alice").unwrap(),
        slug: slug(),
        library: None,
        tags: Vec::new(),
        shares: BTreeMap::new(),
        icon: None,
        key: None,
    })
}

fn tagged(number: u8) -> IntegrationEvent {
    let tags = vec![TagId::parse(format!("t{number}")).unwrap()];
    IntegrationEvent::TagsSet(TagsSet { added: tags.clone(), tags, removed: Vec::new() })
}

/// A log of several tenants, in which a slug is held by one integration at a time.
fn log(steps: &[(u8, u8)]) -> Vec<Fact> {
    let mut revisions = BTreeMap::<(u8, u8), u64>::new();
    let mut holders = BTreeMap::<u8, u8>::new();
    let (mut next, mut facts) = (0, Vec::new());
    for (of_tenant, step) in steps {
        let event = match holders.get(of_tenant) {
            None => {
                next += 1;
                holders.insert(*of_tenant, next);
                created()
            }
            Some(_) if step % 3 == 0 => deleted(),
            Some(_) => tagged(*step),
        };
        let holder = holders[of_tenant];
        if step % 3 == 0 && event == deleted() {
            holders.remove(of_tenant);
        }
        let revision = revisions.entry((*of_tenant, holder)).or_default();
        let position = facts.len() as u64 + 1;
        facts.push(Fact {
            tenant: tenant(*of_tenant),
            // A later holder may come before or after the one before it in the order of keys.
            integration: id(holder.reverse_bits()),
            position: Position::new(position),
            revision: Revision::new(*revision),
            at: serde_json::from_str("\"2024-01-15T09:00:00.000Z\"").unwrap(),
            hash: Digest::of(&position.to_be_bytes()),
            event,
        });
        *revision += 1;
    }
    facts
}

fn by_itself(facts: &[Fact], of_tenant: &TenantId) -> BTreeMap<IntegrationId, Integration> {
    let mut folded = BTreeMap::new();
    for fact in facts.iter().filter(|fact| fact.tenant == *of_tenant) {
        let before = folded.remove(&fact.integration);
        if let Some(after) = evolve(before, fact) {
            folded.insert(fact.integration, after);
        }
    }
    folded
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_view_is_the_fold_of_each_stream_by_itself_however_the_log_is_cut_into_batches(
        steps in proptest::collection::vec((0..3_u8, any::<u8>()), 1..80),
        size in 1..20_usize,
    ) {
        let facts = log(&steps);
        let views = MemoryViews::<Integrations>::default();
        for batch in facts.chunks(size) {
            let from = *views.checkpoint().borrow();
            views.write(fold(&views, from, batch)).unwrap();
        }
        prop_assert_eq!(views.checkpoint().borrow().get(), facts.len() as u64);
        for number in 0..3 {
            let (snapshot, expected) = (views.snapshot(&tenant(number)), by_itself(&facts, &tenant(number)));
            let shown: BTreeMap<_, _> = snapshot.documents.iter().map(|(id, document)| (*id, Integration::clone(document))).collect();
            prop_assert_eq!(&shown, &expected);
            prop_assert_eq!(snapshot.index.by_slug(&slug()), expected.keys().next().copied());
            let last = facts.iter().rfind(|fact| fact.tenant == tenant(number));
            let change = last.map_or("0-00000000".to_owned(), |fact| format!("{}-{}", fact.position, fact.hash.short()));
            prop_assert_eq!(snapshot.change(), change);
        }
    }
}

/// The behaviour of a view store: each case once, for every adapter.
macro_rules! view_store_suite {
    ($open:expr; $($case:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $case() { super::suite::$case(&$open); })*
        }
    };
}

view_store_suite! {
    projector::store::memory::MemoryViews::default();
    a_tenant_that_was_never_seen_is_empty_at_version_0,
    a_batch_changes_documents_index_version_and_checkpoint,
    a_batch_that_continues_from_elsewhere_is_refused_and_changes_nothing,
    an_empty_batch_moves_the_checkpoint_and_no_version,
    a_snapshot_that_is_held_does_not_change,
    a_deletion_takes_document_and_slug,
    a_replayed_view_takes_the_place_of_nothing_only,
    what_a_batch_parks_stays_parked_at_its_first_event,
    a_batch_leaves_other_tenants_as_they_were,
    the_checkpoint_is_told_after_the_snapshots,
    a_batch_of_several_tenants_takes_effect_as_a_whole,
    of_writers_that_race_from_one_checkpoint_one_wins,
}

mod suite {
    use super::*;

    type Store = dyn WriteViews<Integrations>;

    fn last(position: u64) -> LastEvent {
        LastEvent {
            revision: Revision::FIRST,
            position: Position::new(position),
            hash: Digest::of(&position.to_be_bytes()),
        }
    }

    /// A batch that sets, or takes away, integration `number` of a tenant.
    fn batch(from: u64, through: u64, of_tenant: u8, number: u8, is_there: bool) -> Batch<Integrations> {
        let fact =
            Fact { position: Position::new(through), integration: id(number), ..log(&[(of_tenant, 1)]).remove(0) };
        let document = is_there.then(|| Arc::new(evolve(None, &fact).unwrap()));
        let changes = TenantChanges { last: last(through), documents: BTreeMap::from([(id(number), document)]) };
        let tenants = BTreeMap::from([(tenant(of_tenant), changes)]);
        Batch { tenants, ..Batch::empty(Position::new(from), Position::new(through)) }
    }

    fn nothing(from: u64, through: u64) -> Batch<Integrations> {
        Batch::empty(Position::new(from), Position::new(through))
    }

    pub(super) fn a_tenant_that_was_never_seen_is_empty_at_version_0(store: &Store) {
        let snapshot = store.snapshot(&tenant(0));
        assert!(snapshot.documents.is_empty());
        assert_eq!((snapshot.position(), snapshot.change()), (Position::START, "0-00000000".to_owned()));
    }

    pub(super) fn a_batch_changes_documents_index_version_and_checkpoint(store: &Store) {
        store.write(batch(0, 3, 0, 1, true)).unwrap();
        let snapshot = store.snapshot(&tenant(0));
        assert_eq!((snapshot.documents.len(), snapshot.index.by_slug(&slug())), (1, Some(id(1))));
        assert_eq!((snapshot.last, *store.checkpoint().borrow()), (Some(last(3)), Position::new(3)));
    }

    pub(super) fn a_batch_that_continues_from_elsewhere_is_refused_and_changes_nothing(store: &Store) {
        store.write(batch(0, 3, 0, 1, true)).unwrap();
        for from in [0, 2, 4] {
            let refused = store.write(batch(from, 9, 0, 2, true));
            assert_eq!(refused, Err(Error::Elsewhere { expected: Position::new(from), actual: Position::new(3) }));
        }
        assert_eq!(store.snapshot(&tenant(0)).documents.len(), 1);
        assert_eq!(*store.checkpoint().borrow(), Position::new(3));
    }

    pub(super) fn an_empty_batch_moves_the_checkpoint_and_no_version(store: &Store) {
        store.write(batch(0, 3, 0, 1, true)).unwrap();
        store.write(nothing(3, 8)).unwrap();
        assert_eq!(*store.checkpoint().borrow(), Position::new(8));
        assert_eq!(store.snapshot(&tenant(0)).position(), Position::new(3));
    }

    pub(super) fn a_snapshot_that_is_held_does_not_change(store: &Store) {
        store.write(batch(0, 1, 0, 1, true)).unwrap();
        let held = store.snapshot(&tenant(0));
        store.write(batch(1, 2, 0, 2, true)).unwrap();
        assert_eq!((held.documents.len(), held.position()), (1, Position::new(1)));
        assert_eq!(store.snapshot(&tenant(0)).documents.len(), 2);
    }

    pub(super) fn a_deletion_takes_document_and_slug(store: &Store) {
        store.write(batch(0, 1, 0, 1, true)).unwrap();
        store.write(batch(1, 2, 0, 1, false)).unwrap();
        let snapshot = store.snapshot(&tenant(0));
        assert!(snapshot.documents.is_empty() && snapshot.index.by_slug(&slug()).is_none());
        assert_eq!(snapshot.position(), Position::new(2));
    }

    pub(super) fn a_replayed_view_takes_the_place_of_nothing_only(store: &Store) {
        let replayed = |number: u8| {
            let TenantChanges { last, documents } = batch(0, 5, 0, number, true).tenants.remove(&tenant(0)).unwrap();
            let documents = documents.into_iter().map(|(key, document)| (key, document.unwrap()));
            let tenants = vec![(tenant(0), Snapshot::of(last, documents))];
            Replayed { through: Position::new(7), tenants, parked: vec![parked(3)] }
        };
        store.write_replayed(replayed(1)).unwrap();
        let snapshot = store.snapshot(&tenant(0));
        assert_eq!((snapshot.documents.len(), snapshot.index.by_slug(&slug())), (1, Some(id(1))));
        assert_eq!((snapshot.last, *store.checkpoint().borrow()), (Some(last(5)), Position::new(7)));
        assert_eq!((snapshot.parked.len(), store.parked().len()), (1, 1));
        let refused = store.write_replayed(replayed(2));
        assert_eq!(refused, Err(Error::Elsewhere { expected: Position::START, actual: Position::new(7) }));
        assert_eq!(store.snapshot(&tenant(0)).index.by_slug(&slug()), Some(id(1)));
    }

    fn parked(revision: u64) -> Parked {
        let stream = StreamName::integration(&tenant(0), id(9));
        Parked { tenant: Some(tenant(0)), stream, revision: Revision::new(revision) }
    }

    pub(super) fn what_a_batch_parks_stays_parked_at_its_first_event(store: &Store) {
        store.write(batch(0, 1, 0, 1, true)).unwrap();
        store.write(Batch { parked: vec![parked(3)], ..nothing(1, 2) }).unwrap();
        store.write(Batch { parked: vec![parked(4)], ..nothing(2, 3) }).unwrap();
        let expected = BTreeMap::from([(parked(3).stream, Revision::new(3))]);
        let snapshot = store.snapshot(&tenant(0));
        assert_eq!((&*snapshot.parked, &*store.parked()), (&expected, &expected));
        assert_eq!((snapshot.documents.len(), snapshot.position()), (1, Position::new(1)));
        assert!(store.snapshot(&tenant(1)).parked.is_empty());
    }

    pub(super) fn a_batch_leaves_other_tenants_as_they_were(store: &Store) {
        store.write(batch(0, 1, 0, 1, true)).unwrap();
        store.write(batch(1, 2, 1, 1, true)).unwrap();
        store.write(batch(2, 3, 1, 1, false)).unwrap();
        assert_eq!(store.snapshot(&tenant(0)).documents.len(), 1);
        assert_eq!(store.snapshot(&tenant(0)).position(), Position::new(1));
    }

    pub(super) fn the_checkpoint_is_told_after_the_snapshots(store: &Store) {
        let checkpoint = store.checkpoint();
        store.write(batch(0, 1, 0, 1, true)).unwrap();
        assert!(checkpoint.has_changed().unwrap());
        assert_eq!(store.snapshot(&tenant(0)).position(), *checkpoint.borrow());
    }

    pub(super) fn a_batch_of_several_tenants_takes_effect_as_a_whole(store: &Store) {
        let (mut both, other) = (batch(0, 2, 0, 1, true), batch(0, 2, 1, 2, true));
        both.tenants.extend(other.tenants);
        store.write(both).unwrap();
        for (number, holder) in [(0, 1), (1, 2)] {
            let snapshot = store.snapshot(&tenant(number));
            assert_eq!((snapshot.index.by_slug(&slug()), snapshot.last), (Some(id(holder)), Some(last(2))));
        }
        let (mut both, other) = (batch(1, 3, 0, 1, false), batch(1, 3, 1, 2, false));
        both.tenants.extend(other.tenants);
        store.write(both).unwrap_err();
        assert_eq!(store.snapshot(&tenant(0)).documents.len() + store.snapshot(&tenant(1)).documents.len(), 2);
    }

    pub(super) fn of_writers_that_race_from_one_checkpoint_one_wins(store: &Store) {
        const WRITERS: u8 = 4;
        const ROUNDS: usize = 500;
        let together = std::sync::Barrier::new(usize::from(WRITERS));
        let wins = &|writer: u8| {
            let is_won = |_: &usize| {
                together.wait();
                let from = store.checkpoint().borrow().get();
                together.wait();
                store.write(batch(from, from + 1 + u64::from(writer), 0, writer, true)).is_ok()
            };
            (0..ROUNDS).filter(is_won).count()
        };
        let won: Vec<_> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || wins(writer))).collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        assert_eq!(won.iter().sum::<usize>(), ROUNDS, "{won:?}");
        let moved: u64 = won.iter().zip(1..).map(|(wins, step)| *wins as u64 * step).sum();
        assert_eq!(store.checkpoint().borrow().get(), moved);
    }
}
