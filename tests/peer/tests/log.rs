//! The table of expected revisions, row by row; repeats, tombstones, `$maxCount`, and the file.

use std::collections::HashMap;

use peer::log::{Answer, Expected, Found, Log, Proposed, TOMBSTONE, TOMBSTONE_REVISION};
use uuid::Uuid;

fn log() -> Log {
    Log::open(None).expect("in memory")
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn event(n: u128) -> Proposed {
    let metadata = [("type", "happened"), ("content-type", "application/json")];
    Proposed {
        id: id(n),
        metadata: HashMap::from(metadata.map(|(key, value)| (key.to_owned(), value.to_owned()))),
        custom_metadata: "{}".into(),
        data: n.to_string().into(),
    }
}

fn append(log: &mut Log, expected: Expected, ids: &[u128]) -> Answer {
    log.append("s", expected, ids.iter().map(|n| event(*n)).collect()).expect("the file takes it")
}

/// A log with events 1, 2, … in the stream.
fn given(n: u128) -> Log {
    let mut log = log();
    for n in 1..=n {
        append(&mut log, Expected::Any, &[n]);
    }
    log
}

#[track_caller]
fn check_written(mut log: Log, expected: Expected, revision: u64) {
    let answer = append(&mut log, expected, &[100]);
    assert!(matches!(answer, Answer::Written { revision: at, .. } if at == revision), "{answer:?}");
}

#[track_caller]
fn check_wrong(mut log: Log, expected: Expected, ids: &[u128], current: Option<u64>) {
    let n = log.len();
    assert_eq!(append(&mut log, expected, ids), Answer::WrongExpectedVersion { current });
    assert_eq!(log.len(), n, "nothing was written");
}

#[track_caller]
fn check_idempotent(mut log: Log, expected: Expected, ids: &[u128], revision: u64) {
    let n = log.len();
    assert_eq!(append(&mut log, expected, ids), Answer::Idempotent { revision });
    assert_eq!(log.len(), n, "nothing was written");
}

#[test]
fn any_is_taken_by_a_stream_that_never_was() {
    check_written(given(0), Expected::Any, 0);
}

#[test]
fn any_is_taken_by_a_stream_with_events() {
    check_written(given(3), Expected::Any, 3);
}

#[test]
fn no_stream_is_taken_by_a_stream_that_never_was() {
    check_written(given(0), Expected::NoStream, 0);
}

#[test]
fn no_stream_is_refused_by_a_stream_with_events() {
    check_wrong(given(3), Expected::NoStream, &[100], Some(2));
}

#[test]
fn stream_exists_is_refused_by_a_stream_that_never_was() {
    check_wrong(given(0), Expected::StreamExists, &[100], None);
}

#[test]
fn stream_exists_is_taken_by_a_stream_with_events() {
    check_written(given(3), Expected::StreamExists, 3);
}

#[test]
fn an_exact_revision_is_refused_by_a_stream_that_never_was() {
    check_wrong(given(0), Expected::Exact(0), &[100], None);
}

#[test]
fn the_exact_revision_is_taken() {
    check_written(given(3), Expected::Exact(2), 3);
}

#[test]
fn an_earlier_revision_is_refused() {
    check_wrong(given(3), Expected::Exact(1), &[100], Some(2));
}

#[test]
fn a_later_revision_is_refused() {
    check_wrong(given(3), Expected::Exact(3), &[100], Some(2));
}

#[test]
fn the_exact_revision_is_taken_whatever_ids_come() {
    let mut log = given(3);
    let answer = append(&mut log, Expected::Exact(2), &[3]);
    assert!(matches!(answer, Answer::Written { revision: 3, .. }), "the server does not look at ids there: {answer:?}");
}

#[test]
fn a_repeat_under_no_stream_is_idempotent_at_any_later_time() {
    check_idempotent(given(5), Expected::NoStream, &[1, 2], 1);
}

#[test]
fn a_repeat_under_an_exact_revision_is_idempotent_at_any_later_time() {
    check_idempotent(given(5), Expected::Exact(1), &[3, 4], 3);
}

#[test]
fn a_repeat_under_any_is_idempotent() {
    check_idempotent(given(5), Expected::Any, &[4], 3);
    check_idempotent(given(5), Expected::StreamExists, &[4, 5], 4);
}

#[test]
fn a_repeat_that_goes_on_is_refused() {
    check_wrong(given(3), Expected::Exact(1), &[3, 100], Some(2));
    check_wrong(given(3), Expected::Any, &[3, 100], Some(2));
}

#[test]
fn a_repeat_in_another_order_or_elsewhere_is_refused() {
    check_wrong(given(3), Expected::NoStream, &[2, 1], Some(2));
    check_wrong(given(3), Expected::NoStream, &[2], Some(2));
    check_wrong(given(3), Expected::Exact(0), &[1], Some(2));
}

#[test]
fn a_removed_stream_takes_nothing_and_is_not_removed_twice() {
    let mut log = given(3);
    let removed = log.tombstone("s", Expected::Any).expect("the file takes it");
    assert!(matches!(removed, Answer::Written { revision: TOMBSTONE_REVISION, .. }), "{removed:?}");
    for expected in [Expected::Any, Expected::NoStream, Expected::StreamExists, Expected::Exact(2)] {
        assert_eq!(append(&mut log, expected, &[1]), Answer::StreamDeleted);
    }
    assert_eq!(log.tombstone("s", Expected::Any).expect("the file takes it"), Answer::StreamDeleted);
    assert_eq!(log.find("s"), Found::Deleted);
    assert_eq!(log.append("$$s", Expected::Any, vec![event(9)]).expect("the file takes it"), Answer::StreamDeleted);
    assert_eq!(log.event(3).expect("it stands in the log").event_type(), TOMBSTONE);
    assert_eq!(log.event(0).expect("so does what was removed").proposed.id, id(1));
}

#[test]
fn a_stream_that_never_was_can_be_removed_by_any_and_no_stream_only() {
    for (expected, is_done) in [(Expected::Any, true), (Expected::NoStream, true), (Expected::Exact(0), false)] {
        let answer = log().tombstone("s", expected).expect("the file takes it");
        assert_eq!(matches!(answer, Answer::Written { .. }), is_done, "{answer:?}");
    }
}

#[test]
fn max_count_hides_older_events_from_readers_of_the_stream_only() {
    let mut log = given(3);
    let mut metadata = event(50);
    metadata.data = r#"{"$maxCount":1}"#.into();
    log.append("$$s", Expected::NoStream, vec![metadata]).expect("the file takes it");
    assert_eq!(log.find("s"), Found::Revisions(2, 2));
    append(&mut log, Expected::Exact(2), &[4]);
    assert_eq!(log.find("s"), Found::Revisions(3, 3));
    assert_eq!(log.len(), 5);
    assert_eq!(append(&mut log, Expected::NoStream, &[1]), Answer::Idempotent { revision: 0 });
}

#[test]
fn positions_rise_and_are_those_of_records() {
    let log = given(10);
    let positions: Vec<_> = (0..10).filter_map(|at| Some(log.event(at)?.position)).collect();
    assert!(positions.is_sorted_by(|a, b| a < b), "{positions:?}");
    for (at, position) in positions.iter().enumerate() {
        assert_eq!(log.index_of(*position), Some(at));
        assert_eq!(log.index_of(position + 1), None);
    }
    assert_eq!(log.index_of(log.end()), Some(10));
}

#[test]
fn a_log_is_there_again_when_it_is_opened_again_and_a_torn_end_is_cut() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = || Log::open(Some(directory.path())).expect("the log opens");
    let mut log = open();
    append(&mut log, Expected::NoStream, &[1, 2]);
    log.tombstone("gone", Expected::Any).expect("the file takes it");
    let events: Vec<_> = (0..3).map(|at| log.event(at).cloned()).collect();
    let end = log.end();
    drop(log);
    let path = directory.path().join("peer.log");
    let mut bytes = std::fs::read(&path).expect("the file");
    bytes.extend_from_slice(&[200, 0, 0, 0, 1, 2, 3]);
    std::fs::write(&path, bytes).expect("the file");
    let mut log = open();
    assert_eq!((0..3).map(|at| log.event(at).cloned()).collect::<Vec<_>>(), events);
    assert_eq!((log.len(), log.end()), (3, end));
    assert_eq!(log.find("gone"), Found::Deleted);
    assert!(matches!(append(&mut log, Expected::Exact(1), &[3]), Answer::Written { revision: 2, .. }));
}

#[test]
fn a_file_of_something_else_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("peer.log"), "something else").expect("a file");
    assert!(Log::open(Some(directory.path())).is_err());
}
