//! The public state of an integration and its one fold. The aggregate wraps it, the view stores it.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    envelope::Digest,
    event::{
        IconSet, IntegrationCreated, IntegrationEvent, IntegrationShared, IntegrationUpdated, OwnershipTransferred,
        SecretChange, SecretChanges,
    },
    ids::{IntegrationId, LibraryId, Position, PrincipalId, Revision, Slug, TagId, TenantId},
    principal::{Level, Principal, level_of},
    settings::Settings,
    time::Timestamp,
};

/// Changes whenever the fold gives another state for the same events: views and entity tags carry it.
pub const FOLD_VERSION: u32 = 1;

/// An event of an integration as the log has it: what happened, to which one, where and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Whose integration.
    pub tenant: TenantId,
    /// Which integration.
    pub integration: IntegrationId,
    /// The event's place in the log.
    pub position: Position,
    /// The event's place in the integration's stream.
    pub revision: Revision,
    /// When it was decided.
    pub at: Timestamp,
    /// The event's hash.
    pub hash: Digest,
    /// What happened.
    pub event: IntegrationEvent,
}

/// The event that an integration's state is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastEvent {
    /// Its place in the integration's stream.
    pub revision: Revision,
    /// Its place in the log.
    pub position: Position,
    /// Its hash.
    pub hash: Digest,
}

impl From<&Fact> for LastEvent {
    fn from(fact: &Fact) -> Self {
        Self { revision: fact.revision, position: fact.position, hash: fact.hash }
    }
}

impl LastEvent {
    /// How clients name the state that this event made: `<revision>-<first 8 hex digits of its hash>`.
    #[must_use]
    pub fn change(&self) -> String {
        [&self.revision.get().to_string(), "-", &self.hash.short()].concat()
    }
}

/// What everybody who may read an integration can know of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integration {
    /// Unique within its tenant.
    pub id: IntegrationId,
    /// Its readable name in paths; never changes.
    pub slug: Slug,
    /// Who owns it: a user or a team.
    pub owner: PrincipalId,
    /// The library that it is embedded in; never changes.
    pub library: Option<LibraryId>,
    /// What a PUT can set.
    pub settings: Settings,
    /// Which secrets it has.
    pub secrets: SecretNames,
    /// With whom it is shared.
    pub shares: BTreeMap<PrincipalId, Share>,
    /// Its tags, in the order given.
    pub tags: Vec<TagId>,
    /// Its uploaded icon.
    pub icon: Option<IconSet>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
    /// The event that this state is of.
    pub last: LastEvent,
}

/// Which secrets an integration has, by name only.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SecretNames {
    /// Whether it has an OAuth client secret.
    pub client_secret: bool,
    /// Whether it has an API key.
    pub api_key: bool,
    /// Its secret headers: lower-case name to the name as given.
    pub headers: BTreeMap<String, String>,
}

/// A share: what a principal may do, since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// What he may do.
    pub level: Level,
    /// Since when it is shared with him.
    pub created_at: Timestamp,
    /// Since when at this level.
    pub updated_at: Timestamp,
}

