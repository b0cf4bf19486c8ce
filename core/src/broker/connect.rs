//! CONNECT (MQTT 5.0 §3.1, §4.1): whether a client is let in, which Session it gets, and what
//! CONNACK tells it. Never reads credentials beyond deciding; never keeps a password.

use super::{Broker, Outlet, TimerKey};
use crate::access::Claims;
use crate::auth::Grant;
use crate::codec;
use crate::conf::ListenerConfig;
use crate::engine::{CloseReason, ConnectionId, Event, Peer, SessionEnd};
use crate::message::Message;
use crate::packet::{
    Connack, ConnackProperties, Connect, Disconnect, Packet, QoS, ReasonCode, Version, Will,
};
use crate::session::{Attached, NEVER, PendingWill, Session, SessionKey};
use crate::time::Instant;
use crate::topic;
use std::fmt::Write as _;
use std::sync::Arc;

/// The connection that a CONNECT came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Applicant<'a> {
    pub(crate) slot: u32,
    pub(crate) conn: ConnectionId,
    pub(crate) peer: &'a Peer,
    pub(crate) listener: u16,
    /// Who it is.
    pub(crate) grant: &'a Grant,
    /// Authentication Data for CONNACK; empty = none.
    pub(crate) data: &'a [u8],
}

/// A CONNECT that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    pub(crate) session: SessionKey,
    pub(crate) client_id: Arc<str>,
    /// Effective Keep Alive, seconds; 0 = off.
    pub(crate) keep_alive: u16,
}

/// A CONNECT that was not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: ReasonCode,
    pub(crate) detail: &'static str,
}

impl Refusal {
    pub(super) const fn new(code: ReasonCode, detail: &'static str) -> Self {
        Self { code, detail }
    }
}

/// The Client Identifier that holds for a connection.
struct Identity {
    client_id: Arc<str>,
    assigned: bool,
}

impl Broker {
    /// Lets a client in, with CONNACK, or says why not; then the caller answers and closes.
    pub(crate) fn connect(
        &mut self,
        now: Instant,
        applicant: Applicant<'_>,
        connect: &Connect<'_>,
        outlet: &mut impl Outlet,
    ) -> Result<Accepted, Refusal> {
        let config = Arc::clone(&self.config);
        let Some(listener) = config.listeners.get(usize::from(applicant.listener)) else {
            return Err(Refusal::new(ReasonCode::ServerUnavailable, "the listener is gone"));
        };
        let keep_alive = self.keep_alive(connect)?;
        self.check_will(listener, connect)?;
        let username = applicant.grant.username.as_ref();
        let identity = self.identify(listener, connect, username.map(|name| &**name))?;
        let expiry = self.expiry_interval(connect);
        let username = username.map(|name| &**name);
        self.catch_up(now, &identity.client_id, outlet);
        let owner = username.filter(|_| applicant.grant.credential.is_proof());
        self.check_owner(&identity.client_id, owner)?;
        let assigned = identity.assigned.then_some(&*identity.client_id);
        let mut connack = self.connack(listener, connect, assigned, keep_alive, expiry);
        connack.properties.authentication_method = connect.properties.authentication_method;
        connack.properties.authentication_data =
            Some(applicant.data).filter(|data| !data.is_empty());
        check_answer(connect, &connack)?;
        self.check_session_limits(now, &identity.client_id, username)?;
        self.check_store(&identity.client_id, connect, expiry)?;

        let present = self.claim(now, &identity, connect.clean_start, outlet);
        let resumed = present.is_some();
        let key = match present {
            Some(key) => key,
            None => self.create(&identity.client_id, connect.version)?,
        };
        let user_before = self.session(key).and_then(|session| session.username.clone());
        self.attach(now, key, applicant, connect, expiry);
        self.user_changed(user_before.as_deref(), key);

        let will = connect.will.as_ref();
        let will = will.map_or(0, |will| will.topic.len() + will.payload.len());
        self.memory.connected((identity.client_id.len() + will) as u64);
        self.stats.connects_accepted += 1;
        self.stats.clients_connected += 1;
        self.stats.clients_maximum = self.stats.clients_maximum.max(self.stats.clients_connected);
        // Session Present does not exist in 3.1.
        connack.session_present = resumed && connect.version != Version::V3;
        // All that was done so far, lest a Session that another connection ended comes back.
        if self.durable.last() > self.durable.durable() {
            outlet.withhold(applicant.slot, self.durable.last());
        }
        outlet.send(applicant.slot, &Packet::Connack(connack));
        outlet.event(&Event::Connected {
            conn: applicant.conn,
            peer: applicant.peer,
            client_id: &identity.client_id,
            username,
            version: connect.version,
            clean_start: connect.clean_start,
            keep_alive,
            session_present: resumed,
        });
        self.note_will(key, outlet);
        self.announce_groups_of(key, outlet);
        self.pump(now, key, outlet);
        Ok(Accepted { session: key, client_id: identity.client_id, keep_alive })
    }

