export {
  captureCamera,
  captureMicrophone,
  captureScreen,
  type Device,
  type Devices,
  devices,
  onDeviceChange,
} from "./capture/devices.js";
export type {
  AudioOptions,
  MicrophoneOptions,
  VideoOptions,
  VideoPreset,
} from "./capture/presets.js";
export type { VideoCodec } from "./codecs/families.js";
export { type ConnectOptions, connect } from "./connect.js";
export { CONTRACT_CODES, type ErrorCode, LOCAL_CODES, WeirError } from "./errors.js";
export type { Member } from "./members/member.js";
export type { Chunk } from "./play/player.js";
export type { Json, JsonObject, LeaveReason, RoomInfo, TrackDescription, TrackKind } from "./protocol.js";
export type { ConnectionState, JoinOptions, Message, MessageOptions, RoomEvents } from "./room/events.js";
export { Room } from "./room/room.js";
export { type Support, support } from "./support.js";
export { LocalTrack, type LocalTrackEvents } from "./tracks/local-track.js";
export { type Gap, RemoteTrack, type RemoteTrackEvents } from "./tracks/remote-track.js";
export type { LocalTrackStats, RemoteTrackStats } from "./tracks/stats.js";
export { aesGcm, generateKey, importKey } from "./transform/aes-gcm.js";
export type { ChunkInfo, ChunkTransform } from "./transform/transform.js";
