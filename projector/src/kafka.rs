//! The publisher: what happens to integrations, as CloudEvents, and the public state of each, on Kafka.
//!
//! It follows the log and writes batches in transactions of Kafka, each with the position that it reaches: after a
//! crash, and after every error, a new producer first fences the old one (`init_transactions`), then reads that position
//! as readers of committed records see it, and goes on from there. So a consumer of committed records sees each event
//! once and in the order of its integration.
//!
//! An event that this release cannot read holds back its own stream and nothing else. Kafka keeps in mind where, with
//! the position; a session of a release that can read it publishes what was held back before it goes on.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use events::{
    backoff::Backoff,
    ids::Position,
    store::{Error as EventStoreError, EventStore},
    trace::Collector,
};
use rdkafka::error::KafkaError;
use thiserror::Error;
use tokio::sync::watch;

use self::{
    client::is_fenced,
    publisher::{Ended, Publisher},
    session::Session,
    settings::Settings,
    traced::Traced,
};

mod checkpoint;
mod client;
pub mod cloud_event;
pub mod document;
pub mod payload;
mod publisher;
mod record;
mod session;
pub mod settings;
mod states;
mod topics;
mod traced;

/// The first wait after a failure; each further one twice as long, up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest wait before Kafka is tried again.
const PAUSE_MAX: Duration = Duration::from_secs(3);

/// Why the publisher cannot go on.
#[derive(Debug, Error)]
pub enum Error {
    /// Kafka is away, or refused for a reason of its own.
    #[error("Kafka: cannot {what}")]
    Kafka {
        /// What was asked of it.
        what: &'static str,
        /// Why it was not done.
        #[source]
        source: KafkaError,
    },
    /// Another publisher has taken over. Nothing of the batch was written.
    #[error("Kafka: another publisher has taken over")]
    Fenced,
    /// A topic is there, with other settings than it must have.
    #[error("Kafka: topic {topic} has {name}={actual}, and must have {expected}")]
    Topic {
        /// The topic.
        topic: String,
        /// The setting.
        name: &'static str,
        /// What it has.
        actual: String,
        /// What it must have.
        expected: String,
    },
    /// Some of the topics are lost. They stand or fall together: with only those made anew, neither would tell what was
    /// published.
    #[error(
        "Kafka: {what}, and the rest is not: restore what was lost, or delete the rest too, and everything is published anew"
    )]
    Lost {
        /// Which, and whether they are missing or empty.
        what: String,
    },
    /// What Kafka holds was made of another log, or of one that has lost its end since.
    #[error(
        "Kafka: the topics were made of another log, which has event {revision} of stream {stream}; this one has not"
    )]
    AnotherLog {
        /// The stream of the last event that was published.
        stream: String,
        /// Its revision.
        revision: u64,
    },
    /// The checkpoint is none that this release can read.
    #[error("Kafka: the checkpoint in topic {topic} cannot be read")]
    Checkpoint {
        /// Its topic.
        topic: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The log cannot be read.
    #[error("cannot follow the log")]
    Events(#[from] EventStoreError),
    /// The thread that speaks to Kafka has ended.
    #[error("Kafka: the publisher's thread has ended")]
    Thread,
}

impl Error {
    fn kafka(what: &'static str) -> impl FnOnce(KafkaError) -> Self {
        move |source| if is_fenced(&source) { Self::Fenced } else { Self::Kafka { what, source } }
    }

    fn lost(topics: &[String], how: &str) -> Self {
        Self::Lost {
            what: match topics {
                [topic] => format!("topic {topic} is {how}"),
                topics => format!("topics {} are {how}", topics.join(" and ")),
            },
        }
    }

    /// Whether a new session may succeed without anybody doing anything.
    fn heals(&self) -> bool {
        match self {
            Self::Kafka { .. } | Self::Thread => true,
            Self::Events(error) => error.is_retryable(),
            Self::Fenced
            | Self::Topic { .. }
            | Self::Lost { .. }
            | Self::AnotherLog { .. }
            | Self::Checkpoint { .. } => false,
        }
    }
}

/// What the publisher is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// It is connecting, for the first time.
    #[default]
    Connecting,
    /// It has a session.
    Publishing,
    /// Kafka, or the log, is away: it tries again.
    Away,
    /// It has ended.
    Ended,
}

/// How far the publisher is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// What it is doing.
    pub state: State,
    /// Everything up to here is on Kafka, but for what is held back; unknown (the start) before the first session.
    pub published: Position,
    /// Streams that are held back at an event that this release cannot read.
    pub held_back: usize,
}

/// Publishes until `stop` is done, and waits for what is on its way then and for the thread that speaks to Kafka: nothing
/// of this publisher is left when it returns. Heals by itself what heals. Each event that is traced has a span, if somebody
/// collects them.
///
/// # Errors
/// What somebody has to look at: [`Error::Fenced`], [`Error::Topic`], [`Error::Lost`], [`Error::AnotherLog`],
/// [`Error::Checkpoint`], a log that cannot be read. It may be called again.
pub async fn run(
    events: Arc<dyn EventStore>,
    settings: &Settings,
    status: &watch::Sender<Status>,
    spans: Option<&Arc<dyn Collector>>,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), Error> {
    let mut stop = pin!(stop);
    let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    let mut told = String::new();
    loop {
        let before = status.borrow().published;
        let error = match run_session(&events, settings, status, spans, stop.as_mut()).await {
            // What failed at the last moment, and would heal, the next publisher makes good.
            Ended::Stopped(last) => return last.or_else(|error| if error.heals() { Ok(()) } else { Err(error) }),
            Ended::Failed(error) => error,
        };
        if !error.heals() {
            status.send_modify(|status| status.state = State::Ended);
            return Err(error);
        }
        status.send_modify(|status| status.state = State::Away);
        if status.borrow().published > before {
            backoff.reset();
            told.clear();
        }
        tell_once(&error, &mut told);
        tokio::select! {
            () = tokio::time::sleep(backoff.pause()) => {}
            () = &mut stop => return Ok(()),
        }
    }
}

/// One session, from the fence to the end of its thread.
async fn run_session(
    events: &Arc<dyn EventStore>,
    settings: &Settings,
    status: &watch::Sender<Status>,
    spans: Option<&Arc<dyn Collector>>,
    mut stop: Pin<&mut (impl Future<Output = ()> + Send)>,
) -> Ended {
    let (opening, thread) = Session::begin(settings);
    let ended = tokio::select! {
        opened = opening => match opened {
            Ok(session) => {
                let traced = Traced::new(spans.cloned(), settings);
                Publisher::new(Arc::clone(events), session, status, traced).run(stop).await
            }
            Err(error) => Ended::Failed(error),
        },
        () = &mut stop => Ended::Stopped(Ok(())),
    };
    // A call of it that comes late would fence the next session, here or in another process.
    thread.ended().await;
    ended
}

/// Says why publishing has stopped, once for as long as it is the same.
fn tell_once(error: &Error, told: &mut String) {
    let text = format!("{error}: {:?}", std::error::Error::source(error).map(ToString::to_string));
    if *told != text {
        *told = text;
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "publishing to Kafka has stopped; it is tried again, and goes on where it was"
        );
    }
}
