//! Appending: expected revisions, several streams at once, and what is no append at all.

#![expect(missing_docs, reason = "the name of a case is its sentence")]

use super::world::{
    World, append, assert_events, assert_rising, assert_tombstoned, assert_wrong, event, events, exact, last_position,
    revisions, tombstone,
};
use crate::{
    envelope::Digest,
    ids::Revision,
    store::{Error, ExpectedRevision::NoStream, Health, StreamWrite},
    stream::Kind,
};

pub async fn a_stream_that_never_was_takes_an_append_that_expects_no_stream(world: World) {
    let stream = world.integration();
    let (events, appended) = world.append(&stream, NoStream, 1).await;
    assert_eq!(appended.revision, Revision::FIRST);
    assert_events(&world.read(&stream).await, &events);
}

pub async fn a_stream_that_never_was_refuses_an_append_that_expects_a_revision(world: World) {
    for revision in [0, 7] {
        let stream = world.integration();
        let refused = world.send(&stream, exact(revision), &events(&stream, exact(revision), 1)).await;
        assert_wrong(refused, &stream, None);
        assert!(world.read(&stream).await.is_empty());
    }
}

pub async fn a_stream_with_events_refuses_an_append_that_expects_no_stream(world: World) {
    let (stream, given) = world.given(Kind::Integration, 2).await;
    assert_wrong(world.send(&stream, NoStream, &events(&stream, NoStream, 1)).await, &stream, Some(1));
    assert_events(&world.read(&stream).await, &given);
}

pub async fn an_append_that_expects_the_last_revision_goes_behind_it(world: World) {
    let (stream, mut given) = world.given(Kind::Integration, 2).await;
    let (more, appended) = world.append(&stream, exact(1), 1).await;
    assert_eq!(appended.revision, Revision::new(2));
    given.extend(more);
    assert_events(&world.read(&stream).await, &given);
}

pub async fn an_append_that_expects_an_earlier_revision_is_refused(world: World) {
    let (stream, given) = world.given(Kind::Integration, 3).await;
    for behind in [0, 1] {
        let late = events(&stream, exact(behind), 1);
        assert_wrong(world.send(&stream, exact(behind), &late).await, &stream, Some(2));
    }
    assert_events(&world.read(&stream).await, &given);
}

pub async fn an_append_that_expects_a_later_revision_is_refused(world: World) {
    let (stream, given) = world.given(Kind::Integration, 3).await;
    for ahead in [3, 100] {
        let early = events(&stream, exact(ahead), 1);
        assert_wrong(world.send(&stream, exact(ahead), &early).await, &stream, Some(2));
    }
    assert_events(&world.read(&stream).await, &given);
}

pub async fn a_refused_append_may_be_sent_again_with_the_right_expectation(world: World) {
    let (stream, mut given) = world.given(Kind::Integration, 1).await;
    let refused = events(&stream, NoStream, 1);
    assert_wrong(world.send(&stream, NoStream, &refused).await, &stream, Some(0));
    world.send(&stream, exact(0), &refused).await.expect("it is at 0");
    given.extend(refused);
    assert_events(&world.read(&stream).await, &given);
}

pub async fn the_answer_is_where_the_last_event_stands(world: World) {
    let stream = world.integration();
    for (expected, n) in [(NoStream, 1), (exact(0), 3), (exact(3), 1)] {
        let (_, appended) = world.append(&stream, expected, n).await;
        let last = world.read(&stream).await.pop().expect("there are events");
        assert_eq!((appended.revision, appended.position), (last.revision, last.position));
    }
}

pub async fn events_of_one_append_get_revisions_and_positions_in_their_order(world: World) {
    let (stream, given) = world.given(Kind::Integration, 5).await;
    let recorded = world.read(&stream).await;
    assert_events(&recorded, &given);
    assert_eq!(revisions(&recorded), [0, 1, 2, 3, 4]);
}

