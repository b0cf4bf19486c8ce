//! What a CONNECT needs before it is let in (MQTT 5.0 §4.12, §5.4.1): nothing, or an answer to the
//! question who it is. Asks; never verifies, and never looks at a password.

use super::connect::Refusal;
use crate::auth::{Authority, Credential, Grant, Question, Secret};
use crate::conf::ListenerConfig;
use crate::packet::{Connect, ReasonCode, Version};
use std::sync::Arc;

/// What stands between a CONNECT and its Session.
#[derive(Debug)]
pub(crate) enum Door {
    /// Nothing: this is who it is.
    Open(Grant),
    /// This question, to be answered by this.
    Ask(Question, Arc<Authority>),
}

impl Door {
    /// What `connect` needs on this listener, its transport having proved `identity`.
    pub(crate) fn of(
        listener: &ListenerConfig,
        connect: &Connect<'_>,
        identity: Option<&Arc<str>>,
    ) -> Result<Self, Refusal> {
        let spoken = match connect.version {
            Version::V3 => listener.accept_v31,
            Version::V4 => listener.accept_v311,
            Version::V5 => listener.accept_v5,
        };
        if !spoken {
            return Err(Refusal::new(
                ReasonCode::UnsupportedProtocolVersion,
                "the listener does not accept this version (accept_protocol_versions)",
            ));
        }
        if let Some(method) = connect.properties.authentication_method {
            let offer = listener.authority.as_ref().filter(|authority| authority.offers(method));
            let Some(authority) = offer else {
                return Err(Refusal::new(
                    ReasonCode::BadAuthenticationMethod,
                    "the Authentication Method is not configured [MQTT-4.12.0-1]",
                ));
            };
            let data = connect.properties.authentication_data.unwrap_or_default();
            let question = Question::Begin { method: method.into(), data: data.into() };
            return Ok(Self::Ask(question, Arc::clone(authority)));
        }
        if let Some(identity) = identity {
            if identity.is_empty() {
                return Err(Refusal::new(
                    ReasonCode::NotAuthorized,
                    "not authorised: no certificate says who the client is \
                     (use_identity_as_username, use_subject_as_username)",
                ));
            }
            return Ok(open(Some(identity), Credential::Identity));
        }
        let says_who = connect.username.is_some() || connect.password.is_some();
        if let Some(authority) = listener.authority.as_ref().filter(|_| says_who) {
            let question = Question::Password(connect.password.map(Secret::new));
            return Ok(Self::Ask(question, Arc::clone(authority)));
        }
        if !listener.allow_anonymous {
            return Err(Refusal::new(
                ReasonCode::NotAuthorized,
                "not authorised: the client does not say who it is, and allow_anonymous is false",
            ));
        }
        let username: Option<Arc<str>> = connect.username.map(Into::into);
        Ok(open(username.as_ref(), Credential::None))
    }
}

fn open(username: Option<&Arc<str>>, credential: Credential) -> Door {
    Door::Open(Grant { username: username.cloned(), credential, expires: None, rights: None })
}
