/**
 * Whether the browser took the codec back to save resources, which Chrome does to hidden pages: nothing
 * is wrong with the codec, and another one may be opened. WebCodecs, section 10.
 */
export function isReclaimed(error: unknown): boolean {
  return error instanceof Error && error.name === "QuotaExceededError";
}

/** Whether the browser cannot do what it was configured for, whatever `isConfigSupported` said. */
export function isUnsupported(error: unknown): boolean {
  return error instanceof Error && error.name === "NotSupportedError";
}
