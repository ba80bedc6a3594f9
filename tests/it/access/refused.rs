//! What a refusal looks like, and that it leaves everything as it was.

use serde_json::json;

use super::super::harness::{Answer, CREATE, Client, Created, Server};

const ABSENT: &str = "01a20cb8-af5f-7247-90f0-09771fc0c36d";

/// Every route below one integration.
const ROUTES: [(&str, &str); 32] = [
    ("GET", ""),
    ("HEAD", ""),
    ("PUT", ""),
    ("DELETE", ""),
    ("GET", "?at=0"),
    ("GET", "/icon"),
    ("PUT", "/icon"),
    ("DELETE", "/icon"),
    ("GET", "/shares"),
    ("GET", "/shares/guest"),
    ("PUT", "/shares/guest"),
    ("DELETE", "/shares/guest"),
    ("GET", "/owner"),
    ("PUT", "/owner"),
    ("GET", "/tags"),
    ("PUT", "/tags"),
    ("PUT", "/tags/old"),
    ("DELETE", "/tags/old"),
    ("GET", "/access"),
    ("GET", "/history"),
    ("POST", "/revert"),
    ("GET", "/connect"),
    ("POST", "/connect"),
    ("GET", "/connection"),
    ("DELETE", "/connection"),
    ("GET", "/account"),
    ("POST", "/request"),
    ("GET", "/request/a"),
    ("POST", "/request/a"),
    ("PUT", "/request/a"),
    ("PATCH", "/request/a"),
    ("DELETE", "/request/a"),
];

