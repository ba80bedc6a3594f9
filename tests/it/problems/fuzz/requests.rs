//! Requests that are nearly right, made from the description of what is right.

use serde_json::{Map, Value, json};

use super::super::super::{
    description::DESCRIPTION,
    harness::{Client, Created, Request},
};
use super::dice::Dice;

/// What requests may name.
#[derive(Clone)]
pub(super) struct Target {
    names: Vec<String>,
    tags: Vec<String>,
}

impl Target {
    pub(super) fn of(created: &[Created]) -> Self {
        let names = created.iter().flat_map(|created| [created.id.clone(), created.slug.clone()]).collect();
        Self { names, tags: created.iter().map(|created| created.etag.clone()).collect() }
    }
}

/// Path parts, percent-encoded.
const PARTS: [&str; 16] = [
    "red",
    "bob",
    "team:x",
    "a%2Fb",
    "%FF",
    "%00",
    "%20",
    "%F0%9F%92%A5",
    "x",
    "00000000-0000-0000-0000-000000000000",
    "%25",
    "A.z_:-9",
    "~",
    "a%0Ab",
    "0",
    "%C3%A9",
];

/// Query and header values.
const VALUES: [&str; 20] = [
    "",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "500",
    "501",
    "name",
    "-updatedAt",
    "slack",
    "x",
    "99999999999999999999",
    "%FF",
    "%00",
    "%",
    "%F0%9F%92%A5",
    "a+b+c+d+e+f+g+h+i",
    "2024-01-15T09:00:00Z",
    "*",
];

const TEXTS: [&str; 24] = [
    "",
    " ",
    "x",
    "slack",
    "google-drive",
    "per-user",
    "shared",
    "oauth2",
    "apiKey",
    "bearer",
    "header",
    "query",
    "alice",
    "https://example.com/a",
    "https://u:p@example.com/",
    "/a.png",
    "//a",
    "\u{0}",
    "💥",
    "\u{202e}",
    "${user.email}",
    "${nope}",
    "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b",
    "a\nb",
];

const CONTENT_TYPES: [&str; 6] =
    ["application/json", "application/x+json", "text/plain", "multipart/form-data; boundary=x", "image/png", ""];

/// A position that the log does not reach.
pub(super) const NEVER: &str = "7777777777777777";

