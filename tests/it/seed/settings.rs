//! Settings: defaults, what the catalogue fills in, what a PUT changes, what `data` is kept as.

use serde_json::{Value, json};

use super::super::harness::{Client, Server};

async fn create_and_read(client: &Client, body: Value) -> Value {
    let created = client.create(body).await;
    client.get_at(&created.path(""), &created.position).await.expect(200).json()
}

async fn put(client: &Client, slug: &str, body: Value) -> Value {
    client.put(&format!("/api/integrations/{slug}"), body).await.expect(200).json()
}

#[tokio::test]
async fn only_name_and_type_are_required_and_the_rest_has_its_defaults() {
    let server = Server::start().await;
    let detail = create_and_read(&server.alice(), json!({ "name": "Bare", "type": "custom" })).await;
    let members: Vec<_> = detail.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "_links",
        "authType",
        "createdAt",
        "data",
        "embedded",
        "hasApiKey",
        "hasClientSecret",
        "id",
        "mode",
        "name",
        "ownerId",
        "slug",
        "supportsUpload",
        "type",
        "updatedAt",
    ];
    assert_eq!(members, expected);
    assert_eq!((&detail["mode"], &detail["authType"]), (&json!("per-user"), &json!("oauth2")));
    assert_eq!((&detail["data"], &detail["supportsUpload"]), (&json!({}), &json!(false)));
    assert_eq!(detail["ownerId"], "alice");
    assert_eq!(detail["createdAt"], detail["updatedAt"]);
}

#[tokio::test]
async fn an_auth_type_is_taken_in_any_case_and_shown_in_lower_case() {
    let server = Server::start().await;
    for (given, shown) in
        [("apiKey", "apikey"), ("APIKEY", "apikey"), ("OAuth2", "oauth2"), ("Basic", "basic"), ("BEARER", "bearer")]
    {
        let body = json!({ "name": given, "type": "custom", "authType": given });
        assert_eq!(create_and_read(&server.alice(), body).await["authType"], shown, "{given}");
    }
}

#[tokio::test]
async fn an_api_key_goes_into_the_header_x_api_key_unless_told_otherwise() {
    let server = Server::start().await;
    let alice = server.alice();
    let detail = create_and_read(&alice, json!({ "name": "Key", "type": "custom", "authType": "apikey" })).await;
    assert_eq!((&detail["apiKeyLocation"], &detail["apiKeyName"]), (&json!("header"), &json!("X-API-Key")));
    let body = json!({ "name": "Query", "type": "custom", "authType": "apikey", "apiKeyLocation": "query", "apiKeyName": "api[key]" });
    let detail = create_and_read(&alice, body).await;
    assert_eq!((&detail["apiKeyLocation"], &detail["apiKeyName"]), (&json!("query"), &json!("api[key]")));
    let detail = create_and_read(&alice, json!({ "name": "None", "type": "custom" })).await;
    assert!(detail.get("apiKeyLocation").is_none() && detail.get("apiKeyName").is_none());
}

#[tokio::test]
async fn a_known_type_fills_what_the_body_leaves_out() {
    let server = Server::start().await;
    let alice = server.alice();
    let detail =
        create_and_read(&alice, json!({ "name": "Drive", "type": "google-drive", "scope": "", "authUri": null })).await;
    assert_eq!(detail["authUri"], "https://accounts.google.com/o/oauth2/v2/auth");
    assert_eq!(detail["tokenUri"], "https://oauth2.googleapis.com/token");
    assert_eq!(detail["revocationUri"], "https://oauth2.googleapis.com/revoke");
    assert_eq!(detail["apiBaseUri"], "https://www.googleapis.com/drive/v3");
    assert_eq!(detail["scope"], "https://www.googleapis.com/auth/drive.readonly");
    assert_eq!((&detail["category"], &detail["supportsUpload"]), (&json!("storage"), &json!(true)));
    let own = json!({ "name": "Own", "type": "google-drive", "tokenUri": "https://token.example/", "scope": "a b", "category": "mine" });
    let detail = create_and_read(&alice, own).await;
    assert_eq!(detail["tokenUri"], "https://token.example/");
    assert_eq!((&detail["scope"], &detail["category"]), (&json!("a b"), &json!("mine")));
    assert_eq!(detail["authUri"], "https://accounts.google.com/o/oauth2/v2/auth");
}

