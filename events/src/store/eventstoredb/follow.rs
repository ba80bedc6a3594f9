//! Subscriptions: one task each, which reads what is there page by page, then follows what comes. It resumes from the
//! later of the last event and the last checkpoint, never from the end, and it pauses before it tries again.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{runtime::Handle, sync::mpsc, task::JoinSet};

use super::{
    calls::checkpoint,
    event::position_of,
    failure::{Failure, PAUSE_MIN},
    link::Link,
    position::is_through,
    read::{Read, Reader, live, position_of_read},
    supervisor::Supervisor,
    wire::Content,
};
use crate::{
    backoff::Backoff,
    ids::Position,
    store::{Error, Message, Subscription},
    stream::Kind,
};

/// How many events are read at once of what is there.
const PAGE_EVENTS: usize = 500;
/// How much is read ahead of whoever follows.
const AHEAD_MAX: usize = 1_000;
/// The longest pause between two tries to follow.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A follower of the log.
#[derive(Debug)]
pub(super) struct Following {
    told: mpsc::Receiver<Message>,
    ahead: VecDeque<Message>,
    _task: JoinSet<()>,
}

impl Following {
    pub(super) fn start(
        supervisor: Arc<Supervisor>,
        reader: Reader,
        runtime: &Handle,
        after: Position,
        kinds: &[Kind],
    ) -> Self {
        let (sender, told) = mpsc::channel(AHEAD_MAX);
        let task = Task { supervisor, reader, kinds: kinds.to_vec(), position: after, has_caught_up: false, sender };
        let mut tasks = JoinSet::new();
        tasks.spawn_on(task.run(), runtime);
        Self { told, ahead: VecDeque::new(), _task: tasks }
    }

    /// Puts a message behind those ahead. A server whose subscriber is behind tells a checkpoint after each event:
    /// whatever comes later says more, and a batch that ended at each of them would keep him behind for good.
    fn add(&mut self, message: Message) {
        if let (Some(Message::Checkpoint(_)), Message::Events(_) | Message::Checkpoint(_)) =
            (self.ahead.back(), &message)
        {
            self.ahead.pop_back();
        }
        match (self.ahead.back_mut(), message) {
            (Some(Message::Events(events)), Message::Events(more)) => events.extend(more),
            (_, message) => self.ahead.push_back(message),
        }
    }
}

#[async_trait]
impl Subscription for Following {
    async fn next(&mut self) -> Result<Message, Error> {
        if self.ahead.is_empty() {
            let mut came = Vec::new();
            self.told.recv_many(&mut came, AHEAD_MAX).await;
            came.into_iter().for_each(|message| self.add(message));
        }
        self.ahead.pop_front().ok_or_else(|| Error::Unavailable("the event store is closed".into()))
    }
}

struct Task {
    supervisor: Arc<Supervisor>,
    reader: Reader,
    kinds: Vec<Kind>,
    /// Everything up to here was told.
    position: Position,
    has_caught_up: bool,
    sender: mpsc::Sender<Message>,
}

/// Why following ended.
enum Ended {
    /// Nobody listens.
    Unheard,
    Failed(Failure),
}

impl From<tonic::Status> for Ended {
    fn from(status: tonic::Status) -> Self {
        Self::Failed(status.into())
    }
}

