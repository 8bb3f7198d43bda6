import type { Room } from "@weir/sdk";
import { useEffect, useState } from "preact/hooks";
import type { Choices } from "./devices/choices";
import { Ended } from "./entry/ended";
import { Entry } from "./entry/entry";
import type { Failure } from "./failures";
import { RoomPage } from "./room/room-page";
import { currentRoute, go, type Route } from "./route";

/** Page that is shown: before, in, or after a room. */
type Place =
  | { at: "entry" }
  | { at: "room"; room: Room; choices: Choices }
  | { at: "ended"; why: Failure | undefined };

/** The whole app. */
export function App() {
  const route = useRoute();
  const [place, setPlace] = useState<Place>({ at: "entry" });

  // The browser's back button leaves the room.
  const id = place.at === "room" ? place.room.info?.id : undefined;
  useEffect(() => {
    if (place.at === "room" && id !== undefined && id !== route.room) {
      place.room.close();
      setPlace({ at: "entry" });
    }
  }, [route.room, id, place]);

  switch (place.at) {
    case "entry":
      return (
        <Entry
          key={route.room}
          route={route}
          entered={(room, choices, entered) => {
            setPlace({ at: "room", room, choices });
            if (entered.room !== route.room || entered.key !== route.key) go(entered);
          }}
        />
      );
    case "room":
      return (
        <RoomPage
          room={place.room}
          choices={place.choices}
          encrypted={route.key !== undefined}
          ended={(why) => setPlace({ at: "ended", why })}
        />
      );
    case "ended":
      return (
        <Ended
          why={place.why}
          again={() => setPlace({ at: "entry" })}
          start={() => {
            go({ room: undefined, key: undefined });
            setPlace({ at: "entry" });
          }}
        />
      );
  }
}

/** Returns the route of the page's address, kept up to date. */
function useRoute(): Route {
  const [route, setRoute] = useState<Route>(currentRoute);
  useEffect(() => {
    const changed = () => setRoute(currentRoute());
    addEventListener("popstate", changed);
    addEventListener("hashchange", changed);
    return () => {
      removeEventListener("popstate", changed);
      removeEventListener("hashchange", changed);
    };
  }, []);
  return route;
}
