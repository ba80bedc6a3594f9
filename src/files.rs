//! The key files: made at first start with mode 0600, or given by the operator.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use events::seal::MasterKeys;
use web::bearer::TokenKey;

use crate::cli::Data;

/// The key that signs tokens; made when there is none in the data directory.
pub(crate) fn token_key(data: &Data) -> anyhow::Result<TokenKey> {
    let path = match &data.jwt_key_file {
        Some(path) => path.clone(),
        None => {
            let path = data.data_dir.join("jwt.key");
            make_directory(&data.data_dir)?;
            write_new(&path, &TokenKey::generate_file())?;
            path
        }
    };
    TokenKey::read(&path).with_context(|| format!("token key file {}", path.display()))
}

/// Where the master keys are.
pub(crate) fn master_key_path(data: &Data, given: Option<&PathBuf>) -> PathBuf {
    given.cloned().unwrap_or_else(|| data.data_dir.join("master.key"))
}

/// The master keys; `None` when there is no file.
pub(crate) fn master_keys(path: &Path) -> anyhow::Result<Option<MasterKeys>> {
    if !path.try_exists().with_context(|| format!("master key file {}", path.display()))? {
        return Ok(None);
    }
    MasterKeys::read(path).map(Some).with_context(|| format!("master key file {}", path.display()))
}

/// Makes a file with a fresh master key.
pub(crate) fn make_master_keys(path: &Path) -> anyhow::Result<MasterKeys> {
    write_new(path, &MasterKeys::generate_file())?;
    MasterKeys::read(path).with_context(|| format!("master key file {}", path.display()))
}

fn make_directory(directory: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(directory).with_context(|| format!("data directory {}", directory.display()))
}

/// Writes a file that only its owner may read, durably, unless there is one. Two processes that start at once agree on
/// the one that is there first: it is complete when it gets its name.
fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    if path.try_exists().unwrap_or(false) {
        return Ok(());
    }
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    let written = write_draft(&draft, text).and_then(|()| std::fs::hard_link(&draft, path));
    // The draft has done its work under its other name, or is of no use.
    let _ = std::fs::remove_file(&draft);
    match written {
        Ok(()) => sync_directory(path).with_context(|| format!("cannot write {}", path.display())),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
    }
}

fn write_draft(draft: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Makes the name of a file durable.
pub(crate) fn sync_directory(path: &Path) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(directory)?.sync_all()
}
