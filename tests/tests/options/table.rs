//! Holds `docs/options-tests.md` against the table of options, against what Mosquitto has, and
//! against the tests: every option has a row, the row says what the table says, and each test that
//! it names exists and speaks of the option.

use halyard_core::conf::OptionSpec;
use halyard_core::conf::Status;
use halyard_core::conf::find_option;
use halyard_core::conf::options;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

const PAGE: &str = "docs/options-tests.md";

/// A row of the page.
struct Row {
    option: String,
    outcome: String,
    /// `path::function`
    tests: Vec<String>,
    /// The last cell, as it is written.
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn rows() -> Vec<Row> {
    let page = read(PAGE);
    let lines = page.lines().filter(|line| line.starts_with("| `"));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [option, outcome, text] = cells[..] else { panic!("{line}") };
            let quoted = text.split('`').filter(|part| part.contains(".rs::"));
            Row {
                option: option.trim_matches('`').to_owned(),
                outcome: outcome.to_owned(),
                tests: quoted.map(str::to_owned).collect(),
                text: text.to_owned(),
            }
        })
        .collect()
}

fn outcome(option: &OptionSpec) -> &'static str {
    match option.status {
        Status::Supported => "honoured",
        Status::Harmless(_) => "no effect",
        Status::NotYet(_) | Status::Refused(_) => "refused",
    }
}

#[test]
fn every_option_has_a_row_that_says_what_becomes_of_it() {
    let rows = rows();
    let listed: BTreeSet<&str> = rows.iter().map(|row| row.option.as_str()).collect();
    assert_eq!(listed.len(), rows.len(), "an option stands twice");
    let known: BTreeSet<&str> = options().map(|option| option.name).collect();
    let missing: Vec<_> = known.difference(&listed).collect();
    let strange: Vec<_> = listed.difference(&known).collect();
    assert!(missing.is_empty() && strange.is_empty(), "missing {missing:?}, strange {strange:?}");
    for row in &rows {
        let option = options().find(|option| option.name == row.option).expect("it is known");
        assert_eq!(row.outcome, outcome(option), "{}", row.option);
        assert!(!row.tests.is_empty(), "{} is shown by nothing", row.option);
        if row.outcome == "no effect" {
            assert!(row.text.len() > 120, "{}: why is that harmless?", row.option);
        }
    }
}

#[test]
fn every_option_of_mosquitto_is_known() {
    let missing: Vec<String> = read("tests/data/mosquitto-options.txt")
        .lines()
        .filter(|name| find_option(name).is_none())
        .map(str::to_owned)
        .collect();
    assert_eq!(missing, [] as [&str; 0]);
}

#[test]
fn every_test_that_is_named_exists_and_speaks_of_its_option() {
    let mut sources = BTreeMap::new();
    let mut problems = Vec::new();
    for row in rows() {
        for test in &row.tests {
            let (path, function) = test.split_once("::").expect("path::function");
            // A line break in a string would make one word of `n` and what follows.
            let source =
                sources.entry(path.to_owned()).or_insert_with(|| read(path).replace("\\n", "\n"));
            let text = text_of(source, function);
            if text.is_empty() {
                problems.push(format!("{PAGE} names {test}, which does not exist"));
            }
            let option = find_option(&row.option).expect("it is known");
            let mut names = std::iter::once(&option.name).chain(option.aliases);
            let speaks = names.any(|name| has_word(&text, name.trim_end_matches('*')));
            // What is not honoured is tested by going through the table of options.
            if !speaks && row.outcome == "honoured" {
                problems.push(format!("{test} says nothing of {}", row.option));
            }
        }
    }
    assert_eq!(problems, [] as [&str; 0]);
}

/// A function with all that it mentions in its file: functions and constants.
fn text_of(source: &str, function: &str) -> String {
    let mut text = item(source, &format!("fn {function}("));
    if text.is_empty() {
        return text;
    }
    let mut known = BTreeSet::from([function.to_owned()]);
    loop {
        let mut more = String::new();
        for start in ["fn ", "const ", "static "] {
            for (at, _) in source.match_indices(start) {
                let rest = &source[at + start.len()..];
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(0);
                let name = &rest[..end];
                if !name.is_empty() && has_word(&text, name) && known.insert(name.to_owned()) {
                    more += &item(source, &format!("{start}{name}"));
                }
            }
        }
        if more.is_empty() {
            return text;
        }
        text += &more;
    }
}

/// From the line with `start` to the one that ends it: a brace as far to the left, or a semicolon.
fn item(source: &str, start: &str) -> String {
    let Some(at) = source.find(start) else { return String::new() };
    let line = source[..at].rfind('\n').map_or(0, |before| before + 1);
    let indent = source[line..].len() - source[line..].trim_start().len();
    let is_function = start.starts_with("fn ");
    let mut text = String::new();
    for line in source[line..].lines() {
        text += line;
        text.push('\n');
        let own = line.len() - line.trim_start().len();
        let closes = line.trim_start().starts_with('}') && own == indent;
        if closes || (!is_function && line.ends_with(';')) {
            break;
        }
    }
    text
}

fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let mut found = text.match_indices(word);
    found.any(|(at, _)| {
        let behind = text[at + word.len()..].chars().next();
        !is_part(text[..at].chars().next_back()) && (!is_part(behind) || word.ends_with('_'))
    })
}

#[test]
fn the_reader_of_tests_reads_well_enough() {
    let source = "const A: &str = \"max_x 1\";\n\nfn help() {\n    A\n}\n\n#[test]\nfn it() {\n    help();\n}\n\nfn no() {\n    max_y;\n}\n";
    let text = text_of(source, "it");
    assert!(has_word(&text, "max_x") && !has_word(&text, "max_y"), "{text}");
    assert!(text_of(source, "absent").is_empty());
    assert!(has_word("broker.max_x = 1", "max_x") && !has_word("global_max_x", "max_x"));
}
