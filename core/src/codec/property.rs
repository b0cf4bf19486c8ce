//! The property section of a 5.0 packet (§2.2.2): which properties a packet may carry, how often,
//! and how many at most. Values are read by the packet that carries them; User Properties here,
//! since every packet may have them. It stores nothing but a set of bits and two counts.

use super::Limits;
use super::cursor::Cursor;
use super::error::{ErrorKind, Fault};
use crate::packet::{PropertyId, UserProperties};

/// A set of properties, one bit for each identifier.
#[derive(Clone, Copy, Debug)]
pub(super) struct PropertySet(u64);

impl PropertySet {
    pub(super) const fn new(ids: &[PropertyId]) -> Self {
        let mut bits = 1 << PropertyId::UserProperty as u8;
        let mut index = 0;
        while index < ids.len() {
            bits |= 1 << ids[index] as u8;
            index += 1;
        }
        Self(bits)
    }

    const fn contains(self, id: PropertyId) -> bool {
        self.0 & 1 << id as u8 != 0
    }
}

/// Walks over the properties of one section.
#[derive(Debug)]
pub(super) struct Properties<'a, 'l> {
    /// Reads the values; stands at the value of the property that [`Self::next`] gave.
    pub(super) values: Cursor<'a>,
    section: &'a [u8],
    allowed: PropertySet,
    seen: u64,
    count: u16,
    users: u16,
    limits: &'l Limits,
    /// Offset of the identifier of the current property.
    at: u32,
}

impl<'a, 'l> Properties<'a, 'l> {
    /// Takes a property section, length first, from `body`.
    #[inline]
    pub(super) fn read(
        body: &mut Cursor<'a>,
        allowed: PropertySet,
        limits: &'l Limits,
    ) -> Result<Self, Fault> {
        let at = body.at();
        let len = body.varint()?;
        let Some(values) = body.part(len) else {
            return Err(Fault::new(ErrorKind::PropertyLength, at));
        };
        let section = values.rest();
        Ok(Self { values, section, allowed, seen: 0, count: 0, users: 0, limits, at })
    }

    /// The next property other than a User Property; its value must be read from `values` next.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<PropertyId>, Fault> {
        while !self.values.is_empty() {
            let id = self.identifier()?;
            if id != PropertyId::UserProperty {
                return Ok(Some(id));
            }
            self.values.string()?;
            self.values.string()?;
        }
        Ok(None)
    }

    fn identifier(&mut self) -> Result<PropertyId, Fault> {
        self.at = self.values.at();
        let value = self.values.varint()?;
        let known = u8::try_from(value).ok().and_then(PropertyId::from_u8);
        let Some(id) = known else { return Err(self.fault(ErrorKind::UnknownProperty(value))) };
        if !self.allowed.contains(id) {
            return Err(self.fault(ErrorKind::PropertyNotAllowed(id)));
        }
        if self.count == self.limits.max_properties {
            return Err(self.fault(ErrorKind::TooManyProperties(self.limits.max_properties)));
        }
        self.count += 1;
        if id == PropertyId::UserProperty {
            if self.users == self.limits.max_user_properties {
                let limit = self.limits.max_user_properties;
                return Err(self.fault(ErrorKind::TooManyUserProperties(limit)));
            }
            self.users += 1;
        } else if self.seen & 1 << id as u8 != 0 {
            return Err(self.fault(ErrorKind::DuplicateProperty(id)));
        }
        self.seen |= 1 << id as u8;
        Ok(id)
    }

    /// Lets the current property occur again.
    #[inline]
    pub(super) fn allow_again(&mut self, id: PropertyId) {
        self.seen &= !(1 << id as u8);
    }

    /// A byte that must be 0 or 1.
    pub(super) fn flag(&mut self, id: PropertyId) -> Result<bool, Fault> {
        match self.values.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(self.fault(ErrorKind::PropertyValue(id, value))),
        }
    }

    /// A Two Byte Integer that must not be 0.
    pub(super) fn nonzero_u16(&mut self, id: PropertyId) -> Result<u16, Fault> {
        match self.values.u16()? {
            0 => Err(self.fault(ErrorKind::PropertyZero(id))),
            value => Ok(value),
        }
    }

    /// A Four Byte Integer that must not be 0.
    pub(super) fn nonzero_u32(&mut self, id: PropertyId) -> Result<u32, Fault> {
        match self.values.u32()? {
            0 => Err(self.fault(ErrorKind::PropertyZero(id))),
            value => Ok(value),
        }
    }

    /// A Variable Byte Integer that must not be 0.
    pub(super) fn nonzero_varint(&mut self, id: PropertyId) -> Result<u32, Fault> {
        match self.values.varint()? {
            0 => Err(self.fault(ErrorKind::PropertyZero(id))),
            value => Ok(value),
        }
    }

    /// A fault of the current property.
    #[cold]
    pub(super) fn fault(&self, kind: ErrorKind) -> Fault {
        Fault::new(kind, self.at)
    }

    /// The User Properties, after [`Self::next`] has found no more.
    #[inline]
    pub(super) fn user_properties(&self) -> UserProperties<'a> {
        if self.users == 0 {
            UserProperties::EMPTY
        } else {
            UserProperties::from_validated(self.section)
        }
    }
}
