//! Feeding one view, whenever it is this process's turn. Each view has a lease, a checkpoint and a generation of its own,
//! so that one that cannot go on is in no other's way.

use std::{
    marker::PhantomData,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use events::{ids::Position, store::EventStore, trace::Collector};
use projector::{
    runner::{self, Control, Progress},
    store::{
        Error as ViewError, ParkedStreams, ViewState, Views,
        postgres::{Database, Lease, PostgresWriter, SchemaError},
    },
    view::{View, WithView},
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use web::readiness::{Part, Readiness};

use crate::{
    Failure,
    service::{EachView, Service},
    turns::{TRY_EVERY, Turns},
};

/// How long it takes to look for the live generation after one was not that any more.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// How often it is looked whether somebody asks for parked streams to be tried again.
const ASKED_EVERY: Duration = Duration::from_secs(1);
/// How often the rows of documents that were deleted long ago are removed.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);

/// What every view that is fed needs.
pub(super) struct Feeder<'a> {
    pub(super) service: &'a Service,
    pub(super) store: Arc<dyn EventStore>,
    pub(super) database: Database,
    pub(super) caught_up: Arc<EachView>,
}

impl WithView for Feeder<'_> {
    /// How far the view is, as this process knows.
    type Output = Arc<dyn Views>;

    fn with<V: View>(self) -> Arc<dyn Views> {
        let progress = Arc::new(Fed {
            view: V::NAME,
            checkpoint: watch::Sender::default(),
            parked: ArcSwap::default(),
            state: watch::Sender::new(ViewState::StandingBy),
        });
        let turns = Turns::new(self.database, PostgresWriter::<V>::lease_name());
        let feeding = Feeding::<V> {
            store: self.store,
            progress: Arc::clone(&progress),
            readiness: Arc::clone(&self.service.readiness),
            caught_up: self.caught_up,
            spans: self.service.spans(),
            view: PhantomData,
        };
        let (stop, failures) = (self.service.stop.clone(), self.service.failures());
        self.service.tasks.spawn(async move {
            if let Err(error) = feeding.feed(turns, &stop).await {
                let _ = failures.try_send(Failure::Service(error));
            }
        });
        progress
    }
}

/// How far a view is, as this process knows.
#[derive(Debug)]
struct Fed {
    view: &'static str,
    checkpoint: watch::Sender<Position>,
    parked: ArcSwap<ParkedStreams>,
    state: watch::Sender<ViewState>,
}

impl Views for Fed {
    fn view(&self) -> &'static str {
        self.view
    }

    fn checkpoint(&self) -> watch::Receiver<Position> {
        self.checkpoint.subscribe()
    }

    fn parked(&self) -> Arc<ParkedStreams> {
        self.parked.load_full()
    }

    fn state(&self) -> ViewState {
        *self.state.borrow()
    }
}

struct Feeding<V: View> {
    store: Arc<dyn EventStore>,
    progress: Arc<Fed>,
    readiness: Arc<Readiness>,
    caught_up: Arc<EachView>,
    spans: Option<Arc<dyn Collector>>,
    view: PhantomData<fn() -> V>,
}

