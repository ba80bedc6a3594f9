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
    envelope::RecordedEvent,
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

/// What the task tells.
#[derive(Debug)]
enum Told {
    Read(Box<Read>),
    Checkpoint(Position),
    CaughtUp,
}

/// A follower of the log.
#[derive(Debug)]
pub(super) struct Following {
    told: mpsc::Receiver<Told>,
    ahead: VecDeque<Told>,
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

    /// Events, and behind them how far that is; of which there is one at least.
    fn batch(&mut self, events: Vec<RecordedEvent>, passed: Option<Position>) -> Message {
        match passed {
            Some(position) if events.is_empty() => Message::Checkpoint(position),
            _ => {
                passed.into_iter().for_each(|position| self.ahead.push_front(Told::Checkpoint(position)));
                Message::Events(events)
            }
        }
    }
}

#[async_trait]
impl Subscription for Following {
    async fn next(&mut self) -> Result<Message, Error> {
        if self.ahead.is_empty() {
            let mut came = Vec::new();
            if self.told.recv_many(&mut came, AHEAD_MAX).await == 0 {
                return Err(Error::Unavailable("the event store is closed".into()));
            }
            self.ahead.extend(came);
        }
        // A server that is behind tells a checkpoint after each event. Whatever comes later says more, and a batch that ended
        // at each of them would keep whoever follows behind for good.
        let (mut events, mut passed) = (Vec::new(), None);
        loop {
            match self.ahead.pop_front() {
                Some(Told::Read(read)) => match *read {
                    Ok(event) => {
                        events.push(event);
                        passed = None;
                    }
                    Err(damaged) if events.is_empty() && passed.is_none() => return Ok(Message::Damaged(damaged)),
                    Err(damaged) => {
                        self.ahead.push_front(Told::Read(Box::new(Err(damaged))));
                        return Ok(self.batch(events, passed));
                    }
                },
                Some(Told::Checkpoint(position)) => passed = Some(position),
                Some(Told::CaughtUp) | None if events.is_empty() && passed.is_none() => return Ok(Message::CaughtUp),
                other => {
                    other.into_iter().for_each(|told| self.ahead.push_front(told));
                    return Ok(self.batch(events, passed));
                }
            }
        }
    }
}

struct Task {
    supervisor: Arc<Supervisor>,
    reader: Reader,
    kinds: Vec<Kind>,
    /// Everything up to here was told.
    position: Position,
    has_caught_up: bool,
    sender: mpsc::Sender<Told>,
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
            self.send(Told::CaughtUp).await?;
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
            self.send(Told::Read(Box::new(read))).await?;
            self.position = position;
            self.supervisor.reach(position);
        }
        Ok(())
    }

    async fn pass(&mut self, position: Position) -> Result<(), Ended> {
        if position > self.position {
            self.send(Told::Checkpoint(position)).await?;
            self.position = position;
        }
        Ok(())
    }

    async fn send(&self, told: Told) -> Result<(), Ended> {
        self.sender.send(told).await.map_err(|_| Ended::Unheard)
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
        envelope::Digest,
        ids::{EventId, Revision},
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

    fn read(position: u64) -> Told {
        Told::Read(Box::new(Ok(event(position))))
    }

    fn passed(position: u64) -> Told {
        Told::Checkpoint(Position::new(position))
    }

    /// What whoever follows is given of it.
    async fn given(told: Vec<Told>) -> Vec<Message> {
        let (sender, receiver) = mpsc::channel(told.len());
        for one in told {
            sender.send(one).await.unwrap();
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
        let given =
            given(vec![read(1), passed(2), read(3), passed(4), passed(6), read(7), passed(8), passed(10)]).await;
        let expected = [Message::Events(vec![event(1), event(3), event(7)]), Message::Checkpoint(Position::new(10))];
        assert_eq!(given, expected);
    }

    #[tokio::test]
    async fn what_comes_before_the_end_of_the_past_is_given_before_it_is_told() {
        let given = given(vec![passed(2), passed(4), Told::CaughtUp, read(5), passed(6), read(7)]).await;
        let expected =
            [Message::Checkpoint(Position::new(4)), Message::CaughtUp, Message::Events(vec![event(5), event(7)])];
        assert_eq!(given, expected);
    }
}
