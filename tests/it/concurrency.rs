//! Many commands at once: none is lost, none is done twice, and whoever asks for the state he knows gets no other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    fold::check_views,
    harness::{Answer, Client, Created, Request, Server, png, sum},
    log,
};

mod creates;

/// Sends requests at once; the answers come in the order of the requests.
async fn at_once(requests: impl IntoIterator<Item = Request>) -> Vec<Answer> {
    let numbered = requests.into_iter().enumerate();
    let sent: JoinSet<_> = numbered.map(|(number, request)| async move { (number, request.send().await) }).collect();
    let answers: BTreeMap<_, _> = sent.join_all().await.into_iter().collect();
    answers.into_values().collect()
}

fn with_status(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// Checks the log's form and that the views show what it says, once they have come to a position.
async fn check_log_and_views(server: &Server, position: &str) -> Vec<log::Row> {
    server.admin().get_at("/api/integrations", position).await.expect(200);
    let rows = server.rows();
    log::check_form(&rows);
    log::check_creates_are_whole(&rows);
    check_views(&server.admin(), "acme", &rows).await;
    rows
}

/// The last of the positions that commands answered; it is the last in the log too.
fn last_position(answers: &[Answer]) -> String {
    answers.iter().filter_map(|answer| answer.try_header("integration-position")).max().unwrap().to_owned()
}

/// How many appends have met another revision than they expected.
async fn conflicts(server: &Server) -> u64 {
    sum(&server.topology().commanding(), "conflicts_total").await
}

async fn slack(client: &Client) -> Created {
    client.create(json!({ "name": "Slack", "type": "slack" })).await
}

#[tokio::test]
async fn of_many_commands_with_one_if_match_exactly_one_is_done() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let created = slack(&alice).await;
    let commands = (0..64).map(|number| {
        let request = match number % 4 {
            0 => alice.request("PUT", &created.path("")).json(&json!({ "description": format!("by {number}") })),
            1 => alice.request("PUT", &created.path(&format!("/shares/user-{number}"))),
            2 => alice.request("PUT", &created.path(&format!("/tags/tag-{number}"))),
            _ => alice.request("PUT", &created.path("/icon")).body("image/png", png(&number.to_string())),
        };
        request.header("if-match", &created.etag)
    });
    let answers = at_once(commands).await;
    assert_eq!((with_status(&answers, 200), with_status(&answers, 412)), (1, 63));
    let rows = check_log_and_views(&server, &last_position(&answers)).await;
    assert_eq!(log::of_integration(&rows, &created.id).len(), 2, "created and changed once");
    let icons = rows.iter().filter(|row| row.of("icon").is_some()).count();
    assert!(icons <= 1, "a refused command leaves no icon behind");
}

#[tokio::test]
async fn of_many_deletes_with_one_if_match_exactly_one_is_done() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let created = slack(&alice).await;
    let delete = alice.request("DELETE", &created.path("")).header("if-match", &created.etag);
    let answers = at_once((0..16).map(|_| delete.clone())).await;
    assert_eq!((with_status(&answers, 204), with_status(&answers, 404)), (1, 15));
}

/// PUTs that each change something else.
fn changes() -> Vec<(&'static str, Value)> {
    let uri = |name: &str| json!(format!("https://{name}.example.com/"));
    vec![
        ("name", json!("Renamed")),
        ("type", json!("custom")),
        ("category", json!("chat")),
        ("description", json!("described")),
        ("mode", json!("shared")),
        ("authType", json!("bearer")),
        ("scope", json!("one two")),
        ("authUri", uri("auth")),
        ("tokenUri", uri("token")),
        ("revocationUri", uri("revoke")),
        ("apiBaseUri", uri("api")),
        ("clientId", json!("client")),
        ("basicTokenAuth", json!(true)),
        ("imageUrl", json!("/image.png")),
        ("headers", json!({ "X-Region": "eu" })),
        ("data", json!({ "supportsUpload": true })),
    ]
}

#[tokio::test]
async fn many_changes_of_different_things_at_once_are_all_done() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let created = slack(&alice).await;
    let (fields, path) = (changes(), created.path(""));
    let put = |(name, value): &(&str, Value)| alice.request("PUT", &path).json(&json!({ (*name): value }));
    let mut requests: Vec<_> = fields.iter().map(put).collect();
    let numbers: Vec<_> = (0..24).collect();
    requests
        .extend(numbers.iter().map(|number| alice.request("PUT", &created.path(&format!("/shares/user-{number:02}")))));
    requests
        .extend(numbers.iter().map(|number| alice.request("PUT", &created.path(&format!("/tags/tag-{number:02}")))));
    assert_eq!(requests.len(), 64);
    let answers = at_once(requests).await;
    assert_eq!(with_status(&answers, 200), 64);
    if server.topology().commanding().len() == 1 {
        assert_eq!(conflicts(&server).await, 0, "commands of one process take turns on an integration");
    }
    let position = last_position(&answers);
    let shown = alice.get_at(&path, &position).await.expect(200).json();
    for (name, value) in &fields {
        assert_eq!(shown[name], *value, "{name}");
    }
    assert_eq!(shown["supportsUpload"], true);
    let tags = alice.get(&created.path("/tags")).await.expect(200).json();
    let tags: BTreeSet<_> =
        tags["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect();
    assert_eq!(tags, numbers.iter().map(|number| format!("tag-{number:02}")).collect());
    let shares = alice.get(&created.path("/shares")).await.expect(200).json();
    assert_eq!(shares["total"], 24);
    let rows = check_log_and_views(&server, &position).await;
    assert_eq!(log::of_integration(&rows, &created.id).len(), 65);
}

