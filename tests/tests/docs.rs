//! Holds the pages for people against what they point to: every link leads to a file and a heading
//! that exist, every line of the deployment checklist says where it is answered, every example of a
//! configuration is read without a word, every number and every line of the log that a page speaks of
//! is one that the broker has, and every limit has its row. Reads text; starts nothing.

use halyard_core::conf::{Source, parse, sections};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every page, with its path from the root.
fn pages() -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md"]
            .iter()
            .map(PathBuf::from)
            .collect();
    for folder in ["docs", "docs/runbooks"] {
        for entry in fs::read_dir(root().join(folder)).expect("a folder of pages") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "md") {
                paths.push(Path::new(folder).join(path.file_name().expect("a name")));
            }
        }
    }
    let read = |path: PathBuf| {
        let text = fs::read_to_string(root().join(&path)).expect("a readable page");
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// The text without its blocks of code; the lines are the same.
fn prose(text: &str) -> String {
    let mut inside = false;
    let mut out = String::new();
    for line in text.lines() {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        if !fence && !inside {
            out.push_str(line);
        }
        out.push('\n');
    }
    out
}

/// The blocks of code in this language, each with the number of its first line.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        if line.trim_start() == format!("```{language}") {
            let body =
                lines.by_ref().map(|(_, line)| line).take_while(|line| !line.contains("```"));
            let body: Vec<&'a str> = body.collect();
            found.push((number + 1, body.join("\n")));
        }
    }
    found
}

/// The anchor of a heading, as the usual renderers make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link)
}

#[test]
fn every_link_leads_somewhere() {
    let mut problems = String::new();
    let mut seen = 0;
    for (page, text) in pages() {
        for link in links(&prose(&text)) {
            if link.starts_with("http") {
                continue;
            }
            seen += 1;
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let folder = page.parent().expect("a folder");
            let file = if path.is_empty() { page.clone() } else { folder.join(path) };
            let target = root().join(&file);
            let exists = target.exists();
            let headed = heading.is_empty()
                || fs::read_to_string(&target).is_ok_and(|text| {
                    let text = prose(&text);
                    let headings = text.lines().filter(|line| line.starts_with('#'));
                    headings.map(|line| anchor(line.trim_start_matches('#'))).any(|a| a == heading)
                });
            if !exists || !headed {
                // Writing to a string does not fail.
                _ = writeln!(problems, "  {}: {link}", page.display());
            }
        }
    }
    assert!(seen > 50, "only {seen} links were found");
    assert!(problems.is_empty(), "links that lead nowhere:\n{problems}");
}

#[test]
fn every_line_of_the_checklist_is_answered() {
    let list = fs::read_to_string(root().join("docs/checklist.md")).expect("the checklist");
    let lines: Vec<&str> = list.lines().filter(|line| line.starts_with("- [ ]")).collect();
    assert!(lines.len() >= 45, "{} lines", lines.len());
    for line in lines {
        assert!(links(line).next().is_some(), "no answer: {line}");
    }
    let parts = list.lines().filter(|line| line.starts_with("## ")).count();
    assert_eq!(
        parts, 9,
        "set-up, clients, topics, QoS, security, reliability, monitoring, tests, documents"
    );
}

#[test]
fn every_example_of_a_configuration_is_valid() {
    let mut examples = 0;
    for (page, text) in pages() {
        for (line, block) in blocks(&text, "conf") {
            examples += 1;
            read_quietly(&format!("{}:{line}", page.display()), &block);
        }
    }
    assert!(examples >= 5, "only {examples} examples were found");
    let packaged = root().join("native/packaging/halyard.conf");
    read_quietly("halyard.conf", &fs::read_to_string(packaged).expect("the packaged example"));
}

fn read_quietly(name: &str, text: &str) {
    let parsed = parse(&Source::new(name, text.as_bytes()), &mut |_| Ok(Vec::new()));
    let said: Vec<String> = parsed.diagnostics.iter().map(ToString::to_string).collect();
    assert!(said.is_empty(), "{name}: {said:?}\n{text}");
}

/// What `/metrics` shows, by the page that is written from it, and the ends of histograms.
fn metrics() -> BTreeSet<String> {
    let page = fs::read_to_string(root().join("docs/metrics.md")).expect("the page of metrics");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `halyard_"));
    let names: Vec<String> = rows
        .filter_map(|row| row.split_once('`'))
        .map(|(name, _)| format!("halyard_{name}"))
        .collect();
    assert!(names.len() > 50, "{names:?}");
    let ends = |name: &String| ["", "_bucket", "_sum", "_count"].map(|end| format!("{name}{end}"));
    names.iter().flat_map(ends).collect()
}

