//! An export that was changed on its way is refused by the line, and nothing of it is left.

use super::*;

/// The lines of an export, and the place of one in the middle of an integration's stream.
struct Exported {
    lines: Vec<String>,
    middle: usize,
}

async fn exported() -> Exported {
    let server = Server::start_alone().await;
    furnish(&server.alice()).await;
    let text = printed(&run(&server.data_dir(), &["export", "-"]));
    let lines: Vec<_> = text.lines().map(|line| format!("{line}\n")).collect();
    let is_middle = |line: &String| line.contains("IntegrationShared.v1") && line.contains(r#""revision":1,"#);
    let middle = lines.iter().position(is_middle).unwrap();
    Exported { lines, middle }
}

impl Exported {
    fn replaced(&self, from: &str, to: &str) -> Vec<String> {
        let mut lines = self.lines.clone();
        assert!(lines[self.middle].contains(from), "{from} is not in {}", lines[self.middle]);
        lines[self.middle] = lines[self.middle].replacen(from, to, 1);
        lines
    }

    fn changed(&self, change: impl FnOnce(&mut Vec<String>)) -> Vec<String> {
        let mut lines = self.lines.clone();
        change(&mut lines);
        lines
    }

    /// Where the stream of the line in the middle goes on.
    fn after_middle(&self) -> usize {
        let stream = self.event()["stream"].to_string();
        (self.middle + 1..self.lines.len()).find(|at| self.lines[*at].contains(&stream)).unwrap()
    }

    fn event(&self) -> Value {
        serde_json::from_str(&self.lines[self.middle]).unwrap()
    }

    fn last(&self) -> usize {
        self.lines.len() - 1
    }
}

/// Checks that an import of this is refused at the line of this index, and that the place takes another one after it.
#[track_caller]
fn check(what: &str, lines: &[String], at: usize, sound: &[String]) {
    let directory = tempfile::tempdir().unwrap();
    let (file, to) = (path_of(&directory, "log.jsonl"), path_of(&directory, "restored"));
    std::fs::write(&file, lines.concat()).unwrap();
    let output = run(&to, &["import", file.to_str().unwrap()]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains(&format!("line {}: ", at + 1)), "{what}: {stderr}");
    check_refused(&output, 2, &[]);
    let left: Vec<_> = std::fs::read_dir(&to).into_iter().flatten().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "events.lock"), "{what}: {left:?}");
    std::fs::write(&file, sound.concat()).unwrap();
    printed(&run(&to, &["import", file.to_str().unwrap()]));
}

#[tokio::test]
async fn a_changed_event_is_refused_by_its_line_and_nothing_is_imported() {
    let exported = exported().await;
    let (event, at) = (exported.event(), exported.middle);
    let (hash, id) = (event["hash"].as_str().unwrap(), event["id"].as_str().unwrap());
    let digit = |text: &str| format!("{}{}", if text.starts_with('0') { '1' } else { '0' }, &text[1..]);
    let key = exported.lines.iter().find(|line| line.contains(r#""stream":"key-"#)).unwrap().clone();
    for (what, from, to) in [
        ("data", r#"\"level\":2"#, r#"\"level\":3"#),
        ("a space in data", r#"{\"principal"#, r#"{ \"principal"#),
        ("metadata", r#"\"actor\":\"alice\""#, r#"\"actor\":\"alicf\""#),
        ("hash", &format!(r#""hash":"{hash}""#), &format!(r#""hash":"{}""#, digit(hash))),
        ("id", id, &digit(id)),
        ("type", "IntegrationShared.v1", "IntegrationShared.v2"),
        ("at", r#""at":"2"#, r#""at":"3"#),
        ("revision", r#""revision":1,"#, r#""revision":2,"#),
        ("stream", "integration-acme:", "integration-other:"),
        ("kind", "integration-acme:", "somewhere-acme:"),
        ("an unknown member", r#""revision""#, r#""more":1,"revision""#),
        ("no data", r#""data":"#, r#""bytes":"#),
        ("not JSON", "{", "{{"),
        ("nothing", &exported.lines[at].clone(), "\n"),
        ("a second key", &exported.lines[at].clone(), &key),
    ] {
        check(what, &exported.replaced(from, to), at, &exported.lines);
    }
}

#[tokio::test]
async fn lines_that_are_missing_moved_or_more_are_refused_by_the_line_and_nothing_is_imported() {
    let exported = exported().await;
    let (at, last, sound) = (exported.middle, exported.last(), &exported.lines);
    let dropped = exported.changed(|lines| drop(lines.remove(at)));
    check("a line is gone", &dropped, exported.after_middle() - 1, sound);
    let end = exported.changed(|lines| drop(lines.remove(last - 1)));
    check("the last event is gone", &end, last - 1, sound);
    check("two lines of a stream are swapped", &exported.changed(|lines| lines.swap(at, at + 1)), at, sound);
    check("two lines of two streams are swapped", &exported.changed(|lines| lines.swap(1, 2)), 2, sound);
    check("a line stands twice", &exported.changed(|lines| lines.insert(at, lines[at].clone())), at + 1, sound);
    check("the trailer is gone", &exported.changed(|lines| lines.truncate(last)), last, sound);
    let cut = exported.changed(|lines| lines[last] = lines[last][..20].to_owned());
    check("the trailer is cut", &cut, last, sound);
    check("the middle is cut", &exported.changed(|lines| lines.truncate(at)), at, sound);
    let more = exported.changed(|lines| lines.push(lines[at].clone()));
    check("a line stands after the trailer", &more, last + 1, sound);
    check("an empty file", &[], 0, sound);
    check("no header", &exported.lines[1..], 0, sound);
    let newer = exported.changed(|lines| lines[0] = lines[0].replace(r#""version":1"#, r#""version":2"#));
    check("a newer format", &newer, 0, sound);
    let foreign = exported.changed(|lines| lines[0] = lines[0].replace("integrations-log", "other"));
    check("another format", &foreign, 0, sound);
    let header: Value = serde_json::from_str(&sound[0]).unwrap();
    let head = |head: u64| {
        exported.changed(|lines| lines[0] = lines[0].replace(&header["head"].to_string(), &head.to_string()))
    };
    check("a lower head", &head(1), 2, sound);
    check("a higher head", &head(1_000_000), last, sound);
}

#[test]
fn an_export_that_is_not_there_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = path_of(&directory, "none.jsonl");
    let to = path_of(&directory, "restored");
    check_refused(&run(&to, &["import", file.to_str().unwrap()]), 2, &[file.to_str().unwrap()]);
    assert!(!to.exists());
}
