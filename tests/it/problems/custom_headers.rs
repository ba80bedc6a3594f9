//! The member `headers` of a body: names, values, variables, how many.

use serde_json::{Map, Value, json};

use super::super::harness::{Client, Created, Server};
use super::{INVALID, body_with, check, check_status, create, only};

/// Checks that a header breaks a rule at its own pointer, in a POST and in a PUT.
async fn refuses(alice: &Client, created: &Created, name: &str, value: impl Into<Value>) {
    let (what, headers) = (format!("{name:?}"), only(name, value));
    let pointer = format!("/headers/{}", name.replace('~', "~0").replace('/', "~1"));
    let posted = alice.post("/api/integrations", body_with("headers", headers.clone())).await;
    check(&format!("POST {what}"), &posted, INVALID, &[&pointer]);
    check(&format!("PUT {what}"), &alice.put(&created.path(""), only("headers", headers)).await, INVALID, &[&pointer]);
}

async fn accepts(alice: &Client, created: &Created, name: &str, value: &str) {
    let headers = only(name, value);
    let posted = alice.post("/api/integrations", body_with("headers", headers.clone())).await;
    check_status(&format!("POST {name}: {value}"), &posted, 201);
    let updated = alice.put(&created.path(""), only("headers", headers)).await;
    check_status(&format!("PUT {name}: {value}"), &updated, 200);
}

#[tokio::test]
async fn a_header_is_named_by_a_token_of_rfc_9110() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    for name in [
        "", " ", "a b", " X-A", "X-A ", "X:A", "X/A", "X~/A", "X(A)", "X\"A", "X\\A", "X@A", "X[A]", "X{A}", "é",
        "X\u{0}", "X\nY: z", "X,Y", "X;Y", "X=Y", "X?", "😀",
    ] {
        refuses(&alice, &created, name, "x").await;
    }
    for name in ["X-Region", "x", "!#$%&'*+-.^_`|~9", "Accept"] {
        accepts(&alice, &created, name, "x").await;
    }
}

#[tokio::test]
async fn headers_of_the_connection_cannot_be_set_in_any_case() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let names = [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "TE",
        "Trailer",
        "Upgrade",
    ];
    for name in names {
        for name in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
            refuses(&alice, &created, &name, "x").await;
        }
    }
}

#[tokio::test]
async fn a_header_has_a_text_without_control_characters_as_its_value() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    for name in ["X-Region", "X-Token"] {
        for value in [json!(5), json!(true), json!(["x"]), json!({ "value": "x" })] {
            refuses(&alice, &created, name, value).await;
        }
        for char in ['\0', '\r', '\n', '\u{1f}', '\u{7f}', '\u{80}', '\u{9f}'] {
            refuses(&alice, &created, name, format!("a{char}b")).await;
        }
        refuses(&alice, &created, name, "a\r\nX-Evil: b").await;
    }
    accepts(&alice, &created, "X-Token", &"a".repeat(8_192)).await;
    refuses(&alice, &created, "X-Token", "a".repeat(8_193)).await;
}

#[tokio::test]
async fn a_value_has_no_variables_but_those_of_user_and_tenant() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let good = [
        "${user.username}",
        "${user.displayName}",
        "${user.email}",
        "${user.region}",
        "${tenant.id}",
        "${tenant.plan}",
        "${user.größe}",
        "${user.cost center}",
        "a ${user.email} b ${tenant.id}",
        "$",
        "$user",
        "{user.email}",
        "$$",
        "100%",
        "a}b",
    ];
    let bad = [
        "${}",
        "${",
        "${user}",
        "${user.}",
        "${tenant.}",
        "${env.HOME}",
        "${secret.apiKey}",
        "${User.email}",
        "${ user.email}",
        "${user.email",
        "a ${user.email} ${nope}",
        "${${user.email}}",
        "$${nope.x}",
        "${user. }",
        "${user.a{b}",
        "${tenant}",
        "${users.email}",
    ];
    for name in ["X-Region", "X-Token"] {
        for value in good {
            accepts(&alice, &created, name, value).await;
        }
        for value in bad {
            refuses(&alice, &created, name, value).await;
        }
    }
}

