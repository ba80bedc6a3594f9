//! `integrations export` and `import`: the log into a file and out of it, verbatim.

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use events::{
    durable,
    envelope::RecordedEvent,
    ids::Position,
    store::{export::Export, sqlite::snapshot::Snapshot},
};

use crate::{
    Failure,
    archive::Writer,
    cli::{self, Place},
    log::OnServer,
    progress::Progress,
};

mod import;

pub(crate) use import::import;

const BUFFER_BYTES: usize = 256 * 1_024;

/// Writes the log into a file, or to the standard output.
pub(crate) fn export(options: &cli::Transfer, data_dir: &Path) -> Result<(), Failure> {
    if let Some(log) = OnServer::open(&options.log)? {
        return export_of(options, OfServer { export: Export::new(log.store()), log: &log });
    }
    export_of(options, Snapshot::open(data_dir).map_err(configuration)?)
}

fn export_of(options: &cli::Transfer, log: impl Exported) -> Result<(), Failure> {
    let (progress, head) = (Progress::new("exporting"), log.head());
    let events = match &options.place {
        Place::Standard => {
            let out = BufWriter::with_capacity(BUFFER_BYTES, std::io::stdout().lock());
            write(log, out, &progress).map(|(_, events)| events)
        }
        Place::File(path) => export_to(path, log, &progress)?,
    };
    let events = events.context("cannot export").map_err(Failure::Service)?;
    tell(&progress, "exported", events, head.get());
    Ok(())
}

/// A log at one moment.
trait Exported {
    /// The highest position that was ever given.
    fn head(&self) -> Position;

    /// Shows every event that an export holds, in the order of positions.
    fn for_each(self, visit: impl FnMut(&RecordedEvent) -> anyhow::Result<()>) -> anyhow::Result<()>;
}

impl Exported for Snapshot {
    fn head(&self) -> Position {
        self.head()
    }

    fn for_each(self, visit: impl FnMut(&RecordedEvent) -> anyhow::Result<()>) -> anyhow::Result<()> {
        Self::for_each(&self, visit)
    }
}

/// A log on a server.
struct OfServer<'a> {
    export: Export<'a>,
    log: &'a OnServer,
}

impl Exported for OfServer<'_> {
    fn head(&self) -> Position {
        self.export.head()
    }

    fn for_each(mut self, mut visit: impl FnMut(&RecordedEvent) -> anyhow::Result<()>) -> anyhow::Result<()> {
        while let Some(events) = self.log.wait(self.export.next()).map_err(Failure::into_error)? {
            events.iter().try_for_each(&mut visit)?;
        }
        Ok(())
    }
}

/// Writes a file under a draft's name, which it loses when it is complete and on the disk.
fn export_to(path: &Path, log: impl Exported, progress: &Progress) -> Result<anyhow::Result<u64>, Failure> {
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(configuration(anyhow!("{} is no regular file; `-` is the standard output", path.display())));
    }
    let draft = draft_of(path).map_err(configuration)?;
    let file = durable::create_draft(&draft)
        .with_context(|| format!("cannot write {}", draft.display()))
        .map_err(configuration)?;
    let written = write(log, BufWriter::with_capacity(BUFFER_BYTES, file), progress).and_then(|(out, events)| {
        out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&draft, path)?;
        durable::sync_directory(path)?;
        Ok(events)
    });
    if written.is_err() {
        // It is of no use, and the error is what matters.
        let _ = std::fs::remove_file(&draft);
    }
    Ok(written)
}

fn draft_of(path: &Path) -> anyhow::Result<PathBuf> {
    let mut name = path.file_name().with_context(|| format!("{} is no file", path.display()))?.to_owned();
    name.push(format!(".draft-{}", std::process::id()));
    Ok(path.with_file_name(name))
}

fn write<W: Write>(log: impl Exported, out: W, progress: &Progress) -> anyhow::Result<(W, u64)> {
    let head = log.head();
    let mut writer = Writer::begin(out, head)?;
    log.for_each(|event| {
        writer.event(event)?;
        progress.tell(writer.events(), event.position.get(), head.get());
        Ok(())
    })?;
    let events = writer.events();
    Ok((writer.finish()?, events))
}

fn configuration(error: impl Into<anyhow::Error>) -> Failure {
    Failure::Configuration(error.into())
}

/// The last line. Nobody may be there to read it.
fn tell(progress: &Progress, done: &str, events: u64, head: u64) {
    progress.clear();
    let _ = writeln!(std::io::stderr(), "{done} {events} events, head {head}, {} events/s", progress.rate(events));
}
