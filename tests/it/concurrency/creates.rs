//! Creates at once: of one key, of one id, of one name; and what a refused one leaves behind.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::BASE32_NOPAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{at_once, check_log_and_views, conflicts, last_position, with_status};
use crate::{
    harness::{Answer, Client, Request, Server},
    log,
    topology::IS_EMBEDDED,
};

const ID: &str = "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b";

fn create(client: &Client, body: &Value) -> Request {
    client.request("POST", "/api/integrations").json(body)
}

/// Checks that all are one and the same 201.
#[track_caller]
fn check_one_answer(answers: &[Answer]) {
    let first = answers[0].clone().expect(201);
    for answer in answers {
        assert_eq!((answer.status, &answer.body), (201, &first.body));
        for name in ["etag", "location", "integration-position"] {
            assert_eq!(answer.header(name), first.header(name), "{name}");
        }
    }
}

fn count(rows: &[log::Row], kind: &str) -> usize {
    rows.iter().filter(|row| row.of(kind).is_some()).count()
}

/// Checks that the log has one integration and so many keys, and one slug. Where they are not one append, another create
/// of the same id may have reserved a slug too, which then nobody has.
#[track_caller]
fn check_parts(rows: &[log::Row], keys: usize) {
    assert_eq!((count(rows, "integration"), count(rows, "key")), (1, keys), "{rows:?}");
    let slugs = count(rows, "slug");
    assert!(slugs == 1 || (slugs > 1 && !IS_EMBEDDED), "{rows:?}");
}

#[tokio::test]
async fn many_creates_with_one_idempotency_key_at_once_make_one_integration_and_get_one_answer() {
    let server = Server::start_alone().await;
    let body = json!({ "name": "Slack", "type": "slack", "clientSecret": "s" });
    let request = create(&server.alice(), &body).header("idempotency-key", "one");
    let answers = at_once((0..64).map(|_| request.clone())).await;
    check_one_answer(&answers);
    let rows = check_log_and_views(&server, &last_position(&answers)).await;
    assert_eq!((count(&rows, "integration"), count(&rows, "slug"), count(&rows, "key")), (1, 1, 1));
}

#[tokio::test]
async fn many_creates_with_one_id_at_once_make_one_integration_and_get_one_answer() {
    let server = Server::start_alone().await;
    let request = create(&server.alice(), &json!({ "name": "Box", "type": "box", "apiKey": "k", "id": ID }));
    let answers = at_once((0..64).map(|_| request.clone())).await;
    check_one_answer(&answers);
    assert_eq!(answers[0].json()["id"], ID);
    let rows = check_log_and_views(&server, &last_position(&answers)).await;
    assert_eq!((count(&rows, "integration"), count(&rows, "slug"), count(&rows, "key")), (1, 1, 1));
}

#[tokio::test]
async fn of_different_creates_with_one_id_at_once_one_is_done_and_the_others_leave_nothing() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let bodies: Vec<_> = (0..32)
        .map(|number| json!({ "name": format!("Name {number}"), "type": "custom", "id": ID, "apiKey": "k" }))
        .collect();
    let answers = at_once(bodies.iter().map(|body| create(&alice, body))).await;
    assert_eq!((with_status(&answers, 201), with_status(&answers, 409)), (1, 31));
    let rows = check_log_and_views(&server, &last_position(&answers)).await;
    check_parts(&rows, 1);
}

#[tokio::test]
async fn of_different_creates_with_one_key_at_once_one_is_done_and_the_others_leave_nothing() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let bodies: Vec<_> = (0..32).map(|number| json!({ "name": format!("Name {number}"), "type": "custom" })).collect();
    let answers = at_once(bodies.iter().map(|body| create(&alice, body).header("idempotency-key", "k"))).await;
    assert_eq!((with_status(&answers, 201), with_status(&answers, 422)), (1, 31));
    let rows = check_log_and_views(&server, &last_position(&answers)).await;
    check_parts(&rows, 0);
}

/// The suffixes that an id may give a slug, first to last.
fn suffixes(id: &str) -> Vec<String> {
    let digest = BASE32_NOPAD.encode(&Sha256::digest(id)).to_lowercase();
    digest.as_bytes().chunks_exact(6).map(|six| String::from_utf8(six.to_vec()).unwrap()).collect()
}

#[tokio::test]
async fn many_creates_of_one_name_at_once_all_succeed_with_slugs_of_their_own_by_the_rule() {
    let server = Server::start_alone().await;
    let body = json!({ "name": "Google Drive", "type": "google-drive" });
    let answers = at_once((0..200).map(|_| create(&server.alice(), &body))).await;
    assert_eq!(with_status(&answers, 201), 200);
    let text = |answer: &Answer, name: &str| answer.json()[name].as_str().unwrap().to_owned();
    let slugs: BTreeMap<_, _> = answers.iter().map(|answer| (text(answer, "slug"), text(answer, "id"))).collect();
    assert_eq!(slugs.len(), 200, "no two are the same");
    let numbered = (2..=9).map(|number| format!("google-drive-{number}"));
    let first: BTreeSet<_> = std::iter::once("google-drive".to_owned()).chain(numbered).collect();
    assert!(first.iter().all(|slug| slugs.contains_key(slug)), "the plain slug and -2 to -9 are given first");
    for (slug, id) in slugs.iter().filter(|(slug, _)| !first.contains(*slug)) {
        let suffix = slug.strip_prefix("google-drive-").unwrap();
        assert!(suffixes(id).iter().any(|allowed| allowed == suffix), "{slug} of {id}");
        assert_eq!(suffix, suffixes(id)[0], "nobody else had it");
    }
    for (slug, id) in slugs.iter().take(5) {
        let path = format!("/api/integrations/{slug}");
        let shown = server.alice().get_at(&path, &last_position(&answers)).await.expect(200);
        assert_eq!(shown.json()["id"], id.as_str());
    }
    check_log_and_views(&server, &last_position(&answers)).await;
}

