//! Folding what is decided never contradicts deciding.

use command::{
    aggregate::{Aggregate, evolve},
    decide::{Command, Context, CreateIntegration, Field, Patch, Precondition, Rejection, UpdateIntegration, decide},
};
use events::{
    event::Secrets,
    ids::{Slug, TagId},
    integration::{self, Integration},
    principal::{Level, Permissions},
    time::Timestamp,
};
use proptest::prelude::*;

use super::given::{caller, fact, principal, settings};

fn user() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("alice"), Just("bob"), Just("carol")]
}

fn level() -> impl Strategy<Value = Level> {
    prop_oneof![Just(Level::Read), Just(Level::Write), Just(Level::Admin)]
}

fn tag() -> impl Strategy<Value = TagId> {
    "[a-c]".prop_map(|id| TagId::parse(id).unwrap())
}

fn command() -> impl Strategy<Value = Command> {
    let create = || {
        let (slug, settings) = (Slug::parse("slack").unwrap(), settings());
        let command = CreateIntegration { slug, library: None, settings, secrets: Secrets::default() };
        Command::CreateIntegration(Box::new(command))
    };
    let update = |(name, description): (Option<String>, Option<String>)| {
        let description = description.map_or(Field::Null, Field::Value);
        let patch = Patch { name, description, ..Patch::default() };
        Command::UpdateIntegration(Box::new(UpdateIntegration { patch, ..UpdateIntegration::default() }))
    };
    prop_oneof![
        3 => Just(()).prop_map(move |()| create()),
        3 => (proptest::option::of("[a-b]"), proptest::option::of("[a-b]")).prop_map(update),
        1 => Just(Command::DeleteIntegration),
        3 => (user(), level()).prop_map(|(to, level)| Command::ShareIntegration { principal: principal(to), level }),
        2 => user().prop_map(|to| Command::UnshareIntegration { principal: principal(to) }),
        2 => user().prop_map(|to| Command::TransferOwnership { to: principal(to) }),
        2 => proptest::collection::vec(tag(), 0..4).prop_map(|tags| Command::SetTags { tags }),
        2 => tag().prop_map(|tag| Command::AddTag { tag }),
        2 => tag().prop_map(|tag| Command::RemoveTag { tag }),
        1 => Just(Command::RemoveIcon),
    ]
}

fn context(user: &str, is_admin: bool) -> Context {
    let permissions = Permissions { create: true, admin: is_admin, audit: false };
    let now: Timestamp = serde_json::from_str("\"2024-01-15T09:00:00.000Z\"").unwrap();
    Context {
        caller: events::principal::Principal { permissions, ..caller(user) },
        now,
        precondition: Precondition::Nothing,
    }
}

/// What the same command says when it is given once more, right after it succeeded.
fn is_settled(command: &Command, again: &Result<Option<events::event::IntegrationEvent>, Rejection>) -> bool {
    match command {
        Command::CreateIntegration(_) => *again == Err(Rejection::IdTaken),
        // What was there to remove is gone; whoever gave it away, or dropped his own share, sees it no more.
        Command::DeleteIntegration
        | Command::UnshareIntegration { .. }
        | Command::RemoveTag { .. }
        | Command::RemoveIcon => *again == Err(Rejection::NotFound),
        Command::TransferOwnership { .. } => {
            matches!(again, Ok(None) | Err(Rejection::NotFound | Rejection::NotPermitted))
        }
        Command::UpdateIntegration(_) | Command::SetTags { .. } | Command::AddTag { .. } | Command::SetIcon(_) => {
            *again == Ok(None)
        }
        // An admin by a share may lower his own.
        Command::ShareIntegration { .. } => matches!(again, Ok(None) | Err(Rejection::NotPermitted)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_was_decided_is_settled_and_what_was_rejected_changed_nothing(
        steps in proptest::collection::vec((user(), any::<bool>(), command()), 1..40)
    ) {
        let (mut state, mut public, mut revision) = (Aggregate::Absent, None::<Integration>, 0);
        for (user, is_admin, command) in steps {
            let at = context(user, is_admin);
            let decided = decide(&state, command.clone(), &at);
            prop_assert_eq!(&decided, &decide(&state, command.clone(), &at), "deciding is a function");
            let Ok(Some(event)) = decided else { continue };
            let fact = fact(revision, event);
            state = evolve(state, &fact);
            public = integration::evolve(public, &fact);
            revision += 1;
            let of_aggregate = match &state {
                Aggregate::Live(live) => Some(live.integration.clone()),
                Aggregate::Absent | Aggregate::Deleted(_) => None,
            };
            prop_assert_eq!(&of_aggregate, &public, "the aggregate wraps the public state");
            prop_assert_eq!(state.last().map(|last| last.revision.get()), Some(revision - 1));
            let again = decide(&state, command.clone(), &at);
            prop_assert!(is_settled(&command, &again), "{:?} again: {:?}", command, again);
        }
    }
}
