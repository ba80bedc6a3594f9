//! `import` into a log on a server: what an export holds is there, at other positions, or nothing was written.

use std::{collections::BTreeSet, time::Duration, time::Instant};

use peer::Fault;
use serde_json::Value;
use tokio::task::spawn_blocking;

use super::*;
use crate::{
    harness::{Answer, Server, png},
    log,
    process::eventually,
};

const CREATE_WITH_KEY: &str = "key-of-a-create";
const SOON: Duration = Duration::from_secs(20);

fn body(secret: &str) -> Value {
    json!({ "name": "Slack", "type": "slack", "clientSecret": secret })
}

async fn create_again(client: &Client, secret: &str) -> Answer {
    let request = client.request("POST", "/api/integrations").header("idempotency-key", CREATE_WITH_KEY);
    request.json(&body(secret)).send().await
}

/// An export of a log in a data directory with everything that there may be, and what its service answered.
struct Source {
    server: Server,
    file: PathBuf,
    paths: Vec<String>,
    answers: Vec<(String, Answer)>,
    created: Answer,
}

impl Source {
    async fn new() -> Self {
        let mut server = Server::start_alone().await;
        let alice = server.alice();
        let (mut paths, _) = furnish(&alice).await;
        let created = create_again(&alice, "one").await.expect(201);
        // A slug that was taken before, an icon in place of another, one that is no more.
        let again = alice.create(json!({ "name": "Gone", "type": "custom", "apiKey": "a" })).await;
        let destroyed = alice.create(json!({ "name": "Destroyed", "type": "slack", "clientSecret": "d" })).await;
        for mark in ["older", "newer"] {
            alice.request("PUT", &again.path("/icon")).body("image/png", png(mark)).send().await.expect(200);
        }
        alice.delete(&destroyed.path("")).await.expect(204);
        paths.extend([again.path(""), again.path("/icon"), destroyed.path(""), "/api/integrations/gone".to_owned()]);
        // Data keys twice wrapped anew, hence not at revision 0.
        for revision in 1..=2 {
            printed(&run(&server.data_dir(), &["keys", "rotate"]));
            let is_there = |row: &log::Row| row.of("key").is_none() || row.revision == revision;
            let is_wrap = |row: &log::Row| row.event_type != log::TOMBSTONE;
            let rows = || log::rows(&server.data_dir());
            eventually("keys are wrapped anew", async || rows().iter().filter(|row| is_wrap(row)).all(is_there)).await;
        }
        let answers = looked_at(&alice, &paths).await;
        assert!(server.terminate().success());
        let file = server.data_dir().join("log.jsonl");
        printed(&run(&server.data_dir(), &["export", file.to_str().unwrap()]));
        Self { server, file, paths, answers, created }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.file).unwrap()
    }

    /// The events of the export, without positions.
    fn events(&self) -> Vec<Value> {
        events_of(&self.text())
    }
}

fn events_of(export: &str) -> Vec<Value> {
    let mut lines: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.retain(|line| line.get("stream").is_some());
    lines.iter_mut().for_each(|line| drop(line.as_object_mut().unwrap().remove("position")));
    lines
}

/// An empty log on a server, and a data directory with the keys of the log that goes there.
struct Target {
    directory: TempDir,
    peer: Peer,
}

impl Target {
    fn new(source: &Source) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for key in ["master.key", "jwt.key"] {
            std::fs::copy(source.server.data_dir().join(key), directory.path().join(key)).unwrap();
        }
        std::fs::create_dir(directory.path().join("peer")).unwrap();
        let peer = start_peer(directory.path());
        Self { directory, peer }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        run(self.directory.path(), &[arguments, &["--event-store", &self.peer.url()]].concat())
    }

    fn import(&self, file: &Path) -> Output {
        self.run(&["import", file.to_str().unwrap()])
    }

    fn start_import(&self, file: &Path) -> Process {
        let mut import = crate::service::binary();
        import.args(["import", file.to_str().unwrap(), "--event-store", &self.peer.url()]);
        Process::start(import.arg("--data-dir").arg(self.directory.path()))
    }

    /// What stands in streams of the service, in order: stream, revision, id.
    fn places(&self) -> Vec<(String, u64, String)> {
        let events = self.peer.events();
        let ours = events.iter().filter(|event| !event.stream.starts_with('$') && !event.event_type().starts_with('$'));
        ours.map(|event| (event.stream.to_string(), event.revision, event.proposed.id.to_string())).collect()
    }

    /// Checks that all of an export is there, in its order.
    #[track_caller]
    fn check_complete(&self, source: &Source) {
        assert!(printed(&self.run(&["verify"])).starts_with("whole: "));
        let places = self.places();
        let mut rest = places.iter();
        for event in source.events() {
            let place = (text(&event, "stream"), event["revision"].as_u64().unwrap(), text(&event, "id"));
            assert!(rest.any(|next| *next == place), "{place:?} is not there, or not in its order");
        }
        let is_named = |(stream, revision, _): &&(String, u64, String)| !(stream.starts_with("key-") && *revision < 2);
        assert_eq!(places.iter().filter(is_named).count(), source.events().len());
    }

    async fn serve(&self) -> (Process, Client) {
        let service = Process::serve(self.directory.path(), &["--event-store", &self.peer.url()]);
        let url = service.ready().await;
        (service, alice(&url, self.directory.path()))
    }
}

