//! Masking of a client's payload (RFC 6455 §5.3), in place, eight bytes at a time.

/// Applies `key` to `bytes` and turns the key for the bytes that follow them.
#[inline]
pub(super) fn unmask(bytes: &mut [u8], key: &mut [u8; 4]) {
    let [a, b, c, d] = *key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip([a, b, c, d].iter().cycle()) {
        *byte ^= key;
    }
    key.rotate_left(tail.len() % 4);
}
