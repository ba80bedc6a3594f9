//! `integrations export` and `import`: the log into a file and out of it, verbatim.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use events::{
    durable,
    store::sqlite::{
        import::{self, Import},
        snapshot::Snapshot,
    },
};

use crate::{
    Failure,
    archive::{Reader, Writer},
    cli::{self, Place},
    log,
    progress::Progress,
};

const BUFFER_BYTES: usize = 256 * 1_024;

/// Writes the log into a file, or to the standard output.
pub(crate) fn export(options: &cli::Transfer, data_dir: &Path) -> Result<(), Failure> {
    log::embedded_only(&options.log, "export")?;
    let snapshot = Snapshot::open(data_dir).map_err(configuration)?;
    let progress = Progress::new("exporting");
    let events = match &options.place {
        Place::Standard => {
            let out = BufWriter::with_capacity(BUFFER_BYTES, std::io::stdout().lock());
            write(&snapshot, out, &progress).map(|(_, events)| events)
        }
        Place::File(path) => export_to(path, &snapshot, &progress)?,
    };
    let events = events.context("cannot export").map_err(Failure::Service)?;
    tell(&progress, "exported", events, snapshot.head().get());
    Ok(())
}

/// Writes a file under a draft's name, which it loses when it is complete and on the disk.
fn export_to(path: &Path, snapshot: &Snapshot, progress: &Progress) -> Result<anyhow::Result<u64>, Failure> {
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(configuration(anyhow!("{} is no regular file; `-` is the standard output", path.display())));
    }
    let draft = draft_of(path).map_err(configuration)?;
    let file = durable::create_draft(&draft)
        .with_context(|| format!("cannot write {}", draft.display()))
        .map_err(configuration)?;
    let written = write(snapshot, BufWriter::with_capacity(BUFFER_BYTES, file), progress).and_then(|(out, events)| {
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

fn write<W: Write>(snapshot: &Snapshot, out: W, progress: &Progress) -> anyhow::Result<(W, u64)> {
    let head = snapshot.head();
    let mut writer = Writer::begin(out, head)?;
    snapshot.for_each(|event| {
        writer.event(event)?;
        progress.tell(writer.events(), event.position.get(), head.get());
        anyhow::Ok(())
    })?;
    let events = writer.events();
    Ok((writer.finish()?, events))
}

/// Writes an export into an empty log.
pub(crate) fn import(options: &cli::Transfer, data_dir: &Path) -> Result<(), Failure> {
    log::embedded_only(&options.log, "import")?;
    match &options.place {
        Place::Standard => read(std::io::stdin().lock(), data_dir),
        Place::File(path) => {
            let file = File::open(path).with_context(|| format!("cannot read {}", path.display()));
            read(BufReader::with_capacity(BUFFER_BYTES, file.map_err(configuration)?), data_dir)
        }
    }
}

fn read(input: impl BufRead, data_dir: &Path) -> Result<(), Failure> {
    let mut reader = Reader::begin(input)?;
    let head = reader.head();
    let mut import = Import::begin(data_dir, head).map_err(configuration)?;
    let progress = Progress::new("importing");
    let mut events = 0;
    while let Some(event) = reader.event()? {
        import.add(&event).map_err(|error| match error {
            import::Error::Refused(refusal) => reader.refuse(refusal),
            import::Error::Sqlite(_) | import::Error::File(_) => Failure::Service(anyhow!(error)),
        })?;
        events += 1;
        progress.tell(events, event.position.get(), head.get());
    }
    import.finish().map_err(|error| Failure::Service(anyhow!(error)))?;
    tell(&progress, "imported", events, head.get());
    Ok(())
}

fn configuration(error: impl Into<anyhow::Error>) -> Failure {
    Failure::Configuration(error.into())
}

/// The last line. Nobody may be there to read it.
fn tell(progress: &Progress, done: &str, events: u64, head: u64) {
    progress.clear();
    let _ = writeln!(std::io::stderr(), "{done} {events} events, head {head}, {} events/s", progress.rate(events));
}
