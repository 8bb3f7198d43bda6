import type { WeirError } from "../errors.js";
import type { Member } from "../members/member.js";
import type { JsonObject, LeaveReason, RoomInfo } from "../protocol.js";
import type { LocalTrack } from "../tracks/local-track.js";
import type { RemoteTrack } from "../tracks/remote-track.js";

/**
 * State of a {@link Room}.
 *
 * - `connected`: outside any room
 * - `joined`: in a room
 * - `reconnecting`: connection lost; the SDK reconnects and rejoins the room
 * - `closed`: ended permanently, by `close()`, by `leave()` during a reconnect, or by an error
 */
export type ConnectionState = "connected" | "joined" | "reconnecting" | "closed";

/** Options of {@link Room.join}. */
export interface JoinOptions {
  /** Display name, at most 128 characters. */
  name?: string;
  /** Metadata for the other members: at most 16 KiB of JSON, part of which the SDK uses. */
  metadata?: JsonObject;
  /** Subscribe to every track of the other members. Default true. */
  autoSubscribe?: boolean;
  /**
   * Create the room, with default properties, if it is missing: `true` on every join, `"return"` only on a
   * rejoin after a lost connection. With either value a call survives a restart of a node without Redis,
   * which loses its rooms. `false` rejects with `room_not_found`. Omitted, the node's
   * `rooms.create_on_join` decides.
   */
  create?: boolean | "return";
}

/** Options of {@link Room.send}. */
export interface MessageOptions {
  topic?: string;
  /** Ids of the recipients. Default: all other members. */
  to?: string[];
}

/** Message from another member. */
export interface Message {
  from: Member;
  topic?: string;
  data: unknown;
}

/** Events of a {@link Room}. */
export type RoomEvents = {
  /**
   * State change. `error` is the cause of `closed`, unless `close()` or `leave()` was called, or the cause of
   * `reconnecting`.
   */
  state: [state: ConnectionState, error?: WeirError];
  "member:joined": [member: Member];
  "member:updated": [member: Member];
  "member:left": [member: Member, reason: LeaveReason];
  "track:published": [track: RemoteTrack];
  "track:updated": [track: RemoteTrack];
  "track:unpublished": [track: RemoteTrack];
  "room:updated": [info: RoomInfo];
  /** The room was closed; the connection remains. */
  "room:closed": [reason: string];
  message: [message: Message];
  /** The set of speaking members has changed. The loudest comes first. */
  speakers: [members: readonly Member[]];
  "local:published": [track: LocalTrack];
  "local:updated": [track: LocalTrack];
  /** Emitted after `unpublish()`, and when the track's source has ended. */
  "local:unpublished": [track: LocalTrack];
  /** The browser blocks or unblocks audio. While blocked, call `startAudio()` from a click handler. */
  "audio:blocked": [blocked: boolean];
  /** Failure that no call reports. Emitted at most once a second for each code. */
  error: [error: WeirError];
};
