//! The examples of the seed page, posted and read as they stand there.

use serde_json::{Value, json};

use super::super::harness::{ADMIN, CREATE, Client, Server};

const OAUTH2: &str = r#"{
"name": "Google Drive - Engineering",
"type": "google-drive",
"category": "storage",
"description": "Sync engineering documents",
"mode": "per-user",
"authType": "oauth2",
"scope": "https://www.googleapis.com/auth/drive.readonly",
"authUri": "https://accounts.google.com/o/oauth2/v2/auth",
"tokenUri": "https://oauth2.googleapis.com/token",
"apiBaseUri": "https://www.googleapis.com/drive/v3",
"clientId": "123456789-abcdefg.apps.googleusercontent.com",
"clientSecret": "GOCSPX-xyz123abc456"
}"#;

const API_KEY: &str = r#"{
"name": "Custom API Integration",
"type": "custom",
"authType": "apiKey",
"apiKey": "sk-abc123xyz789",
"apiKeyLocation": "header",
"apiKeyName": "X-API-Key",
"apiBaseUri": "https://api.example.com/v1"
}"#;

const UPDATE: &str = r#"{
"name": "Updated Integration Name",
"description": "Updated description",
"scope": "https://www.googleapis.com/auth/drive https://www.googleapis.com/auth/drive.file"
}"#;

/// The page's user `admin`.
fn admin(server: &Server) -> Client {
    server.client(json!({ "sub": "admin", "tenant": "acme", "permissions": [CREATE, ADMIN] }))
}

async fn post(client: &Client, text: &str) -> Value {
    let answer = client.request("POST", "/api/integrations").body("application/json", text).send().await.expect(201);
    let at = answer.header("integration-position").to_owned();
    client.get_at("/api/integrations", &at).await.expect(200);
    answer.json()
}

/// What differs from run to run, taken out of an answer.
fn without(mut value: Value, members: &[&str]) -> Value {
    for member in members {
        value.as_object_mut().unwrap().remove(*member).unwrap_or_else(|| panic!("no {member} in {value}"));
    }
    value
}

#[tokio::test]
async fn the_oauth2_example_creates_what_the_page_answers() {
    let server = Server::start().await;
    let created = post(&admin(&server), OAUTH2).await;
    assert_eq!(
        without(created, &["id"]),
        json!({
            "name": "Google Drive - Engineering",
            "slug": "google-drive-engineering",
            "type": "google-drive",
            "mode": "per-user",
            "authType": "oauth2",
        })
    );
}

#[tokio::test]
async fn the_api_key_example_creates_what_it_says() {
    let server = Server::start().await;
    let admin = admin(&server);
    let created = post(&admin, API_KEY).await;
    assert_eq!(created["authType"], "apikey");
    assert_eq!(created["mode"], "per-user");
    let detail = admin.get("/api/integrations/custom-api-integration").await.expect(200);
    let json = detail.json();
    assert_eq!((&json["apiKeyLocation"], &json["apiKeyName"]), (&json!("header"), &json!("X-API-Key")));
    assert_eq!((&json["hasApiKey"], &json["hasClientSecret"]), (&json!(true), &json!(false)));
    assert!(!detail.text().contains("sk-abc123xyz789"));
}

