//! Starts the real binary on a port of its own, and speaks to it as users of several roles. Every answer is checked
//! against the API's description.

use std::{
    path::PathBuf,
    process::ExitStatus,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    description,
    log::Row,
    service::{Process, Service},
    topology::{self, IS_ONE_PROCESS, Topology},
};

pub(crate) const CREATE: &str = "permission.integrations.create";
pub(crate) const ADMIN: &str = "permission.integrations.admin";
pub(crate) const AUDIT: &str = "permission.integrations.audit";
const IS_SHARED: &str = "a test that looks into the service, or stops it, has one of its own: Server::start_alone";

/// A service as a test sees it. Tests that need nothing of it but its answers may have the same one: what they call a
/// tenant is then one of their own.
pub(crate) struct Server {
    pub(crate) url: String,
    service: Arc<Service>,
    /// Begins the names of its tenants; empty when the service is its own.
    prefix: String,
}

impl Server {
    /// One whose tenants are empty.
    pub(crate) async fn start() -> Self {
        let service = topology::service().await;
        let prefix = if IS_ONE_PROCESS { String::new() } else { format!("{:08x}-", Uuid::new_v4().as_fields().0) };
        Self { url: service.topology.url(), service, prefix }
    }

    /// A fresh one that no other test has: it can be looked into, and stopped.
    pub(crate) async fn start_alone() -> Self {
        Self::start_with(&[]).await
    }

    /// A fresh one with more options.
    pub(crate) async fn start_with(options: &[&str]) -> Self {
        let service = Service::start(options).await;
        Self { url: service.topology.url(), service: Arc::new(service), prefix: String::new() }
    }

    /// What runs.
    pub(crate) fn topology(&self) -> &Topology {
        &self.service.topology
    }

    /// The name of a tenant, as the service has it.
    pub(crate) fn tenant(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// What it runs as, when no other test has it.
    pub(crate) fn own(&self) -> &Service {
        assert!(self.prefix.is_empty(), "{IS_SHARED}");
        &self.service
    }

    /// What it runs as, to be changed.
    pub(crate) fn own_mut(&mut self) -> &mut Service {
        Arc::get_mut(&mut self.service).expect(IS_SHARED)
    }

    /// The data directory.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.own().data_dir()
    }

    /// A number that those measure of themselves that answer reads, of all of them together.
    pub(crate) async fn measured(&self, metric: &str) -> u64 {
        sum(&self.topology().querying(), metric).await
    }

    /// Every row of the log, in the order of positions.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.own().topology.rows(&self.data_dir())
    }

    /// Whether some bytes are anywhere in what the service keeps.
    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        self.own().topology.holds(&self.data_dir(), bytes)
    }

    /// What the service has logged.
    pub(crate) fn log(&self) -> String {
        self.own().log()
    }

    /// Ends it as a power cut would, as far as a process can tell.
    pub(crate) fn kill(&mut self) {
        self.own_mut().kill();
    }

    /// Ends it with SIGTERM.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.own_mut().terminate()
    }

    /// Sends SIGTERM and does not wait.
    pub(crate) fn signal_terminate(&mut self) {
        self.own_mut().signal_terminate();
    }

    /// Starts it again on the same data.
    pub(crate) async fn restart(&mut self) {
        self.own_mut().restart().await;
        self.url = self.service.topology.url();
    }

    /// A token with these claims beside a valid `exp`.
    pub(crate) fn token(&self, claims: Value) -> String {
        self.service.token(self.with_own_tenant(claims))
    }

    fn with_own_tenant(&self, mut claims: Value) -> Value {
        if let Some(tenant) = claims["tenant"].as_str().map(|name| self.tenant(name)) {
            claims["tenant"] = tenant.into();
        }
        claims
    }

    /// A client without a token.
    pub(crate) fn anonymous(&self) -> Client {
        Client::of(self.topology())
    }

    /// A client with a token of these claims.
    pub(crate) fn client(&self, claims: Value) -> Client {
        Client { token: Some(self.token(claims)), ..self.anonymous() }
    }

    /// A user of tenant `acme` without groups and permissions.
    pub(crate) fn user(&self, user: &str) -> Client {
        self.client(json!({ "sub": user, "tenant": "acme" }))
    }

    /// A user of tenant `acme` with these permissions.
    pub(crate) fn user_with(&self, user: &str, permissions: &[&str]) -> Client {
        self.client(json!({ "sub": user, "tenant": "acme", "permissions": permissions }))
    }

    /// Alice of tenant `acme`, who may create.
    pub(crate) fn alice(&self) -> Client {
        self.user_with("alice", &[CREATE])
    }

    /// Bob of tenant `acme`, who has no permission.
    pub(crate) fn bob(&self) -> Client {
        self.user("bob")
    }

    /// An admin of tenant `acme`.
    pub(crate) fn admin(&self) -> Client {
        self.user_with("root", &[ADMIN])
    }

    /// A user with every right, of another tenant.
    pub(crate) fn other_tenant(&self) -> Client {
        self.client(json!({ "sub": "alice", "tenant": "other", "permissions": [ADMIN, CREATE, AUDIT] }))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the service's log:\n{}", self.service.log());
        }
    }
}

