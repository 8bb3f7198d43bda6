/** Receive statistics of a track, since it was published. */
export interface RemoteTrackStats {
  codec: string;
  /** Received payload, in bits per second. */
  bitrate: number;
  /** Frames shown per second for video, chunks received per second otherwise. */
  frameRate: number;
  width?: number;
  height?: number;
  /** Received chunks. */
  chunks: number;
  /** Received payload, in bytes. */
  bytes: number;
  /** Announced gaps. */
  gaps: number;
  /** Chunks missing in these gaps. */
  lost: number;
  /** Frames that were decoded but not shown, because a newer one was due. */
  dropped: number;
  /** Times the audio buffer ran empty, including pauses of the publisher. */
  starved: number;
  /** Chunks that the transform or the decoder rejected. */
  undecodable: number;
  /**
   * Estimated latency from capture to presentation, in milliseconds. Only for video whose `ts` is on the
   * node's clock, as that of other SDKs is.
   */
  latencyMs?: number;
  /** Network jitter, in milliseconds. */
  jitterMs: number;
  /** Length of the jitter buffer, in milliseconds. */
  bufferMs: number;
}

/** Send statistics of a track, since it was published. */
export interface LocalTrackStats {
  codec: string;
  /** Sent payload, in bits per second. */
  bitrate: number;
  /** Bitrate that the encoder is set to, in bits per second; 0 for raw chunks. */
  targetBitrate: number;
  /** Chunks sent per second: frames, for video. */
  frameRate: number;
  width?: number;
  height?: number;
  /** Sent chunks. */
  chunks: number;
  /** Sent payload, in bytes. */
  bytes: number;
  /** Frames that were not encoded, because the encoder or the network lagged. */
  skipped: number;
  /** Sent key chunks. */
  keyframes: number;
}
