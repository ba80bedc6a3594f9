//! `integrations import`: an export becomes a log in the data directory, or one on a server.

use std::{
    fs::File,
    io::{BufRead, BufReader, Seek as _},
    path::Path,
};

use anyhow::{Context as _, anyhow};
use events::{
    envelope::RecordedEvent,
    store::{check::Remembering, import as port, sqlite::import as sqlite},
};

use super::{BUFFER_BYTES, configuration, tell};
use crate::{
    Failure,
    archive::Reader,
    cli::{self, Place},
    log::OnServer,
    progress::Progress,
};

/// Writes an export into an empty log.
pub(crate) fn import(options: &cli::Transfer, data_dir: &Path) -> Result<(), Failure> {
    let is_on_server = options.log.server().is_some();
    match &options.place {
        Place::Standard if is_on_server => Err(read_twice("the standard input")),
        Place::Standard => into_file(std::io::stdin().lock(), data_dir),
        Place::File(path) => {
            let file = File::open(path).with_context(|| format!("cannot read {}", path.display()));
            let file = file.map_err(configuration)?;
            if is_on_server && !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
                return Err(read_twice(&path.display().to_string()));
            }
            match OnServer::open(&options.log)? {
                Some(log) => into_server(&file, &log),
                None => into_file(BufReader::with_capacity(BUFFER_BYTES, file), data_dir),
            }
        }
    }
}

/// Refuses what cannot be read twice. A copy of it would be one more backup, on a disk that nobody has chosen.
fn read_twice(what: &str) -> Failure {
    configuration(anyhow!(
        "an import into a server reads the export twice, to check all of it before anything is written: {what} is no \
         regular file"
    ))
}

fn into_file(input: impl BufRead, data_dir: &Path) -> Result<(), Failure> {
    let mut reader = Reader::begin(input)?;
    let head = reader.head();
    let mut import = sqlite::Import::begin(data_dir, head).map_err(configuration)?;
    let progress = Progress::new("importing");
    let mut events = 0;
    while let Some(event) = reader.event()? {
        import.add(&event).map_err(|error| match error {
            sqlite::Error::Refused(refusal) => reader.refuse(refusal),
            sqlite::Error::Sqlite(_) | sqlite::Error::File(_) => Failure::Service(anyhow!(error)),
        })?;
        events += 1;
        progress.tell(events, event.position.get(), head.get());
    }
    import.finish().map_err(|error| Failure::Service(anyhow!(error)))?;
    tell(&progress, "imported", events, head.get());
    Ok(())
}

/// Checks all of it, then appends it; what is appended is checked as it is read again, since a file may change.
fn into_server(mut file: &File, log: &OnServer) -> Result<(), Failure> {
    read_checked(file, "checking", |_| Ok(()))?;
    file.rewind().context("cannot read the export").map_err(Failure::Service)?;
    let mut import = port::Import::new(&**log.store());
    let (progress, events) = read_checked(file, "importing", |event| log.run(import.add(event)).map_err(not_imported))?;
    let head = log.run(import.finish()).map_err(not_imported)?;
    tell(&progress, "imported", events, head.get());
    Ok(())
}

/// Shows every event of an export, checked.
fn read_checked(
    file: &File,
    doing: &'static str,
    mut visit: impl FnMut(&RecordedEvent) -> Result<(), Failure>,
) -> Result<(Progress, u64), Failure> {
    let mut reader = Reader::begin(BufReader::with_capacity(BUFFER_BYTES, file))?;
    let head = reader.head();
    let (progress, mut check, mut events) = (Progress::new(doing), Remembering::new(head), 0);
    while let Some(event) = reader.event()? {
        let checked = check.event(&event).and_then(|()| port::check(&event));
        checked.map_err(|refusal| reader.refuse(refusal))?;
        visit(&event)?;
        events += 1;
        progress.tell(events, event.position.get(), head.get());
    }
    Ok((progress, events))
}

fn not_imported(error: port::Error) -> Failure {
    match error {
        port::Error::AnotherLog { .. } => configuration(error),
        port::Error::Store(error) if error.is_retryable() => {
            Failure::Service(anyhow!(error).context("the import was cut off, and goes on when it is run again"))
        }
        port::Error::Store(error) => {
            Failure::Service(anyhow!(error).context("the import ends: somebody else writes to the log"))
        }
    }
}
