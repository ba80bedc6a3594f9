//! What stands only in a POST, unknown fields, read-only members, and all faults of a body at once.

use serde_json::{Value, json};
use uuid::Uuid;

use super::super::harness::Server;
use super::{INVALID, body_with, check, check_status, create, only};

const POST: &str = "/api/integrations";

#[tokio::test]
async fn an_id_is_a_uuid_in_any_case_but_neither_nil_nor_max() {
    let server = Server::start().await;
    let alice = server.alice();
    let bad = [
        json!("00000000-0000-0000-0000-000000000000"),
        json!("ffffffff-ffff-ffff-ffff-ffffffffffff"),
        json!("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"),
        json!("nope"),
        json!("0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6"),
        json!("0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6bc"),
        json!("0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6g"),
        json!("0190a5d07-c3e-7b7a-9f0e-1c2d3e4f5a6b"),
        json!("../0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b"),
        json!(5),
        json!(["0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b"]),
    ];
    for id in bad {
        check(&id.to_string(), &alice.post(POST, body_with("id", id.clone())).await, INVALID, &["/id"]);
    }
    let given = "0190A5D0-7C3E-7B7A-9F0E-1C2D3E4F5A6B";
    let created = alice.post(POST, body_with("id", given)).await.expect(201).json();
    assert_eq!(created["id"], given.to_lowercase());
    let any_version = Uuid::from_u128(1).to_string();
    assert_eq!(alice.post(POST, body_with("id", any_version.as_str())).await.expect(201).json()["id"], any_version);
}

#[tokio::test]
async fn embedded_and_library_id_each_demand_the_other() {
    let server = Server::start().await;
    let alice = server.alice();
    let body = |embedded: Value, library: Value| json!({ "name": "x", "type": "custom", "embedded": embedded, "libraryId": library });
    let refused = [
        (json!(true), Value::Null),
        (json!(true), json!("")),
        (Value::Null, json!("books")),
        (json!(false), json!("books")),
        (json!(true), json!("a/b")),
        (json!(true), json!("a b")),
        (json!(true), json!(" books\n")),
        (json!(true), json!("é")),
        (json!(true), json!("a".repeat(65))),
        (json!(true), json!(5)),
    ];
    for (embedded, library) in refused {
        let what = format!("{embedded} {library}");
        check(&what, &alice.post(POST, body(embedded, library)).await, INVALID, &["/libraryId"]);
    }
    let alone = alice.post(POST, body_with("embedded", true)).await;
    check("embedded alone", &alone, INVALID, &["/libraryId"]);
    let alone = alice.post(POST, body_with("libraryId", "books")).await;
    check("libraryId alone", &alone, INVALID, &["/libraryId"]);
    for embedded in [json!("true"), json!(1), json!({})] {
        check("embedded", &alice.post(POST, body(embedded, json!("books"))).await, INVALID, &["/embedded"]);
    }
    for library in ["A.z_:-9".to_owned(), "a".repeat(64)] {
        check_status(&library, &alice.post(POST, body(json!(true), json!(library))).await, 201);
    }
    for (embedded, library) in [(json!(false), Value::Null), (Value::Null, Value::Null), (json!(false), json!(""))] {
        check_status("neither", &alice.post(POST, body(embedded, library)).await, 201);
    }
}

#[tokio::test]
async fn name_and_type_are_required() {
    let server = Server::start().await;
    let alice = server.alice();
    check("nothing", &alice.post(POST, json!({})).await, INVALID, &["/name", "/type"]);
    for value in [Value::Null, json!(""), json!("  \t\n")] {
        check("name", &alice.post(POST, body_with("name", value.clone())).await, INVALID, &["/name"]);
        check("type", &alice.post(POST, body_with("type", value)).await, INVALID, &["/type"]);
    }
    check("name is wrong in one way", &alice.post(POST, json!({ "name": 5, "type": "x" })).await, INVALID, &["/name"]);
}

#[tokio::test]
async fn an_unknown_field_is_refused_by_its_name() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let names = [
        ("nope", "/nope"),
        ("Name", "/Name"),
        ("clientsecret", "/clientsecret"),
        ("client_secret", "/client_secret"),
        ("name ", "/name "),
        ("", "/"),
        ("a/b", "/a~1b"),
        ("a~b", "/a~0b"),
        ("~1", "/~01"),
        ("/", "/~1"),
        ("~/~", "/~0~1~0"),
        ("data.supportsUpload", "/data.supportsUpload"),
        ("é😀", "/é😀"),
        ("a\"b\\", "/a\"b\\"),
        ("a\nb\u{0}", "/a\nb\u{0}"),
        ("__proto__", "/__proto__"),
        ("principalId", "/principalId"),
    ];
    for (name, pointer) in names {
        for value in [json!(1), Value::Null] {
            check(name, &alice.post(POST, body_with(name, value.clone())).await, INVALID, &[pointer]);
            for (rest, mut body) in [
                ("", json!({ "name": "x" })),
                ("/shares/carol", json!({ "accessLevel": 1 })),
                ("/tags", json!({ "tags": [] })),
                ("/owner", json!({ "ownerId": "alice" })),
            ] {
                body[name] = value.clone();
                let answer = alice.put(&created.path(rest), body).await;
                check(&format!("PUT {rest}: {name}"), &answer, INVALID, &[pointer]);
            }
        }
    }
}

