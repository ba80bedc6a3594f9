//! Under any sequence of updates, no stored secret is ever beside a URI of another origin than it was given for. The
//! oracle keeps origins as letters and knows nothing of how they are parsed or remembered.

use command::{
    aggregate::{Aggregate, evolve},
    decide::{
        Command, Context, Field, HeaderPatch, Patch, Precondition, Rejection, SecretPatch, UpdateIntegration, decide,
    },
};
use events::{event::IntegrationEvent, stored::Store as _};
use proptest::prelude::*;

use super::given::{CLEAR, caller, created, fact, sealed};

const POINTERS: [&str; 4] = ["/authUri", "/tokenUri", "/revocationUri", "/apiBaseUri"];

/// URIs, each with the letter of its origin.
const URIS: [(char, &str); 6] = [
    ('a', "https://a.example/"),
    ('a', "https://A.example:443/other?path"),
    ('b', "https://b.example/"),
    ('p', "https://a.example:8443/"),
    ('h', "http://a.example/"),
    ('s', "https://a.example.b.example/"),
];

/// What an update does with one URI, or with one secret.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Left,
    Cleared,
    Given(usize),
}

type Update = ([Step; 4], [Step; 3]);

/// The origins of the four URIs, and those that each stored secret was given for.
#[derive(Debug, Clone, Default)]
struct Model {
    now: [Option<char>; 4],
    secrets: [Option<[Option<char>; 4]>; 3],
}

impl Model {
    /// The state after an update, or the pointers of the URIs at which a secret must be given again.
    fn after(&self, (uris, secrets): &Update) -> Result<Self, Vec<&'static str>> {
        let mut after = self.clone();
        for (now, step) in after.now.iter_mut().zip(uris) {
            match step {
                Step::Left => {}
                Step::Cleared => *now = None,
                Step::Given(which) => *now = Some(URIS[*which].0),
            }
        }
        for (secret, step) in after.secrets.iter_mut().zip(secrets) {
            match step {
                Step::Left => {}
                Step::Cleared => *secret = None,
                Step::Given(_) => *secret = Some(after.now),
            }
        }
        let is_foreign = |at: usize| {
            after.now[at].is_some() && after.secrets.iter().flatten().any(|given_for| given_for[at] != after.now[at])
        };
        let foreign: Vec<_> = (0..4).filter(|at| is_foreign(*at)).map(|at| POINTERS[at]).collect();
        if foreign.is_empty() { Ok(after) } else { Err(foreign) }
    }
}

fn step(kinds: usize) -> impl Strategy<Value = Step> {
    prop_oneof![6 => Just(Step::Left), 1 => Just(Step::Cleared), 2 => (0..kinds).prop_map(Step::Given)]
}

fn update() -> impl Strategy<Value = Update> {
    let uris = [step(URIS.len()), step(URIS.len()), step(URIS.len()), step(URIS.len())];
    (uris, [step(1), step(1), step(1)])
}

fn command((uris, [client_secret, api_key, header]): &Update) -> Command {
    let uri = |step: Step| match step {
        Step::Left => Field::Absent,
        Step::Cleared => Field::Null,
        Step::Given(which) => Field::Value(URIS[which].1.parse().unwrap()),
    };
    let secret = |step: Step| match step {
        Step::Left => Field::Absent,
        Step::Cleared => Field::Null,
        Step::Given(_) => Field::Value(sealed()),
    };
    let [auth_uri, token_uri, revocation_uri, api_base_uri] = uris.map(uri);
    let mut patch = Patch { auth_uri, token_uri, revocation_uri, api_base_uri, ..Patch::default() };
    let (client_secret, api_key) = (secret(*client_secret), secret(*api_key));
    let mut secrets = SecretPatch { client_secret, api_key, ..SecretPatch::default() };
    if *header != Step::Left {
        let given = if *header == Step::Cleared { HeaderPatch::Cleared } else { HeaderPatch::Secret };
        patch.headers = Field::Value([("x-token".to_owned(), given)].into());
    }
    if let Step::Given(_) = header {
        secrets.headers.insert("X-Token".to_owned(), sealed());
    }
    Command::UpdateIntegration(Box::new(UpdateIntegration { patch, secrets, faults: Vec::new() }))
}

fn context() -> Context {
    let now = serde_json::from_str("\"2024-01-15T09:00:00.000Z\"").unwrap();
    Context { caller: caller("alice"), now, precondition: Precondition::Nothing }
}

#[track_caller]
fn pointers(rejection: &Rejection) -> Vec<&str> {
    let Rejection::Invalid(faults) = rejection else { panic!("{rejection:?}") };
    faults.iter().map(|fault| fault.pointer.as_str()).collect()
}

/// Which secrets the state says are stored.
fn stored(state: &Aggregate) -> [bool; 3] {
    let Aggregate::Live(live) = state else { panic!("{state:?}") };
    let names = &live.integration.secrets;
    [names.client_secret, names.api_key, !names.headers.is_empty()]
}

fn says_no_secret_in_clear(event: &IntegrationEvent) -> bool {
    let stored = event.to_stored();
    let is_in = |text: &str| text.contains(CLEAR);
    !is_in(std::str::from_utf8(&stored.data).unwrap()) && !is_in(&format!("{event:?}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_secret_ever_stands_beside_an_origin_that_it_was_not_given_for(
        updates in proptest::collection::vec(update(), 1..16)
    ) {
        let (mut state, mut model, mut revision) = (evolve(Aggregate::Absent, &fact(0, created())), Model::default(), 1);
        for update in updates {
            let decided = decide(&state, command(&update), &context());
            match (decided, model.after(&update)) {
                (Ok(event), Ok(after)) => {
                    model = after;
                    let Some(event) = event else { continue };
                    prop_assert!(says_no_secret_in_clear(&event));
                    state = evolve(state, &fact(revision, event));
                    revision += 1;
                }
                (Err(rejection), Err(foreign)) => prop_assert_eq!(pointers(&rejection), foreign),
                (decided, expected) => prop_assert!(false, "{:?}, not {:?}", decided, expected),
            }
            prop_assert_eq!(stored(&state), model.secrets.map(|secret| secret.is_some()));
        }
    }
}
