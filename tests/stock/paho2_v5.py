"""paho-mqtt 2.x speaking 5.0: each feature that 5.0 added, and each QoS both ways."""

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from harness import MAX_KEEPALIVE, MAX_PACKET_SIZE, QOS_1_PORT, check, expect, run
from peer import Peer


def expired(prober, topic, seconds):
    """Waits until a retained message with this Message Expiry Interval, published now, has expired.

    So the broker's own clock tells that the time is over.
    """
    prober.publish(topic, "probe", 1, retain=True, MessageExpiryInterval=seconds)

    def gone():
        prober.seen.messages.clear()
        prober.subscribe(topic)
        prober.fence(topic)
        return not prober.payloads(topic)

    prober.bell.wait("the expiry of a retained message", gone)


@check
def each_qos(base):
    with Peer(f"{base}-sub") as subscriber, Peer(f"{base}-pub") as publisher:
        for granted in (0, 1, 2):
            expect(subscriber.subscribe(f"{base}/{granted}/+", granted), granted, "granted QoS")
            for sent in (0, 1, 2):
                code = publisher.publish(f"{base}/{granted}/{sent}", f"{granted}{sent}", sent)
                expect(code, 0, "the publisher's reason code")
                [message] = subscriber.take(1)
                expect(message.qos, min(granted, sent), "QoS of the delivery")


@check
def user_properties_and_content_type(base):
    pairs = [("a", "1"), ("b", "2"), ("a", "1"), ("ü", "")]
    with Peer(base) as client:
        client.subscribe(f"{base}/t", 1)
        client.publish(f"{base}/t", "é", 1, UserProperty=pairs, ContentType="text/plain",
                       PayloadFormatIndicator=1)
        props = client.take(1)[0].properties
        expect(props.UserProperty, pairs, "User Properties, in order")
        expect((props.ContentType, props.PayloadFormatIndicator), ("text/plain", 1), "properties")


@check
def message_expiry(base):
    topic = f"{base}/queued"
    session = {"clean": False, "connect": {"SessionExpiryInterval": 100}}
    with Peer(f"{base}-pub") as publisher:
        with Peer(f"{base}-sub", **session) as subscriber:
            subscriber.subscribe(topic, 1)
            subscriber.leave()
        publisher.publish(topic, "short", 1, MessageExpiryInterval=1)
        publisher.publish(topic, "long", 1, MessageExpiryInterval=100)
        publisher.publish(topic, "for ever", 1)
        expired(publisher, f"{base}/probe", 2)
        with Peer(f"{base}-sub", **session) as subscriber:
            first, second = subscriber.take(2)
            expect((first.payload, second.payload), (b"long", b"for ever"), "payloads")
            left = first.properties.MessageExpiryInterval
            expect(50 <= left <= 99, True, f"the expiry that is left, {left}, is less than 100")
            expect(hasattr(second.properties, "MessageExpiryInterval"), False, "an expiry")


@check
def topic_aliases_to_the_broker(base):
    with Peer(base) as client:
        limit = client.seen.connack.properties.TopicAliasMaximum
        expect(limit >= 1, True, "a Topic Alias Maximum")
        client.subscribe(f"{base}/+", 1)
        client.publish(f"{base}/a", "1", 1, TopicAlias=1)
        client.publish("", "2", 1, TopicAlias=1)
        client.publish(f"{base}/b", "3", 1, TopicAlias=1)
        client.publish("", "4", 1, TopicAlias=1)
        topics = [message.topic for message in client.take(4)]
        expect(topics, [f"{base}/{name}" for name in "aabb"], "topics")


@check
def topic_aliases_from_the_broker(base):
    topic = f"{base}/a/rather/long/topic/that/is/worth/an/alias"
    with Peer(f"{base}-sub", connect={"TopicAliasMaximum": 3}) as subscriber, \
            Peer(f"{base}-pub") as publisher:
        subscriber.subscribe(topic, 1)
        for number in range(3):
            publisher.publish(topic, str(number), 1)
        known = {}
        for message in subscriber.take(3):
            alias = getattr(message.properties, "TopicAlias", None)
            if message.topic:
                known[alias] = message.topic
            expect(known.get(alias), topic, "the topic that the alias stands for")
        expect(message.topic, "", "the topic of the last message, replaced by an alias")


