//! The end of a reading: a draft to a configuration, and what only the whole can show. Never looks at
//! lines.

use super::Address;
use super::Listener;
use super::Protocol;
use super::ServerConfig;
use super::apply::Seen;
use super::diagnose::Problem;
use super::draft::Draft;
use super::draft::ListenerDraft;
use super::draft::Place;
use super::report::Report;
use super::tls;
use std::collections::BTreeMap;

pub(super) fn finish(draft: Draft, seen: &Seen, report: &mut Report) -> ServerConfig {
    let mut server = draft.server;
    if let Some(types) = draft.log_types {
        server.log.types = types;
    }
    if let Some(destinations) = draft.log_destinations {
        server.log.destinations = destinations;
    }
    check_water(&server, seen, report);
    server.local_only = !draft.listeners.iter().any(|listener| listener.asked);
    server.listeners = if server.local_only {
        let said = seen.get(&("allow_anonymous", None)).copied();
        let general = General {
            anonymous: draft.allow_anonymous,
            password_file: draft.password_file.as_ref(),
            jwt_key_file: draft.jwt_key_file.as_ref(),
        };
        vec![local_listener(draft.listeners, general, said, report)]
    } else {
        check_addresses(&draft.listeners, report);
        let general = General {
            anonymous: draft.allow_anonymous,
            password_file: draft.password_file.as_ref(),
            jwt_key_file: draft.jwt_key_file.as_ref(),
        };
        draft.listeners.into_iter().map(|listener| resolve(listener, general, report)).collect()
    };
    server
}

/// What was said for all listeners that say nothing else.
#[derive(Clone, Copy)]
struct General<'a> {
    anonymous: Option<bool>,
    password_file: Option<&'a String>,
    jwt_key_file: Option<&'a String>,
}

impl General<'_> {
    /// Whether a listener knows nobody by what it was given.
    fn complete(self, listener: &mut Listener) -> bool {
        if listener.password_file.is_none() {
            listener.password_file = self.password_file.cloned();
        }
        if listener.jwt_key_file.is_none() {
            listener.jwt_key_file = self.jwt_key_file.cloned();
        }
        listener.password_file.is_none() && listener.jwt_key_file.is_none()
    }
}

/// The listener of a file that has none: loopback, and anonymous unless the file says otherwise.
fn local_listener(
    drafts: Vec<ListenerDraft>,
    general: General<'_>,
    said: Option<Place>,
    report: &mut Report,
) -> Listener {
    let mut local = Listener::local(super::MQTT_PORT, Protocol::Mqtt);
    let mut own = None;
    if let Some(draft) = drafts.into_iter().next() {
        local = Listener { address: local.address, ..draft.listener };
        secure(&mut local, &draft.tls, draft.place, report);
        own = draft.allow_anonymous.map(|anonymous| (anonymous, draft.place));
    } else {
        local.place = "the configuration has no listener".into();
    }
    local.engine.allow_anonymous = own.map(|(own, _)| own).or(general.anonymous).unwrap_or(true);
    let place = own.map(|(_, place)| place).or(said);
    let knows_nobody = general.complete(&mut local);
    if let (true, false, Some(place)) = (knows_nobody, local.engine.allow_anonymous, place) {
        refuses_everybody(place, "allow_anonymous", report);
    }
    local
}

fn resolve(draft: ListenerDraft, general: General<'_>, report: &mut Report) -> Listener {
    let ListenerDraft { mut listener, place, allow_anonymous, tls, .. } = draft;
    secure(&mut listener, &tls, place, report);
    listener.engine.allow_anonymous = allow_anonymous.or(general.anonymous).unwrap_or(false);
    let knows_nobody = general.complete(&mut listener) && listener.certificate_name.is_none();
    // One for HTTP may be there for its numbers alone.
    let serves_clients = listener.protocol != Protocol::HttpApi;
    if serves_clients && knows_nobody && !listener.engine.allow_anonymous {
        refuses_everybody(place, "listener", report);
    }
    if listener.protocol == Protocol::Mqtt && !listener.websockets_origin.is_empty() {
        let what = "it has no effect: the listener does not speak WebSocket";
        let problem = Problem::new(what, "write `protocol websockets` below the listener");
        report.warning(place, "websockets_origin", problem);
    }
    if listener.protocol == Protocol::Mqtt && listener.http_dir.is_some() {
        let what = "it has no effect: the listener does not speak HTTP";
        let problem = Problem::new(what, "write `protocol http_api` below the listener");
        report.warning(place, "http_dir", problem);
    }
    check_admin(&listener, place, report);
    check_pages(&listener, place, report);
    if matches!(listener.address, Address::Unix { .. }) {
        for (option, is_set) in [
            ("bind_interface", listener.bind_interface.is_some()),
            ("socket_domain", listener.socket_domain.is_some()),
        ] {
            if is_set {
                let problem = Problem::new("it has no effect on a Unix socket", "remove the line");
                report.warning(place, option, problem);
            }
        }
    }
    listener
}

