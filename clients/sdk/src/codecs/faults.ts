/**
 * Whether the browser reclaimed the codec to save resources, as Chrome does on hidden pages. The codec works,
 * and can be reopened (WebCodecs, section 10).
 */
export function isReclaimed(error: unknown): boolean {
  return error instanceof Error && error.name === "QuotaExceededError";
}

/** Whether the browser does not support the configuration, even if `isConfigSupported` said otherwise. */
export function isUnsupported(error: unknown): boolean {
  return error instanceof Error && error.name === "NotSupportedError";
}
