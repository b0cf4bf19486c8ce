//! The way of a connection from accept to its first byte of MQTT or HTTP: the PROXY header, then TLS,
//! then who its certificate says it is. Whatever goes wrong ends this connection alone, with a line
//! that names its address and the cause.

use super::conn::Conn;
use super::conn::Stage;
use super::greet::Entrance;
use super::intake::Intake;
use super::intake::Next;
use crate::clock::Clock;
use crate::log::LogType;
use crate::tls;
use halyard_core::conf::Listener;
use halyard_core::conf::Protocol;
use halyard_core::conf::ProxyConfig;
use halyard_core::engine::Input;
use halyard_core::engine::Peer;
use halyard_core::engine::TransportEnd;
use halyard_core::proxy;
use halyard_core::proxy::Header;
use halyard_core::proxy::Version;
use halyard_core::time::Instant;
use std::sync::Arc;

/// Whether a PROXY header of this peer is believed.
pub(super) fn trusts(proxy: &ProxyConfig, peer: &Peer) -> bool {
    match peer {
        Peer::Ip { address, .. } if proxy.trusted.is_empty() => {
            address.to_canonical().is_loopback()
        }
        Peer::Ip { address, .. } => proxy.trusted.iter().any(|network| network.contains(*address)),
        Peer::Unix | Peer::Local => true,
    }
}

