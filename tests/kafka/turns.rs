//! Of several projectors one publishes, and the others stand by.

use std::{
    net::TcpListener,
    sync::LazyLock,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, Producer as _},
};
use reqwest::{Method, StatusCode};
use serde_json::json;
use servers::{kafka::Broker, postgres::Postgres};

use super::{
    load::Load,
    process::Process,
    roles::{Holder, Roles},
};

static POSTGRES: LazyLock<Postgres> = LazyLock::new(Postgres::start);

/// What Kafka says to a publisher after which another has come.
pub(crate) const REFUSED_BY_KAFKA: &str = "another publisher has taken over";
/// What a publisher says that finds its lease with another.
pub(crate) const REFUSED_BY_LEASE: &str = "another process has the lease to publish to Kafka now";
/// What a publisher says that hears nothing of its lease for as long as it lasts.
pub(crate) const LEASE_RAN_OUT: &str = "the lease to publish to Kafka cannot be kept";

async fn create(roles: &Roles) {
    let body = json!({ "name": "Drive", "type": "google-drive" });
    let answer = roles.command.api.send(Method::POST, "/api/integrations", &body).await;
    assert_eq!(answer, Some(StatusCode::CREATED));
}

async fn kafka_of(process: &Process) -> [Option<u64>; 4] {
    let metrics = process.api.metrics().await;
    ["publishing", "standing_by", "lag", "held_back_streams"].map(|name| metrics.value(&format!("kafka_{name}")))
}

