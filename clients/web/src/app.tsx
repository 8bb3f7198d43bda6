import type { Room } from "@weir/sdk";
import { useEffect, useState } from "preact/hooks";
import { Ended } from "./ended";
import { Entry } from "./entry/entry";
import type { Choices } from "./entry/use-preview";
import type { Failure } from "./failures";
import { RoomPage } from "./room/room-page";
import { currentRoute, go, type Route } from "./route";

/** Where somebody is: before the door, inside, or out again. */
type Place =
  | { at: "entry" }
  | { at: "room"; room: Room; choices: Choices }
  | { at: "ended"; why: Failure | undefined };

export function App() {
  const [route, setRoute] = useState<Route>(currentRoute);
  const [place, setPlace] = useState<Place>({ at: "entry" });

  useEffect(() => {
    const moved = () => setRoute(currentRoute());
    addEventListener("popstate", moved);
    addEventListener("hashchange", moved);
    return () => {
      removeEventListener("popstate", moved);
      removeEventListener("hashchange", moved);
    };
  }, []);

  // Back in the browser's history leaves the room that one is in.
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
