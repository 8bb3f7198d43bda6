export { aesGcm, generateKey, importKey } from "./aes-gcm";
export {
  captureCamera,
  captureMicrophone,
  captureScreen,
  type Device,
  type Devices,
  devices,
  onDeviceChange,
} from "./capture/devices";
export { type ConnectOptions, connect } from "./connect";
export type {
  AudioOptions,
  MicrophoneOptions,
  VideoCodec,
  VideoOptions,
  VideoPreset,
} from "./encode/presets";
export { CONTRACT_CODES, type ErrorCode, LOCAL_CODES, WeirError } from "./errors";
export { LocalTrack } from "./local-track";
export type { Member } from "./member";
export type { Json, JsonObject, LeaveReason, RoomInfo, TrackDescription, TrackKind } from "./protocol";
export { type Chunk, type Gap, RemoteTrack, type RemoteTrackEvents } from "./remote-track";
export {
  type ConnectionState,
  type JoinOptions,
  type Message,
  type MessageOptions,
  Room,
  type RoomEvents,
} from "./room";
export type { LocalTrackStats, RemoteTrackStats } from "./stats";
export { type Support, support } from "./support";
export type { ChunkInfo, ChunkTransform } from "./transform";
