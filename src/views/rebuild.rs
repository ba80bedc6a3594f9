//! `integrations views rebuild`: a view is made anew from the log, compared with the one that is read, and put in its
//! place.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use events::store::EventStore;
use projector::{
    runner::{self, Control, Progress as Told},
    store::postgres::{Rebuild, Switch},
    view::{View, WithView},
};
use tokio::sync::Notify;

use super::{Outcome, connect, failed, say, with_named};
use crate::{Failure, cli, log, progress::Progress, turns};

/// How long a rebuild that says nothing keeps its lease.
const LEASE: Duration = Duration::from_secs(10);
/// How often it is looked whether the live view has been reached, where nothing else tells.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Rebuilds the view that is named.
pub(super) async fn run(options: &cli::RebuildView, data_dir: &Path) -> Result<(), Failure> {
    with_named(&options.name, Verb { options, data_dir })?.await
}

struct Verb<'a> {
    options: &'a cli::RebuildView,
    data_dir: &'a Path,
}

impl<'a> WithView for Verb<'a> {
    type Output = Outcome<'a, ()>;

    fn with<V: View>(self) -> Outcome<'a, ()> {
        Box::pin(rebuild::<V>(self.options, self.data_dir))
    }
}

async fn rebuild<V: View>(options: &cli::RebuildView, data_dir: &Path) -> Result<(), Failure> {
    let database = connect(&options.view_store).await?;
    let store = log::follow(&options.log, data_dir)?;
    let lease = turns::take(&database, &Rebuild::<V>::lease_name(), LEASE).await.map_err(failed)?;
    let lease = lease.ok_or_else(|| Failure::Service(anyhow!("another rebuild of this view is going on")))?;
    let begun = Rebuild::<V>::begin(lease.clone()).await.map_err(failed)?;
    let rebuild = begun.ok_or_else(|| Failure::Service(anyhow!("there is nothing to rebuild: start a projector")))?;
    let control = Control { rate: options.rate, ..Control::default() };
    let outcome = tokio::select! {
        outcome = fill_and_switch(&rebuild, &*store, control) => outcome,
        error = lease.keep() => Err(failed(error)),
    };
    if !matches!(outcome, Ok(Switch::Done)) {
        rebuild.abandon().await.map_err(failed)?;
    }
    lease.release().await.map_err(failed)?;
    match outcome? {
        Switch::Done => say("Switched\n"),
        Switch::Differs(differences) => {
            let named = differences.iter().map(|one| format!("{} {}", one.tenant, one.key)).collect::<Vec<_>>();
            Err(Failure::Service(anyhow!(
                "the new documents differ from the live ones, e.g. {}: nothing was switched. Raise the view's version, or \
                 look into what changed them",
                named.join(", ")
            )))
        }
        Switch::Behind | Switch::Overtaken => Err(Failure::Service(anyhow!("another generation is live by now"))),
    }
}

/// Fills the new generation from the log, keeps it up, and switches as soon as it has reached the live one.
async fn fill_and_switch<V: View>(
    rebuild: &Rebuild<V>,
    store: &dyn EventStore,
    control: Control,
) -> Result<Switch, Failure> {
    let (progress, head) = (Progress::new("rebuilding"), store.head().borrow().get());
    let (started, reached) = (Instant::now(), Notify::new());
    let tell = |told| match told {
        Told::Replaying(mark) | Told::Reached(mark) => progress.tell(mark.events, mark.position.get(), head),
        Told::CaughtUp => reached.notify_one(),
    };
    tokio::select! {
        error = runner::run::<V>(store, &rebuild.writer, control, tell) => {
            let Err(error) = error;
            Err(Failure::Service(error.into()))
        }
        outcome = switch(rebuild, &reached, started) => outcome,
    }
}

async fn switch<V: View>(rebuild: &Rebuild<V>, reached: &Notify, started: Instant) -> Result<Switch, Failure> {
    // Nothing is compared before the replay is done.
    reached.notified().await;
    loop {
        if !rebuild.is_behind().await.map_err(failed)? {
            let began = Instant::now();
            let outcome = rebuild.switch().await.map_err(failed)?;
            if outcome != Switch::Behind {
                let (ms, seconds) = (began.elapsed().as_millis(), started.elapsed().as_secs_f64());
                say(&format!("Filled and compared in {seconds:.1} s; comparing and switching took {ms} ms of it\n"))?;
                return Ok(outcome);
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
