//! Ids, names, addresses, times: what is shown is parsed back, and what breaks a rule is refused.

use std::{
    fmt::{Debug, Display},
    str::FromStr,
};

use events::{
    envelope::Digest,
    ids::{BlobId, EventId, IntegrationId, IntegrationRef, KeyId, LibraryId, PrincipalId, Slug, TagId, TenantId},
    principal::Level,
    settings::{ApiKeyLocation, AuthType, Mode},
    stream::{Kind, StreamName},
    time::Timestamp,
    uri::{HttpUri, ImageUrl},
};
use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::generators::{
    blob_id, digest, image_url, integration_id, library, principal, slug, tag, tenant, text, timestamp, uri, uri_text,
    uuid,
};

/// What is shown is parsed back, and JSON has the same text.
fn check_text<T>(value: &T)
where
    T: Display + FromStr<Err: Debug> + PartialEq + Debug + Serialize + DeserializeOwned,
{
    let shown = value.to_string();
    assert_eq!(&shown.parse::<T>().expect("what was shown is valid"), value);
    assert_eq!(json!(value), json!(shown));
    check_json(value);
}

fn check_json<T: PartialEq + Debug + Serialize + DeserializeOwned>(value: &T) {
    let stored = serde_json::to_string(value).expect("JSON");
    assert_eq!(&serde_json::from_str::<T>(&stored).expect("what was stored is valid"), value);
}

/// An independent reading of the rule of slugs.
fn is_slug(text: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9'));
    let hex: String = text.chars().filter(|c| *c != '-').collect();
    let is_hex = hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit());
    let groups: Vec<_> = text.split('-').map(str::len).collect();
    let is_uuid = is_hex && (groups == [32] || groups == [8, 4, 4, 4, 12]);
    (1..=80).contains(&text.len()) && text.split('-').all(is_word) && !is_uuid
}

