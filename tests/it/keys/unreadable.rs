//! A data key that cannot be read, since a later release wrote it or the disk broke it: its integration's trouble alone.

use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::{
    create_some, rotate, send,
    verb::{active, check_refused, drop_old, key_ids, wait_until_taken_up},
};
use crate::{
    harness::{Answer, Server},
    log,
    process::eventually,
};

/// What may become of a row: each way makes its data key unreadable at another place.
const DAMAGES: [&str; 4] = [
    "type = 'DataKeyWrapped.v2'",
    "data = '{}'",
    "hash = 'zz'",
    "data = json_set(data, '$.wrapped.ciphertext', 'AAAA')",
];

/// Where the data key of an integration stands.
fn key_stream(created: &Answer) -> String {
    format!("key-acme:{}", created.json()["id"].as_str().unwrap())
}

/// Stops the service, changes the row of a data key, and starts the service again.
async fn damage(server: &mut Server, stream: &str, damage: &str) {
    assert!(server.terminate().success());
    let log = Connection::open(server.data_dir().join("events.sqlite")).unwrap();
    let changed = log.execute(&format!("UPDATE events SET {damage} WHERE stream = ?1"), params![stream]).unwrap();
    assert_eq!(changed, 1);
    drop(log);
    server.restart().await;
}

/// The lines of the service's log at this level.
fn lines(server: &Server, level: &str) -> Vec<Value> {
    let told = server.log();
    let lines = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["level"] == level).collect()
}

/// Three integrations with secrets, the first of which has lost its data key.
async fn damaged(with: &str) -> (Server, Vec<(String, Value, Answer)>) {
    let mut server = Server::start_alone().await;
    let made = create_some(&server.alice(), 3).await;
    damage(&mut server, &key_stream(&made[0].2), with).await;
    (server, made)
}

/// Checks that the data keys of all others open.
async fn check_others(server: &Server, made: &[(String, Value, Answer)]) {
    for (key, same, first) in &made[1..] {
        let again = send(&server.alice(), key, same).await.expect(201);
        assert_eq!(again.body, first.body);
        let mut other = same.clone();
        other["clientSecret"] = json!("another");
        send(&server.alice(), key, &other).await.expect_problem(422, "key-reused");
    }
}

#[tokio::test]
async fn commands_that_need_it_are_503_and_everything_else_goes_on() {
    for with in DAMAGES {
        let (server, made) = damaged(with).await;
        let (alice, path) = (server.alice(), made[0].2.header("location").to_owned());
        let told = lines(&server, "ERROR");
        assert_eq!(told.len(), 1, "{with}: {told:?}");
        assert_eq!((&told[0]["stream"], &told[0]["revision"]), (&json!(key_stream(&made[0].2)), &json!("0")), "{with}");
        check_others(&server, &made).await;
        alice.put(made[1].2.header("location"), json!({ "clientSecret": "new" })).await.expect(200);
        let (key, same, _) = &made[0];
        for refused in [alice.put(&path, json!({ "clientSecret": "new" })).await, send(&alice, key, same).await] {
            let refused = refused.expect_problem(503, "unavailable");
            assert_eq!(refused.header("retry-after"), "60", "{with}");
            assert!(refused.text().contains("data key"), "{with}: {}", refused.text());
        }
        alice.put(&path, json!({ "description": "needs no key" })).await.expect(200);
        alice.put(&path, json!({ "clientSecret": null })).await.expect(200);
        alice.delete(&path).await.expect(204);
        // It went with its integration, and nobody can tell secrets any more.
        send(&alice, key, same).await.expect(201);
    }
}

#[tokio::test]
async fn a_rotation_goes_past_it_and_keeps_the_master_key_that_it_may_need() {
    for with in DAMAGES {
        let (mut server, made) = damaged(with).await;
        let data_dir = server.data_dir();
        assert!(rotate(&data_dir, &[]).status.success());
        wait_until_taken_up(&data_dir).await;
        let is_end = |line: &Value| {
            let told = line["message"].as_str().unwrap();
            told.starts_with("every data key that can be read is under") && line["master_key"] == active(&data_dir)
        };
        eventually("it has gone past it", async || lines(&server, "WARN").iter().any(is_end)).await;
        let is_under_active = |row: &log::Row| row.json()["wrapped"]["masterKey"] == active(&data_dir).as_str();
        let streams: Vec<_> = made[1..].iter().map(|(_, _, answer)| key_stream(answer)).collect();
        let rows = log::rows(&data_dir);
        let others: Vec<_> = rows.iter().filter(|row| streams.contains(&row.stream)).collect();
        assert!(others.len() == 2 && others.iter().all(|row| is_under_active(row)), "{with}");
        assert_eq!(server.measured("keys_to_rewrap").await, 1, "{with}");
        assert_eq!(lines(&server, "ERROR").len(), 1, "{with}");
        check_refused(&rotate(&data_dir, &["--drop"]), &["nothing was dropped"]);
        // Now its master key opens nothing at all, and is still no other one.
        server.terminate();
        server.restart().await;
        check_others(&server, &made).await;
        assert_eq!(server.measured("keys_to_rewrap").await, 1, "{with}");
        // It goes with its integration.
        server.alice().delete(made[0].2.header("location")).await.expect(204);
        drop_old(&data_dir).await;
        assert_eq!(key_ids(&data_dir).len(), 1);
        check_others(&server, &made).await;
    }
}
