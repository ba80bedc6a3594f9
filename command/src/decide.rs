//! What a command does to an integration: pure functions over the folded state. One command is one event or none.

use events::{
    envelope::Digest,
    event::{
        IconRemoved, IconSet, IconType, IntegrationCreated, IntegrationDeleted, IntegrationEvent, IntegrationShared,
        IntegrationUnshared, OwnershipTransferred, Secrets, TagsSet,
    },
    ids::{BlobId, LibraryId, PrincipalId, Slug, TagId},
    integration::LastEvent,
    limits,
    principal::{Level, Principal},
    settings::Settings,
    time::Timestamp,
};
use web::problem::Fault;

use crate::aggregate::{Aggregate, Live};

mod update;

pub use update::{Field, HeaderPatch, HeadersPatch, Patch, SecretPatch, UpdateIntegration, api_key_name_fault};

/// What somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make an integration.
    CreateIntegration(Box<CreateIntegration>),
    /// Change settings or secrets.
    UpdateIntegration(Box<UpdateIntegration>),
    /// End it.
    DeleteIntegration,
    /// Give a principal a level.
    ShareIntegration {
        /// With whom.
        principal: PrincipalId,
        /// What he may do.
        level: Level,
    },
    /// End a share.
    UnshareIntegration {
        /// Whose.
        principal: PrincipalId,
    },
    /// Give it to another owner.
    TransferOwnership {
        /// The new owner.
        to: PrincipalId,
    },
    /// Replace its tags.
    SetTags {
        /// All tags; one given twice counts once.
        tags: Vec<TagId>,
    },
    /// Add a tag.
    AddTag {
        /// The tag.
        tag: TagId,
    },
    /// Remove a tag.
    RemoveTag {
        /// The tag.
        tag: TagId,
    },
    /// Give it an icon.
    SetIcon(NewIcon),
    /// Remove its icon.
    RemoveIcon,
}

/// A new integration, with everything resolved: its slug, what the catalogue contributes, its sealed secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateIntegration {
    /// The reserved slug.
    pub slug: Slug,
    /// The library that it is embedded in.
    pub library: Option<LibraryId>,
    /// Its settings.
    pub settings: Settings,
    /// Its secrets.
    pub secrets: Secrets,
}

/// An uploaded icon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewIcon {
    /// Where its bytes will stand.
    pub blob: BlobId,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// What its bytes are.
    pub media_type: IconType,
    /// How many bytes.
    pub size: u64,
}

/// What the decision must know beside state and command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Who asks.
    pub caller: Principal,
    /// When.
    pub now: Timestamp,
    /// What the state must be for the command to be wanted.
    pub precondition: Precondition,
}

/// What the client demands of the state that its command meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    Nothing,
    /// That there is an integration.
    Exists,
    /// That the state, or for icon commands the icon, is one of these.
    OneOf(Vec<String>),
}

/// The domain says no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// There is nothing that the caller may see.
    NotFound,
    /// He sees it, but may not do this.
    NotPermitted,
    /// The state is not the one that the client demands.
    Stale {
        /// The event that the state is of.
        current: LastEvent,
    },
    /// Rules are broken: all of them.
    Invalid(Vec<Fault>),
    /// The id stands for an integration already, or did.
    IdTaken,
}

/// What a command does: one event, or none when nothing changes.
///
/// # Errors
/// [`Rejection`].
pub fn decide(state: &Aggregate, command: Command, at: &Context) -> Result<Option<IntegrationEvent>, Rejection> {
    match command {
        Command::CreateIntegration(command) => create(state, *command, at),
        Command::UpdateIntegration(command) => update::update(state, *command, at),
        Command::DeleteIntegration => delete(state, at),
        Command::ShareIntegration { principal, level } => share(state, principal, level, at),
        Command::UnshareIntegration { principal } => unshare(state, principal, at),
        Command::TransferOwnership { to } => transfer_ownership(state, to, at),
        Command::SetTags { tags } => set_tags(state, tags, at),
        Command::AddTag { tag } => add_tag(state, tag, at),
        Command::RemoveTag { tag } => remove_tag(state, &tag, at),
        Command::SetIcon(icon) => set_icon(state, icon, at),
        Command::RemoveIcon => remove_icon(state, at),
    }
}

/// What a caller must be to be let in with a command, before anything else of it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// A level.
    Level(Level),
    /// To administer it, or to be this very user.
    AdminOr(PrincipalId),
}

