//! Reads that end: of a stream and of the whole log, in both directions.

use std::sync::Arc;

use regex::Regex;
use tonic::Status;

use crate::{
    log::{Event, Found, Log},
    service::{Answers, at, identifier, stream_name, text},
    state::{State, count, stream_deleted},
    wire::event_store::client::streams::{
        ReadResp,
        read_req::{
            Options,
            options::{
                AllOptions, FilterOption, FilterOptions, ReadDirection, StreamOption, StreamOptions, all_options,
                filter_options, stream_options::RevisionOption,
            },
        },
        read_resp::{Content, ReadEvent, StreamNotFound, read_event},
    },
};

pub(crate) fn read(state: &Arc<State>, options: &Options, n: u64) -> Result<Answers<ReadResp>, Status> {
    count(&state.counters.reads);
    let n = usize::try_from(n).unwrap_or(usize::MAX);
    let is_backwards = options.read_direction() == ReadDirection::Backwards;
    let (events, end) = match &options.stream_option {
        Some(StreamOption::Stream(stream)) => {
            let name = stream_name(stream.stream_identifier.clone())?;
            let is_told = options.control_option.is_some_and(|option| option.compatibility >= 1);
            // One look at the log: a tombstone must not come between.
            let log = state.log();
            match log.find(&name) {
                Found::Deleted => return Err(stream_deleted(&name)),
                Found::NotFound => {
                    let missing = StreamNotFound { stream_identifier: Some(identifier(&name)) };
                    return Ok(Box::pin(tokio_stream::once(Ok(answer(Content::StreamNotFound(missing))))));
                }
                Found::Revisions(..) => {}
            }
            let (events, last) = of_stream(&log, &name, stream, is_backwards, n);
            (events, is_told.then_some(Content::LastStreamPosition(last)))
        }
        Some(StreamOption::All(all)) => {
            let filter = Filter::of(options.filter_option.as_ref())?;
            (of_all(&state.log(), all, &filter, is_backwards, n)?, None)
        }
        None => return Err(Status::invalid_argument("neither a stream nor the whole log")),
    };
    let events = events.into_iter().map(|event| Content::Event(wire_event(&event)));
    Ok(Box::pin(tokio_stream::iter(events.chain(end).map(|content| Ok(answer(content))))))
}

pub(crate) fn answer(content: Content) -> ReadResp {
    ReadResp { content: Some(content) }
}

pub(crate) fn wire_event(event: &Event) -> ReadEvent {
    let proposed = &event.proposed;
    let recorded = read_event::RecordedEvent {
        id: Some(text(proposed.id)),
        stream_identifier: Some(identifier(&event.stream)),
        stream_revision: event.revision,
        prepare_position: event.position,
        commit_position: event.position,
        metadata: proposed.metadata.clone(),
        custom_metadata: proposed.custom_metadata.clone(),
        data: proposed.data.clone(),
    };
    let position = Some(read_event::Position::CommitPosition(at(event.position).commit_position));
    ReadEvent { event: Some(recorded), link: None, position }
}

/// The events of a stream, and its last revision.
fn of_stream(log: &Log, name: &str, options: &StreamOptions, is_backwards: bool, n: usize) -> (Vec<Arc<Event>>, u64) {
    let Found::Revisions(first, last) = log.find(name) else { return (Vec::new(), 0) };
    let event = |revision| log.event_of(name, revision).map(Arc::clone);
    let events = match (&options.revision_option, is_backwards) {
        (Some(RevisionOption::Revision(from)), false) => (first.max(*from)..=last).take(n).filter_map(event).collect(),
        (Some(RevisionOption::Revision(from)), true) => {
            (first..=last.min(*from)).rev().take(n).filter_map(event).collect()
        }
        (Some(RevisionOption::Start(_)) | None, false) => (first..=last).take(n).filter_map(event).collect(),
        (Some(RevisionOption::End(_)) | None, true) => (first..=last).rev().take(n).filter_map(event).collect(),
        (Some(RevisionOption::End(_)), false) => Vec::new(),
        (Some(RevisionOption::Start(_)), true) => event(first).into_iter().collect(),
    };
    (events, last)
}

fn of_all(
    log: &Log,
    options: &AllOptions,
    filter: &Filter,
    is_backwards: bool,
    n: usize,
) -> Result<Vec<Arc<Event>>, Status> {
    // Forwards, what stands at the position is the first; backwards, what stands before it.
    let from = match &options.all_option {
        Some(all_options::AllOption::Position(position)) => {
            place(log, position.commit_position, position.prepare_position, Side::AtOrBehind)?
        }
        Some(all_options::AllOption::Start(_)) | None => 0,
        Some(all_options::AllOption::End(_)) => log.len(),
    };
    let event = |at: usize| log.event(at).filter(|event| filter.takes(event)).map(Arc::clone);
    Ok(if is_backwards {
        (0..from).rev().filter_map(event).take(n).collect()
    } else {
        (from..log.len()).filter_map(event).take(n).collect()
    })
}

/// Whether what stands at a position counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side {
    AtOrBehind,
    Behind,
}

/// The place of the first event at or behind a position; it must be that of a record, or the log's end.
pub(crate) fn place(log: &Log, commit: u64, prepare: u64, side: Side) -> Result<usize, Status> {
    let invalid = || Status::invalid_argument(format!("C:{commit}/P:{prepare} is not the position of a record"));
    let begins = if commit == 0 { 0 } else { log.index_of(commit).ok_or_else(invalid)? };
    let counts = |event: &Arc<Event>| match side {
        Side::AtOrBehind => (event.position, event.position) >= (commit, prepare),
        Side::Behind => (event.position, event.position) > (commit, prepare),
    };
    Ok(if log.event(begins).is_none_or(counts) { begins } else { begins + 1 })
}

/// Which events of the whole log are wanted.
pub(crate) struct Filter {
    options: Option<(Of, Regex, Vec<String>)>,
    /// After how many events a checkpoint is told.
    pub(crate) checkpoint_interval: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
enum Of {
    Stream,
    Type,
}

impl Filter {
    pub(crate) fn of(option: Option<&FilterOption>) -> Result<Self, Status> {
        let Some(FilterOption::Filter(FilterOptions { filter, window, checkpoint_interval_multiplier })) = option
        else {
            return Ok(Self { options: None, checkpoint_interval: None });
        };
        let (of, expression) = match filter {
            Some(filter_options::Filter::StreamIdentifier(expression)) => (Of::Stream, expression),
            Some(filter_options::Filter::EventType(expression)) => (Of::Type, expression),
            None => return Err(Status::invalid_argument("a filter of nothing")),
        };
        let window = match window {
            Some(filter_options::Window::Max(max)) => *max,
            Some(filter_options::Window::Count(_)) | None => 32,
        };
        if window == 0 || *checkpoint_interval_multiplier == 0 {
            return Err(Status::invalid_argument("window and multiplier must be greater than 0"));
        }
        let regex = Regex::new(&expression.regex).map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(Self {
            options: Some((of, regex, expression.prefix.clone())),
            checkpoint_interval: Some(window.saturating_mul(*checkpoint_interval_multiplier)),
        })
    }

    pub(crate) fn takes(&self, event: &Event) -> bool {
        let Some((of, regex, prefixes)) = &self.options else { return true };
        let text = match of {
            Of::Stream => &*event.stream,
            Of::Type => event.event_type(),
        };
        if prefixes.is_empty() { regex.is_match(text) } else { prefixes.iter().any(|prefix| text.starts_with(prefix)) }
    }
}
