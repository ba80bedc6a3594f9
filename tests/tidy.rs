//! The house rules as tests: arrows between crates, purity of the domain, sizes, names, licences, the table of the
//! contract.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

const FILE_LINES_MAX: usize = 500;
const FILE_LINES_P90_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const CONTRACT_LINES_MIN: usize = 250;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A path as it stands in the repository.
fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/")
}

/// Every file under a folder of the repository with one of these endings.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if name != "target" && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The source files of the product, and of the peer that its tests run against: no tests, no fixtures.
fn sources() -> Vec<PathBuf> {
    let crates = ["src", "events/src", "command/src", "projector/src", "query/src", "web/src", "tests/peer/src"];
    let all = crates.into_iter().flat_map(|folder| files(folder, &[".rs"]));
    all.filter(|path| {
        let name = relative(path);
        !name.ends_with("/tests.rs") && !name.contains("/tests/") && !name.contains("store/suite")
    })
    .collect()
}

/// The product's part of a file: what stands before its tests.
fn product_part(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap()
}

fn metadata(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn crates_depend_on_each_other_as_the_architecture_says() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("events", &[][..]),
        // It shares no code with what it is there to test, and is no part of the product.
        ("peer", &[]),
        ("web", &["events"]),
        ("command", &["events", "web"]),
        ("projector", &["events"]),
        ("query", &["events", "projector", "web"]),
        ("integrations", &["command", "events", "projector", "query", "web"]),
        // Of the tests alone.
        ("servers", &[]),
    ]);
    let metadata = metadata(&["--no-deps"]);
    let packages = metadata["packages"].as_array().unwrap();
    assert_eq!(packages.len(), allowed.len(), "a crate is not in the table of arrows");
    for package in packages {
        let name = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let (to, kind) = (dependency["name"].as_str().unwrap(), &dependency["kind"]);
            let is_ours = allowed.contains_key(to) && kind.is_null();
            assert!(!is_ours || allowed[name].contains(&to), "{name} must not depend on {to}");
        }
    }
}

#[test]
fn the_readmes_cargo_run_starts_the_service_whatever_other_binaries_there_are() {
    let metadata = metadata(&["--no-deps"]);
    let is_default = |package: &&Value| {
        metadata["workspace_default_members"].as_array().unwrap().iter().any(|member| *member == package["id"])
    };
    let packages: Vec<_> = metadata["packages"].as_array().unwrap().iter().filter(is_default).collect();
    let binaries = packages.iter().flat_map(|package| package["targets"].as_array().unwrap());
    let binaries: Vec<_> = binaries.filter(|target| target["kind"][0] == "bin").map(|target| &target["name"]).collect();
    let named: Vec<_> = packages.iter().filter_map(|package| package["default_run"].as_str()).collect();
    assert!(named == ["integrations"] || binaries == ["integrations"], "cargo run does not know which of {binaries:?}");
}

#[test]
fn query_reads_views_and_knows_nothing_of_what_feeds_them() {
    for path in files("query/src", &[".rs"]) {
        let text = read(&path);
        assert!(!text.contains("projector::runner"), "{} must not know the runner", relative(&path));
        assert!(!text.contains("projector::kafka"), "{} must not know the publisher", relative(&path));
        assert!(!text.contains("WriteViews"), "{} must not write views", relative(&path));
    }
}

#[test]
fn the_domain_is_pure() {
    const IMPURE: [&str; 15] = [
        "async ",
        ".await",
        "tokio",
        "axum",
        "http::",
        "rusqlite",
        "tokio_postgres",
        "rdkafka",
        "eventstore::",
        "Utc::now",
        "SystemTime",
        "Instant::now",
        "Uuid::now",
        "Uuid::new_v4",
        "getrandom",
    ];
    let mut pure: Vec<PathBuf> = [
        "events/src/event.rs",
        "events/src/history.rs",
        "events/src/stored.rs",
        "events/src/principal.rs",
        "events/src/integration.rs",
        "events/src/settings.rs",
        "events/src/trace.rs",
        "command/src/aggregate.rs",
        "command/src/decide.rs",
    ]
    .map(|name| root().join(name))
    .to_vec();
    pure.extend(files("command/src/decide", &[".rs"]));
    pure.extend(files("projector/src/view", &[".rs"]));
    assert!(pure.len() >= 9);
    for path in pure {
        for (at, line) in product_part(&read(&path)).lines().enumerate() {
            let code = line.split("//").next().unwrap();
            let found = IMPURE.iter().find(|impure| code.contains(**impure));
            assert!(found.is_none(), "{}:{} is not pure: {found:?}", relative(&path), at + 1);
        }
    }
}

