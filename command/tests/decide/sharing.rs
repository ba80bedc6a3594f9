//! Creating, deleting, sharing, owners, tags and icons.

use std::collections::BTreeMap;

use command::decide::{Command, CreateIntegration, NewIcon, Rejection};
use events::{
    envelope::Digest,
    event::{
        IconRemoved, IconSet, IconType, IntegrationDeleted, IntegrationEvent, IntegrationShared, IntegrationUnshared,
        OwnershipTransferred, Secrets, TagsSet,
    },
    ids::{BlobId, Slug, TagId},
    integration::LastEvent,
    principal::{Level, Permissions},
};

use super::given::{created, created_with, fact, given, principal, secret_header, settings, shared};

fn create() -> Command {
    let slug = Slug::parse("slack").unwrap();
    let (settings, secrets) = (settings(), Secrets::default());
    Command::CreateIntegration(Box::new(CreateIntegration { slug, library: None, settings, secrets }))
}

pub(crate) fn share(with: &str, level: Level) -> Command {
    Command::ShareIntegration { principal: principal(with), level }
}

pub(crate) fn unshare(with: &str) -> Command {
    Command::UnshareIntegration { principal: principal(with) }
}

pub(crate) fn tag(id: &str) -> TagId {
    TagId::parse(id).unwrap()
}

pub(crate) fn tags(ids: &[&str]) -> Vec<TagId> {
    ids.iter().map(|id| tag(id)).collect()
}

pub(crate) fn deleted() -> IntegrationEvent {
    IntegrationEvent::Deleted(IntegrationDeleted {
        owner: principal("alice"),
        slug: Slug::parse("slack").unwrap(),
        library: None,
        tags: Vec::new(),
        shares: BTreeMap::new(),
        icon: None,
        key: None,
    })
}

pub(crate) fn icon(name: &str) -> NewIcon {
    let blob = BlobId::new(super::given::id().uuid());
    NewIcon { blob, sha256: Digest::of(name.as_bytes()), media_type: IconType::Png, size: 3 }
}

pub(crate) fn icon_set(icon: NewIcon, replaces: Option<BlobId>) -> IntegrationEvent {
    let NewIcon { blob, sha256, media_type, size } = icon;
    IntegrationEvent::IconSet(IconSet { blob, sha256, media_type, size, replaces })
}

#[test]
fn whoever_may_create_creates_and_owns() {
    let may = |create, admin| Permissions { create, admin, audit: true };
    given([]).with(may(true, false)).when(create()).then(created());
    given([]).with(may(false, true)).when(create()).then(created());
    given([]).with(may(false, false)).when(create()).then_rejected(Rejection::NotPermitted);
}

#[test]
fn an_id_is_used_once() {
    let may = Permissions { create: true, ..Permissions::default() };
    given([created()]).with(may).when(create()).then_rejected(Rejection::IdTaken);
    given([created(), deleted()]).with(may).when(create()).then_rejected(Rejection::IdTaken);
}

#[test]
fn a_delete_carries_everything_that_ends_with_it() {
    let secrets = secret_header("X-Token");
    let key = secrets.key();
    let history = [
        created_with(settings(), secrets),
        shared("bob", Level::Read),
        IntegrationEvent::TagsSet(TagsSet { tags: tags(&["a"]), added: tags(&["a"]), removed: Vec::new() }),
        icon_set(icon("one"), None),
    ];
    given(history).when(Command::DeleteIntegration).then(IntegrationEvent::Deleted(IntegrationDeleted {
        owner: principal("alice"),
        slug: Slug::parse("slack").unwrap(),
        library: None,
        tags: tags(&["a"]),
        shares: BTreeMap::from([(principal("bob"), Level::Read)]),
        icon: Some(icon("one").blob),
        key,
    }));
}

#[test]
fn a_delete_needs_level_3_and_something_to_delete() {
    let delete = || Command::DeleteIntegration;
    given([created(), shared("bob", Level::Write)]).by("bob").when(delete()).then_rejected(Rejection::NotPermitted);
    given([created()]).by("bob").when(delete()).then_rejected(Rejection::NotFound);
    given([]).when(delete()).then_rejected(Rejection::NotFound);
    given([created(), deleted()]).when(delete()).then_rejected(Rejection::NotFound);
}

#[test]
fn a_share_is_made_raised_and_left_alone() {
    let event = |previous| {
        IntegrationEvent::Shared(IntegrationShared { principal: principal("bob"), level: Level::Write, previous })
    };
    given([created()]).when(share("bob", Level::Write)).then(event(None));
    given([created(), shared("bob", Level::Read)]).when(share("bob", Level::Write)).then(event(Some(Level::Read)));
    given([created(), shared("bob", Level::Write)]).when(share("bob", Level::Write)).then_nothing();
}

#[test]
fn the_owner_has_no_share_and_there_are_at_most_200() {
    given([created()]).when(share("alice", Level::Read)).then_invalid(&["path:principalId"]);
    let full = (0..200).map(|number| shared(&format!("u{number}"), Level::Read));
    let full: Vec<_> = std::iter::once(created()).chain(full).collect();
    given(full.clone()).when(share("new", Level::Read)).then_invalid(&["path:principalId"]);
    assert!(given(full).when(share("u7", Level::Admin)).decided().unwrap().is_some());
}

