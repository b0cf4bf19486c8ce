//! `-D command identifier value`: MQTT 5.0 properties by name (§2.2.2.2), as mosquitto_pub and
//! mosquitto_sub take them. Only names, types and where each may stand; never sends anything.

use halyard_core::auth::SCRAM_SHA_256;
use halyard_core::client::{Options, WillMessage};
use halyard_core::packet::{PublishProperties, UserPropertiesBuf};
use std::num::NonZeroU16;

/// A packet that properties can be given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Auth,
    Connect,
    Disconnect,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Subscribe,
    Unsubscribe,
    Will,
}

use Command as C;

const COMMANDS: [(&str, Command); 11] = [
    ("auth", C::Auth),
    ("connect", C::Connect),
    ("disconnect", C::Disconnect),
    ("puback", C::Puback),
    ("pubcomp", C::Pubcomp),
    ("publish", C::Publish),
    ("pubrec", C::Pubrec),
    ("pubrel", C::Pubrel),
    ("subscribe", C::Subscribe),
    ("unsubscribe", C::Unsubscribe),
    ("will", C::Will),
];

impl Command {
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        let found = COMMANDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let error = || "Invalid command given in --property argument.".to_owned();
        found.map(|(_, command)| *command).ok_or_else(error)
    }

    fn name(self) -> &'static str {
        COMMANDS.iter().find(|(_, command)| *command == self).map_or("", |(name, _)| name)
    }
}

/// A property's type, with its greatest value where it is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Number(u32),
    Text,
    Pair,
}

const BYTE: Type = Type::Number(255);
const TWO_BYTES: Type = Type::Number(65_535);
const FOUR_BYTES: Type = Type::Number(u32::MAX);

/// Name, type, packets it may stand in.
const PROPERTIES: &[(&str, Type, &[Command])] = &[
    ("assigned-client-identifier", Type::Text, &[]),
    ("authentication-data", Type::Text, &[C::Connect, C::Auth]),
    ("authentication-method", Type::Text, &[C::Connect, C::Auth]),
    ("content-type", Type::Text, &[C::Publish, C::Will]),
    ("correlation-data", Type::Text, &[C::Publish, C::Will]),
    ("maximum-packet-size", FOUR_BYTES, &[C::Connect]),
    ("maximum-qos", BYTE, &[]),
    ("message-expiry-interval", FOUR_BYTES, &[C::Publish, C::Will]),
    ("payload-format-indicator", BYTE, &[C::Publish, C::Will]),
    ("reason-string", Type::Text, &[]),
    ("receive-maximum", TWO_BYTES, &[C::Connect]),
    ("request-problem-information", BYTE, &[C::Connect]),
    ("request-response-information", BYTE, &[C::Connect]),
    ("response-information", Type::Text, &[]),
    ("response-topic", Type::Text, &[C::Publish, C::Will]),
    ("retain-available", BYTE, &[]),
    ("server-keep-alive", TWO_BYTES, &[]),
    ("server-reference", Type::Text, &[]),
    ("session-expiry-interval", FOUR_BYTES, &[C::Connect, C::Disconnect]),
    ("shared-subscription-available", BYTE, &[]),
    ("subscription-identifier", Type::Number(268_435_455), &[C::Subscribe]),
    ("subscription-identifier-available", BYTE, &[]),
    ("topic-alias", TWO_BYTES, &[C::Publish]),
    ("topic-alias-maximum", TWO_BYTES, &[C::Connect]),
    (
        "user-property",
        Type::Pair,
        &[C::Connect, C::Disconnect, C::Publish, C::Subscribe, C::Unsubscribe, C::Will],
    ),
    ("wildcard-subscription-available", BYTE, &[]),
    ("will-delay-interval", FOUR_BYTES, &[C::Will]),
];

/// All properties given.
#[derive(Clone, Debug, Default)]
pub(super) struct Properties {
    given: Vec<Given>,
}

#[derive(Clone, Debug)]
struct Given {
    command: Command,
    name: &'static str,
    number: u32,
    text: String,
    second: String,
}

impl Properties {
    /// Takes one property.
    pub(super) fn set(
        &mut self,
        command: Command,
        name: &str,
        value: &str,
        second: Option<&str>,
    ) -> Result<(), String> {
        let Some((name, kind, allowed)) = PROPERTIES.iter().find(|(known, _, _)| *known == name)
        else {
            return Err("Invalid property name given in --property argument.".to_owned());
        };
        if !allowed.contains(&command) {
            let command = command.name();
            return Err(format!(
                "{name} property not allowed for {command} in --property argument."
            ));
        }
        let mut given = Given {
            command,
            name,
            number: 0,
            text: value.to_owned(),
            second: second.unwrap_or_default().to_owned(),
        };
        if let Type::Number(greatest) = kind {
            let error = || format!("Property value ({value}) out of range for property {name}.");
            given.number =
                value.parse().ok().filter(|number| number <= greatest).ok_or_else(error)?;
        }
        if given.text.len() > 65_535 || given.second.len() > 65_535 {
            return Err(format!("Property value too long for property {name}."));
        }
        self.given.push(given);
        Ok(())
    }