/// Makes one and deletes it again, some times; answers the position of the last delete.
async fn churn(client: Client) -> String {
    let mut position = String::new();
    for _ in 0..8 {
        let created = client.create(json!({ "name": "Churn", "type": "custom" })).await;
        let shown = client.get_at(&format!("/api/integrations/{}", created.slug), &created.position).await.expect(200);
        assert_eq!(shown.json()["id"], created.id.as_str(), "whoever has the slug is found by it");
        client.delete(&created.path("")).await.expect(204).header("integration-position").clone_into(&mut position);
    }
    position
}

#[tokio::test]
async fn a_slug_has_one_holder_at_a_time_however_often_it_is_taken_and_freed() {
    let server = Server::start_alone().await;
    let churning: tokio::task::JoinSet<_> = (0..12).map(|_| churn(server.alice())).collect();
    let last = churning.join_all().await.into_iter().max().unwrap();
    let rows = check_log_and_views(&server, &last).await;
    let mut ends = BTreeMap::new();
    for row in rows.iter().filter(|row| row.name() == "IntegrationDeleted") {
        ends.insert(row.of("integration").unwrap().1.to_owned(), row.position);
    }
    let mut holders: BTreeMap<&str, &str> = BTreeMap::new();
    let reservations: Vec<_> = rows.iter().filter(|row| row.of("slug").is_some()).collect();
    assert_eq!(reservations.len(), 96);
    let data: Vec<_> = reservations.iter().map(|row| row.json()["integration"].as_str().unwrap().to_owned()).collect();
    for (row, integration) in reservations.iter().zip(&data) {
        if let Some(before) = holders.insert(&row.stream, integration) {
            assert!(ends[before] < row.position, "{} was taken from {before} before it ended", row.stream);
        }
    }
    let again = server.alice().create(json!({ "name": "Churn", "type": "custom" })).await;
    assert_eq!(again.slug, "churn", "it is free again after a delete");
}

#[tokio::test]
async fn a_refused_create_leaves_no_trace_in_the_log() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let first = json!({ "name": "First", "type": "custom", "id": ID, "apiKey": "k" });
    create(&alice, &first).send().await.expect(201);
    let keyed = json!({ "name": "Keyed", "type": "custom" });
    create(&alice, &keyed).header("idempotency-key", "k").send().await.expect(201);
    alice.delete(&format!("/api/integrations/{ID}")).await.expect(204);
    let before = server.rows();
    let other = json!({ "name": "Other", "type": "custom", "clientSecret": "s" });
    let with_id = json!({ "name": "Other", "type": "custom", "clientSecret": "s", "id": ID });
    create(&alice, &with_id).send().await.expect_problem(409, "id-taken");
    create(&alice, &other).header("idempotency-key", "k").send().await.expect_problem(422, "key-reused");
    let invalid = json!({ "name": "Other", "type": "custom", "clientSecret": "s", "mode": "odd" });
    create(&alice, &invalid).send().await.expect_problem(422, "invalid");
    create(&server.bob(), &other).send().await.expect_problem(403, "not-permitted");
    create(&server.anonymous(), &other).send().await.expect_problem(401, "unauthenticated");
    assert_eq!(server.rows(), before);
    assert_eq!(conflicts(&server).await, 0, "an id is looked up before a slug or a key is made for it");
    let done = create(&alice, &other).send().await.expect(201);
    assert_eq!(done.json()["slug"], "other", "no slug was burnt");
}

#[tokio::test]
async fn a_create_is_one_append_whatever_goes_on_beside_it() {
    if !IS_EMBEDDED {
        return;
    }
    let server = Server::start_alone().await;
    let alice = server.alice();
    let requests = (0..64)
        .map(|number| create(&alice, &json!({ "name": format!("n{number}"), "type": "custom", "clientSecret": "s" })));
    let answers = at_once(requests).await;
    assert_eq!(with_status(&answers, 201), 64);
    let rows = check_log_and_views(&server, &last_position(&answers)).await;
    assert_eq!(rows.len(), 3 * 64);
    for parts in rows.chunks_exact(3) {
        let kinds: Vec<_> = parts.iter().map(|row| row.stream.split('-').next().unwrap()).collect();
        assert_eq!(kinds, ["slug", "key", "integration"]);
        assert_eq!(parts[0].json()["integration"], parts[2].of("integration").unwrap().1);
        assert_eq!(parts[1].of("key"), parts[2].of("integration"));
        let positions: Vec<_> = parts.iter().map(|row| row.position - parts[0].position).collect();
        assert_eq!(positions, [0, 1, 2]);
    }
}
