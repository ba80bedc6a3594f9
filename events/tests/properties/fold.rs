//! The one fold of an integration.

use std::sync::Arc;

use events::{
    event::{IntegrationDeleted, IntegrationEvent},
    integration::{Fact, Integration, evolve, evolve_shared},
    settings::Changes,
};
use proptest::{collection::vec, prelude::*, sample::Index};

use super::generators::{creation, event, fact, later_event, settings};

fn fold(state: Option<Integration>, facts: &[Fact]) -> Option<Integration> {
    facts.iter().fold(state, evolve)
}

/// A life that begins with a creation and has not ended.
fn life() -> impl Strategy<Value = Vec<Fact>> {
    let later = later_event().prop_filter("it lives", |event| !is_end(event));
    (fact(creation()), vec(fact(later), 0..8)).prop_map(|(created, later)| [vec![created], later].concat())
}

fn is_end(event: &IntegrationEvent) -> bool {
    matches!(event, IntegrationEvent::Deleted(_))
}

/// The end of what is there.
fn end(state: &Integration, like: &Fact) -> Fact {
    let deleted = IntegrationDeleted {
        owner: state.owner.clone(),
        slug: state.slug.clone(),
        library: state.library.clone(),
        tags: state.tags.clone(),
        shares: state.shares.iter().map(|(principal, share)| (principal.clone(), share.level)).collect(),
        icon: state.icon.as_ref().map(|icon| icon.blob),
        key: None,
    };
    Fact { event: IntegrationEvent::Deleted(deleted), ..like.clone() }
}

proptest! {
    #[test]
    fn the_fold_takes_any_facts_in_any_order(facts in vec(fact(event()), 0..12)) {
        let mut state = None;
        for fact in &facts {
            let was_there = state.is_some();
            state = evolve(state, fact);
            let is_creation = matches!(fact.event, IntegrationEvent::Created(_));
            let is_there = is_creation || (was_there && !is_end(&fact.event));
            prop_assert_eq!(state.is_some(), is_there);
        }
    }

    #[test]
    fn the_fold_of_a_life_is_that_of_its_parts(facts in vec(fact(event()), 1..10), at in any::<Index>()) {
        let (first, rest) = facts.split_at(at.index(facts.len()));
        prop_assert_eq!(fold(fold(None, first), rest), fold(None, &facts));
    }

    #[test]
    fn a_state_that_is_shared_evolves_alike_and_stays_as_it_was_for_others(facts in vec(fact(event()), 0..12)) {
        let (mut alone, mut shared) = (None, None);
        for fact in &facts {
            let (before, held) = (alone.clone(), shared.clone());
            shared = evolve_shared(shared, fact);
            alone = evolve(alone, fact);
            prop_assert_eq!(shared.as_deref(), alone.as_ref());
            prop_assert_eq!(held.as_deref(), before.as_ref());
            drop(held);
            let in_place = evolve_shared(shared.clone().map(Arc::unwrap_or_clone).map(Arc::new), fact);
            prop_assert_eq!(in_place.map(Arc::unwrap_or_clone), evolve(alone.clone(), fact));
        }
    }

    #[test]
    fn nothing_is_there_before_a_creation(facts in vec(fact(later_event()), 0..6)) {
        prop_assert_eq!(fold(None, &facts), None);
    }

    #[test]
    fn nothing_is_there_after_the_end(life in life(), after in vec(fact(later_event()), 0..4)) {
        let state = fold(None, &life).expect("it lives");
        let ended = evolve(Some(state.clone()), &end(&state, &life[0]));
        prop_assert_eq!(&ended, &None);
        prop_assert_eq!(fold(ended, &after), None);
    }

    #[test]
    fn a_second_creation_changes_nothing(life in life(), second in fact(creation())) {
        let state = fold(None, &life);
        prop_assert_eq!(evolve(state.clone(), &second), state);
    }

    #[test]
    fn what_never_changes_stays_as_it_was_made(life in life()) {
        let made = fold(None, &life[..1]).expect("it lives");
        let state = fold(None, &life).expect("it lives");
        prop_assert_eq!((state.id, &state.slug, &state.library), (made.id, &made.slug, &made.library));
        prop_assert_eq!(state.created_at, made.created_at);
    }

    #[test]
    fn the_time_of_the_last_change_never_goes_back(life in life()) {
        let mut state = fold(None, &life[..1]).expect("it lives");
        for fact in &life[1..] {
            let before = state.updated_at;
            state = evolve(Some(state), fact).expect("it lives");
            prop_assert_eq!(state.updated_at, before.max(fact.at));
            prop_assert!(state.updated_at >= state.created_at);
        }
    }

    #[test]
    fn the_state_tells_the_event_that_it_is_of(life in life()) {
        let (last, state) = (&life[life.len() - 1], fold(None, &life).expect("it lives"));
        prop_assert_eq!(state.last.revision, last.revision);
        prop_assert_eq!(state.last.position, last.position);
        prop_assert_eq!(state.last.hash, last.hash);
    }

    #[test]
    fn a_share_is_never_changed_before_it_was_made(life in life()) {
        let state = fold(None, &life).expect("it lives");
        prop_assert!(state.shares.values().all(|share| share.updated_at >= share.created_at));
    }

    #[test]
    fn a_new_owner_has_no_share(life in life()) {
        let state = fold(None, &life).expect("it lives");
        if let IntegrationEvent::OwnershipTransferred(transfer) = &life[life.len() - 1].event {
            prop_assert_eq!(&state.owner, &transfer.to);
            prop_assert!(!state.shares.contains_key(&transfer.to));
        }
    }

    #[test]
    fn the_changes_between_two_settings_turn_one_into_the_other(before in settings(), after in settings()) {
        let changes = Changes::between(&before, &after);
        let mut changed = before.clone();
        changes.apply(&mut changed);
        prop_assert_eq!(&changed, &after);
        prop_assert_eq!(changes.is_empty(), before == after);
        prop_assert!(Changes::between(&before, &before).is_empty());
    }

    #[test]
    fn changes_tell_the_fields_that_changed_and_no_others(before in settings(), after in settings()) {
        let half = events::settings::Settings { name: after.name.clone(), data: after.data.clone(), ..before.clone() };
        let changes = Changes::between(&before, &half);
        let expected = Changes {
            name: changes.name.clone().filter(|change| change.from != change.to),
            data: changes.data.clone().filter(|change| change.from != change.to),
            ..Changes::default()
        };
        prop_assert_eq!(&changes, &expected);
        prop_assert_eq!(changes.name.is_some(), before.name != after.name);
        prop_assert_eq!(changes.data.is_some(), before.data != after.data);
    }
}