@check
def request_and_response(base):
    with Peer(f"{base}-server") as server, Peer(f"{base}-client") as client:
        server.subscribe(f"{base}/request", 1)
        client.subscribe(f"{base}/response", 1)
        client.publish(f"{base}/request", "21", 1, ResponseTopic=f"{base}/response",
                       CorrelationData=b"\x00\xff")
        [request] = server.take(1)
        server.publish(request.properties.ResponseTopic, str(int(request.payload) * 2), 1,
                       CorrelationData=request.properties.CorrelationData)
        [response] = client.take(1)
        expect((response.payload, response.properties.CorrelationData), (b"42", b"\x00\xff"), "response")


@check
def subscription_identifiers(base):
    with Peer(base) as client:
        client.subscribe(f"{base}/#", 1, SubscriptionIdentifier=7)
        client.subscribe(f"{base}/+", 1, SubscriptionIdentifier=268_435_455)
        client.subscribe(f"{base}/t", 1)
        client.publish(f"{base}/t", "x", 1)
        [message] = client.take(1)
        identifiers = sorted(message.properties.SubscriptionIdentifier)
        expect(identifiers, [7, 268_435_455], "Subscription Identifiers")


@check
def no_local(base):
    with Peer(f"{base}-a") as client, Peer(f"{base}-b") as other:
        client.subscribe(f"{base}/t", options=SubscribeOptions(qos=1, noLocal=True))
        client.publish(f"{base}/t", "own", 1)
        other.publish(f"{base}/t", "other", 1)
        expect([message.payload for message in client.take(1)], [b"other"], "messages")


@check
def retain_handling(base):
    topic = f"{base}/state"
    with Peer(base) as client:
        client.publish(topic, "kept", 1, retain=True)

        def received(handling):
            client.seen.messages.clear()
            client.subscribe(topic, options=SubscribeOptions(qos=1, retainHandling=handling))
            client.fence(topic)
            return client.payloads()

        expect(received(SubscribeOptions.RETAIN_DO_NOT_SEND), [], "Retain Handling 2")
        expect(received(SubscribeOptions.RETAIN_SEND_IF_NEW_SUB), [], "Retain Handling 1, again")
        expect(received(SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE), ["kept"], "Retain Handling 0")
        client.unsubscribe(topic)
        expect(received(SubscribeOptions.RETAIN_SEND_IF_NEW_SUB), ["kept"], "Retain Handling 1, new")
        client.publish(topic, "", 1, retain=True)


@check
def retain_as_published(base):
    topic = f"{base}/t"
    with Peer(f"{base}-a") as plain, Peer(f"{base}-b") as exact:
        plain.subscribe(topic, options=SubscribeOptions(qos=1))
        exact.subscribe(topic, options=SubscribeOptions(qos=1, retainAsPublished=True))
        plain.publish(topic, "kept", 1, retain=True)
        expect(plain.take(1)[0].retain, False, "RETAIN")
        expect(exact.take(1)[0].retain, True, "RETAIN as published")
        plain.publish(topic, "", 1, retain=True)


@check
def receive_maximum_of_the_client(base):
    topic = f"{base}/t"
    with Peer(f"{base}-sub", connect={"ReceiveMaximum": 2}, manual_ack=True) as subscriber, \
            Peer(f"{base}-pub") as publisher:
        subscriber.subscribe(topic, 1)
        subscriber.subscribe(f"{base}/fence", 0)
        for number in range(5):
            publisher.publish(topic, str(number), 1)
        subscriber.fence(f"{base}/fence")
        expect(subscriber.payloads(topic), ["0", "1"], "messages before the first PUBACK")
        for count in (3, 4, 5):
            message = subscriber.seen.messages[count - 3]
            subscriber.client.ack(message.mid, message.qos)
            subscriber.bell.wait("the next message", lambda: len(subscriber.seen.messages) >= count)
            subscriber.fence(f"{base}/fence")
            expect(len(subscriber.payloads(topic)), count, "messages after one more PUBACK")


