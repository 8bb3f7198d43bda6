/**
 * The wire contract's names and shapes. Tests read the fixtures that the nodes' own tests read, so a
 * change on either side fails on both.
 */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export type TrackKind = "audio" | "video" | "data";

export const LEAVE_REASONS = ["left", "disconnected", "kicked", "node-lost", "room-closed"] as const;
export type LeaveReason = (typeof LEAVE_REASONS)[number];

/** A room as it goes over the wire. `createdAt` is milliseconds since the Unix epoch. */
export interface RoomInfo {
  id: string;
  metadata: Json;
  maxMembers: number;
  createdAt: number;
}

export interface WireMember {
  id: string;
  name: string;
  metadata: Json;
  joinedAt: number;
}

/** What a publisher says of a track. */
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
export interface WireDescription extends Omit<TrackDescription, "init"> {
  init?: string;
}

export interface WireTrack extends WireDescription {
  id: number;
  member: string;
  muted: boolean;
}

/** The header of a chunk from a publisher: `ts` and `dur` in integer microseconds of the track's clock. */
export interface SentHeader {
  track: number;
  ts: number;
  key?: true;
  dur?: number;
}

/** The header of a chunk to a subscriber. */
export interface ReceivedHeader {
  track: number;
  seq: number;
  ts: number;
  key?: true;
  dur?: number;
  replay?: true;
}

export interface Snapshot {
  room: RoomInfo;
  self: WireMember;
  members: WireMember[];
  tracks: WireTrack[];
  version: number;
}

/** Each request's argument and result. */
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

/** Each event from the server, `media` apart, and its argument. */
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

/** The names of {@link Notices}, for tests and for whoever listens to all of them. */
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

/** Limits that the SDK must know, as the contract has them by default. */
export const LIMITS = {
  /** Payload of a chunk, in bytes. */
  chunkBytes: 1_048_576,
} as const;

export type Answer<R> =
  | ({ ok: true } & R)
  | { ok: false; error: { code: string; message: string; retryable: boolean } };