impl Intake<'_> {
    fn listener(&self, conn: &Conn) -> &Listener {
        &self.settings.config.listeners[usize::from(conn.listener)]
    }

    /// A connection begins.
    pub(super) fn begin(&mut self, conn: &mut Conn, entrance: Box<Entrance>) -> Next {
        if self.listener(conn).proxy.is_some() {
            conn.stage = Stage::Proxy(entrance);
            return Next::Open;
        }
        self.secure(conn, entrance, &mut [])
    }

    /// Bytes of a PROXY header.
    pub(super) fn header(&mut self, conn: &mut Conn, bytes: &mut [u8]) -> Next {
        let Some(rules) = self.listener(conn).proxy.clone() else { return Next::Drain };
        let stage = std::mem::replace(&mut conn.stage, Stage::Draining);
        let Stage::Proxy(mut entrance) = stage else { return Next::Drain };
        entrance.received.extend_from_slice(bytes);
        let version = if rules.version == 1 { Version::V1 } else { Version::V2 };
        match proxy::parse(version, &entrance.received) {
            Ok(None) => {
                conn.stage = Stage::Proxy(entrance);
                Next::Open
            }
            Ok(Some((len, header))) => {
                let mut rest = std::mem::take(&mut entrance.received).split_off(len);
                if let Err(cause) = self.believe(conn, &rules, &header, &mut entrance) {
                    return self.refuse_entrance(&entrance, &cause, "enable_proxy_protocol");
                }
                if let Some((address, _)) = header.source
                    && let Err(option) = conn.comes_from(self.now, address)
                {
                    return self.refuse_entrance(&entrance, &format!("{option} exceeded"), option);
                }
                self.secure(conn, entrance, &mut rest)
            }
            Err(error) => {
                self.refuse_entrance(&entrance, &error.to_string(), "enable_proxy_protocol")
            }
        }
    }

    /// Takes over what the header tells.
    fn believe(
        &self,
        conn: &Conn,
        rules: &ProxyConfig,
        header: &Header,
        entrance: &mut Entrance,
    ) -> Result<(), String> {
        if let Some((address, port)) = header.source {
            entrance.peer = Peer::Ip { address, port };
        }
        if rules.require_tls && header.tls.is_none() {
            return Err("it did not reach the proxy by TLS (proxy_protocol_v2_require_tls)".into());
        }
        let tls = header.tls.as_ref().filter(|tls| tls.certified);
        if rules.require_certificate && tls.is_none() {
            return Err("it showed the proxy no certificate (require_certificate)".into());
        }
        let listener = self.listener(conn);
        if listener.certificate_name.is_some() && listener.tls.is_none() {
            let name = tls.and_then(|tls| tls.common_name.as_deref());
            entrance.identity = match name.filter(|name| tls::is_plain(name)) {
                Some(name) => Some(name.into()),
                None => self.nobody(
                    conn,
                    entrance,
                    "the proxy names no Common Name of a certificate (use_identity_as_username)",
                )?,
            };
        }
        Ok(())
    }

    /// TLS begins, if the listener has it; `early` came already.
    fn secure(&mut self, conn: &mut Conn, entrance: Box<Entrance>, early: &mut [u8]) -> Next {
        let Some(config) = self.settings.tls(conn.listener) else {
            return self.enter(conn, *entrance, early);
        };
        match conn.secure(config, early) {
            Ok(()) => {
                conn.stage = Stage::Handshake(entrance);
                Next::Open
            }
            Err(cause) => self.refuse_entrance(&entrance, &cause, "tls"),
        }
    }

    /// The TLS handshake went on; `bytes` came behind it, if it is over.
    pub(super) fn handshake(&mut self, conn: &mut Conn, bytes: &mut [u8]) -> Next {
        if !conn.is_secure() {
            return Next::Open;
        }
        let stage = std::mem::replace(&mut conn.stage, Stage::Draining);
        let Stage::Handshake(mut entrance) = stage else { return Next::Drain };
        match self.identify(conn, &entrance) {
            Ok(identity) => {
                entrance.identity = identity;
                self.enter(conn, *entrance, bytes)
            }
            Err(cause) => self.refuse_entrance(&entrance, &cause, "tls"),
        }
    }

    /// Who the certificate says the client is, where the listener wants to know.
    fn identify(&self, conn: &Conn, entrance: &Entrance) -> Result<Option<Arc<str>>, String> {
        let tls = self.listener(conn).tls.as_ref();
        let now = match tls {
            // No certificate ends.
            Some(tls) if tls.ignores_client_dates => i64::MIN,
            _ => i64::try_from(Clock::wall().0 / 1000).unwrap_or(i64::MAX),
        };
        let Some(kind) = self.listener(conn).certificate_name else {
            conn.certificate().map_or(Ok(()), |own| tls::check_time(own, now))?;
            return Ok(None);
        };
        let Some(certificate) = conn.certificate() else {
            return self.nobody(conn, entrance, "it has no certificate to take its name from");
        };
        tls::check_time(certificate, now)?;
        match tls::username(certificate, kind) {
            Ok(name) => Ok(Some(name.into())),
            Err(cause) => self.nobody(conn, entrance, &cause),
        }
    }

    /// A name that is none: the engine refuses the CONNECT of its client, and the log says why. What
    /// serves more than MQTT is closed to it.
    fn nobody(
        &self,
        conn: &Conn,
        entrance: &Entrance,
        cause: &str,
    ) -> Result<Option<Arc<str>>, String> {
        if !matches!(self.listener(conn).protocol, Protocol::Mqtt | Protocol::Websockets) {
            return Err(cause.to_owned());
        }
        let peer = &entrance.peer;
        let text = format_args!("Client connection from {peer} failed: {cause}.");
        self.log.add(LogType::Notice, text);
        Ok(Some("".into()))
    }

    /// MQTT or HTTP begins, with `bytes`.
    fn enter(&mut self, conn: &mut Conn, mut entrance: Entrance, bytes: &mut [u8]) -> Next {
        entrance.greeting = None;
        if self.listener(conn).protocol == Protocol::Mqtt {
            conn.stage = Stage::Mqtt;
            self.open(conn, entrance);
            self.bytes(conn, bytes);
            return Next::Upgraded;
        }
        let accepted = entrance.accepted;
        conn.stage = Stage::Http(Box::new(entrance));
        let next = if bytes.is_empty() { Next::Open } else { self.request(conn, bytes) };
        match (next, self.settings.config.broker.connect_timeout_secs) {
            (Next::Open, 0) => Next::Upgraded,
            (Next::Open, secs) => Next::Until(accepted.plus_secs(secs.into())),
            (next, _) => next,
        }
    }

    /// The engine hears of the connection.
    pub(super) fn open(&mut self, conn: &Conn, entrance: Entrance) {
        let Entrance { peer, accepted, identity, .. } = entrance;
        let (conn, listener) = (conn.id, conn.listener);
        let input = Input::Opened { conn, peer, listener, identity, accepted };
        self.engine.handle(self.now, input, self.effects);
    }

    /// The TLS session of `conn` is over, by the fault of the client.
    pub(super) fn failed(&mut self, conn: &mut Conn, cause: String) -> Next {
        match std::mem::replace(&mut conn.stage, Stage::Draining) {
            Stage::Handshake(entrance) => self.refuse_entrance(&entrance, &cause, "tls"),
            stage => {
                conn.stage = stage;
                self.engine.observer_mut().explain(conn.id, cause);
                self.ended(conn, TransportEnd::Broken);
                Next::Drain
            }
        }
    }

    /// The connection does not get in; counted under `option`.
    fn refuse_entrance(&self, entrance: &Entrance, cause: &str, option: &'static str) -> Next {
        let peer = &entrance.peer;
        self.log
            .add(LogType::Notice, format_args!("Client connection from {peer} failed: {cause}."));
        Next::Refuse(option)
    }
}

/// When a connection must be past `stage`, if it must.
pub(super) fn deadline(
    settings: &crate::settings::Settings,
    stage: &Stage,
    accepted: Instant,
) -> Option<Instant> {
    let handshake = match stage {
        Stage::Handshake(_) => settings.config.tls_handshake_timeout_secs,
        _ => 0,
    };
    let limits = [settings.config.broker.connect_timeout_secs, handshake];
    let limit = limits.into_iter().filter(|secs| *secs > 0).min();
    limit.map(|secs| accepted.plus_secs(secs.into()))
}
