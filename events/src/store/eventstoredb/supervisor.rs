//! Owns the link to the server, replaces it when it is of no use any more, and says whether the store is well.

use std::{
    error::Error as StdError,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use eventstore::Endpoint;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tonic::Status;

use super::{
    failure::{Failure, PAUSE_MIN},
    link::Link,
    target::Target,
    transport::Transport,
};
use crate::{
    backoff::Backoff,
    ids::Position,
    store::{Cause, Health},
};

/// How long whoever needs the server waits for a link before he is told that there is none.
const LINK_PATIENCE: Duration = Duration::from_secs(3);
/// The longest pause between two tries to connect.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// A link that did not last so long counts as a failed try.
const LIVES_AT_LEAST: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Supervisor {
    link: watch::Sender<Option<Arc<Link>>>,
    health: watch::Sender<Health>,
    head: watch::Sender<Position>,
    /// The last link that was found to be of no use any more.
    broken: watch::Sender<u64>,
    /// Why the last try to connect failed, if no link is there.
    trouble: Mutex<Option<String>>,
}

impl Supervisor {
    /// Begins to connect, in a task of its own.
    pub(super) fn start(target: Target, transport: Transport, tasks: &mut JoinSet<()>) -> Arc<Self> {
        let supervisor = Arc::new(Self {
            link: watch::Sender::new(None),
            health: watch::Sender::new(Health::Failing),
            head: watch::Sender::new(Position::START),
            broken: watch::Sender::default(),
            trouble: Mutex::default(),
        });
        tasks.spawn(Arc::clone(&supervisor).run(target, transport));
        supervisor
    }

    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    pub(super) fn head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    /// The log reaches at least so far.
    pub(super) fn reach(&self, position: Position) {
        self.head.send_if_modified(|head| {
            let is_further = position > *head;
            *head = position.max(*head);
            is_further
        });
    }

    /// The link; waits for it, but not for long.
    pub(super) async fn link(&self) -> Result<Arc<Link>, Failure> {
        let deadline = Instant::now() + LINK_PATIENCE;
        timeout_at(deadline, self.lasting_link()).await.map_err(|_| Failure::Away(self.away()))
    }

    /// What is told to whoever finds no link.
    fn away(&self) -> Cause {
        const AWAY: &str = "there is no connection to it";
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.as_ref().map_or_else(|| AWAY.into(), |trouble| format!("{AWAY}: {trouble}").into())
    }

    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// The link, however long it takes.
    pub(super) async fn lasting_link(&self) -> Arc<Link> {
        loop {
            let mut links = self.link.subscribe();
            if let Ok(link) = links.wait_for(Option::is_some).await
                && let Some(link) = link.clone()
            {
                return link;
            }
        }
    }

    /// Takes note of a failure on a link.
    pub(super) fn note(&self, link: &Link, failure: &Failure) {
        match failure {
            // The server has answered, or was not asked.
            Failure::Conflict | Failure::Deleted | Failure::Refused(_) | Failure::Away(_) | Failure::Bystander(_) => {}
            Failure::Busy(_) | Failure::Server(_) => {
                if link.strike() {
                    self.replace(link);
                }
            }
            // Who leads is asked when the next one is made.
            Failure::Client(_) | Failure::NotLeader(..) => self.replace(link),
        }
    }

    /// The link is of no use any more.
    pub(super) fn replace(&self, link: &Link) {
        self.broken.send_if_modified(|broken| {
            let is_news = link.generation > *broken;
            *broken = link.generation.max(*broken);
            is_news
        });
    }

    async fn run(self: Arc<Self>, target: Target, transport: Transport) {
        let mut broken = self.broken.subscribe();
        let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
        let (mut leader, mut is_told) = (None, false);
        for generation in 1.. {
            match Link::connect(&target, &transport, generation, leader.take()).await {
                Ok((link, end)) => {
                    self.set_trouble(None);
                    let since = Instant::now();
                    tracing::info!(node = %shown(&link.node), "connected to the event store");
                    is_told = false;
                    self.serve(link, end, &mut broken).await;
                    if since.elapsed() >= LIVES_AT_LEAST {
                        backoff.reset();
                    }
                }
                Err(Failure::NotLeader(elsewhere, _)) if elsewhere.is_some() => leader = elsewhere,
                Err(failure) => {
                    let cause = told(&failure.cause());
                    if !is_told {
                        tracing::warn!(error = cause, "cannot connect to the event store; trying again");
                        is_told = true;
                    }
                    self.set_trouble(Some(cause));
                }
            }
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    /// Offers a link until it is broken.
    async fn serve(&self, link: Link, end: Position, broken: &mut watch::Receiver<u64>) {
        let generation = link.generation;
        self.reach(end);
        self.link.send_replace(Some(Arc::new(link)));
        self.health.send_replace(Health::Ready);
        // The other end is ours, and lives as long as this does.
        let _ = broken.wait_for(|broken| *broken >= generation).await;
        self.link.send_replace(None);
        self.health.send_replace(Health::Failing);
        tracing::warn!("the connection to the event store is being replaced");
    }
}

/// A failure and what lies below it. A status shows everything that came with it, and says it in a part of that.
fn told(cause: &Cause) -> String {
    let mut below: Option<&(dyn StdError + 'static)> = Some(&**cause);
    let mut texts: Vec<String> = Vec::new();
    while let Some(error) = below {
        let text =
            error.downcast_ref::<Status>().map_or_else(|| error.to_string(), |status| status.message().to_owned());
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        below = error.source();
    }
    texts.join(": ")
}

fn shown(node: &Endpoint) -> String {
    format!("{}:{}", node.host, node.port)
}