#[test]
fn a_share_ends_by_an_admin_or_by_the_user_himself() {
    let ended = || IntegrationEvent::Unshared(IntegrationUnshared { principal: principal("bob"), level: Level::Read });
    let history = || [created(), shared("bob", Level::Read), shared("carol", Level::Write)];
    given(history()).when(unshare("bob")).then(ended());
    given(history()).by("bob").when(unshare("bob")).then(ended());
    given(history()).by("carol").when(unshare("bob")).then_rejected(Rejection::NotPermitted);
    given(history()).when(unshare("nobody")).then_rejected(Rejection::NotFound);
    given(history()).by("nobody").when(unshare("nobody")).then_rejected(Rejection::NotFound);
}

#[test]
fn the_new_owners_share_ends_and_the_same_owner_is_no_change() {
    let transfer = |to: &str| Command::TransferOwnership { to: principal(to) };
    let event = |to: &str, ended_share| {
        let (from, to) = (principal("alice"), principal(to));
        IntegrationEvent::OwnershipTransferred(OwnershipTransferred { from, to, ended_share })
    };
    let history = || [created(), shared("bob", Level::Write)];
    given(history()).when(transfer("carol")).then(event("carol", None));
    given(history()).when(transfer("bob")).then(event("bob", Some(Level::Write)));
    given(history()).when(transfer("alice")).then_nothing();
    given(history()).by("bob").when(transfer("bob")).then_rejected(Rejection::NotPermitted);
    let moved = given([created(), shared("bob", Level::Write), event("bob", Some(Level::Write))]);
    moved.when(transfer("alice")).then_rejected(Rejection::NotFound);
}

#[test]
fn tags_are_set_added_and_removed_once_each() {
    let event = |all: &[&str], added: &[&str], removed: &[&str]| {
        IntegrationEvent::TagsSet(TagsSet { tags: tags(all), added: tags(added), removed: tags(removed) })
    };
    let set = |ids: &[&str]| Command::SetTags { tags: tags(ids) };
    let history = || [created(), event(&["a", "b"], &["a", "b"], &[])];
    given([created()]).when(set(&["b", "a", "b"])).then(event(&["b", "a"], &["b", "a"], &[]));
    given(history()).when(set(&["b", "c"])).then(event(&["b", "c"], &["c"], &["a"]));
    given(history()).when(set(&["b", "a"])).then(event(&["b", "a"], &[], &[]));
    given(history()).when(set(&["a", "b"])).then_nothing();
    given(history()).when(Command::AddTag { tag: tag("c") }).then(event(&["a", "b", "c"], &["c"], &[]));
    given(history()).when(Command::AddTag { tag: tag("a") }).then_nothing();
    given(history()).when(Command::RemoveTag { tag: tag("a") }).then(event(&["b"], &[], &["a"]));
    given(history()).when(Command::RemoveTag { tag: tag("c") }).then_rejected(Rejection::NotFound);
}

#[test]
fn there_are_at_most_100_tags() {
    let ids: Vec<_> = (0..101).map(|number| tag(&format!("t{number}"))).collect();
    given([created()]).when(Command::SetTags { tags: ids.clone() }).then_invalid(&["/tags"]);
    let full = TagsSet { tags: ids[..100].to_vec(), added: ids[..100].to_vec(), removed: Vec::new() };
    given([created(), IntegrationEvent::TagsSet(full)])
        .when(Command::AddTag { tag: ids[100].clone() })
        .then_invalid(&["path:tagId"]);
}

#[test]
fn an_icon_is_set_replaced_kept_and_removed() {
    let (one, two) = (icon("one"), icon("two"));
    given([created()]).when(Command::SetIcon(one)).then(icon_set(one, None));
    let history = || [created(), icon_set(one, None)];
    given(history()).when(Command::SetIcon(two)).then(icon_set(two, Some(one.blob)));
    given(history()).when(Command::SetIcon(one)).then_nothing();
    given(history()).when(Command::RemoveIcon).then(IntegrationEvent::IconRemoved(IconRemoved { blob: one.blob }));
    given([created()]).when(Command::RemoveIcon).then_rejected(Rejection::NotFound);
    let digest = one.sha256.to_string();
    assert!(given(history()).if_match(&[&digest]).when(Command::RemoveIcon).decided().is_ok());
    given(history()).if_match(&["0-00000000"]).when(Command::RemoveIcon).then_stale();
    given([created()]).if_match(&["0-00000000"]).when(Command::RemoveIcon).then_rejected(Rejection::NotFound);
}

#[test]
fn a_stale_precondition_stops_every_command_and_the_right_one_none() {
    let last = fact(1, created());
    let change = LastEvent::from(&last).change();
    let history = || [created(), shared("bob", Level::Read)];
    let commands = || {
        [
            Command::DeleteIntegration,
            share("carol", Level::Read),
            unshare("bob"),
            Command::TransferOwnership { to: principal("bob") },
            Command::SetTags { tags: tags(&["a"]) },
            Command::AddTag { tag: tag("a") },
            Command::SetIcon(icon("one")),
            Command::UpdateIntegration(Box::default()),
        ]
    };
    for command in commands() {
        given(history()).if_match(&["1-00000000", "0-11111111"]).when(command).then_stale();
    }
    for command in commands() {
        assert!(given(history()).if_match(&["x", &change]).when(command).decided().is_ok());
    }
}
