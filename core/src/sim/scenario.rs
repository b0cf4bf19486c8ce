//! A seed becomes a run: configuration, clients, what they do, what goes wrong, and at the end a
//! healed network in which everything that was promised must have come true and nothing may be
//! left behind. The same seed is the same run on every target.

use super::model::payload_of;
use super::network::Conditions;
use super::rights::{Rights, user_of};
use super::station::{App, Outgoing, Side};
use super::wire::Cut;
use super::world::World;
use crate::client::{Backoff, CleanStart, Options, WillMessage};
use crate::conf::{BrokerConfig, ListenerConfig};
use crate::engine::Config;
use crate::packet::{QoS, ReasonCode, RetainHandling, SubscriptionOptions, Version};
use crate::rng::Rng;

/// Rounds of one second that a healed world gets to settle.
const SETTLE_ROUNDS: u32 = 900;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Hash of all engine state when everything had settled.
    pub state_hash: u64,
    /// Hash of all engine state at the very end, when all sessions had ended.
    pub final_hash: u64,
    /// Things that happened.
    pub steps: u64,
    /// Messages published.
    pub published: u64,
    /// Messages that applications got.
    pub delivered: u64,
    /// Virtual time, microseconds.
    pub virtual_us: u64,
}

/// A run that broke a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed, which is the whole run.
    pub seed: u64,
    /// What was wrong, first things first.
    pub violations: Vec<String>,
}

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "seed {}: {}", self.seed, self.violations.join("; "))
    }
}

impl core::error::Error for Failure {}

/// Runs a seed.
///
/// # Errors
/// What was wrong.
pub fn run_seed(seed: u64) -> Result<Report, Failure> {
    Run::new(seed).run()
}

/// Runs a seed and replaces engines by their restored snapshots in so many of a thousand turns, in
/// place of the seed's own choice: the run must be the same.
///
/// # Errors
/// What was wrong.
pub fn run_seed_restoring(seed: u64, of_thousand: u64) -> Result<Report, Failure> {
    let mut run = Run::new(seed);
    run.world.set_restores(of_thousand);
    run.run()
}

/// Runs a seed with a journal: the same promises hold, and at any time the records so far amount to
/// what the engines would have to remember.
///
/// # Errors
/// What was wrong.
pub fn run_seed_durable(seed: u64) -> Result<Report, Failure> {
    Run::with(seed, |config| config.broker.persistence = true).run()
}

/// Runs a seed and gives every packet and event as a line.
pub fn trace_seed(seed: u64) -> Vec<String> {
    let mut run = Run::new(seed);
    run.world.set_trace();
    run.play();
    let mut lines = run.world.trace_lines().to_vec();
    lines.extend(run.world.violations().iter().map(|line| format!("VIOLATION {line}")));
    lines
}

/// A run under way. Decisions have a generator of their own, so that what the world draws does not
/// change the plan.
struct Run {
    seed: u64,
    plan: Rng,
    /// Rights have a generator of their own, so that runs without them stay as they are.
    rights_plan: Rng,
    /// Who may do what, in one run of four.
    rights: Option<Rights>,
    world: World,
    clients: u32,
    /// Messages published so far by each client.
    counts: Vec<u32>,
    published: u64,
    empty_footprint: u64,
    /// Payloads that are filled up to these lengths.
    lengths: &'static [usize],
    report: Report,
}

impl Run {
    fn new(seed: u64) -> Self {
        Self::with(seed, |_| {})
    }

