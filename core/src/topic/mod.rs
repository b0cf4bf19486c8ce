//! Topic Names, Topic Filters and what matches what (MQTT 5.0 §4.7, §4.8.2). Knows no session and
//! no packet; must never change, fold or normalise a character of what a client sent
//! [MQTT-4.7.3-4].
//!
//! - [`validate_name`], [`validate_filter`], [`split_share`]: judging text without allocating;
//! - [`TopicName`], [`TopicFilter`], [`ShareName`], [`ParsedFilter`]: owned text known to be valid;
//! - [`matches`]: the rule itself, slow and obvious, the oracle of the two below;
//! - [`Tree`]: subscriptions by filter, asked by name (every PUBLISH);
//! - [`TopicMap`]: values by name, asked by filter (retained messages).

mod filter;
mod levels;
mod limits;
mod map;
mod matching;
mod name;
mod shared;
mod slots;
mod subscribers;
mod tree;

pub use filter::{TopicFilter, validate_filter};
pub use limits::{TopicError, TopicLimits};
pub use map::{Scan, TopicMap};
pub use matching::matches;
pub use name::{TopicName, validate_name};
pub use shared::{ParsedFilter, SHARE_PREFIX, ShareName, split_share};
pub use tree::Tree;

use limits::{offset, validate_text};

/// What the owned texts share: one validated `Box<str>` that reads as `str`.
macro_rules! validated_text {
    ($name:ident, $validate:path, $what:literal) => {
        impl $name {
            #[doc = concat!("`text` as ", $what, ", if it is one within `limits`.")]
            pub fn parse(text: &str, limits: &TopicLimits) -> Result<Self, TopicError> {
                $validate(text, limits)?;
                Ok(Self(text.into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Its levels, in order; an empty level is a level.
            pub fn levels(&self) -> impl Iterator<Item = &str> {
                self.0.split('/')
            }

            /// The text, given away.
            pub fn into_boxed_str(self) -> Box<str> {
                self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = TopicError;

            fn try_from(text: &str) -> Result<Self, TopicError> {
                Self::parse(text, &TopicLimits::DEFAULT)
            }
        }

        impl core::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl core::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
use validated_text;
