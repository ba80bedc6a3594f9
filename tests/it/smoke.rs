//! The shortest way through everything: create, list, detail.

use serde_json::json;

use super::harness::Server;

#[tokio::test]
async fn what_was_created_is_in_both_lists_and_has_a_detail() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = alice.create(json!({ "name": "Slack", "type": "slack" })).await;
    let list = alice.get_at("/api/integrations", &created.position).await.expect(200);
    assert_eq!(list.json()["_embedded"]["inf:integration"][0]["id"], created.id.as_str());
    let flat = alice.get("/api/integrations-list").await.expect(200);
    assert_eq!(flat.json()[0]["slug"], "slack");
    let detail = alice.get(&created.path("")).await.expect(200);
    assert_eq!(detail.header("etag"), created.etag);
}
