//! The view `access-by-principal`: what each user and team owns or is shared. An event names whom it touches, so one of
//! them may change several documents; what it does not name (an integration's name, its slug) is not in here, and whoever
//! shows a document looks that up in the view `integrations`.
//!
//! A document for each integration that a principal reaches, and not one for each principal: what an event costs does not
//! grow with what somebody has.

use std::{fmt, str::FromStr};

use events::{
    event::IntegrationEvent,
    ids::{IntegrationId, InvalidId, PrincipalId},
    integration::Fact,
    principal::Level,
};
use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::View;

/// The view.
#[derive(Debug)]
pub struct AccessByPrincipal;

impl View for AccessByPrincipal {
    type Key = Reach;
    type Document = Access;
    type Index = ();

    const NAME: &'static str = "access-by-principal";
    const VERSION: u32 = 2;

    fn keys(fact: &Fact) -> Vec<Reach> {
        let of = |principal: &PrincipalId| Reach { principal: principal.clone(), integration: fact.integration };
        match &fact.event {
            IntegrationEvent::Created(created) => vec![of(&created.owner)],
            IntegrationEvent::Shared(shared) => vec![of(&shared.principal)],
            IntegrationEvent::Unshared(unshared) => vec![of(&unshared.principal)],
            IntegrationEvent::OwnershipTransferred(transfer) => vec![of(&transfer.from), of(&transfer.to)],
            IntegrationEvent::Deleted(deleted) => {
                std::iter::once(&deleted.owner).chain(deleted.shares.keys()).map(of).collect()
            }
            IntegrationEvent::Updated(_)
            | IntegrationEvent::TagsSet(_)
            | IntegrationEvent::IconSet(_)
            | IntegrationEvent::IconRemoved(_) => Vec::new(),
        }
    }

    fn apply(reach: &Reach, before: Option<Access>, fact: &Fact) -> Option<Access> {
        match &fact.event {
            IntegrationEvent::Created(_) => Some(Access::Owner),
            IntegrationEvent::Shared(shared) => Some(Access::Shared(shared.level)),
            IntegrationEvent::OwnershipTransferred(transfer) => {
                (reach.principal == transfer.to).then_some(Access::Owner)
            }
            IntegrationEvent::Unshared(_) | IntegrationEvent::Deleted(_) => None,
            IntegrationEvent::Updated(_)
            | IntegrationEvent::TagsSet(_)
            | IntegrationEvent::IconSet(_)
            | IntegrationEvent::IconRemoved(_) => before,
        }
    }
}

/// A principal, and an integration that he reaches. In order, one principal's are beside each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reach {
    /// A user or team.
    pub principal: PrincipalId,
    /// The integration.
    pub integration: IntegrationId,
}

/// `<principal>/<integration>`: no id of an integration has a slash.
impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.principal, self.integration)
    }
}

impl FromStr for Reach {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (principal, integration) = text.rsplit_once('/').unwrap_or((text, ""));
        Ok(Self { principal: PrincipalId::parse(principal)?, integration: IntegrationId::parse(integration)? })
    }
}

/// How a principal reaches an integration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// It is his.
    Owner,
    /// It is shared with him.
    Shared(Level),
}

impl Access {
    /// What he may do with it.
    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Self::Owner => Level::Admin,
            Self::Shared(level) => level,
        }
    }
}

/// What a principal reaches, in the order of ids.
pub fn reached_by<'a>(
    documents: &'a OrdMap<Reach, Access>,
    principal: &'a PrincipalId,
) -> impl Iterator<Item = (IntegrationId, Access)> + use<'a> {
    let first = Reach { principal: principal.clone(), integration: IntegrationId::MIN };
    documents
        .range(first..)
        .take_while(move |(reach, _)| reach.principal == *principal)
        .map(|(reach, access)| (reach.integration, *access))
}
