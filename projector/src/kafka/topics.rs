//! The topics: created when they are not there, refused when they are there with other settings, never altered.

use std::time::Duration;

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::runtime::Handle;

use super::{
    Error,
    client::{self, Context, call_max},
    settings::Settings,
};

/// Partitions of the topics that are keyed by integration. Never to be changed in place: an integration's events would
/// go on in another partition.
const PARTITIONS: i32 = 12;
/// How long a delete is told to those who read the state from its beginning: 7 days.
const DELETE_RETENTION_MS: i64 = 7 * 24 * 3_600 * 1_000;
/// More than the largest record has.
const MESSAGE_BYTES: i64 = 1_048_588;

/// A setting of a topic: what a new one gets, and what an existing one must have.
struct Setting {
    name: &'static str,
    value: String,
    rule: Rule,
}

enum Rule {
    Exactly,
    /// At least this much; -1 is without end.
    AtLeast(i64),
}

impl Setting {
    fn exactly(name: &'static str, value: &str) -> Self {
        Self { name, value: value.to_owned(), rule: Rule::Exactly }
    }

    fn at_least(name: &'static str, value: i64) -> Self {
        Self { name, value: value.to_string(), rule: Rule::AtLeast(value) }
    }

    fn allows(&self, actual: &str) -> bool {
        match self.rule {
            Rule::Exactly => actual == self.value,
            Rule::AtLeast(least) => actual.parse::<i64>().is_ok_and(|actual| actual == -1 || actual >= least),
        }
    }

    fn expected(&self) -> String {
        match self.rule {
            Rule::Exactly => self.value.clone(),
            Rule::AtLeast(least) => format!("at least {least}"),
        }
    }
}

struct Topic {
    name: String,
    partitions: i32,
    settings: Vec<Setting>,
}

impl Topic {
    fn all(settings: &Settings) -> [Self; 3] {
        let size = || Setting::at_least("max.message.bytes", MESSAGE_BYTES);
        let compacted = || Setting::exactly("cleanup.policy", "compact");
        let kept = Setting { value: "-1".to_owned(), ..Setting::at_least("retention.ms", DELETE_RETENTION_MS) };
        [
            Self {
                name: settings.events_topic(),
                partitions: PARTITIONS,
                settings: vec![
                    Setting::exactly("cleanup.policy", "delete"),
                    kept,
                    Setting::exactly("retention.bytes", "-1"),
                    size(),
                ],
            },
            Self {
                name: settings.state_topic(),
                partitions: PARTITIONS,
                settings: vec![compacted(), Setting::at_least("delete.retention.ms", DELETE_RETENTION_MS), size()],
            },
            Self { name: settings.checkpoint_topic(), partitions: 1, settings: vec![compacted()] },
        ]
    }

    fn refused(&self, name: &'static str, actual: &str, expected: &str) -> Error {
        Error::Topic { topic: self.name.clone(), name, actual: actual.to_string(), expected: expected.to_string() }
    }
}

/// Makes sure that all topics are there as they must be.
pub(super) fn ensure(settings: &Settings, runtime: &Handle) -> Result<(), Error> {
    let admin: AdminClient<Context> =
        client::config(settings).create_with_context(Context).map_err(Error::kafka("connect"))?;
    let call_max = call_max(settings);
    let options = AdminOptions::new().request_timeout(Some(call_max)).operation_timeout(Some(call_max));
    for topic in Topic::all(settings) {
        if !runtime.block_on(check(&admin, &topic, call_max))? {
            runtime.block_on(create(&admin, &topic, &options))?;
            // Another publisher may have been the first; and it may take a moment until the topic is known everywhere.
            if !runtime.block_on(check(&admin, &topic, call_max))? {
                let error = KafkaError::AdminOp(RDKafkaErrorCode::UnknownTopicOrPartition);
                return Err(Error::kafka("read the settings of a topic")(error));
            }
        }
    }
    Ok(())
}

/// Whether the topic is there; refuses one with other settings.
async fn check(admin: &AdminClient<Context>, topic: &Topic, call_max: Duration) -> Result<bool, Error> {
    let what = Error::kafka("read the settings of a topic");
    let options = AdminOptions::new().request_timeout(Some(call_max));
    let described = match admin.describe_configs(&[ResourceSpecifier::Topic(&topic.name)], &options).await {
        Ok(described) => described,
        Err(error) => return Err(what(error)),
    };
    let described = described
        .into_iter()
        .next()
        .ok_or(KafkaError::Canceled)
        .and_then(|described| described.map_err(KafkaError::AdminOp));
    let described = match described {
        Ok(described) => described,
        Err(error) => return Err(what(error)),
    };
    // What the library makes of an answer that there is no such topic, or that it may not be looked at.
    if described.entries.is_empty() {
        return Ok(false);
    }
    for setting in &topic.settings {
        let actual = described.get(setting.name).and_then(|entry| entry.value.as_deref()).unwrap_or_default();
        if !setting.allows(actual) {
            return Err(topic.refused(setting.name, actual, &setting.expected()));
        }
    }
    let metadata = admin.inner().fetch_metadata(Some(&topic.name), call_max).map_err(what)?;
    let partitions = metadata.topics().first().map_or(0, |found| found.partitions().len());
    if i32::try_from(partitions) != Ok(topic.partitions) {
        return Err(topic.refused("partitions", &partitions.to_string(), &topic.partitions.to_string()));
    }
    Ok(true)
}

async fn create(admin: &AdminClient<Context>, topic: &Topic, options: &AdminOptions) -> Result<(), Error> {
    let what = Error::kafka("create a topic");
    // As many replicas as the cluster gives to whoever does not say.
    let mut new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(-1));
    for setting in &topic.settings {
        new = new.set(setting.name, &setting.value);
    }
    match admin.create_topics(&[new], options).await {
        Ok(created) => match created.into_iter().next() {
            Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
            Some(Err((_, code))) => Err(what(KafkaError::AdminOp(code))),
            None => Err(what(KafkaError::Canceled)),
        },
        Err(error) => Err(what(error)),
    }
}
