//! What clients were promised, from end to end: what they asked for, what was acknowledged to them
//! and what they received. It never looks into a broker; after a crash it is all that counts.

use crate::packet::QoS;
use crate::time::Instant;
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
    /// By client: how it came.
    received: BTreeMap<usize, Arrivals>,
    owed: BTreeSet<usize>,
    owed_to_group: bool,
    /// It is published, its publisher is told so, and it lasts so many seconds.
    begun: Instant,
    taken: Option<Instant>,
    expiry: Option<u32>,
    /// Subscribers by QoS 0 that were away, for whom it waits; and those it is owed to.
    waits_for: Vec<(usize, u64)>,
    owed_once: BTreeSet<usize>,
}

impl Sent {
    /// Whether it may have expired by now.
    fn may_be_old(&self, now: Instant) -> bool {
        self.expiry.is_some_and(|secs| now >= self.begun.plus_secs(u64::from(secs)))
    }

    /// Whether it has expired by then, a second aside.
    fn is_old(&self, then: Instant) -> bool {
        let (Some(secs), Some(taken)) = (self.expiry, self.taken) else { return false };
        then > taken.plus_secs(u64::from(secs) + 1)
    }
}

/// How a message came to one client.
#[derive(Clone, Copy, Debug, Default)]
struct Arrivals {
    count: u32,
    /// It came by QoS 2: then it may not come again, by whatever QoS.
    exactly: bool,
    /// Power losses before it came last, and its place among all arrivals.
    losses: u32,
    place: u64,
    /// Something told a client that the broker had stored it, before the power went.
    is_stored: bool,
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
    /// How often the power went.
    losses: u32,
    /// Arrivals at all clients.
    arrivals: u64,
    /// By client: the arrivals before the last answer to it since the power went.
    answered: BTreeMap<usize, u64>,
    /// Messages of QoS 0 wait for sessions.
    pub(super) queues_qos_0: bool,
    /// Clients that have no connection, as both ends know.
    pub(super) away: BTreeSet<usize>,
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

    /// The client's session is over, or may be, and nothing of it is owed any more.
    pub(super) fn session_over(&mut self, client: usize, standing: Standing) {
        for message in &mut self.sent {
            message.owed.remove(&client);
            message.owed_once.remove(&client);
        }
        self.all_stand(client, standing);
    }

    /// The client comes back: what is published from now on may be sent to it at once, and be lost.
    pub(super) fn comes(&mut self, client: usize) {
        self.away.remove(&client);
        for message in &mut self.sent {
            message.waits_for.retain(|(of, _)| *of != client);
        }
    }

    /// The client's connection is over: what came by QoS 0 meanwhile may be lost.
    pub(super) fn unsure_of_qos_0(&mut self, client: usize) {
        for message in &mut self.sent {
            message.owed_once.remove(&client);
        }
    }

    /// The client gives its session up: nothing is owed to it any more.
    pub(super) fn session_given_up(&mut self, client: usize) {
        for message in &mut self.sent {
            message.owed.remove(&client);
            message.owed_once.remove(&client);
        }
        self.group_excused = true;
        self.all_stand(client, Standing::Open);
    }