/// Whether a caller may see an integration, and whether he may do what he needs to.
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::NotPermitted`].
pub fn admit<'a>(state: &'a Aggregate, caller: &Principal, need: &Need) -> Result<&'a Live, Rejection> {
    let Aggregate::Live(live) = state else {
        return Err(Rejection::NotFound);
    };
    let level = live.integration.level_of(caller).ok_or(Rejection::NotFound)?;
    let is_enough = match need {
        Need::Level(needed) => level >= *needed,
        Need::AdminOr(user) => level >= Level::Admin || *user == caller.id,
    };
    if is_enough { Ok(live) } else { Err(Rejection::NotPermitted) }
}

fn writable<'a>(state: &'a Aggregate, at: &Context) -> Result<&'a Live, Rejection> {
    admit(state, &at.caller, &Need::Level(Level::Write))
}

fn administrable<'a>(state: &'a Aggregate, at: &Context) -> Result<&'a Live, Rejection> {
    admit(state, &at.caller, &Need::Level(Level::Admin))
}

impl Precondition {
    /// Checks it against a state.
    ///
    /// # Errors
    /// [`Rejection::Stale`].
    pub fn check(&self, live: &Live) -> Result<(), Rejection> {
        self.check_with(live, |_| false)
    }

    /// For icon commands, the icon's digest will do too.
    fn check_for_icon(&self, live: &Live) -> Result<(), Rejection> {
        let digest = live.integration.icon.as_ref().map(|icon| icon.sha256.to_string());
        self.check_with(live, |wanted| Some(wanted) == digest.as_deref())
    }

    fn check_with(&self, live: &Live, also: impl Fn(&str) -> bool) -> Result<(), Rejection> {
        let last = live.integration.last;
        let holds = match self {
            Self::Nothing | Self::Exists => true,
            Self::OneOf(changes) => changes.iter().any(|wanted| *wanted == last.change() || also(wanted)),
        };
        if holds { Ok(()) } else { Err(Rejection::Stale { current: last }) }
    }
}

fn create(state: &Aggregate, command: CreateIntegration, at: &Context) -> Result<Option<IntegrationEvent>, Rejection> {
    if !at.caller.may_create() {
        return Err(Rejection::NotPermitted);
    }
    match state {
        Aggregate::Absent => Ok(Some(IntegrationEvent::Created(Box::new(IntegrationCreated {
            slug: command.slug,
            owner: at.caller.id.clone(),
            library: command.library,
            settings: command.settings,
            secrets: command.secrets,
        })))),
        Aggregate::Live(_) | Aggregate::Deleted(_) => Err(Rejection::IdTaken),
    }
}

fn delete(state: &Aggregate, at: &Context) -> Result<Option<IntegrationEvent>, Rejection> {
    let live = administrable(state, at)?;
    at.precondition.check(live)?;
    let integration = &live.integration;
    Ok(Some(IntegrationEvent::Deleted(IntegrationDeleted {
        owner: integration.owner.clone(),
        slug: integration.slug.clone(),
        library: integration.library.clone(),
        tags: integration.tags.clone(),
        shares: integration.shares.iter().map(|(id, share)| (id.clone(), share.level)).collect(),
        icon: integration.icon.as_ref().map(|icon| icon.blob),
        key: live.key,
    })))
}

fn share(
    state: &Aggregate,
    principal: PrincipalId,
    level: Level,
    at: &Context,
) -> Result<Option<IntegrationEvent>, Rejection> {
    let live = administrable(state, at)?;
    at.precondition.check(live)?;
    let integration = &live.integration;
    if principal == integration.owner {
        return Err(invalid("path:principalId", "must not be the owner, who has every right already".to_owned()));
    }
    let previous = integration.shares.get(&principal).map(|share| share.level);
    if previous == Some(level) {
        return Ok(None);
    }
    if previous.is_none() && integration.shares.len() >= limits::SHARES_MAX {
        let rule = format!("an integration has at most {} shares", limits::SHARES_MAX);
        return Err(invalid("path:principalId", rule));
    }
    Ok(Some(IntegrationEvent::Shared(IntegrationShared { principal, level, previous })))
}

fn unshare(state: &Aggregate, principal: PrincipalId, at: &Context) -> Result<Option<IntegrationEvent>, Rejection> {
    let live = admit(state, &at.caller, &Need::AdminOr(principal.clone()))?;
    let share = live.integration.shares.get(&principal).ok_or(Rejection::NotFound)?;
    at.precondition.check(live)?;
    Ok(Some(IntegrationEvent::Unshared(IntegrationUnshared { principal, level: share.level })))
}

fn transfer_ownership(state: &Aggregate, to: PrincipalId, at: &Context) -> Result<Option<IntegrationEvent>, Rejection> {
    let live = administrable(state, at)?;
    at.precondition.check(live)?;
    let integration = &live.integration;
    if to == integration.owner {
        return Ok(None);
    }
    let ended_share = integration.shares.get(&to).map(|share| share.level);
    let from = integration.owner.clone();
    Ok(Some(IntegrationEvent::OwnershipTransferred(OwnershipTransferred { from, to, ended_share })))
}

fn set_tags(state: &Aggregate, tags: Vec<TagId>, at: &Context) -> Result<Option<IntegrationEvent>, Rejection> {
    let live = writable(state, at)?;
    at.precondition.check(live)?;
    if let Some(fault) = tag_count_fault(&tags) {
        return Err(Rejection::Invalid(vec![fault]));
    }
    Ok(tags_event(&live.integration.tags, each_once(tags)))
}

/// So many tags are too many; one given twice counts once.
#[must_use]
pub fn tag_count_fault(tags: &[TagId]) -> Option<Fault> {
    (each_once(tags.to_vec()).len() > limits::TAGS_MAX).then(|| Fault::new("/tags", tags_rule()))
}

fn add_tag(state: &Aggregate, tag: TagId, at: &Context) -> Result<Option<IntegrationEvent>, Rejection> {
    let live = writable(state, at)?;
    at.precondition.check(live)?;
    let mut tags = live.integration.tags.clone();
    tags.push(tag);
    let tags = each_once(tags);
    if tags.len() > limits::TAGS_MAX {
        return Err(invalid("path:tagId", tags_rule()));
    }
    Ok(tags_event(&live.integration.tags, tags))
}

fn remove_tag(state: &Aggregate, tag: &TagId, at: &Context) -> Result<Option<IntegrationEvent>, Rejection> {
    let live = writable(state, at)?;
    let before = &live.integration.tags;
    if !before.contains(tag) {
        return Err(Rejection::NotFound);
    }
    at.precondition.check(live)?;
    Ok(tags_event(before, before.iter().filter(|kept| *kept != tag).cloned().collect()))
}

fn tags_event(before: &[TagId], tags: Vec<TagId>) -> Option<IntegrationEvent> {
    let missing_in = |others: &[TagId], tags: &[TagId]| -> Vec<TagId> {
        tags.iter().filter(|tag| !others.contains(tag)).cloned().collect()
    };
    let (added, removed) = (missing_in(before, &tags), missing_in(&tags, before));
    (before != tags).then_some(IntegrationEvent::TagsSet(TagsSet { tags, added, removed }))
}

fn each_once(tags: Vec<TagId>) -> Vec<TagId> {
    let mut seen = std::collections::BTreeSet::new();
    tags.into_iter().filter(|tag| seen.insert(tag.clone())).collect()
}

fn tags_rule() -> String {
    format!("an integration has at most {} tags", limits::TAGS_MAX)
}

fn set_icon(state: &Aggregate, icon: NewIcon, at: &Context) -> Result<Option<IntegrationEvent>, Rejection> {
    let live = writable(state, at)?;
    at.precondition.check_for_icon(live)?;
    let before = live.integration.icon.as_ref();
    if before.is_some_and(|before| before.sha256 == icon.sha256 && before.media_type == icon.media_type) {
        return Ok(None);
    }
    Ok(Some(IntegrationEvent::IconSet(IconSet {
        blob: icon.blob,
        sha256: icon.sha256,
        media_type: icon.media_type,
        size: icon.size,
        replaces: before.map(|before| before.blob),
    })))
}

fn remove_icon(state: &Aggregate, at: &Context) -> Result<Option<IntegrationEvent>, Rejection> {
    let live = writable(state, at)?;
    let icon = live.integration.icon.as_ref().ok_or(Rejection::NotFound)?;
    at.precondition.check_for_icon(live)?;
    Ok(Some(IntegrationEvent::IconRemoved(IconRemoved { blob: icon.blob })))
}

fn invalid(pointer: &str, message: String) -> Rejection {
    Rejection::Invalid(vec![Fault::new(pointer, message)])
}
