//! `integrations history`: what happened to an integration, for people or as the contract's history entries.

use std::{collections::BTreeSet, fmt::Write as _, io::Write as _, path::Path};

use anyhow::{Context as _, anyhow};
use events::{
    envelope::RecordedEvent,
    history::{Change, Entry, entry},
    ids::{IntegrationId, IntegrationRef, Revision},
    store::{Direction, sqlite::file::LogFile, walk::Walk},
    stored::slug_reserved,
    stream::{Kind, StreamName},
};
use serde_json::value::RawValue;

use crate::{Failure, cli, log::OnServer, progress::Progress};

/// Prints the history of an integration, oldest first.
pub(crate) fn run(options: &cli::History, data_dir: &Path) -> Result<(), Failure> {
    let log = open(options, data_dir)?;
    let streams = streams(&*log, options)?;
    let mut histories = Vec::new();
    for stream in streams {
        let events = read(&*log, &stream)?;
        if !events.is_empty() {
            histories.push((stream, events));
        }
    }
    if histories.is_empty() {
        return Err(Failure::Service(anyhow!("there is no such integration in the log, and there was none")));
    }
    let printed = if options.json { as_json(&histories)? } else { as_text(&histories) };
    std::io::stdout().write_all(printed.as_bytes()).context("cannot print").map_err(Failure::Service)
}

/// What a history is read from.
trait Source {
    /// Every event of a stream, from its first on.
    fn read_stream(&self, stream: &StreamName) -> Result<Vec<RecordedEvent>, Failure>;

    /// The streams of the integrations of this id: one in each tenant that has or had one, in the order of their names.
    fn integrations(&self, id: IntegrationId) -> Result<Vec<StreamName>, Failure>;
}

impl Source for LogFile {
    fn read_stream(&self, stream: &StreamName) -> Result<Vec<RecordedEvent>, Failure> {
        self.read_stream(stream).map_err(failed)
    }

    fn integrations(&self, id: IntegrationId) -> Result<Vec<StreamName>, Failure> {
        self.integrations(id).map_err(failed)
    }
}

impl Source for OnServer {
    fn read_stream(&self, stream: &StreamName) -> Result<Vec<RecordedEvent>, Failure> {
        self.wait(self.store().read_stream(stream, Direction::ForwardsFrom(Revision::FIRST), usize::MAX))
    }

    /// A server finds no stream by a part of its name: the whole log is looked through.
    fn integrations(&self, id: IntegrationId) -> Result<Vec<StreamName>, Failure> {
        let (progress, mut seen, mut found) = (Progress::new("looking for the tenant"), 0, BTreeSet::new());
        let mut walk = Walk::new(&**self.store(), &[Kind::Integration]);
        while let Some(page) = self.wait(walk.next())? {
            seen += page.len() as u64;
            let streams = page.into_iter().map(|read| read.map_or_else(|damaged| damaged.stream, |event| event.stream));
            found.extend(streams.filter(|stream| stream.integration_of().is_some_and(|(_, of)| of == id)));
            progress.tell_on_a_terminal(seen, walk.passed().get(), walk.head().get());
        }
        progress.clear();
        Ok(found.into_iter().collect())
    }
}

fn open(options: &cli::History, data_dir: &Path) -> Result<Box<dyn Source>, Failure> {
    if let Some(log) = OnServer::open(&options.log)? {
        return Ok(Box::new(log));
    }
    Ok(Box::new(LogFile::open(data_dir).map_err(|error| Failure::Configuration(error.into()))?))
}

fn streams(log: &dyn Source, options: &cli::History) -> Result<Vec<StreamName>, Failure> {
    match (&options.id, &options.tenant) {
        (IntegrationRef::Id(id), Some(tenant)) => Ok(vec![StreamName::integration(tenant, *id)]),
        (IntegrationRef::Id(id), None) => log.integrations(*id),
        (IntegrationRef::Slug(slug), Some(tenant)) => {
            let reservations = log.read_stream(&StreamName::slug(tenant, slug))?;
            let holder = reservations.last().map(slug_reserved).transpose().map_err(failed)?;
            Ok(holder.into_iter().map(|holder| StreamName::integration(tenant, holder.integration)).collect())
        }
        (IntegrationRef::Slug(_), None) => {
            Err(Failure::Configuration(anyhow!("a slug is unique within a tenant only: say which with --tenant")))
        }
    }
}

fn read(log: &dyn Source, stream: &StreamName) -> Result<Vec<Entry>, Failure> {
    let events = log.read_stream(stream)?;
    events.iter().map(|event| entry(event).map_err(failed)).collect()
}

fn failed(error: impl Into<anyhow::Error>) -> Failure {
    Failure::Service(error.into())
}

/// The entries in one array, which is of one integration: an entry does not tell its tenant.
fn as_json(histories: &[(StreamName, Vec<Entry>)]) -> Result<String, Failure> {
    let [(_, entries)] = histories else {
        let why = anyhow!("several tenants have or had an integration of this id: say which with --tenant");
        return Err(Failure::Configuration(why));
    };
    serde_json::to_string(entries).map(|text| text + "\n").map_err(failed)
}

fn as_text(histories: &[(StreamName, Vec<Entry>)]) -> String {
    let mut text = String::new();
    for (stream, entries) in histories {
        if let Some((tenant, id)) = stream.integration_of() {
            text.push_str(&format!("integration {id} of tenant {tenant}\n"));
        }
        entries.iter().for_each(|entry| push_entry(&mut text, entry));
    }
    text
}

fn push_entry(text: &mut String, entry: &Entry) {
    let actor = entry.actor.as_ref().map_or_else(|| "the service".to_owned(), |actor| shown(actor.as_str()));
    let event_type = shown(&entry.event_type);
    // Writing to a string does not fail.
    let _ = writeln!(text, "{:>5}  {}  {event_type}  by {actor}", entry.revision.get(), entry.at);
    if let Some(reason) = &entry.reason {
        let _ = writeln!(text, "       reason: {}", shown(reason));
    }
    for change in &entry.changes {
        let _ = writeln!(text, "       {}: {}", shown(&change.path), what(change));
    }
}

fn what(change: &Change) -> String {
    let value = |value: &Option<Box<RawValue>>| value.as_ref().map(|value| shown(value.get()));
    match (value(&change.from), value(&change.to)) {
        _ if change.is_secret => "changed".to_owned(),
        (Some(from), Some(to)) => format!("{from} -> {to}"),
        (Some(from), None) => format!("{from} -> gone"),
        (None, Some(to)) => to,
        (None, None) => "changed".to_owned(),
    }
}

/// Text that goes to a terminal: no control character of a value may act there.
fn shown(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { char.escape_debug().to_string() } else { char.into() }).collect()
}
