//! The clients of librdkafka: how each is configured, and what becomes of what they log.

use std::time::Duration;

use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseProducer, ProducerContext},
};

use super::settings::Settings;

/// How long a request may take, unless the properties say otherwise (`socket.timeout.ms`).
const REQUEST_MAX_MS: u32 = 10_000;

/// How long one call may take before its session is given up: longer than one request of it.
pub(super) fn call_max(settings: &Settings) -> Duration {
    let given = settings.property("socket.timeout.ms").and_then(|value| value.parse().ok());
    Duration::from_millis(given.unwrap_or(REQUEST_MAX_MS).into()) * 3 / 2
}

/// Puts what librdkafka logs where an operator finds it when he looks for it: that Kafka is away is told by the publisher,
/// once, not by each of its connections.
#[derive(Debug)]
pub(super) struct Context;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, "librdkafka: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "librdkafka: {reason}");
    }
}

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    // A record that was not delivered fails its transaction, which is where it is told.
    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// What all clients have in common, and all that is needed to create topics and to read their settings.
pub(super) fn config(settings: &Settings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("client.id", "integrations")
        // A topic that is lost is told, not made anew by a broker that makes what it is asked for.
        .set("allow.auto.create.topics", "false")
        .set("reconnect.backoff.max.ms", "1000")
        .set("socket.nagle.disable", "true")
        .set("socket.timeout.ms", REQUEST_MAX_MS.to_string());
    for (name, value) in settings.properties() {
        config.set(name, value);
    }
    config.set("bootstrap.servers", settings.bootstrap_servers()).set_log_level(RDKafkaLogLevel::Warning);
    config
}

/// A producer of transactions. The partitioner is that of Kafka's own clients, so that whoever asks one of them for the
/// partition of a key finds it here.
pub(super) fn producer(settings: &Settings) -> KafkaResult<BaseProducer<Context>> {
    let mut config = config(settings);
    for (name, value) in [("compression.type", "zstd"), ("transaction.timeout.ms", "30000")] {
        if settings.property(name).is_none() {
            config.set(name, value);
        }
    }
    config
        .set("transactional.id", settings.transactional_id())
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("partitioner", "murmur2_random")
        .create_with_context(Context)
}

/// A reader of committed records, up to the end of what is there. Its group is a name only: nothing is committed to it.
pub(super) fn consumer(settings: &Settings) -> KafkaResult<BaseConsumer<Context>> {
    config(settings)
        .set("group.id", settings.transactional_id())
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create_with_context(Context)
}

/// Whether the broker says that another producer of the same transactional id has come since.
pub(super) fn is_fenced(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    let fenced = [RDKafkaErrorCode::Fenced, RDKafkaErrorCode::ProducerFenced, RDKafkaErrorCode::InvalidProducerEpoch];
    code.is_some_and(|code| fenced.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_client_makes_a_topic_by_asking_for_it() {
        let settings = Settings::new("127.0.0.1:1", "a", "").expect("valid");
        assert_eq!(config(&settings).get("allow.auto.create.topics"), Some("false"));
    }
}
