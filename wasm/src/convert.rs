//! JavaScript's values into those of core, and back: times, options, errors. Every refusal names
//! the option, what it was and what it may be. Never keeps anything.

use halyard_core::client::{Backoff, CleanStart, Options, WillMessage};
use halyard_core::conf::BrokerConfig;
use halyard_core::packet::{QoS, Version};
use halyard_core::time::{Instant, WallClock};
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsError, JsValue};

/// Microseconds, as JavaScript counts them. What is no time is the start.
pub(crate) fn instant(micros: f64) -> Instant {
    Instant(whole(micros))
}

/// Milliseconds since 1970.
pub(crate) fn wall(millis: f64) -> WallClock {
    WallClock(whole(millis))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
const fn whole(number: f64) -> u64 {
    number as u64
}

/// A number for JavaScript; exact below 2^53, which in microseconds is 285 years.
#[expect(clippy::cast_precision_loss, reason = "times and counters stay below 2^53")]
pub(crate) const fn number(value: u64) -> f64 {
    value as f64
}

/// A QoS level.
pub(crate) fn qos(level: u8) -> Result<QoS, JsError> {
    QoS::from_bits(level)
        .ok_or_else(|| JsError::new(&format!("QoS is {level}; it may be 0, 1 or 2")))
}

/// The options of a broker.
pub(crate) fn broker_config(options: &JsValue) -> Result<BrokerConfig, JsError> {
    let from = From { options };
    // Stock clients in a page (MQTT.js) do not keep to a Receive Maximum; what they send at once is
    // their own memory, so it is no reason to throw them out.
    let mut config = BrokerConfig {
        sys_interval_secs: 0,
        receive_maximum_enforced: false,
        ..BrokerConfig::default()
    };
    from.set("sysInterval", u32::MAX, &mut config.sys_interval_secs)?;
    from.set("maxPacketSize", u32::MAX, &mut config.max_packet_size)?;
    from.set("maxInflightMessages", u16::MAX, &mut config.max_inflight_messages)?;
    from.set("maxQueuedMessages", u32::MAX, &mut config.max_queued_messages)?;
    if let Some(available) = from.flag("retainAvailable")? {
        config.retain_available = available;
    }
    if let Some(enforced) = from.flag("receiveMaximumEnforced")? {
        config.receive_maximum_enforced = enforced;
    }
    Ok(config)
}

/// The options of a client.
pub(crate) fn client_options(options: &JsValue) -> Result<Options, JsError> {
    let from = From { options };
    let mut level = 5_u8;
    from.set("version", 5, &mut level)?;
    let version = Version::from_level(level).ok_or_else(|| {
        JsError::new(&format!("version is {level}; it may be 3 (3.1), 4 (3.1.1) or 5 (5.0)"))
    })?;
    let mut made = Options::new(version, &from.text("clientId")?.unwrap_or_default());
    from.set("keepAlive", u16::MAX, &mut made.keep_alive)?;
    if let Some(clean) = from.flag("cleanStart")? {
        made.clean_start = if clean { CleanStart::Always } else { CleanStart::Never };
    }
    made.session_expiry_interval = from.number("sessionExpiryInterval", u32::MAX)?;
    made.receive_maximum = from.number("receiveMaximum", u16::MAX)?.filter(|value| *value > 0);
    made.username = from.text("username")?;
    made.password = from.bytes("password")?;
    from.set("connectTimeout", u32::MAX, &mut made.connect_timeout_ms)?;
    if let Some(min_ms) = from.number::<u32>("reconnectPeriod", u32::MAX)?.filter(|ms| *ms > 0) {
        made.reconnect = Some(Backoff { min_ms, ..Backoff::default() });
    }
    made.will = will(&from.get("will")?)?;
    Ok(made)
}

fn will(options: &JsValue) -> Result<Option<WillMessage>, JsError> {
    if options.is_undefined() || options.is_null() {
        return Ok(None);
    }
    let from = From { options };
    let mut level = 0_u8;
    from.set("qos", u8::MAX, &mut level)?;
    let topic = from.text("topic")?;
    Ok(Some(WillMessage {
        topic: topic.ok_or_else(|| JsError::new("will has no topic; it must name one"))?,
        payload: from.bytes("payload")?.unwrap_or_default(),
        qos: qos(level)?,
        retain: from.flag("retain")?.unwrap_or(false),
        delay_interval: from.number("delayInterval", u32::MAX)?,
        ..WillMessage::default()
    }))
}

/// An object with options; what is absent, `undefined` or `null` keeps its default.
struct From<'a> {
    options: &'a JsValue,
}

impl From<'_> {
    fn get(&self, name: &str) -> Result<JsValue, JsError> {
        if self.options.is_undefined() || self.options.is_null() {
            return Ok(JsValue::UNDEFINED);
        }
        Reflect::get(self.options, &JsValue::from_str(name))
            .map_err(|_| JsError::new(&format!("options must be an object with {name}")))
    }

    fn present(&self, name: &str) -> Result<Option<JsValue>, JsError> {
        let value = self.get(name)?;
        Ok((!value.is_undefined() && !value.is_null()).then_some(value))
    }

    fn text(&self, name: &str) -> Result<Option<String>, JsError> {
        let Some(value) = self.present(name)? else { return Ok(None) };
        value.as_string().map(Some).ok_or_else(|| JsError::new(&format!("{name} must be a string")))
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, JsError> {
        let Some(value) = self.present(name)? else { return Ok(None) };
        let refuse = || JsError::new(&format!("{name} must be true or false"));
        value.as_bool().map(Some).ok_or_else(refuse)
    }

    fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, JsError> {
        let Some(value) = self.present(name)? else { return Ok(None) };
        if let Some(text) = value.as_string() {
            return Ok(Some(text.into_bytes()));
        }
        let refuse = |_| JsError::new(&format!("{name} must be a string or a Uint8Array"));
        value.dyn_into::<Uint8Array>().map(|bytes| Some(bytes.to_vec())).map_err(refuse)
    }

    fn number<T: TryFrom<u64> + Into<u64> + Copy>(
        &self,
        name: &str,
        most: T,
    ) -> Result<Option<T>, JsError> {
        let Some(value) = self.present(name)? else { return Ok(None) };
        let limit: u64 = most.into();
        let refuse = || JsError::new(&format!("{name} must be a whole number from 0 to {limit}"));
        let given = value.as_f64().filter(|given| given.fract() == 0.0 && *given >= 0.0);
        let given = given.map(whole).filter(|given| *given <= limit).ok_or_else(refuse)?;
        T::try_from(given).map(Some).map_err(|_| refuse())
    }

    fn set<T: TryFrom<u64> + Into<u64> + Copy>(
        &self,
        name: &str,
        most: T,
        to: &mut T,
    ) -> Result<(), JsError> {
        if let Some(value) = self.number(name, most)? {
            *to = value;
        }
        Ok(())
    }
}
