//! What this engine would have to remember if it ended now, as an image (DESIGN §5.4): the same that
//! its records amount to, which the simulator checks. It changes nothing.

use super::Broker;
use super::durable::delivery_op;
use crate::journal::{
    DeliveryImage, FlightImage, Held, RetainedImage, SessionImage, ShardImage, WillImage,
    encode_body,
};
use crate::message::Message;
use crate::session::{Delivery, InFlightState, Session};
use std::collections::BTreeMap;

type Messages = BTreeMap<u64, Held<Box<[u8]>>>;

impl Broker {
    /// What outlives the process.
    pub(crate) fn image(&self) -> ShardImage<Box<[u8]>> {
        let mut image = ShardImage::default();
        for (_, session) in self.sessions.iter() {
            let number = session.recorded.number.max(session.recorded.will);
            if number > 0 {
                let one = self.session_image(session, &mut image.messages);
                image.sessions.insert(number, one);
            }
        }
        let own = self.config.shard;
        for (message, expires, stamp) in self.retained.entries() {
            if stamp.shard == own && self.durable.keeps(&message.topic) {
                self.hold(&mut image.messages, message);
                let entry = RetainedImage {
                    message: message.number,
                    expires: expires.map(|at| self.durable.wall(at)),
                    stamp: stamp.op(),
                };
                image.retained.insert(message.topic.clone(), entry);
            }
        }
        for (topic, stamp) in self.links.tombstones() {
            if stamp.shard == own && !self.retained.has(topic) && self.durable.keeps(topic) {
                image.tombstones.insert(topic.into(), stamp.op());
            }
        }
        for (peer, outbox) in self.links.by_peer() {
            if outbox.mark > 0 {
                image.marks.insert(peer.0, outbox.mark);
            }
            for (seq, forward) in &outbox.kept {
                self.hold(&mut image.messages, &forward.message);
                image.outbox.entry(peer.0).or_default().push_back(forward.image(*seq));
            }
        }
        image
    }

    fn hold(&self, messages: &mut Messages, message: &Message) {
        let held = messages.entry(message.number).or_insert_with(|| Held {
            body: encode_body(message).into(),
            received: self.durable.wall(message.received),
            interval: message.interval(),
            uses: 0,
        });
        held.uses += 1;
    }

    fn delivery_image(&self, delivery: &Delivery, messages: &mut Messages) -> DeliveryImage {
        self.hold(messages, &delivery.message);
        let op = delivery_op(delivery);
        DeliveryImage {
            message: op.message,
            qos: op.qos,
            retain: op.retain,
            ids: op.ids,
            group: op.group.map(Into::into),
        }
    }

    fn session_image(&self, session: &Session, messages: &mut Messages) -> SessionImage {
        let mut image = SessionImage {
            client_id: (*session.client_id).into(),
            username: session.username.clone(),
            is_owned: session.is_owned,
            version: session.version,
            listener: (*session.listener_name).into(),
            mount: session.mount.as_deref().map(Into::into),
            expiry: session.expiry_interval,
            rights: session.claims.as_ref().map(|claims| claims.text().into()),
            attached: session.attached.is_some(),
            expires: session.expires.map(|at| self.durable.wall(at)),
            will_due: session.will_due.map(|at| self.durable.wall(at)),
            will: session.will.as_ref().map(|will| WillImage {
                delay: will.delay_secs,
                interval: will.message.interval(),
                body: encode_body(&will.message).into(),
            }),
            subscriptions: BTreeMap::new(),
            incoming: std::collections::BTreeSet::new(),
            inflight: std::collections::VecDeque::new(),
            queue: std::collections::VecDeque::new(),
        };
        if session.recorded.number == 0 {
            return image;
        }
        for (filter, subscription) in &session.subscriptions {
            let value = (subscription.options.bits(), subscription.identifier);
            image.subscriptions.insert(filter.clone(), value);
        }
        image.incoming = session.incoming.ids().collect();
        for flight in session.outgoing.iter() {
            let delivery = match &flight.state {
                InFlightState::Publish1(delivery) | InFlightState::Publish2(delivery) => {
                    Some(self.delivery_image(delivery, messages))
                }
                InFlightState::Released => None,
            };
            image.inflight.push_back(FlightImage { id: flight.id, delivery });
        }
        let queue = session.queue.iter();
        image.queue = queue.map(|delivery| self.delivery_image(delivery, messages)).collect();
        image
    }
}
