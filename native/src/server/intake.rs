//! What to do with the bytes that a connection brought, by what they mean to it: MQTT goes to the
//! engine as it lies in the read buffer, WebSocket frames are undone in place, and an HTTP request
//! is answered or becomes a WebSocket. Decides nothing about MQTT.

use super::api;
use super::api::Call;
use super::api::Whom;
use super::asks::Ask;
use super::conn::Body;
use super::conn::Conn;
use super::conn::Stage;
use super::greet::Entrance;
use super::http;
use super::http::Admin;
use super::http::Answer;
use super::http::Parsed;
use super::http::Refusal;
use super::http::Rules;
use super::pages;
use crate::log::Lines;
use crate::log::Log;
use crate::log::LogType;
use crate::settings::Settings;
use halyard_core::engine::AdminCommand;
use halyard_core::engine::Effect;
use halyard_core::engine::Engine;
use halyard_core::engine::Input;
use halyard_core::engine::Peer;
use halyard_core::engine::TransportEnd;
use halyard_core::time::Instant;
use halyard_core::websocket;
use halyard_core::websocket::Event;
use halyard_core::websocket::FrameDecoder;
use halyard_core::websocket::WsError;
use std::sync::Arc;

/// Bytes of a WebSocket frame that are accepted whatever the largest packet is.
const FRAME_BYTES_MIN: u32 = 1 << 20;

/// What the handling of bytes needs of the shard.
pub(super) struct Intake<'a> {
    pub(super) engine: &'a mut Engine<Lines>,
    pub(super) effects: &'a mut Vec<Effect>,
    pub(super) settings: &'a Settings,
    pub(super) log: &'a Log,
    pub(super) now: Instant,
    /// Whether the disk of the store is full.
    pub(super) store_full: bool,
}

/// What becomes of the connection, as far as the driver is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It goes on.
    Open,
    /// The handshakes are over: the driver's deadline falls.
    Upgraded,
    /// It goes on, until then.
    Until(Instant),
    /// It is not let in, for what this option says; the socket closes once all is written.
    Refuse(&'static str),
    /// The shards are to be asked this, and the answer is the response.
    Ask { ask: Ask, whom: Whom, head_only: bool },
    /// All was said: once it is written, the socket closes.
    Drain,
}