    fn with(seed: u64, change: impl FnOnce(&mut Config)) -> Self {
        let mut plan = Rng::new(seed ^ 0x5EED_0F51_6D0D_E5A1);
        let mut config = draw_config(&mut plan);
        change(&mut config);
        let mut rights_plan = Rng::new(seed ^ 0xACCE_5517_B16A_57E5);
        let rights = rights_plan.chance(250).then(|| Rights::draw(&mut rights_plan));
        if let Some(rights) = &rights {
            rights.apply(&mut config);
        }
        let mut world = World::with_config(plan.next_u64(), config);
        world.oracle.set_rights(rights.clone());
        let conditions = draw_conditions(&mut plan);
        world.set_conditions(conditions);
        world.set_restores(*plan.pick(&[0, 10, 100]).unwrap_or(&0));
        // Long payloads in single bytes tell nothing that short ones do not.
        let short = conditions.segment_bytes > 0 && conditions.segment_bytes < 20;
        let lengths: &[usize] = if short { &[0] } else { &[0, 0, 0, 30, 400, 3_000] };
        let clients = u32::try_from(plan.between(2, 5)).unwrap_or(2);
        let empty_footprint = world.footprint();
        let counts = vec![0; clients as usize];
        let report = Report { seed, ..Report::default() };
        let mut run = Self {
            seed,
            plan,
            rights_plan,
            rights,
            world,
            clients,
            counts,
            published: 0,
            empty_footprint,
            lengths,
            report,
        };
        run.make_clients();
        run
    }

    fn run(mut self) -> Result<Report, Failure> {
        self.play();
        self.report.steps = self.world.steps();
        self.report.published = self.published;
        self.report.delivered = self.world.oracle.delivered;
        self.report.virtual_us = self.world.now().0;
        match self.world.violations() {
            [] => Ok(self.report),
            violations => Err(Failure { seed: self.seed, violations: violations.to_vec() }),
        }
    }

    fn play(&mut self) {
        for _ in 0..self.plan.between(10, 60) {
            self.reload_perhaps();
            self.act();
            let pause = *self.plan.pick(&[0, 1, 5, 20, 100, 700, 4000]).unwrap_or(&0);
            let pause = self.plan.between(0, pause);
            self.world.run_for_ms(pause);
            if !self.world.violations().is_empty() {
                return;
            }
        }
        self.settle();
        for node in 0..self.world.nodes.len() {
            self.world.check_image(node);
        }
        let now = self.world.now();
        self.world.oracle.finish(now);
        self.report.state_hash = self.world.state_hash();
        self.clean_up();
        self.report.final_hash = self.world.state_hash();
    }

    fn name(client: u32) -> String {
        format!("c{client}")
    }

    fn make_clients(&mut self) {
        for client in 0..self.clients {
            let mut options = draw_options(&mut self.plan, client);
            if let Some(user) = user_of(&Self::name(client)).filter(|_| self.rights.is_some()) {
                (options.username, options.password) = (Some(user.to_owned()), Some(vec![b'p']));
            }
            let seed = self.plan.next_u64();
            let mut app = App::new(options, seed);
            app.keeps_wants = true;
            self.world.add_station(&Self::name(client), Side::Client(Box::new(app)));
            self.world.client(&Self::name(client)).connect();
        }
    }

    /// Rights and users change, now and then.
    fn reload_perhaps(&mut self) {
        let Some(mut rights) = self.rights.take() else { return };
        if self.rights_plan.chance(120) {
            rights.change(&mut self.rights_plan);
            self.world.set_rights(&rights);
        }
        self.rights = Some(rights);
    }

    /// One thing happens.
    fn act(&mut self) {
        let client = u32::try_from(self.plan.below(u64::from(self.clients))).unwrap_or(0);
        let name = Self::name(client);
        match self.plan.below(100) {
            0..50 => self.publish(client),
            50..68 => self.subscribe(client),
            68..73 => {
                let filter = draw_filter(&mut self.plan);
                self.world.client(&name).unsubscribe(filter);
            }
            73..84 => {
                let cut = draw_cut(&mut self.plan);
                self.world.cut(&name, cut);
            }
            84..89 => {
                let millis = self.plan.between(10, 8_000);
                self.world.client(&name).stall_ms(millis);
            }
            89..93 => {
                let leaves_will = self.plan.chance(200);
                let reason =
                    if leaves_will { ReasonCode::DisconnectWithWill } else { ReasonCode::Success };
                let expiry = self.draw_new_expiry(client);
                self.world.client(&name).disconnect_with(reason, expiry);
            }
            93..96 => {
                self.world.client(&name).connect();
            }
            96..98 => {
                self.world.client(&name).forget().connect();
            }
            98 => {
                self.world.client(&name).drop_connection();
            }
            _ => {
                if self.plan.chance(300) && self.may_restart() {
                    self.world.restart_broker();
                }
            }
        }
    }

