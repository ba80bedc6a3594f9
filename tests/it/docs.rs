//! The documents beside the code say what the code does.

use std::{collections::BTreeSet, path::PathBuf};

use serde_json::{Value, json};

use super::{
    description::DESCRIPTION,
    harness::{Answer, Server},
    service::binary,
};

fn file(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Name, status and title of each problem type, from the table in the code.
fn kinds() -> Vec<(String, u16, String)> {
    let table = file("web/src/problem.rs");
    let rows = table.lines().filter(|line| line.starts_with("    ") && line.contains(" = \"") && line.ends_with("\";"));
    rows.map(|row| {
        let mut quoted = row.split('"').skip(1).step_by(2).map(str::to_owned);
        let (name, title) = (quoted.next().unwrap(), quoted.next().unwrap());
        let constant = row.split(", ").nth(1).unwrap();
        (name, status(constant), title)
    })
    .collect()
}

fn status(constant: &str) -> u16 {
    let all = (400..600).filter_map(|code| reqwest::StatusCode::from_u16(code).ok());
    let name = constant.replace('_', " ").to_lowercase();
    let found =
        all.into_iter().find(|status| status.canonical_reason().is_some_and(|reason| reason.to_lowercase() == name));
    found.unwrap_or_else(|| panic!("no status is called {name}")).as_u16()
}

#[test]
fn every_problem_type_has_its_page_and_no_page_is_without_a_type() {
    let kinds = kinds();
    assert!(kinds.len() >= 20);
    let index = file("docs/problems/README.md");
    for (name, status, title) in &kinds {
        let page = file(&format!("docs/problems/{name}.md"));
        let example = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
        let example: Value = serde_json::from_str(example).unwrap();
        let uri = format!("urn:problem-type:integrations:{name}");
        assert_eq!(example["type"], uri);
        assert!(page.starts_with(&format!("# {title}\n\n`{uri}`, answered with {status}.\n")), "{name}");
        assert!(page.contains("\n**What to do.** "), "{name}");
        assert_eq!((&example["status"], &example["title"]), (&json!(status), &json!(title)), "{name}");
        assert!(
            index.contains(&format!("| {status} | [`{name}`]({name}.md) | {title} |")),
            "{name} is not in the index"
        );
    }
    let folder = std::fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/problems")).unwrap();
    let pages = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap().replace(".md", ""));
    let names: BTreeSet<_> = kinds.into_iter().map(|(name, ..)| name).collect();
    assert_eq!(pages.filter(|page| page != "README").collect::<BTreeSet<_>>(), names);
}

#[tokio::test]
async fn the_examples_on_the_pages_are_what_the_service_answers() {
    let server = Server::start().await;
    let (alice, bob) = (server.alice(), server.bob());
    let slack = alice.create(json!({ "name": "Slack", "type": "slack" })).await;
    alice.put(&slack.path("/shares/bob"), json!({ "accessLevel": 1 })).await.expect(200);
    let stale = alice.request("PUT", &slack.path("")).header("if-match", "\"9-00000000.00000000\"");
    let post = |body: String| alice.request("POST", "/api/integrations").body("application/json", body);
    let slack_again = |name: &str| {
        let keyed = alice.request("POST", "/api/integrations").header("idempotency-key", "key");
        keyed.json(&json!({ "name": name, "type": "slack" })).send()
    };
    slack_again("Slack").await.expect(201);
    let answers = [
        slack_again("Other").await,
        post("{".to_owned()).send().await,
        alice.get("/api/integrations?limit=501").await,
        server.anonymous().get("/api/me").await,
        bob.delete(&slack.path("")).await,
        alice.get("/api/integrations/nothing").await,
        alice.request("PATCH", &slack.path("")).send().await,
        alice.post("/api/integrations", json!({ "name": "Other", "type": "slack", "id": slack.id })).await,
        stale.json(&json!({ "name": "Other" })).send().await,
        post("x".repeat(262_145)).send().await,
        alice.request("POST", "/api/integrations").body("text/plain", "{}").send().await,
        post(json!({ "type": "slack", "authType": "magic" }).to_string()).send().await,
        alice.get(&slack.path("/account")).await,
        alice
            .request("GET", "/api/integrations")
            .header("integration-position", "ffffffffffffffff")
            .header("prefer", "wait=0")
            .send()
            .await,
    ];
    for answer in answers {
        check_example(&answer);
    }
}