proptest! {
    #[test]
    fn every_name_is_parsed_back(
        tenant in tenant(), slug in slug(), tag in tag(), library in library(), principal in principal(),
        integration in integration_id(),
    ) {
        check_text(&tenant);
        check_text(&slug);
        check_text(&tag);
        check_text(&library);
        check_text(&principal);
        check_text(&integration);
    }

    #[test]
    fn every_uuid_is_an_id_of_any_thing(uuid in uuid()) {
        check_json(&EventId::new(uuid));
        check_json(&KeyId::new(uuid));
        check_json(&BlobId::new(uuid));
        prop_assert_eq!(EventId::new(uuid).to_string(), uuid.hyphenated().to_string());
        prop_assert_eq!(IntegrationId::new(uuid).is_ok(), !uuid.is_nil() && !uuid.is_max());
    }

    #[test]
    fn an_integration_is_named_by_id_in_every_form_and_by_slug(id in integration_id(), slug in slug()) {
        let uuid = id.uuid();
        for text in [uuid.hyphenated().to_string(), uuid.simple().to_string(), uuid.to_string().to_uppercase()] {
            prop_assert_eq!(IntegrationRef::parse(&text), Ok(IntegrationRef::Id(id)));
            prop_assert!(Slug::parse(text.to_lowercase()).is_err(), "no slug is an id");
        }
        prop_assert_eq!(IntegrationRef::parse(slug.as_str()), Ok(IntegrationRef::Slug(slug.clone())));
    }

    #[test]
    fn a_slug_is_what_keeps_the_rule_of_slugs(text in "[a-z0-9-]{0,90}|[a-f0-9]{32}|[a-f0-9]{8}(-[a-f0-9]{4}){3}-[a-f0-9]{12}|.{0,12}") {
        prop_assert_eq!(Slug::parse(text.clone()).is_ok(), is_slug(&text), "{:?}", text);
    }

    #[test]
    fn tenants_and_tags_are_what_keeps_their_rules(text in "[A-Za-z0-9._:-]{0,70}|.{0,12}") {
        let is_in = |marks: &str| {
            (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || marks.contains(c))
        };
        prop_assert_eq!(TenantId::parse(text.clone()).is_ok(), is_in("._-"));
        prop_assert_eq!(TagId::parse(text.clone()).is_ok(), is_in("._:-"));
        prop_assert_eq!(LibraryId::parse(text.clone()).is_ok(), is_in("._:-"));
    }

    #[test]
    fn a_principal_has_characters_and_no_control_characters(text in text()) {
        let is_valid = !text.is_empty() && !text.chars().any(char::is_control);
        prop_assert_eq!(PrincipalId::parse(text.clone()).is_ok(), is_valid);
        prop_assert!(PrincipalId::parse(text + "\n").is_err());
    }

    #[test]
    fn what_breaks_a_rule_is_never_repeated(text in "[A-Z ]{8,20}\\$") {
        let error = Slug::parse(text.clone()).expect_err("it is no slug");
        let shown = format!("{error} {error:?}");
        prop_assert!(!shown.contains(&text));
        let error = text.parse::<HttpUri>().expect_err("it is no URI");
        let shown = format!("{error} {error:?}");
        prop_assert!(!shown.contains(&text));
    }

    #[test]
    fn streams_are_named_after_what_they_hold(
        tenant in tenant(), id in integration_id(), slug in slug(), blob in blob_id(),
    ) {
        for (kind, name) in [
            (Kind::Integration, StreamName::integration(&tenant, id)),
            (Kind::Slug, StreamName::slug(&tenant, &slug)),
            (Kind::Key, StreamName::key(&tenant, id)),
            (Kind::Icon, StreamName::icon(&tenant, id, blob)),
            (Kind::JanitorCheckpoint, StreamName::janitor_checkpoint()),
        ] {
            prop_assert_eq!(StreamName::parse(name.as_str()), Ok(name.clone()));
            prop_assert_eq!(name.kind(), kind);
            let is_of_it = matches!(kind, Kind::Integration | Kind::Key);
            prop_assert_eq!(name.integration_of(), is_of_it.then(|| (tenant.clone(), id)));
        }
    }

    #[test]
    fn different_things_have_different_streams(
        a in tenant(), b in tenant(), id in integration_id(), other in integration_id(), slug in slug(),
    ) {
        prop_assert_eq!(StreamName::integration(&a, id) == StreamName::integration(&b, id), a == b);
        prop_assert_eq!(StreamName::integration(&a, id) == StreamName::integration(&a, other), id == other);
        prop_assert_eq!(StreamName::slug(&a, &slug) == StreamName::slug(&b, &slug), a == b);
        prop_assert_ne!(StreamName::key(&a, id), StreamName::integration(&a, id));
    }

    #[test]
    fn a_uri_is_kept_as_it_was_given(uri in uri(), image in image_url()) {
        prop_assert_eq!(&uri.as_str().parse::<HttpUri>().expect("valid"), &uri);
        prop_assert_eq!(json!(uri), json!(uri.as_str()));
        check_json(&uri);
        prop_assert_eq!(&image.as_str().parse::<ImageUrl>().expect("valid"), &image);
        prop_assert_eq!(json!(image), json!(image.as_str()));
        check_json(&image);
    }

    #[test]
    fn every_uri_is_an_image_and_has_one_origin(text in uri_text()) {
        let uri = text.parse::<HttpUri>().expect("valid");
        prop_assert!(text.parse::<ImageUrl>().is_ok());
        let origin = uri.origin().to_string();
        let again = format!("{origin}/another?path").parse::<HttpUri>().expect("an origin is the start of a URI");
        prop_assert_eq!(again.origin(), uri.origin());
        let ports = origin.rsplit(':').next().expect("a port").parse::<u16>();
        prop_assert!(ports.is_ok(), "{}", origin);
    }

    #[test]
    fn a_uri_with_credentials_or_a_fragment_or_a_backslash_is_refused(text in uri_text(), user in "[a-z:]{0,4}") {
        let (scheme, rest) = text.split_once("://").expect("a scheme");
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        for refused in [
            format!("{scheme}://{user}@{rest}"),
            format!("{text}#{user}"),
            format!("{scheme}://{authority}\\{path}"),
            format!("{scheme}:{rest}"),
            format!("ftp://{rest}"),
            format!(" {text}"),
            format!("{text}\n"),
        ] {
            prop_assert!(refused.parse::<HttpUri>().is_err(), "{:?}", refused);
            prop_assert!(refused.parse::<ImageUrl>().is_err(), "{:?}", refused);
        }
    }

    #[test]
    fn whatever_is_no_uri_is_an_error_and_no_panic(text in "(https?://)?.{0,40}|/.{0,20}") {
        if let Ok(uri) = text.parse::<HttpUri>() {
            prop_assert!(uri.as_str().is_ascii() && !uri.as_str().contains([' ', '#', '\\', '"', '<']));
        }
        if let Ok(image) = text.parse::<ImageUrl>() {
            prop_assert!(!image.as_str().starts_with("//") && image.as_str().is_ascii());
        }
    }

    #[test]
    fn a_time_is_shown_to_the_millisecond_and_parsed_back(at in timestamp(), finer in 0..1_000_000_u32) {
        let shown = at.to_string();
        prop_assert_eq!(shown.len(), "2026-02-28T23:59:58.007Z".len());
        prop_assert_eq!(json!(at), json!(shown));
        check_json(&at);
        let finer = at.instant() + chrono::TimeDelta::nanoseconds(finer.into());
        prop_assert_eq!(Timestamp::new(finer), at, "what is finer is cut off");
    }

    #[test]
    fn times_are_ordered_as_they_are_shown(a in timestamp(), b in timestamp()) {
        prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
    }

    #[test]
    fn a_digest_is_64_lower_case_hex_digits(digest in digest(), text in "[0-9a-fA-F]{60,68}|.{0,8}") {
        let shown = digest.to_string();
        prop_assert_eq!(shown.len(), 64);
        prop_assert_eq!(digest.short(), &shown[..8]);
        check_json(&digest);
        let is_valid = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        prop_assert_eq!(serde_json::from_value::<Digest>(json!(text)).is_ok(), is_valid);
    }

    #[test]
    fn a_level_is_one_two_or_three(number in any::<u8>()) {
        prop_assert_eq!(Level::try_from(number).is_ok(), (1..=3).contains(&number));
        if let Ok(level) = Level::try_from(number) {
            prop_assert_eq!(u8::from(level), number);
            prop_assert_eq!(json!(level), json!(number));
        }
    }
}

#[test]
fn every_choice_is_parsed_back() {
    for mode in [Mode::PerUser, Mode::Shared] {
        check_text(&mode);
    }
    for auth_type in [AuthType::Oauth2, AuthType::ApiKey, AuthType::Basic, AuthType::Bearer] {
        check_text(&auth_type);
    }
    for location in [ApiKeyLocation::Header, ApiKeyLocation::Query] {
        check_text(&location);
    }
    assert!("OAuth2".parse::<AuthType>().is_err());
}
