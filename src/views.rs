//! `integrations views`: what there is of each view in PostgreSQL, making one anew beside the one that is read, and trying
//! again what could not be read.

use std::{io::Write as _, path::Path, pin::Pin};

use anyhow::{Context as _, anyhow};
use projector::{
    store::{
        Error as ViewError,
        postgres::{Database, list, migrate, prune, prune_older},
    },
    view::{self, View, WithView, with_view},
};

use crate::{Failure, cli, files};

mod rebuild;
mod retry;

/// What comes of a verb, once it is awaited.
type Outcome<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + 'a>>;

/// Does what is asked for.
pub(crate) fn run(verb: &cli::Views, data_dir: &Path) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| Failure::Service(error.into()))?;
    runtime.block_on(async {
        match verb {
            cli::Views::List(options) => print(options).await,
            cli::Views::Prune(options) => remove(options).await,
            cli::Views::Rebuild(options) => rebuild::run(options, data_dir).await,
            cli::Views::Retry(options) => retry::run(options).await,
        }
    })
}

async fn connect(options: &cli::ViewStore) -> Result<Database, Failure> {
    let database = files::database(options).map_err(Failure::Configuration)?;
    migrate(&database).await.map_err(|error| Failure::Service(error.into()))?;
    Ok(database)
}

/// Does something with the view of this name.
fn with_named<W: WithView>(name: &str, what: W) -> Result<W::Output, Failure> {
    let unknown = || anyhow!("there is no view {name}; there is {}", view::NAMES.join(", "));
    with_view(name, what).ok_or_else(|| Failure::Configuration(unknown()))
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

async fn remove(options: &cli::PruneViews) -> Result<(), Failure> {
    let database = connect(&options.view_store).await?;
    let mut removed = prune(&database).await.map_err(failed)?;
    if options.older_versions {
        for name in view::NAMES {
            removed += with_named(name, PruneOlder(&database))?.await?;
        }
    }
    say(&format!("Removed {removed} generation(s)\n"))
}

/// Removes what older releases had of a view.
struct PruneOlder<'a>(&'a Database);

impl<'a> WithView for PruneOlder<'a> {
    type Output = Outcome<'a, usize>;

    fn with<V: View>(self) -> Outcome<'a, usize> {
        Box::pin(async { prune_older::<V>(self.0).await.map_err(failed) })
    }
}
