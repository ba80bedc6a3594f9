//! Tokens that are none, and what can be reached without one.

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

use super::super::harness::{Answer, Server, now_seconds, sign};
use super::{NOT_BUILT, NOT_FOUND, UNAUTHENTICATED, check, check_status, raw::exchange};

const ME: &str = "/api/me";

/// Checks that an answer is the problem of who has no valid token, and tells how to authenticate.
#[track_caller]
fn check_refused(what: &str, answer: &Answer) {
    check(what, answer, UNAUTHENTICATED, &[]);
    let challenge = answer.header("www-authenticate");
    assert!(challenge == "Bearer" || challenge.starts_with("Bearer "), "{what}: {challenge}");
}

/// The claims of a good token.
fn claims() -> Value {
    json!({ "sub": "alice", "tenant": "acme", "exp": now_seconds() + 600 })
}

/// The claims of a good token with another value for one.
fn claims_with(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims();
    claims[name] = value.into();
    claims
}

/// A token of any header and payload, signed with HMAC under a key.
fn forge(header: &str, payload: &str, key: &[u8], algorithm: Algorithm) -> String {
    let message =
        format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(payload.as_bytes()));
    let signature = crypto::sign(message.as_bytes(), &EncodingKey::from_secret(key), algorithm).unwrap();
    format!("{message}.{signature}")
}

fn key_of(server: &Server) -> Vec<u8> {
    std::fs::read(server.data_dir().join("jwt.key")).unwrap().trim_ascii().to_vec()
}

#[tokio::test]
async fn a_request_without_exactly_one_bearer_token_is_401() {
    let server = Server::start().await;
    let token = server.token(claims());
    let rows: [&[String]; 11] = [
        &[],
        &[String::new()],
        std::slice::from_ref(&token),
        &["Bearer".to_owned()],
        &["Bearer ".to_owned()],
        &[format!("Basic {token}")],
        &[format!("Token {token}")],
        &[format!("Bearer {token}"), format!("Bearer {token}")],
        &[format!("Bearer {token}"), "Basic YTpi".to_owned()],
        &[format!("Bearer {token}, Bearer {token}")],
        &[format!("Bearer {token} {token}")],
    ];
    for values in rows {
        let request = server.anonymous().request("GET", ME);
        let request = values.iter().fold(request, |request, value| request.header("authorization", value));
        check_refused(&format!("{values:?}"), &request.send().await);
    }
    for path in [format!("{ME}?access_token={token}"), format!("{ME}?token={token}")] {
        check_refused("a token in the query", &server.anonymous().get(&path).await);
    }
    let cookie = server.anonymous().request("GET", ME).header("cookie", &format!("session={token}"));
    check_refused("a token in a cookie", &cookie.send().await);
    let lower = server.anonymous().request("GET", ME).header("authorization", &format!("bearer {token}"));
    check_status("the scheme in lower case", &lower.send().await, 200);
}