/// Names of metrics in a text.
fn metrics_in(text: &str) -> impl Iterator<Item = String> {
    let rests = text.match_indices("halyard_").map(|(at, _)| &text[at..]);
    let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let ends = move |rest: &str| rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
    rests.map(move |rest| rest[..ends(rest)].to_owned()).filter(|name| name.len() > 8)
}

/// Names in pages that are those of packages, not of numbers.
const PACKAGES: [&str; 4] = ["halyard_core", "halyard_tests", "halyard_wasm", "halyard_wasm_bg"];

#[test]
fn every_metric_that_is_spoken_of_exists() {
    let known = metrics();
    let mut texts = pages();
    for file in ["docs/alerts.yml", "docs/grafana-dashboard.json"] {
        let text = fs::read_to_string(root().join(file)).expect("a readable file");
        texts.push((PathBuf::from(file), text));
    }
    let mut problems = String::new();
    for (page, text) in texts {
        let strange = metrics_in(&text)
            .filter(|name| !known.contains(name) && !PACKAGES.contains(&name.as_str()));
        for name in strange {
            _ = writeln!(problems, "  {}: {name}", page.display());
        }
    }
    assert!(problems.is_empty(), "`/metrics` does not show:\n{problems}");
}

/// The strings in a source file, as their pieces between the places that are filled in.
fn strings(source: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find('"') {
        rest = &rest[at + 1..];
        let mut text = String::new();
        let mut chars = rest.char_indices();
        let mut end = rest.len();
        while let Some((at, char)) = chars.next() {
            match char {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => match chars.next() {
                    // The indentation of the next line goes, too.
                    Some((at, '\n')) => {
                        let line = &rest[at + 1..];
                        let blank = line.len() - line.trim_start().len();
                        for _ in 0..line[..blank].chars().count() {
                            chars.next();
                        }
                    }
                    Some((_, other)) => text.push(other),
                    None => {}
                },
                _ => text.push(char),
            }
        }
        rest = &rest[end..];
        found.push(pieces(&text));
    }
    found
}

/// A format string without what it fills in.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut depth = 0;
    for char in text.chars() {
        match char {
            '{' => {
                depth += 1;
                pieces.push(String::new());
            }
            '}' => depth -= 1,
            _ if depth <= 0 => pieces.last_mut().expect("there is one").push(char),
            _ => {}
        }
    }
    pieces
}

/// Whether the broker can write this: each part of it, between the `…` for anything, is a part of one
/// string, or of an instance of it.
fn is_written(quoted: &str, strings: &[Vec<String>]) -> bool {
    let quoted = quoted.split_whitespace().collect::<Vec<_>>().join(" ");
    let parts: Vec<&str> = quoted.split('…').map(str::trim).filter(|p| !p.is_empty()).collect();
    let is_of = |pieces: &Vec<String>| {
        parts.iter().all(|part| {
            pieces.iter().any(|piece| piece.contains(part))
                || (0..pieces.len()).any(|first| is_instance(part, &pieces[first..]))
        })
    };
    strings.iter().any(is_of)
}

/// Whether `text` begins with the first of `pieces` and goes on as they do, perhaps not to their end.
fn is_instance(text: &str, pieces: &[String]) -> bool {
    let Some(mut rest) = text.strip_prefix(pieces[0].as_str()) else { return false };
    let mut fixed = pieces[0].len();
    for piece in &pieces[1..] {
        if let Some(at) = rest.find(piece.as_str()) {
            fixed += piece.len();
            rest = &rest[at + piece.len()..];
            continue;
        }
        let end = rest.char_indices().map(|(at, _)| &rest[at..]).find(|end| piece.starts_with(end));
        fixed += end.map_or(0, str::len);
        rest = if end.is_some() { "" } else { rest };
        break;
    }
    let is_open = pieces.last().is_some_and(String::is_empty);
    // A string that is all places says nothing.
    (rest.is_empty() || is_open) && fixed > 12 && fixed * 3 > text.len()
}

/// Lines of the log that pages quote: in blocks behind a time, in the first column of the table of
/// what to search for, and as code that reads like a sentence.
fn quoted_lines(page: &Path, text: &str) -> Vec<String> {
    let mut quoted = Vec::new();
    for line in text.lines() {
        let behind_time = line
            .split_once(": ")
            .filter(|(time, _)| time.len() == 10 && time.bytes().all(|byte| byte.is_ascii_digit()));
        quoted.extend(behind_time.map(|(_, line)| line.to_owned()));
        if let Some((_, rest)) = line.split_once("\"message\":\"") {
            quoted.extend(rest.split_once('"').map(|(message, _)| message.to_owned()));
        }
        let table = page.ends_with("logs.md") && line.starts_with("| `");
        if table && !line.contains("halyard.service") && !line.contains("/var/log") {
            let cell = line.trim_start_matches('|').split('|').next().unwrap_or_default();
            quoted.extend(spans(cell).map(str::to_owned));
        }
    }
    let prose = prose(text);
    let sentences = spans(&prose).filter(|span| {
        let mut words = span.split(' ');
        let first = words.next().unwrap_or_default();
        let is_word = |word: &str| word.chars().skip(1).all(|c| c.is_lowercase() || c == '…');
        first.starts_with(char::is_uppercase)
            && first.len() > 3
            && is_word(first)
            && words.next().is_some()
    });
    quoted.extend(sentences.map(|span| span.replace('\n', " ")));
    let indented = text.lines().filter_map(|line| line.strip_prefix("    Store "));
    quoted.extend(indented.map(|line| format!("Store {line}")));
    quoted
}

