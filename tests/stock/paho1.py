"""paho-mqtt 1.6.1, used as most applications have used it for years: a class around one client with
callbacks of the first generation, a will set before connecting, a callback for each filter, and
dictionaries published as JSON. Nothing in the class may have to change for this broker.
"""

import json

import paho.mqtt.client as mqtt

from harness import HOST, TCP_PORT, Bell, check, expect, run


class Integration:
    """A client of an application."""

    def __init__(self, client_id=None, username=None, password=None, host=HOST, port=TCP_PORT):
        self.host, self.port = host, port
        self.client_id = client_id or f"mqtt_client_{id(self)}"
        self.client = mqtt.Client(client_id=self.client_id)
        if username and password:
            self.client.username_pw_set(username, password)
        self.events = []
        self.messages = []
        self.bell = Bell()
        self.client.on_connect = self.on_connect
        self.client.on_disconnect = self.on_disconnect
        self.client.on_message = self.on_message
        self.client.on_publish = self.on_publish
        self.client.on_subscribe = self.on_subscribe
        self.client.on_unsubscribe = self.on_unsubscribe

    def _note(self, *event):
        self.events.append(event)
        self.bell.ring()

    def on_connect(self, client, userdata, flags, rc):
        self._note("connect", rc, flags["session present"])

    def on_disconnect(self, client, userdata, rc):
        self._note("disconnect", rc)

    def on_message(self, client, userdata, msg):
        self.messages.append(msg)
        self.bell.ring()

    def on_publish(self, client, userdata, mid):
        self._note("publish", mid)

    def on_subscribe(self, client, userdata, mid, granted_qos):
        self._note("subscribe", *granted_qos)

    def on_unsubscribe(self, client, userdata, mid):
        self._note("unsubscribe")

    def set_last_will(self, topic, payload, qos=0, retain=False):
        self.client.will_set(topic, payload, qos=qos, retain=retain)

    def connect(self):
        self.client.connect(self.host, self.port, 60)
        self.client.loop_start()

    def disconnect(self):
        self.client.loop_stop()
        self.client.disconnect()

    def publish(self, topic, payload, qos=0, retain=False):
        if isinstance(payload, dict):
            payload = json.dumps(payload)
        result = self.client.publish(topic, payload, qos=qos, retain=retain)
        result.wait_for_publish()

    def subscribe(self, topic, qos=0, callback=None):
        if callback:
            self.client.message_callback_add(topic, callback)
        self.client.subscribe(topic, qos=qos)

    def unsubscribe(self, topic):
        self.client.unsubscribe(topic)

    # For the checks alone.

    def wait_event(self, *event):
        self.bell.wait(f"the callback {event}", lambda: event in self.events)

    def wait_messages(self, count):
        self.bell.wait(f"{count} messages", lambda: len(self.messages) >= count)

    def __enter__(self):
        self.connect()
        self.wait_event("connect", 0, 0)
        return self

    def __exit__(self, *_):
        self.disconnect()


@check
def the_guide_as_it_stands(base):
    """Will, connect, subscribe, publish a dictionary: in this order, waiting for nothing."""
    client = Integration(username="user", password="pass")
    client.set_last_will(f"{base}/status/client", "offline", retain=True)
    client.connect()
    client.subscribe(f"{base}/sensors/+/temperature", qos=1)
    client.publish(f"{base}/sensors/room1/temperature", {"value": 22.5, "unit": "C"}, qos=1)
    client.wait_event("connect", 0, 0)
    client.wait_event("subscribe", 1)
    client.wait_messages(1)
    [message] = client.messages
    expect(message.topic, f"{base}/sensors/room1/temperature", "topic")
    expect(json.loads(message.payload.decode()), {"value": 22.5, "unit": "C"}, "payload")
    expect(message.qos, 1, "QoS")
    client.disconnect()
    client.wait_event("disconnect", 0)


