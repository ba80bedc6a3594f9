//! The spans of what is being published: one of each event that is traced, from when it was taken until its transaction
//! has ended.

use std::sync::Arc;

use events::{
    envelope::Metadata,
    trace::{Collector, Outcome, SPANS_OF_A_BATCH_MAX, Span, TraceParent, Work, end_all},
};

use super::settings::Settings;

#[derive(Debug)]
pub(super) struct Traced {
    collector: Option<Arc<dyn Collector>>,
    topic: String,
    /// Of the batch that is being made.
    waiting: Vec<Box<dyn Span>>,
    /// Of the transaction that is on its way.
    on_their_way: Vec<Box<dyn Span>>,
}

impl Traced {
    pub(super) fn new(collector: Option<Arc<dyn Collector>>, settings: &Settings) -> Self {
        Self { collector, topic: settings.events_topic(), waiting: Vec::new(), on_their_way: Vec::new() }
    }

    /// Begins the span of an event, if it is traced.
    pub(super) fn take(&mut self, metadata: &Metadata) {
        let Some(collector) = self.collector.as_ref().filter(|_| self.waiting.len() < SPANS_OF_A_BATCH_MAX) else {
            return;
        };
        if let Some(parent) = metadata.traceparent.as_deref().and_then(TraceParent::parse_sampled) {
            self.waiting.extend(collector.begin(Work::Publish { topic: &self.topic }, Some(parent)));
        }
    }

    /// What was taken is on its way.
    pub(super) fn send(&mut self) {
        self.on_their_way.append(&mut self.waiting);
    }

    /// What was on its way has come to be.
    pub(super) fn settle(&mut self) {
        end_all(self.on_their_way.drain(..), Outcome::Done);
    }
}

impl Drop for Traced {
    /// What was not settled with the session was not published by it.
    fn drop(&mut self) {
        end_all(self.on_their_way.drain(..).chain(self.waiting.drain(..)), Outcome::Failed);
    }
}