    /// An application publishes: the number of the message.
    pub(super) fn publish(
        &mut self,
        publisher: usize,
        topic: &str,
        qos: QoS,
        now: Instant,
        expiry: Option<u32>,
    ) -> usize {
        let mut promised = Vec::new();
        let mut waits_for = Vec::new();
        let mut to_group = false;
        for ((client, filter), (standing, epoch)) in &self.standing {
            let Standing::Yes(granted) = standing else { continue };
            if filter == topic && granted.min(&qos) != &QoS::AtMostOnce {
                promised.push((*client, *epoch));
            } else if filter == topic && self.queues_qos_0 && self.away.contains(client) {
                waits_for.push((*client, *epoch));
            }
            // The first client is always a member. Nobody owes a message of QoS 0.
            let owes = qos != QoS::AtMostOnce && topic == GROUP_TOPIC;
            to_group |= *client == 0 && filter == GROUP && owes;
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
            begun: now,
            taken: None,
            expiry,
            waits_for,
            owed_once: BTreeSet::new(),
        });
        self.sent.len() - 1
    }

    /// An application sets (or clears) the retained message of its own topic.
    pub(super) fn retain(
        &mut self,
        publisher: usize,
        topic: &str,
        clears: bool,
        now: Instant,
        expiry: Option<u32>,
    ) -> usize {
        let number = self.publish(publisher, topic, QoS::AtLeastOnce, now, expiry);
        let (values, _) = self.retained.entry(topic.to_owned()).or_default();
        self.retained_at.insert(number, (topic.to_owned(), values.len()));
        values.push((!clears).then_some(number));
        number
    }

    /// The publisher was told that the message is taken.
    pub(super) fn acked(&mut self, number: usize, now: Instant) {
        if let Some((topic, at)) = self.retained_at.get(&number)
            && let Some((_, acked)) = self.retained.get_mut(topic)
        {
            *acked = (*acked).max(at + 1);
        }
        let Some(message) = self.sent.get_mut(number) else { return };
        message.acked = true;
        message.taken = Some(now);
        let (publisher, qos) = (message.publisher, message.qos);
        for (client, epoch) in core::mem::take(&mut message.waits_for) {
            let now = self.standing.get(&(client, message.topic.clone()));
            if now.is_some_and(|(_, now)| *now == epoch) && qos != QoS::AtMostOnce {
                message.owed_once.insert(client);
            }
        }
        for (client, epoch) in &message.promised {
            let now = self.standing.get(&(*client, message.topic.clone()));
            if now.is_some_and(|(_, now)| now == epoch) {
                message.owed.insert(*client);
            }
        }
        message.owed_to_group = message.to_group && !self.group_excused;
        // Nobody answers to QoS 0.
        if qos != QoS::AtMostOnce {
            self.answered(publisher);
        }
    }

    /// The broker answered a client. An answer waits for all records of the client's session: what
    /// came to it before is stored.
    pub(super) fn answered(&mut self, client: usize) {
        self.answered.insert(client, self.arrivals);
    }

    /// The power is gone. What nobody was told to be stored may be forgotten: a publisher that was
    /// not answered sends it again, and by then a QoS 1 subscription may have become one of QoS 2.
    pub(super) fn power_lost(&mut self) {
        for message in &mut self.sent {
            for (client, came) in &mut message.received {
                let answered = self.answered.get(client).copied().unwrap_or(0);
                let told = came.losses == self.losses && came.place <= answered;
                came.is_stored |= told || message.acked;
            }
        }
        self.answered.clear();
        self.losses += 1;
    }

    /// A client received the message with this number. `over` and `since`: when the connection
    /// before was over, and when the one that is now was begun.
    pub(super) fn received(
        &mut self,
        (client, (over, since)): (usize, (Instant, Instant)),
        number: usize,
        topic: &str,
        qos: QoS,
    ) {
        let standing = if topic == GROUP_TOPIC {
            self.standing(client, GROUP)
        } else {
            self.standing(client, topic)
        };
        let Some(message) = self.sent.get_mut(number) else {
            return self.blame(format!("client {client} got message {number} that nobody sent"));
        };
        let exactly = qos == QoS::ExactlyOnce;
        // Nobody has begun to send it to the client while it counted.
        let is_late = over < message.begun && message.is_old(since);
        self.arrivals += 1;
        let came = message.received.entry(client).or_default();
        // By QoS 1 it may come again at any time. It is sent before it is stored: by QoS 2 it may
        // come later only if the power went before the broker had told anybody that it was.
        let known = came.count > 0 && (came.is_stored || came.losses == self.losses);
        let again = came.exactly || exactly && known;
        came.count += 1;
        came.exactly |= exactly;
        (came.losses, came.place) = (self.losses, self.arrivals);
        let (count, step, publisher) = (came.count, message.step, message.publisher);
        let sum: u32 = message.received.values().map(|came| came.count).sum();
        if again {
            self.blame(format!("client {client} got message {number} of QoS 2 {count} times"));
        }
        if is_late {
            self.blame(format!("client {client} got message {number}, which had expired"));
        }
        if exactly {
            // It waited for the records of the session, as an answer does.
            self.answered(client);
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
    pub(super) fn finish(&mut self, now: Instant) {
        let mut wrong = Vec::new();
        for (number, message) in self.sent.iter().enumerate() {
            if message.may_be_old(now) {
                continue;
            }
            for client in message.owed.iter().chain(&message.owed_once) {
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
    pub(super) fn probe(&mut self, found: &BTreeMap<String, usize>, now: Instant) {
        let mut wrong = Vec::new();
        for (topic, (values, acked)) in &self.retained {
            // Before anything was acknowledged nothing may be there, too.
            let mut allowed: Vec<Option<usize>> = values[acked.saturating_sub(1)..].to_vec();
            let may_be_old = |one: &Option<usize>| {
                one.is_some_and(|number| self.sent.get(number).is_some_and(|it| it.may_be_old(now)))
            };
            if *acked == 0 || allowed.iter().any(may_be_old) {
                allowed.push(None);
            }
            allowed.retain(|one| {
                !one.is_some_and(|number| self.sent.get(number).is_some_and(|it| it.is_old(now)))
            });
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

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "t/0";
    const NOW: Instant = Instant(1);
    /// Never was away.
    const HERE: (usize, (Instant, Instant)) = (2, (Instant(u64::MAX), NOW));

    fn with_one_message() -> (Ledger, usize) {
        let mut ledger = Ledger::default();
        ledger.stands(2, TOPIC, Standing::Yes(QoS::AtLeastOnce));
        let number = ledger.publish(1, TOPIC, QoS::ExactlyOnce, NOW, None);
        (ledger, number)
    }

    fn became_exact(ledger: &mut Ledger, number: usize) -> usize {
        ledger.stands(2, TOPIC, Standing::Yes(QoS::ExactlyOnce));
        ledger.received(HERE, number, TOPIC, QoS::ExactlyOnce);
        ledger.violations.len()
    }

    #[test]
    fn what_came_by_qos_1_and_was_not_stored_may_come_by_qos_2_after_a_power_loss() {
        let (mut ledger, number) = with_one_message();
        ledger.received(HERE, number, TOPIC, QoS::AtLeastOnce);
        ledger.power_lost();
        ledger.answered(2);
        assert_eq!(became_exact(&mut ledger, number), 0, "{:?}", ledger.violations);
        ledger.received(HERE, number, TOPIC, QoS::ExactlyOnce);
        assert_eq!(ledger.violations.len(), 1, "and once more it may not");
    }

    #[test]
    fn without_a_power_loss_it_may_not() {
        let (mut ledger, number) = with_one_message();
        ledger.received(HERE, number, TOPIC, QoS::AtLeastOnce);
        assert_eq!(became_exact(&mut ledger, number), 1);
    }

    #[test]
    fn nor_if_an_answer_to_the_subscriber_said_that_it_is_stored() {
        let (mut ledger, number) = with_one_message();
        ledger.received(HERE, number, TOPIC, QoS::AtLeastOnce);
        ledger.answered(2);
        ledger.power_lost();
        ledger.power_lost();
        assert_eq!(became_exact(&mut ledger, number), 1);
    }

    #[test]
    fn nor_if_the_publisher_was_answered() {
        let (mut ledger, number) = with_one_message();
        ledger.received(HERE, number, TOPIC, QoS::AtLeastOnce);
        ledger.acked(number, NOW);
        ledger.power_lost();
        assert_eq!(became_exact(&mut ledger, number), 1);
    }

    #[test]
    fn what_came_by_qos_2_may_come_by_no_qos_again() {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let (mut ledger, number) = with_one_message();
            assert_eq!(became_exact(&mut ledger, number), 0);
            ledger.power_lost();
            ledger.received(HERE, number, TOPIC, qos);
            assert_eq!(ledger.violations.len(), 1);
        }
    }

    #[test]
    fn what_expired_while_nobody_was_there_may_not_come() {
        for (expiry, violations) in [(None, 0), (Some(100), 0), (Some(5), 1)] {
            let mut ledger = Ledger::default();
            ledger.stands(2, TOPIC, Standing::Yes(QoS::AtLeastOnce));
            let number = ledger.publish(1, TOPIC, QoS::AtLeastOnce, NOW, expiry);
            ledger.acked(number, NOW);
            let away = (Instant(0), NOW.plus_secs(7));
            ledger.received((2, away), number, TOPIC, QoS::AtLeastOnce);
            assert_eq!(ledger.violations.len(), violations, "{expiry:?}");
        }
    }

    #[test]
    fn what_waits_by_qos_0_is_owed_until_it_may_have_been_sent() {
        for (comes, violations) in [(false, 1), (true, 0)] {
            let mut ledger = Ledger { queues_qos_0: true, ..Ledger::default() };
            ledger.stands(2, TOPIC, Standing::Yes(QoS::AtMostOnce));
            ledger.away.insert(2);
            let number = ledger.publish(1, TOPIC, QoS::AtLeastOnce, NOW, None);
            if comes {
                ledger.comes(2);
            }
            ledger.acked(number, NOW);
            ledger.finish(NOW);
            assert_eq!(ledger.violations.len(), violations);
        }
    }
}
