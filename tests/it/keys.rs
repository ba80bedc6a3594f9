//! `keys rotate`: the master key changes under a service at work, and nothing that was acknowledged is lost.

use serde_json::{Value, json};

use super::{
    harness::{Answer, Client, Server},
    process::eventually,
};
use crate::log;

mod drop;
mod file;
mod kills;
mod late;
mod races;
mod seeded;
mod unreadable;
mod verb;

use verb::{active, key_ids, rotate, wait_until_taken_up, wraps};

/// Creates integrations with secrets, each under a key of its own.
async fn create_some(client: &Client, count: usize) -> Vec<(String, Value, Answer)> {
    let mut made = Vec::new();
    for number in 0..count {
        let (key, body) = (format!("k-{number}"), body(number, "one"));
        let answer = send(client, &key, &body).await.expect(201);
        made.push((key, body, answer));
    }
    made
}

fn body(number: usize, secret: &str) -> Value {
    json!({ "name": format!("Slack {number}"), "type": "slack", "clientSecret": format!("{secret} {number}") })
}

async fn send(client: &Client, key: &str, body: &Value) -> Answer {
    client.request("POST", "/api/integrations").header("idempotency-key", key).json(body).send().await
}

/// Checks that each data key opens: only with it the same secrets are told from others.
async fn check_secrets(client: &Client, made: &[(String, Value, Answer)]) {
    for (number, (key, same, first)) in made.iter().enumerate() {
        let again = send(client, key, same).await.expect(201);
        assert_eq!((&again.body, again.header("etag")), (&first.body, first.header("etag")));
        send(client, key, &body(number, "two")).await.expect_problem(422, "key-reused");
    }
}

/// Every row but those of data keys and of the janitor's own checkpoint.
fn rest(rows: &[log::Row]) -> Vec<log::Row> {
    let is_rest = |row: &&log::Row| !row.stream.starts_with("key-") && row.stream != "janitor-checkpoint";
    rows.iter().filter(is_rest).cloned().collect()
}

#[tokio::test]
async fn a_running_service_puts_every_data_key_under_the_new_key_and_rewrites_nothing_else() {
    let mut server = Server::start_alone().await;
    let made = create_some(&server.alice(), 20).await;
    let (data_dir, before) = (server.data_dir(), log::rows(&server.data_dir()));
    let first = active(&data_dir);
    let told = rotate(&data_dir, &[]);
    assert!(told.status.success(), "{told:?}");
    let second = active(&data_dir);
    assert_eq!(key_ids(&data_dir), [first.clone(), second.clone()]);
    assert_eq!(String::from_utf8(told.stdout).unwrap().split_whitespace().last(), Some(second.as_str()));
    wait_until_taken_up(&data_dir).await;
    eventually("every data key is under the new key", async || {
        wraps(&data_dir).into_iter().eq([(second.clone(), made.len())])
    })
    .await;
    eventually("it says so", async || server.log().contains("none is left to be re-wrapped")).await;
    let metrics = reqwest::get(format!("{}/metrics", server.url)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("\nintegrations_keys_to_rewrap 0\n"), "{metrics}");
    let after = log::rows(&data_dir);
    assert_eq!(rest(&after), rest(&before));
    log::check_form(&after);
    check_secrets(&server.alice(), &made).await;
    server.kill();
    server.restart().await;
    // Nothing is in memory now that was there before.
    check_secrets(&server.alice(), &made).await;
    let told = server.log();
    let line = told.lines().find(|line| line.contains("none is left to be re-wrapped")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["master_key"], &line["rewrapped"]), (&json!(second), &json!(made.len())));
}

#[tokio::test]
async fn a_rotation_of_a_stopped_service_is_taken_up_by_the_next_start() {
    let mut server = Server::start_alone().await;
    let made = create_some(&server.alice(), 3).await;
    server.terminate();
    let data_dir = server.data_dir();
    let before = log::rows(&data_dir);
    for _ in 0..2 {
        assert!(rotate(&data_dir, &[]).status.success());
    }
    assert_eq!(log::rows(&data_dir), before);
    server.restart().await;
    let last = active(&data_dir);
    eventually("every data key is under the last key", async || {
        wraps(&data_dir).into_iter().eq([(last.clone(), made.len())])
    })
    .await;
    assert_eq!(rest(&log::rows(&data_dir)), rest(&before));
    check_secrets(&server.alice(), &made).await;
}

#[tokio::test]
async fn new_data_keys_are_under_the_new_key_once_the_service_has_taken_it_up() {
    let server = Server::start_alone().await;
    let data_dir = server.data_dir();
    assert!(rotate(&data_dir, &[]).status.success());
    wait_until_taken_up(&data_dir).await;
    create_some(&server.alice(), 3).await;
    assert_eq!(wraps(&data_dir).into_iter().collect::<Vec<_>>(), [(active(&data_dir), 3)]);
}
