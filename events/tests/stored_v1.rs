//! Events as earlier releases stored them, written by hand and kept for ever, decoded to what they mean today.

use std::collections::{BTreeMap, BTreeSet};

use events::{
    envelope::{Digest, Fingerprint, Metadata, RecordedEvent},
    event::{
        CheckpointReached, DataKeyWrapped, IconRemoved, IconSet, IconType, IntegrationCreated, IntegrationDeleted,
        IntegrationEvent, IntegrationShared, IntegrationUnshared, IntegrationUpdated, OwnershipTransferred,
        SecretChange, SecretChanges, Secrets, SlugReserved, TagsSet,
    },
    ids::{BlobId, EventId, IntegrationId, Position, Revision},
    principal::Level,
    seal::{DataKey, MasterKeys, SecretPlace},
    settings::{ApiKeyLocation, AuthType, Change, Changes, Data, Headers, Mode, Settings},
    stored::{self, Error, Store as _},
    stream::StreamName,
};
use serde::de::DeserializeOwned;
use serde_json::json;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("fixtures/", $name, ".json"))
    };
}

const ID: &str = "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b";
const SHA256_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const DATA: &str = r#"{"ratio": 1.0, "huge": 1e400, "z": [ -0, 1E+2 ], "a": "\u00e4", "supportsUpload": true}"#;

/// Whatever is parsed at a door elsewhere.
fn parse<T: DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).expect("it is valid")
}

fn integration_id() -> IntegrationId {
    IntegrationId::parse(ID).expect("a UUID")
}

fn blob(end: &str) -> BlobId {
    parse(json!(format!("0190a5d0-7c3e-7b7a-9f0e-00000000{end}")))
}

fn recorded(stream: &StreamName, event_type: &str, data: &str) -> RecordedEvent {
    RecordedEvent {
        position: Position::new(42),
        stream: stream.clone(),
        revision: Revision::new(3),
        id: EventId::new(integration_id().uuid()),
        event_type: event_type.to_owned(),
        at: parse(json!("2026-02-28T23:59:58.007Z")),
        data: data.to_owned().into(),
        metadata: "{}".into(),
        hash: Digest::of(b"hash"),
    }
}

fn integration_stream() -> StreamName {
    StreamName::integration(&"acme".parse().expect("a tenant"), integration_id())
}

fn decode(event_type: &str, data: &str) -> Result<IntegrationEvent, Error> {
    stored::integration_fact(&recorded(&integration_stream(), event_type, data)).map(|fact| fact.event)
}

/// What was stored means this, and this is stored as the newest version of it.
#[track_caller]
fn check(event_type: &str, data: &str, expected: &IntegrationEvent) {
    assert_eq!(&decode(event_type, data).expect("it can be read"), expected);
    let newest = expected.to_stored();
    let text = std::str::from_utf8(&newest.data).expect("JSON is UTF-8");
    assert_eq!(&decode(newest.event_type, text).expect("it can be read"), expected);
}

fn sealed(nonce: &str, ciphertext: &str) -> events::seal::Sealed {
    parse(json!({"key": "34ed9699-42f3-4751-879b-8243e425c55d", "nonce": nonce, "ciphertext": ciphertext}))
}

fn settings(supports_upload: bool) -> Settings {
    let mut headers = Headers::default();
    headers.set("X-Team", "a");
    headers.set("accept", "application/json");
    Settings {
        name: "Google Drive \u{e4}\u{1f600}".to_owned(),
        r#type: "google-drive".to_owned(),
        category: Some("storage".to_owned()),
        description: Some("Files of the\nwhole team".to_owned()),
        mode: Mode::Shared,
        auth_type: AuthType::Oauth2,
        scope: Some("openid https://www.googleapis.com/auth/drive".to_owned()),
        auth_uri: Some("https://accounts.google.com/o/oauth2/v2/auth".parse().expect("a URI")),
        token_uri: Some("https://oauth2.googleapis.com/token".parse().expect("a URI")),
        revocation_uri: Some("https://oauth2.googleapis.com/revoke".parse().expect("a URI")),
        api_base_uri: Some("https://www.googleapis.com/drive/v3".parse().expect("a URI")),
        client_id: Some("123.apps.googleusercontent.com".to_owned()),
        basic_token_auth: Some(true),
        api_key_location: Some(ApiKeyLocation::Query),
        api_key_name: Some("key".to_owned()),
        image_url: Some("/images/google-drive.png".parse().expect("a path")),
        headers,
        data: Data::new(DATA.to_owned()).expect("JSON"),
        supports_upload,
    }
}

