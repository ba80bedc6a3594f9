//! What `serve` refuses to start with: exit code 2, and one line that says what is wrong.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::CREATE;
use crate::process::{Ended, Process, client};
use crate::service::binary;

fn data_dir(directory: &TempDir) -> PathBuf {
    directory.path().join("data")
}

/// Runs `serve` until it ends.
fn serve(data_dir: &Path, options: &[&str]) -> Ended {
    Process::serve(data_dir, options).wait()
}

/// Checks that it ended with 2 and one line with these words in it.
#[track_caller]
fn check_refused(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert_eq!(ended.stderr.trim_end_matches('\n').lines().count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.starts_with("integrations: "), "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{word} is not in {}", ended.stderr);
    }
    assert!(ended.stdout.is_empty(), "{ended:?}");
}

/// A data directory with an integration in it that has a secret, if that is wanted, of a service that has stopped.
async fn used(secret: Option<&str>) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let mut service = Process::serve(&data_dir(&directory), &[]);
    let url = service.ready().await;
    let claims = json!({ "sub": "alice", "tenant": "acme", "permissions": [CREATE] });
    let alice = client(&url, &data_dir(&directory), claims);
    let created = alice.create(json!({ "name": "Slack", "type": "slack", "clientSecret": secret })).await;
    assert!(service.terminate().status.success());
    (directory, created.id)
}

fn open(directory: &TempDir) -> Connection {
    Connection::open(data_dir(directory).join("events.sqlite")).unwrap()
}

#[tokio::test]
async fn a_second_service_on_the_same_data_is_refused_and_the_first_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let first = Process::serve(&data_dir(&directory), &[]);
    let url = first.ready().await;
    check_refused(&serve(&data_dir(&directory), &[]), &[data_dir(&directory).to_str().unwrap()]);
    assert_eq!(reqwest::get(format!("{url}/readyz")).await.unwrap().status(), 200);
}

#[test]
fn an_address_that_is_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut command = binary();
    command.args(["serve", "--listen", &address, "--data-dir"]).arg(data_dir(&directory));
    check_refused(&Process::start(&mut command).wait(), &[&address]);
    let options = ["--metrics-listen", &address];
    check_refused(&serve(&data_dir(&directory), &options), &[&address]);
}

#[test]
fn a_master_key_file_that_is_named_and_not_there_is_refused_and_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys").join("master.key");
    std::fs::create_dir(directory.path().join("keys")).unwrap();
    check_refused(
        &serve(&data_dir(&directory), &["--master-key-file", path.to_str().unwrap()]),
        &[path.to_str().unwrap()],
    );
    assert!(!path.exists());
}

#[test]
fn a_token_key_that_is_too_short_or_not_there_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("short.key");
    std::fs::write(&path, "x".repeat(31) + "\n").unwrap();
    let name = path.to_str().unwrap();
    check_refused(&serve(&data_dir(&directory), &["--jwt-key-file", name]), &[name]);
    let missing = directory.path().join("missing.key");
    let name = missing.to_str().unwrap();
    check_refused(&serve(&data_dir(&directory), &["--jwt-key-file", name]), &[name]);
    assert!(!missing.exists());
}

#[tokio::test]
async fn a_master_key_of_another_installation_is_refused_when_the_log_has_keys() {
    let (directory, _) = used(Some("s")).await;
    let (other, _) = used(Some("s")).await;
    let theirs = std::fs::read_to_string(data_dir(&other).join("master.key")).unwrap();
    let path = data_dir(&directory).join("master.key");
    let ours = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &theirs).unwrap();
    check_refused(&serve(&data_dir(&directory), &[]), &["master key", path.to_str().unwrap()]);
    // Another key under the same id opens as little.
    let (id, their_key) = (ours.split(' ').next().unwrap(), theirs.split(' ').nth(1).unwrap());
    std::fs::write(&path, format!("{id} {their_key}")).unwrap();
    check_refused(&serve(&data_dir(&directory), &[]), &["master key"]);
    // Both lines open it.
    std::fs::write(&path, format!("{ours}{theirs}")).unwrap();
    let service = Process::serve(&data_dir(&directory), &[]);
    service.ready().await;
}

