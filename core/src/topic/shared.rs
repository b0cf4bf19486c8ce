//! `$share/ShareName/filter` (§4.8.2): taking a shared subscription apart and putting it together
//! again. Who of a group gets a message is not decided here.

use core::fmt;

use super::{TopicError, TopicFilter, TopicLimits, offset, validate_filter};

/// What a shared subscription's filter begins with [MQTT-4.8.2-1].
pub const SHARE_PREFIX: &str = "$share/";

/// A valid ShareName: at least one character, none of them `/`, `+` or `#` [MQTT-4.8.2-2].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareName<S = Box<str>>(S);

impl<S: AsRef<str>> ShareName<S> {
    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_ref()
    }

    /// A copy that owns its text.
    pub fn boxed(&self) -> ShareName {
        ShareName(self.as_str().into())
    }
}

impl<'a> ShareName<&'a str> {
    /// The text, for as long as what it was split from.
    pub fn text(self) -> &'a str {
        self.0
    }
}

impl<S: AsRef<str>> fmt::Display for ShareName<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a filter asks for a shared subscription, valid or not.
pub(super) fn is_shared(filter: &str) -> bool {
    filter.starts_with(SHARE_PREFIX)
}

/// Splits the filter of a SUBSCRIBE or UNSUBSCRIBE into ShareName and Topic Filter; `None` if it
/// is not shared. The Topic Filter is not empty, and not judged further.
///
/// ```
/// use halyard_core::topic::{TopicError, split_share};
/// let (share, filter) = split_share("$share/workers/jobs/+").unwrap().unwrap();
/// assert_eq!((share.as_str(), filter), ("workers", "jobs/+"));
/// assert_eq!(split_share("jobs/+"), Ok(None));
/// assert_eq!(split_share("$share/workers"), Err(TopicError::ShareFilterMissing));
/// ```
pub fn split_share(filter: &str) -> Result<Option<(ShareName<&str>, &str)>, TopicError> {
    let Some(shared) = filter.strip_prefix(SHARE_PREFIX) else { return Ok(None) };
    let (name, inner) = shared.split_once('/').unwrap_or((shared, ""));
    if name.is_empty() {
        return Err(TopicError::ShareNameEmpty);
    }
    if let Some((at, wildcard)) = name.char_indices().find(|(_, c)| matches!(c, '+' | '#')) {
        return Err(TopicError::ShareName { at: offset(SHARE_PREFIX.len() + at), wildcard });
    }
    if inner.is_empty() {
        return Err(TopicError::ShareFilterMissing);
    }
    Ok(Some((ShareName(name), inner)))
}

/// The whole filter of a SUBSCRIBE, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParsedFilter {
    /// The group, if the subscription is shared.
    pub share: Option<ShareName>,
    /// What it asks for.
    pub filter: TopicFilter,
}

impl ParsedFilter {
    /// `text` as the filter of a SUBSCRIBE, if it is one within `limits`. A shared subscription
    /// inside another is refused: it could match no name.
    pub fn parse(text: &str, limits: &TopicLimits) -> Result<Self, TopicError> {
        if text.len() > usize::from(limits.max_bytes) {
            return Err(TopicError::TooLong { len: offset(text.len()), limit: limits.max_bytes });
        }
        if let Some(at) = text.find('\0') {
            return Err(TopicError::Nul { at: offset(at) });
        }
        let (share, inner) = match split_share(text)? {
            Some((share, inner)) => (Some(share.boxed()), inner),
            None => (None, text),
        };
        let skipped = offset(text.len() - inner.len());
        validate_filter(inner, limits).map_err(|error| moved(error, skipped))?;
        Ok(Self { share, filter: TopicFilter::parse(inner, limits)? })
    }

    /// The whole filter, as it was subscribed to.
    pub fn full(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for ParsedFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(share) = &self.share {
            write!(f, "{SHARE_PREFIX}{share}/")?;
        }
        f.write_str(&self.filter)
    }
}

/// The same error, told for a text that has `by` more bytes in front.
fn moved(error: TopicError, by: u32) -> TopicError {
    match error {
        TopicError::MisplacedWildcard { at, wildcard } => {
            TopicError::MisplacedWildcard { at: at + by, wildcard }
        }
        TopicError::SharePrefix { at } => TopicError::SharePrefix { at: at + by },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ParsedFilter, TopicError> {
        ParsedFilter::parse(text, &TopicLimits::default())
    }

    #[test]
    fn shared_filters_come_apart_and_together() {
        for (text, share, inner) in [
            ("$share/g/a/b", Some("g"), "a/b"),
            ("$share/g//", Some("g"), "/"),
            ("$share/$g é/#", Some("$g é"), "#"),
            ("$share", None, "$share"),
            ("$SHARE/g/a", None, "$SHARE/g/a"),
            ("/$share/g", None, "/$share/g"),
            ("a", None, "a"),
        ] {
            let parsed = parse(text).unwrap();
            assert_eq!(parsed.share.as_ref().map(ShareName::as_str), share, "{text}");
            assert_eq!(parsed.filter.as_str(), inner, "{text}");
            assert_eq!(parsed.full(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(parse("$share/"), Err(TopicError::ShareNameEmpty));
        assert_eq!(parse("$share//a"), Err(TopicError::ShareNameEmpty));
        assert_eq!(parse("$share/g"), Err(TopicError::ShareFilterMissing));
        assert_eq!(parse("$share/g/"), Err(TopicError::ShareFilterMissing));
        let wild = |at, wildcard| Err(TopicError::ShareName { at, wildcard });
        assert_eq!(parse("$share/+/a"), wild(7, '+'));
        assert_eq!(parse("$share/é#/a"), wild(9, '#'));
        assert_eq!(parse("$share/g/$share/h/a"), Err(TopicError::SharePrefix { at: 9 }));
        let misplaced = TopicError::MisplacedWildcard { at: 10, wildcard: '#' };
        assert_eq!(parse("$share/g/a#"), Err(misplaced));
        assert_eq!(parse("$share/g\0/a"), Err(TopicError::Nul { at: 8 }));
        assert_eq!(parse(""), Err(TopicError::Empty));
        assert_eq!(TopicError::ShareNameEmpty.clause(), "MQTT-4.8.2-1");
        assert_eq!(parse("$share/+/a").unwrap_err().clause(), "MQTT-4.8.2-2");
    }

    #[test]
    fn length_counts_the_group_and_depth_does_not() {
        let limits = TopicLimits { max_levels: 2, max_bytes: 12 };
        assert!(ParsedFilter::parse("$share/g/a/b", &limits).is_ok());
        assert_eq!(
            ParsedFilter::parse("$share/g/aa/b", &limits),
            Err(TopicError::TooLong { len: 13, limit: 12 })
        );
    }

    #[test]
    fn a_borrowed_share_name_outlives_the_split() {
        let text = String::from("$share/g/a");
        let name: &str = split_share(&text).unwrap().unwrap().0.text();
        assert_eq!(name, "g");
    }
}