#[tokio::test]
async fn the_list_is_the_pages() {
    let server = Server::start().await;
    let admin = admin(&server);
    let id =
        post(&admin, &OAUTH2.replace("Sync engineering documents", "Integration with Google Drive for document sync"))
            .await["id"]
            .clone();
    let answer = admin.get("/api/integrations").await.expect(200);
    assert_eq!(answer.header("content-type"), "application/hal+json");
    let mut list = answer.json();
    let item = list["_embedded"]["inf:integration"][0].take();
    for time in ["createdAt", "updatedAt"] {
        let text = item[time].as_str().unwrap();
        assert!(text.len() == 24 && text.ends_with('Z') && text.as_bytes()[19] == b'.', "{text}");
    }
    assert_eq!(
        without(item, &["createdAt", "updatedAt"]),
        json!({
            "_links": { "self": { "href": format!("/api/integrations/{}", id.as_str().unwrap()) } },
            "id": id,
            "name": "Google Drive - Engineering",
            "slug": "google-drive-engineering",
            "type": "google-drive",
            "category": "storage",
            "description": "Integration with Google Drive for document sync",
            "mode": "per-user",
            "authType": "oauth2",
            "embedded": false,
            "scope": "https://www.googleapis.com/auth/drive.readonly",
            "authUri": "https://accounts.google.com/o/oauth2/v2/auth",
            "tokenUri": "https://oauth2.googleapis.com/token",
            "apiBaseUri": "https://www.googleapis.com/drive/v3",
        })
    );
    assert_eq!(
        list,
        json!({
            "_links": { "self": { "href": "/api/integrations" } },
            "_embedded": { "inf:integration": [null] },
            "start": 0,
            "count": 1,
            "total": 1,
        })
    );
}

#[tokio::test]
async fn the_flat_list_is_the_pages() {
    let server = Server::start().await;
    let admin = admin(&server);
    let id =
        post(&admin, &OAUTH2.replace("Sync engineering documents", "Integration with Google Drive for document sync"))
            .await["id"]
            .as_str()
            .unwrap()
            .to_owned();
    let path = format!("/api/integrations/{id}");
    admin.put(&format!("{path}/tags"), json!({ "tags": ["tag-uuid-1", "tag-uuid-2"] })).await.expect(200);
    let share = admin.put(&format!("{path}/shares/marketing"), json!({ "accessLevel": 1 })).await.expect(200);
    let answer = admin.get_at("/api/integrations-list", share.header("integration-position")).await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(answer.header("etag").starts_with('"'));
    assert_eq!(
        answer.json(),
        json!([{
            "id": id,
            "name": "Google Drive - Engineering",
            "slug": "google-drive-engineering",
            "type": "google-drive",
            "category": "storage",
            "description": "Integration with Google Drive for document sync",
            "mode": "per-user",
            "authType": "oauth2",
            "ownerId": "admin",
            "embedded": false,
            "shared": true,
            "tags": ["tag-uuid-1", "tag-uuid-2"],
            "sharing": [{ "principalId": "marketing", "accessLevel": 1 }],
        }])
    );
}

#[tokio::test]
async fn the_detail_is_the_pages() {
    let server = Server::start().await;
    let admin = admin(&server);
    let body = OAUTH2
        .replace("Sync engineering documents", "Integration with Google Drive for document sync")
        .replace("\"clientId\"", "\"revocationUri\": \"https://oauth2.googleapis.com/revoke\", \"imageUrl\": \"/images/google-drive.png\", \"clientId\"");
    let id = post(&admin, &body).await["id"].as_str().unwrap().to_owned();
    let answer = admin.get("/api/integrations/google-drive-engineering").await.expect(200);
    assert_eq!(answer.header("content-type"), "application/hal+json");
    assert!(!answer.text().contains("GOCSPX"), "the secret is never returned");
    let detail = answer.json();
    let expected = json!({
        "id": id,
        "name": "Google Drive - Engineering",
        "slug": "google-drive-engineering",
        "type": "google-drive",
        "category": "storage",
        "description": "Integration with Google Drive for document sync",
        "mode": "per-user",
        "authType": "oauth2",
        "embedded": false,
        "clientId": "123456789-abcdefg.apps.googleusercontent.com",
        "scope": "https://www.googleapis.com/auth/drive.readonly",
        "authUri": "https://accounts.google.com/o/oauth2/v2/auth",
        "tokenUri": "https://oauth2.googleapis.com/token",
        "revocationUri": "https://oauth2.googleapis.com/revoke",
        "apiBaseUri": "https://www.googleapis.com/drive/v3",
        "imageUrl": "/images/google-drive.png",
        "data": {},
        // What the contract adds to the page.
        "ownerId": "admin",
        "supportsUpload": true,
        "hasClientSecret": true,
        "hasApiKey": false,
    });
    let beside = without(detail.clone(), &["_links", "createdAt", "updatedAt"]);
    assert_eq!(beside, expected);
    let href = |rest: &str| json!({ "href": format!("/api/integrations/{id}{rest}") });
    let mut share = href("/shares/{principalId}");
    share["templated"] = true.into();
    assert_eq!(
        detail["_links"],
        json!({
            "self": href(""),
            "inf:icon": href("/icon"),
            "inf:connect": href("/connect"),
            "inf:connection": href("/connection"),
            "inf:request": href("/request"),
            "inf:integration-owner": href("/owner"),
            "inf:integration-shares": href("/shares"),
            "inf:integration-share": share,
            "inf:integration-tags": href("/tags"),
            "inf:history": href("/history"),
        })
    );
}

