//! Any value of each type of the vocabulary. The large ones are boxed: side by side they would not fit a test's stack.

use std::collections::BTreeMap;

use chrono::DateTime;
use data_encoding::BASE64;
use events::{
    envelope::{Digest, Fingerprint, Metadata},
    event::{
        IconRemoved, IconSet, IconType, IntegrationCreated, IntegrationDeleted, IntegrationEvent, IntegrationShared,
        IntegrationUnshared, IntegrationUpdated, OwnershipTransferred, SecretChange, SecretChanges, Secrets, TagsSet,
    },
    ids::{BlobId, EventId, IntegrationId, KeyId, LibraryId, Position, PrincipalId, Revision, Slug, TagId, TenantId},
    integration::Fact,
    principal::Level,
    seal::{Sealed, WrappedKey},
    settings::{ApiKeyLocation, AuthType, Changes, Data, Headers, Mode, Settings},
    time::Timestamp,
    uri::{HttpUri, ImageUrl},
};
use proptest::{collection::vec, option::of, prelude::*, sample::select};
use serde_json::json;
use uuid::Uuid;

/// Any characters, control characters and emoji too.
pub(crate) fn text() -> BoxedStrategy<String> {
    vec(any::<char>(), 0..24).prop_map(|characters| characters.into_iter().collect()).boxed()
}

pub(crate) fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

pub(crate) fn integration_id() -> impl Strategy<Value = IntegrationId> {
    uuid().prop_filter_map("nil and max are none", |uuid| IntegrationId::new(uuid).ok())
}

pub(crate) fn event_id() -> impl Strategy<Value = EventId> {
    uuid().prop_map(EventId::new)
}

pub(crate) fn blob_id() -> impl Strategy<Value = BlobId> {
    uuid().prop_map(BlobId::new)
}

pub(crate) fn key_id() -> impl Strategy<Value = KeyId> {
    uuid().prop_map(KeyId::new)
}

pub(crate) fn tenant() -> impl Strategy<Value = TenantId> {
    "[A-Za-z0-9._-]{1,64}".prop_map(|text| text.parse().expect("it keeps the rule"))
}

pub(crate) fn slug() -> impl Strategy<Value = Slug> {
    "[a-z0-9]{1,10}(-[a-z0-9]{1,10}){0,6}".prop_map(|text| text.parse().expect("it keeps the rule"))
}

pub(crate) fn tag() -> impl Strategy<Value = TagId> {
    "[A-Za-z0-9._:-]{1,64}".prop_map(|text| text.parse().expect("it keeps the rule"))
}

pub(crate) fn library() -> impl Strategy<Value = LibraryId> {
    "[A-Za-z0-9._:-]{1,64}".prop_map(|text| text.parse().expect("it keeps the rule"))
}

pub(crate) fn principal() -> impl Strategy<Value = PrincipalId> {
    let name = vec(any::<char>().prop_filter("no control characters", |c| !c.is_control()), 1..40);
    (any::<bool>(), name).prop_map(|(is_team, name)| {
        let name: String = name.into_iter().collect();
        let text = if is_team { format!("team:{name}") } else { name };
        text.parse().expect("it keeps the rule")
    })
}

pub(crate) fn uri_text() -> impl Strategy<Value = String> {
    let host = "[a-zA-Z0-9]{1,10}(\\.[a-z0-9]{1,10}){0,2}\\.[a-z]{2,5}|localhost|127\\.0\\.0\\.1|\\[::1\\]";
    let port = of(1..65_535_u16).prop_map(|port| port.map(|port| format!(":{port}")).unwrap_or_default());
    let path = "(/[A-Za-z0-9._~!$&'()*+,;=:@-]{0,8}|/%[0-9A-Fa-f]{2}){0,4}";
    let query = "(\\?[A-Za-z0-9=&/?%]{0,0}[A-Za-z0-9=&/?]{0,12})?";
    (select(vec!["http", "https", "HTTPS"]), host, port, path, query)
        .prop_map(|(scheme, host, port, path, query)| format!("{scheme}://{host}{port}{path}{query}"))
}

pub(crate) fn uri() -> BoxedStrategy<HttpUri> {
    uri_text().prop_map(|text| text.parse().expect("a URI")).boxed()
}

pub(crate) fn image_url() -> BoxedStrategy<ImageUrl> {
    let path = "/[A-Za-z0-9._-]{1,10}(/[A-Za-z0-9._-]{0,10}){0,3}";
    prop_oneof![path, uri_text()].prop_map(|text| text.parse().expect("a URL")).boxed()
}

pub(crate) fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::new)
}

pub(crate) fn timestamp() -> impl Strategy<Value = Timestamp> {
    let in_this_century = 946_684_800_000..4_102_444_800_000_i64;
    in_this_century.prop_map(|ms| Timestamp::new(DateTime::from_timestamp_millis(ms).expect("in range")))
}

pub(crate) fn level() -> impl Strategy<Value = Level> {
    select(vec![Level::Read, Level::Write, Level::Admin])
}

