//! Secrets belong to the origins that they were given for: the whole table.

use command::decide::{Command, Field, Patch, SecretPatch, UpdateIntegration};
use events::{
    event::{IntegrationEvent, Secrets},
    seal::Sealed,
    settings::Settings,
    uri::HttpUri,
};

use super::given::{created_with, given, sealed, secret_header, settings};

const POINTERS: [&str; 4] = ["/authUri", "/tokenUri", "/revocationUri", "/apiBaseUri"];

fn uri(text: &str) -> HttpUri {
    text.parse().unwrap()
}

fn patch(which: usize, field: Field<HttpUri>) -> Patch {
    let mut fields = [Field::Absent, Field::Absent, Field::Absent, Field::Absent];
    fields[which] = field;
    let [auth_uri, token_uri, revocation_uri, api_base_uri] = fields;
    Patch { auth_uri, token_uri, revocation_uri, api_base_uri, ..Patch::default() }
}

fn with_uri(which: usize, text: &str) -> Settings {
    patch(which, Field::Value(uri(text))).applied_to(settings())
}

/// Each kind of stored secret, and the patch that gives it again.
fn kinds() -> [(Secrets, SecretPatch<Sealed>); 3] {
    [
        (
            Secrets { client_secret: Some(sealed()), ..Secrets::default() },
            SecretPatch { client_secret: Field::Value(sealed()), ..SecretPatch::default() },
        ),
        (
            Secrets { api_key: Some(sealed()), ..Secrets::default() },
            SecretPatch { api_key: Field::Value(sealed()), ..SecretPatch::default() },
        ),
        (
            secret_header("X-Token"),
            SecretPatch { headers: [("x-token".to_owned(), sealed())].into(), ..SecretPatch::default() },
        ),
    ]
}

fn update(patch: Patch, secrets: SecretPatch<Sealed>) -> Command {
    Command::UpdateIntegration(Box::new(UpdateIntegration { patch, secrets, faults: Vec::new() }))
}

/// Follows updates: each is decided on the state that those before it made.
fn follow(history: &mut Vec<IntegrationEvent>, command: Command) {
    let event = given(history.clone()).when(command).decided().unwrap().unwrap();
    history.push(event);
}

#[test]
fn another_origin_demands_the_secret_again() {
    for (which, pointer) in POINTERS.into_iter().enumerate() {
        for (secrets, again) in kinds() {
            let history = vec![created_with(with_uri(which, "https://a.example/"), secrets)];
            let moved = || patch(which, Field::Value(uri("https://b.example/")));
            given(history.clone()).when(update(moved(), SecretPatch::default())).then_invalid(&[pointer]);
            let mut given_again = history;
            follow(&mut given_again, update(moved(), again));
            // Now it belongs to the new origin, and no more to the old one.
            let back = patch(which, Field::Value(uri("https://a.example/")));
            given(given_again).when(update(back, SecretPatch::default())).then_invalid(&[pointer]);
        }
    }
}

#[test]
fn a_uri_set_where_there_was_none_demands_the_secret_again() {
    for (which, pointer) in POINTERS.into_iter().enumerate() {
        for (secrets, again) in kinds() {
            let history = [created_with(settings(), secrets)];
            let set = || patch(which, Field::Value(uri("https://a.example/")));
            given(history.clone()).when(update(set(), SecretPatch::default())).then_invalid(&[pointer]);
            assert!(given(history).when(update(set(), again)).decided().unwrap().is_some());
        }
    }
}

#[test]
fn a_cleared_uri_is_remembered_by_the_secret() {
    for (which, pointer) in POINTERS.into_iter().enumerate() {
        for (secrets, _) in kinds() {
            let mut history = vec![created_with(with_uri(which, "https://a.example/"), secrets)];
            follow(&mut history, update(patch(which, Field::Null), SecretPatch::default()));
            let other = patch(which, Field::Value(uri("https://b.example/")));
            given(history.clone()).when(update(other, SecretPatch::default())).then_invalid(&[pointer]);
            let same = patch(which, Field::Value(uri("https://A.example:443/path")));
            assert!(given(history).when(update(same, SecretPatch::default())).decided().unwrap().is_some());
        }
    }
}

