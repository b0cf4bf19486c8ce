//! The admin API (`/api/v1`): what can be asked over HTTP and which command of the engine that is.
//! One table of routes, which `docs/openapi.json` describes; who may ask is judged before. Pure
//! functions over bytes: never a socket, never MQTT.

mod query;
mod view;

pub(super) use view::Joined;
pub(super) use view::join;

use halyard_core::access::Access;
use halyard_core::engine::ADMIN_PAGE_ROWS;
use halyard_core::engine::AdminCommand;
use halyard_core::engine::ShardId;
use halyard_core::packet::QoS;
use query::Query;
use serde_json::Value;

/// Where the API lives.
pub(super) const ROOT: &str = "/api/";
/// Rows of a page where nothing is asked.
const PAGE_ROWS: u32 = 100;
const OPENAPI: &str = include_str!("../../../../docs/openapi.json");

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Shards are to be asked this.
    Ask {
        /// The command.
        command: AdminCommand,
        /// Who is asked.
        whom: Whom,
    },
    /// The description of the API.
    Description,
}

/// Which shards are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// All of them; the answers are joined.
    All,
    /// The one that got the request: each knows all.
    Here,
    /// This one.
    One(ShardId),
}

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: &'static str,
    pub(super) text: String,
}

impl ApiError {
    pub(super) fn new(status: &'static str, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    fn bad(text: impl Into<String>) -> Self {
        Self::new("400 Bad Request", text)
    }

    /// The body of the response.
    pub(super) fn body(&self) -> String {
        let mut body = serde_json::json!({ "error": self.text }).to_string();
        body.push('\n');
        body
    }
}

/// A request, as far as a route needs it.
struct Asked<'a> {
    /// What stands for `{…}` in the template.
    name: String,
    query: Query,
    body: &'a [u8],
}

/// One thing that can be asked.
struct Route {
    method: &'static str,
    template: &'static str,
    call: fn(Asked<'_>) -> Result<Call, ApiError>,
}

const fn route(
    method: &'static str,
    template: &'static str,
    call: fn(Asked<'_>) -> Result<Call, ApiError>,
) -> Route {
    Route { method, template, call }
}

const ROUTES: &[Route] = &[
    route("GET", "/api/v1/openapi.json", |_| Ok(Call::Description)),
    route("GET", "/api/v1/stats", |_| all(AdminCommand::Stats)),
    route("GET", "/api/v1/clients", clients),
    route("GET", "/api/v1/clients/{client_id}", |asked| {
        all(AdminCommand::Client { client_id: asked.name })
    }),
    route("DELETE", "/api/v1/clients/{client_id}", |asked| {
        all(AdminCommand::Disconnect { client_id: asked.name })
    }),
    route("GET", "/api/v1/clients/{client_id}/subscriptions", |mut asked| {
        let (limit, after) = (asked.limit()?, asked.query.take("after"));
        all(AdminCommand::Subscriptions { client_id: asked.name, after, limit })
    }),
    route("GET", "/api/v1/clients/{client_id}/queue", |mut asked| {
        let (limit, skip) = (asked.limit()?, asked.number("skip", 0)?);
        all(AdminCommand::Queue { client_id: asked.name, skip, limit })
    }),
    route("GET", "/api/v1/clients/{client_id}/inflight", |mut asked| {
        let (limit, skip) = (asked.limit()?, asked.number("skip", 0)?);
        all(AdminCommand::InFlight { client_id: asked.name, skip, limit })
    }),
    route("GET", "/api/v1/retained", |mut asked| {
        let filter = asked.query.take("filter").unwrap_or_else(|| "#".into());
        let (limit, after) = (asked.limit()?, asked.query.take("after"));
        here(AdminCommand::Retained { filter, after, limit })
    }),
    route("DELETE", "/api/v1/retained", |mut asked| {
        let filter = asked.query.take("filter");
        let filter =
            filter.ok_or_else(|| ApiError::bad("say which: ?filter=a/b or ?filter=a/%23"))?;
        let limit = asked.limit()?;
        here(AdminCommand::ClearRetained { filter, limit })
    }),
    route("GET", "/api/v1/topics", |mut asked| {
        let (limit, parent, after) =
            (asked.limit()?, asked.query.take("parent"), asked.query.take("after"));
        all(AdminCommand::Topics { parent, after, limit })
    }),
    route("GET", "/api/v1/explain", explain),
    route("POST", "/api/v1/publish", publish),
];

/// What a request for something below [`ROOT`] asks for.
pub(super) fn call(method: &str, target: &str, body: &[u8]) -> Result<Call, ApiError> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut allowed = Vec::new();
    for route in ROUTES {
        let Some(name) = matched(route.template, path) else { continue };
        if route.method != method {
            allowed.push(route.method);
            continue;
        }
        let name = query::decoded(name).ok_or_else(|| ApiError::bad("the path is no UTF-8"))?;
        let query = Query::parse(query).ok_or_else(|| ApiError::bad("the query is no UTF-8"))?;
        return (route.call)(Asked { name, query, body });
    }
    if allowed.is_empty() {
        let text = format!("there is nothing at {path}; see /api/v1/openapi.json");
        return Err(ApiError::new("404 Not Found", text));
    }
    let text = format!("{path} is asked by {}", allowed.join(" or "));
    Err(ApiError::new("405 Method Not Allowed", text))
}

/// What stands for `{…}` in `template`, or nothing, if `path` is of that form.
fn matched<'a>(template: &str, path: &'a str) -> Option<&'a str> {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    let mut name = "";
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(name),
            (Some(wanted), Some(given)) if wanted.starts_with('{') && !given.is_empty() => {
                name = given;
            }
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return None,
        }
    }
}

