import type { WeirError } from "../errors.js";
import type { Member } from "../members/member.js";
import type { JsonObject, LeaveReason, RoomInfo } from "../protocol.js";
import type { LocalTrack } from "../tracks/local-track.js";
import type { RemoteTrack } from "../tracks/remote-track.js";

/**
 * - `connected`: in no room
 * - `joined`: in a room
 * - `reconnecting`: the connection was lost; it comes back by itself, into the room it was in
 * - `closed`: for good, by `close()`, by `leave()` while it reconnects, or by an error
 */
export type ConnectionState = "connected" | "joined" | "reconnecting" | "closed";

export interface JoinOptions {
  /** For people; at most 128 characters. */
  name?: string;
  /** Anything; at most 16 KiB as JSON, with some of it for the SDK. */
  metadata?: JsonObject;
  /** Receive every track of the others without asking. Default true. */
  autoSubscribe?: boolean;
  /**
   * Creates a missing room with default values: `true` at each join, `"return"` only when rejoining after a
   * lost connection. A restarted node without Redis has lost its rooms; with either value, former members
   * meet in theirs again. Omitted, the node's `rooms.create_on_join` decides; `false` rejects with
   * `room_not_found`.
   */
  create?: boolean | "return";
}

export interface MessageOptions {
  topic?: string;
  /** Ids of members; everybody else if left out. */
  to?: string[];
}

export interface Message {
  from: Member;
  topic?: string;
  data: unknown;
}

export type RoomEvents = {
  /**
   * Error that ended the room for `closed`, none after `close()` or `leave()`. For `reconnecting`, the error
   * that broke the connection.
   */
  state: [state: ConnectionState, error?: WeirError];
  "member:joined": [member: Member];
  "member:updated": [member: Member];
  "member:left": [member: Member, reason: LeaveReason];
  "track:published": [track: RemoteTrack];
  "track:updated": [track: RemoteTrack];
  "track:unpublished": [track: RemoteTrack];
  "room:updated": [info: RoomInfo];
  /** The room is no more; the connection is. */
  "room:closed": [reason: string];
  message: [message: Message];
  /** Other members speak than before; the loudest first. */
  speakers: [members: readonly Member[]];
  "local:published": [track: LocalTrack];
  "local:updated": [track: LocalTrack];
  /** Also when its source has ended by itself. */
  "local:unpublished": [track: LocalTrack];
  /** Whether the browser wants a click before sound is heard: call `startAudio()` from one. */
  "audio:blocked": [blocked: boolean];
  /** What no call waits for. */
  error: [error: WeirError];
};
