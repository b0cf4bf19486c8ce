//! Rights that a client brought with it, in its token: an access list of its own, in place of that of
//! the listener. Kept as the text that it came as, so that saved state holds it.

use super::{AccessList, parse};
use crate::state::{RestoreError, Sink, Source, State};
use std::sync::Arc;

/// How decisions name the place of such a rule.
const PLACE: &str = "token";

/// The rights of one client.
#[derive(Clone, Debug)]
pub(crate) struct Claims {
    text: Arc<str>,
    pub(crate) list: Arc<AccessList>,
}

impl Claims {
    /// Reads lines of an access list; what is no line gives no right.
    pub(crate) fn new(text: &Arc<str>) -> Self {
        let list = Arc::new(parse(PLACE, text.as_bytes()).list);
        Self { text: Arc::clone(text), list }
    }

    /// The lines it was made of.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn footprint(&self) -> u64 {
        64 + 2 * self.text.len() as u64
    }
}

impl State for Claims {
    fn save(&self, to: &mut dyn Sink) {
        self.text.save(to);
    }

    fn load(from: &mut Source<'_>) -> Result<Self, RestoreError> {
        Ok(Self::new(&State::load(from)?))
    }
}