#[tokio::test]
async fn a_missing_master_key_is_refused_and_not_made_anew_when_the_log_has_keys() {
    let (directory, _) = used(Some("s")).await;
    let path = data_dir(&directory).join("master.key");
    std::fs::remove_file(&path).unwrap();
    check_refused(&serve(&data_dir(&directory), &[]), &["master key"]);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_missing_master_key_is_made_anew_when_the_log_has_no_keys() {
    let (directory, _) = used(None).await;
    let path = data_dir(&directory).join("master.key");
    std::fs::remove_file(&path).unwrap();
    Process::serve(&data_dir(&directory), &[]).ready().await;
    assert!(path.exists());
}

#[test]
fn a_damaged_master_key_file_is_refused_and_never_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("master.key");
    let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let damaged = [
        String::new(),
        "\n\n".to_owned(),
        key.to_owned(),
        format!("one {}", &key[..20]),
        format!("one {key}AAAA"),
        format!("one -{}", &key[1..]),
        format!("one {key}\none {key}\n"),
        format!("one {key}\nnonsense\n"),
    ];
    for text in damaged {
        std::fs::write(&path, &text).unwrap();
        let ended = serve(&data_dir(&directory), &["--master-key-file", path.to_str().unwrap()]);
        check_refused(&ended, &[path.to_str().unwrap()]);
        assert!(!ended.stderr.contains(&key[..12]), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_file_of_a_newer_format_is_refused_and_left_as_it_is() {
    let (directory, _) = used(None).await;
    open(&directory).execute_batch("PRAGMA user_version = 99").unwrap();
    check_refused(&serve(&data_dir(&directory), &[]), &["99"]);
    let version: i64 = open(&directory).pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 99);
}

#[test]
fn a_file_that_is_no_log_of_ours_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(data_dir(&directory)).unwrap();
    let path = data_dir(&directory).join("events.sqlite");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE events (a); INSERT INTO events VALUES (1)").unwrap();
    check_refused(&serve(&data_dir(&directory), &[]), &[path.to_str().unwrap()]);
    let count: i64 = open(&directory).query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1);
    let text = "this is no database, but some other file of some length\n".repeat(50);
    std::fs::write(&path, &text).unwrap();
    check_refused(&serve(&data_dir(&directory), &[]), &[path.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_data_directory_that_is_a_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(data_dir(&directory), "").unwrap();
    check_refused(&serve(&data_dir(&directory), &[]), &[data_dir(&directory).to_str().unwrap()]);
}

#[test]
fn a_bad_value_of_an_option_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    for (option, value) in [
        ("--listen", "nowhere"),
        ("--metrics-listen", "127.0.0.1"),
        ("--cors-origin", "https://app.example.com/path"),
        ("--cors-origin", "*"),
        ("--cors-origin", "app.example.com"),
        ("--trusted-proxy", "proxy"),
        ("--trusted-proxy", "10.0.0.0/33"),
    ] {
        let mut command: Command = binary();
        command.args(["serve", "--data-dir"]).arg(data_dir(&directory)).args([option, value]);
        let ended = Process::start(&mut command).wait();
        assert_eq!(ended.status.code(), Some(2), "{option} {value}: {ended:?}");
        assert!(ended.stderr.contains(option), "{}", ended.stderr);
        assert_eq!(ended.stderr.trim_end().lines().count(), 1, "{}", ended.stderr);
        assert!(!data_dir(&directory).exists(), "nothing is made before the options are right");
    }
    for (variable, option) in [("INTEGRATIONS_LISTEN", "--listen"), ("INTEGRATIONS_MAX_IN_FLIGHT", "--max-in-flight")] {
        let mut command: Command = binary();
        command.args(["serve", "--data-dir"]).arg(data_dir(&directory)).env(variable, "nonsense");
        let ended = Process::start(&mut command).wait();
        assert_eq!(ended.status.code(), Some(2), "{variable}: {ended:?}");
        assert!(ended.stderr.contains(option) && ended.stderr.contains("nonsense"), "{}", ended.stderr);
        assert_eq!(ended.stderr.trim_end().lines().count(), 1, "{}", ended.stderr);
    }
}
