//! What properties of MQTT 5.0 (§2.2.2) have in common: their identifiers, and the two that may
//! occur many times. Types of single packets hold their own properties as plain fields.

use smallvec::SmallVec;

/// A property identifier (§2.2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are the standard's")]
pub enum PropertyId {
    PayloadFormatIndicator = 0x01,
    MessageExpiryInterval = 0x02,
    ContentType = 0x03,
    ResponseTopic = 0x08,
    CorrelationData = 0x09,
    SubscriptionIdentifier = 0x0B,
    SessionExpiryInterval = 0x11,
    AssignedClientIdentifier = 0x12,
    ServerKeepAlive = 0x13,
    AuthenticationMethod = 0x15,
    AuthenticationData = 0x16,
    RequestProblemInformation = 0x17,
    WillDelayInterval = 0x18,
    RequestResponseInformation = 0x19,
    ResponseInformation = 0x1A,
    ServerReference = 0x1C,
    ReasonString = 0x1F,
    ReceiveMaximum = 0x21,
    TopicAliasMaximum = 0x22,
    TopicAlias = 0x23,
    MaximumQoS = 0x24,
    RetainAvailable = 0x25,
    UserProperty = 0x26,
    MaximumPacketSize = 0x27,
    WildcardSubscriptionAvailable = 0x28,
    SubscriptionIdentifierAvailable = 0x29,
    SharedSubscriptionAvailable = 0x2A,
}

impl PropertyId {
    /// The identifier with this value, if the standard knows one.
    pub const fn from_u8(value: u8) -> Option<Self> {
        Some(match value {
            0x01 => Self::PayloadFormatIndicator,
            0x02 => Self::MessageExpiryInterval,
            0x03 => Self::ContentType,
            0x08 => Self::ResponseTopic,
            0x09 => Self::CorrelationData,
            0x0B => Self::SubscriptionIdentifier,
            0x11 => Self::SessionExpiryInterval,
            0x12 => Self::AssignedClientIdentifier,
            0x13 => Self::ServerKeepAlive,
            0x15 => Self::AuthenticationMethod,
            0x16 => Self::AuthenticationData,
            0x17 => Self::RequestProblemInformation,
            0x18 => Self::WillDelayInterval,
            0x19 => Self::RequestResponseInformation,
            0x1A => Self::ResponseInformation,
            0x1C => Self::ServerReference,
            0x1F => Self::ReasonString,
            0x21 => Self::ReceiveMaximum,
            0x22 => Self::TopicAliasMaximum,
            0x23 => Self::TopicAlias,
            0x24 => Self::MaximumQoS,
            0x25 => Self::RetainAvailable,
            0x26 => Self::UserProperty,
            0x27 => Self::MaximumPacketSize,
            0x28 => Self::WildcardSubscriptionAvailable,
            0x29 => Self::SubscriptionIdentifierAvailable,
            0x2A => Self::SharedSubscriptionAvailable,
            _ => return None,
        })
    }
}

/// The User Properties of a packet, in order, as they stand on the wire: a run of entries of
/// identifier, name and value. Other properties between them are allowed and passed over, so a
/// decoder hands in the whole property section unchanged. The bytes were validated when decoded, or
/// written by [`UserPropertiesBuf`].
#[derive(Clone, Copy, Debug, Default)]
pub struct UserProperties<'a> {
    section: &'a [u8],
}

impl<'a> UserProperties<'a> {
    /// No User Property at all.
    pub const EMPTY: Self = Self { section: &[] };

    /// The User Properties of an already validated property section. `section` without one costs
    /// nothing if the caller passes `&[]` instead.
    pub(crate) const fn from_validated(section: &'a [u8]) -> Self {
        Self { section }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }

    /// Name and value of each, in order.
    pub fn iter(self) -> UserPropertyIter<'a> {
        UserPropertyIter { rest: self.section }
    }

    /// The bytes that the entries take on the wire.
    pub fn encoded_len(self) -> usize {
        self.iter().map(|(name, value)| 5 + name.len() + value.len()).sum()
    }

    /// Appends the entries in wire form.
    pub fn encode(self, out: &mut Vec<u8>) {
        for (name, value) in self.iter() {
            push_entry(out, name, value);
        }
    }

    /// An owned copy without whatever stood between the entries.
    pub fn to_buf(self) -> UserPropertiesBuf {
        let mut buf = Vec::with_capacity(self.encoded_len());
        self.encode(&mut buf);
        UserPropertiesBuf(buf)
    }
}

