//! The view `integrations`: the fold of each stream by itself, whatever comes between and however it is cut into batches.

use std::collections::BTreeMap;

use events::{
    envelope::Digest,
    ids::{IntegrationId, Position, Slug, TenantId},
    integration::{Fact, Integration, evolve},
    principal::Level,
};
use projector::{
    runner::fold,
    store::{ReadViews as _, WriteViews as _, memory::MemoryViews},
    view::integrations::Integrations,
};
use proptest::{collection::vec, prelude::*};

#[path = "given/facts.rs"]
mod facts;
#[path = "given/history.rs"]
mod history;

use facts::Facts;
use history::{created, deleted, integration, shared, tenant};

const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
const SLUGS: [&str; 3] = ["one", "two", "three"];

/// What happens to an integration, if it can.
#[derive(Debug, Clone, Copy)]
struct Step {
    tenant: usize,
    integration: usize,
    slug: usize,
    is_end: bool,
    ends_batch: bool,
}

fn step() -> impl Strategy<Value = Step> {
    (0..TENANTS.len(), 1..8_usize, 0..SLUGS.len(), proptest::bool::weighted(0.4), proptest::bool::weighted(0.3))
        .prop_map(|(tenant, integration, slug, is_end, ends_batch)| Step {
            tenant,
            integration,
            slug,
            is_end,
            ends_batch,
        })
}

/// A log as the write side would make it: a slug has one holder at a time, and what ended never comes back.
fn batches(steps: &[Step]) -> Vec<Vec<Fact>> {
    let mut facts = Facts::default();
    let mut lives = BTreeMap::<(usize, usize), Option<usize>>::new();
    let mut batches = vec![Vec::new()];
    for step in steps {
        let of = (step.tenant, step.integration);
        let is_held = lives.iter().any(|((tenant, _), slug)| *tenant == step.tenant && *slug == Some(step.slug));
        let event = match lives.get(&of) {
            None if is_held => continue,
            None => {
                lives.insert(of, Some(step.slug));
                created("alice", SLUGS[step.slug])
            }
            Some(None) => continue,
            Some(Some(slug)) if step.is_end => {
                let event = deleted("alice", SLUGS[*slug], &[]);
                lives.insert(of, None);
                event
            }
            Some(Some(_)) => shared(["bob", "carol", "dave"][step.slug], Level::Write),
        };
        let batch = batches.last_mut().unwrap();
        batch.push(facts.next(TENANTS[step.tenant], step.integration, event));
        if step.ends_batch {
            batches.push(Vec::new());
        }
    }
    batches.retain(|batch| !batch.is_empty());
    batches
}

/// Each stream folded by itself.
fn fold_alone(log: &[Fact], of: &TenantId) -> BTreeMap<IntegrationId, Integration> {
    let mut streams = BTreeMap::new();
    for fact in log.iter().filter(|fact| fact.tenant == *of) {
        let state = streams.remove(&fact.integration).flatten();
        streams.insert(fact.integration, evolve(state, fact));
    }
    streams.into_iter().filter_map(|(id, state)| Some((id, state?))).collect()
}

fn check(views: &MemoryViews<Integrations>, log: &[Fact], of: &TenantId) {
    let snapshot = views.snapshot(of);
    let shown: BTreeMap<_, _> = snapshot.documents.iter().map(|(id, found)| (*id, (**found).clone())).collect();
    let expected = fold_alone(log, of);
    assert_eq!(shown, expected);
    for text in SLUGS {
        let slug = Slug::parse(text).unwrap();
        let holder = expected.values().find(|integration| integration.slug == slug).map(|integration| integration.id);
        assert_eq!(snapshot.index.get(&slug), holder, "{text}");
    }
    let last = log.iter().rfind(|fact| fact.tenant == *of);
    let (position, hash) = last.map_or((Position::START, Digest::ZERO), |last| (last.position, last.hash));
    assert_eq!(snapshot.position(), position);
    assert_eq!(snapshot.change(), format!("{position}-{}", hash.short()));
}

proptest! {
    #[test]
    fn the_view_is_the_fold_of_each_stream_by_itself(steps in vec(step(), 0..80)) {
        let views = MemoryViews::<Integrations>::default();
        let mut log = Vec::new();
        for batch in batches(&steps) {
            views.write(fold(&views, *views.checkpoint().borrow(), &batch)).unwrap();
            log.extend(batch);
            for of in TENANTS {
                check(&views, &log, &tenant(of));
            }
        }
    }

    #[test]
    fn how_a_log_is_cut_into_batches_shows_nowhere(steps in vec(step(), 0..60)) {
        let batches = batches(&steps);
        let whole = MemoryViews::<Integrations>::default();
        whole.write(fold(&whole, Position::START, &batches.concat())).unwrap();
        let cut = MemoryViews::<Integrations>::default();
        for batch in batches {
            cut.write(fold(&cut, *cut.checkpoint().borrow(), &batch)).unwrap();
        }
        prop_assert_eq!(*cut.checkpoint().borrow(), *whole.checkpoint().borrow());
        for of in TENANTS.map(tenant) {
            let (cut, whole) = (cut.snapshot(&of), whole.snapshot(&of));
            prop_assert_eq!(cut.change(), whole.change());
            prop_assert_eq!(&cut.documents, &whole.documents);
        }
    }
}

/// A slug given to another integration in the batch that ended its holder, whichever id comes first.
#[test]
fn a_slug_that_changes_hands_within_a_batch_finds_its_new_holder() {
    for (old, new) in [(1, 2), (2, 1)] {
        let (views, mut facts) = (MemoryViews::<Integrations>::default(), Facts::default());
        let first = [facts.next("acme", old, created("alice", "one"))];
        views.write(fold(&views, Position::START, &first)).unwrap();
        let second =
            [facts.next("acme", old, deleted("alice", "one", &[])), facts.next("acme", new, created("bob", "one"))];
        views.write(fold(&views, Position::new(1), &second)).unwrap();
        let acme = views.snapshot(&tenant("acme"));
        assert_eq!(acme.index.get(&Slug::parse("one").unwrap()), Some(integration(new)), "{old} gives it to {new}");
        assert_eq!(acme.documents.keys().copied().collect::<Vec<_>>(), [integration(new)]);
    }
}

/// Made and ended within one batch: it was never there for readers, and the tenant changed all the same.
#[test]
fn what_is_made_and_ended_within_a_batch_leaves_nothing_but_its_position() {
    let (views, mut facts) = (MemoryViews::<Integrations>::default(), Facts::default());
    let batch = [facts.next("acme", 1, created("alice", "one")), facts.next("acme", 1, deleted("alice", "one", &[]))];
    views.write(fold(&views, Position::START, &batch)).unwrap();
    let acme = views.snapshot(&tenant("acme"));
    assert!(acme.documents.is_empty());
    assert_eq!(acme.index.get(&Slug::parse("one").unwrap()), None);
    assert_eq!(acme.position(), facts.end());
}