/// Inline code.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Pages that are about options and packets, not about the log.
const MADE: [&str; 3] = ["configuration.md", "conformance.md", "options-tests.md"];

/// Code in pages that reads like a line of the log and is none.
const NO_LINES: [&str; 0] = [];

#[test]
fn every_line_of_the_log_that_is_quoted_is_written() {
    let mut all = Vec::new();
    let mut folders = vec![root().join("native/src"), root().join("core/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let source = fs::read_to_string(&path).expect("a readable source");
                // Tests may say what the broker does not.
                let own = source.split("#[cfg(test)]").next().unwrap_or_default();
                all.extend(strings(own));
            }
        }
    }
    let (mut problems, mut seen) = (String::new(), 0);
    for (page, text) in pages().into_iter().filter(|(page, _)| page.starts_with("docs")) {
        if MADE.iter().any(|name| page.ends_with(name)) {
            continue;
        }
        for line in quoted_lines(&page, &text) {
            seen += 1;
            if !is_written(&line, &all) && !NO_LINES.contains(&line.as_str()) {
                _ = writeln!(problems, "  {}: {line}", page.display());
            }
        }
    }
    assert!(seen > 15, "only {seen} quoted lines were found");
    assert!(problems.is_empty(), "no source writes:\n{problems}");
}

#[test]
fn every_limit_has_a_row_and_every_row_a_counter_that_exists() {
    let page = fs::read_to_string(root().join("docs/limits.md")).expect("the page of limits");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| what") && line.contains('`'))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let named: BTreeSet<&str> = rows.iter().flat_map(|row| spans(row[1])).collect();
    // What a client may have, and these beside it.
    let others = ["max_connections", "auth_queue", "auth_failures_per_address"];
    let others = others.iter().chain(&["auth_failures_per_user", "journal_backlog"]);
    let section = sections().iter().find(|section| section.title == "Limits").expect("limits");
    let all = section.options.iter().map(|option| option.name).chain(others.copied());
    let missing: Vec<&str> =
        all.filter(|name| *name != "receive_maximum_action" && !named.contains(name)).collect();
    assert!(missing.is_empty(), "docs/limits.md has no row for {missing:?}");
    for row in rows.iter().filter(|row| row.len() == 4) {
        let counter = row[3];
        let exists = metrics_in(counter).next().is_some_and(|name| metrics().contains(&name));
        assert!(exists || counter.starts_with("none: ") || counter == "see below", "{row:?}");
        for cause in counter.split("cause=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let causes = halyard_core::engine::Stats::default().drops.list();
            assert!(causes.iter().any(|known| known.name == cause), "{cause}");
        }
        for option in counter.split("option=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(spans(row[1]).any(|name| name == option), "{row:?}");
        }
    }
}

#[test]
fn a_line_is_known_by_the_string_it_is_made_of() {
    let source = "log(\"Client {name} [{peer}] has exceeded \\\n     timeout, disconnecting.\", \"a \\\" b\")";
    let all = strings(source);
    assert_eq!(all[1], ["a \" b"]);
    for (line, expected) in [
        ("Client c1 [1.2.3.4:5] has exceeded timeout, disconnecting.", true),
        ("has exceeded timeout", true),
        ("Client c1 [1.2.3.4:5] disconnected: exceeded timeout.", false),
        ("Client … has exceeded", true),
        ("Client c1 [1.2.3.4:5] has exceeded …", true),
        ("Client … has taken", false),
        ("session taken over", false),
    ] {
        assert_eq!(is_written(line, &all), expected, "{line}");
    }
}

#[test]
fn anchors_are_made_as_renderers_make_them() {
    assert_eq!(anchor(" 4. Access lists"), "4-access-lists");
    assert_eq!(anchor("Topics, QoS, and `more`"), "topics-qos-and-more");
    assert_eq!(blocks("```conf\na\n```\n```\nb\n```", "conf"), [(2, "a".to_owned())]);
}