pub async fn positions_rise_from_append_to_append_in_whatever_streams(world: World) {
    let (one, other) = (world.integration(), world.stream(Kind::Slug));
    let mut positions = vec![world.start];
    for round in 0..5 {
        for stream in [&one, &other] {
            let expected = if round == 0 { NoStream } else { exact(round - 1) };
            positions.push(world.append(stream, expected, 1).await.1.position);
        }
    }
    assert!(positions.is_sorted_by(|a, b| a < b), "{positions:?}");
}

pub async fn streams_of_every_kind_take_appends(world: World) {
    for kind in Kind::ALL {
        let (stream, given) = world.given(kind, 1).await;
        world.append(&stream, exact(0), 1).await;
        let n_kept = if kind.keeps_last_only() { 1 } else { 2 };
        assert_eq!(world.read(&stream).await.len(), n_kept, "{stream}");
        assert_eq!(given.len(), 1);
    }
}

pub async fn an_append_of_nothing_is_answered_with_nothing(world: World) {
    assert_eq!(world.write(Vec::new()).await.expect("there is nothing to refuse"), []);
}

/// Sends what must be refused before anything is written, beside something that could be.
async fn check_no_append(world: World, write: StreamWrite) {
    let good = world.integration();
    let beside = append(&good, NoStream, &events(&good, NoStream, 1));
    let refused = write.stream().clone();
    let result = world.write(vec![beside, write]).await;
    assert!(matches!(result, Err(Error::Unavailable(_))), "{result:?}");
    assert!(world.read(&good).await.is_empty(), "nothing beside it was written");
    assert!(refused == good || world.read(&refused).await.is_empty(), "nothing of it was written");
    assert_eq!(*world.store.health().borrow(), Health::Ready, "the store is as well as before");
    world.append(&good, NoStream, 1).await;
}

pub async fn a_write_without_events_is_refused(world: World) {
    let stream = world.integration();
    check_no_append(world, append(&stream, NoStream, &[])).await;
}

pub async fn data_that_is_no_text_is_refused_where_text_belongs(world: World) {
    let stream = world.stream(Kind::Slug);
    let bytes = event(&stream, 0, vec![b'"', 0xff, b'"']);
    check_no_append(world, append(&stream, NoStream, &[bytes])).await;
}

pub async fn metadata_that_is_no_text_is_refused(world: World) {
    let stream = world.stream(Kind::Icon);
    let mut bytes = event(&stream, 0, vec![0xff]);
    bytes.metadata = vec![0xff].into();
    check_no_append(world, append(&stream, NoStream, &[bytes])).await;
}

pub async fn a_type_that_begins_with_a_dollar_is_refused(world: World) {
    let stream = world.integration();
    let mut reserved = event(&stream, 0, "{}");
    reserved.event_type = "$tombstone".to_owned();
    check_no_append(world, append(&stream, NoStream, &[reserved])).await;
}

pub async fn a_stream_that_is_named_twice_in_one_append_is_refused(world: World) {
    let stream = world.integration();
    let first = append(&stream, NoStream, &events(&stream, NoStream, 1));
    for second in [append(&stream, exact(0), &events(&stream, exact(0), 1)), first.clone(), tombstone(&stream)] {
        let result = world.write(vec![first.clone(), second]).await;
        assert!(matches!(result, Err(Error::Unavailable(_))), "{result:?}");
        assert!(world.read(&stream).await.is_empty());
    }
    world.write(vec![first]).await.expect("once is right");
}

pub async fn writes_to_several_streams_are_answered_in_their_order(world: World) {
    let streams = [Kind::Slug, Kind::Key, Kind::Integration].map(|kind| world.stream(kind));
    let write = |stream| append(stream, NoStream, &events(stream, NoStream, 2));
    let appended = world.write(streams.iter().map(write).collect()).await.expect("all are new");
    for (stream, appended) in streams.iter().zip(&appended) {
        let last = world.read(stream).await.pop().expect("there are events");
        assert_eq!((last.revision, last.position), (appended.revision, appended.position), "{stream}");
    }
    assert!(appended.is_sorted_by(|a, b| a.position < b.position), "{appended:?}");
}

