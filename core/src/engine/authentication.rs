//! Authentication (MQTT 5.0 §4.12) as the engine sees it: a CONNECT waits, without its password,
//! until the driver has said who it is; AUTH packets go back and forth; what was proved may end.
//! Verifies nothing, and holds nothing that is secret.

use super::{CloseReason, ConnectionId, Effect, Engine, Observer, Peer};
use crate::auth::{Authority, Denial, Grant, Question, Verdict};
use crate::broker::{Applicant, Door, Next, Violation};
use crate::codec::{self, Decoder, Role};
use crate::connection::{Connection, IncomingAliases, Pending, Phase};
use crate::packet::{Auth, Connect, Packet, ReasonCode, UserProperties, Version};
use crate::time::Instant;
use std::sync::Arc;

/// What a driver is to verify; it answers with `Input::Authenticated`.
#[derive(Clone, Debug)]
pub struct AuthRequest {
    /// The connection.
    pub conn: ConnectionId,
    /// Comes back in the answer: an answer to an older question changes nothing.
    pub request: u32,
    /// Where the client is.
    pub peer: Arc<Peer>,
    /// The Client Identifier as the client sent it, for the log.
    pub client_id: Box<str>,
    /// User Name of CONNECT.
    pub username: Option<Box<str>>,
    /// What to verify.
    pub question: Question,
    /// What the listener knows to verify it by.
    pub authority: Arc<Authority>,
}

const BAD_CREDENTIALS: &str = "the user name or the password is wrong";
const METHOD_CHANGED: &str = "another Authentication Method than in CONNECT [MQTT-4.12.0-5]";
const UNASKED: &str = "an AUTH that nothing asked for (§4.12)";
const PROOF_ENDED: &str = "what the client was let in by has expired";
const REVOKED: &str = "the certificate of the client was revoked (crlfile)";
const UNUPHELD: &str = "what the client was let in by does not hold any more";
const LISTENER_GONE: &str =
    "the listener that the client came in by is in the configuration no more";

impl<O: Observer> Engine<O> {
    /// The first packet: what it needs before it is let in.
    pub(super) fn connect(
        &mut self,
        now: Instant,
        slot: u32,
        connect: &Connect<'_>,
        aliases: &mut IncomingAliases,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let config = Arc::clone(&self.links.config);
        let Some(connection) = self.links.slots.get_mut(slot) else { return false };
        connection.version = connect.version;
        connection.maximum_packet_size = connect.properties.maximum_packet_size.unwrap_or(u32::MAX);
        connection.wants_reasons = connect.properties.request_problem_information;
        let Some(listener) = config.listeners.get(usize::from(connection.listener)) else {
            let detail = "the listener is gone";
            self.refuse(now, slot, ReasonCode::ServerUnavailable, detail, effects);
            return false;
        };
        if connect.version == Version::V5 {
            aliases.allow(listener.max_topic_alias);
            let wanted = connect.properties.topic_alias_maximum.unwrap_or(0);
            connection.aliases_out.allow(wanted.min(listener.max_topic_alias_broker));
        }
        match Door::of(listener, connect, connection.identity.as_ref()) {
            Ok(Door::Open(grant)) => {
                self.let_in(now, slot, connect, &Arc::new(grant), &[], effects)
            }
            Ok(Door::Ask(question, authority)) => {
                let mut masked = connect.clone();
                masked.password = None;
                masked.properties.authentication_data = None;
                let mut bytes = Vec::new();
                codec::encode(&Packet::Connect(masked), connect.version, &mut bytes);
                connection.phase = Phase::Authenticating;
                connection.pending = Some(Box::new(Pending::new(bytes, connection.last_packet)));
                let who = (connect.client_id, connect.username);
                self.ask(now, slot, who, question, authority, effects);
                true
            }
            Err(refusal) => {
                self.refuse(now, slot, refusal.code, refusal.detail, effects);
                false
            }
        }
    }

