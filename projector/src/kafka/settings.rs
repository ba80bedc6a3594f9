//! How Kafka is reached, and what the topics are called.

use std::fmt;

use rdkafka::{error::KafkaError, types::RDKafkaConfRes};
use thiserror::Error;

use super::client;

/// What the names of topics begin with, unless told otherwise.
pub const TOPIC_PREFIX: &str = "integrations";
/// Properties that the promise of the publisher rests on, or that the settings give. With a rack, a replica that lags might
/// be asked for the checkpoint, and the end of what it has be taken for the end.
const RESERVED: [&str; 17] = [
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "bootstrap.servers",
    "client.rack",
    "enable.auto.commit",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "isolation.level",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "metadata.broker.list",
    "partitioner",
    "request.required.acks",
    "transactional.id",
];

/// Why the settings are refused. Never repeats a value: it may be a password.
#[derive(Debug, Error)]
pub enum Invalid {
    /// There is no broker to begin with.
    #[error("no broker is named: give HOST:PORT, separated by commas")]
    NoBroker,
    /// What topics' names may be made of.
    #[error("a topic prefix is 1 to 200 of A-Z, a-z, 0-9, '.', '_' and '-'")]
    Prefix,
    /// A line is no property.
    #[error("line {0} of the properties is not NAME=VALUE")]
    Line(usize),
    /// A property that the service sets itself.
    #[error("the property {0} is the service's own")]
    Reserved(String),
    /// A property that librdkafka does not have.
    #[error("librdkafka has no property {0}")]
    Unknown(String),
    /// A property's value is refused.
    #[error("librdkafka refuses the value of the property {0}")]
    Value(String),
    /// Each property is good, but not all together.
    #[error("librdkafka refuses the properties: {0}")]
    Together(String),
}

/// How Kafka is reached, and what the topics are called.
#[derive(Clone)]
pub struct Settings {
    bootstrap_servers: String,
    topic_prefix: String,
    properties: Vec<(String, String)>,
}

impl Settings {
    /// Takes brokers (`HOST:PORT`, separated by commas) and, for TLS and SASL, properties of librdkafka: a `NAME=VALUE`
    /// a line, `#` before a comment.
    ///
    /// # Errors
    /// See [`Invalid`].
    pub fn new(bootstrap_servers: &str, topic_prefix: &str, properties: &str) -> Result<Self, Invalid> {
        let is_host_and_port = |server: &str| {
            server.trim().rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        if !bootstrap_servers.split(',').all(is_host_and_port) {
            return Err(Invalid::NoBroker);
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if topic_prefix.is_empty() || topic_prefix.len() > 200 || !topic_prefix.bytes().all(is_name) {
            return Err(Invalid::Prefix);
        }
        let settings = Self {
            bootstrap_servers: bootstrap_servers.to_owned(),
            topic_prefix: topic_prefix.to_owned(),
            properties: parse(properties)?,
        };
        settings.check()?;
        Ok(settings)
    }

    /// Makes a producer that never sends anything, so that what is wrong is known before there is a broker.
    fn check(&self) -> Result<(), Invalid> {
        let Err(error) = client::producer(self) else { return Ok(()) };
        Err(if let KafkaError::ClientConfig(result, _, name, _) = error {
            match result {
                RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN => Invalid::Unknown(name),
                RDKafkaConfRes::RD_KAFKA_CONF_INVALID | RDKafkaConfRes::RD_KAFKA_CONF_OK => Invalid::Value(name),
            }
        } else {
            Invalid::Together(error.to_string())
        })
    }

    /// The brokers to begin with.
    #[must_use]
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// What the names of the topics begin with.
    #[must_use]
    pub fn topic_prefix(&self) -> &str {
        &self.topic_prefix
    }

    /// The topic of the events.
    #[must_use]
    pub fn events_topic(&self) -> String {
        format!("{}.events", self.topic_prefix)
    }

    /// The compacted topic of each integration's public state.
    #[must_use]
    pub fn state_topic(&self) -> String {
        format!("{}.state", self.topic_prefix)
    }

    /// The compacted topic of the publisher's own position.
    #[must_use]
    pub fn checkpoint_topic(&self) -> String {
        format!("{}.checkpoint", self.topic_prefix)
    }

    /// Whoever holds it publishes; the last one to take it fences all others.
    #[must_use]
    pub fn transactional_id(&self) -> String {
        format!("{}.publisher", self.topic_prefix)
    }

    pub(super) fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn properties(&self) -> &[(String, String)] {
        &self.properties
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("topic_prefix", &self.topic_prefix)
            .field("properties", &self.properties.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .finish()
    }
}

fn parse(text: &str) -> Result<Vec<(String, String)>, Invalid> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(at, line)| {
            let (name, value) = line.split_once('=').ok_or(Invalid::Line(at))?;
            let (name, value) = (name.trim(), value.trim());
            if RESERVED.contains(&name) {
                return Err(Invalid::Reserved(name.to_owned()));
            }
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(properties: &str) -> String {
        Settings::new("127.0.0.1:9092", TOPIC_PREFIX, properties).expect_err(properties).to_string()
    }

    #[test]
    fn properties_are_lines_with_comments_between() {
        let text =
            "# TLS\nsecurity.protocol = SASL_SSL\n\nsasl.mechanisms=SCRAM-SHA-512\nsasl.username=u\nsasl.password=a=b";
        let settings = Settings::new("a:1,b:2", "x", text).expect("valid");
        assert_eq!(settings.properties()[3], ("sasl.password".to_owned(), "a=b".to_owned()));
        assert!(!format!("{settings:?}").contains("a=b"));
    }

    #[test]
    fn what_is_refused_is_named_without_its_value() {
        assert_eq!(refused("sasl.password"), "line 1 of the properties is not NAME=VALUE");
        assert_eq!(refused("acks=1"), "the property acks is the service's own");
        assert_eq!(refused("no.such=hunter2"), "librdkafka has no property no.such");
        assert_eq!(
            refused("security.protocol=hunter2"),
            "librdkafka refuses the value of the property security.protocol"
        );
        assert!(
            refused("security.protocol=ssl\nssl.ca.location=/nonexistent")
                .starts_with("librdkafka refuses the properties")
        );
    }

    #[test]
    fn what_the_promise_rests_on_is_not_for_the_properties_to_say() {
        for name in RESERVED {
            assert_eq!(refused(&format!("{name}=x")), format!("the property {name} is the service's own"));
        }
        // With a rack the checkpoint might be read from a replica that lags.
        assert_eq!(refused("client.rack=eu-central-1a"), "the property client.rack is the service's own");
    }

    #[test]
    fn brokers_have_a_host_and_a_port() {
        for servers in ["", "localhost", ":9092", "localhost:", "localhost:kafka", "a:1,"] {
            assert!(matches!(Settings::new(servers, TOPIC_PREFIX, ""), Err(Invalid::NoBroker)), "{servers}");
        }
        for prefix in ["", "a b", "ä"] {
            assert!(matches!(Settings::new("a:1", prefix, ""), Err(Invalid::Prefix)), "{prefix}");
        }
    }
}
