//! A data key that was wrapped with the old master key and is not in the log yet when the key changes.

use rusqlite::Connection;
use serde_json::json;

use super::{
    rotate, send,
    verb::{active, check_refused, drop_old, key_ids, marked, wraps},
};
use crate::{harness::Server, process::eventually};

#[tokio::test]
async fn the_active_key_does_not_change_while_a_wrap_of_it_is_on_its_way_into_the_log() {
    let mut server = Server::start_alone().await;
    let data_dir = server.data_dir();
    let first = active(&data_dir);
    // While somebody else writes the file, an append waits, up to five seconds.
    let file = Connection::open(data_dir.join("events.sqlite")).unwrap();
    file.execute_batch("BEGIN IMMEDIATE").unwrap();
    let body = json!({ "name": "Slack", "type": "slack", "clientSecret": "s" });
    let (alice, late) = (server.alice(), body.clone());
    let create = tokio::spawn(async move { send(&alice, "late", &late).await });
    eventually("the create is on its way", async || {
        let metrics = reqwest::get(format!("{}/metrics", server.url)).await.unwrap().text().await.unwrap();
        metrics.contains("\nintegrations_requests_in_flight 1\n")
    })
    .await;
    assert!(rotate(&data_dir, &[]).status.success());
    eventually("it has seen the new key", async || marked(&data_dir).as_deref() != Some(first.as_str())).await;
    check_refused(&rotate(&data_dir, &["--drop"]), &["has not taken up"]);
    file.execute_batch("ROLLBACK").unwrap();
    create.await.unwrap().expect(201);
    drop_old(&data_dir).await;
    assert_eq!(wraps(&data_dir).into_iter().collect::<Vec<_>>(), [(active(&data_dir), 1)]);
    assert_eq!(key_ids(&data_dir).len(), 1);
    server.kill();
    server.restart().await;
    send(&server.alice(), "late", &body).await.expect(201);
}
