//! The view `integrations` is the fold of each stream by itself, and a view store keeps its contract.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::{collections::BTreeMap, sync::Arc};

use events::{
    envelope::Digest,
    event::{IntegrationCreated, IntegrationDeleted, IntegrationEvent, Secrets, TagsSet},
    ids::{IntegrationId, Position, PrincipalId, Revision, Slug, TagId, TenantId},
    integration::{Fact, Integration, evolve},
};
use projector::{
    runner::{fold, touched},
    store::{ReadViews as _, Views as _, WriteViews as _, memory::MemoryViews, suite::Fixture},
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
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for batch in facts.chunks(size) {
            let from = *views.checkpoint().borrow();
            runtime.block_on(async {
                let before = views.documents(touched::<Integrations>(batch)).await.unwrap();
                views.write(fold(before, from, batch)).await.unwrap();
            });
        }
        prop_assert_eq!(views.checkpoint().borrow().get(), facts.len() as u64);
        for number in 0..3 {
            let (snapshot, expected) = (views.held(&tenant(number)).unwrap(), by_itself(&facts, &tenant(number)));
            let shown: BTreeMap<_, _> = snapshot.documents.iter().map(|(id, document)| (*id, Integration::clone(document))).collect();
            prop_assert_eq!(&shown, &expected);
            prop_assert_eq!(snapshot.index.by_slug(&slug()), expected.keys().next().copied());
            let last = facts.iter().rfind(|fact| fact.tenant == tenant(number));
            let change = last.map_or("0-00000000".to_owned(), |fact| format!("{}-{}", fact.position, fact.hash.short()));
            prop_assert_eq!(snapshot.change(), change);
        }
    }
}

projector::view_store_suite!(open);

async fn open() -> Fixture {
    let views = Arc::new(MemoryViews::default());
    Fixture::new(views.clone(), views, ())
}