    /// What DISCONNECT makes of the Session Expiry Interval, which must not be set anew where CONNECT
    /// had none [MQTT-3.14.2-2].
    fn draw_new_expiry(&mut self, client: u32) -> Option<u32> {
        let Side::Client(app) = &self.world.stations[client as usize].side else { return None };
        let options = &app.options;
        let had_one = options.session_expiry_interval.is_some_and(|secs| secs > 0);
        if !options.version.is_v5() {
            return None;
        }
        let choices: &[_] = if had_one {
            &[None, Some(0), Some(2), Some(120), Some(u32::MAX)]
        } else {
            &[None, Some(0)]
        };
        self.plan.pick(choices).copied().flatten()
    }

    /// A 3.1 client that keeps its session cannot learn that the broker has lost it, and so takes
    /// new messages for old ones: only without such clients the broker may restart.
    fn may_restart(&self) -> bool {
        self.world.stations.iter().all(|station| match &station.side {
            Side::Client(app) => {
                app.options.version != Version::V3 || app.options.clean_start == CleanStart::Always
            }
            Side::Raw(_) => true,
        })
    }

    fn publish(&mut self, client: u32) {
        let burst = *self.plan.pick(&[1, 1, 1, 3, 12]).unwrap_or(&1);
        let topic =
            *self.plan.pick(&["t/1", "t/2", "t/a/b", "r/1", "r/2", "s/1", "s/2"]).unwrap_or(&"t/1");
        let topic = match &self.rights {
            Some(_) if self.rights_plan.chance(200) => {
                *self.rights_plan.pick(&["t/u0", "t/u1", "t/c1", "t/c2"]).unwrap_or(&topic)
            }
            _ => topic,
        };
        let qos = draw_qos(&mut self.plan);
        let retain = topic.starts_with("r/") && self.plan.chance(700);
        let clears = retain && self.plan.chance(150);
        let expiry =
            self.plan.chance(100).then(|| u32::try_from(self.plan.between(1, 5)).unwrap_or(1));
        for _ in 0..burst {
            self.published += 1;
            let payload = if clears {
                Vec::new()
            } else {
                self.counts[client as usize] += 1;
                let len = *self.plan.pick(self.lengths).unwrap_or(&0);
                payload_of((client, self.counts[client as usize]), len)
            };
            let message = Outgoing {
                topic: topic.into(),
                payload,
                qos,
                retain,
                expiry,
                ..Outgoing::default()
            };
            self.world.client(&Self::name(client)).send(message);
        }
    }

