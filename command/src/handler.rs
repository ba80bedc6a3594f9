//! The command handler: load, decide, append, on a conflict again, answer.

use std::{hash::BuildHasher as _, sync::Arc, time::Duration};

use events::{
    envelope::{Digest, Fingerprint, Metadata, NewEvent, Place, new_event_id},
    event::{IconType, IntegrationEvent},
    ids::{IntegrationId, IntegrationRef},
    integration::{Fact, LastEvent},
    principal::Principal,
    seal::SecretPlace,
    store::{Appended, Cause, Error as StoreError, EventStore, ExpectedRevision, StreamWrite},
    stored::{self, Store as _},
    stream::StreamName,
    time::Timestamp,
};
use foldhash::fast::RandomState;
use moka::{policy::EvictionPolicy, sync::Cache};
use thiserror::Error;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};
use tokio_util::task::TaskTracker;
use web::{metrics::Metrics, problem::Fault};

use crate::{
    aggregate::{self, Aggregate},
    decide::{self, Command, Context, Need, Precondition, Rejection, SecretPatch, decide},
    keys::{self, KeyRing},
    request::UpdateRequest,
};

mod before;
mod create;
mod load;
mod slugs;
#[cfg(test)]
mod tests;

use before::{Before, Upload};
use load::Source;
use slugs::Holder;

/// How often a command meets another's before it gives up, at least.
const TRIES: u32 = 8;
/// For how long a command goes on meeting others' before it gives up, at least.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often an append is sent whose outcome is not known.
const SENDS: u32 = 3;
/// How many commands on different integrations go on at once without ever waiting for each other.
const TURNS: usize = 1_024;
/// How many slugs' holders are remembered.
const HOLDERS_MAX: u64 = 100_000;

/// What an operator may set.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Bytes that the folded states of integrations may take.
    pub state_cache_bytes: u64,
}

/// The clock at the edge.
#[derive(Debug, Clone, Copy)]
pub struct Clock(pub fn() -> Timestamp);

impl Clock {
    pub(crate) fn now(self) -> Timestamp {
        (self.0)()
    }
}

/// Everything that commands need.
#[derive(Debug)]
pub struct Handler {
    store: Arc<dyn EventStore>,
    keys: Arc<KeyRing>,
    states: Cache<StreamName, Arc<Aggregate>, RandomState>,
    holders: Cache<StreamName, Holder, RandomState>,
    turns: Vec<Mutex<()>>,
    hasher: RandomState,
    clock: Clock,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
}

/// Who asks, and what of the request goes into the event's metadata.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) caller: Principal,
    pub(crate) correlation_id: String,
    pub(crate) traceparent: Option<String>,
    pub(crate) client: Option<String>,
    pub(crate) reason: Option<String>,
}

/// An integration that the caller was let in to, as he named it.
#[derive(Debug, Clone)]
pub(crate) struct Admitted {
    id: IntegrationId,
    reference: IntegrationRef,
    need: Need,
}

/// What somebody wants, before what it needs beside the state has been prepared.
#[derive(Debug)]
pub(crate) enum Intent {
    /// It needs nothing.
    Plain(Command),
    /// Its secrets must be sealed.
    Update(Box<UpdateRequest>),
    /// Its bytes must be stored.
    SetIcon { media_type: IconType, bytes: bytes::Bytes },
}