#[tokio::test]
async fn icons_that_are_set_at_once_leave_one_that_is_served_whole() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let created = slack(&alice).await;
    let marks: Vec<_> = (0..16).map(|number| format!("icon-{number}-")).collect();
    let answers =
        at_once(marks.iter().map(|mark| alice.request("PUT", &created.path("/icon")).body("image/png", png(mark))))
            .await;
    assert_eq!(with_status(&answers, 200), 16);
    let icon = alice.get_at(&created.path("/icon"), &last_position(&answers)).await.expect(200);
    assert!(marks.iter().any(|mark| png(mark) == icon.body));
    let etags: BTreeSet<_> = answers.iter().map(|answer| answer.header("etag")).collect();
    assert_eq!(etags.len(), 16, "each one saw its own state");
}

#[tokio::test]
async fn a_delete_among_other_commands_is_the_end_and_nothing_fails() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    for round in 0..12 {
        let created = alice.create(json!({ "name": "Short", "type": "custom", "clientSecret": "s" })).await;
        let mut requests: Vec<_> = (0..16)
            .map(|number| match number % 4 {
                0 => alice.request("PUT", &created.path("")).json(&json!({ "clientSecret": format!("s{number}") })),
                1 => alice.request("PUT", &created.path(&format!("/shares/user-{number}"))),
                2 => alice.request("PUT", &created.path("/icon")).body("image/png", png(&number.to_string())),
                _ => alice.request("PUT", &created.path(&format!("/tags/tag-{number}"))),
            })
            .collect();
        let deletes = [round, round + 2].map(|at| (at, alice.request("DELETE", &created.path(""))));
        deletes.into_iter().for_each(|(at, delete)| requests.insert(at, delete));
        let answers = at_once(requests).await;
        let done: Vec<_> = answers.iter().map(|answer| answer.status).filter(|status| *status == 204).collect();
        assert_eq!(done.len(), 1, "one of the two deletes is done");
        assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 204 | 404)));
        let position = last_position(&answers);
        alice.get_at(&created.path(""), &position).await.expect_problem(404, "not-found");
        let rows = check_log_and_views(&server, &position).await;
        assert_eq!(log::of_integration(&rows, &created.id).last().unwrap().name(), "IntegrationDeleted");
        alice.put(&created.path(""), json!({ "name": "Late" })).await.expect_problem(404, "not-found");
    }
}

#[tokio::test]
async fn owner_changes_at_once_end_with_one_owner_and_the_rest_is_refused() {
    let server = Server::start_alone().await;
    let (alice, admin) = (server.alice(), server.admin());
    let created = slack(&alice).await;
    let requests = (0..8).map(|number| {
        alice.request("PUT", &created.path("/owner")).json(&json!({ "ownerId": format!("user-{number}") }))
    });
    let answers = at_once(requests).await;
    // The owner after the first change is somebody else, so that alice may do no more.
    assert_eq!((with_status(&answers, 200), with_status(&answers, 404)), (1, 7));
    let position = last_position(&answers);
    let owner = admin.get_at(&created.path("/owner"), &position).await.expect(200).json();
    let done = answers.iter().find(|answer| answer.status == 200).unwrap().json();
    assert_eq!(owner["ownerId"], done["ownerId"]);
    check_log_and_views(&server, &position).await;
}

#[tokio::test]
async fn a_share_that_is_given_and_taken_at_once_is_there_or_not_and_nothing_in_between() {
    let server = Server::start_alone().await;
    let alice = server.alice();
    let created = slack(&alice).await;
    let path = created.path("/shares/bob");
    let requests = (0..32).map(|number| {
        let method = if number % 2 == 0 { "PUT" } else { "DELETE" };
        alice.request(method, &path)
    });
    let answers = at_once(requests).await;
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 204 | 404)));
    let rows = check_log_and_views(&server, &last_position(&answers)).await;
    let names: Vec<_> = log::of_integration(&rows, &created.id).iter().map(|row| row.name().to_owned()).collect();
    for (at, name) in names.iter().enumerate().skip(1) {
        let expected = if at % 2 == 1 { "IntegrationShared" } else { "IntegrationUnshared" };
        assert_eq!(name, expected, "a share that is there is not given again: {names:?}");
    }
    assert_eq!(with_status(&answers, 204), names.iter().filter(|name| *name == "IntegrationUnshared").count());
}
