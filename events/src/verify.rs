//! Whether a log is what was appended: what can be found, how it is told, and the check of any log through the port.
//!
//! A log in a file is looked at more closely by [`crate::store::sqlite::verify`], which finds and tells the same.

use std::{collections::HashSet, fmt, sync::Arc};

use self::judge::Judge;
use crate::{
    envelope::{Digest, RecordedEvent},
    event::IconSet,
    ids::{Position, Revision},
    store::{
        Direction, Error, EventStore,
        walk::{Read, Walk, look_at},
    },
    stream::{Kind, StreamName},
};

mod judge;

/// How many findings are listed; the rest is counted.
pub const FINDINGS_MAX: usize = 1_000;

/// Something that is not as it was appended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Finding {
    /// Something about this event is not what its hash was made of, or it cannot be read at all.
    Altered {
        /// Its stream.
        stream: String,
        /// Its revision.
        revision: i64,
    },
    /// Events of these revisions should be there, the last one included.
    Missing {
        /// Their stream.
        stream: String,
        /// The first.
        from: i64,
        /// The last.
        to: i64,
    },
    /// This event has a lower position than the one before it in its stream, or one that is never given.
    OutOfOrder {
        /// Its stream.
        stream: String,
        /// Its revision.
        revision: i64,
    },
    /// This event should have gone, with the next one of a stream that keeps its last only, or with a tombstone.
    Surplus {
        /// Its stream.
        stream: String,
        /// Its revision.
        revision: i64,
    },
    /// SQLite finds the file itself damaged.
    File(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered { stream, revision } => write!(f, "{} revision {revision}: altered", shown(stream)),
            Self::Missing { stream, from, to } if from == to => write!(f, "{} revision {from}: missing", shown(stream)),
            Self::Missing { stream, from, to } => write!(f, "{} revisions {from} to {to}: missing", shown(stream)),
            Self::OutOfOrder { stream, revision } => write!(f, "{} revision {revision}: out of order", shown(stream)),
            Self::Surplus { stream, revision } => write!(f, "{} revision {revision}: should be gone", shown(stream)),
            Self::File(what) => write!(f, "file: {}", shown(what)),
        }
    }
}

/// A name that somebody wrote by hand may hold anything, and goes to a terminal.
fn shown(name: &str) -> String {
    name.chars().map(|char| if char.is_control() { char.escape_debug().to_string() } else { char.into() }).collect()
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Streams with events.
    pub streams: u64,
    /// Events; tombstones are none.
    pub events: u64,
    /// The highest position that was ever given.
    pub head: Position,
    /// What is wrong, in the order of positions; at most [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// How many findings there are beside those.
    pub more: u64,
}

impl Report {
    /// Of what several have seen, each behind the one before, and of what is wrong with the file.
    pub(crate) fn of(head: Position, seen: Vec<Seen>, file: Vec<Finding>) -> Self {
        let mut report = Self { streams: 0, events: 0, head, findings: Vec::new(), more: 0 };
        let mut told = HashSet::new();
        let mut found = file;
        for seen in seen {
            report.streams += seen.streams;
            report.events += seen.events;
            report.more += seen.more;
            found.extend(seen.findings);
        }
        for finding in found {
            if report.findings.len() >= FINDINGS_MAX {
                report.more += 1;
            } else if told.insert(finding.clone()) {
                report.findings.push(finding);
            }
        }
        report
    }

    /// Whether everything is as it was appended.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }
}

/// How far it has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Events that were looked at, as far as they were counted.
    pub events: u64,
    /// Positions that were passed.
    pub passed: u64,
    /// Positions to pass.
    pub all: u64,
}

/// What was seen of a log, or of a part of it.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) streams: u64,
    pub(crate) events: u64,
    pub(crate) findings: Vec<Finding>,
    pub(crate) more: u64,
}

impl Seen {
    pub(crate) fn find(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }
}

/// The stream of the icon that an event of an integration names, and what its bytes must hash to.
pub(crate) fn named_icon(stream: &str, event_type: &[u8], data: &[u8]) -> Option<(String, Digest)> {
    let rest = stream.strip_prefix(Kind::Integration.prefix()).filter(|_| event_type == b"IconSet.v1")?;
    let set: IconSet = serde_json::from_slice(data).ok()?;
    Some((format!("{}{rest}:{}", Kind::Icon.prefix(), set.blob), set.sha256))
}

/// Walks a log through the port, up to its head as it is known now. Whatever the store hides from its readers, since it
/// was removed or replaced, is not looked at, unless it hides what is never removed.
///
/// In memory stay some 100 bytes for each stream that is never removed, and for each icon that no integration names.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Corrupt`]. Damage is no error, but a finding.
pub async fn verify(store: &Arc<dyn EventStore>, mut tell: impl FnMut(Progress)) -> Result<Report, Error> {
    let (mut walk, mut judge) = (Walk::new(&**store, &Kind::ALL), Judge::default());
    let mut hidden = Vec::new();
    while let Some(page) = walk.next().await? {
        for read in &page {
            match read {
                Ok(event) => judge.event(event),
                Err(damaged) => judge.damaged(damaged),
            }
        }
        hidden.extend(hidden_of(store, &page).await?);
        tell(Progress { events: judge.events(), passed: walk.passed().get(), all: walk.head().get() });
    }
    for (stream, first) in &hidden {
        judge.hidden(stream, *first);
    }
    Ok(Report::of(walk.head(), vec![judge.into_seen()], Vec::new()))
}

/// The streams that begin in a page and show nothing of it to who reads them, though they are never removed: somebody
/// has removed one, or cut it short, and the log as a whole does not tell. With the first event that each shows, if any.
async fn hidden_of(store: &Arc<dyn EventStore>, page: &[Read]) -> Result<Vec<(StreamName, Option<Revision>)>, Error> {
    let begins = |event: &&RecordedEvent| event.revision == Revision::FIRST && !event.stream.kind().is_removable();
    let events = page.iter().filter_map(|read| read.as_ref().ok());
    let streams: Vec<_> = events.filter(begins).map(|event| event.stream.clone()).collect();
    let mut hidden = Vec::new();
    for (stream, look) in look_at(store, &streams, Direction::ForwardsFrom(Revision::FIRST)).await? {
        match look {
            Ok(Some(first)) if first.revision == Revision::FIRST => {}
            Ok(first) => hidden.push((stream, first.map(|event| event.revision))),
            Err(Error::Tombstoned { .. }) => hidden.push((stream, None)),
            // The walk finds it too.
            Err(Error::Damaged(_)) => {}
            Err(error) => return Err(error),
        }
    }
    hidden.sort();
    Ok(hidden)
}
