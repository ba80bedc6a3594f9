//! `--jwks`, `--issuer`, `--audience`: what goes together, and what is refused.

use std::path::Path;

use super::{AUDIENCE, Endpoint, ISSUER, Key, Process, claims, set, with_token, write};
use crate::service::binary;

/// Checks that `serve` ends with 2 and one line with these words, and makes nothing.
#[track_caller]
fn check_refused(options: &[&str], words: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    let ended = Process::serve(&data_dir, options).wait();
    assert_eq!(ended.status.code(), Some(2), "{options:?}: {ended:?}");
    assert_eq!(ended.stderr.trim_end_matches('\n').lines().count(), 1, "{options:?}: {}", ended.stderr);
    assert!(ended.stderr.starts_with("integrations: "), "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{word} is not in {}", ended.stderr);
    }
    assert!(ended.stdout.is_empty() && !data_dir.exists(), "{options:?}");
    assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
}

#[test]
fn issuer_and_audience_are_demanded_with_a_set_and_refused_without() {
    let url = "https://id.example.com/keys";
    check_refused(&["--jwks", url], &["--jwks", "--issuer"]);
    check_refused(&["--jwks", url, "--issuer", ISSUER], &["--jwks", "--audience"]);
    check_refused(&["--jwks", url, "--audience", AUDIENCE], &["--jwks", "--issuer"]);
    check_refused(&["--jwks", url, "--issuer", "", "--audience", AUDIENCE], &["--jwks", "--issuer"]);
    check_refused(&["--issuer", ISSUER], &["--jwks"]);
    check_refused(&["--audience", AUDIENCE], &["--jwks"]);
    let both = ["--jwks", url, "--issuer", ISSUER, "--audience", AUDIENCE, "--jwt-key-file", "some.key"];
    check_refused(&both, &["--jwt-key-file", "--jwks"]);
}

#[track_caller]
fn check_set_refused(jwks: &str, words: &[&str]) {
    check_refused(&["--jwks", jwks, "--issuer", ISSUER, "--audience", AUDIENCE], words);
}

#[test]
fn a_url_that_somebody_else_could_answer_for_is_refused() {
    for url in ["http://id.example.com/keys", "http://10.0.0.1/keys", "ftp://localhost/keys", "file:///etc/keys"] {
        check_set_refused(url, &["--jwks", "https", "loopback"]);
    }
    check_set_refused("https://user:hunter2@id.example.com/keys", &["--jwks", "password"]);
    check_set_refused("https://:hunter2/keys", &["--jwks", "no URL"]);
}

#[test]
fn a_file_that_is_not_there_or_no_set_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.json");
    let name = path.to_str().unwrap();
    check_set_refused(name, &[name]);
    let useless = r#"{"keys":[{"kty":"oct","k":"hunter2"}]}"#;
    for text in ["", "hunter2", "{", "[]", "{}", r#"{"keys":[]}"#, useless] {
        write(&path, text);
        check_set_refused(name, &[name]);
    }
    check_set_refused(directory.path().to_str().unwrap(), &[directory.path().to_str().unwrap()]);
}

#[tokio::test]
async fn the_options_are_environment_variables_too() {
    let key = Key::p256("e");
    let endpoint = Endpoint::start(&set(&[&key]));
    let directory = tempfile::tempdir().unwrap();
    let serve = |data_dir: &Path| {
        let mut command = binary();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
        command
    };
    let mut command = serve(directory.path());
    command.env("INTEGRATIONS_JWKS", &endpoint.url).env("INTEGRATIONS_ISSUER", ISSUER);
    let service = Process::start(command.env("INTEGRATIONS_AUDIENCE", AUDIENCE));
    let url = service.ready().await;
    with_token(&url, &key.token(&claims())).get(super::ME).await.expect(200);
}
