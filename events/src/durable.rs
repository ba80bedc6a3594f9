//! Small files that must survive a crash: written beside their place, synced, put there by name.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    path::{Path, PathBuf},
};

/// Makes a file that only its owner may read, under a name that nobody looks for yet.
///
/// # Errors
/// What the system says.
pub fn create_draft(draft: &Path) -> io::Result<File> {
    // What an interrupted run left may hold what is to be forgotten.
    match std::fs::remove_file(draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(draft)
}

/// Writes a file that only its owner may read, synced, under a name that nobody looks for yet.
///
/// # Errors
/// What the system says.
pub fn write_draft(draft: &Path, text: &str) -> io::Result<File> {
    let mut file = create_draft(draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(file)
}

/// Puts a new text in a file's place, all or nothing, with the mode and the owner that the file had. Whoever calls it
/// must be the only one to do so.
///
/// # Errors
/// What the system says. The file is then the old one or the new one.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    // Where the name is a link, the file that it means is replaced, not the link.
    let path = path.canonicalize()?;
    let draft = draft_of(&path);
    let old = std::fs::metadata(&path)?;
    let new = write_draft(&draft, text)?;
    keep_owner(&draft, &old, &new.metadata()?)?;
    new.set_permissions(old.permissions())?;
    new.sync_all()?;
    std::fs::rename(&draft, &path)?;
    sync_directory(&path)
}

/// The name beside a file under which its next content is written.
#[must_use]
pub fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".draft");
    name.into()
}

#[cfg(unix)]
fn keep_owner(draft: &Path, old: &std::fs::Metadata, new: &std::fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let is_the_same = (old.uid(), old.gid()) == (new.uid(), new.gid());
    if is_the_same { Ok(()) } else { chown(draft, Some(old.uid()), Some(old.gid())) }
}

#[cfg(not(unix))]
fn keep_owner(_: &Path, _: &std::fs::Metadata, _: &std::fs::Metadata) -> io::Result<()> {
    Ok(())
}

/// Makes sure that what stands under a name now stands there after a crash.
///
/// # Errors
/// What the system says.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    sync_directory(path)
}

/// Makes sure that a file's name stands in its directory after a crash.
///
/// # Errors
/// What the system says.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}
