//! The ways to find integrations are what a look at every one of them gives, whatever changed before.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::{collections::BTreeMap, sync::Arc};

use events::{
    envelope::Digest,
    event::{IntegrationCreated, IntegrationEvent, Secrets},
    ids::{IntegrationId, LibraryId, Position, PrincipalId, Revision, Slug, TenantId},
    integration::{Fact, Integration, Share, evolve},
    principal::Level,
};
use projector::view::{
    Index as _,
    integrations::{Lookup, by_name::ByName},
};
use proptest::prelude::*;

fn id(number: u8) -> IntegrationId {
    format!("0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a{:02x}", number.reverse_bits()).parse().unwrap()
}

fn principal(number: u8) -> PrincipalId {
    PrincipalId::parse(format!("p{number}")).unwrap()
}

fn library() -> LibraryId {
    LibraryId::parse("lib").unwrap()
}

/// What is set of an integration: its name, its owner, and with whom it is shared.
type State = (String, u8, Vec<u8>);

fn integration(number: u8, (name, owner, shares): &State) -> Arc<Integration> {
    let settings = serde_json::json!({
        "name": name, "type": "t", "mode": "per-user", "authType": "oauth2", "data": {}, "supportsUpload": false,
    });
    let created = IntegrationCreated {
        slug: Slug::parse(format!("s{number}")).unwrap(),
        owner: principal(*owner),
        // It never changes.
        library: number.is_multiple_of(5).then(library),
        settings: serde_json::from_str(&settings.to_string()).unwrap(),
        secrets: Secrets::default(),
    };
    let fact = Fact {
        tenant: TenantId::parse("acme").unwrap(),
        integration: id(number),
        position: Position::new(1),
        revision: Revision::FIRST,
        at: serde_json::from_str("\"2024-01-15T09:00:00.000Z\"").unwrap(),
        hash: Digest::ZERO,
        event: IntegrationEvent::Created(Box::new(created)),
    };
    let mut integration = evolve(None, &fact).unwrap();
    let at = integration.created_at;
    let share = |other: &u8| (principal(*other), Share { level: Level::Read, created_at: at, updated_at: at });
    integration.shares = shares.iter().filter(|other| *other != owner).map(share).collect();
    Arc::new(integration)
}

fn steps() -> impl Strategy<Value = Vec<(u8, Option<State>)>> {
    let state = ("[aAb\u{e4}\u{c4}]{1,2}", 0..4_u8, proptest::collection::vec(0..4_u8, 0..3));
    // Enough of them at once for sets of either form, and enough that go for both to turn into each other.
    proptest::collection::vec((0..90_u8, proptest::option::weighted(0.75, state)), 0..300)
}

fn shown(set: Option<&ByName>) -> Vec<IntegrationId> {
    let ids: Vec<_> = set.into_iter().flat_map(ByName::iter).map(|place| place.id).collect();
    assert_eq!(ids.len(), set.map_or(0, ByName::len));
    assert!(set.is_none_or(|set| set.is_empty() == ids.is_empty()));
    ids
}

proptest! {
    #[test]
    fn what_is_found_is_what_a_look_at_everything_finds(steps in steps()) {
        let (mut all, mut lookup) = (BTreeMap::<u8, Arc<Integration>>::new(), Lookup::default());
        for (number, state) in steps {
            let after = state.map(|state| integration(number, &state));
            let before = match &after {
                Some(after) => all.insert(number, Arc::clone(after)),
                None => all.remove(&number),
            };
            let held = lookup.clone();
            let (was, names) = (shown(Some(held.all())), held.all().len());
            lookup.update(&id(number), before.as_ref(), after.as_ref());
            prop_assert_eq!((shown(Some(held.all())), held.all().len()), (was, names), "what was is as it was");
        }
        let found = |is_wanted: &dyn Fn(&Integration) -> bool| {
            let mut found: Vec<_> = all.values().filter(|one| is_wanted(one)).collect();
            found.sort_by_key(|one| (one.settings.name.to_lowercase(), one.id));
            found.into_iter().map(|one| one.id).collect::<Vec<_>>()
        };
        prop_assert_eq!(shown(Some(lookup.all())), found(&|one| one.library.is_none()));
        prop_assert_eq!(shown(lookup.embedded(&library())), found(&|one| one.library.is_some()));
        for number in 0..5 {
            let who = principal(number);
            let reaches = |one: &Integration| one.owner == who || one.shares.contains_key(&who);
            let expected = found(&|one| one.library.is_none() && reaches(one));
            prop_assert_eq!(shown(lookup.reachable(&who)), expected);
        }
        for (number, one) in &all {
            prop_assert_eq!(lookup.by_slug(&one.slug), Some(id(*number)));
        }
    }
}
