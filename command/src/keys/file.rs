//! The master key file as a running service watches it, and the mark by which it tells which key it uses.

use std::{
    fs::{File, Metadata},
    io,
    path::{Path, PathBuf},
};

use events::{
    durable,
    seal::{self, MasterKeys},
};

/// The name of the mark in the data directory.
const MARK_NAME: &str = "master.key.active";

/// Where the operator's keys are, and where the service says which one it uses.
#[derive(Debug, Clone)]
pub struct KeyFile {
    path: PathBuf,
    mark: PathBuf,
}

/// What tells one state of the file from another without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp(Vec<i128>);

impl KeyFile {
    /// A key file, and the mark in the data directory of the log whose keys it opens.
    #[must_use]
    pub fn new(path: PathBuf, data_dir: &Path) -> Self {
        Self { path, mark: mark_path(data_dir) }
    }

    /// What the file is like now.
    pub(super) fn stamp(&self) -> io::Result<Stamp> {
        std::fs::metadata(&self.path).map(|metadata| Stamp::of(&metadata))
    }

    /// Its keys, once it is certain that a crash does not take the file back to what it was: what is wrapped with a new
    /// key stays in the log.
    pub(super) fn read(&self) -> Result<MasterKeys, seal::Error> {
        let keys = MasterKeys::read(&self.path)?;
        durable::sync(&self.path)?;
        Ok(keys)
    }

    /// Says which key is used, for as long as the answer is kept: the mark counts while its lock is held, so that one
    /// of a service that has ended says nothing.
    pub(super) fn mark(&self, active: &str) -> io::Result<File> {
        let draft = durable::draft_of(&self.mark);
        let file = durable::write_draft(&draft, active)?;
        file.try_lock()?;
        std::fs::rename(&draft, &self.mark)?;
        Ok(file)
    }
}

impl Stamp {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let times = [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
        let place = [metadata.dev(), metadata.ino(), metadata.len()];
        Self(times.into_iter().map(i128::from).chain(place.into_iter().map(i128::from)).collect())
    }

    #[cfg(not(unix))]
    fn of(metadata: &Metadata) -> Self {
        let since = metadata.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let nanos = since.and_then(|since| i128::try_from(since.as_nanos()).ok());
        Self(vec![nanos.unwrap_or(0), i128::from(metadata.len())])
    }
}

fn mark_path(data_dir: &Path) -> PathBuf {
    data_dir.join(MARK_NAME)
}

/// The id of the master key that the service running on a data directory uses, for everything that it may still write;
/// `None` when none says so.
///
/// # Errors
/// What the system says.
pub fn active_of_running(data_dir: &Path) -> io::Result<Option<String>> {
    let file = match File::open(mark_path(data_dir)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(std::fs::TryLockError::WouldBlock) => io::read_to_string(file).map(Some),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}
