//! What is written to Kafka in one transaction.

use super::settings::Settings;

/// Which topic a record goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    Events,
    State,
    Checkpoint,
}

/// A record.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) topic: Topic,
    pub(super) key: String,
    /// Null takes the key out of a compacted topic.
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Record {
    /// About how many bytes it takes.
    pub(super) fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.len() + self.value.as_ref().map_or(0, Vec::len) + headers
    }
}

/// The names of the topics.
#[derive(Debug)]
pub(super) struct TopicNames {
    events: String,
    state: String,
    checkpoint: String,
}

impl TopicNames {
    pub(super) fn of(settings: &Settings) -> Self {
        Self { events: settings.events_topic(), state: settings.state_topic(), checkpoint: settings.checkpoint_topic() }
    }

    pub(super) fn get(&self, topic: Topic) -> &str {
        match topic {
            Topic::Events => &self.events,
            Topic::State => &self.state,
            Topic::Checkpoint => &self.checkpoint,
        }
    }
}