#[tokio::test]
async fn the_catalogue_fills_nothing_for_another_auth_type_and_nothing_in_a_put() {
    let server = Server::start().await;
    let alice = server.alice();
    let body = json!({ "name": "Bearer", "type": "google-drive", "authType": "bearer" });
    let detail = create_and_read(&alice, body).await;
    for name in ["authUri", "tokenUri", "revocationUri", "apiBaseUri", "scope", "category"] {
        assert!(detail.get(name).is_none(), "{name}");
    }
    // Whether uploads are supported is the driver's in any case.
    assert_eq!(detail["supportsUpload"], true);
    create_and_read(&alice, json!({ "name": "Later", "type": "custom" })).await;
    let detail = put(&alice, "later", json!({ "type": "google-drive" })).await;
    assert!(detail.get("tokenUri").is_none());
    assert_eq!(detail["supportsUpload"], true);
}

#[tokio::test]
async fn uploads_are_supported_as_data_says_else_as_the_driver_says() {
    let server = Server::start().await;
    let alice = server.alice();
    let with = |kind: &str, data: Value| json!({ "name": "Upload", "type": kind, "data": data });
    let table = [
        (with("custom", json!({ "supportsUpload": true })), true),
        (with("google-drive", json!({ "supportsUpload": false })), false),
        (with("google-drive", json!({ "supportsUpload": "false" })), true),
        (with("custom", json!({ "supportsUpload": 1 })), false),
    ];
    for (body, expected) in table {
        assert_eq!(create_and_read(&alice, body.clone()).await["supportsUpload"], expected, "{body}");
    }
    // In a PUT it is resolved anew when type or data is given, and only then.
    assert_eq!(put(&alice, "upload", json!({ "name": "Upload" })).await["supportsUpload"], true);
    assert_eq!(put(&alice, "upload", json!({ "data": {} })).await["supportsUpload"], false);
    assert_eq!(put(&alice, "upload", json!({ "type": "google-drive" })).await["supportsUpload"], true);
    assert_eq!(put(&alice, "upload", json!({ "data": { "supportsUpload": false } })).await["supportsUpload"], false);
}