@check
def receive_maximum_of_the_broker(base):
    # Two clients, because paho 2.1 counts wrong where one gets its own QoS 2 messages.
    with Peer(f"{base}-sub") as subscriber, Peer(f"{base}-pub") as publisher:
        window = publisher.seen.connack.properties.ReceiveMaximum
        expect(window, 20, "Receive Maximum")
        subscriber.subscribe(f"{base}/t", 2)
        numbers = [str(number) for number in range(3 * window)]
        mids = [publisher.client.publish(f"{base}/t", number, 2).mid for number in numbers]
        for mid in mids:
            publisher.answer(mid, "PUBCOMP")
        subscriber.bell.wait("all messages", lambda: len(subscriber.seen.messages) >= len(numbers))
        expect(subscriber.payloads(), numbers, "each once, in order")


@check
def session_expiry(base):
    def present(name, **options):
        with Peer(f"{base}-{name}", clean=False, **options) as client:
            found = client.seen.session_present
            client.leave()
            return found

    short, long = {"SessionExpiryInterval": 1}, {"SessionExpiryInterval": 100}
    for name, connect in (("none", None), ("short", short), ("long", long)):
        expect(present(name, connect=connect), False, f"Session Present of a new session ({name})")
    with Peer(f"{base}-changed", clean=False, connect=long) as client:
        client.leave(SessionExpiryInterval=0)
    with Peer(f"{base}-prober") as prober:
        expired(prober, f"{base}/probe", 2)
    for name, found in (("none", False), ("short", False), ("long", True), ("changed", False)):
        expect(present(name), found, f"Session Present of the session '{name}'")


@check
def offline_queue(base):
    session = {"clean": False, "connect": {"SessionExpiryInterval": 100}}
    with Peer(f"{base}-pub") as publisher:
        with Peer(f"{base}-sub", **session) as subscriber:
            subscriber.subscribe(f"{base}/t", 2, SubscriptionIdentifier=3)
            subscriber.vanish()
        for number in range(10):
            publisher.publish(f"{base}/t", str(number), 2, UserProperty=("n", str(number)))
        with Peer(f"{base}-sub", **session) as subscriber:
            expect(subscriber.seen.session_present, True, "Session Present")
            messages = subscriber.take(10)
            expect([message.payload.decode() for message in messages], [str(n) for n in range(10)],
                   "order")
            for number, message in enumerate(messages):
                expect(message.properties.SubscriptionIdentifier, [3], "Subscription Identifier")
                expect(message.properties.UserProperty, [("n", str(number))], "User Property")


@check
def reason_codes(base):
    with Peer(base) as client:
        expect(client.publish(f"{base}/nobody", "x", 1), 0x10, "PUBACK without a subscriber")
        expect(client.unsubscribe(f"{base}/nothing"), 0x11, "UNSUBACK without a subscription")
        expect(client.subscribe(f"{base}/t", 2), 2, "SUBACK")
        expect(client.unsubscribe(f"{base}/t"), 0, "UNSUBACK")
        expect(client.publish(f"{base}/t", "x", 1), 0x10, "PUBACK after UNSUBSCRIBE")
        shared = SubscribeOptions(qos=1, noLocal=True)
        client.client.subscribe(f"$share/g/{base}", options=shared)
        client.refused("No Local on a shared subscription")


@check
def takeover(base):
    with Peer(base) as first, Peer(base):
        first.refused("a takeover")