#[test]
fn clearing_the_secret_in_the_same_body_is_free() {
    for which in 0..POINTERS.len() {
        for (secrets, _) in kinds() {
            let history = vec![created_with(with_uri(which, "https://a.example/"), secrets)];
            let mut moved = patch(which, Field::Value(uri("https://b.example/")));
            moved.headers = Field::Null;
            let cleared = SecretPatch { client_secret: Field::Null, api_key: Field::Null, ..SecretPatch::default() };
            assert!(given(history).when(update(moved, cleared)).decided().unwrap().is_some());
        }
    }
}

#[test]
fn every_uri_that_moved_is_told_at_once() {
    let (secrets, _) = kinds()[0].clone();
    let mut all = Patch::default();
    for target in [&mut all.auth_uri, &mut all.token_uri, &mut all.revocation_uri, &mut all.api_base_uri] {
        *target = Field::Value(uri("https://b.example/"));
    }
    given([created_with(settings(), secrets)]).when(update(all, SecretPatch::default())).then_invalid(&POINTERS);
}

#[test]
fn each_of_several_stored_secrets_must_be_given_again_or_cleared() {
    let both = Secrets { client_secret: Some(sealed()), api_key: Some(sealed()), ..Secrets::default() };
    let history = || [created_with(with_uri(3, "https://a.example/"), both.clone())];
    let moved = || patch(3, Field::Value(uri("https://b.example/")));
    let one = || SecretPatch { client_secret: Field::Value(sealed()), ..SecretPatch::default() };
    given(history()).when(update(moved(), one())).then_invalid(&["/apiBaseUri"]);
    let given_and_given = SecretPatch { api_key: Field::Value(sealed()), ..one() };
    assert!(given(history()).when(update(moved(), given_and_given)).decided().unwrap().is_some());
    let given_and_cleared = SecretPatch { api_key: Field::Null, ..one() };
    assert!(given(history()).when(update(moved(), given_and_cleared)).decided().unwrap().is_some());
}

#[test]
fn a_secret_given_later_belongs_to_the_origins_of_that_time() {
    for (which, pointer) in POINTERS.into_iter().enumerate() {
        for (_, first) in kinds() {
            let mut history = vec![created_with(with_uri(which, "https://a.example/"), Secrets::default())];
            // Without a stored secret every URI may move.
            follow(&mut history, update(patch(which, Field::Value(uri("https://b.example/"))), SecretPatch::default()));
            follow(&mut history, update(Patch::default(), first));
            let back = patch(which, Field::Value(uri("https://a.example/")));
            given(history.clone()).when(update(back, SecretPatch::default())).then_invalid(&[pointer]);
            let same = patch(which, Field::Value(uri("https://b.example/other")));
            assert!(given(history).when(update(same, SecretPatch::default())).decided().unwrap().is_some());
        }
    }
}

#[test]
fn scheme_host_and_port_are_what_makes_an_origin() {
    let (secrets, _) = kinds()[0].clone();
    let history = || [created_with(with_uri(3, "https://a.example/v1"), secrets.clone())];
    let moved = |to: &str| update(patch(3, Field::Value(uri(to))), SecretPatch::default());
    for other in
        ["http://a.example/v1", "https://a.example:8443/v1", "https://b.a.example/v1", "https://a.example.b/v1"]
    {
        given(history()).when(moved(other)).then_invalid(&["/apiBaseUri"]);
    }
    for same in ["https://a.example:443/v1?x", "https://A.EXAMPLE/v2", "https://a.example"] {
        assert!(given(history()).when(moved(same)).decided().unwrap().is_some(), "{same}");
    }
}
