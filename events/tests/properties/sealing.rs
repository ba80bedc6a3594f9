//! Sealed is sealed: it opens where it belongs, nowhere else, and is shown nowhere.

use data_encoding::BASE64;
use events::{
    ids::{IntegrationId, TenantId},
    seal::{DataKey, Error, MasterKeys, Sealed, Secret, SecretPlace, WrappedKey},
};
use proptest::{collection::vec, prelude::*, sample::Index};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::generators::{integration_id, tenant, text};

/// Where a secret belongs, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    tenant: TenantId,
    integration: IntegrationId,
    event_type: String,
    field: String,
}

impl Place {
    fn borrowed(&self) -> SecretPlace<'_> {
        let Self { tenant, integration, event_type, field } = self;
        SecretPlace { tenant, integration: *integration, event_type, field }
    }
}

fn place() -> impl Strategy<Value = Place> {
    (tenant(), integration_id(), "[A-Za-z]{1,12}\\.v[0-9]", "[a-zA-Z/-]{1,20}")
        .prop_map(|(tenant, integration, event_type, field)| Place { tenant, integration, event_type, field })
}

fn secret() -> impl Strategy<Value = Secret> {
    text().prop_map(Secret::new)
}

fn key_file(keys: &[(&str, [u8; 32])]) -> String {
    keys.iter().map(|(id, bytes)| format!("{id} {}\n", BASE64.encode(bytes))).collect()
}

fn masters(keys: &[(&str, [u8; 32])]) -> MasterKeys {
    MasterKeys::parse(&key_file(keys)).expect("a key file")
}

/// The value with one byte of a base64 member changed, or with its last byte cut off.
fn altered<T: Serialize + DeserializeOwned>(value: &T, member: &str, at: Index, flip: Option<u8>) -> T {
    let mut json = serde_json::to_value(value).expect("JSON");
    let text = json[member].as_str().expect("text");
    let mut bytes = BASE64.decode(text.as_bytes()).expect("base64");
    match flip {
        Some(flip) => {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        None => bytes.truncate(bytes.len() - 1),
    }
    json[member] = Value::from(BASE64.encode(&bytes));
    serde_json::from_value(json).expect("it keeps its form")
}

fn does_not_open<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::DoesNotOpen))
}

