//! The messages of reading, written by hand from the protocol's description: a few, and only the fields that are used.
//! What is not named here is skipped when it comes, and absent when it is sent.

use std::collections::HashMap;

use bytes::Bytes;
use prost::{Message, Oneof};

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Empty {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StreamIdentifier {
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) stream_name: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Uuid {
    /// Always as text, since that is what is asked for.
    #[prost(string, tag = "2")]
    pub(super) text: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct WirePosition {
    #[prost(uint64, tag = "1")]
    pub(super) commit: u64,
    #[prost(uint64, tag = "2")]
    pub(super) prepare: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReadReq {
    #[prost(message, optional, tag = "1")]
    pub(super) options: Option<ReadOptions>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReadOptions {
    #[prost(oneof = "Source", tags = "1, 2")]
    pub(super) source: Option<Source>,
    #[prost(enumeration = "ReadDirection", tag = "3")]
    pub(super) direction: i32,
    #[prost(oneof = "Extent", tags = "5, 6")]
    pub(super) extent: Option<Extent>,
    #[prost(oneof = "Selection", tags = "7, 8")]
    pub(super) selection: Option<Selection>,
    #[prost(message, optional, tag = "9")]
    pub(super) uuid_form: Option<UuidForm>,
    #[prost(message, optional, tag = "10")]
    pub(super) control: Option<Control>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub(super) enum ReadDirection {
    Forwards = 0,
    Backwards = 1,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Source {
    #[prost(message, tag = "1")]
    Stream(StreamSource),
    #[prost(message, tag = "2")]
    All(AllSource),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StreamSource {
    #[prost(message, optional, tag = "1")]
    pub(super) stream: Option<StreamIdentifier>,
    #[prost(oneof = "StreamFrom", tags = "2, 4")]
    pub(super) from: Option<StreamFrom>,
}

#[derive(Clone, Copy, PartialEq, Oneof)]
pub(super) enum StreamFrom {
    #[prost(uint64, tag = "2")]
    Revision(u64),
    #[prost(message, tag = "4")]
    End(Empty),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AllSource {
    #[prost(oneof = "AllFrom", tags = "1, 2, 3")]
    pub(super) from: Option<AllFrom>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum AllFrom {
    #[prost(message, tag = "1")]
    Position(WirePosition),
    #[prost(message, tag = "2")]
    Start(Empty),
    #[prost(message, tag = "3")]
    End(Empty),
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Extent {
    #[prost(uint64, tag = "5")]
    Count(u64),
    #[prost(message, tag = "6")]
    Subscription(Empty),
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Selection {
    #[prost(message, tag = "7")]
    Filter(Filter),
    #[prost(message, tag = "8")]
    All(Empty),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Filter {
    #[prost(message, optional, tag = "1")]
    pub(super) stream: Option<Expression>,
    #[prost(uint32, tag = "3")]
    pub(super) window: u32,
    #[prost(uint32, tag = "5")]
    pub(super) checkpoint_interval_multiplier: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Expression {
    #[prost(string, tag = "1")]
    pub(super) regex: String,
    #[prost(string, repeated, tag = "2")]
    pub(super) prefix: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct UuidForm {
    #[prost(message, optional, tag = "2")]
    pub(super) text: Option<Empty>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Control {
    #[prost(uint32, tag = "1")]
    pub(super) compatibility: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReadResp {
    #[prost(oneof = "Content", tags = "1, 3, 4, 6")]
    pub(super) content: Option<Content>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Content {
    #[prost(message, tag = "1")]
    Event(Box<ReadEvent>),
    #[prost(message, tag = "3")]
    Checkpoint(WirePosition),
    #[prost(message, tag = "4")]
    StreamNotFound(Empty),
    #[prost(uint64, tag = "6")]
    LastStreamPosition(u64),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReadEvent {
    #[prost(message, optional, tag = "1")]
    pub(super) event: Option<WireEvent>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WireEvent {
    #[prost(message, optional, tag = "1")]
    pub(super) id: Option<Uuid>,
    #[prost(message, optional, tag = "2")]
    pub(super) stream: Option<StreamIdentifier>,
    #[prost(uint64, tag = "3")]
    pub(super) revision: u64,
    #[prost(uint64, tag = "4")]
    pub(super) prepare: u64,
    #[prost(uint64, tag = "5")]
    pub(super) commit: u64,
    #[prost(map = "string, string", tag = "6")]
    pub(super) properties: HashMap<String, String>,
    #[prost(bytes = "bytes", tag = "7")]
    pub(super) metadata: Bytes,
    #[prost(bytes = "bytes", tag = "8")]
    pub(super) data: Bytes,
}

impl WireEvent {
    /// Where it stands, and nothing of what it holds.
    pub(super) fn hollow(self) -> Self {
        Self { prepare: self.prepare, commit: self.commit, ..Self::default() }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ClusterInfo {
    #[prost(message, repeated, tag = "1")]
    pub(super) members: Vec<Member>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Member {
    #[prost(int32, tag = "3")]
    pub(super) state: i32,
    #[prost(bool, tag = "4")]
    pub(super) is_alive: bool,
    #[prost(message, optional, tag = "5")]
    pub(super) endpoint: Option<WireEndpoint>,
}

/// The state of the member that leads.
pub(super) const LEADER: i32 = 8;

#[derive(Clone, PartialEq, Message)]
pub(super) struct WireEndpoint {
    #[prost(string, tag = "1")]
    pub(super) address: String,
    #[prost(uint32, tag = "2")]
    pub(super) port: u32,
}