/// Every command on one integration, with the statuses of level 1 and level 2, who must not do it. 0: he may.
const COMMANDS: [(&str, &str, &str, u16, u16); 10] = [
    ("PUT", "", r#"{"name":"Mine"}"#, 403, 0),
    ("PUT", "/icon", "", 403, 0),
    ("DELETE", "/icon", "", 403, 0),
    ("PUT", "/tags", r#"{"tags":[]}"#, 403, 0),
    ("PUT", "/tags/new", "", 403, 0),
    ("DELETE", "/tags/old", "", 403, 0),
    ("DELETE", "", "", 403, 403),
    ("PUT", "/shares/guest", r#"{"accessLevel":3}"#, 403, 403),
    ("DELETE", "/shares/guest", "", 403, 403),
    ("PUT", "/owner", r#"{"ownerId":"reader"}"#, 403, 403),
];

/// An integration with an icon, a tag, a guest, a reader and a writer.
async fn shared(server: &Server) -> Created {
    let alice = server.alice();
    let mut created = alice.create(json!({ "name": "Shared", "type": "custom" })).await;
    for (principal, level) in [("guest", 1), ("reader", 1), ("writer", 2)] {
        let path = created.path(&format!("/shares/{principal}"));
        alice.put(&path, json!({ "accessLevel": level })).await.expect(200);
    }
    alice.put(&created.path("/tags"), json!({ "tags": ["old"] })).await.expect(200);
    let icon = alice.request("PUT", &created.path("/icon")).body("image/gif", "GIF89a").send().await.expect(200);
    created.position = icon.header("integration-position").to_owned();
    alice.get_at(&created.path(""), &created.position).await.expect(200);
    created
}

/// An answer without what differs from one request to the next.
async fn answer(client: &Client, method: &str, path: &str) -> Answer {
    let mut answer = client.request(method, path).send().await;
    for changing in ["date", "x-request-id"] {
        answer.headers.remove(changing);
    }
    answer
}

#[tokio::test]
async fn every_route_answers_what_may_not_be_seen_as_what_never_was() {
    let server = Server::start().await;
    let invisible = shared(&server).await;
    let gone = server.alice().create(json!({ "name": "Gone", "type": "custom" })).await;
    let deleted = server.alice().delete(&gone.path("")).await.expect(204);
    server.alice().get_at("/api/integrations", deleted.header("integration-position")).await.expect(200);
    for (role, client) in [
        ("stranger", server.user("stranger")),
        ("create only", server.user_with("creator", &[CREATE])),
        ("other tenant", server.other_tenant()),
    ] {
        for (method, rest) in ROUTES {
            let nothing = answer(&client, method, &format!("/api/integrations/{ABSENT}{rest}")).await.expect(404);
            for name in [&invisible.id, &invisible.slug, &gone.id, &gone.slug, "never-was"] {
                let path = format!("/api/integrations/{name}{rest}");
                assert_eq!(answer(&client, method, &path).await, nothing, "{method} {path} as {role}");
            }
        }
    }
}

#[tokio::test]
async fn nobody_learns_by_another_fault_of_what_he_may_not_see() {
    let server = Server::start().await;
    let invisible = shared(&server).await;
    let stranger = server.user("stranger");
    for (method, rest) in ROUTES.into_iter().filter(|(method, rest)| *method != "HEAD" && !rest.contains('?')) {
        let path = invisible.path(&format!("{rest}?nmae=1"));
        let faulty = stranger.request(method, &path).header("if-match", "odd").body("text/plain", "{");
        faulty.send().await.expect_problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_refused_command_says_why_and_changes_nothing() {
    let server = Server::start().await;
    let created = shared(&server).await;
    let shown = async || {
        let mut parts = Vec::new();
        for rest in ["", "/icon", "/shares", "/owner", "/tags"] {
            let part = server.alice().get(&created.path(rest)).await.expect(200);
            parts.push((part.header("etag").to_owned(), part.body));
        }
        parts
    };
    let before = shown().await;
    let roles = [server.user("reader"), server.user("writer"), server.user("stranger"), server.anonymous()];
    for (method, rest, body, of_reader, of_writer) in COMMANDS {
        for (client, status) in roles.iter().zip([of_reader, of_writer, 404, 401]) {
            let request = client.request(method, &created.path(rest));
            let request = if body.is_empty() { request } else { request.body("application/json", body) };
            match status {
                0 => {}
                401 => drop(request.send().await.expect_problem(401, "unauthenticated")),
                403 => drop(request.send().await.expect_problem(403, "not-permitted")),
                _ => drop(request.send().await.expect_problem(404, "not-found")),
            }
        }
    }
    // What was appended since would stand before this one.
    let last = server.alice().create(json!({ "name": "Last", "type": "custom" })).await;
    server.alice().get_at("/api/integrations", &last.position).await.expect(200);
    assert_eq!(shown().await, before);
}

#[tokio::test]
async fn head_is_answered_to_every_role_as_get() {
    let server = Server::start().await;
    let created = shared(&server).await;
    let reads = ROUTES.into_iter().filter(|(method, _)| *method == "GET").map(|(_, rest)| created.path(rest));
    let lists = ["/api/integrations", "/api/integrations-list", "/api/libraries/l/integrations", "/api/me"];
    let paths: Vec<_> = reads.chain(lists.map(str::to_owned)).collect();
    for client in [server.user("reader"), server.user("stranger"), server.admin(), server.anonymous()] {
        for path in &paths {
            let (head, get) = (answer(&client, "HEAD", path).await, answer(&client, "GET", path).await);
            assert_eq!((head.status, &head.headers), (get.status, &get.headers), "{path}");
            assert!(head.body.is_empty(), "{path}");
        }
    }
}

#[tokio::test]
async fn a_slug_opens_no_more_than_the_id() {
    let server = Server::start().await;
    let created = shared(&server).await;
    for (client, at) in [(server.user("reader"), 0), (server.user("writer"), 1)] {
        for (method, rest, body, of_reader, of_writer) in COMMANDS {
            if [of_reader, of_writer][at] == 0 {
                continue;
            }
            let request = client.request(method, &format!("/api/integrations/{}{rest}", created.slug));
            let request = if body.is_empty() { request } else { request.body("application/json", body) };
            request.send().await.expect_problem(403, "not-permitted");
        }
    }
}
