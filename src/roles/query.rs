//! `integrations query`: answers reads from the views in PostgreSQL; the log is read for icons only.

use std::{path::Path, sync::Arc};

use projector::{
    store::{
        ReadViews, Views,
        postgres::{PostgresReader, Refreshed},
    },
    view::integrations::Integrations,
};
use query::Queries;
use web::readiness::Part;

use super::{elsewhere, greet};
use crate::{
    Failure, cli, files, log,
    root::Root,
    serve::query_settings,
    service::{self, Service, Trust},
};

/// Runs the role until it is told to stop.
pub(crate) fn run(options: &cli::Query, data_dir: &Path) -> Result<(), Failure> {
    service::run(query(options, data_dir))
}

async fn query(options: &cli::Query, data_dir: &Path) -> Result<(), Failure> {
    let waits_for = service::with_tokens(&[Part::ViewStore, Part::View], &options.identity);
    let service = Service::new(&options.http, &waits_for)?;
    let provider = service.provider(&options.identity).await?;
    let database = files::database(&options.view_store).map_err(Failure::Configuration)?;
    let store = log::follow(&options.log, data_dir)?;
    let trust = Trust::of(&options.identity, data_dir, provider.as_ref())?;
    let listeners = service.bind(options.listen, &options.http).await?;
    let address = listeners.address;
    let reader = Arc::new(PostgresReader::<Integrations>::new(database, options.view_cache_mib * 1_024 * 1_024));
    let views: Arc<dyn Views<Integrations>> = reader.clone();
    let root = Root { writes_log: false, ..Root::of(&service, &store, Some(views)) };
    let readable: Arc<dyn ReadViews<Integrations>> = reader.clone();
    let queries = Queries::new(readable, Arc::clone(&store), query_settings(&options.reading));
    // Commands first, as everywhere: `Allow` lists methods in this order.
    let commands = elsewhere(command::description(), "This process answers reads only.");
    let api = commands.merge(query::router(Arc::new(queries)));
    service.answer(&options.http, listeners, Some(trust.tokens), root, api);
    let readiness = Arc::clone(&service.readiness);
    service.spawn(async move {
        let shown = |refreshed| {
            readiness.set_ready(Part::ViewStore);
            if let Refreshed::Through(_) = refreshed {
                readiness.set_ready(Part::View);
            }
        };
        match reader.follow(shown).await {}
    });
    greet("query", address);
    service.run(&*store).await
}
