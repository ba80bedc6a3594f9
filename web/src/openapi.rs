//! The API's description (OpenAPI 3.1): what every route has in common is added here, so that each route tells only
//! what is its own.

use serde_json::{Map, Value, json};
use utoipa::{
    PartialSchema as _, ToSchema as _,
    openapi::{OpenApi, RefOr, Schema},
};

use crate::problem::{Fault, Kind, ProblemDocument};

const PROBLEM: &str = "Problem";
/// What operations are grouped by, in the order of a reader's interest.
const TAGS: [&str; 12] = [
    "Integrations",
    "Sharing",
    "Tags",
    "Icons",
    "Drivers",
    "Caller",
    "Connections",
    "Requests",
    "History",
    "Session",
    "Tenant",
    "Service",
];

/// The whole description as JSON text.
///
/// # Panics
/// Never: a description is a struct with string keys.
#[must_use]
pub fn describe(routes: OpenApi, version: &str) -> String {
    let mut document = serde_json::to_value(routes).expect("a description is a struct with string keys");
    document["info"] = json!({
        "title": "Integrations",
        "version": version,
        "description": "Manages integrations: connectors to third-party APIs with their credentials, shared between the \
                        users and teams of a tenant. Errors are problem documents (RFC 9457).",
        "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
    });
    document["tags"] = TAGS.iter().map(|name| json!({ "name": name })).collect();
    name_rest_of_path(&mut document);
    document["components"]["securitySchemes"] =
        json!({ "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } });
    add_schema(&mut document, PROBLEM, ProblemDocument::schema());
    add_schema(&mut document, &Fault::name(), Fault::schema());
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        // What an answer does not have is left out of it, never null; a request may have null.
        schemas.iter_mut().filter(|(name, _)| !name.ends_with("Body")).for_each(|(_, schema)| forbid_null(schema));
    }
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, item) in paths {
            for (method, operation) in item.as_object_mut().into_iter().flatten() {
                complete(path, method, operation);
            }
        }
    }
    document.to_string()
}

/// The router's sign for the rest of a path is not OpenAPI's.
fn name_rest_of_path(document: &mut Value) {
    if let Some(paths) = document["paths"].as_object_mut() {
        let renamed = std::mem::take(paths).into_iter().map(|(path, item)| (path.replace("{*", "{"), item));
        paths.extend(renamed);
    }
}

fn add_schema(document: &mut Value, name: &str, schema: RefOr<Schema>) {
    document["components"]["schemas"][name] = serde_json::to_value(schema).expect("a schema is a struct");
}