#[tokio::test]
async fn a_token_whose_signature_is_not_hs256_under_the_key_is_401() {
    let server = Server::start_alone().await;
    let key = key_of(&server);
    let payload = claims().to_string();
    let hs256 = r#"{"alg":"HS256","typ":"JWT"}"#;
    let good = forge(hs256, &payload, &key, Algorithm::HS256);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let unsigned = |header: &str| {
        format!("{}.{}.", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(payload.as_bytes()))
    };
    let other = BASE64URL_NOPAD.encode(claims_with("sub", "root").to_string().as_bytes());
    let rows = [
        ("alg none", unsigned(r#"{"alg":"none"}"#)),
        ("alg None", unsigned(r#"{"alg":"None","typ":"JWT"}"#)),
        ("alg none with a signature", forge(r#"{"alg":"none"}"#, &payload, &key, Algorithm::HS256)),
        ("no alg", forge(r#"{"typ":"JWT"}"#, &payload, &key, Algorithm::HS256)),
        ("no signature", format!("{signed}.")),
        ("two parts", signed.to_owned()),
        ("four parts", format!("{good}.{signature}")),
        ("another key", sign(claims(), b"0123456789abcdef0123456789abcdef")),
        ("an empty key", sign(claims(), b"")),
        ("the claims of another", format!("{}.{other}.{signature}", signed.split_once('.').unwrap().0)),
        ("an RS256 header", forge(r#"{"alg":"RS256"}"#, &payload, &key, Algorithm::HS256)),
        ("an ES256 header", forge(r#"{"alg":"ES256"}"#, &payload, &key, Algorithm::HS256)),
        ("HS384 under the key", forge(r#"{"alg":"HS384"}"#, &payload, &key, Algorithm::HS384)),
        ("HS512 under the key", forge(r#"{"alg":"HS512"}"#, &payload, &key, Algorithm::HS512)),
        ("a header that is no JSON", forge("{", &payload, &key, Algorithm::HS256)),
        ("claims that are no JSON", forge(hs256, "{", &key, Algorithm::HS256)),
        ("claims that are no object", forge(hs256, "[]", &key, Algorithm::HS256)),
        ("garbage", "garbage".to_owned()),
        ("dots", "..".to_owned()),
        ("no Base64", "a b.$$$.---".replace(' ', "")),
        ("a very long one", "a".repeat(8_000)),
    ];
    check_status("the token that the others are made from", &get_me(&server, &good).await, 200);
    for (what, token) in rows {
        check_refused(what, &get_me(&server, &token).await);
    }
}

async fn get_me(server: &Server, token: &str) -> Answer {
    server.anonymous().request("GET", ME).header("authorization", &format!("Bearer {token}")).send().await
}

#[tokio::test]
async fn a_token_may_be_thirty_seconds_too_late_or_too_early_and_no_more() {
    let server = Server::start().await;
    let now = now_seconds();
    for (what, claims) in [
        ("expired 15 s ago", claims_with("exp", now - 15)),
        ("valid in 15 s", claims_with("nbf", now + 15)),
        ("valid since an hour", claims_with("nbf", now - 3_600)),
    ] {
        check_status(what, &server.client(claims).get(ME).await, 200);
    }
    for (what, claims) in [
        ("expired 45 s ago", claims_with("exp", now - 45)),
        ("expired in 1970", claims_with("exp", 0)),
        ("expired before 1970", claims_with("exp", -1)),
        ("valid in 90 s", claims_with("nbf", now + 90)),
    ] {
        check_refused(what, &server.client(claims).get(ME).await);
    }
}

#[tokio::test]
async fn a_token_whose_claims_are_not_what_they_must_be_is_401() {
    let server = Server::start_alone().await;
    let key = key_of(&server);
    let long = "a".repeat(65);
    let rows = [
        ("exp", json!("2999-01-01")),
        ("exp", Value::Null),
        ("tenant", json!("")),
        ("tenant", json!("a:b")),
        ("tenant", json!("a b")),
        ("tenant", json!("a/b")),
        ("tenant", json!("acmé")),
        ("tenant", json!("acme\n")),
        ("tenant", json!(long)),
        ("tenant", json!(5)),
        ("tenant", json!(["acme"])),
        ("tenant", Value::Null),
        ("sub", json!("")),
        ("sub", json!("team:analytics")),
        ("sub", json!("team:")),
        ("sub", json!("a".repeat(256))),
        ("sub", json!(5)),
        ("sub", Value::Null),
        ("groups", json!("team:analytics")),
        ("groups", json!([5])),
        ("groups", json!(["team:analytics", null])),
        ("groups", json!({ "team:analytics": true })),
        ("permissions", json!("permission.integrations.admin")),
        ("permissions", json!([true])),
        ("permissions", json!({ "permission.integrations.admin": true })),
        ("user", json!("region")),
        ("user", json!(["region"])),
    ];
    for (name, value) in rows {
        check_refused(&format!("{name}: {value}"), &server.client(claims_with(name, value.clone())).get(ME).await);
    }
    for name in ["sub", "tenant", "exp"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        let token = forge(r#"{"alg":"HS256"}"#, &claims.to_string(), &key, Algorithm::HS256);
        check_refused(&format!("no {name}"), &get_me(&server, &token).await);
    }
}

#[tokio::test]
async fn claims_at_their_limits_are_accepted() {
    let server = Server::start_alone().await;
    for (name, value) in [
        ("tenant", "a".repeat(64)),
        ("tenant", "A.z_0-9".to_owned()),
        ("sub", "é".repeat(255)),
        ("sub", "team".to_owned()),
        ("sub", "Team:analytics".to_owned()),
    ] {
        let me = server.client(claims_with(name, value.clone())).get(ME).await;
        check_status(&value, &me, 200);
        assert_eq!(me.json()[if name == "sub" { "user" } else { name }], value);
    }
    let claims = json!({ "sub": "alice", "tenant": "acme", "groups": [], "permissions": ["anything"], "user": {} });
    check_status("empty collections", &server.client(claims).get(ME).await, 200);
}

#[tokio::test]
async fn everything_under_api_is_401_before_anything_else() {
    let server = Server::start().await;
    let paths = [
        "/api",
        "/api/",
        "/api/nope",
        "/api/integrations",
        "/api/integrations/",
        "/api/integrations-list",
        "/api/integrations/x",
        "/api/integrations/x/icon",
        "/api/integrations/x/shares/%FF",
        "/api/integrations/x/tags/a%20b",
        "/api/integrations/x/owner/nope",
        "/api/integrations/x/connect",
        "/api/integrations/x/request/y/z",
        "/api/integration-drivers",
        "/api/libraries/x/integrations",
        "/api/principals/x/integrations",
        "/api/me",
        "/api/session",
        "/api/history",
        "/api/tenant/settings",
        "/api/integration-events",
        "/api//integrations",
    ];
    for path in paths {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
            let answer = server.anonymous().request(method, path).send().await;
            check_status(&format!("{method} {path}"), &answer, 401);
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
    }
}

#[tokio::test]
async fn no_spelling_of_a_path_goes_round_the_token() {
    let server = Server::start().await;
    for target in [
        "/%61pi/me",
        "/API/me",
        "/api%2Fme",
        "/./api/me",
        "//api/me",
        "/x/../api/me",
        "/api/../api/me",
        "/api/%6De",
        "/api;x/me",
        "/api/me/",
        "/apis/me",
    ] {
        let (status, text) = exchange(&server.url, &format!("GET {target} HTTP/1.1"), b"");
        assert!(matches!(status, 401 | 404), "{target}: {text}");
    }
    let (status, text) = exchange(&server.url, "GET http://localhost/api/me HTTP/1.1", b"");
    assert_eq!(status, 401, "{text}");
}

#[tokio::test]
async fn the_routes_at_the_root_are_public_and_nothing_else_is() {
    let server = Server::start().await;
    for path in ["/openapi.json", "/docs", "/livez", "/readyz", "/metrics"] {
        check_status(path, &server.anonymous().get(path).await, 200);
        let bad = server.anonymous().request("GET", path).header("authorization", "Bearer garbage");
        check_status(path, &bad.send().await, 200);
    }
    check("/oauth2/callback", &server.anonymous().get("/oauth2/callback").await, NOT_BUILT, &[]);
    for path in
        ["/", "/index.html", "/favicon.ico", "/.env", "/openapi", "/livez/x", "/oauth2", "/integrations", "/apix"]
    {
        check(path, &server.anonymous().get(path).await, NOT_FOUND, &[]);
    }
}
