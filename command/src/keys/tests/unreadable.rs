//! Data keys that cannot be had, told from a file that does not open the log.

use super::*;

const ID: &str = "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6c";

/// What stands in the log in place of the data key of the integration with this id.
async fn stand_in(world: &World, change: impl FnOnce(&mut NewEvent)) -> IntegrationId {
    let id = ID.parse().unwrap();
    let wrapping = world.ring().write(&world.tenant, id, &DataKey::generate(), World::now()).await;
    let mut write = wrapping.write.clone();
    let StreamWrite::Append { events, .. } = &mut write else { panic!("a key is appended") };
    change(&mut events[0]);
    world.store.append(vec![write]).await.unwrap();
    id
}

/// A later release wrote it.
fn of_a_later_release(event: &mut NewEvent) {
    event.event_type = "DataKeyWrapped.v2".to_owned();
}

/// One character of the ciphertext is another one.
fn altered(event: &mut NewEvent) {
    let text = std::str::from_utf8(&event.data).unwrap();
    let at = text.find("\"ciphertext\":\"").unwrap() + "\"ciphertext\":\"".len();
    let other = if text[at..].starts_with('A') { "B" } else { "A" };
    event.data = format!("{}{other}{}", &text[..at], &text[at + 1..]).into();
}

/// A world in which this ring has wrapped a data key, and another key of the same id the stand-in's.
async fn closed(world: &World) -> IntegrationId {
    let (path, text) = (world.directory.path().join("keys"), world.text());
    let fresh = MasterKeys::generate_file();
    let active = text.keys().active();
    std::fs::write(&path, format!("{active} {}", fresh.split_once(' ').unwrap().1)).unwrap();
    let id = stand_in(world, |_| {}).await;
    std::fs::write(&path, text.expose()).unwrap();
    id
}

async fn check_is_alone(world: &World, id: IntegrationId) {
    let ring = world.ring();
    let found = ring.find(&world.tenant, id).await;
    assert!(matches!(found, Err(Error::Unreadable(_))), "{found:?}");
    assert!(ring.find(&world.tenant, world.id).await.unwrap().is_some());
}

#[tokio::test]
async fn one_that_is_of_a_later_release_or_altered_is_nobody_elses_trouble() {
    for (change, to_rewrap) in [(of_a_later_release as fn(&mut NewEvent), 1), (altered, 0)] {
        let world = World::new();
        let id = stand_in(&world, change).await;
        // Also while no other one is there to prove the master key.
        assert_eq!(world.ring().check().await.unwrap(), to_rewrap);
        world.wrap_with(&world.ring()).await;
        assert_eq!(world.ring().check().await.unwrap(), to_rewrap);
        check_is_alone(&world, id).await;
    }
}

#[tokio::test]
async fn one_that_does_not_open_beside_one_that_does_is_damaged_and_without_one_the_master_key_is_another() {
    let world = World::new();
    let id = closed(&world).await;
    let refused = world.ring().check().await;
    assert!(matches!(refused, Err(KeyCheckError::DoesNotOpen(seal::Error::DoesNotOpen))), "{refused:?}");
    // What the next master key opens proves nothing of this one.
    let text = world.text();
    world.rotate();
    let other = "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6d".parse().unwrap();
    world.wrap_for(other, &world.ring()).await;
    world.ring().check().await.unwrap_err();
    let rotated = world.text();
    std::fs::write(world.directory.path().join("keys"), text.expose()).unwrap();
    world.wrap_with(&world.ring()).await;
    std::fs::write(world.directory.path().join("keys"), rotated.expose()).unwrap();
    assert_eq!(world.ring().check().await.unwrap(), 2);
    check_is_alone(&world, id).await;
}

#[tokio::test]
async fn a_rotation_takes_what_it_can_and_leaves_the_rest_as_it_is() {
    for change in [of_a_later_release, altered] {
        let world = World::new();
        let id = stand_in(&world, change).await;
        world.wrap_with(&world.ring()).await;
        world.rotate();
        let ring = world.ring();
        assert_eq!(ring.check().await.unwrap(), 2);
        for (id, expected) in [(id, Standing::Unreadable), (world.id, Standing::ToRewrap)] {
            let stream = StreamName::key(&world.tenant, id);
            let read = Ok(world.store.read_stream(&stream, Direction::BackwardsFromEnd, 1).await.unwrap().remove(0));
            assert_eq!(ring.standing(&read).await.unwrap(), expected);
            let wrapping = ring.rewrap(&read, World::now()).await.unwrap();
            assert_eq!(wrapping.is_some(), expected == Standing::ToRewrap);
        }
    }
}

#[tokio::test]
async fn a_changed_file_is_taken_up_beside_one() {
    let world = World::new();
    stand_in(&world, altered).await;
    let first = world.ring();
    world.rotate();
    first.look().await.unwrap();
    // The old master key goes: the look at every data key passes it by.
    std::fs::write(world.directory.path().join("keys"), world.text().with_active_key_only().expose()).unwrap();
    first.look().await.unwrap();
    assert_eq!(first.masters().ids().count(), 1);
}

#[tokio::test]
async fn without_a_master_key_file_a_log_has_no_data_keys_not_even_such() {
    let world = World::new();
    check_has_no_keys(&*world.store).await.unwrap();
    stand_in(&world, of_a_later_release).await;
    let refused = check_has_no_keys(&*world.store).await;
    assert!(matches!(refused, Err(KeyCheckError::NoFile)), "{refused:?}");
}
