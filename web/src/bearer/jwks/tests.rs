//! Which keys of a set are taken, and which of them a token may be signed with.

use serde_json::json;

use super::*;

/// An RSA key of so many bits, as far as its form goes.
fn rsa(kid: &str, bits: usize) -> Value {
    let mut modulus = vec![0xff; bits.div_ceil(8)];
    modulus[0] = 0xff >> (modulus.len() * 8 - bits);
    json!({ "kty": "RSA", "kid": kid, "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB" })
}

fn p256(kid: &str) -> Value {
    let coordinate = URL_SAFE_NO_PAD.encode([7; 32]);
    json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": coordinate, "y": coordinate })
}

/// A key with another value for one of its members.
fn with(mut key: Value, name: &str, value: impl Into<Value>) -> Value {
    key[name] = value.into();
    key
}

fn parse(keys: &[Value]) -> Result<KeySet, SetError> {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

#[test]
fn keys_that_can_verify_are_taken() {
    for key in [
        rsa("a", 2_048),
        rsa("a", 4_096),
        rsa("a", 8_192),
        with(rsa("a", 2_048), "e", "AAEAAQ"),
        with(rsa("a", 2_048), "alg", "RS256"),
        with(rsa("a", 2_048), "use", "sig"),
        with(rsa("a", 2_048), "key_ops", json!(["verify", "sign"])),
        with(rsa("a", 2_048), "x5c", json!(["MII"])),
        p256("a"),
        with(p256("a"), "alg", "ES256"),
        with(p256("a"), "kid", Value::Null),
    ] {
        assert!(parse(std::slice::from_ref(&key)).is_ok(), "{key}");
    }
}

#[test]
fn keys_of_no_use_are_passed_over() {
    let secret = json!({ "kty": "oct", "kid": "a", "k": "AAAA", "alg": "HS256" });
    let rows = [
        secret.clone(),
        with(secret, "n", "AQAB"),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA" }),
        json!({ "kty": "RSA" }),
        json!({ "kid": "a" }),
        json!("a"),
        json!([]),
        rsa("a", 2_047),
        rsa("a", 1_024),
        rsa("a", 8_193),
        // 2,048 bits with zeros in front of a shorter number.
        with(rsa("a", 2_048), "n", URL_SAFE_NO_PAD.encode([vec![0; 128], vec![0xff; 128]].concat())),
        with(rsa("a", 2_048), "n", ""),
        with(rsa("a", 2_048), "n", "no Base64url"),
        with(rsa("a", 2_048), "e", "AQ"),
        with(rsa("a", 2_048), "e", "AAE"),
        with(rsa("a", 2_048), "e", "Ag"),
        with(rsa("a", 2_048), "e", ""),
        with(rsa("a", 2_048), "alg", "RS512"),
        with(rsa("a", 2_048), "alg", "PS256"),
        with(rsa("a", 2_048), "alg", "HS256"),
        with(rsa("a", 2_048), "alg", "none"),
        with(rsa("a", 2_048), "use", "enc"),
        with(rsa("a", 2_048), "key_ops", json!(["encrypt"])),
        with(rsa("a", 2_048), "key_ops", json!([])),
        with(rsa("a", 2_048), "key_ops", "verify"),
        with(rsa("a", 2_048), "kid", 5),
        with(p256("a"), "alg", "ES384"),
        with(p256("a"), "alg", "RS256"),
        with(p256("a"), "crv", "P-384"),
        with(p256("a"), "crv", "secp256k1"),
        with(p256("a"), "x", URL_SAFE_NO_PAD.encode([7; 31])),
        with(p256("a"), "y", Value::Null),
        with(p256("a"), "use", "enc"),
    ];
    for key in &rows {
        assert_eq!(parse(std::slice::from_ref(key)).unwrap_err(), SetError::NoUsableKey, "{key}");
    }
    let all: Vec<_> = rows.iter().cloned().chain([p256("good")]).collect();
    assert_eq!(parse(&all).unwrap().counts(), (1, rows.len()));
}

#[test]
fn what_is_no_set_is_refused_and_not_repeated() {
    for text in ["", "{", "[]", "null", "{}", r#"{"keys":{}}"#, r#"{"keys":null}"#, "<html>secret</html>", "\u{0}"] {
        let error = KeySet::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error, SetError::NotASet, "{text}");
        assert!(!error.to_string().contains("secret"));
    }
    assert_eq!(parse(&[]).unwrap_err(), SetError::NoUsableKey);
}

/// How many keys a token of each algorithm may be signed with.
fn fitting(set: &KeySet, kid: Option<&str>) -> (usize, usize) {
    (set.fitting(kid, Algorithm::RS256).len(), set.fitting(kid, Algorithm::ES256).len())
}

#[test]
fn a_kid_picks_the_keys_of_its_name_that_fit_the_algorithm() {
    let set = parse(&[rsa("a", 2_048), p256("b"), rsa("both", 2_048), p256("both"), p256("both")]).unwrap();
    assert_eq!(fitting(&set, Some("a")), (1, 0));
    assert_eq!(fitting(&set, Some("b")), (0, 1));
    assert_eq!(fitting(&set, Some("both")), (1, 2));
    assert_eq!(fitting(&set, Some("c")), (0, 0));
    assert_eq!(fitting(&set, Some("")), (0, 0));
    assert!(set.knows("a") && set.knows("both") && !set.knows("c") && !set.knows(""));
    assert_eq!(set.fitting(Some("a"), Algorithm::HS256).len(), 0);
    assert_eq!(set.fitting(Some("a"), Algorithm::RS512).len(), 0);
}

#[test]
fn without_a_kid_there_must_be_exactly_one_key_that_fits() {
    let set = parse(&[rsa("a", 2_048), p256("b"), p256("c")]).unwrap();
    assert_eq!(fitting(&set, None), (1, 0));
    let nameless = with(p256("a"), "kid", Value::Null);
    let set = parse(&[rsa("a", 2_048), rsa("b", 2_048), nameless]).unwrap();
    assert_eq!(fitting(&set, None), (0, 1));
    assert_eq!(fitting(&set, Some("a")), (1, 0), "a key without a name has none");
}
