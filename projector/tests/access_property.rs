//! The view `access-by-principal` is what a look at every document of `integrations` finds, whatever has happened.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::collections::BTreeMap;

use events::{
    envelope::Digest,
    event::{
        IntegrationDeleted, IntegrationEvent, IntegrationShared, IntegrationUnshared, IntegrationUpdated,
        OwnershipTransferred, SecretChanges, TagsSet,
    },
    ids::{IntegrationId, Position, PrincipalId, Revision, TenantId},
    integration::{Fact, Integration, evolve},
    principal::Level,
    settings::Changes,
};
use projector::{
    runner::{Feed as _, Feeding, Read, fold, touched},
    store::{ReadViews as _, Views as _, WriteViews, memory::MemoryViews},
    view::access_by_principal::{Access, AccessByPrincipal, Reach, reached_by},
};
use proptest::{collection::vec, prelude::*};

#[expect(dead_code, reason = "only some of what the events' own properties need is needed here")]
#[path = "../../events/tests/properties/generators.rs"]
mod generators;

use generators::{created, level, principal, settings};

/// Few enough for much to happen to each.
const INTEGRATIONS: u16 = 100;

/// Something that somebody does to an integration of a tenant; it becomes an event that can follow what is there.
#[derive(Debug, Clone)]
enum Step {
    Create,
    Share(usize, Level),
    Unshare(usize),
    Transfer(usize),
    Rename(Box<events::settings::Settings>),
    Tag,
    Delete,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Create),
        8 => (0..4_usize, level()).prop_map(|(who, level)| Step::Share(who, level)),
        3 => (0..4_usize).prop_map(Step::Unshare),
        3 => (0..4_usize).prop_map(Step::Transfer),
        1 => settings().prop_map(|settings| Step::Rename(Box::new(settings))),
        1 => Just(Step::Tag),
        2 => Just(Step::Delete),
    ]
}

fn tenant(number: u8) -> TenantId {
    TenantId::parse(format!("t{number}")).unwrap()
}

fn id(number: u16) -> IntegrationId {
    format!("0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f{:04x}", number.reverse_bits()).parse().unwrap()
}

/// What a step is, done to what is there.
fn event(
    state: Option<&Integration>,
    step: &Step,
    new: &events::event::IntegrationCreated,
    who: &[PrincipalId],
) -> Option<IntegrationEvent> {
    let Some(state) = state else {
        return Some(IntegrationEvent::Created(Box::new(new.clone())));
    };
    match step {
        Step::Create => None,
        Step::Share(at, level) => (who[*at] != state.owner).then(|| {
            let previous = state.shares.get(&who[*at]).map(|share| share.level);
            IntegrationEvent::Shared(IntegrationShared { principal: who[*at].clone(), level: *level, previous })
        }),
        Step::Unshare(at) => state.shares.get(&who[*at]).map(|share| {
            IntegrationEvent::Unshared(IntegrationUnshared { principal: who[*at].clone(), level: share.level })
        }),
        Step::Transfer(at) => (who[*at] != state.owner).then(|| {
            let ended_share = state.shares.get(&who[*at]).map(|share| share.level);
            let (from, to) = (state.owner.clone(), who[*at].clone());
            IntegrationEvent::OwnershipTransferred(OwnershipTransferred { from, to, ended_share })
        }),
        Step::Rename(settings) => {
            let changes = Changes::between(&state.settings, settings);
            let secrets = SecretChanges::default();
            Some(IntegrationEvent::Updated(Box::new(IntegrationUpdated { changes, secrets })))
        }
        Step::Tag => Some(IntegrationEvent::TagsSet(TagsSet { tags: vec![], added: vec![], removed: vec![] })),
        Step::Delete => Some(IntegrationEvent::Deleted(IntegrationDeleted {
            owner: state.owner.clone(),
            slug: state.slug.clone(),
            library: state.library.clone(),
            tags: state.tags.clone(),
            shares: state.shares.iter().map(|(principal, share)| (principal.clone(), share.level)).collect(),
            icon: None,
            key: None,
        })),
    }
}

/// Every integration that is there, by tenant and id, and the facts that made it so.
type History = (BTreeMap<(TenantId, IntegrationId), Integration>, Vec<Fact>);