impl Integration {
    /// About how many bytes of memory it takes, for caches that are bounded by that.
    #[must_use]
    pub fn weight(&self) -> u32 {
        const FIXED: usize = 1_024;
        let settings = &self.settings;
        let headers = settings.headers.iter().map(|(name, value)| name.len() + value.len() + 64);
        let texts = settings.data.as_str().len()
            + settings.description.as_ref().map_or(0, String::len)
            + headers.sum::<usize>();
        let bytes = FIXED + texts + self.shares.len() * 128 + self.tags.len() * 64;
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// Whether this user or team owns it or is shared it.
    #[must_use]
    pub fn is_reached_by(&self, principal: &PrincipalId) -> bool {
        self.owner == *principal || self.shares.contains_key(principal)
    }

    /// What a principal may do with it; `None` when he may not even see it.
    #[must_use]
    pub fn level_of(&self, principal: &Principal) -> Option<Level> {
        level_of(principal, &self.owner, &self.shares, |share| share.level)
    }
}

/// The state after a fact: `None` when there is no integration, before its creation and after its deletion.
/// Total: a fact that cannot follow the state, which no log of ours holds, leaves it as it was.
#[must_use]
pub fn evolve(state: Option<Integration>, fact: &Fact) -> Option<Integration> {
    evolve_held(state, fact, |new| new, |state| state)
}

/// Likewise, of a state that others may hold too: it is changed in place where nobody else does, and else copied once.
#[must_use]
pub fn evolve_shared(state: Option<Arc<Integration>>, fact: &Fact) -> Option<Arc<Integration>> {
    evolve_held(state, fact, Arc::new, Arc::make_mut)
}

/// The fold, whatever holds the state.
fn evolve_held<S>(
    state: Option<S>,
    fact: &Fact,
    hold: impl FnOnce(Integration) -> S,
    open: impl FnOnce(&mut S) -> &mut Integration,
) -> Option<S> {
    if let IntegrationEvent::Created(created) = &fact.event {
        return Some(state.unwrap_or_else(|| hold(begin(created, fact))));
    }
    if let IntegrationEvent::Deleted(_) = &fact.event {
        return None;
    }
    let mut state = state?;
    let integration = open(&mut state);
    match &fact.event {
        // Told above.
        IntegrationEvent::Created(_) | IntegrationEvent::Deleted(_) => {}
        IntegrationEvent::Updated(updated) => update(integration, updated),
        IntegrationEvent::Shared(shared) => share(integration, shared, fact.at),
        IntegrationEvent::Unshared(unshared) => {
            integration.shares.remove(&unshared.principal);
        }
        IntegrationEvent::OwnershipTransferred(transfer) => transfer_ownership(integration, transfer),
        IntegrationEvent::TagsSet(tags) => integration.tags.clone_from(&tags.tags),
        IntegrationEvent::IconSet(icon) => integration.icon = Some(icon.clone()),
        IntegrationEvent::IconRemoved(_) => integration.icon = None,
    }
    integration.updated_at = integration.updated_at.max(fact.at);
    integration.last = fact.into();
    Some(state)
}

fn begin(created: &IntegrationCreated, fact: &Fact) -> Integration {
    let headers = created.secrets.headers.keys().map(|name| (name.to_ascii_lowercase(), name.clone()));
    Integration {
        id: fact.integration,
        slug: created.slug.clone(),
        owner: created.owner.clone(),
        library: created.library.clone(),
        settings: created.settings.clone(),
        secrets: SecretNames {
            client_secret: created.secrets.client_secret.is_some(),
            api_key: created.secrets.api_key.is_some(),
            headers: headers.collect(),
        },
        shares: BTreeMap::new(),
        tags: Vec::new(),
        icon: None,
        created_at: fact.at,
        updated_at: fact.at,
        last: fact.into(),
    }
}

fn update(integration: &mut Integration, updated: &IntegrationUpdated) {
    updated.changes.apply(&mut integration.settings);
    change_secrets(&mut integration.secrets, &updated.secrets);
}

fn change_secrets(names: &mut SecretNames, changes: &SecretChanges) {
    let is_set = |change: &SecretChange| match change {
        SecretChange::Set(_) => true,
        SecretChange::Cleared => false,
    };
    if let Some(change) = &changes.client_secret {
        names.client_secret = is_set(change);
    }
    if let Some(change) = &changes.api_key {
        names.api_key = is_set(change);
    }
    for (name, change) in &changes.headers {
        let key = name.to_ascii_lowercase();
        if is_set(change) {
            names.headers.insert(key, name.clone());
        } else {
            names.headers.remove(&key);
        }
    }
}

fn share(integration: &mut Integration, shared: &IntegrationShared, at: Timestamp) {
    let since = integration.shares.get(&shared.principal).map_or(at, |share| share.created_at);
    let share = Share { level: shared.level, created_at: since, updated_at: at.max(since) };
    integration.shares.insert(shared.principal.clone(), share);
}

fn transfer_ownership(integration: &mut Integration, transfer: &OwnershipTransferred) {
    integration.owner.clone_from(&transfer.to);
    integration.shares.remove(&transfer.to);
}
