//! Secrets that are easy to find, given in every way there is, and looked for everywhere.

use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};

use super::{contains, files};
use crate::{
    harness::{ADMIN, Answer, Client},
    process::{Process, client},
    service::binary,
};

const AT_CREATE: [&str; 3] = ["canary-client-secret-1", "canary-api-key-1", "canary-header-1"];
const AT_UPDATE: [&str; 3] = ["canary-client-secret-2", "canary-api-key-2", "canary-header-2"];
const IN_REFUSED: &str = "canary-in-a-refused-request";
const IN_MALFORMED: &str = "canary-in-a-malformed-request";

fn with_secrets([client_secret, api_key, header]: [&str; 3]) -> Value {
    json!({
        "clientSecret": client_secret,
        "apiKey": api_key,
        "headers": { "X-Session-Cookie": header, "X-Open": "open" },
    })
}

/// Gives secrets in every way, and answers every answer.
async fn give_everywhere(admin: &Client) -> (Vec<Answer>, String) {
    let mut answers = Vec::new();
    let mut body = with_secrets(AT_CREATE);
    body["name"] = "Canary".into();
    body["type"] = "custom".into();
    let create = admin.request("POST", "/api/integrations").header("idempotency-key", "canary");
    let created = create.clone().json(&body).send().await.expect(201);
    let path = created.header("location").to_owned();
    answers.extend([created, create.clone().json(&body).send().await.expect(201)]);
    body["apiKey"] = IN_REFUSED.into();
    answers.push(create.json(&body).send().await.expect(422));
    let updated = admin.put(&path, with_secrets(AT_UPDATE)).await.expect(200);
    answers.push(admin.get_at(&path, updated.header("integration-position")).await.expect(200));
    answers.push(updated);
    let refused = [
        json!({ "clientSecret": IN_REFUSED, "apiBaseUri": "not a uri" }),
        json!({ "clientSecret": { "nested": IN_REFUSED } }),
        json!({ "clientSecret": IN_REFUSED.repeat(1_000) }),
        json!({ "apiKey": [IN_REFUSED] }),
        json!({ "headers": { "X-Token": format!("{IN_REFUSED}\nX-Other: {IN_REFUSED}") } }),
        json!({ "headers": { "X-Token": IN_REFUSED, "x-token": IN_REFUSED } }),
        json!({ "headers": { "X-Token": [IN_REFUSED] } }),
        json!({ "headers": IN_REFUSED }),
        json!({ "clientSecret": format!("{IN_REFUSED}\u{0}{IN_REFUSED}") }),
    ];
    for body in refused {
        answers.push(admin.put(&path, body).await.expect(422));
    }
    let put = || admin.request("PUT", &path);
    let malformed = format!(r#"{{"clientSecret": "{IN_MALFORMED}" "#);
    answers.push(put().body("application/json", malformed).send().await.expect(400));
    let twice = format!(r#"{{"clientSecret": "{IN_MALFORMED}", "clientSecret": "{IN_MALFORMED}"}}"#);
    answers.push(put().body("application/json", twice).send().await.expect(400));
    let stale = put().header("if-match", "\"0-00000000.00000000\"").json(&json!({ "clientSecret": IN_REFUSED }));
    answers.push(stale.send().await.expect(412));
    (answers, path)
}

/// Everything that can be read of it.
async fn read_everywhere(admin: &Client, path: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    let paths =
        ["/api/integrations", "/api/integrations-list", "/api/integrations?q=canary", "/metrics", "/openapi.json"];
    for path in paths {
        answers.push(admin.get(path).await.expect(200));
    }
    for rest in ["", "/shares", "/owner", "/tags", "/access"] {
        answers.push(admin.get(&format!("{path}{rest}")).await.expect(200));
    }
    answers
}

#[track_caller]
fn check_absent(place: &str, bytes: &[u8], secrets: &[String]) {
    for secret in secrets {
        let forms = [secret.clone(), BASE64.encode(secret.as_bytes()), HEXLOWER.encode(secret.as_bytes())];
        for form in forms {
            assert!(!contains(bytes, form.as_bytes()), "{form} stands in {place}");
        }
    }
}

#[track_caller]
fn check_answers(answers: &[Answer], secrets: &[String]) {
    for answer in answers {
        check_absent(&answer.text(), &answer.body, secrets);
        let headers = format!("{:?}", answer.headers);
        check_absent(&headers, headers.as_bytes(), secrets);
    }
}

#[tokio::test]
async fn no_secret_stands_in_clear_in_any_file_answer_metric_or_log_line() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    let mut serve = binary();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data_dir).env("RUST_LOG", "debug");
    let mut service = Process::start(&mut serve);
    let url = service.ready().await;
    let claims = json!({ "sub": "root", "tenant": "acme", "permissions": [ADMIN], "email": "canary@example.com" });
    let admin = client(&url, &data_dir, claims);
    let secrets: Vec<_> =
        AT_CREATE.iter().chain(&AT_UPDATE).chain([&IN_REFUSED, &IN_MALFORMED]).map(|text| (*text).to_owned()).collect();
    let (answers, path) = give_everywhere(&admin).await;
    check_answers(&answers, &secrets);
    check_answers(&read_everywhere(&admin, &path).await, &secrets);
    let shown = admin.get(&path).await.expect(200).json();
    assert_eq!(shown["secretHeaders"], json!(["X-Session-Cookie"]));
    assert_eq!(shown["headers"], json!({ "X-Open": "open" }));
    assert_eq!((&shown["hasClientSecret"], &shown["hasApiKey"]), (&json!(true), &json!(true)));
    for (name, bytes) in files(&data_dir) {
        check_absent(&name, &bytes, &secrets);
    }
    let ended = service.terminate();
    for (name, bytes) in files(&data_dir) {
        check_absent(&name, &bytes, &secrets);
    }
    let mut unloggable = secrets;
    unloggable.push(admin.token.clone().unwrap());
    unloggable.push("canary@example.com".to_owned());
    assert!(ended.stderr.contains("answered"), "there is a log");
    check_absent("the log", ended.stderr.as_bytes(), &unloggable);
    check_absent("the output", ended.stdout.join("\n").as_bytes(), &unloggable);
    check_keys_are_not_in_the_log(&data_dir, &ended.stderr);
}

/// The master key is in its own file only, the key of tokens too.
fn check_keys_are_not_in_the_log(data_dir: &std::path::Path, log: &str) {
    let read = |name: &str| std::fs::read_to_string(data_dir.join(name)).unwrap();
    let master = read("master.key").split_whitespace().nth(1).unwrap().to_owned();
    let jwt = read("jwt.key").trim().to_owned();
    let raw = BASE64.decode(master.as_bytes()).unwrap();
    for (name, bytes) in files(data_dir).into_iter().filter(|(name, _)| name.contains("events.sqlite")) {
        assert!(!contains(&bytes, master.as_bytes()) && !contains(&bytes, &raw), "the master key stands in {name}");
        assert!(!contains(&bytes, jwt.as_bytes()), "the key of tokens stands in {name}");
    }
    assert!(!log.contains(&master) && !log.contains(&jwt));
}