proptest! {
    #[test]
    fn a_sealed_secret_opens_to_what_it_was(place in place(), secret in secret()) {
        let key = DataKey::generate();
        let sealed = key.seal(place.borrowed(), &secret);
        prop_assert_eq!(sealed.key(), key.id());
        prop_assert_eq!(key.open(place.borrowed(), &sealed).expect("it opens"), secret);
    }

    #[test]
    fn a_sealed_secret_opens_after_it_was_stored(place in place(), secret in secret()) {
        let key = DataKey::generate();
        let stored = serde_json::to_string(&key.seal(place.borrowed(), &secret)).expect("JSON");
        let sealed: Sealed = serde_json::from_str(&stored).expect("what was stored");
        prop_assert_eq!(key.open(place.borrowed(), &sealed).expect("it opens"), secret);
    }

    #[test]
    fn a_sealed_secret_that_was_moved_does_not_open(place in place(), other in place(), secret in secret()) {
        let key = DataKey::generate();
        let sealed = key.seal(place.borrowed(), &secret);
        for moved in [
            Place { tenant: other.tenant, ..place.clone() },
            Place { integration: other.integration, ..place.clone() },
            Place { event_type: other.event_type, ..place.clone() },
            Place { field: other.field, ..place.clone() },
        ] {
            prop_assert_eq!(does_not_open(&key.open(moved.borrowed(), &sealed)), moved != place);
        }
    }

    #[test]
    fn a_part_of_a_place_that_goes_over_to_the_next_is_another_place(place in place(), secret in secret()) {
        let key = DataKey::generate();
        let sealed = key.seal(place.borrowed(), &secret);
        let (event_type, field) = (place.event_type.clone() + &place.field[..1], place.field[1..].to_owned());
        let moved = Place { event_type, field, ..place };
        prop_assert!(does_not_open(&key.open(moved.borrowed(), &sealed)));
    }

    #[test]
    fn a_sealed_secret_does_not_open_with_another_key_even_under_the_same_id(place in place(), secret in secret()) {
        let (key, other) = (DataKey::generate(), DataKey::generate());
        let sealed = key.seal(place.borrowed(), &secret);
        prop_assert!(does_not_open(&other.open(place.borrowed(), &sealed)));
        let mut json = serde_json::to_value(&sealed).expect("JSON");
        json["key"] = json!(other.id());
        let renamed: Sealed = serde_json::from_value(json).expect("it keeps its form");
        prop_assert!(does_not_open(&other.open(place.borrowed(), &renamed)));
        prop_assert!(does_not_open(&key.open(place.borrowed(), &renamed)));
    }

    #[test]
    fn a_sealed_secret_that_was_changed_does_not_open(
        place in place(), secret in secret(), at in any::<Index>(), flip in 1..=255_u8,
    ) {
        let key = DataKey::generate();
        let sealed = key.seal(place.borrowed(), &secret);
        for member in ["nonce", "ciphertext"] {
            for flip in [Some(flip), None] {
                let changed = altered(&sealed, member, at, flip);
                prop_assert!(does_not_open(&key.open(place.borrowed(), &changed)), "{member}");
            }
        }
    }

    #[test]
    fn no_two_seals_are_alike(place in place(), secret in secret()) {
        let key = DataKey::generate();
        prop_assert_ne!(key.seal(place.borrowed(), &secret), key.seal(place.borrowed(), &secret));
    }

    #[test]
    fn a_wrapped_key_unwraps_to_what_it_was(place in place(), master in any::<[u8; 32]>(), secret in secret()) {
        let (key, masters) = (DataKey::generate(), masters(&[("m", master)]));
        let sealed = key.seal(place.borrowed(), &secret);
        let wrapped = masters.wrap(&place.tenant, place.integration, &key);
        prop_assert_eq!((wrapped.master_key(), wrapped.key()), ("m", key.id()));
        let unwrapped = masters.unwrap(&place.tenant, place.integration, &wrapped).expect("it unwraps");
        prop_assert_eq!(unwrapped.open(place.borrowed(), &sealed).expect("it opens"), secret);
        prop_assert_eq!(unwrapped.fingerprint(b"m"), key.fingerprint(b"m"));
    }

    #[test]
    fn a_wrapped_key_that_was_moved_does_not_unwrap(place in place(), other in place(), master in any::<[u8; 32]>()) {
        let (key, masters) = (DataKey::generate(), masters(&[("m", master)]));
        let wrapped = masters.wrap(&place.tenant, place.integration, &key);
        let is_refused = |tenant, integration| does_not_open(&masters.unwrap(tenant, integration, &wrapped));
        prop_assert_eq!(is_refused(&other.tenant, place.integration), other.tenant != place.tenant);
        prop_assert_eq!(is_refused(&place.tenant, other.integration), other.integration != place.integration);
        let mut json = serde_json::to_value(&wrapped).expect("JSON");
        json["key"] = json!(DataKey::generate().id());
        let renamed: WrappedKey = serde_json::from_value(json).expect("it keeps its form");
        prop_assert!(does_not_open(&masters.unwrap(&place.tenant, place.integration, &renamed)));
    }

    #[test]
    fn a_wrapped_key_does_not_unwrap_with_another_master_key(
        place in place(), master in any::<[u8; 32]>(), other in any::<[u8; 32]>(),
    ) {
        prop_assume!(master != other);
        let wrapped = masters(&[("m", master)]).wrap(&place.tenant, place.integration, &DataKey::generate());
        let same_id = masters(&[("m", other)]).unwrap(&place.tenant, place.integration, &wrapped);
        prop_assert!(does_not_open(&same_id));
        let other_id = masters(&[("n", master)]).unwrap(&place.tenant, place.integration, &wrapped);
        prop_assert!(matches!(other_id, Err(Error::UnknownMasterKey(id)) if id == "m"));
        let mut json = serde_json::to_value(&wrapped).expect("JSON");
        json["masterKey"] = json!("n");
        let renamed: WrappedKey = serde_json::from_value(json).expect("it keeps its form");
        let renamed = masters(&[("n", master)]).unwrap(&place.tenant, place.integration, &renamed);
        prop_assert!(does_not_open(&renamed), "the id of the master key is bound too");
    }

    #[test]
    fn a_wrapped_key_that_was_changed_does_not_unwrap(
        place in place(), master in any::<[u8; 32]>(), at in any::<Index>(), flip in 1..=255_u8,
    ) {
        let masters = masters(&[("m", master)]);
        let wrapped = masters.wrap(&place.tenant, place.integration, &DataKey::generate());
        for member in ["nonce", "ciphertext"] {
            for flip in [Some(flip), None] {
                let changed = altered(&wrapped, member, at, flip);
                prop_assert!(does_not_open(&masters.unwrap(&place.tenant, place.integration, &changed)), "{member}");
            }
        }
    }

    #[test]
    fn the_last_master_key_wraps_and_every_one_unwraps(place in place(), keys in vec(any::<[u8; 32]>(), 2..5)) {
        let ids = ["a", "b", "c", "d"];
        let keys: Vec<_> = ids.into_iter().zip(keys).collect();
        let all = masters(&keys);
        for at in 0..keys.len() {
            let wrapped = masters(&keys[..=at]).wrap(&place.tenant, place.integration, &DataKey::generate());
            prop_assert_eq!(wrapped.master_key(), keys[at].0);
            prop_assert!(all.unwrap(&place.tenant, place.integration, &wrapped).is_ok());
        }
    }

    #[test]
    fn a_key_file_with_a_bad_line_is_refused_by_its_number_and_not_repeated(
        master in any::<[u8; 32]>(), bad in "[A-Za-z0-9+/]{8,40}", good in 0..3_usize,
    ) {
        let mut lines: Vec<_> = (0..good).map(|at| format!("m{at} {}", BASE64.encode(&master))).collect();
        for bad in [bad.clone(), format!("m9 {bad}"), format!("m9 {}", BASE64.encode(&master[1..]))] {
            lines.push(bad.clone());
            let error = MasterKeys::parse(&lines.join("\n")).expect_err("a bad line");
            prop_assert!(matches!(error, Error::Line(line) if line == good + 1));
            let shown = format!("{error} {error:?}");
            prop_assert!(!shown.contains(&bad));
            lines.pop();
        }
    }

    #[test]
    fn two_master_keys_of_one_id_are_refused(first in any::<[u8; 32]>(), second in any::<[u8; 32]>()) {
        let twice = MasterKeys::parse(&key_file(&[("m", first), ("n", second), ("m", second)]));
        prop_assert!(matches!(twice, Err(Error::Line(3))));
    }

    #[test]
    fn a_secret_is_never_shown(secret in "[A-Za-z0-9]{12,40}", place in place()) {
        let clear = Secret::new(secret.clone());
        prop_assert_eq!(format!("{clear:?} {clear:#?}"), "[redacted] [redacted]");
        let sealed = DataKey::generate().seal(place.borrowed(), &clear);
        let stored = serde_json::to_string(&sealed).expect("JSON");
        let shown = format!("{sealed:?} {sealed:#?}");
        for shown in [&shown, &stored] {
            prop_assert!(!shown.contains(&secret));
            prop_assert!(!shown.contains(&BASE64.encode(secret.as_bytes())));
        }
        let ciphertext = serde_json::to_value(&sealed).expect("JSON")["ciphertext"].as_str().expect("text").to_owned();
        prop_assert!(!shown.contains(&ciphertext));
    }

    #[test]
    fn a_key_is_never_shown(master in any::<[u8; 32]>(), place in place()) {
        let (key, masters) = (DataKey::generate(), masters(&[("m-1", master)]));
        prop_assert_eq!(format!("{key:?}"), format!("DataKey {{ id: {}, [redacted] }}", key.id()));
        prop_assert_eq!(format!("{masters:?}"), r#"["m-1 [redacted]"]"#);
        let wrapped = masters.wrap(&place.tenant, place.integration, &key);
        let expected = format!("WrappedKey {{ master_key: m-1, key: {}, [redacted] }}", key.id());
        prop_assert_eq!(format!("{wrapped:?}"), expected);
        let stored = serde_json::to_string(&wrapped).expect("JSON");
        prop_assert!(!stored.contains(&BASE64.encode(&master)));
    }

    #[test]
    fn a_fingerprint_is_of_its_key_and_message_alone(message in vec(any::<u8>(), 0..40), at in any::<Index>()) {
        let (key, other) = (DataKey::generate(), DataKey::generate());
        prop_assert_eq!(key.fingerprint(&message), key.clone().fingerprint(&message));
        prop_assert_ne!(key.fingerprint(&message), other.fingerprint(&message));
        let mut changed = message.clone();
        changed.insert(at.index(message.len() + 1), 0);
        prop_assert_ne!(key.fingerprint(&message), key.fingerprint(&changed));
    }
}

#[test]
fn a_fresh_key_file_has_one_key_that_works() {
    let (one, other) = (MasterKeys::generate_file(), MasterKeys::generate_file());
    assert_ne!(*one, *other);
    let masters = MasterKeys::parse(&one).expect("a key file");
    let (tenant, integration) = (TenantId::parse("a").expect("a tenant"), "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b");
    let integration = integration.parse().expect("a UUID");
    let wrapped = masters.wrap(&tenant, integration, &DataKey::generate());
    assert!(masters.unwrap(&tenant, integration, &wrapped).is_ok());
}

#[test]
fn a_key_file_without_a_key_is_refused() {
    for text in ["", "\n\n", "  \n\t\n"] {
        assert!(matches!(MasterKeys::parse(text), Err(Error::NoKey)), "{text:?}");
    }
}

#[test]
fn a_key_file_may_have_empty_lines_and_the_ends_of_lines_of_any_system() {
    let text = format!("\r\na {}\r\n\r\n  b {}  \r\n", BASE64.encode(&[1; 32]), BASE64.encode(&[2; 32]));
    let masters = MasterKeys::parse(&text).expect("a key file");
    assert_eq!(format!("{masters:?}"), r#"["a [redacted]", "b [redacted]"]"#);
}

#[test]
fn a_key_file_that_is_not_there_is_told_as_such() {
    let directory = tempfile::tempdir().expect("a directory");
    assert!(matches!(MasterKeys::read(&directory.path().join("keys")), Err(Error::File(_))));
    let path = directory.path().join("keys");
    std::fs::write(&path, MasterKeys::generate_file().as_bytes()).expect("it can be written");
    assert!(MasterKeys::read(&path).is_ok());
}
