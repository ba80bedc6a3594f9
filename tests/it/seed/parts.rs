//! What belongs to an integration: icon, shares, tags; and what belongs to nobody: drivers, the caller.

use serde_json::json;

use super::super::harness::Server;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89";
const SVG: &str = r#"<svg xmlns="http://www.w3.org/2000/svg"><rect width="1" height="1"/></svg>"#;

fn form(field: &str, file_name: Option<&str>, bytes: &[u8]) -> (String, Vec<u8>) {
    let file_name = file_name.map(|name| format!("; filename=\"{name}\"")).unwrap_or_default();
    let mut body = format!("--limit\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\ntext\r\n--limit\r\nContent-Disposition: form-data; name=\"{field}\"{file_name}\r\nContent-Type: application/octet-stream\r\n\r\n").into_bytes();
    body.extend_from_slice(bytes);
    body.extend_from_slice(b"\r\n--limit--\r\n");
    ("multipart/form-data; boundary=limit".to_owned(), body)
}

#[tokio::test]
async fn an_icon_is_uploaded_as_a_form_or_raw_served_and_removed() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = alice.create(json!({ "name": "Icon", "type": "custom" })).await;
    let path = created.path("/icon");
    alice.get(&path).await.expect_problem(404, "not-found");
    let (content_type, body) = form("file", Some("icon.gif"), PNG);
    let set = alice.request("PUT", &path).body(&content_type, body).send().await.expect(200);
    assert_eq!(set.json()["id"], created.id.as_str());
    let icon = alice.get_at(&path, set.header("integration-position")).await.expect(200);
    assert_eq!((icon.header("content-type"), icon.body.as_slice()), ("image/png", PNG));
    assert_eq!(icon.header("x-content-type-options"), "nosniff");
    assert!(icon.try_header("content-security-policy").is_none());
    let set = alice.request("PUT", "/api/integrations/icon/icon").body("text/plain", SVG).send().await.expect(200);
    let icon = alice.get_at(&path, set.header("integration-position")).await.expect(200);
    assert_eq!((icon.header("content-type"), icon.text().as_str()), ("image/svg+xml", SVG));
    let policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'";
    assert_eq!(icon.header("content-security-policy"), policy);
    assert_eq!(icon.header("x-content-type-options"), "nosniff");
    let removed = alice.delete(&path).await.expect(204);
    alice.get_at(&path, removed.header("integration-position")).await.expect_problem(404, "not-found");
    alice.delete(&path).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn every_kind_of_image_is_told_by_its_content() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = alice.create(json!({ "name": "Icon", "type": "custom" })).await;
    let kinds: [(&[u8], &str); 5] = [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "image/jpeg"),
        (b"GIF89a\x01\0\x01\0\0\0\0;", "image/gif"),
        (b"RIFF\x1a\0\0\0WEBPVP8L", "image/webp"),
        (SVG.as_bytes(), "image/svg+xml"),
    ];
    for (bytes, media_type) in kinds {
        let set = alice.request("PUT", &created.path("/icon")).body("image/x-icon", bytes).send().await.expect(200);
        let icon = alice.get_at(&created.path("/icon"), set.header("integration-position")).await.expect(200);
        assert_eq!(icon.header("content-type"), media_type);
        let same = alice.request("PUT", &created.path("/icon")).body("image/png", bytes).send().await.expect(200);
        assert_eq!(same.header("etag"), set.header("etag"), "the same icon again changes nothing");
    }
}

#[tokio::test]
async fn without_an_icon_the_image_url_is_where_it_is() {
    let server = Server::start().await;
    let alice = server.alice();
    for url in ["/images/google-drive.png", "https://example.com/a.png?b=c"] {
        let created = alice.create(json!({ "name": "Image", "type": "custom", "imageUrl": url })).await;
        let answer = alice.get_at(&created.path("/icon"), &created.position).await.expect(302);
        assert_eq!(answer.header("location"), url);
        let set = alice.request("PUT", &created.path("/icon")).body("image/png", PNG).send().await.expect(200);
        alice.get_at(&created.path("/icon"), set.header("integration-position")).await.expect(200);
        let removed = alice.delete(&created.path("/icon")).await.expect(204);
        alice.get_at(&created.path("/icon"), removed.header("integration-position")).await.expect(302);
    }
}

