//! The runner: feeds a view from the log, batch by batch, each with its checkpoint. A stream with an event that this
//! release cannot read is parked: its documents stay as they were, and everything else goes on.

use std::collections::{BTreeMap, BTreeSet};

use events::{
    envelope::RecordedEvent,
    ids::{Position, Revision, TenantId},
    integration::{Fact, LastEvent},
    store::{Damaged, Error as EventStoreError, EventStore, Message, Subscription, read_until_damage},
    stored,
    stream::{Kind, StreamName},
};
use thiserror::Error;

use crate::{
    replay::Replay,
    store::{self, Batch, Documents, Parked, ParkedStreams, TenantChanges, WriteViews},
    view::View,
};

/// Why a view cannot go on.
#[derive(Debug, Error)]
pub enum Error {
    /// The event store failed.
    #[error("cannot follow the log")]
    Events(#[from] EventStoreError),
    /// The view store refused.
    #[error("cannot write the view")]
    Views(#[from] store::Error),
}

/// What a runner tells while it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Everything up to here was read, and nothing of it is shown yet.
    Replaying(Position),
    /// Everything up to here is in the view, but for what is parked.
    Reached(Position),
    /// Everything that was in the log is in the view; what follows is new.
    CaughtUp,
}

/// Follows the log from where the view is, until something fails.
///
/// # Errors
/// See [`enum@Error`]; it never ends otherwise.
pub async fn run<V: View>(
    events: &dyn EventStore,
    views: &dyn WriteViews<V>,
    mut tell: impl FnMut(Progress) + Send,
) -> Result<std::convert::Infallible, Error> {
    let start = *views.checkpoint().borrow();
    take_up_parked(events, views).await?;
    let mut reading = Reading { known: ParkedStreams::clone(&views.parked()), ..Reading::from(start) };
    let mut subscription = events.subscribe(start, &[Kind::Integration]);
    if start == Position::START {
        replay(&mut *subscription, views, &mut reading, &mut tell).await?;
    }
    loop {
        match subscription.next().await? {
            Message::Events(recorded) => reading.take(V::NAME, &recorded),
            Message::Damaged(damaged) => reading.take_damaged(V::NAME, &damaged),
            Message::Checkpoint(through) => reading.through = through,
            Message::CaughtUp => {
                views.show().await?;
                tell(Progress::CaughtUp);
                continue;
            }
        }
        let batch = reading.batch(views).await?;
        views.write(batch).await?;
        tell(Progress::Reached(reading.from));
    }
}

/// Takes up again the parked streams whose events can be read after all: by this release, or since they were mended.
async fn take_up_parked<V: View>(events: &dyn EventStore, views: &dyn WriteViews<V>) -> Result<(), Error> {
    let through = *views.checkpoint().borrow();
    for (stream, revision) in &*views.parked() {
        let (mut held_back, damaged) = read_until_damage(events, stream, *revision).await?;
        let mut again = damaged.filter(|damaged| damaged.position <= through).map(|damaged| damaged.revision);
        // The rest comes by the subscription.
        held_back.retain(|event| event.position <= through);
        let mut facts = Vec::new();
        for event in &held_back {
            match stored::integration_fact(event) {
                Ok(fact) => facts.push(fact),
                Err(_) => {
                    again = Some(event.revision);
                    break;
                }
            }
        }
        if facts.is_empty() {
            continue;
        }
        let folded = fold(views.documents(touched::<V>(&facts)).await?, through, &facts);
        views.write(Batch { through, unparked: vec![stream.clone()], ..folded }).await?;
        tracing::info!(view = V::NAME, %stream, %revision, "a parked stream is taken up again");
        if let Some(revision) = again {
            let tenant = stream.integration_of().map(|(tenant, _)| tenant);
            let parked = vec![Parked { tenant, stream: stream.clone(), revision }];
            views.write(Batch { parked, ..Batch::empty(through, through) }).await?;
        }
    }
    Ok(())
}

/// Makes the view from its beginning, as far as the log goes.
async fn replay<V: View>(
    subscription: &mut dyn Subscription,
    views: &dyn WriteViews<V>,
    reading: &mut Reading,
    tell: &mut (impl FnMut(Progress) + Send),
) -> Result<(), Error> {
    let mut replay = Replay::default();
    loop {
        match subscription.next().await? {
            Message::Events(recorded) => reading.take(V::NAME, &recorded),
            Message::Damaged(damaged) => reading.take_damaged(V::NAME, &damaged),
            Message::Checkpoint(through) => reading.through = through,
            Message::CaughtUp => break,
        }
        reading.facts.drain(..).for_each(|fact| replay.fold(&fact));
        tell(Progress::Replaying(reading.through));
    }
    reading.from = reading.through;
    if reading.through > Position::START {
        views.write_replayed(replay.finish(reading.through, std::mem::take(&mut reading.parked))).await?;
        tell(Progress::Reached(reading.through));
    }
    views.show().await?;
    tell(Progress::CaughtUp);
    Ok(())
}

/// What was read of the log and is not written yet.
struct Reading {
    from: Position,
    through: Position,
    facts: Vec<Fact>,
    /// Streams that are parked now.
    parked: Vec<Parked>,
    /// Every parked stream.
    known: ParkedStreams,
}

impl Reading {
    fn from(position: Position) -> Self {
        let (facts, parked, known) = (Vec::new(), Vec::new(), ParkedStreams::new());
        Self { from: position, through: position, facts, parked, known }
    }

