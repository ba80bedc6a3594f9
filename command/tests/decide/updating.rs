//! Updating settings, secrets and headers.

use std::collections::BTreeMap;

use command::decide::{Command, Field, HeaderPatch, Patch, Rejection, SecretPatch, UpdateIntegration};
use events::{
    event::{IntegrationEvent, IntegrationUpdated, SecretChange, SecretChanges, Secrets},
    principal::Level,
    settings::{Change, Changes, Data},
};
use web::problem::Fault;

use super::given::{created, created_with, given, sealed, secret_header, settings, shared};

fn update(patch: Patch) -> Command {
    Command::UpdateIntegration(Box::new(UpdateIntegration { patch, ..UpdateIntegration::default() }))
}

fn headers(given: &[(&str, HeaderPatch)]) -> Patch {
    let given = given.iter().map(|(name, patch)| (name.to_ascii_lowercase(), patch.clone())).collect();
    Patch { headers: Field::Value(given), ..Patch::default() }
}

fn open(name: &str, value: &str) -> HeaderPatch {
    HeaderPatch::Open { name: name.to_owned(), value: value.to_owned() }
}

fn secret_changes(command: Command) -> SecretChanges {
    let history = [created_with(settings(), secret_header("X-Token"))];
    match given(history).when(command).decided() {
        Ok(Some(IntegrationEvent::Updated(updated))) => updated.secrets,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_update_tells_each_changed_setting_before_and_after() {
    let patch = Patch { name: Some("Teams".to_owned()), description: Field::Value("d".to_owned()), ..Patch::default() };
    let changes = Changes {
        name: Some(Change { from: "Slack".to_owned(), to: "Teams".to_owned() }),
        description: Some(Change { from: None, to: Some("d".to_owned()) }),
        ..Changes::default()
    };
    let event = IntegrationUpdated { changes, secrets: SecretChanges::default() };
    given([created()]).when(update(patch)).then(IntegrationEvent::Updated(Box::new(event)));
}

#[test]
fn an_update_that_changes_nothing_is_no_event() {
    given([created()]).when(update(Patch::default())).then_nothing();
    let same = Patch {
        name: Some("Slack".to_owned()),
        description: Field::Null,
        data: Some(Data::default()),
        ..Patch::default()
    };
    given([created()]).when(update(same)).then_nothing();
    let cleared = SecretPatch { client_secret: Field::Null, ..SecretPatch::default() };
    let command = UpdateIntegration { secrets: cleared, ..UpdateIntegration::default() };
    given([created()]).when(Command::UpdateIntegration(Box::new(command))).then_nothing();
}

#[test]
fn an_update_needs_level_2() {
    let history = || [created(), shared("bob", Level::Read), shared("carol", Level::Write)];
    let patch = || update(Patch { name: Some("Teams".to_owned()), ..Patch::default() });
    given(history()).by("bob").when(patch()).then_rejected(Rejection::NotPermitted);
    given(history()).by("dave").when(patch()).then_rejected(Rejection::NotFound);
    assert!(given(history()).by("carol").when(patch()).decided().unwrap().is_some());
}

#[test]
fn faults_found_before_are_told_with_those_of_the_state_and_after_a_stale_tag() {
    let command = || {
        let patch = Patch { api_base_uri: Field::Value("https://b.example/".parse().unwrap()), ..Patch::default() };
        let faults = vec![Fault::new("/nmae", "is not a field of this request")];
        Command::UpdateIntegration(Box::new(UpdateIntegration { patch, faults, ..UpdateIntegration::default() }))
    };
    let history = || [created_with(settings(), secret_header("X-Token"))];
    given(history()).when(command()).then_invalid(&["/nmae", "/apiBaseUri"]);
    given(history()).if_match(&["9-00000000"]).when(command()).then_stale();
}

#[test]
fn a_secret_always_counts_as_a_change() {
    let secrets = Secrets { api_key: Some(sealed()), ..Secrets::default() };
    let again = SecretPatch { api_key: Field::Value(sealed()), ..SecretPatch::default() };
    let command = UpdateIntegration { secrets: again, ..UpdateIntegration::default() };
    let decided =
        given([created_with(settings(), secrets)]).when(Command::UpdateIntegration(Box::new(command))).decided();
    assert!(matches!(decided, Ok(Some(IntegrationEvent::Updated(_)))));
}

#[test]
fn a_header_is_open_or_secret_and_never_both() {
    let cleared = BTreeMap::from([("X-Token".to_owned(), SecretChange::Cleared)]);
    assert_eq!(secret_changes(update(headers(&[("x-token", open("x-token", "${user.token}"))]))).headers, cleared);
    assert_eq!(secret_changes(update(headers(&[("X-TOKEN", HeaderPatch::Cleared)]))).headers, cleared);
    assert_eq!(secret_changes(update(Patch { headers: Field::Null, ..Patch::default() })).headers, cleared);
    let patch = headers(&[("X-A", open("X-A", "1")), ("X-Token", HeaderPatch::Secret)]);
    let secrets = SecretPatch { headers: BTreeMap::from([("x-Token".to_owned(), sealed())]), ..SecretPatch::default() };
    let command = UpdateIntegration { patch, secrets: secrets.clone(), faults: Vec::new() };
    let set = secrets.headers.into_iter().map(|(name, sealed)| (name, SecretChange::Set(sealed))).collect();
    assert_eq!(secret_changes(Command::UpdateIntegration(Box::new(command))).headers, set);
    // Others stay secret when the open ones are replaced.
    assert!(secret_changes(update(headers(&[("X-A", open("X-A", "1"))]))).is_empty());
}

#[test]
fn an_open_header_becomes_secret_and_is_open_no_more() {
    let opened = headers(&[("X-Token", open("X-Token", "${user.token}"))]);
    let history = [created_with(opened.applied_to(settings()), Secrets::default())];
    let secrets = SecretPatch { headers: BTreeMap::from([("x-token".to_owned(), sealed())]), ..SecretPatch::default() };
    let patch = headers(&[("x-token", HeaderPatch::Secret)]);
    let command = Command::UpdateIntegration(Box::new(UpdateIntegration { patch, secrets, faults: Vec::new() }));
    let Ok(Some(IntegrationEvent::Updated(updated))) = given(history).when(command).decided() else {
        panic!("no update");
    };
    assert!(updated.changes.headers.is_some_and(|change| change.from.len() == 1 && change.to.is_empty()));
    assert!(matches!(updated.secrets.headers["x-token"], SecretChange::Set(_)));
}

#[test]
fn a_secret_is_set_where_there_was_none_and_cleared_where_there_was_one() {
    let update = |secrets| Command::UpdateIntegration(Box::new(UpdateIntegration { secrets, ..Default::default() }));
    let changes = |history: IntegrationEvent, secrets| match given([history]).when(update(secrets)).decided() {
        Ok(Some(IntegrationEvent::Updated(updated))) => updated.secrets,
        other => panic!("{other:?}"),
    };
    let secret = sealed();
    let set = SecretPatch { api_key: Field::Value(secret.clone()), ..SecretPatch::default() };
    let expected = SecretChanges { api_key: Some(SecretChange::Set(secret.clone())), ..SecretChanges::default() };
    assert_eq!(changes(created(), set), expected);
    let both = Secrets { client_secret: Some(secret.clone()), api_key: Some(secret), ..Secrets::default() };
    let cleared = SecretPatch { client_secret: Field::Null, ..SecretPatch::default() };
    let expected = SecretChanges { client_secret: Some(SecretChange::Cleared), ..SecretChanges::default() };
    assert_eq!(changes(created_with(settings(), both), cleared), expected);
}

#[test]
fn there_are_at_most_100_headers_open_and_secret_together() {
    let open_headers = |count: usize| {
        let all = (0..count).map(|number| format!("X-{number}"));
        let patches = all.map(|name| (name.to_ascii_lowercase(), open(&name, "v"))).collect();
        Patch { headers: Field::Value(patches), ..Patch::default() }
    };
    let history = || [created_with(settings(), secret_header("X-Token"))];
    given(history()).when(update(open_headers(100))).then_invalid(&["/headers"]);
    assert!(given(history()).when(update(open_headers(99))).decided().unwrap().is_some());
}

#[test]
fn an_api_key_that_goes_into_a_header_needs_a_headers_name() {
    let patch = |location: &str| Patch {
        api_key_name: Field::Value("api[key]".to_owned()),
        api_key_location: Field::Value(location.parse().unwrap()),
        ..Patch::default()
    };
    given([created()]).when(update(patch("header"))).then_invalid(&["/apiKeyName"]);
    assert!(given([created()]).when(update(patch("query"))).decided().is_ok());
}

#[test]
fn uploads_are_resolved_anew_when_type_or_data_is_given() {
    let decided = |patch| match given([created()]).when(update(patch)).decided() {
        Ok(Some(IntegrationEvent::Updated(updated))) => updated.changes.supports_upload.map(|change| change.to),
        other => panic!("{other:?}"),
    };
    assert_eq!(decided(Patch { r#type: Some("google-drive".to_owned()), ..Patch::default() }), Some(true));
    let data = Data::new(r#"{"supportsUpload":true}"#.to_owned()).unwrap();
    assert_eq!(decided(Patch { data: Some(data), ..Patch::default() }), Some(true));
    assert_eq!(decided(Patch { name: Some("x".to_owned()), ..Patch::default() }), None);
}
