//! The services, each call a few lines.

use std::{pin::Pin, sync::Arc};

use prost::bytes::Bytes;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use crate::{
    log::{Answer, Expected, Proposed},
    read, session,
    state::{State, stream_deleted},
    subscription,
    wire::event_store::client::{
        self as wire,
        gossip::{ClusterInfo, EndPoint, MemberInfo, gossip_server::Gossip, member_info::VNodeState},
        server_features::{SupportedMethod, SupportedMethods, server_features_server::ServerFeatures},
        streams::{
            AppendReq, AppendResp, BatchAppendReq, BatchAppendResp, Position, ProposedMessage, ReadReq, ReadResp,
            TombstoneReq, TombstoneResp, append_req, append_resp, read_req::options::CountOption,
            streams_server::Streams, tombstone_req, tombstone_resp,
        },
        uuid::Value,
    },
};

pub(crate) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

pub(crate) struct StreamsService {
    pub(crate) state: Arc<State>,
}

#[tonic::async_trait]
impl Streams for StreamsService {
    type ReadStream = Answers<ReadResp>;
    type BatchAppendStream = Answers<BatchAppendResp>;

    async fn read(&self, request: Request<ReadReq>) -> Result<Response<Self::ReadStream>, Status> {
        self.state.admit(request.metadata())?;
        if request.metadata().get("requires-leader").is_some_and(|value| value == "true") {
            self.state.lead()?;
        }
        let options = request.into_inner().options.ok_or_else(|| Status::invalid_argument("no options"))?;
        self.state.wait().await;
        let answers = match options.count_option {
            Some(CountOption::Subscription(_)) => subscription::follow(&self.state, &options)?,
            Some(CountOption::Count(n)) => read::read(&self.state, &options, n)?,
            None => return Err(Status::invalid_argument("neither a count nor a subscription")),
        };
        Ok(Response::new(answers))
    }

    async fn append(&self, request: Request<Streaming<AppendReq>>) -> Result<Response<AppendResp>, Status> {
        self.state.admit(request.metadata())?;
        self.state.lead()?;
        let (mut requests, mut options, mut events) = (request.into_inner(), None, Vec::new());
        while let Some(message) = requests.message().await? {
            match message.content {
                Some(append_req::Content::Options(given)) => options = Some(given),
                Some(append_req::Content::ProposedMessage(event)) => events.push(proposed(event)?),
                None => {}
            }
        }
        let options = options.ok_or_else(|| Status::invalid_argument("no options"))?;
        let (name, expected) = (stream_name(options.stream_identifier)?, expected(options.expected_stream_revision));
        let answer = self.state.append(&name, expected, events)?;
        self.state.wait().await;
        let result = match answer {
            Answer::StreamDeleted => return Err(stream_deleted(&name)),
            Answer::WrongExpectedVersion { current } => {
                append_resp::Result::WrongExpectedVersion(wrong(current, expected))
            }
            Answer::Written { revision, position } => append_resp::Result::Success(append_resp::Success {
                current_revision_option: Some(append_resp::success::CurrentRevisionOption::CurrentRevision(revision)),
                position_option: Some(append_resp::success::PositionOption::Position(at(position))),
            }),
            Answer::Idempotent { revision } => append_resp::Result::Success(append_resp::Success {
                current_revision_option: Some(append_resp::success::CurrentRevisionOption::CurrentRevision(revision)),
                position_option: Some(append_resp::success::PositionOption::NoPosition(wire::Empty {})),
            }),
        };
        Ok(Response::new(AppendResp { result: Some(result) }))
    }

    async fn tombstone(&self, request: Request<TombstoneReq>) -> Result<Response<TombstoneResp>, Status> {
        self.state.admit(request.metadata())?;
        self.state.lead()?;
        let options = request.into_inner().options.ok_or_else(|| Status::invalid_argument("no options"))?;
        let (name, expected) = (stream_name(options.stream_identifier)?, removed(options.expected_stream_revision));
        let answer = self.state.tombstone(&name, expected)?;
        self.state.wait().await;
        match answer {
            Answer::StreamDeleted => Err(stream_deleted(&name)),
            Answer::WrongExpectedVersion { .. } => Err(Status::failed_precondition("WrongExpectedVersion")),
            Answer::Written { position, .. } => {
                let position_option = Some(tombstone_resp::PositionOption::Position(at(position)));
                Ok(Response::new(TombstoneResp { position_option }))
            }
            Answer::Idempotent { .. } => Ok(Response::new(TombstoneResp { position_option: None })),
        }
    }

    async fn batch_append(
        &self,
        request: Request<Streaming<BatchAppendReq>>,
    ) -> Result<Response<Self::BatchAppendStream>, Status> {
        self.state.admit(request.metadata())?;
        self.state.lead()?;
        Ok(Response::new(session::serve(&self.state, request.into_inner())))
    }
}

/// Which calls there are.
pub(crate) struct FeaturesService;

