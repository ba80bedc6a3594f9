//! Creating: the id, the slug, the data key and the integration, in one append where the store can.

use std::sync::Arc;

use events::{
    envelope::{Digest, Fingerprint},
    event::Secrets,
    ids::{IntegrationId, Position, Revision, Slug},
    integration::{self, Integration},
    principal::Principal,
    seal::{DataKey, Secret, SecretPlace},
    store::{Direction, Error as StoreError},
    stored,
    stream::StreamName,
};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    Asking, Conflicts, Error, Handler, Source, finished,
    slugs::{Claim, reserve},
};
use crate::{
    aggregate::Aggregate,
    decide::{Command, Context, CreateIntegration, Precondition, Rejection, SecretPatch, decide},
    keys::Wrapping,
    request::CreateRequest,
    slug,
};

/// A new integration in its first state, and where its last event stands.
#[derive(Debug)]
pub(crate) struct Created {
    pub(crate) integration: Integration,
    pub(crate) position: Position,
}

/// What an integration's id was taken from: it decides what a second request under it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IdSource {
    Body,
    IdempotencyKey,
    Fresh,
}

/// The data key of a create with secrets.
struct CreateKey {
    key: Arc<DataKey>,
    /// The write that stores it, unless it stands already. Held until the append has ended.
    wrapping: Option<Wrapping>,
}

impl Handler {
    /// Creates an integration, or finds that the same request has done so before.
    pub(crate) async fn create(
        self: &Arc<Self>,
        asking: Asking,
        idempotency_key: Option<String>,
        request: CreateRequest,
    ) -> Result<Created, Error> {
        let handler = Arc::clone(self);
        let work = async move { handler.run_create(&asking, idempotency_key.as_deref(), &request).await };
        finished(self.tasks.spawn(work).await)
    }

    async fn run_create(
        &self,
        asking: &Asking,
        idempotency_key: Option<&str>,
        request: &CreateRequest,
    ) -> Result<Created, Error> {
        let (id, source) = match (request.id, idempotency_key) {
            (Some(id), _) => (id, IdSource::Body),
            (None, Some(key)) => (derived_id(&asking.caller, key), IdSource::IdempotencyKey),
            (None, None) => (fresh_id(), IdSource::Fresh),
        };
        let stream = StreamName::integration(&asking.caller.tenant, id);
        let _turn = self.turn(&stream).await;
        let mut conflicts = Conflicts::none();
        loop {
            // An id that was given or derived is looked up before a slug or a key is made for it.
            if source != IdSource::Fresh || conflicts.count > 0 {
                let is_certain = self.store.is_sole_writer() && conflicts.count == 0;
                let from = if is_certain { Source::Cache } else { Source::Store };
                let state = self.load(&stream, from).await?;
                if *state != Aggregate::Absent {
                    return self.repeat(asking, id, source, &state, request).await;
                }
            }
            match self.try_create(asking, id, source, request).await {
                Err(Error::Store(StoreError::WrongExpectedRevision { .. } | StoreError::Tombstoned { .. })) => {
                    conflicts.meet().await?;
                }
                outcome => return outcome,
            }
        }
    }

    /// Tries the slugs, best first, until one is the integration's.
    async fn try_create(
        &self,
        asking: &Asking,
        id: IntegrationId,
        source: IdSource,
        request: &CreateRequest,
    ) -> Result<Created, Error> {
        let tenant = &asking.caller.tenant;
        let key = self.key_for(asking, id, source, request).await?;
        let settings = &request.settings;
        for slug in slug::candidates(&settings.name, &settings.r#type, id) {
            let stream = StreamName::slug(tenant, &slug);
            let mut claim = self.claim(tenant, &slug, id).await?;
            while claim != Claim::Taken {
                match self.try_slug(asking, id, request, key.as_ref(), &slug, claim).await {
                    Err(Error::Store(StoreError::WrongExpectedRevision { stream: lost, .. })) if lost == stream => {
                        self.forget_holder(&stream);
                        claim = self.read_claim(tenant, &slug, id).await?;
                    }
                    outcome => return outcome,
                }
            }
        }
        Err(Error::Contended)
    }

    async fn try_slug(
        &self,
        asking: &Asking,
        id: IntegrationId,
        request: &CreateRequest,
        key: Option<&CreateKey>,
        slug: &Slug,
        claim: Claim,
    ) -> Result<Created, Error> {
        let caller = &asking.caller;
        let at = Context { caller: caller.clone(), now: self.clock.now(), precondition: Precondition::Nothing };
        let command = Command::CreateIntegration(Box::new(CreateIntegration {
            slug: slug.clone(),
            library: request.library.clone(),
            settings: request.settings.clone(),
            secrets: key.map_or_else(Secrets::default, |key| seal(&key.key, caller, id, &request.secrets)),
        }));
        let state = Arc::new(Aggregate::Absent);
        let event = decide(&state, command, &at)?.ok_or(Rejection::NotFound)?;
        let mut before = Vec::new();
        if let Claim::Free(expected) = claim {
            before.push(reserve(&caller.tenant, slug, id, expected, at.now));
        }
        before.extend(key.and_then(|key| key.wrapping.as_ref()).map(|wrapping| wrapping.write.clone()));
        let fingerprint = Fingerprint {
            request: request.request,
            secrets: key.map(|key| key.key.fingerprint(&secret_bytes(&request.secrets))),
        };
        let stream = StreamName::integration(&caller.tenant, id);
        let created = self.append(asking, &stream, &state, before, event, at.now, Some(fingerprint)).await?;
        if let Claim::Free(expected) = claim {
            self.remember_holder(StreamName::slug(&caller.tenant, slug), id, expected.next());
        }
        match &*created {
            Aggregate::Live(live) => {
                let integration = live.integration.clone();
                Ok(Created { position: integration.last.position, integration })
            }
            Aggregate::Absent | Aggregate::Deleted(_) => Err(Rejection::NotFound.into()),
        }
    }

