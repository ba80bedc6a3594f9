//! The cache of verified tokens: what it saves, and what it must not let through.

use std::cell::Cell;

use http::{HeaderMap, HeaderValue, header};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use super::*;

const KEY: &[u8] = b"a key of thirty-two bytes or more";
const EXP: u64 = 1_000_000;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(EXP - 3_600) };
}

fn tokens() -> Tokens {
    Tokens::signed_with(Arc::new(TokenKey::new(KEY).unwrap()), || NOW.get())
}

/// A token of these claims beside those that each must have.
fn sign(more: &Value) -> String {
    let mut claims = json!({ "sub": "alice", "tenant": "acme", "exp": EXP });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(KEY)).unwrap()
}

async fn ask(tokens: &Tokens, token: &str) -> Result<Arc<Caller>, Problem> {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
    tokens.authenticate(&headers).await
}

#[tokio::test]
async fn a_token_is_verified_once() {
    let (tokens, token) = (tokens(), sign(&json!({ "name": "Alice" })));
    let first = ask(&tokens, &token).await.unwrap();
    let second = ask(&tokens, &token).await.unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    let other = ask(&tokens, &sign(&json!({ "name": "Bob" }))).await.unwrap();
    assert_eq!(other.claims.name.as_deref(), Some("Bob"));
}

#[tokio::test]
async fn a_cached_token_ends_at_its_exp_and_leeway() {
    let (tokens, token) = (tokens(), sign(&json!({})));
    ask(&tokens, &token).await.unwrap();
    NOW.set(EXP + limits::TOKEN_LEEWAY_SECONDS);
    ask(&tokens, &token).await.unwrap();
    NOW.set(EXP + limits::TOKEN_LEEWAY_SECONDS + 1);
    ask(&tokens, &token).await.unwrap_err();
    tokens.verified.run_pending_tasks();
    assert_eq!(tokens.verified.entry_count(), 0);
}

#[tokio::test]
async fn a_cached_token_is_not_valid_before_its_nbf_when_the_clock_is_set_back() {
    let (tokens, token) = (tokens(), sign(&json!({ "nbf": EXP - 3_600 })));
    ask(&tokens, &token).await.unwrap();
    NOW.set(EXP - 3_600 - limits::TOKEN_LEEWAY_SECONDS);
    ask(&tokens, &token).await.unwrap();
    NOW.set(EXP - 3_600 - limits::TOKEN_LEEWAY_SECONDS - 1);
    ask(&tokens, &token).await.unwrap_err();
}

#[tokio::test]
async fn a_token_that_differs_from_a_cached_one_in_any_character_is_refused() {
    let (tokens, token) = (tokens(), sign(&json!({})));
    ask(&tokens, &token).await.unwrap();
    for at in 0..token.len() {
        let mut forged = token.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        assert!(ask(&tokens, &forged).await.is_err(), "{at}");
        assert!(ask(&tokens, &token[..at]).await.is_err(), "{at}");
    }
    assert!(ask(&tokens, &format!("{token}A")).await.is_err());
}

#[tokio::test]
async fn a_refused_token_is_not_kept() {
    let tokens = tokens();
    for more in [json!({ "exp": 5 }), json!({ "sub": "team:a" }), json!({ "nbf": EXP })] {
        ask(&tokens, &sign(&more)).await.unwrap_err();
    }
    tokens.verified.run_pending_tasks();
    assert_eq!(tokens.verified.entry_count(), 0);
}

#[tokio::test]
async fn the_cache_is_bounded_in_bytes_and_keeps_the_newest() {
    let tokens = tokens();
    let mut last = None;
    for count in 0..400 {
        let token = sign(&json!({ "name": format!("{count}"), "user": { "field": "x".repeat(50_000) } }));
        last = Some((ask(&tokens, &token).await.unwrap(), token));
    }
    tokens.verified.run_pending_tasks();
    assert!(tokens.verified.weighted_size() <= limits::TOKEN_CACHE_BYTES_MAX);
    assert!((100..150).contains(&tokens.verified.entry_count()), "{}", tokens.verified.entry_count());
    let (caller, token) = last.unwrap();
    assert!(Arc::ptr_eq(&caller, &ask(&tokens, &token).await.unwrap()));
}

#[tokio::test]
async fn a_token_that_demands_an_extension_is_refused() {
    let header = Header { crit: Some(vec!["b64".to_owned()]), ..Header::default() };
    let claims = json!({ "sub": "alice", "tenant": "acme", "exp": EXP });
    let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(KEY)).unwrap();
    ask(&tokens(), &token).await.unwrap_err();
}
