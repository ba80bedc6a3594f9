//! Tokens that the provider has not issued for this service.

use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

use super::{
    AUDIENCE, Endpoint, ISSUER, Key, Service, claims, claims_with,
    identity::{encode, message},
    set,
};
use crate::harness::now_seconds;

/// A token that is signed with HMAC under what everybody can read.
fn hmac(header: &Value, claims: &Value, key: &[u8]) -> String {
    let message = message(header, claims);
    let signature = crypto::sign(message.as_bytes(), &EncodingKey::from_secret(key), Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

/// Checks that each is 401, and that no answer tells anything of the claims.
async fn check_refused(service: &Service, rows: Vec<(String, String)>) {
    for (what, token) in rows {
        let answer = service.ask(&token).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        let challenge = answer.header("www-authenticate").to_owned();
        assert_eq!(challenge, r#"Bearer error="invalid_token""#, "{what}");
        let text = answer.expect_problem(401, "unauthenticated").text();
        for told in [ISSUER, AUDIENCE, "alice", "acme", "evil"] {
            assert!(!text.contains(told), "{what}: {text}");
        }
    }
}

#[tokio::test]
async fn claims_that_are_not_for_this_service_are_401() {
    let key = Key::p256("e");
    let endpoint = Endpoint::start(&set(&[&key]));
    let service = Service::ready(&endpoint.url).await;
    let now = now_seconds();
    let mut rows = Vec::new();
    for (name, value) in [
        ("iss", json!("https://evil.example.com")),
        ("iss", json!(format!("{ISSUER}/"))),
        ("iss", json!(ISSUER.to_uppercase())),
        ("iss", json!([ISSUER])),
        ("iss", json!("")),
        ("iss", Value::Null),
        ("iss", json!({ ISSUER: true })),
        ("aud", json!("evil")),
        ("aud", json!("api://connectors")),
        ("aud", json!(format!("{AUDIENCE} "))),
        ("aud", json!(["evil", "other"])),
        ("aud", json!([])),
        ("aud", json!([[AUDIENCE]])),
        ("aud", json!("")),
        ("aud", Value::Null),
        ("aud", json!({ AUDIENCE: true })),
        ("exp", json!(now - 45)),
        ("exp", json!("2999-01-01")),
        ("exp", Value::Null),
        ("nbf", json!(now + 90)),
        ("nbf", json!("soon")),
        ("tenant", json!("a:b")),
        ("tenant", Value::Null),
        ("sub", json!("team:evil")),
        ("sub", json!("")),
        ("groups", json!("evil")),
    ] {
        rows.push((format!("{name}: {value}"), key.token(&claims_with(name, value.clone()))));
    }
    for name in ["iss", "aud", "exp", "sub", "tenant"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        rows.push((format!("no {name}"), key.token(&claims)));
    }
    check_refused(&service, rows).await;
    for (name, value) in [("exp", json!(now - 15)), ("nbf", json!(now + 15)), ("aud", json!([AUDIENCE]))] {
        service.ask(&key.token(&claims_with(name, value))).await.expect(200);
    }
    assert_eq!(endpoint.count(), 1);
}

#[tokio::test]
async fn a_signature_that_no_fitting_key_has_made_is_401() {
    let (rsa, p256, foreign) = (Key::rsa("r"), Key::p256("e"), Key::p256("e"));
    let (encrypting, secret) = (Key::p256("enc"), b"a secret of thirty-two bytes, at least");
    let mut keys = json!({ "keys": [rsa.jwk(), p256.jwk(), encrypting.jwk()] });
    keys["keys"][2]["use"] = "enc".into();
    let oct = json!({ "kty": "oct", "kid": "s", "alg": "HS256", "k": encode(secret) });
    keys["keys"].as_array_mut().unwrap().push(oct);
    let endpoint = Endpoint::start(&keys.to_string());
    let service = Service::ready(&endpoint.url).await;
    let good = p256.token(&claims());
    service.ask(&good).await.expect(200);
    let header = |alg: &str, kid: &str| json!({ "alg": alg, "kid": kid });
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let other = message(&json!({ "alg": "ES256", "typ": "JWT", "kid": "e" }), &claims_with("sub", "evil"));
    let mut rows = vec![
        ("alg none", format!("{}.", message(&header("none", "e"), &claims()))),
        ("alg none with a signature", format!("{}.{signature}", message(&header("none", "e"), &claims()))),
        ("no alg", p256.sign(&json!({ "kid": "e" }), &claims())),
        ("no signature", format!("{signed}.")),
        ("another signature", format!("{signed}.{}", encode(&[1; 64]))),
        ("zeros", format!("{signed}.{}", encode(&[0; 64]))),
        ("the signature of other claims", format!("{other}.{signature}")),
        ("another key of the name", foreign.token(&claims())),
        ("the name of a key of the other kind", p256.sign(&header("ES256", "r"), &claims())),
        ("the other name, RSA", rsa.sign(&header("RS256", "e"), &claims())),
        ("the algorithm of the other kind", p256.sign(&header("RS256", "e"), &claims())),
        ("the algorithm of the other kind, RSA", rsa.sign(&header("ES256", "r"), &claims())),
        ("both of the other kind", p256.sign(&header("RS256", "r"), &claims())),
        ("an algorithm that is not taken", rsa.sign(&header("RS512", "r"), &claims())),
        ("PSS", rsa.sign(&header("PS256", "r"), &claims())),
        ("a key for encryption", encrypting.token(&claims())),
        ("an empty name", p256.sign(&header("ES256", ""), &claims())),
        ("a name that is no text", p256.sign(&json!({ "alg": "ES256", "kid": 5 }), &claims())),
        ("an extension", p256.sign(&json!({ "alg": "ES256", "kid": "e", "crit": ["evil"] }), &claims())),
        ("a secret of the set", hmac(&header("HS256", "s"), &claims(), secret)),
        ("a key in the token", foreign.sign(&json!({ "alg": "ES256", "kid": "x", "jwk": foreign.jwk() }), &claims())),
    ]
    .into_iter()
    .map(|(what, token)| (what.to_owned(), token))
    .collect::<Vec<_>>();
    for key in [&rsa, &p256] {
        for secret in key.public_forms() {
            for header in [header("HS256", "r"), header("HS256", "e"), json!({ "alg": "HS256" })] {
                rows.push(("the public key as a secret".to_owned(), hmac(&header, &claims(), &secret)));
            }
        }
    }
    check_refused(&service, rows).await;
    service.ask(&good).await.expect(200);
}

#[tokio::test]
async fn a_token_without_a_kid_is_401_when_several_keys_fit() {
    let (first, second, rsa) = (Key::p256("a"), Key::p256("b"), Key::rsa("r"));
    let endpoint = Endpoint::start(&set(&[&first, &second, &rsa]));
    let service = Service::ready(&endpoint.url).await;
    let nameless = |key: &Key| key.sign(&json!({ "alg": key.algorithm() }), &claims());
    service.ask(&nameless(&rsa)).await.expect(200);
    for key in [&first, &second] {
        service.ask(&key.token(&claims())).await.expect(200);
    }
    let rows = vec![("the first".to_owned(), nameless(&first)), ("the second".to_owned(), nameless(&second))];
    check_refused(&service, rows).await;
    assert_eq!(endpoint.count(), 1);
}
