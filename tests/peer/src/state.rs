//! What the services of one peer share.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use data_encoding::BASE64;
use tokio::sync::watch;
use tonic::{Code, Status, metadata::MetadataMap};

use crate::{
    faults::{Fault, Faults},
    log::{Answer, Expected, Log, Proposed},
};

/// How often things happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Connections that were taken.
    pub connections: u64,
    /// Those that are open still.
    pub open_connections: u64,
    /// Subscriptions that began.
    pub subscriptions: u64,
    /// Sessions of batch appends that began.
    pub sessions: u64,
    /// Batch appends that came.
    pub appends: u64,
    /// Reads that came.
    pub reads: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) open_connections: AtomicU64,
    pub(crate) subscriptions: AtomicU64,
    pub(crate) sessions: AtomicU64,
    pub(crate) appends: AtomicU64,
    pub(crate) reads: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct State {
    log: Mutex<Log>,
    faults: Mutex<Faults>,
    pub(crate) counters: Counters,
    pub(crate) address: SocketAddr,
    /// The `authorization` that every call must bring.
    authorization: Option<String>,
    /// How many events there are.
    pub(crate) length: watch::Sender<usize>,
    /// Change when what they name is to end.
    pub(crate) connections: watch::Sender<()>,
    pub(crate) subscriptions: watch::Sender<()>,
    pub(crate) sessions: watch::Sender<()>,
}

impl State {
    pub(crate) fn new(log: Log, address: SocketAddr, user: Option<&(String, String)>) -> Self {
        let basic = |(name, password): &(String, String)| {
            format!("Basic {}", BASE64.encode(format!("{name}:{password}").as_bytes()))
        };
        Self {
            length: watch::Sender::new(log.len()),
            log: Mutex::new(log),
            faults: Mutex::default(),
            counters: Counters::default(),
            address,
            authorization: user.map(basic),
            connections: watch::Sender::new(()),
            subscriptions: watch::Sender::new(()),
            sessions: watch::Sender::new(()),
        }
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fault(&self, fault: &Fault) {
        self.faults().set(fault);
        match fault {
            Fault::Drop => self.connections.send_replace(()),
            Fault::EndSubscriptions => self.subscriptions.send_replace(()),
            Fault::EndSessions => self.sessions.send_replace(()),
            Fault::NotLeader(..) | Fault::Leader | Fault::Delay(_) | Fault::LoseAnswers(_) | Fault::Refuse { .. } => {}
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            connections: read(&self.counters.connections),
            open_connections: read(&self.counters.open_connections),
            subscriptions: read(&self.counters.subscriptions),
            sessions: read(&self.counters.sessions),
            appends: read(&self.counters.appends),
            reads: read(&self.counters.reads),
        }
    }

    pub(crate) fn append(&self, stream: &str, expected: Expected, events: Vec<Proposed>) -> io::Result<Answer> {
        self.write(|log| log.append(stream, expected, events))
    }

    pub(crate) fn tombstone(&self, stream: &str, expected: Expected) -> io::Result<Answer> {
        self.write(|log| log.tombstone(stream, expected))
    }

    fn write(&self, write: impl FnOnce(&mut Log) -> io::Result<Answer>) -> io::Result<Answer> {
        let mut log = self.log();
        let answer = write(&mut log)?;
        // While the log is held, so that the length never goes back.
        self.length.send_replace(log.len());
        Ok(answer)
    }

    /// Whether the caller may call.
    pub(crate) fn admit(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let given = metadata.get("authorization").and_then(|value| value.to_str().ok());
        match &self.authorization {
            Some(wanted) if given != Some(wanted) => Err(Status::unauthenticated("Unauthenticated")),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether this node may do what only the leader may.
    pub(crate) fn lead(&self) -> Result<(), Status> {
        let Some((host, port)) = self.faults().leader.clone() else { return Ok(()) };
        let mut metadata = MetadataMap::new();
        metadata.insert("exception", tonic::metadata::MetadataValue::from_static("not-leader"));
        if let (Ok(host), Ok(port)) = (host.parse(), port.to_string().parse()) {
            metadata.insert("leader-endpoint-host", host);
            metadata.insert("leader-endpoint-port", port);
        }
        Err(Status::with_metadata(Code::NotFound, "Leader info available", metadata))
    }

    pub(crate) fn delay(&self) -> Duration {
        self.faults().delay
    }

    /// Waits as long as every answer is to wait.
    pub(crate) async fn wait(&self) {
        let delay = self.delay();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }
}

/// The stream was removed for good.
pub(crate) fn stream_deleted(stream: &str) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert("exception", tonic::metadata::MetadataValue::from_static("stream-deleted"));
    Status::with_metadata(Code::FailedPrecondition, format!("Event stream '{stream}' is deleted."), metadata)
}

/// Counts one more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Runs beside; ends with the peer's runtime.
#[expect(clippy::disallowed_methods, reason = "ends with the peer's runtime, which is its own")]
pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(work);
}
