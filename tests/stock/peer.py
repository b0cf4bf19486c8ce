"""A paho-mqtt 2.x client whose answers can be waited for. No check is in here."""

import threading
from dataclasses import dataclass, field

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from harness import HOST, TCP_PORT, WS_PORT, Bell, expect


def properties(packet, **values):
    """Properties of a packet: `properties(PacketTypes.PUBLISH, MessageExpiryInterval=5)`."""
    made = Properties(packet)
    for name, value in values.items():
        setattr(made, name, value)
    return made


@dataclass
class Answer:
    """What came back for a packet of ours."""

    codes: list
    properties: Properties | None = None


@dataclass
class Seen:
    """All that a client has seen."""

    connack: Answer | None = None
    session_present: bool = False
    disconnect: Answer | None = None
    disconnect_packet: bool = False
    messages: list = field(default_factory=list)
    answers: dict = field(default_factory=dict)


class Peer:
    """A client. `connect=` and `will=` take properties as dictionaries."""

    def __init__(self, name, *, version=mqtt.MQTTv5, clean=True, connect=None, will=None,
                 keepalive=60, manual_ack=False, transport="tcp", port=None):
        options = {} if version == mqtt.MQTTv5 else {"clean_session": clean}
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name,
                                  protocol=version, transport=transport, manual_ack=manual_ack,
                                  reconnect_on_failure=False, **options)
        self.version, self.clean, self.keepalive = version, clean, keepalive
        self.port = port or (WS_PORT if transport == "websockets" else TCP_PORT)
        self.connect_properties = connect
        self.seen = Seen()
        self.bell = Bell()
        if will:
            self._set_will(**will)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_message = self._on_message
        self.client.on_publish = self._on_publish
        self.client.on_subscribe = self._on_codes
        self.client.on_unsubscribe = self._on_codes

    def _set_will(self, topic, payload, qos=0, retain=False, **values):
        made = properties(PacketTypes.WILLMESSAGE, **values) if values else None
        self.client.will_set(topic, payload, qos, retain, properties=made)

    def _on_connect(self, _client, _userdata, flags, code, props):
        self.seen.session_present = flags.session_present
        self.seen.connack = Answer([code], props)
        self.bell.ring()

    def _on_disconnect(self, _client, _userdata, flags, code, props):
        self.seen.disconnect = Answer([code], props)
        self.seen.disconnect_packet = flags.is_disconnect_packet_from_server
        self.bell.ring()

    def _on_message(self, _client, _userdata, message):
        self.seen.messages.append(message)
        self.bell.ring()

    def _on_publish(self, _client, _userdata, mid, code, props):
        self.seen.answers[mid] = Answer([code], props)
        self.bell.ring()

    def _on_codes(self, _client, _userdata, mid, codes, props):
        self.seen.answers[mid] = Answer(codes, props)
        self.bell.ring()

    def start(self):
        """Connects, with or without success."""
        options = {}
        if self.version == mqtt.MQTTv5:
            options["clean_start"] = self.clean
            if self.connect_properties:
                options["properties"] = properties(PacketTypes.CONNECT, **self.connect_properties)
        self.seen.connack = self.seen.disconnect = None
        self.client.connect(HOST, self.port, keepalive=self.keepalive, **options)
        self.client.loop_start()
        self.bell.wait("CONNACK", lambda: self.seen.connack or self.seen.disconnect)
        return self

    def __enter__(self):
        self.start()
        expect([code.value for code in self.seen.connack.codes], [0], "the reason code of CONNACK")
        return self

    def __exit__(self, *_):
        if self.client.is_connected():
            self.client.disconnect()
        self.client.loop_stop()

    def leave(self, code=None, **values):
        """Disconnects and waits until it is done."""
        made = properties(PacketTypes.DISCONNECT, **values) if values else None
        if self.version == mqtt.MQTTv5:
            self.client.disconnect(code, made)
        else:
            self.client.disconnect()
        self.bell.wait("the end of the connection", lambda: self.seen.disconnect)
        self.client.loop_stop()

    def vanish(self):
        """Closes the socket without a DISCONNECT."""
        self.client.loop_stop()
        self.client.socket().close()

    def refused(self, what):
        """Waits until the broker has sent a DISCONNECT.

        Its reason code is not checked: paho 2.1 shows it only if the packet has properties too.
        """
        self.bell.wait(f"DISCONNECT for {what}", lambda: self.seen.disconnect)
        expect(self.seen.disconnect_packet, True, f"a DISCONNECT from the broker for {what}")

    def answer(self, mid, what):
        """The answer to the packet with this id."""
        return self.bell.wait(what, lambda: self.seen.answers.pop(mid, None))

    def subscribe(self, filter_, qos=0, options=None, **values):
        """Subscribes; gives the reason code."""
        made = properties(PacketTypes.SUBSCRIBE, **values) if values else None
        if options is not None:
            _, mid = self.client.subscribe(filter_, options=options, properties=made)
        else:
            _, mid = self.client.subscribe(filter_, qos, properties=made)
        return self.answer(mid, f"SUBACK for {filter_}").codes[0].value

    def unsubscribe(self, filter_):
        """Unsubscribes; gives the reason code, which there is only in 5.0."""
        _, mid = self.client.unsubscribe(filter_)
        codes = self.answer(mid, f"UNSUBACK for {filter_}").codes
        return codes[0].value if codes else None

    def publish(self, topic, payload, qos=0, retain=False, **values):
        """Publishes and waits for the end of the exchange; gives its reason code."""
        made = properties(PacketTypes.PUBLISH, **values) if values else None
        info = self.client.publish(topic, payload, qos, retain, properties=made)
        return self.answer(info.mid, f"the end of PUBLISH to {topic}").codes[0].value

    def payloads(self, topic=None):
        """The payloads received, of one topic or all."""
        return [message.payload.decode() for message in list(self.seen.messages)
                if topic is None or message.topic == topic]

    def take(self, count, what="messages"):
        """Waits for messages and gives all received since."""
        self.bell.wait(f"{count} {what}", lambda: len(self.seen.messages) >= count)
        messages, self.seen.messages = self.seen.messages, []
        return messages

    def fence(self, topic, qos=0):
        """Waits until everything that the broker had for this client has come: a message to itself.

        The client must be subscribed to the topic.
        """
        mark = f"fence {threading.get_ident()} {len(self.seen.messages)}"
        self.publish(topic, mark, qos)
        self.bell.wait("the fence", lambda: mark in self.payloads(topic))
        self.seen.messages = [message for message in self.seen.messages
                              if message.payload.decode() != mark]
