use super::{
    super::said::{events, said, told},
    *,
};

/// Everything that is told without waiting.
async fn all(bounded: &mut Bounded) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        tokio::select! {
            biased;
            next = bounded.next() => all.push(told(&next.expect("it never fails"))),
            () = std::future::ready(()) => return all,
        }
    }
}

#[tokio::test]
async fn nothing_behind_the_bound_is_told_and_everything_up_to_it() {
    let messages =
        vec![events(1..=4), events(6..=9), Message::CaughtUp, Message::Checkpoint(Position::new(12)), events(14..=14)];
    let bound = watch::Sender::new(Position::new(7));
    let mut bounded = Bounded::of(said(messages), bound.subscribe());
    assert_eq!(all(&mut bounded).await, ["[1, 2, 3, 4]", "[6, 7]", "caught up"]);
    assert_eq!(all(&mut bounded).await, [""; 0]);
    bound.send_replace(Position::new(8));
    assert_eq!(all(&mut bounded).await, ["[8]"]);
    bound.send_replace(Position::new(10));
    assert_eq!(all(&mut bounded).await, ["[9]", "through 10"], "that it has caught up is told once");
    bound.send_replace(Position::new(13));
    assert_eq!(all(&mut bounded).await, ["through 12", "through 13"]);
    bound.send_replace(Position::new(20));
    assert_eq!(all(&mut bounded).await, ["[14]"]);
}

#[tokio::test]
async fn whoever_may_read_nothing_has_caught_up() {
    let bound = watch::Sender::new(Position::START);
    let mut bounded = Bounded::of(said(vec![events(1..=2)]), bound.subscribe());
    assert_eq!(all(&mut bounded).await, ["caught up"]);
}
