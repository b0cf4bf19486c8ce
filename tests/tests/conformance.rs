//! Holds `docs/conformance.md` against the standards' lists of statements and against the tests:
//! every statement has a row, every test that is named exists, at least 95 % are shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

struct Row {
    statement: String,
    status: String,
    tests: Vec<String>,
}

/// The rows of the tables under the heading that begins with `section`.
fn rows(page: &str, section: &str) -> Vec<Row> {
    let start = page.find(section).unwrap_or_else(|| panic!("no section {section}"));
    let body = &page[start + section.len()..];
    let body = &body[..body.find("\n## ").unwrap_or(body.len())];
    body.lines()
        .filter(|line| line.starts_with("| MQTT-"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            assert_eq!(cells.len(), 4, "{line}");
            Row {
                statement: cells[0].to_owned(),
                status: cells[2].to_owned(),
                tests: named(cells[3]),
            }
        })
        .collect()
}

/// Tests named in a cell: `path::function` in back quotes.
fn named(cell: &str) -> Vec<String> {
    cell.split('`').filter(|text| text.contains(".rs::")).map(str::to_owned).collect()
}

fn page() -> String {
    fs::read_to_string(root().join("docs/conformance.md")).expect("docs/conformance.md is readable")
}

#[test]
fn every_statement_has_a_row_and_enough_are_shown() {
    let page = page();
    for (section, list) in
        [("\n## MQTT 5.0", "mqtt-v5.0-ids.txt"), ("\n## MQTT 3.1.1", "mqtt-v3.1.1-ids.txt")]
    {
        let ids =
            fs::read_to_string(root().join("tests/data").join(list)).expect("the list of ids");
        let ids: BTreeSet<&str> = ids.lines().collect();
        let rows = rows(&page, section);
        let listed: BTreeSet<&str> = rows.iter().map(|row| row.statement.as_str()).collect();
        let missing: Vec<_> = ids.difference(&listed).collect();
        let strange: Vec<_> = listed.difference(&ids).collect();
        assert!(
            missing.is_empty() && strange.is_empty(),
            "missing {missing:?}, strange {strange:?}"
        );
        assert_eq!(listed.len(), rows.len(), "a statement stands twice");
        let counted = rows.iter().filter(|row| row.status != "n/a").count();
        let shown = rows.iter().filter(|row| row.status == "shown").count();
        assert!(shown * 100 >= counted * 95, "{section}: {shown} of {counted} shown");
        for row in rows {
            let known = ["shown", "gap", "n/a"].contains(&row.status.as_str());
            assert!(known, "{}: status {}", row.statement, row.status);
            assert_eq!(row.status == "shown", !row.tests.is_empty(), "{}", row.statement);
        }
    }
}

/// Whether a source declares this function with `#[test]` among its attributes.
fn is_test(source: &str, function: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let declared = format!("fn {function}(");
    let at = lines.iter().position(|line| line.starts_with(&declared));
    at.is_some_and(|at| {
        let before = lines[..at].iter().rev();
        let own = before.take_while(|line| line.starts_with('#') || line.starts_with("//"));
        own.into_iter().any(|line| *line == "#[test]")
    })
}

#[test]
fn a_function_is_a_test_only_with_its_attribute() {
    let source =
        "#[test]\nfn a() {}\n\nfn b() {}\n\n  /// Said.\n  #[test]\n  #[should_panic]\n  fn c() {}";
    assert_eq!(["a", "b", "c", "d"].map(|name| is_test(source, name)), [true, false, true, false]);
}

#[test]
fn every_test_that_is_named_exists() {
    let mut sources = BTreeMap::new();
    for test in named(&page()) {
        let (path, function) = test.split_once("::").expect("path::function");
        let source = sources.entry(path.to_owned()).or_insert_with(|| {
            let file = root().join(path);
            fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"))
        });
        assert!(is_test(source, function), "docs/conformance.md names {test}, which is no test");
    }
}