impl Task {
    async fn run(mut self) {
        let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
        loop {
            let (link, before) = (self.supervisor.lasting_link().await, self.position);
            match self.follow(&link).await {
                Err(Ended::Unheard) => return,
                Err(Ended::Failed(failure)) => {
                    self.supervisor.note(&link, &failure);
                    tracing::warn!(error = %failure.cause(), "a subscription ended; resuming it");
                }
                Ok(()) => {
                    self.supervisor.replace(&link);
                    tracing::warn!("the event store ended a subscription; resuming it");
                }
            }
            if self.position > before {
                backoff.reset();
            }
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    /// Follows until the server ends it.
    async fn follow(&mut self, link: &Link) -> Result<(), Ended> {
        self.catch_up(link).await?;
        let mut coming = link.calls.follow(self.position, &self.kinds).await?;
        while let Some(answer) = coming.message().await? {
            match answer.content {
                Some(Content::Event(event)) => {
                    if let Some(read) = event.event.and_then(|event| live(event, &self.kinds)) {
                        self.tell(read).await?;
                    }
                }
                Some(Content::Checkpoint(wire)) => self.pass(checkpoint(wire)).await?,
                Some(Content::StreamNotFound(_) | Content::LastStreamPosition(_)) | None => {}
            }
        }
        Ok(())
    }

    /// Tells what is there.
    async fn catch_up(&mut self, link: &Link) -> Result<(), Ended> {
        loop {
            // Whatever was there by now is read below, if it is of interest.
            let end = link.calls.last_position().await?;
            let page = self.page(link).await?;
            let is_last = page.len() < PAGE_EVENTS;
            let through = page.last().map(position_of);
            let reads = self
                .reader
                .of_interest(page, &self.kinds)
                .await
                .map_err(|error| Ended::Failed(Failure::Server(error.into())))?;
            for read in reads {
                self.tell(read).await?;
            }
            if let Some(through) = through {
                self.pass(through).await?;
            }
            if is_last {
                self.pass(end).await?;
                break;
            }
        }
        if !self.has_caught_up {
            self.has_caught_up = true;
            self.send(Message::CaughtUp).await?;
        }
        Ok(())
    }

    async fn page(&self, link: &Link) -> Result<Vec<super::wire::WireEvent>, Ended> {
        if self.kinds.is_empty() {
            return Ok(Vec::new());
        }
        self.reader.read_kinds(&link.calls, self.position, &self.kinds, PAGE_EVENTS).await.map_err(Ended::Failed)
    }

    async fn tell(&mut self, read: Read) -> Result<(), Ended> {
        let position = position_of_read(&read);
        if position > self.position {
            self.send(read.map_or_else(Message::Damaged, |event| Message::Events(vec![event]))).await?;
            self.position = position;
            self.supervisor.reach(position);
        }
        Ok(())
    }

    async fn pass(&mut self, position: Position) -> Result<(), Ended> {
        if position > self.position {
            self.send(Message::Checkpoint(position)).await?;
            self.position = position;
        }
        Ok(())
    }

    async fn send(&self, message: Message) -> Result<(), Ended> {
        self.sender.send(message).await.map_err(|_| Ended::Unheard)
    }
}

/// Moves the head as anybody appends: a subscription to no events is told of every one that it passes.
pub(super) async fn follow_head(supervisor: Arc<Supervisor>) {
    let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    loop {
        let link = supervisor.lasting_link().await;
        match head_of(&supervisor, &link).await {
            Ok(()) => supervisor.replace(&link),
            Err(status) => supervisor.note(&link, &status.into()),
        }
        tokio::time::sleep(backoff.pause()).await;
    }
}

async fn head_of(supervisor: &Supervisor, link: &Link) -> Result<(), tonic::Status> {
    let end = link.calls.last_position().await?;
    supervisor.reach(end);
    let mut coming = link.calls.follow(end, &[]).await?;
    while let Some(answer) = coming.message().await? {
        if let Some(Content::Checkpoint(wire)) = answer.content {
            let position = checkpoint(wire);
            // The head is an event's position, which a checkpoint before the next record does not tell: the log's end is
            // asked for then, once for all that stands before it.
            if is_through(position) {
                supervisor.reach(position);
            } else if position > *supervisor.head().borrow() {
                supervisor.reach(link.calls.last_position().await?);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::{
        envelope::{Digest, RecordedEvent},
        ids::{EventId, Revision},
        store::Damaged,
        stream::StreamName,
        time::Timestamp,
    };

    fn event(position: u64) -> RecordedEvent {
        RecordedEvent {
            position: Position::new(position),
            stream: StreamName::janitor_checkpoint(),
            revision: Revision::FIRST,
            id: EventId::new(Uuid::nil()),
            event_type: "T.v1".to_owned(),
            at: Timestamp::new(DateTime::UNIX_EPOCH),
            data: Bytes::new(),
            metadata: Bytes::new(),
            hash: Digest::ZERO,
        }
    }

    fn events<const N: usize>(positions: [u64; N]) -> Message {
        Message::Events(positions.map(event).to_vec())
    }

    fn passed(position: u64) -> Message {
        Message::Checkpoint(Position::new(position))
    }

    /// What whoever follows is given of what is told.
    async fn given(told: Vec<Message>) -> Vec<Message> {
        let (sender, receiver) = mpsc::channel(told.len());
        for message in told {
            sender.send(message).await.unwrap();
        }
        drop(sender);
        let mut following = Following { told: receiver, ahead: VecDeque::new(), _task: JoinSet::new() };
        let mut given = Vec::new();
        while let Ok(message) = following.next().await {
            given.push(message);
        }
        given
    }

    #[tokio::test]
    async fn checkpoints_between_events_part_no_batch() {
        let told = [events([1]), passed(2), events([3]), passed(4), passed(6), events([7]), passed(8), passed(10)];
        assert_eq!(given(told.to_vec()).await, [events([1, 3, 7]), passed(10)]);
    }

    #[tokio::test]
    async fn whatever_is_no_event_keeps_its_place() {
        let damaged = Message::Damaged(Damaged {
            position: Position::new(9),
            stream: StreamName::janitor_checkpoint(),
            revision: Revision::FIRST,
            cause: "c".to_owned(),
        });
        let told = [passed(2), passed(4), Message::CaughtUp, events([5]), passed(6), events([7]), damaged, passed(10)];
        let expected = [told[1].clone(), told[2].clone(), events([5, 7]), told[6].clone(), told[7].clone()];
        assert_eq!(given(told.to_vec()).await, expected);
    }
}
