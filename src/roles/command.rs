//! `integrations command`: takes commands, writes the log, knows no views.

use std::{path::Path, sync::Arc};

use command::{Clock, run_janitor};
use web::readiness::Part;

use super::elsewhere;
use crate::{
    Failure, cli,
    commands::{Commands, now},
    log,
    root::Root,
    service::{self, Service, Trust},
};

/// Runs the role until it is told to stop.
pub(crate) fn run(options: &cli::Command, data_dir: &Path) -> Result<(), Failure> {
    service::run(command(options, data_dir))
}

async fn command(options: &cli::Command, data_dir: &Path) -> Result<(), Failure> {
    let service =
        Service::new("integrations-command", &options.http, &service::with_tokens(&[Part::Log], &options.identity))?;
    let provider = service.provider(&options.identity).await?;
    let store = log::write(&options.log, data_dir)?;
    let commands = Commands::prepare(&options.writing, data_dir, &store).await?;
    let trust = Trust::of(&options.identity, data_dir, provider.as_ref())?;
    let listeners = service.bind(options.listen, &options.http).await?;
    let addresses = listeners.addresses;
    let root = Root::of(&service, &store, Vec::new());
    let api = commands.router(&service).merge(elsewhere(query::description(), "This process takes commands only."));
    service.answer(&options.http, listeners, Some(trust.tokens), root, api.into());
    commands.look_after(&service);
    service.tasks.spawn(run_janitor(Arc::clone(&store), commands.keys(), Clock(now), service.stop.clone()));
    addresses.tell("command");
    service.run(&*store).await
}
