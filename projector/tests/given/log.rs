//! An embedded log in a directory of its own, and a runner that follows it for a while.

use std::{collections::BTreeMap, time::Duration};

use chrono::DateTime;
use events::{
    envelope::{Digest, Metadata, NewEvent, Place, new_event_id},
    ids::{Position, Revision},
    store::{EventStore as _, ExpectedRevision, StreamWrite, sqlite::SqliteStore},
    stored::StoredForm,
    stream::StreamName,
    time::Timestamp,
};
use projector::{
    runner::{Error, Progress, run},
    store::WriteViews,
    view::View,
};
use tempfile::TempDir;
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Log {
    store: SqliteStore,
    ends: BTreeMap<StreamName, (Revision, Digest)>,
    _directory: TempDir,
}

impl Log {
    pub(crate) fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path()).unwrap();
        Self { store, ends: BTreeMap::new(), _directory: directory }
    }

    pub(crate) async fn append(&mut self, stream: &StreamName, form: StoredForm) -> Position {
        let end = self.ends.get(stream).copied();
        let expected = end.map_or(ExpectedRevision::NoStream, |(revision, _)| ExpectedRevision::Exact(revision));
        let previous = end.filter(|_| stream.kind().is_chained()).map_or(Digest::ZERO, |(_, hash)| hash);
        let place = Place { stream, revision: expected.next(), previous };
        let metadata = Metadata::of_service(None, Timestamp::new(DateTime::UNIX_EPOCH));
        let event = NewEvent::seal(place, new_event_id(), form.event_type, form.data, &metadata);
        self.ends.insert(stream.clone(), (expected.next(), event.hash));
        let write = StreamWrite::Append { stream: stream.clone(), expected, events: vec![event] };
        self.store.append(vec![write]).await.unwrap()[0].position
    }

    /// Runs a view until the runner has told something, and answers all that it told.
    pub(crate) async fn follow<V: View>(
        &self,
        views: &dyn WriteViews<V>,
        is_enough: impl Fn(Progress) -> bool,
    ) -> Vec<Progress> {
        let (sender, mut told) = mpsc::unbounded_channel();
        let enough = async {
            let mut all = Vec::new();
            while let Some(progress) = told.recv().await {
                all.push(progress);
                if is_enough(progress) {
                    break;
                }
            }
            all
        };
        let running = run(&self.store, views, move |progress| {
            // Nobody listens any more once enough was told.
            let _ = sender.send(progress);
        });
        tokio::select! {
            ended = running => panic!("the runner ended: {ended:?}"),
            all = enough => all,
            () = tokio::time::sleep(PATIENCE) => panic!("the runner never told it"),
        }
    }

    /// Runs a view until the runner ends.
    pub(crate) async fn follow_to_the_end<V: View>(&self, views: &dyn WriteViews<V>) -> Error {
        let Err(error) = tokio::time::timeout(PATIENCE, run(&self.store, views, |_| {})).await.unwrap();
        error
    }
}
