//! Given, when, then.

use std::collections::BTreeMap;

use command::{
    aggregate::{Aggregate, evolve},
    decide::{Command, Context, Precondition, Rejection, decide},
};
use events::{
    envelope::Digest,
    event::{IntegrationCreated, IntegrationEvent, IntegrationShared, Secrets},
    ids::{IntegrationId, Position, PrincipalId, Revision, Slug, TenantId},
    integration::Fact,
    principal::{Level, Permissions, Principal},
    seal::{DataKey, Sealed, Secret, SecretPlace},
    settings::{AuthType, Data, Headers, Mode, Settings},
    time::Timestamp,
};

/// A state made of events, and what is asked of it.
pub(crate) struct Given {
    pub(crate) state: Aggregate,
    caller: Principal,
    precondition: Precondition,
    command: Option<Command>,
}

pub(crate) fn id() -> IntegrationId {
    "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b".parse().unwrap()
}

pub(crate) fn principal(id: &str) -> PrincipalId {
    PrincipalId::parse(id).unwrap()
}

fn at(second: u64) -> Timestamp {
    serde_json::from_str(&format!("\"2024-01-15T09:00:{:02}.000Z\"", second % 60)).unwrap()
}

/// An event as the log would have it.
pub(crate) fn fact(revision: u64, event: IntegrationEvent) -> Fact {
    Fact {
        tenant: TenantId::parse("acme").unwrap(),
        integration: id(),
        position: Position::new(revision + 1),
        revision: Revision::new(revision),
        at: at(revision),
        hash: Digest::of(&revision.to_be_bytes()),
        event,
    }
}

pub(crate) fn given(events: impl IntoIterator<Item = IntegrationEvent>) -> Given {
    let facts = events.into_iter().zip(0..).map(|(event, revision)| fact(revision, event));
    let state = facts.fold(Aggregate::Absent, |state, fact| evolve(state, &fact));
    Given { state, caller: caller("alice"), precondition: Precondition::Nothing, command: None }
}

pub(crate) fn caller(user: &str) -> Principal {
    Principal {
        tenant: TenantId::parse("acme").unwrap(),
        id: principal(user),
        groups: Vec::new(),
        permissions: Permissions::default(),
    }
}

impl Given {
    pub(crate) fn by(mut self, user: &str) -> Self {
        self.caller = caller(user);
        self
    }

    pub(crate) fn with(mut self, permissions: Permissions) -> Self {
        self.caller.permissions = permissions;
        self
    }

    pub(crate) fn in_team(mut self, team: &str) -> Self {
        self.caller.groups = vec![principal(team)];
        self
    }

    pub(crate) fn if_exists(mut self) -> Self {
        self.precondition = Precondition::Exists;
        self
    }

    pub(crate) fn if_match(mut self, changes: &[&str]) -> Self {
        self.precondition = Precondition::OneOf(changes.iter().map(|change| (*change).to_owned()).collect());
        self
    }

    pub(crate) fn when(mut self, command: Command) -> Self {
        self.command = Some(command);
        self
    }

    pub(crate) fn decided(&self) -> Result<Option<IntegrationEvent>, Rejection> {
        let context = Context { caller: self.caller.clone(), now: at(59), precondition: self.precondition.clone() };
        decide(&self.state, self.command.clone().unwrap(), &context)
    }

    #[track_caller]
    pub(crate) fn then(self, event: IntegrationEvent) {
        assert_eq!(self.decided(), Ok(Some(event)));
    }

    #[track_caller]
    pub(crate) fn then_nothing(self) {
        assert_eq!(self.decided(), Ok(None));
    }

    #[track_caller]
    pub(crate) fn then_rejected(self, rejection: Rejection) {
        assert_eq!(self.decided(), Err(rejection));
    }

    #[track_caller]
    pub(crate) fn then_stale(self) {
        let rejection = self.decided().unwrap_err();
        assert!(matches!(rejection, Rejection::Stale { .. }), "{rejection:?}");
    }

    #[track_caller]
    pub(crate) fn then_invalid(self, pointers: &[&str]) {
        match self.decided() {
            Err(Rejection::Invalid(faults)) => {
                let found: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
                assert_eq!(found, pointers);
            }
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        name: "Slack".to_owned(),
        r#type: "custom".to_owned(),
        category: None,
        description: None,
        mode: Mode::PerUser,
        auth_type: AuthType::Oauth2,
        scope: None,
        auth_uri: None,
        token_uri: None,
        revocation_uri: None,
        api_base_uri: None,
        client_id: None,
        basic_token_auth: None,
        api_key_location: None,
        api_key_name: None,
        image_url: None,
        headers: Headers::default(),
        data: Data::default(),
        supports_upload: false,
    }
}

pub(crate) fn created_with(settings: Settings, secrets: Secrets) -> IntegrationEvent {
    let slug = Slug::parse("slack").unwrap();
    IntegrationEvent::Created(Box::new(IntegrationCreated {
        slug,
        owner: principal("alice"),
        library: None,
        settings,
        secrets,
    }))
}

/// Created by Alice.
pub(crate) fn created() -> IntegrationEvent {
    created_with(settings(), Secrets::default())
}

pub(crate) fn shared(with: &str, level: Level) -> IntegrationEvent {
    IntegrationEvent::Shared(IntegrationShared { principal: principal(with), level, previous: None })
}

/// What sealed secrets are in clear.
pub(crate) const CLEAR: &str = "correct-horse-battery-staple";

/// A sealed secret: which one does not matter to the domain.
pub(crate) fn sealed() -> Sealed {
    let tenant = TenantId::parse("acme").unwrap();
    let place =
        SecretPlace { tenant: &tenant, integration: id(), event_type: "IntegrationCreated.v2", field: "apiKey" };
    DataKey::generate().seal(place, &Secret::new(CLEAR.to_owned()))
}

pub(crate) fn secret_header(name: &str) -> Secrets {
    Secrets { headers: BTreeMap::from([(name.to_owned(), sealed())]), ..Secrets::default() }
}