/// A browser lets any page open a WebSocket to its own machine: an address of loopback keeps nobody out.
fn check_pages(listener: &Listener, place: Place, report: &mut Report) {
    let is_web = listener.protocol != Protocol::Mqtt;
    let is_unix = matches!(listener.address, Address::Unix { .. });
    let is_loopback = listener.address.is_local() && !is_unix;
    let asks = listener.tls.as_ref().is_some_and(|tls| tls.require_certificate);
    let is_open = listener.engine.allow_anonymous && listener.websockets_origin.is_empty();
    if is_web && is_loopback && is_open && !asks {
        let what = "any web page that a browser on this machine shows could connect: anonymous clients \
                    are allowed, and no `websockets_origin` says whose pages may";
        let right = "write `websockets_origin ORIGIN` for each page that is to connect, or \
                     `allow_anonymous false`";
        report.warning(place, "listener", Problem::new(what, right));
    }
}

/// The admin API is for who has the token, or for this machine alone.
fn check_admin(listener: &Listener, place: Place, report: &mut Report) {
    let admin = &listener.admin;
    if admin.enabled && listener.protocol != Protocol::HttpApi {
        let what = "the admin API is served by a listener for HTTP alone";
        let problem = Problem::new(what, "write `protocol http_api` below the listener");
        report.error(place, "admin_api", problem);
    } else if admin.enabled && admin.token_file.is_none() && !listener.address.is_local() {
        let what = "whoever reaches the listener could administrate the broker";
        let right = "write `admin_token_file PATH`, or let it listen on 127.0.0.1 or a Unix socket";
        report.error(place, "admin_api", Problem::new(what, right));
    }
}

fn secure(listener: &mut Listener, lines: &tls::Lines, place: Place, report: &mut Report) {
    listener.tls = lines.tls(place, report);
    listener.certificate_name = lines.username();
    listener.proxy = lines.proxy(place, report);
}

fn refuses_everybody(place: Place, option: &str, report: &mut Report) {
    let problem = Problem::new(
        "every client will be refused: anonymous clients are not allowed, and nothing says who the \
         others are",
        "name a `password_file` or a `jwt_key_file`, or write `allow_anonymous true` if everybody who can reach the \
         listener may connect",
    );
    report.warning(place, option, problem);
}

/// Finds listeners that cannot both be opened.
fn check_addresses(listeners: &[ListenerDraft], report: &mut Report) {
    let mut places = BTreeMap::new();
    for listener in listeners {
        let address = &listener.listener.address;
        let key = match address {
            Address::Host { host, .. } => host.to_ascii_lowercase(),
            Address::Unix { path } => path.clone(),
            Address::Any { .. } | Address::Loopback { .. } => String::new(),
        };
        let is_chosen_by_system = address.port() == 0 && !matches!(address, Address::Unix { .. });
        if is_chosen_by_system {
            continue;
        }
        let key = (address.port(), key, listener.listener.bind_interface.clone());
        if let Some(before) = places.insert(key, listener.place) {
            let what = format!("{} listens there already", report.name(before));
            let problem = Problem::new(what, "choose another port, or remove one of them");
            report.error(listener.place, "listener", problem);
        }
    }
}

fn check_water(server: &ServerConfig, seen: &Seen, report: &mut Report) {
    let (low, high) = (server.broker.output_low_water, server.broker.output_high_water);
    if low < high {
        return;
    }
    let places = ["output_low_water", "output_high_water"]
        .into_iter()
        .filter_map(|option| seen.get(&(option, None)).map(|place| (place.order, option, *place)));
    if let Some((_, option, place)) = places.max_by_key(|(order, ..)| *order) {
        let what = format!("output_low_water ({low}) is not below output_high_water ({high})");
        report.error(place, option, Problem::new(what, "choose a lower output_low_water"));
    }
}