#[test]
fn each_technology_stays_in_its_room() {
    let rooms: [(&str, &[&str]); 14] = [
        ("axum::", &["web/src/", "command/src/routes", "query/src/routes", "src/"]),
        ("rusqlite", &["events/src/store/sqlite"]),
        ("SqliteStore", &["events/src/store/sqlite", "src/log.rs"]),
        ("eventstore::", &["events/src/store/eventstoredb"]),
        ("EventStoreDb", &["events/src/store/eventstoredb", "src/log.rs"]),
        ("tonic::", &["events/src/store/eventstoredb", "tests/peer/src/"]),
        ("prost::", &["events/src/store/eventstoredb", "tests/peer/src/"]),
        ("MemoryViews", &["projector/src/store/memory.rs", "src/serve.rs"]),
        ("jsonwebtoken", &["web/src/bearer"]),
        ("tokio_postgres", &["projector/src/store/postgres"]),
        ("deadpool", &["projector/src/store/postgres"]),
        ("rdkafka", &["projector/src/kafka"]),
        ("kafka::run", &["src/publish.rs"]),
        ("opentelemetry", &["src/telemetry/spans"]),
    ];
    for path in sources() {
        let (name, text) = (relative(&path), read(&path));
        for (technology, allowed) in rooms {
            let is_at_home = allowed.iter().any(|room| name.starts_with(room));
            let code = product_part(&text).lines().filter(|line| !line.trim_start().starts_with("//"));
            let uses = code.into_iter().any(|line| line.contains(technology));
            assert!(is_at_home || !uses, "{name} must not use {technology}");
        }
    }
}

#[test]
fn names_and_comments_are_the_houses() {
    for path in sources() {
        // What a library calls its own is not our name.
        let (name, text) = (relative(&path), read(&path).replace("deadpool_postgres::Manager", ""));
        for word in ["utils", "helpers", "common", "shared"] {
            assert!(!name.contains(&format!("/{word}")), "{name} says nothing of what is in it");
        }
        assert!(!name.ends_with("/mod.rs"), "{name}: use NAME.rs beside NAME/");
        assert!(text.starts_with("//! "), "{name} does not say in its first line what it is about");
        for word in ["Manager", "Helper", "FIXME", "XXX"] {
            assert!(!text.contains(word), "{name} has {word}");
        }
    }
}

/// Lines of each function, told by the indentation that rustfmt gives.
fn functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<_> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        let words: Vec<_> = code.split_whitespace().take(5).collect();
        let is_function = !code.starts_with("//") && words.contains(&"fn") && code.contains('(');
        if !is_function {
            continue;
        }
        let closing = format!("{}}}", " ".repeat(indent));
        let ends =
            |line: &&&str| **line == closing || (line.len() - line.trim_start().len() == indent && line.ends_with(';'));
        let length = lines[at..].iter().take_while(|line| !ends(line)).count() + 1;
        found.push((at + 1, if line.ends_with('}') || line.ends_with(';') { 1 } else { length }));
    }
    found
}

fn percentile(sorted: &[usize], percent: usize) -> usize {
    sorted[(sorted.len() - 1) * percent / 100]
}

#[test]
fn files_and_functions_fit_a_look() {
    let (mut file_lines, mut function_lines) = (Vec::new(), Vec::new());
    for path in sources() {
        let (name, text) = (relative(&path), read(&path));
        let lines = text.lines().count();
        assert!(lines <= FILE_LINES_MAX, "{name} has {lines} lines");
        file_lines.push(lines);
        for (at, lines) in functions(product_part(&text)) {
            assert!(lines <= FUNCTION_LINES_MAX + 30, "{name}:{at} is a function of {lines} lines");
            function_lines.push(lines);
        }
    }
    for (what, lines) in [("files", &mut file_lines), ("functions", &mut function_lines)] {
        lines.sort_unstable();
        let (median, p90) = (percentile(lines, 50), percentile(lines, 90));
        println!("{} {what}: median {median} lines, p90 {p90}, maximum {}", lines.len(), lines[lines.len() - 1]);
    }
    assert!(percentile(&file_lines, 90) <= FILE_LINES_P90_MAX);
}

