//! The cases: each takes a store in which nothing is yet.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use events::{
    ids::{Position, Slug},
    integration::Fact,
    principal::Level,
};
use projector::{
    runner::fold,
    store::{Batch, Error, Snapshot, WriteViews},
    view::integrations::Integrations,
};

use super::{
    facts::Facts,
    history::{created, deleted, integration, shared, tenant},
};

type Views<'a> = &'a dyn WriteViews<Integrations>;

fn checkpoint(views: Views<'_>) -> Position {
    *views.checkpoint().borrow()
}

fn write(views: Views<'_>, facts: &[Fact]) {
    views.write(fold(views, checkpoint(views), facts)).unwrap();
}

fn snapshot(views: Views<'_>, of: &str) -> Arc<Snapshot<Integrations>> {
    views.snapshot(&tenant(of))
}

fn empty(from: u64, through: u64) -> Batch<Integrations> {
    Batch { from: Position::new(from), through: Position::new(through), tenants: [].into() }
}

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

pub(crate) fn a_batch_takes_effect_as_a_whole(views: Views<'_>) {
    let mut facts = Facts::default();
    let batch = [
        facts.next("acme", 1, created("alice", "one")),
        facts.next("acme", 2, created("bob", "two")),
        facts.next("acme", 1, shared("carol", Level::Read)),
    ];
    write(views, &batch);
    let acme = snapshot(views, "acme");
    assert_eq!(acme.documents.len(), 2);
    assert_eq!(acme.documents[&integration(1)].shares.len(), 1);
    assert_eq!(acme.index.get(&slug("two")), Some(integration(2)));
    assert_eq!(checkpoint(views), facts.end());
}

pub(crate) fn a_batch_that_continues_from_elsewhere_is_refused_and_changes_nothing(views: Views<'_>) {
    let mut facts = Facts::default();
    write(views, &[facts.next("acme", 1, created("alice", "one"))]);
    let next = [facts.next("acme", 2, created("alice", "two"))];
    for from in [Position::START, Position::new(2)] {
        let refused = views.write(fold(views, from, &next));
        assert_eq!(refused, Err(Error::Elsewhere { expected: from, actual: Position::new(1) }));
    }
    assert_eq!(checkpoint(views), Position::new(1));
    assert_eq!(snapshot(views, "acme").documents.len(), 1);
    assert_eq!(snapshot(views, "acme").position(), Position::new(1));
}

pub(crate) fn a_batch_takes_effect_once(views: Views<'_>) {
    let mut facts = Facts::default();
    let batch = [facts.next("acme", 1, created("alice", "one"))];
    let twice = [fold(views, Position::START, &batch), fold(views, Position::START, &batch)];
    let results = twice.map(|batch| views.write(batch).is_ok());
    assert_eq!(results, [true, false]);
}

pub(crate) fn a_snapshot_stays_as_it_was_while_others_are_written(views: Views<'_>) {
    let mut facts = Facts::default();
    write(views, &[facts.next("acme", 1, created("alice", "one"))]);
    let before = snapshot(views, "acme");
    let change = before.change();
    let end = facts.next("acme", 1, deleted("alice", "one", &[]));
    write(views, &[end, facts.next("acme", 2, created("bob", "one"))]);
    assert_eq!(before.documents.keys().copied().collect::<Vec<_>>(), [integration(1)]);
    assert_eq!(before.index.get(&slug("one")), Some(integration(1)));
    assert_eq!(before.change(), change);
    assert_eq!(snapshot(views, "acme").index.get(&slug("one")), Some(integration(2)));
}

pub(crate) fn an_empty_batch_moves_the_checkpoint_and_no_tenant(views: Views<'_>) {
    let mut facts = Facts::default();
    write(views, &[facts.next("acme", 1, created("alice", "one"))]);
    let change = snapshot(views, "acme").change();
    views.write(empty(1, 9)).unwrap();
    assert_eq!(checkpoint(views), Position::new(9));
    assert_eq!(snapshot(views, "acme").change(), change);
    assert!(views.write(empty(1, 10)).is_err());
}