fn start_peer(directory: &Path) -> Peer {
    Peer::start(&Options { directory: Some(directory.join("peer")), ..Options::default() }).unwrap()
}

fn text(event: &Value, name: &str) -> String {
    event[name].as_str().unwrap().to_owned()
}

fn alice(url: &str, data_dir: &Path) -> Client {
    client(url, data_dir, json!({ "sub": "alice", "tenant": "acme", "permissions": [CREATE] }))
}

/// Checks that a service answers what another did, but for positions: the tags of single integrations are the same.
async fn check_answers(source: &Source, client: &Client) {
    for ((path, now), (_, before)) in looked_at(client, &source.paths).await.iter().zip(&source.answers) {
        assert_eq!((now.status, now.text()), (before.status, before.text()), "{path}");
        let is_single = path.matches('/').count() == 3 && path.starts_with("/api/integrations/");
        if is_single {
            assert_eq!(now.try_header("etag"), before.try_header("etag"), "{path}");
        }
    }
}

fn counts(verified: &str) -> String {
    verified.split(", head").next().unwrap().to_owned()
}

#[tokio::test]
async fn a_log_goes_from_a_data_directory_to_a_server_and_back_and_every_answer_is_the_same() {
    let source = Source::new().await;
    let target = Target::new(&source);
    let output = target.import(&source.file);
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(printed(&output).is_empty());
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.starts_with(&format!("imported {} events, head ", source.events().len())), "{told}");
    target.check_complete(&source);

    // Back again: the same events, and the same numbers.
    let (back, again) = (target.directory.path().join("back"), target.directory.path().join("again.jsonl"));
    printed(&target.run(&["export", again.to_str().unwrap()]));
    let lines = |text: &str| events_of(text).iter().map(Value::to_string).collect::<BTreeSet<_>>();
    assert_eq!(lines(&std::fs::read_to_string(&again).unwrap()), lines(&source.text()));
    printed(&run(&back, &["import", again.to_str().unwrap()]));
    let verified = printed(&run(&back, &["verify"]));
    assert_eq!(counts(&printed(&target.run(&["verify"]))), counts(&verified));
    for key in ["master.key", "jwt.key"] {
        std::fs::copy(target.directory.path().join(key), back.join(key)).unwrap();
    }
    let service = Process::serve(&back, &[]);
    check_answers(&source, &alice(&service.ready().await, &back)).await;

    let (_service, client) = target.serve().await;
    check_answers(&source, &client).await;
    // The data key opens: with it alone the same secret is told from another.
    let same = create_again(&client, "one").await.expect(201);
    assert_eq!((&same.body, same.header("etag")), (&source.created.body, source.created.header("etag")));
    create_again(&client, "two").await.expect_problem(422, "key-reused");
    client.put("/api/integrations/drive", json!({ "clientSecret": "another" })).await.expect(200);
    let elsewhere = json!({ "tokenUri": "https://elsewhere.example/token" });
    client.put("/api/integrations/drive", elsewhere).await.expect(422);
    client.get("/api/integrations/destroyed").await.expect(404);
    client.create(json!({ "name": "Next", "type": "slack", "clientSecret": "n" })).await;
    assert!(printed(&target.run(&["verify"])).starts_with("whole: "));
}

#[tokio::test]
async fn an_export_that_was_changed_is_refused_by_its_line_and_nothing_is_written() {
    let source = Source::new().await;
    let target = Target::new(&source);
    let lines: Vec<_> = source.text().lines().map(|line| format!("{line}\n")).collect();
    let (last, file) = (lines.len() - 1, target.directory.path().join("changed.jsonl"));
    let by_alice = lines.iter().rposition(|line| line.contains("alice")).unwrap();
    let altered = |at: usize, change: &dyn Fn(&str) -> String| {
        let mut lines = lines.clone();
        lines[at] = change(&lines[at]);
        lines.concat()
    };
    for (what, text, at) in [
        ("a member more", altered(last - 1, &|line| line.replacen('{', "{\"x\":1,", 1)), last - 1),
        ("another actor", altered(by_alice, &|line| line.replace("alice", "mallo")), by_alice),
        ("a line is gone", altered(3, &|_| String::new()), last - 1),
        ("a line stands twice", altered(last - 1, &|line| line.repeat(2)), last),
        ("the trailer is gone", altered(last, &|_| String::new()), last),
        ("it is cut", altered(last, &|line| line[..9].to_owned()), last),
        ("a newer format", altered(0, &|line| line.replace(":1,", ":9,")), 0),
    ] {
        std::fs::write(&file, text).unwrap();
        let output = target.import(&file);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        check_refused(&output, 2, &["line "]);
        // Whose line is gone is seen where its stream goes on, or else at the end.
        let is_named = told.contains(&format!("line {}: ", at + 1)) || what == "a line is gone";
        assert!(is_named, "{what}: {told}");
        assert!(target.peer.events().is_empty(), "{what}");
    }
    printed(&target.import(&source.file));
    target.check_complete(&source);
}

