//! The PROXY protocol, versions 1 and 2: the header that a proxy sends before a connection's own
//! bytes, with the address of the client. A pure parser over what has come so far: it believes
//! nobody (the driver asks who sent it), and never asks for more bytes than the longest header.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// Bytes of the longest header of version 1, its line end included.
const V1_BYTES_MAX: usize = 107;
/// Bytes of the longest header of version 2 that is accepted; the format would allow 64 KiB.
pub const V2_BYTES_MAX: usize = 4096;
const V1_BEGIN: &[u8] = b"PROXY ";
const V2_BEGIN: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_HEAD: usize = 16;

const TLV_SSL: u8 = 0x20;
const TLV_SSL_COMMON_NAME: u8 = 0x22;
const CLIENT_SSL: u8 = 1;
const CLIENT_CERTIFICATE: u8 = 2 | 4;

/// Which version is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// What a header tells of the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Its address and port; `None` = the connection is the proxy's own, or of a kind that is not
    /// told.
    pub source: Option<(IpAddr, u16)>,
    /// How it reached the proxy by TLS; `None` = it did not, or that is not told.
    pub tls: Option<ProxiedTls>,
}

/// TLS between a client and its proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxiedTls {
    /// The client showed a certificate and the proxy found it good.
    pub certified: bool,
    /// The Common Name of that certificate.
    pub common_name: Option<String>,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyError {
    /// They begin like none.
    NoHeader,
    /// It is a header of the other version.
    OtherVersion,
    /// A line of version 1 that is wrong.
    BadLine,
    /// A command that is not known.
    UnknownCommand,
    /// Its addresses are shorter than their family says.
    ShortAddress,
    /// Its further fields do not fit into it.
    BadFields,
    /// It is longer than any header should be.
    TooLong,
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHeader => "there is no PROXY header",
            Self::OtherVersion => "the PROXY header is of another version than the listener's",
            Self::BadLine => "the line of the PROXY header is malformed",
            Self::UnknownCommand => "the PROXY header has an unknown version or command",
            Self::ShortAddress => "the PROXY header is shorter than its addresses",
            Self::BadFields => "the fields of the PROXY header do not fit into it",
            Self::TooLong => "the PROXY header is too long",
        })
    }
}

/// Reads a header from the beginning of `bytes`: its length and what it tells, or `None` while more
/// bytes are needed.
pub fn parse(version: Version, bytes: &[u8]) -> Result<Option<(usize, Header)>, ProxyError> {
    let (begin, other) = match version {
        Version::V1 => (V1_BEGIN, V2_BEGIN),
        Version::V2 => (V2_BEGIN, V1_BEGIN),
    };
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(a, b)| a == b);
    if !begins(begin) {
        let is_other = bytes.len() >= other.len() && begins(other);
        return Err(if is_other { ProxyError::OtherVersion } else { ProxyError::NoHeader });
    }
    if bytes.len() < begin.len() {
        return Ok(None);
    }
    match version {
        Version::V1 => v1(bytes),
        Version::V2 => v2(bytes),
    }
}

fn v1(bytes: &[u8]) -> Result<Option<(usize, Header)>, ProxyError> {
    let line = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return if line.len() < V1_BYTES_MAX { Ok(None) } else { Err(ProxyError::TooLong) };
    };
    let text = core::str::from_utf8(&line[V1_BEGIN.len()..end]).map_err(|_| ProxyError::BadLine)?;
    let mut words = text.split(' ');
    let mut word = || words.next().ok_or(ProxyError::BadLine);
    let source = match word()? {
        "UNKNOWN" => None,
        family @ ("TCP4" | "TCP6") => {
            let is_v4 = family == "TCP4";
            let (source, _) = (address(word()?, is_v4)?, address(word()?, is_v4)?);
            let (port, _) = (port(word()?)?, port(word()?)?);
            if words.next().is_some() {
                return Err(ProxyError::BadLine);
            }
            Some((source, port))
        }
        _ => return Err(ProxyError::BadLine),
    };
    Ok(Some((end + 2, Header { source, tls: None })))
}

fn address(word: &str, is_v4: bool) -> Result<IpAddr, ProxyError> {
    let address = if is_v4 {
        Ipv4Addr::from_str(word).map(IpAddr::V4)
    } else {
        Ipv6Addr::from_str(word).map(IpAddr::V6)
    };
    address.map_err(|_| ProxyError::BadLine)
}

fn port(word: &str) -> Result<u16, ProxyError> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit());
    let plain = plain && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| plain).ok_or(ProxyError::BadLine)
}

