//! Random histories, compared with what a few lines of plain code say they must come to.

#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::collections::BTreeMap;

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use super::world::{World, append, assert_tombstoned, event, from, tombstone};
use crate::{
    envelope::NewEvent,
    ids::{Position, Revision},
    store::{Appended, Error, ExpectedRevision, StreamWrite},
    stream::{Kind, StreamName},
};

const KINDS: [Kind; 4] = [Kind::Integration, Kind::Slug, Kind::Key, Kind::Icon];

/// One append of a history; streams by their number.
#[derive(Debug, Clone)]
enum Step {
    /// New events for one stream or two, each expected to be so far from where it is.
    Append(Vec<(usize, i64, u64)>),
    /// An append of the history again: the one so many steps ago.
    Again(usize),
    Tombstone(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let off = prop_oneof![6 => Just(0_i64), 1 => -2..=2_i64];
    let write = (0..KINDS.len(), off, 1..4_u64);
    prop_oneof![
        12 => prop::collection::vec(write, 1..3).prop_map(Step::Append),
        4 => (0..10_usize).prop_map(Step::Again),
        1 => (0..KINDS.len()).prop_map(Step::Tombstone),
    ]
}

/// A stream as the model has it.
#[derive(Debug, Clone, Default)]
struct Modelled {
    events: Vec<NewEvent>,
    is_tombstoned: bool,
    /// Where each event was said to stand.
    positions: BTreeMap<u64, Position>,
}

#[derive(Debug, Clone)]
struct Model {
    streams: BTreeMap<StreamName, Modelled>,
}

/// How the model answers a write.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done(Revision),
    Wrong(Option<Revision>),
    Tombstoned,
}

impl Modelled {
    fn actual(&self) -> Option<Revision> {
        self.events.len().checked_sub(1).map(|last| Revision::new(last as u64))
    }

    fn write(&mut self, write: &StreamWrite) -> Answer {
        let StreamWrite::Append { stream, expected, events } = write else {
            self.is_tombstoned = true;
            return Answer::Done(Revision::FIRST);
        };
        if self.is_tombstoned {
            return Answer::Tombstoned;
        }
        let first = usize::try_from(expected.next().get()).expect("small");
        let last = Revision::new((first + events.len() - 1) as u64);
        if first == self.events.len() {
            self.events.extend_from_slice(events);
            return Answer::Done(last);
        }
        let standing = self.events.get(first..first + events.len()).unwrap_or_default();
        let is_known = !stream.kind().keeps_last_only() || self.actual() == Some(last);
        if is_known && !standing.is_empty() && standing.iter().zip(events).all(|(a, b)| a.id == b.id) {
            return Answer::Done(last);
        }
        Answer::Wrong(self.actual())
    }
}

impl Model {
    /// The answers up to the first refusal; nothing of it is kept where the store is atomic.
    fn write(&mut self, writes: &[StreamWrite], is_atomic: bool) -> Vec<Answer> {
        let before = self.clone();
        let mut answers = Vec::new();
        for write in writes {
            answers.push(self.streams.entry(write.stream().clone()).or_default().write(write));
            if !matches!(answers.last(), Some(Answer::Done(_))) {
                if is_atomic {
                    *self = before;
                }
                break;
            }
        }
        answers
    }

    fn expectation(&self, stream: &StreamName, off: i64) -> ExpectedRevision {
        let n_events = i64::try_from(self.streams[stream].events.len()).expect("small");
        match u64::try_from(n_events + off) {
            Ok(0) | Err(_) => ExpectedRevision::NoStream,
            Ok(next) => ExpectedRevision::Exact(Revision::new(next - 1)),
        }
    }

    /// The writes of a step; each stream once.
    fn writes(&self, step: &Step, names: &[StreamName], history: &[Vec<StreamWrite>]) -> Vec<StreamWrite> {
        match step {
            Step::Again(ago) => history.iter().rev().nth(*ago).cloned().unwrap_or_default(),
            Step::Tombstone(at) => vec![tombstone(&names[*at])],
            Step::Append(appends) => {
                let mut writes: Vec<StreamWrite> = Vec::new();
                for (at, off, n) in appends {
                    let (stream, expected) = (&names[*at], self.expectation(&names[*at], *off));
                    let first = expected.next().get();
                    let events: Vec<_> = (first..first + n).map(|revision| event(stream, revision, "{}")).collect();
                    if writes.iter().all(|write| write.stream() != stream) {
                        writes.push(append(stream, expected, &events));
                    }
                }
                writes
            }
        }
    }

    /// Compares the store's answer with the model's.
    fn compare(&mut self, writes: &[StreamWrite], answers: &[Answer], result: Result<Vec<Appended>, Error>) {
        match (result, answers.last()) {
            (Ok(appended), _) => {
                assert_eq!(appended.len(), answers.len());
                for ((write, answer), appended) in writes.iter().zip(answers).zip(appended) {
                    if let StreamWrite::Append { stream, .. } = write {
                        assert_eq!(answer, &Answer::Done(appended.revision));
                        let modelled = self.streams.get_mut(stream).expect("it was written to");
                        let known = modelled.positions.entry(appended.revision.get()).or_insert(appended.position);
                        assert_eq!(*known, appended.position, "a repeat stands where it stood");
                    }
                }
            }
            (Err(Error::WrongExpectedRevision { stream, actual }), Some(answer)) => {
                assert_eq!(answer, &Answer::Wrong(actual));
                assert_eq!(&stream, writes[answers.len() - 1].stream());
            }
            (Err(Error::Tombstoned { stream }), Some(answer)) => {
                assert_eq!(answer, &Answer::Tombstoned);
                assert_eq!(&stream, writes[answers.len() - 1].stream());
            }
            (Err(error), _) => panic!("{error:?}"),
        }
    }
}

async fn check_history(world: &World, steps: &[Step]) {
    let names = KINDS.map(|kind| world.stream(kind));
    let mut model = Model { streams: names.iter().map(|name| (name.clone(), Modelled::default())).collect() };
    let (mut history, is_atomic) = (Vec::new(), world.store.is_atomic());
    for step in steps {
        let writes = model.writes(step, &names, &history);
        let answers = model.write(&writes, is_atomic);
        let result = world.write(writes.clone()).await;
        model.compare(&writes, &answers, result);
        history.push(writes);
    }
    for (name, modelled) in &model.streams {
        if modelled.is_tombstoned {
            assert_tombstoned(world.try_read(name, from(0), 100).await, name);
            continue;
        }
        let recorded = world.read(name).await;
        let n_gone = if name.kind().keeps_last_only() { modelled.events.len().saturating_sub(1) } else { 0 };
        assert_eq!(super::world::contents(&recorded), modelled.events[n_gone..], "{name}");
        for event in &recorded {
            // Where a later write of the same append was refused, nothing was said of it.
            let said = modelled.positions.get(&event.revision.get());
            assert!(said.is_none_or(|position| *position == event.position), "{name} {}", event.revision);
        }
    }
}

#[expect(clippy::print_stderr, reason = "shown only when the test fails: the history that did it")]
pub async fn random_histories_come_to_what_a_model_says(world: World) {
    let mut runner = TestRunner::default();
    let histories = prop::collection::vec(step(), 1..40);
    for _ in 0..24 {
        let steps = histories.new_tree(&mut runner).expect("nothing is filtered").current();
        eprintln!("{steps:?}");
        check_history(&world, &steps).await;
    }
}