#[tokio::test]
async fn the_headers_example_is_kept_with_its_variables() {
    let server = Server::start().await;
    let admin = admin(&server);
    let headers =
        r#"{"X-User-Email": "${user.email}", "X-Tenant": "${tenant.id}", "X-Custom-Region": "${user.region}"}"#;
    post(&admin, &API_KEY.replace("\"authType\"", &format!("\"headers\": {headers}, \"authType\""))).await;
    let detail = admin.get("/api/integrations/custom-api-integration").await.expect(200).json();
    assert_eq!(detail["headers"], serde_json::from_str::<Value>(headers).unwrap());
    assert!(detail.get("secretHeaders").is_none());
}

#[tokio::test]
async fn the_update_example_answers_the_updated_integration() {
    let server = Server::start().await;
    let admin = admin(&server);
    let id = post(&admin, OAUTH2).await["id"].as_str().unwrap().to_owned();
    for name in [id.as_str(), "google-drive-engineering"] {
        let path = format!("/api/integrations/{name}");
        let answer = admin.request("PUT", &path).body("application/json", UPDATE).send().await.expect(200);
        let detail = answer.json();
        assert_eq!(detail["name"], "Updated Integration Name");
        assert_eq!(detail["description"], "Updated description");
        assert_eq!(detail["scope"], "https://www.googleapis.com/auth/drive https://www.googleapis.com/auth/drive.file");
        // Only fields given change; the slug never does.
        assert_eq!(detail["tokenUri"], "https://oauth2.googleapis.com/token");
        assert_eq!(detail["slug"], "google-drive-engineering");
        let read = admin.get_at(&path, answer.header("integration-position")).await.expect(200);
        assert_eq!(read.body, answer.body);
    }
}

#[tokio::test]
async fn a_deleted_integration_is_gone_under_id_and_slug() {
    let server = Server::start().await;
    let admin = admin(&server);
    let id = post(&admin, OAUTH2).await["id"].as_str().unwrap().to_owned();
    let deleted = admin.delete("/api/integrations/google-drive-engineering").await.expect(204);
    assert!(deleted.body.is_empty() && deleted.try_header("etag").is_none());
    let at = deleted.header("integration-position");
    for name in [id.as_str(), "google-drive-engineering"] {
        let path = format!("/api/integrations/{name}");
        admin.get_at(&path, at).await.expect_problem(404, "not-found");
        admin.delete(&path).await.expect_problem(404, "not-found");
        admin.put(&path, json!({ "name": "x" })).await.expect_problem(404, "not-found");
    }
    assert_eq!(admin.get("/api/integrations-list").await.expect(200).json(), json!([]));
}

#[tokio::test]
async fn account_comes_later() {
    let server = Server::start().await;
    let admin = admin(&server);
    post(&admin, OAUTH2).await;
    admin.get("/api/integrations/google-drive-engineering/account").await.expect_problem(501, "not-built");
}
