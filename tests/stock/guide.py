"""The Python of docs/clients.md, run as it stands there: an example that does not work is worse than
none. Its own broker address comes from the environment, as the page says.
"""

import os
import pathlib
import re

from harness import TCP_PORT, check, expect, run

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "clients.md"


@check
def the_class_of_the_client_guide_works(base):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    expect(len(blocks), 1, "examples in Python")
    os.environ["MQTT_PORT"] = str(TCP_PORT)
    names = {}
    exec(compile(blocks[0], str(PAGE), "exec"), names)
    expect(names["device"].filters, {"commands/device7/#": 1}, "subscriptions")


run("guide")
