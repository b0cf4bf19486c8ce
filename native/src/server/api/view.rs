//! The answers of the shards, joined and written as JSON: sums are summed, listings concatenated,
//! and of a client the one shard that knows him is heard. Decides nothing else.

use super::ApiError;
use super::query::to_base64;
use halyard_core::engine::AdminRefusal;
use halyard_core::engine::AdminReply;
use halyard_core::engine::ClientDetail;
use halyard_core::engine::ClientRow;
use halyard_core::engine::ConnectionDetail;
use halyard_core::engine::DecisionRow;
use halyard_core::engine::MessageRow;
use halyard_core::engine::RetainedRow;
use halyard_core::engine::ShardId;
use halyard_core::engine::Stats;
use halyard_core::engine::SubscriptionRow;
use halyard_core::engine::TopicPage;
use halyard_core::engine::TopicRow;
use halyard_core::packet::Version;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;

/// The body of a response, or why there is none.
pub(in crate::server) type Joined = Result<String, ApiError>;

/// One answer of those of all shards that were asked; `shards` is how many there are.
pub(in crate::server) fn join(answers: BTreeMap<ShardId, AdminReply>, shards: usize) -> Joined {
    let mut known = answers.into_iter().filter(|(_, reply)| !is_ignorant(reply)).peekable();
    let Some((shard, first)) = known.next() else {
        return Err(ApiError::new(
            "404 Not Found",
            "there is no such client, or it is not connected",
        ));
    };
    let value = match first {
        AdminReply::Done => json!({ "done": true }),
        AdminReply::NoSuchClient => Value::Null,
        AdminReply::Refused(refusal) => return Err(refused(refusal)),
        AdminReply::Stats(mut sum) => {
            for (_, other) in known {
                if let AdminReply::Stats(other) = other {
                    sum.join(&other);
                }
            }
            stats(&sum)
        }
        AdminReply::Clients { rows, next } => {
            let following = usize::from(shard.0) + 1;
            let next = match next {
                Some(place) => Some(format!("{}.{place}", shard.0)),
                None => (following < shards).then(|| format!("{following}.0")),
            };
            json!({ "clients": rows.iter().map(client).collect::<Vec<_>>(), "next": next })
        }
        AdminReply::Client(detail) => client_detail(&detail),
        AdminReply::Subscriptions { rows, more } => {
            let next = rows.last().filter(|_| more).map(|row| row.filter.clone());
            json!({ "subscriptions": rows.iter().map(subscription).collect::<Vec<_>>(), "next": next })
        }
        AdminReply::Messages { rows, more } => {
            json!({ "messages": rows.iter().map(message).collect::<Vec<_>>(), "more": more })
        }
        AdminReply::Retained { rows, next } => {
            json!({ "retained": rows.iter().map(retained).collect::<Vec<_>>(), "next": next })
        }
        AdminReply::Decision(DecisionRow { allowed, text, line }) => {
            json!({ "allowed": allowed, "reason": text, "line": (line > 0).then_some(line) })
        }
        AdminReply::Cleared { cleared, more } => json!({ "cleared": cleared, "more": more }),
        AdminReply::Topics(page) => {
            let others = known.filter_map(|(_, other)| match other {
                AdminReply::Topics(page) => Some(page),
                _ => None,
            });
            topics(&merged(page, others))
        }
    };
    let mut body = value.to_string();
    body.push('\n');
    Ok(body)
}

const fn is_ignorant(reply: &AdminReply) -> bool {
    matches!(reply, AdminReply::NoSuchClient)
}

fn refused(refusal: AdminRefusal) -> ApiError {
    let status = match refusal {
        AdminRefusal::TopicName | AdminRefusal::TopicFilter => "400 Bad Request",
        AdminRefusal::Reserved => "403 Forbidden",
        AdminRefusal::TooLarge => "413 Content Too Large",
        AdminRefusal::Retain => "409 Conflict",
        AdminRefusal::StoreFull => "507 Insufficient Storage",
    };
    ApiError::new(status, refusal.to_string())
}

fn stats(stats: &Stats) -> Value {
    let numbers = |list: Vec<halyard_core::engine::Counter>| {
        let pairs = list.into_iter().map(|counter| (counter.name.to_owned(), counter.value.into()));
        Value::Object(pairs.collect())
    };
    let mut value = numbers(stats.list());
    value["drops"] = numbers(stats.drops.list());
    value
}

fn client(row: &ClientRow) -> Value {
    json!({
        "client_id": row.client_id,
        "username": row.username,
        "connected": row.connected,
        "version": version(row.version),
        "listener": row.listener,
        "subscriptions": row.subscriptions,
        "queued": row.queued,
        "inflight": row.inflight,
    })
}

const fn version(version: Version) -> &'static str {
    match version {
        Version::V3 => "3.1",
        Version::V4 => "3.1.1",
        Version::V5 => "5.0",
    }
}

fn client_detail(detail: &ClientDetail) -> Value {
    let mut value = client(&detail.row);
    let expiry = detail.session_expiry_interval;
    value["connection"] = detail.connection.as_ref().map_or(Value::Null, connection);
    value["session"] = json!({
        "expiry_interval_seconds": (expiry < u32::MAX).then_some(expiry),
        "expires_in_seconds": detail.expires_in_secs,
        "mount_point": detail.mount_point,
        "queued_bytes": detail.queued_bytes,
        "incoming_qos2": detail.incoming,
        "will_topic": detail.will_topic,
        "memory_bytes": detail.footprint,
    });
    value
}

