//! `serve`: what it says when it starts, and what it makes.

use std::{os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use serde_json::Value;

use super::service::binary;

mod options;
mod refused;
mod token;

use super::process::{Process, eventually, with_token};

const LIST: &str = "/api/integrations-list";

#[test]
fn the_help_lists_every_verb_and_nothing_that_is_not_built() {
    let output = binary().arg("--help").output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let verbs = text.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names: Vec<_> = verbs.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let verbs = [
        "serve",
        "command",
        "projector",
        "query",
        "views",
        "token",
        "keys",
        "export",
        "import",
        "verify",
        "history",
        "completion",
        "help",
    ];
    assert_eq!(names, verbs);
}

#[test]
fn every_verb_tells_its_options_and_its_defaults() {
    let help = |verb: &[&str]| {
        let text = String::from_utf8(binary().args(verb).arg("--help").output().unwrap().stdout).unwrap();
        // Lines are wrapped to the terminal.
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let serve = help(&["serve"]);
    for option in [
        "--data-dir",
        "--listen",
        "--metrics-listen",
        "--cors-origin",
        "--jwt-key-file",
        "--jwks",
        "--issuer",
        "--audience",
        "--master-key-file",
        "--trusted-proxy",
        "--event-store",
        "--kafka",
        "--kafka-topic-prefix",
        "--kafka-properties",
        "--otlp",
        "INTEGRATIONS_LISTEN",
        "INTEGRATIONS_DATA_DIR",
        "[default: 127.0.0.1:8080]",
        "[default: data]",
    ] {
        assert!(serve.contains(option), "{option} is not in:\n{serve}");
    }
    let token = help(&["token"]);
    for option in ["--data-dir", "--tenant", "--user", "--group", "--permission", "--email", "--name", "--ttl"] {
        assert!(token.contains(option), "{option} is not in:\n{token}");
    }
    let rotate = help(&["keys", "rotate"]);
    for option in ["--data-dir", "--master-key-file", "--drop", "INTEGRATIONS_MASTER_KEY_FILE"] {
        assert!(rotate.contains(option), "{option} is not in:\n{rotate}");
    }
    for verb in ["export", "import", "verify", "history"] {
        assert!(help(&[verb]).contains("--data-dir"), "{verb}");
    }
    for verb in ["command", "projector", "query"] {
        assert!(help(&[verb]).contains("--otlp"), "{verb}");
    }
    for option in ["--views", "--gateway-allow"] {
        assert!(!serve.contains(option), "{option} is not built");
    }
}

#[test]
fn completion_scripts_are_made_for_three_shells_and_bash_takes_its_own() {
    let script = |shell: &str| binary().args(["completion", shell]).output().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = script(shell);
        assert!(output.status.success(), "{shell}");
        let text = String::from_utf8(output.stdout).unwrap();
        for word in ["verify", "data-dir", "completion"] {
            assert!(text.contains(word), "{word} is not in the script for {shell}");
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("integrations.bash");
    std::fs::write(&path, script("bash").stdout).unwrap();
    assert!(Command::new("bash").arg("-n").arg(&path).status().unwrap().success());
    let asks = "COMP_WORDS=(integrations ver); COMP_CWORD=1; _integrations integrations ver integrations; echo ${COMPREPLY[*]}";
    let source = format!("source {}; {asks}", path.display());
    let answered = Command::new("bash").args(["-c", &source]).output().unwrap();
    assert_eq!(String::from_utf8(answered.stdout).unwrap(), "verify\n");
    assert_eq!(script("tcsh").status.code(), Some(2));
}

#[test]
fn the_version_is_told() {
    let output = binary().arg("--version").output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, format!("integrations {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_usage_error_exits_with_2() {
    for arguments in
        [&["serve", "--no-such-option"][..], &["history"], &["export"], &["views", "list"], &["gateway"], &[]]
    {
        assert_eq!(binary().args(arguments).output().unwrap().status.code(), Some(2), "{arguments:?}");
    }
}

#[tokio::test]
async fn the_first_start_without_a_terminal_says_where_it_is_and_how_to_get_a_token() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    let mut first = Process::serve(&data_dir, &[]);
    let listening = first.line().unwrap();
    assert!(listening.starts_with("Listening on http://127.0.0.1:"), "{listening}");
    assert!(listening.contains(data_dir.to_str().unwrap()), "{listening}");
    let url = listening.strip_prefix("Listening on ").and_then(|rest| rest.split_once(',')).unwrap().0;
    let hint = first.line().unwrap();
    let command = &hint[hint.find("integrations token").unwrap()..];
    let command = command.replacen("integrations", binary().get_program().to_str().unwrap(), 1);
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    let token = String::from_utf8(output.stdout).unwrap().lines().last().unwrap().to_owned();
    eventually("it is ready", async || with_token(url, &token).get("/readyz").await.status == 200).await;
    with_token(url, &token).get(LIST).await.expect(200);
    let created = serde_json::json!({ "name": "Mine", "type": "custom" });
    with_token(url, &token).post("/api/integrations", created).await.expect(201);
    let ended = first.terminate();
    assert!(ended.status.success());
    assert_eq!(ended.stdout, [""; 0], "nothing else is printed");
    let mut second = Process::serve(&data_dir, &[]);
    second.ready().await;
    assert_eq!(second.terminate().stdout, [""; 0], "the hint is for the first start only");
}

/// `serve` on a terminal of its own.
fn serve_on_a_terminal(data_dir: &Path) -> Process {
    let serve = format!(
        "exec {} serve --listen 127.0.0.1:0 --data-dir {}",
        binary().get_program().to_str().unwrap(),
        data_dir.display()
    );
    Process::start(Command::new("script").args(["-qefc", &serve, "/dev/null"]).env_remove("RUST_LOG"))
}

/// Everything that stands on its terminal until it is ready: the log is there too.
fn until_ready(process: &Process) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    let has = |seen: &[String], word: &str| seen.iter().any(|line| line.contains(word));
    while !(has(&seen, "Listening on") && has(&seen, "ready")) {
        seen.push(process.line().unwrap());
    }
    seen
}

#[test]
fn the_first_start_on_a_terminal_prints_a_curl_that_works_as_it_stands_and_logs_text() {
    let directory = tempfile::tempdir().unwrap();
    let first = serve_on_a_terminal(&directory.path().join("data"));
    let mut seen = until_ready(&first);
    assert!(seen.iter().all(|line| serde_json::from_str::<Value>(line.trim()).is_err()), "text, not JSON: {seen:?}");
    while !seen.iter().any(|line| line.trim().starts_with("curl ")) {
        seen.push(first.line().unwrap());
    }
    let curl = seen.iter().map(|line| line.trim()).find(|line| line.starts_with("curl ")).unwrap();
    let output = Command::new("sh").args(["-c", &format!("{curl} -s -o /dev/null -w '%{{http_code}}'")]).output();
    assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), "200", "{curl}");
    // Where hang-ups are ignored it would outlive its terminal.
    first.signal_terminate();
    while first.line().is_some() {}
}

