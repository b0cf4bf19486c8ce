"""paho-mqtt of both generations over TLS, on TCP and in a WebSocket: every QoS, a message of many
records, a client certificate, TLS 1.2 alone, and what a client has to refuse.
"""

import os
import ssl

import paho.mqtt.client as mqtt

from harness import HOST, Bell, check, expect, run

FOLDER = os.environ["HALYARD_CERTIFICATES"]
TLS_PORT = int(os.environ["HALYARD_TLS"])
STRICT_PORT = int(os.environ["HALYARD_TLS_STRICT"])
WSS_PORT = int(os.environ["HALYARD_WSS"])
GENERATION = 2 if hasattr(mqtt, "CallbackAPIVersion") else 1


def file(name):
    return os.path.join(FOLDER, name)


class Peer:
    """A client of either generation; `tls` goes to tls_set."""

    def __init__(self, client_id, port, transport="tcp", **tls):
        options = {"client_id": client_id, "transport": transport}
        if GENERATION == 2:
            options["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION2
        self.client = mqtt.Client(**options)
        self.client.tls_set(**{"ca_certs": file("ca.pem"), **tls})
        if transport == "websockets":
            self.client.ws_set_options(path="/mqtt")
        self.bell = Bell()
        self.connected = False
        self.subscribed = False
        self.messages = []
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = self._on_message
        self.port = port

    def _on_connect(self, *_):
        self.connected = True
        self.bell.ring()

    def _on_subscribe(self, *_):
        self.subscribed = True
        self.bell.ring()

    def _on_message(self, _client, _userdata, message):
        self.messages.append(message)
        self.bell.ring()

    def __enter__(self):
        self.client.connect(HOST, self.port, 60)
        self.client.loop_start()
        self.bell.wait("CONNACK", lambda: self.connected)
        return self

    def __exit__(self, *_):
        self.client.disconnect()
        self.client.loop_stop()


def round_trip(base, port, transport="tcp", **tls):
    """Every QoS to itself, then a message that takes many TLS records."""
    with Peer(base, port, transport, **tls) as peer:
        peer.client.subscribe(f"{base}/#", 2)
        peer.bell.wait("SUBACK", lambda: peer.subscribed)
        big = os.urandom(300_000)
        for qos, payload in ((0, b"0"), (1, b"1"), (2, b"2"), (1, big)):
            before = len(peer.messages)
            peer.client.publish(f"{base}/{qos}", payload, qos)
            peer.bell.wait(f"QoS {qos}", lambda before=before: len(peer.messages) > before)
            message = peer.messages[-1]
            expect((message.qos, message.payload == payload), (qos, True), "the delivery")


def refused(client_id, port, **tls):
    """The client does not get as far as a CONNACK."""
    peer = Peer(client_id, port, **tls)
    try:
        peer.client.connect(HOST, port, 60)
        while (code := peer.client.loop(0.1)) == mqtt.MQTT_ERR_SUCCESS:
            if peer.connected:
                raise AssertionError("the connection was accepted")
    except (ssl.SSLError, OSError) as error:
        return type(error).__name__
    return code


@check
def mqtts(base):
    round_trip(base, TLS_PORT)


@check
def wss(base):
    round_trip(base, WSS_PORT, "websockets")


@check
def tls12_alone(base):
    round_trip(base, TLS_PORT, tls_version=ssl.PROTOCOL_TLSv1_2)


@check
def a_client_certificate(base):
    own = {"certfile": file("client.pem"), "keyfile": file("client.key")}
    round_trip(base, STRICT_PORT, **own)


@check
def no_client_certificate(base):
    refused(base, STRICT_PORT)


@check
def an_unknown_authority(base):
    outcome = refused(base, TLS_PORT, ca_certs=file("other.pem"))
    expect(outcome, "SSLCertVerificationError", "what the client says")


run(f"paho{GENERATION}_tls")
