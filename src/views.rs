//! `integrations views`: what there is of each view in PostgreSQL, and making one anew beside the one that is read.

use std::{
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use events::store::EventStore;
use projector::{
    runner::{self, Progress as Told},
    store::{
        Error as ViewError,
        postgres::{Database, Lease, Rebuild, Switch, list, migrate, prune},
    },
    view::{View, integrations::Integrations},
};
use tokio::sync::Notify;

use crate::{Failure, cli, files, log, progress::Progress};

/// How long a rebuild that says nothing keeps its lease.
const LEASE: Duration = Duration::from_secs(10);
/// How often it is looked whether the live view has been reached, where nothing else tells.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Does what is asked for.
pub(crate) fn run(verb: &cli::Views, data_dir: &Path) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| Failure::Service(error.into()))?;
    runtime.block_on(async {
        match verb {
            cli::Views::List(options) => print(options).await,
            cli::Views::Prune(options) => remove_retired(options).await,
            cli::Views::Rebuild(options) => rebuild(options, data_dir).await,
        }
    })
}

async fn connect(options: &cli::ViewStore) -> Result<Database, Failure> {
    let database = files::database(options).map_err(Failure::Configuration)?;
    migrate(&database).await.map_err(|error| Failure::Service(error.into()))?;
    Ok(database)
}

fn say(text: &str) -> Result<(), Failure> {
    std::io::stdout().write_all(text.as_bytes()).context("cannot print").map_err(Failure::Service)
}

fn failed(error: ViewError) -> Failure {
    Failure::Service(error.into())
}

async fn print(options: &cli::ListViews) -> Result<(), Failure> {
    let database = connect(&options.view_store).await?;
    let listed = list(&database).await.map_err(failed)?;
    if options.json {
        let json = serde_json::to_string(&listed).context("cannot print").map_err(Failure::Service)?;
        return say(&format!("{json}\n"));
    }
    let mut text = format!(
        "{:<24} {:>7} {:>10} {:<8} {:>12} {:>10} {:>6} {:>9}\n",
        "VIEW", "VERSION", "GENERATION", "STATE", "POSITION", "DOCUMENTS", "PARKED", "MIB"
    );
    for one in listed {
        text.push_str(&format!(
            "{:<24} {:>7} {:>10} {:<8} {:>12} {:>10} {:>6} {:>9.1}\n",
            one.view,
            one.version,
            one.generation,
            one.state,
            one.position,
            one.documents,
            one.parked,
            one.bytes as f64 / 1_048_576.0
        ));
    }
    say(&text)
}

async fn remove_retired(options: &cli::PruneViews) -> Result<(), Failure> {
    let removed = prune(&connect(&options.view_store).await?).await.map_err(failed)?;
    say(&format!("Removed {removed} generation(s)\n"))
}

async fn rebuild(options: &cli::RebuildView, data_dir: &Path) -> Result<(), Failure> {
    if options.name != Integrations::NAME {
        let known = Integrations::NAME;
        return Err(Failure::Configuration(anyhow!("there is no view {}; there is {known}", options.name)));
    }
    let database = connect(&options.view_store).await?;
    let store = log::follow(&options.log, data_dir)?;
    let name = Rebuild::<Integrations>::lease_name();
    let holder = format!("process {}", std::process::id());
    let lease = Lease::try_take(&database, &name, &holder, LEASE).await.map_err(failed)?;
    let lease = lease.ok_or_else(|| Failure::Service(anyhow!("another rebuild of this view is going on")))?;
    let begun = Rebuild::<Integrations>::begin(lease.clone()).await.map_err(failed)?;
    let rebuild = begun.ok_or_else(|| Failure::Service(anyhow!("there is nothing to rebuild: start a projector")))?;
    let outcome = tokio::select! {
        outcome = fill_and_switch(&rebuild, &*store, options.rate) => outcome,
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
async fn fill_and_switch(
    rebuild: &Rebuild<Integrations>,
    store: &dyn EventStore,
    rate: Option<u32>,
) -> Result<Switch, Failure> {
    let (progress, head) = (Progress::new("rebuilding"), store.head().borrow().get());
    let (started, reached) = (Instant::now(), Notify::new());
    let tell = |told| {
        let (Told::Replaying(position) | Told::Reached(position)) = told else {
            reached.notify_one();
            return;
        };
        progress.tell(position.get(), position.get(), head);
        if let Some(rate) = rate {
            hold_back(started, position.get(), rate);
        }
    };
    tokio::select! {
        error = runner::run::<Integrations>(store, &rebuild.writer, tell) => {
            let Err(error) = error;
            Err(Failure::Service(error.into()))
        }
        outcome = switch(rebuild, &reached, started) => outcome,
    }
}

/// Waits as long as so many events should have taken.
fn hold_back(started: Instant, events: u64, rate: u32) {
    let due = started + Duration::from_secs_f64(events as f64 / f64::from(rate.max(1)));
    let ahead = due.saturating_duration_since(Instant::now());
    if !ahead.is_zero() {
        // What renews the lease goes on elsewhere.
        tokio::task::block_in_place(|| std::thread::sleep(ahead));
    }
}

async fn switch(rebuild: &Rebuild<Integrations>, reached: &Notify, started: Instant) -> Result<Switch, Failure> {
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
