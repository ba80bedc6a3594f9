//! One service for all tests that need none of their own, with Kafka beside it; and the last of them, which holds what they
//! did together against the log.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use servers::kafka::Broker;
use tokio::{sync::Mutex, task::block_in_place};
use uuid::Uuid;

use super::{
    fold::check_views,
    harness::{ADMIN, Client, Server},
    log,
    options::{KAFKA, TOPICS, named},
    process::eventually,
    service::{Service, binary},
    topics_check::{Exported, check_topics},
    topology::Topology,
};

/// What kills processes and removes their files when the standard input ends: whatever becomes of the tests' own process,
/// nothing of it is left.
const WATCH: &str = r#"directory=$1; shift; read -r _; kill -KILL "$@" 2>/dev/null; rm -rf "$directory""#;
/// How long the last test waits for those before it.
const OTHERS_MAX: Duration = Duration::from_secs(300);

static SHARED: Mutex<Option<Shared>> = Mutex::const_new(None);

struct Shared {
    service: Arc<Service>,
    /// Ends the service when this process ends, since what is shared is dropped by the test below alone.
    watch: Child,
}

/// The service that tests share; the first of them starts it, with one more option perhaps.
pub(crate) async fn service(option: Option<String>) -> Arc<Service> {
    let mut shared = SHARED.lock().await;
    if let Some(shared) = &*shared {
        return Arc::clone(&shared.service);
    }
    let kafka = format!("{KAFKA}{}", Broker::shared().address());
    // A server may have had its log before.
    let topics = format!("{TOPICS}{}", Uuid::new_v4().simple());
    let options: Vec<_> = [&kafka, &topics].into_iter().chain(&option).map(String::as_str).collect();
    let service = Service::start(&options).await;
    let mut watch = Command::new("sh");
    watch.args(["-c", WATCH, "sh"]).arg(service.data_dir().parent().unwrap());
    watch.args(service.topology.process_ids().iter().map(u32::to_string));
    let watch = watch.stdin(Stdio::piped()).spawn().unwrap();
    let shared = shared.insert(Shared { service: Arc::new(service), watch });
    Arc::clone(&shared.service)
}

/// Tests run in the order of their names, and this is the last.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_all_tests_did_the_views_are_a_fold_of_the_log_and_kafka_has_each_event_once() {
    drop(Server::start().await);
    let Shared { mut service, mut watch } = SHARED.lock().await.take().unwrap();
    let deadline = Instant::now() + OTHERS_MAX;
    while Arc::get_mut(&mut service).is_none() {
        assert!(Instant::now() < deadline, "other tests do not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let seen = check_all(&service).await;
    println!("{seen}");
    drop(service);
    drop(watch.stdin.take());
    watch.wait().unwrap();
}

/// Checks what was done since the service was started, all of which is answered: the log keeps its rules, the lists of
/// every tenant are a fold of it, and the topics tell the same. Answers what is on them.
pub(crate) async fn check_all(service: &Service) -> Value {
    let topology = &service.topology;
    let exported = Exported::of(binary, &topology.log_options(&service.data_dir()), &service.data_dir());
    let head = head(&exported.file);
    eventually("all is published", async || is_published(topology, head).await).await;
    let rows = log::rows(&exported.data);
    log::check_form(&rows);
    let tenants: BTreeSet<_> = rows.iter().filter_map(|row| row.of("integration")).map(|(tenant, _)| tenant).collect();
    let admin = |tenant: &str| service.token(json!({ "sub": "root", "tenant": tenant, "permissions": [ADMIN] }));
    let tokens: BTreeMap<_, _> = tenants.into_iter().map(|tenant| (tenant, admin(tenant))).collect();
    for (tenant, token) in &tokens {
        let client = Client { token: Some(token.clone()), ..Client::of(topology) };
        client.get_at("/api/integrations-list", &format!("{head:016x}")).await.expect(200);
        check_views(&client, tenant, &rows).await;
    }
    let prefix = named(&service.options, TOPICS).unwrap_or("integrations");
    let brokers = named(&service.options, KAFKA).unwrap();
    block_in_place(|| check_topics(brokers, prefix, &exported.data, &topology.url(), &tokens))
}

/// Whether a projector publishes, and has come to a position.
async fn is_published(topology: &Topology, position: u64) -> bool {
    for process in topology.projecting() {
        let metrics = process.metrics().await;
        let reached = metrics.value("log_position").zip(metrics.value("kafka_lag")).map(|(head, lag)| head - lag);
        if metrics.value("kafka_publishing") == Some(1) && reached >= Some(position) {
            return true;
        }
    }
    false
}

/// The position of the end of the log that was exported.
fn head(export: &Path) -> u64 {
    let mut header = String::new();
    BufReader::new(File::open(export).unwrap()).read_line(&mut header).unwrap();
    let header: Value = serde_json::from_str(&header).unwrap();
    header["head"].as_u64().unwrap()
}
