//! What a reading found, in the order of the lines, and bounded. An error that a later line may take
//! back waits here until the end.

use super::diagnose::Diagnostic;
use super::diagnose::Problem;
use super::diagnose::Severity;
use super::diagnose::quoted;
use super::draft::Place;
use std::collections::BTreeMap;

/// Diagnostics of one reading at most; a file with more is not one of ours.
const DIAGNOSTICS_MAX: usize = 500;

/// An option of the table, for the broker or for the listener of this index.
pub(super) type Key = (&'static str, Option<usize>);

/// What a reading found.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The files read, for [`Place`].
    pub(super) files: Vec<String>,
    found: Vec<(Place, Diagnostic)>,
    waiting: BTreeMap<Key, (Place, String, Problem)>,
    full: bool,
}

impl Report {
    pub(super) fn error(&mut self, place: Place, option: &str, problem: Problem) {
        self.add(place, Severity::Error, option, problem);
    }

    pub(super) fn warning(&mut self, place: Place, option: &str, problem: Problem) {
        self.add(place, Severity::Warning, option, problem);
    }

    /// An error unless a later line takes it back.
    pub(super) fn error_unless_changed(
        &mut self,
        key: Key,
        place: Place,
        option: &str,
        problem: Problem,
    ) {
        self.waiting.insert(key, (place, option.to_owned(), problem));
    }

    /// Takes an error back.
    pub(super) fn changed(&mut self, key: Key) {
        self.waiting.remove(&key);
    }

    /// Whether so much is wrong that reading on helps nobody.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// `mosquitto.conf:12`
    pub(super) fn name(&self, place: Place) -> String {
        let file = self.files.get(place.file).map_or("", String::as_str);
        format!("{file}:{}", place.line)
    }

    /// Everything that was found, in the order of reading.
    pub(super) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        for (_, (place, option, problem)) in std::mem::take(&mut self.waiting) {
            self.error(place, &option, problem);
        }
        self.found.sort_by_key(|(place, _)| place.order);
        self.found.into_iter().map(|(_, diagnostic)| diagnostic).collect()
    }

    fn add(&mut self, place: Place, severity: Severity, option: &str, problem: Problem) {
        if self.full {
            return;
        }
        self.push(place, severity, option, problem);
        if self.found.len() == DIAGNOSTICS_MAX {
            self.full = true;
            let problem = Problem::new("too much is wrong; the rest was not read", "");
            self.push(place, Severity::Error, "", problem);
        }
    }

    fn push(&mut self, place: Place, severity: Severity, option: &str, problem: Problem) {
        let diagnostic = Diagnostic {
            severity,
            file: self.files.get(place.file).cloned().unwrap_or_default(),
            line: place.line,
            option: quoted(option).trim_matches('"').to_owned(),
            what: problem.what.into_owned(),
            right: problem.right.into_owned(),
        };
        self.found.push((place, diagnostic));
    }
}
