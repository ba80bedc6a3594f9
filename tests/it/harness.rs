//! Starts the real binary on a port of its own, and speaks to it as users of several roles. Every answer is checked
//! against the API's description.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{
    Method, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{description, log::Row, topology::Topology};

pub(crate) const CREATE: &str = "permission.integrations.create";
pub(crate) const ADMIN: &str = "permission.integrations.admin";
pub(crate) const AUDIT: &str = "permission.integrations.audit";

/// A running service with a data directory of its own. Killed when it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) topology: Topology,
    directory: TempDir,
    options: Vec<String>,
}

impl Server {
    /// Starts a fresh service and waits until it is ready.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a fresh service with more options.
    pub(crate) async fn start_with(options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
        let topology = Topology::start(&directory.path().join("data"), &options);
        let mut server = Self { url: topology.url(), directory, options, topology };
        server.wait_until_ready().await;
        server
    }

    /// The data directory.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Every row of the log, in the order of positions.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.topology.rows(&self.data_dir())
    }

    /// Whether some bytes are anywhere in what the service keeps.
    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        self.topology.holds(&self.data_dir(), bytes)
    }

    /// What the service has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(log_path(&self.data_dir())).unwrap()
    }

    /// Ends it as a power cut would, as far as a process can tell.
    pub(crate) fn kill(&mut self) {
        for process in self.topology.processes() {
            // Of several processes some may have ended before.
            let _ = process.child.kill();
            process.child.wait().unwrap();
        }
    }

    /// Ends it with SIGTERM.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal_terminate();
        let ended = self.topology.processes().into_iter().map(|process| process.child.wait().unwrap());
        ended.reduce(|all, one| if all.success() { one } else { all }).unwrap()
    }

    /// Sends SIGTERM and does not wait.
    pub(crate) fn signal_terminate(&mut self) {
        for process in self.topology.processes() {
            process.signal("TERM");
        }
    }

    /// Starts it again on the same data.
    pub(crate) async fn restart(&mut self) {
        self.topology = Topology::start(&self.data_dir(), &self.options);
        self.url = self.topology.url();
        self.wait_until_ready().await;
    }

    async fn wait_until_ready(&mut self) {
        let urls: Vec<_> = self.topology.processes().iter().map(|process| process.url()).collect();
        let deadline = Instant::now() + Duration::from_secs(30);
        for url in urls.iter().chain([&self.url]) {
            while !reqwest::get(format!("{url}/readyz")).await.is_ok_and(|answer| answer.status() == StatusCode::OK) {
                assert!(Instant::now() < deadline, "the service is not ready after 30 s:\n{}", self.log());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    /// A token with these claims beside a valid `exp`.
    pub(crate) fn token(&self, claims: Value) -> String {
        let key = std::fs::read(self.data_dir().join("jwt.key")).unwrap();
        sign(claims, key.trim_ascii())
    }

    /// A client without a token.
    pub(crate) fn anonymous(&self) -> Client {
        let metrics = Some(self.topology.metrics_url());
        Client { url: self.url.clone(), metrics, token: None, http: http() }
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
        for process in self.topology.processes() {
            // It may have ended by itself.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("the service's log:\n{}", self.log());
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

/// The binary under test.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_integrations"));
    command.env_remove("RUST_LOG");
    command
}

fn log_path(data_dir: &Path) -> PathBuf {
    data_dir.with_extension("log")
}

/// A process of the service.
pub(crate) struct Process {
    pub(crate) child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Where its metrics are, when that is elsewhere.
    metrics: Option<SocketAddr>,
}

impl Process {
    /// Starts one, and waits until it listens.
    pub(crate) fn start(arguments: &[&str], data_dir: &Path) -> Self {
        Self::start_in(&[arguments, &["--listen", "127.0.0.1:0"]].concat(), data_dir, &BTreeMap::new())
    }

    /// Starts one in an environment that says where it listens.
    pub(crate) fn start_in(arguments: &[&str], data_dir: &Path, environment: &BTreeMap<String, String>) -> Self {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log_path(data_dir)).unwrap();
        let mut child = binary()
            .args(arguments)
            .arg("--data-dir")
            .arg(data_dir)
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let Some(Ok(first)) = lines.next() else {
            let status = child.wait().unwrap();
            panic!("the service ended with {status}:\n{}", std::fs::read_to_string(log_path(data_dir)).unwrap());
        };
        let (address, more) = first.strip_prefix("Listening on http://").unwrap().split_once(',').unwrap();
        let metrics = more.split_once(", metrics on http://").map(|(_, metrics)| metrics.parse().unwrap());
        // Whatever else it prints must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.parse().unwrap(), metrics }
    }

    /// Where it is reached.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where its metrics are.
    pub(crate) fn metrics_url(&self) -> String {
        format!("http://{}", self.metrics.unwrap_or(self.address))
    }

    /// Sends it a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let kill = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(kill.unwrap().success());
    }
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
    pub(crate) token: Option<String>,
    pub(crate) http: reqwest::Client,
}

impl Client {
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
        let mut request = self.client.http.request(self.method, url).headers(self.headers);
        if let Some(body) = self.body {
            request = request.body(body);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Answer { status, headers, body: answer.bytes().await?.to_vec() })
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