/// A projector that feeds the view, one that publishes, and one that stands by.
async fn roles_with_two_publishers() -> (Roles, Holder) {
    let mut roles = Roles::start(&POSTGRES, &Broker::shared().address()).await;
    roles.add_feeder().await;
    roles.add_publisher(&[]);
    let first = roles.publisher_after(0).await;
    roles.add_publisher(&[]);
    roles.projectors[2].wait_until_ready().await;
    (roles, first)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_publishes_another_may_feed_the_view_and_whoever_stands_by_says_so_and_takes_over() {
    let (mut roles, first) = roles_with_two_publishers().await;
    assert_eq!(first.projector, 1);
    assert_eq!(roles.feeder().await.unwrap().projector, 0, "feeding and publishing are leases of their own");
    create(&roles).await;
    let head = roles.head().await;
    roles.published(head).await;
    let publisher = &roles.projectors[1];
    assert!(!publisher.api.text("/readyz").await.contains("Kafka"));
    assert_eq!(kafka_of(publisher).await, [Some(1), Some(0), Some(0), Some(0)]);
    let standby = &roles.projectors[2];
    let stands_by =
        "ready, view integrations: standing by, view access-by-principal: standing by, Kafka: standing by\n";
    standby.wait(async || standby.api.text("/readyz").await == stands_by).await;
    assert_eq!(standby.api.metrics().await.value("projection_lag"), Some(0), "it feeds no view");
    assert_eq!(kafka_of(standby).await, [Some(0), Some(1), None, None]);
    assert_eq!(kafka_of(&roles.projectors[0]).await, [None; 4], "it has nothing to do with Kafka");
    roles.projectors[1].terminate();
    let gone = roles.publisher().await.filter(|holder| holder.projector == 1);
    assert_eq!(gone, None, "the lease was given back");
    let second = roles.publisher_after(first.epoch).await;
    assert_eq!((second.projector, roles.projectors[2].told("it is this process's turn to publish")), (2, 1));
    create(&roles).await;
    let head = roles.head().await;
    roles.published(head).await;
    roles.shown(head).await;
    let seen = roles.consumed(&roles.exported());
    assert_eq!(seen["events"], 2, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_wakes_up_after_another_took_its_lease_is_refused_by_kafka_and_writes_nothing() {
    let (roles, first) = roles_with_two_publishers().await;
    let load = Load::start(&roles.command.api, 100);
    load.reach(50).await;
    roles.projectors[first.projector].signal("STOP");
    let second = roles.publisher_after(first.epoch).await;
    assert_ne!(second.projector, first.projector);
    let head = roles.head().await;
    roles.shown(head).await;
    // Its question whether it still has the lease is answered last: so it is Kafka alone that holds it back.
    let locked = roles.connect().await.unwrap();
    locked.batch_execute("BEGIN; LOCK TABLE leases IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let sleeper = &roles.projectors[first.projector];
    sleeper.signal("CONT");
    sleeper.wait(async || sleeper.told(REFUSED_BY_KAFKA) == 1).await;
    assert_eq!(sleeper.told(REFUSED_BY_LEASE), 0, "nobody could have told it");
    locked.batch_execute("COMMIT").await.unwrap();
    sleeper.wait(async || sleeper.api.metrics().await.is("kafka_standing_by")).await;
    assert_eq!(roles.publisher().await, Some(second), "the one that took over goes on");
    let done = load.end().await;
    roles.healed().await;
    let seen = roles.consumed(&roles.exported());
    assert!(seen["events"].as_u64().unwrap() >= done, "{seen}");
    assert_epochs_rise(Broker::shared(), &roles.prefix, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_somebody_fences_who_has_no_lease_is_at_work_again_within_seconds() {
    let mut roles = Roles::start(&POSTGRES, &Broker::shared().address()).await;
    roles.add_publisher(&[]);
    let before = roles.publisher_after(0).await;
    // As a process does that woke up late, in the middle of beginning a session.
    let late: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", Broker::shared().address())
        .set("transactional.id", format!("{}.publisher", roles.prefix))
        .create()
        .unwrap();
    tokio::task::block_in_place(|| late.init_transactions(Duration::from_secs(30))).unwrap();
    create(&roles).await;
    let fenced = Instant::now();
    roles.publisher_after(before.epoch).await;
    let head = roles.head().await;
    roles.published(head).await;
    // Nobody has to look at it, so it does not take the half minute that he would be given.
    assert!(fenced.elapsed() < Duration::from_secs(20), "{:?}", fenced.elapsed());
    assert_eq!(roles.projectors[0].told(REFUSED_BY_KAFKA), 1);
}

/// Threads of a process that speak to Kafka.
fn sessions(process: &Process) -> usize {
    let threads = std::fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
    let name =
        |thread: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok();
    threads.filter_map(name).filter(|name| name == "kafka\n").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_begins_before_the_thread_of_the_last_one_has_ended() {
    // A Kafka that takes connections and never answers.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut roles = Roles::start(&POSTGRES, &deaf.local_addr().unwrap().to_string()).await;
    let properties = roles.directory.path().join("kafka.properties");
    std::fs::write(&properties, "socket.timeout.ms=5000").unwrap();
    roles.add_publisher(&["--kafka-properties", properties.to_str().unwrap()]);
    let publisher = &roles.projectors[0];
    publisher.wait(async || sessions(publisher) == 1).await;
    let first = roles.publisher().await.unwrap();
    // Another process takes the lease, and is gone as soon as that was noticed.
    let database = roles.connect().await.unwrap();
    let lease = "SET epoch = epoch + 1, holder = 'process 0', expires_at";
    let take = |expires| format!("UPDATE leases {lease} = '{expires}' WHERE name = 'publisher {}'", roles.prefix);
    database.batch_execute(&take("infinity")).await.unwrap();
    publisher.wait(async || publisher.api.metrics().await.is("kafka_standing_by")).await;
    assert_eq!(sessions(publisher), 1, "a call is still on its way");
    database.batch_execute(&take("-infinity")).await.unwrap();
    let again = async || roles.publisher().await.is_some_and(|holder| holder.epoch > first.epoch + 2);
    publisher
        .wait(async || {
            assert!(sessions(publisher) < 2, "two sessions at once");
            again().await && sessions(publisher) == 1
        })
        .await;
    for _ in 0..20 {
        assert!(sessions(publisher) < 2, "two sessions at once");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Checks that no producer has written anything after a later one had: not even what readers of committed records never
/// see; and that there were at least so many.
#[track_caller]
pub(crate) fn assert_epochs_rise(broker: &Broker, prefix: &str, at_least: usize) {
    let partitions = tokio::task::block_in_place(|| broker.producers(&format!("{prefix}.events")));
    for producers in &partitions {
        assert!(producers.is_sorted(), "an earlier producer wrote after a later one: {producers:?}");
    }
    let producers: std::collections::BTreeSet<_> = partitions.into_iter().flatten().collect();
    assert!(producers.len() >= at_least, "{producers:?}");
}