fn connection(connection: &ConnectionDetail) -> Value {
    json!({
        "number": connection.conn.0,
        "peer": connection.peer.to_string(),
        "keep_alive_seconds": connection.keep_alive,
        "idle_seconds": connection.idle_secs,
        "paused": connection.paused,
        "receive_maximum": connection.receive_maximum,
    })
}

fn subscription(row: &SubscriptionRow) -> Value {
    json!({
        "filter": row.filter,
        "qos": row.options.qos.bits(),
        "no_local": row.options.no_local,
        "retain_as_published": row.options.retain_as_published,
        "retain_handling": row.options.retain_handling as u8,
        "identifier": (row.identifier > 0).then_some(row.identifier),
    })
}

fn message(row: &MessageRow) -> Value {
    json!({
        "packet_id": row.packet_id,
        "waits_for": (!row.waits_for.is_empty()).then_some(row.waits_for),
        "topic": row.topic,
        "qos": row.qos.bits(),
        "retain": row.retain,
        "payload_bytes": row.payload_bytes,
        "age_seconds": row.age_secs,
    })
}

fn retained(row: &RetainedRow) -> Value {
    let whole = row.payload.len() as u64 == row.payload_bytes;
    let text = std::str::from_utf8(&row.payload).ok().filter(|_| whole);
    json!({
        "topic": row.topic,
        "qos": row.qos.bits(),
        "payload_bytes": row.payload_bytes,
        "payload": text,
        "payload_base64": text.is_none().then(|| to_base64(&row.payload)),
        "age_seconds": row.age_secs,
        "expires_in_seconds": row.expires_in_secs,
    })
}

/// Pages of one level, as one: what is behind the end of a page that goes on is left to the next,
/// for that page's shard has not been heard on it.
fn merged(first: TopicPage, others: impl Iterator<Item = TopicPage>) -> TopicPage {
    let mut sum = TopicPage { rows: Vec::new(), uncounted: 0, ..first.clone() };
    let mut rows: BTreeMap<String, TopicRow> = BTreeMap::new();
    let mut end: Option<String> = None;
    for page in std::iter::once(first).chain(others) {
        if page.more
            && let Some(last) = page.rows.last()
        {
            end = Some(end.map_or_else(|| last.level.clone(), |end| end.min(last.level.clone())));
        }
        sum.more |= page.more;
        sum.uncounted += page.uncounted;
        sum.counted_micros = sum.counted_micros.max(page.counted_micros);
        for row in page.rows {
            let level = row.level.clone();
            let known = rows
                .entry(level.clone())
                .or_insert_with(|| TopicRow { level, ..TopicRow::default() });
            known.messages += row.messages;
            known.bytes += row.bytes;
            known.topics += row.topics;
            known.is_topic |= row.is_topic;
        }
    }
    sum.rows =
        rows.into_values().filter(|row| end.as_ref().is_none_or(|end| row.level <= *end)).collect();
    sum
}

fn topics(page: &TopicPage) -> Value {
    let seconds = page.counted_micros as f64 / 1_000_000.0;
    let rate = |number: u64| if seconds > 0.0 { number as f64 / seconds } else { 0.0 };
    let row = |row: &TopicRow| {
        json!({
            "level": row.level,
            "is_topic": row.is_topic,
            "topics": row.topics,
            "messages": row.messages,
            "bytes": row.bytes,
            "messages_per_second": rate(row.messages),
            "bytes_per_second": rate(row.bytes),
        })
    };
    json!({
        "levels": page.rows.iter().map(row).collect::<Vec<_>>(),
        "next": page.rows.last().filter(|_| page.more).map(|row| &row.level),
        "counted_seconds": seconds,
        "uncounted_messages": page.uncounted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(levels: &[&str], more: bool) -> TopicPage {
        let row =
            |level: &&str| TopicRow { level: (*level).into(), messages: 1, ..TopicRow::default() };
        TopicPage { rows: levels.iter().map(row).collect(), more, ..TopicPage::default() }
    }

    #[test]
    fn levels_of_several_shards_are_summed_up_to_where_all_were_heard() {
        let pages = [page(&["b", "x"], true), page(&["y"], false)];
        let sum = merged(page(&["a", "b", "c"], true), pages.into_iter());
        let rows: Vec<(&str, u64)> =
            sum.rows.iter().map(|r| (r.level.as_str(), r.messages)).collect();
        assert_eq!(rows, [("a", 1), ("b", 2), ("c", 1)]);
        assert!(sum.more);
    }

    #[test]
    fn the_shard_that_knows_a_client_is_heard_and_listings_go_on_at_the_next() {
        let replies = [(ShardId(0), AdminReply::NoSuchClient), (ShardId(1), AdminReply::Done)];
        assert_eq!(join(replies.into(), 2), Ok("{\"done\":true}\n".into()));
        let none = join([(ShardId(0), AdminReply::NoSuchClient)].into(), 1).unwrap_err();
        assert!(none.status.starts_with("404"));
        let clients = |next| AdminReply::Clients { rows: Vec::new(), next };
        for (shard, place, next) in
            [(0, Some(7), "\"0.7\""), (0, None, "\"1.0\""), (1, None, "null")]
        {
            let joined = join([(ShardId(shard), clients(place))].into(), 2).unwrap();
            assert_eq!(joined, format!("{{\"clients\":[],\"next\":{next}}}\n"));
        }
    }
}
