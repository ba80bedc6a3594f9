//! Runs the product's publisher beside a test.

use std::{sync::Arc, time::Duration};

use events::ids::Position;
use projector::kafka::{self, Error, State, Status, settings::Settings};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::timeout,
};
use uuid::Uuid;

use super::log::Log;

const WAIT_MAX: Duration = Duration::from_secs(60);

/// Topics that no other test has, and little patience.
pub(crate) fn settings(brokers: &str) -> Settings {
    Settings::new(brokers, &format!("test-{}", Uuid::new_v4()), "socket.timeout.ms=2000").unwrap()
}

/// A publisher that runs.
pub(crate) struct Publisher {
    status: watch::Receiver<Status>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), Error>>,
}

impl Publisher {
    pub(crate) fn start(log: &Log, settings: &Settings) -> Self {
        let (told, status) = watch::channel(Status::default());
        let (stop, stopped) = oneshot::channel();
        let (events, settings) = (Arc::clone(&log.store), settings.clone());
        let running = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            kafka::run(events, &settings, &told, None, stopped).await
        });
        Self { status, stop, running }
    }

    /// Waits until everything up to a position is published.
    pub(crate) async fn reach(&mut self, position: Position) -> Status {
        self.wait(|status| status.state == State::Publishing && status.published >= position).await
    }

    pub(crate) async fn wait(&mut self, until: impl FnMut(&Status) -> bool) -> Status {
        let reached = timeout(WAIT_MAX, self.status.wait_for(until)).await.expect("in time");
        let reached = reached.ok().map(|status| *status);
        match reached {
            Some(status) => status,
            None => panic!("the publisher has ended: {:?}", (&mut self.running).await),
        }
    }

    /// Waits until everything up to a position is published, or it ends by itself.
    pub(crate) async fn try_reach(&mut self, position: Position) -> Result<(), Error> {
        let reached = |status: &Status| status.state == State::Publishing && status.published >= position;
        match timeout(WAIT_MAX, self.status.wait_for(reached)).await.expect("in time") {
            Ok(_) => Ok(()),
            Err(_) => (&mut self.running).await.unwrap(),
        }
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) async fn stop(self) {
        self.stopped().await.unwrap();
    }

    /// The same, where it may have ended by itself.
    pub(crate) async fn stopped(self) -> Result<(), Error> {
        let _ = self.stop.send(());
        timeout(WAIT_MAX, self.running).await.expect("in time").unwrap()
    }

    /// Waits until it ends by itself, and answers why.
    pub(crate) async fn ended(self) -> Error {
        timeout(WAIT_MAX, self.running).await.expect("in time").unwrap().unwrap_err()
    }
}

/// Publishes everything that is in the log, and stops.
pub(crate) async fn publish(log: &Log, settings: &Settings) -> Status {
    let mut publisher = Publisher::start(log, settings);
    let status = publisher.reach(log.head()).await;
    publisher.stop().await;
    status
}
