//! The data representations of §1.5: Variable Byte Integers and UTF-8 Encoded Strings. Pure
//! functions over slices; they never allocate.

/// The largest Variable Byte Integer (§1.5.5).
pub const VARINT_MAX: u32 = 268_435_455;

/// A Variable Byte Integer read from the start of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Varint {
    /// The value.
    pub value: u32,
    /// The bytes it took, 1 to 4.
    pub len: u8,
}

impl Varint {
    /// Whether it took no more bytes than it needs [MQTT-1.5.5-1].
    #[inline]
    pub const fn is_minimal(self) -> bool {
        self.len as u32 == varint_len(self.value)
    }
}

/// Why no Variable Byte Integer could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VarintError {
    /// The slice ends before the integer does.
    Incomplete,
    /// The fourth byte announces a fifth.
    TooLong,
}

/// The bytes that `value` takes as a Variable Byte Integer.
#[inline]
pub const fn varint_len(value: u32) -> u32 {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

/// Writes `value` (at most [`VARINT_MAX`]) in its shortest form; returns the bytes and how many of
/// them count.
#[inline]
pub const fn varint_bytes(value: u32) -> ([u8; 4], usize) {
    debug_assert!(value <= VARINT_MAX, "a Variable Byte Integer is at most 268,435,455");
    let value = if value > VARINT_MAX { VARINT_MAX } else { value };
    let len = varint_len(value) as usize;
    let mut bytes = [
        value as u8 | 0x80,
        (value >> 7) as u8 | 0x80,
        (value >> 14) as u8 | 0x80,
        (value >> 21) as u8 | 0x80,
    ];
    bytes[len - 1] &= 0x7F;
    (bytes, len)
}

/// Appends `value` (at most [`VARINT_MAX`]) in its shortest form.
#[inline]
pub fn encode_varint(value: u32, out: &mut Vec<u8>) {
    if value < 0x80 {
        return out.push(value as u8);
    }
    let (bytes, len) = varint_bytes(value);
    out.extend_from_slice(&bytes[..len]);
}

/// Reads a Variable Byte Integer from the start of `bytes`. A form longer than needed is accepted
/// here; see [`Varint::is_minimal`].
#[inline]
pub const fn decode_varint(bytes: &[u8]) -> Result<Varint, VarintError> {
    let mut value = 0;
    let mut index = 0;
    while index < 4 {
        if index == bytes.len() {
            return Err(VarintError::Incomplete);
        }
        let byte = bytes[index];
        value |= ((byte & 0x7F) as u32) << (7 * index);
        index += 1;
        if byte & 0x80 == 0 {
            return Ok(Varint { value, len: index as u8 });
        }
    }
    Err(VarintError::TooLong)
}

/// What is wrong with the bytes of a UTF-8 Encoded String; each with the offset of the byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringError {
    /// Not well-formed UTF-8 (surrogates and overlong forms included) [MQTT-1.5.4-1].
    NotUtf8(u32),
    /// U+0000 [MQTT-1.5.4-2].
    Nul(u32),
}

/// The text of a UTF-8 Encoded String. A byte order mark is text like any other [MQTT-1.5.4-3].
#[inline]
pub fn decode_str(bytes: &[u8]) -> Result<&str, StringError> {
    match core::str::from_utf8(bytes) {
        Ok(text) if !bytes.contains(&0) => Ok(text),
        _ => Err(string_error(bytes)),
    }
}

/// Whether no byte is U+0000 or a wildcard, which no Topic Name may hold: eight bytes at a time,
/// the last eight of a longer name perhaps twice.
#[inline]
pub(crate) fn is_plain_topic(bytes: &[u8]) -> bool {
    let (words, tail) = bytes.as_chunks::<8>();
    if !words.iter().all(|word| is_plain_word(*word)) {
        return false;
    }
    match bytes.last_chunk::<8>() {
        Some(last) => tail.is_empty() || is_plain_word(*last),
        None => tail.iter().all(|byte| !matches!(byte, 0 | b'#' | b'+')),
    }
}

#[inline]
const fn is_plain_word(word: [u8; 8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = ONES << 7;
    // '#' and '+' differ in one bit, which is masked out: a byte is 0 where it was one of them.
    const BIT: u64 = ONES * (b'#' ^ b'+') as u64;
    let word = u64::from_ne_bytes(word);
    let wild = (word & !BIT) ^ (ONES * (b'#' & b'+') as u64);
    let zeros = word.wrapping_sub(ONES) & !word | wild.wrapping_sub(ONES) & !wild;
    zeros & TOPS == 0
}

/// `text`, cut at a character so that it fits a two-byte length. What was decoded always fits.
#[inline]
pub fn clip_str(text: &str) -> &str {
    if text.len() <= usize::from(u16::MAX) { text } else { clip_long_str(text) }
}

/// `bytes`, cut to fit a two-byte length.
#[inline]
pub fn clip_bytes(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(usize::from(u16::MAX))]
}

#[cold]
fn clip_long_str(text: &str) -> &str {
    let mut end = usize::from(u16::MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The first fault by offset, so that the answer does not depend on the order of the checks.
#[cold]
fn string_error(bytes: &[u8]) -> StringError {
    let valid = match core::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(error) => error.valid_up_to(),
    };
    match bytes[..valid].iter().position(|byte| *byte == 0) {
        Some(at) => StringError::Nul(at as u32),
        None => StringError::NotUtf8(valid as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_topics_are_told_from_others_at_every_place() {
        for len in 0..40 {
            for at in 0..len {
                for byte in 0..=u8::MAX {
                    let mut topic = vec![b'a'; len];
                    topic[at] = byte;
                    let plain = !matches!(byte, 0 | b'#' | b'+');
                    assert_eq!(is_plain_topic(&topic), plain, "{byte:#x} at {at} of {len}");
                }
            }
            assert!(is_plain_topic(&vec![b'/'; len]));
        }
    }
}