impl PartialEq for UserProperties<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for UserProperties<'_> {}

/// Iterates over the User Properties of a section.
#[derive(Clone, Debug)]
pub struct UserPropertyIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for UserPropertyIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&id, rest) = self.rest.split_first()?;
            self.rest = rest;
            if id == PropertyId::UserProperty as u8 {
                let name = take_string(&mut self.rest)?;
                let value = take_string(&mut self.rest)?;
                return Some((name, value));
            }
            skip_value(PropertyId::from_u8(id)?, &mut self.rest)?;
        }
    }
}

/// Owned User Properties, in wire form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserPropertiesBuf(Vec<u8>);

impl UserPropertiesBuf {
    /// None yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Takes bytes that [`Self::as_bytes`] gave; `None` if they are not a run of entries.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let mut rest = bytes.as_slice();
        while let Some((&id, tail)) = rest.split_first() {
            rest = tail;
            if id != PropertyId::UserProperty as u8 {
                return None;
            }
            take_string(&mut rest)?;
            take_string(&mut rest)?;
        }
        Some(Self(bytes))
    }

    /// Appends one. `false`, and nothing appended, if a part is longer than 65,535 bytes or holds
    /// U+0000 [MQTT-1.5.4-2].
    pub fn push(&mut self, name: &str, value: &str) -> bool {
        let fits = |s: &str| u16::try_from(s.len()).is_ok() && !s.contains('\0');
        if !fits(name) || !fits(value) {
            return false;
        }
        push_entry(&mut self.0, name, value);
        true
    }

    /// The entries.
    pub fn as_ref(&self) -> UserProperties<'_> {
        UserProperties { section: &self.0 }
    }

    /// The wire form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn push_entry(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(PropertyId::UserProperty as u8);
    for part in [name, value] {
        let len = u16::try_from(part.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&part.as_bytes()[..usize::from(len)]);
    }
}

fn take_string<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (len, tail) = rest.split_first_chunk::<2>()?;
    let (text, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    *rest = tail;
    core::str::from_utf8(text).ok()
}

/// Steps over the value of `id`; `None` if it is cut short, which validated bytes never are.
fn skip_value(id: PropertyId, rest: &mut &[u8]) -> Option<()> {
    use PropertyId as P;
    let fixed = match id {
        P::PayloadFormatIndicator
        | P::RequestProblemInformation
        | P::RequestResponseInformation
        | P::MaximumQoS
        | P::RetainAvailable
        | P::WildcardSubscriptionAvailable
        | P::SubscriptionIdentifierAvailable
        | P::SharedSubscriptionAvailable => 1,
        P::ServerKeepAlive | P::ReceiveMaximum | P::TopicAliasMaximum | P::TopicAlias => 2,
        P::MessageExpiryInterval
        | P::SessionExpiryInterval
        | P::WillDelayInterval
        | P::MaximumPacketSize => 4,
        P::SubscriptionIdentifier => 1 + rest.iter().take_while(|byte| **byte & 0x80 != 0).count(),
        P::ContentType
        | P::ResponseTopic
        | P::CorrelationData
        | P::AssignedClientIdentifier
        | P::AuthenticationMethod
        | P::AuthenticationData
        | P::ResponseInformation
        | P::ServerReference
        | P::ReasonString => 2 + usize::from(u16::from_be_bytes(*rest.first_chunk::<2>()?)),
        P::UserProperty => return None,
    };
    *rest = rest.get(fixed..)?;
    Some(())
}

/// Subscription Identifiers of a PUBLISH (§3.3.2.3.8): 1 to 268,435,455 each, ascending where the
/// broker collects them.
pub type SubscriptionIds = SmallVec<[u32; 2]>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_between_other_properties_are_found() {
        let mut section = vec![0x01, 1, 0x0B, 0x80, 0x01];
        push_entry(&mut section, "a", "1");
        section.extend_from_slice(&[0x03, 0, 1, b'x']);
        push_entry(&mut section, "a", "2");
        let found: Vec<_> = UserProperties::from_validated(&section).iter().collect();
        assert_eq!(found, [("a", "1"), ("a", "2")]);
        assert_eq!(UserProperties::from_validated(&section).to_buf().as_ref().iter().count(), 2);
    }

    #[test]
    fn a_nul_is_refused() {
        let mut buf = UserPropertiesBuf::new();
        assert!(!buf.push("a\0", "b"));
        assert!(buf.is_empty());
    }
}
