//! The key files: made at first start with mode 0600, or given by the operator.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use events::{durable, seal::MasterKeys};
use projector::store::postgres::Database;
use web::bearer::TokenKey;

use crate::cli::{OwnTokens, ViewStore};

/// The database of the views. Nothing is connected yet.
pub(crate) fn database(options: &ViewStore) -> anyhow::Result<Database> {
    let password = options.views_password_file.as_ref().map(|path| {
        let text = std::fs::read_to_string(path).map(zeroize::Zeroizing::new);
        text.with_context(|| format!("password file {}", path.display()))
    });
    let password = password.transpose()?;
    let password = password.as_ref().map(|text| text.trim_end_matches(['\r', '\n']));
    Ok(Database::new(&options.views, password, options.views_ca.as_deref())?)
}

/// The key that signs tokens; made when there is none in the data directory.
pub(crate) fn token_key(data_dir: &Path, own_tokens: &OwnTokens) -> anyhow::Result<TokenKey> {
    let path = match &own_tokens.jwt_key_file {
        Some(path) => path.clone(),
        None => {
            let path = data_dir.join("jwt.key");
            make_directory(data_dir)?;
            write_new(&path, &TokenKey::generate_file())?;
            path
        }
    };
    TokenKey::read(&path).with_context(|| format!("token key file {}", path.display()))
}

/// Where the master keys are.
pub(crate) fn master_key_path(data_dir: &Path, given: Option<&PathBuf>) -> PathBuf {
    given.cloned().unwrap_or_else(|| data_dir.join("master.key"))
}

/// The master keys; `None` when there is no file. What is wrapped with them outlives a crash, so they must too.
pub(crate) fn master_keys(path: &Path) -> anyhow::Result<Option<MasterKeys>> {
    if !path.try_exists().with_context(|| format!("master key file {}", path.display()))? {
        return Ok(None);
    }
    let read = MasterKeys::read(path).and_then(|keys| Ok(durable::sync(path).map(|()| keys)?));
    read.map(Some).with_context(|| format!("master key file {}", path.display()))
}

/// Makes a file with a fresh master key.
pub(crate) fn make_master_keys(path: &Path) -> anyhow::Result<MasterKeys> {
    write_new(path, &MasterKeys::generate_file())?;
    MasterKeys::read(path).with_context(|| format!("master key file {}", path.display()))
}

/// Makes the data directory (mode 0700) when it is not there.
pub(crate) fn make_directory(directory: &Path) -> anyhow::Result<()> {
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
    let written = durable::write_draft(&draft, text).and_then(|_| std::fs::hard_link(&draft, path));
    // The draft has done its work under its other name, or is of no use.
    let _ = std::fs::remove_file(&draft);
    match written {
        Ok(()) => durable::sync_directory(path).with_context(|| format!("cannot write {}", path.display())),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
    }
}
