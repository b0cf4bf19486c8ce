//! What a topic may be at most, and the ways in which it can be wrong (§4.7.3, §4.8.2). Every
//! refusal names its clause and its place.

use core::fmt;

use super::SHARE_PREFIX;

/// What a server accepts beyond the standard's own rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicLimits {
    /// Most levels of a name or filter (the group of a shared subscription not counted);
    /// 0 = no limit.
    pub max_levels: u16,
    /// Most bytes of a name or of a whole filter.
    pub max_bytes: u16,
}

impl TopicLimits {
    /// The limits of a broker that was told nothing else: 128 levels, 65,535 bytes.
    pub const DEFAULT: Self = Self { max_levels: 128, max_bytes: u16::MAX };
}

impl Default for TopicLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Why a text is no Topic Name or no Topic Filter. Offsets (`at`) are in bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicError {
    /// No character at all.
    Empty,
    /// The null character.
    Nul {
        /// Where it stands.
        at: u32,
    },
    /// More bytes than allowed.
    TooLong {
        /// Its length.
        len: u32,
        /// The most allowed.
        limit: u16,
    },
    /// More levels than this server takes.
    TooManyLevels {
        /// Its levels.
        levels: u32,
        /// The most allowed.
        limit: u16,
    },
    /// `+` or `#` in a Topic Name.
    WildcardInName {
        /// Where it stands.
        at: u32,
    },
    /// `+` that does not fill its level, or `#` that is not the whole last level.
    MisplacedWildcard {
        /// Where it stands.
        at: u32,
        /// `+` or `#`.
        wildcard: char,
    },
    /// `$share/…` where a plain name or filter is needed.
    SharePrefix {
        /// Where it stands: not 0 for a shared subscription inside another.
        at: u32,
    },
    /// `$share//…`: no ShareName.
    ShareNameEmpty,
    /// `+` or `#` in a ShareName.
    ShareName {
        /// Where it stands.
        at: u32,
        /// `+` or `#`.
        wildcard: char,
    },
    /// `$share/name` with no filter behind it.
    ShareFilterMissing,
}

impl TopicError {
    /// The clause (numbered as in MQTT 5.0) that the text breaks; `"limit"` where it breaks only a
    /// limit of this server.
    pub const fn clause(&self) -> &'static str {
        match self {
            Self::Empty => "MQTT-4.7.3-1",
            Self::Nul { .. } => "MQTT-4.7.3-2",
            Self::TooLong { limit: u16::MAX, .. } => "MQTT-4.7.3-3",
            Self::TooLong { .. } | Self::TooManyLevels { .. } => "limit",
            Self::WildcardInName { .. } => "MQTT-4.7.0-1",
            Self::MisplacedWildcard { wildcard: '#', .. } => "MQTT-4.7.1-1",
            Self::MisplacedWildcard { .. } => "MQTT-4.7.1-2",
            Self::SharePrefix { .. } | Self::ShareNameEmpty => "MQTT-4.8.2-1",
            Self::ShareName { .. } | Self::ShareFilterMissing => "MQTT-4.8.2-2",
        }
    }
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("is empty; it needs at least one character"),
            Self::Nul { at } => write!(f, "has the null character U+0000 at byte {at}"),
            Self::TooLong { len, limit } => write!(f, "is {len} bytes long; at most {limit} fit"),
            Self::TooManyLevels { levels, limit } => {
                write!(f, "has {levels} levels; this server takes at most {limit}")
            }
            Self::WildcardInName { at } => {
                write!(f, "has a wildcard at byte {at}; only filters may use `+` and `#`")
            }
            Self::MisplacedWildcard { at, wildcard: '#' } => {
                write!(f, "has `#` at byte {at}; it must be the whole last level")
            }
            Self::MisplacedWildcard { at, wildcard } => {
                write!(f, "has `{wildcard}` at byte {at}; it must fill its level alone")
            }
            Self::SharePrefix { at } => write!(
                f,
                "has `{SHARE_PREFIX}` at byte {at}; that begins a shared subscription, nothing else"
            ),
            Self::ShareNameEmpty => {
                write!(f, "has no ShareName between `{SHARE_PREFIX}` and the next `/`")
            }
            Self::ShareName { at, wildcard } => {
                write!(f, "has `{wildcard}` at byte {at}, inside the ShareName")
            }
            Self::ShareFilterMissing => {
                f.write_str("ends with the ShareName; `/` and a Topic Filter must follow it")
            }
        }?;
        write!(f, " [{}]", self.clause())
    }
}

impl core::error::Error for TopicError {}

/// An offset or length of text, as errors tell it.
pub(super) fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// What names and filters have in common: length, U+0000, depth.
pub(super) fn validate_text(text: &str, limits: &TopicLimits) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > usize::from(limits.max_bytes) {
        return Err(TopicError::TooLong { len: offset(text.len()), limit: limits.max_bytes });
    }
    let (mut levels, mut nul) = (1u32, false);
    for &byte in text.as_bytes() {
        levels += u32::from(byte == b'/');
        nul |= byte == 0;
    }
    if nul {
        let at = text.find('\0').unwrap_or_default();
        return Err(TopicError::Nul { at: offset(at) });
    }
    if limits.max_levels > 0 && levels > u32::from(limits.max_levels) {
        return Err(TopicError::TooManyLevels { levels, limit: limits.max_levels });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_tells_its_clause_and_place() {
        let shown = |error: TopicError| error.to_string();
        assert_eq!(
            shown(TopicError::MisplacedWildcard { at: 3, wildcard: '#' }),
            "has `#` at byte 3; it must be the whole last level [MQTT-4.7.1-1]"
        );
        assert_eq!(
            shown(TopicError::TooManyLevels { levels: 200, limit: 128 }),
            "has 200 levels; this server takes at most 128 [limit]"
        );
        assert_eq!(
            shown(TopicError::TooLong { len: 9, limit: 8 }),
            "is 9 bytes long; at most 8 fit [limit]"
        );
        assert!(shown(TopicError::Nul { at: 7 }).contains("at byte 7"));
        assert!(shown(TopicError::SharePrefix { at: 0 }).contains("`$share/`"));
        assert!(shown(TopicError::ShareFilterMissing).ends_with("[MQTT-4.8.2-2]"));
    }

    #[test]
    fn limits_default_to_128_levels_and_the_standards_length() {
        assert_eq!(TopicLimits::default(), TopicLimits { max_levels: 128, max_bytes: 65_535 });
    }
}