fn least_settings() -> Settings {
    Settings {
        name: "N".to_owned(),
        r#type: "custom".to_owned(),
        category: None,
        description: None,
        mode: Mode::PerUser,
        auth_type: AuthType::Bearer,
        scope: None,
        auth_uri: None,
        token_uri: None,
        revocation_uri: None,
        api_base_uri: None,
        client_id: None,
        basic_token_auth: None,
        api_key_location: None,
        api_key_name: None,
        image_url: None,
        headers: Headers::default(),
        data: Data::default(),
        supports_upload: false,
    }
}

fn created(library: Option<&str>, settings: Settings, secrets: Secrets) -> IntegrationEvent {
    IntegrationEvent::Created(Box::new(IntegrationCreated {
        slug: "google-drive-2".parse().expect("a slug"),
        owner: "team:analytics".parse().expect("a principal"),
        library: library.map(|library| library.parse().expect("a library")),
        settings,
        secrets,
    }))
}

#[test]
fn integration_created_v1_had_no_library_and_did_not_tell_whether_it_supports_uploads() {
    let secrets = Secrets {
        client_secret: Some(sealed("HxjIVIGqFtKFR62g", "AQy/lRPCRAnYQ+3FtwGFWJ0kvCaXw1icB7jLVfvhw3Y=")),
        api_key: Some(sealed("BknnaHDOopISNReF", "0iz32QaoJJUBKgORij/3E5r6vuqygzBgRZai6oXjJDkH")),
        headers: BTreeMap::from([(
            "X-Secret".to_owned(),
            sealed("X08mRkytFG1FYwyp", "GdLMr6PlSorgzRXQJIzQelnLZ1QFfApRAA=="),
        )]),
    };
    let expected = created(None, settings(false), secrets);
    check("IntegrationCreated.v1", fixture!("v1/IntegrationCreated.v1"), &expected);
}

#[test]
fn integration_created_v1_keeps_its_data_as_it_was_given() {
    let event = decode("IntegrationCreated.v1", fixture!("v1/IntegrationCreated.v1")).expect("it can be read");
    let IntegrationEvent::Created(created) = event else { panic!("{event:?}") };
    assert_eq!(created.settings.data.as_str(), DATA);
}

#[test]
fn integration_created_v1_with_the_least_that_it_can_have() {
    let event = decode("IntegrationCreated.v1", fixture!("v1/IntegrationCreated.v1.least")).expect("it can be read");
    let v2 = decode("IntegrationCreated.v2", fixture!("v2/IntegrationCreated.v2.least")).expect("it can be read");
    assert_eq!(event, v2);
    let IntegrationEvent::Created(created) = event else { panic!("{event:?}") };
    assert_eq!(created.settings, least_settings());
    assert!(created.secrets.is_empty());
    assert_eq!((created.slug.as_str(), created.owner.as_str(), created.library), ("n", "alice", None));
}

#[test]
fn integration_created_v2() {
    let secrets = Secrets {
        client_secret: Some(sealed("JLev6W9WHVvxE49Z", "T9QliPSxYx3nx5lz6KvOkMJFq+NRsEFgpbtf3Brm6hk=")),
        api_key: Some(sealed("a+hbKpnczH1jRAVO", "EAdeFtgNfvBiH8HUAr3NHw==")),
        headers: BTreeMap::from([(
            "X-Secret".to_owned(),
            sealed("wrz0/wLlV9Uy1lUP", "2k8lRh2HWudQ/ckjtLJTQabp2AOoZmFEzg=="),
        )]),
    };
    let expected = created(Some("lib:7"), settings(true), secrets);
    check("IntegrationCreated.v2", fixture!("v2/IntegrationCreated.v2"), &expected);
}

