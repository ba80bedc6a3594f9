//! A rotation beside deletes, and `--drop` beside creates.

use serde_json::json;
use tokio::{sync::mpsc::unbounded_channel, task::JoinSet};

use super::{
    rotate,
    seeded::{check_open, seed},
    verb::{active, drop_old, is_wrap, wait_until_taken_up, wraps},
};
use crate::{
    harness::{Client, Server},
    log,
    process::eventually,
    writers::Writers,
};

const SEEDED: usize = 2_000;
const DELETERS: usize = 8;
const DELETED: usize = 20;

/// Makes integrations with secrets; answers their ids.
async fn furnish(client: &Client, name: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..DELETED {
        let body = json!({ "name": format!("{name} {number}"), "type": "custom", "clientSecret": "s" });
        ids.push(client.create(body).await.id);
    }
    ids
}

#[tokio::test]
async fn a_rotation_brings_no_key_back_that_a_delete_destroyed_meanwhile() {
    let mut server = Server::start_alone().await;
    server.terminate();
    let data_dir = server.data_dir();
    // Those before the ones that are deleted: the re-wrapping must still be on its way to them.
    let seeded = seed(&data_dir, SEEDED).await;
    server.restart().await;
    let mut furnishing = JoinSet::new();
    for deleter in 0..DELETERS {
        let alice = server.alice();
        furnishing.spawn(async move { furnish(&alice, &format!("by {deleter}")).await });
    }
    let ids = furnishing.join_all().await;
    assert!(rotate(&data_dir, &[]).status.success());
    wait_until_taken_up(&data_dir).await;
    let mut deleting = JoinSet::new();
    for ids in ids.clone() {
        let alice = server.alice();
        deleting.spawn(async move {
            for id in ids {
                alice.delete(&format!("/api/integrations/{id}")).await.expect(204);
            }
        });
    }
    deleting.join_all().await;
    let last = active(&data_dir);
    eventually("all that are left are under the new key", async || {
        wraps(&data_dir).into_iter().eq([(last.clone(), SEEDED)])
    })
    .await;
    let rows = log::rows(&data_dir);
    for id in ids.iter().flatten() {
        let key: Vec<_> = rows.iter().filter(|row| row.of("key").is_some_and(|(_, rest)| rest == id)).collect();
        assert!(key.len() == 1 && !is_wrap(key[0]), "{key:?}");
    }
    check_open(&data_dir, &seeded);
}

#[tokio::test]
async fn no_create_that_was_acknowledged_needs_a_key_that_was_dropped_beside_it() {
    let mut server = Server::start_alone().await;
    let data_dir = server.data_dir();
    let mut all = Vec::new();
    for round in 0..5 {
        let (acknowledged, _answers) = unbounded_channel();
        let writers = Writers::start(&server.alice(), round, DELETERS, &acknowledged);
        for _ in 0..2 {
            assert!(rotate(&data_dir, &[]).status.success());
            drop_old(&data_dir).await;
        }
        server.kill();
        all.extend(writers.ended().await);
        // It would not start if a single data key did not open.
        server.restart().await;
    }
    let rows = log::rows(&data_dir);
    all.iter().for_each(|told| told.check_commands(&rows));
    for told in &all {
        told.repeat_creates(&server.alice()).await;
    }
}
