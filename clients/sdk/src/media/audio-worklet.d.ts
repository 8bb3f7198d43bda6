// The scope of an AudioWorklet, as far as the processors of this SDK use it.

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
