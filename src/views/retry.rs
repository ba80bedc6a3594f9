//! `integrations views retry`: asks whoever feeds a view to try its parked streams again, and tells what came of it.

use std::time::Duration;

use anyhow::anyhow;
use projector::{
    store::{
        ParkedStreams,
        postgres::{Database, Retry},
    },
    view::{self, View, WithView},
};
use tokio::time::Instant;

use super::{Outcome, connect, failed, say, with_named};
use crate::{Failure, cli};

/// How long a projector may take.
const WAIT: Duration = Duration::from_secs(30);
/// How often it is looked whether it was done.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Tries the parked streams of one view again, or of all.
pub(super) async fn run(options: &cli::RetryView) -> Result<(), Failure> {
    let names: Vec<&str> = match &options.name {
        Some(name) => vec![name],
        None => view::NAMES.to_vec(),
    };
    let database = connect(&options.view_store).await?;
    for name in names {
        with_named(name, Verb(&database))?.await?;
    }
    Ok(())
}

struct Verb<'a>(&'a Database);

impl<'a> WithView for Verb<'a> {
    type Output = Outcome<'a, ()>;

    fn with<V: View>(self) -> Outcome<'a, ()> {
        Box::pin(retry::<V>(self.0))
    }
}

async fn retry<V: View>(database: &Database) -> Result<(), Failure> {
    let asked = Retry::ask::<V>(database).await.map_err(failed)?;
    let asked =
        asked.ok_or_else(|| Failure::Service(anyhow!("there is no view {} yet: start a projector", V::NAME)))?;
    if asked.before.is_empty() {
        return say(&format!("{}: no stream is parked\n", V::NAME));
    }
    let deadline = Instant::now() + WAIT;
    while !asked.is_done().await.map_err(failed)? {
        if Instant::now() >= deadline {
            return Err(Failure::Service(anyhow!(
                "no projector has tried the parked streams of the view {} within {} s: is one running? They are tried when one does",
                V::NAME,
                WAIT.as_secs()
            )));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let after = asked.parked::<V>().await.map_err(failed)?;
    say(&told(V::NAME, &asked.before, &after))
}

/// A line for each stream that was parked: how far it was taken up, or where it stays parked.
fn told(view: &str, before: &ParkedStreams, after: &ParkedStreams) -> String {
    let line = |(stream, was): (&_, &_)| match after.get(stream) {
        None => format!("{view}: {stream} is taken up\n"),
        Some(is) if is == was => format!("{view}: {stream} stays parked at revision {is}\n"),
        Some(is) => format!("{view}: {stream} is taken up to revision {is}, where it is parked again\n"),
    };
    before.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use events::{ids::Revision, stream::StreamName};

    use super::*;

    #[test]
    fn each_stream_is_told_by_what_became_of_it() {
        let parked = |streams: &[(&str, u64)]| -> ParkedStreams {
            let one = |&(name, at): &(&str, u64)| (StreamName::parse(name).expect("a name"), Revision::new(at));
            streams.iter().map(one).collect()
        };
        let before = parked(&[("integration-t:a", 1), ("integration-t:b", 2), ("integration-t:c", 3)]);
        let text = told("v", &before, &parked(&[("integration-t:b", 2), ("integration-t:c", 7)]));
        let expected = "v: integration-t:a is taken up\n\
                        v: integration-t:b stays parked at revision 2\n\
                        v: integration-t:c is taken up to revision 7, where it is parked again\n";
        assert_eq!(text, expected);
    }
}