/// JSON text as people and programs write it: any white space, any form of a number, any escape.
fn json_text() -> BoxedStrategy<String> {
    let number = "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?";
    let quoted = text().prop_map(|text| json!(text).to_string());
    let escaped = "\"(\\\\u[0-9a-cA-C][0-9a-fA-F]{3}|\\\\[\"\\\\/bfnrt]|[a-z]){0,6}\"";
    let leaf = prop_oneof![number, quoted, escaped, select(vec!["null", "true", "false"]).prop_map(str::to_owned)];
    let space = "[ \\t\\r\\n]{0,2}";
    leaf.prop_recursive(3, 24, 4, move |inner| {
        let spaced = (space, inner, space).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
        let array = vec(spaced, 0..4).prop_map(|items| format!("[{}]", items.join(",")));
        prop_oneof![array.clone(), array.prop_map(|array| format!("{{\"a\":{array}}}"))]
    })
    .boxed()
}

pub(crate) fn data() -> BoxedStrategy<Data> {
    let member = (text(), "[ \\n]{0,2}", json_text());
    vec(member, 0..5)
        .prop_map(|members| {
            let members = members.into_iter().map(|(name, space, value)| format!("{}:{space}{value}", json!(name)));
            Data::new(format!("{{{}}}", members.collect::<Vec<_>>().join(", "))).expect("it is JSON")
        })
        .boxed()
}

pub(crate) fn headers() -> BoxedStrategy<Headers> {
    vec(("[A-Za-z0-9-]{1,6}", text()), 0..5)
        .prop_map(|pairs| {
            let mut headers = Headers::default();
            for (name, value) in pairs {
                headers.set(&name, &value);
            }
            headers
        })
        .boxed()
}