fn history(steps: &[(u8, u16, Step)], new: &events::event::IntegrationCreated, who: &[PrincipalId]) -> History {
    let (mut there, mut facts) = (BTreeMap::new(), Vec::new());
    let mut revisions = BTreeMap::<_, u64>::new();
    for (at, (of_tenant, number, step)) in steps.iter().enumerate() {
        let key = (tenant(*of_tenant), id(*number));
        let owned = events::event::IntegrationCreated { owner: who[at % 2].clone(), ..new.clone() };
        let Some(event) = event(there.get(&key), step, &owned, who) else { continue };
        let (revision, position) = (revisions.entry(key.clone()).or_default(), facts.len() as u64 + 1);
        let fact = Fact {
            tenant: key.0.clone(),
            integration: key.1,
            position: Position::new(position),
            revision: Revision::new(*revision),
            at: serde_json::from_str("\"2024-01-15T09:00:00.000Z\"").unwrap(),
            hash: Digest::of(&position.to_be_bytes()),
            event,
        };
        *revision += 1;
        if let Some(after) = evolve(there.remove(&key), &fact) {
            there.insert(key, after);
        }
        facts.push(fact);
    }
    (there, facts)
}

/// What each principal of a tenant reaches, by a look at every integration.
fn looked_at(there: &History, of: &TenantId) -> BTreeMap<Reach, Access> {
    let mut found = BTreeMap::new();
    for ((_, id), integration) in there.0.iter().filter(|((tenant, _), _)| tenant == of) {
        let reach = |principal: &PrincipalId| Reach { principal: principal.clone(), integration: *id };
        found.insert(reach(&integration.owner), Access::Owner);
        for (principal, share) in &integration.shares {
            found.insert(reach(principal), Access::Shared(share.level));
        }
    }
    found
}

fn shown(views: &MemoryViews<AccessByPrincipal>, of: &TenantId) -> BTreeMap<Reach, Access> {
    let snapshot = views.held(of).unwrap();
    snapshot.documents.iter().map(|(reach, access)| (reach.clone(), *access)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_view_is_what_a_look_at_every_integration_finds(
        steps in vec((0..2_u8, 0..INTEGRATIONS, step()), 0..900),
        new in created(),
        who in vec(principal(), 4),
        size in 1..200_usize,
    ) {
        prop_assume!(who.iter().collect::<std::collections::BTreeSet<_>>().len() == who.len());
        let history = history(&steps, &new, &who);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (live, replayed) = (MemoryViews::<AccessByPrincipal>::default(), MemoryViews::<AccessByPrincipal>::default());
        for batch in history.1.chunks(size) {
            let from = *live.checkpoint().borrow();
            runtime.block_on(async {
                let before = live.documents(touched::<AccessByPrincipal>(batch)).await.unwrap();
                live.write(fold(before, from, batch)).await.unwrap();
            });
        }
        {
            let views: &dyn WriteViews<AccessByPrincipal> = &replayed;
            let mut feeding = Feeding::of(views);
            feeding.replay(&history.1);
            let through = Position::new(history.1.len() as u64);
            let last = Read { from: through, through, facts: vec![], last: None, parked: vec![], unparked: vec![] };
            runtime.block_on(feeding.write_replayed(&last)).unwrap();
        }
        for number in 0..2 {
            let expected = looked_at(&history, &tenant(number));
            prop_assert_eq!(&shown(&live, &tenant(number)), &expected);
            prop_assert_eq!(&shown(&replayed, &tenant(number)), &expected);
            let snapshot = live.held(&tenant(number)).unwrap();
            for principal in &who {
                let reached: Vec<_> = reached_by(&snapshot.documents, principal).collect();
                let of_this = expected.iter().filter(|(reach, _)| reach.principal == *principal);
                prop_assert_eq!(reached, of_this.map(|(reach, access)| (reach.integration, *access)).collect::<Vec<_>>());
            }
            for (reach, access) in &snapshot.documents {
                // Both are stored as texts that tell the same.
                prop_assert_eq!(&reach.to_string().parse::<Reach>().unwrap(), reach);
                let text = serde_json::to_string(access).unwrap();
                prop_assert_eq!(&serde_json::from_str::<Access>(&text).unwrap(), access);
            }
        }
    }
}
