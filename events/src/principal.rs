//! Who may do what, purely.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{PrincipalId, TenantId};

/// How much a principal may do with one integration; each level includes those below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Level {
    /// 1: see it with its shares, owner and tags, connect, use it in requests.
    Read,
    /// 2: change its settings, icon and tags.
    Write,
    /// 3: share it, give it away, delete it.
    Admin,
}

impl Level {
    /// The rule that the number of a level keeps.
    pub const RULE: &'static str = "must be 1 (read), 2 (write) or 3 (admin)";
}

impl From<Level> for u8 {
    fn from(level: Level) -> Self {
        match level {
            Level::Read => 1,
            Level::Write => 2,
            Level::Admin => 3,
        }
    }
}

impl TryFrom<u8> for Level {
    type Error = &'static str;
    fn try_from(number: u8) -> Result<Self, &'static str> {
        match number {
            1 => Ok(Self::Read),
            2 => Ok(Self::Write),
            3 => Ok(Self::Admin),
            _ => Err(Self::RULE),
        }
    }
}

/// What a token allows in its whole tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions {
    /// `permission.integrations.create`: make integrations.
    pub create: bool,
    /// `permission.integrations.admin`: everything in the tenant, creating too.
    pub admin: bool,
    /// `permission.integrations.audit`: all history of the tenant, no details.
    pub audit: bool,
}

/// Who asks: a user of a tenant, with his teams and permissions. Made by the token's check and by nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The tenant that the token names; nothing outside it can be reached.
    pub tenant: TenantId,
    /// The user.
    pub id: PrincipalId,
    /// His teams, sorted, each once.
    pub groups: Vec<PrincipalId>,
    /// What the token allows in the whole tenant.
    pub permissions: Permissions,
}

impl Principal {
    /// Whether `principal` is this user or a team of his.
    #[must_use]
    pub fn is(&self, principal: &PrincipalId) -> bool {
        self.id == *principal || self.groups.binary_search(principal).is_ok()
    }

    /// Whether he may create integrations.
    #[must_use]
    pub fn may_create(&self) -> bool {
        self.permissions.create || self.permissions.admin
    }
}

/// The highest level that a principal has by the tenant's permissions, by ownership (his own or a team's of his) and
/// by shares; `None` when he may not even see it.
#[must_use]
pub fn level_of<T>(
    principal: &Principal,
    owner: &PrincipalId,
    shares: &BTreeMap<PrincipalId, T>,
    level: impl Fn(&T) -> Level,
) -> Option<Level> {
    if principal.permissions.admin || principal.is(owner) {
        return Some(Level::Admin);
    }
    std::iter::once(&principal.id).chain(&principal.groups).filter_map(|id| shares.get(id).map(&level)).max()
}
