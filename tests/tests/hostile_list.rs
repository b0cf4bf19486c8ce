//! The list of hostile inputs: each entry with the outcome that it must have and the tests that show
//! it. Every entry has a test, and a test that is named must exist.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// An entry: its number, what comes in, what must come of it, and the tests.
struct Entry {
    number: u32,
    input: &'static str,
    outcome: &'static str,
    tests: &'static [&'static str],
}

const fn entry(
    number: u32,
    input: &'static str,
    outcome: &'static str,
    tests: &'static [&'static str],
) -> Entry {
    Entry { number, input, outcome, tests }
}

const LIST: &[Entry] = &[
    entry(
        1,
        "a first packet that is no CONNECT: each other type, TLS, HTTP, noise",
        "closed without a word, at most 5 bytes held, nothing allocated by Remaining Length",
        &[
            "core/tests/codec_limits.rs::a_stream_that_does_not_begin_with_connect_is_refused_at_its_first_byte",
            "core/tests/conformance_connect.rs::the_first_packet_is_connect",
            "tests/tests/hostile.rs::what_is_no_connect_is_closed_without_a_word",
        ],
    ),
    entry(
        2,
        "a second CONNECT",
        "5.0 DISCONNECT 0x82, 3.1.1 closed",
        &["core/tests/conformance_connect.rs::a_second_connect_is_a_protocol_error"],
    ),
    entry(
        3,
        "a Remaining Length of five bytes",
        "5.0 DISCONNECT 0x81, else closed",
        &["core/tests/codec_malformed.rs::remaining_length"],
    ),
    entry(
        4,
        "a length in more bytes than it needs",
        "5.0 DISCONNECT 0x81, 3.1.1 accepted",
        &["core/tests/codec_malformed.rs::remaining_length"],
    ),
    entry(
        5,
        "a Remaining Length over max_packet_size, a CONNECT over max_connect_size",
        "DISCONNECT 0x95 at the header, nothing allocated",
        &[
            "core/tests/codec_limits.rs::too_large_is_said_at_the_header",
            "core/tests/behaviour_flow.rs::a_packet_over_our_maximum_ends_the_connection",
        ],
    ),
    entry(
        6,
        "256 MB announced, then silence",
        "memory grows with what was received; packet_timeout, DISCONNECT 0x81",
        &[
            "core/tests/codec_limits.rs::memory_follows_received_bytes_not_the_remaining_length",
            "core/tests/hostile.rs::an_announced_packet_takes_what_was_received_and_ends_in_time",
            "tests/tests/hostile.rs::announced_packets_take_no_memory_and_end_in_time",
        ],
    ),
    entry(
        7,
        "type 0; type 15 on 3.1.1",
        "5.0 DISCONNECT 0x81, 3.1.1 closed",
        &["core/tests/codec_malformed.rs::packets_that_may_not_come"],
    ),
    entry(
        8,
        "reserved flags in the fixed header",
        "5.0 DISCONNECT 0x81, 3.1.1 closed",
        &["core/tests/codec_malformed.rs::reserved_flags"],
    ),
    entry(
        9,
        "a body longer or shorter than its fields: every packet cut at every byte",
        "DISCONNECT 0x81 or a wait for the rest; never a panic, never another client",
        &["core/tests/hostile.rs::a_packet_cut_at_any_byte_ends_its_connection_at_most"],
    ),
    entry(
        10,
        "properties: too long, unknown, in the wrong packet, twice",
        "0x81, or 0x82 for twice",
        &[
            "core/tests/codec_malformed.rs::connect_properties",
            "core/tests/codec_malformed.rs::publish_properties",
        ],
    ),
    entry(
        11,
        "a wrong protocol name or level, the reserved Connect Flag",
        "closed; CONNACK 0x84 (3.1.1: 0x01); CONNACK 0x81",
        &[
            "core/tests/codec_malformed.rs::connect_protocol",
            "core/tests/codec_malformed.rs::connect_flags",
            "core/tests/conformance_connect.rs::an_unknown_protocol_level_is_refused",
        ],
    ),
    entry(
        12,
        "Will QoS 3, Will bits without a Will, a Will over the server's maximum",
        "CONNACK 0x81, 0x9B, 0x9A",
        &[
            "core/tests/codec_malformed.rs::connect_flags",
            "core/tests/conformance_connect.rs::a_will_over_the_maximum_qos_is_refused",
            "core/tests/behaviour_listener.rs::retained_messages_may_be_off",
        ],
    ),
    entry(
        13,
        "3.1.1: a password without a user name",
        "closed; legal in 5.0",
        &["core/tests/codec_malformed.rs::connect_flags"],
    ),
    entry(
        14,
        "an empty Client Identifier, one over the limit",
        "3.1.1 without Clean Session CONNACK 0x02 and closed, else assigned; 0x85",
        &[
            "core/tests/conformance_connect.rs::an_empty_client_identifier_is_assigned_or_refused",
            "core/tests/hostile.rs::a_client_identifier_over_the_limit_is_refused_with_its_code",
        ],
    ),
    entry(
        15,
        "NUL, surrogates, overlong forms and 0xFF in strings",
        "0x81; a byte order mark is kept",
        &["core/tests/codec_malformed.rs::strings"],
    ),
    entry(
        16,
        "10,000 User Properties",
        "linear work; over max_user_properties 0x97 or 0x95",
        &["core/tests/hostile.rs::user_properties_are_bounded_in_number"],
    ),
    entry(
        17,
        "packets behind a CONNECT that is refused, or not judged yet",
        "not processed; held back within bounds, then processed",
        &[
            "core/tests/conformance_connect.rs::nothing_after_a_refused_connect_is_processed",
            "core/tests/hostile.rs::nothing_is_taken_from_a_connection_that_was_closed",
            "core/tests/behaviour_auth.rs::a_client_with_a_name_waits_for_the_verdict_and_what_it_sent_meanwhile_comes_after",
            "core/tests/behaviour_auth.rs::too_much_behind_a_connect_that_waits_is_refused",
        ],
    ),
    entry(
        18,
        "a client that is silent, or sends a byte a second, or stalls in a handshake",
        "one deadline from the accepted connection on, then closed",
        &[
            "tests/tests/hostile.rs::who_is_slow_to_connect_is_not_waited_for",
            "core/tests/conformance_connect.rs::a_connection_without_connect_is_closed_in_time",
            "tests/tests/websocket.rs::a_request_that_does_not_come_is_not_waited_for",
            "tests/tests/tls.rs::slow_handshakes_end_and_others_are_served_meanwhile",
            "tests/tests/tls.rs::a_slow_websocket_has_one_deadline_without_tls_too",
        ],
    ),
    entry(
        19,
        "AUTH where it may not be, methods unknown or changed",
        "CONNACK 0x8C, DISCONNECT 0x82, closed",
        &[
            "core/tests/behaviour_auth_exchange.rs::a_method_that_is_not_offered_is_refused",
            "core/tests/behaviour_auth_exchange.rs::auth_before_connect_closes_without_a_word",
            "core/tests/behaviour_auth_exchange.rs::a_renewal_keeps_the_method_and_an_auth_that_nothing_asked_for_is_an_error",
            "core/tests/behaviour_auth_exchange.rs::the_method_stays_the_same_during_an_exchange",
            "core/tests/conformance_connect.rs::auth_without_a_method_in_connect_is_a_protocol_error",
        ],
    ),
    entry(
        20,
        "Receive Maximum 0, Maximum Packet Size 0",
        "CONNACK 0x82",
        &["core/tests/codec_malformed.rs::connect_properties"],
    ),
    entry(
        21,
        "takeover by another user",
        "CONNACK 0x87, the old session untouched; the same user: 0x8E",
        &[
            "core/tests/behaviour_auth.rs::a_session_belongs_to_the_user_that_made_it",
            "core/tests/behaviour_auth.rs::the_same_user_takes_his_session_over_and_anybody_an_anonymous_one",
            "core/tests/conformance_connect.rs::takeover_disconnects_the_old_connection",
        ],
    ),
    entry(
        22,
        "a storm of takeovers of one Client Identifier",
        "nothing is left behind; over the rate CONNACK 0x9F",
        &[
            "core/tests/hostile.rs::a_storm_of_takeovers_leaves_nothing_behind",
            "core/tests/behaviour_limits.rs::two_clients_of_one_name_do_not_chase_each_other_without_end",
        ],
    ),
    entry(
        23,
        "QoS 3, DUP with QoS 0, Packet Identifier 0",
        "DISCONNECT 0x81",
        &["core/tests/codec_malformed.rs::publish_header"],
    ),
    entry(
        24,
        "an empty topic without alias, a wildcard, a topic below $share",
        "DISCONNECT 0x82, 0x90, 0x90",
        &[
            "core/tests/codec_malformed.rs::publish_topic",
            "core/tests/conformance_publish.rs::a_bad_topic_ends_the_connection",
        ],
    ),
    entry(
        25,
        "Topic Alias 0, over the maximum, unset, from before a reconnect",
        "DISCONNECT 0x94, 0x94, 0x82, 0x82",
        &[
            "core/tests/conformance_publish.rs::topic_aliases_of_the_client_hold_for_its_connection",
            "core/tests/behaviour_flow.rs::aliases_of_a_client_stand_for_topics",
            "core/tests/codec_malformed.rs::publish_properties",
        ],
    ),
    entry(
        26,
        "a Subscription Identifier from a client, a Response Topic with a wildcard",
        "DISCONNECT 0x82, in a Will CONNACK 0x82",
        &[
            "core/tests/codec_malformed.rs::publish_properties",
            "core/tests/conformance_publish.rs::a_bad_topic_ends_the_connection",
            "core/tests/conformance_connect.rs::wills_with_a_bad_topic_are_refused",
        ],
    ),
    entry(
        27,
        "a topic of 65,535 slashes in PUBLISH, SUBSCRIBE, Will and retained",
        "no recursion; over max_topic_levels 0x90, SUBACK 0x8F",
        &["core/tests/hostile.rs::a_topic_of_slashes_is_refused_wherever_it_stands"],
    ),
    entry(
        28,
        "more unacknowledged PUBLISH than the Receive Maximum",
        "DISCONNECT 0x93, or counted (receive_maximum_action)",
        &[
            "core/tests/conformance_publish.rs::exceeding_our_receive_maximum_ends_the_connection",
            "core/tests/behaviour_flow.rs::a_client_over_our_receive_maximum_is_disconnected",
        ],
    ),
    entry(
        29,
        "one QoS 2 identifier a million times, or all there are, without PUBREL",
        "PUBREC each, constant memory; bounded by the Receive Maximum",
        &["core/tests/hostile.rs::qos_2_that_is_never_released_takes_constant_memory"],
    ),
    entry(
        30,
        "acknowledgements for unknown identifiers, or of the wrong kind",
        "PUBCOMP 0x92; ignored and counted; DISCONNECT 0x82 for the wrong kind",
        &[
            "core/tests/conformance_publish.rs::a_pubrel_for_an_unknown_identifier_is_answered",
            "core/tests/conformance_publish.rs::acknowledgements_for_unknown_identifiers_change_nothing",
            "core/tests/conformance_publish.rs::an_acknowledgement_of_the_wrong_kind_is_a_protocol_error",
        ],
    ),
    entry(
        31,
        "packets that only a server sends",
        "5.0 DISCONNECT 0x82, 3.1.1 closed",
        &[
            "core/tests/codec_malformed.rs::packets_that_may_not_come",
            "core/tests/hostile.rs::what_only_a_server_sends_ends_the_connection",
        ],
    ),
    entry(
        32,
        "PUBLISH to $SYS and $CONTROL; a flood of retained messages",
        "PUBACK 0x87, dropped; over the limits PUBACK 0x97",
        &[
            "core/tests/conformance_publish.rs::reserved_and_oversized_messages_are_refused",
            "core/tests/hostile.rs::a_flood_of_retained_messages_meets_its_limits",
        ],
    ),
    entry(
        33,
        "the ends of all intervals: expiry, delay, Keep Alive",
        "no overflow; max_keepalive: Server Keep Alive, 3.1.1 CONNACK 0x02",
        &["core/tests/hostile.rs::the_ends_of_every_interval_overflow_nothing"],
    ),
    entry(
        34,
        "a payload that says it is UTF-8 and is not",
        "passed on unchanged",
        &["core/tests/hostile.rs::a_payload_that_is_not_what_it_says_passes_unchanged"],
    ),
    entry(
        35,
        "SUBSCRIBE without filters, without options, with reserved bits, QoS 3, Retain Handling 3",
        "DISCONNECT 0x82, 0x81, 0x81, 0x82, 0x82",
        &["core/tests/codec_malformed.rs::subscribe", "core/tests/codec_malformed.rs::unsubscribe"],
    ),
    entry(
        36,
        "No Local on a shared subscription; $share//f, $share/a+/f, $share/g",
        "DISCONNECT 0x82; SUBACK 0x8F",
        &[
            "core/tests/hostile.rs::a_shared_subscription_that_is_none_is_refused_by_itself",
            "core/tests/hostile.rs::a_shared_subscription_takes_no_retained_message_from_a_plain_one",
        ],
    ),
    entry(
        37,
        "filters a/#/b, a+, #a; Subscription Identifier 0",
        "5.0 SUBACK 0x8F, 3.1.1 closed; DISCONNECT 0x82",
        &[
            "core/tests/behaviour_subscribe.rs::each_filter_gets_a_code_of_its_own",
            "core/tests/conformance_subscribe.rs::an_invalid_filter_ends_a_connection_of_3_1_1",
            "core/tests/codec_malformed.rs::subscribe",
        ],
    ),
    entry(
        38,
        "100,000 filters, deep filters, filters of + alone",
        "over max_subscriptions_per_client SUBACK 0x97; work follows what was sent",
        &[
            "core/tests/hostile.rs::a_storm_of_subscriptions_meets_its_limit",
            "core/tests/hostile.rs::a_repeated_subscription_finds_its_replay_however_many_there_are",
        ],
    ),
    entry(
        39,
        "# and +/x beside topics that begin with $",
        "never match",
        &[
            "core/tests/behaviour_subscribe.rs::topics_of_the_server_are_not_matched_by_a_leading_wildcard",
        ],
    ),
    entry(
        40,
        "a subscriber that never reads",
        "QoS 0 dropped, QoS 1 and 2 queued up to the limit, then DISCONNECT 0x97; nobody waits",
        &[
            "core/tests/behaviour_flow.rs::a_client_that_never_reads_is_given_up",
            "core/tests/behaviour_flow.rs::a_slow_reader_loses_qos_0_keeps_qos_1_and_holds_up_nobody",
            "tests/tests/hostile.rs::a_subscriber_that_never_reads_takes_bounded_memory",
        ],
    ),
    entry(
        41,
        "many sessions with large queues, offline",
        "a payload is stored once; limits per user and for memory; expiry frees everything",
        &[
            "tests/tests/hostile.rs::hoarding_sessions_share_what_they_hoard_and_expire",
            "core/tests/behaviour_limits.rs::a_user_has_no_more_sessions_than_he_may",
            "core/tests/behaviour_memory.rs::a_message_counts_once_however_many_wait_for_it",
            "core/tests/behaviour_memory.rs::what_expired_makes_room",
            "tests/tests/limits.rs::resident_memory_follows_the_memory_limit",
        ],
    ),
    entry(
        42,
        "half a packet and no Keep Alive; a flood of PINGREQ",
        "packet_timeout; a rate limit that stops reading for a while",
        &[
            "core/tests/conformance_connect.rs::an_unfinished_packet_is_not_waited_for_without_end",
            "core/tests/conformance_connect.rs::the_keep_alive_ends_a_silent_connection_after_one_and_a_half_times",
            "core/tests/behaviour_limits.rs::who_sends_more_than_his_rate_is_not_read_for_a_while_and_loses_nothing",
            "tests/tests/limits.rs::a_flood_of_a_client_over_its_rate_is_slowed_down_and_complete",
        ],
    ),
    entry(
        43,
        "more connections than there are open files",
        "those there are go on, others wait, accepting resumes; limits per listener and address",
        &[
            "tests/tests/server.rs::at_the_limit_of_open_files_it_serves_on_and_accepts_again_later",
            "tests/tests/server.rs::connections_over_a_limit_are_refused_and_others_stay",
            "tests/tests/limits.rs::one_address_has_its_share_of_connections_alone",
            "tests/tests/limits.rs::who_connects_too_often_is_closed_and_others_are_not",
            "tests/tests/limits.rs::connections_over_the_rate_wait_and_none_is_lost",
        ],
    ),
    entry(
        44,
        "a full or failing disk",
        "no acknowledgement; 0x97 where there is a code; exit 1",
        &[
            "core/tests/journal_bytes.rs::a_failed_write_or_sync_ends_everything",
            "core/tests/journal_bytes.rs::a_full_disk_is_told_while_there_is_room_for_what_is_in_flight",
            "tests/tests/store_disk.rs::on_a_full_disk_what_is_new_is_refused_and_deliveries_go_on_until_there_is_room",
            "tests/tests/store_disk.rs::what_is_acknowledged_on_a_full_disk_makes_room",
            "tests/tests/store_disk.rs::after_a_write_that_failed_nothing_is_acknowledged_and_the_process_ends",
        ],
    ),
    entry(
        45,
        "a right that is revoked",
        "checked again at each delivery: nothing more arrives",
        &[
            "core/tests/behaviour_access.rs::revoked_a_live_delivery_stops",
            "core/tests/behaviour_access.rs::revoked_a_queued_message_is_not_replayed",
            "core/tests/behaviour_access.rs::revoked_a_retained_message_is_not_delivered",
            "core/tests/behaviour_access.rs::revoked_a_qos_2_exchange_past_pubrec_is_completed",
            "core/tests/behaviour_access.rs::revoked_a_shared_delivery_is_not_made_by_the_last_member",
            "core/tests/behaviour_access.rs::revoked_a_will_is_not_published",
        ],
    ),
    entry(
        46,
        "a will that may not be published",
        "the client is let in, the will dropped and counted, and checked again when it fires; $SYS and $CONTROL: CONNACK 0x87",
        &[
            "core/tests/behaviour_access.rs::a_will_that_may_not_be_published_does_not_keep_its_client_out",
            "core/tests/behaviour_access.rs::revoked_a_will_is_not_published",
            "core/tests/conformance_connect.rs::wills_with_a_bad_topic_are_refused",
        ],
    ),
    entry(
        47,
        "+ # / in names that a pattern takes",
        "no substitution, denied",
        &["core/tests/behaviour_access.rs::a_client_with_wildcards_in_its_name_widens_no_pattern"],
    ),
    entry(
        48,
        "shared subscriptions and rights",
        "checked as the inner filter; SUBACK 0x87",
        &[
            "core/tests/behaviour_access.rs::a_subscription_is_refused_filter_by_filter_where_a_denial_covers_it",
            "core/tests/behaviour_access.rs::a_shared_subscription_gives_each_message_to_a_member_who_may_read_it",
        ],
    ),
    entry(
        49,
        "empty and malformed password and ACL files",
        "an empty ACL denies; malformed refuses",
        &[
            "tests/tests/auth.rs::a_bad_password_file_stops_the_start_with_file_and_line",
            "tests/tests/auth.rs::a_reload_disconnects_whose_line_went_and_a_bad_file_changes_nothing",
            "tests/tests/acl.rs::a_file_that_is_missing_or_malformed_stops_the_start_with_file_and_line",
            "tests/tests/acl.rs::an_empty_list_denies_everything",
        ],
    ),
    entry(
        50,
        "credentials that are missing, empty or 64 KiB long",
        "CONNACK 0x86 or 0x87",
        &[
            "tests/tests/auth.rs::hostile_credentials_are_refused_and_harm_nobody",
            "core/tests/behaviour_auth.rs::a_password_without_a_name_and_a_name_without_a_password_are_asked_about",
        ],
    ),
    entry(
        51,
        "an unknown user",
        "the same work and the same answer as a wrong password",
        &["core/tests/behaviour_auth.rs::an_unknown_user_and_a_wrong_password_are_told_the_same"],
    ),
    entry(
        52,
        "a flood of passwords",
        "a bounded queue, CONNACK 0x89 over it; back-off by address",
        &[
            "tests/tests/auth.rs::a_queue_that_is_full_refuses_and_serves_on",
            "tests/tests/auth.rs::who_guesses_waits_and_others_do_not",
            "tests/tests/auth.rs::a_client_that_was_let_in_once_is_not_hashed_again",
        ],
    ),
    entry(
        53,
        "certificates: none, expired, foreign, revoked, odd names; TLS to TCP",
        "refused, closed",
        &[
            "tests/tests/tls.rs::only_good_certificates_get_in_where_they_are_required",
            "tests/tests/tls.rs::the_common_name_is_the_user_name",
            "tests/tests/tls.rs::what_speaks_the_wrong_language_is_closed_and_nobody_else_notices",
            "tests/tests/tls.rs::an_expired_list_of_revoked_certificates_lets_nobody_in",
            "tests/tests/tls_version1.rs::what_is_wrong_with_such_a_certificate_keeps_it_out",
            "tests/tests/tls_version1.rs::a_revoked_certificate_of_the_how_to_stays_out",
        ],
    ),
    entry(
        54,
        "WebSocket: wrong subprotocol, text, unmasked, too large, foreign Origin, long head",
        "400, 1003, 1002, 1009, 403, 431",
        &[
            "tests/tests/websocket.rs::a_handshake_needs_a_subprotocol_of_mqtt",
            "tests/tests/websocket.rs::what_is_no_mqtt_over_websocket_is_closed_with_the_right_code",
            "tests/tests/websocket.rs::frames_and_packets_need_not_be_aligned",
            "tests/tests/websocket.rs::websockets_origin_is_kept",
            "tests/tests/hostile.rs::a_long_http_head_is_refused_before_it_is_held",
        ],
    ),
    entry(
        55,
        "PROXY headers from strangers, or malformed; X-Forwarded-For",
        "closed; ignored",
        &[
            "tests/tests/proxy.rs::only_trusted_proxies_are_believed",
            "tests/tests/proxy.rs::a_bad_header_ends_its_connection_and_none_is_waited_for_in_vain",
            "tests/tests/proxy.rs::what_a_request_says_of_its_address_is_not_believed",
        ],
    ),
    entry(
        56,
        "a journal with flipped bits or a torn end",
        "a torn end is cut, damage refuses to start",
        &[
            "core/tests/journal_bytes.rs::a_flipped_bit_is_damage_or_at_most_the_tail_of_a_crash",
            "core/tests/journal_bytes.rs::a_file_cut_anywhere_is_damage_or_at_most_the_tail_of_a_crash",
            "core/tests/journal_bytes.rs::after_an_orderly_end_every_flipped_bit_of_a_record_is_damage",
        ],
    ),
    entry(
        57,
        "files that others may read",
        "warned of when others may read them, as Mosquitto does; refused when others may write them; a journal is refused at once",
        &[
            "tests/tests/auth.rs::a_file_that_others_may_read_is_warned_of_and_one_that_they_may_write_refused",
            "tests/tests/tls.rs::a_private_key_that_others_can_read_is_warned_of",
            "tests/tests/admin.rs::the_file_of_a_token_is_judged_as_one_of_passwords",
            "tests/tests/store.rs::files_are_the_owners_alone_and_refused_when_they_are_not",
        ],
    ),
    entry(
        58,
        "a malicious peer of a bridge or a cluster",
        "there is none: bridges are refused by name, and links never leave the process",
        &["core/tests/conf_diagnostics.rs::a_block_of_a_bridge_or_plug_in_is_refused_once"],
    ),
];

#[test]
fn each_entry_has_an_outcome_and_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut sources = BTreeMap::new();
    for (entry, number) in LIST.iter().zip(1..) {
        assert_eq!(entry.number, number, "the list is whole and in order");
        assert!(!entry.input.is_empty() && !entry.outcome.is_empty());
        assert!(!entry.tests.is_empty(), "entry {number}: {}", entry.input);
        for test in entry.tests {
            let (path, function) = test.split_once("::").expect("path::function");
            let source = sources.entry(path).or_insert_with(|| {
                fs::read_to_string(root.join(path))
                    .unwrap_or_else(|error| panic!("{path}: {error}"))
            });
            let declared = source.contains(&format!("fn {function}("));
            assert!(declared, "entry {number} names {test}, which does not exist");
        }
    }
    assert_eq!(LIST.len(), 58);
}
