//! Appends through sessions that stay open, so that each is one frame on the wire. A session ends with its first
//! failure, a plain conflict included; whoever was on his way in it sends the same bytes again in the next one.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use eventstore::{BatchAppendClient, BatchWriteResult, EventData, ExpectedRevision};
use tokio::{
    sync::{Mutex, Semaphore},
    time::{Instant, timeout},
};

use super::{
    failure::{Failure, PAUSE_MIN},
    link::Link,
    supervisor::Supervisor,
};
use crate::{
    backoff::Backoff,
    store::{Cause, Error},
};

/// How many appends are on their way at once: the crate's own queue has no bound.
const IN_FLIGHT_MAX: usize = 256;
/// An answer that takes longer is not awaited: the crate does not tell when the server ends a session as if all were
/// well.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an append is sent again before its caller is told that its outcome is not known.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// How an append was answered.
#[derive(Debug)]
pub(super) enum Sent {
    Done(BatchWriteResult),
    /// Refused, or a repeat of what stands there: the stream tells.
    Conflict,
    Deleted,
}

/// One session after another.
#[derive(Debug)]
pub(super) struct Lane {
    supervisor: Arc<Supervisor>,
    session: Mutex<Option<Arc<Session>>>,
    places: Semaphore,
}

struct Session {
    link: Arc<Link>,
    client: BatchAppendClient,
    is_over: AtomicBool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("link", &self.link).finish_non_exhaustive()
    }
}

impl Lane {
    pub(super) fn new(supervisor: Arc<Supervisor>) -> Self {
        Self { supervisor, session: Mutex::new(None), places: Semaphore::new(IN_FLIGHT_MAX) }
    }

    /// Appends to one stream; again and again, the same bytes, until the outcome is known or patience is over.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when nothing was written, [`Error::OutcomeUnknown`] when that is not certain.
    pub(super) async fn send(
        &self,
        stream: &str,
        expected: ExpectedRevision,
        events: &[EventData],
    ) -> Result<Sent, Error> {
        let _place = self.places.acquire().await.map_err(|error| Error::Unavailable(error.into()))?;
        let (deadline, mut backoff) = (Instant::now() + PATIENCE, Backoff::new(PAUSE_MIN, PAUSE_MAX));
        let mut may_be_done = false;
        loop {
            let failure = match self.try_once(stream, expected, events).await {
                Ok(result) => return Ok(Sent::Done(result)),
                Err(Failure::Conflict) => return Ok(Sent::Conflict),
                Err(Failure::Deleted) => return Ok(Sent::Deleted),
                Err(failure) => failure,
            };
            may_be_done |= failure.may_be_done();
            let is_bystander = matches!(failure, Failure::Bystander(_));
            if failure.is_final() || Instant::now() >= deadline {
                return Err(unfinished(may_be_done, failure.cause()));
            }
            if !is_bystander {
                tokio::time::sleep(backoff.pause()).await;
            }
        }
    }

    async fn try_once(
        &self,
        stream: &str,
        expected: ExpectedRevision,
        events: &[EventData],
    ) -> Result<BatchWriteResult, Failure> {
        let session = self.session().await?;
        let answer = timeout(ANSWER_TIMEOUT, session.client.append_to_stream(stream, expected, events.to_vec())).await;
        let failure = match answer {
            Ok(Ok(result)) => {
                session.link.clear();
                return Ok(result);
            }
            Ok(Err(error)) => error.into(),
            // The session cannot be closed but with the client.
            Err(_) => Failure::Client("an append was not answered".into()),
        };
        session.is_over.store(true, Ordering::Relaxed);
        self.supervisor.note(&session.link, &failure);
        Err(failure)
    }

    /// The session, or a new one where it is over or its link was replaced.
    async fn session(&self) -> Result<Arc<Session>, Failure> {
        let mut current = self.session.lock().await;
        let link = self.supervisor.link().await?;
        let is_usable = |session: &&Arc<Session>| {
            !session.is_over.load(Ordering::Relaxed) && session.link.generation == link.generation
        };
        if let Some(session) = current.as_ref().filter(is_usable) {
            return Ok(Arc::clone(session));
        }
        let opening = timeout(ANSWER_TIMEOUT, link.batch_append()).await;
        let opened = opening.map_err(|_| Failure::Client("no session was opened".into()));
        let client = opened.and_then(|opened| opened.map_err(Failure::from));
        // Nothing was sent yet.
        let client = client.map_err(|failure| {
            self.supervisor.note(&link, &failure);
            if failure.may_be_done() { Failure::Busy(failure.cause()) } else { failure }
        })?;
        let session = Arc::new(Session { link, client, is_over: AtomicBool::new(false) });
        *current = Some(Arc::clone(&session));
        Ok(session)
    }
}

/// What a caller is told when patience is over.
pub(super) fn unfinished(may_be_done: bool, cause: Cause) -> Error {
    if may_be_done { Error::OutcomeUnknown(cause) } else { Error::Unavailable(cause) }
}
