//! Our own half of the protocol: reading, following, and asking who leads. The crate's reads wait 40 ms each, and its
//! subscriptions spin when the server ends one as if all were well.

use std::time::Duration;

use data_encoding::BASE64;
use eventstore::Endpoint;
use http::{Uri, uri::PathAndQuery};
use tonic::{
    Code, Request, Status, Streaming,
    client::Grpc,
    codec::ProstCodec,
    metadata::{Ascii, MetadataMap, MetadataValue},
};

use super::{
    position,
    target::Target,
    transport::HttpClient,
    wire::{
        AllFrom, AllSource, ClusterInfo, Content, Control, Empty, Expression, Extent, Filter, LEADER, ReadDirection,
        ReadOptions, ReadReq, ReadResp, Selection, Source, StreamFrom, StreamIdentifier, StreamSource, UuidForm,
        WireEvent, WirePosition,
    },
};
use crate::{
    ids::{Position, Revision},
    stream::{Kind, StreamName},
};

const READ: &str = "/event_store.client.streams.Streams/Read";
const GOSSIP: &str = "/event_store.client.gossip.Gossip/Read";
/// As large as the server lets a message be, and what surrounds it.
const MESSAGE_BYTES_MAX: usize = 17 * 1024 * 1024;
/// A read that has a bound of its own is over within this time, or the server is away.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How many events the server looks at at once, when it looks for some.
const READ_WINDOW: u32 = 500;
/// What no stream's name begins with.
const NOTHING: &str = "\u{1}";

/// Calls to one node.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    client: HttpClient,
    origin: Uri,
    authorization: Option<MetadataValue<Ascii>>,
}

/// What a read of a stream found.
#[derive(Debug)]
pub(super) enum Found {
    NotFound,
    /// Its events, and its last revision if the server tells it.
    Events(Vec<WireEvent>, Option<Revision>),
}

impl Calls {
    pub(super) fn new(client: HttpClient, target: &Target, node: &Endpoint) -> Self {
        let basic = target.user().map(|(name, password)| BASE64.encode(format!("{name}:{password}").as_bytes()));
        let authorization = basic.map(|basic| {
            let value = MetadataValue::try_from(format!("Basic {basic}")).expect("Base64 is visible ASCII");
            sensitive(value)
        });
        Self { client, origin: target.origin(node), authorization }
    }

    /// The events of a stream, from one on or from the end back.
    pub(super) async fn read_stream(
        &self,
        stream: &StreamName,
        from: StreamFrom,
        direction: ReadDirection,
        max: u64,
    ) -> Result<Found, Status> {
        let name = StreamIdentifier { stream_name: stream.as_str().to_owned().into() };
        let source = Source::Stream(StreamSource { stream: Some(name), from: Some(from) });
        let reading = self.read(source, direction, Extent::Count(max), Selection::All(Empty {}));
        within(READ_TIMEOUT, async {
            let (mut answers, mut events, mut last) = (reading.await?, Vec::new(), None);
            while let Some(answer) = answers.message().await? {
                match answer.content {
                    Some(Content::Event(event)) => events.extend(event.event),
                    Some(Content::StreamNotFound(_)) => return Ok(Found::NotFound),
                    Some(Content::LastStreamPosition(revision)) => last = Some(Revision::new(revision)),
                    Some(Content::Checkpoint(_)) | None => {}
                }
            }
            Ok(Found::Events(events, last))
        })
        .await
    }

    /// The next events of the whole log, whosever they are, from a position on: what stands there included. Those that
    /// nobody asks for come without what they hold.
    pub(super) async fn read_all(
        &self,
        from: Position,
        max: u64,
        is_of_interest: impl Fn(&WireEvent) -> bool,
    ) -> Result<Vec<WireEvent>, Status> {
        let source = Source::All(AllSource { from: Some(all_from(from)) });
        let reading = self.read(source, ReadDirection::Forwards, Extent::Count(max), Selection::All(Empty {}));
        within(READ_TIMEOUT, async {
            let (mut answers, mut events) = (reading.await?, Vec::new());
            while let Some(event) = next_event(&mut answers).await? {
                let is_kept = is_of_interest(&event);
                events.push(if is_kept { event } else { event.hollow() });
            }
            Ok(events)
        })
        .await
    }

    /// Likewise, those of some kinds only; however far the next of them is.
    pub(super) async fn read_kinds(&self, from: Position, kinds: &[Kind], max: u64) -> Result<Vec<WireEvent>, Status> {
        self.events(all_from(from), ReadDirection::Forwards, max, of_kinds(kinds, READ_WINDOW)).await
    }

    /// The position of the last event of the whole log.
    pub(super) async fn last_position(&self) -> Result<Position, Status> {
        let last = self.events(AllFrom::End(Empty {}), ReadDirection::Backwards, 1, Selection::All(Empty {}));
        Ok(within(READ_TIMEOUT, last).await?.last().map_or(Position::START, super::event::position_of))
    }

