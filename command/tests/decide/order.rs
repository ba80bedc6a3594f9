//! Which level each command takes, and which of several reasons to refuse it is told.

use command::decide::{Command, Field, Patch, Rejection, UpdateIntegration};
use events::{
    event::{IntegrationEvent, OwnershipTransferred, TagsSet},
    principal::{Level, Permissions},
};

use super::{
    given::{Given, created, given, principal, shared},
    sharing::{deleted, icon, icon_set, share, tag, tags, unshare},
};

const STALE: &[&str] = &["0-00000000"];

/// Shared at every level, to a user and to a team; with a guest, a tag and an icon that can go.
fn history() -> Vec<IntegrationEvent> {
    let old = TagsSet { tags: tags(&["old"]), added: tags(&["old"]), removed: Vec::new() };
    vec![
        created(),
        shared("reader", Level::Read),
        shared("writer", Level::Write),
        shared("sharer", Level::Admin),
        shared("team:readers", Level::Read),
        shared("team:writers", Level::Write),
        shared("team:sharers", Level::Admin),
        shared("guest", Level::Read),
        IntegrationEvent::TagsSet(old),
        icon_set(icon("one"), None),
    ]
}

fn rename() -> Command {
    let patch = Patch { name: Some("Teams".to_owned()), ..Patch::default() };
    Command::UpdateIntegration(Box::new(UpdateIntegration { patch, ..UpdateIntegration::default() }))
}

/// Every command on an integration that is there, and whether level 1, 2 and 3 are enough for it.
fn commands() -> [(Command, [bool; 3]); 10] {
    [
        (rename(), [false, true, true]),
        (Command::SetTags { tags: tags(&["new"]) }, [false, true, true]),
        (Command::AddTag { tag: tag("new") }, [false, true, true]),
        (Command::RemoveTag { tag: tag("old") }, [false, true, true]),
        (Command::SetIcon(icon("two")), [false, true, true]),
        (Command::RemoveIcon, [false, true, true]),
        (share("new", Level::Read), [false, false, true]),
        (unshare("guest"), [false, false, true]),
        (Command::TransferOwnership { to: principal("new") }, [false, false, true]),
        (Command::DeleteIntegration, [false, false, true]),
    ]
}

#[track_caller]
fn check(given: Given, command: Command, is_enough: bool) {
    let given = given.when(command);
    if is_enough {
        assert!(matches!(given.decided(), Ok(Some(_))), "{:?}", given.decided());
    } else {
        given.then_rejected(Rejection::NotPermitted);
    }
}

#[test]
fn each_command_takes_its_level_and_no_lower_one() {
    for (command, is_enough) in commands() {
        for (user, is_enough) in ["reader", "writer", "sharer"].into_iter().zip(is_enough) {
            check(given(history()).by(user), command.clone(), is_enough);
        }
        for (team, is_enough) in ["team:readers", "team:writers", "team:sharers"].into_iter().zip(is_enough) {
            check(given(history()).by("member").in_team(team), command.clone(), is_enough);
        }
    }
}

#[test]
fn an_owner_a_member_of_the_owning_team_and_an_admin_take_every_command() {
    let admin = Permissions { admin: true, ..Permissions::default() };
    let (from, to) = (principal("alice"), principal("team:owners"));
    let moved = IntegrationEvent::OwnershipTransferred(OwnershipTransferred { from, to, ended_share: None });
    for (command, _) in commands() {
        check(given(history()), command.clone(), true);
        check(
            given(history().into_iter().chain([moved.clone()])).by("m").in_team("team:owners"),
            command.clone(),
            true,
        );
        check(given(history()).by("root").with(admin), command, true);
    }
}

#[test]
fn permissions_to_create_and_to_audit_show_nothing() {
    let others = Permissions { create: true, audit: true, admin: false };
    for (command, _) in commands() {
        given(history()).by("dave").with(others).when(command).then_rejected(Rejection::NotFound);
    }
}

#[test]
fn of_the_levels_of_a_user_and_his_team_the_higher_counts() {
    check(given(history()).by("writer").in_team("team:readers"), rename(), true);
    check(given(history()).by("reader").in_team("team:writers"), rename(), true);
    check(given(history()).by("reader").in_team("team:readers"), rename(), false);
}

