//! `integrations views rebuild`: a view is made anew from the log, compared with the one that is read, and put in its
//! place.

use std::{
    num::NonZeroU32,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use events::{ids::Position, store::EventStore};
use projector::{
    runner::{self, Control, Progress as Told},
    store::postgres::{Rebuild, Switch},
    view::{View, WithView},
};
use tokio::sync::{Notify, watch};

use super::{Outcome, connect, failed, say, with_named};
use crate::{Failure, cli, log, progress::Progress, turns};

/// How long a rebuild that says nothing keeps its lease.
const LEASE: Duration = Duration::from_secs(10);
/// How often it is looked how far the live view is.
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
    let lease = lease.ok_or_else(|| {
        Failure::Service(anyhow!(
            "another rebuild of this view is going on, or was killed within the last {} seconds",
            LEASE.as_secs()
        ))
    })?;
    let begun = Rebuild::<V>::begin(lease.clone()).await.map_err(failed)?;
    let rebuild = begun.ok_or_else(|| Failure::Service(anyhow!("there is nothing to rebuild: start a projector")))?;
    let outcome = tokio::select! {
        outcome = fill_and_switch(&rebuild, &*store, options.rate) => outcome,
        error = lease.keep() => Err(failed(error)),
        _ = tokio::signal::ctrl_c() => Err(Failure::Service(anyhow!("interrupted: nothing was switched"))),
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
                "the new documents differ from the live ones, e.g. {}: nothing was switched. Raise the view's version, try \
                 parked streams again, or look into what changed them",
                named.join(", ")
            )))
        }
        Switch::Behind | Switch::Overtaken => Err(Failure::Service(anyhow!("another generation is live by now"))),
    }
}

/// Fills the new generation from the log, keeps it up with the live one, and switches as soon as both are at one place.
async fn fill_and_switch<V: View>(
    rebuild: &Rebuild<V>,
    store: &dyn EventStore,
    rate: Option<NonZeroU32>,
) -> Result<Switch, Failure> {
    let bound = watch::Sender::new(rebuild.live_position().await.map_err(failed)?);
    let control = Control { rate, bound: Some(bound.subscribe()), ..Control::default() };
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
        error = keep_up(rebuild, &bound) => Err(error),
        outcome = switch(rebuild, &bound, &reached, started) => outcome,
    }
}

/// Lets the new generation read as far as the live one is.
async fn keep_up<V: View>(rebuild: &Rebuild<V>, bound: &watch::Sender<Position>) -> Failure {
    loop {
        match rebuild.live_position().await {
            // What the switch has let it read meanwhile stays.
            Ok(live) => bound.send_modify(|bound| *bound = live.max(*bound)),
            Err(error) => return failed(error),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn switch<V: View>(
    rebuild: &Rebuild<V>,
    bound: &watch::Sender<Position>,
    reached: &Notify,
    started: Instant,
) -> Result<Switch, Failure> {
    // Nothing is compared before the replay is done.
    reached.notified().await;
    loop {
        let began = Instant::now();
        let outcome = rebuild.switch(bound).await.map_err(failed)?;
        if outcome != Switch::Behind {
            let (ms, seconds) = (began.elapsed().as_millis(), started.elapsed().as_secs_f64());
            say(&format!("Filled and compared in {seconds:.1} s; comparing and switching took {ms} ms of it\n"))?;
            return Ok(outcome);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