#[test]
fn integration_updated_v1() {
    let change = |from: &str, to: &str| Some(Change { from: from.to_owned(), to: to.to_owned() });
    let data = |text: &str| Data::new(text.to_owned()).expect("JSON");
    let mut headers = Headers::default();
    headers.set("X-Team", "a");
    let auth_uri = "https://accounts.google.com/o/oauth2/v2/auth".parse().expect("a URI");
    let changes = Changes {
        name: change("Drive", "Google Drive"),
        category: Some(Change { from: None, to: Some("storage".to_owned()) }),
        scope: Some(Change { from: Some("openid".to_owned()), to: None }),
        auth_uri: Some(Change { from: None, to: Some(auth_uri) }),
        mode: Some(Change { from: Mode::PerUser, to: Mode::Shared }),
        headers: Some(Change { from: headers, to: Headers::default() }),
        data: Some(Change { from: data(r#"{"n": 1.0}"#), to: data(r#"{"n":  1}"#) }),
        supports_upload: Some(Change { from: false, to: true }),
        ..Changes::default()
    };
    let client_secret = sealed("ZTWXFVaGTd0TGjyk", "clVkiNHMpuP4y98LUtSimNRuB8i+91G+Mj9ZyrMwuK+TOK3qSA==");
    let header = sealed("C4/vBzX35GcK5ZQ5", "BJsLoMN/ENfH0X9Fyoue2Nfup6zayR3AHt8dGfRl");
    let headers = [("X-Old", SecretChange::Cleared), ("X-Secret", SecretChange::Set(header))];
    let secrets = SecretChanges {
        client_secret: Some(SecretChange::Set(client_secret)),
        api_key: Some(SecretChange::Cleared),
        headers: headers.map(|(name, change)| (name.to_owned(), change)).into(),
    };
    let expected = IntegrationEvent::Updated(Box::new(IntegrationUpdated { changes, secrets }));
    check("IntegrationUpdated.v1", fixture!("v1/IntegrationUpdated.v1"), &expected);
}

#[test]
fn integration_deleted_v1() {
    let mut deleted = IntegrationDeleted {
        owner: parse(json!("alice")),
        slug: parse(json!("google-drive-2")),
        library: Some(parse(json!("lib:7"))),
        tags: parse(json!(["t:2", "t:1"])),
        shares: [("bob", Level::Read), ("team:analytics", Level::Admin)]
            .map(|(principal, level)| (parse(json!(principal)), level))
            .into(),
        icon: Some(blob("b10b")),
        key: Some(parse(json!("34ed9699-42f3-4751-879b-8243e425c55d"))),
    };
    let whole = IntegrationEvent::Deleted(deleted.clone());
    check("IntegrationDeleted.v1", fixture!("v1/IntegrationDeleted.v1"), &whole);
    (deleted.library, deleted.icon, deleted.key) = (None, None, None);
    deleted.tags.clear();
    deleted.shares.clear();
    let least = IntegrationEvent::Deleted(deleted);
    check("IntegrationDeleted.v1", fixture!("v1/IntegrationDeleted.v1.least"), &least);
}

#[test]
fn integration_shared_v1() {
    let shared = |principal: &str, level, previous| {
        IntegrationEvent::Shared(IntegrationShared { principal: parse(json!(principal)), level, previous })
    };
    let again = shared("bob", Level::Write, Some(Level::Read));
    check("IntegrationShared.v1", fixture!("v1/IntegrationShared.v1"), &again);
    let first = shared("team:analytics", Level::Admin, None);
    check("IntegrationShared.v1", fixture!("v1/IntegrationShared.v1.least"), &first);
}

#[test]
fn integration_unshared_v1() {
    let unshared = IntegrationUnshared { principal: parse(json!("bob")), level: Level::Write };
    let expected = IntegrationEvent::Unshared(unshared);
    check("IntegrationUnshared.v1", fixture!("v1/IntegrationUnshared.v1"), &expected);
}

#[test]
fn ownership_transferred_v1() {
    let transferred = |from: &str, ended_share| {
        let (from, to) = (parse(json!(from)), parse(json!("bob")));
        IntegrationEvent::OwnershipTransferred(OwnershipTransferred { from, to, ended_share })
    };
    let shared = transferred("alice", Some(Level::Admin));
    check("OwnershipTransferred.v1", fixture!("v1/OwnershipTransferred.v1"), &shared);
    let stranger = transferred("team:analytics", None);
    check("OwnershipTransferred.v1", fixture!("v1/OwnershipTransferred.v1.least"), &stranger);
}

#[test]
fn tags_set_v1() {
    let tags = |tags: &[&str]| parse(json!(tags));
    let set = TagsSet { tags: tags(&["c", "a"]), added: tags(&["c"]), removed: tags(&["b"]) };
    check("TagsSet.v1", fixture!("v1/TagsSet.v1"), &IntegrationEvent::TagsSet(set));
}

#[test]
fn icon_set_v1() {
    let icon = |media_type, size, replaces| {
        let sha256 = Digest::of(b"");
        IntegrationEvent::IconSet(IconSet { blob: blob("b10b"), sha256, media_type, size, replaces })
    };
    let second = icon(IconType::Svg, 524_288, Some(blob("b10a")));
    check("IconSet.v1", fixture!("v1/IconSet.v1"), &second);
    check("IconSet.v1", fixture!("v1/IconSet.v1.least"), &icon(IconType::Png, 0, None));
}

#[test]
fn icon_removed_v1() {
    let expected = IntegrationEvent::IconRemoved(IconRemoved { blob: blob("b10b") });
    check("IconRemoved.v1", fixture!("v1/IconRemoved.v1"), &expected);
}

#[test]
fn slug_reserved_v1() {
    let stream = StreamName::slug(&parse(json!("acme")), &parse(json!("google-drive-2")));
    let reserved = recorded(&stream, "SlugReserved.v1", fixture!("v1/SlugReserved.v1"));
    let expected = SlugReserved { integration: integration_id() };
    assert_eq!(stored::slug_reserved(&reserved).expect("it can be read"), expected);
    assert_eq!(expected.to_stored().event_type, "SlugReserved.v1");
}

#[test]
fn checkpoint_reached_v1() {
    let stream = StreamName::janitor_checkpoint();
    let reached = recorded(&stream, "CheckpointReached.v1", fixture!("v1/CheckpointReached.v1"));
    let expected = CheckpointReached { position: Position::new(9_007_199_254_740_993) };
    assert_eq!(stored::checkpoint_reached(&reached).expect("it can be read"), expected);
    assert_eq!(expected.to_stored().event_type, "CheckpointReached.v1");
}

fn data_key_wrapped() -> DataKeyWrapped {
    let stream = StreamName::key(&parse(json!("acme")), integration_id());
    let wrapped = recorded(&stream, "DataKeyWrapped.v1", fixture!("v1/DataKeyWrapped.v1"));
    stored::data_key_wrapped(&wrapped).expect("it can be read")
}

/// The data key of the fixtures; their master key is the bytes 0 to 31.
fn data_key() -> DataKey {
    let masters = MasterKeys::parse("test-1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").expect("a key file");
    masters.unwrap(&parse(json!("acme")), integration_id(), &data_key_wrapped().wrapped).expect("it opens")
}

#[test]
fn data_key_wrapped_v1() {
    let wrapped = data_key_wrapped();
    assert_eq!(wrapped.wrapped.master_key(), "test-1");
    assert_eq!(wrapped.wrapped.key().to_string(), "34ed9699-42f3-4751-879b-8243e425c55d");
    assert_eq!(wrapped.to_stored().event_type, "DataKeyWrapped.v1");
    assert_eq!(data_key().id(), wrapped.wrapped.key());
    let fingerprint = data_key().fingerprint(b"message").to_string();
    assert_eq!(fingerprint, "ad16e8b0dc0b292c1b4964591285b8f63b77995f300126af85181bb7878766fa");
}

#[test]
fn sealed_secrets_of_every_version_open_for_their_place() {
    let tenant = parse(json!("acme"));
    let open = |event_type: &str, data: &str, expected: [(&str, &str); 3]| {
        let value: serde_json::Value = serde_json::from_str(&data.replace("1e400", "0")).expect("JSON");
        for (field, expected) in expected {
            let path = field.replace("x-secret", "X-Secret");
            let sealed = value.pointer(&format!("/secrets/{path}")).expect("it is there");
            let sealed = sealed.get("set").unwrap_or(sealed).clone();
            let place = SecretPlace { tenant: &tenant, integration: integration_id(), event_type, field };
            assert_eq!(data_key().open(place, &parse(sealed)).expect("it opens").expose(), expected);
        }
    };
    let v1 = [
        ("clientSecret", "v1 client secret"),
        ("apiKey", "v1 API key \u{e4}\u{1f600}"),
        ("headers/x-secret", "v1 header"),
    ];
    open("IntegrationCreated.v1", fixture!("v1/IntegrationCreated.v1"), v1);
    let v2 = [("clientSecret", "v2 client secret"), ("apiKey", ""), ("headers/x-secret", "v2 header")];
    open("IntegrationCreated.v2", fixture!("v2/IntegrationCreated.v2"), v2);
    let header = ("headers/x-secret", "another header");
    let updated = [("clientSecret", "another client secret"), header, header];
    open("IntegrationUpdated.v1", fixture!("v1/IntegrationUpdated.v1"), updated);
}

#[test]
fn metadata_v1() {
    let mut recorded = recorded(&integration_stream(), "TagsSet.v1", "{}");
    recorded.metadata = fixture!("v1/metadata").into();
    let secrets = parse(json!("ad16e8b0dc0b292c1b4964591285b8f63b77995f300126af85181bb7878766fa"));
    let expected = Metadata {
        tenant: Some(parse(json!("acme"))),
        actor: Some(parse(json!("alice"))),
        time: parse(json!("2026-02-28T23:59:58.007Z")),
        correlation_id: Some("c-1".to_owned()),
        causation_id: Some(parse(json!("0190a5d0-7c3e-7b7a-9f0e-0000000000ca"))),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        reason: Some("because".to_owned()),
        client: Some("2001:db8::1".to_owned()),
        fingerprint: Some(Fingerprint { request: parse(json!(SHA256_OF_NOTHING)), secrets: Some(secrets) }),
    };
    assert_eq!(stored::metadata(&recorded).expect("it can be read"), expected);
}

#[test]
fn a_fact_is_told_with_its_place() {
    let event = recorded(&integration_stream(), "IconRemoved.v1", fixture!("v1/IconRemoved.v1"));
    let fact = stored::integration_fact(&event).expect("it can be read");
    assert_eq!((fact.tenant.as_str(), fact.integration), ("acme", integration_id()));
    assert_eq!((fact.position, fact.revision), (event.position, event.revision));
    assert_eq!((fact.at, fact.hash), (event.at, event.hash));
}

#[test]
fn a_type_or_version_that_this_release_does_not_know_is_told_from_a_broken_event() {
    for unknown in ["IntegrationCreated.v3", "IntegrationCreated", "IntegrationRenamed.v1", "TagsSet.v2", "tagsset.v1"]
    {
        match decode(unknown, "{}") {
            Err(Error::UnknownType { event_type, position: 42 }) => assert_eq!(event_type, unknown),
            other => panic!("{unknown}: {other:?}"),
        }
    }
    let stream = StreamName::key(&parse(json!("acme")), integration_id());
    let other = recorded(&stream, "DataKeyWrapped.v2", fixture!("v1/DataKeyWrapped.v1"));
    assert!(matches!(stored::data_key_wrapped(&other), Err(Error::UnknownType { .. })));
    assert!(matches!(stored::slug_reserved(&other), Err(Error::UnknownType { .. })));
    assert!(matches!(stored::checkpoint_reached(&other), Err(Error::UnknownType { .. })));
}

#[test]
fn a_stream_that_is_no_integrations_holds_no_facts_of_one() {
    let stream = StreamName::parse("integration-acme:not-a-uuid").expect("a name");
    let misplaced = recorded(&stream, "TagsSet.v1", fixture!("v1/TagsSet.v1"));
    assert!(matches!(stored::integration_fact(&misplaced), Err(Error::Misplaced(name)) if name == stream.as_str()));
}

#[test]
fn broken_data_is_told_as_such() {
    let short_digest = fixture!("v1/IconSet.v1").replace(SHA256_OF_NOTHING, "e3b0");
    let upper_case = fixture!("v1/IconSet.v1").replace(SHA256_OF_NOTHING, &SHA256_OF_NOTHING.to_uppercase());
    let bad_slug = fixture!("v1/IntegrationCreated.v1").replace("google-drive-2", "Google Drive");
    let bad_uri = fixture!("v1/IntegrationCreated.v1").replace("https://oauth2", "ftp://oauth2");
    let bad_seal = fixture!("v2/IntegrationCreated.v2").replace("EAdeFtgNfvBiH8HUAr3NHw==", "not base64");
    let without_upload = fixture!("v2/IntegrationCreated.v2").replace("\"supportsUpload\": true\n", "\"x\": 1\n");
    let without_name = fixture!("v1/IntegrationCreated.v1").replace("\"name\"", "\"names\"");
    let cut = &fixture!("v1/IntegrationUpdated.v1")[..100];
    for (event_type, data) in [
        ("IntegrationCreated.v1", "{}"),
        ("IntegrationCreated.v1", &bad_slug),
        ("IntegrationCreated.v1", &bad_uri),
        ("IntegrationCreated.v2", "[]"),
        ("IntegrationCreated.v2", &bad_seal),
        ("IntegrationCreated.v2", &without_upload),
        ("IntegrationCreated.v1", &without_name),
        ("IntegrationUpdated.v1", cut),
        ("IntegrationUpdated.v1", ""),
        ("IntegrationDeleted.v1", r#"{"owner": "alice"}"#),
        ("IntegrationShared.v1", r#"{"principal": "bob", "level": 4}"#),
        ("IntegrationShared.v1", r#"{"principal": "", "level": 1}"#),
        ("IntegrationUnshared.v1", r#"{"principal": "bob", "level": "1"}"#),
        ("OwnershipTransferred.v1", r#"{"from": "alice", "to": null}"#),
        ("TagsSet.v1", r#"{"tags": ["a b"], "added": [], "removed": []}"#),
        ("IconSet.v1", &short_digest),
        ("IconSet.v1", &upper_case),
        ("IconRemoved.v1", r#"{"blob": "x"}"#),
    ] {
        match decode(event_type, data) {
            Err(Error::Broken { event_type: told, position: 42, .. }) => assert_eq!(told, event_type),
            other => panic!("{event_type} {data}: {other:?}"),
        }
    }
}

#[test]
fn every_type_that_was_ever_stored_has_its_fixture() {
    let source = include_str!("../src/stored.rs");
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let names = source.split('"').filter(|text| {
        text.split_once(".v")
            .is_some_and(|(name, version)| name.chars().all(char::is_alphanumeric) && version.parse::<u32>().is_ok())
    });
    let names: BTreeSet<_> = names.filter(|name| *name != stored::ICON_UPLOADED).collect();
    assert!(names.len() >= 13, "{names:?}");
    for name in names {
        let version = name.rsplit('.').next().expect("a name has a version");
        assert!(directory.join(version).join(format!("{name}.json")).exists(), "{name}");
    }
}