fn v2(bytes: &[u8]) -> Result<Option<(usize, Header)>, ProxyError> {
    let Some(head) = bytes.get(V2_BEGIN.len()..V2_HEAD) else { return Ok(None) };
    let len = V2_HEAD + usize::from(u16::from_be_bytes([head[2], head[3]]));
    if len > V2_BYTES_MAX {
        return Err(ProxyError::TooLong);
    }
    let local = match head[0] {
        0x20 => true,
        0x21 => false,
        _ => return Err(ProxyError::UnknownCommand),
    };
    let Some(rest) = bytes.get(V2_HEAD..len) else { return Ok(None) };
    if local {
        return Ok(Some((len, Header::default())));
    }
    let address_len = match head[1] >> 4 {
        0 => 0,
        1 => 12,
        2 => 36,
        3 => 216,
        _ => return Err(ProxyError::UnknownCommand),
    };
    let (addresses, fields) = rest.split_at_checked(address_len).ok_or(ProxyError::ShortAddress)?;
    let source = match *addresses {
        [a, b, c, d, _, _, _, _, high, low, _, _] => {
            Some((IpAddr::from([a, b, c, d]), u16::from_be_bytes([high, low])))
        }
        _ if address_len == 36 => {
            let octets: [u8; 16] =
                addresses[..16].try_into().map_err(|_| ProxyError::ShortAddress)?;
            Some((IpAddr::from(octets), u16::from_be_bytes([addresses[32], addresses[33]])))
        }
        _ => None,
    };
    let mut tls = None;
    each_field(fields, |kind, value| match kind {
        TLV_SSL => ssl(value).map(|found| tls = found),
        _ => Ok(()),
    })?;
    Ok(Some((len, Header { source, tls })))
}

