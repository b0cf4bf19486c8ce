"""paho-mqtt 2.x speaking 3.1.1 and 3.1, over TCP and WebSocket."""

import paho.mqtt.client as mqtt

from harness import check, expect, run
from peer import Peer


def old(name, **options):
    """A 3.1.1 client."""
    options.setdefault("version", mqtt.MQTTv311)
    return Peer(name, **options)


def rights(version, base, transport):
    """Each QoS both ways: a subscriber's granted QoS and a publisher's QoS give the lower one."""
    with old(f"{base}-sub", version=version, transport=transport) as subscriber, \
            old(f"{base}-pub", version=version, transport=transport) as publisher:
        for granted in (0, 1, 2):
            expect(subscriber.subscribe(f"{base}/{granted}/+", granted), granted, "granted QoS")
            for sent in (0, 1, 2):
                publisher.publish(f"{base}/{granted}/{sent}", f"{granted}{sent}", sent)
                [message] = subscriber.take(1)
                expect(message.payload.decode(), f"{granted}{sent}", "payload")
                expect(message.qos, min(granted, sent), "QoS of the delivery")
                expect(message.retain, False, "RETAIN of a live message")


@check
def each_qos_v31(base):
    rights(mqtt.MQTTv31, base[:20], "tcp")


@check
def each_qos_v311(base):
    rights(mqtt.MQTTv311, base, "tcp")


@check
def each_qos_websocket(base):
    rights(mqtt.MQTTv311, base, "websockets")


@check
def wildcards(base):
    with old(f"{base}-sub") as subscriber, old(f"{base}-pub") as publisher:
        for topic_filter in (f"{base}/+/temperature", f"{base}/deep/#"):
            subscriber.subscribe(topic_filter, 1)
        matching = [f"{base}/a/temperature", f"{base}/deep", f"{base}/deep/er/still", f"{base}//temperature"]
        others = [f"{base}/a/humidity", f"{base}/a/temperature/max", f"{base}", f"{base}/deeper"]
        for topic in others + matching:
            publisher.publish(topic, "x", 1)
        expect([message.topic for message in subscriber.take(4)], matching, "topics")


@check
def dollar_topics_need_their_name(base):
    with old(base) as client:
        client.subscribe("+/broker/version", 0)
        client.subscribe("$SYS/broker/version", 0)
        client.subscribe(f"{base}/end", 0)
        client.publish(f"{base}/end", "end")
        messages = client.take(2)
        expect([message.topic for message in messages], ["$SYS/broker/version", f"{base}/end"], "topics")


@check
def retained_is_kept_replaced_and_cleared(base):
    topic = f"{base}/state"
    with old(f"{base}-pub") as publisher:
        publisher.publish(topic, "one", 1, retain=True)
        publisher.publish(topic, "two", 2, retain=True)
        with old(f"{base}-a") as first:
            first.subscribe(topic, 1)
            [message] = first.take(1)
            expect((message.payload, message.qos, message.retain), (b"two", 1, True), "retained")
            publisher.publish(topic, "", 1, retain=True)
            [message] = first.take(1)
            expect((message.payload, message.retain), (b"", False), "the clearing message")
        with old(f"{base}-b") as second:
            second.subscribe(topic, 1)
            second.fence(topic)
            expect(second.payloads(), [], "retained messages after clearing")


@check
def will_on_abrupt_close_only(base):
    topic = f"{base}/status"
    with old(f"{base}-watch") as watcher:
        watcher.subscribe(topic, 1)
        will = {"topic": topic, "payload": "gone", "qos": 1, "retain": True}
        old(f"{base}-a", will={**will, "payload": "must not come"}).start().leave()
        old(f"{base}-b", will=will).start().vanish()
        [message] = watcher.take(1)
        expect((message.payload, message.qos, message.retain), (b"gone", 1, False), "the will")
        with old(f"{base}-late") as late:
            late.subscribe(topic, 0)
            [message] = late.take(1)
            expect((message.payload, message.retain), (b"gone", True), "the retained will")
        watcher.publish(topic, "", 1, retain=True)


