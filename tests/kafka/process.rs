//! Processes of the binary, each on a port that it keeps, and whoever speaks to them.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use servers::free_port;

use super::metrics::Metrics;

/// A guard against waiting for ever.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// How long an answer may take, also of a process that is stopped meanwhile.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Whoever speaks to a process, at its address, whether it is there or not.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) url: String,
    pub(crate) token: String,
    http: Client,
}

impl Api {
    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) -> Option<StatusCode> {
        let request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        Some(request.json(body).send().await.ok()?.status())
    }

    /// An answer's text; none while the process is not there.
    pub(crate) async fn text(&self, path: &str) -> String {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let Ok(answer) = request.send().await else { return String::new() };
        answer.text().await.unwrap_or_default()
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let text = self.text(path).await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    pub(crate) async fn metrics(&self) -> Metrics {
        Metrics(self.text("/metrics").await)
    }
}

impl Metrics {
    pub(crate) fn is(&self, name: &str) -> bool {
        self.value(name) == Some(1)
    }

    /// The position that something has reached whose lag this is.
    pub(crate) fn reached(&self, lag: &str) -> Option<u64> {
        Some(self.value("log_position")? - self.value(lag)?)
    }
}

/// A process. Killed when it is dropped.
pub(crate) struct Process {
    pub(crate) api: Api,
    arguments: Vec<String>,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts a verb with options on the log in `directory`.
    pub(crate) fn start(directory: &Path, arguments: &[&str]) -> Self {
        let (address, data) = (format!("127.0.0.1:{}", free_port()), directory.join("data"));
        let more = ["--listen", &address, "--data-dir", data.to_str().unwrap()];
        let arguments: Vec<_> = arguments.iter().chain(&more).map(|argument| (*argument).to_owned()).collect();
        let log = directory.join(format!("{address}.log"));
        let child = spawn(&arguments, &log);
        let http = Client::builder().timeout(ANSWER_MAX).build().unwrap();
        let api = Api { url: format!("http://{address}"), token: token(&data), http };
        Self { api, arguments, log, child }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn restart(&mut self) {
        self.child = spawn(&self.arguments, &self.log);
    }

    /// Sends it a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let kill = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(kill.unwrap().success());
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) fn terminate(&mut self) {
        self.signal("TERM");
        assert!(self.child.wait().unwrap().success(), "{}", self.log());
    }

    pub(crate) async fn wait_until_ready(&self) {
        self.wait(async || self.api.text("/readyz").await.starts_with("ready")).await;
    }

    /// Waits until everything that is in the log is on Kafka.
    pub(crate) async fn wait_until_published(&self) {
        self.wait(async || {
            let metrics = self.api.metrics().await;
            metrics.is("kafka_publishing") && metrics.value("kafka_lag") == Some(0)
        })
        .await;
    }

    pub(crate) async fn wait(&self, until: impl AsyncFn() -> bool) {
        let what = async || format!("{}\n{}", self.api.text("/metrics").await, self.log());
        eventually(until, what).await;
    }

    /// What it has logged, whenever it ran.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// How often it has logged this.
    pub(crate) fn told(&self, what: &str) -> usize {
        self.log().matches(what).count()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again until it is so: nobody tells when a process has come to something.
#[track_caller]
pub(crate) fn eventually(
    is_so: impl AsyncFn() -> bool,
    what: impl AsyncFn() -> String,
) -> impl Future<Output = Duration> {
    let caller = std::panic::Location::caller();
    async move {
        let started = Instant::now();
        while !is_so().await {
            assert!(started.elapsed() < WAIT_MAX, "{caller}: {}", what().await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        started.elapsed()
    }
}

/// The binary under test.
pub(crate) fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_integrations"))
}

fn spawn(arguments: &[String], log: &Path) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    binary().args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

/// An admin's of tenant `acme`.
fn token(data: &Path) -> String {
    let output = binary()
        .args(["token", "--tenant", "acme", "--user", "alice", "--permission", "permission.integrations.admin"])
        .arg("--data-dir")
        .arg(data)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
