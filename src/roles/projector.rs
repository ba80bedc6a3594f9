//! `integrations projector`: makes views of the log in PostgreSQL, and publishes it to Kafka. Of many that run, one has
//! the lease of a view, or that of publishing, and works on it; the others stand by.

use std::{path::Path, sync::Arc};

use projector::view::{self, with_view};
use utoipa_axum::router::OpenApiRouter;
use web::readiness::Part;

use crate::{
    Failure, cli, files, log,
    root::Root,
    service::{self, EachView, Service},
};

mod feeder;

use feeder::Feeder;

/// Runs the role until it is told to stop.
pub(crate) fn run(options: &cli::Projector, data_dir: &Path) -> Result<(), Failure> {
    service::run(projector(options, data_dir))
}

async fn projector(options: &cli::Projector, data_dir: &Path) -> Result<(), Failure> {
    #[cfg(feature = "kafka")]
    let publisher = crate::publish::Publisher::of(&options.kafka).map_err(Failure::Configuration)?;
    let service = Service::new("integrations-projector", &options.http, &[Part::ViewStore, Part::Views])?;
    let database = files::database(&options.view_store).map_err(Failure::Configuration)?;
    let store = log::follow(&options.log, data_dir)?;
    let listeners = service.bind(options.listen, &options.http).await?;
    let addresses = listeners.addresses;
    let caught_up = EachView::of(&service, Part::Views);
    let begin = |name| {
        let (store, database) = (Arc::clone(&store), database.clone());
        with_view(name, Feeder { service: &service, store, database, caught_up: Arc::clone(&caught_up) })
    };
    let views = view::NAMES.iter().copied().filter_map(begin).collect();
    let root = Root { writes_log: false, ..Root::of(&service, &store, views) };
    #[cfg(feature = "kafka")]
    let root = Root { publishing: publisher.as_ref().map(|publisher| publisher.published()), ..root };
    #[cfg(feature = "kafka")]
    if let Some(publisher) = publisher {
        let publisher = publisher.traced(service.spans());
        let publishing = publisher.run_in_turns(database.clone(), Arc::clone(&store), service.stop.clone());
        service.tasks.spawn(publishing);
    }
    service.answer(&options.http, listeners, None, root, OpenApiRouter::new().into());
    addresses.tell("projector");
    service.run(&*store).await
}