#[track_caller]
fn check_example(answer: &Answer) {
    let document = answer.json();
    let name = document["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    let page = file(&format!("docs/problems/{name}.md"));
    assert!(
        page.contains(&format!("\n{}\n", answer.text())),
        "the page of {name} shows something else than {}",
        answer.text()
    );
}

#[test]
fn the_page_of_limits_agrees_with_the_code() {
    let page = file("docs/LIMITS.md");
    let mut count = 0;
    for line in file("events/src/limits.rs").lines() {
        let Some((name, value)) =
            line.strip_prefix("pub const ").and_then(|line| line.trim_end_matches(';').split_once(" = "))
        else {
            continue;
        };
        let name = name.split(':').next().unwrap();
        let factors = value.split(" * ").map(|factor| factor.replace('_', "").parse::<u64>().unwrap());
        let value: u64 = factors.product();
        assert!(page.contains(&format!("`{name}` = {value} |")), "{name} is {value}");
        count += 1;
    }
    assert_eq!(page.matches("` = ").count(), count, "the page has a limit that the code has not");
}

#[test]
fn the_limits_that_an_operator_may_change_are_options_with_these_defaults() {
    let helps = ["serve", "query"].map(|role| {
        let output = binary().args([role, "--help"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    });
    let is_limit =
        |word: &&str| word.starts_with("INTEGRATIONS_") && (word.contains("_MAX_") || word.contains("_MIB="));
    let options: BTreeSet<_> = helps.iter().flat_map(|help| help.split_whitespace()).filter(is_limit).collect();
    let help = helps.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    let page = file("docs/LIMITS.md");
    let rows: Vec<_> = page.lines().filter(|line| line.contains("| `--")).collect();
    assert_eq!(rows.len(), options.len(), "an option is not there");
    for row in rows {
        let columns: Vec<_> = row.split('|').map(str::trim).collect();
        let option = columns[3].trim_matches('`');
        let default = columns[2].replace(',', "").replace(" MiB", "");
        let (_, told) = help.split_once(&format!(" {option} <")).unwrap_or_else(|| panic!("no option {option}"));
        let (told, _) = told.split_once(']').and_then(|(_, rest)| rest.split_once(']')).unwrap();
        assert_eq!(told.trim(), format!("[default: {default}"), "{option}");
    }
}

/// Every operation with its method and path.
fn operations() -> Vec<(String, &'static Value)> {
    let paths = DESCRIPTION["paths"].as_object().unwrap();
    let of_path = |(path, item): (&'static String, &'static Value)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
fn every_operation_is_described_and_every_schema_is_closed() {
    assert_eq!(DESCRIPTION["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    let tags: Vec<_> = DESCRIPTION["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    for (name, operation) in operations() {
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name} has no summary");
        assert!(tags.contains(&&operation["tags"][0]), "{name} has a tag that is not listed");
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{name} has the id of another");
        assert!(!operation["responses"].as_object().unwrap().is_empty(), "{name} tells no answer");
        let is_guarded = name.contains(" /api/");
        assert_eq!(operation["security"].is_array(), is_guarded, "{name}");
    }
    for (name, schema) in DESCRIPTION["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string(), "{name} is not described");
        check_closed(name, schema);
    }
}

/// What is the client's own: any members.
const OPEN: [&str; 2] = ["/properties/data", "/properties/headers"];

/// Checks that every object of a schema, at any depth, says which members it has.
#[track_caller]
fn check_closed(place: &str, schema: &Value) {
    match schema {
        Value::Object(members) => {
            let kind = &schema["type"];
            let is_object = kind == "object" || kind.as_array().is_some_and(|kinds| kinds.contains(&json!("object")));
            let is_open = OPEN.iter().any(|end| place.ends_with(end));
            assert!(!is_object || is_open || schema["additionalProperties"] == false, "{place} is not closed");
            members.iter().for_each(|(name, value)| check_closed(&format!("{place}/{name}"), value));
        }
        Value::Array(items) => items.iter().for_each(|item| check_closed(place, item)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_answer_and_parameter_is_described_and_every_problem_is_a_problem_document() {
    for (name, operation) in operations() {
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{name} {status}");
            if status.starts_with(['4', '5']) {
                let content = response["content"].as_object().unwrap();
                assert_eq!(content.keys().collect::<Vec<_>>(), ["application/problem+json"], "{name} {status}");
                let schema = &content["application/problem+json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/Problem", "{name} {status}");
            }
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}: {parameter}");
        }
        let is_guarded = name.contains(" /api/");
        assert_eq!(operation["responses"]["401"].is_object(), is_guarded, "{name}");
    }
}

#[test]
fn every_route_of_the_contract_is_described() {
    const ROUTES: [&str; 49] = [
        "GET /api/integrations",
        "POST /api/integrations",
        "GET /api/integrations-list",
        "GET /api/libraries/{libraryId}/integrations",
        "GET /api/principals/{id}/integrations",
        "GET /api/integrations/{id}",
        "PUT /api/integrations/{id}",
        "DELETE /api/integrations/{id}",
        "GET /api/integrations/{id}/icon",
        "PUT /api/integrations/{id}/icon",
        "DELETE /api/integrations/{id}/icon",
        "GET /api/integrations/{id}/shares",
        "GET /api/integrations/{id}/shares/{principalId}",
        "PUT /api/integrations/{id}/shares/{principalId}",
        "DELETE /api/integrations/{id}/shares/{principalId}",
        "GET /api/integrations/{id}/owner",
        "PUT /api/integrations/{id}/owner",
        "GET /api/integrations/{id}/tags",
        "PUT /api/integrations/{id}/tags",
        "PUT /api/integrations/{id}/tags/{tagId}",
        "DELETE /api/integrations/{id}/tags/{tagId}",
        "GET /api/integrations/{id}/access",
        "GET /api/integrations/{id}/account",
        "GET /api/integrations/{id}/connect",
        "POST /api/integrations/{id}/connect",
        "GET /api/integrations/{id}/connection",
        "DELETE /api/integrations/{id}/connection",
        "POST /api/integrations/{id}/request",
        "GET /api/integrations/{id}/request/{path}",
        "POST /api/integrations/{id}/request/{path}",
        "PUT /api/integrations/{id}/request/{path}",
        "PATCH /api/integrations/{id}/request/{path}",
        "DELETE /api/integrations/{id}/request/{path}",
        "GET /api/integrations/{id}/history",
        "POST /api/integrations/{id}/revert",
        "GET /api/integration-drivers",
        "GET /api/integration-events",
        "GET /api/history",
        "GET /api/me",
        "POST /api/session",
        "DELETE /api/session",
        "GET /api/tenant/settings",
        "PUT /api/tenant/settings",
        "GET /oauth2/callback",
        "GET /openapi.json",
        "GET /docs",
        "GET /livez",
        "GET /readyz",
        "GET /metrics",
    ];
    let described: BTreeSet<String> = operations().into_iter().map(|(name, _)| name).collect();
    let expected: BTreeSet<String> = ROUTES.iter().map(|route| (*route).to_owned()).collect();
    assert_eq!(described, expected);
}

#[tokio::test]
async fn the_documentation_is_one_page_that_runs_its_own_script_only() {
    let server = Server::start().await;
    let page = server.anonymous().get("/docs").await.expect(200);
    assert!(page.header("content-type").starts_with("text/html"));
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none';") && policy.contains("script-src 'sha256-"), "{policy}");
    let text = page.text();
    assert_eq!(text.matches("<script").count(), 1);
    for elsewhere in ["src=\"http", "href=\"http", "@import", "url(http"] {
        assert!(!text.contains(elsewhere), "the page loads {elsewhere}");
    }
}

#[tokio::test]
async fn every_metric_is_explained_in_the_page_on_operations() {
    let server = Server::start().await;
    let page = file("docs/OPERATIONS.md");
    let text = server.anonymous().get("/metrics").await.expect(200).text();
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(names.len() >= 8, "{text}");
    for name in names {
        assert!(page.contains(&format!("| `{name}` |")), "{name} is not explained");
    }
}
