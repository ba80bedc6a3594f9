//! The publisher that catches up with a log, against a bare transactional producer of the same records in as many
//! transactions.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use events::store::{EventStore, sqlite::SqliteStore};
use projector::kafka::{self, State, Status, settings::Settings};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::{OwnedHeaders, OwnedMessage},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use tokio::{runtime::Runtime, sync::watch};

use crate::{
    Effort,
    log::Log,
    places,
    report::{Bar, Spread, figure},
};
use servers::kafka::Broker;

const CALL_MAX: Duration = Duration::from_secs(30);

/// The figure.
pub(crate) fn run(effort: Effort) {
    let directory = places::temporary();
    let events = make(directory.path(), effort.of(5_000, 500));
    let store: Arc<dyn EventStore> = Arc::new(SqliteStore::open(directory.path()).unwrap());
    let (broker, runtime) = (Broker::start(), Runtime::new().unwrap());
    let readings: Vec<_> = (0..effort.pairs())
        .map(|pair| {
            let settings = Settings::new(&broker.address(), &format!("bench-{pair}"), "").unwrap();
            let seconds = publish(&runtime, &store, &settings);
            let (records, transactions) = published(&settings);
            assert_eq!(records.len(), 2 * events);
            (events as f64 / seconds, events as f64 / bare(&settings, &records, transactions), transactions)
        })
        .collect();
    println!(
        "  {events} events, two records each, in {} transactions: {:.0}/s; a bare producer {:.0}/s",
        readings[0].2,
        Spread::of(readings.iter().map(|(own, ..)| *own)),
        Spread::of(readings.iter().map(|(_, bare, _)| *bare)),
    );
    let ratios = Spread::of(readings.iter().map(|(own, bare, _)| own / bare));
    figure("publishing", " of a bare transactional producer", ratios, Bar::AtLeast(0.5));
}

/// A log of integrations to which a little happens; answers how many events are told of.
fn make(directory: &std::path::Path, integrations: usize) -> usize {
    let mut log = Log::begin(directory);
    for n in 0..integrations {
        let mut made = log.create("acme", "alice", &format!("Drive {n}"));
        log.share(&mut made, "team:marketing");
        log.tag(&mut made, &["blue", "green"]);
        log.describe(&mut made, "Documents of the department");
    }
    log.end();
    4 * integrations
}

/// Seconds from the session's begin until everything is published.
fn publish(runtime: &Runtime, store: &Arc<dyn EventStore>, settings: &Settings) -> f64 {
    let (told, mut status) = watch::channel(Status::default());
    let head = *store.head().borrow();
    runtime.block_on(async {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let timed = async {
            status.wait_for(|status| status.state == State::Publishing).await.unwrap();
            let started = Instant::now();
            status.wait_for(|status| status.published >= head).await.unwrap();
            let seconds = started.elapsed().as_secs_f64();
            stop.send(()).unwrap();
            seconds
        };
        let publisher = kafka::run(Arc::clone(store), settings, &told, None, async { drop(stopped.await) });
        let (outcome, seconds) = tokio::join!(publisher, timed);
        outcome.unwrap();
        seconds
    })
}

/// What was published, and in how many transactions.
fn published(settings: &Settings) -> (Vec<OwnedMessage>, usize) {
    let mut records = read(settings, &settings.events_topic());
    records.extend(read(settings, &settings.state_topic()));
    // As they were written: each event with its state.
    records.sort_by_key(|record| record.timestamp().to_millis());
    (records, read(settings, &settings.checkpoint_topic()).len())
}

fn read(settings: &Settings, topic: &str) -> Vec<OwnedMessage> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", settings.bootstrap_servers())
        .set("group.id", "bench")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), CALL_MAX).unwrap();
    let partitions = metadata.topics()[0].partitions();
    let mut all = TopicPartitionList::new();
    for partition in partitions {
        all.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    consumer.assign(&all).unwrap();
    let (mut records, mut ended) = (Vec::new(), 0);
    while ended < partitions.len() {
        match consumer.poll(CALL_MAX).unwrap() {
            Ok(record) => records.push(record.detach()),
            Err(KafkaError::PartitionEOF(_)) => ended += 1,
            Err(error) => panic!("{error}"),
        }
    }
    records
}

/// Seconds that a bare producer with the publisher's settings needs for the same records, into the same topics.
fn bare(settings: &Settings, records: &[OwnedMessage], transactions: usize) -> f64 {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", settings.bootstrap_servers())
        .set("transactional.id", "bare")
        .set("partitioner", "murmur2_random")
        .set("compression.type", "zstd")
        .set("socket.nagle.disable", "true")
        .create()
        .unwrap();
    producer.init_transactions(CALL_MAX).unwrap();
    let started = Instant::now();
    for batch in records.chunks(records.len().div_ceil(transactions)) {
        producer.begin_transaction().unwrap();
        for record in batch {
            let headers = record.headers().cloned().unwrap_or_else(OwnedHeaders::new);
            let mut copy = BaseRecord::to(record.topic()).key(record.key().unwrap()).headers(headers);
            copy.payload = record.payload();
            producer.send(copy).map_err(|(error, _)| error).unwrap();
        }
        producer
            .send(BaseRecord::to(&settings.checkpoint_topic()).key("bare").payload("{}"))
            .map_err(|(error, _)| error)
            .unwrap();
        producer.commit_transaction(CALL_MAX).unwrap();
    }
    started.elapsed().as_secs_f64()
}
