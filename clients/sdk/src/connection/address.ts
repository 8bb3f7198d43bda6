import { WeirError } from "../errors.js";

/** Parsed address of a node. */
export interface Address {
  /** URL as the caller wrote it, trimmed. */
  readonly url: string;
  readonly origin: string;
  /** Path of the node's Socket.IO endpoint. */
  readonly path: string;
}

const SCHEMES = ["http:", "https:", "ws:", "wss:"];
/** Host with an optional port and path: a URL that lacks a scheme. `mailto:x` does not match. */
const BARE = /^(\[[\da-f:.]+\]|[\w.-]+)(:\d+)?([/?#]|$)/i;
/** Hosts to which browsers allow plain http from pages over https. */
const LOCAL = /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/;

/** Parses an address for {@link connect}. Throws `bad_request`, whose message says what to write instead. */
export function parseAddress(given: unknown): Address {
  const url = given instanceof URL ? given.href : given;
  if (typeof url !== "string" || url.trim() === "") {
    const what = typeof url === "string" ? "empty" : String(url);
    throw wrong(`${what}; write the address of a node, such as "http://localhost:8080"`);
  }
  const text = url.trim();
  const quoted = JSON.stringify(url);
  const page = globalThis.location;
  const relative = text.startsWith("/");
  if (!relative && !/^[a-z][a-z\d+.-]*:\/\//i.test(text) && BARE.test(text)) {
    throw wrong(`${quoted} has no scheme; write "${suggestion(text)}"`);
  }
  if (relative && !page?.origin?.startsWith("http")) {
    const whole = text.startsWith("//") ? `http:${text}` : `http://localhost:8080${text}`;
    throw wrong(`${quoted} is relative, and there is no page to resolve it against; write "${whole}"`);
  }
  const parsed = parse(text, relative ? page.href : undefined);
  if (!parsed) {
    const [, port] = /:(\d+)(?:[/?#]|$)/.exec(text.replace(/^[^/]*\/\//, "")) ?? [];
    throw wrong(
      Number(port) > 65_535
        ? `${quoted} has the port ${port}; the highest port is 65535`
        : `${quoted} is not a URL; write one such as "http://localhost:8080"`,
    );
  }
  const { protocol, hostname, port, origin, pathname } = parsed;
  if (!SCHEMES.includes(protocol)) {
    throw wrong(`${quoted} has the scheme "${protocol.slice(0, -1)}"; Socket.IO needs http or https`);
  }
  if (port === "0") throw wrong(`${quoted} has the port 0, which accepts no connections`);
  const secure = protocol === "https:" || protocol === "wss:";
  if (page?.protocol === "https:" && !secure && !LOCAL.test(hostname)) {
    throw wrong(`${quoted} is not encrypted; browsers forbid that to pages over https; write "https://…"`);
  }
  // Some URLs name the endpoint instead of the node.
  const prefix = pathname.replace(/\/(socket\.io\/?)?$/, "");
  return { url: text, origin, path: `${prefix}/socket.io/` };
}

function parse(text: string, base: string | undefined): URL | undefined {
  try {
    return new URL(text, base);
  } catch {
    return undefined;
  }
}

function wrong(message: string): WeirError {
  return new WeirError("bad_request", `url: ${message}`);
}

/**
 * Suggests a URL with a scheme: http for this machine and for ports other than 443, https for all other
 * names.
 */
function suggestion(bare: string): string {
  const [, host = "", port] = BARE.exec(bare) ?? [];
  const plain = port !== undefined && port !== ":443";
  return `${plain || LOCAL.test(host) ? "http" : "https"}://${bare}`;
}
