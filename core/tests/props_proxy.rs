//! The PROXY header parser over any bytes: it never panics, never waits for more than its longest
//! header, and every beginning of a header is "more" until it is whole (hostile input 55).

use halyard_core::proxy::{Header, V2_BYTES_MAX, Version, parse};
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::IpAddr;

fn v1(source: (IpAddr, u16), target: (IpAddr, u16)) -> Vec<u8> {
    let family = if source.0.is_ipv4() { "TCP4" } else { "TCP6" };
    let ((from, from_port), (to, to_port)) = (source, target);
    format!("PROXY {family} {from} {to} {from_port} {to_port}\r\n").into_bytes()
}

fn v2(source: (IpAddr, u16), target: (IpAddr, u16), fields: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let mut rest = [octets(source.0), octets(target.0)].concat();
    rest.extend(source.1.to_be_bytes());
    rest.extend(target.1.to_be_bytes());
    for (kind, value) in fields {
        rest.push(*kind);
        rest.extend((value.len() as u16).to_be_bytes());
        rest.extend(value);
    }
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    bytes.push(if source.0.is_ipv4() { 0x11 } else { 0x21 });
    bytes.extend((rest.len() as u16).to_be_bytes());
    bytes.extend(rest);
    bytes
}

fn addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    prop_oneof![
        any::<([u8; 4], [u8; 4])>().prop_map(|(a, b)| (a.into(), b.into())),
        any::<([u16; 8], [u16; 8])>().prop_map(|(a, b)| (a.into(), b.into())),
    ]
}

/// Fields that mean nothing to us.
fn fields() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    vec((0x30u8..=0xFF, vec(any::<u8>(), 0..40)), 0..6)
}

proptest! {
    #[test]
    fn a_header_is_read_back_whole_and_waited_for_until_then(
        (from, to) in addresses(),
        (from_port, to_port) in any::<(u16, u16)>(),
        fields in fields(),
        rest in vec(any::<u8>(), 0..40),
    ) {
        let header = Header { source: Some((from, from_port)), tls: None };
        let (source, target) = ((from, from_port), (to, to_port));
        for (version, mut bytes) in
            [(Version::V1, v1(source, target)), (Version::V2, v2(source, target, &fields))]
        {
            let len = bytes.len();
            for end in 0..len {
                prop_assert_eq!(parse(version, &bytes[..end]), Ok(None), "{} of {}", end, len);
            }
            bytes.extend(&rest);
            prop_assert_eq!(parse(version, &bytes), Ok(Some((len, header.clone()))));
        }
    }

    #[test]
    fn any_bytes_are_decided_upon_and_more_never_changes_the_decision(
        mut bytes in vec(any::<u8>(), 0..300),
        begin in 0usize..3,
        tail in vec(any::<u8>(), V2_BYTES_MAX..V2_BYTES_MAX + 1),
    ) {
        let begins: [&[u8]; 3] = [b"", b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n"];
        bytes.splice(..0, begins[begin].iter().copied());
        for version in [Version::V1, Version::V2] {
            let whole = parse(version, &bytes);
            let longer = parse(version, &[&bytes[..], &tail[..]].concat());
            match whole {
                Ok(None) => prop_assert!(!matches!(longer, Ok(None)), "it waits for ever"),
                Ok(Some((len, _))) => {
                    prop_assert!(len <= bytes.len());
                    prop_assert_eq!(longer, whole);
                }
                Err(_) => prop_assert!(longer.is_err()),
            }
        }
    }
}