pub(crate) fn settings() -> BoxedStrategy<Settings> {
    let modes = select(vec![Mode::PerUser, Mode::Shared]);
    let auth_types = select(vec![AuthType::Oauth2, AuthType::ApiKey, AuthType::Basic, AuthType::Bearer]);
    let locations = of(select(vec![ApiKeyLocation::Header, ApiKeyLocation::Query]));
    let texts = (text(), text(), of(text()), of(text()), of(text()), of(text()), of(text()));
    let uris = (of(uri()), of(uri()), of(uri()), of(uri()), of(image_url()));
    let rest = (modes, auth_types, of(any::<bool>()), locations, headers(), data(), any::<bool>());
    (texts, uris, rest)
        .prop_map(|(texts, uris, rest)| {
            let (name, r#type, category, description, scope, client_id, api_key_name) = texts;
            let (auth_uri, token_uri, revocation_uri, api_base_uri, image_url) = uris;
            let (mode, auth_type, basic_token_auth, api_key_location, headers, data, supports_upload) = rest;
            Settings {
                name,
                r#type,
                category,
                description,
                mode,
                auth_type,
                scope,
                auth_uri,
                token_uri,
                revocation_uri,
                api_base_uri,
                client_id,
                basic_token_auth,
                api_key_location,
                api_key_name,
                image_url,
                headers,
                data,
                supports_upload,
            }
        })
        .boxed()
}

pub(crate) fn sealed() -> BoxedStrategy<Sealed> {
    (key_id(), any::<[u8; 12]>(), vec(any::<u8>(), 16..40))
        .prop_map(|(key, nonce, ciphertext)| {
            let (nonce, ciphertext) = (BASE64.encode(&nonce), BASE64.encode(&ciphertext));
            serde_json::from_value(json!({"key": key, "nonce": nonce, "ciphertext": ciphertext})).expect("sealed")
        })
        .boxed()
}

pub(crate) fn wrapped() -> impl Strategy<Value = WrappedKey> {
    ("[!-~]{1,12}", key_id(), any::<[u8; 12]>(), any::<[u8; 48]>()).prop_map(|(master, key, nonce, ciphertext)| {
        let (nonce, ciphertext) = (BASE64.encode(&nonce), BASE64.encode(&ciphertext));
        let wrapped = json!({"masterKey": master, "key": key, "nonce": nonce, "ciphertext": ciphertext});
        serde_json::from_value(wrapped).expect("wrapped")
    })
}

/// Few names in few spellings, so that changes meet what is there.
fn header_name() -> impl Strategy<Value = String> {
    select(vec!["x-a", "X-A", "x-b", "Accept"]).prop_map(str::to_owned)
}

fn by_header<T: std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = BTreeMap<String, T>> {
    vec((header_name(), value), 0..3).prop_map(|pairs| pairs.into_iter().collect())
}

fn secrets() -> impl Strategy<Value = Secrets> {
    (of(sealed()), of(sealed()), by_header(sealed())).prop_map(|(client_secret, api_key, headers)| Secrets {
        client_secret,
        api_key,
        headers,
    })
}

fn secret_changes() -> impl Strategy<Value = SecretChanges> {
    let change = || prop_oneof![sealed().prop_map(SecretChange::Set), Just(SecretChange::Cleared)];
    (of(change()), of(change()), by_header(change())).prop_map(|(client_secret, api_key, headers)| SecretChanges {
        client_secret,
        api_key,
        headers,
    })
}

/// Few principals, so that shares and owners meet.
fn some_principal() -> impl Strategy<Value = PrincipalId> {
    prop_oneof![4 => select(vec!["alice", "bob", "team:a"]).prop_map(|id| id.parse().expect("valid")), 1 => principal()]
}

pub(crate) fn created() -> BoxedStrategy<IntegrationCreated> {
    (slug(), some_principal(), of(library()), settings(), secrets())
        .prop_map(|(slug, owner, library, settings, secrets)| IntegrationCreated {
            slug,
            owner,
            library,
            settings,
            secrets,
        })
        .boxed()
}

fn updated() -> impl Strategy<Value = IntegrationUpdated> {
    (settings(), settings(), secret_changes())
        .prop_map(|(before, after, secrets)| IntegrationUpdated { changes: Changes::between(&before, &after), secrets })
}

fn deleted() -> impl Strategy<Value = IntegrationDeleted> {
    let shares = vec((some_principal(), level()), 0..4).prop_map(|shares| shares.into_iter().collect());
    let rest = (vec(tag(), 0..4), shares, of(blob_id()), of(key_id()));
    (some_principal(), slug(), of(library()), rest).prop_map(|(owner, slug, library, (tags, shares, icon, key))| {
        IntegrationDeleted { owner, slug, library, tags, shares, icon, key }
    })
}

fn icon_set() -> impl Strategy<Value = IconSet> {
    let types = select(vec![IconType::Png, IconType::Jpeg, IconType::Gif, IconType::Webp, IconType::Svg]);
    (blob_id(), digest(), types, any::<u64>(), of(blob_id()))
        .prop_map(|(blob, sha256, media_type, size, replaces)| IconSet { blob, sha256, media_type, size, replaces })
}

/// Any event but a creation.
pub(crate) fn later_event() -> BoxedStrategy<IntegrationEvent> {
    let shared = (some_principal(), level(), of(level())).prop_map(|(principal, level, previous)| IntegrationShared {
        principal,
        level,
        previous,
    });
    let unshared = (some_principal(), level()).prop_map(|(principal, level)| IntegrationUnshared { principal, level });
    let transferred = (some_principal(), some_principal(), of(level()))
        .prop_map(|(from, to, ended_share)| OwnershipTransferred { from, to, ended_share });
    let tags = (vec(tag(), 0..4), vec(tag(), 0..2), vec(tag(), 0..2)).prop_map(|(tags, added, removed)| TagsSet {
        tags,
        added,
        removed,
    });
    prop_oneof![
        3 => updated().prop_map(|event| IntegrationEvent::Updated(Box::new(event))),
        1 => deleted().prop_map(IntegrationEvent::Deleted),
        3 => shared.prop_map(IntegrationEvent::Shared),
        2 => unshared.prop_map(IntegrationEvent::Unshared),
        2 => transferred.prop_map(IntegrationEvent::OwnershipTransferred),
        2 => tags.prop_map(IntegrationEvent::TagsSet),
        2 => icon_set().prop_map(IntegrationEvent::IconSet),
        1 => blob_id().prop_map(|blob| IntegrationEvent::IconRemoved(IconRemoved { blob })),
    ]
    .boxed()
}

pub(crate) fn creation() -> BoxedStrategy<IntegrationEvent> {
    created().prop_map(|event| IntegrationEvent::Created(Box::new(event))).boxed()
}

pub(crate) fn event() -> BoxedStrategy<IntegrationEvent> {
    prop_oneof![1 => creation(), 5 => later_event()].boxed()
}

/// A fact of an integration, at any time.
pub(crate) fn fact(event: impl Strategy<Value = IntegrationEvent> + 'static) -> BoxedStrategy<Fact> {
    (tenant(), integration_id(), 1..1_000_u64, timestamp(), digest(), event)
        .prop_map(|(tenant, integration, at_position, at, hash, event)| {
            let (position, revision) = (Position::new(at_position), Revision::new(at_position - 1));
            Fact { tenant, integration, position, revision, at, hash, event }
        })
        .boxed()
}

pub(crate) fn metadata() -> BoxedStrategy<Metadata> {
    let fingerprint = (digest(), of(digest())).prop_map(|(request, secrets)| Fingerprint { request, secrets });
    let who = (of(tenant()), of(principal()), timestamp());
    let why = (of(text()), of(event_id()), of(text()), of(text()), of(text()), of(fingerprint));
    (who, why)
        .prop_map(|((tenant, actor, time), why)| {
            let (correlation_id, causation_id, traceparent, reason, client, fingerprint) = why;
            Metadata { tenant, actor, time, correlation_id, causation_id, traceparent, reason, client, fingerprint }
        })
        .boxed()
}