/// Hands each type-length-value to `each`.
fn each_field(
    mut fields: &[u8],
    mut each: impl FnMut(u8, &[u8]) -> Result<(), ProxyError>,
) -> Result<(), ProxyError> {
    while !fields.is_empty() {
        let Some((&[kind, high, low], rest)) = fields.split_first_chunk() else {
            return Err(ProxyError::BadFields);
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        let (value, rest) = rest.split_at_checked(len).ok_or(ProxyError::BadFields)?;
        each(kind, value)?;
        fields = rest;
    }
    Ok(())
}

fn ssl(value: &[u8]) -> Result<Option<ProxiedTls>, ProxyError> {
    let Some((&[client, v0, v1, v2, v3], fields)) = value.split_first_chunk() else {
        return Err(ProxyError::BadFields);
    };
    if client & CLIENT_SSL == 0 {
        return Ok(None);
    }
    let verified = [v0, v1, v2, v3] == [0; 4];
    let mut tls = ProxiedTls {
        certified: client & CLIENT_CERTIFICATE != 0 && verified,
        ..ProxiedTls::default()
    };
    each_field(fields, |kind, value| {
        if kind == TLV_SSL_COMMON_NAME && tls.certified {
            let name = core::str::from_utf8(value).map_err(|_| ProxyError::BadFields)?;
            // Two of them: which one holds?
            if tls.common_name.replace(name.into()).is_some() {
                return Err(ProxyError::BadFields);
            }
        }
        Ok(())
    })?;
    Ok(Some(tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v1(line: &str) -> Result<Option<(usize, Header)>, ProxyError> {
        parse(Version::V1, line.as_bytes())
    }

    /// A header of version 2.
    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = V2_BEGIN.to_vec();
        bytes.extend([command, family]);
        bytes.extend((rest.len() as u16).to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    fn from(address: &str, port: u16) -> Header {
        Header { source: Some((address.parse().unwrap(), port)), tls: None }
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0xC0, 0x01, 0x07, 0x5B];

    #[test]
    fn a_line_tells_the_address_of_the_client() {
        let line = "PROXY TCP4 192.0.2.7 10.0.0.1 49153 1883\r\n";
        assert_eq!(
            v1(&format!("{line}\x10rest")),
            Ok(Some((line.len(), from("192.0.2.7", 49153))))
        );
        let line = "PROXY TCP6 2001:db8::7 ::1 1 2\r\n";
        assert_eq!(v1(line), Ok(Some((line.len(), from("2001:db8::7", 1)))));
        for line in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 a b c\r\n"] {
            assert_eq!(v1(line), Ok(Some((line.len(), Header::default()))));
        }
    }

    #[test]
    fn a_line_that_is_wrong_is_refused_at_once() {
        use ProxyError::{BadLine, NoHeader, OtherVersion, TooLong};
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
        let cases = [
            ("\x10\x10\0\x04MQTT", NoHeader),
            ("GET / HTTP/1.1\r\n", NoHeader),
            ("PROXZ", NoHeader),
            ("\r\n\r\n\0\r\nQUIT\n", OtherVersion),
            (long.as_str(), TooLong),
            ("PROXY TCP4 192.0.2.7 10.0.0.1 49153\r\n", BadLine),
            ("PROXY TCP4 192.0.2.7 10.0.0.1 49153 1883 9\r\n", BadLine),
            ("PROXY TCP4 ::1 ::1 1 2\r\n", BadLine),
            ("PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n", BadLine),
            ("PROXY TCP4 192.0.2.7 10.0.0.1 65536 2\r\n", BadLine),
            ("PROXY TCP4 192.0.2.7 10.0.0.1 +1 2\r\n", BadLine),
            ("PROXY TCP4 192.0.2.7  10.0.0.1 1 2\r\n", BadLine),
            ("PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n", BadLine),
        ];
        for (line, error) in cases {
            assert_eq!(v1(line), Err(error), "{line}");
        }
    }

    #[test]
    fn a_binary_header_tells_the_address_of_the_client() {
        let bytes = v2(0x21, 0x11, &V4);
        let found = parse(Version::V2, &bytes);
        assert_eq!(found, Ok(Some((bytes.len(), from("192.0.2.7", 0xC001)))));
        let mut v6 = [0; 36];
        v6[15] = 1;
        v6[33] = 9;
        let found = parse(Version::V2, &v2(0x21, 0x21, &v6));
        assert_eq!(found, Ok(Some((52, from("::1", 9)))));
        // LOCAL, UNSPEC and a Unix socket tell none.
        for bytes in [v2(0x20, 0x11, &V4), v2(0x21, 0, &[]), v2(0x21, 0x31, &[0; 216])] {
            assert_eq!(parse(Version::V2, &bytes), Ok(Some((bytes.len(), Header::default()))));
        }
    }

    fn with_ssl(client: u8, verify: u8, fields: &[u8]) -> Vec<u8> {
        let mut value = vec![client, 0, 0, 0, verify];
        value.extend(fields);
        let mut rest = V4.to_vec();
        rest.extend([0x04, 0, 1, 9, TLV_SSL, 0, value.len() as u8]);
        rest.extend(value);
        v2(0x21, 0x11, &rest)
    }

    #[test]
    fn a_binary_header_tells_of_tls_and_of_a_certificate_that_was_found_good() {
        let name = [TLV_SSL_COMMON_NAME, 0, 2, b'd', b'1'];
        let tls = |bytes: &[u8]| parse(Version::V2, bytes).unwrap().unwrap().1.tls;
        assert_eq!(tls(&with_ssl(0, 0, &name)), None);
        assert_eq!(tls(&with_ssl(1, 0, &name)), Some(ProxiedTls::default()));
        assert_eq!(tls(&with_ssl(3, 1, &name)), Some(ProxiedTls::default()), "not verified");
        let good = ProxiedTls { certified: true, common_name: Some("d1".into()) };
        assert_eq!(tls(&with_ssl(3, 0, &name)), Some(good));
    }

    #[test]
    fn a_binary_header_that_is_wrong_is_refused() {
        use ProxyError::{
            BadFields, NoHeader, OtherVersion, ShortAddress, TooLong, UnknownCommand,
        };
        let two = [TLV_SSL_COMMON_NAME, 0, 1, b'a', TLV_SSL_COMMON_NAME, 0, 1, b'b'];
        let no_text = [TLV_SSL_COMMON_NAME, 0, 1, 0xFF];
        let cases = [
            (v2(0x31, 0x11, &V4), UnknownCommand),
            (v2(0x22, 0x11, &V4), UnknownCommand),
            (v2(0x21, 0x41, &V4), UnknownCommand),
            (v2(0x21, 0x11, &V4[..11]), ShortAddress),
            (v2(0x21, 0x21, &V4), ShortAddress),
            (v2(0x21, 0x11, &[&V4[..], &[4, 0]].concat()), BadFields),
            (v2(0x21, 0x11, &[&V4[..], &[4, 0, 2, 9]].concat()), BadFields),
            (v2(0x21, 0, &[TLV_SSL, 0, 1, 9]), BadFields),
            (with_ssl(3, 0, &two), BadFields),
            (with_ssl(3, 0, &no_text), BadFields),
            (v2(0x21, 0, &[0; V2_BYTES_MAX]), TooLong),
            (b"PROXY TCP4 ".to_vec(), OtherVersion),
            (b"\x16\x03\x01\x02".to_vec(), NoHeader),
        ];
        for (bytes, error) in cases {
            assert_eq!(parse(Version::V2, &bytes), Err(error), "{bytes:?}");
        }
    }
}
