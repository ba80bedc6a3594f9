//! Conditional requests (RFC 9110 §8.8, §13) and the tags, codings and repeats that they rest on, on every resource.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::json;

use super::{
    harness::{Answer, Client, Created, Server},
    log::Row,
};

mod at_hand;
mod codings;
mod commands;
mod creates;
mod head;
mod if_match;
mod if_none_match;
mod tags;

/// An icon: the smallest that there is.
const ICON: &str = r#"<svg xmlns="http://www.w3.org/2000/svg"/>"#;
/// What shows one integration, and has its state as its tag.
const PARTS: [&str; 5] = ["", "/owner", "/tags", "/shares", "/shares/bob"];
/// What shows many, and has the tenant's state as its tag.
const COLLECTIONS: [&str; 4] = [
    "/api/integrations",
    "/api/integrations?q=chat&sort=-name&limit=1",
    "/api/integrations-list",
    "/api/libraries/lib:1/integrations",
];
/// Likewise, and told to alice and to admins only.
const OF_ALICE: [&str; 2] =
    ["/api/principals/alice/integrations", "/api/principals/alice/integrations?sort=-name&limit=1"];

/// A service with an integration that has one of everything.
struct Furnished {
    server: Server,
    alice: Client,
    slack: Created,
    /// Where the log is after all that.
    position: String,
}

async fn furnish() -> Furnished {
    furnished(Server::start().await).await
}

/// On a service that no other test has.
async fn furnish_alone() -> Furnished {
    furnished(Server::start_alone().await).await
}

async fn furnished(server: Server) -> Furnished {
    let alice = server.alice();
    alice.create(json!({ "name": "Files", "type": "custom", "embedded": true, "libraryId": "lib:1" })).await;
    let slack = alice.create(json!({ "name": "Slack", "type": "slack", "description": "A chat" })).await;
    alice.put(&slack.path("/shares/bob"), json!({ "accessLevel": 1 })).await.expect(200);
    alice.put(&slack.path("/shares/team:crew"), json!({ "accessLevel": 2 })).await.expect(200);
    alice.put(&slack.path("/tags"), json!({ "tags": ["red", "green"] })).await.expect(200);
    let last = put_icon(&alice, &slack, ICON).await.expect(200);
    let position = last.header("integration-position").to_owned();
    // What one view shows another may not show yet.
    for path in COLLECTIONS.into_iter().chain(OF_ALICE) {
        alice.get_at(path, &position).await.expect(200);
    }
    Furnished { server, alice, slack, position }
}

impl Furnished {
    /// Everything that can be read under `/api`, the integration by id and by slug.
    fn paths(&self) -> Vec<String> {
        let parts = PARTS.into_iter().chain(["/access", "/icon"]);
        let by_id_and_slug = |part| [self.slack.path(part), format!("/api/integrations/{}{part}", self.slack.slug)];
        let others = COLLECTIONS.into_iter().chain(OF_ALICE).chain(["/api/integration-drivers", "/api/me"]);
        parts.flat_map(by_id_and_slug).chain(others.map(str::to_owned)).collect()
    }
}

async fn put_icon(client: &Client, integration: &Created, icon: &str) -> Answer {
    client.request("PUT", &integration.path("/icon")).body("image/svg+xml", icon).send().await
}

/// The two parts of a tag `"<change>.<shape>"`.
#[track_caller]
fn change_and_shape(tag: &str) -> (&str, &str) {
    let opaque = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    opaque.and_then(|opaque| opaque.rsplit_once('.')).unwrap_or_else(|| panic!("{tag} is not \"<change>.<shape>\""))
}

/// What gzip (RFC 1952) as everybody has it makes of bytes.
fn unzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    gzip.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = gzip.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// The last event of the streams whose names begin so.
fn last_event(server: &Server, streams: &str) -> Row {
    server.rows().into_iter().rfind(|row| row.stream.starts_with(streams)).unwrap()
}

/// How many events the log has.
fn events(server: &Server) -> usize {
    server.rows().len()
}