    /// Asks the driver; until it answers, a connection that is not let in yet is not read.
    fn ask(
        &mut self,
        now: Instant,
        slot: u32,
        who: (&str, Option<&str>),
        question: Question,
        authority: Arc<Authority>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(connection) = self.links.slots.get_mut(slot) else { return };
        let was_paused = connection.is_paused();
        connection.questions = connection.questions.wrapping_add(1);
        let request = connection.questions;
        if let Some(pending) = &mut connection.pending {
            pending.request = request;
            pending.awaits_verdict = true;
        }
        if !was_paused && connection.is_paused() {
            effects.push(Effect::PauseRead { conn: connection.id });
        }
        effects.push(Effect::Authenticate(Box::new(AuthRequest {
            conn: connection.id,
            request,
            peer: Arc::clone(&connection.peer),
            client_id: who.0.into(),
            username: who.1.map(Into::into),
            question,
            authority,
        })));
        self.arm(now, slot);
    }

    /// Keeps bytes that came behind a CONNECT that is not let in yet; `false` if the connection is
    /// gone, because they were too many.
    pub(super) fn hold_back(
        &mut self,
        now: Instant,
        slot: u32,
        chunk: &[u8],
        effects: &mut Vec<Effect>,
    ) -> bool {
        let limit = self.links.config.broker.max_pipelined_bytes;
        let Some(connection) = self.links.slots.get_mut(slot) else { return false };
        let Some(pending) = &mut connection.pending else { return false };
        if pending.held.len().saturating_add(chunk.len()) <= limit as usize {
            pending.held.extend_from_slice(chunk);
            return true;
        }
        self.broker.stats.pipelined_refused += 1;
        let detail = "more bytes behind CONNECT than max_pipelined_bytes";
        self.refuse(now, slot, ReasonCode::QuotaExceeded, detail, effects);
        false
    }

    /// The driver's answer.
    pub(super) fn authenticated(
        &mut self,
        now: Instant,
        conn: ConnectionId,
        request: u32,
        verdict: Verdict,
        effects: &mut Vec<Effect>,
    ) {
        let Some(slot) = self.links.find(conn) else { return };
        let Some(connection) = self.links.slots.get_mut(slot) else { return };
        let was_paused = connection.is_paused();
        let is_answer =
            |pending: &mut Box<Pending>| pending.awaits_verdict && pending.request == request;
        let Some(pending) = connection.pending.take_if(is_answer) else { return };
        let held = if connection.phase == Phase::Authenticating {
            self.verdict_on_connect(now, slot, pending, verdict, effects)
        } else {
            self.verdict_on_renewal(now, slot, pending, verdict, effects);
            None
        };
        let Some(connection) = self.links.slots.get(slot).filter(|it| it.id == conn) else {
            return;
        };
        if was_paused && !connection.is_paused() {
            effects.push(Effect::ResumeRead { conn });
        }
        if let Some(held) = held.filter(|held| !held.is_empty()) {
            self.bytes(now, conn, &held, effects);
        }
    }

    /// Lets a waiting CONNECT in, or not; gives what came behind it.
    fn verdict_on_connect(
        &mut self,
        now: Instant,
        slot: u32,
        mut pending: Box<Pending>,
        verdict: Verdict,
        effects: &mut Vec<Effect>,
    ) -> Option<Vec<u8>> {
        let held = core::mem::take(&mut pending.held);
        let mut decoder = Decoder::new(Role::Server);
        let limits = self.limits();
        let Ok((_, Some(frame))) = decoder.decode(&pending.connect, &limits) else {
            let detail = "the CONNECT that waited cannot be read";
            self.refuse(now, slot, ReasonCode::UnspecifiedError, detail, effects);
            return None;
        };
        let Packet::Connect(connect) = &frame.packet else { return None };
        match verdict {
            Verdict::Continue { data } => {
                let method = connect.properties.authentication_method;
                self.say(now, slot, ReasonCode::ContinueAuthentication, method, &data, effects);
                let connection = self.links.slots.get_mut(slot)?;
                pending.awaits_verdict = false;
                connection.pending = Some(pending.clone());
                Some(held)
            }
            Verdict::Granted { grant, data } if self.holds(slot, &grant) => {
                self.let_in(now, slot, connect, &grant, &data, effects).then_some(held)
            }
            Verdict::Granted { .. } => {
                self.deny(now, slot, Denial::Credentials, effects);
                None
            }
            Verdict::Denied(denial) => {
                self.deny(now, slot, denial, effects);
                None
            }
        }
    }