@check
def keep_alive_ends_a_silent_client(base):
    topic = f"{base}/status"
    with old(f"{base}-watch") as watcher:
        watcher.subscribe(topic)
        silent = old(f"{base}-silent", keepalive=1, will={"topic": topic, "payload": "silent"})
        silent.start()
        silent.client.loop_stop()
        expect(watcher.take(1)[0].payload, b"silent", "the will of a silent client")
        silent.client.socket().close()


@check
def persistent_session_with_offline_queue(base):
    topics = [f"{base}/{qos}" for qos in (1, 2)]
    with old(f"{base}-pub") as publisher:
        with old(f"{base}-sub", clean=False) as subscriber:
            expect(subscriber.seen.session_present, False, "Session Present at first")
            expect(subscriber.subscribe(f"{base}/+", 2), 2, "granted QoS")
            subscriber.leave()
        for number in range(10):
            for qos, topic in zip((1, 2), topics):
                publisher.publish(topic, str(number), qos)
        with old(f"{base}-sub", clean=False) as subscriber:
            expect(subscriber.seen.session_present, True, "Session Present")
            subscriber.bell.wait("20 messages", lambda: len(subscriber.seen.messages) >= 20)
            for topic in topics:
                expect(subscriber.payloads(topic), [str(n) for n in range(10)], f"order in {topic}")
            subscriber.unsubscribe(f"{base}/+")
        old(f"{base}-sub").start().leave()
        with old(f"{base}-sub", clean=False) as subscriber:
            expect(subscriber.seen.session_present, False, "Session Present after a clean session")


@check
def unacknowledged_messages_come_again(base):
    with old(f"{base}-pub") as publisher:
        with old(f"{base}-sub", clean=False, manual_ack=True) as subscriber:
            subscriber.subscribe(f"{base}/t", 1)
            publisher.publish(f"{base}/t", "again", 1)
            [first] = subscriber.take(1)
            subscriber.vanish()
        with old(f"{base}-sub", clean=False) as subscriber:
            [message] = subscriber.take(1)
            expect((first.dup, message.dup), (False, True), "DUP")
            expect((message.payload, message.mid), (b"again", first.mid), "the message")


@check
def takeover_closes_the_old_connection(base):
    with old(base) as first, old(base) as second:
        first.bell.wait("the old connection's end", lambda: first.seen.disconnect)
        second.subscribe(f"{base}/t")
        second.fence(f"{base}/t")


@check
def overlapping_subscriptions_deliver_once(base):
    with old(base) as client:
        client.subscribe(f"{base}/#", 0)
        client.subscribe(f"{base}/+", 2)
        client.publish(f"{base}/t", "once", 2)
        client.fence(f"{base}/end", 2)
        messages = [(message.payload, message.qos) for message in client.seen.messages]
        expect(messages, [(b"once", 2)], "messages")


@check
def unsubscribe_ends_delivery(base):
    with old(base) as client:
        client.subscribe(f"{base}/a", 1)
        client.subscribe(f"{base}/b", 1)
        client.unsubscribe(f"{base}/a")
        client.publish(f"{base}/a", "no", 1)
        client.fence(f"{base}/b", 1)
        expect(client.payloads(), [], "messages")


@check
def shared_subscription_divides(base):
    with old(f"{base}-1") as first, old(f"{base}-2") as second, old(f"{base}-pub") as publisher:
        for member in (first, second):
            expect(member.subscribe(f"$share/{base}/{base}/+", 1), 1, "granted QoS")
        for number in range(20):
            publisher.publish(f"{base}/t", str(number), 1)
        publisher.bell.wait("20 messages", lambda: len(first.payloads() + second.payloads()) >= 20)
        both = sorted(first.payloads() + second.payloads(), key=int)
        expect(both, [str(n) for n in range(20)], "all messages, each once")
        expect(bool(first.payloads() and second.payloads()), True, "both members got some")


@check
def large_payload(base):
    with old(base) as client:
        client.subscribe(f"{base}/t", 2)
        payload = bytes(range(256)) * 2000
        for qos in (0, 1, 2):
            client.publish(f"{base}/t", payload, qos)
            [message] = client.take(1)
            expect(message.payload == payload, True, f"512,000 bytes with QoS {qos} unchanged")


run("paho2_v3")
