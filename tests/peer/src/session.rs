//! A session of batch appends: one answer to each, whatever it is; the session itself goes on after a refusal.

use std::sync::Arc;

use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::{
    Fault,
    log::{Answer, Expected, Proposed},
    service::{Answers, identifier, proposed, stream_name},
    state::{State, count, spawn},
    wire::{
        event_store::client::{
            self as wire,
            streams::{
                BatchAppendReq, BatchAppendResp,
                batch_append_req::options::ExpectedStreamPosition as Wanted,
                batch_append_resp::{self, Success, success},
            },
        },
        google::rpc,
    },
};

const ANSWERS_MAX: usize = 256;

/// An append whose messages are not all there yet.
struct Pending {
    stream: String,
    wanted: Option<Wanted>,
    events: Vec<Proposed>,
}

pub(crate) fn serve(state: &Arc<State>, requests: Streaming<BatchAppendReq>) -> Answers<BatchAppendResp> {
    count(&state.counters.sessions);
    let (sender, answers) = mpsc::channel(ANSWERS_MAX);
    let state = Arc::clone(state);
    spawn(async move {
        let mut ended = state.sessions.subscribe();
        tokio::select! {
            _ = ended.changed() => {}
            result = take(&state, requests, &sender) => {
                if let Err(status) = result {
                    // A client that is gone needs no answer.
                    let _ = sender.send(Err(status)).await;
                }
            }
        }
    });
    Box::pin(ReceiverStream::new(answers))
}

type Sender = mpsc::Sender<Result<BatchAppendResp, Status>>;

async fn take(state: &Arc<State>, mut requests: Streaming<BatchAppendReq>, sender: &Sender) -> Result<(), Status> {
    let mut pending = None;
    while let Some(request) = requests.message().await? {
        if let Some(options) = request.options {
            let stream = stream_name(options.stream_identifier)?;
            pending = Some(Pending { stream, wanted: options.expected_stream_position, events: Vec::new() });
        }
        let append = pending.as_mut().ok_or_else(|| Status::invalid_argument("no options"))?;
        for message in request.proposed_messages {
            append.events.push(proposed(message)?);
        }
        if let Some(append) = pending.take_if(|_| request.is_final) {
            state.lead()?;
            count(&state.counters.appends);
            let Some(answer) = answer(state, request.correlation_id, append)? else {
                // The stream must not end as if all were well before its connection is cut.
                sender.closed().await;
                return Ok(());
            };
            send(state, sender, answer).await;
        }
    }
    Ok(())
}

async fn send(state: &Arc<State>, sender: &Sender, answer: BatchAppendResp) {
    let (delay, sender) = (state.delay(), sender.clone());
    if delay.is_zero() {
        let _ = sender.send(Ok(answer)).await;
    } else {
        // Those behind it do not wait for it.
        spawn(async move {
            tokio::time::sleep(delay).await;
            let _ = sender.send(Ok(answer)).await;
        });
    }
}

/// Does an append; `None` when its answer is lost.
fn answer(
    state: &Arc<State>,
    correlation_id: Option<wire::Uuid>,
    append: Pending,
) -> Result<Option<BatchAppendResp>, Status> {
    let Pending { stream, wanted, events } = append;
    let refused = state.faults().refuse();
    let result = match refused {
        Some((code, message)) => batch_append_resp::Result::Error(rpc::Status { code, message, details: None }),
        None => {
            let expected = expected(wanted.as_ref());
            let answer = state.append(&stream, expected, events)?;
            if state.faults().lose() {
                state.fault(&Fault::Drop);
                return Ok(None);
            }
            result(answer, &stream, wanted)
        }
    };
    let stream_identifier = Some(identifier(&stream));
    let expected_stream_position = wanted.map(|wanted| match wanted {
        Wanted::StreamPosition(revision) => batch_append_resp::ExpectedStreamPosition::StreamPosition(revision),
        Wanted::NoStream(()) => batch_append_resp::ExpectedStreamPosition::NoStream(()),
        Wanted::Any(()) => batch_append_resp::ExpectedStreamPosition::Any(()),
        Wanted::StreamExists(()) => batch_append_resp::ExpectedStreamPosition::StreamExists(()),
    });
    let result = Some(result);
    Ok(Some(BatchAppendResp { correlation_id, result, stream_identifier, expected_stream_position }))
}

fn expected(wanted: Option<&Wanted>) -> Expected {
    match wanted {
        Some(Wanted::StreamPosition(revision)) => Expected::Exact(*revision),
        Some(Wanted::NoStream(())) => Expected::NoStream,
        Some(Wanted::StreamExists(())) => Expected::StreamExists,
        Some(Wanted::Any(())) | None => Expected::Any,
    }
}

fn result(answer: Answer, stream: &str, wanted: Option<Wanted>) -> batch_append_resp::Result {
    let success = |revision, position: Option<u64>| {
        batch_append_resp::Result::Success(Success {
            current_revision_option: Some(success::CurrentRevisionOption::CurrentRevision(revision)),
            position_option: Some(position.map_or(success::PositionOption::NoPosition(()), |position| {
                let (commit_position, prepare_position) = (position, position);
                success::PositionOption::Position(wire::AllStreamPosition { commit_position, prepare_position })
            })),
        })
    };
    match answer {
        Answer::Written { revision, position } => success(revision, Some(position)),
        Answer::Idempotent { revision } => success(revision, None),
        Answer::WrongExpectedVersion { current } => {
            refusal(Code::AlreadyExists, "WrongExpectedVersion", &wrong(current, wanted))
        }
        Answer::StreamDeleted => {
            let deleted = wire::StreamDeleted { stream_identifier: Some(identifier(stream)) };
            refusal(Code::NotFound, "StreamDeleted", &deleted)
        }
    }
}

fn wrong(current: Option<u64>, wanted: Option<Wanted>) -> wire::WrongExpectedVersion {
    use wire::wrong_expected_version::{CurrentStreamRevisionOption as Current, ExpectedStreamPositionOption as Given};
    wire::WrongExpectedVersion {
        current_stream_revision_option: Some(
            current.map_or(Current::CurrentNoStream(()), Current::CurrentStreamRevision),
        ),
        expected_stream_position_option: wanted.map(|wanted| match wanted {
            Wanted::StreamPosition(revision) => Given::ExpectedStreamPosition(revision),
            Wanted::NoStream(()) => Given::ExpectedNoStream(()),
            Wanted::Any(()) => Given::ExpectedAny(()),
            Wanted::StreamExists(()) => Given::ExpectedStreamExists(()),
        }),
    }
}

/// What a refusal says, with the details that are named like its message.
fn refusal(code: Code, message: &str, details: &impl Message) -> batch_append_resp::Result {
    let type_url = format!("type.googleapis.com/event_store.client.{message}");
    let details = prost_types::Any { type_url, value: details.encode_to_vec() };
    batch_append_resp::Result::Error(rpc::Status {
        code: code.into(),
        message: message.to_owned(),
        details: Some(details),
    })
}