#[tokio::test]
async fn data_keeps_its_numbers_and_the_order_of_its_keys() {
    let server = Server::start().await;
    let alice = server.alice();
    let data = r#"{"z":1.0,"a":1.5E+3,"big":123456789012345678901234567890,"n":{"y":[1,2.50],"x":null}}"#;
    let body = format!(r#"{{"name":"Data","type":"custom","data": {data} }}"#);
    let created = alice.request("POST", "/api/integrations").body("application/json", body).send().await.expect(201);
    let at = created.header("integration-position");
    let read = |text: String| assert!(text.contains(&format!("\"data\":{data},")), "{text}");
    read(alice.get_at("/api/integrations/data", at).await.expect(200).text());
    // Another order of its keys is another value; the same is no change.
    let same = alice
        .request("PUT", "/api/integrations/data")
        .body("application/json", format!(r#"{{"data":{data}}}"#))
        .send()
        .await;
    assert_eq!(same.expect(200).header("etag"), created.header("etag"));
    let other = alice
        .request("PUT", "/api/integrations/data")
        .body("application/json", r#"{"data":{"b":1,"a":2}}"#)
        .send()
        .await;
    assert!(other.expect(200).text().contains(r#""data":{"b":1,"a":2},"#));
}

#[tokio::test]
async fn data_may_hold_numbers_beyond_any_machines() {
    // What checks the service that tests share has no such numbers either.
    let server = Server::start_alone().await;
    let alice = server.alice();
    let body = r#"{"name":"Big","type":"custom","data":{"n":1e400}}"#;
    let created = alice.request("POST", "/api/integrations").body("application/json", body).send().await.expect(201);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    // The check against the description has no such numbers, so that this answer goes without it.
    let echo = format!(r#"{{"id":"{id}","slug":"big","data":{{"n":1e400}}}}"#);
    let request = alice.request("PUT", "/api/integrations/big").body("application/json", echo);
    let answer = request.try_send().await.unwrap().expect(200);
    assert!(answer.text().contains(r#""data":{"n":1e400}"#));
    assert_eq!(answer.header("etag"), created.header("etag"));
}

#[tokio::test]
async fn data_is_replaced_whole_and_emptied_by_null() {
    let server = Server::start().await;
    let alice = server.alice();
    create_and_read(&alice, json!({ "name": "Data", "type": "custom", "data": { "a": 1, "b": 2 } })).await;
    assert_eq!(put(&alice, "data", json!({ "data": { "b": 3 } })).await["data"], json!({ "b": 3 }));
    assert_eq!(put(&alice, "data", json!({ "data": null })).await["data"], json!({}));
}

#[tokio::test]
async fn null_and_an_empty_text_clear_what_is_optional_in_a_put() {
    let server = Server::start().await;
    let alice = server.alice();
    let full = json!({
        "name": "Full", "type": "google-drive", "description": "d", "clientId": "c", "imageUrl": "/a.png",
        "basicTokenAuth": true, "apiKeyName": "k", "apiKeyLocation": "query",
    });
    create_and_read(&alice, full).await;
    let cleared = json!({
        "description": null, "clientId": "", "imageUrl": " ", "basicTokenAuth": null, "apiKeyName": null,
        "apiKeyLocation": "", "category": "", "scope": null, "authUri": null, "tokenUri": "", "revocationUri": null,
        "apiBaseUri": "",
    });
    let detail = put(&alice, "full", cleared.clone()).await;
    for name in cleared.as_object().unwrap().keys() {
        assert!(detail.get(name).is_none(), "{name} is {}", detail[name]);
    }
    for name in ["name", "type", "mode", "authType"] {
        let refused = alice.put("/api/integrations/full", json!({ name: null })).await.expect_problem(422, "invalid");
        assert_eq!(refused.pointers(), [format!("/{name}")]);
    }
}

#[tokio::test]
async fn the_whole_detail_may_be_sent_back_and_changes_nothing() {
    let server = Server::start().await;
    let alice = server.alice();
    let body = json!({
        "name": "Echo", "type": "google-drive", "clientSecret": "s", "headers": { "X-Open": "1", "X-Token": "t" },
        "data": { "a": 1 }, "embedded": true, "libraryId": "lib",
    });
    let created = alice.create(body).await;
    let mut detail = alice.get_at(&created.path(""), &created.position).await.expect(200).json();
    let same = alice.put(&created.path(""), detail.clone()).await.expect(200);
    assert_eq!(same.header("etag"), created.etag);
    assert_eq!(same.header("integration-position"), created.position);
    detail["_links"] = json!("whatever");
    detail["updatedAt"] = json!(7);
    alice.put(&created.path(""), detail.clone()).await.expect(200);
    for name in [
        "id",
        "slug",
        "ownerId",
        "embedded",
        "libraryId",
        "supportsUpload",
        "hasClientSecret",
        "hasApiKey",
        "secretHeaders",
        "createdAt",
    ] {
        let mut changed = detail.clone();
        changed[name] = json!("other");
        let refused = alice.put(&created.path(""), changed).await.expect_problem(422, "invalid");
        assert_eq!(refused.pointers(), [format!("/{name}")]);
    }
}

#[tokio::test]
async fn a_put_that_changes_nothing_appends_nothing() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = alice.create(json!({ "name": "Same", "type": "custom", "clientSecret": "s" })).await;
    for body in [
        json!({}),
        json!({ "name": " Same " }),
        json!({ "data": {} }),
        json!({ "apiKey": null }),
        json!({ "headers": {} }),
    ] {
        let answer = alice.put(&created.path(""), body.clone()).await.expect(200);
        assert_eq!(answer.header("etag"), created.etag, "{body}");
        assert_eq!(answer.header("integration-position"), created.position, "{body}");
    }
    // A secret always counts as a change.
    let answer = alice.put(&created.path(""), json!({ "clientSecret": "s" })).await.expect(200);
    assert!(answer.header("etag").starts_with("\"1-"));
}

#[tokio::test]
async fn an_embedded_integration_is_in_its_librarys_list_only() {
    let server = Server::start().await;
    let alice = server.alice();
    let body = json!({ "name": "In", "type": "custom", "embedded": true, "libraryId": "lib:1" });
    let created = alice.create(body).await;
    let detail = alice.get_at(&created.path(""), &created.position).await.expect(200).json();
    assert_eq!((&detail["embedded"], &detail["libraryId"]), (&json!(true), &json!("lib:1")));
    assert_eq!(alice.get("/api/integrations").await.json()["total"], 0);
    assert_eq!(alice.get("/api/integrations-list").await.json(), json!([]));
    let library = alice.get("/api/libraries/lib:1/integrations").await.expect(200).json();
    assert_eq!(library["_embedded"]["inf:integration"][0]["id"], created.id.as_str());
    assert_eq!(library["_links"]["self"]["href"], "/api/libraries/lib:1/integrations");
    assert_eq!(alice.get("/api/libraries/other/integrations").await.expect(200).json()["total"], 0);
}

#[tokio::test]
async fn text_is_trimmed_and_scopes_are_joined_by_single_spaces() {
    let server = Server::start().await;
    let body = json!({ "name": "  Trim \t", "type": " custom ", "scope": " a   b ", "description": " line\none " });
    let detail = create_and_read(&server.alice(), body).await;
    assert_eq!((&detail["name"], &detail["type"]), (&json!("Trim"), &json!("custom")));
    assert_eq!((&detail["scope"], &detail["description"]), (&json!("a b"), &json!("line\none")));
}

#[tokio::test]
async fn what_the_catalogue_fills_depends_on_the_effective_auth_type() {
    let server = Server::start().await;
    let alice = server.alice();
    let table = [
        (json!({ "type": "google-drive", "authType": "OAuth2" }), Some("https://www.googleapis.com/drive/v3")),
        (json!({ "type": "google-drive", "authType": "" }), Some("https://www.googleapis.com/drive/v3")),
        (json!({ "type": "google-drive", "authType": "basic" }), None),
        // Its driver takes an API key, and oauth2 is the default.
        (json!({ "type": "anthropic" }), None),
        (json!({ "type": "anthropic", "authType": "apiKey" }), Some("https://api.anthropic.com/v1")),
        (json!({ "type": "sendgrid", "authType": "bearer" }), Some("https://api.sendgrid.com/v3")),
        (json!({ "type": "Google-Drive" }), None),
    ];
    for (mut body, expected) in table {
        body["name"] = json!("Filled");
        let detail = create_and_read(&alice, body.clone()).await;
        assert_eq!(detail.get("apiBaseUri").and_then(Value::as_str), expected, "{body}");
    }
}

#[tokio::test]
async fn basic_token_auth_is_shown_only_when_given_and_mode_is_what_was_given() {
    let server = Server::start().await;
    let alice = server.alice();
    for given in [true, false] {
        let body = json!({ "name": "Basic", "type": "custom", "basicTokenAuth": given, "mode": "shared" });
        let detail = create_and_read(&alice, body).await;
        assert_eq!((&detail["basicTokenAuth"], &detail["mode"]), (&json!(given), &json!("shared")));
    }
    let detail = create_and_read(&alice, json!({ "name": "None", "type": "custom" })).await;
    assert!(detail.get("basicTokenAuth").is_none());
}

#[tokio::test]
async fn a_put_takes_every_field_of_the_page() {
    let server = Server::start().await;
    let alice = server.alice();
    alice.create(json!({ "name": "Bare", "type": "custom" })).await;
    let mut shown = json!({
        "name": "New", "type": "slack", "category": "chat", "description": "d", "mode": "shared", "authType": "basic",
        "scope": "a b", "authUri": "https://a.example/", "tokenUri": "https://t.example/",
        "revocationUri": "https://r.example/", "apiBaseUri": "https://b.example/", "imageUrl": "/i.png",
        "clientId": "c", "basicTokenAuth": true, "apiKeyLocation": "query", "apiKeyName": "key",
        "headers": { "X-User": "${user.username}" }, "data": { "a": 1 },
    });
    let mut body = shown.clone();
    body.as_object_mut().unwrap().extend([("clientSecret".into(), json!("s")), ("apiKey".into(), json!("k"))]);
    let detail = put(&alice, "bare", body).await;
    shown.as_object_mut().unwrap().extend([("hasClientSecret".into(), json!(true)), ("hasApiKey".into(), json!(true))]);
    for (name, value) in shown.as_object().unwrap() {
        assert_eq!(&detail[name], value, "{name}");
    }
    assert!(detail.get("clientSecret").is_none() && detail.get("apiKey").is_none());
}

#[tokio::test]
async fn whether_it_is_embedded_and_where_cannot_be_changed() {
    let server = Server::start().await;
    let alice = server.alice();
    alice.create(json!({ "name": "Free", "type": "custom" })).await;
    alice.create(json!({ "name": "In", "type": "custom", "embedded": true, "libraryId": "lib" })).await;
    let table = [
        ("free", json!({ "embedded": true }), "/embedded"),
        ("free", json!({ "libraryId": "lib" }), "/libraryId"),
        ("in", json!({ "embedded": false }), "/embedded"),
        ("in", json!({ "libraryId": "other" }), "/libraryId"),
    ];
    for (slug, body, pointer) in table {
        let refused = alice.put(&format!("/api/integrations/{slug}"), body).await.expect_problem(422, "invalid");
        assert_eq!(refused.pointers(), [pointer]);
    }
    put(&alice, "free", json!({ "embedded": false })).await;
    put(&alice, "in", json!({ "embedded": true, "libraryId": "lib" })).await;
}