#[tokio::test]
async fn two_names_that_are_equal_but_for_case_are_refused() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    for (one, other) in [("X-Region", "x-region"), ("X-Token", "X-TOKEN"), ("x-a", "X-A")] {
        let headers = json!({ one: "1", other: "2" });
        let posted = alice.post("/api/integrations", body_with("headers", headers.clone())).await;
        let updated = alice.put(&created.path(""), json!({ "headers": headers })).await;
        for answer in [posted, updated] {
            let pointers = answer.expect_problem(422, "invalid").pointers();
            let [pointer] = pointers.as_slice() else { panic!("{pointers:?}") };
            assert!([one, other].iter().any(|name| *pointer == format!("/headers/{name}")), "{pointer}");
        }
    }
}

/// So many headers, the numbers from `start` on in their names.
fn numbered(prefix: &str, start: usize, count: usize, value: &Value) -> Map<String, Value> {
    (start..start + count).map(|at| (format!("{prefix}-{at}"), value.clone())).collect()
}

#[tokio::test]
async fn an_integration_has_at_most_100_headers_open_and_secret_together() {
    let server = Server::start().await;
    let alice = server.alice();
    let value = json!("v");
    let hundred = numbered("X", 0, 100, &value);
    let created = alice.create(json!({ "name": "x", "type": "custom", "headers": hundred })).await;
    check_status("a PUT of 100", &alice.put(&created.path(""), json!({ "headers": hundred })).await, 200);
    let more = numbered("X", 0, 101, &value);
    check(
        "POST 101",
        &alice.post("/api/integrations", body_with("headers", more.clone())).await,
        INVALID,
        &["/headers"],
    );
    check("PUT 101", &alice.put(&created.path(""), json!({ "headers": more })).await, INVALID, &["/headers"]);
    let mixed: Map<_, _> = numbered("X", 0, 50, &value).into_iter().chain(numbered("Key", 0, 51, &value)).collect();
    check(
        "POST 50 and 51",
        &alice.post("/api/integrations", body_with("headers", mixed)).await,
        INVALID,
        &["/headers"],
    );
    // Secret ones stay: they count beside what is given.
    let body = json!({ "name": "x", "type": "custom", "headers": numbered("Key", 0, 60, &value) });
    let secret = alice.create(body).await;
    let open = |count: usize| json!({ "headers": numbered("X", 0, count, &value) });
    check("PUT 41 to 60", &alice.put(&secret.path(""), open(41)).await, INVALID, &["/headers"]);
    check_status("PUT 40 to 60", &alice.put(&secret.path(""), open(40)).await, 200);
}

#[tokio::test]
async fn a_header_that_is_cleared_or_given_as_null_does_not_count() {
    let server = Server::start().await;
    let alice = server.alice();
    let (value, null) = (json!("v"), Value::Null);
    let with_null: Map<_, _> = numbered("X", 0, 100, &value).into_iter().chain(numbered("Y", 0, 5, &null)).collect();
    check_status("POST", &alice.post("/api/integrations", body_with("headers", with_null)).await, 201);
    let keys = numbered("Key", 0, 100, &value);
    let created = alice.create(json!({ "name": "x", "type": "custom", "headers": keys })).await;
    let others: Map<_, _> =
        numbered("Key", 0, 100, &null).into_iter().chain(numbered("Token", 0, 100, &value)).collect();
    let replaced = alice.put(&created.path(""), json!({ "headers": others })).await;
    check_status("PUT", &replaced, 200);
    assert_eq!(replaced.json()["secretHeaders"].as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn every_faulty_header_is_told() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let plan = format!("${{env.X}}\u{1}{}", "a".repeat(8_192));
    let headers = json!({ "a b": "x", "Host": "x", "X-Region": 5, "X-Plan": plan, "X~/A": "x", "X-Good": "x" });
    let mut pointers = vec!["/headers/a b", "/headers/Host", "/headers/X-Region"];
    // It is too long, and has a control character and another variable.
    pointers.extend(["/headers/X-Plan"; 3]);
    pointers.push("/headers/X~0~1A");
    let answer = alice.put(&created.path(""), json!({ "headers": headers })).await;
    check("PUT", &answer, INVALID, &pointers);
}
