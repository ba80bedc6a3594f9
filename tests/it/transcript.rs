//! One conversation, byte for byte: whatever topology answers, everybody is told the same. Positions, times, generated ids
//! and what is derived from them are named by the order in which they appear.

use std::{collections::HashMap, fmt::Write as _, path::Path};

use serde_json::{Value, json};
use uuid::Uuid;

use super::harness::{ADMIN, AUDIT, Answer, CREATE, Client, Server, png};

/// What everybody is told, whichever topology it is.
const TRANSCRIPT: &str = "tests/it/transcript.txt";
/// What says nothing of the service.
const IGNORED: [&str; 4] = ["connection", "content-length", "date", "keep-alive"];

/// Values by the names that they go by.
#[derive(Default)]
struct Names(HashMap<String, String>, HashMap<&'static str, usize>);

impl Names {
    /// The name of a value, by which it is known from its first appearance on.
    fn of(&mut self, kind: &'static str, value: &str) -> String {
        if let Some(name) = self.0.get(value) {
            return name.clone();
        }
        let count = self.1.entry(kind).or_default();
        *count += 1;
        let name = format!("<{kind} {count}>");
        self.0.insert(value.to_owned(), name.clone());
        name
    }

    /// A text, with names in the place of what differs from run to run.
    fn name_all(&mut self, text: &str) -> String {
        let is_part = |char: char| char.is_ascii_alphanumeric() || "-:.".contains(char);
        let (mut named, mut rest) = (String::new(), text);
        while let Some(start) = rest.find(is_part) {
            named.push_str(&rest[..start]);
            let end = rest[start..].find(|char| !is_part(char)).map_or(rest.len(), |length| start + length);
            let token = &rest[start..end];
            match kind(token) {
                Some(kind) => named.push_str(&self.of(kind, token)),
                None => named.push_str(token),
            }
            rest = &rest[end..];
        }
        named + rest
    }

    /// A tag: what it says of the change and of the shape are known apart.
    fn tag(&mut self, tag: &str) -> String {
        match tag.trim_matches('"').split_once('.') {
            Some((change, shape)) => format!("\"{}.{}\"", self.of("change", change), self.of("shape", shape)),
            None => self.name_all(tag),
        }
    }
}

fn kind(token: &str) -> Option<&'static str> {
    if Uuid::try_parse(token).is_ok() && token.contains('-') {
        return Some("id");
    }
    if token.len() == 64 && token.chars().all(|char| char.is_ascii_hexdigit()) {
        return Some("hash");
    }
    let bytes = token.as_bytes();
    (bytes.len() == 24 && bytes[10] == b'T' && bytes[23] == b'Z').then_some("time")
}

/// What was said so far.
struct Conversation {
    people: HashMap<&'static str, Client>,
    names: Names,
    text: String,
    /// That of the last command: whoever reads asks for it.
    position: Option<String>,
    /// The last one that was told.
    tag: String,
}

impl Conversation {
    async fn say(
        &mut self,
        who: &'static str,
        line: &str,
        header: Option<(&str, &str)>,
        body: Option<Value>,
    ) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = self.people[who].request(method, path);
        let _ = write!(self.text, "\n{who}: {line}");
        if let Some((name, value)) = header {
            let value = if value == "the last tag" { self.tag.clone() } else { value.to_owned() };
            request = request.header(name, &value);
            let _ = write!(self.text, " {name}: {}", self.names.tag(&value));
        }
        if let Some(position) = self.position.as_ref().filter(|_| method == "GET") {
            request = request.header("integration-position", position).header("prefer", "wait=10");
        }
        if let Some(body) = &body {
            let _ = write!(self.text, " {body}");
            request = request.json(body);
        }
        let answer = request.send().await;
        self.hear(method, &answer);
        answer
    }

    fn hear(&mut self, method: &str, answer: &Answer) {
        let _ = writeln!(self.text, "\n{}", answer.status);
        let headers = answer.headers.iter().filter(|(name, _)| !IGNORED.contains(&name.as_str()));
        let mut headers: Vec<_> = headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        headers.sort_unstable();
        for (name, value) in headers {
            let value = match name {
                "etag" => {
                    self.tag = value.to_owned();
                    self.names.tag(value)
                }
                "integration-position" => {
                    if method != "GET" {
                        self.position = Some(value.to_owned());
                    }
                    self.names.of("position", value)
                }
                _ => self.names.name_all(value),
            };
            let _ = writeln!(self.text, "{name}: {value}");
        }
        if !answer.body.is_empty() {
            let text =
                String::from_utf8(answer.body.clone()).unwrap_or_else(|_| format!("{} bytes", answer.body.len()));
            let _ = writeln!(self.text, "{}", self.names.name_all(text.trim_end()));
        }
    }

    /// Each line is a request without a body.
    async fn ask(&mut self, who: &'static str, lines: &[&str]) {
        for line in lines {
            self.say(who, line, None, None).await;
        }
    }

    async fn tell(&mut self, who: &'static str, line: &str, body: Value) {
        self.say(who, line, None, Some(body)).await;
    }
}