    fn subscribe(&mut self, client: u32) {
        let filter = draw_filter(&mut self.plan);
        let mut options = SubscriptionOptions::new(draw_qos(&mut self.plan));
        let mut identifier = None;
        let is_v5 = self.is_v5(client);
        if let Some(rest) = filter.strip_prefix("$share/") {
            // The QoS of a group is one, so that what its members are owed is one.
            options.qos = if rest.starts_with("g1") { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
        } else if is_v5 {
            options.no_local = self.plan.chance(150);
            options.retain_as_published = self.plan.chance(300);
            options.retain_handling = *self
                .plan
                .pick(&[
                    RetainHandling::SendAtSubscribe,
                    RetainHandling::SendIfNew,
                    RetainHandling::DoNotSend,
                ])
                .unwrap_or(&RetainHandling::SendAtSubscribe);
        }
        if is_v5 && self.plan.chance(400) {
            identifier = Some(u32::try_from(self.plan.between(1, 300)).unwrap_or(1));
        }
        self.world.client(&Self::name(client)).subscribe_with(filter, options, identifier);
    }

    fn is_v5(&self, client: u32) -> bool {
        match &self.world.stations[client as usize].side {
            Side::Client(app) => app.options.version.is_v5(),
            Side::Raw(_) => false,
        }
    }

    /// The network heals, everybody connects, and the world runs until nothing is left to do.
    fn settle(&mut self) {
        self.world.heal();
        if let Some(rights) = &mut self.rights {
            rights.settle(&mut self.rights_plan);
            self.world.set_rights(rights);
        }
        for client in 0..self.clients {
            self.world.client(&Self::name(client)).connect();
        }
        for _ in 0..SETTLE_ROUNDS {
            if !self.world.run_until_idle() {
                return;
            }
            let settled = |side: &Side| match side {
                Side::Client(app) => app.is_settled() && app.client.is_connected(),
                Side::Raw(_) => true,
            };
            if self.world.stations.iter().all(|station| settled(&station.side)) {
                return;
            }
            for client in 0..self.clients {
                self.world.client(&Self::name(client)).connect();
            }
            self.world.run_for_ms(1_000);
        }
        for station in &self.world.stations {
            if let Side::Client(app) = &station.side
                && !(app.is_settled() && app.client.is_connected())
            {
                let (name, state) = (&station.name, app.state());
                self.world.oracle.blame(format!("{name} does not settle: {state}"));
            }
        }
    }

    /// Everything ends: the engine must hold nothing then.
    fn clean_up(&mut self) {
        self.world.lift_rights();
        self.world.set_conditions(Conditions::default());
        for topic in self.world.oracle.retained_topics() {
            let message =
                Outgoing { topic, qos: QoS::AtLeastOnce, retain: true, ..Outgoing::default() };
            let clearer = self.world.client("clearer").connect();
            clearer.send(message);
        }
        for client in 0..self.clients {
            let name = Self::name(client);
            self.world.client(&name).disconnect();
            self.world.run_until_idle();
            if let Side::Client(app) = &mut self.world.stations[client as usize].side {
                (app.keeps_wants, app.options.will) = (false, None);
            }
            self.world
                .client(&name)
                .with(|options| {
                    options.clean_start = CleanStart::Always;
                    options.session_expiry_interval = None;
                })
                .connect();
            self.world.run_until_idle();
            self.world.client(&name).disconnect();
        }
        self.world.client("clearer").disconnect();
        self.world.run_for_ms(30_000);
        if self.world.footprint() != self.empty_footprint {
            let (left, empty) = (self.world.footprint(), self.empty_footprint);
            self.world.oracle.blame(format!("{left} bytes are left behind, {empty} at the start"));
        }
        if let Some(at) = self.world.next_timeout() {
            self.world.oracle.blame(format!("a timer is left behind, due at {}", at.0));
        }
        for stats in self.world.all_stats() {
            if (stats.clients_total, stats.subscriptions, stats.retained) != (0, 0, 0) {
                self.world.oracle.blame(format!("counters are left behind: {stats:?}"));
            }
        }
    }
}

fn draw_qos(plan: &mut Rng) -> QoS {
    *plan.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]).unwrap_or(&QoS::AtMostOnce)
}

fn draw_filter(plan: &mut Rng) -> &'static str {
    const FILTERS: [&str; 13] = [
        "t/1",
        "t/2",
        "t/+",
        "t/#",
        "t/a/b",
        "t/+/b",
        "r/1",
        "r/+",
        "r/#",
        "$share/g1/s/#",
        "$share/g1/s/#",
        "$share/g2/s/1",
        "t/1",
    ];
    plan.pick(&FILTERS).copied().unwrap_or("t/1")
}

fn draw_cut(plan: &mut Rng) -> Cut {
    let after_bytes = *plan.pick(&[0, 5, 30, 200, 2_000]).unwrap_or(&0);
    let learns = |plan: &mut Rng| match plan.below(4) {
        0 => None,
        1 => Some(0),
        _ => Some(plan.between(0, 3_000_000)),
    };
    Cut {
        after_bytes: plan.between(0, after_bytes),
        client_learns_us: learns(plan),
        server_learns_us: learns(plan),
    }
}

