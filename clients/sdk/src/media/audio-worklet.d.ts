// Global scope of an AudioWorklet, as far as this SDK's processors use it.

declare class AudioWorkletProcessor {
  readonly port: MessagePort;
  constructor(options?: unknown);
}

declare const currentTime: number;
declare const sampleRate: number;

declare function registerProcessor(
  name: string,
  processor: new (options?: never) => AudioWorkletProcessor,
): void;
