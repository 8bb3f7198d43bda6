/** Address within the app: the start page, or a room. */
export interface Route {
  room: string | undefined;
  /** Key of an end-to-end encrypted room. It is in the URL's fragment, which browsers never send. */
  key: string | undefined;
}

const ROOM_PATH = /^\/room\/([^/]+)\/?$/;

/** Returns the route of the page's address. */
export function currentRoute(): Route {
  return routeOf(new URL(location.href));
}

function routeOf(url: URL): Route {
  const [, room] = url.pathname.match(ROOM_PATH) ?? [];
  const key = new URLSearchParams(url.hash.slice(1)).get("key");
  return { room: room && decodeURIComponent(room), key: key ?? undefined };
}

/** Parses what the user typed to join: a room's id or link. Returns `undefined` for anything else. */
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

/** Returns the address of a route. Keeps the `?node=` of the current page. */
export function address({ room, key }: Route): string {
  const path = room === undefined ? "/" : `/room/${encodeURIComponent(room)}`;
  return `${location.origin}${path}${location.search}${key === undefined ? "" : `#key=${key}`}`;
}

/** Navigates to a route without reloading the page. */
export function go(route: Route): void {
  history.pushState(null, "", address(route));
  dispatchEvent(new PopStateEvent("popstate"));
}

/** Returns the URL of the node: that of `?node=`, or by default the one that served the page. */
export function nodeUrl(): string {
  return new URLSearchParams(location.search).get("node") ?? location.origin;
}