#[tokio::test]
async fn a_log_that_is_no_beginning_of_the_export_is_refused_and_nothing_is_written() {
    let (source, site) = (Source::new().await, Site::stopped().await);
    let before = site.peer.events();
    let words = &["neither empty nor a beginning of this export", "slug-acme:drive"];
    check_refused(&site.run(&["import", source.file.to_str().unwrap()]), 2, words);
    assert_eq!(site.peer.events(), before);
    // All of the export is there: nothing is to be done. It went on since: then it is another log.
    let target = Target::new(&source);
    printed(&target.import(&source.file));
    let before = target.peer.events();
    printed(&target.import(&source.file));
    assert_eq!(target.peer.events(), before);
    let (mut service, client) = target.serve().await;
    client.create(json!({ "name": "More", "type": "custom" })).await;
    assert!(service.terminate().status.success());
    let before = target.peer.events();
    let words = &["neither empty nor a beginning of this export", "slug-acme:more"];
    check_refused(&target.import(&source.file), 2, words);
    assert_eq!(target.peer.events(), before);
    // An event is another than in the export, or cannot be read.
    let target = Target::new(&source);
    printed(&target.import(&source.file));
    let (stream, revision, _) = target.places().swap_remove(3);
    for is_readable in [true, false] {
        assert!(target.peer.alter(&stream, revision, |event| {
            let altered = String::from_utf8_lossy(&event.proposed.custom_metadata).replacen("acme", "acne", 1);
            event.proposed.custom_metadata = if is_readable { altered.into() } else { "{}".into() };
        }));
        let before = target.peer.events();
        check_refused(&target.import(&source.file), 2, &["neither empty nor a beginning of this export", &stream]);
        assert_eq!(target.peer.events(), before);
    }
}

#[tokio::test]
async fn an_import_that_was_killed_is_run_again_and_completes() {
    let source = Source::new().await;
    let all = Target::new(&source);
    printed(&all.import(&source.file));
    let expected = all.places();
    for killed_at in (0..=expected.len()).step_by(3) {
        let target = Target::new(&source);
        // Long enough to catch it at work.
        target.peer.fault(&Fault::Delay(Duration::from_millis(4)));
        let import = target.start_import(&source.file);
        eventually("it has written so much", async || target.places().len() >= killed_at).await;
        drop(import);
        target.peer.fault(&Fault::Delay(Duration::ZERO));
        printed(&target.import(&source.file));
        assert_eq!(target.places(), expected, "killed at {killed_at}");
        target.check_complete(&source);
    }
}

#[tokio::test]
async fn an_import_whose_server_goes_away_ends_with_one_line_and_is_run_again() {
    let source = Source::new().await;
    let mut target = Target::new(&source);
    target.peer.fault(&Fault::Delay(Duration::from_millis(100)));
    let (data_dir, url, file) = (target.directory.path().to_owned(), target.peer.url(), source.file.clone());
    let import = ["import".to_owned(), file.to_str().unwrap().to_owned(), "--event-store".to_owned(), url];
    let running = spawn_blocking(move || run(&data_dir, &import.each_ref().map(String::as_str)));
    eventually("it writes", async || target.places().len() >= 5).await;
    let begun = Instant::now();
    drop(target.peer);
    let output = running.await.unwrap();
    assert!(begun.elapsed() < SOON, "it took {:?}", begun.elapsed());
    check_refused(&output, 1, &["the import was cut off, and goes on when it is run again: "]);
    target.peer = start_peer(target.directory.path());
    assert!((5..source.events().len()).contains(&target.places().len()), "{:?}", target.places());
    printed(&target.import(&source.file));
    target.check_complete(&source);
}

#[tokio::test]
async fn what_cannot_be_read_twice_is_refused_and_nothing_is_made() {
    let (directory, peer) = (tempfile::tempdir().unwrap(), Peer::start(&Options::default()).unwrap());
    let to = directory.path().join("new");
    let pipe = directory.path().join("pipe");
    std::fs::create_dir(&pipe).unwrap();
    for (place, words) in [("-", "the standard input"), (pipe.to_str().unwrap(), pipe.to_str().unwrap())] {
        let output = run(&to, &["import", place, "--event-store", &peer.url()]);
        check_refused(&output, 2, &["reads the export twice", words, "no regular file"]);
    }
    let none = directory.path().join("none.jsonl");
    check_refused(&run(&to, &["import", none.to_str().unwrap(), "--event-store", &peer.url()]), 2, &["none.jsonl"]);
    assert!(peer.events().is_empty() && !to.exists());
}
