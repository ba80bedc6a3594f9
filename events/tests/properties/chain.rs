//! The hash chain finds every change inside what is there.

use bytes::Bytes;
use events::{
    envelope::{Altered, Digest, NewEvent, Place, RecordedEvent},
    ids::{EventId, Position, Revision},
    stored::Store as _,
    stream::StreamName,
};
use proptest::{collection::vec, prelude::*, sample::Index};
use uuid::Uuid;

use super::generators::{event, event_id, integration_id, metadata, tenant, timestamp};

/// A stream of one integration, as it was appended.
fn chain() -> impl Strategy<Value = Vec<RecordedEvent>> {
    let events = vec((event(), event_id(), metadata()), 2..6);
    (tenant(), integration_id(), events).prop_map(|(tenant, integration, events)| {
        let stream = StreamName::integration(&tenant, integration);
        let mut previous = Digest::ZERO;
        let seal = |(revision, (event, id, metadata)): (u64, (events::event::IntegrationEvent, EventId, _))| {
            let (stored, revision) = (event.to_stored(), Revision::new(revision));
            let place = Place { stream: &stream, revision, previous };
            let sealed = NewEvent::seal(place, id, stored.event_type, stored.data, &metadata);
            previous = sealed.hash;
            record(&stream, revision, sealed)
        };
        (0..).zip(events).map(seal).collect()
    })
}

fn record(stream: &StreamName, revision: Revision, event: NewEvent) -> RecordedEvent {
    let NewEvent { id, event_type, at, data, metadata, hash } = event;
    let position = Position::new(7 * revision.get() + 3);
    RecordedEvent { position, stream: stream.clone(), revision, id, event_type, at, data, metadata, hash }
}

/// Checks a stream as whoever verifies a log does: each event with the hash of the one before it.
fn check(chain: &[RecordedEvent]) -> Result<(), Altered> {
    let mut previous = Digest::ZERO;
    for event in chain {
        event.check_hash(previous)?;
        previous = event.hash;
    }
    Ok(())
}

/// The text with one byte changed that stays text; none when there is none.
fn change(bytes: &[u8], at: Index, flip: u8) -> Option<Vec<u8>> {
    let mut changed = bytes.to_vec();
    *changed.get_mut(at.index(bytes.len().max(1)))? ^= flip;
    Some(changed)
}

