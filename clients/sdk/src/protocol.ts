/**
 * Names and shapes of the wire contract. The tests of the SDK and of the nodes read the same fixtures, so a
 * change on one side fails on both.
 */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export type TrackKind = "audio" | "video" | "data";

export const LEAVE_REASONS = ["left", "disconnected", "kicked", "node-lost", "room-closed"] as const;
export type LeaveReason = (typeof LEAVE_REASONS)[number];

/** Properties of a room. */
export interface RoomInfo {
  id: string;
  metadata: Json;
  maxMembers: number;
  /** Milliseconds since the Unix epoch. */
  createdAt: number;
}

/** Wire form of a member. */
export interface WireMember {
  id: string;
  name: string;
  metadata: Json;
  joinedAt: number;
}

/** Properties of a track, as its publisher announces them. */
export interface TrackDescription {
  kind: TrackKind;
  source?: string;
  name?: string;
  codec: string;
  width?: number;
  height?: number;
  frameRate?: number;
  sampleRate?: number;
  channels?: number;
  init?: Uint8Array;
}

/** Wire form of a {@link TrackDescription}: `init` is base64. */
interface WireDescription extends Omit<TrackDescription, "init"> {
  init?: string;
}

/** Wire form of a published track. */
export interface WireTrack extends WireDescription {
  id: number;
  member: string;
  muted: boolean;
}

/** Header of a chunk from its publisher. `ts` and `dur` are integer microseconds on the track's clock. */
export interface SentHeader {
  track: number;
  ts: number;
  key?: true;
  dur?: number;
}

/** Header of a chunk to a subscriber. */
export interface ReceivedHeader {
  track: number;
  seq: number;
  ts: number;
  key?: true;
  dur?: number;
  replay?: true;
}

/** State of a room at one version: the answer to `room:join`. */
export interface Snapshot {
  room: RoomInfo;
  self: WireMember;
  members: WireMember[];
  tracks: WireTrack[];
  version: number;
}

/** Argument and result of each request. */
export interface Requests {
  "room:create": [{ id?: string; metadata?: Json; maxMembers?: number }, { room: RoomInfo }];
  "room:join": [
    { room: string; name?: string; metadata?: Json; autoSubscribe?: boolean; create?: boolean },
    Snapshot,
  ];
  "room:leave": [Record<string, never>, Record<string, never>];
  "member:update": [{ name?: string; metadata?: Json }, { member: WireMember }];
  "track:publish": [WireDescription, { track: WireTrack }];
  "track:update": [
    { track: number; muted?: boolean; codec?: string; width?: number; height?: number; init?: string },
    { track: WireTrack },
  ];
  "track:unpublish": [{ track: number }, Record<string, never>];
  "track:subscribe": [{ track: number }, Record<string, never>];
  "track:unsubscribe": [{ track: number }, Record<string, never>];
  "track:request-keyframe": [{ track: number }, Record<string, never>];
  message: [{ topic?: string; to?: string[]; data: unknown }, Record<string, never>];
}

/** Argument of each event that a node sends, except `media`. */
export interface Notices {
  "member:joined": { member: WireMember; version: number };
  "member:updated": { member: WireMember; version: number };
  "member:left": { id: string; reason: LeaveReason; version: number };
  "track:published": { track: WireTrack; version: number };
  "track:updated": { track: WireTrack; version: number };
  "track:unpublished": { id: number; member: string; version: number };
  "track:keyframe-requested": { track: number };
  "room:updated": { room: RoomInfo; version: number };
  "room:closed": { reason: string };
  message: { from: string; topic?: string; data: unknown };
  "media:gap": { track: number; from: number; to: number; reason: "slow" | "lost" };
  "node:draining": { reconnectInMs: number };
  error: { event?: string; error: { code: string; message: string; retryable: boolean } };
}

/** Names of all {@link Notices}. */
export const NOTICES = [
  "member:joined",
  "member:updated",
  "member:left",
  "track:published",
  "track:updated",
  "track:unpublished",
  "track:keyframe-requested",
  "room:updated",
  "room:closed",
  "message",
  "media:gap",
  "node:draining",
  "error",
] as const satisfies readonly (keyof Notices)[];

/** Limits that the SDK enforces itself: the contract's defaults. */
export const LIMITS = {
  /** Maximum payload of a chunk, in bytes. */
  chunkBytes: 1_048_576,
} as const;

/** Acknowledgement of a request. */
export type Answer<R> =
  | ({ ok: true } & R)
  | { ok: false; error: { code: string; message: string; retryable: boolean } };
