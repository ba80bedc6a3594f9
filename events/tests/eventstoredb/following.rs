//! Subscriptions under faults: every event once and in order, and no processor at work for nothing.

use std::time::Duration;

use events::{
    ids::{EventId, Position},
    store::{
        Error, EventStore as _, ExpectedRevision::NoStream, Health, Message, Subscription, eventstoredb::EventStoreDb,
    },
    stream::{Kind, StreamName},
};
use peer::{Fault, Options, Peer};

use super::{Site, append, exact, integration, open, slug, soon, until, until_health};

/// A follower that checks that positions rise.
struct Follower {
    subscription: Box<dyn Subscription>,
    told: Position,
}

impl Follower {
    fn new(store: &EventStoreDb, after: Position) -> Self {
        Self { subscription: store.subscribe(after, &[Kind::Integration]), told: after }
    }

    /// The ids of the next events.
    async fn ids(&mut self, n: usize) -> Vec<EventId> {
        let mut ids = Vec::new();
        while ids.len() < n {
            for event in self.next().await {
                assert!(event.position > self.told, "each once and in order");
                self.told = event.position;
                ids.push(event.id);
            }
        }
        ids
    }

    async fn next(&mut self) -> Vec<events::envelope::RecordedEvent> {
        match soon(self.subscription.next()).await.expect("the store is open") {
            Message::Events(events) => events,
            Message::Checkpoint(position) => {
                assert!(position > self.told);
                self.told = position;
                Vec::new()
            }
            Message::CaughtUp => Vec::new(),
            Message::Damaged(damaged) => panic!("{damaged}"),
        }
    }
}

/// How long this thread has worked.
fn worked() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells it");
    Duration::from_nanos(text.split_whitespace().next().expect("a number").parse().expect("a number"))
}

async fn append_many(store: &EventStoreDb, stream: &StreamName, first: u64, n: u64) -> Vec<EventId> {
    let mut ids = Vec::new();
    for next in first..first + n {
        let expected = next.checked_sub(1).map_or(NoStream, exact);
        ids.push(append(store, stream, expected).await.expect("it is the next"));
    }
    ids
}

#[tokio::test]
async fn a_subscription_that_the_server_ends_goes_on_and_spins_no_processor() {
    let site = Site::new().await;
    let (stream, mut follower) = (integration(), Follower::new(&site.store, Position::START));
    let first = append_many(&site.store, &stream, 0, 3).await;
    assert_eq!(follower.ids(3).await, first);
    until(|| site.peer.counts().subscriptions == 2).await;
    site.peer.fault(&Fault::EndSubscriptions);
    until(|| site.peer.counts().subscriptions >= 4).await;
    // All of the store's own tasks are on this thread.
    let before = worked();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(worked() - before < Duration::from_millis(25), "it worked for {:?} of 500 ms", worked() - before);
    let more = append_many(&site.store, &stream, 3, 3).await;
    assert_eq!(follower.ids(3).await, more);
}

#[tokio::test]
async fn a_server_that_ends_every_subscription_at_once_is_not_asked_without_pause() {
    let site = Site::new().await;
    let mut follower = Follower::new(&site.store, Position::START);
    until(|| site.peer.counts().subscriptions == 2).await;
    let (before, since) = (worked(), tokio::time::Instant::now());
    while since.elapsed() < Duration::from_secs(1) {
        site.peer.fault(&Fault::EndSubscriptions);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(site.peer.counts().subscriptions < 40, "{:?}", site.peer.counts());
    assert!(worked() - before < Duration::from_millis(250), "it worked for {:?} of 1 s", worked() - before);
    let given = append_many(&site.store, &integration(), 0, 2).await;
    assert_eq!(follower.ids(2).await, given);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_told_twice_while_connections_are_cut() {
    let site = Site::new().await;
    let (stream, mut follower) = (integration(), Follower::new(&site.store, Position::START));
    let mut given = Vec::new();
    for round in 0..10 {
        given.extend(append_many(&site.store, &stream, round * 20, 20).await);
        append(&site.store, &slug(), NoStream).await.expect("of no interest");
        site.peer.fault(if round % 3 == 0 { &Fault::EndSubscriptions } else { &Fault::Drop });
    }
    assert_eq!(follower.ids(200).await, given);
    assert_eq!(Follower::new(&site.store, Position::START).ids(200).await, given);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_killed_is_taken_up_again_where_it_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = Options { directory: Some(directory.path().to_owned()), ..Options::default() };
    let peer = Peer::start(&options).expect("a peer");
    let store = open(&peer.url()).await;
    let (stream, mut follower) = (integration(), Follower::new(&store, Position::START));
    let mut given = append_many(&store, &stream, 0, 10).await;
    assert_eq!(follower.ids(10).await, given);
    let mut head = *store.head().borrow();
    for round in 1..4 {
        peer.stop();
        until_health(&store, Health::Failing).await;
        let refused = append(&store, &integration(), NoStream).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
        let since = tokio::time::Instant::now();
        peer.start_again().expect("the port is free again");
        until_health(&store, Health::Ready).await;
        assert!(since.elapsed() < Duration::from_secs(10), "it heals in time");
        let more = append_many(&store, &stream, round * 10, 10).await;
        assert_eq!(follower.ids(10).await, more, "and nothing of before comes again");
        assert!(*store.head().borrow() > head);
        (head, given) = (*store.head().borrow(), [given, more].concat());
    }
    assert_eq!(Follower::new(&store, Position::START).ids(40).await, given);
}

#[tokio::test]
async fn the_head_moves_as_another_process_appends() {
    let site = Site::new().await;
    let other = open(&site.peer.url()).await;
    let (mut head, stream) = (other.head(), slug());
    for revision in 0..5_u64 {
        let before = *head.borrow_and_update();
        append_many(&site.store, &stream, revision, 1).await;
        assert!(*soon(head.wait_for(|head| *head > before)).await.expect("the store is open") > before);
    }
}

#[tokio::test]
async fn a_position_up_to_a_record_comes_before_it() {
    let site = Site::new().await;
    let given = append_many(&site.store, &integration(), 0, 3).await;
    let page = site.store.read_all(Position::START, &[Kind::Integration], 10).await.expect("the log can be read");
    for (at, event) in page.events.iter().enumerate() {
        // As the server tells it while it catches up: the commit position of the next record, and a lesser prepare.
        let up_to = Position::new(event.position.get() - 1);
        assert_eq!(Follower::new(&site.store, up_to).ids(3 - at).await, given[at..]);
        let page = site.store.read_all(up_to, &[Kind::Integration], 10).await.expect("the log can be read");
        assert_eq!(page.events.len(), 3 - at);
    }
}
