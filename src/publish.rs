//! The publisher to Kafka beside the service: its options, what it tells of itself, and what becomes of it when it ends.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use events::store::EventStore;
use projector::kafka::{self, Error, State, Status, settings::Settings};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{cli, root::Published};

/// How long to wait before a publisher is started again that somebody has to look at.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// A publisher that is asked for, and was not started yet.
#[derive(Debug)]
pub(crate) struct Publisher {
    settings: Settings,
    status: watch::Sender<Status>,
}

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
        Ok(Some(Self { settings, status: watch::Sender::default() }))
    }

    /// Tells how far it is, whenever it is asked.
    pub(crate) fn published(&self) -> Arc<dyn Fn() -> Published + Send + Sync> {
        let status = self.status.subscribe();
        Arc::new(move || {
            let Status { state, published, held_back } = *status.borrow();
            let state = match state {
                State::Connecting => "connecting",
                State::Publishing => "publishing",
                State::Away => "away",
                State::Ended => "stopped",
            };
            Published { state, position: published, held_back }
        })
    }

    /// Publishes until it is told to stop. What somebody has to look at is tried again all the same: he may have done it.
    pub(crate) async fn run(self, events: Arc<dyn EventStore>, stop: CancellationToken) {
        let mut told = String::new();
        loop {
            let stopped = stop.cancelled();
            let Err(error) = kafka::run(Arc::clone(&events), &self.settings, &self.status, stopped).await else {
                return;
            };
            tell_once(&error, &mut told);
            tokio::select! {
                () = tokio::time::sleep(AGAIN_AFTER) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

fn tell_once(error: &Error, told: &mut String) {
    let text = error.to_string();
    if *told != text {
        tracing::error!(error = error as &dyn std::error::Error, "the log is not published to Kafka");
        *told = text;
    }
}