    /// The Keep Alive that holds: `max_keepalive` bounds it, by Server Keep Alive in 5.0 and by
    /// refusal in 3.x, which has no word for it.
    fn keep_alive(&self, connect: &Connect<'_>) -> Result<u16, Refusal> {
        let max = self.config.broker.max_keepalive;
        if max == 0 || (connect.keep_alive != 0 && connect.keep_alive <= max) {
            return Ok(connect.keep_alive);
        }
        if connect.version.is_v5() {
            return Ok(max);
        }
        Err(Refusal::new(
            ReasonCode::ClientIdentifierNotValid,
            "Keep Alive is over max_keepalive, which 3.x cannot be told",
        ))
    }

    fn check_will(&self, listener: &ListenerConfig, connect: &Connect<'_>) -> Result<(), Refusal> {
        let Some(will) = &connect.will else { return Ok(()) };
        if will.qos.bits() > listener.max_qos {
            let detail = "Will QoS is over the Maximum QoS [MQTT-3.2.2-12]";
            return Err(Refusal::new(ReasonCode::QoSNotSupported, detail));
        }
        if will.retain && !self.config.broker.retain_available {
            let detail = "Will Retain where retained messages are off [MQTT-3.2.2-13]";
            return Err(Refusal::new(ReasonCode::RetainNotSupported, detail));
        }
        if topic::validate_name(will.topic, &self.topic_limits()).is_err() {
            let detail = "the Will Topic is no valid Topic Name [MQTT-3.1.3-11]";
            return Err(Refusal::new(ReasonCode::TopicNameInvalid, detail));
        }
        if super::publish::is_reserved(will.topic) {
            let detail = "a will may not be published to $SYS or $CONTROL";
            return Err(Refusal::new(ReasonCode::NotAuthorized, detail));
        }
        let response = will.properties.response_topic;
        if response.is_some_and(|name| topic::validate_name(name, &self.topic_limits()).is_err()) {
            let detail = "the Response Topic of the will is no valid Topic Name [MQTT-3.3.2-14]";
            return Err(Refusal::new(ReasonCode::ProtocolError, detail));
        }
        Ok(())
    }

    fn identify(
        &mut self,
        listener: &ListenerConfig,
        connect: &Connect<'_>,
        username: Option<&str>,
    ) -> Result<Identity, Refusal> {
        let identity = self.name(listener, connect, username)?;
        let prefix = self.config.broker.clientid_prefixes.as_deref();
        if prefix.is_some_and(|prefix| !identity.client_id.starts_with(prefix)) {
            let detail = "the Client Identifier does not begin as clientid_prefixes asks for";
            return Err(Refusal::new(ReasonCode::NotAuthorized, detail));
        }
        Ok(identity)
    }

    fn name(
        &mut self,
        listener: &ListenerConfig,
        connect: &Connect<'_>,
        username: Option<&str>,
    ) -> Result<Identity, Refusal> {
        let invalid = |detail| Refusal::new(ReasonCode::ClientIdentifierNotValid, detail);
        if listener.use_username_as_clientid {
            let Some(username) = username.filter(|name| !name.is_empty()) else {
                return Err(invalid("use_username_as_clientid is on and no User Name was given"));
            };
            return Ok(Identity { client_id: username.into(), assigned: false });
        }
        if connect.client_id.len() > usize::from(self.config.broker.max_client_id_bytes) {
            return Err(invalid("the Client Identifier is too long [MQTT-3.1.3-8]"));
        }
        if !connect.client_id.is_empty() {
            return Ok(Identity { client_id: connect.client_id.into(), assigned: false });
        }
        if connect.version == Version::V3 {
            return Err(invalid("MQTT 3.1 asks for a Client Identifier of 1 to 23 characters"));
        }
        if !connect.version.is_v5() && !connect.clean_start {
            return Err(invalid("an empty Client Identifier without Clean Session [MQTT-3.1.3-8]"));
        }
        let assigns = self.config.broker.allow_zero_length_clientid;
        if !listener.allow_zero_length_clientid.unwrap_or(assigns) {
            return Err(invalid("an empty Client Identifier (allow_zero_length_clientid false)"));
        }
        let prefix = listener.auto_id_prefix.as_ref().unwrap_or(&self.config.broker.auto_id_prefix);
        Ok(Identity { client_id: self.assign_client_id(&prefix.clone()), assigned: true })
    }

