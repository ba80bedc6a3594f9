//! The service with `--kafka`, from outside: what it publishes while it is killed under load, read by a consumer in
//! another language with libraries that are not ours.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use servers::{free_port, kafka::Broker};

const WAIT_MAX: Duration = Duration::from_secs(120);
/// Users that change things at the same time.
const USERS: usize = 8;
const KILLS: u64 = 5;
/// How many changes they make.
const CHANGES: u64 = 3_000;

/// Whoever speaks to the service, at its address, whether it is there or not.
#[derive(Clone)]
struct Api {
    url: String,
    http: Client,
    token: String,
}

impl Api {
    async fn send(&self, method: Method, path: &str, body: &Value) -> Option<StatusCode> {
        let request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        Some(request.json(body).send().await.ok()?.status())
    }

    async fn text(&self, path: &str) -> String {
        let Ok(answer) = self.http.get(format!("{}{path}", self.url)).send().await else { return String::new() };
        answer.text().await.unwrap_or_default()
    }

    /// A metric's value; none while the service is not there or the metric is not shown.
    async fn metric(&self, name: &str) -> Option<u64> {
        let text = self.text("/metrics").await;
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// What somebody does with integrations of his own until it is enough, however often the service dies meanwhile.
    async fn use_it(self, user: usize, done: Arc<AtomicU64>) {
        while done.load(Ordering::Relaxed) < CHANGES {
            let id = Uuid::now_v7();
            let path = format!("/api/integrations/{id}");
            let create = json!({
                "id": id, "name": format!("Canary {user}"), "type": "custom", "apiKey": "canary-secret",
                "headers": { "X-Canary-Token": "canary-secret", "X-Canary-Open": "canary-open" },
                "data": { "n": 1.50 },
            });
            let team = format!("{path}/shares/team:a%2Fb");
            let steps = [
                (Method::POST, "/api/integrations".to_owned(), create),
                (Method::PUT, path.clone(), json!({ "description": "Für Übung", "clientSecret": "canary-secret" })),
                (Method::PUT, team.clone(), json!({ "accessLevel": 2 })),
                (Method::PUT, format!("{path}/tags"), json!({ "tags": ["b", "a"] })),
                (Method::PUT, team, json!({ "accessLevel": 1 })),
                (Method::PUT, path.clone(), json!({ "headers": { "X-Canary-Other": "canary-open" } })),
                (Method::DELETE, path, Value::Null),
            ];
            let stays = id.as_bytes()[15].is_multiple_of(3);
            for (method, path, body) in steps.into_iter().take(if stays { 6 } else { 7 }) {
                match self.send(method, &path, &body).await {
                    Some(status) if status.is_success() => drop(done.fetch_add(1, Ordering::Relaxed)),
                    // It is being started again.
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        }
    }
}

/// The service.
struct Service {
    directory: TempDir,
    options: Vec<String>,
    child: Child,
    api: Api,
}

impl Service {
    /// Starts it on a port that it keeps.
    fn start(options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let listen = ["--listen".to_owned(), address.clone()];
        let options: Vec<_> = listen.into_iter().chain(options.iter().map(|option| (*option).to_owned())).collect();
        let child = spawn(directory.path(), &options);
        let api = Api { url: format!("http://{address}"), http: Client::new(), token: token(directory.path()) };
        Self { directory, options, child, api }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn restart(&mut self) {
        self.child = spawn(self.directory.path(), &self.options);
    }

    async fn wait_until_ready(&self) {
        self.wait(async || self.api.text("/readyz").await.starts_with("ready")).await;
    }

    async fn wait_until_published(&self) {
        let lag = async || self.api.metric("integrations_kafka_lag").await;
        let publishing = async || self.api.metric("integrations_kafka_publishing").await;
        self.wait(async || publishing().await == Some(1) && lag().await == Some(0)).await;
    }

    async fn wait(&self, until: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + WAIT_MAX;
        while !until().await {
            assert!(Instant::now() < deadline, "{}\n{}", self.api.text("/metrics").await, self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_integrations"))
}

fn spawn(directory: &Path, options: &[String]) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(directory.join("log")).unwrap();
    let mut serve = binary();
    serve.args(["serve", "--data-dir"]).arg(directory.join("data")).args(options);
    serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

fn token(directory: &Path) -> String {
    let output = binary()
        .args(["token", "--tenant", "acme", "--user", "alice", "--permission", "permission.integrations.admin"])
        .arg("--data-dir")
        .arg(directory.join("data"))
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Python with the consumer's libraries; fetched when they are not there.
fn python() -> PathBuf {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("kafka-python");
    let script = consumer().join("fetch.sh");
    let fetch = Command::new("bash").arg(script).arg(&environment).output().unwrap();
    assert!(fetch.status.success(), "{}", String::from_utf8_lossy(&fetch.stderr));
    environment.join("bin/python")
}

fn consumer() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/consumer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_in_another_language_sees_each_event_once_and_in_order_however_often_the_service_is_killed() {
    let (broker, prefix) = (Broker::shared(), format!("service-{}", Uuid::new_v4()));
    let brokers = broker.address();
    let mut service = Service::start(&["--kafka", &brokers, "--kafka-topic-prefix", &prefix]);
    service.wait_until_ready().await;
    let done = Arc::new(AtomicU64::new(0));
    let users: Vec<_> =
        (0..USERS).map(|user| tokio::spawn(service.api.clone().use_it(user, Arc::clone(&done)))).collect();
    for kill in 1..=KILLS {
        let at = CHANGES * kill / (KILLS + 1);
        service.wait(async || done.load(Ordering::Relaxed) >= at).await;
        service.kill();
        service.restart();
    }
    for user in users {
        user.await.unwrap();
    }
    service.wait_until_published().await;
    assert_eq!(service.api.text("/readyz").await, "ready\n");
    let output = Command::new(python())
        .arg(consumer().join("check.py"))
        .args([&brokers, &prefix])
        .arg(service.directory.path().join("data/events.sqlite"))
        .args([&service.api.url, &service.api.token])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(seen["events"].as_u64().unwrap() >= done.load(Ordering::Relaxed), "{seen}");
    assert!(seen["states"].as_u64().unwrap() > 10 && seen["deleted"].as_u64().unwrap() > 10, "{seen}");
    println!("{seen}");
    for topic in ["events", "state", "checkpoint"] {
        let records = super::consumer::uncommitted(&brokers, &format!("{prefix}.{topic}"));
        let text: String = records.iter().map(super::consumer::Record::text).collect::<String>().to_lowercase();
        assert!(topic == "checkpoint" || text.contains("canary 1"), "the names are there");
        for canary in ["canary-secret", "canary-open", "x-canary"] {
            assert!(!text.contains(canary), "{canary} is in {topic}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_kafka_away_the_service_is_ready_and_says_how_far_behind_it_is() {
    let brokers = format!("127.0.0.1:{}", free_port());
    let mut service = Service::start(&["--kafka", &brokers]);
    service.wait_until_ready().await;
    let create = json!({ "name": "Drive", "type": "google-drive" });
    assert_eq!(service.api.send(Method::POST, "/api/integrations", &create).await, Some(StatusCode::CREATED));
    let ready = service.api.text("/readyz").await;
    assert!(ready.starts_with("ready, Kafka: ") && ready.ends_with(", 2 positions behind\n"), "{ready:?}");
    assert_eq!(service.api.metric("integrations_kafka_publishing").await, Some(0));
    assert_eq!(service.api.metric("integrations_kafka_lag").await, Some(2));
    let asked = Instant::now();
    assert!(Command::new("kill").arg(service.child.id().to_string()).status().unwrap().success());
    assert!(service.child.wait().unwrap().success());
    assert!(asked.elapsed() < Duration::from_secs(10), "it waits for Kafka");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_option_nothing_is_told_of_kafka() {
    let service = Service::start(&[]);
    service.wait_until_ready().await;
    assert_eq!(service.api.text("/readyz").await, "ready\n");
    assert_eq!(service.api.metric("integrations_log_position").await, Some(0));
    assert_eq!(service.api.metric("integrations_kafka_lag").await, None);
}

#[test]
fn wrong_options_are_refused_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let properties = directory.path().join("kafka.properties");
    std::fs::write(&properties, "sasl.password=hunter2\nacks=1\n").unwrap();
    let missing = directory.path().join("missing");
    let cases: [(&[&str], &str); 4] = [
        (&["--kafka", "nowhere"], "Kafka: no broker is named: give HOST:PORT, separated by commas"),
        (&["--kafka", "127.0.0.1:1", "--kafka-topic-prefix", "a b"], "Kafka: a topic prefix is 1 to 200 of"),
        (
            &["--kafka", "127.0.0.1:1", "--kafka-properties", properties.to_str().unwrap()],
            "the property acks is the service's own",
        ),
        (&["--kafka", "127.0.0.1:1", "--kafka-properties", missing.to_str().unwrap()], "No such file"),
    ];
    for (options, expected) in cases {
        let data = directory.path().join("data");
        let output = binary().arg("serve").arg("--data-dir").arg(data).args(options).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{options:?}: {said}");
        assert!(said.contains(expected) && !said.contains("hunter2"), "{said}");
    }
}
