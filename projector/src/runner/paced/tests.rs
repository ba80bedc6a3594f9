use events::ids::Position;

use super::{
    super::said::{events, said, told},
    *,
};

#[tokio::test(start_paused = true)]
async fn whoever_was_busy_elsewhere_is_told_at_once_what_is_overdue() {
    let mut paced = Paced::of(said(vec![events(1..=100)]), NonZeroU32::new(1_000).expect("some"));
    tokio::time::sleep(Duration::from_millis(30)).await;
    for expected in [30, 10] {
        let Ok(Message::Events(events)) = paced.next().await else { panic!("there are events") };
        assert_eq!(events.len(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn so_many_events_a_second_are_told_and_few_at_a_time() {
    let messages = vec![events(1..=25), Message::Checkpoint(Position::new(30)), events(31..=31), Message::CaughtUp];
    let (began, rate) = (Instant::now(), NonZeroU32::new(1_000).expect("some"));
    let mut paced = Paced::of(said(messages), rate);
    let mut all = Vec::new();
    while all.len() < 6 {
        let next = told(&paced.next().await.expect("it never fails"));
        all.push((next, began.elapsed().as_millis()));
    }
    let expected = [
        ("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]", 0),
        ("[11, 12, 13, 14, 15, 16, 17, 18, 19, 20]", 10),
        ("[21, 22, 23, 24, 25]", 20),
        ("through 30", 25),
        ("[31]", 25),
        ("caught up", 26),
    ];
    assert_eq!(all, expected.map(|(told, at)| (told.to_owned(), at)));
}