fn all(command: AdminCommand) -> Result<Call, ApiError> {
    Ok(Call::Ask { command, whom: Whom::All })
}

fn here(command: AdminCommand) -> Result<Call, ApiError> {
    Ok(Call::Ask { command, whom: Whom::Here })
}

/// One shard after the other: a cursor is `SHARD.PLACE`.
fn clients(mut asked: Asked<'_>) -> Result<Call, ApiError> {
    let limit = asked.limit()?;
    let (shard, from) = match asked.query.take("cursor") {
        None => (0, 0),
        Some(cursor) => cursor
            .split_once('.')
            .and_then(|(shard, from)| Some((shard.parse().ok()?, from.parse().ok()?)))
            .ok_or_else(|| ApiError::bad("cursor is what the page before gave as next"))?,
    };
    let command = AdminCommand::Clients { from, limit };
    Ok(Call::Ask { command, whom: Whom::One(ShardId(shard)) })
}

/// Why a client may do something, or not. Its session's shard knows him; of somebody who has no
/// session any shard can tell.
fn explain(mut asked: Asked<'_>) -> Result<Call, ApiError> {
    const FORM: &str = "ask ?client=ID&topic=TOPIC&access=read|write|subscribe, with user=NAME or \
                        listener=NUMBER for a client that has no session";
    let needed = |value: Option<String>| value.ok_or_else(|| ApiError::bad(FORM));
    let access = match asked.query.take("access").as_deref() {
        Some("read") => Access::Read,
        Some("write") => Access::Write,
        Some("subscribe") => Access::Subscribe,
        _ => return Err(ApiError::bad(FORM)),
    };
    let username = asked.query.take("user");
    let listener = asked.query.take("listener").map(|number| number.parse());
    let listener = listener.transpose().map_err(|_| ApiError::bad(FORM))?;
    let whom = if username.is_none() && listener.is_none() { Whom::All } else { Whom::Here };
    let client_id = needed(asked.query.take("client"))?;
    let topic = needed(asked.query.take("topic"))?;
    let command = AdminCommand::Explain { client_id, username, listener, access, topic };
    Ok(Call::Ask { command, whom })
}

fn publish(asked: Asked<'_>) -> Result<Call, ApiError> {
    const FORM: &str = "the body is {\"topic\": TEXT, \"payload\": TEXT or \"payload_base64\": \
                        TEXT, \"qos\": 0 to 2, \"retain\": true or false}";
    let body: Value = serde_json::from_slice(asked.body)
        .map_err(|error| ApiError::bad(format!("{FORM}: {error}")))?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let topic = text("topic").ok_or_else(|| ApiError::bad(FORM))?.to_owned();
    let payload = match (text("payload"), text("payload_base64")) {
        (Some(payload), None) => payload.as_bytes().to_vec(),
        (None, Some(code)) => query::from_base64(code)
            .ok_or_else(|| ApiError::bad("payload_base64 is no base64 with padding"))?,
        (None, None) => Vec::new(),
        (Some(_), Some(_)) => return Err(ApiError::bad("there are two payloads")),
    };
    let qos = body.get("qos").map_or(Some(0), Value::as_u64);
    let qos = qos.and_then(|qos| QoS::from_bits(u8::try_from(qos).ok()?));
    let qos = qos.ok_or_else(|| ApiError::bad("qos is 0, 1 or 2"))?;
    let retain = body.get("retain").map_or(Some(false), Value::as_bool);
    let retain = retain.ok_or_else(|| ApiError::bad("retain is true or false"))?;
    here(AdminCommand::Publish { topic, payload, qos, retain })
}