pub async fn a_later_write_that_is_refused_leaves_nothing_of_those_before_it_where_the_store_is_atomic(world: World) {
    let (taken, _) = world.given(Kind::Slug, 1).await;
    let (before, after) = (world.key(), world.integration());
    let write = |stream| append(stream, NoStream, &events(stream, NoStream, 1));
    assert_wrong(world.write(vec![write(&before), write(&taken), write(&after)]).await, &taken, Some(0));
    let n_done = if world.store.is_atomic() { 0 } else { 1 };
    assert_eq!(world.read(&before).await.len(), n_done, "all or none, else those before it");
    assert!(world.read(&after).await.is_empty(), "nothing behind it");
    assert_eq!(world.read(&taken).await.len(), 1);
}

pub async fn a_first_write_that_is_refused_leaves_nothing_of_those_behind_it(world: World) {
    let (taken, _) = world.given(Kind::Slug, 1).await;
    let behind = world.integration();
    let write = |stream| append(stream, NoStream, &events(stream, NoStream, 1));
    assert_wrong(world.write(vec![write(&taken), write(&behind)]).await, &taken, Some(0));
    assert!(world.read(&behind).await.is_empty());
}

pub async fn a_tombstoned_stream_among_several_refuses_the_append(world: World) {
    let (removed, _) = world.given(Kind::Key, 1).await;
    world.remove(&removed).await;
    let stream = world.integration();
    let write = |stream| append(stream, NoStream, &events(stream, NoStream, 1));
    assert_tombstoned(world.write(vec![write(&removed), write(&stream)]).await, &removed);
    assert!(world.read(&stream).await.is_empty());
}

pub async fn several_streams_are_all_there_once_their_append_is_answered(world: World) {
    let streams: Vec<_> = (0..20).map(|_| world.integration()).collect();
    let write = |stream| append(stream, NoStream, &events(stream, NoStream, 2));
    world.write(streams.iter().map(write).collect()).await.expect("all are new");
    for stream in &streams {
        assert_eq!(revisions(&world.read(stream).await), [0, 1]);
    }
}

pub async fn one_append_may_have_thousands_of_events(world: World) {
    let (stream, mut given) = world.given(Kind::Integration, 2_500).await;
    let (more, appended) = world.append(&stream, exact(2_499), 1).await;
    given.extend(more);
    let recorded = world.read(&stream).await;
    assert_events(&recorded, &given);
    assert_eq!(last_position(&recorded), appended.position);
    assert_eq!(revisions(&recorded), (0..=2_500).collect::<Vec<_>>());
}

pub async fn an_icon_of_the_largest_size_is_kept(world: World) {
    let stream = world.stream(Kind::Icon);
    let pseudo_random = |at: usize| Digest::of(&at.to_be_bytes()).as_bytes().to_vec();
    let bytes: Vec<u8> = (0..crate::limits::ICON_BYTES_MAX / 32).flat_map(pseudo_random).collect();
    assert_eq!(bytes.len(), 512 * 1024);
    let icon = event(&stream, 0, bytes);
    world.send(&stream, NoStream, std::slice::from_ref(&icon)).await.expect("it is not too large");
    assert_events(&world.read(&stream).await, std::slice::from_ref(&icon));
    assert_events(&world.read_all(&[Kind::Icon], 10).await, &[icon]);
}

pub async fn large_events_of_one_append_are_all_kept(world: World) {
    // Together just under 1 MiB, which is what EventStoreDB takes at most where nobody told it otherwise.
    let stream = world.integration();
    let large = |revision| event(&stream, revision, format!(r#"{{"text":"{}"}}"#, "ä".repeat(45_000)));
    let large: Vec<_> = (0..10).map(large).collect();
    world.send(&stream, NoStream, &large).await.expect("they are not too large");
    let recorded = world.read(&stream).await;
    assert_rising(&recorded);
    assert_events(&recorded, &large);
}