#[tokio::test]
async fn a_share_is_made_changed_listed_and_ended() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = alice.create(json!({ "name": "Share", "type": "custom" })).await;
    let (bob, team) = (created.path("/shares/bob"), created.path("/shares/team:analytics"));
    let first = alice.request("PUT", &bob).send().await.expect(200).json();
    assert_eq!((&first["accessLevel"], &first["principalId"]), (&json!(1), &json!("bob")));
    assert_eq!(first["createdAt"], first["updatedAt"]);
    let again = alice.put(&bob, json!({ "accessLevel": 1 })).await.expect(200);
    assert!(again.header("etag").starts_with("\"1-"), "the same level again changes nothing");
    let raised = alice.put(&bob, json!({ "accessLevel": 3 })).await.expect(200).json();
    assert_eq!((&raised["accessLevel"], &raised["createdAt"]), (&json!(3), &first["createdAt"]));
    let last = alice.put(&team, json!({ "accessLevel": 2 })).await.expect(200);
    let shares = alice.get_at(&created.path("/shares"), last.header("integration-position")).await.expect(200);
    assert_eq!(shares.header("content-type"), "application/hal+json");
    let principal = |id: &str, name: &str, kind: &str| json!({ "id": id, "name": name, "type": kind });
    let share = |id: &str, level: u8, principal| json!({ "integrationId": created.id, "principalId": id, "accessLevel": level, "principal": principal });
    assert_eq!(
        shares.json(),
        json!({
            "_links": { "self": { "href": created.path("/shares") } },
            "_embedded": { "inf:integration-share": [
                share("bob", 3, principal("bob", "bob", "user")),
                share("team:analytics", 2, principal("team:analytics", "analytics", "team")),
            ] },
            "start": 0, "count": 2, "total": 2,
        })
    );
    let read = alice.get(&bob).await.expect(200).json();
    assert_eq!(read, raised);
    alice.delete(&bob).await.expect(204);
    alice.delete(&bob).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn tags_are_replaced_added_and_removed_in_the_order_given() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = alice.create(json!({ "name": "Tags", "type": "custom" })).await;
    let tags = created.path("/tags");
    let set = alice.put(&tags, json!({ "tags": ["b", "a", "b", "c"] })).await.expect(200);
    assert_eq!(set.json(), json!({ "tags": ["b", "a", "c"] }));
    let same = alice.put(&tags, json!({ "tags": ["b", "a", "c"] })).await.expect(200);
    assert_eq!(same.header("etag"), set.header("etag"));
    let added = alice.request("PUT", &format!("{tags}/d:1")).send().await.expect(200);
    assert_eq!(added.json(), json!({ "tags": ["b", "a", "c", "d:1"] }));
    let again = alice.request("PUT", &format!("{tags}/a")).send().await.expect(200);
    assert_eq!(again.header("etag"), added.header("etag"));
    let removed = alice.delete(&format!("{tags}/a")).await.expect(204);
    alice.delete(&format!("{tags}/a")).await.expect_problem(404, "not-found");
    let read = alice.get_at(&tags, removed.header("integration-position")).await.expect(200);
    assert_eq!(read.json(), json!({ "tags": ["b", "c", "d:1"] }));
    assert_eq!(alice.put(&tags, json!({ "tags": [] })).await.expect(200).json(), json!({ "tags": [] }));
}

#[tokio::test]
async fn the_catalogue_is_listed_whole() {
    let server = Server::start().await;
    let list = server.bob().get("/api/integration-drivers").await.expect(200).json();
    let drivers = list["_embedded"]["inf:integration-driver"].as_array().unwrap();
    assert!(drivers.len() >= 30);
    assert_eq!(
        (&list["start"], &list["count"], &list["total"]),
        (&json!(0), &json!(drivers.len()), &json!(drivers.len()))
    );
    let drive = drivers.iter().find(|driver| driver["type"] == "google-drive").unwrap();
    assert_eq!(
        drive,
        &json!({
            "type": "google-drive", "name": "Google Drive", "category": "storage", "authType": "oauth2", "supportsUpload": true,
            "authUri": "https://accounts.google.com/o/oauth2/v2/auth", "tokenUri": "https://oauth2.googleapis.com/token",
            "revocationUri": "https://oauth2.googleapis.com/revoke", "apiBaseUri": "https://www.googleapis.com/drive/v3",
            "scopes": ["https://www.googleapis.com/auth/drive.readonly"],
        })
    );
}

#[tokio::test]
async fn me_is_what_the_token_says() {
    let server = Server::start_alone().await;
    let claims = json!({
        "sub": "alice", "tenant": "acme", "name": "Alice Johnson", "email": "alice@example.com",
        "groups": ["team:b", "team:a", "team:b"], "permissions": ["permission.integrations.create", "other"],
    });
    let me = server.client(claims).get("/api/me").await.expect(200).json();
    assert_eq!(
        me,
        json!({
            "user": "alice", "displayName": "Alice Johnson", "email": "alice@example.com", "tenant": "acme",
            "groups": ["team:b", "team:a"], "permissions": ["permission.integrations.create", "other"],
        })
    );
    let bare = server.bob().get("/api/me").await.expect(200).json();
    assert_eq!(bare, json!({ "user": "bob", "tenant": "acme", "groups": [], "permissions": [] }));
}
