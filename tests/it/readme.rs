//! The README's session works as printed.

use std::{path::Path, process::Command};

use super::harness::Server;

/// A command of the session, and what it prints.
struct Step {
    command: String,
    output: String,
}

/// The console blocks under a heading.
fn steps(readme: &str, heading: &str) -> Vec<Step> {
    let section = readme.split(&format!("\n## {heading}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
    let mut steps: Vec<Step> = Vec::new();
    for block in section.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            match line.strip_prefix("$ ") {
                Some(command) => steps.push(Step { command: command.to_owned(), output: String::new() }),
                None => steps.last_mut().unwrap().output.push_str(&format!("{line}\n")),
            }
        }
    }
    steps
}

/// Ids and times are different each time: every UUID and every timestamp becomes a word.
fn without_ids_and_times(text: &str) -> String {
    let mut words = String::new();
    for word in text.split_inclusive(['"', '/', ' ', '\n']) {
        let bare = word.trim_end_matches(['"', '/', ' ', '\n']);
        let rest = &word[bare.len()..];
        let is_time = bare.len() == 24 && bare.ends_with('Z') && bare.as_bytes()[10] == b'T';
        match bare {
            _ if uuid::Uuid::try_parse(bare).is_ok() => words.push_str("UUID"),
            _ if is_time => words.push_str("TIME"),
            _ => words.push_str(bare),
        }
        words.push_str(rest);
    }
    words
}

#[tokio::test]
async fn the_session_of_the_readme_prints_what_it_shows() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let steps = steps(&readme, "A session");
    assert!(steps.len() >= 8);
    let server = Server::start_alone().await;
    let binary = env!("CARGO_BIN_EXE_integrations");
    let token = format!("{binary} token --data-dir {}", server.data_dir().display());
    let mut script = String::from("set -eu\n");
    for step in &steps {
        let command = step.command.replace("cargo run --release -q -- token", &token);
        let command = command.replace("http://127.0.0.1:8080", &server.url);
        // A person is slower than the views; this script is not.
        let caught_up =
            format!("until curl -s {}/metrics | grep -q '^integrations_projection_lag 0$'; do :; done", server.url);
        script.push_str(&format!("echo '@@@'\n{command}\n{caught_up}\n"));
    }
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    let printed: Vec<_> = printed.split("@@@\n").skip(1).collect();
    assert_eq!(printed.len(), steps.len());
    for (step, printed) in steps.iter().zip(printed) {
        let expected = without_ids_and_times(step.output.trim_end());
        assert_eq!(without_ids_and_times(printed.trim_end()), expected, "{}", step.command);
    }
}