    /// Whether values that no packet may carry were given.
    pub(super) fn check(&self) -> Result<(), String> {
        let zero_forbidden = ["maximum-packet-size", "receive-maximum", "subscription-identifier"];
        let flag = ["request-problem-information", "request-response-information"];
        for given in &self.given {
            let wrong = match given.number {
                0 => zero_forbidden.contains(&given.name),
                1 => false,
                _ => flag.contains(&given.name),
            };
            if wrong {
                let command = given.command.name().to_uppercase();
                return Err(format!(
                    "in {command} properties: {} must not be {}.",
                    given.name, given.number
                ));
            }
        }
        Ok(())
    }

    fn number(&self, command: Command, name: &str) -> Option<u32> {
        self.last(command, name).map(|given| given.number)
    }

    fn short(&self, command: Command, name: &str) -> Option<u16> {
        self.number(command, name).and_then(|number| u16::try_from(number).ok())
    }

    fn text(&self, command: Command, name: &str) -> Option<&str> {
        self.last(command, name).map(|given| given.text.as_str())
    }

    fn last(&self, command: Command, name: &str) -> Option<&Given> {
        self.given.iter().rev().find(|one| one.command == command && one.name == name)
    }

    /// User Properties of a packet.
    pub(super) fn user(&self, command: Command) -> UserPropertiesBuf {
        let mut buf = UserPropertiesBuf::new();
        for given in &self.given {
            if given.command == command && given.name == "user-property" {
                buf.push(&given.text, &given.second);
            }
        }
        buf
    }

    /// Whether CONNECT is to name SCRAM-SHA-256 and nothing says how it begins.
    pub(super) fn asks_for_scram(&self) -> bool {
        self.text(C::Connect, "authentication-method") == Some(SCRAM_SHA_256)
            && self.text(C::Connect, "authentication-data").is_none()
    }

    /// Fills in what CONNECT carries.
    pub(super) fn connect(&self, options: &mut Options) {
        let session_expiry = self.number(C::Connect, "session-expiry-interval");
        options.session_expiry_interval = session_expiry.or(options.session_expiry_interval);
        options.receive_maximum = self.short(C::Connect, "receive-maximum");
        options.maximum_packet_size = self.number(C::Connect, "maximum-packet-size");
        options.topic_alias_maximum = self.short(C::Connect, "topic-alias-maximum");
        options.request_response_information =
            self.number(C::Connect, "request-response-information") == Some(1);
        options.request_problem_information =
            self.number(C::Connect, "request-problem-information") != Some(0);
        options.authentication_method =
            self.text(C::Connect, "authentication-method").map(ToOwned::to_owned);
        options.authentication_data =
            self.text(C::Connect, "authentication-data").map(|data| data.as_bytes().to_vec());
        options.user_properties = self.user(C::Connect);
    }

    /// Fills in what the Will carries.
    pub(super) fn will(&self, will: &mut WillMessage) {
        let text = |name| self.text(C::Will, name).map(ToOwned::to_owned);
        will.delay_interval = self.number(C::Will, "will-delay-interval");
        will.payload_format_utf8 =
            self.number(C::Will, "payload-format-indicator").map(|number| number != 0);
        will.message_expiry_interval = self.number(C::Will, "message-expiry-interval");
        will.content_type = text("content-type");
        will.response_topic = text("response-topic");
        will.correlation_data = text("correlation-data").map(String::into_bytes);
        will.user_properties = self.user(C::Will);
    }

    /// What PUBLISH carries; `user` are its User Properties.
    pub(super) fn publish<'a>(&'a self, user: &'a UserPropertiesBuf) -> PublishProperties<'a> {
        PublishProperties {
            payload_format_utf8: self
                .number(C::Publish, "payload-format-indicator")
                .map(|number| number != 0),
            message_expiry_interval: self.number(C::Publish, "message-expiry-interval"),
            topic_alias: self.short(C::Publish, "topic-alias").and_then(NonZeroU16::new),
            response_topic: self.text(C::Publish, "response-topic"),
            correlation_data: self.text(C::Publish, "correlation-data").map(str::as_bytes),
            user_properties: user.as_ref(),
            content_type: self.text(C::Publish, "content-type"),
            ..PublishProperties::default()
        }
    }

    /// Session Expiry Interval for DISCONNECT.
    pub(super) fn disconnect_expiry(&self) -> Option<u32> {
        self.number(C::Disconnect, "session-expiry-interval")
    }

    /// Subscription Identifier for SUBSCRIBE.
    pub(super) fn subscription_identifier(&self) -> Option<u32> {
        self.number(C::Subscribe, "subscription-identifier")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(command: &str, name: &str, value: &str) -> Result<Properties, String> {
        let mut properties = Properties::default();
        properties.set(Command::parse(command)?, name, value, None)?;
        properties.check()?;
        Ok(properties)
    }

    #[test]
    fn a_property_must_fit_its_packet_and_type() {
        assert!(set("CONNECT", "receive-maximum", "65535").is_ok());
        for (command, name, value, expected) in [
            ("connect", "receive-maximum", "65536", "out of range"),
            ("connect", "receive-maximum", "0", "must not be 0"),
            ("connect", "receive-maximum", "x", "out of range"),
            ("connect", "content-type", "x", "not allowed for connect"),
            ("connect", "nonsense", "x", "Invalid property name"),
            ("nonsense", "content-type", "x", "Invalid command"),
            ("connect", "request-problem-information", "2", "must not be 2"),
        ] {
            let error = set(command, name, value).expect_err("refused");
            assert!(error.contains(expected), "{error}");
        }
    }
}
