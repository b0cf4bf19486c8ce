//! The standard's names of reason codes (MQTT 5.0 §2.4), so that a page need not keep a table.

use halyard_core::packet::ReasonCode;
use wasm_bindgen::prelude::wasm_bindgen;

/// The name of a reason code; `undefined` if the standard knows none of this value.
#[wasm_bindgen(js_name = reasonName)]
pub fn reason_name(code: u8) -> Option<String> {
    ReasonCode::from_u8(code).map(|reason| reason.name().to_owned())
}
