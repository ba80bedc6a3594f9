//! `integrations query`: answers reads from the views in PostgreSQL; the log is read for icons only.

use std::{path::Path, sync::Arc};

use projector::{
    store::{
        ReadViews, Views,
        postgres::{Database, PostgresReader, Refreshed},
    },
    view::{MakeReader, Readers, View},
};
use query::Queries;
use web::readiness::Part;

use super::elsewhere;
use crate::{
    Failure, cli, files, log,
    root::Root,
    serve::query_settings,
    service::{self, Api, EachView, Service, Trust},
};

/// Runs the role until it is told to stop.
pub(crate) fn run(options: &cli::Query, data_dir: &Path) -> Result<(), Failure> {
    service::run(query(options, data_dir))
}

async fn query(options: &cli::Query, data_dir: &Path) -> Result<(), Failure> {
    let waits_for = service::with_tokens(&[Part::ViewStore, Part::View], &options.identity);
    let service = Service::new("integrations-query", &options.http, &waits_for)?;
    let provider = service.provider(&options.identity).await?;
    let database = files::database(&options.view_store).map_err(Failure::Configuration)?;
    let store = log::follow(&options.log, data_dir)?;
    let trust = Trust::of(&options.identity, data_dir, provider.as_ref())?;
    let listeners = service.bind(options.listen, &options.http).await?;
    let addresses = listeners.addresses;
    let bytes_max = options.view_cache_mib * 1_024 * 1_024;
    let shown = EachView::of(&service, Part::View);
    let mut following = Following { service: &service, database, bytes_max, shown, views: Vec::new() };
    let queries = Queries::new(Readers::make(&mut following), Arc::clone(&store), query_settings(&options.reading));
    let root = Root { writes_log: false, ..Root::of(&service, &store, following.views) };
    // Commands first, as everywhere: `Allow` lists methods in this order.
    let commands = elsewhere(command::description(), "This process answers reads only.");
    let queries = Arc::new(queries);
    let api = Api { routes: commands.merge(query::router(Arc::clone(&queries))), at_hand: Some(queries) };
    service.answer(&options.http, listeners, Some(trust.tokens), root, api);
    addresses.tell("query");
    service.run(&*store).await
}

/// Reads each view from the database, and follows it there.
struct Following<'a> {
    service: &'a Service,
    database: Database,
    bytes_max: u64,
    shown: Arc<EachView>,
    views: Vec<Arc<dyn Views>>,
}

impl MakeReader for Following<'_> {
    fn make<V: View>(&mut self) -> Arc<dyn ReadViews<V>> {
        let reader = Arc::new(PostgresReader::<V>::new(self.database.clone(), self.bytes_max));
        let (followed, shown) = (Arc::clone(&reader), Arc::clone(&self.shown));
        let readiness = Arc::clone(&self.service.readiness);
        self.service.spawn(async move {
            let tell = |refreshed| {
                readiness.set_ready(Part::ViewStore);
                if let Refreshed::Through(_) = refreshed {
                    shown.set_ready(V::NAME);
                }
            };
            match followed.follow(tell).await {}
        });
        self.views.push(reader.clone());
        reader
    }
}