async fn create(talk: &mut Conversation) {
    talk.ask("alice", &["GET /api/me", "GET /api/integrations", "GET /api/integrations-list"]).await;
    talk.tell("bob", "POST /api/integrations", json!({ "name": "Drive", "type": "google-drive" })).await;
    talk.tell("alice", "POST /api/integrations", json!({ "name": " ", "kind": 1 })).await;
    let drive = json!({
        "name": "Google Drive", "type": "google-drive", "mode": "shared", "description": "Files",
        "clientId": "drive", "clientSecret": "s3cret", "data": { "rootFolderId": "root" },
    });
    talk.tell("alice", "POST /api/integrations", drive.clone()).await;
    talk.tell("alice", "POST /api/integrations", drive).await;
    let rest = json!({
        "id": "11111111-2222-4333-8444-555555555555", "name": "Any REST", "type": "custom", "authType": "apiKey",
        "apiBaseUri": "https://rest.example.com/v1", "apiKey": "k3y", "headers": { "X-Region": "eu", "X-Token": "t0ken" },
    });
    talk.tell("alice", "POST /api/integrations", rest.clone()).await;
    talk.tell("alice", "POST /api/integrations", rest).await;
    talk.tell("other", "POST /api/integrations", json!({ "name": "Google Drive", "type": "google-drive" })).await;
    for name in ["Slack", "Slack", "Chat"] {
        let body = json!({ "name": name, "type": "slack" });
        talk.say("alice", "POST /api/integrations", Some(("idempotency-key", "once")), Some(body)).await;
    }
}

async fn change(talk: &mut Conversation) {
    talk.tell("alice", "PUT /api/integrations/google-drive", json!({ "description": "All files", "category": null }))
        .await;
    talk.tell("alice", "PUT /api/integrations/google-drive", json!({ "description": "All files" })).await;
    for (tag, scope) in [("the last tag", "files"), ("\"0-00000000.00000000\"", "")] {
        let body = json!({ "scope": scope });
        talk.say("alice", "PUT /api/integrations/google-drive", Some(("if-match", tag)), Some(body)).await;
    }
    talk.tell("alice", "PUT /api/integrations/any-rest", json!({ "apiBaseUri": "https://elsewhere.example.com" }))
        .await;
    talk.tell("bob", "PUT /api/integrations/google-drive", json!({ "description": "mine" })).await;
    talk.tell("alice", "PUT /api/integrations/google-drive/tags", json!({ "tags": ["files", "work", "files"] })).await;
    talk.ask(
        "alice",
        &[
            "PUT /api/integrations/google-drive/tags/new",
            "DELETE /api/integrations/google-drive/tags/work",
            "DELETE /api/integrations/google-drive/tags/work",
        ],
    )
    .await;
    talk.tell("alice", "PUT /api/integrations/google-drive/shares/bob", json!({ "accessLevel": 2 })).await;
    talk.tell("alice", "PUT /api/integrations/any-rest/shares/team%3Aanalytics", json!({ "accessLevel": 1 })).await;
    talk.tell("alice", "PUT /api/integrations/any-rest/shares/alice", json!({ "accessLevel": 9 })).await;
    talk.tell("bob", "PUT /api/integrations/google-drive", json!({ "description": "ours" })).await;
    talk.tell("bob", "PUT /api/integrations/any-rest", json!({ "description": "ours" })).await;
    talk.tell("alice", "PUT /api/integrations/slack/owner", json!({ "ownerId": "team:analytics" })).await;
}

