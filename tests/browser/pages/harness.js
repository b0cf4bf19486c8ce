/** Hands the package and MQTT.js to the tests, which run their steps in this page. */
import * as halyard from '/halyard/index.js';
import mqtt from '/npm/mqtt/dist/mqtt.esm.js';

await halyard.load();
globalThis.halyard = halyard;
globalThis.mqtt = mqtt;
/** Resolves with the next event of this type. */
globalThis.once = (target, type) =>
  new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));
document.documentElement.dataset.ready = 'yes';
