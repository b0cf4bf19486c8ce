//! `$SYS` as a client sees it over time.

mod support;

use halyard_core::packet::{QoS, Version};
use support::{Net, broker_of};

#[test]
fn rounds_stay_where_the_clock_shows_a_multiple_of_the_interval() {
    let mut net = Net::new(1);
    net.pass(3);
    let broker = broker_of("sys_interval 10");
    net.reconfigure_all(|config| config.broker = broker.clone());
    let watcher = net.client(0, "watcher", Version::V5);
    net.subscribe(watcher, "$SYS/broker/uptime", QoS::AtMostOnce);
    let mut rounds = Vec::new();
    for second in 3..=45 {
        let before = net.now;
        net.now.0 += 1_000_000 - before.0 % 1_000_000;
        net.turn();
        if net.read(watcher).iter().any(|packet| packet.contains("seconds")) {
            rounds.push(second + 1);
        }
        // The turn came a little late.
        net.now.0 += 1_300;
        net.turn();
    }
    assert_eq!(rounds[rounds.len() - 4..], [10, 20, 30, 40], "{rounds:?}");
}
