//! Another view in one file: who may do what, by principal. What one event changes for several principals changes for
//! all of them at once.

use std::collections::BTreeMap;

use events::{
    event::{IntegrationEvent, IntegrationUnshared, OwnershipTransferred, TagsSet},
    ids::{IntegrationId, Position, PrincipalId},
    integration::Fact,
    principal::Level,
    stored::Store as _,
    stream::StreamName,
};
use projector::{
    runner::Progress,
    store::{ReadViews as _, memory::MemoryViews},
    view::View,
};

#[path = "given/history.rs"]
mod history;
#[path = "given/log.rs"]
mod log;

use history::{created, deleted, integration, principal, shared, tenant};
use log::Log;

/// The view: what each principal owns or is shared, by integration.
struct AccessByPrincipal;

impl View for AccessByPrincipal {
    type Key = PrincipalId;
    type Document = BTreeMap<IntegrationId, Level>;
    type Index = ();

    const NAME: &'static str = "access-by-principal";
    const VERSION: u32 = 1;

    fn keys(fact: &Fact) -> Vec<PrincipalId> {
        match &fact.event {
            IntegrationEvent::Created(created) => vec![created.owner.clone()],
            IntegrationEvent::Shared(shared) => vec![shared.principal.clone()],
            IntegrationEvent::Unshared(unshared) => vec![unshared.principal.clone()],
            IntegrationEvent::OwnershipTransferred(transfer) => vec![transfer.from.clone(), transfer.to.clone()],
            IntegrationEvent::Deleted(deleted) => {
                std::iter::once(&deleted.owner).chain(deleted.shares.keys()).cloned().collect()
            }
            IntegrationEvent::Updated(_)
            | IntegrationEvent::TagsSet(_)
            | IntegrationEvent::IconSet(_)
            | IntegrationEvent::IconRemoved(_) => Vec::new(),
        }
    }

    fn apply(key: &PrincipalId, document: Option<Self::Document>, fact: &Fact) -> Option<Self::Document> {
        let mut access = document.unwrap_or_default();
        let level = match &fact.event {
            IntegrationEvent::Created(_) => Some(Level::Admin),
            IntegrationEvent::Shared(shared) => Some(shared.level),
            IntegrationEvent::OwnershipTransferred(transfer) => (transfer.to == *key).then_some(Level::Admin),
            IntegrationEvent::Unshared(_)
            | IntegrationEvent::Deleted(_)
            | IntegrationEvent::Updated(_)
            | IntegrationEvent::TagsSet(_)
            | IntegrationEvent::IconSet(_)
            | IntegrationEvent::IconRemoved(_) => None,
        };
        match level {
            Some(level) => access.insert(fact.integration, level),
            None => access.remove(&fact.integration),
        };
        (!access.is_empty()).then_some(access)
    }
}

/// A log that the view follows.
struct Followed {
    log: Log,
    views: MemoryViews<AccessByPrincipal>,
}

impl Followed {
    fn open() -> Self {
        Self { log: Log::open(), views: MemoryViews::default() }
    }

    /// Appends an event, and waits until the view has it.
    async fn append(&mut self, number: usize, event: IntegrationEvent) -> Position {
        let stream = StreamName::integration(&tenant("acme"), integration(number));
        let position = self.log.append(&stream, event.to_stored()).await;
        self.log.follow(&self.views, |progress| progress == Progress::Reached(position)).await;
        position
    }

    #[track_caller]
    fn check(&self, expected: &[(&str, &[(usize, Level)])]) {
        let acme = self.views.snapshot(&tenant("acme"));
        let shown: BTreeMap<_, _> = acme.documents.iter().map(|(id, access)| (id.clone(), access.clone())).collect();
        let access = |access: &[(usize, Level)]| access.iter().map(|(number, level)| (integration(*number), *level));
        let expected = expected.iter().map(|(id, levels)| (principal(id), access(levels).collect()));
        assert_eq!(shown, expected.collect::<BTreeMap<_, BTreeMap<_, _>>>());
    }
}