@check
def every_callback_at_each_qos(base):
    with Integration(base) as client:
        for qos in (0, 1, 2):
            client.subscribe(f"{base}/{qos}", qos)
            client.wait_event("subscribe", qos)
            client.publish(f"{base}/{qos}", {"qos": qos}, qos)
            client.wait_messages(qos + 1)
            expect(client.messages[qos].qos, qos, "QoS of the delivery")
        client.bell.wait("on_publish", lambda: sum(e[0] == "publish" for e in client.events) == 3)
        client.unsubscribe(f"{base}/1")
        client.wait_event("unsubscribe")
        client.publish(f"{base}/1", "no", 1)
        client.publish(f"{base}/2", "end", 2)
        client.wait_messages(4)
        expect(client.messages[-1].payload, b"end", "the last message")
    client.wait_event("disconnect", 0)


@check
def callbacks_by_filter(base):
    got = []

    def handler(name):
        def callback(client, userdata, msg):
            got.append((name, msg.topic, msg.payload.decode()))
            app.bell.ring()
        return callback

    with Integration(base) as app:
        app.subscribe(f"{base}/sensors/+/temperature", 1, handler("temperature"))
        app.subscribe(f"{base}/alerts/#", 2, handler("alerts"))
        app.subscribe(f"{base}/other")
        topics = [f"{base}/sensors/room1/temperature", f"{base}/sensors/room1/temperature/status",
                  f"{base}/alerts", f"{base}/alerts/critical", f"{base}/other"]
        for topic in topics:
            app.publish(topic, "x", 2)
        app.bell.wait("the callbacks", lambda: len(got) >= 3 and app.messages)
        expect(sorted(got), sorted([("temperature", topics[0], "x"), ("alerts", topics[2], "x"),
                                    ("alerts", topics[3], "x")]), "callbacks")
        expect([message.topic for message in app.messages], [topics[4]], "on_message")
        app.client.message_callback_remove(f"{base}/alerts/#")
        app.publish(topics[3], "y")
        app.wait_messages(2)


@check
def last_will(base):
    topic = f"{base}/status/client"
    seen = []
    with Integration(f"{base}-monitor") as monitor:
        def on_lwt(client, userdata, msg):
            seen.append((msg.payload.decode(), msg.retain))
            monitor.bell.ring()

        monitor.subscribe(f"{base}/status/+", callback=on_lwt)
        monitor.wait_event("subscribe", 0)
        orderly = Integration(f"{base}-orderly")
        orderly.set_last_will(topic, "must not come", qos=1)
        with orderly:
            pass
        lost = Integration(f"{base}-lost")
        lost.set_last_will(topic, "offline", qos=1, retain=True)
        lost.connect()
        lost.wait_event("connect", 0, 0)
        lost.client.loop_stop()
        lost.client.socket().close()
        monitor.bell.wait("the will", lambda: seen)
        expect(seen, [("offline", 0)], "the will")
    with Integration(f"{base}-late") as late:
        late.subscribe(topic)
        late.wait_messages(1)
        expect((late.messages[0].payload, late.messages[0].retain), (b"offline", 1), "retained will")
        late.publish(topic, "", retain=True)


@check
def retained(base):
    topic = f"{base}/config/valve"
    with Integration(f"{base}-a") as client:
        client.publish(topic, {"position": "closed"}, retain=True)
        client.subscribe(topic)
        client.wait_messages(1)
        expect(json.loads(client.messages[0].payload), {"position": "closed"}, "retained payload")
        expect(client.messages[0].retain, 1, "RETAIN")
        client.publish(topic, "", retain=True)
        client.wait_messages(2)
    with Integration(f"{base}-b") as client:
        client.subscribe(topic)
        client.publish(topic, "live")
        client.wait_messages(1)
        expect(client.messages[0].payload, b"live", "the first message after clearing")


@check
def reconnects_by_itself(base):
    with Integration(base) as client:
        client.client.reconnect_delay_set(min_delay=1, max_delay=1)
        # Another client with this identifier takes over; then the old one comes back.
        other = Integration(base)
        other.connect()
        client.bell.wait("on_disconnect", lambda: any(e[0] == "disconnect" for e in client.events))
        other.wait_event("connect", 0, 0)
        other.client.reconnect_delay_set(min_delay=120, max_delay=120)
        client.bell.wait("on_connect", lambda: sum(e[0] == "connect" for e in client.events) == 2)
        client.subscribe(f"{base}/t", 1)
        client.publish(f"{base}/t", "back", 1)
        client.wait_messages(1)
        other.disconnect()


run("paho1")