    fn deny(&mut self, now: Instant, slot: u32, denial: Denial, effects: &mut Vec<Effect>) {
        let stats = &mut self.broker.stats;
        let (code, detail, counter) = match denial {
            Denial::Credentials => {
                (ReasonCode::BadUserNameOrPassword, BAD_CREDENTIALS, &mut stats.auth_failures)
            }
            Denial::Busy => (
                ReasonCode::ServerBusy,
                "too many clients wait to be authenticated (auth_queue)",
                &mut stats.auth_busy,
            ),
            Denial::TooManyFailures => (
                ReasonCode::ConnectionRateExceeded,
                "too many failed authentications (auth_failures_per_address, auth_failures_per_user)",
                &mut stats.auth_throttled,
            ),
        };
        *counter += 1;
        self.refuse(now, slot, code, detail, effects);
    }

    /// Whether a verdict still holds under the configuration and at the time of now.
    fn holds(&self, slot: u32, grant: &Grant) -> bool {
        let Some(connection) = self.links.slots.get(slot) else { return false };
        let ended = grant.expires.is_some_and(|expires| expires <= self.broker.wall);
        !ended && is_upheld(&self.links.config, connection, grant)
    }

    /// Lets a client in whose name is known; `false` if the connection is gone.
    fn let_in(
        &mut self,
        now: Instant,
        slot: u32,
        connect: &Connect<'_>,
        grant: &Arc<Grant>,
        data: &[u8],
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(connection) = self.links.slots.get(slot) else { return false };
        let (conn, listener) = (connection.id, connection.listener);
        let peer = Arc::clone(&connection.peer);
        let applicant = Applicant { slot, conn, peer: &peer, listener, grant, data };
        let (broker, mut out) = self.parts(now, effects);
        match broker.connect(now, applicant, connect, &mut out) {
            Ok(accepted) => {
                let expires = self.end_of_proof(now, grant);
                let Some(connection) = self.links.slots.get_mut(slot) else { return false };
                connection.phase = Phase::Connected(accepted.session);
                connection.last_packet = now;
                connection.client_id = Some(accepted.client_id);
                connection.keep_alive = accepted.keep_alive;
                connection.method = connect.properties.authentication_method.map(Into::into);
                connection.grant = Some(Arc::clone(grant));
                connection.proof_ends = expires;
                connection.partial_since = None;
                self.arm(now, slot);
                true
            }
            Err(refusal) => {
                self.refuse(now, slot, refusal.code, refusal.detail, effects);
                false
            }
        }
    }

    fn end_of_proof(&self, now: Instant, grant: &Grant) -> Option<Instant> {
        let left = grant.expires?.0.saturating_sub(self.broker.wall.0);
        Some(now.plus_millis(left))
    }

    /// Writes an AUTH.
    fn say(
        &mut self,
        now: Instant,
        slot: u32,
        reason: ReasonCode,
        method: Option<&str>,
        data: &[u8],
        effects: &mut Vec<Effect>,
    ) {
        let auth = Auth {
            reason,
            method,
            data: (!data.is_empty()).then_some(data),
            reason_string: None,
            user_properties: UserProperties::EMPTY,
        };
        let (_, mut out) = self.parts(now, effects);
        out.write(slot, &Packet::Auth(auth));
    }