fn transferred(from: &str, to: &str, ended_share: Option<Level>) -> IntegrationEvent {
    let (from, to) = (principal(from), principal(to));
    IntegrationEvent::OwnershipTransferred(OwnershipTransferred { from, to, ended_share })
}

#[tokio::test]
async fn a_new_integration_is_its_owners_and_a_share_its_principals() {
    let mut followed = Followed::open();
    followed.append(1, created("alice", "one")).await;
    followed.append(2, created("alice", "two")).await;
    followed.append(1, shared("team:a", Level::Read)).await;
    followed.append(1, shared("team:a", Level::Write)).await;
    followed.check(&[("alice", &[(1, Level::Admin), (2, Level::Admin)]), ("team:a", &[(1, Level::Write)])]);
}

#[tokio::test]
async fn a_share_that_ended_is_gone_and_so_is_a_principal_without_any() {
    let mut followed = Followed::open();
    followed.append(1, created("alice", "one")).await;
    followed.append(1, shared("bob", Level::Read)).await;
    let unshared = IntegrationUnshared { principal: principal("bob"), level: Level::Read };
    followed.append(1, IntegrationEvent::Unshared(unshared)).await;
    followed.check(&[("alice", &[(1, Level::Admin)])]);
}

#[tokio::test]
async fn a_transfer_changes_both_owners_at_once() {
    let mut followed = Followed::open();
    followed.append(1, created("alice", "one")).await;
    followed.append(1, shared("bob", Level::Read)).await;
    followed.append(1, transferred("alice", "bob", Some(Level::Read))).await;
    followed.check(&[("bob", &[(1, Level::Admin)])]);
}

#[tokio::test]
async fn a_deletion_changes_everybody_who_had_it() {
    let mut followed = Followed::open();
    followed.append(1, created("alice", "one")).await;
    followed.append(2, created("bob", "two")).await;
    followed.append(1, shared("bob", Level::Read)).await;
    followed.append(1, shared("carol", Level::Admin)).await;
    followed.append(1, deleted("alice", "one", &[("bob", Level::Read), ("carol", Level::Admin)])).await;
    followed.check(&[("bob", &[(2, Level::Admin)])]);
}

#[tokio::test]
async fn an_event_that_touches_no_key_moves_the_checkpoint_and_not_the_version() {
    let mut followed = Followed::open();
    let made = followed.append(1, created("alice", "one")).await;
    let tags = TagsSet { tags: Vec::new(), added: Vec::new(), removed: Vec::new() };
    let tagged = followed.append(1, IntegrationEvent::TagsSet(tags)).await;
    assert_eq!(*followed.views.checkpoint().borrow(), tagged);
    assert_eq!(followed.views.snapshot(&tenant("acme")).position(), made);
}

/// The same log, replayed from the start in one go, gives the same documents.
#[tokio::test]
async fn a_replay_from_the_start_shows_the_same() {
    let mut followed = Followed::open();
    followed.append(1, created("alice", "one")).await;
    followed.append(1, shared("bob", Level::Read)).await;
    followed.append(1, transferred("alice", "carol", None)).await;
    followed.append(1, deleted("carol", "one", &[("bob", Level::Read)])).await;
    let last = followed.append(2, created("bob", "one")).await;
    let replayed = MemoryViews::<AccessByPrincipal>::default();
    let told = followed.log.follow(&replayed, |progress| progress == Progress::CaughtUp).await;
    assert_eq!(told, [Progress::Reached(last), Progress::CaughtUp]);
    followed.check(&[("bob", &[(2, Level::Admin)])]);
    let (first, again) = (followed.views.snapshot(&tenant("acme")), replayed.snapshot(&tenant("acme")));
    assert_eq!((&first.documents, first.change()), (&again.documents, again.change()));
}
