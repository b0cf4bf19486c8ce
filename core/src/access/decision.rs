//! A decision: allowed or denied, and by which rule. It borrows the list that made it, so that it
//! costs nothing until somebody wants to read it.

use super::Rule;
use core::fmt;

/// Whether something is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Allow,
    /// It is not.
    Deny,
}

/// A verdict and its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// Whether it is allowed.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason<'a>,
}

/// Why a decision is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason<'a> {
    /// This rule decided.
    Rule {
        /// The file it stands in.
        file: &'a str,
        /// The rule.
        rule: &'a Rule,
    },
    /// No rule gives the right, and what is not given is denied.
    NoRule {
        /// The file that was searched.
        file: &'a str,
    },
    /// The Client Identifier or the User Name holds `+` or `#`: no pattern is applied to it.
    UnsafeName {
        /// The file with the patterns.
        file: &'a str,
    },
    /// No rule forbids the subscription; each delivery is checked.
    CheckedAtDelivery {
        /// The file that was searched.
        file: &'a str,
    },
    /// The message's publisher has lost the right to publish it (`check_retain_source`).
    PublisherLost,
    /// Clients do not publish below `$SYS` and `$CONTROL`.
    Reserved,
    /// The listener whose list would decide is in the configuration no more.
    ListenerGone,
    /// No access list holds.
    NoList,
}

impl Decision<'_> {
    /// Where there is no access list.
    pub const NO_LIST: Self = Self { verdict: Verdict::Allow, reason: Reason::NoList };

    /// To publish below `$SYS` and `$CONTROL`.
    pub const RESERVED: Self = Self { verdict: Verdict::Deny, reason: Reason::Reserved };

    /// Of a client whose listener is gone.
    pub const LISTENER_GONE: Self = Self { verdict: Verdict::Deny, reason: Reason::ListenerGone };

    /// Denied for this reason.
    pub(crate) const fn denied(reason: Reason<'_>) -> Decision<'_> {
        Decision { verdict: Verdict::Deny, reason }
    }

    /// Whether it is allowed.
    pub fn is_allowed(&self) -> bool {
        self.verdict == Verdict::Allow
    }

    /// The line of the rule that decided; 0 if none did.
    pub fn line(&self) -> u32 {
        match self.reason {
            Reason::Rule { rule, .. } => rule.line,
            _ => 0,
        }
    }
}

impl fmt::Display for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_allowed() { "allowed: " } else { "denied: " })?;
        fmt::Display::fmt(&self.reason, f)
    }
}

impl fmt::Display for Reason<'_> {
    /// `/etc/mosquitto/acl:12: topic deny a/#`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { file, rule } => write!(f, "{file}:{}: {rule}", rule.line),
            Self::NoRule { file } => write!(f, "{file}: no rule gives the right"),
            Self::UnsafeName { file } => {
                write!(f, "{file}: a name with + or # is kept from all patterns")
            }
            Self::CheckedAtDelivery { file } => {
                write!(f, "{file}: no rule forbids it, and each delivery is checked")
            }
            Self::PublisherLost => f.write_str("its publisher may not publish it any more"),
            Self::Reserved => f.write_str("clients do not publish to $SYS and $CONTROL"),
            Self::ListenerGone => f.write_str("the listener that the client came in by is gone"),
            Self::NoList => f.write_str("there is no access list (acl_file)"),
        }
    }
}