    async fn key_for(
        &self,
        asking: &Asking,
        id: IntegrationId,
        source: IdSource,
        request: &CreateRequest,
    ) -> Result<Option<CreateKey>, Error> {
        if !request.secrets.gives_any() {
            return Ok(None);
        }
        let tenant = &asking.caller.tenant;
        // A create that stopped half-way may have left a key, which is used; a fresh id has none.
        let found = if source == IdSource::Fresh { None } else { self.keys.find(tenant, id).await? };
        Ok(Some(match found {
            Some(key) => CreateKey { key, wrapping: None },
            None => {
                let key = DataKey::generate();
                let wrapping = self.keys.write(tenant, id, &key, self.clock.now()).await;
                CreateKey { key: Arc::new(key), wrapping: Some(wrapping) }
            }
        }))
    }

    /// The same request again gets the first answer; another one is refused.
    async fn repeat(
        &self,
        asking: &Asking,
        id: IntegrationId,
        source: IdSource,
        state: &Aggregate,
        request: &CreateRequest,
    ) -> Result<Created, Error> {
        let tenant = &asking.caller.tenant;
        let stream = StreamName::integration(tenant, id);
        let first = self.store.read_stream(&stream, Direction::ForwardsFrom(Revision::FIRST), 1).await?;
        let first = first.first().ok_or(Rejection::NotFound)?;
        let fingerprint = stored::metadata(first)?.fingerprint;
        let is_same = match fingerprint {
            Some(fingerprint) if fingerprint.request == request.request => {
                self.has_same_secrets(asking, id, state, fingerprint.secrets, request).await?
            }
            Some(_) | None => false,
        };
        let integration = integration::evolve(None, &stored::integration_fact(first)?);
        let position = state.last().map(|last| last.position);
        match (is_same, integration, position) {
            (true, Some(integration), Some(position)) => Ok(Created { integration, position }),
            _ if source == IdSource::IdempotencyKey => Err(Error::KeyReused),
            _ => Err(Rejection::IdTaken.into()),
        }
    }

    /// Whether the secrets are the first request's, as long as the integration is there: its data key, which alone can
    /// tell, goes with it, whoever still has it in memory.
    async fn has_same_secrets(
        &self,
        asking: &Asking,
        id: IntegrationId,
        state: &Aggregate,
        recorded: Option<Digest>,
        request: &CreateRequest,
    ) -> Result<bool, Error> {
        let (Some(recorded), Aggregate::Live(_)) = (recorded, state) else {
            return Ok(true);
        };
        let key = self.keys.find(&asking.caller.tenant, id).await?;
        Ok(key.is_none_or(|key| key.fingerprint(&secret_bytes(&request.secrets)) == recorded))
    }
}

fn seal(key: &DataKey, caller: &Principal, id: IntegrationId, secrets: &SecretPatch<Secret>) -> Secrets {
    let event_type = stored::INTEGRATION_CREATED;
    let sealed = secrets.map(|field, secret| {
        key.seal(SecretPlace { tenant: &caller.tenant, integration: id, event_type, field }, secret)
    });
    Secrets { client_secret: sealed.client_secret.value(), api_key: sealed.api_key.value(), headers: sealed.headers }
}

/// Every secret with the name of its field, each part preceded by its length.
fn secret_bytes(secrets: &SecretPatch<Secret>) -> zeroize::Zeroizing<Vec<u8>> {
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    let parts = std::cell::RefCell::new(&mut bytes);
    secrets.map(|field, secret| {
        for part in [field, secret.expose()] {
            let mut parts = parts.borrow_mut();
            parts.extend_from_slice(&(part.len() as u64).to_be_bytes());
            parts.extend_from_slice(part.as_bytes());
        }
    });
    bytes
}

/// The id that a key stands for: a UUID v8 (RFC 9562 §5.8) of the SHA-256 of tenant, caller and key.
fn derived_id(caller: &Principal, key: &str) -> IntegrationId {
    let mut hasher = Sha256::new();
    for part in [caller.tenant.as_str(), caller.id.as_str(), key] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let id = Digest::new(hasher.finalize().into()).uuid();
    IntegrationId::new(id).expect("a v8 UUID is neither nil nor max")
}

#[expect(clippy::disallowed_methods, reason = "the edge: ids are made where the command comes in")]
fn fresh_id() -> IntegrationId {
    IntegrationId::new(Uuid::now_v7()).expect("a v7 UUID is neither nil nor max")
}