#[test]
fn nothing_is_found_before_the_beginning_and_after_the_end() {
    let admin = Permissions { admin: true, ..Permissions::default() };
    let ended = || history().into_iter().chain([deleted()]);
    for (command, _) in commands() {
        given([]).with(admin).if_match(STALE).when(command.clone()).then_rejected(Rejection::NotFound);
        given(ended()).with(admin).if_match(STALE).when(command.clone()).then_rejected(Rejection::NotFound);
        given(ended()).if_exists().when(command).then_rejected(Rejection::NotFound);
    }
}

#[test]
fn who_may_not_see_or_do_it_is_told_so_before_a_stale_tag() {
    for (command, _) in commands() {
        given(history()).by("dave").if_match(STALE).when(command.clone()).then_rejected(Rejection::NotFound);
        given(history()).by("reader").if_match(STALE).when(command.clone()).then_rejected(Rejection::NotPermitted);
        given(history()).by("sharer").if_match(STALE).when(command).then_stale();
    }
}

#[test]
fn an_absent_share_tag_or_icon_is_told_before_a_stale_tag() {
    for command in [unshare("nobody"), Command::RemoveTag { tag: tag("new") }, Command::RemoveIcon] {
        given([created()]).if_match(STALE).when(command).then_rejected(Rejection::NotFound);
    }
}

#[test]
fn who_may_not_do_it_learns_not_whether_share_tag_or_icon_is_there() {
    for command in [unshare("nobody"), Command::RemoveTag { tag: tag("new") }, Command::RemoveIcon] {
        let history = [created(), shared("reader", Level::Read)];
        given(history).by("reader").when(command).then_rejected(Rejection::NotPermitted);
    }
}

#[test]
fn a_stale_tag_is_told_before_a_rule_that_is_broken() {
    let many: Vec<_> = (0..101).map(|number| tag(&format!("t{number}"))).collect();
    let full = TagsSet { tags: many[..100].to_vec(), added: many[..100].to_vec(), removed: Vec::new() };
    let history = || [created(), IntegrationEvent::TagsSet(full.clone())];
    let patch = Patch {
        api_key_name: Field::Value("api[key]".to_owned()),
        api_key_location: Field::Value("header".parse().unwrap()),
        ..Patch::default()
    };
    let update = UpdateIntegration { patch, ..UpdateIntegration::default() };
    let broken = [
        (share("alice", Level::Read), "path:principalId"),
        (Command::SetTags { tags: many.clone() }, "/tags"),
        (Command::AddTag { tag: many[100].clone() }, "path:tagId"),
        (Command::UpdateIntegration(Box::new(update)), "/apiKeyName"),
    ];
    for (command, pointer) in broken {
        given(history()).if_match(STALE).when(command.clone()).then_stale();
        given(history()).when(command).then_invalid(&[pointer]);
    }
}

#[test]
fn a_stale_tag_stops_what_would_change_nothing_too() {
    let unchanged = [
        Command::UpdateIntegration(Box::default()),
        Command::SetTags { tags: tags(&["old"]) },
        Command::AddTag { tag: tag("old") },
        Command::SetIcon(icon("one")),
        share("guest", Level::Read),
        Command::TransferOwnership { to: principal("alice") },
    ];
    for command in unchanged {
        given(history()).if_match(STALE).when(command.clone()).then_stale();
        given(history()).if_match(&[]).when(command.clone()).then_stale();
        given(history()).if_exists().when(command).then_nothing();
    }
}

#[test]
fn the_icons_tag_is_good_for_icon_commands_alone() {
    let digest = icon("one").sha256.to_string();
    for (command, _) in commands() {
        let is_of_icon = matches!(command, Command::SetIcon(_) | Command::RemoveIcon);
        let given = given(history()).if_match(&[&digest]).when(command);
        if is_of_icon {
            assert!(matches!(given.decided(), Ok(Some(_))), "{:?}", given.decided());
        } else {
            given.then_stale();
        }
    }
}
