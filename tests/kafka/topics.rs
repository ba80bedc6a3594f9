//! The topics: made when they are not there, refused when they are not as they must be, never altered.

use std::time::Duration;

use projector::kafka::settings::Settings;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
};

use super::{
    description::parsed,
    log::Log,
    publisher::{Publisher, publish, settings},
};
use servers::kafka::Broker;

pub(crate) fn admin(settings: &Settings) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", settings.bootstrap_servers()).create().unwrap()
}

async fn described(settings: &Settings, topic: &str) -> (usize, ConfigResource) {
    let admin = admin(settings);
    let described = admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &AdminOptions::new()).await.unwrap();
    let metadata = admin.inner().fetch_metadata(Some(topic), Duration::from_secs(10)).unwrap();
    (metadata.topics()[0].partitions().len(), described.into_iter().next().unwrap().unwrap())
}

pub(crate) async fn create(settings: &Settings, topic: &str, partitions: i32, config: &[(&str, &str)]) {
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let new = config.iter().fold(new, |new, (name, value)| new.set(name, value));
    admin(settings).create_topics(&[new], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_are_not_there_are_made_as_the_description_says() {
    let (broker, log) = (Broker::shared(), Log::new());
    let settings = settings(&broker.address());
    publish(&log, &settings).await;
    let expected = [
        (
            settings.events_topic(),
            12,
            vec![("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")],
        ),
        (settings.state_topic(), 12, vec![("cleanup.policy", "compact"), ("delete.retention.ms", "604800000")]),
        (settings.checkpoint_topic(), 1, vec![("cleanup.policy", "compact")]),
    ];
    for (topic, partitions, values) in expected {
        let (actual, config) = described(&settings, &topic).await;
        assert_eq!(actual, partitions, "{topic}");
        for (name, value) in values {
            assert_eq!(config.get(name).unwrap().value.as_deref(), Some(value), "{topic} {name}");
        }
    }
    for (channel, topic) in [("events", settings.events_topic()), ("state", settings.state_topic())] {
        let (partitions, config) = described(&settings, &topic).await;
        let description = &parsed()["channels"][channel]["bindings"]["kafka"];
        assert_eq!(description["partitions"], partitions, "{topic}");
        for (name, value) in description["topicConfiguration"].as_object().unwrap() {
            let described = value[0].as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert_eq!(config.get(name).unwrap().value.as_deref(), Some(described.as_str()), "{topic} {name}");
        }
    }
}

/// Makes a topic that is wrong, and checks what the publisher says of it, and that it leaves the topic alone.
async fn refused(name: fn(&Settings) -> String, partitions: i32, config: &[(&str, &str)], expected: &str) {
    let (broker, log) = (Broker::shared(), Log::new());
    let settings = settings(&broker.address());
    log.create("Drive").await;
    let topic = name(&settings);
    create(&settings, &topic, partitions, config).await;
    let before = described(&settings, &topic).await;
    let error = Publisher::start(&log, &settings).ended().await;
    assert_eq!(error.to_string(), format!("Kafka: topic {topic} has {expected}"));
    let after = described(&settings, &topic).await;
    assert_eq!((before.0, before.1.entries), (after.0, after.1.entries), "it was altered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_with_other_settings_is_refused_in_one_line_and_left_as_it_is() {
    let compact = ("cleanup.policy", "compact");
    let day = ("delete.retention.ms", "86400000");
    let short = ("retention.ms", "3600000");
    refused(Settings::events_topic, 12, &[compact], "cleanup.policy=compact, and must have delete").await;
    refused(Settings::events_topic, 12, &[short], "retention.ms=3600000, and must have at least 604800000").await;
    refused(Settings::events_topic, 3, &[("retention.ms", "-1")], "partitions=3, and must have 12").await;
    refused(Settings::state_topic, 12, &[], "cleanup.policy=delete, and must have compact").await;
    refused(
        Settings::state_topic,
        12,
        &[compact, day],
        "delete.retention.ms=86400000, and must have at least 604800000",
    )
    .await;
    refused(Settings::checkpoint_topic, 2, &[compact], "partitions=2, and must have 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_keeps_longer_than_it_must_is_taken() {
    let (broker, log) = (Broker::shared(), Log::new());
    let settings = settings(&broker.address());
    let month = ("delete.retention.ms", "2592000000");
    create(&settings, &settings.state_topic(), 12, &[("cleanup.policy", "compact"), month]).await;
    log.create("Drive").await;
    publish(&log, &settings).await;
}
