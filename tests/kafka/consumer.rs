//! Reads topics from their beginning to their end, as readers of committed records see them.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::Headers as _,
};
use serde_json::Value;

/// A record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) key: String,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: BTreeMap<String, String>,
}

impl Record {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(self.value.as_ref().unwrap()).unwrap()
    }

    /// Everything that stands in it.
    pub(crate) fn text(&self) -> String {
        format!(
            "{} {:?} {}",
            self.key,
            self.headers,
            String::from_utf8_lossy(self.value.as_deref().unwrap_or_default())
        )
    }
}

/// All committed records of a topic, in their order within each partition.
pub(crate) fn committed(brokers: &str, topic: &str) -> Vec<Record> {
    read(brokers, topic, "read_committed")
}

/// All records of a topic, those of aborted transactions too.
pub(crate) fn uncommitted(brokers: &str, topic: &str) -> Vec<Record> {
    read(brokers, topic, "read_uncommitted")
}

fn read(brokers: &str, topic: &str, isolation: &str) -> Vec<Record> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "a-reader")
        .set("isolation.level", isolation)
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(30)).unwrap();
    let partitions = metadata.topics()[0].partitions();
    let mut all = TopicPartitionList::new();
    for partition in partitions {
        all.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    consumer.assign(&all).unwrap();
    let (mut records, mut ended) = (Vec::new(), 0);
    while ended < partitions.len() {
        match consumer.poll(Duration::from_secs(30)).expect("an answer") {
            Ok(record) => records.push(Record {
                partition: record.partition(),
                key: String::from_utf8(record.key().unwrap().to_vec()).unwrap(),
                value: record.payload().map(<[u8]>::to_vec),
                headers: record
                    .headers()
                    .into_iter()
                    .flat_map(|headers| headers.iter())
                    .map(|one| header(&one))
                    .collect(),
            }),
            Err(KafkaError::PartitionEOF(_)) => ended += 1,
            Err(error) => panic!("{error}"),
        }
    }
    records.sort_by_key(|record| record.partition);
    records
}

fn header(header: &rdkafka::message::Header<'_, &[u8]>) -> (String, String) {
    (header.key.to_owned(), String::from_utf8(header.value.unwrap_or_default().to_vec()).unwrap())
}

/// The events of each integration, by key, in the order in which they were read.
pub(crate) fn by_key(records: &[Record]) -> BTreeMap<String, Vec<Value>> {
    let mut keys = BTreeMap::<_, Vec<_>>::new();
    for record in records {
        keys.entry(record.key.clone()).or_default().push(record.json());
    }
    keys
}

/// Checks that the events of each integration are there once and in order, from the first one on, and counts them.
#[track_caller]
pub(crate) fn assert_gapless(records: &[Record]) -> usize {
    for (key, events) in by_key(records) {
        let sequences: Vec<u64> =
            events.iter().map(|event| event["sequence"].as_str().unwrap().parse().unwrap()).collect();
        let expected: Vec<u64> = (0..sequences.len() as u64).collect();
        assert_eq!(sequences, expected, "{key}");
    }
    records.len()
}
