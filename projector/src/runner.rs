//! The runner: feeds views from the log, batch by batch, each with its checkpoint. A stream with an event that this
//! release cannot read is parked: its documents stay as they were, and everything else goes on.

use std::{num::NonZeroU32, sync::Arc};

use events::{
    envelope::RecordedEvent,
    ids::Position,
    store::{Error as EventStoreError, EventStore, Message, Subscription, read_until_damage},
    stored,
    stream::{Kind, StreamName},
    trace::{self, Collector, Outcome, SPANS_OF_A_BATCH_MAX, TraceParent, Work},
};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    place::{LastRead, is_passed, since},
    store::{self, Parked, ParkedStreams, WriteViews},
    view::View,
};

mod bounded;
mod feed;
mod paced;
mod reading;
#[cfg(test)]
mod said;

use bounded::Bounded;
pub use feed::{Feed, Feeding, fold, touched};
use paced::Paced;
pub use reading::Read;
use reading::Reading;

/// Why a view cannot go on.
#[derive(Debug, Error)]
pub enum Error {
    /// The event store failed.
    #[error("cannot follow the log")]
    Events(#[from] EventStoreError),
    /// It is not the log that the view was made of.
    #[error(
        "the log is not the one that the view {view} was made of: it has another event, or none, as revision {} of {}, or has \
         it elsewhere. Give the views an empty database to be made anew",
        .last.revision, .last.stream
    )]
    AnotherLog {
        /// The view.
        view: &'static str,
        /// The last event that it was made of.
        last: LastRead,
    },
    /// The view store refused.
    #[error("cannot write the view")]
    Views(#[from] store::Error),
}

/// How far a runner has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Everything up to here.
    pub position: Position,
    /// So many events since it began.
    pub events: u64,
}

/// What a runner tells while it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Everything up to here was read, and nothing of it is shown yet.
    Replaying(Mark),
    /// Everything up to here is in the view, but for what is parked.
    Reached(Mark),
    /// Everything that was in the log is in the view; what follows is new.
    CaughtUp,
}

/// What a runner is told while it goes on.
#[derive(Debug, Default)]
pub struct Control {
    /// To read no more than so many events a second.
    pub rate: Option<NonZeroU32>,
    /// To read no further than this.
    pub bound: Option<watch::Receiver<Position>>,
    /// To try every parked stream again now; who asks is told when that was done.
    pub retries: Option<mpsc::Receiver<oneshot::Sender<()>>>,
    /// To tell of each event that is traced when it was taken into a view.
    pub spans: Option<Arc<dyn Collector>>,
}

/// Feeds one view from where it is, until something fails.
///
/// # Errors
/// See [`enum@Error`]; it never ends otherwise.
pub async fn run<V: View>(
    events: &dyn EventStore,
    views: &dyn WriteViews<V>,
    control: Control,
    tell: impl FnMut(Progress) + Send,
) -> Result<std::convert::Infallible, Error> {
    run_together(events, &mut [Box::new(Feeding::of(views))], control, tell).await
}