#[test]
fn dependencies_have_licences_that_go_with_ours() {
    const ALLOWED: [&str; 16] = [
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "MIT",
        "MIT-0",
        "MPL-2.0",
        "MPL-2.0+",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "CDLA-Permissive-2.0",
        "ISC",
        "OpenSSL",
        "Unicode-3.0",
        "Unlicense",
        "Zlib",
    ];
    // Only what is built here: the rest of the lock file may not be on this machine.
    let rustc = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(rustc.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    for package in metadata(&["--filter-platform", host])["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or_else(|| panic!("{name} has no licence"));
        let text = licence.replace('/', " OR ").replace(['(', ')'], "");
        let is_allowed = |one: &str| ALLOWED.contains(&one.trim());
        let each = |clause: &str| clause.split(" AND ").all(is_allowed);
        assert!(text.split(" OR ").any(each), "{name} is {licence}");
    }
}

/// The names of all tests, as `module::function`, by the file that they stand in.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in files("", &[".rs"]) {
        let (file, text) = (relative(&path), read(&path));
        let black_box = file.strip_prefix("tests/it/").map(|rest| rest.trim_end_matches(".rs").replace('/', "::"));
        let lines: Vec<_> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let is_test = lines[at.saturating_sub(4)..at].iter().any(|before| {
                let before = before.trim();
                before == "#[test]" || before.starts_with("#[tokio::test")
            }) || text[..].contains("proptest! {");
            let Some(rest) = line.trim().strip_prefix("async fn ").or_else(|| line.trim().strip_prefix("fn ")) else {
                continue;
            };
            let function = rest.split('(').next().unwrap();
            if is_test {
                names.insert(
                    black_box
                        .as_ref()
                        .map_or_else(|| format!("{file}::{function}"), |module| format!("{module}::{function}")),
                );
            }
        }
    }
    // The cases of a suite are named where they are listed.
    for path in files("", &["suite.rs"]) {
        let (file, text) = (relative(&path), read(&path));
        let words = text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'));
        names.extend(words.filter(|word| word.contains('_')).map(|word| format!("{file}::{word}")));
    }
    names
}

#[test]
fn each_rule_of_the_contract_names_a_test_that_exists() {
    let tests = tests();
    let text = read(&root().join("tests/it/contract.md"));
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("- ")).collect();
    assert!(lines.len() >= CONTRACT_LINES_MIN, "the contract has only {} lines", lines.len());
    let mut seen = BTreeSet::new();
    for line in lines {
        let (rule, test) = line.rsplit_once(" — ").unwrap_or_else(|| panic!("{line} names no test"));
        assert!(seen.insert(rule), "{rule} stands twice");
        for name in test.split(", ") {
            let name = name.trim_matches('`');
            assert!(tests.contains(name), "{line}: there is no test {name}");
        }
    }
}

#[test]
fn the_page_on_adding_a_view_shows_the_code_as_it_is() {
    let page = read(&root().join("docs/ADDING_A_VIEW.md"));
    let mut blocks = page.split("```rust\n");
    let mut before = blocks.next().unwrap();
    let mut count = 0;
    for block in blocks {
        let path = before.trim_end().lines().last().and_then(|line| line.strip_prefix("<!-- ")?.strip_suffix(" -->"));
        let path = path.unwrap_or_else(|| panic!("a block does not name its file: {block}"));
        let (code, rest) = block.split_once("```").unwrap();
        assert!(read(&root().join(path)).contains(code), "{path} has no such lines:\n{code}");
        (before, count) = (rest, count + 1);
    }
    assert!(count >= 5, "only {count} blocks");
}

#[test]
fn what_a_machine_is_called_stands_nowhere() {
    let files = files("", &[".rs", ".py", ".toml", ".md", ".yml", ".sh", "Dockerfile"]);
    assert!(files.len() > 50);
    for path in files {
        let text = read(&path);
        // Put together, so that none stands here either.
        for forbidden in [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/")] {
            assert!(!text.contains(forbidden), "{} names {forbidden}", relative(&path));
        }
    }
}
