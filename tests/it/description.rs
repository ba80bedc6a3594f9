//! The API's description, and the check of every answer against it: status, media type, headers and schema, the schema
//! by a validator that is not ours.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Value, json};

use super::harness::Answer;
use super::service::binary;

/// Headers that every HTTP answer may have, whatever the API says.
const GENERAL_HEADERS: [&str; 6] =
    ["date", "content-length", "content-type", "connection", "allow", "transfer-encoding"];
/// Headers of the CORS protocol, which is not the API's.
const CORS_PREFIX: &str = "access-control-";

/// The description of the binary under test.
pub(crate) static DESCRIPTION: LazyLock<Value> = LazyLock::new(read_description);

/// Every `METHOD path STATUS` that was seen and is described, for a look at what the tests reach.
pub(crate) static SEEN: LazyLock<Mutex<HashMap<String, usize>>> = LazyLock::new(Mutex::default);

static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

fn read_description() -> Value {
    // A service of its own: the description is the same for all.
    let directory = tempfile::tempdir().unwrap();
    let mut child = binary()
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(directory.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut first = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut first).unwrap();
    let address =
        first.strip_prefix("Listening on http://").and_then(|rest| rest.split_once(',')).unwrap().0.to_owned();
    let text = get(&address, "/openapi.json");
    child.kill().unwrap();
    child.wait().unwrap();
    serde_json::from_str(&text).unwrap()
}

/// One GET over a plain socket: this runs inside and outside of asynchronous tests.
fn get(address: &str, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// The template of the description that a path is of.
fn template(path: &str) -> Option<&'static String> {
    let path = path.split('?').next().unwrap();
    let paths = DESCRIPTION["paths"].as_object().unwrap();
    let mut matching: Vec<_> = paths.keys().filter(|template| matches(template, path)).collect();
    // The one with the fewest parameters is meant.
    matching.sort_by_key(|template| template.matches('{').count());
    matching.first().copied()
}

fn matches(template: &str, path: &str) -> bool {
    let (mut parts, mut segments) = (template.split('/'), path.split('/'));
    loop {
        match (parts.next(), segments.next()) {
            (None, None) => return true,
            (Some("{path}"), Some(_)) => return true,
            (Some(part), Some(segment)) if part.starts_with('{') && !segment.is_empty() => {}
            (Some(part), Some(segment)) if part == segment => {}
            _ => return false,
        }
    }
}

/// Checks an answer.
pub(crate) fn check(method: &Method, path: &str, answer: &Answer) {
    let name = format!("{method} {path} {}", answer.status);
    if method == Method::OPTIONS {
        return;
    }
    if method != Method::HEAD {
        check_json(&name, answer);
    }
    let lower = if method == Method::HEAD { "get".to_owned() } else { method.as_str().to_lowercase() };
    let operation = template(path).map(|template| (template, &DESCRIPTION["paths"][template][&lower]));
    let Some((template, operation)) = operation.filter(|(_, operation)| !operation.is_null()) else {
        // No such route, or no such method: only these may answer.
        assert!(matches!(answer.status, 401 | 404 | 405 | 429 | 503), "{name} is not described");
        check_schema(&name, &json!({ "$ref": "#/components/schemas/Problem" }), answer);
        return;
    };
    *SEEN.lock().unwrap().entry(format!("{} {template} {}", lower.to_uppercase(), answer.status)).or_default() += 1;
    let response = &operation["responses"][answer.status.to_string()];
    assert!(!response.is_null(), "{name} is not described: {}", answer.text());
    check_headers(&name, response, answer);
    if method != Method::HEAD && answer.status != 304 {
        check_body(&name, response, answer);
    }
}

/// No answer has null: what is absent is left out. Only `data` is the client's own.
fn check_json(name: &str, answer: &Answer) {
    if !answer.try_header("content-type").is_some_and(|text| text.contains("json")) || is_coded(answer) {
        return;
    }
    if !name.contains("/openapi.json") {
        check_no_null(name, &answer.json());
    }
}

fn check_no_null(name: &str, value: &Value) {
    match value {
        Value::Null => panic!("{name} has a null"),
        Value::Array(items) => items.iter().for_each(|item| check_no_null(name, item)),
        Value::Object(members) => {
            members.iter().filter(|(key, _)| *key != "data").for_each(|(_, value)| check_no_null(name, value));
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_coded(answer: &Answer) -> bool {
    answer.try_header("content-encoding").is_some()
}

fn check_headers(name: &str, response: &Value, answer: &Answer) {
    let empty = serde_json::Map::new();
    let described = response["headers"].as_object().unwrap_or(&empty);
    for (header, description) in described {
        let is_there = answer.headers.contains_key(header.to_lowercase());
        assert!(is_there || description["required"] != true, "{name} lacks the header {header}");
    }
    let described: Vec<_> = described.keys().map(|header| header.to_lowercase()).collect();
    for header in answer.headers.keys().map(|header| header.as_str()) {
        let is_known = described.iter().any(|known| known == header)
            || GENERAL_HEADERS.contains(&header)
            || header.starts_with(CORS_PREFIX)
            || (answer.status >= 400 && matches!(header, "cache-control" | "etag"));
        assert!(is_known, "{name} has the header {header}, which is not described");
    }
}

fn check_body(name: &str, response: &Value, answer: &Answer) {
    let Some(content) = response["content"].as_object() else {
        assert!(answer.body.is_empty(), "{name} has a body, which is not described");
        return;
    };
    let media_type = answer.header("content-type").split(';').next().unwrap().trim();
    let media = content.get(media_type);
    let media = media.unwrap_or_else(|| panic!("{name} is {media_type}, which is not described"));
    if media_type.ends_with("json") && !media["schema"].is_null() && !is_coded(answer) {
        check_schema(name, &media["schema"], answer);
    }
}

fn check_schema(name: &str, schema: &Value, answer: &Answer) {
    if answer.body.is_empty() {
        return;
    }
    let validator = validator(schema);
    let json = answer.json();
    let errors: Vec<_> =
        validator.iter_errors(&json).map(|error| format!("{error} at {}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{name} is not as described: {errors:#?}\n{json:#}");
}

fn validator(schema: &Value) -> Arc<Validator> {
    let mut validators = VALIDATORS.lock().unwrap();
    let made = validators.entry(schema.to_string()).or_insert_with(|| {
        let mut whole = schema.clone();
        whole["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
        whole["components"] = DESCRIPTION["components"].clone();
        Arc::new(jsonschema::options().should_validate_formats(true).build(&whole).unwrap())
    });
    Arc::clone(made)
}