#[tonic::async_trait]
impl ServerFeatures for FeaturesService {
    async fn get_supported_methods(&self, _: Request<wire::Empty>) -> Result<Response<SupportedMethods>, Status> {
        let method = |name: &str| SupportedMethod {
            method_name: name.to_owned(),
            service_name: "event_store.client.streams.streams".to_owned(),
            features: Vec::new(),
        };
        let methods = ["read", "append", "tombstone", "batchappend"].map(method).to_vec();
        Ok(Response::new(SupportedMethods { methods, event_store_server_version: "24.10.0".to_owned() }))
    }
}

/// A cluster of one, or of one that leads elsewhere.
pub(crate) struct GossipService {
    pub(crate) state: Arc<State>,
}

#[tonic::async_trait]
impl Gossip for GossipService {
    async fn read(&self, request: Request<wire::Empty>) -> Result<Response<ClusterInfo>, Status> {
        self.state.admit(request.metadata())?;
        let member = |host: String, port: u16, state: VNodeState| MemberInfo {
            instance_id: None,
            time_stamp: 0,
            state: state.into(),
            is_alive: true,
            http_end_point: Some(EndPoint { address: host, port: port.into() }),
        };
        let (own, leader) = (self.state.address, self.state.faults().leader.clone());
        let state = if leader.is_some() { VNodeState::Follower } else { VNodeState::Leader };
        let mut members = vec![member(own.ip().to_string(), own.port(), state)];
        members.extend(leader.map(|(host, port)| member(host, port, VNodeState::Leader)));
        Ok(Response::new(ClusterInfo { members }))
    }
}

pub(crate) fn at(position: u64) -> Position {
    Position { commit_position: position, prepare_position: position }
}

/// The name of a stream.
pub(crate) fn stream_name(identifier: Option<wire::StreamIdentifier>) -> Result<String, Status> {
    let name = identifier.map(|identifier| identifier.stream_name).unwrap_or_default();
    match std::str::from_utf8(&name) {
        Ok(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(Status::invalid_argument("no stream is named")),
    }
}

/// An event as it came.
pub(crate) fn proposed(message: ProposedMessage) -> Result<Proposed, Status> {
    let ProposedMessage { id, metadata, custom_metadata, data } = message;
    let missing = ["type", "content-type"].into_iter().find(|key| !metadata.contains_key(*key));
    if let Some(key) = missing {
        return Err(Status::invalid_argument(format!("Required Metadata Property '{key}' is missing")));
    }
    let id = id.and_then(uuid).ok_or_else(|| Status::invalid_argument("an event has no id"))?;
    Ok(Proposed { id, metadata, custom_metadata, data })
}

/// An id as it came.
pub(crate) fn uuid(id: wire::Uuid) -> Option<Uuid> {
    Some(match id.value? {
        Value::Structured(halves) => {
            let (most, least) = (halves.most_significant_bits, halves.least_significant_bits);
            Uuid::from_u64_pair(most.cast_unsigned(), least.cast_unsigned())
        }
        Value::String(text) => text.parse().ok()?,
    })
}

/// An id as it is sent: always as text.
pub(crate) fn text(id: Uuid) -> wire::Uuid {
    wire::Uuid { value: Some(Value::String(id.to_string())) }
}

/// A stream's name as it is sent.
pub(crate) fn identifier(stream: &str) -> wire::StreamIdentifier {
    wire::StreamIdentifier { stream_name: Bytes::copy_from_slice(stream.as_bytes()) }
}

fn expected(option: Option<append_req::options::ExpectedStreamRevision>) -> Expected {
    use append_req::options::ExpectedStreamRevision as Wire;
    match option {
        Some(Wire::Revision(revision)) => Expected::Exact(revision),
        Some(Wire::NoStream(_)) => Expected::NoStream,
        Some(Wire::StreamExists(_)) => Expected::StreamExists,
        Some(Wire::Any(_)) | None => Expected::Any,
    }
}

fn removed(option: Option<tombstone_req::options::ExpectedStreamRevision>) -> Expected {
    use tombstone_req::options::ExpectedStreamRevision as Wire;
    match option {
        Some(Wire::Revision(revision)) => Expected::Exact(revision),
        Some(Wire::NoStream(_)) => Expected::NoStream,
        Some(Wire::StreamExists(_)) => Expected::StreamExists,
        Some(Wire::Any(_)) | None => Expected::Any,
    }
}

fn wrong(current: Option<u64>, expected: Expected) -> append_resp::WrongExpectedVersion {
    use append_resp::wrong_expected_version::{CurrentRevisionOption as Current, ExpectedRevisionOption as Wanted};
    let empty = wire::Empty {};
    append_resp::WrongExpectedVersion {
        current_revision_option: Some(current.map_or(Current::CurrentNoStream(empty), Current::CurrentRevision)),
        expected_revision_option: Some(match expected {
            Expected::Any => Wanted::ExpectedAny(empty),
            Expected::NoStream => Wanted::ExpectedNoStream(empty),
            Expected::StreamExists => Wanted::ExpectedStreamExists(empty),
            Expected::Exact(revision) => Wanted::ExpectedRevision(revision),
        }),
    }
}