pub(crate) fn a_tenant_that_was_never_seen_is_empty_at_0_00000000(views: Views<'_>) {
    write(views, &[Facts::default().next("acme", 1, created("alice", "one"))]);
    let unseen = snapshot(views, "globex");
    assert_eq!(unseen.change(), "0-00000000");
    assert_eq!(unseen.position(), Position::START);
    assert!(unseen.documents.is_empty());
    assert_eq!(unseen.index.get(&slug("one")), None);
}

pub(crate) fn a_tenant_is_named_after_the_last_event_that_changed_it(views: Views<'_>) {
    let mut facts = Facts::default();
    let of_acme = facts.next("acme", 1, created("alice", "one"));
    let of_globex = facts.next("globex", 1, created("alice", "one"));
    let change = |fact: &Fact| format!("{}-{}", fact.position, fact.hash.short());
    write(views, &[of_acme.clone(), of_globex.clone()]);
    assert_eq!(snapshot(views, "acme").change(), change(&of_acme));
    assert_eq!(snapshot(views, "globex").change(), change(&of_globex));
}

pub(crate) fn a_deletion_removes_the_document_and_what_finds_it(views: Views<'_>) {
    let mut facts = Facts::default();
    write(views, &[facts.next("acme", 1, created("alice", "one"))]);
    write(views, &[facts.next("acme", 1, deleted("alice", "one", &[]))]);
    let acme = snapshot(views, "acme");
    assert!(acme.documents.is_empty());
    assert_eq!(acme.index.get(&slug("one")), None);
    assert_eq!(acme.position(), facts.end());
}

/// Whoever saw the checkpoint sees the documents too.
pub(crate) fn the_checkpoint_moves_after_the_snapshots(views: Views<'_>) {
    const EVENTS: usize = 400;
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let checkpoints = views.checkpoint();
            loop {
                // Looked at before the checkpoint, so that the last round is after the last write.
                let was_done = is_done.load(Ordering::SeqCst);
                let reached = *checkpoints.borrow();
                let shown = snapshot(views, "acme").position();
                assert!(shown >= reached, "the view tells {reached} and shows {shown}");
                if was_done {
                    return;
                }
            }
        });
        let mut facts = Facts::default();
        for number in 1..=EVENTS {
            write(views, &[facts.next("acme", number, created("alice", &format!("s-{number}")))]);
        }
        is_done.store(true, Ordering::SeqCst);
        reader.join().unwrap();
    });
    assert_eq!(snapshot(views, "acme").documents.len(), EVENTS);
}

pub(crate) fn each_of_many_tenants_has_its_own_documents(views: Views<'_>) {
    const TENANTS: usize = 100;
    let mut facts = Facts::default();
    let name = |number: usize| format!("tenant-{number}");
    let batch: Vec<_> =
        (1..=TENANTS).map(|number| facts.next(&name(number), 1, created("alice", &format!("s-{number}")))).collect();
    write(views, &batch);
    for (number, fact) in (1..).zip(&batch) {
        let found = snapshot(views, &name(number));
        assert_eq!(found.documents.len(), 1);
        assert_eq!(found.documents[&integration(1)].slug, slug(&format!("s-{number}")));
        assert_eq!(found.position(), fact.position);
    }
}

pub(crate) fn of_writers_that_race_from_one_checkpoint_one_wins(views: Views<'_>) {
    for round in 0..50 {
        let wins = thread::scope(|scope| {
            let writers = [1, 2, 3].map(|_| scope.spawn(move || views.write(empty(round, round + 1)).is_ok()));
            writers.into_iter().map(|writer| writer.join().unwrap()).filter(|won| *won).count()
        });
        assert_eq!(wins, 1);
        assert_eq!(checkpoint(views), Position::new(round + 1));
    }
}