/// Signs a token with these claims beside a valid `exp`, unless they have their own.
pub(crate) fn sign(mut claims: Value, key: &[u8]) -> String {
    let claims_object = claims.as_object_mut().unwrap();
    claims_object.entry("exp").or_insert_with(|| (now_seconds() + 3_600).into());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(key)).unwrap()
}

pub(crate) fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A text with every byte of it encoded as in a path.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A number that processes measure of themselves, of all of them together.
pub(crate) async fn sum(processes: &[&Process], metric: &str) -> u64 {
    let mut sum = 0;
    for process in processes {
        sum += process.metrics().await.value(metric).unwrap();
    }
    sum
}

fn http() -> reqwest::Client {
    let none = reqwest::redirect::Policy::none();
    reqwest::Client::builder().redirect(none).timeout(Duration::from_secs(60)).build().unwrap()
}

/// Somebody who sends requests.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) url: String,
    /// Where metrics are asked for, when that is elsewhere.
    pub(crate) metrics: Option<String>,
    /// Those that answer reads, when they are several: a position that is waited for is waited for at each of them.
    pub(crate) nodes: Vec<String>,
    pub(crate) token: Option<String>,
    pub(crate) http: reqwest::Client,
}

impl Client {
    /// One without a token.
    pub(crate) fn of(topology: &Topology) -> Self {
        let querying = topology.querying();
        let metrics = querying.first().map(|process| process.metrics_url());
        // The only one is the one that is asked.
        let nodes = querying.iter().filter(|_| querying.len() > 1).map(|process| process.url()).collect();
        Self { url: topology.url(), metrics, nodes, token: None, http: http() }
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        let mut headers = HeaderMap::new();
        if let Some(token) = &self.token {
            headers.insert("authorization", HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        }
        Request { client: self.clone(), method: method.parse().unwrap(), path: path.to_owned(), headers, body: None }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path).send().await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path).send().await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.request("POST", path).json(&body).send().await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.request("PUT", path).json(&body).send().await
    }

    /// Creates an integration and answers its id.
    pub(crate) async fn create(&self, body: Value) -> Created {
        let answer = self.post("/api/integrations", body).await.expect(201);
        Created {
            id: answer.json()["id"].as_str().unwrap().to_owned(),
            slug: answer.json()["slug"].as_str().unwrap().to_owned(),
            position: answer.header("integration-position").to_owned(),
            etag: answer.header("etag").to_owned(),
        }
    }

    /// Reads what is at least as new as a position.
    pub(crate) async fn get_at(&self, path: &str, position: &str) -> Answer {
        self.request("GET", path).header("integration-position", position).header("prefer", "wait=10").send().await
    }
}

/// A new integration.
#[derive(Debug, Clone)]
pub(crate) struct Created {
    pub(crate) id: String,
    pub(crate) slug: String,
    pub(crate) position: String,
    pub(crate) etag: String,
}

impl Created {
    /// Its path, with something behind.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/api/integrations/{}{rest}", self.id)
    }
}

/// A request that is being put together.
#[derive(Clone)]
pub(crate) struct Request {
    client: Client,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
}

impl Request {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    /// A JSON body with its type.
    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// A body with its type.
    pub(crate) fn body(self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut request = self.header("content-type", content_type);
        request.body = Some(body.into());
        request
    }

    /// A body without a type.
    pub(crate) fn untyped_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends it, and checks the answer against the API's description.
    pub(crate) async fn send(self) -> Answer {
        let (method, path) = (self.method.clone(), self.path.clone());
        let answer = self.try_send().await.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        description::check(&method, &path, &answer);
        answer
    }

    /// Sends it to a service that may be gone.
    pub(crate) async fn try_send(self) -> reqwest::Result<Answer> {
        let metrics = self.client.metrics.as_ref().filter(|_| self.path.split('?').next() == Some("/metrics"));
        let url = format!("{}{}", metrics.unwrap_or(&self.client.url), self.path);
        let waits = self.method == Method::GET && self.headers.contains_key("integration-position");
        let mut request = self.client.http.request(self.method, url).headers(self.headers.clone());
        if let Some(body) = self.body {
            request = request.body(body);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let answer = Answer { status, headers, body: answer.bytes().await?.to_vec() };
        if waits && matches!(status, 200 | 304) {
            for node in &self.client.nodes {
                let there = self.client.http.get(format!("{node}{}", self.path)).headers(self.headers.clone());
                let status = there.send().await?.status().as_u16();
                assert_ne!(status, 503, "{node} does not come to what {} asks for", self.path);
            }
        }
        Ok(answer)
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Itself, if it has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header that must be there.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.try_header(name).unwrap_or_else(|| panic!("no header {name} in {:?}", self.headers))
    }

    pub(crate) fn try_header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Checks that it is a problem of this status and type.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, kind: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json()["type"], format!("urn:problem-type:integrations:{kind}"));
        answer
    }

    /// The pointers of a problem's errors, sorted.
    #[track_caller]
    pub(crate) fn pointers(&self) -> Vec<String> {
        let json = self.json();
        let errors = json["errors"].as_array().unwrap_or_else(|| panic!("no errors in {json}"));
        let mut pointers: Vec<_> = errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect();
        pointers.sort();
        pointers
    }
}

/// A file that is taken for a PNG image, with bytes that no other has.
pub(crate) fn png(mark: &str) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.extend_from_slice(mark.repeat(200).as_bytes());
    bytes
}