impl Intake<'_> {
    /// Handles bytes of `conn`.
    pub(super) fn bytes(&mut self, conn: &mut Conn, bytes: &mut [u8]) -> Next {
        match &mut conn.stage {
            Stage::Mqtt => {
                let input = Input::Bytes { conn: conn.id, chunk: bytes };
                self.engine.handle(self.now, input, self.effects);
                Next::Open
            }
            Stage::WebSocket(_) => self.frames(conn, bytes),
            Stage::Proxy(_) => self.header(conn, bytes),
            Stage::Handshake(_) => self.handshake(conn, bytes),
            Stage::Http(_) => self.request(conn, bytes),
            Stage::Asking | Stage::Draining => Next::Open,
        }
    }

    /// The transport of `conn` is gone.
    pub(super) fn ended(&mut self, conn: &Conn, cause: TransportEnd) {
        if matches!(conn.stage, Stage::Mqtt | Stage::WebSocket(_)) {
            let input = Input::Closed { conn: conn.id, cause };
            self.engine.handle(self.now, input, self.effects);
        }
    }

    fn frames(&mut self, conn: &mut Conn, bytes: &mut [u8]) -> Next {
        let max_frame = self.settings.config.broker.max_packet_size.max(FRAME_BYTES_MIN);
        let id = conn.id;
        let mut rest = bytes;
        loop {
            let Stage::WebSocket(decoder) = &mut conn.stage else { return Next::Open };
            let consumed = match decoder.decode(rest, max_frame) {
                Ok((_, Event::NeedMore)) => return Next::Open,
                Ok((consumed, Event::Data(chunk))) => {
                    self.engine.handle(self.now, Input::Bytes { conn: id, chunk }, self.effects);
                    consumed
                }
                Ok((consumed, Event::Ping(payload))) => {
                    let mut pong = Vec::new();
                    websocket::encode_pong(payload.as_slice(), &mut pong);
                    conn.send_raw(pong);
                    consumed
                }
                Ok((consumed, Event::Pong)) => consumed,
                Ok((_, Event::Close { code })) => {
                    self.ended(conn, TransportEnd::Eof);
                    return say_close(conn, code);
                }
                Err(error) => return self.bad_frame(conn, error),
            };
            rest = &mut rest[consumed..];
        }
    }

    fn bad_frame(&mut self, conn: &mut Conn, error: WsError) -> Next {
        self.engine.observer_mut().explain(conn.id, error.to_string());
        self.ended(conn, TransportEnd::Broken);
        say_close(conn, Some(error.close_code()))
    }

    pub(super) fn request(&mut self, conn: &mut Conn, bytes: &mut [u8]) -> Next {
        let listener = &self.settings.config.listeners[usize::from(conn.listener)];
        let admin = self.settings.serves(&listener.admin).then(|| Admin {
            token: self.settings.token(&listener.admin),
            body_bytes_max: listener.admin.body_bytes_max,
        });
        let origins = &listener.websockets_origin;
        let has_site = listener.http_dir.is_some();
        let rules = Rules { protocol: listener.protocol, origins, has_site, admin };
        let stage = std::mem::replace(&mut conn.stage, Stage::Draining);
        let Stage::Http(mut entrance) = stage else { return Next::Drain };
        let mut received = std::mem::take(&mut entrance.received);
        let buffered = !received.is_empty();
        if buffered {
            received.extend_from_slice(bytes);
        }
        let whole: &mut [u8] = if buffered { &mut received } else { bytes };
        match http::parse(whole, rules) {
            Parsed::Partial => {
                entrance.received = if buffered { received } else { whole.to_vec() };
                conn.stage = Stage::Http(entrance);
                Next::Open
            }
            Parsed::Complete(len, answer) => {
                self.answer(conn, *entrance, answer, &mut whole[len..])
            }
        }
    }

    fn answer(
        &mut self,
        conn: &mut Conn,
        entrance: Entrance,
        answer: Answer,
        rest: &mut [u8],
    ) -> Next {
        let peer = entrance.peer.clone();
        match answer {
            Answer::Upgrade(response) => {
                conn.send_raw(response);
                conn.stage = Stage::WebSocket(FrameDecoder::new());
                self.open(conn, entrance);
                return match self.frames(conn, rest) {
                    Next::Open => Next::Upgraded,
                    other => other,
                };
            }
            Answer::Page { path, head_only } => self.page(conn, &path, head_only),
            Answer::Ready { head_only } if self.store_full => {
                let (status, body) = ("503 Service Unavailable", "{\"status\":\"store full\"}\n");
                respond_with(conn, status, "application/json", body, head_only);
            }
            Answer::Ready { head_only } => {
                respond(conn, "application/json", "{\"status\":\"ready\"}\n", head_only);
            }
            Answer::Health { head_only } => {
                respond(conn, "application/json", "{\"status\":\"ok\"}\n", head_only);
            }
            Answer::Metrics { head_only } => {
                conn.stage = Stage::Asking;
                return Next::Ask { ask: Ask::Metrics, whom: Whom::All, head_only };
            }
            Answer::Api(Ok(Call::Ask { command, whom })) => {
                let (kind, what) = noted(&command);
                self.log.add(kind, format_args!("Admin API used from {peer}: {what}."));
                conn.stage = Stage::Asking;
                return Next::Ask { ask: Ask::Admin(command), whom, head_only: false };
            }
            Answer::Api(Ok(Call::Description)) => {
                respond(conn, "application/json", api::description(), false);
            }
            Answer::Api(Err(error)) => {
                self.log.add(
                    LogType::Notice,
                    format_args!("Admin API refused to {peer}: {} {}", error.status, error.text),
                );
                respond_with(conn, error.status, "application/json", &error.body(), false);
            }
            Answer::Refuse(refusal) => self.refuse(conn, &peer, &refusal),
        }
        Next::Drain
    }

    /// A file of `http_dir`, or else of the program.
    fn page(&self, conn: &mut Conn, path: &str, head_only: bool) {
        let listener = &self.settings.config.listeners[usize::from(conn.listener)];
        let found = match self.settings.site(listener) {
            Some(site) => site
                .find(path)
                .map(|(name, bytes)| (pages::content_type(name), Body::Shared(Arc::clone(bytes)))),
            None => {
                let asset = pages::find(path);
                asset.map(|asset| (asset.content_type, Body::Program(asset.bytes)))
            }
        };
        let Some((content_type, body)) = found else {
            return conn.send_raw(http::not_found(path).response());
        };
        let head = http::head("200 OK", content_type, body.bytes().len());
        conn.send_body(head.into_bytes(), if head_only { Body::default() } else { body });
    }

    fn refuse(&self, conn: &mut Conn, peer: &Peer, refusal: &Refusal) {
        conn.send_raw(refusal.response());
        self.log.add(
            LogType::Websockets,
            format_args!("HTTP request from {peer} refused: {} {}", refusal.status(), refusal.text),
        );
    }
}

/// What the log says of a command: what changes something is noted.
fn noted(command: &AdminCommand) -> (LogType, String) {
    match command {
        AdminCommand::Shutdown => (LogType::Notice, "shut down".into()),
        AdminCommand::Disconnect { client_id } => {
            (LogType::Notice, format!("disconnect {client_id}"))
        }
        AdminCommand::ClearRetained { filter, .. } => {
            (LogType::Notice, format!("clear retained messages of {filter}"))
        }
        AdminCommand::Publish { topic, payload, .. } => {
            (LogType::Notice, format!("publish {} bytes to {topic}", payload.len()))
        }
        _ => (LogType::Debug, "look at something".into()),
    }
}

/// `200` with this body.
pub(super) fn respond(conn: &mut Conn, content_type: &str, body: &str, head_only: bool) {
    respond_with(conn, "200 OK", content_type, body, head_only);
}

/// A response with this body.
pub(super) fn respond_with(
    conn: &mut Conn,
    status: &str,
    content_type: &str,
    body: &str,
    head_only: bool,
) {
    let mut response = http::head(status, content_type, body.len());
    if !head_only {
        response.push_str(body);
    }
    conn.send_raw(response.into_bytes());
}

/// Writes a Close frame; nothing follows it.
pub(super) fn say_close(conn: &mut Conn, code: Option<u16>) -> Next {
    let mut close = Vec::new();
    websocket::encode_close(code, &mut close);
    conn.send_raw(close);
    Next::Drain
}