    /// A Client Identifier that nobody has [MQTT-3.1.3-6], with this shard as its owner.
    fn assign_client_id(&mut self, prefix: &str) -> Arc<str> {
        loop {
            let (high, low) = (self.rng.next_u64(), self.rng.next_u64());
            let mut name = String::from(prefix);
            // The version and variant bits of a random UUID (RFC 9562 §5.4).
            let _ = write!(
                name,
                "{:08X}-{:04X}-4{:03X}-{:04X}-{:012X}",
                high >> 32,
                high >> 16 & 0xFFFF,
                high & 0x0FFF,
                0x8000 | low >> 48 & 0x3FFF,
                low & 0xFFFF_FFFF_FFFF,
            );
            if self.config.owns(&name) && !self.by_client_id.contains_key(&*name) {
                return name.into();
            }
        }
    }

    /// Session Expiry Interval that holds, seconds. 3.x: 0 with Clean Session, else never, or
    /// `persistent_client_expiration`, which bounds 5.0 too.
    fn expiry_interval(&self, connect: &Connect<'_>) -> u32 {
        let asked = if connect.version.is_v5() {
            connect.properties.session_expiry_interval.unwrap_or(0)
        } else if connect.clean_start {
            0
        } else {
            NEVER
        };
        let bound = self.config.broker.persistent_client_expiration_secs;
        bound.map_or(asked, |secs| asked.min(u32::try_from(secs).unwrap_or(NEVER)))
    }

    /// A Session belongs to the user that made it, unless `clientid_owner none`; one that was made
    /// by nobody in particular is anybody's.
    fn check_owner(&self, client_id: &str, owner: Option<&str>) -> Result<(), Refusal> {
        if !self.config.broker.sessions_have_owners {
            return Ok(());
        }
        let before = self.by_client_id.get(client_id).and_then(|key| self.session(*key));
        let before = before.filter(|session| session.is_owned);
        let before = before.and_then(|session| session.username.as_deref());
        if before.is_none() || before == owner {
            return Ok(());
        }
        let detail = "the session belongs to another user (clientid_owner)";
        Err(Refusal::new(ReasonCode::NotAuthorized, detail))
    }

    /// Takes over what is there under this Client Identifier [MQTT-3.1.4-3], [MQTT-3.1.2-4]:
    /// gives the Session to resume, if there is one and it is wanted.
    fn claim(
        &mut self,
        now: Instant,
        identity: &Identity,
        clean_start: bool,
        outlet: &mut impl Outlet,
    ) -> Option<SessionKey> {
        let key = *self.by_client_id.get(&*identity.client_id)?;
        if let Some(slot) = self.connection_of(key) {
            self.stats.takeovers += 1;
            if self.session(key)?.version.is_v5() {
                let code = ReasonCode::SessionTakenOver;
                let wanted = self.wants_reasons(key);
                let text = CloseReason::TakenOver.for_client(code).filter(|_| wanted);
                let packet = Disconnect { reason_string: text.as_deref(), ..Disconnect::new(code) };
                outlet.send(slot, &Packet::Disconnect(packet));
            }
            if let Some(at) = outlet.timer_of(slot) {
                self.timers.disarm(at, TimerKey::Connection(slot));
            }
            outlet.close(slot, CloseReason::TakenOver);
            self.stats.connections_open -= 1;
            self.detach(now, key, super::Ending::Lost, outlet);
        }
        // Clean Session 0 of a client whose Session ended with its connection finds nothing.
        if !clean_start && self.session(key).is_some() {
            return Some(key);
        }
        if self.session(key).is_some() {
            self.end_session(now, key, SessionEnd::CleanStart, outlet);
        }
        None
    }

    fn create(&mut self, client_id: &Arc<str>, version: Version) -> Result<SessionKey, Refusal> {
        let max = self.config.broker.max_clients;
        if max.is_some_and(|max| self.sessions.len() >= max as usize) {
            let detail = "as many sessions as global_max_clients allows";
            return Err(Refusal::new(ReasonCode::QuotaExceeded, detail));
        }
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let slot = self.sessions.insert(Session::new(generation, Arc::clone(client_id), version));
        let key = SessionKey { slot, generation };
        self.by_client_id.insert(Arc::clone(client_id), key);
        self.stats.clients_total += 1;
        Ok(key)
    }

