export { aesGcm, generateKey, importKey } from "./aes-gcm.js";
export {
  captureCamera,
  captureMicrophone,
  captureScreen,
  type Device,
  type Devices,
  devices,
  onDeviceChange,
} from "./capture/devices.js";
export { type ConnectOptions, connect } from "./connect.js";
export type {
  AudioOptions,
  MicrophoneOptions,
  VideoCodec,
  VideoOptions,
  VideoPreset,
} from "./encode/presets.js";
export { CONTRACT_CODES, type ErrorCode, LOCAL_CODES, WeirError } from "./errors.js";
export { LocalTrack, type LocalTrackEvents } from "./local-track.js";
export type { Member } from "./member.js";
export type { Json, JsonObject, LeaveReason, RoomInfo, TrackDescription, TrackKind } from "./protocol.js";
export { type Chunk, type Gap, RemoteTrack, type RemoteTrackEvents } from "./remote-track.js";
export { Room } from "./room.js";
export type { ConnectionState, JoinOptions, Message, MessageOptions, RoomEvents } from "./room-events.js";
export type { LocalTrackStats, RemoteTrackStats } from "./stats.js";
export { type Support, support } from "./support.js";
export type { ChunkInfo, ChunkTransform } from "./transform.js";