/// Feeds several views, each event being read once for all of them. They stand at the same position with the same streams
/// parked, as views do that nothing else feeds; a view store refuses what does not continue from where it is.
///
/// # Errors
/// See [`enum@Error`]; it never ends otherwise.
pub async fn run_together(
    events: &dyn EventStore,
    feeds: &mut [Box<dyn Feed + '_>],
    mut control: Control,
    mut tell: impl FnMut(Progress) + Send,
) -> Result<std::convert::Infallible, Error> {
    let Some(first) = feeds.first() else { return std::future::pending().await };
    let start = first.position();
    for feed in &*feeds {
        find_place(events, &**feed).await?;
    }
    take_up_parked(events, feeds, start).await?;
    let mut reading = Reading::from(start, names(feeds), parked(feeds));
    let spans = control.spans.as_deref();
    let since = feeds.iter().map(|feed| since(feed.last_read().as_ref(), start)).min().unwrap_or(start);
    let mut subscription = events.subscribe(since, &[Kind::Integration]);
    if let Some(bound) = control.bound.take() {
        subscription = Box::new(Bounded::of(subscription, bound));
    }
    if let Some(rate) = control.rate {
        subscription = Box::new(Paced::of(subscription, rate));
    }
    if start == Position::START {
        replay(&mut *subscription, feeds, &mut reading, &mut tell).await?;
    }
    loop {
        let message = tokio::select! {
            message = subscription.next() => message?,
            done = asked(&mut control.retries) => {
                take_up_parked(events, feeds, reading.mark().position).await?;
                reading.known = parked(feeds);
                // Whoever asked may have gone.
                let _ = done.send(());
                continue;
            }
        };
        if is_passed(&message, start) {
            if let (Message::Events(_), Some((view, last))) = (&message, known_by(feeds)) {
                return Err(Error::AnotherLog { view, last });
            }
            continue;
        }
        let traced = if spans.is_some() { traced(&message) } else { Vec::new() };
        if reading.take(message) {
            let read = reading.finish();
            let taken = traced.into_iter().filter(|(stream, _)| !reading.known.contains_key(stream));
            let parents: Vec<_> = taken.map(|(_, parent)| parent).collect();
            for feed in &mut *feeds {
                write(&mut **feed, &read, &parents, spans).await?;
            }
            tell(Progress::Reached(reading.mark()));
        } else {
            show(feeds, &mut tell).await?;
        }
    }
}

/// A view, and the last event that it was made of.
fn known_by(feeds: &[Box<dyn Feed + '_>]) -> Option<(&'static str, LastRead)> {
    feeds.iter().find_map(|feed| Some((feed.view(), feed.last_read()?)))
}

/// Finds the last event that a view was made of, where the view says that it is.
async fn find_place(events: &dyn EventStore, feed: &dyn Feed) -> Result<(), Error> {
    let Some(last) = feed.last_read() else { return Ok(()) };
    let found = last.find(events).await?;
    if found == Some(last.position) { Ok(()) } else { Err(Error::AnotherLog { view: feed.view(), last }) }
}

/// Where in traces the requests stand that led to these events, of as many as are told of.
fn traced(message: &Message) -> Vec<(StreamName, TraceParent)> {
    let Message::Events(recorded) = message else { return Vec::new() };
    let of_one = |event: &RecordedEvent| {
        let traceparent = stored::metadata(event).ok()?.traceparent?;
        Some((event.stream.clone(), TraceParent::parse_sampled(&traceparent)?))
    };
    recorded.iter().filter_map(of_one).take(SPANS_OF_A_BATCH_MAX).collect()
}

/// Writes a part of the log into one view, in a span of each trace that has an event in it.
async fn write(
    feed: &mut dyn Feed,
    read: &Read,
    parents: &[TraceParent],
    spans: Option<&dyn Collector>,
) -> Result<(), store::Error> {
    let work = Work::Project { view: feed.view() };
    let begin = |parent: &TraceParent| spans.and_then(|spans| spans.begin(work, Some(*parent)));
    let begun: Vec<_> = parents.iter().filter_map(begin).collect();
    let written = feed.write(read).await;
    trace::end_all(begun, if written.is_ok() { Outcome::Done } else { Outcome::Failed });
    written
}

/// The next request to try parked streams again.
async fn asked(retries: &mut Option<mpsc::Receiver<oneshot::Sender<()>>>) -> oneshot::Sender<()> {
    let next = match retries {
        Some(retries) => retries.recv().await,
        None => None,
    };
    match next {
        Some(done) => done,
        // Nobody can ask any more.
        None => std::future::pending().await,
    }
}

fn names(feeds: &[Box<dyn Feed + '_>]) -> String {
    feeds.iter().map(|feed| feed.view()).collect::<Vec<_>>().join(", ")
}

/// Every parked stream.
fn parked(feeds: &[Box<dyn Feed + '_>]) -> ParkedStreams {
    feeds.first().map(|feed| ParkedStreams::clone(&feed.parked())).unwrap_or_default()
}

async fn show(feeds: &[Box<dyn Feed + '_>], tell: &mut (impl FnMut(Progress) + Send)) -> Result<(), Error> {
    for feed in feeds {
        feed.show().await?;
    }
    tell(Progress::CaughtUp);
    Ok(())
}

/// Takes up again the parked streams whose events can be read after all: by this release, or since they were mended.
async fn take_up_parked(
    events: &dyn EventStore,
    feeds: &mut [Box<dyn Feed + '_>],
    through: Position,
) -> Result<(), Error> {
    for (stream, revision) in parked(feeds) {
        let (mut held_back, damaged) = read_until_damage(events, &stream, revision).await?;
        let mut again = damaged.filter(|damaged| damaged.position <= through).map(|damaged| damaged.revision);
        // The rest comes by the subscription.
        held_back.retain(|event| event.position <= through);
        let mut facts = Vec::new();
        for event in &held_back {
            match stored::integration_fact(event) {
                Ok(fact) => facts.push(fact),
                Err(_) => {
                    again = Some(event.revision);
                    break;
                }
            }
        }
        if facts.is_empty() {
            continue;
        }
        tracing::info!(views = names(feeds), %stream, %revision, "a parked stream is taken up again");
        let parked = again.map(|revision| Parked { tenant: tenant_of(&stream), stream: stream.clone(), revision });
        let (parked, unparked) = (parked.into_iter().collect(), vec![stream]);
        let read = Read { from: through, through, facts, last: None, parked, unparked };
        for feed in &mut *feeds {
            feed.write(&read).await?;
        }
    }
    Ok(())
}

fn tenant_of(stream: &StreamName) -> Option<events::ids::TenantId> {
    stream.integration_of().map(|(tenant, _)| tenant)
}

/// Makes the views from their beginning, as far as the log goes.
async fn replay(
    subscription: &mut dyn Subscription,
    feeds: &mut [Box<dyn Feed + '_>],
    reading: &mut Reading,
    tell: &mut (impl FnMut(Progress) + Send),
) -> Result<(), Error> {
    while reading.take(subscription.next().await?) {
        feeds.iter_mut().for_each(|feed| feed.replay(reading.facts()));
        reading.forget_facts();
        tell(Progress::Replaying(reading.mark()));
    }
    let read = reading.finish();
    if read.through > Position::START {
        for feed in &mut *feeds {
            feed.write_replayed(&read).await?;
        }
        tell(Progress::Reached(reading.mark()));
    }
    show(feeds, tell).await
}