#[tokio::test]
async fn a_later_start_on_a_terminal_prints_no_token() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    let mut first = Process::serve(&data_dir, &[]);
    first.ready().await;
    first.terminate();
    let second = serve_on_a_terminal(&data_dir);
    let mut seen = until_ready(&second);
    second.signal_terminate();
    seen.extend(std::iter::from_fn(|| second.line()));
    assert!(seen.iter().all(|line| !line.contains("Bearer") && !line.contains("token")), "{seen:?}");
}

#[tokio::test]
async fn without_a_terminal_every_line_of_the_log_is_a_json_object() {
    let directory = tempfile::tempdir().unwrap();
    let mut service = Process::serve(&directory.path().join("data"), &[]);
    let url = service.ready().await;
    reqwest::get(format!("{url}/livez")).await.unwrap();
    let ended = service.terminate();
    assert!(ended.status.success(), "{ended:?}");
    let lines: Vec<Value> = ended.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() >= 3, "{lines:?}");
    assert!(lines.iter().all(|line| line["level"].is_string() && line["timestamp"].is_string()), "{lines:?}");
    assert_eq!(lines.last().unwrap()["message"], "stopped");
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn only_the_owner_may_read_what_it_makes_whatever_the_umask() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("deep").join("data");
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$0\" \"$@\""]).arg(binary().get_program());
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data_dir).env_remove("RUST_LOG");
    let service = Process::start(&mut command);
    service.ready().await;
    assert_eq!(mode(&data_dir), 0o700);
    assert_eq!(mode(&data_dir.join("master.key")), 0o600);
    assert_eq!(mode(&data_dir.join("jwt.key")), 0o600);
}

#[tokio::test]
async fn keys_are_made_once_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    let keys = || ["master.key", "jwt.key"].map(|name| std::fs::read(data_dir.join(name)).unwrap());
    let mut first = Process::serve(&data_dir, &[]);
    first.ready().await;
    let before = keys();
    first.terminate();
    let second = Process::serve(&data_dir, &[]);
    second.ready().await;
    assert_eq!(keys(), before);
    let files: Vec<_> = std::fs::read_dir(&data_dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(files.iter().all(|name| !name.to_string_lossy().contains("draft")), "{files:?}");
}
