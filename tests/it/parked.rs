//! Streams with an event that this release cannot read: a later release wrote it, or somebody broke it.

use rusqlite::{Connection, params};
use serde_json::json;

use super::harness::{Created, Server};

const LIST: &str = "/api/integrations-list";

/// Stops the service, lets `change` work on its log, and starts it again.
async fn meanwhile(server: &mut Server, change: impl FnOnce(&Connection)) {
    assert!(server.terminate().success());
    let log = Connection::open(server.data_dir().join("events.sqlite")).unwrap();
    change(&log);
    drop(log);
    server.restart().await;
}

/// Adds an event to an integration's stream, as another release might have.
fn add(log: &Connection, integration: &Created, revision: i64, event_type: &str, data: &str) {
    let at = "2030-01-01T00:00:00.000Z";
    let hash = format!("{revision:064x}");
    let metadata = format!(r#"{{"tenant":"acme","actor":"alice","time":"{at}","hash":"{hash}"}}"#);
    let event_id = format!("0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a{revision:02x}");
    let sql = "INSERT INTO events (stream, revision, id, type, at, data, metadata, hash)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let stream = format!("integration-acme:{}", integration.id);
    log.execute(sql, params![stream, revision, event_id, event_type, at, data, metadata, hash]).unwrap();
}

async fn two(server: &Server) -> (Created, Created) {
    let parked = server.alice().create(json!({ "name": "Parked", "type": "slack" })).await;
    let other = server.alice().create(json!({ "name": "Other", "type": "slack" })).await;
    server.alice().get_at(LIST, &other.position).await.expect(200);
    (parked, other)
}

async fn parked_streams(server: &Server) -> u64 {
    server.measured("parked_streams").await
}

#[tokio::test]
async fn a_stream_with_an_event_of_a_later_release_is_parked_and_everything_else_goes_on() {
    let mut server = Server::start_alone().await;
    let (parked, other) = two(&server).await;
    let list = server.alice().get(LIST).await.expect(200);
    let detail = server.alice().get(&parked.path("")).await.expect(200);
    assert_eq!(server.anonymous().get("/readyz").await.expect(200).text(), "ready\n");
    meanwhile(&mut server, |log| {
        add(log, &parked, 1, "IntegrationRenamed.v9", r#"{"name":"Renamed"}"#);
        add(log, &parked, 2, "TagsSet.v1", r#"{"tags":["a"],"added":["a"],"removed":[]}"#);
    })
    .await;
    assert_eq!(server.anonymous().get("/readyz").await.expect(200).text(), "ready, parked streams: 1\n");
    assert_eq!(parked_streams(&server).await, 1);
    let alice = server.alice();
    let now = alice.get(LIST).await.expect(200);
    assert_eq!((&now.body, now.header("integration-position")), (&list.body, list.header("integration-position")));
    assert_ne!(now.header("etag"), list.header("etag"));
    alice.request("GET", LIST).header("if-none-match", list.header("etag")).send().await.expect(200);
    alice.request("GET", LIST).header("if-none-match", now.header("etag")).send().await.expect(304);
    let shown = alice.get(&parked.path("")).await.expect(200);
    assert_eq!((&shown.body, shown.header("etag")), (&detail.body, detail.header("etag")));
    let elsewhere = server.other_tenant().get(LIST).await.expect(200);
    let put = alice.put(&other.path(""), json!({ "name": "Still working" })).await.expect(200);
    let after = alice.get_at(LIST, put.header("integration-position")).await.expect(200);
    assert!(after.text().contains("Still working"));
    assert_eq!(server.other_tenant().get(LIST).await.expect(200).header("etag"), elsewhere.header("etag"));
    let errors = server.log().matches("\"ERROR\"").count();
    assert_eq!(errors, 1, "one line tells it: {}", server.log());
    assert!(server.log().contains("IntegrationRenamed.v9"));
}

#[tokio::test]
async fn commands_on_a_parked_stream_are_503_for_those_who_may_see_it_and_404_for_the_rest() {
    let mut server = Server::start().await;
    let (parked, _) = two(&server).await;
    meanwhile(&mut server, |log| add(log, &parked, 1, "IntegrationRenamed.v9", "{}")).await;
    let by_slug = format!("/api/integrations/{}", parked.slug);
    for path in [parked.path(""), by_slug] {
        let requests = [
            ("PUT", "", Some(json!({ "name": "New" }))),
            ("DELETE", "", None),
            ("PUT", "/tags", Some(json!({ "tags": [] }))),
            ("PUT", "/tags/a", None),
            ("PUT", "/shares/bob", None),
            ("DELETE", "/shares/bob", None),
            ("PUT", "/owner", Some(json!({ "ownerId": "bob" }))),
            ("DELETE", "/icon", None),
        ];
        for (method, rest, body) in requests {
            let request = |server: &Server, who: &str| {
                let request =
                    server.user_with(who, &[super::harness::CREATE]).request(method, &format!("{path}{rest}"));
                body.as_ref().map_or(request.clone(), |body| request.json(body))
            };
            let refused = request(&server, "alice").send().await.expect_problem(503, "unavailable");
            assert!(refused.header("retry-after").parse::<u64>().is_ok());
            request(&server, "mallory").send().await.expect_problem(404, "not-found");
        }
    }
    let again = json!({ "name": "Parked", "type": "slack", "id": parked.id });
    server.alice().post("/api/integrations", again).await.expect_problem(503, "unavailable");
    let namesake = server.alice().create(json!({ "name": "Parked", "type": "slack" })).await;
    assert_eq!(namesake.slug, "parked-2");
}

#[tokio::test]
async fn a_parked_stream_is_taken_up_again_by_a_release_that_knows_the_event() {
    let mut server = Server::start().await;
    let (parked, _) = two(&server).await;
    meanwhile(&mut server, |log| {
        add(log, &parked, 1, "TagsSet.v9", r#"{"tags":["a"],"added":["a"],"removed":[]}"#);
        add(log, &parked, 2, "IntegrationShared.v1", r#"{"principal":"bob","level":1}"#);
    })
    .await;
    server.bob().get(&parked.path("")).await.expect(404);
    meanwhile(&mut server, |log| {
        log.execute("UPDATE events SET type = 'TagsSet.v1' WHERE type = 'TagsSet.v9'", []).unwrap();
    })
    .await;
    assert_eq!(server.anonymous().get("/readyz").await.expect(200).text(), "ready\n");
    assert_eq!(server.bob().get(&parked.path("/tags")).await.expect(200).json(), json!({ "tags": ["a"] }));
    server.alice().put(&parked.path(""), json!({ "name": "Free again" })).await.expect(200);
}

#[tokio::test]
async fn a_broken_event_parks_its_stream_too() {
    for (event_type, data) in [("TagsSet.v1", "{}"), ("TagsSet.v1", "no json"), ("TagsSet", r#"{"tags":[]}"#)] {
        let mut server = Server::start().await;
        let (parked, other) = two(&server).await;
        meanwhile(&mut server, |log| add(log, &parked, 1, event_type, data)).await;
        assert_eq!(parked_streams(&server).await, 1, "{event_type} {data}");
        server.alice().delete(&parked.path("")).await.expect_problem(503, "unavailable");
        server.alice().delete(&other.path("")).await.expect(204);
    }
}

#[tokio::test]
async fn an_event_whose_very_row_is_damaged_parks_its_stream_too() {
    let damages = [
        "id = 'x'",
        "at = 'yesterday'",
        "data = 7",
        "hash = 'zz'",
        "type = CAST(x'ff' AS TEXT)",
        "metadata = CAST(x'ff' AS TEXT)",
    ];
    for damage in damages {
        let mut server = Server::start().await;
        let (parked, other) = two(&server).await;
        server.alice().put(&parked.path("/shares/bob"), json!({ "accessLevel": 1 })).await.expect(200);
        server.alice().put(&parked.path(""), json!({ "name": "Never seen again" })).await.expect(200);
        meanwhile(&mut server, |log| {
            let sql =
                format!("UPDATE events SET {damage} WHERE stream = 'integration-acme:{}' AND revision = 2", parked.id);
            assert_eq!(log.execute(&sql, []).unwrap(), 1);
        })
        .await;
        assert_eq!(
            server.anonymous().get("/readyz").await.expect(200).text(),
            "ready, parked streams: 1\n",
            "{damage}"
        );
        assert_eq!(parked_streams(&server).await, 1, "{damage}");
        assert_eq!(server.bob().get(&parked.path("")).await.expect(200).json()["name"], "Parked", "{damage}");
        let refused = server.alice().delete(&parked.path("")).await.expect_problem(503, "unavailable");
        assert!(refused.text().contains("it is damaged"), "{damage}");
        server.user_with("mallory", &[]).delete(&parked.path("")).await.expect_problem(404, "not-found");
        server.alice().delete(&other.path("")).await.expect(204);
    }
}
