/** Loads the compiled core, once for the whole page. */
import init, { Broker, Client, reasonName, version } from './halyard_wasm.js';

let loading;
let loaded = false;

/**
 * Loads the core. Needs no call: brokers and clients do it themselves. With `source`, from there:
 * a URL, a Response, bytes or a compiled module.
 */
export function load(source) {
  loading ??= init(source === undefined ? undefined : { module_or_path: source }).then(() => {
    loaded = true;
  });
  return loading;
}

/** Whether the core is there. */
export function isLoaded() {
  return loaded;
}

export { Broker as CoreBroker, Client as CoreClient, reasonName, version };

/** A seed nobody chose. */
export function randomSeed() {
  return crypto.getRandomValues(new BigUint64Array(1))[0];
}
