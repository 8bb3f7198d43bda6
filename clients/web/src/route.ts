/** Where the app is: the start page, or a room. */
export interface Route {
  room: string | undefined;
  /** The key of a room that is encrypted from end to end. It stands behind the `#`, which servers never see. */
  key: string | undefined;
}

const ROOM_PATH = /^\/room\/([^/]+)\/?$/;

export function currentRoute(): Route {
  return routeOf(new URL(location.href));
}

function routeOf(url: URL): Route {
  const [, room] = url.pathname.match(ROOM_PATH) ?? [];
  const key = new URLSearchParams(url.hash.slice(1)).get("key");
  return { room: room && decodeURIComponent(room), key: key ?? undefined };
}

/** What somebody typed to join: a room's id, or a link to it; `undefined` if it is neither. */
export function typedRoute(text: string): Route | undefined {
  const typed = text.trim();
  if (/^[A-Za-z0-9_-]+$/.test(typed)) return { room: typed, key: undefined };
  try {
    const route = routeOf(new URL(typed));
    return route.room === undefined ? undefined : route;
  } catch {
    return undefined;
  }
}

/** The address of a route. Another node, where the page was opened with one, stays in it. */
export function address({ room, key }: Route): string {
  const path = room === undefined ? "/" : `/room/${encodeURIComponent(room)}`;
  return `${location.origin}${path}${location.search}${key === undefined ? "" : `#key=${key}`}`;
}

/** Goes there without loading the page again. */
export function go(route: Route): void {
  history.pushState(null, "", address(route));
  dispatchEvent(new PopStateEvent("popstate"));
}

/** The node to connect to: the one that served the page, unless the address names another as `?node=`. */
export function nodeUrl(): string {
  return new URLSearchParams(location.search).get("node") ?? location.origin;
}
