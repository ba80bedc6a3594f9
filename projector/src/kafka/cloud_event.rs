//! CloudEvents 1.0 with the bindings of Kafka: structured JSON for events, so that one stays whole where only a record's
//! value is kept; binary mode for states, whose end must be a record without a value.

use events::{
    envelope::{Metadata, RecordedEvent},
    integration::{Fact, Integration},
};
use serde::Serialize;

use super::{
    document::Document,
    payload::{self, Payload},
    record::{Record, Topic},
};

const STRUCTURED: &str = "application/cloudevents+json; charset=utf-8";
const JSON: &str = "application/json";
/// Enough for every revision: `sequence` is to be ordered as text too.
const SEQUENCE_DIGITS: usize = 20;

/// The attributes of an event, in the order of the specification; the extensions behind them.
#[derive(Debug, Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: &'static str,
    datacontenttype: &'static str,
    dataschema: String,
    subject: String,
    time: String,
    sequence: String,
    partitionkey: &'a str,
    tenant: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlationid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    data: Payload<'a>,
}

/// What is known of an event beside what happened.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// As the log has it.
    pub recorded: &'a RecordedEvent,
    /// What happened.
    pub fact: &'a Fact,
    /// Who, and in which conversation.
    pub metadata: &'a Metadata,
}

impl Told<'_> {
    /// The key of an integration's records: they stay in one partition, and so in their order.
    #[must_use]
    pub fn key(&self) -> String {
        [self.fact.tenant.as_str(), "/", &self.fact.integration.to_string()].concat()
    }

    /// The event as structured JSON; `after` is the state that it leaves.
    ///
    /// # Panics
    /// Never: events are structs with string keys.
    #[must_use]
    pub fn event(&self, after: Option<&Integration>) -> Option<Vec<u8>> {
        let (fact, metadata) = (self.fact, self.metadata);
        let event_type = payload::event_type(&fact.event);
        let key = self.key();
        let event = CloudEvent {
            specversion: "1.0",
            id: self.recorded.id.to_string(),
            source: self.source(),
            event_type,
            datacontenttype: JSON,
            dataschema: payload::schema(event_type),
            subject: fact.integration.to_string(),
            time: self.recorded.at.to_string(),
            sequence: self.sequence(),
            partitionkey: &key,
            tenant: fact.tenant.as_str(),
            actor: metadata.actor.as_ref().map(|actor| actor.as_str()),
            correlationid: metadata.correlation_id.as_deref(),
            causationid: metadata.causation_id.map(|id| id.to_string()),
            traceparent: metadata.traceparent.as_deref(),
            data: Payload::of(&fact.event, after)?,
        };
        Some(serde_json::to_vec(&event).expect("events are structs with string keys"))
    }

    /// Its records: the event, and the state that it leaves. None for a creation that follows another, which leaves no
    /// state of its own; no log of ours has one.
    pub(super) fn records(&self, after: Option<&Integration>) -> Option<[Record; 2]> {
        let content_type = |value: &str| ("content-type", value.to_owned());
        let key = self.key();
        let headers = vec![content_type(STRUCTURED)];
        let event = Record { topic: Topic::Events, key: key.clone(), value: Some(self.event(after)?), headers };
        let value = after.map(|state| serde_json::to_vec(&Document::of(state)).expect("a struct with string keys"));
        let mut headers = self.state_headers(&key);
        headers.extend(value.is_some().then(|| content_type(JSON)));
        Some([event, Record { topic: Topic::State, key, value, headers }])
    }

    /// The attributes of the state. It is a CloudEvent of its own, of another source than the event that made it: source
    /// and id together must be of one event only.
    fn state_headers(&self, key: &str) -> Vec<(&'static str, String)> {
        let traceparent = self.metadata.traceparent.clone().map(|value| ("ce_traceparent", value));
        let attributes = [
            ("ce_specversion", "1.0".to_owned()),
            ("ce_id", self.recorded.id.to_string()),
            ("ce_source", [&self.source(), "#state"].concat()),
            ("ce_type", payload::STATE.to_owned()),
            ("ce_dataschema", payload::schema(payload::STATE)),
            ("ce_subject", self.fact.integration.to_string()),
            ("ce_time", self.recorded.at.to_string()),
            ("ce_sequence", self.sequence()),
            ("ce_partitionkey", key.to_owned()),
        ];
        attributes.into_iter().chain(traceparent).collect()
    }

    /// One for each integration: event ids are unique within their stream.
    fn source(&self) -> String {
        format!("urn:integrations:{}:{}", self.fact.tenant, self.fact.integration)
    }

    fn sequence(&self) -> String {
        format!("{:0SEQUENCE_DIGITS$}", self.fact.revision.get())
    }
}
