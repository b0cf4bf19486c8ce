//! Topic Filters (§4.7.1): where wildcards may stand. The group of a shared subscription is taken
//! off first (`shared.rs`); it must never reach a filter.

use super::{TopicError, TopicLimits, offset, shared, validate_text, validated_text};

/// A valid Topic Filter, without `$share/…/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter(Box<str>);

validated_text!(TopicFilter, validate_filter, "a Topic Filter");

impl TopicFilter {
    /// Whether it has a `+` or a `#`.
    pub fn has_wildcard(&self) -> bool {
        // Valid, so each such character is a wildcard.
        self.0.contains(['+', '#'])
    }
}

/// Judges a Topic Filter without copying it. `$share/…` is refused here: see
/// [`split_share`](super::split_share).
///
/// ```
/// use halyard_core::topic::{TopicError, TopicLimits, validate_filter};
/// let limits = TopicLimits::default();
/// assert_eq!(validate_filter("plant/+/#", &limits), Ok(()));
/// let error = TopicError::MisplacedWildcard { at: 6, wildcard: '#' };
/// assert_eq!(validate_filter("plant/#/x", &limits), Err(error));
/// ```
pub fn validate_filter(filter: &str, limits: &TopicLimits) -> Result<(), TopicError> {
    validate_text(filter, limits)?;
    if shared::is_shared(filter) {
        return Err(TopicError::SharePrefix { at: 0 });
    }
    let bytes = filter.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        let opens = at == 0 || bytes[at - 1] == b'/';
        let after = bytes.get(at + 1);
        let (wildcard, placed) = match byte {
            b'+' => ('+', opens && after.is_none_or(|&next| next == b'/')),
            b'#' => ('#', opens && after.is_none()),
            _ => continue,
        };
        if !placed {
            return Err(TopicError::MisplacedWildcard { at: offset(at), wildcard });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(filter: &str) -> Result<(), TopicError> {
        validate_filter(filter, &TopicLimits::default())
    }

    #[test]
    fn filters_of_the_standard_are_valid() {
        let valid = [
            "sport/tennis/player1/#",
            "sport/#",
            "#",
            "+",
            "+/tennis/#",
            "sport/+/player1",
            "/+",
            "+/+",
            "/",
            "//#",
            "$SYS/#",
            "$share",
            "é/+/日本",
        ];
        for filter in valid {
            assert_eq!(check(filter), Ok(()), "{filter:?}");
        }
        assert!(TopicFilter::try_from("a/+").unwrap().has_wildcard());
        assert!(TopicFilter::try_from("#").unwrap().has_wildcard());
        assert!(!TopicFilter::try_from("a/b").unwrap().has_wildcard());
    }

    #[test]
    fn wildcards_stand_alone_and_hash_last() {
        let misplaced = |at, wildcard| Err(TopicError::MisplacedWildcard { at, wildcard });
        assert_eq!(check("sport/tennis#"), misplaced(12, '#'));
        assert_eq!(check("sport/tennis/#/ranking"), misplaced(13, '#'));
        assert_eq!(check("#/"), misplaced(0, '#'));
        assert_eq!(check("##"), misplaced(0, '#'));
        assert_eq!(check("sport+"), misplaced(5, '+'));
        assert_eq!(check("+a/b"), misplaced(0, '+'));
        assert_eq!(check("é/++"), misplaced(3, '+'));
        assert_eq!(check("+#"), misplaced(0, '+'));
        assert_eq!(check("a/#b").unwrap_err().clause(), "MQTT-4.7.1-1");
        assert_eq!(check("a/b+").unwrap_err().clause(), "MQTT-4.7.1-2");
    }

    #[test]
    fn what_else_is_wrong_is_named() {
        assert_eq!(check(""), Err(TopicError::Empty));
        assert_eq!(check("+/\0"), Err(TopicError::Nul { at: 2 }));
        assert_eq!(check("$share/g/a"), Err(TopicError::SharePrefix { at: 0 }));
        let deep = format!("{}#", "/".repeat(65_534));
        assert_eq!(check(&deep), Err(TopicError::TooManyLevels { levels: 65_535, limit: 128 }));
        let unlimited = TopicLimits { max_levels: 0, ..TopicLimits::DEFAULT };
        assert_eq!(validate_filter(&deep, &unlimited), Ok(()));
        let long = "x".repeat(65_536);
        assert_eq!(check(&long), Err(TopicError::TooLong { len: 65_536, limit: 65_535 }));
    }
}
