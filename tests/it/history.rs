//! `history`: what happened to an integration, on a terminal and as the contract's history entries.

use serde_json::{Value, json};

use super::{
    harness::png,
    harness::{CREATE, Client, Created, Server},
    log,
    transfer::{check_refused, printed, run},
};

/// An integration to which everything happened, the end too.
async fn lived(alice: &Client) -> Created {
    // As text, so that the order of keys and the form of numbers are these.
    let body = r#"{"name": "Drive", "type": "custom", "clientSecret": "s3cret-1", "data": {"b": 1.0, "a": []},
        "headers": {"X-A": "1", "X-Api-Key": "s3cret-2"}}"#;
    let made = alice.request("POST", "/api/integrations").body("application/json", body).send().await.expect(201);
    let created = Created {
        id: made.json()["id"].as_str().unwrap().to_owned(),
        slug: made.json()["slug"].as_str().unwrap().to_owned(),
        position: made.header("integration-position").to_owned(),
        etag: made.header("etag").to_owned(),
    };
    let path = created.path("");
    let change = r#"{"name": "Disk", "data": {"c": 1e2}, "clientSecret": null, "headers": {"X-A": "2", "X-B": "3"}}"#;
    let request = alice.request("PUT", &path).header("audit-reason", "it is due").header("x-request-id", "r-1");
    request.body("application/json", change).send().await.expect(200);
    alice.put(&created.path("/shares/b~o%2Fb"), json!({ "accessLevel": 1 })).await.expect(200);
    alice.put(&created.path("/shares/b~o%2Fb"), json!({ "accessLevel": 2 })).await.expect(200);
    alice.put(&created.path("/tags"), json!({ "tags": ["x", "y"] })).await.expect(200);
    alice.put(&created.path("/tags"), json!({ "tags": ["z", "x"] })).await.expect(200);
    alice.put(&created.path("/tags"), json!({ "tags": ["x", "z"] })).await.expect(200);
    alice.request("PUT", &created.path("/icon")).body("image/png", png("one")).send().await.expect(200);
    alice.delete(&created.path("/icon")).await.expect(204);
    alice.delete(&path).await.expect(204);
    created
}

fn entries(server: &Server, arguments: &[&str]) -> Vec<Value> {
    let arguments: Vec<_> = ["history"].iter().chain(arguments).chain(&["--json"]).copied().collect();
    serde_json::from_str(&printed(&run(&server.data_dir(), &arguments))).unwrap()
}

