//! Holds the pages for people against what they point to: every link leads to a file and a heading
//! that exist, every line of the deployment checklist says where it is answered, and every example
//! of a configuration is read without a word. Reads text; starts nothing.

use halyard_core::conf::{Source, parse};
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

#[test]
fn anchors_are_made_as_renderers_make_them() {
    assert_eq!(anchor(" 4. Access lists"), "4-access-lists");
    assert_eq!(anchor("Topics, QoS, and `more`"), "topics-qos-and-more");
    assert_eq!(blocks("```conf\na\n```\n```\nb\n```", "conf"), [(2, "a".to_owned())]);
}
