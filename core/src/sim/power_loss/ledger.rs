//! What clients were promised, from end to end: what they asked for, what was acknowledged to them
//! and what they received. It never looks into a broker; after a crash it is all that counts.

use crate::packet::QoS;
use std::collections::{BTreeMap, BTreeSet};

/// Where a subscription stands for its client. `epoch` is another one after each change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Acknowledged as gone, or never asked for, since this step.
    No(u64),
    /// Asked for or given up, and not acknowledged.
    Open,
    /// Acknowledged.
    Yes(QoS),
}

/// A message that an application published.
#[derive(Clone, Debug)]
struct Sent {
    publisher: usize,
    topic: String,
    qos: QoS,
    step: u64,
    /// Subscribers of then, and the epochs of their subscriptions.
    promised: Vec<(usize, u64)>,
    /// Whether a member of the group was subscribed.
    to_group: bool,
    acked: bool,
    /// By client: how often it came.
    received: BTreeMap<usize, u32>,
    owed: BTreeSet<usize>,
    owed_to_group: bool,
}

/// A will: how often it must have come, and how often it may.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WillCount {
    pub(super) least: u32,
    pub(super) most: u32,
    received: u32,
}

/// The shared subscription of all scenarios, and its topic.
pub(super) const GROUP: &str = "$share/g/s";
pub(super) const GROUP_TOPIC: &str = "s";

/// Everything that was promised.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    pub(super) step: u64,
    sent: Vec<Sent>,
    /// By client and filter: where it stands, and the epoch.
    standing: BTreeMap<(usize, String), (Standing, u64)>,
    epochs: u64,
    /// Last first delivery by receiver, publisher, epoch of the subscription, QoS on both legs and
    /// topic.
    order: BTreeMap<(usize, usize, u64, u8, String), usize>,
    pub(super) wills: BTreeMap<usize, WillCount>,
    /// By topic: every value it was given, in order (`None` = cleared), and how many of them were
    /// acknowledged.
    retained: BTreeMap<String, (Vec<Option<usize>>, usize)>,
    /// By message: its place among the values of its topic.
    retained_at: BTreeMap<usize, (String, usize)>,
    /// Whether a session ended, so that what a group started may be lost.
    pub(super) group_excused: bool,
    pub(super) violations: Vec<String>,
}

impl Ledger {
    pub(super) fn blame(&mut self, what: String) {
        if self.violations.len() < 5 {
            self.violations.push(what);
        }
    }

    pub(super) fn standing(&self, client: usize, filter: &str) -> Standing {
        let found = self.standing.get(&(client, filter.to_owned()));
        found.map_or(Standing::No(0), |(standing, _)| *standing)
    }

    pub(super) fn stands(&mut self, client: usize, filter: &str, standing: Standing) {
        self.epochs += 1;
        self.standing.insert((client, filter.to_owned()), (standing, self.epochs));
    }

    /// Sets all subscriptions of a client.
    pub(super) fn all_stand(&mut self, client: usize, standing: Standing) {
        let filters: Vec<String> = self
            .standing
            .keys()
            .filter(|(of, _)| *of == client)
            .map(|(_, filter)| filter.clone())
            .collect();
        for filter in filters {
            self.stands(client, &filter, standing);
        }
    }

    /// The client gives its session up: nothing is owed to it any more.
    pub(super) fn session_given_up(&mut self, client: usize) {
        for message in &mut self.sent {
            message.owed.remove(&client);
        }
        self.group_excused = true;
        self.all_stand(client, Standing::Open);
    }

    /// An application publishes: the number of the message.
    pub(super) fn publish(&mut self, publisher: usize, topic: &str, qos: QoS) -> usize {
        let mut promised = Vec::new();
        let mut to_group = false;
        for ((client, filter), (standing, epoch)) in &self.standing {
            let Standing::Yes(granted) = standing else { continue };
            if filter == topic && granted.min(&qos) != &QoS::AtMostOnce {
                promised.push((*client, *epoch));
            }
            // The first client is always a member.
            to_group |= *client == 0 && filter == GROUP && topic == GROUP_TOPIC;
        }
        self.sent.push(Sent {
            publisher,
            topic: topic.to_owned(),
            qos,
            step: self.step,
            promised,
            to_group,
            acked: false,
            received: BTreeMap::new(),
            owed: BTreeSet::new(),
            owed_to_group: false,
        });
        self.sent.len() - 1
    }