#[tokio::test]
async fn the_read_only_members_of_the_detail_are_unknown_to_a_post() {
    let server = Server::start().await;
    let alice = server.alice();
    for name in [
        "slug",
        "ownerId",
        "supportsUpload",
        "hasClientSecret",
        "hasApiKey",
        "secretHeaders",
        "createdAt",
        "updatedAt",
        "_links",
        "tags",
        "sharing",
        "shared",
    ] {
        check(name, &alice.post(POST, body_with(name, "x")).await, INVALID, &[&format!("/{name}")]);
    }
}

#[tokio::test]
async fn a_put_takes_read_only_members_only_as_get_shows_them() {
    let server = Server::start().await;
    let alice = server.alice();
    let body = json!({ "name": "x", "type": "custom", "apiKey": "k", "headers": { "X-Token": "t" } });
    let created = alice.create(body).await;
    let detail = alice.get_at(&created.path(""), &created.position).await.expect(200).json();
    let mut whole = detail.clone();
    check_status("the whole detail", &alice.put(&created.path(""), whole.clone()).await, 200);
    for (name, value) in [
        ("id", json!("0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b")),
        ("slug", json!("y")),
        ("ownerId", json!("bob")),
        ("embedded", json!(true)),
        ("libraryId", json!("books")),
        ("supportsUpload", json!(true)),
        ("hasClientSecret", json!(true)),
        ("hasApiKey", json!(false)),
        ("secretHeaders", json!([])),
        ("createdAt", json!("2024-01-15T09:00:00.000Z")),
    ] {
        check(name, &alice.put(&created.path(""), only(name, value.clone())).await, INVALID, &[&format!("/{name}")]);
        check_status(name, &alice.put(&created.path(""), only(name, detail[name].clone())).await, 200);
        whole[name] = value;
    }
    for (name, value) in [("updatedAt", json!(5)), ("_links", json!({ "nope": [] }))] {
        check_status(name, &alice.put(&created.path(""), only(name, value)).await, 200);
    }
    let pointers = [
        "/id",
        "/slug",
        "/ownerId",
        "/embedded",
        "/libraryId",
        "/supportsUpload",
        "/hasClientSecret",
        "/hasApiKey",
        "/secretHeaders",
        "/createdAt",
    ];
    check("all of them", &alice.put(&created.path(""), whole).await, INVALID, &pointers);
}

/// A body in which every field breaks a rule, and the pointers of all of them.
fn all_wrong() -> (Value, Vec<&'static str>) {
    let body = json!({
        "name": "x".repeat(201), "type": "x\u{0}y", "category": 5, "description": "x\u{7f}y", "mode": "nope",
        "authType": "nope", "scope": "\"", "authUri": "nope", "tokenUri": [], "revocationUri": "ftp://example.com",
        "apiBaseUri": "https://u:p@example.com", "clientId": "x".repeat(513), "clientSecret": "x".repeat(8_193),
        "basicTokenAuth": "yes", "apiKey": {}, "apiKeyLocation": "cookie", "apiKeyName": 5, "imageUrl": "//example.com",
        "headers": { "Host": "x", "a b": "x", "X-Good": "x", "X-Token": "${nope}" }, "data": [], "nope": 1, "a/b": 2,
    });
    let pointers = vec![
        "/name",
        "/type",
        "/category",
        "/description",
        "/mode",
        "/authType",
        "/scope",
        "/authUri",
        "/tokenUri",
        "/revocationUri",
        "/apiBaseUri",
        "/clientId",
        "/clientSecret",
        "/basicTokenAuth",
        "/apiKey",
        "/apiKeyLocation",
        "/apiKeyName",
        "/imageUrl",
        "/headers/Host",
        "/headers/a b",
        "/headers/X-Token",
        "/data",
        "/nope",
        "/a~1b",
    ];
    (body, pointers)
}

#[tokio::test]
async fn all_faults_of_a_body_are_told_at_once() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let (mut body, mut pointers) = all_wrong();
    check("PUT", &alice.put(&created.path(""), body.clone()).await, INVALID, &[&pointers[..], &[]].concat());
    body["id"] = json!("nope");
    body["embedded"] = json!(true);
    body["libraryId"] = json!("a b");
    pointers.extend(["/id", "/libraryId"]);
    check("POST", &alice.post(POST, body).await, INVALID, &pointers);
}

#[tokio::test]
async fn all_faults_of_a_field_and_of_its_headers_are_told_at_once() {
    let server = Server::start().await;
    let alice = server.alice();
    let mut body = json!({ "name": format!("{}\0", "a".repeat(200)), "type": "custom" });
    check("too long, and a control character", &alice.post(POST, body.clone()).await, INVALID, &["/name", "/name"]);
    body["name"] = json!("x");
    body["headers"] = json!({ "X-A": 5, "x-a": "ok", "Host": "x", "a b": false });
    let pointers = ["/headers/X-A", "/headers/x-a", "/headers/Host", "/headers/a b", "/headers/a b"];
    check("headers", &alice.post(POST, body.clone()).await, INVALID, &pointers);
    for number in 0..100 {
        body["headers"][format!("N{number}")] = json!("v");
    }
    check("too many headers", &alice.post(POST, body).await, INVALID, &[&["/headers"], &pointers[..]].concat());
}

#[tokio::test]
async fn faults_of_the_body_and_rules_of_the_state_are_told_together() {
    let server = Server::start().await;
    let alice = server.alice();
    let body = json!({ "name": "x", "type": "custom", "apiKey": "k", "apiBaseUri": "https://one.example/" });
    let created = alice.create(body).await;
    let body = json!({ "apiBaseUri": "https://two.example/", "mode": "nope", "slug": "y", "nope": 1 });
    let pointers = ["/apiBaseUri", "/mode", "/slug", "/nope"];
    check("PUT", &alice.put(&created.path(""), body).await, INVALID, &pointers);
}