fn changes(entry: &Value) -> Vec<Value> {
    entry["changes"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_history_as_json_has_the_contracts_entries_oldest_first() {
    let server = Server::start_alone().await;
    let created = lived(&server.alice()).await;
    let entries = entries(&server, &[&created.id]);
    let rows = log::rows(&server.data_dir());
    let rows = log::of_integration(&rows, &created.id);
    assert_eq!(entries.len(), rows.len());
    for (entry, row) in entries.iter().zip(&rows) {
        assert_eq!((&entry["revision"], &entry["type"]), (&json!(row.revision), &json!(row.name())));
        assert_eq!((&entry["at"], &entry["hash"]), (&json!(row.at), &json!(row.hash)));
        assert_eq!((&entry["actor"], &entry["correlationId"]), (&json!("alice"), &row.metadata()["correlationId"]));
        let names: Vec<_> = entry.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["actor", "at", "changes", "correlationId", "hash", "revision", "type"]);
    }
    let first = changes(&entries[0]);
    for change in [
        json!({ "path": "/name", "to": "Drive" }),
        json!({ "path": "/ownerId", "to": "alice" }),
        json!({ "path": "/headers/X-A", "to": "1" }),
        json!({ "path": "/clientSecret", "changed": true }),
        json!({ "path": "/headers/X-Api-Key", "changed": true }),
    ] {
        assert!(first.contains(&change), "{change} is not in {first:?}");
    }
    let second = [
        json!({ "path": "/data", "from": { "a": [], "b": 1.0 }, "to": { "c": 1e2 } }),
        json!({ "path": "/headers/X-A", "from": "1", "to": "2" }),
        json!({ "path": "/headers/X-B", "to": "3" }),
        json!({ "path": "/name", "from": "Drive", "to": "Disk" }),
        json!({ "path": "/clientSecret", "changed": true }),
    ];
    assert_eq!(changes(&entries[1]), second);
    assert_eq!(entries[1]["correlationId"], "r-1");
}

#[tokio::test]
async fn every_kind_of_change_is_told_from_what_to_what() {
    let server = Server::start().await;
    let created = lived(&server.alice()).await;
    let entries = entries(&server, &[&created.slug, "--tenant", "acme"]);
    let share = "/shares/b~0o~1b";
    assert_eq!(changes(&entries[2]), [json!({ "path": share, "to": 1 })]);
    assert_eq!(changes(&entries[3]), [json!({ "path": share, "from": 1, "to": 2 })]);
    let tag = |name: &str, side: &str| json!({ "path": format!("/tags/{name}"), side: name });
    assert_eq!(changes(&entries[4]), [tag("x", "to"), tag("y", "to")]);
    assert_eq!(changes(&entries[5]), [tag("y", "from"), tag("z", "to")]);
    assert_eq!(changes(&entries[6]), [json!({ "path": "/tags", "to": ["x", "z"] })]);
    let icon = &changes(&entries[7])[0];
    assert_eq!((&icon["path"], &icon["to"]["mediaType"]), (&json!("/icon"), &json!("image/png")));
    let removed = json!({ "path": "/icon", "from": { "blob": icon["to"]["blob"] } });
    assert_eq!(changes(&entries[8]), [removed]);
    let last = changes(&entries[9]);
    assert!(last.contains(&json!({ "path": "/ownerId", "from": "alice" })), "{last:?}");
    assert!(last.contains(&json!({ "path": share, "from": 2 })), "{last:?}");
    assert!(last.contains(&tag("z", "from")), "{last:?}");
}

#[tokio::test]
async fn the_history_as_text_is_for_people_and_keeps_numbers_as_they_were() {
    let server = Server::start_alone().await;
    let created = lived(&server.alice()).await;
    let text = printed(&run(&server.data_dir(), &["history", &created.id]));
    assert!(text.starts_with(&format!("integration {} of tenant acme\n", created.id)), "{text}");
    for line in [
        "  IntegrationCreated  by alice",
        "       reason: it is due",
        r#"       /data: {"b":1.0,"a":[]} -> {"c":1e2}"#,
        r#"       /name: "Drive" -> "Disk""#,
        "       /clientSecret: changed",
        "       /shares/b~0o~1b: 1 -> 2",
        "  IntegrationDeleted  by alice",
        r#"       /ownerId: "alice" -> gone"#,
    ] {
        assert!(text.lines().any(|told| told.ends_with(line)), "{line} is not in:\n{text}");
    }
    let times: Vec<_> = text.lines().filter(|line| line.contains("  by alice")).collect();
    assert_eq!(times.len(), 10, "{text}");
}

#[tokio::test]
async fn no_history_holds_a_secret_or_what_seals_it() {
    let server = Server::start_alone().await;
    let created = lived(&server.alice()).await;
    let rows = log::rows(&server.data_dir());
    let first = log::of_integration(&rows, &created.id)[0].json();
    let sealed = &first["secrets"]["clientSecret"];
    let text = printed(&run(&server.data_dir(), &["history", &created.id]));
    let json = printed(&run(&server.data_dir(), &["history", &created.id, "--json"]));
    for secret in ["s3cret", sealed["ciphertext"].as_str().unwrap(), sealed["nonce"].as_str().unwrap()] {
        assert!(!text.contains(secret) && !json.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn what_stands_in_a_value_does_not_act_on_the_terminal() {
    let server = Server::start_alone().await;
    let data = json!({ "odd": "\u{9b}31m\u{7f}" });
    let created = server.alice().create(json!({ "name": "Odd", "type": "custom", "data": data })).await;
    let text = printed(&run(&server.data_dir(), &["history", &created.id]));
    assert!(text.contains(r#"{"odd":"\u{9b}31m\u{7f}"}"#), "{text}");
}

#[tokio::test]
async fn an_id_that_several_tenants_have_is_shown_for_each_or_for_the_one_that_is_named() {
    let server = Server::start_alone().await;
    let id = "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b";
    for tenant in ["b", "a", "a-b", "a0"] {
        let claims = json!({ "sub": "alice", "tenant": tenant, "permissions": [CREATE] });
        let body = json!({ "id": id, "name": format!("of {tenant}"), "type": "custom" });
        server.client(claims).create(body).await;
    }
    let other = json!({ "sub": "alice", "tenant": "aa", "permissions": [CREATE] });
    server.client(other).create(json!({ "name": "Other", "type": "custom" })).await;
    let text = printed(&run(&server.data_dir(), &["history", id]));
    let headings: Vec<_> = text.lines().filter(|line| line.starts_with("integration ")).collect();
    assert_eq!(headings, ["a-b", "a0", "a", "b"].map(|tenant| format!("integration {id} of tenant {tenant}")));
    let text = printed(&run(&server.data_dir(), &["history", id, "--tenant", "a0"]));
    assert!(text.contains(r#""of a0""#) && !text.contains(r#""of a""#), "{text}");
    check_refused(&run(&server.data_dir(), &["history", id, "--json"]), 2, &["--tenant"]);
    assert_eq!(entries(&server, &[id, "--tenant", "a0"]).len(), 1);
}

#[tokio::test]
async fn an_unknown_integration_is_told_in_one_line() {
    let server = Server::start_alone().await;
    server.alice().create(json!({ "name": "Here", "type": "custom" })).await;
    let id = "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b";
    let words = &["there is no such integration"];
    check_refused(&run(&server.data_dir(), &["history", id]), 1, words);
    check_refused(&run(&server.data_dir(), &["history", id, "--tenant", "acme"]), 1, words);
    check_refused(&run(&server.data_dir(), &["history", "there", "--tenant", "acme"]), 1, words);
    check_refused(&run(&server.data_dir(), &["history", "here", "--tenant", "other"]), 1, words);
    check_refused(&run(&server.data_dir(), &["history", "here"]), 2, &["--tenant"]);
    assert_eq!(run(&server.data_dir(), &["history", "No Slug"]).status.code(), Some(2));
}

#[tokio::test]
async fn an_event_of_an_unknown_type_is_shown_by_its_name_alone() {
    let mut server = Server::start_alone().await;
    let created = server.alice().create(json!({ "name": "Here", "type": "custom" })).await;
    assert!(server.terminate().success());
    let connection = rusqlite::Connection::open(server.data_dir().join("events.sqlite")).unwrap();
    let sql = "INSERT INTO events (stream, revision, id, type, at, data, metadata, hash)
               SELECT stream, 1, id, 'IntegrationRenamed.v1', at, '{\"to\":1}', metadata, hash FROM events
               WHERE stream LIKE 'integration-%'";
    connection.execute_batch(sql).unwrap();
    let entries = entries(&server, &[&created.id]);
    assert_eq!((&entries[1]["type"], &entries[1]["changes"]), (&json!("IntegrationRenamed"), &json!([])));
}