fn draw_conditions(plan: &mut Rng) -> Conditions {
    let latency_min_us = plan.between(0, 2_000);
    Conditions {
        latency_min_us,
        latency_max_us: latency_min_us + *plan.pick(&[0, 500, 60_000]).unwrap_or(&0),
        segment_bytes: *plan.pick(&[0, 0, 2, 16, 100, 100, 1_500]).unwrap_or(&0),
        window_bytes: *plan.pick(&[1_000, 8_192, 1 << 20]).unwrap_or(&8_192),
    }
}

fn draw_config(plan: &mut Rng) -> Config {
    let output_high_water = *plan.pick(&[500, 4_000, 262_144]).unwrap_or(&4_000);
    let broker = BrokerConfig {
        sys_interval_secs: 0,
        max_inflight_messages: *plan.pick(&[1, 2, 5, 20, 20, 0]).unwrap_or(&20),
        max_inflight_bytes: *plan.pick(&[0, 0, 500]).unwrap_or(&0),
        max_queued_messages: *plan.pick(&[0, 0, 3, 20]).unwrap_or(&0),
        max_queued_bytes: *plan.pick(&[0, 0, 0, 2_000]).unwrap_or(&0),
        queue_qos0_messages: plan.chance(300),
        output_high_water,
        output_low_water: output_high_water / 4,
        turn_budget_bytes: *plan.pick(&[200, 5_000, 1_048_576]).unwrap_or(&5_000),
        ..BrokerConfig::default()
    };
    let listener = ListenerConfig {
        max_topic_alias: *plan.pick(&[0, 2, 10]).unwrap_or(&10),
        max_topic_alias_broker: *plan.pick(&[0, 2, 10]).unwrap_or(&10),
        ..ListenerConfig::default()
    };
    let shards = *plan.pick(&[1, 1, 1, 2, 3]).unwrap_or(&1);
    Config { shards, ..Config::single(broker, vec![listener]) }
}

fn draw_options(plan: &mut Rng, client: u32) -> Options {
    let version =
        *plan.pick(&[Version::V3, Version::V4, Version::V5, Version::V5]).unwrap_or(&Version::V5);
    let v5 = version.is_v5();
    let starts = [CleanStart::Always, CleanStart::First, CleanStart::Never, CleanStart::Never];
    let mut options = Options {
        clean_start: *plan.pick(&starts).unwrap_or(&CleanStart::Never),
        keep_alive: *plan.pick(&[0, 2, 5, 30]).unwrap_or(&5),
        max_inflight: *plan.pick(&[1, 3, 20]).unwrap_or(&20),
        queue_messages: 10_000,
        ping_timeout_ms: 2_000,
        connect_timeout_ms: 5_000,
        reconnect: Some(Backoff { min_ms: 20, max_ms: 2_000 }),
        assign_aliases: *plan.pick(&[0, 1, 3]).unwrap_or(&0),
        ..Options::new(version, &format!("c{client}"))
    };
    if v5 {
        options.session_expiry_interval =
            *plan.pick(&[None, Some(3), Some(60), Some(u32::MAX)]).unwrap_or(&None);
        options.receive_maximum = *plan.pick(&[None, Some(1), Some(2), Some(5)]).unwrap_or(&None);
        options.topic_alias_maximum = *plan.pick(&[None, Some(1), Some(3)]).unwrap_or(&None);
        options.maximum_packet_size = *plan.pick(&[None, None, Some(250)]).unwrap_or(&None);
    }
    if plan.chance(400) {
        options.will = Some(WillMessage {
            topic: (*plan.pick(&["t/1", "r/2", "s/1"]).unwrap_or(&"t/1")).to_owned(),
            payload: payload_of((client, 0), 0),
            qos: draw_qos(plan),
            retain: plan.chance(200),
            delay_interval: *plan.pick(&[None, Some(1), Some(10)]).unwrap_or(&None),
            ..WillMessage::default()
        });
    }
    options
}