    /// A packet of a client that is not let in yet: nothing but AUTH and DISCONNECT may come
    /// [MQTT-3.1.2-30]. `false` if the connection is gone.
    pub(super) fn before_connack(
        &mut self,
        now: Instant,
        slot: u32,
        packet: &Packet<'_>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let detail = match packet {
            Packet::Auth(auth) => match self.answer(now, slot, auth, effects) {
                Ok(()) => return true,
                Err(detail) => detail,
            },
            Packet::Disconnect(disconnect) => {
                let reason = CloseReason::ClientDisconnected(disconnect.reason);
                self.lose(now, slot, reason, effects);
                return false;
            }
            _ => "a packet other than AUTH and DISCONNECT before CONNACK [MQTT-3.1.2-30]",
        };
        self.broker.stats.protocol_errors += 1;
        self.refuse(now, slot, ReasonCode::ProtocolError, detail, effects);
        false
    }

    /// The client's part of an exchange that its CONNECT began.
    fn answer(
        &mut self,
        now: Instant,
        slot: u32,
        auth: &Auth<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), &'static str> {
        let connection = self.links.slots.get(slot).ok_or(UNASKED)?;
        let bytes = connection.pending.as_ref().map(|pending| pending.connect.clone());
        let mut decoder = Decoder::new(Role::Server);
        let limits = self.limits();
        let bytes = bytes.unwrap_or_default();
        let Ok((_, Some(frame))) = decoder.decode(&bytes, &limits) else { return Err(UNASKED) };
        let Packet::Connect(connect) = &frame.packet else { return Err(UNASKED) };
        if auth.reason != ReasonCode::ContinueAuthentication {
            return Err(UNASKED);
        }
        if auth.method != connect.properties.authentication_method {
            return Err(METHOD_CHANGED);
        }
        let question = Question::Continue { data: auth.data.unwrap_or_default().into() };
        let authority = self.authority(slot);
        let who = (connect.client_id, connect.username);
        self.ask(now, slot, who, question, authority, effects);
        Ok(())
    }

    fn authority(&self, slot: u32) -> Arc<Authority> {
        let listener = self.links.slots.get(slot).and_then(|connection| {
            self.links.config.listeners.get(usize::from(connection.listener))
        });
        listener.and_then(|listener| listener.authority.clone()).unwrap_or_default()
    }

    /// AUTH of a client that was let in: it proves anew who it is (§4.12.1), while all else goes on.
    pub(super) fn renew(
        &mut self,
        now: Instant,
        slot: u32,
        auth: &Auth<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<Next, Violation> {
        let violation = |detail| Violation::new(ReasonCode::ProtocolError, detail);
        let connection = self.links.slots.get_mut(slot).ok_or_else(|| violation(UNASKED))?;
        let Some(method) = connection.method.clone() else {
            return Err(violation(
                "AUTH without an Authentication Method in CONNECT [MQTT-4.12.0-7]",
            ));
        };
        if auth.method != Some(&*method) {
            return Err(violation(METHOD_CHANGED));
        }
        let data: Box<[u8]> = auth.data.unwrap_or_default().into();
        let awaits_client = connection.pending.as_ref().is_some_and(|it| !it.awaits_verdict);
        let question = match (auth.reason, awaits_client) {
            (ReasonCode::ReAuthenticate, false) if connection.pending.is_none() => {
                connection.pending = Some(Box::new(Pending::new(Vec::new(), now)));
                Question::Begin { method, data }
            }
            (ReasonCode::ContinueAuthentication, true) => Question::Continue { data },
            _ => return Err(violation(UNASKED)),
        };
        let client_id = connection.client_id.clone().unwrap_or_default();
        let username = connection.grant.as_ref().and_then(|grant| grant.username.clone());
        let authority = self.authority(slot);
        self.ask(now, slot, (&client_id, username.as_deref()), question, authority, effects);
        Ok(Next::Continue)
    }

    fn verdict_on_renewal(
        &mut self,
        now: Instant,
        slot: u32,
        mut pending: Box<Pending>,
        verdict: Verdict,
        effects: &mut Vec<Effect>,
    ) {
        let Some(connection) = self.links.slots.get_mut(slot) else { return };
        let method = connection.method.clone();
        match verdict {
            Verdict::Continue { data } => {
                pending.awaits_verdict = false;
                connection.pending = Some(pending);
                let reason = ReasonCode::ContinueAuthentication;
                self.say(now, slot, reason, method.as_deref(), &data, effects);
            }
            Verdict::Granted { grant, data } if self.is_same_user(slot, &grant) => {
                let expires = self.end_of_proof(now, &grant);
                if let Some(connection) = self.links.slots.get_mut(slot) {
                    connection.grant = Some(grant);
                    connection.proof_ends = expires;
                }
                self.say(now, slot, ReasonCode::Success, method.as_deref(), &data, effects);
                self.arm(now, slot);
            }
            Verdict::Granted { .. } | Verdict::Denied(_) => {
                self.broker.stats.auth_failures += 1;
                let code = ReasonCode::NotAuthorized;
                let detail = "the renewed authentication failed [MQTT-4.12.1-2]";
                let reason = CloseReason::Violation { code, detail };
                self.dismiss(now, slot, code, reason, effects);
            }
        }
    }

    fn is_same_user(&self, slot: u32, grant: &Grant) -> bool {
        let before = self.links.slots.get(slot).and_then(|connection| connection.grant.as_ref());
        self.holds(slot, grant) && before.is_some_and(|before| before.username == grant.username)
    }

    /// What a client was let in by has run out.
    pub(super) fn proof_ended(&mut self, now: Instant, slot: u32, effects: &mut Vec<Effect>) {
        let code = ReasonCode::NotAuthorized;
        let reason = CloseReason::Violation { code, detail: PROOF_ENDED };
        self.dismiss(now, slot, code, reason, effects);
    }

    /// The certificate of a client was revoked.
    pub(super) fn revoked(&mut self, now: Instant, conn: ConnectionId, effects: &mut Vec<Effect>) {
        let Some(slot) = self.links.by_id.get(&conn).copied() else { return };
        let code = ReasonCode::NotAuthorized;
        let reason = CloseReason::Violation { code, detail: REVOKED };
        self.dismiss(now, slot, code, reason, effects);
    }

    /// Under a new configuration: who would not be let in as he was is disconnected, and everybody
    /// whose listener is gone.
    pub(super) fn recheck(
        &mut self,
        now: Instant,
        before: &super::Config,
        effects: &mut Vec<Effect>,
    ) {
        let config = &self.links.config;
        let fault = |connection: &Connection| {
            let at = connection.listener;
            if before.listener_name(at) != config.listener_name(at) {
                return Some(LISTENER_GONE);
            }
            let grant = connection.grant.as_ref()?;
            (!is_upheld(config, connection, grant)).then_some(UNUPHELD)
        };
        let fallen = self.links.slots.iter();
        let fallen = fallen.filter_map(|(slot, one)| fault(one).map(|detail| (slot, detail)));
        let fallen: Vec<(u32, &'static str)> = fallen.collect();
        for (slot, detail) in fallen {
            let code = ReasonCode::AdministrativeAction;
            let reason = CloseReason::Violation { code, detail };
            self.dismiss(now, slot, code, reason, effects);
        }
    }
}

/// Whether the listener of a connection would still let it in by what it was let in by.
fn is_upheld(config: &super::Config, connection: &Connection, grant: &Grant) -> bool {
    let Some(listener) = config.listeners.get(usize::from(connection.listener)) else {
        return false;
    };
    let (credential, authority) = (grant.credential, listener.authority.as_ref());
    if !credential.is_proof() {
        // A name that nobody had to prove does not hold where it would have to be proved now.
        return listener.allow_anonymous && (grant.username.is_none() || authority.is_none());
    }
    !credential.is_revocable()
        || authority.is_some_and(|own| own.upholds(grant.username.as_deref(), credential))
}