fn forbid_null(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(types) = members.get_mut("type")
                && let Some([only]) = types
                    .as_array()
                    .map(|types| types.iter().filter(|one| **one != "null").collect::<Vec<_>>())
                    .as_deref()
            {
                *types = (*only).clone();
            }
            members.values_mut().for_each(forbid_null);
        }
        Value::Array(items) => items.iter_mut().for_each(forbid_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// An operation's id: the method, and the words of the path.
fn operation_id(path: &str, method: &str) -> String {
    let words =
        path.split(|char: char| !char.is_ascii_alphanumeric()).filter(|word| !word.is_empty() && *word != "api");
    words.fold(method.to_owned(), |id, word| id + &word[..1].to_uppercase() + &word[1..])
}

/// Adds to an operation what follows from its method and path.
fn complete(path: &str, method: &str, operation: &mut Value) {
    operation["operationId"] = operation_id(path, method).into();
    let is_guarded = path.starts_with("/api");
    let is_read = method == "get";
    let is_not_built = !operation["responses"]["501"].is_null() && operation["responses"]["200"].is_null();
    if is_guarded {
        operation["security"] = json!([{ "bearer": [] }]);
        add_conditional_parts(path, is_read && !is_not_built, operation);
    }
    let has_body = !operation["requestBody"].is_null();
    let responses = operation["responses"].as_object_mut();
    let responses = responses.expect("every operation tells its responses");
    for kind in Kind::ALL {
        if applies(*kind, path, method, has_body, is_not_built) {
            add_problem(responses, *kind);
        }
    }
    if responses.contains_key("501") {
        add_problem(responses, Kind::NotBuilt);
    }
    for (status, response) in responses.iter_mut() {
        add_headers(path, method, status, response);
    }
}

/// Whether a route can answer with a kind of problem.
fn applies(kind: Kind, path: &str, method: &str, has_body: bool, is_not_built: bool) -> bool {
    let is_guarded = path.starts_with("/api");
    let is_write = method != "get" && !is_not_built;
    let names_something = path.contains('{');
    match kind {
        Kind::Internal | Kind::TooManyRequests => is_guarded || path == "/openapi.json",
        Kind::Unauthenticated | Kind::InvalidParameter => is_guarded,
        Kind::NotFound => is_guarded && names_something,
        Kind::Unavailable => is_guarded && !is_not_built,
        // What an integration's name stands for may have to be waited for, whether the route is built or not.
        Kind::NotYetVisible => is_guarded && method == "get" && (!is_not_built || path.contains("{id}")),
        Kind::NotPermitted | Kind::OutcomeUnknown => is_write,
        Kind::Stale => is_write && names_something,
        Kind::MalformedBody | Kind::BodyTimeout | Kind::TooLarge | Kind::UnsupportedMediaType => is_write && has_body,
        Kind::Invalid => is_write && (has_body || method == "put"),
        Kind::IdTaken | Kind::KeyReused => method == "post" && path == "/api/integrations",
        Kind::NotReady => path == "/readyz",
        // A client behind the proxy meets no role that is not the right one.
        Kind::MethodNotAllowed | Kind::Misdirected | Kind::NotBuilt => false,
    }
}

fn add_problem(responses: &mut Map<String, Value>, kind: Kind) {
    let entry = responses.entry(kind.status().as_str()).or_insert_with(|| json!({ "description": "" }));
    let name = format!("`{}`: {}", kind.uri(), kind.title());
    let description = match entry["description"].as_str() {
        None | Some("") => name,
        Some(text) => format!("{text}; {name}"),
    };
    entry["description"] = description.into();
    entry["content"]["application/problem+json"] =
        json!({ "schema": { "$ref": format!("#/components/schemas/{PROBLEM}") } });
}

/// The headers by which a read is conditional and waits.
fn add_conditional_parts(path: &str, is_read: bool, operation: &mut Value) {
    let is_write = operation["responses"]["501"].is_null() && !is_read;
    let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let mut add = |name: &str, description: &str| {
        parameters.push(json!({
            "name": name, "in": "header", "required": false, "description": description, "schema": { "type": "string" },
        }));
    };
    if is_read {
        add("If-None-Match", "Answer 304 when the client has it (RFC 9110).");
        if shows_positions(path) {
            add("Integration-Position", "Wait until the state has reached this position.");
            add("Prefer", "`wait=N`: how many seconds to wait, at most 30 (RFC 7240).");
        }
        operation["responses"]["304"] = json!({ "description": "The client has it." });
    }
    if is_write {
        add("Audit-Reason", "Why, for those who read the history.");
        if path.contains("{id}") {
            add("If-Match", "Do it only if the integration has not changed (RFC 9110).");
        }
    }
    operation["parameters"] = parameters.into();
}

fn shows_positions(path: &str) -> bool {
    ["/api/integrations", "/api/libraries", "/api/principals"].iter().any(|start| path.starts_with(start))
}

/// The headers that an answer has for certain, and those that it may have.
fn add_headers(path: &str, method: &str, status: &str, response: &mut Value) {
    let is_success = status.starts_with('2') || status == "304" || status == "302";
    let mut headers: Vec<(&str, bool)> = vec![("X-Request-Id", true)];
    if path.starts_with("/api") && is_success && method == "get" {
        headers.extend([("Cache-Control", true), ("Vary", true), ("ETag", status != "302")]);
        if status != "304" {
            headers.push(("Content-Encoding", false));
        }
        if shows_positions(path) {
            headers.extend([("Integration-Position", true), ("Preference-Applied", false)]);
        }
    }
    if path.starts_with("/api") && is_success && method != "get" {
        headers.push(("Integration-Position", true));
        headers.push(("ETag", !(method == "delete" && path == "/api/integrations/{id}")));
    }
    if path.ends_with("/icon") && method == "get" && matches!(status, "200" | "304") {
        headers.extend([("X-Content-Type-Options", true), ("Content-Security-Policy", false)]);
    }
    if path == "/docs" && status == "200" {
        headers.push(("Content-Security-Policy", true));
    }
    match status {
        "201" | "302" => headers.push(("Location", true)),
        "401" => headers.push(("WWW-Authenticate", true)),
        "429" | "503" => headers.push(("Retry-After", true)),
        _ => {}
    }
    // Where front ends elsewhere are allowed, every answer depends on their origin.
    headers.push(("Vary", false));
    for (name, required) in headers {
        if response["headers"][name].is_null() {
            response["headers"][name] = json!({ "required": required, "schema": { "type": "string" } });
        }
    }
}
