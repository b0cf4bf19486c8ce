//! How flat records are laid out that cross to JavaScript. All numbers are little-endian. A text
//! is a u16 length and UTF-8, a blob a u32 length and bytes. Each record begins with its kind
//! (u8). `wasm/js/records.js` reads what is written here; the two change together.
//!
//! ```text
//! output of a broker     OUTPUT conn:u32 blob | CLOSE conn:u32 text | PAUSE conn:u32 | RESUME conn:u32
//! events of a client     OPEN | CLOSE_TRANSPORT | CONNECTED session:u8 text(client id) | REFUSED reason:u8 text
//!                        MESSAGE flags:u8 id:u16 text(topic) blob | PUBLISHED token:f64 reason:u8
//!                        DROPPED token:f64 text | SUBSCRIBED id:u16 blob(reasons) | UNSUBSCRIBED id:u16 blob
//!                        DISCONNECTED text | RECONNECT at:f64 | STOPPED
//! trace of a broker      see the module `trace`
//! ```

/// What a broker asks its driver to do.
pub mod output {
    /// Bytes for a connection.
    pub const OUTPUT: u8 = 1;
    /// Close a connection, after what it was sent.
    pub const CLOSE: u8 = 2;
    /// Take nothing more from a connection for now.
    pub const PAUSE: u8 = 3;
    /// Take from it again.
    pub const RESUME: u8 = 4;
}

/// What happened to a client.
#[allow(missing_docs, reason = "the names are those of the events of core's client")]
pub mod client {
    pub const OPEN: u8 = 1;
    pub const CLOSE_TRANSPORT: u8 = 2;
    pub const CONNECTED: u8 = 3;
    pub const REFUSED: u8 = 4;
    pub const MESSAGE: u8 = 5;
    pub const PUBLISHED: u8 = 6;
    pub const DROPPED: u8 = 7;
    pub const SUBSCRIBED: u8 = 8;
    pub const UNSUBSCRIBED: u8 = 9;
    pub const DISCONNECTED: u8 = 10;
    pub const RECONNECT: u8 = 11;
    pub const STOPPED: u8 = 12;
}

/// What an observer saw.
#[allow(missing_docs, reason = "the names are those of the events of core's observer")]
pub mod trace {
    pub const PACKET: u8 = 1;
    pub const OPENED: u8 = 2;
    pub const CONNECTED: u8 = 3;
    pub const CLOSED: u8 = 4;
    pub const SUBSCRIBED: u8 = 5;
    pub const UNSUBSCRIBED: u8 = 6;
    pub const SESSION_ENDED: u8 = 7;
    pub const WILL: u8 = 8;
    pub const DELIVERY: u8 = 9;
    pub const DENIED: u8 = 10;
}

/// Appends to records.
pub(crate) trait Put {
    fn put_u8(&mut self, value: u8);
    fn put_u16(&mut self, value: u16);
    fn put_u32(&mut self, value: u32);
    fn put_f64(&mut self, value: f64);
    /// A text; what is beyond 65,535 bytes is left off at the last whole character.
    fn put_text(&mut self, text: &str);
    fn put_blob(&mut self, bytes: &[u8]);
}

impl Put for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_f64(&mut self, value: f64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_text(&mut self, text: &str) {
        let mut end = text.len().min(usize::from(u16::MAX));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.put_u16(u16::try_from(end).unwrap_or(0));
        self.extend_from_slice(&text.as_bytes()[..end]);
    }

    fn put_blob(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.put_u32(length);
        self.extend_from_slice(&bytes[..length as usize]);
    }
}
