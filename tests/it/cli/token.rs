//! `token`: a token is the last line of its output, with what the options say in it.

use std::path::Path;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::LIST;
use crate::harness::now_seconds;
use crate::process::{Process, with_token};
use crate::service::binary;

/// Mints a token.
#[track_caller]
fn mint(data_dir: &Path, options: &[&str]) -> String {
    let output = binary().args(["token", "--data-dir"]).arg(data_dir).args(options).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().last().unwrap().to_owned()
}

fn claims(token: &str) -> Value {
    let payload = BASE64URL_NOPAD.decode(token.split('.').nth(1).unwrap().as_bytes()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

const ALICE: [&str; 4] = ["--tenant", "acme", "--user", "alice"];

#[test]
fn a_token_says_what_the_options_say() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = ALICE.to_vec();
    options.extend(["--group", "team:a", "--group", "b", "--permission", "permission.integrations.create"]);
    options.extend(["--permission", "other", "--email", "alice@example.com", "--name", "Alice Example"]);
    let mut claims = claims(&mint(directory.path(), &options));
    claims.as_object_mut().unwrap().remove("exp").unwrap();
    let expected = json!({
        "sub": "alice",
        "tenant": "acme",
        "groups": ["team:a", "b"],
        "permissions": ["permission.integrations.create", "other"],
        "email": "alice@example.com",
        "name": "Alice Example",
    });
    assert_eq!(claims, expected);
}

#[track_caller]
fn check_ttl(options: &[&str], seconds: u64) {
    let directory = tempfile::tempdir().unwrap();
    let all: Vec<_> = ALICE.iter().chain(options).copied().collect();
    let before = now_seconds();
    let exp = claims(&mint(directory.path(), &all))["exp"].as_u64().unwrap();
    let after = now_seconds();
    assert!((before + seconds..=after + seconds).contains(&exp), "{options:?}: {exp} is not in {seconds} s");
}

#[test]
fn a_token_lives_as_long_as_it_is_told() {
    check_ttl(&[], 24 * 3_600);
    check_ttl(&["--ttl", "90s"], 90);
    check_ttl(&["--ttl", "15m"], 900);
    check_ttl(&["--ttl", "24h"], 86_400);
    check_ttl(&["--ttl", "7d"], 604_800);
}

#[test]
fn bad_options_are_refused_by_name_and_no_token_is_printed() {
    let directory = tempfile::tempdir().unwrap();
    let long = "x".repeat(256);
    for (options, named) in [
        (&["--tenant", "acme", "--user", "alice", "--ttl", "1"][..], "--ttl"),
        (&["--tenant", "acme", "--user", "alice", "--ttl", "1w"], "--ttl"),
        (&["--tenant", "acme", "--user", "alice", "--ttl", ""], "--ttl"),
        (&["--tenant", "a:b", "--user", "alice"], "--tenant"),
        (&["--tenant", "", "--user", "alice"], "--tenant"),
        (&["--tenant", "acme", "--user", ""], "--user"),
        (&["--tenant", "acme", "--user", &long], "--user"),
        (&["--tenant", "acme", "--user", "alice", "--group", ""], "--group"),
        (&["--tenant", "acme"], "--user"),
        (&["--user", "alice"], "--tenant"),
    ] {
        let output = binary().args(["token", "--data-dir"]).arg(directory.path()).args(options).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        assert!(output.stdout.is_empty(), "{options:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(named), "{options:?}: {text}");
    }
}

#[tokio::test]
async fn a_token_that_was_made_before_the_first_start_is_valid_and_so_is_one_of_a_running_service() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    let before = mint(&data_dir, &ALICE);
    assert!(data_dir.join("jwt.key").exists(), "it made the key");
    let service = Process::serve(&data_dir, &[]);
    let url = service.ready().await;
    for token in [before, mint(&data_dir, &ALICE)] {
        let me = with_token(&url, &token).get("/api/me").await.expect(200).json();
        assert_eq!((&me["user"], &me["tenant"]), (&json!("alice"), &json!("acme")));
    }
}

#[tokio::test]
async fn a_key_file_of_the_operators_own_is_used_by_both_verbs_and_none_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let (data_dir, key) = (directory.path().join("data"), directory.path().join("own.key"));
    std::fs::write(&key, "a key of the operator's own, long enough\n").unwrap();
    let key = key.to_str().unwrap();
    let service = Process::serve(&data_dir, &["--jwt-key-file", key]);
    let url = service.ready().await;
    let mut options = ALICE.to_vec();
    options.extend(["--jwt-key-file", key]);
    with_token(&url, &mint(&data_dir, &options)).get(LIST).await.expect(200);
    assert!(!data_dir.join("jwt.key").exists());
    let other = tempfile::tempdir().unwrap();
    let foreign = mint(other.path(), &ALICE);
    with_token(&url, &foreign).get(LIST).await.expect_problem(401, "unauthenticated");
}

#[test]
fn a_token_key_that_is_too_short_is_one_line_and_2() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("jwt.key"), "short").unwrap();
    let output = binary().args(["token", "--data-dir"]).arg(directory.path()).args(ALICE).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("jwt.key"), "{text}");
}
