//! `integrations keys rotate`: a fresh master key, and the end of the old ones. Each step may be interrupted: the file is
//! the old one or the new one, and the verb can be run again.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    path::Path,
};

use anyhow::{Context as _, anyhow};
use command::active_of_running;
use events::{
    durable,
    seal::{KeyFileText, MasterKeys},
    store::{
        sqlite::keys::{Hold, hold, wraps},
        walk::Walk,
        wraps::Wraps,
    },
    stream::Kind,
};

use crate::{Failure, cli::Rotate, files, log::OnServer};

/// The lock of everybody who changes the key file.
const LOCK_NAME: &str = "master.key.lock";

/// Adds a master key, or drops those that are not active.
pub(crate) fn rotate(options: &Rotate, data_dir: &Path) -> Result<(), Failure> {
    let path = files::master_key_path(data_dir, options.master_key_file.as_ref());
    if !path.exists() {
        let what = anyhow!("there is no master key file {}: nothing to rotate", path.display());
        return Err(Failure::Configuration(what));
    }
    let _alone = lock(data_dir).map_err(Failure::Configuration)?;
    let text = KeyFileText::read(&path)
        .with_context(|| format!("master key file {}", path.display()))
        .map_err(Failure::Configuration)?;
    let told = if options.drop { drop_old(options, data_dir, &path, &text)? } else { add(&path, &text)? };
    writeln!(std::io::stdout(), "{told}").context("cannot print what was done").map_err(Failure::Service)
}

fn add(path: &Path, text: &KeyFileText) -> Result<String, Failure> {
    let rotated = text.with_fresh_key();
    replace(path, &rotated)?;
    Ok(format!("The active master key is now {}", rotated.keys().active()))
}

fn drop_old(options: &Rotate, data_dir: &Path, path: &Path, text: &KeyFileText) -> Result<String, Failure> {
    let active = text.keys().active();
    let old = text.keys().ids().count() - 1;
    if old > 0 {
        if let Some(log) = OnServer::open(&options.log)? {
            return Err(look_only(&log, path, text.keys())?);
        }
        // Held until the file is replaced: no service starts in between with what is about to go.
        let _hold = settled(data_dir, active)?;
        let needed = wraps(data_dir).map_err(|error| Failure::Configuration(error.into()))?;
        check_needless(needed, text.keys())?;
        replace(path, &text.with_active_key_only())?;
    }
    Ok(format!("Dropped {old} master key(s); the only one is now {active}"))
}

/// Makes sure that nothing is written any more with a key that is not active: nobody writes the log, or who does says
/// that it uses the active key.
fn settled(data_dir: &Path, active: &str) -> Result<Option<Hold>, Failure> {
    let hold = hold(data_dir).map_err(|error| Failure::Configuration(error.into()))?;
    if hold.is_some() {
        return Ok(hold);
    }
    let in_use = active_of_running(data_dir)
        .with_context(|| format!("data directory {}", data_dir.display()))
        .map_err(Failure::Configuration)?;
    if in_use.as_deref() == Some(active) {
        return Ok(None);
    }
    let what = "the process that has the event log open has not taken up master key";
    Err(Failure::Configuration(anyhow!("{what} {active} yet: nothing was dropped, try again in a moment")))
}

/// Why nothing is dropped while the log is on a server, where nobody can be asked who writes it. One that does, or that
/// was halted and will go on, may be about to wrap a data key with an old master key, after whatever was looked at here;
/// so the log is looked at, and the file is left to whoever knows of every process.
fn look_only(log: &OnServer, path: &Path, keys: &MasterKeys) -> Result<Failure, Failure> {
    check_needless(wraps_on_server(log)?, keys)?;
    Ok(Failure::Configuration(anyhow!(
        "every data key of the log is under master key {0}, but whether every process that writes the log uses it cannot be \
         asked: nothing was dropped; once each of them says integrations_active_master_key{{id=\"{0}\"}} at /metrics, and \
         this verb says so again, take the other lines out of {1} by hand",
        keys.active(),
        path.display()
    )))
}

fn wraps_on_server(log: &OnServer) -> Result<Wraps, Failure> {
    let (mut wraps, mut walk) = (Wraps::default(), Walk::new(&**log.store(), &[Kind::Key]));
    while let Some(page) = log.wait(walk.next())? {
        page.iter().for_each(|read| wraps.count(read));
    }
    Ok(wraps)
}

fn check_needless(wraps: Wraps, keys: &MasterKeys) -> Result<(), Failure> {
    let Wraps { mut by_master_key, unreadable } = wraps;
    by_master_key.remove(keys.active());
    let mut needed: Vec<_> = by_master_key.iter().map(|(id, count)| format!("{count} need {id}")).collect();
    if unreadable > 0 {
        needed.push(format!("{unreadable} cannot be read and may need any"));
    }
    if needed.is_empty() {
        return Ok(());
    }
    let what = "data keys are not yet under the active master key";
    Err(Failure::Configuration(anyhow!("{what} {}: {}; nothing was dropped", keys.active(), needed.join(", "))))
}

fn replace(path: &Path, text: &KeyFileText) -> Result<(), Failure> {
    durable::replace(path, text.expose())
        .with_context(|| format!("cannot replace the master key file {}", path.display()))
        .map_err(Failure::Service)
}

/// Waits until nobody else changes the key file.
fn lock(data_dir: &Path) -> anyhow::Result<File> {
    files::make_directory(data_dir)?;
    let path = data_dir.join(LOCK_NAME);
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).with_context(|| path.display().to_string())?;
    file.lock().with_context(|| path.display().to_string())?;
    Ok(file)
}