    fn take(&mut self, view: &str, recorded: &[RecordedEvent]) {
        for event in recorded {
            self.through = event.position;
            // What comes behind an event that cannot be read is held back with it.
            if self.known.contains_key(&event.stream) {
                continue;
            }
            match stored::integration_fact(event) {
                Ok(fact) => self.facts.push(fact),
                Err(cause) => self.park(view, event.stream.clone(), event.revision, &cause),
            }
        }
    }

    fn take_damaged(&mut self, view: &str, damaged: &Damaged) {
        self.through = damaged.position;
        if !self.known.contains_key(&damaged.stream) {
            self.park(view, damaged.stream.clone(), damaged.revision, damaged);
        }
    }

    fn park(&mut self, view: &str, stream: StreamName, revision: Revision, cause: &(dyn std::error::Error + 'static)) {
        tracing::error!(view, %stream, %revision, cause, "a stream is parked at an event that this release cannot read");
        self.known.insert(stream.clone(), revision);
        let tenant = stream.integration_of().map(|(tenant, _)| tenant);
        self.parked.push(Parked { tenant, stream, revision });
    }

    async fn batch<V: View>(&mut self, views: &dyn WriteViews<V>) -> Result<Batch<V>, store::Error> {
        let facts = std::mem::take(&mut self.facts);
        let folded = fold(views.documents(touched::<V>(&facts)).await?, self.from, &facts);
        self.from = self.through;
        Ok(Batch { through: self.through, parked: std::mem::take(&mut self.parked), ..folded })
    }
}

/// The keys whose documents a batch of facts touches.
#[must_use]
pub fn touched<V: View>(facts: &[Fact]) -> BTreeSet<(TenantId, V::Key)> {
    let keys = |fact: &Fact| V::keys(fact).into_iter().map(|key| (fact.tenant.clone(), key)).collect::<Vec<_>>();
    facts.iter().flat_map(keys).collect()
}

/// What a batch of facts changes, folded key by key in memory over the documents that were there before.
#[must_use]
pub fn fold<V: View>(mut before: Documents<V>, from: Position, facts: &[Fact]) -> Batch<V> {
    let mut tenants = BTreeMap::<TenantId, TenantChanges<V>>::new();
    for fact in facts {
        for key in V::keys(fact) {
            let last = LastEvent { revision: fact.revision, position: fact.position, hash: fact.hash };
            let changes = match tenants.get_mut(&fact.tenant) {
                Some(changes) => changes,
                None => {
                    let changes = TenantChanges { last, documents: BTreeMap::new() };
                    tenants.entry(fact.tenant.clone()).or_insert(changes)
                }
            };
            changes.last = last;
            let known = changes.documents.remove(&key);
            let document = known.unwrap_or_else(|| before.remove(&(fact.tenant.clone(), key.clone())));
            let after = V::apply(&key, document, fact);
            changes.documents.insert(key, after);
        }
    }
    let through = facts.last().map_or(from, |last| last.position);
    Batch { tenants, ..Batch::empty(from, through) }
}
