import { aesGcm, connect, importKey, type Room } from "@weir/sdk";
import { nodeUrl, type Route } from "../route";

/**
 * Connects and joins a room, after creating it if the route names none. Returns the room and its id. Throws
 * `TypeError` if the route's key is invalid.
 */
export async function enterRoom({ room: wanted, key }: Route, name: string): Promise<[Room, string]> {
  const transform = key === undefined ? {} : { transform: aesGcm(await importKey(key)) };
  const room = await connect(nodeUrl(), transform);
  try {
    const id = wanted ?? (await room.create()).id;
    // "return": a mistyped link creates no room, but a call survives a restart of its node.
    await room.join(id, { name: name || "Guest", create: "return" });
    return [room, id];
  } catch (error) {
    room.close();
    throw error;
  }
}