/// Why a command was not done.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The domain says no.
    #[error("rejected")]
    Rejected(Rejection),
    /// The idempotency key stands for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Other commands on the same integration came first, again and again.
    #[error("gave up after {TRIES} conflicts or more in {PATIENCE:?}")]
    Contended,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// A data key cannot be had.
    #[error("a data key cannot be had")]
    Keys(#[from] keys::Error),
    /// An event of the integration cannot be read.
    #[error("an event cannot be read")]
    Stored(#[from] stored::Error),
    /// The integration has an event that this release cannot read.
    #[error("the integration's stream is parked")]
    Parked {
        /// What is known of it: its state before that event.
        known: Arc<Aggregate>,
        /// The event.
        #[source]
        cause: Cause,
    },
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl Handler {
    /// A handler over a store.
    #[must_use]
    pub fn new(
        store: Arc<dyn EventStore>,
        keys: Arc<KeyRing>,
        clock: Clock,
        metrics: Arc<Metrics>,
        settings: Settings,
        tasks: TaskTracker,
    ) -> Self {
        let states = Cache::builder()
            .max_capacity(settings.state_cache_bytes)
            .weigher(|_: &StreamName, state: &Arc<Aggregate>| weight(state))
            .eviction_policy(EvictionPolicy::lru())
            .build_with_hasher(RandomState::default());
        let holders = Cache::builder().max_capacity(HOLDERS_MAX).eviction_policy(EvictionPolicy::lru());
        Self {
            store,
            keys,
            states,
            holders: holders.build_with_hasher(RandomState::default()),
            turns: (0..TURNS).map(|_| Mutex::new(())).collect(),
            hasher: RandomState::default(),
            clock,
            metrics,
            tasks,
        }
    }

    /// Does what is wanted, and answers the state after it. Goes on when the client goes away: a state that was
    /// appended must not be missing from the cache.
    pub(crate) async fn execute(
        self: &Arc<Self>,
        asking: Asking,
        mut admitted: Admitted,
        precondition: Precondition,
        intent: Intent,
    ) -> Result<Arc<Aggregate>, Error> {
        let handler = Arc::clone(self);
        let work = async move {
            loop {
                match handler.run(&asking, admitted.id, &precondition, &intent).await {
                    Err(Error::Rejected(Rejection::NotFound)) => {
                        admitted = handler.admit_again(&asking.caller, &admitted).await?;
                    }
                    done => return done,
                }
            }
        };
        finished(self.tasks.spawn(work).await)
    }

    /// What a request with faults is refused for: first for a stale tag, then for its faults.
    pub(crate) async fn refuse(
        &self,
        asking: &Asking,
        mut admitted: Admitted,
        precondition: &Precondition,
        faults: Vec<Fault>,
    ) -> Error {
        let source = if self.store.is_sole_writer() { Source::Cache } else { Source::Store };
        loop {
            let stream = StreamName::integration(&asking.caller.tenant, admitted.id);
            let state = match self.peek(&stream, source).await {
                Ok(state) => state,
                Err(error) => return error,
            };
            if let Aggregate::Live(live) = &*state {
                return precondition.check(live).map_or_else(Error::from, |()| Rejection::Invalid(faults).into());
            }
            match self.admit_again(&asking.caller, &admitted).await {
                Ok(again) => admitted = again,
                Err(error) => return error,
            }
        }
    }

    async fn run(
        &self,
        asking: &Asking,
        id: IntegrationId,
        precondition: &Precondition,
        intent: &Intent,
    ) -> Result<Arc<Aggregate>, Error> {
        let stream = StreamName::integration(&asking.caller.tenant, id);
        let _turn = self.turn(&stream).await;
        let upload = Upload::of(intent, &asking.caller, id, self.clock.now());
        let mut source = Source::Cache;
        let mut conflicts = Conflicts::none();
        loop {
            // 1. Load.
            let state = self.load(&stream, source).await?;
            // 2. Decide.
            let at =
                Context { caller: asking.caller.clone(), now: self.clock.now(), precondition: precondition.clone() };
            let decided = match self.prepare(intent, upload.as_ref(), &state, &at, id).await {
                Ok((command, before)) => decide(&state, command, &at).map(|event| event.zip(Some(before))),
                Err(Error::Rejected(rejection)) => Err(rejection),
                Err(error) => return Err(error),
            };
            let Ok(Some((event, before))) = decided else {
                if source == Source::Cache && !self.store.is_sole_writer() {
                    source = Source::Store;
                    continue;
                }
                // 5. Answer: nothing is to be appended.
                return decided.map(|_| state).map_err(Error::Rejected);
            };
            // 3. Append.
            let Before { writes, wrapping: _until_it_has_ended } = before;
            match self.append(asking, &stream, &state, writes, event, at.now, None).await {
                // 5. Answer.
                Ok(state) => return Ok(state),
                // 4. On a conflict again.
                Err(StoreError::WrongExpectedRevision { .. } | StoreError::Tombstoned { .. }) => {
                    source = Source::Store;
                    conflicts.meet().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The command, and the writes that must stand before its event.
    async fn prepare(
        &self,
        intent: &Intent,
        upload: Option<&Upload>,
        state: &Aggregate,
        at: &Context,
        id: IntegrationId,
    ) -> Result<(Command, Before), Error> {
        let request = match (intent, upload) {
            (Intent::Plain(command), _) => return Ok((command.clone(), Before::default())),
            (Intent::SetIcon { .. }, Some(upload)) => {
                let before = Before { writes: vec![upload.write.clone()], wrapping: None };
                return Ok((Command::SetIcon(upload.icon), before));
            }
            (Intent::SetIcon { .. }, None) => return Err(Rejection::NotFound.into()),
            (Intent::Update(request), _) => request,
        };
        // Nobody is given a key who may not write.
        let live = decide::admit(state, &at.caller, &Need::Level(events::principal::Level::Write))?;
        let (mut sealed, mut before) = (SecretPatch::default(), Before::default());
        let tenant = &at.caller.tenant;
        if request.secrets.gives_any() {
            let key = match self.keys.find(tenant, id).await? {
                Some(key) => key,
                None => {
                    let key = events::seal::DataKey::generate();
                    before = Before::of(self.keys.write(tenant, id, &key, at.now).await);
                    Arc::new(key)
                }
            };
            sealed = request.secrets.map(|field, secret| {
                let event_type = stored::INTEGRATION_UPDATED;
                key.seal(SecretPlace { tenant, integration: id, event_type, field }, secret)
            });
        } else {
            sealed.client_secret = cleared(&request.secrets.client_secret);
            sealed.api_key = cleared(&request.secrets.api_key);
        }
        let command = request.command(&live.integration, sealed);
        Ok((Command::UpdateIntegration(Box::new(command)), before))
    }

    /// Appends an event with what must stand before it and what must go with it, and answers the state after it.
    #[expect(clippy::too_many_arguments, reason = "each is one part of the append")]
    async fn append(
        &self,
        asking: &Asking,
        stream: &StreamName,
        state: &Arc<Aggregate>,
        before: Vec<StreamWrite>,
        event: IntegrationEvent,
        now: Timestamp,
        fingerprint: Option<Fingerprint>,
    ) -> Result<Arc<Aggregate>, StoreError> {
        let last = state.last();
        let expected = last.map_or(ExpectedRevision::NoStream, |last| ExpectedRevision::Exact(last.revision));
        let place = Place { stream, revision: expected.next(), previous: last.map_or(Digest::ZERO, |last| last.hash) };
        let form = event.to_stored();
        let metadata = asking.metadata(now, fingerprint);
        let sealed = NewEvent::seal(place, new_event_id(), form.event_type, form.data, &metadata);
        let hash = sealed.hash;
        let (tenant, integration) = stream.integration_of().expect("an integration's stream names it");
        let mut writes = before;
        let at = writes.len();
        writes.push(StreamWrite::Append { stream: stream.clone(), expected, events: vec![sealed] });
        if let IntegrationEvent::Deleted(deleted) = &event {
            let icon = deleted.icon.map(|blob| StreamName::icon(&tenant, integration, blob));
            let gone = std::iter::once(StreamName::key(&tenant, integration)).chain(icon);
            writes.extend(gone.map(|stream| StreamWrite::Tombstone { stream }));
            self.keys.forget(&tenant, integration);
        }
        let appended = match self.send(writes).await {
            Ok(appended) => appended[at],
            // What is cached still stands in the log, and more.
            Err(error @ StoreError::WrongExpectedRevision { .. }) => return Err(error),
            Err(error) => {
                self.states.invalidate(stream);
                return Err(error);
            }
        };
        let Appended { revision, position } = appended;
        let fact = Fact { tenant, integration, position, revision, at: now, hash, event };
        let state = Arc::new(aggregate::evolve(Aggregate::clone(state), &fact));
        self.states.insert(stream.clone(), Arc::clone(&state));
        Ok(state)
    }

    /// Sends an append, and sends the same again while its outcome is not known.
    async fn send(&self, writes: Vec<StreamWrite>) -> Result<Vec<Appended>, StoreError> {
        let mut sends = 0;
        loop {
            sends += 1;
            match self.store.append(writes.clone()).await {
                Ok(appended) => {
                    self.metrics.appends.inc();
                    return Ok(appended);
                }
                Err(StoreError::OutcomeUnknown(_)) if sends < SENDS => back_off(sends).await,
                Err(error) => {
                    if matches!(error, StoreError::WrongExpectedRevision { .. }) {
                        self.metrics.conflicts.inc();
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Waits until it is this command's turn on the integration: commands of one process never conflict.
    async fn turn(&self, stream: &StreamName) -> MutexGuard<'_, ()> {
        let hash = self.hasher.hash_one(stream) % TURNS as u64;
        self.turns[usize::try_from(hash).unwrap_or(0)].lock().await
    }
}

impl Asking {
    fn metadata(&self, now: Timestamp, fingerprint: Option<Fingerprint>) -> Metadata {
        Metadata {
            tenant: Some(self.caller.tenant.clone()),
            actor: Some(self.caller.id.clone()),
            time: now,
            correlation_id: Some(self.correlation_id.clone()),
            causation_id: None,
            traceparent: self.traceparent.clone(),
            reason: self.reason.clone(),
            client: self.client.clone(),
            fingerprint,
        }
    }
}

/// A field that gives no secret, without the secret that it does not give.
fn cleared<S, T>(field: &decide::Field<S>) -> decide::Field<T> {
    match field {
        decide::Field::Null => decide::Field::Null,
        decide::Field::Absent | decide::Field::Value(_) => decide::Field::Absent,
    }
}

/// The state's last event, for an answer.
pub(crate) fn last_of(state: &Aggregate) -> Option<LastEvent> {
    state.last().copied()
}

fn finished<T>(joined: Result<T, tokio::task::JoinError>) -> T {
    joined.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => panic!("commands are never aborted: {error}"),
    })
}

/// What a command has met of others' so far.
struct Conflicts {
    count: u32,
    since: Instant,
}

impl Conflicts {
    fn none() -> Self {
        Self { count: 0, since: Instant::now() }
    }

    /// One more. Waits a little before the command is tried again, unless it was tried for long enough.
    async fn meet(&mut self) -> Result<(), Error> {
        self.count += 1;
        if self.count >= TRIES && self.since.elapsed() >= PATIENCE {
            return Err(Error::Contended);
        }
        back_off(self.count).await;
        Ok(())
    }
}

/// Waits a little, at first longer each time, and never as long as somebody else.
async fn back_off(tries: u32) {
    let mut byte = [0];
    getrandom::fill(&mut byte).expect("the operating system gives random bytes");
    let jitter = 0.5 + f64::from(byte[0]) / 255.0;
    tokio::time::sleep(Duration::from_millis(2 << tries.min(4)).mul_f64(jitter)).await;
}

/// About how many bytes a state takes.
fn weight(state: &Aggregate) -> u32 {
    match state {
        Aggregate::Live(live) => live.integration.weight(),
        Aggregate::Absent | Aggregate::Deleted(_) => 128,
    }
}
