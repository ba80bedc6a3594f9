//! What a failure of the server, of the way to it, or of the crate means.

use std::time::Duration;

use eventstore::Endpoint;
use tonic::{Code, Status};

use crate::store::Cause;

/// The first pause after something failed.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(20);

/// What is to be done about a failure.
#[derive(Debug)]
pub(super) enum Failure {
    /// The stream is not where the append expected it, or the append is a repeat.
    Conflict,
    /// The stream was removed for good.
    Deleted,
    /// The server will not do it, however often it is asked. Nothing was done.
    Refused(Cause),
    /// There is no server to ask.
    Away(Cause),
    /// The server did nothing and may do it later.
    Busy(Cause),
    /// Another append ended the session that this one was on its way in: it may have been done.
    Bystander(Cause),
    /// The server or the way to it failed: it may have been done.
    Server(Cause),
    /// The client is of no use any more.
    Client(Cause),
    /// Another node leads.
    NotLeader(Option<Endpoint>, Cause),
}

impl Failure {
    /// Whether what was asked for may have been done nevertheless.
    pub(super) fn may_be_done(&self) -> bool {
        match self {
            // A node that no longer leads may have done what was in the same session before.
            Self::Bystander(_) | Self::Server(_) | Self::Client(_) | Self::NotLeader(..) => true,
            Self::Conflict | Self::Deleted | Self::Refused(_) | Self::Away(_) | Self::Busy(_) => false,
        }
    }

    /// Whether it is of no use to ask again at once.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Conflict | Self::Deleted | Self::Refused(_) | Self::Away(_) => true,
            Self::Busy(_) | Self::Bystander(_) | Self::Server(_) | Self::Client(_) | Self::NotLeader(..) => false,
        }
    }

    /// What lies below.
    pub(super) fn cause(self) -> Cause {
        match self {
            Self::Conflict => "the stream is at another revision".into(),
            Self::Deleted => "the stream is tombstoned".into(),
            Self::Refused(cause)
            | Self::Away(cause)
            | Self::Busy(cause)
            | Self::Bystander(cause)
            | Self::Server(cause)
            | Self::Client(cause)
            | Self::NotLeader(_, cause) => cause,
        }
    }
}

/// What the crate tells. A batch append is refused by a code and a message; what is told for the whole call, by one of
/// the crate's own variants.
impl From<eventstore::Error> for Failure {
    fn from(error: eventstore::Error) -> Self {
        use eventstore::Error as Told;
        match &error {
            Told::Grpc { code, message } => of_batch(*code, message, &error),
            Told::ServerError(text) if text.contains("Batch-append stream has been closed") => {
                Self::Bystander(error.into())
            }
            Told::NotLeaderException(leader) => Self::NotLeader(Some(leader.clone()), error.into()),
            Told::WrongExpectedVersion { .. } | Told::ResourceAlreadyExists => Self::Conflict,
            Told::ResourceDeleted => Self::Deleted,
            Told::AccessDenied | Told::UnsupportedFeature | Told::InternalParsingError(_) => {
                Self::Refused(error.into())
            }
            Told::ConnectionClosed
            | Told::GrpcConnectionError(_)
            | Told::InitializationError(_)
            | Told::InternalClientError
            | Told::IllegalStateError(_) => Self::Client(error.into()),
            Told::ServerError(_) | Told::DeadlineExceeded | Told::ResourceNotFound => Self::Server(error.into()),
        }
    }
}

fn of_batch(code: Code, message: &str, error: &eventstore::Error) -> Failure {
    let cause = || Cause::from(error.to_string());
    match (code, message) {
        (Code::AlreadyExists, _) | (_, "WrongExpectedVersion") => Failure::Conflict,
        (_, "StreamDeleted") => Failure::Deleted,
        // Not ready, or too busy.
        (Code::Ok, _) => Failure::Busy(cause()),
        (Code::InvalidArgument | Code::PermissionDenied | Code::Unauthenticated | Code::FailedPrecondition, _) => {
            Failure::Refused(cause())
        }
        _ => Failure::Server(cause()),
    }
}

/// What our own half is told.
impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let trailer = |name: &str| status.metadata().get(name).and_then(|value| value.to_str().ok());
        match (trailer("exception"), status.code()) {
            (Some("stream-deleted"), _) => Self::Deleted,
            (Some("not-leader"), _) => {
                let host = trailer("leader-endpoint-host").map(ToOwned::to_owned);
                let port = trailer("leader-endpoint-port").and_then(|port| port.parse().ok());
                let leader = host.zip(port).map(|(host, port)| Endpoint { host, port });
                Self::NotLeader(leader, status.into())
            }
            (_, Code::InvalidArgument | Code::PermissionDenied | Code::Unauthenticated) => Self::Refused(status.into()),
            _ => Self::Server(status.into()),
        }
    }
}
