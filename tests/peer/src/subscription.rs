//! Following the whole log: what is there, then that it has caught up, then what comes; checkpoints between.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use uuid::Uuid;

use crate::{
    log::Event,
    read::{Filter, Side, answer, place, wire_event},
    service::Answers,
    state::{State, count, spawn},
    wire::event_store::client::streams::{
        Position, ReadResp,
        read_req::{
            Options,
            options::{StreamOption, all_options::AllOption},
        },
        read_resp::{CaughtUp, Content, SubscriptionConfirmation},
    },
};

const PAGE: usize = 100;
const ANSWERS_MAX: usize = 64;

pub(crate) fn follow(state: &Arc<State>, options: &Options) -> Result<Answers<ReadResp>, Status> {
    let Some(StreamOption::All(all)) = &options.stream_option else {
        return Err(Status::unimplemented("only the whole log can be followed here"));
    };
    let filter = Filter::of(options.filter_option.as_ref())?;
    let from = match &all.all_option {
        Some(AllOption::Position(Position { commit_position, prepare_position })) => {
            place(&state.log(), *commit_position, *prepare_position, Side::Behind)?
        }
        Some(AllOption::Start(_)) | None => 0,
        Some(AllOption::End(_)) => state.log().len(),
    };
    count(&state.counters.subscriptions);
    let (sender, answers) = mpsc::channel(ANSWERS_MAX);
    let follower = Follower { state: Arc::clone(state), filter, at: from, is_live: false, n_looked_at: 0, sender };
    let mut ended = state.subscriptions.subscribe();
    spawn(async move {
        tokio::select! {
            _ = ended.changed() => {}
            _ = follower.run() => {}
        }
    });
    Ok(Box::pin(ReceiverStream::new(answers)))
}

struct Follower {
    state: Arc<State>,
    filter: Filter,
    /// How many events of the log were looked at, or passed over.
    at: usize,
    is_live: bool,
    n_looked_at: u32,
    sender: mpsc::Sender<Result<ReadResp, Status>>,
}

/// Nobody listens any more.
struct Gone;

impl Follower {
    async fn run(mut self) -> Result<(), Gone> {
        let mut length = self.state.length.subscribe();
        let subscription_id = Uuid::from_u128(self.at as u128).to_string();
        self.send(Content::Confirmation(SubscriptionConfirmation { subscription_id })).await?;
        loop {
            length.borrow_and_update();
            let page: Vec<_> = {
                let log = self.state.log();
                (self.at..).map_while(|at| log.event(at).map(Arc::clone)).take(PAGE).collect()
            };
            if !page.is_empty() {
                self.state.wait().await;
                for event in page {
                    self.pass(&event).await?;
                }
            } else if !self.is_live {
                self.is_live = true;
                self.send(Content::CaughtUp(CaughtUp {})).await?;
            } else {
                let sender = self.sender.clone();
                tokio::select! {
                    () = sender.closed() => return Err(Gone),
                    changed = length.changed() => changed.map_err(|_| Gone)?,
                }
            }
        }
    }

    async fn pass(&mut self, event: &Event) -> Result<(), Gone> {
        self.at += 1;
        self.n_looked_at += 1;
        if self.filter.takes(event) {
            self.send(Content::Event(wire_event(event))).await?;
        }
        if self.filter.checkpoint_interval.is_some_and(|interval| self.n_looked_at >= interval) {
            self.n_looked_at = 0;
            let checkpoint = self.checkpoint(event);
            self.send(Content::Checkpoint(checkpoint)).await?;
        }
        Ok(())
    }

    /// Live, where the event stands. Before, where the next one begins, with a prepare position before it: whoever
    /// resumed with the commit position alone would miss that one.
    fn checkpoint(&self, event: &Event) -> Position {
        if self.is_live {
            return Position { commit_position: event.position, prepare_position: event.position };
        }
        let log = self.state.log();
        let next = log.event(self.at).map_or(log.end(), |event| event.position);
        Position { commit_position: next, prepare_position: 0 }
    }

    async fn send(&self, content: Content) -> Result<(), Gone> {
        self.sender.send(Ok(answer(content))).await.map_err(|_| Gone)
    }
}
