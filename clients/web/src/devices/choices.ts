/** Choice of devices; `undefined` stands for the browser's default. */
export interface DeviceIds {
  cameraId: string | undefined;
  microphoneId: string | undefined;
}

/** Choice of what to publish when joining a room. */
export interface Choices extends DeviceIds {
  camera: boolean;
  microphone: boolean;
}
