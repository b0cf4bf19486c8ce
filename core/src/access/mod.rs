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

use crate::topic;

pub(crate) use cache::Cache;
pub(crate) use claims::Claims;
pub use decision::{Decision, Reason, Verdict};
pub use file::{Diagnostic, Parsed, Severity, parse};
pub use list::AccessList;
pub use rule::{Access, Effect, Rights, Rule, Subject, Who};

/// The one place below `$SYS` that an access list may open to clients.
const BRIDGE_STATE: &str = "$SYS/broker/connection/+/state";

/// Whether clients never publish to `topic`, whatever rules say. Where an access list holds, it
/// decides about the state of a bridge.
pub fn is_reserved(topic: &str, has_list: bool) -> bool {
    let below = |rest: &str| rest.is_empty() || rest.starts_with('/');
    let mut roots = ["$SYS", "$CONTROL"].into_iter();
    let reserved = roots.any(|root| topic.strip_prefix(root).is_some_and(below));
    reserved && !(has_list && topic::matches(BRIDGE_STATE, topic))
}