proptest! {
    #[test]
    fn a_chain_as_it_was_appended_is_intact(chain in chain()) {
        prop_assert_eq!(check(&chain), Ok(()));
    }

    #[test]
    fn one_changed_byte_of_data_or_metadata_is_found(
        chain in chain(), which in any::<Index>(), at in any::<Index>(), flip in 1..=255_u8,
    ) {
        let which = which.index(chain.len());
        let mut altered = chain.clone();
        altered[which].data = change(&chain[which].data, at, flip).expect("it has bytes").into();
        prop_assert_eq!(check(&altered), Err(Altered));
        let mut altered = chain.clone();
        altered[which].metadata = change(&chain[which].metadata, at, flip).expect("it has bytes").into();
        prop_assert_eq!(check(&altered), Err(Altered));
    }

    #[test]
    fn one_changed_byte_of_type_id_or_hash_is_found(
        chain in chain(), which in any::<Index>(), at in any::<Index>(), flip in 1..=127_u8,
    ) {
        let which = which.index(chain.len());
        let mut altered = chain.clone();
        let event_type = change(chain[which].event_type.as_bytes(), at, flip).expect("it has bytes");
        altered[which].event_type = String::from_utf8(event_type).expect("ASCII stays ASCII");
        prop_assert_eq!(check(&altered), Err(Altered));
        let mut altered = chain.clone();
        let id = change(chain[which].id.uuid().as_bytes(), at, flip).expect("it has bytes");
        altered[which].id = EventId::new(Uuid::from_slice(&id).expect("16 bytes"));
        prop_assert_eq!(check(&altered), Err(Altered));
        let mut altered = chain.clone();
        let hash = change(chain[which].hash.as_bytes(), at, flip).expect("it has bytes");
        altered[which].hash = Digest::new(hash.try_into().expect("32 bytes"));
        prop_assert_eq!(check(&altered), Err(Altered));
    }

    #[test]
    fn another_stream_revision_or_time_is_found(
        chain in chain(), which in any::<Index>(), revision in any::<u64>(), at in timestamp(),
        tenant in tenant(), integration in integration_id(),
    ) {
        let which = which.index(chain.len());
        let event = &chain[which];
        let stream = StreamName::integration(&tenant, integration);
        prop_assume!(stream != event.stream && at != event.at && revision != event.revision.get());
        for altered_event in [
            RecordedEvent { stream, ..event.clone() },
            RecordedEvent { revision: Revision::new(revision), ..event.clone() },
            RecordedEvent { at, ..event.clone() },
        ] {
            let mut altered = chain.clone();
            altered[which] = altered_event;
            prop_assert_eq!(check(&altered), Err(Altered));
        }
    }

    #[test]
    fn bytes_added_or_cut_are_found(chain in chain(), which in any::<Index>(), byte in any::<u8>()) {
        let which = which.index(chain.len());
        let fields: [fn(&mut RecordedEvent) -> &mut Bytes; 2] = [|event| &mut event.data, |event| &mut event.metadata];
        for field in fields {
            let mut altered = chain.clone();
            let bytes = field(&mut altered[which]);
            *bytes = [bytes.as_ref(), &[byte]].concat().into();
            prop_assert_eq!(check(&altered), Err(Altered));
            let mut altered = chain.clone();
            let bytes = field(&mut altered[which]);
            bytes.truncate(bytes.len() - 1);
            prop_assert_eq!(check(&altered), Err(Altered));
        }
    }

    #[test]
    fn a_byte_that_moves_from_one_part_to_the_next_is_found(chain in chain(), which in any::<Index>()) {
        let mut altered = chain.clone();
        let event = &mut altered[which.index(chain.len())];
        let first = event.data.split_to(1);
        event.event_type.push(char::from(first[0]));
        prop_assert_eq!(check(&altered), Err(Altered));
    }

    #[test]
    fn events_in_another_order_are_found(chain in chain(), a in any::<Index>(), b in any::<Index>()) {
        let (a, b) = (a.index(chain.len()), b.index(chain.len()));
        prop_assume!(a != b);
        let mut altered = chain.clone();
        altered.swap(a, b);
        prop_assert_eq!(check(&altered), Err(Altered));
        // Nor are they hidden by giving each the number of its new place.
        (altered[a].revision, altered[b].revision) = (chain[a].revision, chain[b].revision);
        prop_assert_eq!(check(&altered), Err(Altered));
    }

    #[test]
    fn an_event_that_was_taken_out_is_found(chain in chain(), which in any::<Index>()) {
        let which = which.index(chain.len() - 1);
        let mut altered = chain.clone();
        altered.remove(which);
        prop_assert_eq!(check(&altered), Err(Altered));
        for (revision, event) in (0..).zip(&mut altered) {
            event.revision = Revision::new(revision);
        }
        prop_assert_eq!(check(&altered), Err(Altered));
    }

    #[test]
    fn an_event_that_was_put_in_is_found(chain in chain(), which in any::<Index>(), twin in any::<Index>()) {
        let mut altered = chain.clone();
        altered.insert(which.index(chain.len()), chain[twin.index(chain.len())].clone());
        prop_assert_eq!(check(&altered), Err(Altered));
    }

    #[test]
    fn an_event_that_was_made_anew_is_found_by_the_next(
        chain in chain(), which in any::<Index>(), event in event(), id in event_id(), metadata in metadata(),
    ) {
        let which = which.index(chain.len() - 1);
        let previous = which.checked_sub(1).map_or(Digest::ZERO, |before| chain[before].hash);
        let (stream, revision, stored) = (&chain[which].stream, chain[which].revision, event.to_stored());
        let place = Place { stream, revision, previous };
        let forged = NewEvent::seal(place, id, stored.event_type, stored.data, &metadata);
        let mut altered = chain.clone();
        altered[which] = record(stream, revision, forged);
        prop_assert_eq!(altered[which].check_hash(previous), Ok(()), "by itself it is intact");
        prop_assert_eq!(check(&altered), Err(Altered));
    }
}
