//! Secrets and custom headers: write-only, open or secret, and bound to the origins that they were given for.

use serde_json::{Value, json};

use super::super::harness::{Answer, Client, Created, Server};

async fn custom(client: &Client, more: Value) -> Created {
    let mut body = json!({ "name": "Custom", "type": "custom" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.create(body).await
}

async fn put(client: &Client, created: &Created, body: Value) -> Answer {
    client.put(&created.path(""), body).await
}

#[tokio::test]
async fn secrets_are_set_and_cleared_and_never_shown() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = custom(&alice, json!({ "clientSecret": "canary-1" })).await;
    let both = put(&alice, &created, json!({ "apiKey": "canary-2" })).await.expect(200);
    assert_eq!((&both.json()["hasClientSecret"], &both.json()["hasApiKey"]), (&json!(true), &json!(true)));
    let one = put(&alice, &created, json!({ "clientSecret": null })).await.expect(200);
    assert_eq!((&one.json()["hasClientSecret"], &one.json()["hasApiKey"]), (&json!(false), &json!(true)));
    let none = put(&alice, &created, json!({ "apiKey": "" })).await.expect(200);
    assert_eq!(none.json()["hasApiKey"], false);
    for answer in [both, one, none] {
        assert!(!answer.text().contains("canary"));
    }
}

#[tokio::test]
async fn a_header_is_a_secret_if_its_name_says_so_and_its_value_has_no_variable() {
    let server = Server::start().await;
    let alice = server.alice();
    let headers = json!({
        "Authorization": "v", "X-TOKEN": "v", "Client-Secret": "v", "X-Api-Key": "v", "x-password-2": "v", "Cookie": "v",
        "My-Session": "v", "X-Signature": "v", "X-Open": "v", "X-User-Token": "${user.token}",
    });
    let created = custom(&alice, json!({ "headers": headers })).await;
    let detail = alice.get_at(&created.path(""), &created.position).await.expect(200).json();
    assert_eq!(detail["headers"], json!({ "X-Open": "v", "X-User-Token": "${user.token}" }));
    let mut secret: Vec<_> =
        detail["secretHeaders"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    secret.sort_unstable();
    let expected = [
        "Authorization",
        "Client-Secret",
        "Cookie",
        "My-Session",
        "X-Api-Key",
        "X-Signature",
        "X-TOKEN",
        "x-password-2",
    ];
    assert_eq!(secret, expected);
}

#[tokio::test]
async fn headers_in_a_put_replace_the_open_ones_and_leave_the_secret_ones() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = custom(&alice, json!({ "headers": { "X-A": "1", "X-B": "2", "X-Token": "t", "X-Key": "k" } })).await;
    let steps = [
        (json!({ "X-C": "3" }), json!({ "X-C": "3" }), json!(["X-Key", "X-Token"])),
        (json!({ "X-C": "3", "x-token": null }), json!({ "X-C": "3" }), json!(["X-Key"])),
        (json!({ "X-KEY": "other" }), Value::Null, json!(["X-KEY"])),
        (json!({ "x-key": "${user.key}" }), json!({ "x-key": "${user.key}" }), Value::Null),
        (json!({ "X-Key": "secret again" }), Value::Null, json!(["X-Key"])),
        (json!({}), Value::Null, json!(["X-Key"])),
        (Value::Null, Value::Null, Value::Null),
    ];
    for (headers, open, secret) in steps {
        let detail = put(&alice, &created, json!({ "headers": headers })).await.expect(200).json();
        assert_eq!(detail.get("headers").cloned().unwrap_or(Value::Null), open, "{headers}");
        assert_eq!(detail.get("secretHeaders").cloned().unwrap_or(Value::Null), secret, "{headers}");
    }
}

/// The four URIs that secrets are sent to.
const URIS: [&str; 4] = ["authUri", "tokenUri", "revocationUri", "apiBaseUri"];

/// Each kind of secret, as a body gives it.
fn secrets() -> [Value; 3] {
    [json!({ "clientSecret": "s" }), json!({ "apiKey": "s" }), json!({ "headers": { "X-Token": "s" } })]
}

fn with(body: &Value, name: &str, value: &Value) -> Value {
    let mut body = body.clone();
    body[name] = value.clone();
    body
}

#[track_caller]
fn expect_refused(answer: Answer, uri: &str) {
    assert_eq!(answer.expect_problem(422, "invalid").pointers(), [format!("/{uri}")]);
}

#[tokio::test]
async fn whoever_changes_an_origin_gives_the_secrets_again() {
    let server = Server::start().await;
    let alice = server.alice();
    for secret in secrets() {
        for uri in URIS {
            let created = custom(&alice, with(&secret, uri, &json!("https://a.example/x"))).await;
            // The same origin is no other place.
            put(&alice, &created, json!({ uri: "https://A.example:443/y?z" })).await.expect(200);
            for other in
                ["https://b.example/", "http://a.example/", "https://a.example:8443/", "https://a.example.b.example/"]
            {
                let answer = put(&alice, &created, json!({ uri: other })).await;
                assert!(answer.json()["errors"][0]["message"].as_str().unwrap().contains("give the secret again"));
                expect_refused(answer, uri);
            }
            put(&alice, &created, with(&secret, uri, &json!("https://b.example/"))).await.expect(200);
            expect_refused(put(&alice, &created, json!({ uri: "https://a.example/" })).await, uri);
        }
    }
}

#[tokio::test]
async fn a_uri_that_was_not_there_when_the_secret_was_given_is_another_place() {
    let server = Server::start().await;
    let alice = server.alice();
    for secret in secrets() {
        for uri in URIS {
            let created = custom(&alice, secret.clone()).await;
            expect_refused(put(&alice, &created, json!({ uri: "https://a.example/" })).await, uri);
            put(&alice, &created, with(&secret, uri, &json!("https://a.example/"))).await.expect(200);
        }
    }
}

#[tokio::test]
async fn clearing_is_free_and_does_not_make_the_secret_forget() {
    let server = Server::start().await;
    let alice = server.alice();
    for secret in secrets() {
        for uri in URIS {
            let created = custom(&alice, with(&secret, uri, &json!("https://a.example/"))).await;
            put(&alice, &created, json!({ uri: null })).await.expect(200);
            expect_refused(put(&alice, &created, json!({ uri: "https://b.example/" })).await, uri);
            put(&alice, &created, json!({ uri: "https://a.example/again" })).await.expect(200);
            // Clearing the secret in the same body is free, too.
            let cleared = json!({ uri: "https://b.example/", "clientSecret": null, "apiKey": null, "headers": null });
            put(&alice, &created, cleared).await.expect(200);
            put(&alice, &created, json!({ uri: "https://c.example/" })).await.expect(200);
        }
    }
}

#[tokio::test]
async fn every_stored_secret_must_be_given_again_not_just_one() {
    let server = Server::start().await;
    let alice = server.alice();
    let body = json!({ "apiBaseUri": "https://a.example/", "clientSecret": "s", "apiKey": "k", "headers": { "X-Token": "t" } });
    let created = custom(&alice, body.clone()).await;
    let moved = json!("https://b.example/");
    for missing in ["clientSecret", "apiKey", "headers"] {
        let mut partial = with(&body, "apiBaseUri", &moved);
        partial.as_object_mut().unwrap().remove(missing);
        expect_refused(put(&alice, &created, partial).await, "apiBaseUri");
    }
    put(&alice, &created, with(&body, "apiBaseUri", &moved)).await.expect(200);
}

#[tokio::test]
async fn without_a_secret_every_uri_is_free() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = custom(&alice, json!({ "headers": { "X-Open": "v" } })).await;
    for uri in URIS {
        put(&alice, &created, json!({ uri: "https://a.example/" })).await.expect(200);
        put(&alice, &created, json!({ uri: "https://b.example/" })).await.expect(200);
    }
}

