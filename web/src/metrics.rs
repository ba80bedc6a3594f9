//! What the service measures of itself, in the OpenMetrics text format. No label names a tenant, an integration
//! or a user.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

/// The media type of the text that [`Metrics::render`] gives.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a request is counted under.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The method, or `other`.
    pub method: &'static str,
    /// The route's template, or `none`.
    pub route: Cow<'static, str>,
    /// The answer's status.
    pub status: u16,
}

/// What a fetch of token keys is counted under.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FetchLabels {
    /// `changed`, `unchanged` or `failed`.
    pub outcome: &'static str,
}

/// What is told of a view by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ViewLabels {
    /// Its name.
    pub view: &'static str,
}

/// What names a master key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KeyLabels {
    /// Its id in the master key file.
    pub id: String,
}

/// Every metric.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Seconds that a request took, by route.
    pub request_seconds: Family<RequestLabels, Histogram, fn() -> Histogram>,
    /// Requests in flight.
    pub requests_in_flight: Gauge,
    /// Requests that wait for a position.
    pub requests_waiting: Gauge,
    /// Appends that were acknowledged.
    pub appends: Counter,
    /// Appends that met another revision than expected.
    pub conflicts: Counter,
    /// Fetches of an identity provider's token keys.
    pub token_key_fetches: Family<FetchLabels, Counter>,
    /// The last position of the log.
    pub log_position: Gauge<u64, AtomicU64>,
    /// The position up to which each view has taken the log.
    pub view_checkpoint: Family<ViewLabels, Gauge<u64, AtomicU64>>,
    /// Streams that each view has parked.
    pub view_parked_streams: Family<ViewLabels, Gauge<u64, AtomicU64>>,
    /// How many positions the views are behind the log, the last of them.
    pub projection_lag: Gauge<u64, AtomicU64>,
    /// Streams that the views have parked.
    pub parked_streams: Gauge<u64, AtomicU64>,
    /// Data keys that are not under the active master key, as far as was counted.
    pub keys_to_rewrap: Gauge<u64, AtomicU64>,
    /// 1 for the one master key that this process wraps data keys with; see [`Metrics::set_master_key`].
    active_master_key: Family<KeyLabels, Gauge>,
    /// How the log is published on Kafka; nothing where it is not.
    pub kafka: KafkaMetrics,
}

/// How the log is published on Kafka: not shown before it is told.
#[derive(Debug, Clone, Default)]
pub struct KafkaMetrics(Arc<Mutex<[Option<u64>; 4]>>);

impl KafkaMetrics {
    /// Tells whether this process publishes it, and whether another does that this one would take over from; and, as far
    /// as this process knows, how many positions are not published yet, and how many streams are held back.
    pub fn tell(&self, is_publishing: bool, is_standing_by: bool, lag: Option<u64>, held_back: Option<u64>) {
        let told = [Some(is_publishing.into()), Some(is_standing_by.into()), lag, held_back];
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }
}

impl Collector for KafkaMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        const DESCRIBED: [(&str, &str); 4] = [
            ("kafka_publishing", "Whether the log is being published on Kafka by this process"),
            ("kafka_standing_by", "Whether another process publishes on Kafka, and this one would take over"),
            ("kafka_lag", "Positions of the log that are not published on Kafka yet"),
            ("kafka_held_back_streams", "Streams that are not published on Kafka from an event on"),
        ];
        let told = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for ((name, help), value) in DESCRIBED.into_iter().zip(told) {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("integrations");
        let request_seconds: Family<RequestLabels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_25, 2.0, 16)));
        let metrics = Self {
            request_seconds,
            requests_in_flight: Gauge::default(),
            requests_waiting: Gauge::default(),
            appends: Counter::default(),
            conflicts: Counter::default(),
            token_key_fetches: Family::default(),
            log_position: Gauge::default(),
            view_checkpoint: Family::default(),
            view_parked_streams: Family::default(),
            projection_lag: Gauge::default(),
            parked_streams: Gauge::default(),
            keys_to_rewrap: Gauge::default(),
            active_master_key: Family::default(),
            kafka: KafkaMetrics::default(),
            registry: Registry::default(),
        };
        metrics.register(&mut registry);
        registry.register_collector(Box::new(metrics.kafka.clone()));
        Self { registry, ..metrics }
    }
}

impl Metrics {
    fn register(&self, registry: &mut Registry) {
        registry.register("request_seconds", "Seconds that a request took", self.request_seconds.clone());
        registry.register("requests_in_flight", "Requests in flight", self.requests_in_flight.clone());
        registry.register("requests_waiting", "Requests that wait for a position", self.requests_waiting.clone());
        registry.register("appends", "Appends that were acknowledged", self.appends.clone());
        registry.register("conflicts", "Appends that met another revision than expected", self.conflicts.clone());
        registry.register(
            "token_key_fetches",
            "Fetches of an identity provider's token keys",
            self.token_key_fetches.clone(),
        );
        registry.register("log_position", "The last position of the log", self.log_position.clone());
        registry.register(
            "view_checkpoint",
            "The position up to which a view has taken the log",
            self.view_checkpoint.clone(),
        );
        registry.register("view_parked_streams", "Streams that a view has parked", self.view_parked_streams.clone());
        registry.register("projection_lag", "Positions that the views are behind the log", self.projection_lag.clone());
        registry.register(
            "parked_streams",
            "Streams with an event that this release cannot read",
            self.parked_streams.clone(),
        );
        registry.register(
            "keys_to_rewrap",
            "Data keys that are not under the active master key",
            self.keys_to_rewrap.clone(),
        );
        registry.register(
            "active_master_key",
            "The master key that this process wraps data keys with",
            self.active_master_key.clone(),
        );
    }

    /// Tells which master key data keys are wrapped with, from now on and with no other.
    pub fn set_master_key(&self, id: &str) {
        let labels = KeyLabels { id: id.to_owned() };
        if self.active_master_key.get(&labels).is_none() {
            self.active_master_key.clear();
            self.active_master_key.get_or_create(&labels).set(1);
        }
    }

    /// All of them as text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes every write");
        text
    }
}
