//! The publisher's position, on Kafka: written in the transaction of the records that it stands behind, read back after
//! every fencing. A compacted topic with one record for the position and one for each stream that is held back.

use std::{collections::BTreeMap, time::Instant};

use events::{
    ids::{Position, Revision},
    stream::StreamName,
};
use rdkafka::{
    Message as _, Offset, TopicPartitionList, consumer::Consumer as _, error::KafkaError, types::RDKafkaErrorCode,
};
use serde::{Deserialize, Serialize};

use super::{
    Error,
    client::{self, call_max},
    record::{Record, Topic},
    settings::Settings,
};
use crate::place::LastRead;

/// What the publisher has reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reached {
    /// Everything up to here is published, but for what is held back.
    pub(super) position: Position,
    /// The last event up to here, by which the log is known again; none before the first.
    pub(super) event: Option<LastRead>,
}

/// What is known at the beginning of a session.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Checkpoints {
    /// None before the very first session: whatever is written stands behind one.
    pub(super) reached: Option<Reached>,
    /// The first revision of each stream that is held back.
    pub(super) held: BTreeMap<StreamName, Revision>,
    /// The topics to which nothing was ever written.
    pub(super) unwritten: Vec<String>,
}

/// The keys of the checkpoint's records.
#[derive(Debug, Clone)]
pub(super) struct Keys(String);

impl Keys {
    pub(super) fn of(settings: &Settings) -> Self {
        Self(settings.transactional_id())
    }

    fn held(&self, stream: &str) -> String {
        format!("{}/held/{stream}", self.0)
    }

    /// The record of the position.
    pub(super) fn reached(&self, reached: &Reached) -> Record {
        let value = serde_json::to_vec(reached).expect("a checkpoint is a struct with string keys");
        Record { topic: Topic::Checkpoint, key: self.0.clone(), value: Some(value), headers: Vec::new() }
    }

    /// The record of a stream that is held back from a revision on; of one that is not any more, without.
    pub(super) fn held_back(&self, stream: &StreamName, revision: Option<Revision>) -> Record {
        let value = revision.map(|revision| revision.get().to_string().into_bytes());
        Record { topic: Topic::Checkpoint, key: self.held(stream.as_str()), value, headers: Vec::new() }
    }

    /// Takes a record into account; those of other publishers are nothing to this one.
    fn take(
        &self,
        into: &mut Checkpoints,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let key = str::from_utf8(key)?;
        if key == self.0 {
            into.reached = value.map(serde_json::from_slice).transpose()?;
        } else if let Some(stream) = key.strip_prefix(&self.held("")) {
            let stream = StreamName::parse(stream)?;
            match value {
                Some(revision) => into.held.insert(stream, serde_json::from_slice(revision)?),
                None => into.held.remove(&stream),
            };
        }
        Ok(())
    }
}

/// Reads it, as readers of committed records see it.
pub(super) fn read(settings: &Settings) -> Result<Checkpoints, Error> {
    const WHAT: &str = "read the checkpoint";
    let (topic, keys) = (settings.checkpoint_topic(), Keys::of(settings));
    let consumer = client::consumer(settings).map_err(Error::kafka(WHAT))?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(&topic, 0, Offset::Beginning).map_err(Error::kafka(WHAT))?;
    consumer.assign(&partitions).map_err(Error::kafka(WHAT))?;
    let mut checkpoints = Checkpoints::default();
    let call_max = call_max(settings);
    let mut deadline = Instant::now() + call_max;
    loop {
        match consumer.poll(deadline.saturating_duration_since(Instant::now())) {
            Some(Ok(record)) => {
                let taken = keys.take(&mut checkpoints, record.key().unwrap_or_default(), record.payload());
                taken.map_err(|source| Error::Checkpoint { topic: topic.clone(), source })?;
                deadline = Instant::now() + call_max;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(checkpoints),
            // A connection that broke is made anew by the client itself.
            Some(Err(_)) if Instant::now() < deadline => {}
            Some(Err(error)) => return Err(Error::kafka(WHAT)(error)),
            None => {
                return Err(Error::kafka(WHAT)(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_others_are_left_alone() {
        let settings = Settings::new("127.0.0.1:1", "a", "").expect("valid");
        let keys = Keys::of(&settings);
        let stream = StreamName::parse("integration-acme:0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b").expect("a name");
        let other = StreamName::parse("integration-other:0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b").expect("a name");
        let reached = Reached { position: Position::new(7), event: None };
        let foreign = Keys("a.publisher2".to_owned());
        let records = [
            keys.held_back(&stream, Some(Revision::new(3))),
            keys.held_back(&other, Some(Revision::new(0))),
            keys.reached(&Reached::default()),
            keys.reached(&reached),
            keys.held_back(&other, None),
            foreign.reached(&Reached { position: Position::new(9), event: None }),
            foreign.held_back(&other, Some(Revision::new(1))),
        ];
        let mut read = Checkpoints::default();
        for record in &records {
            keys.take(&mut read, record.key.as_bytes(), record.value.as_deref()).expect("a checkpoint");
        }
        let held = BTreeMap::from([(stream, Revision::new(3))]);
        assert_eq!(read, Checkpoints { reached: Some(reached), held, ..Checkpoints::default() });
        assert!(keys.take(&mut read, b"a.publisher", Some(b"{}")).is_err());
    }
}
