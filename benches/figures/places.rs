//! Where benchmarks keep their files: on the disk of the target directory, so that a sync is a real one.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A directory that is removed when it is dropped.
pub(crate) fn temporary() -> TempDir {
    tempfile::Builder::new().prefix("bench-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A directory that stays for the next run; made once. What makes it must not be found half done.
pub(crate) fn kept(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench-data");
    let directory = all.join(name);
    if !directory.exists() {
        std::fs::create_dir_all(&all).unwrap();
        let unfinished = tempfile::Builder::new().prefix("unfinished-").tempdir_in(&all).unwrap();
        make(&unfinished.path().join("made"));
        std::fs::rename(unfinished.path().join("made"), &directory).unwrap();
    }
    directory
}
