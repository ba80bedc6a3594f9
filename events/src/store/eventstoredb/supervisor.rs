//! Owns the link to the server, replaces it when it is of no use any more, and says whether the store is well.

use std::{sync::Arc, time::Duration};

use eventstore::Endpoint;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout_at},
};

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
}

impl Supervisor {
    /// Begins to connect, in a task of its own.
    pub(super) fn start(target: Target, transport: Transport, tasks: &mut JoinSet<()>) -> Arc<Self> {
        let supervisor = Arc::new(Self {
            link: watch::Sender::new(None),
            health: watch::Sender::new(Health::Failing),
            head: watch::Sender::new(Position::START),
            broken: watch::Sender::default(),
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
        timeout_at(deadline, self.lasting_link())
            .await
            .map_err(|_| Failure::Away("there is no connection to the event store".into()))
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
                    let since = Instant::now();
                    tracing::info!(node = %shown(&link.node), "connected to the event store");
                    is_told = false;
                    self.serve(link, end, &mut broken).await;
                    if since.elapsed() >= LIVES_AT_LEAST {
                        backoff.reset();
                    }
                }
                Err(Failure::NotLeader(elsewhere, _)) if elsewhere.is_some() => leader = elsewhere,
                Err(failure) if !is_told => {
                    let cause: Cause = failure.cause();
                    tracing::warn!(error = %cause, "cannot connect to the event store; trying again");
                    is_told = true;
                }
                Err(_) => {}
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

fn shown(node: &Endpoint) -> String {
    format!("{}:{}", node.host, node.port)
}
