//! What is at hand is answered past the routes: nobody can tell.

use serde_json::json;

use super::furnish;
use crate::harness::{Answer, Client};

const LIST: &str = "/api/integrations-list";
/// The same, which the route answers: it looks at every query, and an empty one has nothing wrong with it.
const BY_ROUTE: &str = "/api/integrations-list?";

async fn get(client: &Client, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = client.request("GET", path).header("x-request-id", "mine");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let mut answer = request.send().await;
    answer.headers.remove("date");
    answer
}

#[tokio::test]
async fn what_is_at_hand_is_what_the_route_answers() {
    let world = furnish().await;
    let clients = [world.alice.clone(), world.server.bob(), world.server.anonymous()];
    for client in &clients {
        let plain = get(client, LIST, &[]).await;
        let tag = plain.try_header("etag").unwrap_or("none").to_owned();
        let wanted: [&[(&str, &str)]; 9] = [
            &[],
            &[("accept-encoding", "gzip")],
            &[("if-none-match", &tag)],
            &[("if-none-match", "*")],
            &[("if-none-match", "\"other\""), ("accept-encoding", "gzip, identity;q=0.5")],
            &[("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")],
            &[("integration-position", &world.position), ("prefer", "wait=7")],
            &[("integration-position", "nonsense")],
            &[("prefer", "wait=7")],
        ];
        for headers in wanted {
            let by_route = get(client, BY_ROUTE, headers).await;
            for time in ["first", "second", "third"] {
                assert_eq!(get(client, LIST, headers).await, by_route, "the {time} with {headers:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_at_hand_is_of_the_last_change() {
    let world = furnish().await;
    for number in 0..8 {
        let description = format!("Change {number}");
        let changed = world.alice.put(&world.slack.path(""), json!({ "description": description })).await.expect(200);
        let list = world.alice.get_at(LIST, changed.header("integration-position")).await.expect(200);
        assert!(list.text().contains(&description), "{}", list.text());
        for _ in 0..3 {
            assert_eq!(get(&world.alice, LIST, &[]).await.body, list.body);
        }
    }
}