impl Asked<'_> {
    fn limit(&mut self) -> Result<u32, ApiError> {
        let limit = self.number("limit", PAGE_ROWS)?;
        if (1..=ADMIN_PAGE_ROWS).contains(&limit) {
            return Ok(limit);
        }
        Err(ApiError::bad(format!("limit is 1 to {ADMIN_PAGE_ROWS}")))
    }

    fn number(&mut self, name: &str, default: u32) -> Result<u32, ApiError> {
        let Some(text) = self.query.take(name) else { return Ok(default) };
        text.parse().map_err(|_| ApiError::bad(format!("{name} is a whole number, not {text:?}")))
    }
}

/// The description, as it is served.
pub(super) const fn description() -> &'static str {
    OPENAPI
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_description_names_exactly_the_routes() {
        let description: Value = serde_json::from_str(OPENAPI).unwrap();
        let paths = description["paths"].as_object().unwrap();
        let methods = ["get", "put", "post", "delete", "patch"];
        let described: BTreeSet<(String, String)> = paths
            .iter()
            .flat_map(|(path, item)| {
                let item = item.as_object().unwrap();
                let named = item.keys().filter(|key| methods.contains(&key.as_str()));
                named.map(move |method| (method.to_uppercase(), path.clone()))
            })
            .collect();
        let served: BTreeSet<(String, String)> = ROUTES
            .iter()
            .map(|route| (route.method.to_owned(), route.template.to_owned()))
            .collect();
        assert_eq!(described, served);
    }

    #[test]
    fn a_request_becomes_a_command() {
        let ask = |command, whom| Ok(Call::Ask { command, whom });
        let inflight =
            AdminCommand::InFlight { client_id: "a/b +".into(), skip: 7, limit: PAGE_ROWS };
        let publish = AdminCommand::Publish {
            topic: "t".into(),
            payload: b"hi".to_vec(),
            qos: QoS::AtLeastOnce,
            retain: true,
        };
        let clients = AdminCommand::Clients { from: 40, limit: 5 };
        let retained = AdminCommand::Retained { filter: "a/+/#".into(), after: None, limit: 1 };
        let cases = [
            ("GET /api/v1/clients/a%2Fb%20+/inflight?skip=7", "", ask(inflight, Whom::All)),
            ("GET /api/v1/clients?cursor=2.40&limit=5", "", ask(clients, Whom::One(ShardId(2)))),
            ("GET /api/v1/retained?filter=a/+/%23&limit=1", "", ask(retained, Whom::Here)),
            (
                "POST /api/v1/publish",
                "{\"topic\":\"t\",\"payload_base64\":\"aGk=\",\"qos\":1,\"retain\":true}",
                ask(publish, Whom::Here),
            ),
        ];
        for (request, body, expected) in cases {
            let (method, target) = request.split_once(' ').unwrap();
            assert_eq!(call(method, target, body.as_bytes()), expected, "{request}");
        }
    }

    #[test]
    fn a_wrong_request_is_told_what_would_be_right() {
        let cases = [
            ("GET /api/v1/nothing", "", "404", "openapi.json"),
            ("GET /api/v1/clients/", "", "404", "nothing at"),
            ("PUT /api/v1/clients/a", "", "405", "GET or DELETE"),
            ("GET /api/v1/clients?limit=0", "", "400", "1 to 1000"),
            ("GET /api/v1/clients?cursor=x", "", "400", "page before"),
            ("GET /api/v1/clients/%ff", "", "400", "UTF-8"),
            ("DELETE /api/v1/retained", "", "400", "?filter="),
            ("GET /api/v1/explain?client=a&topic=b", "", "400", "access="),
            ("POST /api/v1/publish", "{}", "400", "\"topic\""),
            ("POST /api/v1/publish", "{\"topic\":\"t\",\"qos\":3}", "400", "0, 1 or 2"),
            ("POST /api/v1/publish", "{\"topic\":\"t\",\"payload_base64\":\"a\"}", "400", "base64"),
        ];
        for (request, body, status, text) in cases {
            let (method, target) = request.split_once(' ').unwrap();
            let error = call(method, target, body.as_bytes()).unwrap_err();
            assert!(error.status.starts_with(status) && error.text.contains(text), "{error:?}");
        }
    }
}