    /// The last event of a stream in the whole log, tombstones included. Looks from the end back for it.
    pub(super) async fn last_of(&self, stream: &StreamName) -> Result<Option<WireEvent>, Status> {
        let escape = |char: char| if char.is_ascii_alphanumeric() { char.to_string() } else { format!("\\{char}") };
        let regex = format!("^{}$", stream.as_str().chars().map(escape).collect::<String>());
        let filter = selection(Expression { regex, prefix: Vec::new() }, READ_WINDOW);
        Ok(self.events(AllFrom::End(Empty {}), ReadDirection::Backwards, 1, filter).await?.pop())
    }

    /// Follows the log behind a position: events of these kinds, and a checkpoint for every event.
    pub(super) async fn follow(&self, after: Position, kinds: &[Kind]) -> Result<Streaming<ReadResp>, Status> {
        let source = Source::All(AllSource { from: Some(all_from(after)) });
        self.read(source, ReadDirection::Forwards, Extent::Subscription(Empty {}), of_kinds(kinds, 1)).await
    }

    /// The node that leads.
    pub(super) async fn leader(&self) -> Result<Option<Endpoint>, Status> {
        let mut grpc = self.grpc().await?;
        let request = self.request(Empty {});
        let path = PathAndQuery::from_static(GOSSIP);
        let cluster: ClusterInfo = grpc.unary(request, path, ProstCodec::default()).await?.into_inner();
        let leads = |member: &super::wire::Member| member.is_alive && member.state == LEADER;
        let leader = cluster.members.into_iter().find(leads).and_then(|member| member.endpoint);
        Ok(leader.map(|endpoint| Endpoint { host: endpoint.address, port: endpoint.port }))
    }

    async fn events(
        &self,
        from: AllFrom,
        direction: ReadDirection,
        max: u64,
        selection: Selection,
    ) -> Result<Vec<WireEvent>, Status> {
        let source = Source::All(AllSource { from: Some(from) });
        let (mut answers, mut events) =
            (self.read(source, direction, Extent::Count(max), selection).await?, Vec::new());
        while let Some(event) = next_event(&mut answers).await? {
            events.push(event);
        }
        Ok(events)
    }

    async fn read(
        &self,
        source: Source,
        direction: ReadDirection,
        extent: Extent,
        selection: Selection,
    ) -> Result<Streaming<ReadResp>, Status> {
        let control = matches!(source, Source::Stream(_)).then_some(Control { compatibility: 1 });
        let options = ReadOptions {
            source: Some(source),
            direction: direction.into(),
            extent: Some(extent),
            selection: Some(selection),
            uuid_form: Some(UuidForm { text: Some(Empty {}) }),
            control,
        };
        let mut grpc = self.grpc().await?;
        let request = self.request(ReadReq { options: Some(options) });
        let path = PathAndQuery::from_static(READ);
        Ok(grpc.server_streaming(request, path, ProstCodec::default()).await?.into_inner())
    }

    async fn grpc(&self) -> Result<Grpc<HttpClient>, Status> {
        let mut grpc =
            Grpc::with_origin(self.client.clone(), self.origin.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
        Ok(grpc)
    }

    /// Only the leader answers: another node may not have yet what an append was told is there.
    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        let metadata: &mut MetadataMap = request.metadata_mut();
        metadata.insert("requires-leader", MetadataValue::from_static("true"));
        if let Some(authorization) = &self.authorization {
            metadata.insert("authorization", authorization.clone());
        }
        request
    }
}

/// The next event of a read; what else the server tells is passed over.
async fn next_event(answers: &mut Streaming<ReadResp>) -> Result<Option<WireEvent>, Status> {
    while let Some(answer) = answers.message().await? {
        if let Some(Content::Event(read)) = answer.content
            && let Some(event) = read.event
        {
            return Ok(Some(event));
        }
    }
    Ok(None)
}

fn sensitive(mut value: MetadataValue<Ascii>) -> MetadataValue<Ascii> {
    value.set_sensitive(true);
    value
}

fn all_from(position: Position) -> AllFrom {
    position::to_wire(position).map_or(AllFrom::Start(Empty {}), AllFrom::Position)
}

fn of_kinds(kinds: &[Kind], window: u32) -> Selection {
    let mut prefix: Vec<_> = kinds.iter().map(|kind| kind.prefix().to_owned()).collect();
    if prefix.is_empty() {
        prefix.push(NOTHING.to_owned());
    }
    selection(Expression { regex: String::new(), prefix }, window)
}

/// The window is how many events the server looks at at once; a subscription is told how far it is after so many.
fn selection(stream: Expression, window: u32) -> Selection {
    Selection::Filter(Filter { stream: Some(stream), window, checkpoint_interval_multiplier: 1 })
}

async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer,
        Err(_) => Err(Status::new(Code::DeadlineExceeded, "the server took too long")),
    }
}

/// Where a checkpoint stands.
pub(super) fn checkpoint(wire: WirePosition) -> Position {
    position::to_port(wire)
}
