//! Access lists (`acl_file`): text to rules, and rules to decisions. Everything here is data: no
//! callback decides, and a decision names the rule, by file and line, that made it. Never opens a
//! file, and never changes a character of a topic or of a name.
//!
//! ```text
//!  text --file--> rules + diagnostics --list--> trees by user, and one of patterns
//!  (client, access, topic) --------------------> Decision (cached by session and topic)
//! ```

mod cache;
mod claims;
mod decision;
mod file;
mod list;
mod pattern;
mod rule;
mod tree;

pub(crate) use cache::Cache;
pub(crate) use claims::Claims;
pub use decision::{Decision, Reason, Verdict};
pub use file::{Diagnostic, Parsed, Severity, parse};
pub use list::AccessList;
pub use rule::{Access, Effect, Rights, Rule, Subject, Who};