    /// An application sets (or clears) the retained message of its own topic.
    pub(super) fn retain(&mut self, publisher: usize, topic: &str, clears: bool) -> usize {
        let number = self.publish(publisher, topic, QoS::AtLeastOnce);
        let (values, _) = self.retained.entry(topic.to_owned()).or_default();
        self.retained_at.insert(number, (topic.to_owned(), values.len()));
        values.push((!clears).then_some(number));
        number
    }

    /// The publisher was told that the message is taken.
    pub(super) fn acked(&mut self, number: usize) {
        if let Some((topic, at)) = self.retained_at.get(&number)
            && let Some((_, acked)) = self.retained.get_mut(topic)
        {
            *acked = (*acked).max(at + 1);
        }
        let Some(message) = self.sent.get_mut(number) else { return };
        message.acked = true;
        for (client, epoch) in &message.promised {
            let now = self.standing.get(&(*client, message.topic.clone()));
            if now.is_some_and(|(_, now)| now == epoch) {
                message.owed.insert(*client);
            }
        }
        message.owed_to_group = message.to_group && !self.group_excused;
    }

    /// A client received the message with this number.
    pub(super) fn received(&mut self, client: usize, number: usize, topic: &str, qos: QoS) {
        let standing = if topic == GROUP_TOPIC {
            self.standing(client, GROUP)
        } else {
            self.standing(client, topic)
        };
        let Some(message) = self.sent.get_mut(number) else {
            return self.blame(format!("client {client} got message {number} that nobody sent"));
        };
        let count = message.received.entry(client).or_insert(0);
        *count += 1;
        let (count, step, publisher) = (*count, message.step, message.publisher);
        let sum: u32 = message.received.values().sum();
        if qos == QoS::ExactlyOnce && count > 1 {
            self.blame(format!("client {client} got message {number} of QoS 2 {count} times"));
        }
        let exact_group = topic == GROUP_TOPIC && qos == QoS::ExactlyOnce && !self.group_excused;
        if exact_group && sum > 1 {
            self.blame(format!("the group got message {number} of QoS 2 {sum} times"));
        }
        if let Standing::No(since) = standing
            && since < step
        {
            self.blame(format!(
                "client {client} got message {number} on {topic}, which it is not subscribed to"
            ));
        }
        // What was published before the client subscribed may come once more, from a publisher that
        // was not answered: for the client it is then new.
        let promised = self.sent[number].promised.iter().find(|(to, _)| *to == client);
        if let Some((_, epoch)) = promised
            && count == 1
            && topic != GROUP_TOPIC
        {
            let legs = self.sent[number].qos.bits() * 4 + qos.bits();
            let place = (client, publisher, *epoch, legs, topic.to_owned());
            let last = self.order.insert(place, number);
            if let Some(last) = last.filter(|last| *last > number && qos != QoS::AtMostOnce) {
                self.blame(format!("client {client} got message {number} first after {last}"));
            }
        }
    }

    pub(super) fn will_received(&mut self, of: usize) {
        self.wills.entry(of).or_default().received += 1;
    }

    /// Everything has settled: what was promised has come.
    pub(super) fn finish(&mut self) {
        let mut wrong = Vec::new();
        for (number, message) in self.sent.iter().enumerate() {
            for client in &message.owed {
                if !message.received.contains_key(client) {
                    wrong.push(format!(
                        "message {number} on {} was acknowledged and never reached client {client}",
                        message.topic
                    ));
                }
            }
            let lost = message.owed_to_group && !self.group_excused && message.received.is_empty();
            if lost {
                wrong.push(format!("message {number} was acknowledged and lost by the group"));
            }
        }
        for (client, will) in &self.wills {
            if will.received < will.least || will.received > will.most {
                wrong.push(format!(
                    "the will of client {client} came {} times, not {} to {}",
                    will.received, will.least, will.most
                ));
            }
        }
        for what in wrong {
            self.blame(what);
        }
    }

    /// What a new subscriber found retained: by topic, the number of the message.
    pub(super) fn probe(&mut self, found: &BTreeMap<String, usize>) {
        let mut wrong = Vec::new();
        for (topic, (values, acked)) in &self.retained {
            // Before anything was acknowledged nothing may be there, too.
            let mut allowed: Vec<Option<usize>> = values[acked.saturating_sub(1)..].to_vec();
            if *acked == 0 {
                allowed.push(None);
            }
            let got = found.get(topic).copied();
            if !allowed.contains(&got) {
                wrong.push(format!("{topic} retains {got:?}, not one of {allowed:?}"));
            }
        }
        for what in wrong {
            self.blame(what);
        }
    }
}
