//! Slugs: made once, unique among the living, free again after a delete.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::super::harness::{Created, Server};

async fn named(server: &Server, name: &str) -> Created {
    server.alice().create(json!({ "name": name, "type": "custom" })).await
}

/// The first six characters of the base32 of the SHA-256 of an id.
fn suffix(id: &str) -> String {
    data_encoding::BASE32_NOPAD.encode(&Sha256::digest(id)).to_lowercase()[..6].to_owned()
}

#[tokio::test]
async fn a_slug_is_made_from_the_name() {
    let server = Server::start().await;
    let long = "a ".repeat(100);
    let table = [
        ("Google Drive - Engineering", "google-drive-engineering"),
        ("  \u{c4}rger & Caf\u{e9} #1 ", "arger-cafe-1"),
        ("\u{65e5}\u{672c}", "custom"),
        ("0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b", "i-0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b"),
        ("0190A5D07C3E7B7A9F0E1C2D3E4F5A6B", "i-0190a5d07c3e7b7a9f0e1c2d3e4f5a6b"),
        (long.as_str(), &"a-".repeat(40)[..79]),
    ];
    for (name, slug) in table {
        assert_eq!(named(&server, name).await.slug, slug, "{name}");
    }
}

#[tokio::test]
async fn a_taken_slug_gets_a_number_then_characters_of_the_ids_digest() {
    let server = Server::start().await;
    assert_eq!(named(&server, "Slack").await.slug, "slack");
    for number in 2..=9 {
        assert_eq!(named(&server, "Slack").await.slug, format!("slack-{number}"));
    }
    let tenth = named(&server, "Slack").await;
    assert_eq!(tenth.slug, format!("slack-{}", suffix(&tenth.id)));
}

#[tokio::test]
async fn the_base_is_cut_so_that_the_whole_stays_within_80() {
    let server = Server::start().await;
    let name = "x".repeat(90);
    assert_eq!(named(&server, &name).await.slug, "x".repeat(80));
    assert_eq!(named(&server, &name).await.slug, format!("{}-2", "x".repeat(78)));
    for _ in 3..=9 {
        named(&server, &name).await;
    }
    let tenth = named(&server, &name).await;
    assert_eq!(tenth.slug, format!("{}-{}", "x".repeat(73), suffix(&tenth.id)));
}

#[tokio::test]
async fn a_slug_is_free_again_after_a_delete_and_means_the_new_holder() {
    let server = Server::start().await;
    let alice = server.alice();
    for _ in 0..3 {
        let created = named(&server, "Slack").await;
        assert_eq!(created.slug, "slack");
        let detail = alice.get_at("/api/integrations/slack", &created.position).await.expect(200);
        assert_eq!(detail.json()["id"], created.id.as_str());
        alice.delete("/api/integrations/slack").await.expect(204);
    }
}

#[tokio::test]
async fn another_name_leaves_the_slug_as_it_is() {
    let server = Server::start().await;
    let (alice, created) = (server.alice(), named(&server, "Slack").await);
    let renamed = alice.put("/api/integrations/slack", json!({ "name": "Teams" })).await.expect(200);
    assert_eq!(renamed.json()["slug"], "slack");
    assert_eq!(named(&server, "Slack").await.slug, "slack-2");
    assert_eq!(named(&server, "Teams").await.slug, "teams");
    assert_eq!(alice.put("/api/integrations/slack", json!({})).await.expect(200).json()["id"], created.id.as_str());
}

#[tokio::test]
async fn an_id_is_taken_in_any_case_and_shown_in_lower_case() {
    let server = Server::start().await;
    let id = "0190A5D0-7C3E-7B7A-9F0E-1C2D3E4F5A6B";
    let created = server.alice().create(json!({ "id": id, "name": "Slack", "type": "slack" })).await;
    assert_eq!(created.id, id.to_lowercase());
    server.alice().get_at(&format!("/api/integrations/{id}"), &created.position).await.expect(200);
    let bare = id.replace('-', "");
    server.alice().get(&format!("/api/integrations/{bare}")).await.expect(200);
    for other in [format!("urn:uuid:{id}"), format!("%7B{id}%7D"), format!("%7B{bare}%7D"), format!("{id}0")] {
        server.alice().get(&format!("/api/integrations/{other}")).await.expect(404);
    }
}

#[tokio::test]
async fn a_made_id_is_a_version_7_uuid_and_a_derived_one_a_version_8() {
    let server = Server::start().await;
    let alice = server.alice();
    let made = named(&server, "Slack").await;
    assert_eq!(made.id.as_bytes()[14], b'7');
    let request = alice.request("POST", "/api/integrations").header("idempotency-key", "key");
    let derived = request.json(&json!({ "name": "Slack", "type": "slack" })).send().await.expect(201);
    assert_eq!(derived.json()["id"].as_str().unwrap().as_bytes()[14], b'8');
    assert_eq!(derived.header("location"), format!("/api/integrations/{}", derived.json()["id"].as_str().unwrap()));
}

#[tokio::test]
async fn on_a_further_collision_the_next_six_characters_are_taken() {
    let server = Server::start().await;
    let alice = server.alice();
    let id = "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b";
    let digest = data_encoding::BASE32_NOPAD.encode(&Sha256::digest(id)).to_lowercase();
    for number in 1..=9 {
        let slug = if number == 1 { "slack".to_owned() } else { format!("slack-{number}") };
        assert_eq!(named(&server, "Slack").await.slug, slug);
    }
    assert_eq!(named(&server, &format!("Slack {}", &digest[..6])).await.slug, format!("slack-{}", &digest[..6]));
    let created = alice.create(json!({ "id": id, "name": "Slack", "type": "custom" })).await;
    assert_eq!(created.slug, format!("slack-{}", &digest[6..12]));
}

#[tokio::test]
async fn a_name_and_a_type_without_a_letter_or_digit_make_the_slug_integration() {
    let server = Server::start().await;
    let created = server.alice().create(json!({ "name": "\u{65e5}\u{672c}", "type": "\u{8a9e}" })).await;
    assert_eq!(created.slug, "integration");
}

#[tokio::test]
async fn a_freed_number_is_taken_again_before_a_higher_one() {
    let server = Server::start().await;
    for slug in ["slack", "slack-2", "slack-3"] {
        assert_eq!(named(&server, "Slack").await.slug, slug);
    }
    server.alice().delete("/api/integrations/slack-2").await.expect(204);
    assert_eq!(named(&server, "Slack").await.slug, "slack-2");
    assert_eq!(named(&server, "Slack").await.slug, "slack-4");
}