@check
def will_with_properties(base):
    with Peer(f"{base}-watch") as watcher:
        watcher.subscribe(f"{base}/status", 1)
        will = {"topic": f"{base}/status", "payload": "gone", "qos": 1, "ContentType": "text/plain",
                "UserProperty": ("why", "cable"), "MessageExpiryInterval": 100}
        Peer(f"{base}-a", will=will).start().vanish()
        [message] = watcher.take(1)
        expect((message.payload, message.qos), (b"gone", 1), "the will")
        expect(message.properties.ContentType, "text/plain", "Content Type")
        expect(message.properties.UserProperty, [("why", "cable")], "User Property")
        # DISCONNECT 0x04 asks for the will although the connection ends in order.
        asking = Peer(f"{base}-b", will={"topic": f"{base}/status", "payload": "asked for"}).start()
        asking.leave(ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message"))
        expect(watcher.take(1)[0].payload, b"asked for", "the will after DISCONNECT 0x04")


@check
def will_delay(base):
    session = {"clean": False, "connect": {"SessionExpiryInterval": 100}}

    def will(name):
        return {"topic": f"{base}/{name}", "payload": name, "qos": 1, "WillDelayInterval": 2}

    with Peer(f"{base}-watch") as watcher:
        watcher.subscribe(f"{base}/+", 1)
        Peer(f"{base}-back", will=will("back"), **session).start().vanish()
        with Peer(f"{base}-back", **session):
            Peer(f"{base}-away", will=will("away"), **session).start().vanish()
            # Had it not waited for the delay, it would come before the fence.
            watcher.fence(f"{base}/fence", 1)
            expect(watcher.payloads(), [], "wills before the delay is over")
            expect([message.payload for message in watcher.take(1)], [b"away"], "wills after it")


@check
def server_keep_alive(base):
    with Peer(f"{base}-long", keepalive=MAX_KEEPALIVE + 1) as client:
        value = client.seen.connack.properties.ServerKeepAlive
        expect(value, MAX_KEEPALIVE, "Server Keep Alive")
    with Peer(f"{base}-short", keepalive=MAX_KEEPALIVE) as client:
        named = hasattr(client.seen.connack.properties, "ServerKeepAlive")
        expect(named, False, "Server Keep Alive where the client's own is fine")


@check
def maximum_packet_size_of_the_client(base):
    with Peer(f"{base}-sub", connect={"MaximumPacketSize": 200}) as subscriber, \
            Peer(f"{base}-pub") as publisher:
        subscriber.subscribe(f"{base}/t", 1)
        publisher.publish(f"{base}/t", "x" * 300, 1)
        publisher.publish(f"{base}/t", "small", 1)
        expect([message.payload for message in subscriber.take(1)], [b"small"], "messages")


@check
def maximum_packet_size_of_the_broker(base):
    with Peer(base) as client:
        limit = client.seen.connack.properties.MaximumPacketSize
        expect(limit, MAX_PACKET_SIZE, "Maximum Packet Size")
        client.client.publish(f"{base}/t", b"x" * limit, 0)
        client.refused("a packet above the Maximum Packet Size")


@check
def maximum_qos(base):
    with Peer(base, port=QOS_1_PORT) as client:
        expect(client.seen.connack.properties.MaximumQoS, 1, "Maximum QoS")
        expect(client.subscribe(f"{base}/t", 2), 1, "the granted QoS")
        client.publish(f"{base}/t", "fine", 1)
        expect([message.payload for message in client.take(1)], [b"fine"], "messages")
        client.client.publish(f"{base}/t", "too much", 2)
        client.refused("a PUBLISH above the Maximum QoS")


@check
def assigned_client_identifier(base):
    with Peer("") as first, Peer("") as second:
        names = [client.seen.connack.properties.AssignedClientIdentifier for client in (first, second)]
        expect(all(names) and names[0] != names[1], True, f"two identifiers: {names}")


@check
def shared_subscriptions(base):
    members = [Peer(f"{base}-{n}") for n in (1, 2)]
    with members[0], members[1], Peer(f"{base}-pub") as publisher:
        for number, member in enumerate(members, 1):
            expect(member.subscribe(f"$share/{base}/{base}/#", 2, SubscriptionIdentifier=number), 2,
                   "granted QoS")
        for number in range(20):
            publisher.publish(f"{base}/t", str(number), 2)
        everything = lambda: members[0].payloads() + members[1].payloads()
        publisher.bell.wait("20 messages", lambda: len(everything()) >= 20)
        expect(sorted(everything(), key=int), [str(n) for n in range(20)], "each message once")
        for number, member in enumerate(members, 1):
            expect(member.seen.messages[0].properties.SubscriptionIdentifier, [number], "identifier")
        # Who leaves, leaves what comes next to the others.
        members[0].leave()
        members[1].seen.messages.clear()
        for number in range(5):
            publisher.publish(f"{base}/t", str(number), 1)
        members[1].take(5)


@check
def several_filters_in_one_subscribe(base):
    with Peer(base) as client:
        asked = [(f"{base}/{qos}", SubscribeOptions(qos=qos)) for qos in (0, 1, 2)]
        _, mid = client.client.subscribe(asked)
        codes = [code.value for code in client.answer(mid, "SUBACK").codes]
        expect(codes, [0, 1, 2], "a reason code for each filter")


@check
def unknown_authentication_method(base):
    client = Peer(base, connect={"AuthenticationMethod": "NONE-SUCH"}).start()
    expect(client.seen.connack.codes[0].value, 0x8C, "the reason code of CONNACK")
    client.client.loop_stop()


run("paho2_v5")
