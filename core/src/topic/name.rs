//! Topic Names (§4.7): the topic of a PUBLISH, of a Will, a Response Topic. Must never let a
//! wildcard through [MQTT-3.3.2-2], [MQTT-3.3.2-14].

use super::{TopicError, TopicLimits, offset, shared, validate_text, validated_text};

/// A valid Topic Name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Box<str>);

validated_text!(TopicName, validate_name, "a Topic Name");

/// Judges a Topic Name without copying it. `$share/…` is refused: no filter could ever ask for it.
///
/// ```
/// use halyard_core::topic::{TopicError, TopicLimits, validate_name};
/// let limits = TopicLimits::default();
/// assert_eq!(validate_name("plant//Line 1", &limits), Ok(()));
/// assert_eq!(validate_name("plant/+", &limits), Err(TopicError::WildcardInName { at: 6 }));
/// ```
pub fn validate_name(name: &str, limits: &TopicLimits) -> Result<(), TopicError> {
    validate_text(name, limits)?;
    if name.bytes().fold(false, |found, byte| found | matches!(byte, b'+' | b'#')) {
        let at = name.find(['+', '#']).unwrap_or_default();
        return Err(TopicError::WildcardInName { at: offset(at) });
    }
    if shared::is_shared(name) {
        return Err(TopicError::SharePrefix { at: 0 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str) -> Result<(), TopicError> {
        validate_name(name, &TopicLimits::default())
    }

    #[test]
    fn names_of_the_standard_are_valid() {
        for name in ["/", "//", "a", " ", "Accounts payable", "$SYS/x", "$share", "$", "/ä/日本/"]
        {
            assert_eq!(check(name), Ok(()), "{name:?}");
            assert_eq!(TopicName::try_from(name).map(|n| n.as_str().len()), Ok(name.len()));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(check(""), Err(TopicError::Empty));
        assert_eq!(check("a\0/+"), Err(TopicError::Nul { at: 1 }));
        assert_eq!(check("é/+"), Err(TopicError::WildcardInName { at: 3 }));
        assert_eq!(check("a#"), Err(TopicError::WildcardInName { at: 1 }));
        assert_eq!(check("$share/g/a"), Err(TopicError::SharePrefix { at: 0 }));
        assert_eq!(check("+").unwrap_err().clause(), "MQTT-4.7.0-1");
    }

    #[test]
    fn limits_are_inclusive() {
        let limits = TopicLimits { max_levels: 3, max_bytes: 8 };
        assert_eq!(validate_name("a/b/c", &limits), Ok(()));
        assert_eq!(
            validate_name("a/b/c/", &limits),
            Err(TopicError::TooManyLevels { levels: 4, limit: 3 })
        );
        assert_eq!(validate_name("12345678", &limits), Ok(()));
        assert_eq!(
            validate_name("123456789", &limits),
            Err(TopicError::TooLong { len: 9, limit: 8 })
        );
    }

    #[test]
    fn the_longest_names() {
        let deep = "/".repeat(65_535);
        assert_eq!(check(&deep), Err(TopicError::TooManyLevels { levels: 65_536, limit: 128 }));
        let unlimited = TopicLimits { max_levels: 0, ..TopicLimits::DEFAULT };
        assert_eq!(validate_name(&deep, &unlimited), Ok(()));
        let long = "x".repeat(65_536);
        let error = check(&long).unwrap_err();
        assert_eq!(error, TopicError::TooLong { len: 65_536, limit: 65_535 });
        assert_eq!(error.clause(), "MQTT-4.7.3-3");
        assert_eq!(check(&long[1..]), Ok(()));
    }

    #[test]
    fn a_name_reads_as_its_text() {
        let name = TopicName::try_from("a//b").unwrap();
        assert_eq!(name.levels().collect::<Vec<_>>(), ["a", "", "b"]);
        assert_eq!((&*name, name.to_string().as_str()), ("a//b", "a//b"));
        assert_eq!(&*name.into_boxed_str(), "a//b");
    }
}