#[tokio::test]
async fn every_uri_that_moved_is_told_and_one_new_secret_is_good_for_all() {
    let server = Server::start().await;
    let alice = server.alice();
    let at = |host: &str| {
        let uris = URIS.map(|uri| (uri.to_owned(), json!(format!("https://{host}.example/{uri}"))));
        Value::Object(uris.into_iter().collect())
    };
    for secret in secrets() {
        let created = custom(&alice, with(&at("a"), "clientId", &json!("c"))).await;
        let mut given = secret.clone();
        given.as_object_mut().unwrap().extend(at("a").as_object().unwrap().clone());
        put(&alice, &created, given).await.expect(200);
        let refused = put(&alice, &created, at("b")).await.expect_problem(422, "invalid");
        assert_eq!(refused.pointers(), ["/apiBaseUri", "/authUri", "/revocationUri", "/tokenUri"]);
        let mut moved = secret.clone();
        moved.as_object_mut().unwrap().extend(at("b").as_object().unwrap().clone());
        let answer = put(&alice, &created, moved).await.expect(200);
        // Nothing was changed by what was refused, and what was given now is at home at the new places.
        assert_eq!(answer.json()["tokenUri"], "https://b.example/tokenUri");
        put(&alice, &created, json!({ "tokenUri": "https://b.example/again" })).await.expect(200);
    }
}

