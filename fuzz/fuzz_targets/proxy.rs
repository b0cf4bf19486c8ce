//! The PROXY header parser over arbitrary bytes: no panic, a bounded wait, and the same answer
//! however much has come behind the header.

#![no_main]

use halyard_core::proxy::{V2_BYTES_MAX, Version, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for version in [Version::V1, Version::V2] {
        match parse(version, bytes) {
            Ok(None) => assert!(bytes.len() < V2_BYTES_MAX),
            Ok(Some((len, header))) => {
                assert_eq!(parse(version, &bytes[..len]), Ok(Some((len, header))));
                assert_eq!(parse(version, &bytes[..len - 1]), Ok(None));
            }
            Err(_) => {}
        }
    }
});