impl<V: View> Feeding<V> {
    /// Feeds the view whenever it is this process's turn, until the service stops.
    async fn feed(&self, mut turns: Turns, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut told = None;
        loop {
            let result = self.turn(&mut turns, stop).await;
            if stop.is_cancelled() {
                return Ok(());
            }
            let mut pause = TRY_EVERY;
            match result {
                Ok(()) => told = None,
                Err(error) if is_rebuilt(&error) => {
                    tracing::info!(view = V::NAME, "another generation of the view is live now; going on with that");
                    pause = LOOK_AGAIN_AFTER;
                }
                Err(error) if error.is::<SchemaError>() && !is_away(&error) => return Err(error),
                Err(error) => {
                    self.progress.state.send_replace(ViewState::Stopped);
                    // What is away for long is told once.
                    let text = format!("{error:#}");
                    if told.as_ref() != Some(&text) {
                        tracing::error!(view = V::NAME, error = text, "the view cannot be fed; trying again");
                        told = Some(text);
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    /// Takes the lease if it is free, and feeds the view while it has it.
    async fn turn(&self, turns: &mut Turns, stop: &CancellationToken) -> anyhow::Result<()> {
        let taken = turns.take().await?;
        self.readiness.set_ready(Part::ViewStore);
        let Some(lease) = taken else {
            self.progress.state.send_replace(ViewState::StandingBy);
            self.progress.parked.store(Arc::default());
            // It is there to take over, and ready for that.
            self.caught_up.set_ready(V::NAME);
            return Ok(());
        };
        // Something that keeps it from going on is told until it has caught up all the same.
        if self.progress.state() == ViewState::StandingBy {
            self.progress.state.send_replace(ViewState::Kept);
        }
        tracing::info!(view = V::NAME, version = V::VERSION, "feeding the view");
        let ended = tokio::select! {
            ended = self.work(lease.clone()) => ended,
            error = lease.keep() => error.into(),
            () = stop.cancelled() => {
                lease.release().await?;
                return Ok(());
            }
        };
        // Whoever comes next need not wait for it to run out. If it cannot be given back, it will.
        let _ = lease.release().await;
        Err(ended)
    }

    async fn work(&self, lease: Lease) -> anyhow::Error {
        let writer = match PostgresWriter::<V>::open(lease).await {
            Ok(writer) => writer,
            Err(error) => return error.into(),
        };
        let started = Instant::now();
        let tell = |progress| {
            self.progress.parked.store(writer.parked());
            match progress {
                Progress::Replaying(_) => {}
                Progress::Reached(mark) => drop(self.progress.checkpoint.send_replace(mark.position)),
                Progress::CaughtUp => {
                    self.progress.state.send_replace(ViewState::Kept);
                    self.progress.checkpoint.send_replace(*writer.checkpoint().borrow());
                    self.caught_up.set_ready(V::NAME);
                    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                    let position = writer.checkpoint().borrow().get();
                    tracing::info!(view = V::NAME, position, duration_ms = ms, "caught up");
                }
            }
        };
        let (ask, retries) = mpsc::channel(1);
        let control = Control { retries: Some(retries), spans: self.spans.clone(), ..Control::default() };
        tokio::select! {
            ended = runner::run::<V>(&*self.store, &writer, control, tell) => match ended {
                Err(error) => error.into(),
            },
            error = tidy(&writer) => error.into(),
            error = self.retry(&writer, &ask) => error.into(),
        }
    }

    /// Passes on who asks for parked streams to be tried again, and tells when it was done.
    async fn retry(&self, writer: &PostgresWriter<V>, ask: &mpsc::Sender<oneshot::Sender<()>>) -> ViewError {
        loop {
            let asked = match writer.asked_to_retry().await {
                Ok(asked) => asked,
                Err(error) => return error,
            };
            if let Some(asked) = asked {
                let (done, is_done) = oneshot::channel();
                // A runner that has ended tells why by itself.
                if ask.send(done).await.is_ok() && is_done.await.is_ok() {
                    self.progress.parked.store(writer.parked());
                    if let Err(error) = writer.has_retried(asked).await {
                        return error;
                    }
                }
            }
            tokio::time::sleep(ASKED_EVERY).await;
        }
    }
}

/// Removes what was deleted long ago, now and then.
async fn tidy<V: View>(writer: &PostgresWriter<V>) -> ViewError {
    loop {
        match writer.forget_deleted().await {
            Ok(forgotten) => tracing::debug!(view = V::NAME, forgotten, "rows of deleted documents are removed"),
            Err(error) => return error,
        }
        tokio::time::sleep(TIDY_EVERY).await;
    }
}

/// Whether the generation that was fed is not the live one any more.
fn is_rebuilt(error: &anyhow::Error) -> bool {
    let error = match error.downcast_ref::<runner::Error>() {
        Some(runner::Error::Views(error)) => Some(error),
        _ => error.downcast_ref::<ViewError>(),
    };
    matches!(error, Some(ViewError::Elsewhere { .. } | ViewError::Replaced))
}

/// Whether it is only that the database is away.
fn is_away(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<SchemaError>(), Some(SchemaError::Store(ViewError::Unavailable(_))))
}