/// Reads, each time for everybody whom it may concern.
async fn read(talk: &mut Conversation) {
    for who in ["alice", "bob", "other", "root"] {
        talk.ask(
            who,
            &[
                "GET /api/integrations?sort=-name&limit=2",
                "GET /api/integrations?q=drive&tag=files",
                "GET /api/integrations?limit=0&nothing=1",
                "GET /api/integrations-list",
                "GET /api/integrations/google-drive",
                "GET /api/integrations/any-rest",
                "GET /api/integrations/any-rest/access",
                "GET /api/integrations/google-drive/shares",
                "GET /api/integrations/google-drive/shares/bob",
                "GET /api/integrations/google-drive/owner",
                "GET /api/integrations/google-drive/tags",
                "GET /api/integrations/slack/icon",
                "GET /api/integrations/slack/connection",
                "GET /api/principals/team%3Aanalytics/integrations",
                "GET /api/libraries/none/integrations",
            ],
        )
        .await;
        talk.say(who, "GET /api/integrations-list", None, None).await;
        talk.say(who, "GET /api/integrations-list", Some(("if-none-match", "the last tag")), None).await;
    }
}

async fn end(talk: &mut Conversation, icon: &[u8]) {
    let request = talk.people["alice"].request("PUT", "/api/integrations/google-drive/icon");
    let answer = request.body("image/png", icon).send().await;
    let _ = write!(talk.text, "\nalice: PUT an icon");
    talk.hear("PUT", &answer);
    talk.ask("bob", &["GET /api/integrations/google-drive/icon", "DELETE /api/integrations/google-drive/icon"]).await;
    talk.ask("bob", &["DELETE /api/integrations/google-drive", "DELETE /api/integrations/google-drive/shares/bob"])
        .await;
    talk.ask("bob", &["GET /api/integrations/google-drive", "GET /api/integrations-list"]).await;
    let drive = "DELETE /api/integrations/google-drive";
    talk.say("alice", drive, Some(("if-match", "\"0-00000000.00000000\"")), None).await;
    talk.ask("alice", &[drive, drive, "GET /api/integrations-list", "GET /api/integrations/google-drive"]).await;
    talk.tell("alice", "POST /api/integrations", json!({ "name": "Google Drive", "type": "google-drive" })).await;
    talk.ask("alice", &["GET /api/integrations/google-drive", "GET /api/integrations?type=google-drive"]).await;
    talk.ask("auditor", &["GET /api/integrations/google-drive", "GET /api/integrations", "PATCH /api/integrations"])
        .await;
}

#[tokio::test]
async fn everybody_is_told_the_same_by_every_topology() {
    let server = Server::start_alone().await;
    let people = HashMap::from([
        ("alice", server.user_with("alice", &[CREATE])),
        ("bob", server.user("bob")),
        ("root", server.user_with("root", &[ADMIN])),
        ("auditor", server.user_with("auditor", &[AUDIT])),
        ("other", server.other_tenant()),
    ]);
    let mut talk =
        Conversation { people, names: Names::default(), text: String::new(), position: None, tag: String::new() };
    create(&mut talk).await;
    change(&mut talk).await;
    read(&mut talk).await;
    end(&mut talk, &png("icon")).await;
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join(TRANSCRIPT);
    if std::env::var_os("UPDATE_TRANSCRIPT").is_some() {
        std::fs::write(&expected, &talk.text).unwrap();
    }
    let expected = std::fs::read_to_string(expected).unwrap_or_default();
    let differs = expected.lines().zip(talk.text.lines()).position(|(expected, told)| expected != told);
    let line = differs.unwrap_or_else(|| expected.lines().count().min(talk.text.lines().count()));
    let around = |text: &str| text.lines().skip(line.saturating_sub(6)).take(9).collect::<Vec<_>>().join("\n");
    assert!(
        expected == talk.text,
        "{TRANSCRIPT} says something else from line {}:\n{}\n\nand here:\n{}",
        line + 1,
        around(&expected),
        around(&talk.text)
    );
}