    fn attach(
        &mut self,
        now: Instant,
        key: SessionKey,
        applicant: Applicant<'_>,
        connect: &Connect<'_>,
        expiry: u32,
    ) {
        self.disarm_session(key);
        let own = match self.config.broker.max_inflight_messages {
            0 => u16::MAX,
            max => max,
        };
        let listener = self.config.listeners.get(usize::from(applicant.listener));
        let listener_name = listener.map_or_else(|| "".into(), |one| Arc::clone(&one.name));
        let mount = listener.and_then(|listener| listener.mount_point.as_deref());
        let mount: Option<Arc<str>> = mount.map(Into::into);
        let will = connect.will.as_ref().map(|will| {
            Box::new(PendingWill {
                message: will_message(mount.as_deref(), will, now),
                delay_secs: will.properties.delay_interval.unwrap_or(0),
            })
        });
        let Some(session) = self.sessions.get_mut(key.slot) else { return };
        session.version = connect.version;
        session.listener = applicant.listener;
        session.listener_name = listener_name;
        session.username = applicant.grant.username.as_deref().map(Into::into);
        session.is_owned = session.username.is_some() && applicant.grant.credential.is_proof();
        session.mount = mount;
        Self::forget_access(session);
        session.claims = applicant.grant.rights.as_ref().map(Claims::new);
        self.access_on |= session.claims.is_some();
        session.expiry_interval = expiry;
        session.will = will;
        session.incoming.reconnect();
        session.outgoing.reconnect();
        session.attached = Some(Attached {
            slot: applicant.slot,
            maximum_packet_size: connect.properties.maximum_packet_size.unwrap_or(u32::MAX),
            receive_maximum: connect.properties.receive_maximum.unwrap_or(u16::MAX).min(own),
            problem_information: connect.properties.request_problem_information,
        });
        if let Some(session) = self.sessions.get_mut(key.slot) {
            self.durable.attached(session);
        }
    }

    fn connack<'a>(
        &self,
        listener: &ListenerConfig,
        connect: &Connect<'_>,
        assigned: Option<&'a str>,
        keep_alive: u16,
        expiry: u32,
    ) -> Connack<'a> {
        let broker = &self.config.broker;
        let mut properties = ConnackProperties::default();
        if connect.version.is_v5() {
            let asked = connect.properties.session_expiry_interval.unwrap_or(0);
            properties = ConnackProperties {
                session_expiry_interval: (expiry != asked).then_some(expiry),
                receive_maximum: match broker.max_inflight_messages {
                    0 | u16::MAX => None,
                    max => Some(max),
                },
                maximum_qos: QoS::from_bits(listener.max_qos)
                    .filter(|qos| *qos != QoS::ExactlyOnce),
                retain_available: (!broker.retain_available).then_some(false),
                maximum_packet_size: (broker.max_packet_size > 0).then_some(broker.max_packet_size),
                assigned_client_identifier: assigned,
                topic_alias_maximum: (listener.max_topic_alias > 0)
                    .then_some(listener.max_topic_alias),
                server_keep_alive: (keep_alive != connect.keep_alive).then_some(keep_alive),
                ..ConnackProperties::default()
            };
        }
        Connack { session_present: false, reason: ReasonCode::Success, properties }
    }
}

/// A client whose Maximum Packet Size has no room for its CONNACK is not let in: it could be sent
/// nothing before CONNACK [MQTT-3.2.0-1], and no CONNACK [MQTT-3.1.2-24].
fn check_answer(connect: &Connect<'_>, connack: &Connack<'_>) -> Result<(), Refusal> {
    let Some(limit) = connect.properties.maximum_packet_size else { return Ok(()) };
    // Session Present is a bit: it does not change the length.
    if codec::encoded_len(&Packet::Connack(connack.clone()), connect.version) <= limit {
        return Ok(());
    }
    let detail = "CONNACK is over the client's Maximum Packet Size [MQTT-3.1.2-24]";
    Err(Refusal::new(ReasonCode::PacketTooLarge, detail))
}

fn will_message(mount: Option<&str>, will: &Will<'_>, now: Instant) -> Message {
    match mount {
        None => Message::of_will(0, will.topic, will, now),
        Some(mount) => Message::of_will(0, &[mount, will.topic].concat(), will, now),
    }
}