#[tokio::test]
async fn an_origin_is_scheme_host_and_port_whatever_the_spelling() {
    let server = Server::start().await;
    let alice = server.alice();
    let table = [
        ("http://a.example", "HTTP://A.EXAMPLE:80/x?y=z", true),
        ("https://a.example:443/", "https://a.example", true),
        ("https://a.example:8443/x", "https://a.example:8443/", true),
        ("https://a.example/", "https://a.example:80/", false),
        ("https://a.example/", "http://a.example:443/", false),
        ("https://a.example/", "https://www.a.example/", false),
        ("https://a.example/", "https://aexample/", false),
        ("https://127.0.0.1/", "https://127.0.0.2/", false),
        ("https://[::1]/", "https://[::2]/", false),
    ];
    for (first, second, is_same) in table {
        let created = custom(&alice, json!({ "tokenUri": first, "clientSecret": "s" })).await;
        let status = if is_same { 200 } else { 422 };
        put(&alice, &created, json!({ "tokenUri": second })).await.expect(status);
    }
}

#[tokio::test]
async fn a_secret_given_while_a_uri_was_cleared_belongs_nowhere_there() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = custom(&alice, json!({ "tokenUri": "https://a.example/", "clientSecret": "s" })).await;
    put(&alice, &created, json!({ "tokenUri": null, "clientSecret": "t" })).await.expect(200);
    expect_refused(put(&alice, &created, json!({ "tokenUri": "https://a.example/" })).await, "tokenUri");
}

#[tokio::test]
async fn a_secret_header_that_ends_in_the_same_body_need_not_be_given_again() {
    let server = Server::start().await;
    let alice = server.alice();
    for ending in [json!({ "x-token": null }), json!({ "X-TOKEN": "${user.token}" })] {
        let created =
            custom(&alice, json!({ "apiBaseUri": "https://a.example/", "headers": { "X-Token": "t" } })).await;
        let moved = json!({ "apiBaseUri": "https://b.example/", "headers": ending });
        let detail = put(&alice, &created, moved).await.expect(200).json();
        assert!(detail.get("secretHeaders").is_none(), "{detail}");
    }
}

#[tokio::test]
async fn the_origin_rule_holds_for_whoever_may_write() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = custom(&alice, json!({ "apiBaseUri": "https://a.example/", "apiKey": "k" })).await;
    alice.put(&created.path("/shares/bob"), json!({ "accessLevel": 3 })).await.expect(200);
    for writer in [server.bob(), server.admin(), alice] {
        expect_refused(put(&writer, &created, json!({ "apiBaseUri": "https://b.example/" })).await, "apiBaseUri");
    }
}
