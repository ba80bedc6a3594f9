//! What a deletion leaves on the disk: nothing that could bring a secret or an icon back.

use serde_json::json;
use tokio::task::JoinSet;

use super::{body_with_secret, with_secret};
use crate::{
    harness::png,
    harness::{Client, Created, Server},
    log,
    process::eventually,
};

/// The ciphertext of an integration's wrapped data key, as the log holds it.
fn wrapped_key(server: &Server, created: &Created) -> String {
    let rows = server.rows();
    let key = rows.iter().find(|row| row.of("key").is_some_and(|(_, id)| id == created.id)).unwrap();
    let ciphertext = key.json()["wrapped"]["ciphertext"].as_str().unwrap().to_owned();
    assert!(ciphertext.len() >= 40);
    ciphertext
}

async fn gone_from_disk(server: &Server, what: &str, bytes: &[u8]) {
    eventually(what, async || !server.holds(bytes)).await;
}

/// Checks that the key stream is tombstoned, and holds nothing else.
#[track_caller]
fn check_tombstoned(server: &Server, stream: &str) {
    let rows = server.rows();
    let types: Vec<_> = rows.iter().filter(|row| row.stream == stream).map(|row| row.event_type.as_str()).collect();
    assert_eq!(types, [log::TOMBSTONE], "{stream}");
}

#[tokio::test]
async fn a_delete_is_answered_after_the_data_key_is_tombstoned_and_its_bytes_are_gone_soon() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let created = with_secret(&alice, "Slack").await;
    let wrapped = wrapped_key(&server, &created);
    assert!(server.holds(wrapped.as_bytes()), "it was there");
    alice.delete(&created.path("")).await.expect(204);
    check_tombstoned(&server, &format!("key-acme:{}", created.id));
    gone_from_disk(&server, "the wrapped key is gone", wrapped.as_bytes()).await;
}

#[tokio::test]
async fn an_integration_without_secrets_has_its_key_stream_tombstoned_too() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let created = alice.create(json!({ "name": "Bare", "type": "custom" })).await;
    alice.delete(&created.path("")).await.expect(204);
    check_tombstoned(&server, &format!("key-acme:{}", created.id));
}

#[tokio::test]
async fn a_key_that_was_made_by_an_update_is_destroyed_like_any_other() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let created = alice.create(json!({ "name": "Bare", "type": "custom" })).await;
    let rows = server.rows();
    assert!(rows.iter().all(|row| row.of("key").is_none()), "without a secret there is no key");
    alice.put(&created.path(""), json!({ "apiKey": "k" })).await.expect(200);
    let wrapped = wrapped_key(&server, &created);
    alice.put(&created.path(""), json!({ "apiKey": "other" })).await.expect(200);
    assert_eq!(wrapped_key(&server, &created), wrapped, "one key an integration");
    alice.delete(&created.path("")).await.expect(204);
    gone_from_disk(&server, "the wrapped key is gone", wrapped.as_bytes()).await;
}

#[tokio::test]
async fn what_was_deleted_before_a_kill_is_gone_after_the_restart() {
    let mut server = Server::start_alone().await;
    let created = with_secret(&server.alice(), "Slack").await;
    let wrapped = wrapped_key(&server, &created);
    let icon = png("deleted-before-a-kill-");
    server.alice().request("PUT", &created.path("/icon")).body("image/png", icon.clone()).send().await.expect(200);
    server.alice().delete(&created.path("")).await.expect(204);
    server.kill();
    server.restart().await;
    gone_from_disk(&server, "the wrapped key is gone", wrapped.as_bytes()).await;
    gone_from_disk(&server, "the icon is gone", &icon).await;
}

/// Creates one after the other, with an icon each, until it is aborted.
async fn load(client: Client) {
    for number in 0.. {
        let created = client.create(body_with_secret(&format!("load {number}"))).await;
        client.request("PUT", &created.path("/icon")).body("image/png", png("load")).send().await.expect(200);
    }
}

#[tokio::test]
async fn the_bytes_of_a_key_are_gone_soon_under_load_too() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let mut loading: JoinSet<_> = (0..4).map(|_| load(server.alice())).collect();
    let mut wrapped = Vec::new();
    for number in 0..5 {
        let created = with_secret(&alice, &format!("Short {number}")).await;
        wrapped.push(wrapped_key(&server, &created));
        alice.delete(&created.path("")).await.expect(204);
    }
    eventually("no wrapped key is left", async || wrapped.iter().all(|key| !server.holds(key.as_bytes()))).await;
    assert!(loading.try_join_next().is_none(), "the load went on all the time");
    loading.abort_all();
}

#[tokio::test]
async fn the_bytes_of_an_icon_that_was_replaced_removed_or_deleted_are_gone_soon() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let created = with_secret(&alice, "Slack").await;
    let [first, second, third] = ["first-icon-", "second-icon-", "third-icon-"].map(png);
    let put = |icon: &[u8]| alice.request("PUT", &created.path("/icon")).body("image/png", icon.to_vec()).send();
    put(&first).await.expect(200);
    assert!(server.holds(b"first-icon-first-icon-"), "it was there");
    let replaced = put(&second).await.expect(200);
    gone_from_disk(&server, "the replaced icon is gone", b"first-icon-first-icon-").await;
    let kept = alice.get_at(&created.path("/icon"), replaced.header("integration-position")).await.expect(200);
    assert_eq!(kept.body, second, "the new one is still there");
    alice.delete(&created.path("/icon")).await.expect(204);
    gone_from_disk(&server, "the removed icon is gone", b"second-icon-second-icon-").await;
    put(&third).await.expect(200);
    alice.delete(&created.path("")).await.expect(204);
    gone_from_disk(&server, "the icon of what was deleted is gone", b"third-icon-third-icon-").await;
}

#[tokio::test]
async fn what_others_have_is_still_whole_when_one_is_deleted() {
    let mut server = Server::start_alone().await;
    let alice = server.alice();
    let (kept, gone) = (with_secret(&alice, "Kept").await, with_secret(&alice, "Gone").await);
    let icon = png("kept-");
    let put = alice.request("PUT", &kept.path("/icon")).body("image/png", icon.clone()).send().await.expect(200);
    alice.request("PUT", &gone.path("/icon")).body("image/png", icon.clone()).send().await.expect(200);
    let wrapped = (wrapped_key(&server, &kept), wrapped_key(&server, &gone));
    assert_ne!(wrapped.0, wrapped.1, "a key for each");
    alice.delete(&gone.path("")).await.expect(204);
    gone_from_disk(&server, "the wrapped key is gone", wrapped.1.as_bytes()).await;
    assert_eq!(wrapped_key(&server, &kept), wrapped.0);
    server.kill();
    server.restart().await;
    // What was killed may not have shown it yet.
    let shown = server.alice().get_at(&kept.path("/icon"), put.header("integration-position")).await.expect(200);
    assert_eq!(shown.body, icon);
    server.alice().put(&kept.path(""), json!({ "clientSecret": "again" })).await.expect(200);
}
