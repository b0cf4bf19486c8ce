//! Takes the secrets out of an unfinished CONNECT (MQTT 5.0 §3.1), so that saved state holds none:
//! the password and the Authentication Data become zeros, as far as they are there. Lengths stay, and
//! so what is made of the rest once it comes.

/// A place in the bytes; every step may find that they end.
struct Walk<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

/// Wipes the secrets of a CONNECT that may end anywhere.
pub(crate) fn mask_connect(bytes: &mut [u8]) {
    // What is cut off needs no mask.
    _ = Walk { bytes, at: 0 }.connect();
}

impl Walk<'_> {
    fn connect(&mut self) -> Option<()> {
        if self.byte()? >> 4 != 1 {
            return None;
        }
        self.varint()?;
        self.skip_field()?;
        let (level, flags) = (self.byte()? & 0x7F, self.byte()?);
        self.at += 2;
        let is_v5 = level == 5;
        if is_v5 {
            self.properties()?;
        }
        self.skip_field()?;
        if flags & 0x04 != 0 {
            if is_v5 {
                let len = self.varint()?;
                self.at = self.at.saturating_add(len);
            }
            self.skip_field()?;
            self.skip_field()?;
        }
        if flags & 0x80 != 0 {
            self.skip_field()?;
        }
        if flags & 0x40 != 0 {
            self.at = self.at.saturating_add(2);
            self.bytes.get_mut(self.at..)?.fill(0);
        }
        Some(())
    }

    fn properties(&mut self) -> Option<()> {
        let len = self.varint()?;
        let end = self.at.saturating_add(len);
        while self.at < end {
            match self.byte()? {
                0x17 | 0x19 => self.at += 1,
                0x21 | 0x22 => self.at += 2,
                0x11 | 0x27 => self.at += 4,
                0x15 => self.skip_field()?,
                0x26 => {
                    self.skip_field()?;
                    self.skip_field()?;
                }
                0x16 => {
                    let len = self.len()?;
                    let data = self.at..self.at.saturating_add(len).min(self.bytes.len());
                    self.bytes.get_mut(data)?.fill(0);
                    self.at = self.at.saturating_add(len);
                }
                // No CONNECT has it; the decoder will say so.
                _ => return None,
            }
        }
        self.at = end;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value |= usize::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn len(&mut self) -> Option<usize> {
        Some(usize::from(self.byte()?) << 8 | usize::from(self.byte()?))
    }

    fn skip_field(&mut self) -> Option<()> {
        let len = self.len()?;
        self.at = self.at.saturating_add(len);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode;
    use crate::packet::{
        Connect, ConnectProperties, Packet, QoS, UserProperties, Version, Will, WillProperties,
    };

    #[test]
    fn a_connect_cut_anywhere_keeps_its_length_and_no_secret() {
        for version in [Version::V3, Version::V4, Version::V5] {
            let will = Will {
                qos: QoS::AtMostOnce,
                retain: false,
                topic: "will",
                payload: b"payload",
                properties: WillProperties::default(),
            };
            let mut properties = ConnectProperties::default();
            if version == Version::V5 {
                properties.receive_maximum = Some(7);
                properties.authentication_method = Some("method");
                properties.authentication_data = Some(b"SECRET");
                properties.user_properties = UserProperties::EMPTY;
            }
            let packet = Packet::Connect(Connect {
                version,
                clean_start: true,
                keep_alive: 60,
                client_id: "client",
                will: Some(will),
                username: Some("user"),
                password: Some(b"SECRET"),
                properties,
                bridge: false,
            });
            let mut whole = Vec::new();
            encode(&packet, version, &mut whole);
            for len in 0..=whole.len() {
                let mut bytes = whole[..len].to_vec();
                mask_connect(&mut bytes);
                assert_eq!(bytes.len(), len);
                assert!(!bytes.contains(&b'S') && !bytes.contains(&b'C'), "{version:?} {len}");
                let before = bytes.windows(4).any(|window| window == b"user");
                assert_eq!(before, whole[..len].windows(4).any(|window| window == b"user"));
            }
        }
    }

    #[test]
    fn what_is_no_connect_is_left_alone() {
        for bytes in [&b""[..], b"\x30\x05\x00\x01tx", b"\x10", b"\x10\xFF\xFF\xFF\xFF\xFF"] {
            let mut masked = bytes.to_vec();
            mask_connect(&mut masked);
            assert_eq!(masked, bytes);
        }
    }
}
