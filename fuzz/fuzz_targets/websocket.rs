//! The WebSocket frame decoder over arbitrary bytes: no panic, and the same bytes, events and
//! refusal for every slicing.

#![no_main]

use halyard_core::websocket::{Event, FrameDecoder, WsError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&cut, bytes)) = input.split_first() else { return };
    let whole = feed([bytes]);
    assert_eq!(feed(bytes.chunks(usize::from(cut).max(1))), whole);
    assert_eq!(feed(bytes.chunks(1)), whole);
});

/// Data, then a description of each control event with the data before it.
fn feed<'a>(
    slices: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<u8>, Vec<(usize, String)>, Option<WsError>) {
    let mut decoder = FrameDecoder::new();
    let (mut data, mut controls) = (Vec::new(), Vec::new());
    for slice in slices {
        let mut bytes = slice.to_vec();
        let mut rest = &mut bytes[..];
        loop {
            let len = rest.len();
            let (consumed, event) = match decoder.decode(rest, 10_000) {
                Ok(found) => found,
                Err(error) => return (data, controls, Some(error)),
            };
            match event {
                Event::NeedMore => {
                    assert_eq!(consumed, len);
                    break;
                }
                Event::Data(bytes) => data.extend_from_slice(bytes),
                event => controls.push((data.len(), format!("{event:?}"))),
            }
            rest = &mut rest[consumed..];
        }
    }
    (data, controls, None)
}
