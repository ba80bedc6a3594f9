//! `keys rotate --drop`: only what nothing needs any more goes, and then it opens nothing.

use std::process::Command;

use events::store::sqlite::SqliteStore;

use super::{
    check_secrets, create_some, rotate,
    verb::{active, check_refused, drop_old, key_ids, wait_until_taken_up},
};
use crate::{harness::Server, log, process::Process};

#[tokio::test]
async fn what_a_data_key_needs_is_not_dropped() {
    let mut server = Server::start_alone().await;
    create_some(&server.alice(), 3).await;
    server.terminate();
    let data_dir = server.data_dir();
    let first = active(&data_dir);
    assert!(rotate(&data_dir, &[]).status.success());
    let before = std::fs::read(data_dir.join("master.key")).unwrap();
    check_refused(&rotate(&data_dir, &["--drop"]), &["nothing was dropped", &format!("3 need {first}")]);
    assert_eq!(std::fs::read(data_dir.join("master.key")).unwrap(), before);
}

#[tokio::test]
async fn after_it_the_old_file_opens_nothing_and_the_new_one_everything() {
    let mut server = Server::start_alone().await;
    let made = create_some(&server.alice(), 5).await;
    let data_dir = server.data_dir();
    let old = data_dir.with_file_name("old.key");
    std::fs::copy(data_dir.join("master.key"), &old).unwrap();
    assert!(rotate(&data_dir, &[]).status.success());
    let second = active(&data_dir);
    drop_old(&data_dir).await;
    assert_eq!(key_ids(&data_dir), std::slice::from_ref(&second));
    check_secrets(&server.alice(), &made).await;
    let more = create_some(
        &server.client(serde_json::json!({
            "sub": "carol", "tenant": "acme", "permissions": [crate::harness::CREATE]
        })),
        1,
    )
    .await;
    assert_eq!(more.len(), 1);
    server.terminate();
    let rows = log::rows(&data_dir);
    let refused = Process::serve(&data_dir, &["--master-key-file", old.to_str().unwrap()]).wait();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(refused.stderr.contains(&second), "{refused:?}");
    assert_eq!(log::rows(&data_dir), rows);
    server.restart().await;
    check_secrets(&server.alice(), &made).await;
}

#[tokio::test]
async fn nothing_is_dropped_before_the_running_service_has_taken_up_the_active_key() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    let service = Process::serve(&data_dir, &[]);
    service.ready().await;
    let id = service.id().to_string();
    let signal = |name| assert!(Command::new("kill").args([name, id.as_str()]).status().unwrap().success());
    signal("-STOP");
    assert!(rotate(&data_dir, &[]).status.success());
    // No data key needs the old one; but the service may be about to write one that does.
    check_refused(&rotate(&data_dir, &["--drop"]), &["has not taken up", "nothing was dropped"]);
    assert_eq!(key_ids(&data_dir).len(), 2);
    signal("-CONT");
    wait_until_taken_up(&data_dir).await;
    drop_old(&data_dir).await;
    assert_eq!(key_ids(&data_dir).len(), 1);
}

#[tokio::test]
async fn what_a_service_said_that_has_ended_does_not_count() {
    let mut server = Server::start_alone().await;
    let data_dir = server.data_dir();
    assert!(rotate(&data_dir, &[]).status.success());
    wait_until_taken_up(&data_dir).await;
    server.kill();
    let somebody_else = SqliteStore::open(&data_dir).unwrap();
    check_refused(&rotate(&data_dir, &["--drop"]), &["has not taken up"]);
    drop(somebody_else);
    assert!(rotate(&data_dir, &["--drop"]).status.success());
    assert_eq!(key_ids(&data_dir).len(), 1);
}

#[tokio::test]
async fn there_may_be_nothing_to_drop_and_no_log_yet() {
    let mut server = Server::start_alone().await;
    let data_dir = server.data_dir();
    let only = key_ids(&data_dir);
    assert!(rotate(&data_dir, &["--drop"]).status.success());
    assert_eq!(key_ids(&data_dir), only);
    server.terminate();
    for name in ["events.sqlite", "events.sqlite-wal", "events.sqlite-shm"] {
        // The last two are gone with the last connection, mostly.
        let _ = std::fs::remove_file(data_dir.join(name));
    }
    assert!(rotate(&data_dir, &[]).status.success());
    assert!(rotate(&data_dir, &["--drop"]).status.success());
    assert_ne!(key_ids(&data_dir), only);
    assert!(!data_dir.join("events.sqlite").exists());
}