/// The operations of the description.
pub(super) struct Routes(Vec<(&'static str, &'static str, &'static Value)>);

impl Routes {
    pub(super) fn described() -> Self {
        let paths = DESCRIPTION["paths"].as_object().unwrap().iter();
        let operations = paths.flat_map(|(path, item)| {
            let item = item.as_object().unwrap().iter();
            item.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        });
        Self(operations.collect())
    }

    /// One of them; seldom the delete of an integration, or there would soon be none.
    fn operation(&self, dice: &mut Dice) -> (&'static str, &'static str, &'static Value) {
        loop {
            let (template, method, operation) = *dice.pick(&self.0);
            if (template, method) != ("/api/integrations/{id}", "delete") || dice.happens(2) {
                return (template, method, operation);
            }
        }
    }

    /// A random request, and what to call it.
    pub(super) fn request(&self, dice: &mut Dice, client: &Client, target: &Target) -> (String, Request) {
        let (template, method, operation) = self.operation(dice);
        let method = method.to_uppercase();
        let method = if dice.happens(4) { *dice.pick(&["PATCH", "DELETE", "HEAD", "PROPFIND"]) } else { &method };
        let path = format!("{}{}", path(dice, template, target), query(dice, operation));
        let mut request = client.request(method, &path);
        let mut what = format!("{method} {path}");
        for (name, value) in headers(dice, target) {
            what.push_str(&format!("\n{name}: {value}"));
            request = request.header(name, &value);
        }
        if let Some((content_type, body)) = body(dice, operation) {
            what.push_str(&format!("\n{content_type}: {}", String::from_utf8_lossy(&body)));
            request = request.body(&content_type, body);
        }
        (what, request)
    }
}

fn path(dice: &mut Dice, template: &str, target: &Target) -> String {
    let part = |part: &str, dice: &mut Dice| match part {
        "{id}" if dice.happens(85) => dice.pick(&target.names).clone(),
        part if part.starts_with('{') => (*dice.pick(&PARTS)).to_owned(),
        part if !part.is_empty() && dice.happens(1) => format!("{part}x"),
        part => part.to_owned(),
    };
    template.split('/').map(|one| part(one, dice)).collect::<Vec<_>>().join("/")
}

fn query(dice: &mut Dice, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let mut pairs: Vec<_> = parameters
        .filter(|parameter| parameter["in"] == "query" && dice.happens(25))
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    if dice.happens(3) {
        pairs.push(*dice.pick(&["nope", "%FF", "", "q", "a%20b"]));
    }
    if dice.happens(3) {
        pairs.extend(pairs.clone());
    }
    let pairs: Vec<_> = pairs.into_iter().map(|name| format!("{name}={}", dice.pick(&VALUES))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

fn headers(dice: &mut Dice, target: &Target) -> Vec<(&'static str, String)> {
    let mut headers = Vec::new();
    for name in ["if-match", "if-none-match"] {
        if dice.happens(8) {
            let malformed = ["*", "\"a\"", "nope", "W/\"a\"", ""].map(str::to_owned);
            let known = dice.happens(50);
            headers.push((name, dice.pick(if known { &target.tags } else { &malformed }).clone()));
        }
    }
    for name in
        ["idempotency-key", "audit-reason", "accept", "accept-encoding", "x-request-id", "traceparent", "cookie"]
    {
        if dice.happens(4) {
            headers.push((name, (*dice.pick(&["a", "b", "gzip;q=x", "é", "", "*/*", "a b"])).to_owned()));
        }
    }
    if dice.happens(4) {
        let position = *dice.pick(&["0000000000000001", NEVER, "nope", ""]);
        headers.extend([("integration-position", position.to_owned()), ("prefer", "wait=0".to_owned())]);
    }
    headers
}

fn body(dice: &mut Dice, operation: &Value) -> Option<(String, Vec<u8>)> {
    let Some(content) = operation["requestBody"]["content"].as_object() else {
        return dice.happens(5).then(|| ("application/json".to_owned(), b"{}".to_vec()));
    };
    if dice.happens(3) {
        return None;
    }
    let (described, media) = content.iter().nth(dice.below(content.len())).unwrap();
    let mut bytes = if described == "application/json" {
        value(dice, &media["schema"], 0).to_string().into_bytes()
    } else {
        image(dice, described)
    };
    if dice.happens(6) {
        spoil(dice, &mut bytes);
    }
    let boundary = if described.starts_with("multipart") { "; boundary=x" } else { "" };
    let content_type = format!("{described}{boundary}");
    Some((if dice.happens(4) { (*dice.pick(&CONTENT_TYPES)).to_owned() } else { content_type }, bytes))
}

fn image(dice: &mut Dice, media_type: &str) -> Vec<u8> {
    let images: [&[u8]; 6] = [
        b"\x89PNG\r\n\x1a\nx",
        b"\xff\xd8\xffx",
        b"GIF89ax",
        b"<svg xmlns='http://www.w3.org/2000/svg'><path d='M0 0'/></svg>",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>",
        b"nothing",
    ];
    let image = *dice.pick(&images);
    if !media_type.starts_with("multipart") {
        return image.to_vec();
    }
    let head = b"--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a\"\r\n\r\n";
    [head.as_slice(), image, b"\r\n--x--\r\n"].concat()
}

/// Cuts, doubles or changes a byte.
fn spoil(dice: &mut Dice, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let at = dice.below(bytes.len());
    match dice.below(4) {
        0 => bytes.truncate(at),
        1 => bytes[at] = dice.byte(),
        2 => bytes.insert(at, dice.byte()),
        _ => bytes.extend_from_within(at..),
    }
}

/// A value of a schema, or now and then of none.
fn value(dice: &mut Dice, schema: &Value, depth: usize) -> Value {
    if dice.happens(3) {
        return other(dice);
    }
    if let Some(name) = schema["$ref"].as_str() {
        return value(dice, &DESCRIPTION["components"]["schemas"][name.rsplit('/').next().unwrap()], depth);
    }
    if let Some(choices) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        let choice = dice.pick(choices);
        return value(dice, choice, depth);
    }
    let types = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
    match dice.pick(&types).as_str() {
        Some("object") => object(dice, schema, depth),
        Some("array") => (0..dice.below(4)).map(|_| value(dice, &schema["items"], depth + 1)).collect(),
        Some("boolean") => json!(dice.happens(50)),
        Some("integer" | "number") => json!(dice.below(5)),
        Some("string") => text(dice, schema),
        _ => Value::Null,
    }
}

fn object(dice: &mut Dice, schema: &Value, depth: usize) -> Value {
    let mut members = Map::new();
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        let chance = if required.contains(&name.as_str()) { 97 } else { 10 };
        if dice.happens(chance) {
            members.insert(name.clone(), value(dice, member, depth + 1));
        }
    }
    if schema["properties"].is_null() && depth < 3 {
        for _ in 0..dice.below(3) {
            let additional = &schema["additionalProperties"];
            let inner = if additional.is_object() { value(dice, additional, depth + 1) } else { other(dice) };
            members.insert(
                (*dice.pick(&["X-Region", "X-Token", "a b", "Host", "", "supportsUpload", "💥"])).to_owned(),
                inner,
            );
        }
    }
    Value::Object(members)
}

fn text(dice: &mut Dice, schema: &Value) -> Value {
    if let Some(example) = schema["example"].as_str().filter(|_| dice.happens(60)) {
        return json!(example);
    }
    if let Some(max) = schema["maxLength"].as_u64().filter(|_| dice.happens(4)) {
        return json!("é".repeat(usize::try_from(max).unwrap() + dice.below(2)));
    }
    json!(dice.pick(&TEXTS))
}

fn other(dice: &mut Dice) -> Value {
    let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    dice.pick(&[
        json!(null),
        json!(5),
        json!(-1.5),
        json!("x"),
        json!([]),
        json!({}),
        json!(true),
        nested(40),
        nested(100),
    ])
    .clone()
}
