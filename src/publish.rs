//! The publisher to Kafka beside a service, alone or in turns: its options, what it tells of itself, and what becomes of it
//! when it ends.

use std::{pin::pin, sync::Arc, time::Duration};

use anyhow::Context as _;
use events::{ids::Position, store::EventStore, trace::Collector};
use projector::{
    kafka::{self, Error, State, Status, settings::Settings},
    store::{
        Error as ViewError,
        postgres::{Database, Lease},
    },
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    cli,
    root::{Published, Reached, STANDING_BY},
    turns::{TRY_EVERY, Turns},
};

/// How long to wait before a publisher is started again that somebody has to look at.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// How long a process that is told to stop waits for Kafka. Whatever becomes of what was on its way, the next one reads it.
const END_MAX: Duration = Duration::from_secs(5);

/// A publisher that is asked for, and was not started yet.
#[derive(Debug)]
pub(crate) struct Publisher {
    settings: Settings,
    status: watch::Sender<Status>,
    turn: watch::Sender<Turn>,
    spans: Option<Arc<dyn Collector>>,
}

/// Whose turn it is to publish.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Own,
    Others,
    /// The database that would tell is away.
    Unknown,
}

/// What was told last, and where the publisher was then.
type Told = Option<(String, Position)>;

impl Publisher {
    /// What the options ask for.
    pub(crate) fn of(options: &cli::Kafka) -> anyhow::Result<Option<Self>> {
        let Some(brokers) = &options.kafka else { return Ok(None) };
        let properties = match &options.kafka_properties {
            Some(path) => {
                std::fs::read_to_string(path).with_context(|| format!("Kafka's properties {}", path.display()))?
            }
            None => String::new(),
        };
        let settings = Settings::new(brokers, &options.kafka_topic_prefix, &properties).context("Kafka")?;
        Ok(Some(Self { settings, status: watch::Sender::default(), turn: watch::Sender::new(Turn::Own), spans: None }))
    }

    /// The same, that tells of what it does for requests that are traced.
    pub(crate) fn traced(self, spans: Option<Arc<dyn Collector>>) -> Self {
        Self { spans, ..self }
    }

    /// Tells how far it is, whenever it is asked.
    pub(crate) fn published(&self) -> Arc<dyn Fn() -> Published + Send + Sync> {
        let (status, turn) = (self.status.subscribe(), self.turn.subscribe());
        Arc::new(move || {
            let Status { state, published, held_back } = *status.borrow();
            let state = match *turn.borrow() {
                Turn::Others => return Published { state: STANDING_BY, reached: None },
                Turn::Unknown => return Published { state: "waiting for the view store", reached: None },
                Turn::Own => match state {
                    State::Connecting => "connecting",
                    State::Publishing => "publishing",
                    State::Away => "away",
                    State::Ended => "stopped",
                },
            };
            Published { state, reached: Some(Reached { position: published, held_back }) }
        })
    }

    /// Publishes beside a service that is alone, until it is told to stop. What somebody has to look at is tried again all
    /// the same: he may have done it.
    pub(crate) async fn run(self, events: Arc<dyn EventStore>, stop: CancellationToken) {
        let mut told = None;
        loop {
            let publishing = self.publish(&events, stop.cancelled());
            let Some(Err(error)) = before_the_end(&stop, publishing).await else { return };
            self.tell_once(&error, &mut told);
            tokio::select! {
                () = tokio::time::sleep(AGAIN_AFTER) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Publishes whenever it is this process's turn, until it is told to stop: of many that run, one does. Kafka's own fence
    /// is what keeps a process that wakes up late from writing; the lease keeps two from fencing each other in turns.
    pub(crate) async fn run_in_turns(self, database: Database, events: Arc<dyn EventStore>, stop: CancellationToken) {
        self.turn.send_replace(Turn::Unknown);
        let mut turns = Turns::new(database, format!("publisher {}", self.settings.topic_prefix()));
        let mut told = None;
        loop {
            let taken = tokio::select! {
                taken = turns.take() => taken,
                () = stop.cancelled() => return,
            };
            let pause = match taken {
                Ok(Some(lease)) => {
                    let turn = self.take_turn(lease, &events, &stop, &mut told);
                    let Some(pause) = before_the_end(&stop, turn).await else { return };
                    pause
                }
                Ok(None) => self.stand_by(Turn::Others),
                // That it is away, the view tells.
                Err(_) => self.stand_by(Turn::Unknown),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn publish(&self, events: &Arc<dyn EventStore>, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
        kafka::run(Arc::clone(events), &self.settings, &self.status, self.spans.as_ref(), stop).await
    }

    fn stand_by(&self, turn: Turn) -> Duration {
        self.turn.send_replace(turn);
        TRY_EVERY
    }

    /// Publishes until the lease is lost, something ends it that somebody has to look at, or the service stops. Answers how
    /// long to wait before the next turn.
    async fn take_turn(
        &self,
        lease: Lease,
        events: &Arc<dyn EventStore>,
        stop: &CancellationToken,
        told: &mut Told,
    ) -> Duration {
        self.status.send_replace(Status::default());
        self.turn.send_replace(Turn::Own);
        tracing::info!(topics = self.settings.topic_prefix(), "it is this process's turn to publish to Kafka");
        let over = stop.child_token();
        let publishing = self.publish(events, over.cancelled());
        let mut publishing = pin!(publishing);
        let ended = tokio::select! {
            ended = &mut publishing => ended,
            lost = lease.keep() => {
                self.lose(&lost);
                over.cancel();
                publishing.await
            }
        };
        let pause = match &ended {
            // Whoever has fenced it has the lease by now, or had it and came late.
            Ok(()) | Err(Error::Fenced) => TRY_EVERY,
            // Another process may have better luck meanwhile.
            Err(_) => AGAIN_AFTER,
        };
        if let Err(error) = &ended {
            self.tell_once(error, told);
        }
        // Whoever comes next need not wait for it to run out. If it cannot be given back, it will.
        let _ = lease.release().await;
        pause
    }

    fn lose(&self, lost: &ViewError) {
        if matches!(lost, ViewError::Fenced) {
            self.turn.send_replace(Turn::Others);
            tracing::warn!("another process has the lease to publish to Kafka now");
        } else {
            self.turn.send_replace(Turn::Unknown);
            let error = lost as &dyn std::error::Error;
            tracing::warn!(error, "the lease to publish to Kafka cannot be kept, and publishing stops until it can");
        }
    }

    /// Says why it has ended, once for as long as nothing was published since.
    fn tell_once(&self, error: &Error, told: &mut Told) {
        let now = Some((error.to_string(), self.status.borrow().published));
        if *told != now {
            *told = now;
            tracing::error!(error = error as &dyn std::error::Error, "the log is not published to Kafka");
        }
    }
}

/// What it comes to, unless the process is to end and it takes too long.
async fn before_the_end<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    let end = async {
        stop.cancelled().await;
        tokio::time::sleep(END_MAX).await;
    };
    tokio::select! {
        done = work => Some(done),
        () = end => None,
    }
}
