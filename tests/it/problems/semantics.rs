//! What null, an empty text and white space mean.

use serde_json::{Value, json};

use super::super::harness::Server;
use super::{INVALID, check, only};

/// Every optional field with a value.
fn optional() -> Value {
    json!({
        "category": "c", "description": "d", "scope": "s", "authUri": "https://example.com/a",
        "tokenUri": "https://example.com/t", "revocationUri": "https://example.com/r",
        "apiBaseUri": "https://example.com/b", "clientId": "i", "basicTokenAuth": true, "apiKeyLocation": "query",
        "apiKeyName": "n", "imageUrl": "/i.png", "headers": { "X-Region": "eu", "X-Token": "t" },
    })
}

fn names(value: &Value) -> Vec<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn null_or_an_empty_text_counts_as_absent_in_a_post() {
    let server = Server::start().await;
    let alice = server.alice();
    let others = ["id", "mode", "authType", "clientSecret", "apiKey", "data", "libraryId"].map(str::to_owned);
    let fields: Vec<_> = names(&optional()).into_iter().chain(others).collect();
    for empty in [Value::Null, json!(""), json!(" \t ")] {
        let mut body = json!({ "name": "x", "type": "custom", "embedded": empty });
        for field in &fields {
            body[field] = empty.clone();
        }
        let created = alice.create(body).await;
        let detail = alice.get_at(&created.path(""), &created.position).await.expect(200).json();
        for field in names(&optional()) {
            assert!(detail.get(&field).is_none(), "{field} in {detail:#}");
        }
        assert_eq!((&detail["mode"], &detail["authType"]), (&json!("per-user"), &json!("oauth2")));
        assert_eq!((&detail["hasClientSecret"], &detail["hasApiKey"]), (&json!(false), &json!(false)));
        assert_eq!((&detail["data"], &detail["embedded"]), (&json!({}), &json!(false)));
    }
    for empty in [Value::Null, json!(""), json!(" ")] {
        let created =
            alice.create(json!({ "name": "x", "type": "custom", "headers": { "X-A": empty, "x-a": "1" } })).await;
        let detail = alice.get_at(&created.path(""), &created.position).await.expect(200).json();
        assert_eq!(detail["headers"], json!({ "x-a": "1" }));
    }
}

#[tokio::test]
async fn null_or_an_empty_text_clears_an_optional_field_in_a_put() {
    let server = Server::start().await;
    let alice = server.alice();
    let mut body = optional();
    (body["name"], body["type"]) = (json!("x"), json!("custom"));
    let created = alice.create(body).await;
    for field in names(&optional()) {
        for empty in [Value::Null, json!(""), json!("  ")] {
            let what = format!("{field}: {empty}");
            let set = alice.put(&created.path(""), only(&field, optional()[&field].clone())).await.expect(200).json();
            assert!(set.get(&field).is_some(), "{what}: {set:#}");
            let cleared = alice.put(&created.path(""), only(&field, empty)).await.expect(200).json();
            assert!(cleared.get(&field).is_none(), "{what}: {cleared:#}");
        }
    }
    for (field, shown) in [("clientSecret", "hasClientSecret"), ("apiKey", "hasApiKey")] {
        for empty in [Value::Null, json!(""), json!(" ")] {
            let set = alice.put(&created.path(""), only(field, "secret")).await.expect(200).json();
            let cleared = alice.put(&created.path(""), only(field, empty)).await.expect(200).json();
            assert_eq!((&set[shown], &cleared[shown]), (&json!(true), &json!(false)), "{field}");
        }
    }
    for empty in [Value::Null, json!(""), json!(" ")] {
        let headers = json!({ "X-Region": "eu", "X-Token": "secret" });
        alice.put(&created.path(""), only("headers", headers)).await.expect(200);
        let cleared = json!({ "X-Region": empty, "x-token": empty });
        let cleared = alice.put(&created.path(""), only("headers", cleared)).await.expect(200).json();
        assert!(["headers", "secretHeaders"].iter().all(|field| cleared.get(field).is_none()), "{cleared}");
    }
    for empty in [Value::Null, json!({}), json!("")] {
        alice.put(&created.path(""), json!({ "data": { "a": 1 } })).await.expect(200);
        let emptied = alice.put(&created.path(""), only("data", empty)).await.expect(200).json();
        assert_eq!(emptied["data"], json!({}));
    }
}

#[tokio::test]
async fn name_type_mode_and_auth_type_cannot_be_cleared() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = super::create(&alice).await;
    let pointers = ["/name", "/type", "/mode", "/authType"];
    for empty in [Value::Null, json!(""), json!(" \n ")] {
        let mut all = json!({});
        for pointer in pointers {
            let field = pointer.trim_start_matches('/');
            all[field] = empty.clone();
            check(pointer, &alice.put(&created.path(""), only(field, empty.clone())).await, INVALID, &[pointer]);
        }
        check("all four", &alice.put(&created.path(""), all).await, INVALID, &pointers);
    }
}

#[tokio::test]
async fn an_empty_body_object_changes_nothing() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = super::create(&alice).await;
    let answer = alice.put(&created.path(""), json!({})).await.expect(200);
    assert_eq!(answer.header("etag"), created.etag);
    assert_eq!(answer.header("integration-position"), created.position);
}
