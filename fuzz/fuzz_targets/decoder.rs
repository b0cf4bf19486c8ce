//! The decoder over arbitrary bytes: no panic, the same packets and the same refusal for every
//! slicing, memory bounded by what was received, and each packet survives being written and read.

#![no_main]

use halyard_core::codec::{self, DecodeError, Decoder, Limits, Role};
use halyard_core::packet::{Packet, Version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&[setup, cut], bytes)) = input.split_first_chunk::<2>() else { return };
    let decoder = decoder(setup);
    let whole = feed(decoder.clone(), [bytes], true);
    let step = usize::from(cut).max(1);
    assert_eq!(feed(decoder.clone(), bytes.chunks(step), false), whole);
    assert_eq!(feed(decoder, bytes.chunks(1), false), whole);
});

/// A decoder at the start of a stream, or in one of each version.
fn decoder(setup: u8) -> Decoder {
    let role = if setup & 1 == 0 { Role::Server } else { Role::Client };
    let mut decoder = Decoder::new(role);
    if let Some(version) = Version::from_level(2 + (setup >> 1) % 4) {
        decoder.set_version(version);
    }
    decoder
}

/// The packets in wire form, and the error that ended the stream.
fn feed<'a>(
    mut decoder: Decoder,
    slices: impl IntoIterator<Item = &'a [u8]>,
    write: bool,
) -> (Vec<Vec<u8>>, Option<DecodeError>) {
    let limits = Limits { max_packet_size: 100_000, max_connect_size: 10_000, ..Limits::default() };
    let mut packets = Vec::new();
    for slice in slices {
        let mut rest = slice;
        loop {
            let version = decoder.version();
            match decoder.decode(rest, &limits) {
                Ok((consumed, Some(frame))) => {
                    packets.push(frame.bytes.to_vec());
                    if write {
                        write_and_read(&frame.packet, version);
                    }
                    rest = &rest[consumed..];
                }
                Ok((consumed, None)) => {
                    assert_eq!(consumed, rest.len());
                    break;
                }
                Err(error) => {
                    assert!(!error.to_string().is_empty() && !error.clause().is_empty());
                    return (packets, Some(error));
                }
            }
        }
    }
    (packets, None)
}

fn write_and_read(packet: &Packet<'_>, version: Option<Version>) {
    let version = match packet {
        Packet::Connect(connect) => connect.version,
        _ => version.unwrap_or(Version::V5),
    };
    let mut bytes = Vec::new();
    codec::encode(packet, version, &mut bytes);
    assert_eq!(codec::encoded_len(packet, version) as usize, bytes.len());
    // Each packet is one that at least one side may send.
    let again = [Role::Server, Role::Client].into_iter().any(|role| {
        let mut decoder = Decoder::new(role);
        if !matches!(packet, Packet::Connect(_)) {
            decoder.set_version(version);
        }
        let frame = decoder.decode(&bytes, &Limits::default());
        matches!(frame, Ok((_, Some(frame))) if frame.packet == *packet)
    });
    assert!(again, "written and not read again: {packet:?}");
}
