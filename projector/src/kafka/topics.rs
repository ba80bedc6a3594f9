//! The topics: created when they are not there, refused when they are there with other settings, never altered. They
//! stand or fall together: one that was made anew beside the others would lack what was published before.

use std::time::{Duration, Instant};

use rdkafka::{
    admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication},
    client::Client,
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
/// How many of the topics consumers read: the first ones, all but the checkpoint.
pub(super) const TOLD: usize = 2;
/// How long a delete is told to those who read the state from its beginning: 7 days.
const DELETE_RETENTION_MS: i64 = 7 * 24 * 3_600 * 1_000;
/// More than the largest record has.
const MESSAGE_BYTES: i64 = 1_048_588;
/// How long to wait until a topic that was made is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// What Kafka says of a topic that is not there.
const UNKNOWN: RDKafkaErrorCode = RDKafkaErrorCode::UnknownTopicOrPartition;

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
    /// In the order in which they are made: nothing is written before there is a checkpoint.
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

    fn check(&self, described: &ConfigResource, partitions: usize) -> Result<(), Error> {
        for setting in &self.settings {
            let actual = described.get(setting.name).and_then(|entry| entry.value.as_deref()).unwrap_or_default();
            if !setting.allows(actual) {
                return Err(self.refused(setting.name, actual, &setting.expected()));
            }
        }
        if i32::try_from(partitions) != Ok(self.partitions) {
            return Err(self.refused("partitions", &partitions.to_string(), &self.partitions.to_string()));
        }
        Ok(())
    }

    fn refused(&self, name: &'static str, actual: &str, expected: &str) -> Error {
        Error::Topic { topic: self.name.clone(), name, actual: actual.to_string(), expected: expected.to_string() }
    }

    /// Whether anything was ever written to it, what was never committed or is not kept any more too.
    fn is_written(&self, client: &Client<Context>, call_max: Duration) -> Result<bool, Error> {
        for partition in 0..self.partitions {
            let ends = client.fetch_watermarks(&self.name, partition, call_max);
            let (_, high) = ends.map_err(Error::kafka("read the end of a topic"))?;
            if high > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Makes sure that all topics are there as they must be. Some are made beside others only where those are empty: whoever
/// has died while he made them has written nothing.
pub(super) fn ensure(settings: &Settings, runtime: &Handle) -> Result<(), Error> {
    let admin: AdminClient<Context> =
        client::config(settings).create_with_context(Context).map_err(Error::kafka("connect"))?;
    let (topics, call_max) = (Topic::all(settings), call_max(settings));
    let find_missing = || runtime.block_on(find_missing(&admin, &topics, call_max));
    let missing = find_missing()?;
    if missing.is_empty() {
        return Ok(());
    }
    let is_missing = |topic: &&Topic| missing.contains(&topic.name);
    if is_any_written(topics.iter().filter(|topic| !is_missing(topic)), admin.inner(), call_max)? {
        // Another publisher may have made the rest meanwhile, and begun.
        let missing = find_missing()?;
        return if missing.is_empty() { Ok(()) } else { Err(Error::lost(&missing, "missing")) };
    }
    for topic in topics.iter().filter(is_missing) {
        runtime.block_on(create(&admin, topic, call_max))?;
    }
    // It may take a moment until a topic is known everywhere.
    let deadline = Instant::now() + call_max;
    while !find_missing()?.is_empty() {
        if Instant::now() > deadline {
            return Err(unreadable(UNKNOWN));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

fn is_any_written<'a>(
    topics: impl Iterator<Item = &'a Topic>,
    client: &Client<Context>,
    call_max: Duration,
) -> Result<bool, Error> {
    for topic in topics {
        if topic.is_written(client, call_max)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Those of the topics that consumers read to which nothing was ever written. To be asked for behind the fence, where
/// nobody writes.
pub(super) fn unwritten(settings: &Settings, client: &Client<Context>) -> Result<Vec<String>, Error> {
    let mut unwritten = Vec::new();
    for topic in Topic::all(settings).into_iter().take(TOLD) {
        if !topic.is_written(client, call_max(settings))? {
            unwritten.push(topic.name);
        }
    }
    Ok(unwritten)
}

/// The topics that are not there; refuses those with other settings. One broker is asked, once: so the ones that he sees are
/// the first that were made.
async fn find_missing(
    admin: &AdminClient<Context>,
    topics: &[Topic; 3],
    call_max: Duration,
) -> Result<Vec<String>, Error> {
    let options = AdminOptions::new().request_timeout(Some(call_max));
    let names = topics.each_ref().map(|topic| ResourceSpecifier::Topic(&topic.name));
    let described =
        admin.describe_configs(&names, &options).await.map_err(Error::kafka("read the settings of a topic"))?;
    let mut missing = Vec::new();
    for (topic, described) in topics.iter().zip(described) {
        if !is_there(admin, topic, &described.map_err(unreadable)?, call_max)? {
            missing.push(topic.name.clone());
        }
    }
    Ok(missing)
}

/// Whether it is there; refuses one with other settings.
fn is_there(
    admin: &AdminClient<Context>,
    topic: &Topic,
    described: &ConfigResource,
    call_max: Duration,
) -> Result<bool, Error> {
    let metadata = admin.inner().fetch_metadata(Some(&topic.name), call_max);
    let metadata = metadata.map_err(Error::kafka("read the settings of a topic"))?;
    let found = metadata.topics().first();
    let partitions = found.map_or(0, |found| found.partitions().len());
    let code = found.and_then(|found| found.error()).map_or(UNKNOWN, RDKafkaErrorCode::from);
    // Of a topic that may not be looked at the library makes the same as of one that is not there.
    match (described.entries.is_empty(), partitions) {
        (true, 0) if code == UNKNOWN => Ok(false),
        (true, _) | (false, 0) => Err(unreadable(code)),
        (false, _) => topic.check(described, partitions).map(|()| true),
    }
}

fn unreadable(code: RDKafkaErrorCode) -> Error {
    Error::kafka("read the settings of a topic")(KafkaError::AdminOp(code))
}

async fn create(admin: &AdminClient<Context>, topic: &Topic, call_max: Duration) -> Result<(), Error> {
    let options = AdminOptions::new().request_timeout(Some(call_max)).operation_timeout(Some(call_max));
    let what = Error::kafka("create a topic");
    // As many replicas as the cluster gives to whoever does not say.
    let mut new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(-1));
    for setting in &topic.settings {
        new = new.set(setting.name, &setting.value);
    }
    match admin.create_topics(&[new], &options).await {
        Ok(created) => match created.into_iter().next() {
            // Another publisher may have been the first.
            Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
            Some(Err((_, code))) => Err(what(KafkaError::AdminOp(code))),
            None => Err(what(KafkaError::Canceled)),
        },
        Err(error) => Err(what(error)),
    }
}
